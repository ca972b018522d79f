package edge

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"pgregory.net/rapid"
)

// newTwoMultiplexed are two doors that speak HTTP/2: the one is net/http's alone.
func newTwoMultiplexed(t testing.TB) *twoDoors {
	t.Helper()
	self := authority(t)
	both := &twoDoors{full: newDoorUnderTest(t), quick: newDoorUnderTest(t)}
	settled := func(e *Edge) http.HandlerFunc {
		return attend(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			e.settled()
			e.ServeHTTP(w, r)
		}))
	}
	both.full.serve(t, func(l net.Listener) net.Listener { return tls.NewListener(l, both.full.edge.TLS(nil, self)) })
	both.quick.serve(t, func(l net.Listener) net.Listener {
		d := both.quick.edge.Door(l, both.quick.edge.TLS(nil, self)).(*secureDoor)
		d.mu.Lock() // as who enters does
		d.full.server.Handler = settled(both.quick.edge)
		d.mu.Unlock()
		return d
	})
	over := &tls.Config{RootCAs: self.Pool(), ServerName: "www.example.com", NextProtos: []string{"h2"}}
	both.full.over, both.quick.over = over, over
	return both
}

// exchanged is what became of each of some requests, one after another. One that may
// be refused before all of it was read is the last of a connection: that may end with
// the answer, and whether the viewer hears of it before the answer, after it or after
// another one, net/http leaves to chance.
func (d *doorUnderTest) exchanged(t judge, requests [][]string) (all []string) {
	t.Helper()
	for len(requests) > 0 {
		n := 1 + slices.IndexFunc(requests, func(fields []string) bool {
			return slices.ContainsFunc(fields, func(s string) bool { return s == "BODY" || len(s) > 1<<12 })
		})
		if n == 0 {
			n = len(requests)
		}
		said, last := d.connection(t, requests[:n])
		if all = append(all, said...); last {
			break
		}
		requests = requests[n:]
	}
	return all
}

// connection is what became of requests on one connection, and whether it broke off.
func (d *doorUnderTest) connection(t judge, requests [][]string) (all []string, broken bool) {
	t.Helper()
	conn := d.dial(t)
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	var head strings.Builder
	enc, f := hpack.NewEncoder(&head), http2.NewFramer(conn, conn)
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	_, _ = io.WriteString(conn, http2.ClientPreface)
	_ = f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20})
	_ = f.WriteWindowUpdate(0, 1<<28)
	for i, fields := range requests {
		d.edge.settled()
		head.Reset()
		body, id := "", uint32(2*i+1)
		for k := 0; k < len(fields); k += 2 {
			if fields[k] == "BODY" {
				body = fields[k+1]
				continue
			}
			_ = enc.WriteField(hpack.HeaderField{Name: fields[k], Value: fields[k+1]})
		}
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: []byte(head.String()), EndHeaders: true, EndStream: body == ""})
		if body != "" {
			_ = f.WriteData(id, true, []byte(body))
		}
		said, last := becomes(f, id)
		if all = append(all, said); last {
			return all, true
		}
	}
	return all, false
}

// becomes is what becomes of a stream, and whether it was the last.
func becomes(f *http2.Framer, id uint32) (said string, last bool) {
	var lines []string
	var body strings.Builder
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return said + " closed", true
		}
		ended := false
		switch frame := frame.(type) {
		case *http2.MetaHeadersFrame:
			for _, h := range frame.Fields {
				switch h.Name {
				case "x-amz-cf-id":
					h.Value = fmt.Sprint(len(h.Value))
				case "date":
					h.Value = fmt.Sprint(len(h.Value))
				case "age":
					h.Value = h.Value[:1]
				}
				lines = append(lines, h.Name+": "+h.Value)
			}
			ended = frame.StreamEnded()
		case *http2.DataFrame:
			body.Write(frame.Data())
			ended = frame.StreamEnded()
		case *http2.RSTStreamFrame:
			if frame.StreamID == id {
				return said + " " + frame.ErrCode.String(), false
			}
		case *http2.GoAwayFrame:
			if frame.ErrCode != http2.ErrCodeNo {
				said += " goaway " + frame.ErrCode.String()
				last = true
			}
		}
		if ended && frame.Header().StreamID == id {
			slices.SortStableFunc(lines, func(a, b string) int {
				nameOfA, _, _ := strings.Cut(a[1:], ":")
				nameOfB, _, _ := strings.Cut(b[1:], ":")
				return strings.Compare(a[:1]+nameOfA, b[:1]+nameOfB)
			})
			return anyBoundary.ReplaceAllString(said+strings.Join(lines, "\n")+"\n"+body.String(), "BOUNDARY"), last
		}
	}
}

// exchange asks both doors the same, and wants to hear the same.
func (both *twoDoors) exchange(t judge, requests [][]string) {
	t.Helper()
	full, fast := both.full.exchanged(t, requests), both.quick.exchanged(t, requests)
	for i := range full {
		if i >= len(fast) || full[i] != fast[i] {
			t.Fatalf("%.1000q:\nnet/http: %.1500q\nquick:    %.1500q", requests[i], full[i:], fast[min(i, len(fast)):])
		}
	}
	both.compareTold(t, fmt.Sprintf("%.1000q", requests))
}

// asFrames are requests of all kinds as they come over HTTP/2.
func asFrames() (all [][]string) {
	for _, text := range recordedRequests {
		head, body, ok := strings.Cut(text, "\r\n\r\n")
		lines := strings.Split(head, "\r\n")
		first := strings.Split(lines[0], " ")
		if !ok || len(first) != 3 || first[0] == "BREW" {
			continue
		}
		host := "www.example.com"
		var fields []string
		for _, line := range lines[1:] {
			name, value, ok := strings.Cut(line, ":")
			switch name = strings.ToLower(name); {
			case !ok:
			case name == "host":
				host = strings.TrimSpace(value)
			case name != "connection" && name != "transfer-encoding" && name != "content-length" && name != "expect":
				fields = append(fields, name, strings.TrimSpace(value))
			}
		}
		request := append([]string{":method", first[0], ":scheme", "https", ":authority", host, ":path", first[1]}, fields...)
		if body != "" && first[0] == "POST" {
			request = append(request, "BODY", body)
		}
		all = append(all, request)
	}
	plain := []string{":method", "GET", ":scheme", "https", ":authority", "www.example.com", ":path", "/a.css"}
	for _, more := range [][]string{
		{"cookie", "s=1", "cookie", "t=2"}, {"cookie", "a"}, {"te", "trailers"}, {"te", "gzip"}, {"priority", "u=1"}, {"x", " spaces "}, {"x", ""},
		{"host", "www.example.com"}, {"host", "other.example"}, {"accept-encoding", "gzip", "accept-encoding", "br"}, {"content-length", "0"}, {"pragma", "no-cache"},
		{"connection", "keep-alive"}, {"X-Upper", "a"}, {"x", "\x00"}, {"x", "é"}, {":path", "/b"}, {"x y", "z"}, {"range", "bytes=1-3"}, {"if-none-match", `"e"`},
		{"user-agent", "b", "referer", "c", "x-forwarded-for", "1.2.3.4"}, {"origin", "https://a.example"}, {"BODY", "unasked"},
	} {
		all = append(all, slices.Concat(plain, more))
	}
	return append(all,
		[]string{":path", "/a.css", ":authority", "www.example.com", ":scheme", "https", ":method", "HEAD"},
		[]string{":method", "GET", ":scheme", "https", ":path", "/a.css", "host", "www.example.com"},
		[]string{"x", "y", ":method", "GET", ":scheme", "https", ":authority", "www.example.com", ":path", "/a.css"},
		[]string{":method", "GET", ":scheme", "ftp", ":authority", "www.example.com", ":path", "/a.css"},
		[]string{":method", "GET", ":scheme", "https", ":authority", "www.example.com", ":path", "*"},
		[]string{":method", "GET", ":scheme", "https", ":authority", "www.example.com"},
		[]string{":method", "GET", ":scheme", "https", ":authority", "www.example.com:443", ":path", "/a.css?x"},
		[]string{":method", "GET", ":scheme", "https", ":authority", "x.wild.example.com", ":path", "/typed"},
		[]string{":method", "CONNECT", ":authority", "www.example.com:443"},
	)
}

// Whatever viewers send over HTTP/2, net/http and the door itself answer alike,
// first from the origin and then from the cache.
func TestDoorsAnswerAlikeOverHTTP2(t *testing.T) {
	both := newTwoMultiplexed(t)
	for _, fields := range asFrames() {
		both.exchange(t, [][]string{fields, fields, fields})
	}
	both.exchange(t, asFrames())
	if both.quick.edge.Stats().Hits < 100 {
		t.Errorf("%+v", both.quick.edge.Stats())
	}
}

// Chosen at random and one after another on a connection, they mean the same, too.
func TestDoorsAnswerAlikeToWhatIsGeneratedOverHTTP2(t *testing.T) {
	both, all := newTwoMultiplexed(t), asFrames()
	rapid.Check(t, func(rt *rapid.T) {
		both.exchange(rt, rapid.SliceOfN(rapid.SampledFrom(all), 1, 8).Draw(rt, "requests"))
	})
}
