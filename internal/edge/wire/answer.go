package wire

import (
	"errors"
	"io"
	"math"
	"net/http"
	"os"
	"sync"
	"time"
)

// Answer is an origin's final answer, which is its own Body.
type Answer struct {
	http.Response

	conn     *conn
	patience time.Duration
	until    time.Time
	body     io.ReadCloser // as net/http delimits it; nil where left does
	left     int64         // bytes of the body
	last     bool          // the connection is of no more use
	stop     func() bool

	mu    sync.Mutex
	over  bool  // the connection is nobody's, or somebody else's
	cause error // with which the answer was broken off
}

// begin reads the header of the final answer.
func (a *Answer) begin(r *Request) error {
	in := a.conn.in
	a.conn.left = a.conn.client.MaxHeader
	if _, err := in.Peek(1); err != nil {
		return lost(err)
	}
	for !a.quick(r) {
		resp, err := http.ReadResponse(in, &http.Request{Method: r.Method}) //nolint:bodyclose // who reads the answer closes it; interim ones have none
		switch {
		case err != nil:
			return err
		case resp.StatusCode == http.StatusSwitchingProtocols:
			return errSwitched
		case resp.StatusCode < 100 || resp.StatusCode > 199:
			a.Response, a.body = *resp, resp.Body
			a.last = resp.Close
			if r.Method == http.MethodHead || resp.ContentLength == 0 {
				a.body = nil
			}
			a.begun(r)
			return nil
		}
		if r.Told != nil {
			r.Told(resp.StatusCode, resp.Header)
			a.conn.left = a.conn.client.MaxHeader // it is for who is told to count
		}
	}
	a.begun(r)
	return nil
}

func (a *Answer) begun(r *Request) {
	a.conn.left = -1
	a.last = a.last || r.Apart
	a.Body = a
	if a.body == nil && a.left == 0 {
		a.release()
	}
}

// Read reads of the body. It fails with ErrSlow when the origin says nothing for
// too long.
func (a *Answer) Read(p []byte) (int, error) {
	if a.body == nil && a.left == 0 {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	if a.conn.in.Buffered() == 0 || a.body != nil {
		a.extend()
	}
	n, err := a.read(p)
	switch {
	case err == io.EOF: //nolint:errorlint // the end of a body is io.EOF itself
		a.release()
		a.body, a.left = nil, 0
		return n, err
	case err != nil:
		err = a.fail(err)
	}
	return n, err
}

// Whole returns the body if it is of a known length and all of it has arrived, and
// then it is read to its end. It does not wait.
func (a *Answer) Whole() (body []byte, here bool) {
	switch {
	case a.body != nil:
		return nil, false
	case a.left == 0:
		return nil, true
	case int64(a.conn.in.Buffered()) < a.left:
		return nil, false
	}
	body = make([]byte, a.left)
	_, err := io.ReadFull(a, body)
	return body, err == nil
}

// extend gives the origin time for the next bytes.
func (a *Answer) extend() {
	at := time.Now().Add(a.patience)
	if !a.until.IsZero() && a.until.Before(at) {
		at = a.until
	}
	a.conn.deadline = at
}

func (a *Answer) read(p []byte) (int, error) {
	if a.body != nil {
		return a.body.Read(p)
	}
	n, err := a.conn.in.Read(p[:min(int64(len(p)), a.left)])
	a.left -= int64(n)
	switch {
	case a.left == 0:
		return n, io.EOF
	case err == io.EOF: // as a connection ends
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// Close breaks the answer off where it was not read to its end. It may be called
// twice, and while another goroutine reads.
func (a *Answer) Close() error {
	a.Abort(nil)
	return nil
}

// Abort has what is read from now on fail with an error; nil for any. It may be
// called twice, and while another goroutine reads.
func (a *Answer) Abort(cause error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over {
		return
	}
	a.over, a.cause = true, cause
	a.stop()
	a.conn.Close()
}

// release lets go of the connection after the whole answer was read.
func (a *Answer) release() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over {
		return
	}
	a.over = true
	a.stop()
	c := a.conn
	if a.last || c.ended || c.in.Buffered()+len(c.begun) > 0 {
		c.Close()
		return
	}
	c.client.put(c)
}

// fail closes the connection and says why it is of no more use.
func (a *Answer) fail(err error) error {
	a.Abort(nil)
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.cause != nil:
		return a.cause
	case a.conn.late || errors.Is(err, os.ErrDeadlineExceeded): // of half a line net/http says that it is malformed
		return ErrSlow
	}
	return err
}

// maxLength is the largest Content-Length that is understood here.
const maxLength = math.MaxInt64 / 16
