package edge

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/freshet/freshet"
)

// noise repeats nowhere.
var noise = sync.OnceValue(func() []byte {
	text := make([]byte, 1<<20)
	rand.NewChaCha8([32]byte{1}).Read(text)
	return text
})

// crate is a large body: each version of it differs from the others everywhere,
// and no two MiB of it are alike.
type crate struct {
	version byte
	at, end int64
}

func (c *crate) Read(p []byte) (int, error) {
	if c.at == c.end {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), c.end-c.at, 1<<20-c.at%(1<<20))]
	n := copy(p, noise()[(c.at+(c.at>>20)*4099+int64(c.version)*997)%(1<<20):])
	c.at += int64(n)
	return n, nil
}

func crateBody(version byte, size int64) []byte {
	text := make([]byte, size)
	_, _ = io.ReadFull(&crate{version, 0, size}, text)
	return text
}

// warehouse is an origin of large objects, the same at every path, that honours
// ranges and conditions. Each answer goes through tap, if there is one.
type warehouse struct {
	size    int64
	version atomic.Int32
	tap     func(io.Reader) io.Reader
}

func (h *warehouse) RoundTrip(r *http.Request) (*http.Response, error) {
	version := byte(h.version.Load())
	etag := fmt.Sprintf(`"%d"`, version)
	headers := []string{"Etag", etag, "Cache-Control", "max-age=100", "Content-Type", "video/mp4"}
	if r.Header.Get("If-None-Match") == etag {
		return reply(304, "", headers...), nil
	}
	resp, from, to := reply(200, "", headers...), int64(0), h.size
	if spans, status := selectSpans(r.Header.Get("Range"), h.size); status == http.StatusPartialContent {
		from, to = spans[0].offset, spans[0].offset+spans[0].length
		resp.StatusCode = status
		resp.Header.Set("Content-Range", spans[0].contentRange(h.size))
	}
	resp.ContentLength = to - from
	var body io.Reader = &crate{version, from, to}
	if h.tap != nil {
		body = h.tap(body)
	}
	resp.Body = io.NopCloser(body)
	return resp, nil
}

// wantBytes compares the status, X-Cache and body of an answer, and does not print
// the latter.
func wantBytes(t *testing.T, w *httptest.ResponseRecorder, status int, cache string, body []byte) {
	t.Helper()
	if w.Code != status || xcache(w) != cache || !bytes.Equal(w.Body.Bytes(), body) || w.Header().Get("Test-Aborted") != "" {
		t.Errorf("got %d %s, %d bytes, %v; want %d %s, %d bytes", w.Code, xcache(w), w.Body.Len(), w.Header(), status, cache, len(body))
	}
}

func wantEmptyRoom(t *testing.T, e *Edge) {
	t.Helper()
	if small, large := e.room.small.Load(), e.room.large.Load(); small != 0 || large != 0 {
		t.Errorf("%d and %d bytes are taken beside the store although nobody uses anything", small, large)
	}
}

func invalidate(t *testing.T, e *Edge, p freshet.Pattern) {
	t.Helper()
	if err := e.Invalidate("E1", []freshet.Pattern{p}); err != nil {
		t.Fatal(err)
	}
}

// A large object is a cached object like any other: whole, in part, by its
// headers, by its tag, until it expires, and until it is invalidated.
func TestLargeObjectsAreCached(t *testing.T) {
	for _, tt := range []struct {
		name      string
		size      int64
		announced bool
	}{{"40 MiB", 40 << 20, true}, {"40 MiB, not announced", 40 << 20, false}, {"100 MiB", 100 << 20, true}} {
		t.Run(tt.name, func(t *testing.T) {
			if testing.Short() && tt.size > 64<<20 {
				t.Skip("takes seconds")
			}
			synctest.Test(t, func(t *testing.T) { passThroughStages(t, tt.size, tt.announced) })
		})
	}
}

func passThroughStages(t *testing.T, size int64, announced bool) {
	h := &warehouse{size: size}
	o := &recorded{answer: func(r *http.Request) (*http.Response, error) {
		resp, err := h.RoundTrip(r)
		if !announced && resp.StatusCode == http.StatusOK {
			return unsized(resp), err
		}
		return resp, err
	}}
	e := open(t, o, Config{MemoryLimit: 512 << 20})
	body := crateBody(0, size)
	const first, last = 5<<20 + 3, 7<<20 + 9
	span := "bytes=" + strconv.Itoa(first) + "-" + strconv.Itoa(last)
	asked, scratch := 0, make([]byte, 0, size+bytes.MinRead)
	step := func(status int, cache string, requests int, want []byte, headers ...string) {
		t.Helper()
		w := &httptest.ResponseRecorder{HeaderMap: make(http.Header), Body: bytes.NewBuffer(scratch[:0])}
		r := httptest.NewRequest("GET", "/a", nil)
		for name, values := range headerWith(headers...) {
			r.Header[name] = values
		}
		serveInto(w, e, r)
		synctest.Wait()
		wantBytes(t, w, status, cache, want)
		if asked += requests; o.count() != asked {
			t.Errorf("%d requests to the origin, want %d", o.count(), asked)
		}
	}
	step(206, "Miss", 1, body[first:last+1], "Range", span) // in part, which is no help for the whole
	step(200, "Miss", 1, body)
	step(200, "Hit", 0, body)
	step(206, "Hit", 0, body[first:last+1], "Range", span)
	step(206, "Hit", 0, body[size-7:], "Range", "bytes=-7")
	step(304, "Hit", 0, nil, "If-None-Match", `"0"`)
	if w := do(e, "HEAD", "/a"); xcache(w) != "Hit" || w.Header().Get("Content-Length") != strconv.FormatInt(size, 10) || w.Body.Len() != 0 {
		t.Errorf("HEAD: %d %v", w.Code, w.Header())
	}
	time.Sleep(2 * time.Minute)
	step(200, "RefreshHit", 1, body)
	step(200, "Hit", 0, body)
	h.version.Store(1)
	step(200, "Hit", 0, body)
	invalidate(t, e, "/a")
	body = crateBody(1, size)
	step(200, "Miss", 1, body)
	step(200, "Hit", 0, body)
	if bytes := e.Stats().Bytes; int64(bytes) < size || int64(bytes) > size+size/8 {
		t.Errorf("%d bytes are stored", bytes)
	}
	wantEmptyRoom(t, e)
}

// How large an object may be goes by how much memory there is.
func TestLargestObject(t *testing.T) {
	for _, tt := range []struct{ memory, largest, want int64 }{
		{0, 0, 64 << 20}, {1 << 20, 0, 1 << 20}, {64 << 20, 0, 32 << 20}, {8 << 30, 0, 2 << 30}, {1 << 40, 0, 2 << 30},
		{0, 200 << 20, 200 << 20}, {1 << 20, 200 << 20, 1 << 20}, {1 << 40, 1 << 39, 2 << 30}, {0, 5, 5},
	} {
		if got := (Config{MemoryLimit: tt.memory, LargestObject: tt.largest}).withDefaults().LargestObject; got != tt.want {
			t.Errorf("memory %d, largest %d: %d, want %d", tt.memory, tt.largest, got, tt.want)
		}
	}
}

// One byte more than the largest is passed through whole.
func TestLargestObjectIsExact(t *testing.T) {
	for size, cache := range map[int64]string{8 << 20: "Hit", 8<<20 + 1: "Miss"} {
		e := open(t, &warehouse{size: size}, Config{LargestObject: 8 << 20})
		get(e, "/a")
		settle(t, e)
		wantBytes(t, get(e, "/a"), 200, cache, crateBody(0, size))
		settle(t, e)
		wantEmptyRoom(t, e)
	}
}

// turnstile lets so many bytes through at once, and then waits to be opened.
type turnstile struct {
	io.Reader

	left int64
	open <-chan struct{}
	then error // in place of the rest
}

func (g *turnstile) Read(p []byte) (int, error) {
	if g.left == 0 {
		if g.open != nil {
			<-g.open
		}
		if g.then != nil {
			return 0, g.then
		}
		return g.Reader.Read(p)
	}
	n, err := g.Reader.Read(p[:min(int64(len(p)), g.left)])
	g.left -= int64(n)
	return n, err
}

// An invalidation while a large object arrives: who had asked before gets all of
// the old version, everybody else all of the new one, and only that is kept.
func TestLargeObjectInvalidatedMidway(t *testing.T) {
	const size = 8 << 20
	synctest.Test(t, func(t *testing.T) {
		opened := make(chan struct{})
		h := &warehouse{size: size, tap: func(body io.Reader) io.Reader { return &turnstile{Reader: body, left: size / 2, open: opened} }}
		o := &recorded{answer: h.RoundTrip}
		e := open(t, o, Config{})
		answers := make([]*httptest.ResponseRecorder, 6)
		var viewers sync.WaitGroup
		for i := range answers {
			viewers.Go(func() { answers[i] = get(e, "/a") })
			synctest.Wait()
			switch i {
			case 1:
				h.version.Store(1) // of which nobody knows yet
			case 3:
				invalidate(t, e, "/a")
			}
		}
		close(opened)
		viewers.Wait()
		for i, w := range answers {
			version := byte(i / 4)
			cache := "Hit"
			if i%4 == 0 {
				cache = "Miss"
			}
			wantBytes(t, w, 200, cache, crateBody(version, size))
		}
		synctest.Wait()
		wantBytes(t, get(e, "/a"), 200, "Hit", crateBody(1, size))
		if o.count() != 2 {
			t.Errorf("%d requests to the origin", o.count())
		}
		wantEmptyRoom(t, e)
	})
}

// A large object that breaks off is broken off for all who share it, and nothing
// of it is kept.
func TestLargeObjectBreaksOffMidway(t *testing.T) {
	const size = 8 << 20
	synctest.Test(t, func(t *testing.T) {
		opened := make(chan struct{})
		h := &warehouse{size: size, tap: func(body io.Reader) io.Reader {
			return &turnstile{Reader: body, left: size - 5, open: opened, then: io.ErrUnexpectedEOF}
		}}
		e := open(t, h, Config{})
		answers := make(chan *httptest.ResponseRecorder, 8)
		for range cap(answers) {
			go func() { answers <- get(e, "/a") }()
		}
		synctest.Wait()
		close(opened)
		body := crateBody(0, size)
		for range cap(answers) {
			if w := <-answers; w.Header().Get("Test-Aborted") == "" || !bytes.HasPrefix(body, w.Body.Bytes()) {
				t.Errorf("%d, %d bytes, %v", w.Code, w.Body.Len(), w.Header())
			}
		}
		synctest.Wait()
		if st := e.Stats(); st.Objects != 0 {
			t.Errorf("%+v", st)
		}
		wantEmptyRoom(t, e)
		h.tap = nil
		wantBytes(t, get(e, "/a"), 200, "Miss", body)
	})
}

// Eight viewers of a large object, one after the other, are one fetch.
func TestLargeObjectIsFetchedOnce(t *testing.T) {
	const size = 8 << 20
	synctest.Test(t, func(t *testing.T) {
		opened := make(chan struct{})
		h := &warehouse{size: size, tap: func(body io.Reader) io.Reader { return &turnstile{Reader: body, left: size / 2, open: opened} }}
		o := &recorded{answer: h.RoundTrip}
		e := open(t, o, Config{})
		answers := make(chan *httptest.ResponseRecorder, 8)
		for range cap(answers) {
			go func() { answers <- get(e, "/a") }()
			synctest.Wait()
		}
		close(opened)
		body, hits := crateBody(0, size), 0
		for range cap(answers) {
			w := <-answers
			if xcache(w) == "Hit" {
				hits++
			}
			wantBytes(t, w, 200, xcache(w), body)
		}
		if hits != 7 || o.count() != 1 {
			t.Errorf("%d hits, %d requests to the origin", hits, o.count())
		}
	})
}

// stuck is a viewer that takes one piece and no more until it is released.
type stuck struct {
	header   http.Header
	took     chan struct{}
	released chan struct{}
	got      bytes.Buffer
}

func (s *stuck) Header() http.Header { return s.header }
func (s *stuck) WriteHeader(int)     {}
func (s *stuck) Write(p []byte) (int, error) {
	if s.got.Len() == 0 {
		close(s.took)
		<-s.released
	}
	return s.got.Write(p)
}

// Whoever asks for however many large objects and does not take them: the memory
// is bounded. What does not fit is passed through, small objects are cached all
// the while, and everything is as before once the viewers have gone.
func TestStuckViewersOfLargeObjects(t *testing.T) {
	const limit, size, viewers = 32 << 20, 8 << 20, 20
	h := &warehouse{size: size}
	o := roundTripper(func(r *http.Request) (*http.Response, error) {
		if strings.HasPrefix(r.URL.Path, "/small") {
			return reply(200, "small", "Cache-Control", "max-age=100"), nil
		}
		resp, err := h.RoundTrip(r)
		if strings.HasPrefix(r.URL.Path, "/1") { // whose length nobody can know before
			return unsized(resp), err
		}
		return resp, err
	})
	e := open(t, o, Config{MemoryLimit: limit, LargestObject: size})
	before := heap()
	released := make(chan struct{})
	var all []*stuck
	var running sync.WaitGroup
	for i := range viewers {
		v := &stuck{header: make(http.Header), took: make(chan struct{}), released: released}
		all = append(all, v)
		running.Go(func() { e.ServeHTTP(v, httptest.NewRequest("GET", "/"+strconv.Itoa(i), nil)) })
		<-v.took
		untilStill(t, e)
	}
	if large, stored := e.room.large.Load(), int64(e.store.bytes()); large+stored > 2*limit || large < limit/2 {
		t.Errorf("%d bytes beside the %d in the store, whose limit is %d", large, stored, limit)
	}
	const windows = viewers * 5 * windowSize / 2
	if grown := int64(heap()) - int64(before); grown > 2*limit+windows {
		t.Errorf("%d bytes more are in use", grown)
	}
	get(e, "/small")
	untilStill(t, e)
	want(t, get(e, "/small"), 200, "Hit", "small")
	wantBytes(t, get(e, "/one-more"), 200, "Miss", crateBody(0, size))
	close(released)
	running.Wait()
	body := crateBody(0, size)
	for _, v := range all {
		if !bytes.Equal(v.got.Bytes(), body) {
			t.Errorf("a viewer got %d bytes", v.got.Len())
		}
		v.got = bytes.Buffer{}
	}
	settle(t, e)
	wantEmptyRoom(t, e)
	// The store prefers what was asked for more often than all it has.
	cache := "Miss"
	for tries := 0; cache != "Hit" && tries < 20; tries++ {
		w := get(e, "/later")
		cache = xcache(w)
		wantBytes(t, w, 200, cache, body)
		settle(t, e)
	}
	if cache != "Hit" {
		t.Error("no large object is cached any more")
	}
}

// Whoever asks for however many objects that are small enough for all to be kept,
// and takes none of them, one after the other or all at once: what is live, and what
// lies beside the heap, is no more than may be, but for what each viewer takes who
// shares nothing.
func TestStuckViewersOfSmallObjects(t *testing.T) {
	for _, together := range []bool{false, true} {
		t.Run(fmt.Sprint("together ", together), func(t *testing.T) { stuckViewers(t, together) })
	}
}

func stuckViewers(t *testing.T, together bool) {
	const limit, size, viewers = 8 << 20, 900_000, 30
	e := open(t, &warehouse{size: size}, Config{MemoryLimit: limit})
	before := heap()
	released := make(chan struct{})
	var all []*stuck
	var running sync.WaitGroup
	for i := range viewers {
		v := &stuck{header: make(http.Header), took: make(chan struct{}), released: released}
		all = append(all, v)
		running.Go(func() { e.ServeHTTP(v, httptest.NewRequest("GET", "/"+strconv.Itoa(i), nil)) })
		if !together {
			<-v.took
			untilStill(t, e)
		}
	}
	for _, v := range all {
		<-v.took
	}
	untilStill(t, e)
	const each = 4 * tightWindow
	if taken := int64(heap()) - int64(before) + e.OffHeap(); taken > limit*13/10+viewers*each {
		t.Errorf("%d bytes are taken, of which %d may be", taken, limit)
	}
	close(released)
	running.Wait()
	body := crateBody(0, size)
	for i, v := range all {
		if !bytes.Equal(v.got.Bytes(), body) {
			t.Errorf("viewer %d got %d bytes", i, v.got.Len())
		}
	}
	settle(t, e)
	wantEmptyRoom(t, e)
}

// untilStill waits until no fetch is under way that could go on: what is passed
// through to somebody who is stuck cannot.
func untilStill(t *testing.T, e *Edge) {
	t.Helper()
	s := e.serving().sites[0]
	for end := time.Now().Add(time.Minute); ; runtime.Gosched() {
		s.mu.Lock()
		kept := 0
		for f := range s.running {
			select {
			case <-f.ready:
				if f.stream == nil || !f.stream.isWindow() {
					kept++
				}
			default:
				kept++
			}
		}
		s.mu.Unlock()
		if kept == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatal("fetches do not end")
		}
	}
}

// However claims grow, move into the store and out of it, and are used: what is
// counted is what is used and not stored, of the large ones never more than fits
// but for what comes out of the store.
func TestClaims(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := &room{limit: 100, over: 10}
		claims := []*claim{{room: r, users: 1}, {room: r, users: 1}, {room: r, users: 1}}
		t.Repeat(map[string]func(*rapid.T){
			"resize": func(t *rapid.T) {
				c := rapid.SampledFrom(claims).Draw(t, "claim")
				size := rapid.Int64Range(0, 80).Draw(t, "size")
				if c.users == 0 || c.places > 0 {
					t.Skip("the fetch is over")
				}
				before, from := r.large.Load(), c.size
				grown := c.resize(size)
				switch {
				case !grown && (size <= 10 || size <= from || before-from+size <= 100 && from > 10 || before+size <= 100):
					t.Fatalf("from %d to %d is refused at %d", from, size, before)
				case !grown && c.size != from:
					t.Fatal("it has changed all the same")
				case grown && size > max(from, 10) && r.large.Load() > 100:
					t.Fatalf("from %d to %d is granted at %d", from, size, before)
				}
			},
			"use": func(t *rapid.T) { rapid.SampledFrom(claims).Draw(t, "claim").enter() },
			"leave": func(t *rapid.T) {
				if c := rapid.SampledFrom(claims).Draw(t, "claim"); c.users > 0 {
					c.leave()
				}
			},
			"store": func(t *rapid.T) { rapid.SampledFrom(claims).Draw(t, "claim").stored() },
			"evict": func(t *rapid.T) {
				if c := rapid.SampledFrom(claims).Draw(t, "claim"); c.places > 0 {
					c.removed()
				}
			},
			"": func(t *rapid.T) {
				var small, large int64
				for _, c := range claims {
					switch {
					case c.users == 0 || c.places > 0:
					case c.size > 10:
						large += c.size
					default:
						small += c.size
					}
				}
				if r.small.Load() != small || r.large.Load() != large {
					t.Fatalf("%d and %d, want %d and %d", r.small.Load(), r.large.Load(), small, large)
				}
			},
		})
	})
	var none *claim // of a small body
	none.enter()
	none.stored()
	none.removed()
	none.leave()
}
