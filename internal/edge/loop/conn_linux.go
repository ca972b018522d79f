package loop

import (
	"errors"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// conn is a connection while a loop has it.
type conn struct {
	fd     int
	door   *Door
	home   *loop
	viewer viewer

	in    []byte    // what has arrived and was not used
	again int       // bytes that were looked at more than once
	known bool      // it has sent a request before
	since time.Time // when its present state began, or it last took enough of an answer
	epoch int32     // tells it from others of the same descriptor

	// Of what it has not taken yet.
	waiting bool
	head    []byte
	body    []byte
	file    int
	at      int64 // of file
	left    int64 // of file
	sent    int64 // of body and file
	taken   int   // of both since since
	last    Sent

	lent  int  // of in, which are given away first, or answered
	whole bool // and are one request

	pending Pending // who answers it; nil for nobody
	turn    *ticket // of pending while it is waited for
	muted   bool    // the loop is not told of what arrives
}

// patient is how much of an answer a viewer must take within Options.Stall.
const patient = 64 << 10

// mostAgain is how many bytes of a request that comes in pieces are looked at
// while it is not complete: those who send it slowly shall not need a goroutine.
const mostAgain = 1 << 20

// turn is how much of an answer is sent before others have theirs.
const turn = 1 << 20

// fileTurn is the same of a file, in one go: the more is waiting there, the less
// there is to do for each part.
const fileTurn = 4 << 20

// filePiece is how much of a file is sent by one call, which takes a fraction of a
// millisecond.
const filePiece = 1 << 20

// close ends the connection, which no loop has any more.
func (c *conn) close() {
	if p := c.pending; p != nil {
		c.pending = nil
		p.Gone()
	}
	_ = unix.Close(c.fd)
	c.door.left()
}

// refuse says that there is no room, which the system takes or not. The connection
// is to be closed then.
func (c *conn) refuse() {
	text := c.door.handler.Refusal()
	_, _ = rawWrite(c.fd, text)
	_ = unix.Shutdown(c.fd, unix.SHUT_WR)
	var b [4096]byte
	for range 4 { // what is unread would take the answer with it
		if n, _ := rawRead(c.fd, b[:]); n <= 0 {
			break
		}
	}
}

// ready is called when something has arrived, which is read into buf, and
// whatever it is the answers are written.
func (c *conn) ready(l *loop) {
	c.arrived(l, l.buf, c.read(l, l.buf))
}

// arrival is what came of reading: so many bytes, or none.
type arrival struct {
	n   int
	err error
}

// read puts what has arrived into buf, behind what was there.
func (c *conn) read(l *loop, buf []byte) (got arrival) {
	got.n, got.err = rawRead(c.fd, buf[copy(buf, c.in):])
	if got.n > 0 && len(c.in) == 0 {
		c.since = l.now
	}
	return got
}

// arrived answers what was read into buf.
func (c *conn) arrived(l *loop, buf []byte, got arrival) {
	n, err := got.n, got.err
	switch {
	case errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR):
		return
	case err == nil && n == 0 && len(c.in) > 0:
		c.lent, c.whole = len(c.in), false // somebody has to say what that was
		l.give(c)
		return
	case err != nil || n == 0:
		l.end(c)
		return
	}
	c.answer(l, buf[:len(c.in)+n])
}

// look returns what becomes of the bytes b: what was waited for, or what the
// handler says.
func (c *conn) look(b []byte, a *Answer) Verdict {
	a.Used, a.Body, a.Length, a.Sent, a.Pending = 0, nil, 0, nil, nil
	if p := c.pending; p != nil {
		a.Used = c.lent
		v := p.Answer(a)
		if v != Lend {
			c.pending = nil
		}
		if v != Again {
			return v
		}
	}
	return c.door.handler.Answer(b, a)
}

// answer answers the requests in b, which the loop may use again afterwards.
func (c *conn) answer(l *loop, b []byte) {
	a := &l.answer
	a.Viewer, a.Head = &c.viewer, l.out[:0]
	for len(b) > 0 {
		v := c.look(b, a)
		a.Foreseen = 0
		switch v {
		case Answered:
			c.known, c.again = true, 0
			b = b[a.Used:]
			if len(b) > 0 && a.body() == 0 && a.Sent == nil && len(a.Head) < outSize/2 {
				continue
			}
			if !c.write(l, a, b) {
				return
			}
		case More:
			if c.again += len(b); c.again < mostAgain {
				c.rest(l, a, b)
				return
			}
			fallthrough // it takes too long to be read anew each time
		default:
			c.keep(b)
			if len(a.Head) > 0 && !c.write(l, a, b) {
				return
			}
			if v == Wait {
				c.lent, c.again = a.Used, 0
				c.wait(l, a.Pending)
				return
			}
			if c.lent, c.whole = len(b), v == Lend; c.whole {
				c.lent = a.Used
			}
			l.give(c)
			return
		}
	}
	c.rest(l, a, nil)
}

// rest writes what there is and waits for more, to which b belongs.
func (c *conn) rest(l *loop, a *Answer, b []byte) {
	c.keep(b)
	if len(a.Head) > 0 && !c.write(l, a, b) {
		return
	}
	if len(b) == 0 {
		c.since = l.now
	}
}

// keep has in hold b, and nothing of the loop's.
func (c *conn) keep(b []byte) {
	if len(b) == 0 {
		c.in = nil
		return
	}
	c.in = append([]byte(nil), b...)
}

// write sends head and body, and reports whether the system has taken all. If
// not, rest is kept until it has, or the connection is no more.
func (c *conn) write(l *loop, a *Answer, rest []byte) bool {
	n, err := writeBoth(c.fd, a.Head, a.Body)
	if fatal(err) {
		c.last = a.Sent
		l.end(c)
		return false
	}
	head := min(n, len(a.Head))
	c.sent, c.file, c.at, c.left = int64(n-head), a.File, a.At, a.Length
	if n == len(a.Head)+len(a.Body) && c.left > 0 {
		if _, err := c.sendFile(); fatal(err) {
			c.last = a.Sent
			l.end(c)
			return false
		}
	}
	if head == len(a.Head) && c.sent == a.body() {
		a.Head, c.sent = l.out[:0], 0
		if a.Sent != nil {
			a.Sent.Sent(a.body(), true)
			a.Sent = nil
		}
		a.Body, a.Length = nil, 0
		return true
	}
	c.keep(rest)
	c.body, c.last = a.Body[n-head:], a.Sent
	c.head = append([]byte(nil), a.Head[head:]...)
	c.waiting, c.since, c.taken = true, l.now, 0
	l.watch(c, unix.EPOLLOUT)
	return false
}

// fatal reports whether an error is the end of a connection.
func fatal(err error) bool {
	return err != nil && !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR)
}

// errShort is a file that has fewer bytes than it should.
var errShort = errors.New("the file is shorter than it was")

// sendFile sends as much of the file as the system takes, at most fileTurn.
func (c *conn) sendFile() (sent int, err error) {
	for sent < fileTurn && c.left > 0 {
		asked := int(min(c.left, filePiece))
		n, err := rawSendfile(c.fd, c.file, &c.at, asked)
		if n == 0 && err == nil {
			return sent, errShort
		}
		c.left -= int64(n)
		c.sent += int64(n)
		sent += n
		if err != nil && sent == 0 {
			return 0, err
		}
		if n < asked {
			break
		}
	}
	return sent, nil
}

// goOn sends more of what is waiting.
func (c *conn) goOn(l *loop) {
	for sent := 0; sent < turn; {
		n, err := c.goOnOnce()
		if errors.Is(err, unix.EAGAIN) {
			return
		}
		if fatal(err) {
			l.end(c)
			return
		}
		sent += n
		if c.taken += n; c.taken >= patient {
			c.since, c.taken = l.now, 0
		}
		if len(c.head) == 0 && len(c.body) == 0 && c.left == 0 {
			c.over(l)
			return
		}
	}
}

// goOnOnce sends the head and then the body, or of the file.
func (c *conn) goOnOnce() (int, error) {
	if len(c.head) == 0 && len(c.body) == 0 {
		return c.sendFile()
	}
	n, err := writeBoth(c.fd, c.head, c.body)
	head := min(n, len(c.head))
	c.head, c.body = c.head[head:], c.body[n-head:]
	c.sent += int64(n - head)
	return n, err
}

// over is called when nothing is waiting any more.
func (c *conn) over(l *loop) {
	last, sent := c.last, c.sent
	c.head, c.body, c.last, c.sent, c.waiting = nil, nil, nil, 0, false
	c.since = l.now
	if last != nil {
		last.Sent(sent, true)
	}
	l.watch(c, unix.EPOLLIN)
	b := l.buf[:copy(l.buf, c.in)]
	c.in = nil
	if len(b) > 0 {
		c.answer(l, b)
	}
}

// patience is how long the connection's present state may last.
func (c *conn) patience(o *Options) time.Duration {
	switch {
	case c.waiting:
		return o.Stall
	case len(c.in) > 0 || !c.known:
		return o.First
	}
	return o.Idle
}

// The calls below never wait, so the scheduler need not know of them.

func rawRead(fd int, b []byte) (int, error) {
	n, _, e := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	return result(n, e)
}

// rawWrite sends b. It does not have the system wait for what follows from a file
// (MSG_MORE), which would cost twice as much as sending it apart.
func rawWrite(fd int, b []byte) (int, error) {
	n, _, e := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), unix.MSG_NOSIGNAL, 0, 0)
	return result(n, e)
}

// rawSendfile is of files in memory, which nobody waits for. What it takes at once
// is bounded, since the collector waits for it; the scheduler, were it told, would
// look for another thread each time.
func rawSendfile(to, from int, at *int64, most int) (int, error) {
	n, _, e := unix.RawSyscall6(unix.SYS_SENDFILE, uintptr(to), uintptr(from), uintptr(unsafe.Pointer(at)), uintptr(most), 0, 0)
	return result(n, e)
}

func result(n uintptr, e unix.Errno) (int, error) {
	if e != 0 {
		return 0, e
	}
	return int(n), nil
}

// writeBoth writes as much of two slices as the system takes at once.
func writeBoth(fd int, head, body []byte) (n int, err error) {
	switch {
	case len(body) == 0:
		return rawWrite(fd, head)
	case len(head) == 0 && len(body) <= patient:
		return rawWrite(fd, body)
	case len(head) == 0:
		n, err = unix.Write(fd, body[:min(len(body), turn)])
	default:
		n, err = unix.Writev(fd, [][]byte{head, body[:min(len(body), turn)]})
	}
	return max(n, 0), err
}
