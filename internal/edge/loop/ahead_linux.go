package loop

import "golang.org/x/sys/unix"

// seats is how many connections are read from before the first of them is answered.
const seats = 8

// ahead is what a loop has read and not answered yet. Nothing of it is kept from one
// round to the next.
type ahead struct {
	handler Foresight // nil if nobody wants to foresee anything
	seats   []seat
	all     [][]byte // of those seats that have something
}

// seat is what was read from a connection.
type seat struct {
	buf  []byte
	conn *conn // nil if nothing was read
	got  arrival
	at   int // among those that have something, from 1 on
}

func newAhead(h Handler) (a ahead) {
	if a.handler, _ = h.(Foresight); a.handler == nil {
		return a
	}
	// No two begin where the processor's cache has the same place for both.
	const apart = arriving + 1<<10
	room := make([]byte, seats*apart)
	a.seats, a.all = make([]seat, seats), make([][]byte, 0, seats)
	for i := range a.seats {
		a.seats[i].buf = room[i*apart : i*apart+arriving : i*apart+arriving]
	}
	return a
}

// handleTogether is handle for as many events as there are seats.
func (l *loop) handleTogether(events []unix.EpollEvent) {
	if len(events) == 1 || l.ahead.handler == nil {
		for i := range events {
			l.handle(&events[i])
		}
		return
	}
	l.readAhead(events)
	for i := range events {
		e, s := &events[i], &l.ahead.seats[i]
		if s.conn == nil {
			l.handle(e)
		} else if l.conns[e.Fd] == s.conn { // nobody has ended it meanwhile
			l.answer.Foreseen = s.at
			s.conn.arrived(l, s.buf, s.got)
			l.answer.Foreseen = 0
		}
		s.conn = nil
	}
}

// readAhead reads from all connections from which requests may come.
func (l *loop) readAhead(events []unix.EpollEvent) {
	all := l.ahead.all[:0]
	for i := range events {
		e, s := &events[i], &l.ahead.seats[i]
		c := l.conns[e.Fd]
		if c == nil || c.epoch != e.Pad || c.waiting || c.turn != nil {
			continue
		}
		before := len(c.in)
		s.conn, s.got, s.at = c, c.read(l, s.buf), 0
		if s.got.n > 0 {
			all = append(all, s.buf[:before+s.got.n])
			s.at = len(all)
		}
	}
	if len(all) > 1 {
		l.ahead.handler.Foresee(all, &l.answer)
	} else {
		for i := range events {
			l.ahead.seats[i].at = 0
		}
	}
}
