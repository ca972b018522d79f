package edge

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/freshet/freshet"
)

// pass forwards one viewer's request and its conditions and ranges with it, and
// stores nothing.
func (e *Edge) pass(w http.ResponseWriter, r *http.Request, q *query) {
	asked := asking{method: r.Method, header: e.toOrigin(r, q), host: q.host, secure: q.secure, length: r.ContentLength}
	if _, status := selectSpans(asked.header.Get("Range"), 1<<62); status == http.StatusOK {
		delete(asked.header, "Range") // malformed, or of parts that overlap: the whole is sent
	}
	var body *arriving
	if r.Body != nil && r.ContentLength != 0 {
		body = &arriving{ReadCloser: r.Body, control: http.NewResponseController(w), moving: moving{guest: guestOf(r)}}
		asked.body = body
	}
	defer body.end()
	upgrade := upgradeOf(r)
	asked.setUpgrade(upgrade)
	t := newTeller(w, r, q)
	asked.told = t.told()
	resp, err := e.send(r.Context(), q, asked)
	t.end()
	if err == nil && resp.StatusCode == http.StatusSwitchingProtocols && upgrade == "" {
		resp.close()
		err = errors.New("the origin switched protocols without being asked")
	}
	if err != nil {
		e.unanswered(w, r, q, body, err)
		return
	}
	defer resp.close()
	if resp.StatusCode == http.StatusSwitchingProtocols {
		e.tunnel(w, resp, upgrade)
		return
	}
	if changes(r.Method) && resp.StatusCode < http.StatusBadRequest {
		q.site.outdate(r, q, resp.Header)
		if q.site.epochs.crowded() {
			e.requestSweep()
		}
	}
	if q.instead == 0 && e.servePage(w, r, q.site, resp.StatusCode) {
		return
	}
	e.passBack(w, r, q, resp)
}

// unanswered tells a viewer that the origin gave no answer, or that the
// viewer's own body was why.
func (e *Edge) unanswered(w http.ResponseWriter, r *http.Request, q *query, body *arriving, err error) {
	if why := body.why(); why != nil {
		e.refuse(w, r, why)
		return
	}
	finish(context.Cause(r.Context())) // if nobody is listening
	e.log.Warn("origin gave no answer", slog.String("distribution", q.site.config.ID), slog.String("path", q.path), slog.Any("error", err))
	if status := failureStatus(err); q.instead != 0 || !e.servePage(w, r, q.site, status) {
		e.refuse(w, r, &refusal{status: status, reason: "The origin gave no usable answer."})
	}
}

// passBack sends the origin's response to the viewer.
func (e *Edge) passBack(w http.ResponseWriter, r *http.Request, q *query, resp *response) {
	passed := w.Header()
	for name, values := range q.behavior.keying.fromOrigin(resp.Header) {
		passed[name] = values
	}
	if _, typed := passed["Content-Type"]; !typed {
		passed["Content-Type"] = nil
	}
	if age := resp.Header.Get("Age"); age != "" {
		passed.Set("Age", age)
	}
	if resp.ContentLength >= 0 && resp.StatusCode != http.StatusNoContent && resp.StatusCode != http.StatusNotModified {
		passed.Set("Content-Length", strconv.FormatInt(resp.ContentLength, 10))
	}
	o := miss
	if q.instead != 0 {
		o = failed
	}
	e.sign(passed, resp.StatusCode, o)
	w.WriteHeader(pageStatus(resp.StatusCode, q.instead))
	if r.Method != http.MethodHead {
		finish(copyOut(r.Context(), w, resp))
	}
}

// changes reports whether a method may change what is at the origin.
func changes(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return false
	}
	return true
}

// outdate invalidates the copies of a URL that a viewer has changed at the
// origin, and of what the answer says is elsewhere on the same site.
// https://www.rfc-editor.org/rfc/rfc9111#section-4.4
func (s *site) outdate(r *http.Request, q *query, answered http.Header) {
	changed := []query{*q}
	for _, name := range []string{"Location", "Content-Location"} {
		if t, ok := s.target(r, q, answered.Get(name)); ok {
			changed = append(changed, s.query(r, t))
		}
	}
	var patterns []freshet.Pattern
	for _, q := range changed {
		if !q.behavior.caching.Caches() {
			continue
		}
		for _, name := range q.names(s.root) {
			if p := freshet.Pattern(name); !p.IsWildcard() { // a viewer's * would take more with it than itself
				patterns = append(patterns, p)
			}
		}
	}
	if len(patterns) > 0 {
		if err := s.invalidate(patterns); err != nil {
			s.tier.log.Error("a restart may bring back what a viewer has changed", slog.String("distribution", s.config.ID), slog.Any("error", err))
		}
	}
}

// target returns what a reference in the answer to q is to, if that is of this
// site under the name by which the viewer knows it.
func (s *site) target(r *http.Request, q *query, reference string) (target, bool) {
	base, err := url.Parse("//" + r.Host + escapePath(q.viewed))
	if reference == "" || err != nil {
		return target{}, false
	}
	to, err := base.Parse(reference)
	if err != nil || !strings.EqualFold(to.Host, r.Host) || to.Opaque != "" || len(to.RequestURI()) > maxURL {
		return target{}, false
	}
	return splitTarget(to.RequestURI()), true
}

// copyOut sends a body on as it arrives.
func copyOut(ctx context.Context, w http.ResponseWriter, resp *response) error {
	buf := make([]byte, 32<<10)
	for {
		n, err := resp.read(buf)
		if n > 0 {
			if _, err := w.Write(buf[:n]); err != nil {
				return err
			}
			flush(w)
		}
		if err == io.EOF { //nolint:errorlint // the end of a body is io.EOF itself; wrapped, it is a failure
			return nil
		}
		if err != nil {
			return errors.Join(err, ctx.Err())
		}
	}
}
