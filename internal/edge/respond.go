package edge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"strconv"
	"time"

	"encoding/base64"
	"encoding/binary"

	"github.com/freshet/freshet/internal/edge/signed"
)

// content is a body, complete or arriving.
type content interface {
	size() int64 // -1 while unknown
	copyPart(context.Context, io.Writer, span) error
}

// answer is what a viewer gets.
type answer struct {
	entry   *entry
	content content
	outcome outcome
	site    *site
	instead int // of a custom error page: the status under which it is served; otherwise 0
}

// respond answers from a response of the origin, whatever way it came, and
// applies the viewer's conditions and ranges to it.
func (e *Edge) respond(w http.ResponseWriter, r *http.Request, a answer) {
	if a.entry.part != nil {
		a.content = partial{a.content, a.entry.part}
	}
	if a.instead == 0 && e.servePage(w, r, a.site, a.entry.status) {
		return
	}
	h := w.Header()
	for name, values := range a.entry.header {
		h[name] = values
	}
	if _, typed := h["Content-Type"]; !typed {
		h["Content-Type"] = nil // keeps net/http from guessing one
	}
	addAge(h, a)
	if a.instead != 0 {
		a.outcome = failed
	}
	e.sign(h, a.entry.status, a.outcome)
	if a.entry.status == http.StatusOK && a.instead == 0 && r.Method != http.MethodOptions {
		if status := precondition(r.Header, a.entry.header); status != 0 {
			withoutContent(w, status)
			return
		}
		if e.respondRange(w, r, a) {
			return
		}
	}
	e.respondWhole(w, r, a)
}

func (e *Edge) respondWhole(w http.ResponseWriter, r *http.Request, a answer) {
	size := a.content.size()
	if size >= 0 && a.entry.status != http.StatusNoContent {
		w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
	}
	w.WriteHeader(pageStatus(a.entry.status, a.instead))
	if r.Method == http.MethodHead || a.entry.status == http.StatusNoContent {
		return
	}
	finish(a.content.copyPart(r.Context(), w, span{0, size}))
}

// finish ends a response whose header is out. If bytes are missing the
// connection is broken off, so that the viewer does not take them for all.
func finish(err error) {
	if err != nil && !errors.Is(err, errReplaced) {
		panic(http.ErrAbortHandler)
	}
}

// withoutContent sends a status that goes with the stored validators but with
// no body.
func withoutContent(w http.ResponseWriter, status int) {
	h := w.Header()
	h.Del("Content-Encoding")
	h.Del("Content-Length")
	h["Content-Type"] = nil
	if status != http.StatusNotModified {
		h.Set("Content-Length", "0")
	}
	w.WriteHeader(status)
}

// respondRange answers a request for parts and reports whether it did; if not,
// the whole is to be sent, as also while nobody knows how long that is.
func (e *Edge) respondRange(w http.ResponseWriter, r *http.Request, a answer) bool {
	size := a.content.size()
	if !asksForPart(r, a.entry, size) {
		return false
	}
	switch spans, status := selectSpans(r.Header.Get("Range"), size); {
	case status == http.StatusRequestedRangeNotSatisfiable:
		w.Header().Set("Content-Range", fmt.Sprintf("bytes */%d", size))
		withoutContent(w, status)
	case len(spans) == 1:
		w.Header().Set("Content-Range", spans[0].contentRange(size))
		w.Header().Set("Content-Length", strconv.FormatInt(spans[0].length, 10))
		w.WriteHeader(status)
		finish(a.content.copyPart(r.Context(), w, spans[0]))
	default:
		finish(respondParts(w, r, a, spans))
	}
	return true
}

// respondParts sends several parts as multipart/byteranges.
// https://www.rfc-editor.org/rfc/rfc9110#section-14.6
func respondParts(w http.ResponseWriter, r *http.Request, a answer, spans []span) error {
	mw := multipart.NewWriter(w)
	w.Header().Set("Content-Type", "multipart/byteranges; boundary="+mw.Boundary())
	w.WriteHeader(http.StatusPartialContent)
	for _, s := range spans {
		part := textproto.MIMEHeader{"Content-Range": {s.contentRange(a.content.size())}}
		if typed := a.entry.header.Get("Content-Type"); typed != "" {
			part.Set("Content-Type", typed)
		}
		pw, err := mw.CreatePart(part)
		if err == nil {
			err = a.content.copyPart(r.Context(), pw, s)
		}
		if err != nil {
			return err
		}
	}
	return mw.Close()
}

// addAge says how old the response is: always on a hit, and otherwise where an
// upstream cache has aged it or an expired copy stands in.
func addAge(h http.Header, a answer) {
	if age, ok := a.age(time.Now()); ok {
		h.Set("Age", strconv.FormatInt(int64(age/time.Second), 10))
	}
}

func (a answer) age(now time.Time) (age time.Duration, told bool) {
	since := max(now.Sub(a.entry.received), 0)
	if a.outcome == miss || a.outcome == failed {
		since = 0
	}
	return a.entry.age + since, a.outcome == hit || a.entry.aged || since >= time.Second
}

// cloudfrontHop ends the names by which distributions go in Via.
const cloudfrontHop = ".cloudfront.net (CloudFront)"

// sign adds what CloudFront says about itself, and counts the answer. An error
// is an error however it came about.
func (e *Edge) sign(h http.Header, status int, o outcome) {
	o = told(status, o)
	e.count(o)
	h.Set("Via", e.via)
	h.Set("X-Cache", o.header())
	h.Set("X-Amz-Cf-Pop", e.pop)
	idOf(h)
}

// told is the outcome that a viewer is told of an answer with that status.
func told(status int, o outcome) outcome {
	if status >= 400 {
		return failed
	}
	return o
}

// header is the value of X-Cache.
func (o outcome) header() string { return string(o) + " from cloudfront" }

// idOf returns the ID of the request that an answer with these headers is for,
// which is made when it is first asked for: the origin and the viewer are told
// the same.
func idOf(h http.Header) string {
	if id := h["X-Amz-Cf-Id"]; len(id) == 1 {
		return id[0]
	}
	id := requestID()
	h["X-Amz-Cf-Id"] = []string{id}
	return id
}

// requestID is 320 random bits in the form of CloudFront's own IDs: 56
// characters, the last two of them =.
func requestID() string {
	var b [40]byte
	for i := 0; i < len(b); i += 8 {
		binary.LittleEndian.PutUint64(b[i:], rand.Uint64())
	}
	return base64.URLEncoding.EncodeToString(b[:])
}

// refusal is an answer of the edge itself.
type refusal struct {
	status   int
	reason   string
	location string  // of a redirect
	result   outcome // in X-Cache; empty for what follows from the rest
	xml      string  // in place of a page that says the reason
}

// turnAway answers a request that the edge refuses. Where a behavior does, and not
// the door before it, the distribution's page for the status stands for the
// refusal, as it does for the origin's errors; CloudFront is known to give it to a
// POST that is not allowed.
// https://github.com/aws-samples/cloudfront-authorization-at-edge/issues/25
func (e *Edge) turnAway(x *exchange, r *http.Request, q *query, why *refusal) {
	if q.behavior != nil {
		if _, ok := q.site.page(why.status); ok {
			dismiss(x, r, why.status)
			e.servePage(x, r, q.site, why.status)
			return
		}
	}
	e.refuse(x, r, why)
}

// dismiss has the connection end where the body of a refused request, or too much
// of the request itself, was not read.
func dismiss(w http.ResponseWriter, r *http.Request, status int) {
	if r.ContentLength != 0 || status == http.StatusRequestEntityTooLarge {
		// Nobody will read the rest, and nobody waits for it.
		w.Header().Set("Connection", "close")
		hurry(w)
	}
}

func (e *Edge) refuse(w http.ResponseWriter, r *http.Request, why *refusal) {
	page, body := errorPage(why.status, why.reason)
	if why.xml != "" {
		page["Content-Type"], body = []string{signed.ContentType}, []byte(why.xml)
	}
	h := w.Header()
	for name, values := range page {
		h[name] = values
	}
	outcome := failed
	if why.location != "" {
		h.Set("Location", why.location)
		outcome = redirected
	}
	e.sign(h, why.status, outcome)
	if why.result != "" {
		h.Set("X-Cache", why.result.header())
	}
	dismiss(w, r, why.status)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(why.status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the viewer is gone, or not; there is nothing left to do
	}
}

// errorPage is what viewers see when the edge itself has to say no. Neither
// argument may hold HTML.
func errorPage(status int, reason string) (http.Header, []byte) {
	const page = `<!DOCTYPE html>
<html><head><meta charset="utf-8"><title>%[1]d %[2]s</title></head>
<body><h1>%[1]d %[2]s</h1><p>%[3]s</p><hr><p>CloudFront (freshet)</p></body></html>
`
	h := http.Header{"Content-Type": {"text/html; charset=utf-8"}, "Server": {"CloudFront"}}
	return h, fmt.Appendf(nil, page, status, http.StatusText(status), reason)
}
