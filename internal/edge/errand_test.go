package edge

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/edge/loop"
)

// heldLine is a loop.Line and the loop.Turn that it is from. What arrives is what a
// test wants.
type heldLine struct {
	t     testing.TB
	to    loop.Listening
	ready chan bool

	in     []string
	ended  bool
	out    strings.Builder
	closed bool
	there  net.Conn // the other end, once the line was left
}

func newHeldLine(t testing.TB) *heldLine { return &heldLine{t: t, ready: make(chan bool, 100)} }

func (l *heldLine) Ready() { l.ready <- true }

func (l *heldLine) Hold(c net.Conn, to loop.Listening) (loop.Line, error) {
	l.to = to
	return l, c.Close()
}

func (l *heldLine) Write(p []byte) (int, error) { return l.out.Write(p) }

func (l *heldLine) Read(p []byte) (int, error) {
	switch {
	case len(l.in) > 0:
		n := copy(p, l.in[0])
		l.in = l.in[1:]
		return n, nil
	case l.ended:
		return 0, io.EOF
	}
	return 0, loop.ErrNothing
}

func (l *heldLine) Close() { l.closed = true }

// Leave returns a connection of which the test has the other end.
func (l *heldLine) Leave() (net.Conn, error) {
	at, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		l.t.Fatal(err)
	}
	defer at.Close()
	here, err := net.Dial("tcp", at.Addr().String())
	if err != nil {
		l.t.Fatal(err)
	}
	if l.there, err = at.Accept(); err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { l.there.Close() })
	return here, nil
}

// arrives has the line hear of something.
func (l *heldLine) arrives(what ...string) {
	l.in = append(l.in, what...)
	l.to.Arrived()
}

// errandTest is an edge whose loop has one line to the origin.
type errandTest struct {
	*heldLine

	edge   *Edge
	quick  *quick
	a      loop.Answer
	origin *slowOrigin // itself
}

func newErrandTest(t testing.TB) *errandTest {
	et := &errandTest{heldLine: newHeldLine(t)}
	o := newSlowOrigin(t)
	o.letAll()
	e, err := New(toRaw(Config{Distributions: manySided(), First: "E1"}, o.URL))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	et.edge, et.quick, et.origin = e, &quick{e}, o
	et.a.Viewer = someViewer{}
	return et
}

const wholeAnswerText = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nCache-Control: max-age=1000\r\n\r\nline"

// begins asks for a path that is not cached.
func (et *errandTest) begins(path string) *missed {
	et.t.Helper()
	et.a.Head, et.a.Now = et.a.Head[:0], time.Now()
	if v := et.quick.Answer(fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: www.example.com\r\n\r\n", path), &et.a); v != loop.Wait {
		et.t.Fatalf("%s: %v", path, v)
	}
	m := et.a.Pending.(*missed)
	m.Begin(et)
	return m
}

// warm has a connection to the origin that nobody uses.
func (et *errandTest) warm() {
	et.t.Helper()
	m := et.begins("/warm")
	<-et.ready
	et.answered(m, "of /warm")
	eventually(et.t, "it is stored", func() bool { _, f := et.edge.viewing(); return f == 0 })
}

// answered wants the loop to answer.
func (et *errandTest) answered(m *missed, body string) {
	et.t.Helper()
	et.a.Head = et.a.Head[:0]
	if v := m.Answer(&et.a); v != loop.Answered || !strings.HasSuffix(string(et.a.Head), "\r\n\r\n"+body) {
		et.t.Fatalf("%v: %q, want %q", v, et.a.Head, body)
	}
}

// A loop asks for what is plain itself, on a connection that was used before, and
// stores the answer.
func TestErrand(t *testing.T) {
	et := newErrandTest(t)
	et.warm()
	for i := range 3 {
		path := fmt.Sprint("/a", i)
		m := et.begins(path)
		if got := et.out.String(); !strings.HasPrefix(got, "GET "+path+" HTTP/1.1\r\nHost: ") || !strings.HasSuffix(got, "\r\n\r\n") || !strings.Contains(got, "X-Amz-Cf-Id: "+m.id) {
			t.Fatalf("%q", got)
		}
		et.out.Reset()
		joins := et.begins(path)
		et.to.Arrived() // of nothing
		if len(et.ready) > 0 {
			t.Fatal("there is an answer already")
		}
		et.arrives(wholeAnswerText)
		if len(et.ready) != 2 {
			t.Fatalf("%d have their turn", len(et.ready))
		}
		<-et.ready
		<-et.ready
		et.answered(m, "line")
		if !strings.Contains(string(et.a.Head), "\r\nX-Cache: Miss from") {
			t.Errorf("%q", et.a.Head)
		}
		et.answered(joins, "line")
		if !strings.Contains(string(et.a.Head), "\r\nX-Cache: Hit from") {
			t.Errorf("%q", et.a.Head)
		}
		if v := quickly(et.edge, &et.a, "GET "+path+" HTTP/1.1\r\nHost: www.example.com\r\n\r\n"); v != loop.Answered {
			t.Errorf("it is not stored: %v", v)
		}
	}
	if v, f := et.edge.viewing(); v != 0 || f != 0 || et.closed || et.there != nil {
		t.Errorf("%d viewers wait for %d fetches; closed %v", v, f, et.closed)
	}
}

// What was invalidated while a loop waited for it goes to whom it was for, is not
// stored, and is not what those get who come afterwards.
func TestErrandHeedsInvalidations(t *testing.T) {
	et := newErrandTest(t)
	et.warm()
	m := et.begins("/a")
	if err := et.edge.Invalidate("E1", []freshet.Pattern{"/a"}); err != nil {
		t.Fatal(err)
	}
	later := et.begins("/a") // which the origin itself is asked for, since the line is busy
	et.arrives(wholeAnswerText)
	et.answered(m, "line")
	<-et.ready
	<-et.ready
	et.brought(later, "/a", "of /a")
}

// brought wants the answer to a request, however it has arrived, to be stored.
func (et *errandTest) brought(m *missed, path, body string) {
	et.t.Helper()
	eventually(et.t, "it is stored", func() bool { return !et.runs(m.joined.fill) })
	if m.joined.stream == nil {
		et.answered(m, body)
	}
	if v := quickly(et.edge, &et.a, "GET "+path+" HTTP/1.1\r\nHost: www.example.com\r\n\r\n"); v != loop.Answered || !strings.HasSuffix(string(et.a.Head), "\r\n\r\n"+body) {
		et.t.Errorf("%s: %v, %q, want %q", path, v, et.a.Head, body)
	}
}

func (et *errandTest) runs(f *fill) bool {
	s := et.edge.serving().byID["E1"]
	s.mu.Lock()
	defer s.mu.Unlock()
	_, runs := s.running[f]
	return runs
}

// What does not arrive as a whole is waited for by others, who go on from there.
func TestErrandLeft(t *testing.T) {
	chunked := strings.Replace(wholeAnswerText, "Content-Length: 4", "Transfer-Encoding: chunked", 1)
	chunked = strings.TrimSuffix(chunked, "line") + "4\r\nline\r\n0\r\n\r\n"
	for name, tt := range map[string]struct {
		come  func(*errandTest)
		after string
	}{
		"in pieces":  {func(et *errandTest) { et.arrives(wholeAnswerText[:20]) }, wholeAnswerText[20:]},
		"at the end": {func(et *errandTest) { et.to.Ending() }, wholeAnswerText},
		"chunked":    {func(et *errandTest) { et.arrives(chunked) }, ""},
		"interim":    {func(et *errandTest) { et.arrives("HTTP/1.1 100 Continue\r\n\r\n") }, wholeAnswerText},
		"last": {func(et *errandTest) {
			et.arrives(strings.Replace(wholeAnswerText, "\r\n", "\r\nConnection: close\r\n", 1))
		}, ""},
	} {
		et := newErrandTest(t)
		et.warm()
		asked := et.origin.asked.Load()
		m := et.begins("/a")
		tt.come(et)
		if et.there == nil {
			t.Fatal(name, "is not left")
		}
		_, _ = io.WriteString(et.there, tt.after)
		<-et.ready
		et.brought(m, "/a", "line")
		if n := et.origin.asked.Load(); n != asked {
			t.Errorf("%s: the origin was asked %d times more", name, n-asked)
		}
	}
}

// Bodies that take a while to arrive are read by the loop, up to some length, and
// afterwards by others, whatever piece they begin with.
func TestErrandBodies(t *testing.T) {
	for _, size := range []int{0, 1, looped, looped + 1, largeBody - 1, largeBody, errandBody, errandBody + 1, 3 * errandBody} {
		for _, first := range []int{0, 10, 70_000} {
			et := newErrandTest(t)
			et.warm()
			body := strings.Repeat("0123456789abcde\n", size/16+1)[:size]
			text := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\nCache-Control: max-age=1000\r\n\r\n", size)
			head := len(text)
			text += body
			m, joins := et.begins("/a"), et.begins("/a")
			at := min(head+first, len(text), errandSize)
			for et.arrives(text[:at]); et.there == nil && at < len(text); {
				if len(et.ready) > 0 {
					t.Fatalf("%d: an answer is there after %d bytes", size, at-head)
				}
				next := min(at+50_000, len(text))
				et.arrives(text[at:next])
				at = next
			}
			if left := et.there != nil; left != (size > errandBody) {
				t.Errorf("%d from %d on: left %v", size, first, left)
			}
			if et.there != nil {
				_, _ = io.WriteString(et.there, text[at:])
			}
			<-et.ready
			<-et.ready
			eventually(t, "it is stored", func() bool { return !et.runs(m.joined.fill) })
			if m.joined.stream == nil {
				et.sends(m, body)
				et.sends(joins, body)
			} else {
				m.Gone()
				joins.Gone()
			}
			if got := et.edge.find(&m.query); got == nil || got.size() != int64(size) {
				t.Errorf("%d from %d on: not stored", size, first)
			}
			if et.edge.room.taken() != 0 || et.to.(*errand).of.held != 0 {
				t.Errorf("%d from %d on: %d bytes are counted, %d held", size, first, et.edge.room.taken(), et.to.(*errand).of.held)
			}
		}
	}
}

// sends wants the loop to send a body, and says that it has.
func (et *errandTest) sends(m *missed, body string) {
	et.t.Helper()
	et.a.Head, et.a.Body, et.a.Sent = et.a.Head[:0], nil, nil
	v := m.Answer(&et.a)
	_, sent, _ := strings.Cut(string(et.a.Head), "\r\n\r\n")
	if sent += string(et.a.Body); v != loop.Answered || sent != body {
		et.t.Fatalf("%v: %.300q and %d bytes, want %d", v, et.a.Head, len(sent), len(body))
	}
	if et.a.Sent != nil {
		et.a.Sent.Sent(int64(len(body)), true)
	}
}

// A body that comes slowly is passed on by others as it comes, one that breaks off
// is broken off, and where there is no memory no loop holds any.
func TestErrandBodiesThatAreOthers(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\nContent-Length: 20000\r\nCache-Control: max-age=1000\r\n\r\n"
	body := strings.Repeat("0123456789", 2000)
	for name, leave := range map[string]func(*errandTest){
		"slow": func(et *errandTest) { et.to.Tick(time.Now()); et.to.Tick(time.Now().Add(time.Hour)) },
		"end":  func(et *errandTest) { et.to.Ending() },
	} {
		et := newErrandTest(t)
		et.warm()
		m := et.begins("/a")
		et.arrives(head + body[:5000])
		et.arrives(body[5000:9000])
		if et.there != nil {
			t.Fatal(name, "left too early")
		}
		if leave(et); et.there == nil {
			t.Fatal(name, "not left")
		}
		_, _ = io.WriteString(et.there, body[9000:])
		<-et.ready
		eventually(t, "it is stored", func() bool { return !et.runs(m.joined.fill) })
		if got := et.edge.find(&m.query); got == nil || string(got.body) != body {
			t.Error(name, "is not stored")
		}
	}

	et := newErrandTest(t)
	et.warm()
	m := et.begins("/a")
	et.arrives(head + body[:5000])
	et.ended = true
	et.to.Arrived()
	et.there.Close()
	<-et.ready
	eventually(t, "it is over", func() bool { return !et.runs(m.joined.fill) })
	if m.joined.stream == nil || m.joined.stream.err == nil || et.edge.find(&m.query) != nil {
		t.Error("half a body is a whole one")
	}

	for name, fill := range map[string]func(*errandTest){
		"loop": func(et *errandTest) { et.to.(*errand).of.held = errandBodies },
		"room": func(et *errandTest) { et.edge.room.small.Store(et.edge.room.limit) },
	} {
		et := newErrandTest(t)
		et.warm()
		et.begins("/a")
		fill(et)
		if et.arrives(head + body[:5000]); et.there == nil {
			t.Error(name, "has room")
		}
	}
}

// An origin that has closed the connection, or takes too long, is asked again, as
// anybody asks: once.
func TestErrandAskedAgain(t *testing.T) {
	late := func(et *errandTest) { et.to.(*errand).until = time.Now().Add(-time.Hour) }
	for name, fail := range map[string]func(*errandTest){
		"ended":       func(et *errandTest) { et.ended = true; et.to.Arrived(); et.there.Close() },
		"slow":        func(et *errandTest) { et.to.Tick(time.Now()); late(et); et.to.Tick(time.Now()) },
		"half a head": func(et *errandTest) { late(et); et.arrives(wholeAnswerText[:40]) },
	} {
		et := newErrandTest(t)
		et.warm()
		asked := et.origin.asked.Load()
		m := et.begins("/a")
		fail(et)
		if et.there == nil {
			t.Fatal(name, "is not left")
		}
		<-et.ready
		et.brought(m, "/a", "of /a")
		if n := et.origin.asked.Load(); n != asked+1 {
			t.Errorf("%s: the origin was asked %d times", name, n-asked)
		}
	}
}

// An answer that breaks off is no answer: it is neither stored nor asked for again.
func TestErrandBreaksOff(t *testing.T) {
	for _, part := range []string{wholeAnswerText[:40], strings.Replace(wholeAnswerText, "200", "2000", 1), "garbage\r\n\r\n", strings.Replace(wholeAnswerText, "4", "4, 5", 1)} {
		et := newErrandTest(t)
		et.warm()
		asked := et.origin.asked.Load()
		m := et.begins("/a")
		et.arrives(part)
		et.there.Close()
		<-et.ready
		et.a.Head = et.a.Head[:0]
		if v := m.Answer(&et.a); v != loop.Answered || !strings.HasPrefix(string(et.a.Head), "HTTP/1.1 502 ") {
			t.Errorf("%q: %v, %.100q", part, v, et.a.Head)
		}
		if n := et.origin.asked.Load(); n != asked {
			t.Errorf("%q: the origin was asked %d times more", part, n-asked)
		}
	}
}

// A viewer who leaves leaves the errand to others; who leaves too many has the
// oldest given up.
func TestErrandOrphaned(t *testing.T) {
	et := newErrandTest(t)
	et.warm()
	m := et.begins("/a")
	m.Gone()
	if v, f := et.edge.viewing(); v != 0 || f != 1 {
		t.Fatalf("%d viewers, %d fetches", v, f)
	}
	et.to.Tick(time.Now()) // which has nothing to give up
	m.joined.giveUp()
	et.to.Tick(time.Now())
	eventually(t, "it is given up", func() bool { _, f := et.edge.viewing(); return f == 0 })
	if n, err := et.there.Read(make([]byte, 1)); n > 0 || err == nil {
		t.Error("the connection is there")
	}
	m = et.begins("/a")
	<-et.ready
	et.brought(m, "/a", "of /a")
}

// A connection on which something arrives that nobody has asked for is not used,
// nor one that was idle for too long.
func TestErrandConnectionsEnd(t *testing.T) {
	for name, end := range map[string]func(*errandTest){
		"closed":     func(et *errandTest) { et.ended = true; et.to.Arrived() },
		"said more":  func(et *errandTest) { et.arrives("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil") },
		"unnoticed":  func(et *errandTest) { et.in = []string{"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"} },
		"idle":       func(et *errandTest) { et.to.Tick(time.Now().Add(time.Hour)) },
		"hung up":    func(et *errandTest) { et.edge.serving().byID["E1"].close(); et.to.Tick(time.Now()) },
		"loops' end": func(et *errandTest) { et.to.Ending() },
	} {
		et := newErrandTest(t)
		et.warm()
		m := et.begins("/a")
		et.arrives(wholeAnswerText)
		<-et.ready
		et.answered(m, "line")
		et.out.Reset()
		end(et)
		m = et.begins("/b")
		<-et.ready
		et.answered(m, "of /b")
		if !et.closed || et.out.Len() > 0 {
			t.Errorf("%s: closed %v, asked %q", name, et.closed, et.out.String())
		}
	}
}
