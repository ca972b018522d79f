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
	request narrow.Request
	over    *assurance // nil for plain HTTP

	path, text string // before and after the first question mark, in the bytes that arrived
	url        string
	site       *site
	behavior   *behavior
	favorite   uint32 // where this loop enters the store
	reader     arena.Reader[bulk]
	found      plainCopy
	typed      []byte           // Content-Type, for a log
	record     accesslog.Record // of what is answered; nobody keeps it
	spare      []*sending       // that are out
}

// plainCopy is what answers a plain request. view and lines are there as long as
// the reader has not left.
type plainCopy struct {
	view   packed.View
	lines  packed.Lines
	status int
	length int64
	bulk   *bulk // nil for none
	plain  bool  // what a log has of it is written as it is
}

// Answer is of loop.Handler.
func (d *quick) Answer(in []byte, a *loop.Answer) loop.Verdict {
	q, ok := a.Own.(*plainQuery)
	if !ok {
		q = new(plainQuery)
		a.Own = q
	}
	if q.favorite == 0 {
		q.favorite = rand.Uint32() | 1
	}
	if d.edge.draining.Load() {
		return loop.Leave // net/http tells viewers that the connection ends
	}
	switch q.request.Read(in) {
	case narrow.More:
		return loop.More
	case narrow.Other:
		return loop.Leave
	}
	a.Used = q.request.Size
	if !d.find(q, a) {
		return loop.Lend
	}
	d.answer(q, a)
	return loop.Answered
}

// answerRead is Answer for a request that was read otherwise.
func (d *quick) answerRead(q *plainQuery, a *loop.Answer) bool {
	if !d.find(q, a) {
		return false
	}
	d.answer(q, a)
	return true
}

// find looks for the copy that answers q, and reports whether there is one that
// net/http is not needed for. Then q.reader must leave.
func (d *quick) find(q *plainQuery, a *loop.Answer) bool {
	if q.request.Qualified {
		return false
	}
	at := d.edge.serving().hosts
	q.site = at.find(textOf(q.request.Host))
	if q.site == nil || !q.site.config.Config.Enabled {
		return false
	}
	q.url = textOf(q.request.Target)
	q.path, q.text, _ = strings.Cut(q.url, "?")
	q.behavior = q.site.behaviorOf(q.path)
	b := q.behavior
	if !b.quick.may || !q.comesRightly(at) || q.request.Cookies && b.keying.forwardsCookies() || q.request.Origin && b.quick.asksOrigin {
		return false
	}
	k := packedKey(q.key())
	q.reader = d.edge.store.arena.Enter(q.favorite)
	if !d.take(q, q.reader.Get(&k), a.Now) {
		q.reader.Leave()
		return false
	}
	return true
}

// take has the copy that was found, if any, answer q, and reports whether it may.
func (d *quick) take(q *plainQuery, v packed.View, now time.Time) bool {
	if v.IsNone() || !v.Quick() || !q.site.epochs.holds(v) || !d.edge.store.answers(v, now) {
		return false
	}
	if _, ok := q.site.page(v.Status()); ok {
		return false
	}
	q.found = plainCopy{view: v, lines: v.Lines(), status: v.Status(), length: v.Size(), plain: v.Plain() && q.site.logsPlain}
	if lines, at, ok := v.Dressed(); ok {
		if at >= len(q.site.behaviors) || &q.site.behaviors[at] != q.behavior {
			return false
		}
		q.found.lines = lines
	}
	if v.Away() {
		q.found.bulk = q.reader.Body(v)
		return q.found.bulk != nil && q.found.bulk.remote == nil // nothing here waits for a disk
	}
	return true
}

// comesRightly reports whether the behavior answers over such a connection.
func (q *plainQuery) comesRightly(at hosts) bool {
	if q.over == nil {
		return q.behavior.quick.plain
	}
	return !q.over.misdirects(at, q.site)
}

// key is what queryAt would make of the request. Its texts are those of the bytes
// that arrived, so that nothing may keep it.
func (q *plainQuery) key() key {
	k := key{q.site.number, q.path, ""}
	switch text := q.behavior.keying.query(q.text); {
	case text == "":
	case len(text) == len(q.text):
		k.url = q.url
	default:
		k.url = q.path + "?" + text
	}
	k.variant = q.behavior.keying.plainVariant(q.request.Encoding)
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
}

func quicknessOf(b *behavior) quickness {
	return quickness{
		plain: b.protocol == allowAll,
		may: b.keys == nil && !b.functions.any() && len(b.keying.headers) == 0 && !b.keying.anyHeader &&
			b.caches(http.MethodGet) && b.caches(http.MethodHead) && b.allowed[http.MethodGet] && b.allowed[http.MethodHead] &&
			(b.dressing == nil || !b.dressing.timing),
		asksOrigin: b.dressing != nil && b.dressing.cors != nil,
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
			if cleaned, ok := packed.Clean(name, v); !ok || cleaned != v {
				return false
			}
		}
	}
	return true
}
