package edge

import (
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/distribution"
)

// failing is an edge with pages for errors. The site answers everything with
// status; the pages live at an origin of their own, behind a behavior of their
// own, and are numbered by how often they were asked for.
type failing struct {
	e      *Edge
	status atomic.Int64 // 0 for no answer at all
	page   atomic.Int64 // status of the pages
	site   *recorded
	pages  *recorded
}

func newFailing(t *testing.T, responses ...distribution.CustomErrorResponse) *failing {
	f := &failing{}
	f.page.Store(200)
	f.site = &recorded{answer: func(*http.Request) (*http.Response, error) {
		if f.status.Load() == 0 {
			return nil, errors.New("refused")
		}
		return reply(int(f.status.Load()), "origin's own", "X-Site", "1"), nil
	}}
	f.pages = &recorded{answer: func(r *http.Request) (*http.Response, error) {
		return reply(int(f.page.Load()), "page "+r.URL.RequestURI(), "Etag", `"page"`, "Cache-Control", "max-age=1000"), nil
	}}
	d := dist("E1")
	d.Config.Origins = append(d.Config.Origins, distribution.Origin{ID: "pages", OriginPath: "/v1"})
	pages := d.Config.DefaultCacheBehavior
	pages.PathPattern, pages.TargetOriginID = "/errors/*", "pages"
	pages.ForwardedValues = &distribution.ForwardedValues{Headers: []string{"X-Lang"}}
	live := pages
	live.PathPattern, live.TargetOriginID, live.MaxTTL, live.DefaultTTL = "/live/*", "site", new(int64(0)), new(int64(0))
	d.Config.CacheBehaviors = []distribution.CacheBehavior{pages, live}
	d.Config.CustomErrorResponses = responses
	f.e = open(t, nil, Config{Distributions: []distribution.Distribution{d}, Resolve: func(_ distribution.Distribution, o distribution.Origin) (Origin, error) {
		if o.ID == "pages" {
			return Origin{URL: "http://pages.test", Transport: f.pages}, nil
		}
		return Origin{URL: "http://site.test", Transport: f.site}, nil
	}})
	return f
}

func TestCustomErrorPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFailing(t,
			distribution.CustomErrorResponse{ErrorCode: 404, ResponsePagePath: "/errors/404.html", ResponseCode: 200, ErrorCachingMinTTL: new(int64(30))},
			distribution.CustomErrorResponse{ErrorCode: 403, ResponsePagePath: "/errors/403.html"},
			distribution.CustomErrorResponse{ErrorCode: 502, ResponsePagePath: "/errors/5xx.html?x", ResponseCode: 503},
			distribution.CustomErrorResponse{ErrorCode: 500, ErrorCachingMinTTL: new(int64(5))},
		)
		f.status.Store(404)
		// The page comes through the behavior of its own path, with the status
		// that is configured, and X-Cache still says Error.
		for range 2 {
			w := get(f.e, "/a", "If-None-Match", `"page"`, "Range", "bytes=0-1")
			want(t, w, 200, "Error", "page /v1/errors/404.html")
			if w.Header().Get("X-Site") != "" || w.Header().Get("Content-Length") != "24" {
				t.Errorf("header %v", w.Header())
			}
			synctest.Wait()
		}
		if f.site.count() != 1 || f.pages.count() != 1 {
			t.Errorf("asked %d times for the object and %d times for the page, want once each", f.site.count(), f.pages.count())
		}
		if h := f.pages.last(t).Header; h.Get("If-None-Match") != "" || h.Get("Range") != "" {
			t.Errorf("the page was asked for with the viewer's conditions: %v", h)
		}
		// It has a cache key of its own, by which it is also reached directly.
		want(t, get(f.e, "/b", "X-Lang", "de"), 200, "Error", "page /v1/errors/404.html")
		want(t, get(f.e, "/errors/404.html"), 200, "Hit", "page /v1/errors/404.html")
		want(t, do(f.e, "HEAD", "/a"), 200, "Error", "")
		if f.pages.count() != 2 {
			t.Errorf("the page was asked for %d times, want one more for another language", f.pages.count())
		}
		// The error is kept as long as its minimum says; the page longer.
		time.Sleep(31 * time.Second)
		asked := f.site.count()
		get(f.e, "/a")
		if f.site.count() != asked+1 || f.pages.count() != 2 {
			t.Error("after the error caching minimum the object was not asked for, or the page was")
		}
		// Without a response code the origin's stays.
		f.status.Store(403)
		want(t, get(f.e, "/c"), 403, "Error", "page /v1/errors/403.html")
		want(t, get(f.e, "/live/c"), 403, "Error", "page /v1/errors/403.html") // also where nothing is cached
		// An origin that cannot be reached is a 502.
		f.status.Store(0)
		want(t, get(f.e, "/d"), 503, "Error", "page /v1/errors/5xx.html")
		want(t, get(f.e, "/live/d"), 503, "Error", "page /v1/errors/5xx.html")
		// A rule without a page changes the time only.
		f.status.Store(500)
		want(t, get(f.e, "/e"), 500, "Error", "origin's own")
	})
}

// What the origin of the pages says when it has no page is what the viewer gets.
func TestErrorPageThatIsNotThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFailing(t,
			distribution.CustomErrorResponse{ErrorCode: 500, ResponsePagePath: "/errors/500.html", ResponseCode: 200},
			distribution.CustomErrorResponse{ErrorCode: 404, ResponsePagePath: "/errors/404.html", ResponseCode: 200},
			distribution.CustomErrorResponse{ErrorCode: 502, ResponsePagePath: "/live/502.html", ResponseCode: 200},
		)
		f.status.Store(500)
		f.page.Store(404)
		want(t, get(f.e, "/a"), 404, "Error", "page /v1/errors/500.html")
		// A page whose own origin is gone ends nowhere.
		f.status.Store(0)
		if w := get(f.e, "/b"); w.Code != 502 || xcache(w) != "Error" || !strings.Contains(w.Body.String(), "502") {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}

// The requested URL clears the error, the page's own path clears the page.
func TestInvalidatingErrorsAndTheirPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFailing(t, distribution.CustomErrorResponse{ErrorCode: 404, ResponsePagePath: "/errors/404.html", ResponseCode: 404, ErrorCachingMinTTL: new(int64(1000))})
		f.status.Store(404)
		for _, step := range []struct {
			pattern     freshet.Pattern
			site, pages int // asked so far
		}{
			{"/other", 1, 1}, {"/a", 2, 1}, {"/errors/404.html", 2, 2}, {"/errors/*", 2, 3}, {"/*", 3, 4},
		} {
			if err := f.e.Invalidate("E1", []freshet.Pattern{step.pattern}); err != nil {
				t.Fatal(err)
			}
			want(t, get(f.e, "/a"), 404, "Error", "page /v1/errors/404.html")
			synctest.Wait()
			if f.site.count() != step.site || f.pages.count() != step.pages {
				t.Errorf("after %s: object %d, page %d, want %d and %d", step.pattern, f.site.count(), f.pages.count(), step.site, step.pages)
			}
		}
		f.status.Store(200)
		if err := f.e.Invalidate("E1", []freshet.Pattern{"/a"}); err != nil {
			t.Fatal(err)
		}
		want(t, get(f.e, "/a"), 200, "Miss", "origin's own")
	})
}

// A stale copy is preferred to a page, but a 4xx goes out.
func TestStaleCopyBeforeErrorPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFailing(t,
			distribution.CustomErrorResponse{ErrorCode: 503, ResponsePagePath: "/errors/503.html", ResponseCode: 200, ErrorCachingMinTTL: new(int64(3))},
			distribution.CustomErrorResponse{ErrorCode: 404, ResponsePagePath: "/errors/404.html", ResponseCode: 200},
		)
		f.status.Store(200)
		want(t, get(f.e, "/a"), 200, "Miss", "origin's own")
		time.Sleep((distribution.DefaultDefaultTTL + 1) * time.Second)
		f.status.Store(503)
		want(t, get(f.e, "/a"), 200, "RefreshHit", "origin's own")
		synctest.Wait()
		for _, step := range []struct{ after, asked int }{{2, 2}, {2, 3}} { // the next try is after the 503's own minimum
			time.Sleep(time.Duration(step.after) * time.Second)
			if w := get(f.e, "/a"); w.Code != 200 || f.site.count() != step.asked {
				t.Errorf("%d, asked %d times, want %d", w.Code, f.site.count(), step.asked)
			}
			synctest.Wait()
		}
		time.Sleep(4 * time.Second)
		f.status.Store(404)
		want(t, get(f.e, "/a"), 200, "Error", "page /v1/errors/404.html")
	})
}

// What a viewer says of the parts of an object does not concern its error page.
func TestErrorPageIsWhole(t *testing.T) {
	f := newFailing(t, distribution.CustomErrorResponse{ErrorCode: 404, ResponsePagePath: "/errors/404.html"})
	f.status.Store(404)
	for _, target := range []string{"/live/a", "/live/b"} {
		want(t, get(f.e, target, "Range", "bytes=5-", "If-None-Match", `"page"`, "If-Match", `"x"`), 404, "Error", "page /v1/errors/404.html")
		settle(t, f.e)
	}
	if h := f.pages.last(t).Header; f.pages.count() != 1 || h.Get("Range") != "" {
		t.Errorf("asked %d times for the page, with %v", f.pages.count(), h)
	}
}
