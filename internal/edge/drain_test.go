package edge

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// hammering are viewers who send one request after another, each once the one
// before is answered, until nobody takes their connections any more.
type hammering struct {
	dial     func() (net.Conn, error)
	number   atomic.Int64
	answered atomic.Int64
	told     atomic.Int64 // that the connection ends

	mu   sync.Mutex
	lost []string
}

func (h *hammering) lose(format string, with ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lost = append(h.lost, fmt.Sprintf(format, with...))
}

// viewer asks for hits and for what nobody has asked for, in turns.
func (h *hammering) viewer() {
	for {
		c, err := h.dial()
		if err != nil {
			return // the door is closed
		}
		again := h.talk(c)
		_ = c.Close()
		if !again {
			return
		}
	}
}

// talk uses a connection for as long as it goes on, and reports whether all was
// answered.
func (h *hammering) talk(c net.Conn) bool {
	_ = c.SetDeadline(time.Now().Add(2 * time.Minute))
	in := bufio.NewReader(c)
	for i := 0; ; i++ {
		path := "/hit"
		if i%2 == 1 {
			path = fmt.Sprintf("/miss%d", h.number.Add(1))
		}
		if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: e1.cloudfront.localhost\r\n\r\n", path); err != nil {
			h.lose("%s, the %d. of its connection: %v", path, i, err)
			return false
		}
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			h.lose("%s, the %d. of its connection: %v", path, i, err)
			return false
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK || string(body) != "body" {
			h.lose("%s: %d %q %v", path, resp.StatusCode, body, err)
			return false
		}
		h.answered.Add(1)
		if resp.Close {
			h.told.Add(1)
			return true
		}
	}
}

// A door that closes leaves no request unanswered, however fast viewers send
// them, be they hits or misses, and ends connections only of those who were told
// or who have long been silent.
func TestDrainLosesNoRequest(t *testing.T) {
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprintf("secure %v", secure), func(t *testing.T) {
			e := open(t, fixed(200, "body", "Cache-Control", "max-age=1000"), Config{})
			get(e, "/hit")
			settle(t, e)
			l := listenPlainly(t)
			h := &hammering{dial: func() (net.Conn, error) { return net.Dial("tcp", l.Addr().String()) }}
			var config *tls.Config
			if secure {
				config = anyCertificate(t)
				pool := x509.NewCertPool()
				pool.AddCert(config.Certificates[0].Leaf)
				h.dial = func() (net.Conn, error) {
					return tls.Dial("tcp", l.Addr().String(), &tls.Config{RootCAs: pool, ServerName: "example.com"})
				}
			}
			s, d := Server(e), e.Door(l, config)
			served := make(chan error, 1)
			go func() { served <- s.Serve(d) }()
			var viewers sync.WaitGroup
			for range 16 {
				viewers.Go(h.viewer)
			}
			until(t, "answered", func() bool { return h.answered.Load() > 500 })
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
			defer cancel()
			d.(Drainer).Drain(ctx)
			if err := s.Shutdown(ctx); err != nil {
				t.Error(err)
			}
			<-served
			viewers.Wait()
			if len(h.lost) > 0 {
				t.Errorf("%d of %d requests were not answered:\n%s", len(h.lost), h.answered.Load(), strings.Join(h.lost, "\n"))
			}
			if h.told.Load() == 0 {
				t.Error("nobody was told that the connection ends")
			}
		})
	}
}

// listenPlainly listens as the program does.
func listenPlainly(t *testing.T) net.Listener {
	t.Helper()
	var c net.ListenConfig
	c.SetMultipathTCP(false)
	l, err := c.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func anyCertificate(t *testing.T) *tls.Config {
	t.Helper()
	s := httptest.NewUnstartedServer(nil)
	s.StartTLS()
	defer s.Close()
	c := s.TLS.Certificates[0]
	leaf, err := x509.ParseCertificate(c.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	c.Leaf = leaf
	return &tls.Config{Certificates: []tls.Certificate{c}}
}

// Who reads a large answer slowly while the door closes gets all of it, and an
// answer to what follows on the connection; and the door waits for no longer than
// it may.
func TestDrainWaitsForSlowReaders(t *testing.T) {
	large := strings.Repeat("0123456789abcdef", 2<<20)
	e := open(t, fixed(200, large, "Cache-Control", "max-age=1000"), Config{})
	get(e, "/large")
	settle(t, e)
	for _, patient := range []bool{true, false} {
		e.draining.Store(false)
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s, d := Server(e), e.Door(l, nil)
		served := make(chan error, 1)
		go func() { served <- s.Serve(d) }()
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(2 * time.Minute))
		fmt.Fprint(c, "GET /large HTTP/1.1\r\nHost: e1.cloudfront.localhost\r\n\r\nHEAD /large HTTP/1.1\r\nHost: e1.cloudfront.localhost\r\n\r\n")
		in := bufio.NewReader(c)
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		if !patient {
			cancel()
		}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			d.(Drainer).Drain(ctx)
			if s.Shutdown(ctx) != nil {
				_ = s.Close()
			}
		}()
		if !patient {
			<-ended
			cancel()
			<-served
			continue
		}
		until(t, "draining", e.draining.Load)
		body, err := io.ReadAll(resp.Body)
		if err != nil || string(body) != large {
			t.Fatalf("%d bytes, %v", len(body), err)
		}
		head, err := http.ReadResponse(in, &http.Request{Method: http.MethodHead})
		if err != nil || !head.Close || head.StatusCode != http.StatusOK {
			t.Errorf("what followed: %+v, %v", head, err)
		}
		<-ended
		cancel()
		<-served
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
