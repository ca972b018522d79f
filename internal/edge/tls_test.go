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
	"testing"
	"time"

	"github.com/freshet/freshet/internal/distribution"
	"github.com/freshet/freshet/internal/edge/certificate"
)

func authority(t testing.TB) *certificate.Authority {
	t.Helper()
	a, err := certificate.New()
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// listeningTLS serves an edge over TLS and returns its address.
func listeningTLS(t *testing.T, e *Edge, c *tls.Config) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := Server(e)
	s.TLSConfig = c
	done := make(chan error, 1)
	go func() { done <- s.Serve(e.Door(l, c)) }()
	t.Cleanup(func() { s.Close(); <-done })
	return l.Addr().String()
}

// browserOf is a client that finds every name at addr.
func browserOf(t *testing.T, addr string, trusts *x509.CertPool, http2 bool) *http.Client {
	t.Helper()
	tr := &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: trusts},
		ForceAttemptHTTP2: http2,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, addr)
		},
	}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 2 * time.Minute}
}

// TLS is spoken in HTTP/1.1 and HTTP/2, with a certificate for each name that a
// distribution has, those that come later included.
func TestTLS(t *testing.T) {
	one, two := dist("E1"), dist("E2")
	one.Config.Aliases, two.Config.Aliases = []string{"www.one.example"}, []string{"*.two.example"}
	two.Config.HTTPVersion = "http1.1"
	self := authority(t)
	e := open(t, fixed(200, "hello"), Config{Distributions: []distribution.Distribution{one, two}})
	addr := listeningTLS(t, e, e.TLS(nil, self))
	for _, tt := range []struct {
		host  string
		http2 bool
		proto string
	}{
		{"www.one.example", true, "HTTP/2.0"}, {"www.one.example", false, "HTTP/1.1"}, {"e1.cloudfront.localhost", true, "HTTP/2.0"},
		{"a.two.example", true, "HTTP/1.1"}, {"a.two.example", false, "HTTP/1.1"},
	} {
		resp, err := browserOf(t, addr, self.Pool(), tt.http2).Get("https://" + tt.host + "/")
		if err != nil {
			t.Errorf("%+v: %v", tt, err)
			continue
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if string(body) != "hello" || resp.Proto != tt.proto || resp.Header.Get("X-Cache") == "" {
			t.Errorf("%+v: %s %q %v", tt, resp.Proto, body, resp.Header)
		}
	}
	if _, err := browserOf(t, addr, self.Pool(), true).Get("https://nobody.example/"); err == nil {
		t.Error("a name that no distribution has got a certificate")
	}
	two.Config.Aliases = []string{"later.example"}
	if err := e.Apply([]distribution.Distribution{one, two}); err != nil {
		t.Fatal(err)
	}
	resp, err := browserOf(t, addr, self.Pool(), true).Get("https://later.example/")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
}

func only(c *tls.Certificate) func() []tls.Certificate {
	return func() []tls.Certificate { return []tls.Certificate{*c} }
}

// A certificate that was configured is used for its names, the self-made ones
// for the others.
func TestConfiguredCertificate(t *testing.T) {
	d := dist("E1")
	d.Config.Aliases = []string{"www.one.example", "other.example"}
	bought, self := authority(t), authority(t)
	own, err := bought.For("www.one.example")
	if err != nil {
		t.Fatal(err)
	}
	e := open(t, fixed(200, "x"), Config{Distributions: []distribution.Distribution{d}})
	addr := listeningTLS(t, e, e.TLS(only(own), self))
	for host, trusts := range map[string]*certificate.Authority{"www.one.example": bought, "other.example": self} {
		resp, err := browserOf(t, addr, trusts.Pool(), true).Get("https://" + host + "/")
		if err != nil {
			t.Errorf("%s: %v", host, err)
			continue
		}
		resp.Body.Close()
	}
	alone := listeningTLS(t, e, e.TLS(only(own), nil))
	resp, err := browserOf(t, alone, bought.Pool(), true).Get("https://www.one.example/")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
}

// A connection that was made for one distribution does not answer for another.
func TestMisdirectedRequest(t *testing.T) {
	one, two := dist("E1"), dist("E2")
	one.Config.Aliases, two.Config.Aliases = []string{"one.example", "uno.example"}, []string{"two.example"}
	e := open(t, fixed(200, "x"), Config{Distributions: []distribution.Distribution{one, two}})
	for _, tt := range []struct {
		sni, host string
		status    int
	}{{"one.example", "one.example", 200}, {"one.example", "uno.example", 200}, {"one.example", "two.example", 421}, {"", "two.example", 200}, {"nobody", "two.example", 200}} {
		r := httptest.NewRequest("GET", "https://"+tt.host+"/", nil)
		r.TLS = &tls.ConnectionState{ServerName: tt.sni}
		if w := serve(e, r); w.Code != tt.status {
			t.Errorf("%+v: %d", tt, w.Code)
		}
	}
}

// socketServer answers the opening of a WebSocket connection and then echoes.
func socketServer(t *testing.T, status int) (*httptest.Server, chan http.Header) {
	t.Helper()
	seen := make(chan http.Header, 9)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- r.Header
		if status != http.StatusSwitchingProtocols {
			http.Error(w, "no", status)
			return
		}
		conn, both, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		fmt.Fprint(both, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: abc\r\n\r\nwelcome")
		both.Flush()
		_, _ = io.Copy(conn, both)
	}))
	t.Cleanup(s.Close)
	return s, seen
}

const opening = "GET /chat HTTP/1.1\r\nHost: e1.cloudfront.localhost\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n" +
	"Sec-WebSocket-Key: k\r\nSec-WebSocket-Version: 13\r\n\r\n"

// WebSocket connections pass through, also over TLS and where everything else is
// cached; what is no 101 is answered like anything else.
func TestWebSocket(t *testing.T) {
	server, seen := socketServer(t, http.StatusSwitchingProtocols)
	for _, policy := range []string{"Managed-CachingDisabled", "Managed-CachingOptimized"} {
		d := custom(distribution.Origin{DomainName: "chat.example"})
		d.Config.DefaultCacheBehavior.CachePolicyID = policy
		e := reaching(t, Config{Origins: map[string]string{"chat.example": server.URL}}, d)
		self := authority(t)
		plain, secure := listening(t, e), listeningTLS(t, e, e.TLS(nil, self))
		for _, dial := range []func() (net.Conn, error){
			func() (net.Conn, error) { return net.Dial("tcp", plain) },
			func() (net.Conn, error) {
				return tls.Dial("tcp", secure, &tls.Config{RootCAs: self.Pool(), ServerName: "e1.cloudfront.localhost"})
			},
		} {
			conn, err := dial()
			if err != nil {
				t.Fatal(err)
			}
			conn.SetDeadline(time.Now().Add(2 * time.Minute))
			fmt.Fprint(conn, opening+"early ")
			in := bufio.NewReader(conn)
			resp, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			if h := resp.Header; resp.StatusCode != 101 || h.Get("Sec-Websocket-Accept") != "abc" || h.Get("Upgrade") != "websocket" || h.Get("X-Amz-Cf-Id") == "" {
				t.Errorf("%d %v", resp.StatusCode, h)
			}
			fmt.Fprint(conn, "hello")
			got := make([]byte, len("welcomeearly hello"))
			if _, err := io.ReadFull(in, got); err != nil || string(got) != "welcomeearly hello" {
				t.Errorf("%q, %v", got, err)
			}
			conn.Close()
			if h := <-seen; h.Get("Sec-Websocket-Key") != "k" || h.Get("Upgrade") != "websocket" || !strings.EqualFold(h.Get("Connection"), "Upgrade") {
				t.Errorf("the origin got %v", h)
			}
		}
	}

	refusing, _ := socketServer(t, 403)
	e := reaching(t, Config{Origins: map[string]string{"chat.example": refusing.URL}}, custom(distribution.Origin{DomainName: "chat.example"}))
	if statuses, bodies, _ := raw(t, listening(t, e), opening); fmt.Sprint(statuses) != "[403 403]" || bodies[0] != "no\n" {
		t.Errorf("an origin that does not want to: %v %q", statuses, bodies)
	}
}

// Who has said all may still listen: the end of one direction goes on to the
// other side and ends nothing else.
func TestWebSocketHalfCloses(t *testing.T) {
	for _, viewerFirst := range []bool{true, false} {
		heard := make(chan struct{}) // for each conversation, when the origin's part is over
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			defer func() { heard <- struct{}{} }()
			conn, both, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			fmt.Fprint(both, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
			both.Flush()
			if !viewerFirst {
				fmt.Fprint(conn, "all")
				_ = conn.(*net.TCPConn).CloseWrite()
			}
			got, err := io.ReadAll(both)
			if err != nil || string(got) != "question" {
				t.Errorf("the origin got %q, %v", got, err)
			}
			if viewerFirst {
				fmt.Fprint(conn, "all")
			}
		}))
		t.Cleanup(server.Close)
		e := reaching(t, Config{Origins: map[string]string{"chat.example": server.URL}}, custom(distribution.Origin{DomainName: "chat.example"}))
		self := authority(t)
		for _, secure := range []bool{false, true} {
			var conn net.Conn
			var err error
			if secure {
				conn, err = tls.Dial("tcp", listeningTLS(t, e, e.TLS(nil, self)), &tls.Config{RootCAs: self.Pool(), ServerName: "e1.cloudfront.localhost"})
			} else {
				conn, err = net.Dial("tcp", listening(t, e))
			}
			if err != nil {
				t.Fatal(err)
			}
			conn.SetDeadline(time.Now().Add(2 * time.Minute))
			fmt.Fprint(conn, opening)
			in := bufio.NewReader(conn)
			if resp, err := http.ReadResponse(in, nil); err != nil || resp.StatusCode != 101 {
				t.Fatalf("%v, %v", resp, err)
			}
			say := func() {
				fmt.Fprint(conn, "question")
				if err := conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
					t.Error(err)
				}
			}
			if viewerFirst {
				say()
			}
			if got, err := io.ReadAll(in); err != nil || string(got) != "all" {
				t.Errorf("viewer first %v, TLS %v: the viewer got %q, %v", viewerFirst, secure, got, err)
			}
			if !viewerFirst {
				say()
			}
			<-heard
			conn.Close()
		}
	}
}

// Closing the edge ends what passes through it.
func TestCloseEndsTunnels(t *testing.T) {
	server, seen := socketServer(t, http.StatusSwitchingProtocols)
	e := reaching(t, Config{Origins: map[string]string{"chat.example": server.URL}}, custom(distribution.Origin{DomainName: "chat.example"}))
	conn, err := net.Dial("tcp", listening(t, e))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(2 * time.Minute))
	fmt.Fprint(conn, opening)
	<-seen
	e.Close()
	if _, err := io.Copy(io.Discard, conn); err != nil {
		t.Errorf("the tunnel is still open: %v", err)
	}
}

// A protocol that nobody asked for is no answer.
func TestUnaskedUpgrade(t *testing.T) {
	o := fixed(101, "", "Upgrade", "websocket", "Connection", "Upgrade")
	e := open(t, o, Config{Distributions: []distribution.Distribution{custom(distribution.Origin{})}})
	for _, sent := range [][]string{nil, {"Upgrade", "websocket"}, {"Connection", "Upgrade", "Upgrade", "h2c"}} {
		if w := get(e, "/", sent...); w.Code != 502 {
			t.Errorf("%v: %d", sent, w.Code)
		}
		if u := o.last(t).Header.Get("Upgrade"); u != "" {
			t.Errorf("%v: the origin was asked for %s", sent, u)
		}
	}
}
