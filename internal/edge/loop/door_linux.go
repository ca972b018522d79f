package loop

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Door is a listener. Accept returns those connections only that loops gave away;
// the others are answered by the loops, as long as Run runs.
type Door struct {
	net.Listener

	socket  *os.File // the listener's, too; the net package lets nobody else wait for its own
	handler Handler
	options Options
	loops   []*loop
	given   chan *conn // to be accepted
	room    *Room
	open    atomic.Int64 // of this door
	lent    atomic.Int64 // likewise

	next    atomic.Uint64 // which loop gets the next connection
	closing chan struct{} // closed by Close
	once    sync.Once
	over    chan struct{} // closed when the loops have ended
	cut     chan struct{} // closed when they were cut off
	cutOnce sync.Once
}

// Listen returns a door in front of l, which the door closes. It returns nil if
// there is no event loop for such a listener.
func Listen(l net.Listener, h Handler, o Options) *Door {
	tcp, ok := l.(*net.TCPListener)
	if !ok {
		return nil
	}
	d := &Door{Listener: tcp, handler: h, options: o.withDefaults(), closing: make(chan struct{}), over: make(chan struct{}), cut: make(chan struct{})}
	var err error
	if d.socket, err = tcp.File(); err != nil {
		return nil
	}
	d.room = d.options.Room
	d.given = make(chan *conn, d.room.Requests())
	for range d.options.Loops {
		made, err := newLoop(d)
		if err != nil {
			_ = d.socket.Close()
			for _, l := range d.loops {
				l.release()
			}
			return nil
		}
		d.loops = append(d.loops, made)
		d.room.Hold(made.press)
	}
	return d
}

// mayOpen is how many files the process may have open.
func mayOpen() int {
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) != nil || l.Cur > 1<<20 {
		return 1 << 20
	}
	return int(l.Cur)
}

// Run accepts and answers until Close was called and the last viewer has gone or
// got its answer, or until stop is closed or CutOff called, which cuts off the
// answers under way.
func (d *Door) Run(stop <-chan struct{}) {
	var all sync.WaitGroup
	ended := make(chan struct{})
	all.Go(func() {
		defer d.closed()
		d.accept()
	})
	var loops sync.WaitGroup
	for _, l := range d.loops {
		loops.Go(l.run)
	}
	all.Go(func() {
		select {
		case <-stop:
			d.CutOff()
		case <-ended:
		}
	})
	loops.Wait()
	close(ended)
	all.Wait()
	close(d.over)
	select {
	case <-d.cut:
		d.drop()
	default:
	}
	for _, l := range d.loops {
		l.release()
	}
}

// CutOff closes the door and all connections of the loops. It may be called twice
// and does not wait.
func (d *Door) CutOff() {
	_ = d.Close()
	d.cutOnce.Do(func() {
		close(d.cut)
		for _, l := range d.loops {
			l.send(func() { l.finish(cutOff) })
		}
	})
}

// Open is how many connections there are, those that were given away included.
func (d *Door) Open() int { return int(d.open.Load()) }

// Lent is how many of them were given away.
func (d *Door) Lent() int { return int(d.lent.Load()) }

// Wait returns when no loop has connections any more, or when ctx is done.
func (d *Door) Wait(ctx context.Context) {
	select {
	case <-d.over:
	case <-ctx.Done():
	}
}

// drop closes what nobody accepts any more.
func (d *Door) drop() {
	for {
		select {
		case c := <-d.given:
			d.returned()
			c.close()
		default:
			return
		}
	}
}

// closed has the loops end once they have nothing more to do.
func (d *Door) closed() {
	for _, l := range d.loops {
		l.send(func() {
			l.finish(drained)
			l.leaveLines()
			l.lendWaiting()
		})
	}
}

// Close ends accepting, and connections as soon as they are idle. Who is there is
// answered first, be it by those who accept: Accept returns what loops give away
// until there are no more. It may be called twice and does not wait for viewers.
func (d *Door) Close() error {
	err := error(nil)
	d.once.Do(func() {
		close(d.closing)
		d.last()
		err = errors.Join(d.Listener.Close(), d.socket.Close())
	})
	return err
}

// last takes who waits at the socket: the system ends those connections when it is
// closed.
func (d *Door) last() { waiting(d.socket, d.take) }

// Waiting returns the connections that wait to be accepted by l, which should be
// deaf and is to be closed. There are none where the system cannot tell.
func Waiting(l net.Listener) (all []net.Conn) {
	if c, ok := l.(syscall.Conn); ok {
		waiting(c, func(fd int, _ unix.Sockaddr) {
			if made, err := tcpConn(fd); err == nil {
				all = append(all, made)
			}
		})
	}
	return all
}

func waiting(l syscall.Conn, each func(fd int, at unix.Sockaddr)) {
	raw, err := l.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(listening uintptr) {
		for {
			fd, at, err := unix.Accept4(int(listening), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
			switch {
			case err == nil:
				each(fd, at)
			case !errors.Is(err, unix.ECONNABORTED) && !errors.Is(err, unix.EINTR):
				return
			}
		}
	})
}

// Deafen has the system ignore whoever wants to connect to l from now on; who has
// begun to can go on. A listener that is closed some moments later ends nobody's
// connection that was made. Where the system cannot do this, as with
// sockets of multipath TCP, it does nothing.
func Deafen(l net.Listener) {
	c, ok := l.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return
	}
	const flags, syn = 13, 2 // of a TCP segment
	noSYN := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: flags},
		{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, K: syn, Jt: 0, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},
		{Code: unix.BPF_RET | unix.BPF_K, K: 1 << 30},
	}
	_ = raw.Control(func(fd uintptr) { // which would be no harm
		_ = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(noSYN)), Filter: &noSYN[0]})
	})
}

// Deafen is Deafen for the door's own.
func (d *Door) Deafen() { Deafen(d.Listener) }

// Accept returns a connection that a loop gave away.
func (d *Door) Accept() (net.Conn, error) {
	for {
		select {
		case c := <-d.given:
			if l := d.lend(c); l != nil {
				return l, nil
			}
			continue
		default:
		}
		select {
		case c := <-d.given:
			if l := d.lend(c); l != nil {
				return l, nil
			}
		case <-d.over:
			if len(d.given) == 0 {
				return nil, net.ErrClosed
			}
		}
	}
}

// accept takes connections and gives them to the loops in turns.
func (d *Door) accept() {
	raw, err := d.socket.SyscallConn()
	if err != nil {
		return
	}
	for {
		fd, at, err := acceptOne(raw)
		switch {
		case err == nil:
			d.take(fd, at)
		case d.isClosing() || errors.Is(err, os.ErrClosed):
			_ = d.Close()
			return
		case errors.Is(err, unix.ECONNABORTED) || errors.Is(err, unix.EINTR):
		default: // too many files are open, or there is no memory
			select {
			case <-time.After(10 * time.Millisecond):
			case <-d.closing:
				return
			}
		}
	}
}

func (d *Door) isClosing() bool {
	select {
	case <-d.closing:
		return true
	default:
		return false
	}
}

func acceptOne(raw syscall.RawConn) (fd int, at unix.Sockaddr, err error) {
	outer := raw.Read(func(listening uintptr) bool {
		fd, at, err = unix.Accept4(int(listening), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		return !errors.Is(err, unix.EAGAIN)
	})
	if outer != nil {
		return -1, nil, outer
	}
	return fd, at, err
}

// take gives a new connection to a loop, or refuses it.
func (d *Door) take(fd int, at unix.Sockaddr) {
	to := d.loops[d.next.Add(1)%uint64(len(d.loops))]
	// As the net package has them; a viewer who is gone already is found out later.
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 15)
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 15)
	c := &conn{fd: fd, door: d, home: to, viewer: viewer{at: at}}
	if !d.room.Enter() {
		c.refuse()
		_ = unix.Close(fd)
		return
	}
	d.open.Add(1)
	if !to.send(func() { to.add(c) }) {
		c.close()
	}
}

// viewer is the address of a connection's other end. Its texts are made when a
// loop first asks for them.
type viewer struct {
	at       unix.Sockaddr
	ip, port string
}

func (v *viewer) addr() *net.TCPAddr {
	switch at := v.at.(type) {
	case *unix.SockaddrInet4:
		return &net.TCPAddr{IP: at.Addr[:], Port: at.Port}
	case *unix.SockaddrInet6:
		a := &net.TCPAddr{IP: at.Addr[:], Port: at.Port}
		if at.ZoneId != 0 {
			if i, err := net.InterfaceByIndex(int(at.ZoneId)); err == nil {
				a.Zone = i.Name
			}
		}
		return a
	}
	return &net.TCPAddr{}
}

// IP is the address in the form that net.SplitHostPort gives it.
func (v *viewer) IP() string {
	if v.ip == "" {
		v.ip, v.port, _ = net.SplitHostPort(v.addr().String())
	}
	return v.ip
}

func (v *viewer) Port() string {
	v.IP()
	return v.port
}

// tcpConn makes a connection of the net package of a descriptor, which it takes
// over whatever happens.
func tcpConn(fd int) (*net.TCPConn, error) {
	f := os.NewFile(uintptr(fd), "")
	made, err := net.FileConn(f)
	_ = f.Close() // made has its own
	if err != nil {
		return nil, fmt.Errorf("take a connection over: %w", err)
	}
	tcp, ok := made.(*net.TCPConn)
	if !ok {
		_ = made.Close()
		return nil, errors.New("take a connection over: it is not one of TCP")
	}
	return tcp, nil
}
