package edge

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/distribution"
)

// observed gathers what an observer is told.
type observed struct {
	mu      sync.Mutex
	served  []Served
	fetched []string // distribution and status
}

func (o *observed) Served(s Served) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.served = append(o.served, s)
}

func (o *observed) Fetched(id string, status int, took time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if took < 0 {
		id = "negative"
	}
	o.fetched = append(o.fetched, id+" "+strconv.Itoa(status))
}

// Every request and every attempt to reach an origin is told of once.
func TestObserver(t *testing.T) {
	o := &recorded{answer: func(r *http.Request) (*http.Response, error) {
		switch r.URL.Path {
		case "/missing":
			return reply(404, "gone"), nil
		case "/down":
			return nil, errors.New("down")
		case "/broken":
			resp := reply(200, "half")
			resp.ContentLength = 10
			resp.Body = io.NopCloser(io.MultiReader(strings.NewReader("half"), brokenReader{}))
			return resp, nil
		}
		return reply(200, "0123456789", "Cache-Control", "max-age=60"), nil
	}}
	d := dist("E1")
	d.Config.CacheBehaviors = []distribution.CacheBehavior{{PathPattern: "/secure/*", TargetOriginID: "site", ViewerProtocolPolicy: "redirect-to-https"}}
	var seen observed
	e := open(t, o, Config{Distributions: []distribution.Distribution{d, dist("E2")}, Observer: &seen})
	for _, tt := range []struct {
		method, url string
		want        Served
		fetched     string
	}{
		{"GET", "http://e1.cloudfront.localhost/a?x=1", Served{"E1", "GET", "/a", "Miss", 200, 10, 0}, "E1 200"},
		{"GET", "http://e1.cloudfront.localhost/a", Served{"E1", "GET", "/a", "Hit", 200, 10, 0}, ""},
		{"HEAD", "http://e1.cloudfront.localhost/a", Served{"E1", "HEAD", "/a", "Hit", 200, 0, 0}, ""},
		{"GET", "http://e2.cloudfront.localhost/missing", Served{"E2", "GET", "/missing", "Error", 404, 4, 0}, "E2 404"},
		{"GET", "http://e1.cloudfront.localhost/secure/x", Served{"E1", "GET", "/secure/x", "Redirect", 301, -1, 0}, ""},
		{"GET", "http://e1.cloudfront.localhost/broken", Served{"E1", "GET", "/broken", "Error", 200, 4, 0}, "E1 200"},
		{"GET", "http://e1.cloudfront.localhost/down", Served{"E1", "GET", "/down", "Error", 502, -1, 0}, "E1 502"},
		{"GET", "http://nobody.example/a%20b", Served{"", "GET", "/a%20b", "Error", 403, -1, 0}, ""},
	} {
		seen.served, seen.fetched = nil, nil
		do(e, tt.method, tt.url, "", "")
		settle(t, e)
		if len(seen.served) != 1 {
			t.Fatalf("%s %s: told of %+v", tt.method, tt.url, seen.served)
		}
		got := seen.served[0]
		if got.Took <= 0 || tt.want.Bytes < 0 && got.Bytes == 0 {
			t.Errorf("%s %s: %+v", tt.method, tt.url, got)
		}
		got.Took = 0
		if tt.want.Bytes < 0 {
			got.Bytes = -1
		}
		if got != tt.want {
			t.Errorf("%s %s: %+v, want %+v", tt.method, tt.url, got, tt.want)
		}
		if seen.fetched = slices.Compact(seen.fetched); strings.Join(seen.fetched, ",") != tt.fetched { // attempts at an origin that is down
			t.Errorf("%s %s: fetched %q, want %q", tt.method, tt.url, seen.fetched, tt.fetched)
		}
	}
}

type nobody struct{}

func (nobody) Served(Served)                      {}
func (nobody) Fetched(string, int, time.Duration) {}

// Being observed costs a hit no memory.
func TestObservedHitsAllocateNothingMore(t *testing.T) {
	allocated := func(o Observer) float64 {
		e := open(t, fixed(200, "x"), Config{Observer: o})
		get(e, "/a.css")
		settle(t, e)
		r, w := httptest.NewRequest(http.MethodGet, "/a.css", http.NoBody), &discard{make(http.Header)}
		return testing.AllocsPerRun(200, func() {
			clear(w.h)
			e.ServeHTTP(w, r)
		})
	}
	if off, on := allocated(nil), allocated(nobody{}); on > off {
		t.Errorf("%v allocations for a hit, %v without an observer", on, off)
	}
}

// What has to make room is counted; what is replaced or removed is not.
func TestEvictionsAreCounted(t *testing.T) {
	e := open(t, fixed(200, strings.Repeat("x", 10<<10), "Cache-Control", "max-age=60"), Config{MemoryLimit: 1 << 20})
	for range 5 {
		get(e, "/same")
		settle(t, e)
		if err := e.Invalidate("E1", []freshet.Pattern{"/*"}); err != nil {
			t.Fatal(err)
		}
	}
	e.sweep()
	if n := e.Stats().Evictions; n != 0 {
		t.Errorf("%d evictions with room for all", n)
	}
	for i := range 300 {
		get(e, "/"+strconv.Itoa(i))
	}
	settle(t, e)
	if st := e.Stats(); st.Evictions == 0 || int(st.Evictions)+st.Objects != 300 {
		t.Errorf("%+v after 300 objects, a third of which fit", st)
	}
}
