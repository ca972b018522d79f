package edge

import (
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/freshet/freshet/internal/edge/accesslog"
)

// record tells the access log of an exchange that is over. An answer that broke
// off is an error, and where the viewer left before it began there is no status.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/standard-logs-reference.html
func (e *Edge) record(x *exchange, s *site, complete bool) {
	r, h := x.r, x.Header()
	id, at, cookies := "", "", false
	if s != nil {
		id, at = s.config.ID, s.config.DomainName
		cookies = s.config.Config.Logging != nil && s.config.Config.Logging.IncludeCookies
	}
	t := targetOf(r)
	now := time.Now()
	entry := accesslog.Record{
		End: now, Location: e.pop, SentBytes: x.head + x.bytes, Method: r.Method, Domain: at, Path: t.path, Query: t.text, Status: x.status,
		Referer: r.Header.Get("Referer"), UserAgent: r.Header.Get("User-Agent"), RequestID: h.Get("X-Amz-Cf-Id"), Host: r.Host,
		Protocol: protocolName(r), ProtocolVersion: r.Proto, ReceivedBytes: requestBytes(r), Taken: now.Sub(x.began), FirstByte: x.first,
		ForwardedFor: r.Header.Get("X-Forwarded-For"), ContentType: h.Get("Content-Type"), ContentLength: -1, RangeStart: -1, RangeEnd: -1,
	}
	entry.Result, _, _ = strings.Cut(h.Get("X-Cache"), " ")
	if !complete {
		entry.ResponseResult, entry.Detail = string(failed), "OriginCommError"
		if r.Context().Err() != nil {
			entry.Detail = "ClientCommError"
		}
		if entry.Result == "" {
			entry.Result = string(failed)
		}
	}
	entry.ViewerIP, entry.ViewerPort, _ = net.SplitHostPort(r.RemoteAddr)
	if cookies {
		entry.Cookie = strings.Join(r.Header["Cookie"], "; ")
	}
	if r.TLS != nil {
		entry.TLSProtocol, entry.TLSSuite = loggedTLS(r.TLS)
	}
	if n, err := strconv.ParseInt(h.Get("Content-Length"), 10, 64); err == nil {
		entry.ContentLength = n
	}
	if x.status == http.StatusPartialContent {
		entry.RangeStart, entry.RangeEnd = sentRange(h.Get("Content-Range"))
	}
	e.accessLog(id, &entry)
}

func protocolName(r *http.Request) string {
	name := "http"
	if upgradeOf(r) != "" {
		name = "ws"
	}
	if r.TLS != nil {
		name += "s"
	}
	return name
}

// requestBytes is about how much the viewer sent.
func requestBytes(r *http.Request) int64 {
	n := int64(len(r.Method)+len(r.RequestURI)+len(r.Proto)+len("  \r\n")) + int64(len("Host: \r\n")+len(r.Host)) + headerBytes(r.Header)
	return n + max(r.ContentLength, 0)
}

// headerBytes is the size of a header in HTTP/1.1, the empty line included.
func headerBytes(h http.Header) int64 {
	n := len("\r\n")
	for name, values := range h {
		for _, v := range values {
			n += len(name) + len(": \r\n") + len(v)
		}
	}
	return int64(n)
}

// sentRange reads the first and last byte of a Content-Range; -1 for none.
func sentRange(value string) (first, last int64) {
	spec, ok := strings.CutPrefix(value, "bytes ")
	if !ok {
		return -1, -1
	}
	spec, _, _ = strings.Cut(spec, "/")
	from, to, _ := strings.Cut(spec, "-")
	first, ok = digits(from)
	last, ok2 := digits(to)
	if !ok || !ok2 {
		return -1, -1
	}
	return first, last
}
