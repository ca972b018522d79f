package edge

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/distribution"
)

// versioned is an origin whose objects are their version numbers. It decides
// what to answer when the request arrives, confirms what is unchanged, and can
// hold back its answers, and the ends of their bodies, until the test lets them
// through in any order.
type versioned struct {
	mu      sync.Mutex
	version map[string]int // by canonical path
	control string         // Cache-Control; empty for 10 s
	down    bool
	hold    bool
	held    []chan struct{}
	asked   int
	silent  int // answers and bodies that the edge gave up after its 30 s
}

func (o *versioned) RoundTrip(r *http.Request) (*http.Response, error) {
	o.mu.Lock()
	o.asked++
	v, down := o.version[freshet.CanonicalPath(r.URL.EscapedPath())], o.down
	control := cmp.Or(o.control, "max-age=10")
	o.mu.Unlock()
	if err := o.pause(r.Context()); err != nil {
		return nil, err
	}
	etag := `"` + strconv.Itoa(v) + `"`
	switch {
	case down:
		return reply(503, "down"), nil
	case r.Header.Get("If-None-Match") == etag:
		return reply(304, "", "Etag", etag, "Cache-Control", control), nil
	}
	body := fmt.Sprintf("%08d", v)
	if r.Header.Get("Range") == "bytes=2-" {
		resp := reply(206, body[2:], "Etag", etag, "Cache-Control", control, "Cache-Tag", tagged[r.URL.Path], "Content-Range", "bytes 2-7/8")
		resp.Body = &versionBody{body: strings.NewReader(body[2:]), o: o, ctx: r.Context()}
		return resp, nil
	}
	resp := reply(200, body, "Etag", etag, "Cache-Control", control, "Cache-Tag", tagged[r.URL.Path])
	resp.Body = &versionBody{body: strings.NewReader(body), o: o, ctx: r.Context()}
	return resp, nil
}

// pause waits for the test if it holds answers back.
func (o *versioned) pause(ctx context.Context) error {
	o.mu.Lock()
	if !o.hold {
		o.mu.Unlock()
		return nil
	}
	gate := make(chan struct{})
	o.held = append(o.held, gate)
	o.mu.Unlock()
	began := time.Now()
	select {
	case <-gate:
		return nil
	case <-ctx.Done():
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if time.Since(began) >= 30*time.Second {
		o.silent++
	}
	return ctx.Err()
}

// let lets one held answer or body through; n counts round.
func (o *versioned) let(n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.held) > 0 {
		i := n % len(o.held)
		close(o.held[i])
		o.held = append(o.held[:i], o.held[i+1:]...)
	}
}

// letAll lets everything through, and holds nothing back any more.
func (o *versioned) letAll() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.hold = false
	for _, gate := range o.held {
		close(gate)
	}
	o.held = nil
}

func (o *versioned) requests() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.asked
}

// versionBody pauses in the middle.
type versionBody struct {
	body *strings.Reader
	o    *versioned
	ctx  context.Context
}

func (b *versionBody) Read(p []byte) (int, error) {
	if b.body.Len() == 4 {
		if err := b.o.pause(b.ctx); err != nil {
			return 0, err
		}
	}
	return b.body.Read(p[:min(len(p), 4)])
}
func (*versionBody) Close() error { return nil }

// world is the model: what was put, what was invalidated, who is waiting.
type world struct {
	e        *Edge
	o        *versioned
	version  map[string]int // last put, by canonical path
	required map[string]int // newest version put before the last invalidation of the path
	cleared  map[string]int // how often the path was invalidated
	outages  int            // how often the origin went down or came up
	cached   map[string]cachedAt
	waiting  []*viewer
}

// cachedAt is when a spelling was last known to be fetched whole.
type cachedAt struct {
	at      time.Time
	cleared int
}

// viewer is a request under way and what it may be answered with.
type viewer struct {
	url, path        string
	part             string // Range; empty for the whole
	begun            time.Time
	least            int
	cleared, outages int
	mustHit          bool
	asked            int
	answer           chan *httptest.ResponseRecorder
}

// tagged are the cache tags the origin gives, by path.
var tagged = map[string]string{"/a": "One", "/a/b": "one,two", "/index.html": "two"}

// spellings are the URLs viewers use and the canonical paths they mean.
var spellings = map[string]string{
	"/a": "/a", "/%61": "/a", "/a/b": "/a/b", "/a%2Fb": "/a/b", "/ab": "/ab", "/b/c d": "/b/c%20d", "/b/c%20d": "/b/c%20d", "/": "/",
}

var (
	anyURL     = rapid.SampledFrom([]string{"/", "/%61", "/a", "/a%2Fb", "/a/b", "/ab", "/b/c d", "/b/c%20d"})
	anyPattern = rapid.SampledFrom([]freshet.Pattern{"/", "/*", "/a", "/a*", "/a/*", "/a/b", "/ab", "/b/c%20d", "/b/*", "/c", "/index.html", "/%7E*", "#ONE", "#two", "#on", "#ONE", "#two", "#ONE"})
)

func (w *world) put(t *rapid.T) {
	path := spellings[anyURL.Draw(t, "url")]
	w.version[path]++
	w.o.mu.Lock()
	defer w.o.mu.Unlock()
	stored := path
	if path == "/" {
		stored = "/index.html"
	}
	w.o.version[stored] = w.version[path]
}

// covers says what a pattern means, without the code under test: the root is
// cleared under the name of its object too.
func covers(p freshet.Pattern, path string) bool {
	if path == "/" && (p.Covers("/index.html") || p == "#two") {
		return true
	}
	return p.Covers(path) || p == "#ONE" && (path == "/a" || path == "/a/b") || p == "#two" && path == "/a/b"
}

func (w *world) invalidate(t *rapid.T) {
	p := anyPattern.Draw(t, "pattern")
	if err := w.e.Invalidate("E1", []freshet.Pattern{p}); err != nil {
		t.Fatal(err)
	}
	for _, path := range spellings {
		if covers(p, path) {
			w.required[path] = w.version[path]
			w.cleared[path]++
		}
	}
}

func (w *world) fetch(t *rapid.T) {
	url := anyURL.Draw(t, "url")
	path := spellings[url]
	v := &viewer{
		url: url, path: path, begun: time.Now(), least: w.required[path], cleared: w.cleared[path], outages: w.outages,
		asked: w.o.requests(), answer: make(chan *httptest.ResponseRecorder, 1),
	}
	if rapid.IntRange(0, 3).Draw(t, "part") == 0 {
		v.part = "bytes=2-"
	}
	if c, ok := w.cached[url]; ok {
		v.mustHit = c.cleared == v.cleared && v.begun.Sub(c.at) < 10*time.Second
	}
	go func() {
		// Not through get, which parses the target more strictly than a server.
		r := httptest.NewRequest("GET", "/", nil)
		r.RequestURI = url
		if v.part != "" {
			r.Header.Set("Range", v.part)
		}
		v.answer <- serve(w.e, r)
	}()
	synctest.Wait()
	if v.mustHit && len(v.answer) == 0 {
		t.Fatalf("GET %s waits for the origin although a fresh copy is stored", url)
	}
	w.waiting = append(w.waiting, v)
}

// check holds every answer that has come against the promise.
func (w *world) check(t *rapid.T) {
	synctest.Wait()
	still := w.waiting[:0]
	for _, v := range w.waiting {
		select {
		case rec := <-v.answer:
			w.judge(t, v, rec)
		default:
			still = append(still, v)
		}
	}
	w.waiting = still
}

func (w *world) judge(t *rapid.T, v *viewer, rec *httptest.ResponseRecorder) {
	if v.mustHit && (xcache(rec) != "Hit" || w.o.requests() != v.asked) {
		t.Fatalf("GET %s: %s, although a fresh copy is stored", v.url, xcache(rec))
	}
	if rec.Header().Get("Test-Aborted") != "" {
		w.o.mu.Lock()
		defer w.o.mu.Unlock()
		if w.o.silent == 0 {
			t.Fatalf("GET %s was broken off although the origin was never silent for long", v.url)
		}
		return
	}
	if rec.Code != 200 && rec.Code != 206 {
		return
	}
	got, err := strconv.Atoi(rec.Body.String())
	if err != nil || rec.Body.Len() != 8 && (rec.Code != 206 || rec.Body.Len() != 6) {
		t.Fatalf("GET %s: body %q", v.url, rec.Body)
	}
	if got < v.least {
		t.Fatalf("GET %s: version %d (%s), but %d was put before an invalidation that had returned", v.url, got, xcache(rec), v.least)
	}
	undisturbed := v.outages == w.outages && w.outages%2 == 0 && v.cleared == w.cleared[v.path]
	if v.part == "" && undisturbed && (xcache(rec) == "Miss" || xcache(rec) == "RefreshHit") {
		w.cached[v.url] = cachedAt{v.begun, v.cleared}
	}
}

// The model: whatever is put, fetched, held back, invalidated, expired and
// swept in whatever order, no request that begins after an invalidation has
// returned gets bytes older than the newest that were put before it; and what
// was not invalidated and is fresh is a hit.
func TestNoOlderBytesAfterInvalidation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		check := func(t *rapid.T) {
			o := &versioned{version: make(map[string]int)}
			o.control = rapid.SampledFrom([]string{"", "max-age=10, stale-while-revalidate=5", "max-age=10, stale-while-revalidate=100, stale-if-error=0"}).Draw(t, "control")
			d := dist("E1")
			d.Config.CacheTagConfig = &distribution.CacheTagConfig{HeaderName: "cache-tag"}
			e, err := New(Config{Distributions: []distribution.Distribution{d}, Resolve: func(distribution.Distribution, distribution.Origin) (Origin, error) {
				return Origin{URL: "http://o.test", Transport: o}, nil
			}})
			if err != nil {
				t.Fatal(err)
			}
			e.multiple = 2
			e.serving().sites[0].epochs.limit = rapid.SampledFrom([]int{3, maxRecords}).Draw(t, "records")
			w := &world{e: e, o: o, version: make(map[string]int), required: make(map[string]int), cleared: make(map[string]int), cached: make(map[string]cachedAt)}
			exact := e.serving().sites[0].epochs.limit == maxRecords
			defer func() {
				o.letAll()
				synctest.Wait()
				e.Close()
			}()
			actions := map[string]func(*rapid.T){
				"put":         w.put,
				"invalidate":  w.invalidate,
				"invalidate2": w.invalidate,
				"fetch":       w.fetch,
				"fetch2":      w.fetch,
				"hold":        func(t *rapid.T) { o.mu.Lock(); o.hold = true; o.mu.Unlock() },
				"let":         func(t *rapid.T) { o.let(rapid.IntRange(0, 99).Draw(t, "which")) },
				"let all":     func(t *rapid.T) { o.letAll() },
				"sleep": func(t *rapid.T) {
					time.Sleep(rapid.SampledFrom([]time.Duration{1, 4, 11}).Draw(t, "for") * time.Second)
				},
				"sweep": func(t *rapid.T) { e.sweep() },
				"origin": func(t *rapid.T) {
					w.outages++
					o.mu.Lock()
					o.down = w.outages%2 == 1
					o.mu.Unlock()
				},
				"": w.check,
			}
			if !exact {
				// A tree that is cut down invalidates more, so hits cannot be
				// demanded.
				actions["forget hits"] = func(*rapid.T) {}
				actions[""] = func(t *rapid.T) { w.check(t); clear(w.cached) }
			}
			t.Repeat(actions)
			o.letAll()
			w.check(t)
			if len(w.waiting) > 0 {
				t.Fatalf("%d viewers have no answer", len(w.waiting))
			}
		}
		for range 5 { // more checks than the default, which misses some mistakes
			rapid.Check(bubbled{t}, check)
		}
	})
}

// bubbled hides what must not be called in a bubble, such as Deadline.
type bubbled struct{ rapid.TB }
