package edge

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
)

// pass forwards one viewer's request and its conditions and ranges with it, and
// stores nothing.
func (e *Edge) pass(w http.ResponseWriter, r *http.Request, q *query) {
	h := e.toOrigin(r, q)
	resp, err := e.send(r.Context(), q, asking{method: r.Method, header: h, host: q.host, secure: q.secure, body: r.Body, length: r.ContentLength})
	if err != nil {
		if r.Context().Err() != nil {
			return // nobody is listening
		}
		e.log.Warn("origin gave no answer", slog.String("distribution", q.site.config.ID), slog.String("path", q.path), slog.Any("error", err))
		if status := failureStatus(err); q.instead != 0 || !e.servePage(w, r, q.site, status) {
			e.refuse(w, r, &refusal{status: status, reason: "The origin gave no usable answer."})
		}
		return
	}
	defer resp.close()
	if q.instead == 0 && e.servePage(w, r, q.site, resp.StatusCode) {
		return
	}
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
