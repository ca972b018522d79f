package edge

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/distribution"
)

// Over HTTP/2 the same rules hold: bodies are passed on, limits are kept, and
// what upgrades a connection means nothing.
func TestFrontDoorOverHTTP2(t *testing.T) {
	o := &recorded{answer: func(r *http.Request) (*http.Response, error) {
		var body []byte
		if r.Body != nil {
			body, _ = io.ReadAll(r.Body)
		}
		return reply(200, r.Method+" "+r.URL.RequestURI()+" "+r.Header.Get("Upgrade")+string(body)), nil
	}}
	d := custom(distribution.Origin{})
	d.Config.DefaultCacheBehavior.ViewerProtocolPolicy = "https-only"
	self := authority(t)
	e := open(t, o, Config{Distributions: []distribution.Distribution{d}})
	client := browserOf(t, listeningTLS(t, e, e.TLS(nil, self)), self.Pool(), true)
	const long = 9000
	for _, tt := range []struct {
		name, method, path, body string
		header                   int // bytes
		status                   int
		want                     string
	}{
		{"GET", "GET", "/a", "", 0, 200, "GET /a "},
		{"POST", "POST", "/a", "hello", 0, 200, "POST /a hello"},
		{"a large body", "PUT", "/a", strings.Repeat("x", 300_000), 0, 200, "PUT /a " + strings.Repeat("x", 300_000)},
		{"GET with a body", "GET", "/a", "hello", 0, 403, ""},
		{"a long URL", "GET", "/" + strings.Repeat("a", long), "", 0, 413, ""},
		{"a long header", "GET", "/a", "", 40_000, 413, ""},
		{"a method that is not allowed", "TRACE", "/a", "", 0, 403, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var body io.Reader
			if tt.body != "" {
				body = struct{ io.Reader }{strings.NewReader(tt.body)} // of unknown length
			}
			r, err := http.NewRequestWithContext(t.Context(), tt.method, "https://e1.cloudfront.localhost"+tt.path, body)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("X-Large", strings.Repeat("x", tt.header))
			resp, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			got, err := io.ReadAll(resp.Body)
			if resp.StatusCode != tt.status || resp.ProtoMajor != 2 || tt.want != "" && string(got) != tt.want {
				t.Errorf("%s %d %.100q, %v", resp.Proto, resp.StatusCode, got, err)
			}
		})
	}
}

// Where a request names a host twice, the one in its target counts.
// https://www.rfc-editor.org/rfc/rfc9112#section-3.2.2
func TestAuthorityOfAbsoluteTargets(t *testing.T) {
	e := open(t, nil, Config{
		Distributions: []distribution.Distribution{dist("E1"), dist("E2")},
		Resolve: func(d distribution.Distribution, _ distribution.Origin) (Origin, error) {
			return Origin{URL: "http://origin.test", Transport: fixed(200, d.ID)}, nil
		},
	})
	addr := listening(t, e)
	for target, want := range map[string]string{"/": "E1", "http://e2.cloudfront.localhost/": "E2", "http://e1.cloudfront.localhost:80/": "E1", "http://e2.cloudfront.localhost": "E2"} {
		statuses, bodies, _ := raw(t, addr, "GET "+target+" HTTP/1.1\r\nHost: e1.cloudfront.localhost\r\n\r\n")
		if len(statuses) != 2 || statuses[0] != 200 || bodies[0] != want {
			t.Errorf("%s: %v %q, want %s", target, statuses, bodies, want)
		}
	}
	statuses, _, header := raw(t, addr, "GET http://other.example/ HTTP/1.1\r\nHost: e1.cloudfront.localhost\r\n\r\n")
	if len(statuses) != 2 || statuses[0] != 403 {
		t.Errorf("a host that nobody has: %v %v", statuses, header)
	}
}

// A handshake that does not go on holds no connection.
func TestSlowHandshake(t *testing.T) {
	e := open(t, fixed(200, "x"), Config{})
	s := Server(e)
	s.ReadHeaderTimeout = 50 * time.Millisecond // which is what limits handshakes, too
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(tls.NewListener(l, e.TLS(nil, authority(t)))) }()
	defer func() { s.Close(); <-done }()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(2 * time.Minute))
	if _, err := io.Copy(io.Discard, conn); err != nil {
		t.Errorf("the connection is still open: %v", err)
	}
}
