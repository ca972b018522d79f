package edge

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/distribution"
)

// TestPromiseCompletedMeansComplete goes through the places where old bytes
// could hide, one by one.
func TestPromiseCompletedMeansComplete(t *testing.T) {
	root := "/index.html"
	tests := []struct {
		place   string
		url     string
		pattern freshet.Pattern
		// hide brings version 1 to where it hides; version 2 is then put and
		// the pattern invalidated; seek is what happens before the next request.
		hide, seek func(w *hidden)
	}{
		{"memory", "/a", "/a", (*hidden).cache, nil},
		{"memory, under another spelling", "/%61%2fb", "/a/b", (*hidden).cache, nil},
		{"memory, an escape in lower case", "/caf%C3%A9", "/caf%c3%a9", (*hidden).cache, nil},
		{"memory, an escape in lower case by the viewer", "/caf%c3%A9", "/caf%c3%A9", (*hidden).cache, nil},
		{"memory, an escape in lower case under a wildcard", "/caf%C3%A9?x=%c3", "/caf%c3*", (*hidden).cache, nil},
		{"memory, an escape in lower case before a query string", "/caf%C3%A9?x=%c3", "/caf%c3%a9?x=%c3", (*hidden).cache, nil},
		{"memory, a needless escape as the viewer wrote it", "/%61", "/%61", (*hidden).cache, nil},
		{"memory, a needless escape with a query string", "/%6a?x=%c3", "/%6a?x=%c3", (*hidden).cache, nil},
		{"memory, under a wildcard", "/a/b/c", "/a*", (*hidden).cache, nil},
		{"memory, the root by its own name", "/", "/", (*hidden).cache, nil},
		{"memory, the root by its object's name", "/", freshet.Pattern(root), (*hidden).cache, nil},
		{"memory, with a query string", "/q?x=%41\"1", "/q?x=%41%221", (*hidden).cache, nil},
		{"memory, with any query string", "/q?x=1", "/q?*", (*hidden).cache, nil},
		{"memory, after a sweep", "/a", "/a", (*hidden).cache, func(w *hidden) { w.e.sweep() }},
		{"memory, after many patterns", "/a", "/a", (*hidden).cache, func(w *hidden) {
			w.e.serving().sites[0].epochs.limit = 4
			for i := range 100 {
				w.invalidate(freshet.Pattern("/other/" + strconv.Itoa(i)))
			}
		}},
		{"a part of a body", "/a", "/a", func(w *hidden) {
			for _, cache := range []string{"Miss", "Hit"} {
				want(w.t, get(w.e, "/", "Test-Target", w.url, "Range", "bytes=2-"), 206, cache, "000001")
				synctest.Wait()
			}
		}, func(w *hidden) {
			want(w.t, get(w.e, "/", "Test-Target", w.url, "Range", "bytes=2-"), 206, "Miss", "000002")
			synctest.Wait()
		}},
		{"a fetch that began before", "/a", "/a", (*hidden).begin, func(w *hidden) { w.o.letAll(); synctest.Wait() }},
		{"a fetch that began before, swept over", "/a", "/a", (*hidden).begin, func(w *hidden) { w.e.sweep(); w.o.letAll(); synctest.Wait(); w.e.sweep() }},
		{"a fetch that is still under way", "/a", "/a", (*hidden).begin, func(w *hidden) { time.AfterFunc(time.Second, w.o.letAll) }},
		{"half a body", "/a", "/a", func(w *hidden) { w.begin(); w.o.let(0); synctest.Wait() }, func(w *hidden) { w.o.letAll(); synctest.Wait() }},
		{"a confirmation that is under way", "/a", "/a", func(w *hidden) { w.cache(); time.Sleep(11 * time.Second); w.begin() }, func(w *hidden) { w.o.letAll(); synctest.Wait() }},
		{"an expired copy that stands in", "/a", "/a", func(w *hidden) { w.cache(); time.Sleep(11 * time.Second) }, func(w *hidden) { w.o.down = true }},
		{"an expired copy that stands in already", "/a", "/a", func(w *hidden) {
			w.cache()
			time.Sleep(11 * time.Second)
			w.o.down = true
			get(w.e, w.url)
			synctest.Wait()
		}, nil},
		{"an origin that would confirm the old copy", "/a", "/a", func(w *hidden) { w.cache(); time.Sleep(11 * time.Second) }, func(w *hidden) { w.lies.Store(true) }},
	}
	for _, tt := range tests {
		t.Run(tt.place, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := hide(t, tt.url)
				tt.hide(w)
				w.o.mu.Lock()
				for path := range w.o.version {
					w.o.version[path] = 2
				}
				w.o.hold = false
				w.o.mu.Unlock()
				w.invalidate(tt.pattern)
				if tt.seek != nil {
					tt.seek(w)
				}
				for range 2 {
					rec := get(w.e, "/", "Test-Target", tt.url)
					if rec.Code == 200 && rec.Body.String() != "00000002" {
						t.Errorf("%s: %q from %s", tt.url, rec.Body, xcache(rec))
					}
					if rec.Code != 200 && !w.o.down {
						t.Errorf("%s: %d", tt.url, rec.Code)
					}
					synctest.Wait()
				}
			})
		})
	}
}

// hidden is an edge with something old in it.
type hidden struct {
	t    *testing.T
	e    *retargeted
	o    *versioned
	lies atomic.Bool // the origin confirms any version
	url  string
}

// retargeted takes the request target from a header, since tests ask for
// targets that httptest does not parse.
type retargeted struct{ *Edge }

func (e *retargeted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if target := r.Header.Get("Test-Target"); target != "" {
		r.RequestURI = target
	}
	e.Edge.ServeHTTP(w, r)
}

func hide(t *testing.T, url string) *hidden {
	w := &hidden{t: t, url: url, o: &versioned{version: make(map[string]int)}}
	for _, path := range []string{"/a", "/a/b", "/a/b/c", "/index.html", "/q", "/caf%C3%A9", "/j"} {
		w.o.version[path] = 1
	}
	honest := roundTripper(func(r *http.Request) (*http.Response, error) {
		if tag := r.Header.Get("If-None-Match"); tag != "" && w.lies.Load() {
			return reply(304, "", "Etag", tag), nil
		}
		return w.o.RoundTrip(r)
	})
	d := behaving(func(b *distribution.CacheBehavior) { b.ForwardedValues.QueryString = true })
	w.e = &retargeted{open(t, honest, Config{Distributions: []distribution.Distribution{d}})}
	w.e.multiple = 2
	return w
}

// cache stores version 1 and makes sure of it.
func (w *hidden) cache() {
	for _, cache := range []string{"Miss", "Hit"} {
		want(w.t, get(w.e, "/", "Test-Target", w.url), 200, cache, "00000001")
		synctest.Wait()
	}
}

// begin leaves a fetch of version 1 under way.
func (w *hidden) begin() {
	w.o.hold = true
	go get(w.e, "/", "Test-Target", w.url)
	synctest.Wait()
	if len(w.o.held) != 1 {
		w.t.Fatal("no fetch is under way")
	}
}

func (w *hidden) invalidate(p freshet.Pattern) {
	if err := w.e.Invalidate("E1", []freshet.Pattern{p}); err != nil {
		w.t.Fatal(err)
	}
}

// A copy that gets one more name is held against that, too, although it was looked
// at since the name was invalidated.
func TestAnotherNameIsLookedAt(t *testing.T) {
	s := newEpochs(maxRecords)
	e := &entry{names: []string{"/a"}}
	s.begin(&e.stamp)
	s.invalidate([]freshet.Pattern{"/alias"})
	if !s.valid(&e.stamp, e.names) {
		t.Fatal("an invalidation reached what it does not cover")
	}
	if named := e.named("/alias"); s.valid(&named.stamp, named.names) {
		t.Error("the copy is valid under a name that was invalidated")
	}
}

// The viewer who asked before an invalidation may get what was then on its way.
func TestFetchBegunBeforeIsStillDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := hide(t, "/a")
		w.o.hold = true
		answer := make(chan *httptest.ResponseRecorder, 1)
		go func() { answer <- get(w.e, "/a") }()
		synctest.Wait()
		w.invalidate("/*")
		w.o.letAll()
		want(t, <-answer, 200, "Miss", "00000001")
	})
}

// The same promise with real threads: by path, wildcard and tag, for variants and
// parts, and for what is confirmed or served stale.
func TestNoOlderBytesUnderLoad(t *testing.T) {
	paths := []string{"/a", "/a/b", "/a/c", "/b"}
	var version, least [4]atomic.Int64
	origin := roundTripper(func(r *http.Request) (*http.Response, error) {
		for i, path := range paths {
			if path == r.URL.Path {
				v := version[i].Load()
				body := fmt.Sprintf("%08d", v)
				etag := `"` + body + `"`
				if r.Header.Get("If-None-Match") == etag {
					return reply(304, "", "Etag", etag, "Cache-Control", "max-age=0"), nil
				}
				// Some must be revalidated, some may be while they are served.
				control := []string{"max-age=100", "max-age=0", "max-age=0, stale-while-revalidate=100"}[v%3]
				headers := []string{"Etag", etag, "Cache-Control", control, "X-Amz-Meta-Cache-Tag", "all, t" + strconv.Itoa(i)}
				if r.Header.Get("Range") == "bytes=2-" {
					return reply(206, body[2:], append(headers, "Content-Range", "bytes 2-7/8")...), nil
				}
				return reply(200, body, headers...), nil
			}
		}
		return reply(404, ""), nil
	})
	e := open(t, origin, Config{Distributions: []distribution.Distribution{tagging()}})
	e.serving().sites[0].epochs.limit = 16
	e.multiple = 2
	ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
	defer cancel()
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				i := n % len(paths)
				floor := least[i].Load()
				headers := []string{"X-Lang", strconv.Itoa(n % 3)}
				if n%7 < 2 {
					headers = append(headers, "Range", "bytes=2-")
				}
				w := get(e, paths[i], headers...)
				got, err := strconv.ParseInt(w.Body.String(), 10, 64)
				if err != nil || got < floor {
					t.Errorf("%s: %q (%s), but %d was put before an invalidation that had returned", paths[i], w.Body, xcache(w), floor)
					return
				}
			}
		})
	}
	all.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			i := n % len(paths)
			v := version[i].Add(1)
			p := freshet.Pattern(paths[i])
			switch n % 5 {
			case 0:
				p = p[:2] + "*"
			case 1:
				p = freshet.Pattern("#T" + strconv.Itoa(i))
			case 2:
				p = "#all"
			}
			if err := e.Invalidate("E1", []freshet.Pattern{p, freshet.Pattern("/x" + strconv.Itoa(n)), freshet.Pattern("#x" + strconv.Itoa(n))}); err != nil {
				t.Error(err)
				return
			}
			least[i].Store(v)
		}
	})
	all.Go(func() {
		for ctx.Err() == nil {
			e.sweep()
		}
	})
	all.Wait()
	if st := e.Stats(); st.Hits == 0 || st.Misses == 0 {
		t.Errorf("the test saw nothing: %+v", st)
	}
}

func TestInvalidateErrors(t *testing.T) {
	e := open(t, fixed(200, "x"), Config{})
	get(e, "/a")
	settle(t, e)
	for _, tt := range []struct {
		id       string
		patterns []freshet.Pattern
		want     error
	}{
		{"E2", []freshet.Pattern{"/a"}, ErrUnknownDistribution},
		{"E1", []freshet.Pattern{"/a", "b"}, ErrPattern},
		{"E1", []freshet.Pattern{"/a", "#tag"}, ErrPattern},
		{"E1", []freshet.Pattern{"/a", "/~x"}, ErrPattern},
		{"E1", []freshet.Pattern{"/a", "/" + freshet.Pattern(strings.Repeat("x", freshet.MaxPatternLength))}, ErrPattern},
	} {
		if err := e.Invalidate(tt.id, tt.patterns); !errors.Is(err, tt.want) {
			t.Errorf("%s %q: %v, want %v", tt.id, tt.patterns, err, tt.want)
		}
		if w := get(e, "/a"); xcache(w) != "Hit" {
			t.Errorf("%q was refused and removed something", tt.patterns)
		}
	}
}

// A tilde cannot be invalidated, in any spelling; only a wildcard before it can.
func TestTildeCannotBeInvalidated(t *testing.T) {
	d := behaving(func(b *distribution.CacheBehavior) { b.ForwardedValues.QueryString = true })
	e := open(t, fixed(200, "x"), Config{Distributions: []distribution.Distribution{d}})
	urls := []string{"/v~1", "/v%7E1", "/v?a=%7E1"}
	for _, url := range urls {
		get(e, url)
		settle(t, e)
	}
	if err := e.Invalidate("E1", []freshet.Pattern{"/v%7E1", "/v%7E*", "/v%7e1", "/v?a=%7E1"}); err != nil {
		t.Fatal(err)
	}
	for _, url := range urls {
		if w := get(e, url); xcache(w) != "Hit" {
			t.Errorf("%s was removed by a pattern that CloudFront ignores", url)
		}
	}
	if err := e.Invalidate("E1", []freshet.Pattern{"/v*"}); err != nil {
		t.Fatal(err)
	}
	for _, url := range urls {
		if w := get(e, url); xcache(w) != "Miss" {
			t.Errorf("%s: %s after /v*", url, xcache(w))
		}
		settle(t, e)
	}
}

// The sweeper works on its own, frees memory, forgets patterns, and leaves alone
// what is valid.
func TestSweeperFreesAndForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := open(t, fixed(200, "x"), Config{})
		for _, url := range []string{"/a/1", "/a/2", "/b"} {
			get(e, url)
			synctest.Wait()
		}
		if err := e.Invalidate("E1", []freshet.Pattern{"/a/*", "/nothing"}); err != nil {
			t.Fatal(err)
		}
		if st := e.Stats(); st.Patterns != 2 || st.Epoch != 1 || st.Objects != 3 {
			t.Errorf("before the sweep: %+v", st)
		}
		time.Sleep(2 * sweepDelay)
		synctest.Wait()
		if st := e.Stats(); st.Patterns != 0 || st.Objects != 1 {
			t.Errorf("after the sweep: %+v", st)
		}
		want(t, get(e, "/b"), 200, "Hit", "x")
		want(t, get(e, "/a/1"), 200, "Miss", "x")
	})
}

// A slow fetch that nothing invalidates is stored although a sweep passed over
// it.
func TestSweepSparesRunningFetches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := hide(t, "/a")
		w.begin()
		w.invalidate("/b*")
		w.e.sweep()
		w.o.letAll()
		synctest.Wait()
		want(t, get(w.e, "/a"), 200, "Hit", "00000001")
	})
}

func TestCloseEndsFetches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := hide(t, "/a")
		w.begin()
		w.e.Close()
		w.e.Close()
		if rec := get(w.e, "/new"); rec.Code != 502 {
			t.Errorf("after Close: %d", rec.Code)
		}
	})
}

// A copy that was invalidated while the origin was failing does not even stand
// in for the viewer who asked before.
func TestInvalidatedCopyNeverStandsIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := hide(t, "/a")
		w.cache()
		time.Sleep(11 * time.Second)
		w.o.down, w.o.hold = true, true
		answer := make(chan *httptest.ResponseRecorder, 1)
		go func() { answer <- get(w.e, "/a") }()
		synctest.Wait()
		w.invalidate("/a")
		w.o.letAll()
		want(t, <-answer, 503, "Error", "down")
	})
}
