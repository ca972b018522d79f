package edge

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"net/textproto"
	"strconv"
	"time"
	"unsafe"

	"github.com/freshet/freshet/internal/edge/loop"
	"github.com/freshet/freshet/internal/edge/narrow"
	"github.com/freshet/freshet/internal/edge/packed"
)

// missed is a plain request for what is not fresh in the cache, whose viewer waits
// with a loop while the origin is asked. If the answer is small and there as a
// whole, the loop gives it; else net/http goes on from where things are.
type missed struct {
	query

	edge    *Edge
	errands *errands // of the loop
	r       *http.Request
	began   time.Time
	joined  seat // no fill: what was missing is there
}

// looped is how large a body is at most that a loop copies to send it with the head
// of a miss. A larger one is sent from where it is, and counted.
const looped = 16 << 10

// missed returns nil for what net/http has to look at from the beginning.
func (d *quick) missed(p *plainQuery, in []byte, a *loop.Answer) *missed {
	if !p.missing {
		return nil
	}
	m := &missed{edge: d.edge, errands: &p.errands, r: requestRead(p.request, in, a.Viewer), began: a.Now}
	var why *refusal
	if m.query, why = d.edge.read(m.r); why != nil || m.behavior != p.behavior || m.site.mayRecall(&m.query) {
		return nil
	}
	m.id = requestID()
	return m
}

// mayRecall reports whether there may be a copy on disk, for which a loop does not
// wait.
func (s *site) mayRecall(q *query) bool {
	return s.tier.serves() && s.tier.store.May(s.lineage.hashOf(&q.key))
}

// requestRead is what net/http would have read, as far as the edge looks at it. It
// keeps nothing of in.
func requestRead(p *narrow.Request, in []byte, v loop.Viewer) *http.Request {
	text := string(in[:p.Size])
	here := func(b []byte) string {
		if len(b) == 0 {
			return ""
		}
		at := uintptr(unsafe.Pointer(unsafe.SliceData(b))) - uintptr(unsafe.Pointer(unsafe.SliceData(in)))
		return text[at : at+uintptr(len(b))]
	}
	r := &http.Request{
		Method: http.MethodGet, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: make(http.Header, len(p.Fields)), Body: http.NoBody,
		Host: here(p.Host), RequestURI: here(p.Target), RemoteAddr: net.JoinHostPort(v.IP(), v.Port()),
	}
	for _, f := range p.Fields {
		name := textproto.CanonicalMIMEHeaderKey(here(f.Name))
		r.Header[name] = append(r.Header[name], here(f.Value))
	}
	return r
}

// Begin is of loop.Pending.
func (m *missed) Begin(t loop.Turn) {
	stored, f, mine := m.site.join(&m.query, time.Now(), false)
	if stored != nil {
		t.Ready()
		return
	}
	m.joined = seat{fill: f, mine: mine}
	if mine {
		m.joined.heard = m.hear()
		hear := m.told
		m.told = func(i interim) { hear(i); t.Ready() }
		own := m.edge.prepare(f, m.r, &m.query)
		if !m.errands.begin(m.edge, f, &m.query, own, t) {
			m.edge.start(func() { m.edge.run(f, &m.query, own) })
		}
	}
	f.tell(t)
}

// Answer is of loop.Pending.
func (m *missed) Answer(a *loop.Answer) loop.Verdict {
	j := &m.joined
	if j.fill == nil || !j.settled() || len(j.heard) > 0 || j.stream != nil || !j.mine && !j.shared || m.edge.draining.Load() {
		return loop.Lend
	}
	o := j.outcome
	if !j.mine {
		o = hit
	}
	stored := j.result
	if _, ok := m.site.page(stored.status); ok || !isPlain(stored) || stored.size() != int64(len(stored.body)) || len(stored.body) > errandBody {
		return loop.Lend
	}
	h := m.header(stored, o)
	if h == nil {
		return loop.Lend
	}
	m.write(a, stored, h)
	m.edge.count(told(stored.status, o))
	j.leave(&m.query, &m.edge.orphans)
	return loop.Answered
}

// write puts the answer into a, and tells of it.
func (m *missed) write(a *loop.Answer, stored *entry, h http.Header) {
	before := len(a.Head)
	out := bytes.NewBuffer(a.Head)
	out.WriteString("HTTP/1.1 " + strconv.Itoa(stored.status) + " " + http.StatusText(stored.status) + "\r\n")
	_ = h.Write(out) // a buffer takes everything
	out.WriteString("\r\n")
	t := &telling{missed: m, header: h, stored: stored, head: int64(out.Len() - before), first: time.Since(m.began)}
	if len(stored.body) <= looped {
		out.Write(stored.body)
		t.tell(int64(len(stored.body)), true)
	} else {
		stored.claim.enter()
		a.Body, a.Sent = stored.body, t
	}
	a.Head = out.Bytes()
}

// telling is what is told of an answer once it is out.
type telling struct {
	*missed

	header http.Header
	stored *entry
	head   int64
	first  time.Duration
}

// Sent is of loop.Sent.
func (t *telling) Sent(bytes int64, complete bool) {
	t.stored.claim.leave()
	t.tell(bytes, complete)
}

func (t *telling) tell(bytes int64, complete bool) {
	e, r := t.edge, t.r
	if e.accessLog == nil && e.observer == nil {
		return
	}
	if !complete {
		r = abandoned(r)
	}
	e.over(&exchange{
		ResponseWriter: &silent{t.header}, r: r, began: t.began, site: t.site, status: t.stored.status, bytes: bytes, head: t.head, first: t.first,
	}, complete)
}

// abandoned is a request whose viewer has gone.
func abandoned(r *http.Request) *http.Request {
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	return r.WithContext(gone)
}

// Gone is of loop.Pending.
func (m *missed) Gone() {
	if m.joined.fill != nil {
		m.joined.leave(&m.query, &m.edge.orphans)
	}
	e := m.edge
	if e.accessLog == nil && e.observer == nil {
		return
	}
	h := http.Header{"X-Amz-Cf-Id": {m.id}}
	e.over(&exchange{ResponseWriter: &silent{h}, r: abandoned(m.r), began: m.began, site: m.site}, false)
}

// silent is the writer of an exchange that is written by others.
type silent struct{ header http.Header }

func (s *silent) Header() http.Header       { return s.header }
func (*silent) Write(p []byte) (int, error) { return len(p), nil }
func (*silent) WriteHeader(int)             {}

// missedBy returns what a loop has begun for a request; nil for nothing.
func missedBy(r *http.Request) *missed {
	c, ok := r.Context().Value(inConn{}).(*viewerConn)
	if !ok {
		return nil
	}
	lent, ok := c.Conn.(interface{ Take() loop.Pending })
	if !ok {
		return nil
	}
	m, ok := lent.Take().(*missed)
	if !ok || m.joined.fill == nil {
		return nil
	}
	return m
}

// goOn answers a request that a loop has begun to answer.
func (e *Edge) goOn(x *exchange, r *http.Request, m *missed) {
	x.site, x.dressing, x.began = m.site, m.behavior.dressing, m.began
	x.Header()["X-Amz-Cf-Id"] = []string{m.id}
	e.serveJoined(x, r, &m.query, m.joined)
}

// isPlain reports whether nothing but the headers has to be looked at in an answer.
func isPlain(stored *entry) bool {
	s := stored.status
	return s >= 200 && hasBody(s) && s != http.StatusResetContent && http.StatusText(s) != "" && stored.part == nil
}

// header puts the header of the answer together, as respond and dressing do. It is
// nil if net/http had something to change about it.
func (m *missed) header(stored *entry, o outcome) http.Header {
	h := make(http.Header, len(stored.header)+8)
	for name, values := range stored.header {
		h[name] = values
	}
	if age, ok := (answer{entry: stored, outcome: o}).age(time.Now()); ok {
		h["Age"] = []string{strconv.FormatInt(int64(age/time.Second), 10)}
	}
	e := m.edge
	h["Via"], h["X-Cache"], h["X-Amz-Cf-Pop"], h["X-Amz-Cf-Id"] = []string{e.via}, []string{told(stored.status, o).header()}, []string{e.pop}, []string{m.id}
	if d := m.behavior.dressing; d != nil {
		d.applySteady(h, m.r)
	}
	if _, sized := h["Content-Length"]; sized || len(h["Date"]) == 0 {
		return nil
	}
	for name, values := range h {
		for _, v := range values {
			if !packed.GoesOut(name, v) {
				return nil
			}
		}
	}
	h["Content-Length"] = []string{strconv.FormatInt(stored.size(), 10)}
	return h
}
