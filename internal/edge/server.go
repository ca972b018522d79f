package edge

import (
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// maxRequestHeader is the largest request, without body, in bytes.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/cloudfront-limits.html
const maxRequestHeader = 32768

// viewerPatience is how long a viewer may take to send the next bytes of a body,
// and to take patientBytes of one.
const (
	viewerPatience = time.Minute
	patientBytes   = 64 << 10
)

// Server returns a server for viewers: with limits on what a request may send
// and how slowly, and none on how long an upload or a download takes that goes
// on. The caller sets its address or listener.
func Server(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
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

// hurry gives a viewer little time for what is left of a body that was refused.
func hurry(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(time.Second)) // where there are no deadlines nobody waits
}

// arriving is the body of a viewer's request, each part of which must come
// within viewerPatience.
type arriving struct {
	io.ReadCloser

	control *http.ResponseController
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
	n, err := a.ReadCloser.Read(p)
	if err == nil {
		return n, nil
	}
	a.setDeadline(time.Time{})
	if err != io.EOF {
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
