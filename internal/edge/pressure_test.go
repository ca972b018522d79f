package edge

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/edge/loop"
)

// versionOf is the body of a version of a path: each byte says which.
func versionOf(path string, version int64) string {
	unit := fmt.Sprintf("%s=%d;", path, version)
	size := 100 << (len(path) * 7 % 10) // up to 51,200
	return strings.Repeat(unit, size/len(unit)+1)
}

// wholeVersion is the version that all bytes of a body say.
func wholeVersion(path string, body []byte) (int64, error) {
	first, _, _ := bytes.Cut(body, []byte(";"))
	version, err := strconv.ParseInt(strings.TrimPrefix(string(first), path+"="), 10, 64)
	if err != nil || string(body) != versionOf(path, version) {
		return 0, fmt.Errorf("%s: %d bytes that begin with %.60q", path, len(body), body)
	}
	return version, nil
}

// While there is room for a part only, and copies are evicted, invalidated, swept
// and moved together all the time, every byte of every answer is of what was asked
// for and, from when an invalidation has returned, of no older version; through
// the quick door and through the full one.
func TestEveryByteUnderPressure(t *testing.T) {
	const paths, readers = 120, 4
	var current atomic.Int64
	current.Store(1)
	o := roundTripper(func(r *http.Request) (*http.Response, error) {
		return reply(200, versionOf(r.URL.Path, current.Load()), "Cache-Control", "max-age=1000"), nil
	})
	c := cachingOptimized()
	c.MemoryLimit, c.LargestObject = 512<<10, 256<<10
	e := open(t, o, c)
	path := func(n int) string { return "/" + strings.Repeat("p", n%11) + strconv.Itoa(n) }
	var stop atomic.Bool
	var quicks, others atomic.Int64
	var all sync.WaitGroup
	for i := range readers {
		all.Go(func() {
			source, a := rand.New(rand.NewPCG(uint64(i), 7)), new(loop.Answer)
			for !stop.Load() {
				p := path(min(int(source.ExpFloat64()*20), paths-1))
				least := current.Load() - 1 // that of an invalidation which has returned
				if i%2 == 1 {
					w := get(e, p)
					if v, err := wholeVersion(p, w.Body.Bytes()); err != nil || v < least {
						t.Errorf("version %d after %d: %v", v, least, err)
					}
					others.Add(1)
					continue
				}
				a.Length = 0
				if quickly(e, a, "GET "+p+" HTTP/1.1\r\nHost: e1.cloudfront.localhost\r\n\r\n") != loop.Answered {
					get(e, p)
					continue
				}
				_, body, _ := bytes.Cut(a.Head, []byte("\r\n\r\n"))
				if a.Sent != nil {
					runtime.Gosched()
					body = sentBody(t, a)
				}
				if v, err := wholeVersion(p, body); err != nil || v < least {
					t.Errorf("version %d after %d, quickly: %v", v, least, err)
				}
				quicks.Add(1)
			}
		})
	}
	source := rand.New(rand.NewPCG(3, 3))
	for current.Load() < 25 || quicks.Load() < 60 {
		for before := quicks.Load() + others.Load(); quicks.Load()+others.Load() < before+20; {
			runtime.Gosched() // so that there is something to invalidate
		}
		current.Add(1)
		patterns := []freshet.Pattern{"/*"}
		if source.IntN(3) > 0 {
			patterns = nil
			for n := range paths {
				patterns = append(patterns, freshet.Pattern(path(n)))
			}
		}
		if err := e.Invalidate("E1", patterns); err != nil {
			t.Fatal(err)
		}
		if source.IntN(8) == 0 {
			e.sweep()
		}
	}
	stop.Store(true)
	all.Wait()
	st := e.Stats()
	t.Logf("%d quick answers, %d others, %d invalidations, %d evictions", quicks.Load(), others.Load(), current.Load(), st.Evictions)
	if st.Evictions == 0 || st.Bytes > st.Capacity {
		t.Errorf("%+v", st)
	}
}

// sentBody is what a loop would send of a large body.
func sentBody(t *testing.T, a *loop.Answer) []byte {
	body := bytes.Clone(a.Body)
	if a.Length > 0 {
		body = make([]byte, a.Length)
		if err := loop.ReadFile(a.File, body, a.At); err != nil {
			t.Error(err)
		}
	}
	a.Sent.Sent(int64(len(body)), true)
	return body
}
