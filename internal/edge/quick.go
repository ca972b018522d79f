package edge

import (
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"
	"unsafe"

	"github.com/freshet/freshet/internal/edge/accesslog"
	"github.com/freshet/freshet/internal/edge/arena"
	"github.com/freshet/freshet/internal/edge/loop"
	"github.com/freshet/freshet/internal/edge/narrow"
	"github.com/freshet/freshet/internal/edge/packed"
)

// quick answers plain requests for what is fresh in the cache, as the edge would
// through net/http, to the byte. What it has any doubt about it leaves to that.
type quick struct{ edge *Edge }

// plainQuery is a plain request of a viewer, and what was found for it. It is used
// again for the next.
type plainQuery struct {
	request *narrow.Request
	over    *assurance // nil for plain HTTP

	sought
	favorite uint32 // where this loop enters the store
	reader   arena.Reader[bulk]
	found    plainCopy
	typed    []byte           // Content-Type, for a log
	record   accesslog.Record // of what is answered; nobody keeps it
	spare    []*sending       // that are out

	expanded  [8]expanded // by serial
	undressed []byte      // room for the header that a policy has changed

	own  narrow.Request // what request usually is
	seen []foreseen

	errands errands
	missing bool // there is no copy that is fresh, and the origin is asked for all of it
}

// expanded are the lines of a copy by its serial, which are kept if they lie there
// tersely: what many ask for is not expanded for each.
type expanded struct {
	serial   uint64
	room     []byte
	lines    packed.Lines
	dressed  bool
	behavior int
}

// sought is what a plain request asks for.
type sought struct {
	path, text string // before and after the first question mark, in the bytes that arrived
	url        string
	site       *site
	behavior   *behavior
	key        key // with the texts of those bytes
	hash       uint64
}

// plainCopy is what answers a plain request. view and lines are there as long as
// the reader has not left.
type plainCopy struct {
	view   packed.View
	lines  packed.Lines
	stored int   // status
	status int   // that goes out
	from   int64 // where in the body
	length int64 // of what goes out of it
	bulk   *bulk // nil for none
	bare   bool  // nothing of the body, nor of what is said of it
	plain  bool  // what a log has of it is written as it is
}

// Answer is of loop.Handler.
func (d *quick) Answer(in []byte, a *loop.Answer) loop.Verdict {
	q := ownQuery(a)
	if d.edge.draining.Load() {
		return loop.Leave // net/http tells viewers that the connection ends
	}
	verdict, aimed := d.look(q, in, a)
	switch verdict {
	case narrow.More:
		return loop.More
	case narrow.Other:
		return loop.Leave
	}
	a.Used = q.request.Size
	if !aimed {
		return loop.Lend
	}
	if d.find(q, a) {
		d.answer(q, a)
		return loop.Answered
	}
	if m := d.missed(q, in, a); m != nil {
		a.Pending = m
		return loop.Wait
	}
	return loop.Lend
}

func ownQuery(a *loop.Answer) *plainQuery {
	q, ok := a.Own.(*plainQuery)
	if !ok {
		q = new(plainQuery)
		a.Own = q
	}
	if q.request == nil {
		q.request, q.favorite = &q.own, rand.Uint32()
	}
	return q
}

// look reads the request with which in begins, and reports whether it asks for
// something that may be found here.
func (d *quick) look(q *plainQuery, in []byte, a *loop.Answer) (v narrow.Verdict, aimed bool) {
	if a.Foreseen > 0 {
		f := &q.seen[a.Foreseen-1]
		q.request, q.sought = &f.request, f.sought
		return f.verdict, f.aimed
	}
	q.request = &q.own
	if v = q.request.Read(in); v == narrow.Plain {
		aimed = d.aim(&q.sought, q.request, q.over)
	}
	return v, aimed
}

// answerRead is Answer for a request that was read otherwise.
func (d *quick) answerRead(q *plainQuery, a *loop.Answer) bool {
	if !d.aim(&q.sought, q.request, q.over) || !d.find(q, a) {
		return false
	}
	d.answer(q, a)
	return true
}

// aim says in t what a request asks for, and reports whether that may be answered
// without net/http.
func (d *quick) aim(t *sought, r *narrow.Request, over *assurance) bool {
	if r.Qualified {
		return false
	}
	at := d.edge.serving().hosts
	t.site = at.find(textOf(r.Host))
	if t.site == nil || !t.site.config.Config.Enabled {
		return false
	}
	t.url = textOf(r.Target)
	t.path, t.text, _ = strings.Cut(t.url, "?")
	t.behavior = t.site.behaviorOf(t.path)
	b := t.behavior
	if !b.quick.may || !t.comesRightly(at, over) || r.Cookies && b.keying.forwardsCookies() || r.Origin && b.quick.asksOrigin {
		return false
	}
	t.key = t.keyOf(r)
	k := packedKey(t.key)
	t.hash = d.edge.store.arena.Hash(&k)
	return true
}

// find looks for the copy that answers q, and reports whether there is one that
// net/http is not needed for. Then q.reader must leave.
func (d *quick) find(q *plainQuery, a *loop.Answer) bool {
	q.missing = false
	k := packedKey(q.key)
	q.reader = d.edge.store.arena.Enter(q.favorite)
	if !d.take(q, q.reader.GetHashed(&k, q.hash), a.Now) {
		q.reader.Leave()
		return false
	}
	return true
}

// take has the copy that was found, if any, answer q, and reports whether it may.
func (d *quick) take(q *plainQuery, v packed.View, now time.Time) bool {
	if v.IsNone() || !q.site.epochs.holds(v) {
		q.missing = !q.request.Head && q.over == nil
		return false
	}
	if !v.Quick() || !d.edge.store.answers(v, now) {
		return false
	}
	if _, ok := q.site.page(v.Status()); ok {
		return false
	}
	status := v.Status()
	q.found = plainCopy{view: v, stored: status, status: status, length: v.Size(), plain: v.Plain() && q.site.logsPlain}
	x := &q.expanded[v.Serial()%uint64(len(q.expanded))]
	if x.serial != v.Serial() || !v.Terse() {
		x.lines, x.behavior, x.dressed = v.Dressed(&x.room)
		if !x.dressed {
			x.lines = v.Lines(&x.room)
		}
		x.serial = v.Serial()
	}
	if x.dressed && (x.behavior >= len(q.site.behaviors) || &q.site.behaviors[x.behavior] != q.behavior) {
		return false
	}
	q.found.lines = x.lines
	if q.request.Conditional && !q.heedConditions(x.dressed) {
		return false
	}
	if v.Away() {
		q.found.bulk = q.reader.Body(v)
		return q.found.bulk != nil && q.found.bulk.remote == nil // nothing here waits for a disk
	}
	return true
}

// comesRightly reports whether the behavior answers over such a connection, nil for
// plain HTTP.
func (t *sought) comesRightly(at hosts, over *assurance) bool {
	if over == nil {
		return t.behavior.quick.plain
	}
	return !over.misdirects(at, t.site)
}

// keyOf is what queryAt would make of the request. Its texts are those of the bytes
// that arrived, so that nothing may keep it.
func (t *sought) keyOf(r *narrow.Request) key {
	k := key{t.site.number, t.path, ""}
	switch text := t.behavior.keying.query(t.text); {
	case text == "":
	case len(text) == len(t.text):
		k.url = t.url
	default:
		k.url = t.path + "?" + text
	}
	k.variant = t.behavior.keying.plainVariant(r.Encoding)
	return k
}

// plainVariant is variant for a request without cookies, of a behavior that has
// no other headers in its key.
func (k *keying) plainVariant(encoding []byte) string {
	var lines [1]string
	encodings := ""
	if encoding != nil {
		lines[0] = textOf(encoding)
		encodings = k.encodings(lines[:])
	}
	if !k.forwardsCookies() {
		return encodings
	}
	switch encodings { // nothing is put together for a hit
	case "":
		return "\n"
	case "gzip":
		return "gzip\n"
	case "br":
		return "br\n"
	}
	return "br,gzip\n"
}

// behaviorOf finds the behavior that answers requests for a path, of which it
// keeps nothing.
func (s *site) behaviorOf(path string) *behavior {
	return &s.behaviors[s.behaviorAt(path)]
}

func (s *site) behaviorAt(path string) int {
	if len(s.behaviors) == 1 {
		return 0
	}
	return s.config.Config.BehaviorIndex(matchedPath(path))
}

// textOf is b without a copy, for those who keep none of it.
func textOf(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// quickness is what of a behavior decides whether its hits may be quick.
type quickness struct {
	may        bool
	plain      bool // over plain HTTP
	asksOrigin bool // the answer depends on the Origin header
	typed      bool // what is said of a body is the origin's
}

func quicknessOf(b *behavior) quickness {
	return quickness{
		plain: b.protocol == allowAll,
		may: b.keys == nil && !b.functions.any() && len(b.keying.headers) == 0 && !b.keying.anyHeader &&
			b.caches(http.MethodGet) && b.caches(http.MethodHead) && b.allowed[http.MethodGet] && b.allowed[http.MethodHead] &&
			(b.dressing == nil || !b.dressing.timing),
		asksOrigin: b.dressing != nil && b.dressing.cors != nil,
		typed:      b.dressing == nil || !b.dressing.fixes("Content-Encoding", "Content-Range", "Content-Type"),
	}
}

// readyHeader is how a copy goes out the quick way.
type readyHeader struct {
	quick    bool
	header   http.Header // in place of the copy's; nil for that itself
	behavior int         // through which
	plain    bool        // what a log has of it is written as it is
}

// readied puts the headers together as respond and dressing do. The copy goes out
// quickly unless net/http had something to change about it.
func (s *site) readied(e *entry) readyHeader {
	path, _, _ := strings.Cut(e.key.url, "?")
	at := s.behaviorAt(path)
	b := &s.behaviors[at]
	if !b.quick.may || e.part != nil || e.status < 200 || !hasBody(e.status) || e.status == http.StatusResetContent || http.StatusText(e.status) == "" || len(e.header["Date"]) == 0 {
		return readyHeader{}
	}
	if b.dressing == nil {
		return readyHeader{quick: true, plain: isLoggedPlain(path, e.header)}
	}
	h := make(http.Header, len(e.header)+8)
	for name, values := range e.header {
		h[name] = values
	}
	own := []string{""}
	for _, name := range packed.Own {
		h[name] = own
	}
	b.dressing.applySteady(h, &http.Request{Method: http.MethodGet, Header: http.Header{}})
	for _, name := range packed.Own {
		if values := h[name]; len(values) != 1 || values[0] != "" {
			return readyHeader{} // a policy has them its way
		}
		delete(h, name)
	}
	if len(h["Date"]) == 0 || !goesOut(h) {
		return readyHeader{}
	}
	plain := isLoggedPlain(path, h)
	if maps.EqualFunc(h, e.header, slices.Equal) {
		h = nil
	}
	return readyHeader{true, h, at, plain}
}

// isLoggedPlain reports whether a log writes what it has of a copy as it is.
func isLoggedPlain(path string, h http.Header) bool {
	return accesslog.Plain(path) && accesslog.Plain(h.Get("Content-Type"))
}

// goesOut reports whether a header goes out as it is.
func goesOut(h http.Header) bool {
	for name, values := range h {
		for _, v := range values {
			if !packed.GoesOut(name, v) || slices.Contains(packed.Own[:], name) {
				return false
			}
		}
	}
	return true
}
