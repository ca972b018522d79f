package loop

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// loop has some of a door's connections. All but send is called by its own
// goroutine.
type loop struct {
	door   *Door
	epoll  int
	file   *os.File        // of epoll, by which the runtime knows it
	waits  syscall.RawConn // likewise
	bell   int             // an eventfd, which send rings
	conns  map[int32]*conn // by descriptor
	lines  map[int32]*line // likewise
	epoch  int32
	events []unix.EpollEvent
	buf    []byte // what arrives
	out    []byte // answers
	ahead  ahead
	answer Answer
	now    time.Time
	swept  time.Time
	ending ending

	some int // events, as poll found them
	more func(uintptr) bool

	pressed atomic.Bool

	rung   atomic.Bool // it need not be rung
	called atomic.Bool // there are orders or turns
	mu     sync.Mutex
	orders []func()  // for the loop to carry out
	turns  []*ticket // that have come
	spare  []*ticket // the same slice, when it is of no use
	dead   bool
}

// ending is how far a loop is from its end.
type ending int

const (
	serving ending = iota
	drained        // nothing new comes, and who is idle has to go
	cutOff
)

// sweeping is how often connections are looked through for those that take too
// long.
const sweeping = time.Second

// lingering is how long a loop that ends waits for a viewer's next request, who may
// have sent it already. It looks each leaving.
const (
	lingering = 200 * time.Millisecond
	leaving   = 20 * time.Millisecond
)

// interval is how often connections are looked through.
func (l *loop) interval() time.Duration {
	if l.ending > serving {
		return leaving
	}
	return sweeping
}

// outSize is how many bytes of answers are gathered before they are sent, if a
// viewer asks for several at once.
const outSize = 64 << 10

// arriving is how many bytes are read at once, and more than any request has that is
// answered here.
const arriving = 32 << 10

func newLoop(d *Door) (*loop, error) {
	l := &loop{door: d, epoll: -1, bell: -1, conns: make(map[int32]*conn), lines: make(map[int32]*line), events: make([]unix.EpollEvent, 256), buf: make([]byte, arriving), ahead: newAhead(d.handler), out: make([]byte, 0, outSize)}
	var err error
	if l.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("make an event loop: %w", err)
	}
	if err := unix.SetNonblock(l.epoll, true); err != nil {
		l.release()
		return nil, fmt.Errorf("make an event loop: %w", err)
	}
	if l.bell, err = unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC); err != nil {
		l.release()
		return nil, fmt.Errorf("make an event loop: %w", err)
	}
	if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, l.bell, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(l.bell)}); err != nil {
		l.release()
		return nil, fmt.Errorf("make an event loop: %w", err)
	}
	l.more = func(uintptr) bool {
		l.some = l.poll()
		return l.some > 0
	}
	l.file = os.NewFile(uintptr(l.epoll), "epoll")
	if l.waits, err = l.file.SyscallConn(); err == nil {
		err = l.file.SetReadDeadline(time.Now().Add(sweeping)) // fails where the runtime cannot wait for it
	}
	if err != nil {
		l.release()
		return nil, fmt.Errorf("make an event loop: %w", err)
	}
	return l, nil
}

// release gives back what the system has given.
func (l *loop) release() {
	if l.file != nil {
		_ = l.file.Close()
	} else if l.epoll >= 0 {
		_ = unix.Close(l.epoll)
	}
	if l.bell >= 0 {
		_ = unix.Close(l.bell)
	}
}

// send has the loop do something soon, and reports whether it will.
func (l *loop) send(order func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead {
		return false
	}
	l.orders = append(l.orders, order)
	l.ring()
	return true
}

// ring has the loop look soon for what it has to do. l.mu is held.
func (l *loop) ring() {
	l.called.Store(true)
	if !l.rung.Swap(true) {
		one := uint64(1)
		_, _ = unix.Write(l.bell, (*[8]byte)(unsafe.Pointer(&one))[:]) // it is full of rings, which is as good
	}
}

// obey does what there is to do.
func (l *loop) obey() {
	if !l.called.Load() {
		return
	}
	l.mu.Lock()
	l.called.Store(false)
	orders, turns := l.orders, l.turns
	l.orders, l.turns, l.spare = nil, l.spare, nil
	l.mu.Unlock()
	for _, order := range orders {
		order()
	}
	for _, t := range turns {
		t.take()
	}
	clear(turns)
	l.spare = turns[:0]
}

// run ends when ending says so.
func (l *loop) run() {
	l.now = time.Now()
	for {
		n := l.wait()
		l.rung.Store(true) // it looks for what there is to do before it waits
		l.now = time.Now()
		l.answer.Now = l.now
		for events := range slices.Chunk(l.events[:n], seats) {
			l.handleTogether(events)
		}
		l.obey()
		if l.now.Sub(l.swept) >= l.interval() {
			l.sweep()
		}
		if l.ending == cutOff || l.ending == drained && len(l.conns) == 0 {
			break
		}
	}
	l.ending = cutOff
	l.mu.Lock()
	l.dead = true
	l.mu.Unlock()
	l.obey()
	l.leaveLines()
	for _, c := range l.conns {
		l.end(c)
	}
}

// finish has the loop come to its end.
func (l *loop) finish(e ending) {
	l.ending = max(l.ending, e)
	_ = l.file.SetReadDeadline(time.Now().Add(l.interval())) // as it could before
}

// wait returns how many events there are. It asks the system itself as long as
// there are some, and leaves the waiting to the runtime, which has other things
// to do meanwhile.
func (l *loop) wait() int {
	l.rung.Store(false)
	if l.called.Load() {
		return l.poll()
	}
	l.some = 0
	err := l.waits.Read(l.more)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		_ = l.file.SetReadDeadline(time.Now().Add(l.interval())) // as it could before
	}
	return l.some
}

func (l *loop) poll() int {
	n, _, e := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(l.epoll), uintptr(unsafe.Pointer(&l.events[0])), uintptr(len(l.events)), 0, 0, 0)
	if e != 0 {
		return 0
	}
	return int(n)
}

func (l *loop) handle(e *unix.EpollEvent) {
	if int(e.Fd) == l.bell {
		var b [8]byte
		_, _ = rawRead(l.bell, b[:])
		return
	}
	c := l.conns[e.Fd]
	if c == nil {
		if on := l.lines[e.Fd]; on != nil && on.epoch == e.Pad {
			on.listening.Arrived()
		}
		return
	}
	switch {
	case c.epoch != e.Pad:
	case c.waiting:
		c.goOn(l)
	case c.turn != nil:
		c.disturbed(l)
	default:
		c.ready(l)
	}
}

// add makes a connection the loop's.
func (l *loop) add(c *conn) {
	l.epoch++
	c.epoch, c.since = l.epoch, l.now
	e := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(c.fd), Pad: c.epoch}
	if unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, c.fd, &e) != nil {
		c.close()
		return
	}
	l.conns[int32(c.fd)] = c
	if len(c.in) > 0 {
		b := l.buf[:copy(l.buf, c.in)]
		c.in = nil
		c.answer(l, b)
	}
}

// watch has the loop told of other events of a connection.
func (l *loop) watch(c *conn, events uint32) {
	e := unix.EpollEvent{Events: events, Fd: int32(c.fd), Pad: c.epoch}
	_ = unix.EpollCtl(l.epoll, unix.EPOLL_CTL_MOD, c.fd, &e) // of a descriptor that is there
}

// end closes a connection of the loop.
func (l *loop) end(c *conn) {
	delete(l.conns, int32(c.fd))
	if last := c.last; last != nil {
		c.last = nil
		last.Sent(c.sent, false)
	}
	c.body = nil
	c.waited()
	c.close()
}

// part ends a connection that is idle, and has been for lingering, unless something
// has just arrived, of which the loop will be told.
func (l *loop) part(c *conn) {
	if l.now.Sub(c.since) < lingering {
		return
	}
	var b [1]byte
	if n, _, err := unix.Recvfrom(c.fd, b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT); err != nil || n == 0 {
		l.end(c)
	}
}

// give gives a connection away.
func (l *loop) give(c *conn) {
	delete(l.conns, int32(c.fd))
	_ = unix.EpollCtl(l.epoll, unix.EPOLL_CTL_DEL, c.fd, nil) // of a descriptor that is there
	d := l.door
	if d.room.Lend() {
		d.lent.Add(1)
		if late := d.options.Late; late != nil && c.pending != nil && l.ending == drained {
			if lent := d.lend(c); lent != nil {
				late(lent)
			}
			return
		}
		select {
		case d.given <- c:
			return
		default:
		}
		d.returned()
	}
	c.refuse()
	c.close()
}

// press has the loop make room soon.
func (l *loop) press() {
	if !l.pressed.Swap(true) && !l.send(l.shed) {
		l.pressed.Store(false)
	}
}

// shed ends some of the connections on which nothing was asked, or not all of a
// request, for the longest.
func (l *loop) shed() {
	l.pressed.Store(false)
	var over []*conn
	for _, c := range l.conns {
		if !c.waiting && c.turn == nil && time.Since(c.since) >= Overstayed {
			over = append(over, c)
		}
	}
	slices.SortFunc(over, func(a, b *conn) int { return a.since.Compare(b.since) })
	for _, c := range over[:min(len(over), Share(len(l.conns)))] {
		l.end(c)
	}
}

// sweep ends connections that take too long.
func (l *loop) sweep() {
	l.swept = l.now
	l.tick()
	for _, c := range l.conns {
		switch idle := !c.waiting && len(c.in) == 0; {
		case c.turn != nil: // it is us who take long
		case l.now.Sub(c.since) > c.patience(&l.door.options):
			l.end(c)
		case idle && l.ending > serving:
			l.part(c)
		}
	}
}
