package edge

import (
	"context"
	"net"
	"net/http"
	"sync"
)

// late answers a viewer who waits with a loop when the door closes, by a server of
// his own.
func (d *plainDoor) late(c net.Conn) {
	one := &lone{at: d.Addr(), conn: make(chan net.Conn, 1), closed: make(chan struct{})}
	one.conn <- &viewerConn{Conn: c, edge: d.edge, idle: &d.idle}
	s := Server(d.edge)
	s.SetKeepAlivesEnabled(false)
	s.ConnState = func(c net.Conn, state http.ConnState) {
		connState(c, state)
		if state == http.StateClosed {
			_ = one.Close() // which never fails
		}
	}
	d.edge.start(func() {
		stop := context.AfterFunc(d.edge.ctx, func() { _ = s.Close() })
		defer stop()
		_ = s.Serve(one) // until it is closed
	})
}

// lone is a listener that accepts one connection, and is to be closed after that.
type lone struct {
	at     net.Addr
	conn   chan net.Conn
	closed chan struct{}
	once   sync.Once
}

// Accept is of net.Listener.
func (l *lone) Accept() (net.Conn, error) {
	select {
	case c := <-l.conn:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close is of net.Listener. It may be called twice.
func (l *lone) Close() error {
	l.once.Do(func() { close(l.closed) })
	select {
	case c := <-l.conn:
		_ = c.Close() // nobody has accepted it
	default:
	}
	return nil
}

// Addr is of net.Listener.
func (l *lone) Addr() net.Addr { return l.at }
