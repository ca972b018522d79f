package edge

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/freshet/freshet/internal/distribution"
)

// frames is a viewer's end of an HTTP/2 connection, frame by frame.
type frames struct {
	*http2.Framer

	t    *testing.T
	conn net.Conn
	head strings.Builder
	enc  *hpack.Encoder
	next uint32
}

func speakFrames(t *testing.T, addr string, c *tls.Config) *frames {
	t.Helper()
	c.NextProtos = []string{"h2"}
	conn, err := tls.Dial("tcp", addr, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(2 * time.Minute))
	f := &frames{Framer: http2.NewFramer(conn, conn), t: t, conn: conn, next: 1}
	f.enc = hpack.NewEncoder(&f.head)
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	_, _ = io.WriteString(conn, http2.ClientPreface)
	if err := f.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	return f
}

// block encodes fields, which alternate names and values.
func (f *frames) block(fields ...string) []byte {
	f.head.Reset()
	for i := 0; i < len(fields); i += 2 {
		_ = f.enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return []byte(f.head.String())
}

// open begins a stream.
func (f *frames) open(end bool, fields ...string) uint32 {
	id := f.next
	f.next += 2
	_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: f.block(fields...), EndStream: end, EndHeaders: true})
	return id
}

// answer is the status of a stream, or what became of it instead.
func (f *frames) answer(id uint32) string {
	for {
		frame, err := f.ReadFrame()
		switch frame := frame.(type) {
		case *http2.MetaHeadersFrame:
			if frame.StreamID == id {
				return frame.PseudoValue("status")
			}
		case *http2.RSTStreamFrame:
			if frame.StreamID == id {
				return "reset"
			}
		case *http2.GoAwayFrame:
			return "goaway"
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				_ = f.WriteSettingsAck()
			}
		}
		if err != nil {
			return "closed"
		}
	}
}

// What is no proper HTTP/2 request is refused, and nothing of it becomes more
// than one request on an origin's connection, or a part of it that the viewer
// must not write.
func TestFramesThatLie(t *testing.T) {
	seen := make(chan string, 100)
	url := answering(t, func(r *http.Request) string {
		seen <- r.Method + " " + r.RequestURI + " " + r.Host
		return "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
	})
	d := custom(distribution.Origin{DomainName: "web.example"})
	d.Config.DefaultCacheBehavior.OriginRequestPolicyID = "Managed-AllViewer"
	e := reaching(t, Config{Origins: map[string]string{"web.example": url}}, d)
	self := authority(t)
	addr := listeningTLS(t, e, e.TLS(nil, self))
	const at = "e1.cloudfront.localhost"
	request := func(more ...string) []string {
		return append([]string{":method", "GET", ":scheme", "https", ":authority", at, ":path", "/a"}, more...)
	}
	with := func(name, value string) []string {
		fields := request()
		for i := 0; i < len(fields); i += 2 {
			if fields[i] == name {
				fields[i+1] = value
			}
		}
		return fields
	}
	for _, tt := range []struct {
		name   string
		fields []string
		want   string
		seen   string // by the origin
	}{
		{"a plain request", request(), "200", "GET /a " + at},
		{"cookies in pieces", request("cookie", "a=1", "cookie", "b=2"), "200", "GET /a " + at},
		{"Host says the same", request("host", at), "200", "GET /a " + at},
		{"Host says something else", request("host", "other.example"), "400", ""},
		{"Host in place of the authority", []string{":method", "GET", ":scheme", "https", ":path", "/a", "host", at}, "200", "GET /a " + at},
		{"two Hosts", []string{":method", "GET", ":scheme", "https", ":path", "/a", "host", at, "host", "other.example"}, "400", ""},
		{"a path without a slash", with(":path", "a"), "reset", ""},
		{"an absolute path", with(":path", "https://other.example/a"), "400", ""},
		{"an empty path", with(":path", ""), "reset", ""},
		{"a space in the path", with(":path", "/a HTTP/1.1"), "400", ""},
		{"a request line in the query", with(":path", "/a?b HTTP/1.1"), "400", ""},
		{"a line end in the path", with(":path", "/a\r\nX: y"), "reset", ""},
		{"a line end in the authority", with(":authority", at+"\r\nX: y"), "reset", ""},
		{"a space in the authority", with(":authority", at+" x"), "400", ""},
		{"a path in the authority", with(":authority", at+"/x"), "400", ""},
		{"a user in the authority", with(":authority", "u@"+at), "reset", ""},
		{"a line end in a value", request("x", "a\r\nY: z"), "reset", ""},
		{"a NUL in a value", request("x", "a\x00b"), "reset", ""},
		{"an upper case name", request("X-Upper", "a"), "reset", ""},
		{"a colon in a name", request("x: y\r\nz", "a"), "reset", ""},
		{"a header of the connection", request("connection", "close"), "reset", ""},
		{"a transfer coding", request("transfer-encoding", "chunked"), "reset", ""},
		{"an upgrade", request("upgrade", "websocket"), "reset", ""},
		{"a method that is a request line", with(":method", "GET /x HTTP/1.1"), "403", ""},
		{"another scheme", with(":scheme", "ftp"), "reset", ""},
		{"a pseudo-header that there is not", request(":protocol", "websocket"), "reset", ""},
		{"a pseudo-header after others", append([]string{"x", "y"}, request()...), "reset", ""},
		{"two paths", request(":path", "/b"), "reset", ""},
		{"CONNECT", []string{":method", "CONNECT", ":authority", at + ":443"}, "400", ""},
		{"asterisk", with(":path", "*"), "400", ""},
		{"a length and no body", request("content-length", "5"), "400", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := speakFrames(t, addr, &tls.Config{RootCAs: self.Pool(), ServerName: at})
			got := f.answer(f.open(true, tt.fields...))
			if got != tt.want && (tt.want != "reset" || got != "goaway" && got != "closed" && got != "400") {
				t.Errorf("answered %s, want %s", got, tt.want)
			}
			var asked []string
			for len(seen) > 0 {
				asked = append(asked, <-seen)
			}
			if fmt.Sprint(asked) != "["+tt.seen+"]" {
				t.Errorf("the origin saw %q, want %q", asked, tt.seen)
			}
		})
	}
}
