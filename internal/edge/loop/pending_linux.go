package loop

import (
	"errors"

	"golang.org/x/sys/unix"
)

// ticket is a Turn: of one request of a connection.
type ticket struct {
	conn *conn
	home *loop
}

// Ready is of Turn.
func (t *ticket) Ready() {
	l := t.home
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead {
		return // and so are its connections
	}
	l.turns = append(l.turns, t)
	l.ring()
}

// take goes on with a connection for whose request there is an answer, unless
// the viewer has gone.
func (t *ticket) take() {
	c, l := t.conn, t.home
	if c.turn != t {
		return
	}
	c.waited()
	c.since = l.now // it was not the viewer who took long
	if c.muted {
		c.muted = false
		l.watch(c, unix.EPOLLIN)
	}
	b := l.buf[:copy(l.buf, c.in)]
	c.in = nil
	c.answer(l, b)
}

// lendWaiting has those decide who still wait when the door closes, so that others
// answer them who go on after the loop has ended.
func (l *loop) lendWaiting() {
	for _, c := range l.conns {
		if c.turn != nil {
			c.turn.take()
		}
	}
}

// wait keeps the connection with the loop until there is an answer to the request
// that it begins with.
func (c *conn) wait(l *loop, p Pending) {
	closing := c.door.isClosing()
	if closing || !c.door.room.Lend() {
		c.whole = true
		l.give(c) // to others, or to nobody
		return
	}
	c.door.lent.Add(1)
	c.pending, c.turn = p, &ticket{c, l}
	p.Begin(c.turn)
}

// waited ends what wait has begun.
func (c *conn) waited() {
	if c.turn != nil {
		c.turn = nil
		c.door.returned()
	}
}

// disturbed is called when something has arrived from a viewer who waits: more
// requests, of which the loop wants to hear later, or the end. To whom has sent
// more already the end of that is nothing new.
func (c *conn) disturbed(l *loop) {
	if c.muted {
		l.end(c) // the connection is broken
		return
	}
	if len(c.in) == c.lent {
		var b [1]byte
		n, _, err := unix.Recvfrom(c.fd, b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		switch {
		case errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR):
			return
		case err != nil || n == 0:
			l.end(c)
			return
		}
	}
	c.muted = true
	l.watch(c, 0)
}
