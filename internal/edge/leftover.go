package edge

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
)

// heard is a connection to an origin that counts the bytes it brought.
type heard struct {
	net.Conn

	bytes atomic.Int64
}

func (h *heard) Read(p []byte) (int, error) {
	n, err := h.Conn.Read(p)
	h.bytes.Add(int64(n))
	return n, err
}

// CloseWrite tells the origin that there is no more to come, where the
// connection can.
func (h *heard) CloseWrite() error { return closeWrite(h.Conn) }

func closeWrite(c any) error {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// heardOf returns nil for a connection that a Resolver's own transport made.
func heardOf(c net.Conn) *heard {
	if over, ok := c.(*tls.Conn); ok {
		c = over.NetConn()
	}
	h, _ := c.(*heard)
	return h
}

// errLeftover is what a request fails with whose connection had something left
// of an earlier answer.
var errLeftover = errors.New("the origin had said more on the connection than it was asked for")

// leftovers finds out whether an answer began before its request was sent: an
// origin that sends more than it announced, or a body to HEAD, leaves bytes on
// a connection that http.Transport may have given to the next request before it
// sees them. They must not become the answer to that.
type leftovers struct {
	at    atomic.Pointer[place]
	found atomic.Bool
}

// place is how far a connection had been read when it was given to a request.
type place struct {
	conn   *heard
	before int64
}

// watch returns ctx for one request. The transport calls back from the goroutine
// that alone reads the connection, before it reads the answer.
func (l *leftovers) watch(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(i httptrace.GotConnInfo) {
			if h := heardOf(i.Conn); h != nil {
				l.at.Store(&place{h, h.bytes.Load()})
			}
		},
		GotFirstResponseByte: l.firstByte,
	})
}

func (l *leftovers) firstByte() {
	if p := l.at.Load(); p != nil && p.conn.bytes.Load() == p.before {
		l.found.Store(true)
		p.conn.Close() // nothing on it can be trusted
	}
}

// judge returns the answer of the request that was watched, if it is one.
func (l *leftovers) judge(resp *http.Response, err error) (*http.Response, error) {
	switch {
	case !l.found.Load():
		return resp, err
	case err == nil:
		resp.Body.Close()
	}
	return nil, errLeftover
}

// errNoStatus is what an answer is refused with whose status cannot be one.
var errNoStatus = errors.New("the origin answered with a status that there is not")

// sound refuses a response that cannot be sent on, which a status out of range
// cannot.
// https://www.rfc-editor.org/rfc/rfc9110#section-15
func sound(resp *http.Response) error {
	if resp.StatusCode < 100 || resp.StatusCode > 599 {
		resp.Body.Close()
		return errNoStatus
	}
	return nil
}
