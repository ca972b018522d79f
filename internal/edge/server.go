package edge

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// maxRequestHeader is the largest request, without body, in bytes.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/cloudfront-limits.html
const maxRequestHeader = 32768

// headerPatience is how long a viewer may take for a request without its body,
// and for a handshake.
const headerPatience = 10 * time.Second

// idlePatience is how long a connection may be without a request.
const idlePatience = 2 * time.Minute

// tooLargeReason is what a viewer is told of such a request.
const tooLargeReason = "The request is larger than 32,768 bytes without its body."

// viewerPatience is how long a viewer may take to send the next bytes of a body,
// and to take patientBytes of one.
const (
	viewerPatience = time.Minute
	patientBytes   = 64 << 10
)

// Server returns a server for viewers: with limits on what a request may send
// and how slowly, and none on how long an upload or a download takes that goes
// on. The caller sets its listener, which should be an Edge's Door.
func Server(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           attend(h),
		ConnContext:       connContext,
		ConnState:         connState,
		ReadHeaderTimeout: headerPatience,
		IdleTimeout:       idlePatience,
		// The edge itself refuses what is larger than allowed, in a page of its
		// own; what is much larger net/http does not read.
		MaxHeaderBytes:               2 * maxRequestHeader,
		DisableGeneralOptionsHandler: true, // OPTIONS * names no distribution's path
	}
}

// tooLarge reports whether the request line and the headers of a request exceed
// the limit.
func tooLarge(r *http.Request) bool {
	n := len(r.Method) + len(r.RequestURI) + len(r.Host)
	for name, values := range r.Header {
		for _, v := range values {
			n += len(name) + len(v) + len(": \r\n")
		}
	}
	return n > maxRequestHeader
}

// malformed reports whether a request over HTTP/2 holds what could not have come
// over HTTP/1.1, where net/http refuses it, and what must not go on to an origin
// that is spoken to in HTTP/1.1: a URL that would end the request line, a host
// that is none, or two of them, or the announcement of a body that is not there.
// https://www.rfc-editor.org/rfc/rfc9113#section-8.1.1
func malformed(r *http.Request) bool {
	if r.ProtoMajor < 2 {
		return false
	}
	for _, host := range r.Header["Host"] {
		if !strings.EqualFold(host, r.Host) {
			return true
		}
	}
	announced := r.Header.Get("Content-Length")
	return strings.Contains(r.RequestURI, " ") || strings.Contains(r.RequestURI, "://") && r.RequestURI[0] != '/' ||
		strings.ContainsFunc(r.Host, foreignToHosts) || announced != "" && strings.Trim(announced, "0") != "" && r.ContentLength == 0
}

// foreignToHosts reports whether c cannot be part of a host and port.
// https://www.rfc-editor.org/rfc/rfc3986#section-3.2.2
func foreignToHosts(c rune) bool {
	letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
	return !letter && !strings.ContainsRune("-._~!$&'()*+,;=:[]%", c)
}

// isLast reports whether nothing that follows a request on its connection can be
// trusted. With a transfer coding there may have been a Content-Length, and in
// HTTP/1.0 there may have been a transfer coding; net/http tells of neither.
// https://www.rfc-editor.org/rfc/rfc9112#section-6.1
func isLast(r *http.Request) bool {
	return r.ProtoMajor == 1 && (r.ProtoMinor == 0 || len(r.TransferEncoding) > 0)
}

// hurry gives a viewer little time for what is left of a body that was refused.
func hurry(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(time.Second)) // where there are no deadlines nobody waits
}

// arriving is the body of a viewer's request, each part of which must come
// within viewerPatience.
type arriving struct {
	io.ReadCloser

	control *http.ResponseController
	moving  moving
	broken  atomic.Pointer[refusal] // why there is no more of it

	mu   sync.Mutex
	over bool // the exchange is: the connection is another request's now
}

// end must be called before the handler returns. An origin that answers early
// may still be sent the body then.
func (a *arriving) end() {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.over = true
}

func (a *arriving) setDeadline(t time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.over {
		_ = a.control.SetReadDeadline(t) // where there are no deadlines nobody waits
	}
}

func (a *arriving) Read(p []byte) (int, error) {
	a.setDeadline(time.Now().Add(viewerPatience))
	n, err := a.moving.part(a.ReadCloser.Read, p)
	if err == nil {
		return n, nil
	}
	a.setDeadline(time.Time{})
	if !errors.Is(err, io.EOF) {
		a.broken.Store(brokenOff(err))
	}
	return n, err
}

// why returns nil for a body, or none, that is not broken.
func (a *arriving) why() *refusal {
	if a == nil {
		return nil
	}
	return a.broken.Load()
}

func brokenOff(err error) *refusal {
	if timedOut(err) {
		return &refusal{status: http.StatusRequestTimeout, reason: "The body of the request did not arrive in time."}
	}
	return &refusal{status: http.StatusBadRequest, reason: "The body of the request is malformed or broke off."}
}
