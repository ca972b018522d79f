package wire

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"
)

// conn is a connection to an origin.
type conn struct {
	net.Conn

	client *Client
	raw    syscall.RawConn // nil where nobody can look at what has arrived; then it is not used again
	peek   func(fd uintptr)
	peeked bool   // whether anything has arrived, as peek found
	begun  []byte // of the answer, which others have read; to be read first
	in     *bufio.Reader
	out    []byte   // the request as it is written, used again
	names  []string // of its header, likewise
	used   bool     // it has answered before
	since  time.Time

	deadline, applied time.Time // of what is read
	left              int64     // of bytes that may still be read; below 0 for any number
	ended             bool
	late              bool // the deadline has passed
}

func newConn(c *Client, made net.Conn) *conn {
	on := &conn{Conn: made, client: c, left: -1}
	if s, ok := made.(syscall.Conn); ok && canPeek {
		if raw, err := s.SyscallConn(); err == nil {
			on.raw = raw
		}
	}
	on.in = bufio.NewReader(plainReader{on})
	on.peek = func(fd uintptr) { on.peeked = readable(fd) }
	return on
}

// isReadable reports whether something, or the end, has arrived that nobody has
// read. It does not wait.
func (c *conn) isReadable() bool {
	return c.raw.Control(c.peek) != nil || c.peeked
}

// plainReader reads from a connection within the limits that are set on it.
type plainReader struct{ *conn }

func (c plainReader) Read(p []byte) (int, error) {
	if c.left == 0 {
		return 0, fmt.Errorf("the header of the answer is larger than %d bytes", c.client.MaxHeader)
	}
	if c.left > 0 {
		p = p[:min(int64(len(p)), c.left)]
	}
	if len(c.begun) > 0 {
		return c.again(p), nil
	}
	if c.applied != c.deadline {
		c.applied = c.deadline
		if err := c.SetReadDeadline(c.deadline); err != nil {
			return 0, err
		}
	}
	n, err := c.Conn.Read(p)
	if c.left > 0 {
		c.left -= int64(n)
	}
	c.ended = c.ended || err != nil
	c.late = c.late || errors.Is(err, os.ErrDeadlineExceeded)
	return n, err
}

// again reads what others have read.
func (c *conn) again(p []byte) int {
	n := copy(p, c.begun)
	c.begun = c.begun[n:]
	if c.left > 0 {
		c.left -= int64(n)
	}
	return n
}

// lostError is the end of a connection before the answer began.
type lostError struct{ err error }

func (e *lostError) Error() string { return "the connection broke: " + e.err.Error() }
func (e *lostError) Unwrap() error { return e.err }

// lost is a lostError unless the origin is there, but slow.
func lost(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	return &lostError{err}
}

// ask sends a request, unless others have sent it, and reads the header of the
// answer. On an error the connection is closed.
func (c *conn) ask(ctx context.Context, r *Request, sent bool) (*Answer, error) {
	a := &Answer{conn: c, patience: r.Patience, until: r.Until}
	a.mu.Lock()
	a.stop = context.AfterFunc(ctx, func() { a.Abort(context.Cause(ctx)) })
	a.mu.Unlock()
	c.deadline, c.applied = r.Deadline, r.Deadline
	err := c.SetDeadline(r.Deadline) // of writing, too
	if err == nil && !sent {
		c.out = r.append(c.out[:0], &c.names)
		_, err = c.Write(c.out)
	}
	if err != nil {
		return nil, a.fail(lost(err))
	}
	if err := a.begin(r); err != nil {
		return nil, a.fail(err)
	}
	return a, nil
}
