package wire

import (
	"bytes"
	"context"
	"net"
	"net/http"
)

// What follows is for those who send and read themselves what is usual, without
// waiting, and leave the rest to a Client.

// Idle takes a connection that nobody uses; nil if there is none.
func (c *Client) Idle() net.Conn {
	for {
		on := c.last()
		switch {
		case on == nil:
			return nil
		case !on.isReadable():
			return on.Conn
		}
		on.Close() // it has ended, or holds what nobody has asked for
	}
}

// Append appends a request as Do sends it, and reports whether Do would.
func (r *Request) Append(b []byte) ([]byte, bool) {
	if r.odd() {
		return b, false
	}
	var names [16]string
	room := names[:0]
	return r.append(b, &room), true
}

// Head reads the header of an answer of the usual kind to a GET, whose body has the
// length that it says; body is what of b follows it, and may be more. Of b the answer
// keeps nothing. It is ok only if Do would read the same.
func (c *Client) Head(b []byte) (resp *http.Response, body []byte, ok bool) {
	size := bytes.Index(b, []byte("\r\n\r\n")) + len("\r\n\r\n")
	if size < len("\r\n\r\n") || int64(size) > c.MaxHeader {
		return nil, nil, false
	}
	h, ok := parse(string(b[:size]))
	if !ok {
		return nil, nil, false
	}
	return &http.Response{StatusCode: h.status, Header: h.fields, ContentLength: h.length}, b[size:], true
}

// Resume goes on with a request that was sent on made, where begun of the answer has
// arrived. It is Do otherwise.
func (c *Client) Resume(ctx context.Context, r *Request, made net.Conn, begun []byte) (*Answer, error) {
	on := newConn(c, made)
	on.used, on.begun = true, begun
	return c.do(ctx, r, on)
}
