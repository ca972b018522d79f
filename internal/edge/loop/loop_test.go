//go:build linux

package loop

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// lines answers each line: "echo X" with X, "big N" with N bytes, "lend X" and
// "leave X" by others. It counts what it is told of bodies.
type lines struct {
	big      []byte
	file     *os.File // holds the same
	complete atomic.Int64
	broken   atomic.Int64
	looks    atomic.Int64
	foreseen atomic.Int64 // of which it was told before, and how they were
	wrong    atomic.Int64
	hold     chan struct{} // "hold" waits for it
	begun    chan *later   // "wait X"
	gone     chan *later
}

// Foresee keeps what it is told in a.Own.
func (h *lines) Foresee(all [][]byte, a *Answer) {
	var texts []string
	for _, in := range all {
		texts = append(texts, string(in))
	}
	a.Own = texts
}

func (h *lines) Answer(in []byte, a *Answer) Verdict {
	h.looks.Add(1)
	if a.Foreseen > 0 {
		h.foreseen.Add(1)
		if a.Own.([]string)[a.Foreseen-1] != string(in) {
			h.wrong.Add(1)
		}
	}
	end := bytes.IndexByte(in, '\n')
	if end < 0 {
		return More
	}
	a.Used = end + 1
	word, rest, _ := strings.Cut(string(in[:end]), " ")
	switch word {
	case "echo":
		a.Head = append(append(a.Head, rest...), '\n')
	case "big":
		var n int
		fmt.Sscan(rest, &n)
		a.Head = append(a.Head, "big\n"...)
		a.Body, a.Sent = h.big[:n], h
	case "file":
		a.Head = append(a.Head, "file\n"...)
		a.File, a.Sent = int(h.file.Fd()), h
		fmt.Sscan(rest, &a.At, &a.Length)
	case "hold":
		<-h.hold
	case "wait":
		a.Pending = &later{lines: h, text: rest}
		return Wait
	case "lend":
		return Lend
	default:
		return Leave
	}
	return Answered
}

func (h *lines) Sent(_ int64, complete bool) {
	if complete {
		h.complete.Add(1)
	} else {
		h.broken.Add(1)
	}
}

func (*lines) Refusal() []byte { return []byte("full\n") }

// opened is a door with its handler, whose lent connections are served by others.
type opened struct {
	*Door
	*lines

	stop  chan struct{}
	ended chan struct{}
}

// open runs a door until the test ends. others serve the connections that are
// given away.
func open(t *testing.T, o Options, others func(net.Conn)) *opened {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &lines{hold: make(chan struct{}), big: large(), begun: make(chan *later, 100), gone: make(chan *later, 100)}
	if h.file, err = os.Create(filepath.Join(t.TempDir(), "file")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.file.Close() })
	made := &opened{Door: Listen(l, h, o), lines: h, stop: make(chan struct{}), ended: make(chan struct{})}
	if made.Door == nil {
		t.Fatal("there is no loop")
	}
	var all sync.WaitGroup
	all.Go(func() {
		defer close(made.ended)
		made.Run(made.stop)
	})
	all.Go(func() {
		for {
			c, err := made.Accept()
			if err != nil {
				return
			}
			all.Go(func() { others(c) })
		}
	})
	t.Cleanup(func() {
		select {
		case <-made.stop:
		default:
			close(made.stop)
		}
		all.Wait()
		if n := made.wrong.Load(); n != 0 {
			t.Errorf("%d requests were others than those foreseen", n)
		}
		if n := made.open.Load(); n != 0 {
			t.Errorf("%d connections count as open", n)
		}
	})
	return made
}

func (d *opened) dial(t *testing.T) *viewerSide {
	t.Helper()
	c, err := net.Dial("tcp", d.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(2 * time.Minute))
	return &viewerSide{c, bufio.NewReader(c)}
}

type viewerSide struct {
	net.Conn

	in *bufio.Reader
}

func (v *viewerSide) ask(t *testing.T, text, want string) {
	t.Helper()
	if _, err := io.WriteString(v, text); err != nil {
		t.Fatal(err)
	}
	v.hears(t, want)
}

// ends wants the connection to end without another word.
func (v *viewerSide) ends(t *testing.T) {
	t.Helper()
	if rest, err := io.ReadAll(v.in); len(rest) > 0 || err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%q, %v", rest, err)
	}
}

func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); !is(); {
		if time.Now().After(end) {
			t.Fatal("never " + what)
		}
		<-time.After(time.Millisecond)
	}
}

func nobody(c net.Conn) { _ = c.Close() }

func TestAnswers(t *testing.T) {
	d := open(t, Options{Loops: 2}, nobody)
	for range 3 {
		v := d.dial(t)
		v.ask(t, "echo a\n", "a\n")
		v.ask(t, "echo b\necho c\necho d\n", "b\nc\nd\n")
		v.ask(t, "ec", "")
		v.ask(t, "ho e\nec", "e\n")
		v.ask(t, "ho f\n", "f\n")
	}
}

// What arrives on several connections at once is seen before any of it is answered,
// and each gets its own answers: to several requests, to one that has begun before
// and to one that is lent; and who left gets none.
func TestForeseen(t *testing.T) {
	d := open(t, Options{}, func(c net.Conn) {
		_, _ = io.Copy(io.Discard, c)
		_ = c.Close()
	})
	for round := 0; d.foreseen.Load() < 50; round++ {
		if round == 10_000 {
			t.Fatal("never so many at once")
		}
		var all []*viewerSide
		for range 20 {
			v := d.dial(t)
			v.ask(t, "echo a\n", "a\n")
			all = append(all, v)
		}
		begun, lent, left, holding := d.dial(t), d.dial(t), d.dial(t), d.dial(t)
		begun.ask(t, "ec", "")
		lent.ask(t, "echo b\n", "b\n")
		left.ask(t, "echo c\n", "c\n")
		_, _ = io.WriteString(holding, "hold\n")
		for i, v := range all {
			fmt.Fprintf(v, "echo %d\necho %d\nech", i, -i)
		}
		_, _ = io.WriteString(begun, "ho d\n")
		_, _ = io.WriteString(lent, "leave\n")
		_ = left.Close()
		d.hold <- struct{}{}
		for i, v := range all {
			v.ask(t, "o e\n", fmt.Sprintf("%d\n%d\ne\n", i, -i))
		}
		begun.ask(t, "", "d\n")
		for _, v := range append(all, begun, lent, holding) {
			_ = v.Close()
		}
	}
}

// A viewer who reads slowly gets everything, in order, and others do not wait.
func TestSlowReader(t *testing.T) {
	d := open(t, Options{}, nobody)
	slow := d.dial(t)
	slow.ask(t, "big 30000000\nbig 20\necho end\n", "big\n")
	other := d.dial(t)
	for range 100 {
		other.ask(t, "echo a\n", "a\n")
	}
	if d.complete.Load() != 0 {
		t.Fatal("the system took it all")
	}
	body := make([]byte, 30_000_000)
	if _, err := io.ReadFull(slow.in, body); err != nil || !bytes.Equal(body, d.big[:len(body)]) {
		t.Fatalf("another body, %v", err)
	}
	slow.ask(t, "", "big\n")
	if _, err := io.ReadFull(slow.in, body[:20]); err != nil || !bytes.Equal(body[:20], d.big[:20]) {
		t.Fatalf("another body, %v", err)
	}
	slow.ask(t, "", "end\n")
	slow.ask(t, "echo more\n", "more\n")
	if n := d.complete.Load(); n != 2 {
		t.Errorf("%d bodies are complete", n)
	}
}

// A slow reader gets all of a file, too, and a fast one.
func TestFile(t *testing.T) {
	d := open(t, Options{}, nobody)
	if _, err := d.file.Write(d.big); err != nil {
		t.Fatal(err)
	}
	slow := d.dial(t)
	slow.ask(t, "file 7 30000000\nfile 1 20\necho end\n", "file\n")
	d.dial(t).ask(t, "echo a\n", "a\n")
	body := make([]byte, 30_000_000)
	if _, err := io.ReadFull(slow.in, body); err != nil || !bytes.Equal(body, d.big[7:len(body)+7]) {
		t.Fatalf("another body, %v", err)
	}
	slow.ask(t, "", "file\n")
	if _, err := io.ReadFull(slow.in, body[:20]); err != nil || !bytes.Equal(body[:20], d.big[1:21]) {
		t.Fatalf("another body, %v", err)
	}
	slow.ask(t, "", "end\n")
	short := d.dial(t)
	short.ask(t, "file 33554430 10\n", "file\n")
	if rest, _ := io.ReadAll(short.in); len(rest) != 2 {
		t.Errorf("%q of what is not there", rest)
	}
	until(t, "told of all", func() bool { return d.complete.Load() == 2 && d.broken.Load() == 1 })
}

// Who leaves in the midst of a body is told of as such.
func TestBrokenOff(t *testing.T) {
	d := open(t, Options{}, nobody)
	v := d.dial(t)
	v.ask(t, "big 30000000\n", "big\n")
	_ = v.Close()
	until(t, "told that the body broke off", func() bool { return d.broken.Load() == 1 })
}

// Connections on which nothing happens end, each in its time.
func TestPatience(t *testing.T) {
	slow, later := open(t, Options{First: time.Millisecond}, nobody), open(t, Options{Idle: time.Millisecond, Stall: time.Millisecond}, nobody)
	silent, begun, idle, stalled := slow.dial(t), slow.dial(t), later.dial(t), later.dial(t)
	begun.ask(t, "ech", "")
	idle.ask(t, "echo a\n", "a\n")
	stalled.ask(t, "big 30000000\n", "big\n")
	silent.ends(t)
	begun.ends(t)
	idle.ends(t)
	until(t, "told that the body broke off", func() bool { return later.broken.Load() == 1 })
}

// For whom there is no room is told so, and room comes back.
func TestTooMany(t *testing.T) {
	d := open(t, Options{Room: NewRoom(2, 0)}, nobody)
	a, b := d.dial(t), d.dial(t)
	a.ask(t, "echo a\n", "a\n")
	b.ask(t, "echo b\n", "b\n")
	c := d.dial(t)
	c.ask(t, "", "full\n")
	c.ends(t)
	_ = a.Close()
	until(t, "room for another", func() bool { return d.open.Load() < 2 })
	d.dial(t).ask(t, "echo c\n", "c\n")
}

// More is lent than may be: who comes too late is told so.
func TestTooManyLent(t *testing.T) {
	held := make(chan net.Conn, 10)
	d := open(t, Options{Room: NewRoom(0, 1)}, func(c net.Conn) { held <- c })
	a := d.dial(t)
	a.ask(t, "lend a\n", "")
	first := <-held
	b := d.dial(t)
	b.ask(t, "lend b\n", "full\n")
	b.ends(t)
	_ = first.Close()
	a.ends(t)
	until(t, "nothing lent", func() bool { return d.lent.Load() == 0 })
	d.dial(t).ask(t, "lend c\n", "")
	_ = (<-held).Close()
}

// A lent connection has its one request and nothing of the next, and comes back
// with that.
func TestLend(t *testing.T) {
	d := open(t, Options{}, func(c net.Conn) {
		b := make([]byte, 100)
		n, _ := c.Read(b)
		_, _ = c.Write(bytes.ToUpper(b[:n]))
		c.(*Loan).Rest()
		if n, err := c.Read(b); n != 0 || err != io.EOF { //nolint:errorlint // as a server wants it
			t.Errorf("after the end: %d bytes, %v", n, err)
		}
		_ = c.Close()
		_ = c.Close()
	})
	v := d.dial(t)
	for range 3 {
		v.ask(t, "echo a\nlend b\necho c\nlend d\n", "a\nLEND B\nc\nLEND D\n")
	}
	v.ask(t, "lend b\nec", "LEND B\n")
	v.ask(t, "ho x\n", "x\n")
}

// Who answers finds out that the viewer leaves, and takes no byte for that.
func TestWatch(t *testing.T) {
	watched := make(chan error, 1)
	d := open(t, Options{}, func(c net.Conn) {
		b := make([]byte, 100)
		n, _ := c.Read(b)
		if string(b[:n]) == "lend wait\n" {
			_ = c.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		}
		_, err := c.Read(b[:1])
		watched <- err
		_ = c.SetReadDeadline(time.Time{})
		_, _ = c.Write([]byte("done\n"))
		c.(*Loan).Rest()
		_ = c.Close()
	})
	v := d.dial(t)
	v.ask(t, "lend wait\n", "done\n")
	if err := <-watched; !isTimeout(err) {
		t.Errorf("with nothing there: %v", err)
	}
	v.ask(t, "lend wait\necho a\n", "done\na\n")
	if err := <-watched; !isTimeout(err) {
		t.Errorf("with the next request there: %v", err)
	}
	v.ask(t, "lend\n", "")
	_ = v.Close()
	if err := <-watched; err == nil || isTimeout(err) {
		t.Errorf("after the viewer left: %v", err)
	}
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// What is left to others stays with them, with everything that was read.
func TestLeave(t *testing.T) {
	d := open(t, Options{}, func(c net.Conn) {
		_, _ = io.Copy(c, io.LimitReader(c, 15))
		_ = c.Close()
	})
	v := d.dial(t)
	v.ask(t, "echo a\nleave b\necho c\n", "a\nleave b\necho c\n")
	v.ask(t, "xyz", "")
	v.ends(t)
}

// What is torn apart too often is left, so that nobody reads it over and over; and
// not before, since those who are slow shall take little room.
func TestDrops(t *testing.T) {
	const first = 20_000
	left := make(chan net.Conn, 1)
	d := open(t, Options{}, func(c net.Conn) { left <- c })
	v := d.dial(t)
	sent := bytes.Repeat([]byte("a"), first)
	_, _ = v.Write(sent)
	until(t, "looked at", func() bool { return d.looks.Load() > 0 })
	again := 0
	for ; len(left) == 0; again += len(sent) {
		looks := d.looks.Load()
		_, _ = v.Write([]byte("b"))
		sent = append(sent, 'b')
		until(t, "looked at once more", func() bool { return d.looks.Load() > looks || len(left) > 0 })
	}
	if again < mostAgain-4*first || again > mostAgain+first {
		t.Errorf("left after %d bytes were looked at again", again)
	}
	c := <-left
	defer c.Close()
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, sent) {
		t.Errorf("others got something else: %v", err)
	}
}

// A door that closes lets answers end that are under way, and who is idle go.
func TestClose(t *testing.T) {
	d := open(t, Options{Loops: 2}, nobody)
	idle, slow := d.dial(t), d.dial(t)
	idle.ask(t, "echo a\n", "a\n")
	slow.ask(t, "big 30000000\n", "big\n")
	_ = d.Close()
	_ = d.Close()
	idle.ends(t)
	body := make([]byte, 30_000_000)
	if _, err := io.ReadFull(slow.in, body); err != nil || !bytes.Equal(body, d.big[:len(body)]) {
		t.Fatalf("another body, %v", err)
	}
	slow.ends(t)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	d.Wait(ctx)
	if ctx.Err() != nil {
		t.Error("it does not end")
	}
	if _, err := net.Dial("tcp", d.Addr().String()); err == nil {
		t.Error("it still accepts")
	}
}

// A door that is stopped waits for nobody.
func TestStop(t *testing.T) {
	d := open(t, Options{}, nobody)
	v := d.dial(t)
	v.ask(t, "big 30000000\n", "big\n")
	close(d.stop)
	<-d.ended
	if d.broken.Load() != 1 {
		t.Error("nobody was told of the answer that broke off")
	}
}

// A connection that comes back when there are no loops any more is closed.
func TestComeBackTooLate(t *testing.T) {
	held := make(chan net.Conn, 1)
	d := open(t, Options{}, func(c net.Conn) {
		b := make([]byte, 100)
		_, _ = c.Read(b)
		c.(*Loan).Rest()
		held <- c
	})
	v := d.dial(t)
	v.ask(t, "lend a\n", "")
	c := <-held
	close(d.stop)
	<-d.ended
	_ = c.Close()
	v.ends(t)
}

// Thousands of idle connections are held by a few goroutines, and none is lost.
func TestIdle(t *testing.T) {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		t.Fatal(err)
	}
	n := min(10_000, int(l.Cur)/2-200)
	d := open(t, Options{Loops: 2, First: time.Hour, Idle: time.Hour}, nobody)
	all := make([]*viewerSide, n)
	for i := range all {
		all[i] = d.dial(t)
	}
	for i, v := range all {
		v.ask(t, fmt.Sprintf("echo %d\n", i), fmt.Sprintln(i))
	}
	if got := d.open.Load(); got != int64(n) {
		t.Errorf("%d of %d are open", got, n)
	}
}

// A server of net/http finds its connections good for more than one request.
func TestServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := Listen(l, lendAll{}, Options{})
	stop := make(chan struct{})
	s := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.Path) }),
		ConnState: func(c net.Conn, state http.ConnState) {
			if state == http.StateIdle {
				c.(*Loan).Rest()
			}
		},
	}
	var all sync.WaitGroup
	all.Go(func() { d.Run(stop) })
	all.Go(func() { _ = s.Serve(d) })
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(c)
	for i := range 100 {
		fmt.Fprintf(c, "GET /%d HTTP/1.1\r\nHost: a\r\n\r\n", i)
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(resp.Body); string(body) != fmt.Sprint("/", i) {
			t.Fatalf("%q, %v", body, err)
		}
		_ = resp.Body.Close()
	}
	if err := s.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	_ = c.Close()
	all.Wait()
	if d.open.Load() != 0 || d.lent.Load() != 0 {
		t.Errorf("%d open, %d lent", d.open.Load(), d.lent.Load())
	}
}

// lendAll lends whatever ends with an empty line.
type lendAll struct{}

func (lendAll) Answer(in []byte, a *Answer) Verdict {
	i := bytes.Index(in, []byte("\r\n\r\n"))
	a.Used = i + 4
	if i < 0 {
		return More
	}
	return Lend
}

func (lendAll) Refusal() []byte { return nil }
