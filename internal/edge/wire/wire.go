// Package wire asks origins over HTTP/1.1 without TLS, one request at a time on a
// connection, in the goroutine of whoever asks. It does for requests without a
// body what http.Transport does, at a fraction of its price: what is usual it
// writes and reads itself, and whatever else an origin answers is read by
// net/http.
package wire

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Request is a GET, HEAD or OPTIONS without a body.
type Request struct {
	Method string
	Target string      // path and query string, escaped
	Host   string      // for the Host header
	Header http.Header // not modified
	Apart  bool        // on a new connection, which nobody else gets afterwards

	Deadline time.Time              // until when the header of the answer must be there
	Told     func(int, http.Header) // of what comes before the final answer, during Do; nil for nobody
	Until    time.Time              // when all of the answer must be there; zero for no limit
	Patience time.Duration          // with each Read of the body
}

// ErrOdd is what Do fails with, before it does anything, for what it does not
// send: http.Transport is to be asked.
var ErrOdd = errors.New("the request is none that is written here")

// ErrSlow is what is returned when the origin took longer than it may.
var ErrSlow = errors.New("the origin took too long")

// errSwitched is what an answer is refused with that nobody asked for.
var errSwitched = errors.New("the origin switched protocols without being asked")

// Client asks one origin. It keeps connections for the next request.
type Client struct {
	Address   string // host and port
	Dial      func(ctx context.Context, network, address string) (net.Conn, error)
	MaxIdle   int           // how many connections are kept
	IdleFor   time.Duration // for how long
	MaxHeader int64         // bytes of an answer's header, with those of the answers before it that nobody is told of

	mu    sync.Mutex
	idle  []*conn // the one that was used last at the end
	timer *time.Timer
	gone  bool          // connections that come back are closed
	hung  atomic.Uint64 // how often CloseIdle was called
}

// CloseIdle closes the connections that nobody uses, and those that are used
// when they no longer are, until Do is called again.
func (c *Client) CloseIdle() {
	c.hung.Add(1)
	c.mu.Lock()
	idle := c.idle
	c.idle, c.gone = nil, true
	if c.timer != nil {
		c.timer.Stop()
	}
	c.mu.Unlock()
	for _, i := range idle {
		i.Close()
	}
}

// Hung counts the calls of CloseIdle.
func (c *Client) Hung() uint64 { return c.hung.Load() }

// Do sends a request and returns once the header of the final answer is there.
// When ctx ends, its cause is what Do or a read of the body fails with. The
// answer's body must be closed or read to its end; the answer is of no use to
// others at the same time, but for Abort.
func (c *Client) Do(ctx context.Context, r *Request) (*Answer, error) {
	if r.odd() {
		return nil, ErrOdd
	}
	return c.do(ctx, r, nil)
}

// do is Do for what may be sent. The request was sent to begun, if that is not nil.
func (c *Client) do(ctx context.Context, r *Request, begun *conn) (*Answer, error) {
	for {
		on, err := begun, error(nil)
		if on == nil {
			on, err = c.take(ctx, r)
		}
		if err != nil {
			return nil, err
		}
		used := on.used
		a, err := on.ask(ctx, r, begun != nil)
		begun = nil
		if err == nil {
			return a, nil
		}
		// It was closed while nobody used it, which the origin may do at any time.
		if lost := (*lostError)(nil); used && errors.As(err, &lost) {
			continue
		}
		return nil, err
	}
}

// take returns a connection that nobody uses, or a new one.
func (c *Client) take(ctx context.Context, r *Request) (*conn, error) {
	for !r.Apart {
		on := c.last()
		if on == nil {
			break
		}
		if !on.isReadable() {
			return on, nil
		}
		on.Close() // it has ended, or holds what nobody has asked for
	}
	return c.dial(ctx, r)
}

// last takes the connection that was used last; nil if there is none.
func (c *Client) last() *conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gone = false
	n := len(c.idle)
	if n == 0 {
		return nil
	}
	on := c.idle[n-1]
	c.idle[n-1] = nil
	c.idle = c.idle[:n-1]
	return on
}

func (c *Client) dial(ctx context.Context, r *Request) (*conn, error) {
	within, cancel := context.WithDeadline(ctx, r.Deadline)
	defer cancel()
	made, err := c.Dial(within, "tcp", c.Address)
	switch {
	case err == nil:
		return newConn(c, made), nil
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case within.Err() != nil, isTimeout(err) && !time.Now().Before(r.Deadline): // which a dialer may see before the context does
		return nil, ErrSlow
	}
	return nil, fmt.Errorf("connect to %s: %w", c.Address, err)
}

func isTimeout(err error) bool {
	late, ok := errors.AsType[net.Error](err)
	return ok && late.Timeout()
}

// put keeps a connection for the next request, or closes it.
func (c *Client) put(on *conn) {
	if !c.keep(on) {
		on.Close()
	}
}

func (c *Client) keep(on *conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone || len(c.idle) >= c.MaxIdle || on.raw == nil {
		return false
	}
	on.used, on.since = true, time.Now()
	c.idle = append(c.idle, on)
	if len(c.idle) > 1 {
		return true // the timer runs
	}
	if c.timer == nil {
		c.timer = time.AfterFunc(c.IdleFor, c.expire)
	} else {
		c.timer.Reset(c.IdleFor)
	}
	return true
}

// expire closes the connections that nobody has used for too long.
func (c *Client) expire() {
	c.mu.Lock()
	now, n := time.Now(), 0
	for n < len(c.idle) && now.Sub(c.idle[n].since) >= c.IdleFor {
		n++
	}
	old := append([]*conn(nil), c.idle[:n]...)
	c.idle = append(c.idle[:0], c.idle[n:]...)
	clear(c.idle[len(c.idle):cap(c.idle)])
	if len(c.idle) > 0 {
		c.timer.Reset(max(c.IdleFor-now.Sub(c.idle[0].since), time.Millisecond))
	}
	c.mu.Unlock()
	for _, on := range old {
		on.Close()
	}
}
