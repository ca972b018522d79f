package edge

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

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

// BenchmarkMillion prints what a million small objects take, and how long a forced
// garbage collection is. Run it with -benchtime 1x.
func BenchmarkMillion(b *testing.B) {
	short := func(i int) http.Header {
		return http.Header{
			"Cache-Control": {"max-age=86400"}, "Content-Type": {"text/plain"}, "Date": {"Sat, 21 Nov 2026 08:00:00 GMT"}, "Etag": {`"` + strconv.Itoa(i) + `"`},
			"Last-Modified": {"Fri, 20 Nov 2026 08:00:00 GMT"}, "Server": {"origin"},
		}
	}
	storage := func(i int) http.Header { // as S3 has it
		id := base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%057d", i))
		return http.Header{
			"Accept-Ranges": {"bytes"}, "Cache-Control": {"max-age=86400"}, "Content-Type": {"text/plain"}, "Date": {"Sat, 21 Nov 2026 08:00:00 GMT"}, "Etag": {fmt.Sprintf(`"%032x"`, i)},
			"Last-Modified": {"Fri, 20 Nov 2026 08:00:00 GMT"}, "Server": {"AmazonS3"}, "X-Amz-Id-2": {id}, "X-Amz-Request-Id": {fmt.Sprintf("%016X", i)},
			"X-Amz-Server-Side-Encryption": {"AES256"}, "X-Amz-Version-Id": {fmt.Sprintf("3HL4kqtJlcpXroDTDmjVBH%010d", i)},
		}
	}
	b.Run("128 bytes, short headers", func(b *testing.B) { benchmarkMillion(b, 128, short) })
	b.Run("128 bytes, S3's headers", func(b *testing.B) { benchmarkMillion(b, 128, storage) })
	b.Run("200 bytes, S3's headers", func(b *testing.B) { benchmarkMillion(b, 200, storage) })
}

func benchmarkMillion(b *testing.B, size int, header func(i int) http.Header) {
	const n = 1_000_000
	for b.Loop() {
		e := open(b, fixed(200, "x"), Config{MemoryLimit: 2 << 30})
		s := e.serving().sites[0]
		before := residentSet(b)
		body := []byte(strings.Repeat("x", size))
		for i := range n {
			url := "/128/rest/" + strconv.Itoa(i)
			made := &entry{
				key: key{s.number, url, ""}, names: []string{url}, status: 200, body: body, received: time.Now(), life: lifetime{store: true, fresh: time.Hour},
				header: header(i),
			}
			s.epochs.begin(&made.stamp)
			if !s.keep(made) {
				b.Fatal("not kept")
			}
		}
		debug.FreeOSMemory()
		b.ReportMetric(float64(residentSet(b)-before)/n, "B/object")
		b.ReportMetric(float64(e.store.bytes())/n, "B/object-counted")
		var all []time.Duration
		for range 9 {
			began := time.Now()
			runtime.GC()
			all = append(all, time.Since(began))
		}
		slices.Sort(all)
		b.ReportMetric(float64(all[4].Microseconds()), "us/GC")
		e.Close()
	}
}

// residentSet is how many bytes of memory the process has.
func residentSet(b *testing.B) (n int64) {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		b.Skip("the system does not say what the process takes")
	}
	n, err = strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	return n * int64(os.Getpagesize())
}
