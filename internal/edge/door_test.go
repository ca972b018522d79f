package edge

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freshet/freshet/internal/distribution"
)

// listening serves an edge on a socket of its own and returns its address.
func listening(t *testing.T, e *Edge) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := Server(e)
	done := make(chan error, 1)
	go func() { done <- s.Serve(e.Door(l, nil)) }()
	t.Cleanup(func() { s.Close(); <-done })
	return l.Addr().String()
}

// last ends a connection that is still good.
const last = "GET /last HTTP/1.1\r\nHost: e1.cloudfront.localhost\r\nConnection: close\r\n\r\n"

// raw sends text as it is, and last after it, and returns what was answered
// until the connection was closed.
func raw(t *testing.T, addr, text string) (statuses []int, bodies []string, header http.Header) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(2 * time.Minute))
	go func() {
		_, _ = io.WriteString(conn, text+last) // an answer may come before the end
	}()
	in := bufio.NewReader(conn)
	for {
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			return statuses, bodies, header
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		statuses, bodies, header = append(statuses, resp.StatusCode), append(bodies, string(body)), resp.Header
	}
}

// What is no proper request is refused, and what follows on the connection is
// not taken for a request of its own.
func TestFrontDoor(t *testing.T) {
	var mu sync.Mutex
	var seen []string
	o := &recorded{answer: func(r *http.Request) (*http.Response, error) {
		var body []byte
		var err error
		if r.Body != nil {
			body, err = io.ReadAll(r.Body)
		}
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, fmt.Sprintf("%s %s %q", r.Method, r.URL.RequestURI(), body))
		return reply(200, "ok"), err
	}}
	d := custom(distribution.Origin{})
	d.Config.DefaultCacheBehavior.OriginRequestPolicyID = "Managed-AllViewer"
	e := open(t, o, Config{Distributions: []distribution.Distribution{d}})
	addr := listening(t, e)
	const host = "Host: e1.cloudfront.localhost\r\n"
	const smuggled = "GET /smuggled HTTP/1.1\r\n" + host + "\r\n"
	for _, tt := range []struct {
		name, text string
		statuses   string
		seen       string // by the origin
	}{
		{"a plain request", "GET /a HTTP/1.1\r\n" + host + "\r\n", "200 200", `GET /a "",GET /last ""`},
		{"HTTP/1.0 without a Host", "GET /a HTTP/1.0\r\n\r\n", "200", `GET /a ""`},
		{"pipelined requests, in order", "GET /a HTTP/1.1\r\n" + host + "\r\nPOST /b HTTP/1.1\r\n" + host + "Content-Length: 2\r\n\r\nxyGET /c HTTP/1.1\r\n" + host + "\r\n", "200 200 200 200", `GET /a "",POST /b "xy",GET /c "",GET /last ""`},
		{"no Host", "GET /a HTTP/1.1\r\n\r\n" + smuggled, "400", ""},
		{"two Hosts", "GET /a HTTP/1.1\r\n" + host + "Host: other\r\n\r\n" + smuggled, "400", ""},
		{"a Host with a space", "GET /a HTTP/1.1\r\nHost: a b\r\n\r\n" + smuggled, "400", ""},
		{"a space before the colon", "POST /a HTTP/1.1\r\n" + host + "Content-Length : 5\r\n\r\nhello" + smuggled, "400", ""},
		{"a header without a colon", "GET /a HTTP/1.1\r\n" + host + "Nonsense\r\n\r\n" + smuggled, "400", ""},
		{"a folded first header", "GET /a HTTP/1.1\r\n Host: x\r\n\r\n" + smuggled, "400", ""},
		{"a NUL in a header", "GET /a HTTP/1.1\r\n" + host + "X: a\x00b\r\n\r\n" + smuggled, "400", ""},
		{"a lone CR in a header", "GET /a HTTP/1.1\r\n" + host + "X: a\rY: b\r\n\r\n" + smuggled, "400", ""},
		{"two lengths that differ", "POST /a HTTP/1.1\r\n" + host + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello" + smuggled, "400", ""},
		{"a length that is a list", "POST /a HTTP/1.1\r\n" + host + "Content-Length: 5, 6\r\n\r\nhello" + smuggled, "400", ""},
		{"a negative length", "POST /a HTTP/1.1\r\n" + host + "Content-Length: -1\r\n\r\n" + smuggled, "400", ""},
		{"a length with a sign", "POST /a HTTP/1.1\r\n" + host + "Content-Length: +5\r\n\r\nhello" + smuggled, "400", ""},
		{"an unknown transfer coding", "POST /a HTTP/1.1\r\n" + host + "Transfer-Encoding: xchunked\r\n\r\n" + smuggled, "501", ""},
		{"two transfer codings", "POST /a HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled, "501", ""},
		{"a transfer coding hidden by a tab", "POST /a HTTP/1.1\r\n" + host + "Transfer-Encoding:\tidentity, chunked\r\n\r\n0\r\n\r\n" + smuggled, "501", ""},
		{"a length beside a transfer coding", "POST /a HTTP/1.1\r\n" + host + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nxy\r\n0\r\n\r\n" + smuggled, "200", `POST /a "xy"`},
		{"a transfer coding in HTTP/1.0", "POST /a HTTP/1.0\r\n" + host + "Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n" + smuggled, "200", `POST /a ""`},
		{"a folded transfer coding", "POST /a HTTP/1.1\r\n" + host + "Transfer-Encoding:\r\n chunked\r\n\r\n2\r\nxy\r\n0\r\n\r\n" + smuggled, "200", `POST /a "xy"`},
		{"a transfer coding hidden by a control", "POST /a HTTP/1.1\r\n" + host + "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n" + smuggled, "400", ""},
		{"a chunk size with a prefix", "POST /a HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n0x2\r\nxy\r\n0\r\n\r\n" + smuggled, "400", `POST /a ""`},
		{"chunks without their CRs", "POST /a HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n2\nxy\n0\n\n" + smuggled, "400", `POST /a ""`},
		{"a chunk extension of a megabyte", "POST /a HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n2;" + strings.Repeat("e", 1<<20) + "\r\nxy\r\n0\r\n\r\n" + smuggled, "400", `POST /a ""`},
		{"a trailer that wants to be a header", "POST /a HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n2\r\nxy\r\n0\r\nContent-Length: 99\r\nHost: other\r\n\r\n" + smuggled, "200", `POST /a "xy"`},
		{"HTTP/2 without TLS", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "400", ""},
		{"a Host with a user", "GET /a HTTP/1.1\r\nHost: u@e1.cloudfront.localhost\r\n\r\n" + smuggled, "400", ""},
		{"a tab for a space", "GET\t/a HTTP/1.1\r\n" + host + "\r\n" + smuggled, "400", ""},
		{"a CR within the target", "GET /a\rb HTTP/1.1\r\n" + host + "\r\n" + smuggled, "400", ""},
		{"an escaped line end in the target", "GET /a%0d%0aX:%20y?b%0d%0a HTTP/1.1\r\n" + host + "\r\n", "200 200", `GET /a%0d%0aX:%20y?b%0d%0a "",GET /last ""`},
		{"a chunk size that is none", "POST /a HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\nxyz\r\nhello\r\n0\r\n\r\n" + smuggled, "400", `POST /a ""`},
		{"a chunk without its end", "POST /a HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n5\r\nhelloGET /smuggled", "400", `POST /a "hello"`},
		{"a chunk size that overflows", "POST /a HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n11111111111111111\r\nx", "400", `POST /a ""`},
		{"chunks are put together", "POST /a HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n", "200", `POST /a "hello"`},
		{"GET with a body", "GET /a HTTP/1.1\r\n" + host + "Content-Length: 5\r\n\r\nhello" + smuggled, "403", ""},
		{"GET with a chunked body", "GET /a HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled, "403", ""},
		{"OPTIONS *", "OPTIONS * HTTP/1.1\r\n" + host + "\r\n", "400 200", `GET /last ""`},
		{"CONNECT", "CONNECT other:443 HTTP/1.1\r\nHost: other:443\r\n\r\n", "400 200", `GET /last ""`},
		{"an absolute target", "GET http://e1.cloudfront.localhost/a HTTP/1.1\r\n" + host + "\r\n", "200 200", `GET /a "",GET /last ""`},
		{"an absolute target without a path", "GET http://e1.cloudfront.localhost HTTP/1.1\r\n" + host + "\r\n", "200 200", `GET / "",GET /last ""`},
		{"a method that is none", "GE(T /a HTTP/1.1\r\n" + host + "\r\n", "400", ""},
		{"a version that is none", "GET /a HTTP/9.9\r\n" + host + "\r\n", "505", ""},
		{"a target with a space", "GET /a b HTTP/1.1\r\n" + host + "\r\n", "400", ""},
		{"an expectation that nobody has", "GET /a HTTP/1.1\r\n" + host + "Expect: wonders\r\n\r\n", "417", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			mu.Lock()
			seen = nil
			mu.Unlock()
			statuses, bodies, header := raw(t, addr, tt.text)
			if n := len(statuses); n > 0 && statuses[n-1] >= 400 {
				for name, form := range ownHeaders {
					if !regexp.MustCompile(form).MatchString(header.Get(name)) {
						t.Errorf("%s: %q does not match %s", name, header.Get(name), form)
					}
				}
				if !strings.Contains(bodies[n-1], fmt.Sprint("<h1>", statuses[n-1])) {
					t.Errorf("page %q", bodies[n-1])
				}
			}
			mu.Lock()
			defer mu.Unlock()
			if got := strings.Trim(fmt.Sprint(statuses), "[]"); got != tt.statuses {
				t.Errorf("statuses %s, want %s", got, tt.statuses)
			}
			if got := strings.Join(seen, ","); got != tt.seen {
				t.Errorf("the origin saw %s, want %s", got, tt.seen)
			}
			if strings.Contains(strings.Join(seen, ""), "smuggled") {
				t.Error("the origin saw what was smuggled")
			}
		})
	}
}

// ownHeaders is what CloudFront says in each answer of its own.
var ownHeaders = map[string]string{
	"X-Cache": "^Error from cloudfront$", "Server": "^CloudFront$", "Via": `^1\.1 [0-9a-f]{32}\.cloudfront\.net \(CloudFront\)$`, "X-Amz-Cf-Pop": ".",
	"X-Amz-Cf-Id": "^[A-Za-z0-9_-]{54}==$", "Content-Type": "^text/html", "Date": "GMT$", "Content-Length": "^[1-9]", "Connection": "close|^$",
}

// A request of more than 32,768 bytes, or a URL of more than 8,192, gets a 413
// and the connection is closed.
func TestRequestsThatAreTooLarge(t *testing.T) {
	e := open(t, fixed(200, "ok"), Config{})
	addr := listening(t, e)
	const host = " HTTP/1.1\r\nHost: e1.cloudfront.localhost\r\n"
	long := func(n int) string { return strings.Repeat("x", n) }
	for _, tt := range []struct {
		name, text string
		status     int
	}{
		{"an URL within the limit", "GET /" + long(8000) + host + "\r\n", 200},
		{"a long URL", "GET /" + long(8200) + host + "\r\n", 413},
		{"headers within the limit", "GET /" + host + "X: " + long(32000) + "\r\n\r\n", 200},
		{"one long header", "GET /" + host + "X: " + long(33000) + "\r\n\r\n", 413},
		{"many headers", "GET /" + host + strings.Repeat("X: "+long(100)+"\r\n", 400) + "\r\n", 413},
		{"more than anybody reads", "GET /" + host + "X: " + long(100_000) + "\r\n\r\n", 413},
		{"very much more", "GET /" + host + "X: " + long(1<<20) + "\r\n\r\n", 413},
	} {
		statuses, bodies, header := raw(t, addr, tt.text)
		if len(statuses) == 0 || statuses[0] != tt.status {
			t.Errorf("%s: %v, want %d first", tt.name, statuses, tt.status)
			continue
		}
		if closed := len(statuses) == 1; closed != (tt.status != 200) {
			t.Errorf("%s: %v, want the connection closed", tt.name, statuses)
		}
		if tt.status == 413 && (header.Get("X-Cache") != "Error from cloudfront" || !strings.Contains(bodies[0], "<h1>413")) {
			t.Errorf("%s: %v %q", tt.name, header, bodies)
		}
	}
}

// The body of a request is only asked for when somebody wants it.
func TestExpectContinue(t *testing.T) {
	o := &recorded{answer: func(r *http.Request) (*http.Response, error) {
		if r.Header.Get("Expect") != "" {
			return reply(500, "Expect was forwarded"), nil
		}
		body, err := io.ReadAll(r.Body)
		return reply(200, string(body)), err
	}}
	d := custom(distribution.Origin{})
	d.Config.CacheBehaviors = []distribution.CacheBehavior{{PathPattern: "/read-only/*", TargetOriginID: "web", CachePolicyID: "Managed-CachingDisabled"}}
	addr := listening(t, open(t, o, Config{Distributions: []distribution.Distribution{d}}))
	for path, want := range map[string]string{"/a": "HTTP/1.1 100 Continue", "/read-only/a": "HTTP/1.1 403 Forbidden"} {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(2 * time.Minute))
		fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: e1.cloudfront.localhost\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n", path)
		in := bufio.NewReader(conn)
		line, err := in.ReadString('\n')
		if strings.TrimSpace(line) != want {
			t.Errorf("%s: %q, %v, want %s", path, line, err, want)
		}
		if path == "/a" {
			_, _ = in.ReadString('\n')
			_, _ = io.WriteString(conn, "hello")
			resp, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			if body, _ := io.ReadAll(resp.Body); string(body) != "hello" {
				t.Errorf("%d %q", resp.StatusCode, body)
			}
			resp.Body.Close()
		}
		conn.Close()
	}
}

// unsafe methods take with them what is cached of their URL, and nothing else.
func TestChangesOutdateTheirURL(t *testing.T) {
	for _, tt := range []struct {
		method    string
		status    int
		forgotten bool
	}{
		{"POST", 200, true}, {"PUT", 201, true}, {"DELETE", 204, true}, {"PATCH", 303, true}, {"POST", 400, false}, {"DELETE", 500, false}, {"OPTIONS", 200, false},
	} {
		o := &recorded{answer: func(r *http.Request) (*http.Response, error) {
			if r.Method == tt.method {
				return reply(tt.status, ""), nil
			}
			return reply(200, "x", "Cache-Control", "max-age=60"), nil
		}}
		d := dist("E1")
		d.Config.DefaultCacheBehavior.AllowedMethods = allowedSets[2]
		e := open(t, o, Config{Distributions: []distribution.Distribution{d}})
		for _, path := range []string{"/a", "/ab", "/a*"} {
			get(e, path)
		}
		settle(t, e)
		do(e, tt.method, "/a")
		do(e, tt.method, "/a*") // which is a URL like others, and no pattern
		settle(t, e)
		if got := xcache(get(e, "/a")) == "Miss"; got != tt.forgotten {
			t.Errorf("%s with %d: /a is forgotten: %v", tt.method, tt.status, got)
		}
		if got := xcache(get(e, "/ab")); got != "Hit" {
			t.Errorf("%s with %d: /ab: %s", tt.method, tt.status, got)
		}
		settle(t, e)
	}
}

// slowConn is a viewer's end of a connection within a bubble.
func dialSlowly(t *testing.T, e *Edge) (net.Conn, func()) {
	t.Helper()
	client, server := net.Pipe()
	l := &oneConn{conn: server, closed: make(chan struct{})}
	s := Server(e)
	done := make(chan struct{})
	go func() { _ = s.Serve(l); close(done) }()
	return client, func() { client.Close(); s.Close(); <-done }
}

// oneConn accepts one connection.
type oneConn struct {
	conn   net.Conn
	once   sync.Once
	taken  bool
	closed chan struct{}
}

func (l *oneConn) Accept() (net.Conn, error) {
	if !l.taken {
		l.taken = true
		return l.conn, nil
	}
	<-l.closed
	return nil, net.ErrClosed
}
func (l *oneConn) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *oneConn) Addr() net.Addr { return l.conn.LocalAddr() }

// A viewer who takes nothing for a minute is left, one who takes a little all
// the time is not.
func TestSlowReaders(t *testing.T) {
	for _, tt := range []struct {
		name  string
		pause time.Duration
		whole bool
	}{{"steady", 10 * time.Second, true}, {"stuck", 70 * time.Second, false}} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const size = 4 << 20
				e := open(t, fixed(200, strings.Repeat("x", size), "Cache-Control", "max-age=60"), Config{})
				conn, end := dialSlowly(t, e)
				defer end()
				fmt.Fprint(conn, "GET /a HTTP/1.1\r\nHost: e1.cloudfront.localhost\r\n\r\n")
				buf, n := make([]byte, 256<<10), 0
				var err error
				for err == nil && n < size {
					time.Sleep(tt.pause)
					var more int
					more, err = io.ReadAtLeast(conn, buf, 200<<10)
					n += more
				}
				if whole := n >= size; whole != tt.whole {
					t.Errorf("%d of %d bytes, %v", n, size, err)
				}
			})
		})
	}
}

// A viewer who sends nothing of its body for a minute is left, one who sends a
// little all the time is not; and a slow header is no way to keep a connection.
func TestSlowWriters(t *testing.T) {
	for _, tt := range []struct {
		name  string
		pause time.Duration
		want  string
	}{{"steady", 50 * time.Second, "200"}, {"stuck", 70 * time.Second, ""}} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := &recorded{answer: func(r *http.Request) (*http.Response, error) {
					body, err := io.ReadAll(r.Body)
					if err != nil {
						return nil, err
					}
					return reply(200, string(body)), nil
				}}
				e := open(t, o, Config{Distributions: []distribution.Distribution{custom(distribution.Origin{})}})
				conn, end := dialSlowly(t, e)
				defer end()
				answer := make(chan string, 1)
				go func() {
					resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
					if err != nil {
						answer <- ""
						return
					}
					resp.Body.Close()
					answer <- strconv.Itoa(resp.StatusCode)
				}()
				fmt.Fprint(conn, "POST /a HTTP/1.1\r\nHost: e1.cloudfront.localhost\r\nContent-Length: 5\r\n\r\n")
				for range 5 {
					time.Sleep(tt.pause)
					if _, err := io.WriteString(conn, "x"); err != nil {
						break
					}
				}
				if got := <-answer; got != tt.want && (tt.want != "" || got < "400") {
					t.Errorf("answered %q, want %q", got, tt.want)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		conn, end := dialSlowly(t, open(t, fixed(200, "x"), Config{}))
		defer end()
		began := time.Now()
		go fmt.Fprint(conn, "GET /a HTTP/1.1\r\nHost:")
		if _, err := io.Copy(io.Discard, conn); err != nil || time.Since(began) > 15*time.Second {
			t.Errorf("a header that does not end held the connection for %v, %v", time.Since(began), err)
		}
	})
}
