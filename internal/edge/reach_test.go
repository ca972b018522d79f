package edge

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freshet/freshet/internal/distribution"
)

// custom is a distribution of one HTTP server, which caches nothing.
func custom(o distribution.Origin) distribution.Distribution {
	d := dist("E1")
	o.ID = "web"
	d.Config.Origins = []distribution.Origin{o}
	d.Config.DefaultRootObject = ""
	d.Config.DefaultCacheBehavior = distribution.CacheBehavior{
		TargetOriginID: "web", CachePolicyID: "Managed-CachingDisabled",
		AllowedMethods: []string{"GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"},
	}
	return d
}

// reaching opens an edge that reaches its origins by itself.
func reaching(t *testing.T, c Config, d distribution.Distribution) *Edge {
	t.Helper()
	c.Distributions = []distribution.Distribution{d}
	e, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// echo answers with what it was asked.
func echo() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		scheme := "http"
		if r.TLS != nil {
			scheme = "https"
		}
		fmt.Fprintf(w, "%s %s %s %s %s %s", scheme, r.Proto, r.Method, r.Host, r.RequestURI, body)
	})
}

func portOf(t *testing.T, raw string) int {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(u.Port())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A custom origin is reached at its domain name, with the port and the protocol
// of its configuration; match-viewer uses the viewer's protocol. The Host header
// is the origin's domain name.
func TestOriginProtocolPolicy(t *testing.T) {
	plain, secure := httptest.NewServer(echo()), httptest.NewTLSServer(echo())
	defer plain.Close()
	defer secure.Close()
	trusted := x509.NewCertPool()
	trusted.AddCert(secure.Certificate())
	for _, tt := range []struct{ policy, viewer, want string }{
		{"http-only", "http", "http"}, {"http-only", "https", "http"},
		{"https-only", "http", "https"}, {"https-only", "https", "https"},
		{"match-viewer", "http", "http"}, {"match-viewer", "https", "https"}, {"", "https", "https"},
	} {
		t.Run(tt.policy+" for "+tt.viewer, func(t *testing.T) {
			// The certificate of the test server is for this name.
			d := custom(distribution.Origin{DomainName: "127.0.0.1", OriginPath: "/base", CustomOriginConfig: &distribution.CustomOriginConfig{
				HTTPPort: portOf(t, plain.URL), HTTPSPort: portOf(t, secure.URL), OriginProtocolPolicy: tt.policy,
			}})
			e := reaching(t, Config{OriginCAs: trusted}, d)
			w := get(e, tt.viewer+"://e1.cloudfront.localhost/a%2Fb?x")
			want(t, w, 200, "Miss", tt.want+" HTTP/1.1 GET 127.0.0.1 /base/a%2Fb ")
		})
	}
	d := custom(distribution.Origin{DomainName: "127.0.0.1", CustomOriginConfig: &distribution.CustomOriginConfig{HTTPSPort: portOf(t, secure.URL), OriginProtocolPolicy: "https-only"}})
	secure.Config.ErrorLog = nil
	if w := get(reaching(t, Config{}, d), "/"); w.Code != 502 {
		t.Errorf("an origin whose certificate nobody trusts answered with %d, want 502", w.Code)
	}
	d.Config.Origins[0].CustomOriginConfig.OriginProtocolPolicy = "whatever"
	if _, err := New(Config{Distributions: []distribution.Distribution{d}}); err == nil {
		t.Error("a protocol policy that does not exist was accepted")
	}
}

// An origin below localhost is on this machine, and a server can be put in the
// place of any origin.
func TestOriginsAtHand(t *testing.T) {
	server := httptest.NewServer(echo())
	defer server.Close()
	local := custom(distribution.Origin{DomainName: "api.localhost", CustomOriginConfig: &distribution.CustomOriginConfig{HTTPPort: portOf(t, server.URL), OriginProtocolPolicy: "http-only"}})
	want(t, get(reaching(t, Config{}, local), "/x"), 200, "Miss", "http HTTP/1.1 GET api.localhost /x ")

	far := custom(distribution.Origin{DomainName: "API.example.com", CustomOriginConfig: &distribution.CustomOriginConfig{OriginProtocolPolicy: "https-only"}})
	e := reaching(t, Config{Origins: map[string]string{"api.example.com": server.URL + "/dev"}}, far)
	want(t, get(e, "/x"), 200, "Miss", "http HTTP/1.1 GET API.example.com /dev/x ")

	// A resolver may leave origins to the distribution.
	e = reaching(t, Config{Resolve: func(distribution.Distribution, distribution.Origin) (Origin, error) { return Origin{}, nil }}, local)
	want(t, get(e, "/y"), 200, "Miss", "http HTTP/1.1 GET api.localhost /y ")
}

// Custom headers go with every request, in place of what the viewer sent.
func TestOriginCustomHeaders(t *testing.T) {
	o := fixed(200, "x")
	d := dist("E1")
	d.Config.Origins[0].CustomHeaders = []distribution.OriginHeader{{HeaderName: "x-secret", HeaderValue: "s"}, {HeaderName: "X-Empty"}}
	e := open(t, o, Config{Distributions: []distribution.Distribution{d}})
	for _, method := range []string{"GET", "HEAD"} {
		do(e, method, "/"+method, "X-Secret", "mine")
		if h := o.last(t).Header; h.Get("X-Secret") != "s" || h["X-Empty"] == nil {
			t.Errorf("%s: the origin got %v", method, h)
		}
	}
	for _, bad := range []distribution.OriginHeader{{HeaderName: "a b", HeaderValue: "x"}, {HeaderName: "", HeaderValue: "x"}, {HeaderName: "A", HeaderValue: "x\r\nB: y"}} {
		d.Config.Origins[0].CustomHeaders = []distribution.OriginHeader{bad}
		if _, err := New(Config{Distributions: []distribution.Distribution{d}}); err == nil {
			t.Errorf("the custom header %q was accepted", bad)
		}
	}
}

// unreachable is what dialing gives when nobody listens.
func unreachable() error { return &net.OpError{Op: "dial", Err: context.DeadlineExceeded} }

// The connection is tried as often as ConnectionAttempts says, for every method;
// after a connection, only GET and HEAD are asked again when the origin stays
// silent.
func TestOriginAttempts(t *testing.T) {
	for _, tt := range []struct {
		name, method string
		attempts     int
		err          error
		want         int
	}{
		{"no connection", "GET", 0, unreachable(), 3},
		{"no connection, once only", "GET", 1, unreachable(), 1},
		{"no connection for a POST", "POST", 2, unreachable(), 2},
		{"no answer", "GET", 2, nil, 2},
		{"no answer to HEAD", "HEAD", 0, nil, 3},
		{"no answer to POST", "POST", 3, nil, 1},
		{"no answer to OPTIONS", "OPTIONS", 3, nil, 1},
		{"the connection broke", "GET", 3, io.ErrUnexpectedEOF, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := &recorded{answer: func(r *http.Request) (*http.Response, error) {
					if tt.err == nil {
						<-r.Context().Done()
						return nil, r.Context().Err()
					}
					return nil, tt.err
				}}
				d := custom(distribution.Origin{ConnectionAttempts: tt.attempts, CustomOriginConfig: &distribution.CustomOriginConfig{OriginReadTimeout: 7}})
				began := time.Now()
				w := do(open(t, o, Config{Distributions: []distribution.Distribution{d}}), tt.method, "/")
				if o.count() != tt.want {
					t.Errorf("asked %d times, want %d", o.count(), tt.want)
				}
				status, took := 502, time.Duration(0)
				if tt.err == nil {
					status, took = 504, 7*time.Second*time.Duration(tt.want)
				} else if _, dial := tt.err.(*net.OpError); dial { //nolint:errorlint // made above
					status = 504 // connecting timed out
				}
				if w.Code != status || time.Since(began) != took {
					t.Errorf("status %d after %v, want %d after %v", w.Code, time.Since(began), status, took)
				}
			})
		})
	}
}

// A body is sent on as it arrives, and the origin's time to answer begins when
// it has all of it.
func TestUpload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &recorded{answer: func(r *http.Request) (*http.Response, error) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return nil, err
			}
			return reply(200, fmt.Sprintf("%s %d %s", r.Method, r.ContentLength, body)), nil
		}}
		e := open(t, o, Config{Distributions: []distribution.Distribution{custom(distribution.Origin{})}})
		read, write := io.Pipe()
		go func() {
			for range 5 {
				time.Sleep(20 * time.Second) // a slow viewer is no slow origin
				write.Write([]byte("x"))
			}
			write.Close()
		}()
		r := httptest.NewRequest("PUT", "/", read)
		r.ContentLength = 5
		want(t, serve(e, r), 200, "Miss", "PUT 5 xxxxx")
	})
}

// groupOf is a distribution of a primary and a secondary origin.
func groupOf(statuses ...int) distribution.Distribution {
	d := custom(distribution.Origin{ConnectionAttempts: 1})
	d.Config.Origins = append(d.Config.Origins, distribution.Origin{ID: "spare", ConnectionAttempts: 1, OriginPath: "/spare"})
	d.Config.OriginGroups = []distribution.OriginGroup{{ID: "both", StatusCodes: statuses, Members: []string{"web", "spare"}}}
	d.Config.DefaultCacheBehavior.TargetOriginID = "both"
	return d
}

// The secondary origin is asked when the primary answers with a status that was
// chosen, when no connection came about and 503 was chosen, and when no answer
// came in time and 504 was chosen; for GET, HEAD and OPTIONS only. Every request
// tries the primary first.
func TestOriginFailover(t *testing.T) {
	for _, tt := range []struct {
		name, method string
		chosen       []int
		primary      int // 0: no connection, -1: silence, -2: breaks off
		want         string
	}{
		{"good answer", "GET", []int{500, 404}, 200, "primary 200"},
		{"chosen status", "GET", []int{500, 404}, 404, "secondary 200"},
		{"other status", "GET", []int{500, 404}, 403, "primary 403"},
		{"429 can be chosen", "GET", []int{429}, 429, "secondary 200"},
		{"HEAD", "HEAD", []int{500}, 500, "secondary 200"},
		{"OPTIONS", "OPTIONS", []int{500}, 500, "secondary 200"},
		{"POST", "POST", []int{500}, 500, "primary 500"},
		{"PUT", "PUT", []int{500}, 500, "primary 500"},
		{"PATCH", "PATCH", []int{500}, 500, "primary 500"},
		{"DELETE", "DELETE", []int{500}, 500, "primary 500"},
		{"no connection and 503 chosen", "GET", []int{503}, 0, "secondary 200"},
		{"no connection and 503 not chosen", "GET", []int{500, 502, 504}, 0, "primary 504"},
		{"no connection for a POST", "POST", []int{503}, 0, "primary 504"},
		{"silence and 504 chosen", "GET", []int{504}, -1, "secondary 200"},
		{"silence and 504 not chosen", "GET", []int{500, 502, 503}, -1, "primary 504"},
		{"broken connection and 502 chosen", "GET", []int{502}, -2, "secondary 200"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var asked []string
				o := &recorded{answer: func(r *http.Request) (*http.Response, error) {
					if strings.HasPrefix(r.URL.Path, "/spare/") {
						asked = append(asked, "secondary")
						return reply(200, "", "From", "secondary"), nil
					}
					asked = append(asked, "primary")
					switch tt.primary {
					case 0:
						return nil, unreachable()
					case -1:
						<-r.Context().Done()
						return nil, r.Context().Err()
					case -2:
						return nil, io.ErrUnexpectedEOF
					}
					return reply(tt.primary, "", "From", "primary"), nil
				}}
				e := open(t, o, Config{Distributions: []distribution.Distribution{groupOf(tt.chosen...)}})
				for range 2 {
					w := do(e, tt.method, "/a")
					if got, _, _ := strings.Cut(tt.want, " "); w.Header().Get("From") != got && tt.primary > 0 || !strings.HasSuffix(tt.want, strconv.Itoa(w.Code)) {
						t.Errorf("%d from %q, want %s", w.Code, w.Header().Get("From"), tt.want)
					}
				}
				order := strings.Join(asked, " ")
				if expected := map[bool]string{true: "primary secondary primary secondary", false: "primary primary"}[strings.HasPrefix(tt.want, "secondary")]; order != expected {
					t.Errorf("asked %s, want %s", order, expected)
				}
			})
		})
	}
}

// What the secondary says counts, good or bad, and is cached like an answer of
// the primary.
func TestSecondaryAnswerCounts(t *testing.T) {
	var asked atomic.Int64
	o := &recorded{answer: func(r *http.Request) (*http.Response, error) {
		asked.Add(1)
		if strings.HasPrefix(r.URL.Path, "/spare/bad") {
			return reply(403, "worse"), nil
		}
		if strings.HasPrefix(r.URL.Path, "/spare/") {
			return reply(200, "second best", "Cache-Control", "max-age=60"), nil
		}
		return reply(500, "broken"), nil
	}}
	d := groupOf(500)
	d.Config.DefaultCacheBehavior.CachePolicyID = "Managed-CachingOptimized"
	e := open(t, o, Config{Distributions: []distribution.Distribution{d}})
	want(t, get(e, "/a"), 200, "Miss", "second best")
	settle(t, e)
	want(t, get(e, "/a"), 200, "Hit", "second best")
	if asked.Load() != 2 {
		t.Errorf("asked %d times", asked.Load())
	}
	want(t, get(e, "/bad"), 403, "Error", "worse")
}

func TestOriginGroupsAreChecked(t *testing.T) {
	for name, change := range map[string]func(*distribution.OriginGroup){
		"three members":           func(g *distribution.OriginGroup) { g.Members = append(g.Members, "web") },
		"an unknown member":       func(g *distribution.OriginGroup) { g.Members[1] = "nobody" },
		"a status out of the set": func(g *distribution.OriginGroup) { g.StatusCodes = []int{501} },
	} {
		d := groupOf(500)
		change(&d.Config.OriginGroups[0])
		if _, err := New(Config{Distributions: []distribution.Distribution{d}, Origins: map[string]string{"": "http://127.0.0.1:1"}}); err == nil {
			t.Errorf("a group with %s was accepted", name)
		}
	}
}

// dripping is a body of which a byte arrives every second.
type dripping struct {
	ctx  context.Context
	left int
}

func (d *dripping) Read(p []byte) (int, error) {
	if d.left == 0 {
		return 0, io.EOF
	}
	select {
	case <-time.After(time.Second):
	case <-d.ctx.Done():
		return 0, context.Cause(d.ctx)
	}
	d.left--
	p[0] = 'x'
	return 1, nil
}

// A response must be complete within the response completion timeout, however
// steadily it arrives.
func TestResponseCompletionTimeout(t *testing.T) {
	for timeout, whole := range map[int]bool{0: true, 9: false, 12: true} {
		synctest.Test(t, func(t *testing.T) {
			o := &recorded{answer: func(r *http.Request) (*http.Response, error) {
				resp := reply(200, "")
				resp.ContentLength, resp.Body = 10, io.NopCloser(&dripping{r.Context(), 10})
				return resp, nil
			}}
			d := custom(distribution.Origin{ResponseCompletionTimeout: timeout})
			w := get(open(t, o, Config{Distributions: []distribution.Distribution{d}}), "/")
			if got := w.Header().Get("Test-Aborted") == "" && w.Body.Len() == 10; got != whole {
				t.Errorf("%d s: %d bytes, broken off: %q", timeout, w.Body.Len(), w.Header().Get("Test-Aborted"))
			}
		})
	}
}

// An origin whose headers exceed 32,768 bytes gave no usable answer.
func TestOriginHeadersThatAreTooLarge(t *testing.T) {
	size := 20_000
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Large", strings.Repeat("x", size))
	}))
	defer server.Close()
	e := reaching(t, Config{Origins: map[string]string{"web.example": server.URL}}, custom(distribution.Origin{DomainName: "web.example"}))
	for _, tt := range [][2]int{{20_000, 200}, {40_000, 502}} {
		size = tt[0]
		if w := get(e, "/"); w.Code != tt[1] {
			t.Errorf("%d bytes: %d, want %d", size, w.Code, tt[1])
		}
	}
}

// An origin that answers before it has the whole body leaves nothing behind on
// the viewer's connection.
func TestEarlyAnswerToAnUpload(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			w.Header().Set("Connection", "close")
			w.WriteHeader(http.StatusRequestEntityTooLarge)
		}
	}))
	defer server.Close()
	e := reaching(t, Config{Origins: map[string]string{"web.example": server.URL}}, custom(distribution.Origin{DomainName: "web.example"}))
	addr := listening(t, e)
	body := strings.Repeat("x", 1<<20)
	for range 5 {
		statuses, _, _ := raw(t, addr, fmt.Sprintf("POST / HTTP/1.1\r\nHost: e1.cloudfront.localhost\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
		if len(statuses) > 0 && statuses[0] != 413 && statuses[0] != 502 {
			t.Errorf("statuses %v", statuses)
		}
	}
}
