package edge

import (
	"fmt"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/distribution"
)

// shapes make patterns of which no two are alike.
var shapes = map[string]func(n int) string{
	"exact":          func(n int) string { return fmt.Sprintf("/site/%d/page-%d.html", n%977, n) },
	"wildcard":       func(n int) string { return fmt.Sprintf("/site/%d/section-%d/*", n%977, n) },
	"query strings":  func(n int) string { return fmt.Sprintf("/search?q=%d&page=%d", n, n%10) },
	"tags":           func(n int) string { return fmt.Sprintf("#release-%d", n) },
	"escapes":        func(n int) string { return fmt.Sprintf("/caf%%c3%%a9/%d", n) },
	"as long as may": func(n int) string { return fmt.Sprintf("/%d/", n) + strings.Repeat("long", 980) },
	"deep":           func(n int) string { return fmt.Sprintf("/%s%d", strings.Repeat("d/", n%200), n) },
}

// heap is how many bytes are in use.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// Whatever is invalidated, patterns take no more than their room, and what was
// invalidated is not served again, also where patterns had to be merged or were
// forgotten. A fetch whose tags are unknown stays under way all the time, so that
// no tag can be forgotten. With FRESHET_SOAK there are a million patterns of each
// kind.
func TestMemoryOfPatternsIsBounded(t *testing.T) {
	each := 30_000
	if os.Getenv("FRESHET_SOAK") != "" {
		each = 1_000_000
	} else if testing.Short() {
		each = 5_000
	}
	for name, shape := range shapes {
		t.Run(name, func(t *testing.T) { floodWith(t, shape, each) })
	}
}

func floodWith(t *testing.T, shape func(int) string, each int) {
	const batch = 1000
	var version atomic.Int64
	stuck := make(chan struct{})
	o := roundTripper(func(r *http.Request) (*http.Response, error) {
		if r.URL.Path == "/stuck" {
			<-stuck
		}
		return reply(200, fmt.Sprint(version.Load()), "Cache-Control", "max-age=1000", "X-Amz-Meta-Cache-Tag", "probe"), nil
	})
	e := open(t, o, Config{Distributions: []distribution.Distribution{tagging()}})
	defer close(stuck)
	s := e.serving().sites[0]
	go get(e, "/stuck")
	for !s.isFilling(key{s.number, "/stuck", "\n"}) {
		runtime.Gosched()
	}
	// Names that the flood does not reach, but the last.
	probes := []freshet.Pattern{"/probe", "/prob*", "#PROBE"}
	before := heap()
	var most uint64
	records, size := 0, 0
	for n := 0; n < each; n += batch {
		patterns := make([]freshet.Pattern, batch)
		for i := range patterns {
			patterns[i] = freshet.Pattern(shape(n + i))
		}
		version.Add(1)
		patterns[batch/2] = probes[n/batch%len(probes)]
		if err := e.Invalidate("E1", patterns); err != nil {
			t.Fatal(err)
		}
		want(t, get(e, "/probe"), 200, "Miss", fmt.Sprint(version.Load()))
		untilOnlyOneRuns(s)
		root := s.epochs.records.Load().root
		records, size = max(records, root.records), max(size, root.size)
		switch n / batch % 10 {
		case 3:
			e.sweep()
		case 9:
			most = max(most, heap())
		}
	}
	if records > maxRecords || size > maxRecordsSize {
		t.Errorf("%d records of %d bytes, at most %d and %d wanted", records, size, maxRecords, maxRecordsSize)
	}
	if grown := int64(most) - int64(before); grown > 2*maxRecordsSize {
		t.Errorf("%d bytes more are in use", grown)
	}
	t.Logf("%d patterns: at most %d records, said to take %d bytes; the heap grew by %d", each, records, size, int64(most)-int64(before))
}

// untilOnlyOneRuns waits until nothing but the stuck fetch is under way.
func untilOnlyOneRuns(s *site) {
	for {
		s.mu.Lock()
		running := len(s.running)
		s.mu.Unlock()
		if running == 1 {
			return
		}
		runtime.Gosched()
	}
}
