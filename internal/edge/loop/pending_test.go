//go:build linux

package loop

import (
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// later is answered when a test wants it to be.
type later struct {
	*lines

	text    string
	verdict Verdict
	turn    Turn
}

func (l *later) Begin(t Turn) {
	l.turn = t
	l.begun <- l
}

func (l *later) Answer(a *Answer) Verdict {
	if l.verdict == Answered {
		a.Head = append(append(a.Head, l.text...), '\n')
	}
	return l.verdict
}

func (l *later) Gone() { l.gone <- l }

// become has the viewer's turn come.
func (l *later) become(v Verdict) {
	l.verdict = v
	l.turn.Ready()
}

// large is a body, which nobody changes.
var large = sync.OnceValue(func() []byte { return bytes.Repeat([]byte("0123456789abcdef"), 2<<20) })

func (v *viewerSide) hears(t *testing.T, want string) {
	t.Helper()
	for line := range strings.Lines(want) {
		if got, err := v.in.ReadString('\n'); got != line {
			t.Fatalf("%q, %v, want %q", got, err, line)
		}
	}
}

// nothing wants nothing to have arrived.
func (v *viewerSide) nothing(t *testing.T) {
	t.Helper()
	_ = v.SetReadDeadline(time.Now().Add(5 * time.Millisecond))
	if b, err := v.in.Peek(1); !isTimeout(err) {
		t.Errorf("%q, %v", b, err)
	}
	_ = v.SetDeadline(time.Now().Add(2 * time.Minute))
}

// Who waits gets the answer when there is one, in the order of the requests.
func TestWait(t *testing.T) {
	d := open(t, Options{}, nobody)
	v := d.dial(t)
	for range 3 {
		v.ask(t, "echo a\nwait b\necho c\nwait d\n", "a\n")
		b := <-d.begun
		v.nothing(t)
		b.become(Answered)
		v.hears(t, "b\nc\n")
		b.turn.Ready() // has no meaning any more
		(<-d.begun).become(Answered)
		v.hears(t, "d\n")
	}
	if n := d.lent.Load(); n != 0 {
		t.Errorf("%d count as lent", n)
	}
}

// What arrives meanwhile is answered afterwards, also if it is the last.
func TestWaitWithMore(t *testing.T) {
	d := open(t, Options{}, nobody)
	v := d.dial(t)
	v.ask(t, "wait a\n", "")
	a := <-d.begun
	v.ask(t, "echo b\n", "")
	v.nothing(t)
	v.ask(t, "echo c\n", "")
	_ = v.Conn.(*net.TCPConn).CloseWrite()
	v.nothing(t)
	a.become(Answered)
	v.hears(t, "a\nb\nc\n")
	v.ends(t)
}

// The handler may be asked anew.
func TestWaitAgain(t *testing.T) {
	d := open(t, Options{}, nobody)
	v := d.dial(t)
	v.ask(t, "wait a\necho b\n", "")
	(<-d.begun).become(Again)
	(<-d.begun).become(Answered)
	v.hears(t, "a\nb\n")
}

// What was waited for can be lent, and who has it takes it over; else it is gone.
func TestWaitLent(t *testing.T) {
	taken := make(chan Pending, 2)
	take := true
	d := open(t, Options{}, func(c net.Conn) {
		if take {
			taken <- c.(*Loan).Take()
			taken <- c.(*Loan).Take()
		}
		b := make([]byte, 100)
		n, _ := c.Read(b)
		_, _ = c.Write(b[:n])
		c.(*Loan).Rest()
		_ = c.Close()
	})
	v := d.dial(t)
	v.ask(t, "wait a\necho b\n", "")
	a := <-d.begun
	a.become(Lend)
	v.hears(t, "wait a\nb\n")
	if first, second := <-taken, <-taken; first != Pending(a) || second != nil {
		t.Errorf("taken: %v and %v", first, second)
	}
	take = false
	v.ask(t, "wait c\n", "")
	c := <-d.begun
	c.become(Lend)
	v.hears(t, "wait c\n")
	if gone := <-d.gone; gone != c {
		t.Errorf("%q is gone", gone.text)
	}
	if len(d.gone) > 0 {
		t.Error("what was taken is gone")
	}
}

// A viewer who leaves is noticed.
func TestWaitGone(t *testing.T) {
	d := open(t, Options{}, nobody)
	for _, leave := range []func(*viewerSide){
		func(v *viewerSide) { _ = v.Close() },
		func(v *viewerSide) { _ = v.Conn.(*net.TCPConn).CloseWrite() },
		func(v *viewerSide) { _ = v.Conn.(*net.TCPConn).SetLinger(0); _ = v.Close() },
		func(v *viewerSide) {
			_, _ = io.WriteString(v, "echo more\n")
			_ = v.Conn.(*net.TCPConn).SetLinger(0)
			_ = v.Close()
		},
	} {
		v := d.dial(t)
		v.ask(t, "wait a\n", "")
		a := <-d.begun
		leave(v)
		if gone := <-d.gone; gone != a {
			t.Error("another is gone")
		}
		a.become(Answered) // of which nobody hears
	}
	until(t, "nobody there", func() bool { return d.open.Load() == 0 && d.lent.Load() == 0 })
}

// More wait than may: who comes too late is told so.
func TestTooManyWait(t *testing.T) {
	d := open(t, Options{Room: NewRoom(0, 1)}, nobody)
	v, w := d.dial(t), d.dial(t)
	v.ask(t, "wait a\n", "")
	a := <-d.begun
	w.ask(t, "wait b\n", "full\n")
	w.ends(t)
	a.become(Answered)
	v.ask(t, "wait c\n", "a\n")
	(<-d.begun).become(Answered)
	v.hears(t, "c\n")
}

// When a door closes, others answer who waits; when it is stopped, nobody does.
func TestWaitAtTheEnd(t *testing.T) {
	d := open(t, Options{}, nobody)
	v := d.dial(t)
	v.ask(t, "wait a\n", "")
	a := <-d.begun
	a.verdict = Lend
	_ = d.Close()
	v.ends(t)
	if gone := <-d.gone; gone != a {
		t.Error("another is gone")
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	d.Wait(ctx)
	if ctx.Err() != nil {
		t.Error("it does not end")
	}

	d = open(t, Options{}, nobody)
	v = d.dial(t)
	v.ask(t, "wait a\n", "")
	a = <-d.begun
	a.verdict = Lend
	close(d.stop)
	<-d.ended
	if gone := <-d.gone; gone != a {
		t.Error("another is gone")
	}
	a.turn.Ready()
	v.ends(t)
}

// Those who are lent late, when the door closes, go where they are wanted, and
// Accept gives nobody else.
func TestWaitLate(t *testing.T) {
	late := make(chan net.Conn, 1)
	d := open(t, Options{Late: func(c net.Conn) { late <- c }}, nobody)
	v, w := d.dial(t), d.dial(t)
	w.ask(t, "wait early\n", "")
	early := <-d.begun
	early.become(Lend)
	w.ends(t) // as one whom nobody serves
	v.ask(t, "wait a\n", "")
	a := <-d.begun
	a.verdict = Lend
	_ = d.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	d.Wait(ctx)
	c := (<-late).(*Loan)
	if got := c.Take(); got != Pending(a) {
		t.Errorf("%v was lent", got)
	}
	if n := d.Lent(); n != 1 {
		t.Errorf("%d count as lent", n)
	}
	if _, err := io.WriteString(c, "a\n"); err != nil {
		t.Error(err)
	}
	v.hears(t, "a\n")
	_ = c.Close()
	v.ends(t)
	if d.Lent() != 0 || d.Open() != 0 {
		t.Errorf("%d are lent of %d", d.Lent(), d.Open())
	}
}

// aged has the loop of a door believe that nothing has happened for an hour, and do
// what it does then.
func (d *opened) aged(t *testing.T, then func(*loop)) {
	t.Helper()
	done := make(chan bool)
	l := d.loops[0]
	if !l.send(func() {
		for _, c := range l.conns {
			c.since = l.now.Add(-time.Hour)
		}
		then(l)
		close(done)
	}) {
		t.Fatal("the loop has ended")
	}
	<-done
}

// Who waits does not keep anybody waiting: neither patience nor need of room ends
// the connection, and there is time again for what comes afterwards.
func TestWaitIsNobodysFault(t *testing.T) {
	d := open(t, Options{}, nobody)
	v := d.dial(t)
	for _, then := range []func(*loop){(*loop).shed, (*loop).sweep, func(*loop) {}} {
		v.ask(t, "wait a\nech", "")
		a := <-d.begun
		d.aged(t, then)
		a.become(Answered)
		v.hears(t, "a\n")
		done := make(chan bool)
		d.loops[0].send(func() { d.loops[0].sweep(); close(done) })
		<-done
		v.ask(t, "o b\n", "b\n")
	}
}
