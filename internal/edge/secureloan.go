package edge

import (
	"crypto/tls"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// secureLoan is a secureViewer's connection while net/http has it: for good, or
// for one request, after which Read says that there are no more and Close gives it
// back. It is for connections over TLS what loop.Loan is for others.
type secureLoan struct {
	*tls.Conn

	from   *secureViewer
	once   sync.Once
	rested atomic.Bool   // the one request was answered
	hurry  chan struct{} // holds something once nobody wants to wait

	mu    sync.Mutex
	begin []byte // of what was read before; to be read first
	after []byte // of what was read before; to be read by the next
	whole bool   // begin is, or was, one whole request
}

// lend gives the connection to net/http, with what was read of it: begin, which is
// one request where whole says so, and what comes after that.
func (d *secureDoor) lend(v *secureViewer, begin, after []byte, whole bool) {
	_ = v.tls.SetDeadline(time.Time{})
	v.readBy, v.writeBy = time.Time{}, time.Time{}
	if !whole {
		begin, after = append(begin[:len(begin):len(begin)], after...), nil
	}
	if !d.edge.connections.Lend() {
		v.writeUntil(time.Now().Add(time.Second))
		_, _ = v.tls.Write(d.quick.Refusal()) // the viewer is gone, or not
		v.end()
		return
	}
	l := &secureLoan{Conn: v.tls, from: v, begin: begin, after: after, whole: whole, hurry: make(chan struct{}, 1)}
	d.deliver(accepted{conn: &secureConn{d.edge.newViewerConn(l, &d.idle), v.state}})
}

// Rest says that a response is out and that the next request may come.
func (l *secureLoan) Rest() { l.rested.Store(true) }

// Read returns first what was read before.
func (l *secureLoan) Read(p []byte) (int, error) {
	n, lent := l.read(p)
	switch {
	case n > 0:
		return n, nil
	case !lent:
		return l.Conn.Read(p)
	case l.rested.Load():
		return 0, io.EOF
	}
	// So net/http finds out whether the viewer is still there while it answers.
	return 0, l.watch()
}

// read returns what was read before, or whether only one request is lent of which
// there is no more.
func (l *secureLoan) read(p []byte) (n int, lent bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.begin) == 0 && l.whole && !l.rested.Load() && len(p) > 1 {
		// It takes the request for longer than it is. What it has read by then
		// stays with it, and so does the connection.
		l.whole, l.begin, l.after = false, l.after, nil
	}
	n = copy(p, l.begin)
	l.begin = l.begin[n:]
	return n, l.whole
}

// watch returns when the viewer has gone, or at the deadline. What the viewer
// sends meanwhile is for the next.
func (l *secureLoan) watch() error {
	l.mu.Lock()
	there := len(l.after) > 0
	l.mu.Unlock()
	if !there {
		b := make([]byte, 1<<10)
		n, err := l.Conn.Read(b)
		if n == 0 {
			return err
		}
		l.mu.Lock()
		l.after = append(l.after, b[:n]...)
		l.mu.Unlock()
	}
	<-l.hurry
	return os.ErrDeadlineExceeded
}

// SetReadDeadline ends a watch, too, if the time has passed.
func (l *secureLoan) SetReadDeadline(t time.Time) error {
	l.hasten(t)
	return l.Conn.SetReadDeadline(t)
}

// SetDeadline is SetReadDeadline and SetWriteDeadline.
func (l *secureLoan) SetDeadline(t time.Time) error {
	l.hasten(t)
	return l.Conn.SetDeadline(t)
}

func (l *secureLoan) hasten(t time.Time) {
	if t.IsZero() || time.Until(t) > 0 {
		select {
		case <-l.hurry:
		default:
		}
		return
	}
	select {
	case l.hurry <- struct{}{}:
	default:
	}
}

// Close gives the connection back if its one request was answered and nothing
// speaks against another. It may be called twice.
func (l *secureLoan) Close() (err error) {
	l.once.Do(func() {
		l.hasten(time.Unix(1, 0))
		l.from.door.edge.connections.Return()
		l.mu.Lock()
		after, again := l.after, l.whole && l.rested.Load() && len(l.begin) == 0
		l.mu.Unlock()
		if again && l.from.door.ctx.Err() == nil {
			_ = l.Conn.SetDeadline(time.Time{})
			l.from.known = true
			l.from.door.edge.start(func() { l.from.serve(after) })
			return
		}
		err = l.Conn.Close()
		l.from.door.forget(l.from)
	})
	return err
}

var _ net.Conn = (*secureLoan)(nil)
