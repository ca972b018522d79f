package edge

import (
	"context"
	"maps"
	"net"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
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
	own     [6]string
}

// looped is how large a body is at most that a loop copies to send it with the head
// of a miss. A larger one is sent from where it is, and counted.
const looped = 16 << 10

// missed returns nil for what net/http has to look at from the beginning.
func (d *quick) missed(p *plainQuery, in []byte, a *loop.Answer) *missed {
	if !p.missing || p.request.Conditional {
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
	if !m.write(a, stored, o) {
		return loop.Lend
	}
	m.edge.count(told(stored.status, o))
	j.leave(&m.query, &m.edge.orphans)
	return loop.Answered
}

// field is a header with its lines.
type field struct {
	name   string
	values []string
}

// write puts the answer into a, and tells of it, unless net/http had something to
// change about it.
func (m *missed) write(a *loop.Answer, stored *entry, o outcome) bool {
	all, ok := m.fields(stored, o)
	if !ok {
		return false
	}
	before := len(a.Head)
	b := strconv.AppendInt(append(a.Head, "HTTP/1.1 "...), int64(stored.status), 10)
	b = append(append(append(b, ' '), http.StatusText(stored.status)...), "\r\n"...)
	for _, f := range all {
		for _, v := range f.values {
			b = append(append(append(append(b, f.name...), ": "...), v...), "\r\n"...)
		}
	}
	b = append(b, "\r\n"...)
	t := telling{missed: m, stored: stored, head: int64(len(b) - before), first: time.Since(m.began)}
	if m.edge.accessLog != nil || m.edge.observer != nil {
		t.header = toldOf(all)
	}
	if len(stored.body) <= looped {
		b = append(b, stored.body...)
		t.tell(int64(len(stored.body)), true)
	} else {
		stored.claim.enter()
		later := t // only what is told later outlives this
		a.Body, a.Sent = stored.body, &later
	}
	a.Head = b
	return true
}

// toldOf is what of a header a log or an observer wants.
func toldOf(all []field) http.Header {
	h := make(http.Header, 5)
	for _, f := range all {
		switch f.name {
		case "Content-Length", "Content-Range", "Content-Type", "X-Amz-Cf-Id", "X-Cache":
			h[f.name] = f.values
		}
	}
	return h
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

// fields puts the header of the answer together, as respond and dressing do. It is
// not ok if net/http had something to change about it.
func (m *missed) fields(stored *entry, o outcome) (all []field, ok bool) {
	e := m.edge
	m.own = [...]string{e.via, told(stored.status, o).header(), e.pop, m.id, strconv.FormatInt(stored.size(), 10), ""}
	own := []field{
		{"Via", m.own[0:1]}, {"X-Cache", m.own[1:2]}, {"X-Amz-Cf-Pop", m.own[2:3]}, {"X-Amz-Cf-Id", m.own[3:4]},
		{"Content-Length", m.own[4:5]}, {"Age", m.own[5:6]},
	}
	if age, ok := (answer{entry: stored, outcome: o}).age(time.Now()); ok {
		m.own[5] = strconv.FormatInt(int64(age/time.Second), 10)
	} else {
		own = own[:5]
	}
	all = m.errands.fields[:0]
	defer func() { m.errands.fields = all }()
	if d := m.behavior.dressing; d == nil {
		for name, values := range stored.header {
			if slices.Contains(packed.Own[:], name) {
				return all, false
			}
			all = append(all, field{name, values})
		}
		all = append(all, own...)
	} else {
		h := maps.Clone(stored.header)
		for _, f := range own {
			h[f.name] = f.values
		}
		d.applySteady(h, m.r)
		for name, values := range h {
			all = append(all, field{name, values})
		}
		if length := h["Content-Length"]; len(length) != 1 || length[0] != m.own[4] {
			return all, false
		}
	}
	slices.SortFunc(all, func(a, b field) int { return strings.Compare(a.name, b.name) })
	return all, goOut(all)
}

// goOut reports whether a header goes out as it is.
func goOut(all []field) bool {
	dated := false
	for _, f := range all {
		for _, v := range f.values {
			if !packed.GoesOut(f.name, v) {
				return false
			}
		}
		dated = dated || f.name == "Date" && len(f.values) > 0
	}
	return dated
}
