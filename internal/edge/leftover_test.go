package edge

import (
	"bufio"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/distribution"
)

// answering is an origin that answers each request on a connection with a text,
// as it is.
func answering(t *testing.T, answer func(*http.Request) string) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer c.Close()
				in := bufio.NewReader(c)
				for {
					r, err := http.ReadRequest(in)
					if err != nil {
						return
					}
					_, _ = io.Copy(io.Discard, r.Body)
					_, _ = io.WriteString(c, answer(r))
				}
			})
		}
	})
	t.Cleanup(func() { l.Close(); running.Wait() })
	return "http://" + l.Addr().String()
}

// What an origin sends beyond what it announced is not the answer to the next
// request on the connection, whoever asks and however fast.
func TestLeftoversAreNobodysAnswer(t *testing.T) {
	log.SetOutput(io.Discard) // where http.Transport tells of those that it sees in time
	t.Cleanup(func() { log.SetOutput(os.Stderr) })
	url := answering(t, func(*http.Request) string {
		const head = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"
		return head + "good" + head + "evil"
	})
	e := reaching(t, Config{Origins: map[string]string{"web.example": url}}, custom(distribution.Origin{DomainName: "web.example"}))
	var viewers sync.WaitGroup
	for v := range 8 {
		viewers.Go(func() {
			for i := range 500 {
				method, body := http.MethodGet, "good"
				if i%2 == 0 { // whose answer has a body all the same
					method, body = http.MethodHead, ""
				}
				if w := do(e, method, fmt.Sprint("/", v, "-", i)); w.Code != 200 || w.Body.String() != body {
					t.Errorf("%s: %d %q", method, w.Code, w.Body)
				}
			}
		})
	}
	viewers.Wait()
}

// The watch itself: bytes that were there before the request are found, those
// that come after it are its answer.
func TestLeftoversAreFound(t *testing.T) {
	for _, early := range []bool{false, true} {
		here, there := net.Pipe()
		h := &heard{Conn: here}
		var left leftovers
		given := &place{conn: h}
		left.at.Store(given)
		go func() { _, _ = io.WriteString(there, "x") }()
		if !early {
			_, _ = h.Read(make([]byte, 1))
		}
		left.firstByte()
		resp, err := left.judge(reply(200, ""), nil)
		if found := err != nil; found != early || found != (resp == nil) {
			t.Errorf("a byte from before: %v; found: %v", early, err)
		}
		if resp != nil {
			resp.Body.Close()
		}
		if closed := here.SetDeadline(time.Time{}) != nil; closed != early {
			t.Errorf("closed: %v, want %v", closed, early)
		}
		here.Close()
		there.Close()
	}
}

// A status that HTTP does not know is no answer, and nothing to fall over.
func TestStatusesThatThereAreNot(t *testing.T) {
	for line, want := range map[string]int{
		"HTTP/1.1 000 x": 502, "HTTP/1.1 099 x": 502, "HTTP/1.1 600 x": 502, "HTTP/1.1 999 x": 502, "HTTP/1.1 2000 x": 502, "HTTP/1.1 -20 x": 502,
		"HTTP/1.1 101 x": 502, "ICY 200 OK": 502, "HTTP/1.1": 502, "": 502, "HTTP/1.1 200": 200, "HTTP/1.1 599 x": 599, "HTTP/1.0 200 OK": 200,
	} {
		url := answering(t, func(*http.Request) string { return line + "\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx" })
		for _, policy := range []string{"Managed-CachingDisabled", "Managed-CachingOptimized"} {
			d := custom(distribution.Origin{DomainName: "web.example"})
			d.Config.DefaultCacheBehavior.CachePolicyID = policy
			e := reaching(t, Config{Origins: map[string]string{"web.example": url}}, d)
			if w := get(e, "/"); w.Code != want || !strings.HasSuffix(w.Header().Get("X-Cache"), " from cloudfront") {
				t.Errorf("%s, %q: %d, want %d", policy, line, w.Code, want)
			}
		}
	}
}
