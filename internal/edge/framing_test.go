package edge

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/freshet/freshet/internal/distribution"
)

// framed is a request as RFC 9112 delimits it.
type framed struct{ method, target, body string }

// reference takes the bytes of a connection apart into the requests that there
// can be on it, by RFC 9112 and nothing else: it stops at whatever is malformed
// or could be understood in two ways, and after a request with a transfer coding
// or of HTTP/1.0, which must be the last. Lines may end in LF alone, folded lines count
// as one, and empty lines before a request are nothing, as the RFC lets a server
// choose.
func reference(in string) (all []framed) {
	for {
		r, rest, last, ok := cutRequest(in)
		if !ok {
			return all
		}
		all, in = append(all, r), rest
		if last {
			return all
		}
	}
}

func cutLine(in string) (line, rest string, ok bool) {
	line, rest, ok = strings.Cut(in, "\n")
	return strings.TrimSuffix(line, "\r"), rest, ok
}

func cutRequest(in string) (r framed, rest string, last, ok bool) {
	line, rest, ok := cutLine(strings.TrimLeft(in, "\r\n"))
	parts := strings.Split(line, " ")
	if !ok || len(parts) != 3 || !isToken(parts[0]) || parts[2] != "HTTP/1.1" && parts[2] != "HTTP/1.0" {
		return r, "", false, false
	}
	r.method, r.target = parts[0], parts[1]
	var fields []string
	for {
		if line, rest, ok = cutLine(rest); !ok {
			return r, "", false, false
		}
		if line == "" {
			break
		}
		if folded := line[0] == ' ' || line[0] == '\t'; folded && len(fields) > 0 {
			fields[len(fields)-1] += " " + strings.Trim(line, " \t")
			continue
		}
		fields = append(fields, line)
	}
	lengths, codings := []string(nil), []string(nil)
	for _, field := range fields {
		name, value, ok := strings.Cut(field, ":")
		if !ok || !isToken(name) || strings.ContainsAny(value, "\x00\r") {
			return r, "", false, false
		}
		switch value = strings.Trim(value, " \t"); strings.ToLower(name) {
		case "content-length":
			lengths = append(lengths, value)
		case "transfer-encoding":
			codings = append(codings, value)
		}
	}
	length, err := uint64(0), error(nil)
	if len(lengths) > 0 {
		length, err = strconv.ParseUint(lengths[0], 10, 62)
	}
	switch {
	case len(codings) > 0 && parts[2] == "HTTP/1.0":
		if err == nil && uint64(len(rest)) >= length {
			r.body = rest[:length]
		}
		return r, "", true, true // faulty, but for the head and what it says of the body
	case len(codings) > 0:
		if len(codings) != 1 || !strings.EqualFold(codings[0], "chunked") {
			return r, "", false, false
		}
		r.body, ok = dechunk(rest)
		return r, "", true, ok
	case len(lengths) > 0:
		if err != nil || strings.Trim(lengths[0], "0123456789") != "" || len(slices.Compact(lengths)) != 1 {
			return r, "", false, false
		}
		if uint64(len(rest)) < length {
			return r, "", true, true // cut off
		}
		r.body, rest = rest[:length], rest[length:]
	}
	return r, rest, parts[2] == "HTTP/1.0", true
}

// dechunk puts chunks together. Of a body that breaks off there is what came.
func dechunk(in string) (string, bool) {
	var b strings.Builder
	for {
		line, rest, ok := strings.Cut(in, "\r\n")
		size, _, _ := strings.Cut(line, ";")
		n, err := strconv.ParseUint(strings.TrimRight(size, " \t"), 16, 62)
		if !ok || err != nil || n == 0 || uint64(len(rest)) < n+2 || rest[n:n+2] != "\r\n" {
			return b.String(), true
		}
		b.WriteString(rest[:n])
		in = rest[n+2:]
	}
}

// besieged is an edge on a socket, and what its origin was asked by viewers, who
// are told apart by their addresses: some are heard late.
type besieged struct {
	addr string

	mu   sync.Mutex
	seen map[string][]framed
}

func besiege(t testing.TB) *besieged {
	b := &besieged{seen: make(map[string][]framed)}
	o := roundTripper(func(r *http.Request) (*http.Response, error) {
		asked := framed{method: r.Method, target: r.URL.RequestURI()}
		viewer := r.Header.Get("Cloudfront-Viewer-Address")
		b.mu.Lock()
		b.seen[viewer] = append(b.seen[viewer], asked)
		at := len(b.seen[viewer]) - 1
		b.mu.Unlock()
		if r.Body != nil {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return nil, err
			}
			b.mu.Lock()
			if at < len(b.seen[viewer]) {
				b.seen[viewer][at].body = string(body)
			}
			b.mu.Unlock()
		}
		return reply(200, "ok"), nil
	})
	d := custom(distribution.Origin{})
	d.Config.DefaultCacheBehavior.OriginRequestPolicyID = "Managed-AllViewerAndCloudFrontHeaders-2022-06"
	e := open(t, o, Config{Distributions: []distribution.Distribution{d}})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := Server(e)
	done := make(chan error, 1)
	go func() { done <- s.Serve(e.Door(l, nil)) }()
	t.Cleanup(func() { s.Close(); <-done })
	b.addr = l.Addr().String()
	return b
}

// send returns what is answered to some bytes, until the edge is silent, and the
// address they came from.
func (b *besieged) send(t fataler, in string) ([]byte, string) {
	conn, err := net.Dial("tcp", b.addr)
	if err != nil {
		t.Fatalf("dial: %v", err)
	}
	defer conn.Close()
	viewer := conn.LocalAddr().String()
	b.mu.Lock()
	delete(b.seen, viewer) // an earlier one of the same port
	b.mu.Unlock()
	go func() { _, _ = io.WriteString(conn, in) }() // some of which nobody may want
	var out bytes.Buffer
	buf := make([]byte, 32<<10)
	for {
		_ = conn.SetReadDeadline(time.Now().Add(60 * time.Millisecond)) // what is not complete is not answered
		n, err := conn.Read(buf)
		out.Write(buf[:n])
		if err != nil {
			return out.Bytes(), viewer
		}
	}
}

type fataler interface {
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
}

// check sends bytes and holds the edge to what it owes whoever sends them and
// whoever shares a connection with them: every answer is a proper one, and the
// origin is asked for nothing but requests that are there, once each, in order.
func (b *besieged) check(t fataler, in string) {
	said, viewer := b.send(t, in)
	out := bufio.NewReader(bytes.NewReader(said))
	answers := 0
	for {
		if _, err := out.Peek(1); err != nil {
			break
		}
		resp, err := http.ReadResponse(out, &http.Request{Method: "GET"})
		if err != nil {
			if answers == 0 || !strings.Contains(strings.ToUpper(in), "HEAD") { // whose answers have no bodies
				t.Errorf("answer %d to %q: %v", answers, in, err)
			}
			break
		}
		for name, values := range resp.Header {
			if !isToken(name) || strings.ContainsAny(strings.Join(values, ""), "\r\n\x00") {
				t.Errorf("%q was answered with %q: %q", in, name, values)
			}
		}
		if resp.StatusCode >= 200 && resp.Header.Get("X-Cache") == "" {
			t.Errorf("%q was answered by somebody else: %d %v", in, resp.StatusCode, resp.Header)
		}
		if strings.Contains(strings.ToUpper(in), "HEAD") {
			break
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		answers++
	}
	there := reference(in)
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, asked := range b.seen[viewer] {
		i := slices.IndexFunc(there, func(r framed) bool { return r.method == asked.method && sameTarget(r.target, asked.target) })
		if i < 0 || asked.body != "" && asked.body != there[i].body {
			t.Errorf("of %q the origin was asked %q, of which there is only %q", in, asked, there)
			return
		}
		there = there[i+1:]
	}
}

// sameTarget compares what stood in the request line with what the origin got.
func sameTarget(sent, got string) bool {
	r := &http.Request{RequestURI: sent}
	t := targetOf(r)
	want := escapePath(t.path)
	if strings.Contains(t.url, "?") && t.text != "" {
		want += "?" + escapeQuery(t.text)
	}
	return want == strings.TrimSuffix(got, "?")
}

var sieges = []string{
	"GET /a HTTP/1.1\r\nHost: e1.cloudfront.localhost\r\n\r\nGET /b?c HTTP/1.1\r\nHost: e1.cloudfront.localhost\r\n\r\n",
	"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabcGET /b HTTP/1.1\r\nHost: h\r\n\r\n",
	"POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nX: y\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n",
	"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n",
	"POST /a HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n",
	"GET http://h/a#b HTTP/1.1\nHost: h\n\nOPTIONS * HTTP/1.1\r\nHost: h\r\n\r\nPUT /\xff%0d%0a HTTP/1.1\r\nHost: h\r\nX:\r\n y\r\n\r\n",
	"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n0\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n",
	"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\x16\x03\x01\x02", "GET /a HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx",
}

func FuzzFrontDoor(f *testing.F) {
	for _, s := range sieges {
		f.Add(s)
	}
	b := besiege(f)
	f.Fuzz(func(t *testing.T, in string) { b.check(t, in) })
}

// What the edge takes for requests are those that RFC 9112 sees, whatever pieces
// a viewer puts together.
func TestFramingIsTheRFCs(t *testing.T) {
	b := besiege(t)
	piece := func(pieces ...string) *rapid.Generator[string] { return rapid.SampledFrom(pieces) }
	end := piece("\r\n", "\r\n", "\r\n", "\n", "\r", "\r\n ", "\r\r\n")
	field := piece("Host: h", "Host: h", "Host:h", "Host : h", "Content-Length: 5", "Content-Length: 5", "content-length:0", "Content-Length: 05", "Content-Length: +5",
		"Content-Length: 5, 5", "Content-Length: 99999999999999999999", "Content-Length : 7", "Content-Length:\t5", "Transfer-Encoding: chunked", "Transfer-Encoding: CHUNKED",
		"Transfer-Encoding: chunked, identity", "Transfer-Encoding: identity", "Transfer-Encoding:\x0bchunked", " Transfer-Encoding: chunked", "Transfer-Encoding", "X: y",
		"X\x00: y", "X: \x00", "Connection: keep-alive", "Connection: close", "Expect: 100-continue", "Upgrade: websocket", "Trailer: X", "\tfolded")
	line := piece("GET /a HTTP/1.1", "POST /b?c HTTP/1.1", "POST /b HTTP/1.0", "PUT /c HTTP/1.1", "DELETE http://h/d HTTP/1.1", "OPTIONS * HTTP/1.1", "GET /e", "GET  /f HTTP/1.1", "GET /g HTTP/1.1 ", "CONNECT h:1 HTTP/1.1", "POST /h HTTP/2.0")
	const within = "GET /s HTTP/1.1\r\nHost: h\r\n\r\n"
	body := piece("", "", "hello", within, "hello"+within, "0\r\n\r\n"+within, "5\r\nhello\r\n0\r\n\r\n"+within, "5\r\nhello\r\n0\r\n\r\n", "0\r\n\r\n", "0\n\n", "5;x=\"\r\n\"\r\nhello\r\n0\r\n\r\n", "05 \r\nhello\r\n0\r\nGET: x\r\n\r\n", "0x5\r\nhello\r\n0\r\n\r\n", "5\r\nhelloGET /s HTTP/1.1\r\n", "ffffffffffffffff5\r\nhello\r\n0\r\n\r\n")
	rapid.Check(t, func(t *rapid.T) {
		var in strings.Builder
		for range rapid.IntRange(1, 3).Draw(t, "requests") {
			fmt.Fprint(&in, line.Draw(t, "line"), end.Draw(t, "end"), "Host: h\r\n")
			for range rapid.IntRange(0, 3).Draw(t, "fields") {
				fmt.Fprint(&in, field.Draw(t, "field"), end.Draw(t, "end"))
			}
			fmt.Fprint(&in, "\r\n", body.Draw(t, "body"))
		}
		b.check(t, in.String())
	})
}

// Whatever is asked, what comes from the cache is what the origin answers to
// just that.
func FuzzCachedAnswersAreTheirOwn(f *testing.F) {
	for _, s := range [][2]string{{"/a?b", "/a%3Fb"}, {"/a;b", "/a%3bb"}, {"//a", "/a"}, {"/a/../b", "/b"}, {"/A", "/a"}, {"/a?b&c", "/a?c&b"}, {"/a?", "/a"}, {"/%2f", "//"}, {"/a#b", "/a"}, {"http://h/a", "/a"}} {
		f.Add(s[0], "x", "k=1", s[1], "x", "k=1")
	}
	f.Add("/a", "x\ty", "a=1; b=2", "/a", "x y", "b=2;a=1")
	f.Add("/a", "", "a=1", "/a", "\nCookie:a=1", "")
	d := dist("E1")
	b := &d.Config.DefaultCacheBehavior
	b.CachePolicyID = ""
	b.ForwardedValues = &distribution.ForwardedValues{QueryString: true, Headers: []string{"X-Key"}, Cookies: distribution.CookiePreference{Forward: "all"}}
	d.Config.DefaultRootObject = ""
	o := roundTripper(func(r *http.Request) (*http.Response, error) {
		return reply(200, fmt.Sprintf("%q %q %q", r.URL.RequestURI(), r.Header["X-Key"], r.Header["Cookie"]), "Cache-Control", "max-age=1000"), nil
	})
	f.Fuzz(func(t *testing.T, target1, key1, cookie1, target2, key2, cookie2 string) {
		e := open(t, o, Config{Distributions: []distribution.Distribution{d}})
		for _, q := range [][3]string{{target1, key1, cookie1}, {target2, key2, cookie2}} {
			text := "GET " + q[0] + " HTTP/1.1\r\nHost: h\r\nX-Key: " + q[1] + "\r\nCookie: " + q[2] + "\r\n\r\n"
			r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text)))
			if err != nil || r.ContentLength != 0 {
				return
			}
			alone := open(t, o, Config{Distributions: []distribution.Distribution{d}})
			shared, own := serve(e, r), serve(alone, r.Clone(r.Context()))
			if shared.Code != own.Code || shared.Code == 200 && shared.Body.String() != own.Body.String() {
				t.Errorf("%q after %q: %d %q, alone %d %q", text, [3]string{target1, key1, cookie1}, shared.Code, shared.Body, own.Code, own.Body)
			}
			settle(t, e)
			alone.Close()
		}
		e.Close()
	})
}
