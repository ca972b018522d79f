package wire

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve has handle called with each connection, of which it gets the number.
func serve(t testing.TB, handle func(n int, c net.Conn, in *bufio.Reader)) *Client {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for n := 0; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer c.Close()
				handle(n, c, bufio.NewReader(c))
			})
		}
	})
	made := &Client{Address: l.Addr().String(), Dial: new(net.Dialer).DialContext, MaxIdle: 4, IdleFor: time.Minute, MaxHeader: 4096}
	t.Cleanup(func() { l.Close(); made.CloseIdle(); running.Wait() })
	return made
}

// answers answers each request on each connection with a text.
func answers(t testing.TB, text func(*http.Request) string) (c *Client, connections func() int) {
	var mu sync.Mutex
	opened := 0
	c = serve(t, func(_ int, c net.Conn, in *bufio.Reader) {
		mu.Lock()
		opened++
		mu.Unlock()
		for {
			r, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			if _, err := io.WriteString(c, text(r)); err != nil {
				return
			}
			if strings.HasPrefix(r.URL.Path, "/last") {
				return
			}
		}
	})
	return c, func() int { mu.Lock(); defer mu.Unlock(); return opened }
}

func request(method, target string) *Request {
	return &Request{Method: method, Target: target, Host: "a.example", Header: http.Header{}, Deadline: time.Now().Add(10 * time.Minute), Patience: 10 * time.Minute}
}

// ask returns a whole answer.
func ask(c *Client, r *Request) (*Answer, string, error) {
	a, err := c.Do(context.Background(), r)
	if err != nil {
		return nil, "", err
	}
	defer a.Close()
	b, err := io.ReadAll(a)
	return a, string(b), err
}

// What is written is what http.Transport writes.
func TestRequestAsTransportWritesIt(t *testing.T) {
	got := make(chan string, 1)
	c := serve(t, func(_ int, c net.Conn, in *bufio.Reader) {
		var text strings.Builder
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			if text.WriteString(line); line == "\r\n" {
				break
			}
		}
		got <- text.String()
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	})
	only := new(http.Protocols)
	only.SetHTTP1(true)
	for _, apart := range []bool{false, true} {
		theirs := &http.Transport{DisableCompression: true, DisableKeepAlives: apart, Protocols: only}
		for _, h := range []http.Header{
			{"User-Agent": {"x"}}, {"User-Agent": {""}, "A": {"b"}}, {"User-Agent": {"x", "y"}, "Via": {"1.1 x"}, "X-Two": {"1", "2"}, "Accept-Encoding": {"br,gzip"}, "B": {" \tpadded "}, "C": {"\xe4"}, "D": {}},
		} {
			for _, method := range []string{"GET", "HEAD", "OPTIONS"} {
				for _, target := range []string{"/", "/a%2Fb?c=%20", "/x[1]?"} {
					r := request(method, target)
					r.Header, r.Apart = h, apart
					if _, _, err := ask(c, r); err != nil {
						t.Fatal(err)
					}
					ours := <-got
					req, err := http.NewRequest(method, "http://"+c.Address+target, nil)
					if err != nil {
						t.Fatal(err)
					}
					req.Host, req.Header = r.Host, h.Clone()
					resp, err := theirs.RoundTrip(req)
					if err != nil {
						t.Fatal(err)
					}
					resp.Body.Close()
					if theirs := <-got; ours != theirs {
						t.Errorf("%s %s %v:\n%q, http.Transport\n%q", method, target, h, ours, theirs)
					}
				}
			}
		}
		theirs.CloseIdleConnections()
	}
}

// What is not plain is not written.
func TestOddRequests(t *testing.T) {
	c := &Client{Dial: func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("connected") }}
	for name, change := range map[string]func(*Request){
		"method":       func(r *Request) { r.Method = "POST" },
		"no host":      func(r *Request) { r.Host = "" },
		"host":         func(r *Request) { r.Host = "a b" },
		"host, line":   func(r *Request) { r.Host = "a\r\nb: c" },
		"no path":      func(r *Request) { r.Target = "" },
		"no slash":     func(r *Request) { r.Target = "*" },
		"space":        func(r *Request) { r.Target = "/a b" },
		"line":         func(r *Request) { r.Target = "/a\r\nx: y" },
		"escape":       func(r *Request) { r.Target = "/%zz" },
		"short escape": func(r *Request) { r.Target = "/%a" },
		"name":         func(r *Request) { r.Header["A b"] = []string{"c"} },
		"empty name":   func(r *Request) { r.Header[""] = []string{"c"} },
		"value":        func(r *Request) { r.Header["A"] = []string{"b", "c\r\nd: e"} },
		"zero":         func(r *Request) { r.Header["A"] = []string{"\x00"} },
		"length":       func(r *Request) { r.Header["Content-Length"] = []string{"0"} },
		"coding":       func(r *Request) { r.Header["Transfer-Encoding"] = []string{"chunked"} },
		"upgrade":      func(r *Request) { r.Header["Upgrade"] = []string{"websocket"} },
		"second host":  func(r *Request) { r.Header["Host"] = []string{"b"} },
	} {
		r := request("GET", "/")
		change(r)
		if _, err := c.Do(context.Background(), r); !errors.Is(err, ErrOdd) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := c.Do(context.Background(), request("GET", "/")); err == nil || errors.Is(err, ErrOdd) {
		t.Error("a plain request is odd", err)
	}
}

// parts of answers that are generated.
var (
	statusLines = []string{"HTTP/1.1 200 OK", "HTTP/1.1 200 OK", "HTTP/1.1 404 Not  Found", "HTTP/1.1 200 ", "HTTP/1.1 200", "HTTP/1.0 200 OK", "HTTP/1.1 204 No", "HTTP/1.1 304 Not", "HTTP/1.1 099 x", "HTTP/1.1 600 x", "HTTP/1.1 -20 x", "HTTP/1.1 +20 x", "HTTP/1.1  200 OK", "HTTP/1.1 2000 OK", "ICY 200 OK", "HTTP/2.0 200 OK", "http/1.1 200 OK", "HTTP/1.1 20x OK", "HTTP/1.1 101 Up"}
	answerLines = []string{"Content-Length: 4", "Content-Length: 4", "content-length: 4", "Content-Length: 0", "Content-Length: +4", "Content-Length: 4, 4", "Content-Length: 5", "Content-Length: -1", "Content-Length: 99999999999999999999", "Content-Length:", "Content-Length : 4", "Transfer-Encoding: chunked", "Transfer-Encoding: gzip", "Connection: close", "Connection: keep-alive", "Connection: x, close", "ETag: \"v\"", "eTaG: \"w\"", "X-Two: 1", "x-two: 2", "X-Empty:", "X: \t y \t", "Pragma: no-cache", "Cache-Control: max-age=1", "no colon", ": no name", " folded", "X\x00: y", "X: \x00", "X: \xff", "X: a\rb", "Trailer: A", "Upgrade: h2c", "X-Yes: a:b", "Date: Fri, 20 Nov 2026 10:00:00 GMT"}
	usualLines  = []string{"ETag: \"v\"", "eTaG: \"w\"", "X-Two: 1", "x-two: 2", "X-Empty:", "X: \t y \t", "Connection: keep-alive", "Content-Type: text/html; charset=utf-8"}
	bodies      = []string{"body", "body", "", "bo", "bodybody", "4\r\nbody\r\n0\r\n\r\n"}
)

// told is what is known of an answer.
func told(status int, h http.Header, length int64, body string, err error) string {
	if err != nil {
		return fmt.Sprintf("%d %v %d %q, broken", status, h, length, body)
	}
	return fmt.Sprintf("%d %v %d %q", status, h, length, body)
}

// Whatever an origin answers, it is read as net/http reads it.
func TestAnswersAsNetHTTPReadsThem(t *testing.T) {
	next := make(chan string, 1)
	c := serve(t, func(_ int, c net.Conn, in *bufio.Reader) {
		if _, err := http.ReadRequest(in); err == nil {
			_, _ = io.WriteString(c, <-next)
		}
	})
	quick := 0
	rapid.Check(t, func(rt *rapid.T) {
		statuses, fields, ends := statusLines, answerLines, []string{"\r\n", "\r\n", "\n"}
		if rapid.Bool().Draw(rt, "usual") {
			statuses, fields, ends = statuses[:4], usualLines, ends[:1]
		}
		lines := []string{rapid.SampledFrom(statuses).Draw(rt, "status")}
		lines = append(lines, rapid.SliceOfN(rapid.SampledFrom(fields), 0, 4).Draw(rt, "fields")...)
		if rapid.IntRange(0, 2).Draw(rt, "with a length") > 0 {
			lines = append(lines, "Content-Length: 4")
		}
		end := rapid.SampledFrom(ends).Draw(rt, "end")
		text := strings.Join(lines, end) + end + end + rapid.SampledFrom(bodies).Draw(rt, "body")
		method := rapid.SampledFrom([]string{"GET", "GET", "GET", "OPTIONS", "HEAD"}).Draw(rt, "method")

		theirs, theirErr := http.ReadResponse(bufio.NewReader(strings.NewReader(text)), &http.Request{Method: method})
		want := "nothing"
		if theirErr == nil && theirs.StatusCode != http.StatusSwitchingProtocols && (theirs.StatusCode < 100 || theirs.StatusCode > 199) {
			body, err := io.ReadAll(theirs.Body)
			want = told(theirs.StatusCode, theirs.Header, theirs.ContentLength, string(body), err)
		}
		if head, _, ok := strings.Cut(text, "\r\n\r\n"); ok {
			if _, ok := parse(head + "\r\n\r\n"); ok {
				quick++
			}
		}
		if resp, body, ok := c.Head([]byte(text)); ok && method == "GET" && int64(len(body)) >= resp.ContentLength {
			if got := told(resp.StatusCode, resp.Header, resp.ContentLength, string(body[:resp.ContentLength]), nil); got != want {
				rt.Fatalf("%q: read at once as %s, want %s", text, got, want)
			}
		}
		next <- text
		r := request(method, "/")
		r.Apart = true
		got := "nothing"
		a, err := c.Do(context.Background(), r)
		if err == nil {
			body, err := io.ReadAll(a)
			a.Close()
			got = told(a.StatusCode, a.Header, a.ContentLength, string(body), err)
		}
		if got != want {
			rt.Fatalf("%q to %s:\nread as  %s (%v)\nnet/http %s (%v)", text, method, got, err, want, theirErr)
		}
	})
	if quick < 5 {
		t.Errorf("only %d answers were of the usual kind", quick)
	}
}

// The quick reading keeps nothing from the next request.
func TestConnectionsAreUsedAgain(t *testing.T) {
	for name, tt := range map[string]struct {
		method, answer string
		connections    int
	}{
		"length":        {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody", 1},
		"empty":         {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 1},
		"chunked":       {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n", 1},
		"not modified":  {"GET", "HTTP/1.1 304 Not\r\nEtag: \"x\"\r\n\r\n", 1},
		"head":          {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", 1},
		"early hints":   {"GET", "HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody", 1},
		"closing":       {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody", 3},
		"HTTP/1.0":      {"GET", "HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\nbody", 3},
		"more than due": {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbodyHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", 3},
		"more than 0":   {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nx", 3},
		"body of HEAD":  {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", 3},
	} {
		c, connections := answers(t, func(*http.Request) string { return tt.answer })
		for range 3 {
			if _, body, err := ask(c, request(tt.method, "/")); err != nil || strings.Contains(body, "evil") {
				t.Errorf("%s: %q, %v", name, body, err)
			}
		}
		if n := connections(); n != tt.connections {
			t.Errorf("%s: %d connections for three requests, want %d", name, n, tt.connections)
		}
	}
}

// An idle connection that the origin has closed, or sent something on, is not
// used.
func TestIdleConnectionsThatEnded(t *testing.T) {
	for name, after := range map[string]string{"closed": "", "more": "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"} {
		more := make(chan bool)
		c := serve(t, func(n int, c net.Conn, in *bufio.Reader) {
			for {
				if _, err := http.ReadRequest(in); err != nil {
					return
				}
				_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d", n)
				if n == 0 {
					<-more
					_, _ = io.WriteString(c, after)
					if after == "" {
						c.Close()
					}
					<-more
					return
				}
			}
		})
		if _, body, err := ask(c, request("GET", "/")); err != nil || body != "0" {
			t.Fatal(name, body, err)
		}
		idle := c.last()
		c.put(idle)
		more <- true
		for end := time.Now().Add(30 * time.Second); !idle.isReadable() && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
		if _, body, err := ask(c, request("GET", "/")); err != nil || body != "1" {
			t.Error(name, body, err)
		}
		more <- true
	}
}

// A connection that breaks when it is used again was idle for too long: the
// request is sent once more. On a new one it is not.
func TestBrokenConnections(t *testing.T) {
	var mu sync.Mutex
	asked := 0
	c := serve(t, func(n int, c net.Conn, in *bufio.Reader) {
		for i := 0; ; i++ {
			if _, err := http.ReadRequest(in); err != nil {
				return
			}
			mu.Lock()
			asked++
			mu.Unlock()
			if i > 0 || n == 2 {
				return
			}
			_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d", n)
		}
	})
	for i, want := range []string{"0", "1"} {
		if _, body, err := ask(c, request("GET", "/")); err != nil || body != want {
			t.Errorf("request %d: %q, %v", i, body, err)
		}
	}
	c.CloseIdle()
	if _, _, err := ask(c, request("GET", "/")); err == nil {
		t.Error("a new connection that broke has answered")
	}
	mu.Lock()
	defer mu.Unlock()
	if asked != 4 { // 0, 0 again, 1, 2
		t.Errorf("asked %d times", asked)
	}
}

// A body that is shorter than announced is not a whole one.
func TestShortBodies(t *testing.T) {
	c, _ := answers(t, func(*http.Request) string { return "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbody" })
	if _, body, err := ask(c, request("GET", "/last")); !errors.Is(err, io.ErrUnexpectedEOF) || body != "body" {
		t.Errorf("%q, %v", body, err)
	}
}

// A header is as large as it may be, and interim ones count unless somebody is
// told of them.
func TestHeaderLimit(t *testing.T) {
	large := "HTTP/1.1 103 Early\r\nX: " + strings.Repeat("x", 1500) + "\r\n\r\n"
	const final = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody"
	for _, tt := range []struct {
		answer string
		told   bool
		ok     bool
	}{
		{final, false, true}, {"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 5000), false, false}, {large + large + final, false, true},
		{strings.Repeat(large, 3) + final, false, false}, {strings.Repeat(large, 9) + final, true, true},
	} {
		c, _ := answers(t, func(*http.Request) string { return tt.answer })
		r := request("GET", "/last")
		heard := 0
		if tt.told {
			r.Told = func(status int, h http.Header) {
				if heard++; status != 103 || len(h.Get("X")) != 1500 {
					t.Errorf("told of %d %v", status, h)
				}
			}
		}
		if _, body, err := ask(c, r); (err == nil) != tt.ok || tt.ok && body != "body" || tt.told && heard != 9 {
			t.Errorf("%.40q: %q, %v; told of %d", tt.answer, body, err, heard)
		}
	}
}

// An origin that says nothing in time is slow, in the header and in the body.
func TestSlowOrigins(t *testing.T) {
	done := make(chan struct{})
	c := serve(t, func(_ int, c net.Conn, in *bufio.Reader) {
		if r, err := http.ReadRequest(in); err == nil && r.URL.Path == "/body" {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbody")
		}
		<-done
	})
	defer close(done)
	silent := request("GET", "/")
	silent.Deadline = time.Now().Add(10 * time.Millisecond)
	if _, _, err := ask(c, silent); !errors.Is(err, ErrSlow) {
		t.Error(err)
	}
	for _, limit := range []func(*Request, time.Duration){
		func(r *Request, d time.Duration) { r.Patience = d },
		func(r *Request, d time.Duration) { r.Until = time.Now().Add(d) },
	} {
		body, err := "", error(nil)
		for d := 10 * time.Millisecond; body != "body" && d < 2*time.Minute; d *= 4 { // until the machine is fast enough for what comes
			r := request("GET", "/body")
			limit(r, d)
			_, body, err = ask(c, r)
		}
		if !errors.Is(err, ErrSlow) || body != "body" {
			t.Errorf("%q, %v", body, err)
		}
	}
	connecting := &Client{Dial: func(ctx context.Context, _, _ string) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }}
	// A dialer has a clock of its own, which may be ahead of the context's.
	punctual := &Client{Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		deadline, _ := ctx.Deadline()
		for time.Now().Before(deadline) {
		}
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.ErrDeadlineExceeded}
	}}
	for _, c := range []*Client{connecting, punctual, punctual, punctual, punctual} {
		r := request("GET", "/")
		r.Deadline = time.Now().Add(10 * time.Millisecond)
		if _, _, err := ask(c, r); !errors.Is(err, ErrSlow) {
			t.Error(err)
		}
	}
	given := &Client{Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.ErrDeadlineExceeded}
	}}
	if _, _, err := ask(given, request("GET", "/")); err == nil || errors.Is(err, ErrSlow) {
		t.Errorf("a dialer that gave up early: %v", err)
	}
}

// The end of the context, and Abort, end whatever is under way, with their cause.
func TestAbort(t *testing.T) {
	done, asked := make(chan struct{}), make(chan bool, 3)
	c := serve(t, func(_ int, c net.Conn, in *bufio.Reader) {
		if r, err := http.ReadRequest(in); err == nil && r.URL.Path == "/body" {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbody")
		}
		asked <- true
		<-done
	})
	defer close(done)
	enough := errors.New("enough")
	for _, path := range []string{"/", "/body"} {
		ctx, cancel := context.WithCancelCause(context.Background())
		go func() { <-asked; cancel(enough) }()
		a, err := c.Do(ctx, request("GET", path))
		if err == nil {
			_, err = io.ReadAll(a)
			a.Close()
		}
		if !errors.Is(err, enough) {
			t.Errorf("%s: %v", path, err)
		}
	}
	a, err := c.Do(context.Background(), request("GET", "/body"))
	if err != nil {
		t.Fatal(err)
	}
	go func() { <-asked; a.Abort(enough) }()
	if _, err := io.ReadAll(a); !errors.Is(err, enough) {
		t.Error(err)
	}
}

// Connections that nobody uses are closed after a while, and none is kept once
// CloseIdle was called.
func TestIdleConnectionsEnd(t *testing.T) {
	ended := make(chan bool, 1)
	made := func() *Client {
		return serve(t, func(_ int, c net.Conn, in *bufio.Reader) {
			for {
				if _, err := http.ReadRequest(in); err != nil {
					ended <- true
					return
				}
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody")
			}
		})
	}
	c := made()
	c.IdleFor = time.Millisecond
	if _, _, err := ask(c, request("GET", "/")); err != nil {
		t.Fatal(err)
	}
	<-ended
	c = made()
	a, err := c.Do(context.Background(), request("GET", "/"))
	if err != nil {
		t.Fatal(err)
	}
	c.CloseIdle()
	if _, err := io.ReadAll(a); err != nil {
		t.Error(err)
	}
	<-ended
}

// Many ask at once, and each gets its own answer.
func TestManyAtOnce(t *testing.T) {
	c, _ := answers(t, func(r *http.Request) string {
		return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\nX-Path: %[2]s\r\n\r\n%[2]s", len(r.URL.Path), r.URL.Path)
	})
	var askers sync.WaitGroup
	for k := range 8 {
		askers.Go(func() {
			for i := range 200 {
				path := fmt.Sprintf("/%d/%d", k, i)
				a, body, err := ask(c, request("GET", path))
				if err != nil || body != path || !reflect.DeepEqual(a.Header["X-Path"], []string{path}) {
					t.Errorf("%s: %q, %v", path, body, err)
				}
			}
		})
	}
	askers.Wait()
}
