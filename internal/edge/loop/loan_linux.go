package loop

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// Loan is a connection that a loop gave away: for good, or for one request, after
// which Read says that there are no more and Close gives it back.
//
// Whoever has it must be a server of net/http, and must tell by Rest when a
// response is out. For its one request it gets the bytes of this request and no
// others, so that none are with the server when the connection goes back.
type Loan struct {
	*net.TCPConn

	from   *conn
	raw    syscall.RawConn
	once   sync.Once
	rested atomic.Bool // the one request was answered

	pending atomic.Pointer[Pending] // nil where there is none, or it was taken

	mu    sync.Mutex
	begin []byte // of what was read by the loop; to be read first
	after []byte // of what was read by the loop; to be read by the next
	whole bool   // begin is, or was, one whole request
}

// lend prepares a connection for whoever accepts it. It returns nil if it is
// broken.
func (d *Door) lend(c *conn) *Loan {
	l := &Loan{from: c, begin: c.in[:c.lent], after: c.in[c.lent:], whole: c.whole}
	if c.pending != nil {
		l.pending.Store(&c.pending)
	}
	tcp, err := tcpConn(c.fd)
	if err != nil {
		l.gone()
		d.ended()
		return nil
	}
	l.TCPConn = tcp
	if l.raw, err = tcp.SyscallConn(); err != nil {
		_ = l.Close()
		return nil
	}
	return l
}

// Take returns the Pending of the one request that is lent, which is the taker's
// from then on; nil for none.
func (l *Loan) Take() Pending {
	if p := l.pending.Swap(nil); p != nil {
		return *p
	}
	return nil
}

// gone tells the Pending that nobody has taken.
func (l *Loan) gone() {
	if p := l.Take(); p != nil {
		p.Gone()
	}
}

// ended counts a connection as gone that was lent.
func (d *Door) ended() {
	d.returned()
	d.left()
}

// returned counts a connection as lent no more.
func (d *Door) returned() {
	d.lent.Add(-1)
	d.room.Return()
}

// left counts a connection out.
func (d *Door) left() {
	d.open.Add(-1)
	d.room.Leave()
}

// RemoteAddr is the viewer's, also if that has gone.
func (l *Loan) RemoteAddr() net.Addr { return l.from.viewer.addr() }

// Rest says that a response is out and that the next request may come.
func (l *Loan) Rest() { l.rested.Store(true) }

// Read returns first what the loop had read.
func (l *Loan) Read(p []byte) (int, error) {
	n, lent := l.read(p)
	switch {
	case n > 0:
		return n, nil
	case !lent:
		return l.TCPConn.Read(p)
	case l.rested.Load():
		return 0, io.EOF
	}
	// So net/http finds out whether the viewer is still there while it answers.
	return 0, l.watch()
}

// read returns what the loop had read, or whether only one request is lent of
// which there is no more.
func (l *Loan) read(p []byte) (n int, lent bool) {
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
// sends meanwhile stays where it is.
func (l *Loan) watch() error {
	var gone error
	l.mu.Lock()
	there := len(l.after) > 0
	l.mu.Unlock()
	err := l.raw.Read(func(fd uintptr) bool {
		var b [1]byte
		for !there {
			n, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
			switch {
			case n > 0:
				there = true
			case err == unix.EINTR:
			case err == unix.EAGAIN:
				return false
			case err != nil:
				gone = err
				return true
			default:
				gone = io.EOF
				return true
			}
		}
		return false
	})
	if err != nil {
		return err
	}
	return gone
}

// Close gives the connection back if its one request was answered and nothing
// speaks against another. It may be called twice.
func (l *Loan) Close() (err error) {
	l.once.Do(func() {
		l.gone()
		if !l.giveBack() {
			l.from.door.ended()
		}
		err = l.TCPConn.Close() // the connection stays open if it has another descriptor
	})
	return err
}

// giveBack reports whether the connection may be and is a loop's again.
func (l *Loan) giveBack() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.whole || !l.rested.Load() || len(l.begin) > 0 {
		return false
	}
	fd := -1
	err := l.raw.Control(func(now uintptr) {
		if made, err := unix.FcntlInt(now, unix.F_DUPFD_CLOEXEC, 0); err == nil {
			fd = made
		}
	})
	if err != nil || fd < 0 {
		return false
	}
	c := &conn{fd: fd, door: l.from.door, home: l.from.home, viewer: viewer{at: l.from.viewer.at}, in: l.after, known: true}
	if !c.home.send(func() { c.home.add(c) }) {
		_ = unix.Close(fd)
		return false
	}
	c.door.returned()
	return true
}
