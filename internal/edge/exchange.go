package edge

import (
	"net/http"
	"time"
)

// exchange is the way of one answer to its viewer. Whatever answers, the last
// word on the headers is here.
type exchange struct {
	http.ResponseWriter

	r        *http.Request
	began    time.Time
	dressing *dressing // nil for none, and until the behavior is known
	status   int       // 0 until the header is out
	bytes    int64     // of the body
}

// Unwrap lets http.ResponseController reach the writer.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// WriteHeader sends the header, dressed. Only the first final status counts.
func (x *exchange) WriteHeader(status int) {
	if x.status == 0 && status >= 200 {
		x.status = status
		if x.dressing != nil {
			x.dressing.apply(x.Header(), x.r, time.Since(x.began))
		}
	}
	x.ResponseWriter.WriteHeader(status)
}

// Write sends a part of the body.
func (x *exchange) Write(p []byte) (int, error) {
	if x.status == 0 {
		x.WriteHeader(http.StatusOK)
	}
	n, err := x.ResponseWriter.Write(p)
	x.bytes += int64(n)
	return n, err
}
