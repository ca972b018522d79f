package h2

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// closings is a connection that tells in what order it was closed.
type closings struct {
	net.Conn

	mu   sync.Mutex
	told []string
}

func (c *closings) tell(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.told = append(c.told, what)
}

func (c *closings) CloseWrite() error {
	c.tell("no more answers")
	return c.Conn.(*net.TCPConn).CloseWrite()
}

func (c *closings) Close() error {
	c.tell("closed")
	return c.Conn.Close()
}

// Who is told that the connection ends, and is still sending, hears the answer
// first.
func TestLastAnswersAreHeard(t *testing.T) {
	var ours *closings
	v := connected(t, func() (net.Conn, net.Conn) {
		mine, theirs := tcp(t)()
		ours = &closings{Conn: theirs}
		return mine, ours
	}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusForbidden)
	}).greet()
	asked := v.open(false, "POST", "/sends")
	got := v.until(heard{}, 1<<30)
	_ = v.WriteData(asked, true, []byte("x")) // which nobody has to want any more
	_ = v.conn.Close()
	<-v.over
	ours.mu.Lock()
	defer ours.mu.Unlock()
	if told := strings.Join(ours.told, ", "); !strings.HasPrefix(got[asked], "403") || told != "no more answers, closed" {
		t.Errorf("%v; %s", got, told)
	}
}

// What the server has not looked at before it said that it would not, the viewer
// may ask again elsewhere.
func TestServersThatLeaveGiveBack(t *testing.T) {
	mine, theirs := tcp(t)()
	h := &answering{given: make(chan net.Conn)}
	v := &viewer{t: t, conn: mine, own: New(wire{theirs}, h, options(), Desks()), h: h, next: 1, over: make(chan struct{})}
	go func() { defer close(v.over); v.own.Serve() }()
	v.Framer, v.enc = http2.NewFramer(mine, mine), hpack.NewEncoder(&v.head)
	v.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	v.greet()
	first, second := v.open(true, "POST", "/first"), v.open(true, "POST", "/second")
	server := <-h.given
	served := make(chan error, 1)
	go func() { served <- leavesAfter(server, first, second) }()
	got := v.until(heard{}, first)
	v.until(got, 1<<30)
	if !strings.HasSuffix(got[second], "REFUSED_STREAM") || !strings.HasPrefix(got[first], "200") {
		t.Errorf("%v", got)
	}
	_ = mine.Close()
	<-v.over
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// leavesAfter is a server that answers one stream, and has not looked at another
// when it says that it will look at no more.
func leavesAfter(conn net.Conn, last, unseen uint32) error {
	defer conn.Close()
	if _, err := io.ReadFull(conn, make([]byte, len(http2.ClientPreface))); err != nil {
		return err
	}
	f := http2.NewFramer(conn, conn)
	for {
		got, err := f.ReadFrame()
		if err != nil {
			return err
		}
		if got.Header().Type == http2.FrameHeaders && got.Header().StreamID == unseen {
			break
		}
	}
	read := make(chan struct{})
	go func() { defer close(read); _, _ = io.Copy(io.Discard, conn) }()
	var head bytes.Buffer
	err := hpack.NewEncoder(&head).WriteField(hpack.HeaderField{Name: ":status", Value: "200"})
	err = errors.Join(err, f.WriteSettings(), f.WriteGoAway(last, http2.ErrCodeNo, nil),
		f.WriteHeaders(http2.HeadersFrameParam{StreamID: last, BlockFragment: head.Bytes(), EndStream: true, EndHeaders: true}))
	<-read // until the other side has had enough
	return err
}
