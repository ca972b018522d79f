package narrow

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestRead(t *testing.T) {
	const h = "Host: a.example\r\n"
	for _, tt := range []struct {
		name, text string
		want       Verdict
	}{
		{"the least", "GET / HTTP/1.1\r\n" + h + "\r\n", Plain},
		{"HEAD", "HEAD /a?b=c HTTP/1.1\r\n" + h + "\r\n", Plain},
		{"a port", "GET / HTTP/1.1\r\nHost: a.example:8080\r\n\r\n", Plain},
		{"escapes", "GET /%41%2f?%20 HTTP/1.1\r\n" + h + "\r\n", Plain},
		{"names in any case", "GET / HTTP/1.1\r\nhOST: a\r\nconnECTION: Keep-Alive\r\n\r\n", Plain},
		{"an empty value", "GET / HTTP/1.1\r\n" + h + "X:\r\n\r\n", Plain},
		{"tabs around a value", "GET / HTTP/1.1\r\n" + h + "X:\t a \t\r\n\r\n", Plain},
		{"a tab within a value", "GET / HTTP/1.1\r\n" + h + "X: aaaaaaa\tbbbbbbbb\r\n\r\n", Plain},
		{"more than one", "GET / HTTP/1.1\r\n" + h + "\r\nGET / HTTP/1.1\r\n", Plain},
		{"POST", "POST / HTTP/1.1\r\n" + h + "\r\n", Other},
		{"GETS", "GETS / HTTP/1.1\r\n" + h + "\r\n", Other},
		{"HTTP/1.0", "GET / HTTP/1.0\r\n" + h + "\r\n", Other},
		{"HTTP/1.2", "GET / HTTP/1.2\r\n" + h + "\r\n", Other},
		{"two spaces", "GET  / HTTP/1.1\r\n" + h + "\r\n", Other},
		{"an empty line before", "\r\nGET / HTTP/1.1\r\n" + h + "\r\n", Other},
		{"absolute", "GET http://a/ HTTP/1.1\r\n" + h + "\r\n", Other},
		{"two slashes", "GET //a/ HTTP/1.1\r\n" + h + "\r\n", Other},
		{"asterisk", "GET * HTTP/1.1\r\n" + h + "\r\n", Other},
		{"half an escape", "GET /%4 HTTP/1.1\r\n" + h + "\r\n", Other},
		{"no escape", "GET /%zz HTTP/1.1\r\n" + h + "\r\n", Other},
		{"a fragment", "GET /a#b HTTP/1.1\r\n" + h + "\r\n", Other},
		{"bytes beyond ASCII in the target", "GET /\xc3\xa4 HTTP/1.1\r\n" + h + "\r\n", Other},
		{"a bare line end", "GET / HTTP/1.1\n" + h + "\r\n", Other},
		{"a bare line end in the header", "GET / HTTP/1.1\r\nHost: a\n\r\n", Other},
		{"a bare line end at the end", "GET / HTTP/1.1\r\n" + h + "\n", Other},
		{"a lone CR", "GET / HTTP/1.1\r\n" + h + "X: a\rb\r\n\r\n", Other},
		{"two CRs", "GET / HTTP/1.1\r\n" + h + "X: a\r\r\n\r\n", Other},
		{"folded", "GET / HTTP/1.1\r\n" + h + "X: a\r\n b\r\n\r\n", Other},
		{"folded Host", "GET / HTTP/1.1\r\nHost:\r\n a\r\n\r\n", Other},
		{"a space before the colon", "GET / HTTP/1.1\r\n" + h + "X : a\r\n\r\n", Other},
		{"no colon", "GET / HTTP/1.1\r\n" + h + "X\r\n\r\n", Other},
		{"no name", "GET / HTTP/1.1\r\n" + h + ": a\r\n\r\n", Other},
		{"no Host", "GET / HTTP/1.1\r\nX: a\r\n\r\n", Other},
		{"nothing", "GET / HTTP/1.1\r\n\r\n", Other},
		{"two Hosts", "GET / HTTP/1.1\r\n" + h + h + "\r\n", Other},
		{"an empty Host", "GET / HTTP/1.1\r\nHost: \r\n\r\n", Other},
		{"a user in Host", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", Other},
		{"Content-Length", "GET / HTTP/1.1\r\n" + h + "content-length: 0\r\n\r\n", Other},
		{"Content-Type", "GET / HTTP/1.1\r\n" + h + "Content-Type: a/b\r\n\r\n", Other},
		{"Transfer-Encoding", "GET / HTTP/1.1\r\n" + h + "Transfer-Encoding: chunked\r\n\r\n", Other},
		{"Connection: close", "GET / HTTP/1.1\r\n" + h + "Connection: close\r\n\r\n", Other},
		{"Connection with a list", "GET / HTTP/1.1\r\n" + h + "Connection: keep-alive, x\r\n\r\n", Other},
		{"Upgrade", "GET / HTTP/1.1\r\n" + h + "Upgrade: websocket\r\n\r\n", Other},
		{"Expect", "GET / HTTP/1.1\r\n" + h + "Expect: 100-continue\r\n\r\n", Other},
		{"TE", "GET / HTTP/1.1\r\n" + h + "te: trailers\r\n\r\n", Other},
		{"Trailer", "GET / HTTP/1.1\r\n" + h + "Trailer: x\r\n\r\n", Other},
		{"Proxy-Authorization", "GET / HTTP/1.1\r\n" + h + "Proxy-Authorization: x\r\n\r\n", Other},
		{"Keep-Alive", "GET / HTTP/1.1\r\n" + h + "Keep-Alive: 3\r\n\r\n", Other},
		{"HTTP2-Settings", "GET / HTTP/1.1\r\n" + h + "HTTP2-Settings: x\r\n\r\n", Other},
		{"a NUL", "GET / HTTP/1.1\r\n" + h + "X: aaaaaaaaa\x00\r\n\r\n", Other},
		{"a DEL", "GET / HTTP/1.1\r\n" + h + "X: \x7faaaaaaa\r\n\r\n", Other},
		{"a high byte", "GET / HTTP/1.1\r\n" + h + "X: aaa\xffaaaa\r\n\r\n", Other},
		{"a vertical tab around a value", "GET / HTTP/1.1\r\n" + h + "X: \x0ba\r\n\r\n", Other},
		{"too many fields", "GET / HTTP/1.1\r\n" + h + strings.Repeat("X: a\r\n", 65) + "\r\n", Other},
		{"too large", "GET / HTTP/1.1\r\n" + h + "X: " + strings.Repeat("a", MaxSize) + "\r\n\r\n", Other},
		{"too large, and not at its end", "GET / HTTP/1.1\r\n" + h + "X: " + strings.Repeat("a", MaxSize), Other},
		{"a target too large", "GET /" + strings.Repeat("a", MaxSize), Other},
	} {
		var r Request
		if got := r.Read([]byte(tt.text)); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// Whatever is plain in the end is not judged before its end has come.
func TestReadInPieces(t *testing.T) {
	const text = "HEAD /a%20b?c HTTP/1.1\r\nHost: a.example\r\nAccept-Encoding: gzip, br\r\nX: \t y \r\n\r\n"
	var r Request
	for n := range len(text) {
		if got := r.Read([]byte(text[:n])); got != More {
			t.Errorf("%q: %v", text[:n], got)
		}
	}
	if got := r.Read([]byte(text + "G")); got != Plain || r.Size != len(text) || !r.Head || string(r.Target) != "/a%20b?c" || string(r.Host) != "a.example" ||
		string(r.Encoding) != "gzip, br" || string(r.Get("x")) != "y" || r.Header != len("Accept-Encodinggzip, brXy") {
		t.Errorf("%v %+v", got, &r)
	}
}

func TestFlags(t *testing.T) {
	for text, want := range map[string]string{
		"X: a": "", "Range: bytes=0-": "range=bytes=0-", "if-none-match: *": "none-match=*", "If-Modified-Since: a\r\nIf-Unmodified-Since: b\r\nIf-Match: c\r\nIF-RANGE: d": "modified=aunmodified=bmatch=cif-range=d",
		"Range: a\r\nrange: b": "qualifiedrange=a", "Range: ": "qualified", "If-Other: x": "qualified", "If-: x": "", "If: x": "", "Via: 1.1 x": "qualified", "Pragma: no-cache": "qualified", "Accept-Encoding: gzip\r\nAccept-Encoding: br": "qualified",
		"Cookie: a=b": "cookies", "ORIGIN: http://a": "origin",
	} {
		var r Request
		r.Read([]byte("GET / HTTP/1.1\r\nHost: a\r\nVia: 1.1 x\r\nRange: of\r\nIf-Match: the\r\nIf-Range: last\r\n\r\n"))
		if v := r.Read([]byte("GET / HTTP/1.1\r\nHost: a\r\n" + text + "\r\n\r\n")); v != Plain {
			t.Errorf("%q: %v", text, v)
		}
		got := ""
		for _, flag := range []struct {
			name string
			is   bool
		}{{"qualified", r.Qualified}, {"cookies", r.Cookies}, {"origin", r.Origin}} {
			if flag.is {
				got += flag.name
			}
		}
		for _, condition := range []struct {
			name  string
			value []byte
		}{
			{"none-match", r.Conditions.IfNoneMatch}, {"modified", r.Conditions.IfModifiedSince}, {"unmodified", r.Conditions.IfUnmodifiedSince}, {"match", r.Conditions.IfMatch},
			{"if-range", r.Conditions.IfRange}, {"range", r.Conditions.Range},
		} {
			if condition.value != nil {
				got += condition.name + "=" + string(condition.value)
			}
		}
		if r.Conditional != strings.Contains(got, "=") {
			t.Errorf("%q: conditional: %v", text, r.Conditional)
		}
		if got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestIsText(t *testing.T) {
	for c := range 256 {
		for at := range 17 {
			b := bytes.Repeat([]byte("a"), 17)
			b[at] = byte(c)
			want := c == '\t' || c >= ' ' && c < 0x7F
			if isText(b) != want {
				t.Errorf("%#x at %d: %v", c, at, !want)
			}
		}
	}
}

// agrees fails where net/http reads a plain request differently.
func agrees(t *testing.T, b []byte) {
	t.Helper()
	var r Request
	v := r.Read(b)
	if v != Plain {
		return
	}
	in := bytes.NewReader(b)
	buffered := bufio.NewReader(in)
	theirs, err := http.ReadRequest(buffered)
	if err != nil {
		t.Fatalf("%q is plain, and net/http says %v", b, err)
	}
	if n, err := io.Copy(io.Discard, theirs.Body); n != 0 || err != nil {
		t.Fatalf("%q has a body of %d bytes, %v", b, n, err)
	}
	if size := len(b) - in.Len() - buffered.Buffered(); size != r.Size {
		t.Fatalf("%q has %d bytes, not %d", b, size, r.Size)
	}
	method := "GET"
	if r.Head {
		method = "HEAD"
	}
	if theirs.Method != method || theirs.RequestURI != string(r.Target) || theirs.Host != string(r.Host) || theirs.Close || theirs.ProtoMinor != 1 ||
		theirs.ContentLength != 0 || len(theirs.TransferEncoding) > 0 || theirs.URL.Host != "" {
		t.Fatalf("%q: %+v, not %+v", b, theirs, &r)
	}
	ours := make(http.Header)
	if r.Qualified {
		delete(theirs.Header, "Cache-Control") // net/http may have made it of Pragma
	}
	for _, f := range r.Fields {
		if name := string(f.Name); !r.Qualified || !strings.EqualFold(name, "Cache-Control") {
			ours.Add(name, string(f.Value))
		}
	}
	if len(ours) != len(theirs.Header) {
		t.Fatalf("%q: %v, not %v", b, theirs.Header, ours)
	}
	for name, values := range theirs.Header {
		if strings.Join(values, "\n") != strings.Join(ours[name], "\n") {
			t.Fatalf("%q: %s is %q, not %q", b, name, values, ours[name])
		}
	}
}

// FuzzRead holds every reading against net/http's.
func FuzzRead(f *testing.F) {
	for _, text := range []string{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HEAD /a?b HTTP/1.1\r\nHost: a:80\r\nX: y\r\nConnection: keep-alive\r\n\r\nGET", "GET /%41 HTTP/1.1\r\nhost:a\r\nA:\t\r\nA: b\tc\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nCookie: a=b\r\nCookie: c\r\nPragma: no-cache\r\n\r\n", "GET /[::]:1 HTTP/1.1\r\nHost: [::1]\r\n\r\n", "GET /;a=b HTTP/1.1\r\nHost: a:b:c\r\n\r\n",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(agrees)
}

func BenchmarkRead(b *testing.B) {
	text := []byte("GET /1024/a HTTP/1.1\r\nHost: a.example\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0\r\n" +
		"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\nAccept-Language: en-GB,en;q=0.7,de;q=0.3\r\n" +
		"Accept-Encoding: gzip, deflate, br\r\nReferer: https://www.example.com/section/page.html\r\nSec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\n" +
		"Sec-Fetch-Site: same-origin\r\nUpgrade-Insecure-Requests: 1\r\nCookie: session=0123456789abcdef; theme=dark\r\n\r\n")
	var r Request
	b.ReportAllocs()
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if r.Read(text) != Plain {
			b.Fatal("not plain")
		}
	}
}
