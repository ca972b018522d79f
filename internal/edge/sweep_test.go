package edge

import (
	"fmt"
	"net/http"
	"runtime"
	"testing"
	"time"

	"github.com/freshet/freshet"
)

// fillStore stores so many copies without asking anybody, the n-th at path(n).
func fillStore(t testing.TB, e *Edge, n, size int, path func(int) string) {
	t.Helper()
	s, body := e.serving().sites[0], make([]byte, size)
	for i := range n {
		url := path(i)
		made := &entry{
			key: key{s.number, url, ""}, names: []string{url}, status: 200, body: body, received: time.Now(), life: lifetime{store: true, fresh: time.Hour},
			header: http.Header{"Cache-Control": {"max-age=86400"}, "Content-Type": {"text/plain"}, "Date": {"Sat, 21 Nov 2026 08:00:00 GMT"}, "Etag": {fmt.Sprintf(`"%d"`, i)}},
		}
		s.epochs.begin(&made.stamp)
		if !s.keep(made) {
			t.Fatal("not kept")
		}
	}
}

// What a sweep has removed is given back, however little it is of each part of the
// memory; but not each time, since much may have to be moved for it.
func TestSweptMemoryComesBack(t *testing.T) {
	e := open(t, fixed(200, "x"), Config{MemoryLimit: 16 << 20})
	fillStore(t, e, 8_000, 1024, func(i int) string { return fmt.Sprintf("/%d/%d", i%10, i) })
	for _, c := range []struct {
		what freshet.Pattern
		most uint64 // tenths of what there was that may be left
	}{{"/3/*", 9}, {"/4/*", 9}, {"/*", 0}} {
		full := e.store.bytes()
		e.serving().sites[0].epochs.invalidate([]freshet.Pattern{c.what}) // which asks for no sweep
		if c.what == "/4/*" {
			e.untidy.mu.Lock()
			e.untidy.next = time.Now().Add(-time.Second) // as if it had been long ago
			e.untidy.mu.Unlock()
		}
		e.sweep()
		if now := e.store.bytes(); now > full/10*c.most+1<<20 {
			t.Errorf("after %s there are %d bytes of %d", c.what, now, full)
		}
	}
	u := new(untidy)
	now := time.Now()
	if u.isDue(100, 100_000, now) || !u.isDue(300, 100_000, now) || u.isDue(1000, 100_000, now.Add(tidyEvery-1)) || !u.isDue(0, 100_000, now.Add(tidyEvery)) {
		t.Error("all is moved together too often, or too seldom")
	}
	u.took(time.Minute, now)
	if u.isDue(1000, 100_000, now.Add(time.Minute)) || !u.isDue(0, 100_000, now.Add(4*time.Minute)) {
		t.Error("what takes long is done too often")
	}
}

// BenchmarkSweep has a million small copies swept after 5,000 wildcards that cover
// nothing, and after one that covers some. Run it with -benchtime 1x.
func BenchmarkSweep(b *testing.B) {
	for _, what := range []string{"nothing", "a hundredth, everywhere", "a tenth, together", "all"} {
		b.Run(what, func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				e := open(b, fixed(200, "x"), Config{MemoryLimit: 2 << 30})
				fillStore(b, e, 1_000_000, 128, func(i int) string { return fmt.Sprintf("/%d/%02d/%d", i/100_000, i%100, i) })
				full := e.store.bytes()
				s := e.serving().sites[0]
				for i := range 5000 {
					s.epochs.invalidate([]freshet.Pattern{freshet.Pattern(fmt.Sprintf("/1/none-%d/*", i))})
				}
				switch what {
				case "a hundredth, everywhere":
					for i := range 10 {
						s.epochs.invalidate([]freshet.Pattern{freshet.Pattern(fmt.Sprintf("/%d/42/*", i))})
					}
				case "a tenth, together":
					s.epochs.invalidate([]freshet.Pattern{"/3/*"})
				case "all":
					s.epochs.invalidate([]freshet.Pattern{"/*"})
				}
				runtime.LockOSThread()
				clock := threadClock()
				before := clock()
				b.StartTimer()
				e.sweep()
				b.StopTimer()
				b.ReportMetric(float64((clock()-before).Microseconds())/1000, "ms-CPU")
				runtime.UnlockOSThread()
				b.ReportMetric(float64(full-e.store.bytes())/float64(full)*100, "%-freed")
				e.Close()
				b.StartTimer()
			}
		})
	}
}
