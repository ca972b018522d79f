package edge

import (
	"bufio"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/freshet/freshet/internal/distribution"
)

// spoken is an origin that says a text on each connection and closes it.
func spoken(t *testing.T, text string) (url string, asked *atomic.Int64) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	asked = new(atomic.Int64)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
				asked.Add(1)
				_, _ = c.Write([]byte(text))
			}
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return "http://" + l.Addr().String(), asked
}

// What arrives incomplete is not stored, and the viewer's connection is broken
// off. A body that nothing but the end of the connection ends is stored, as
// CloudFront does, though it may be incomplete. What is said before the answer
// proper is no answer.
func TestWhatAnOriginSaysOnTheWire(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\nCache-Control: max-age=100\r\n"
	for name, tt := range map[string]struct {
		text    string
		body    string
		aborted bool
		then    string // X-Cache of the next request
	}{
		"complete":                        {head + "Content-Length: 3\r\n\r\nabc", "abc", false, "Hit"},
		"shorter than its length":         {head + "Content-Length: 9\r\n\r\nabc", "abc", true, "Miss"},
		"chunked":                         {head + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "abc", false, "Hit"},
		"chunked, the last chunk missing": {head + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", "abc", true, "Miss"},
		"chunked, a chunk incomplete":     {head + "Transfer-Encoding: chunked\r\n\r\n9\r\nabc", "abc", true, "Miss"},
		"ended by closing":                {head + "Connection: close\r\n\r\nabc", "abc", false, "Hit"},
		"hints first":                     {"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nCache-Control: no-store\r\n\r\n" + head + "Content-Length: 3\r\n\r\nabc", "abc", false, "Hit"},
		"100 unasked":                     {"HTTP/1.1 100 Continue\r\n\r\n" + head + "Content-Length: 3\r\n\r\nabc", "abc", false, "Hit"},
		"longer than its length":          {head + "Content-Length: 3\r\n\r\nabcdef", "abc", false, "Hit"},
	} {
		t.Run(name, func(t *testing.T) {
			url, asked := spoken(t, tt.text)
			e := open(t, nil, Config{Resolve: func(distribution.Distribution, distribution.Origin) (Origin, error) { return Origin{URL: url}, nil }})
			w := get(e, "/a")
			settle(t, e)
			aborted := w.Header().Get("Test-Aborted") != ""
			if w.Code != 200 || w.Body.String() != tt.body || aborted != tt.aborted {
				t.Errorf("%d %q, broken off: %v; want %q, %v", w.Code, w.Body, aborted, tt.body, tt.aborted)
			}
			if strings.Contains(tt.then, "Hit") != (e.Stats().Objects == 1) {
				t.Errorf("%d objects are stored", e.Stats().Objects)
			}
			if w := get(e, "/a"); xcache(w) != tt.then {
				t.Errorf("then %s, want %s", xcache(w), tt.then)
			}
			settle(t, e)
			if expected := int64(2 - strings.Count(tt.then, "Hit")); asked.Load() != expected {
				t.Errorf("%d requests to the origin, want %d", asked.Load(), expected)
			}
		})
	}
}
