package edge

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/edge/loop"
	"github.com/freshet/freshet/internal/edge/narrow"
)

// What lies tersely in the store goes out as it came, whichever copies were asked
// for before, and so does the next copy of the same URL.
func TestTerseCopies(t *testing.T) {
	version := 0
	e := open(t, roundTripper(func(r *http.Request) (*http.Response, error) {
		return reply(200, "body", "Cache-Control", "max-age=5000", "Date", time.Now().UTC().Format(http.TimeFormat), "Etag", fmt.Sprintf(`"%032x"`, version),
			"X-Amz-Id-2", strings.Repeat("eftixk72aD6Ap51Tnqc", 4), "X-Path", r.URL.Path), nil
	}), Config{})
	d, a := &quick{e}, new(loop.Answer)
	for ; version < 3; version++ {
		for i := range 40 {
			get(e, fmt.Sprint("/", i))
		}
		settle(t, e)
		for i := range 120 {
			path := fmt.Sprint("/", i*7%40)
			a.Head, a.Now = a.Head[:0], time.Now()
			if v := d.Answer([]byte("GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n"), a); v != loop.Answered {
				t.Fatalf("%s: %v", path, v)
			}
			for _, line := range []string{"\r\nX-Path: " + path + "\r\n", fmt.Sprintf("\r\nEtag: \"%032x\"\r\n", version), "\r\nX-Amz-Id-2: " + strings.Repeat("eftixk72aD6Ap51Tnqc", 4) + "\r\n"} {
				if !strings.Contains(string(a.Head), line) {
					t.Fatalf("no %q in %q", line, a.Head)
				}
			}
		}
		q := ownQuery(a)
		if q.request.Read([]byte("GET /0 HTTP/1.1\r\nHost: x\r\n\r\n")) != narrow.Plain || !d.aim(&q.sought, q.request, nil) || !d.find(q, a) {
			t.Fatal("not found")
		}
		if !q.found.view.Terse() {
			t.Error("it does not lie tersely")
		}
		q.reader.Leave()
		if err := e.Invalidate("E1", []freshet.Pattern{"/*"}); err != nil {
			t.Fatal(err)
		}
	}
}
