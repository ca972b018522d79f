package edge

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/freshet/freshet/internal/edge/loop"
)

// shaken is a listener on which viewers speak TLS, and net/http answers them all.
type shaken struct {
	net.Listener

	edge *Edge
	over *tls.Config
}

func (s *shaken) Accept() (net.Conn, error) {
	c, err := s.Listener.Accept()
	if err != nil {
		return nil, err
	}
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	secure := tls.Server(c, s.over)
	_ = secure.Handshake() // who fails is found out by reading
	_ = c.SetDeadline(time.Time{})
	return &secureConn{&viewerConn{Conn: secure, edge: s.edge}, secure.ConnectionState()}, nil
}

// newTwoSecureDoors are two doors that speak HTTP/1.1 over TLS. asked is the name
// that viewers ask for.
func newTwoSecureDoors(t testing.TB, asked string) *twoDoors {
	t.Helper()
	self := authority(t)
	both := &twoDoors{full: newDoorUnderTest(t), quick: newDoorUnderTest(t)}
	both.full.serve(t, func(l net.Listener) net.Listener { return &shaken{l, both.full.edge, both.full.edge.TLS(nil, self)} })
	both.quick.serve(t, func(l net.Listener) net.Listener {
		e := both.quick.edge
		d := e.Door(l, e.TLS(nil, self)).(*secureDoor)
		both.quick.seen = &seenPieces{quick: &quick{e}, looked: make(chan int, 1)}
		d.mu.Lock()
		d.quick = both.quick.seen
		d.mu.Unlock()
		return d
	})
	over := &tls.Config{RootCAs: self.Pool(), ServerName: asked, NextProtos: []string{"http/1.1"}}
	both.full.over, both.quick.over = over, over
	return both
}

// What net/http and the door itself answer over TLS is alike.
func TestDoorsAnswerAlikeOverTLS(t *testing.T) {
	both := newTwoSecureDoors(t, "www.example.com")
	for _, text := range recordedRequests {
		both.ask(t, text+text+ending)
	}
	if both.quick.edge.Stats().Hits < 40 {
		t.Errorf("%+v", both.quick.edge.Stats())
	}
	const text = "GET /typed?a HTTP/1.1\r\nHost: www.example.com\r\nAccept-Encoding: gzip\r\n\r\nHEAD /b HTTP/1.1\r\nHost: www.example.com\r\n\r\n" +
		"POST /methods/a HTTP/1.1\r\nHost: www.example.com\r\nContent-Length: 3\r\n\r\nabc" + ending
	for i := 1; i < len(text); i += 9 {
		both.ask(t, text, i)
	}
}

// What is generated means the same, too.
func TestDoorsAnswerAlikeToWhatIsGeneratedOverTLS(t *testing.T) {
	both := newTwoSecureDoors(t, "127.0.0.1")
	rapid.Check(t, func(rt *rapid.T) {
		var text strings.Builder
		for range rapid.IntRange(1, 4).Draw(rt, "requests") {
			text.WriteString(generatedRequest(rt))
		}
		all := text.String()
		var pieces []int
		if rapid.IntRange(0, 4).Draw(rt, "torn") == 0 && all != "" {
			pieces = append(pieces, rapid.IntRange(1, len(all)).Draw(rt, "where"))
		}
		both.ask(rt, all+ending, pieces...)
	})
	if both.quick.edge.Stats().Hits < 20 {
		t.Errorf("%+v", both.quick.edge.Stats())
	}
}

// A connection that was lent for a miss is answered by the door again afterwards,
// whatever the viewer sends meanwhile.
func TestSecureConnectionsComeBack(t *testing.T) {
	both := newTwoSecureDoors(t, "www.example.com")
	d := both.quick
	conn := d.dial(t)
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	r := bufio.NewReader(conn)
	ask := func(text string, answers int) {
		t.Helper()
		if _, err := io.WriteString(conn, text); err != nil {
			t.Fatal(err)
		}
		for range answers {
			resp, err := http.ReadResponse(r, nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
				t.Fatal(resp.Status, err)
			}
		}
	}
	const missed, hit = "GET /never/a HTTP/1.1\r\nHost: www.example.com\r\n\r\n", "GET /a HTTP/1.1\r\nHost: www.example.com\r\n\r\n"
	ask(hit, 1)
	for range 20 {
		ask(missed, 1)
		ask(missed+hit+hit+missed+hit, 5)
		for len(d.seen.looked) > 0 {
			<-d.seen.looked
		}
		ask(hit, 1)
		if len(d.seen.looked) == 0 {
			t.Fatal("net/http has kept the connection")
		}
	}
}

// Once the door is closed idle connections end, and no answer is lost.
func TestSecureDoorLetsGo(t *testing.T) {
	self := authority(t)
	e := open(t, fixed(200, strings.Repeat("x", 300_000), "Cache-Control", "max-age=100"), Config{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	door := e.Door(l, e.TLS(nil, self))
	s := Server(e)
	done := make(chan error, 1)
	go func() { done <- s.Serve(door) }()
	get(e, "/a")
	settle(t, e)
	dial := func() *tls.Conn {
		conn, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{RootCAs: self.Pool(), ServerName: "e1.cloudfront.localhost"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		_ = conn.SetDeadline(time.Now().Add(time.Minute))
		return conn
	}
	idle, used, busy := dial(), dial(), dial()
	read := func(c *tls.Conn) int64 {
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	const request = "GET /a HTTP/1.1\r\nHost: e1.cloudfront.localhost\r\n\r\n"
	_, _ = io.WriteString(used, request)
	read(used)
	_, _ = io.WriteString(busy, request)
	one := make([]byte, 1)
	if _, err := io.ReadFull(busy, one); err != nil {
		t.Fatal(err)
	}
	shut := make(chan error, 1)
	go func() { shut <- s.Shutdown(t.Context()) }()
	for _, c := range []*tls.Conn{idle, used} {
		if n, err := c.Read(one); n > 0 || err == nil || isTimeout(err) {
			t.Errorf("an idle connection goes on: %d, %v", n, err)
		}
	}
	resp, err := http.ReadResponse(bufio.NewReader(io.MultiReader(strings.NewReader(string(one)), busy)), nil)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, resp.Body); n != 300_000 || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	door.(*secureDoor).Wait(t.Context())
	if err := <-shut; err != nil {
		t.Error(err)
	}
	<-done
}

var _ loop.Handler = (*seenPieces)(nil)
