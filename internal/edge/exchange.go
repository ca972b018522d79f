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
	site     *site         // nil until it is known
	dressing *dressing     // nil for none, and until the behavior is known
	status   int           // 0 until the header is out
	bytes    int64         // of the body
	head     int64         // bytes before it; counted for the log only
	first    time.Duration // after which the header went out
	logged   bool
	extended time.Time // when the viewer was last given time to take what is sent
}

// Unwrap lets http.ResponseController reach the writer.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// WriteHeader sends the header, dressed. Only the first final status counts.
func (x *exchange) WriteHeader(status int) {
	if x.status == 0 && status >= 200 {
		x.status = status
		x.extend()
		if x.dressing != nil {
			x.dressing.apply(x.Header(), x.r, time.Since(x.began))
		}
		if x.logged {
			x.first = time.Since(x.began)
			x.head = headerBytes(x.Header()) + int64(len("HTTP/1.1 200 \r\n")+len(http.StatusText(status)))
		}
	}
	x.ResponseWriter.WriteHeader(status)
}

// Write sends a part of the body.
func (x *exchange) Write(p []byte) (int, error) {
	if x.status == 0 {
		x.WriteHeader(http.StatusOK)
	}
	written := 0
	for {
		part := p[written:min(len(p), written+patientBytes)]
		x.extend()
		n, err := x.ResponseWriter.Write(part)
		written += n
		x.bytes += int64(n)
		if err != nil || written == len(p) {
			return written, err
		}
	}
}

// extend gives the viewer time for the next bytes. Doing so once a second is
// often enough.
func (x *exchange) extend() {
	now := time.Now()
	if now.Sub(x.extended) < time.Second {
		return
	}
	x.extended = now
	_ = http.NewResponseController(x.ResponseWriter).SetWriteDeadline(now.Add(viewerPatience)) // not every writer has deadlines
}
