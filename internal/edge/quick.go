package edge

import (
	"bytes"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"github.com/freshet/freshet/internal/edge/accesslog"
	"github.com/freshet/freshet/internal/edge/loop"
	"github.com/freshet/freshet/internal/edge/narrow"
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
	found      *entry
	ready      *readyHead
	record     accesslog.Record // of what is answered; nobody keeps it
	spare      []*sending       // that are out
}

// Answer is of loop.Handler.
func (d *quick) Answer(in []byte, a *loop.Answer) loop.Verdict {
	q, ok := a.Own.(*plainQuery)
	if !ok {
		q = new(plainQuery)
		a.Own = q
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

// find looks for the copy that answers q, and reports whether there is one that
// net/http is not needed for. It changes nothing that a lookup does not change.
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
	q.found = q.site.lookup(q.key())
	if q.found == nil || q.found.isMark() || !q.found.answers(a.Now) {
		return false
	}
	if _, ok := q.site.page(q.found.status); ok {
		return false
	}
	q.ready = d.headOf(q)
	return q.ready != nil
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
	if len(s.behaviors) == 1 {
		return &s.behaviors[0]
	}
	return &s.behaviors[s.config.Config.BehaviorIndex(matchedPath(path))]
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

// readyHead is the head of an entry's answers through one behavior, as it goes
// out but for two gaps.
type readyHead struct {
	behavior *behavior
	text     []byte
	age, id  int    // where in text they go
	typed    string // Content-Type
	plain    bool   // what a log has of it is written as it is
}

// anyID stands for the ID of a request.
const anyID = "00000000000000000000000000000000000000000000000000000000"

// headOf returns the head of what was found, made when it is first asked for; nil
// if net/http had something to change about it.
func (d *quick) headOf(q *plainQuery) *readyHead {
	if h := q.found.head.Load(); h != nil && h.behavior == q.behavior {
		return h
	}
	h := d.edge.newReadyHead(q.found, q.behavior)
	if h != nil {
		h.plain = accesslog.Plain(d.edge.pop) && accesslog.Plain(q.site.config.DomainName) && accesslog.Plain(q.path) && accesslog.Plain(h.typed)
		q.found.head.Store(h)
	}
	return h
}

// newReadyHead puts the headers together as respond and dressing do, and writes
// them as net/http does.
func (e *Edge) newReadyHead(stored *entry, b *behavior) *readyHead {
	status := stored.status
	if status < 200 || !hasBody(status) || status == http.StatusResetContent || http.StatusText(status) == "" || stored.part != nil {
		return nil
	}
	h := make(http.Header, len(stored.header)+8)
	for name, values := range stored.header {
		h[name] = values
	}
	if len(h["Date"]) == 0 || slices.ContainsFunc(ownOfServer[:], func(name string) bool { _, there := h[name]; return there }) {
		return nil
	}
	const age = "0"
	h["Age"] = []string{age}
	h["Via"], h["X-Cache"], h["X-Amz-Cf-Pop"] = []string{e.via}, []string{told(status, hit).header()}, []string{e.pop}
	h["X-Amz-Cf-Id"] = []string{anyID}
	h["Content-Length"] = []string{strconv.FormatInt(stored.size(), 10)}
	if b.dressing != nil {
		b.dressing.applySteady(h, &http.Request{Method: http.MethodGet, Header: http.Header{}})
	}
	if len(h["Age"]) != 1 || h["Age"][0] != age || len(h["X-Amz-Cf-Id"]) != 1 || h["X-Amz-Cf-Id"][0] != anyID {
		return nil // a policy has them its way
	}
	var out bytes.Buffer
	out.WriteString("HTTP/1.1 " + strconv.Itoa(status) + " " + http.StatusText(status) + "\r\n")
	_ = h.Write(&out) // a buffer takes everything
	out.WriteString("\r\n")
	start, rest, ok := bytes.Cut(out.Bytes(), []byte("\r\nAge: "+age+"\r\n"))
	middle, end, ok2 := bytes.Cut(rest, []byte("\r\nX-Amz-Cf-Id: "+anyID+"\r\n"))
	if !ok || !ok2 {
		return nil
	}
	const beforeAge, beforeID, after = "\r\nAge: ", "\r\nX-Amz-Cf-Id: ", "\r\n"
	made := &readyHead{behavior: b, typed: h.Get("Content-Type")}
	made.age = len(start) + len(beforeAge)
	made.id = made.age + len(after) + len(middle) + len(beforeID)
	made.text = make([]byte, 0, made.id+len(after)+len(end))
	made.text = append(append(made.text, start...), beforeAge...)
	made.text = append(append(append(made.text, after...), middle...), beforeID...)
	made.text = append(append(made.text, after...), end...)
	return made
}

// ownOfServer are headers of which net/http makes something else than a line.
var ownOfServer = [...]string{"Connection", "Content-Length", "Trailer", "Transfer-Encoding"}
