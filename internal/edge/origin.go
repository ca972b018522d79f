package edge

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/freshet/freshet/internal/distribution"
	"github.com/freshet/freshet/internal/edge/s3origin"
)

// Origin is how the edge reaches one origin of a distribution.
type Origin struct {
	URL       string            // scheme, host, and a path that goes before the origin path, if any
	Host      string            // for the Host header; empty for that of URL
	Transport http.RoundTripper // nil for plain HTTP and HTTPS
}

// BucketOrigin reaches a bucket through an S3 API, with signed requests.
func BucketOrigin(c s3origin.Config) (Origin, error) {
	t, err := s3origin.New(c)
	if err != nil {
		return Origin{}, err
	}
	return Origin{URL: c.Endpoint, Transport: t}, nil
}

// origin is an Origin in the form requests need.
type origin struct {
	scheme, address, host string
	prefix                string // escaped path in front of that of the viewer, without a slash at the end
	transport             http.RoundTripper
}

func newOrigin(o Origin, path string, fallback http.RoundTripper) (*origin, error) {
	base, err := url.Parse(o.URL)
	if err != nil {
		return nil, fmt.Errorf("read URL of origin: %w", err)
	}
	if base.Scheme != "http" && base.Scheme != "https" || base.Host == "" || base.RawQuery != "" {
		return nil, fmt.Errorf("origin URL %q must be http or https, name a host and have no query string", o.URL)
	}
	made := &origin{scheme: base.Scheme, address: base.Host, host: o.Host, transport: o.Transport}
	made.prefix = strings.TrimSuffix(base.EscapedPath(), "/") + escapePath(strings.TrimSuffix(path, "/"))
	if made.host == "" {
		made.host = base.Host
	}
	if made.transport == nil {
		made.transport = fallback
	}
	return made, nil
}

// newTransport dials as CloudFront does by default and leaves the rest of
// waiting to the edge.
func newTransport() *http.Transport {
	return &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		DisableCompression:  true, // stored as sent
		MaxIdleConnsPerHost: 64,
		IdleConnTimeout:     90 * time.Second,
		TLSHandshakeTimeout: 10 * time.Second,
		ForceAttemptHTTP2:   true,
	}
}

// escapePath makes a path, as a viewer may spell it, one that may stand in a
// URL: what must be escaped is, and everything else, escapes included, stays as
// it was.
func escapePath(raw string) string {
	const plain = "-_.~!$&'()*+,;=:@/[]"
	var b strings.Builder
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte(plain, c) >= 0:
			b.WriteByte(c)
		case c == '%' && isEscape(raw[i:]):
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// isEscape reports whether s begins with a percent sign and two hexadecimal
// digits.
func isEscape(s string) bool {
	return len(s) >= 3 && s[0] == '%' && isHexDigit(s[1]) && isHexDigit(s[2])
}

func isHexDigit(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// request makes a request for the path and query string as the viewer spelled
// them.
func (o *origin) request(ctx context.Context, method, path, query string, h http.Header) (*http.Request, error) {
	raw := o.prefix + escapePath(path)
	decoded, err := url.PathUnescape(raw)
	if err != nil {
		return nil, fmt.Errorf("read path %q: %w", raw, err)
	}
	r := &http.Request{
		Method: method, Host: o.host, Header: h, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		URL: &url.URL{Scheme: o.scheme, Host: o.address, Path: decoded, RawPath: raw, RawQuery: query},
	}
	return r.WithContext(ctx), nil
}

// errOriginSlow is the cause with which a request to an origin is given up.
var errOriginSlow = errors.New("the origin did not answer in time")

// response is an origin's answer whose body must be read with read and then
// closed.
type response struct {
	*http.Response
	received time.Time
	timer    *time.Timer
	patience time.Duration
	ctx      context.Context
	cancel   context.CancelCauseFunc
}

// read is Body.Read with a limit on how long the origin may say nothing.
func (r *response) read(p []byte) (int, error) {
	r.timer.Reset(r.patience)
	n, err := r.Body.Read(p)
	r.timer.Stop()
	if cause := context.Cause(r.ctx); err != nil && (errors.Is(cause, errOriginSlow) || errors.Is(cause, errNoReaders)) {
		err = cause
	}
	return n, err
}

// close may be called at any time and more than once.
func (r *response) close() {
	r.timer.Stop()
	r.cancel(nil)
	r.Body.Close()
}

// attempts is how often CloudFront tries to reach an origin.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/distribution-web-values-specify.html
const attempts = 3

// ask sends a GET or HEAD to the origin, again if no connection came about or
// nothing came back in time.
func (e *Edge) ask(ctx context.Context, q *query, method string, h http.Header) (*response, error) {
	for attempt := 1; ; attempt++ {
		resp, err := e.askOnce(ctx, q, method, h)
		if err == nil || attempt == attempts || ctx.Err() != nil || !worthAnotherTry(err) {
			return resp, err
		}
	}
}

func (e *Edge) askOnce(parent context.Context, q *query, method string, h http.Header) (*response, error) {
	ctx, cancel := context.WithCancelCause(parent)
	r, err := q.behavior.origin.request(ctx, method, q.path, q.forwarded, h.Clone())
	if err != nil {
		cancel(nil)
		return nil, err
	}
	if q.host != "" {
		r.Host = q.host
	}
	timer := time.AfterFunc(e.patience, func() { cancel(errOriginSlow) })
	resp, err := q.behavior.origin.transport.RoundTrip(r) //nolint:bodyclose // response.close does
	timer.Stop()
	if err != nil {
		if errors.Is(context.Cause(ctx), errOriginSlow) {
			err = errOriginSlow
		}
		cancel(nil)
		return nil, err
	}
	return &response{Response: resp, received: time.Now(), timer: timer, patience: e.patience, ctx: ctx, cancel: cancel}, nil
}

func worthAnotherTry(err error) bool {
	var op *net.OpError
	return timedOut(err) || errors.As(err, &op) && op.Op == "dial"
}

func timedOut(err error) bool {
	var ne net.Error
	return errors.Is(err, errOriginSlow) || errors.As(err, &ne) && ne.Timeout()
}

// failureStatus is what a viewer is told when there is no answer.
func failureStatus(err error) int {
	if timedOut(err) {
		return http.StatusGatewayTimeout
	}
	return http.StatusBadGateway
}

// conditional returns h with the conditions under which the origin may answer
// that old is still right. There are none if old is nil, as it is for a copy
// that was invalidated: whoever invalidates says that the copy is wrong, so only
// an origin that is mistaken would confirm it.
func conditional(h http.Header, old *entry) http.Header {
	if old == nil {
		return h
	}
	h = h.Clone()
	if etag := old.header.Get("Etag"); etag != "" {
		h.Set("If-None-Match", etag)
	}
	if modified := old.header.Get("Last-Modified"); modified != "" {
		h.Set("If-Modified-Since", modified)
	}
	return h
}

// addOwn adds what CloudFront adds to every request.
func (e *Edge) addOwn(h http.Header, r *http.Request) {
	setDefault(h, "User-Agent", "Amazon CloudFront")
	setDefault(h, "Accept-Encoding", "identity")
	h.Set("X-Amz-Cf-Id", requestID())
	appendTo(h, "Via", r.Header["Via"], e.via)
	if viewer, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		appendTo(h, "X-Forwarded-For", r.Header["X-Forwarded-For"], viewer)
	}
}

// setDefault leaves alone what is there because the cache key holds it.
func setDefault(h http.Header, name, value string) {
	if _, set := h[name]; !set {
		h[name] = []string{value}
	}
}

func appendTo(h http.Header, name string, before []string, value string) {
	h.Set(name, strings.Join(append(append([]string(nil), before...), value), ", "))
}

// Resolver tells how to reach an origin of a distribution.
type Resolver func(distribution.Distribution, distribution.Origin) (Origin, error)
