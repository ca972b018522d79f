package edge

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/distribution"
)

// Requests for one URL share a fetch whatever else is invalidated, and however
// often: there are never more fetches than invalidations that may concern it, and
// one. Everybody gets an answer, of a fetch that began when they asked or later
// than the last invalidation before.
func TestFetchesAreAsFewAsInvalidationsAllow(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		inBubble(t, func() { crowd(rt) })
	})
}

func crowd(t *rapid.T) {
	o := newChronicle("/a")
	d := tagging()
	d.Config.CacheTagConfig = &distribution.CacheTagConfig{HeaderName: "cache-tag"}
	e, err := New(Config{Distributions: []distribution.Distribution{d}, Resolve: through(o)})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	defer o.letAll()
	o.change("/a", func(s *edition) { s.tags, s.control = "one", "max-age=1000" })
	o.holdBack()
	defer synctest.Wait()
	var answers []chan *httptest.ResponseRecorder
	allowed, stamped := 0, true // fetches; whether the next request may need one of its own
	t.Repeat(map[string]func(*rapid.T){
		"ask": func(*rapid.T) {
			if stamped {
				allowed, stamped = allowed+1, false
			}
			answer := make(chan *httptest.ResponseRecorder, 1)
			go func() { answer <- get(e, "/a") }()
			answers = append(answers, answer)
		},
		"invalidate": func(t *rapid.T) {
			p := rapid.SampledFrom([]freshet.Pattern{"/a", "/*", "#one", "#other", "/b", "/b*", "/a/*"}).Draw(t, "pattern")
			if err := e.Invalidate("E1", []freshet.Pattern{p}); err != nil {
				t.Fatal(err)
			}
			stamped = stamped || p.IsTag() || p.Covers("/a")
		},
		"let":   func(t *rapid.T) { o.letOne(rapid.IntRange(0, 9).Draw(t, "which")) },
		"sweep": func(*rapid.T) { e.sweep() },
		"": func(t *rapid.T) {
			synctest.Wait()
			if n := o.requests(); n > allowed {
				t.Fatalf("%d fetches, where %d would do", n, allowed)
			}
		},
	})
	o.letAll()
	synctest.Wait()
	for _, answer := range answers {
		select {
		case w := <-answer:
			if w.Code != http.StatusOK {
				t.Fatalf("%d", w.Code)
			}
		default:
			t.Fatal("somebody waits for ever")
		}
	}
	if s := e.serving().sites[0]; len(s.fills)+len(s.running) > 0 {
		t.Fatalf("%d and %d fetches are remembered", len(s.fills), len(s.running))
	}
}
