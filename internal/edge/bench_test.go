package edge

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/freshet/freshet"
)

// discard is a ResponseWriter that costs nothing.
type discard struct{ h http.Header }

func (d *discard) Header() http.Header         { return d.h }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(int)             {}

func BenchmarkHit(b *testing.B) {
	e := open(b, fixed(200, strings.Repeat("x", 1024), "Content-Type", "text/plain", "Etag", `"v"`), Config{})
	get(e, "/a/b.css")
	settle(b, e)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		r := httptest.NewRequest("GET", "/a/b.css", nil)
		w := &discard{make(http.Header)}
		for pb.Next() {
			clear(w.h)
			e.ServeHTTP(w, r)
		}
	})
}

// The core without the door: look up and validate.
func BenchmarkLookup(b *testing.B) {
	e := open(b, fixed(200, "x"), Config{})
	get(e, "/a/b.css")
	settle(b, e)
	b.ReportAllocs()
	for b.Loop() {
		if e.serving().sites[0].lookup(key{0, "/a/b.css", ""}) == nil {
			b.Fatal("no copy")
		}
	}
}

func BenchmarkValid(b *testing.B) {
	names := []string{"/assets/css/site/main.css"}
	for _, live := range []int{0, 100, 50_000} {
		ep := newEpochs(1 << 20)
		for i := range live {
			ep.invalidate([]freshet.Pattern{freshet.Pattern("/assets/" + strconv.Itoa(i) + "/*")})
		}
		var s stamp
		ep.begin(&s)
		b.Run("unchanged/patterns="+strconv.Itoa(live), func(b *testing.B) {
			for b.Loop() {
				ep.valid(&s, names)
			}
		})
		b.Run("walk/patterns="+strconv.Itoa(live), func(b *testing.B) {
			for b.Loop() {
				ep.counter.Add(1) // as after an invalidation of something else
				ep.valid(&s, names)
			}
		})
	}
}

func BenchmarkInvalidate(b *testing.B) {
	for _, live := range []int{0, 50_000} {
		b.Run("patterns="+strconv.Itoa(live), func(b *testing.B) {
			ep := newEpochs(1 << 20)
			for i := range live {
				ep.invalidate([]freshet.Pattern{freshet.Pattern("/assets/" + strconv.Itoa(i) + "/*")})
			}
			one := []freshet.Pattern{"/assets/1000/*"}
			b.ReportAllocs()
			for b.Loop() {
				ep.invalidate(one)
			}
		})
	}
}

func BenchmarkCap(b *testing.B) {
	root := newNode("", 0, 0, nil)
	for i := range maxRecords {
		root = root.with("/assets/"+strconv.Itoa(i%977)+"/"+strconv.Itoa(i), false, uint64(i+1))
	}
	for b.Loop() {
		root.atMost(maxRecords * 3 / 4)
	}
}
