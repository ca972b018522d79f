package edge

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freshet/freshet/internal/distribution"
)

// limited is an edge with a plain door and one for TLS, and an origin that answers
// /slow… once it is let.
type limited struct {
	*Edge
	plain, secure string
	over          *tls.Config
	let           chan struct{}
}

func openLimited(t *testing.T, c Config) *limited {
	t.Helper()
	l := &limited{let: make(chan struct{})}
	o := &recorded{answer: func(r *http.Request) (*http.Response, error) {
		if strings.HasPrefix(r.URL.Path, "/slow") {
			select {
			case <-l.let:
			case <-r.Context().Done():
				return nil, r.Context().Err()
			}
		}
		if r.Body != nil {
			_, _ = io.Copy(io.Discard, r.Body)
		}
		return reply(200, "body", "Cache-Control", "max-age=1000"), nil
	}}
	c.OriginTimeout = time.Hour
	l.Edge = open(t, o, c)
	get(l.Edge, "/hit")
	settle(t, l.Edge)
	self := authority(t)
	l.plain, l.secure = listening(t, l.Edge), listeningTLS(t, l.Edge, l.TLS(nil, self))
	l.over = &tls.Config{RootCAs: self.Pool(), ServerName: "e1.cloudfront.localhost"}
	return l
}

func (l *limited) dial(t *testing.T, protocol string) net.Conn {
	t.Helper()
	var c net.Conn
	var err error
	if protocol == "" {
		c, err = net.Dial("tcp", l.plain)
	} else {
		over := l.over.Clone()
		over.NextProtos = []string{protocol}
		c, err = tls.Dial("tcp", l.secure, over)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(2 * time.Minute))
	return c
}

const (
	hitText  = "GET /hit HTTP/1.1\r\nHost: e1.cloudfront.localhost\r\n\r\n"
	slowText = "GET /slow%d HTTP/1.1\r\nHost: e1.cloudfront.localhost\r\n\r\n"
)

// status is that of the answer to a text; 0 if the connection ends.
func statusOf(t *testing.T, c net.Conn, text string) int {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		return 0
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusServiceUnavailable {
		page, err := io.ReadAll(resp.Body)
		if !bytes.Contains(page, []byte(overfull)) || resp.Header.Get("X-Cache") == "" || err != nil {
			t.Errorf("%v %s", resp.Header, page)
		}
	}
	return resp.StatusCode
}

// Where as many requests as there may be wait for an origin, hits are answered by
// all doors, and others are told at once that there is no room, over HTTP/2 too;
// and when those have their answers, there is.
func TestTooManyRequests(t *testing.T) {
	l := openLimited(t, Config{Requests: 3})
	for i, protocol := range []string{"", "http/1.1"} {
		_, _ = fmt.Fprintf(l.dial(t, protocol), slowText, i)
	}
	client := browserOf(t, l.secure, l.over.RootCAs, true)
	third := make(chan error, 1)
	go func() {
		resp, err := client.Get("https://e1.cloudfront.localhost/slow3")
		if err == nil {
			_ = resp.Body.Close()
		}
		third <- err
	}()
	until(t, "full", func() bool { return l.connections.Lent() == 3 })
	for _, protocol := range []string{"", "http/1.1"} {
		c := l.dial(t, protocol)
		if got := statusOf(t, c, hitText); got != 200 {
			t.Errorf("%q: a hit is answered with %d", protocol, got)
		}
		if got := statusOf(t, c, "GET /another HTTP/1.1\r\nHost: e1.cloudfront.localhost\r\n\r\n"); got != 503 {
			t.Errorf("%q: a miss is answered with %d", protocol, got)
		}
	}
	for path, want := range map[string]int{"/hit": 200, "/another": 503} {
		resp, err := client.Get("https://e1.cloudfront.localhost" + path)
		if err != nil || resp.StatusCode != want || resp.ProtoMajor != 2 {
			t.Fatalf("%s over HTTP/2: %+v, %v", path, resp, err)
		}
		_ = resp.Body.Close()
	}
	close(l.let)
	if err := <-third; err != nil {
		t.Error(err)
	}
	until(t, "empty", func() bool { return l.connections.Lent() == 0 })
	if got := statusOf(t, l.dial(t, "http/1.1"), "GET /another HTTP/1.1\r\nHost: e1.cloudfront.localhost\r\n\r\n"); got != 200 {
		t.Errorf("afterwards: %d", got)
	}
}

// All doors have one room. If it is full of those who say nothing, they leave for
// whoever comes, at whichever door: idle ones, those who do not shake hands, and
// those whose requests do not come to their ends.
func TestDoorsShareTheirRoom(t *testing.T) {
	const most = 6
	l := openLimited(t, Config{Connections: most})
	silent := []net.Conn{l.dial(t, ""), l.dial(t, "http/1.1"), l.dial(t, "h2")}
	if got := statusOf(t, silent[1], hitText); got != 200 {
		t.Fatal(got)
	}
	slow := l.dial(t, "http/1.1")
	_, _ = io.WriteString(slow, "GET /hit HTTP/1.1\r\nHo")
	unshaken, err := net.Dial("tcp", l.secure)
	if err != nil {
		t.Fatal(err)
	}
	defer unshaken.Close()
	busy := l.dial(t, "http/1.1")
	_, _ = fmt.Fprintf(busy, slowText, 0)
	until(t, "asked", func() bool { return l.connections.Lent() == 1 })
	for range 2 * most { // each of whom stays
		until(t, "answered", func() bool {
			c, err := net.Dial("tcp", l.plain)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = c.Close() })
			_ = c.SetDeadline(time.Now().Add(2 * time.Minute))
			return statusOf(t, c, hitText) == 200
		})
	}
	for i, c := range append(silent, slow, unshaken) {
		_ = c.SetDeadline(time.Now().Add(2 * time.Minute))
		if _, err := io.Copy(io.Discard, c); timedOut(err) {
			t.Errorf("connection %d is still there", i)
		}
	}
	close(l.let)
	resp, err := http.ReadResponse(bufio.NewReader(busy), nil)
	if err != nil || resp.StatusCode != 200 {
		t.Errorf("who was waiting for an answer: %+v, %v", resp, err)
	}
}

// Who says nothing although net/http has his connection leaves it when others need
// the room.
func TestSilentGuestsMakeRoom(t *testing.T) {
	l := openLimited(t, Config{Requests: 1, Distributions: []distribution.Distribution{behaving(func(b *distribution.CacheBehavior) {
		b.AllowedMethods = []string{"GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"}
	})}})
	for i, protocol := range []string{"", "http/1.1"} {
		until(t, "room", func() bool {
			return statusOf(t, l.dial(t, protocol), "POST /a HTTP/1.1\r\nHost: e1.cloudfront.localhost\r\nContent-Length: 1\r\n\r\na") == 200
		})
		until(t, "room for another", func() bool {
			return statusOf(t, l.dial(t, ""), fmt.Sprintf("GET /another%d HTTP/1.1\r\nHost: e1.cloudfront.localhost\r\n\r\n", i)) == 200
		})
	}
}

// A body has its time for each part, in which the time does not count that others
// take.
func TestBodiesHaveTheirTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all guests
		ended := 0
		g := &guest{}
		gone := make(chan struct{})
		g.end = func() { ended++; close(gone) }
		all.enter(g)
		m := moving{guest: g}
		slow := func(bytes int, takes time.Duration) func([]byte) (int, error) {
			return func([]byte) (int, error) {
				select {
				case <-time.After(takes):
					return bytes, nil
				case <-gone:
					return 0, net.ErrClosed
				}
			}
		}
		quiet := func() {
			t.Helper()
			if all.shed(); ended > 0 {
				t.Fatal("the guest had to leave")
			}
		}
		for range 5 {
			if _, err := m.part(slow(patientBytes, headerPatience-time.Second), nil); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute) // of others
			quiet()
		}
		if _, err := m.part(slow(1, headerPatience-time.Second), nil); err != nil {
			t.Fatal(err)
		}
		failed := make(chan error, 1)
		go func() {
			_, err := m.part(slow(1, time.Hour), nil)
			failed <- err
		}()
		synctest.Wait()
		quiet()
		time.Sleep(2 * time.Second)
		if all.shed(); ended != 1 || <-failed == nil {
			t.Error("the guest did not have to leave")
		}
		all.leave(g)
		quietly := guests{}
		quietly.shed() // of nobody
	})
}
