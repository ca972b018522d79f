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
	last     *lastCall     // nil for no function at viewer-response
	replaced bool          // the body is not that of the answer any more
	status   int           // 0 until the header is out
	bytes    int64         // of the body
	head     int64         // bytes before it; counted for the log only
	first    time.Duration // after which the header went out
	logged   bool
	extended time.Time // when the viewer was last given time to take what is sent
	moving   moving
}

// Unwrap lets http.ResponseController reach the writer.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// WriteHeader sends the header, dressed. Only the first final status counts.
func (x *exchange) WriteHeader(status int) {
	if x.status == 0 && status >= 200 {
		var body []byte
		if x.last != nil {
			status, body, x.replaced = x.last.apply(x, status)
		}
		if x.replaced && len(body) > 0 && x.r.Method != http.MethodHead {
			defer func() { _, _ = x.write(body) }() // the viewer is gone, or not
		}
		x.status = status
		x.extend()
		if x.dressing != nil {
			x.dressing.apply(x.Header(), x.r, time.Since(x.began))
			if _, typed := x.Header()["Content-Type"]; !typed {
				x.Header()["Content-Type"] = nil // keeps net/http from guessing what a policy has removed
			}
		}
		if x.logged {
			x.first = time.Since(x.began)
			x.head = headerBytes(x.Header()) + int64(len("HTTP/1.1 200 \r\n")+len(http.StatusText(status)))
		}
	}
	if status < 200 {
		x.extend()
	}
	x.ResponseWriter.WriteHeader(status)
}

// Write sends a part of the body.
func (x *exchange) Write(p []byte) (int, error) {
	if x.status == 0 {
		x.WriteHeader(http.StatusOK)
	}
	if x.replaced {
		return 0, errReplaced
	}
	return x.write(p)
}

func (x *exchange) write(p []byte) (int, error) {
	written := 0
	for {
		part := p[written:min(len(p), written+patientBytes)]
		x.extend()
		n, err := x.moving.part(x.ResponseWriter.Write, part)
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
