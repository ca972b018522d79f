package edge

import (
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/distribution"
	"github.com/freshet/freshet/internal/edge/compress"
)

// location is a URL that viewers ask for: what it shows, and under which names an
// invalidation may name it.
type location struct {
	target, object string
	names          []string
}

// places are what there is to ask for. /page is shown where there is nothing.
var places = []location{
	{"/", "/index.html", []string{"/", "/index.html"}},
	{"/index.html", "/index.html", []string{"/index.html"}},
	{"/a", "/a", []string{"/a"}},
	{"/%61", "/a", []string{"/a", "/%61"}},
	{"/a?x=1", "/a", []string{"/a?x=1"}},
	{"/a?x=%31", "/a", []string{"/a?x=%31"}},
	{"/d/b", "/d/b", []string{"/d/b"}},
	{"/d%2fb", "/d/b", []string{"/d/b", "/d%2Fb"}},
	{"/caf%c3%a9", "/caf%C3%A9", []string{"/caf%C3%A9"}},
	{"/caf%C3%A9?q", "/caf%C3%A9", []string{"/caf%C3%A9?q"}},
	{"/fn/a", "/a", []string{"/fn/a", "/a"}},
	{"/fn/d/b?x=1", "/d/b", []string{"/fn/d/b?x=1", "/d/b?x=1"}},
	{"/cookie/c", "/cookie/c", []string{"/cookie/c"}},
	{"/zip/z", "/zip/z", []string{"/zip/z"}},
	{"/page", "/page", []string{"/page"}},
}

// neighbourhoods are places, by their numbers, that have something in common.
var neighbourhoods = [][]int{{0, 1}, {2, 3}, {2, 10}, {2, 4}, {4, 5}, {6, 7}, {6, 11}, {8, 9}, {12}, {13}, {2}, {6}}

var pageOfErrors = places[len(places)-1]

// covering is a pattern, and the prefix or name that it means.
type covering struct {
	pattern  freshet.Pattern
	meant    string
	wildcard bool
}

var coverings = []covering{
	{"/", "/", false}, {"/index.html", "/index.html", false}, {"/*", "/", true}, {"/a", "/a", false}, {"/a*", "/a", true}, {"/%61", "/%61", false},
	{"/a?x=1", "/a?x=1", false}, {"/a?x=%31", "/a?x=%31", false}, {"/a?*", "/a?", true}, {"/d/*", "/d/", true}, {"/d/b", "/d/b", false},
	{"/d%2fb", "/d%2Fb", false}, {"/caf%c3%a9", "/caf%C3%A9", false}, {"/caf%C3%A9?q", "/caf%C3%A9?q", false}, {"/caf%c3*", "/caf%C3", true},
	{"/fn/a", "/fn/a", false}, {"/fn/*", "/fn/", true}, {"/fn/d/b?x=1", "/fn/d/b?x=1", false}, {"/d/b?x=1", "/d/b?x=1", false},
	{"/cookie/*", "/cookie/", true}, {"/zip/z", "/zip/z", false}, {"/page", "/page", false}, {"/other*", "/other", true}, {"/page%7E*", "", false},
}

// tagNames are those that editions have; the case does not count.
var tagNames = []string{"", "One", "two", "one,TWO", "three"}

// removal is an invalidation that has returned.
type removal struct {
	moment   int
	tag      string // in lower case; empty for a path
	meant    string
	wildcard bool
}

func (r removal) covers(names []string) bool {
	for _, name := range names {
		if r.tag == "" && (name == r.meant || r.wildcard && strings.HasPrefix(name, r.meant)) {
			return true
		}
	}
	return false
}

// visit is a request that is under way.
type visit struct {
	at      location
	method  string
	lang    string
	cookie  string
	header  http.Header
	begun   int
	cut     bool // the edge that it was made to was closed
	answers chan *httptest.ResponseRecorder
}

// trial is one run of the model.
type trial struct {
	o        *chronicle
	e        *Edge
	d        distribution.Distribution
	memory   int64
	largest  int64 // body that is stored
	beside   int64 // bytes of bodies larger than 512 that may be held beside the store
	records  int   // that are remembered of invalidations
	code     Functions
	removals []removal
	waiting  []*visit
	seen     map[string]string // the last ETag that was seen, by target
	judged   int
	places   []location // that it is about
}

// floor is the last moment at which a name was invalidated before another.
func (w *trial) floor(names []string, before int) int {
	last := -1
	for _, r := range w.removals {
		if r.moment < before && r.covers(names) {
			last = max(last, r.moment)
		}
	}
	return last
}

// may reports whether an edition may be the answer to a request: it was there at
// some time after everything that removed it.
func (w *trial) may(s *edition, names []string, begun int) bool {
	if s.until <= w.floor(names, begun) {
		return false
	}
	for _, r := range w.removals {
		if r.tag != "" && r.moment < begun && s.until <= r.moment && strings.Contains(","+strings.ToLower(s.tags)+",", ","+r.tag+",") {
			return false
		}
	}
	return true
}

func newTrial(t *rapid.T, code Functions) *trial {
	objects := make(map[string]bool)
	for _, p := range places {
		objects[p.object] = true
	}
	var paths []string
	for _, p := range places {
		if objects[p.object] {
			paths = append(paths, p.object)
			delete(objects, p.object)
		}
	}
	paths = append(paths, "/d/b?") // never asked for
	w := &trial{o: newChronicle(paths...), code: code, seen: make(map[string]string), memory: rapid.SampledFrom([]int64{1 << 20, 1 << 20, 9000}).Draw(t, "memory")}
	page := rapid.Bool().Draw(t, "page")
	for _, n := range rapid.SampledFrom(neighbourhoods).Draw(t, "places") {
		w.places = append(w.places, places[n])
	}
	if page {
		w.places = append(w.places, pageOfErrors)
	}
	w.d = trialDistribution(page)
	w.largest = rapid.SampledFrom([]int64{0, 0, 1500}).Draw(t, "largest")
	w.beside = rapid.SampledFrom([]int64{w.memory, w.memory, 5000}).Draw(t, "beside")
	w.records = rapid.SampledFrom([]int{3, maxRecords, maxRecords}).Draw(t, "records")
	w.open(t) // after which nothing may be drawn before somebody closes it
	return w
}

func trialDistribution(page bool) distribution.Distribution {
	d := behaving(func(b *distribution.CacheBehavior) {
		b.ForwardedValues = &distribution.ForwardedValues{QueryString: true, Headers: []string{"X-Lang"}}
	})
	d.Config.CacheTagConfig = &distribution.CacheTagConfig{HeaderName: "cache-tag"}
	special := func(pattern string, change func(*distribution.CacheBehavior)) {
		b := d.Config.DefaultCacheBehavior
		forwarded := *b.ForwardedValues
		b.PathPattern, b.ForwardedValues = pattern, &forwarded
		change(&b)
		d.Config.CacheBehaviors = append(d.Config.CacheBehaviors, b)
	}
	special("/cookie/*", func(b *distribution.CacheBehavior) {
		b.ForwardedValues.Cookies = distribution.CookiePreference{Forward: "whitelist", WhitelistedNames: []string{"c"}}
	})
	special("/fn/*", func(b *distribution.CacheBehavior) {
		b.FunctionAssociations = []distribution.FunctionAssociation{{EventType: "viewer-request", FunctionARN: "strip"}}
	})
	special("/zip/*", func(b *distribution.CacheBehavior) { b.Compress = true })
	if page {
		d.Config.CustomErrorResponses = []distribution.CustomErrorResponse{{ErrorCode: 404, ResponsePagePath: pageOfErrors.target, ResponseCode: 404}}
	}
	return d
}

const stripFunction = `function handler(event) { event.request.uri = event.request.uri.slice(3); return event.request; }`

func (w *trial) open(t *rapid.T) {
	e, err := New(Config{Distributions: []distribution.Distribution{w.d}, Resolve: through(w.o), MemoryLimit: w.memory, LargestObject: w.largest, Function: w.code})
	if err != nil {
		t.Fatal(err)
	}
	e.multiple = 512
	e.room.over, e.room.limit = 512, w.beside
	e.serving().sites[0].epochs.limit = w.records
	w.e = e
}

// restart goes on with an empty edge.
func (w *trial) restart(t *rapid.T) {
	w.o.next()
	for _, r := range w.waiting {
		r.cut = true
	}
	w.e.Close()
	w.open(t)
}

// reload changes what decides nothing, and so keeps the cache, or what does.
func (w *trial) reload(t *rapid.T) {
	w.o.next()
	if rapid.Bool().Draw(t, "cold") && rapid.Bool().Draw(t, "colder") {
		at := &w.d.Config.DefaultCacheBehavior.DefaultTTL
		*at = new(3600 + **at%2*2 - 1)
	} else {
		w.d.Config.Comment += "."
	}
	if err := w.e.Apply([]distribution.Distribution{w.d}); err != nil {
		t.Fatal(err)
	}
}

// change puts, deletes, or gives what is there other headers.
func (w *trial) change(t *rapid.T) {
	path := rapid.SampledFrom(w.places).Draw(t, "place").object
	how := rapid.SampledFrom([]string{"put", "put", "put", "headers", "tags", "delete"}).Draw(t, "how")
	control := rapid.SampledFrom([]string{
		"max-age=10", "max-age=10", "max-age=10, stale-while-revalidate=20", "max-age=10, stale-if-error=20", "max-age=10, stale-if-error=0", "max-age=0", "no-cache", "no-store", "",
	}).Draw(t, "control")
	tags := rapid.SampledFrom(tagNames).Draw(t, "tags")
	w.o.change(path, func(s *edition) {
		switch how {
		case "put":
			s.content, s.control, s.tags = s.number, control, tags
		case "headers":
			s.control = control
		case "tags":
			s.tags = tags
		case "delete":
			s.gone, s.tags = true, ""
		}
	})
}

func (w *trial) invalidate(t *rapid.T) {
	var patterns []freshet.Pattern
	var made []removal
	for range rapid.IntRange(1, 2).Draw(t, "patterns") {
		if rapid.IntRange(0, 3).Draw(t, "tag") == 0 {
			tag := rapid.SampledFrom([]string{"one", "ONE", "Two", "three", "on"}).Draw(t, "which")
			patterns, made = append(patterns, freshet.Pattern("#"+tag)), append(made, removal{tag: strings.ToLower(tag)})
			continue
		}
		c := rapid.SampledFrom(w.patterns(t)).Draw(t, "pattern")
		patterns, made = append(patterns, c.pattern), append(made, removal{meant: c.meant, wildcard: c.wildcard})
	}
	moment := w.o.next()
	if err := w.e.Invalidate("E1", patterns); err != nil {
		t.Fatal(err)
	}
	for _, r := range made {
		r.moment = moment
		w.removals = append(w.removals, r)
	}
}

// probe asks for something, changes it, invalidates it under one of its names or
// tags, and asks again, whatever is held back meanwhile.
func (w *trial) probe(t *rapid.T) {
	p := rapid.SampledFrom(w.places).Draw(t, "probed")
	plain := func() *visit {
		return &visit{at: p, method: "GET", header: make(http.Header), answers: make(chan *httptest.ResponseRecorder, 1)}
	}
	if rapid.Bool().Draw(t, "tagged") {
		w.o.change(p.object, func(s *edition) { s.content, s.control, s.tags = s.number, "max-age=10", "One,two" })
	}
	for range rapid.IntRange(1, 2).Draw(t, "times") {
		w.begin(plain())
		w.check(t)
	}
	w.o.change(p.object, func(s *edition) { s.content, s.control = s.number, "max-age=10" })
	w.invalidate(t)
	if rapid.Bool().Draw(t, "swept") {
		w.e.sweep()
	}
	w.begin(plain())
}

// patterns are mostly those that cover something.
func (w *trial) patterns(t *rapid.T) []covering {
	if rapid.IntRange(0, 4).Draw(t, "elsewhere") == 0 {
		return coverings
	}
	return slices.DeleteFunc(slices.Clone(coverings), func(c covering) bool {
		return !slices.ContainsFunc(w.places, func(p location) bool { return removal{meant: c.meant, wildcard: c.wildcard}.covers(p.names) })
	})
}

func (w *trial) ask(t *rapid.T) {
	r := &visit{at: rapid.SampledFrom(w.places).Draw(t, "place"), method: "GET", header: make(http.Header), answers: make(chan *httptest.ResponseRecorder, 1)}
	switch rapid.IntRange(0, 9).Draw(t, "way") {
	case 0:
		r.method = "HEAD"
	case 1, 2, 3:
		first := rapid.IntRange(0, 4).Draw(t, "first") * 450
		r.header.Set("Range", rapid.SampledFrom([]string{
			"bytes=" + strconv.Itoa(first) + "-" + strconv.Itoa(first+100), "bytes=" + strconv.Itoa(first) + "-", "bytes=-300",
		}).Draw(t, "range"))
		if rapid.Bool().Draw(t, "if") {
			r.header.Set("If-Range", w.seen[r.at.target])
		}
	case 4:
		if tag := w.seen[r.at.target]; tag != "" {
			r.header.Set("If-None-Match", tag)
		}
	}
	if strings.HasPrefix(r.at.target, "/zip/") && rapid.Bool().Draw(t, "gzip") {
		r.header.Set("Accept-Encoding", "gzip")
	}
	if strings.HasPrefix(r.at.target, "/cookie/") {
		r.cookie = rapid.SampledFrom([]string{"", "c=1"}).Draw(t, "cookie")
	}
	r.lang = rapid.SampledFrom([]string{"", "", "", "", "de"}).Draw(t, "lang")
	w.begin(r)
}

func (w *trial) begin(r *visit) {
	r.begun = w.o.next()
	made := httptest.NewRequest(r.method, "/", nil)
	made.RequestURI, made.Header = r.at.target, r.header.Clone()
	if r.lang != "" {
		made.Header.Set("X-Lang", r.lang)
	}
	if r.cookie != "" {
		made.Header.Set("Cookie", r.cookie+"; other=1")
	}
	e := w.e
	go func() { r.answers <- serve(e, made) }()
	synctest.Wait()
	w.waiting = append(w.waiting, r)
}

// check holds every answer that has come against the promise.
func (w *trial) check(t *rapid.T) {
	synctest.Wait()
	still := w.waiting[:0]
	for _, r := range w.waiting {
		select {
		case rec := <-r.answers:
			w.judged++
			if tag := rec.Header().Get("Etag"); tag != "" {
				w.seen[r.at.target] = tag
			}
			w.judge(t, r, rec)
		default:
			still = append(still, r)
		}
	}
	w.waiting = still
}

func (w *trial) judge(t *rapid.T, r *visit, rec *httptest.ResponseRecorder) {
	complain := func(text string, more ...any) {
		t.Helper()
		t.Fatalf("%s %s %v, begun at %d: %d %s X-Edition %q: "+text, append([]any{r.method, r.at.target, r.header, r.begun, rec.Code, rec.Header().Get("X-Cache"), rec.Header().Get("X-Edition")}, more...)...)
	}
	w.o.mu.Lock()
	troubled, broke := w.o.troubled, w.o.broke
	w.o.mu.Unlock()
	aborted := rec.Header().Get("Test-Aborted") != ""
	if aborted && !r.cut && broke < 0 {
		complain("broken off without a reason")
	}
	s := w.o.find(rec.Header().Get("X-Edition"))
	if s == nil {
		floor := min(w.floor(r.at.names, r.begun), w.floor(pageOfErrors.names, r.begun))
		if !r.cut && !aborted && (rec.Code < 500 || troubled <= floor) {
			complain("an error although the origin did not fail since %d (at %d the last time)", floor, troubled)
		}
		return
	}
	names := r.at.names
	if s.path != r.at.object || rec.Code == 404 && !s.gone {
		if s.path != pageOfErrors.object || rec.Code != 404 || !w.mayBeGone(r) {
			complain("an answer of %s", s.path)
		}
		names = pageOfErrors.names
	}
	if !w.may(s, names, r.begun) {
		complain("edition of %s from %d to %d, which was invalidated since (%d); removals %+v", s.path, s.from, s.until, w.floor(names, r.begun), w.removals)
	}
	if got, want := rec.Header().Get("Cache-Control"), s.control; got != want {
		complain("Cache-Control %q with an edition that has %q", got, want)
	}
	if got := rec.Header().Get("X-Variant"); rec.Code != 404 && got != variantOf(queryOf(r.at.target), r.lang, r.cookie) {
		complain("the answer of the variant %q", got)
	}
	if got := strings.TrimPrefix(rec.Header().Get("Etag"), "W/"); !s.gone && got != s.etag() {
		complain("ETag %s with an edition that has %s", got, s.etag())
	}
	w.judgeBody(complain, r, rec, s, aborted)
}

func queryOf(target string) string {
	_, query, _ := strings.Cut(target, "?")
	return query
}

// mayBeGone reports whether there may be nothing at what was asked for.
func (w *trial) mayBeGone(r *visit) bool {
	for _, s := range w.o.all {
		if s.path == r.at.object && s.gone && w.may(s, r.at.names, r.begun) {
			return true
		}
	}
	return false
}

// judgeBody compares every byte.
func (w *trial) judgeBody(complain func(string, ...any), r *visit, rec *httptest.ResponseRecorder, s *edition, aborted bool) {
	whole, got := s.body(), rec.Body.String()
	if zipped := zip(whole); rec.Header().Get("Content-Encoding") == "gzip" || rec.Header().Get("Content-Range") == "bytes */"+strconv.Itoa(len(zipped)) {
		whole = zipped
	}
	expected := whole
	switch rec.Code {
	case http.StatusOK, http.StatusNotFound:
		if s.gone && rec.Code == 200 {
			complain("there is nothing")
		}
	case http.StatusPartialContent:
		first, last, ok := bounds(r.header.Get("Range"), len(whole))
		if !ok || first >= len(whole) {
			complain("a part that nobody asked for")
		}
		if tag := r.header.Get("If-Range"); tag != "" && tag != s.etag() {
			complain("a part of another version than %s", tag)
		}
		expected = whole[first : last+1]
	case http.StatusNotModified:
		if strings.TrimPrefix(r.header.Get("If-None-Match"), "W/") != s.etag() {
			complain("nothing was asked about %s", s.etag())
		}
		expected = ""
	case http.StatusRequestedRangeNotSatisfiable:
		if first, _, _ := bounds(r.header.Get("Range"), len(whole)); first < len(whole) {
			complain("there is such a part")
		}
		expected = ""
	default:
		complain("unexpected status")
	}
	switch {
	case r.method == "HEAD":
		expected = ""
	case aborted:
		expected = expected[:min(len(got), len(expected))]
	}
	if got != expected {
		complain("body %.60q of %d bytes instead of %.60q of %d", got, len(got), expected, len(expected))
	}
}

// zip compresses as the edge does.
func zip(text string) string {
	b, err := io.ReadAll(compress.NewReader(compress.Gzip, strings.NewReader(text)))
	if err != nil {
		panic(err)
	}
	return string(b)
}

// TestEveryByteIsOfItsTime is the model: whatever is changed at the origin, held
// back, fails, expires, is invalidated, evicted, swept, configured anew or
// started anew in whatever order, every byte belongs to one edition of what was
// asked for, and this edition was there at some time after the last invalidation
// that had returned when the request began. FRESHET_SOAK_FOR says for how long
// to try.
func TestEveryByteIsOfItsTime(t *testing.T) {
	steps := flag.Lookup("rapid.steps").Value
	usual := steps.String()
	if err := steps.Set("60"); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = steps.Set(usual) }()
	functions := code(t, map[string]string{"strip": stripFunction})
	for end := time.Now().Add(trialsFor(t)); ; {
		rapid.Check(t, func(rt *rapid.T) {
			inBubble(t, func() { runTrial(rt, functions) })
		})
		if t.Failed() || !time.Now().Before(end) {
			return
		}
	}
}

// inBubble has a bubble for each trial, so that the time that rapid takes is the
// world's. What f panics with, which is how rapid ends a trial, goes on outside.
func inBubble(t *testing.T, f func()) {
	var ended any
	synctest.Test(t, func(*testing.T) {
		defer func() { ended = recover() }()
		f()
	})
	if ended != nil {
		panic(ended)
	}
}

func trialsFor(t *testing.T) time.Duration {
	switch text := os.Getenv("FRESHET_SOAK_FOR"); {
	case text != "":
		d, err := time.ParseDuration(text)
		if err != nil {
			t.Fatal(err)
		}
		return d
	case os.Getenv("FRESHET_SOAK") != "":
		return 2 * time.Minute
	case testing.Short():
		return 0
	}
	return 4 * time.Second
}

func runTrial(t *rapid.T, functions Functions) {
	w := newTrial(t, functions)
	defer func() {
		w.o.letAll()
		synctest.Wait()
		w.e.Close()
	}()
	t.Repeat(map[string]func(*rapid.T){
		"change": w.change, "invalidate": w.invalidate, "probe": w.probe, "probe 2": w.probe,
		"ask": w.ask, "ask 2": w.ask, "ask 3": w.ask, "ask 4": w.ask, "ask 5": w.ask, "ask 6": w.ask, "ask 7": w.ask,
		"hold":    func(t *rapid.T) { w.o.holdBack() },
		"let":     func(t *rapid.T) { w.o.letOne(rapid.IntRange(0, 99).Draw(t, "which")) },
		"let all": func(t *rapid.T) { w.o.letAll() },
		"sleep": func(t *rapid.T) {
			time.Sleep(rapid.SampledFrom([]time.Duration{1, 4, 11, 25}).Draw(t, "for") * time.Second)
		},
		"sweep": func(t *rapid.T) { w.e.sweep() },
		"fail": func(t *rapid.T) {
			w.o.fail(rapid.SampledFrom([]trouble{noTrouble, noTrouble, unplugged, overloaded, breaking}).Draw(t, "how"))
		},
		"configure": func(t *rapid.T) {
			switch rapid.IntRange(0, 9).Draw(t, "how") {
			case 0:
				w.restart(t)
			case 1, 2, 3:
				w.reload(t)
			}
		},
		"": w.check,
	})
	w.finish(t)
}

// finish wants an answer for everybody, and what is there now after all is
// invalidated.
func (w *trial) finish(t *rapid.T) {
	w.o.fail(noTrouble)
	w.o.letAll()
	w.check(t)
	if len(w.waiting) > 0 {
		t.Fatalf("%d requests have no answer, such as %+v", len(w.waiting), *w.waiting[0])
	}
	if small, large := w.e.room.small.Load(), w.e.room.large.Load(); small != 0 || large != 0 {
		t.Fatalf("%d and %d bytes are taken beside the store although nobody uses anything", small, large)
	}
	if err := w.e.Invalidate("E1", []freshet.Pattern{"/*"}); err != nil {
		t.Fatal(err)
	}
	w.removals = append(w.removals, removal{moment: w.o.next(), meant: "/", wildcard: true})
	for _, p := range places {
		r := &visit{at: p, method: "GET", header: make(http.Header), answers: make(chan *httptest.ResponseRecorder, 1)}
		w.begin(r)
		w.check(t)
	}
}
