package edge

import (
	"encoding/base64"
	"encoding/binary"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/freshet/freshet/internal/edge/accesslog"
	"github.com/freshet/freshet/internal/edge/loop"
)

// answer puts the answer to q into a, lets go of the copy, and tells of it.
func (d *quick) answer(q *plainQuery, a *loop.Answer) {
	c := &q.found
	d.edge.count(told(c.stored, hit))
	before := len(a.Head)
	idAt := before + d.head(q, a)
	head := int64(len(a.Head) - before)
	if d.edge.accessLog != nil {
		q.typed = q.typed[:0]
		if !c.bare {
			q.typed = append(q.typed, c.lines.Get("Content-Type")...)
		}
	}
	if c.bulk == nil && !q.request.Head {
		a.Head = append(a.Head, c.view.Body()[c.from:c.from+c.length]...)
	}
	id := a.Head[idAt : idAt+requestIDSize]
	q.reader.Leave()
	switch {
	case q.request.Head || c.length == 0:
		d.tell(q, a, id, head, 0)
	case c.bulk == nil:
		d.tell(q, a, id, head, c.length)
	case c.bulk.piece != nil:
		a.File, a.At = c.bulk.piece.File()
		a.At, a.Length = a.At+c.from, c.length
		c.bulk.claim.enter()
		a.Sent = d.later(q, a, id, head)
	default:
		a.Body = c.bulk.body[c.from : c.from+c.length]
		c.bulk.claim.enter()
		a.Sent = d.later(q, a, id, head)
	}
}

// head appends the head of the answer, and returns where in it the ID is.
func (d *quick) head(q *plainQuery, a *loop.Answer) (id int) {
	e, c, l := d.edge, &q.found, &q.found.lines
	b, before := a.Head, len(a.Head)
	if c.status == http.StatusOK {
		b = append(b, "HTTP/1.1 200 OK\r\n"...)
	} else {
		b = append(strconv.AppendInt(append(b, "HTTP/1.1 "...), int64(c.status), 10), ' ')
		b = append(append(b, http.StatusText(c.status)...), "\r\n"...)
	}
	b = append(append(b, l.Text[:l.Gap(0)]...), "Age: "...)
	b = strconv.AppendInt(b, int64((c.view.Age()+max(e.store.since(c.view, a.Now), 0))/time.Second), 10)
	b = append(b, "\r\n"...)
	if c.status == c.stored {
		b = append(append(b, l.Text[l.Gap(0):l.Gap(1)]...), "Content-Length: "...)
		b = strconv.AppendInt(b, c.length, 10)
		b = append(append(b, "\r\n"...), l.Text[l.Gap(1):l.Gap(2)]...)
	} else {
		b = c.aboutLess(b)
	}
	b = append(b, "Via: "...)
	b = append(append(append(b, e.via...), "\r\n"...), l.Text[l.Gap(2):l.Gap(3)]...)
	b = append(b, "X-Amz-Cf-Id: "...)
	id = len(b) - before
	b = append(appendRequestID(b), "\r\n"...)
	b = append(append(b, l.Text[l.Gap(3):l.Gap(4)]...), "X-Amz-Cf-Pop: "...)
	b = append(append(append(b, e.pop...), "\r\n"...), l.Text[l.Gap(4):l.Gap(5)]...)
	if told(c.stored, hit) == hit {
		b = append(b, "X-Cache: Hit from cloudfront\r\n"...)
	} else {
		b = append(b, "X-Cache: Error from cloudfront\r\n"...)
	}
	a.Head = append(append(b, l.Text[l.Gap(5):]...), "\r\n"...)
	return id
}

// requestIDSize is how long the ID of a request is.
const requestIDSize = 56

// appendRequestID appends what requestID returns.
func appendRequestID(b []byte) []byte {
	var random [40]byte
	for i := 0; i < len(random); i += 8 {
		binary.LittleEndian.PutUint64(random[i:], rand.Uint64())
	}
	return base64.URLEncoding.AppendEncode(b, random[:])
}

// tell tells of an answer that is out.
func (d *quick) tell(q *plainQuery, a *loop.Answer, id []byte, head, body int64) {
	e := d.edge
	if e.accessLog == nil && e.observer == nil {
		return
	}
	took := time.Since(a.Now)
	if e.accessLog != nil {
		r := &q.record
		d.record(r, q, a, id, head+body)
		r.End, r.Taken, r.FirstByte = a.Now.Add(took), took, took
		e.accessLog(q.site.config.ID, r)
	}
	if e.observer != nil {
		s := d.served(q)
		s.Bytes, s.Took = body, took
		e.observer.Served(s)
	}
}

// served is what an observer is told of q. Its path is that of the request.
func (d *quick) served(q *plainQuery) Served {
	method := http.MethodGet
	if q.request.Head {
		method = http.MethodHead
	}
	return Served{
		Distribution: q.site.config.ID, Method: method, Path: q.path,
		Result: string(told(q.found.stored, hit)), Status: q.found.status,
	}
}

// record is record for what was not read by net/http. Its texts are those of the
// bytes that arrived.
func (d *quick) record(r *accesslog.Record, q *plainQuery, a *loop.Answer, id []byte, sent int64) {
	c := &q.site.config
	method := http.MethodGet
	if q.request.Head {
		method = http.MethodHead
	}
	// One by one, since what r holds of the last answer is most of it.
	r.Location, r.Protocol, r.ProtocolVersion, r.RangeStart, r.RangeEnd = d.edge.pop, "http", "HTTP/1.1", -1, -1
	r.ViewerIP, r.ViewerPort, r.Method, r.Domain, r.Path, r.Query = a.Viewer.IP(), a.Viewer.Port(), method, c.DomainName, q.path, q.text
	r.Referer, r.UserAgent, r.ForwardedFor = textOf(q.request.Get("Referer")), textOf(q.request.Get("User-Agent")), textOf(q.request.Get("X-Forwarded-For"))
	r.Status, r.Result, r.RequestID, r.Host = q.found.status, string(told(q.found.stored, hit)), textOf(id), textOf(q.request.Host)
	r.SentBytes, r.ContentType, r.ContentLength, r.Plain = sent, textOf(q.typed), q.found.length, q.found.plain
	switch q.found.status {
	case http.StatusPartialContent:
		r.RangeStart, r.RangeEnd = q.found.from, q.found.from+q.found.length-1
	case http.StatusNotModified:
		r.ContentLength = -1
	}
	r.ResponseResult, r.Detail, r.Cookie = "", "", ""
	if q.over != nil {
		q.over.record(r)
	}
	const around = len("  HTTP/1.1\r\n") + len("Host: \r\n") + len("\r\n")
	r.ReceivedBytes = int64(len(method) + len(q.request.Target) + around + len(q.request.Host) + q.request.Header + len(q.request.Fields)*len(": \r\n"))
	if c.Config.Logging != nil && c.Config.Logging.IncludeCookies && q.request.Cookies {
		var cookies []string
		for _, f := range q.request.Fields {
			if strings.EqualFold(textOf(f.Name), "Cookie") {
				cookies = append(cookies, textOf(f.Value))
			}
		}
		r.Cookie = strings.Join(cookies, "; ")
	}
}

// sending is an answer that is not out yet. It is used again for another.
type sending struct {
	of     *plainQuery // whose loop alone has it
	edge   *Edge
	stored *bulk
	began  time.Time
	id     string // of the distribution
	served Served
	log    accesslog.Record // of a loop that tells a log
	texts  []byte           // of log
}

// later keeps what is to be told of an answer once it is out.
func (d *quick) later(q *plainQuery, a *loop.Answer, id []byte, head int64) *sending {
	var s *sending
	if n := len(q.spare); n > 0 {
		s, q.spare = q.spare[n-1], q.spare[:n-1]
	} else {
		s = &sending{of: q, edge: d.edge}
	}
	s.stored, s.began, s.id = q.found.bulk, a.Now, q.site.config.ID
	if d.edge.observer != nil {
		s.served = d.served(q)
		s.served.Path = strings.Clone(s.served.Path)
	}
	if d.edge.accessLog != nil {
		d.record(&s.log, q, a, id, head)
		s.keepTexts()
		s.log.FirstByte = time.Since(a.Now)
	}
	return s
}

// keepTexts makes the log's texts its own.
func (s *sending) keepTexts() {
	r := &s.log
	all := [...]*string{&r.Path, &r.Query, &r.Referer, &r.UserAgent, &r.RequestID, &r.Host, &r.ForwardedFor, &r.Cookie, &r.ContentType}
	n := 0
	for _, text := range all {
		n += len(*text)
	}
	s.texts = slices.Grow(s.texts[:0], n) // no text may move once it is there
	for _, text := range all {
		s.texts = append(s.texts, *text...)
		*text = textOf(s.texts[len(s.texts)-len(*text):])
	}
}

// mostSpare is how many answers that are out a loop keeps for those that come.
const mostSpare = 64

// Sent is of loop.Sent.
func (s *sending) Sent(bytes int64, complete bool) {
	s.stored.claim.leave()
	e, took := s.edge, time.Since(s.began)
	if e.accessLog != nil {
		r := &s.log
		r.End, r.Taken = s.began.Add(took), took
		r.SentBytes += bytes
		if !complete {
			r.ResponseResult, r.Detail = string(failed), "ClientCommError"
		}
		e.accessLog(s.id, r)
	}
	if e.observer != nil {
		s.served.Bytes, s.served.Took = bytes, took
		if !complete {
			s.served.Result = string(failed)
		}
		e.observer.Served(s.served)
	}
	s.stored, s.served = nil, Served{} // which hold what was sent
	if len(s.of.spare) < mostSpare {
		s.of.spare = append(s.of.spare, s)
	}
}

// Refusal is of loop.Handler: what viewers get for whom there is no room.
func (d *quick) Refusal() []byte {
	h, page := errorPage(http.StatusServiceUnavailable, overfull)
	d.edge.sign(h, http.StatusServiceUnavailable, failed)
	return wholeAnswer(http.StatusServiceUnavailable, h, page)
}
