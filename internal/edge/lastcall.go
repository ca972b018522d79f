package edge

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/freshet/freshet/internal/function"
)

// lastCall is the function that sees an answer on its way to the viewer.
type lastCall struct {
	edge    *Edge
	arn     string
	request function.Request // as the function before the cache left it
}

// errReplaced is what the body of an answer that got another one is refused
// with.
var errReplaced = errors.New("the answer has another body")

// sendGenerated answers with what a function made in place of a request's way
// through the cache.
func (e *Edge) sendGenerated(x *exchange, r *http.Request, made *function.Response) {
	h := x.Header()
	for name, values := range made.Header() {
		h[name] = values
	}
	var body []byte
	if made.Body != nil {
		body, _ = made.Body.Bytes() // the run has checked it
	}
	if _, typed := h["Content-Type"]; !typed {
		h["Content-Type"] = nil
	}
	if h.Get("Server") == "" {
		h.Set("Server", "CloudFront")
	}
	e.sign(h, made.StatusCode, functionGenerated)
	h.Set("X-Cache", functionGenerated.header())
	if r.ContentLength != 0 {
		h.Set("Connection", "close") // nobody will read the rest
		hurry(x)
	}
	delete(h, "Content-Length")
	delete(h, "Transfer-Encoding")
	if hasBody(made.StatusCode) {
		h.Set("Content-Length", strconv.Itoa(len(body)))
	}
	x.WriteHeader(made.StatusCode)
	if r.Method != http.MethodHead && hasBody(made.StatusCode) {
		_, _ = x.Write(body) // the viewer is gone, or not; there is nothing left to do
	}
}

func hasBody(status int) bool {
	return status != http.StatusNoContent && status != http.StatusNotModified
}

// apply has the function change the headers that are about to go out, which are
// not modified themselves since a stored response shares them. It returns the
// status, and whether body is sent in place of what there was. It is not asked
// about errors.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/edge-function-restrictions-all.html
func (l *lastCall) apply(x *exchange, status int) (_ int, body []byte, replaced bool) {
	if status >= http.StatusBadRequest {
		return status, nil, false
	}
	h := x.Header()
	seen := function.ResponseOf(status, h)
	result, err := l.edge.call(x, l.arn, function.Event{
		Context: function.Context{EventType: function.ViewerResponse}, Request: l.request, Response: &seen,
	})
	if err != nil {
		status, body = l.fail(h, err)
		return status, body, true
	}
	made := result.Response
	l.merge(h, made.Header())
	switch {
	case !hasBody(made.StatusCode):
		delete(h, "Content-Length")
		return made.StatusCode, nil, true
	case made.Body == nil:
		return made.StatusCode, nil, false
	}
	body, _ = made.Body.Bytes() // the run has checked it
	if was, is := fieldOf(seen.Headers, "content-encoding"), fieldOf(made.Headers, "content-encoding"); was == is {
		delete(h, "Content-Encoding") // of the body that goes
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	return made.StatusCode, body, true
}

// fail makes the headers those of an error page, which it returns.
func (l *lastCall) fail(h http.Header, err error) (int, []byte) {
	name, status := failureOf(err)
	page, body := errorPage(status, "The function at the edge gave no usable result.")
	id := idOf(h)
	clear(h)
	for field, values := range page {
		h[field] = values
	}
	h.Set("X-Amz-Cf-Id", id)
	l.edge.sign(h, status, failed)
	h.Set("X-Cache", name.header())
	h.Set("Content-Length", strconv.Itoa(len(body)))
	return status, body
}

// merge makes h what the function wants, but for what it is not shown and for
// how long the body is.
func (l *lastCall) merge(h, made http.Header) {
	for name := range h {
		if !function.Hidden(name) && name != "Content-Length" {
			delete(h, name)
		}
	}
	for name, values := range made {
		if name != "Content-Length" && name != "Transfer-Encoding" {
			h[name] = values
		}
	}
	if _, typed := h["Content-Type"]; !typed {
		h["Content-Type"] = nil // keeps net/http from guessing one
	}
}

func fieldOf(fs function.Fields, name string) string {
	f, _ := fs.Get(name)
	return f.Value.Value
}
