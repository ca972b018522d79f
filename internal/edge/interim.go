package edge

import (
	"context"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"sync"
	"sync/atomic"
)

// interim is a response that comes before the final one, such as 103 Early
// Hints. It is for the viewer for whom the origin was asked, and never stored.
// https://www.rfc-editor.org/rfc/rfc9110#section-15.2
type interim struct {
	status int
	header http.Header
}

// maxInterim bounds the interim responses that one viewer gets.
const maxInterim = 16

// hearing has told called with every interim response that concerns more than
// the connection to the origin. It is called from another goroutine, until the
// final response or an error is there.
func hearing(ctx context.Context, told func(interim)) context.Context {
	if told == nil {
		return ctx
	}
	concerned := ofConcern(told)
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{Got1xxResponse: func(status int, h textproto.MIMEHeader) error {
		concerned(status, http.Header(h))
		return nil
	}})
}

// ofConcern has told called with what concerns more than the connection to the
// origin; nil for nil.
func ofConcern(told func(interim)) func(int, http.Header) {
	if told == nil {
		return nil
	}
	return func(status int, h http.Header) {
		if status != http.StatusContinue && status != http.StatusSwitchingProtocols {
			told(interim{status, h})
		}
	}
}

// tellInterim sends an interim response. HTTP/1.0 has none. The header for the
// final one is as before.
func tellInterim(w http.ResponseWriter, r *http.Request, q *query, i interim) {
	if !r.ProtoAtLeast(1, 1) {
		return
	}
	h := w.Header()
	final := h.Clone()
	clear(h)
	for name, values := range q.behavior.keying.fromOrigin(i.header) {
		h[name] = values
	}
	if i.header.Get("Server") == "" {
		delete(h, "Server")
	}
	if d := q.behavior.dressing; d != nil {
		for _, name := range d.remove {
			delete(h, name)
		}
	}
	w.WriteHeader(i.status)
	clear(h)
	for name, values := range final {
		h[name] = values
	}
}

// await returns when f is settled. Until then the viewer that began it gets the
// interim responses that are heard; nil is for others.
func (f *fill) await(w http.ResponseWriter, r *http.Request, q *query, heard <-chan interim) {
	for {
		select {
		case i := <-heard:
			tellInterim(w, r, q, i)
		case <-f.ready:
			for len(heard) > 0 {
				tellInterim(w, r, q, <-heard)
			}
			return
		case <-r.Context().Done():
			finish(context.Cause(r.Context())) // not an empty answer: half of the connection may still be there
		}
	}
}

// hear has the interim responses that the fetch for q brings put into a channel
// that has room for all.
func (q *query) hear() <-chan interim {
	heard := make(chan interim, maxInterim)
	var count atomic.Int32
	q.told = func(i interim) {
		if count.Add(1) <= maxInterim {
			heard <- i
		}
	}
	return heard
}

// teller sends interim responses on as they come, until it is ended. It may be
// nil, for nobody.
type teller struct {
	w http.ResponseWriter
	r *http.Request
	q *query

	mu   sync.Mutex
	left int
}

// newTeller returns nil where interim responses would come in the way of a 100
// Continue.
func newTeller(w http.ResponseWriter, r *http.Request, q *query) *teller {
	if r.Header.Get("Expect") != "" {
		return nil
	}
	return &teller{w: w, r: r, q: q, left: maxInterim}
}

// told is for hearing.
func (t *teller) told() func(interim) {
	if t == nil {
		return nil
	}
	return func(i interim) {
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.left > 0 {
			t.left--
			tellInterim(t.w, t.r, t.q, i)
		}
	}
}

// end returns once nothing more is sent.
func (t *teller) end() {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.left = 0
}
