package edge

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/distribution"
)

// numbered answers with how often it was asked, and can be made to wait.
type numbered struct {
	recorded
	gate    chan struct{} // nil: answers at once
	control string
	status  int
}

func newNumbered(control string) *numbered {
	o := &numbered{control: control, status: 200}
	o.answer = func(r *http.Request) (*http.Response, error) {
		n, gate, control, status := strconv.Itoa(o.number(r)), o.gate, o.control, o.status
		if gate != nil {
			select {
			case <-gate:
			case <-r.Context().Done():
				return nil, context.Cause(r.Context())
			}
		}
		if r.Header.Get("If-None-Match") == `"same"` && status == 200 {
			return reply(304, "", "Etag", `"same"`, "Cache-Control", control), nil
		}
		return reply(status, n, "Cache-Control", control), nil
	}
	return o
}

// Within the window of stale-while-revalidate viewers get the old copy at once;
// one request goes to the origin behind their backs; after the window they wait.
func TestStaleWhileRevalidate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newNumbered("max-age=10, stale-while-revalidate=20")
		e := open(t, o, Config{})
		want(t, get(e, "/a"), 200, "Miss", "1")
		synctest.Wait()
		time.Sleep(11 * time.Second)
		o.gate = make(chan struct{})
		for range 3 {
			w := get(e, "/a")
			want(t, w, 200, "Hit", "1")
			if w.Header().Get("Age") != "11" {
				t.Errorf("Age %q", w.Header().Get("Age"))
			}
			synctest.Wait()
		}
		if o.count() != 2 {
			t.Errorf("%d requests to the origin, want one behind the viewers' backs", o.count())
		}
		close(o.gate)
		synctest.Wait()
		want(t, get(e, "/a"), 200, "Hit", "2")
		time.Sleep(31 * time.Second)
		want(t, get(e, "/a"), 200, "Miss", "3")
	})
}

// The window is no longer than the maximum TTL.
func TestStaleWhileRevalidateWithinTheMaximum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := open(t, newNumbered("max-age=10, stale-while-revalidate=2000"), Config{Distributions: []distribution.Distribution{behaving(func(b *distribution.CacheBehavior) {
			b.MaxTTL = new(int64(15))
		})}})
		get(e, "/a")
		get(e, "/b")
		synctest.Wait()
		time.Sleep(24 * time.Second)
		want(t, get(e, "/a"), 200, "Hit", "1")
		time.Sleep(2 * time.Second)
		want(t, get(e, "/b"), 200, "Miss", "4")
	})
}

// An origin that fails behind the viewers' backs is left alone for the error
// caching minimum, and the copy goes on being served; an answer that is no
// failure takes its place, whatever it is.
func TestFailureBehindTheBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newNumbered("max-age=10, stale-while-revalidate=100")
		e := open(t, o, Config{})
		get(e, "/a")
		synctest.Wait()
		time.Sleep(11 * time.Second)
		o.status = 503
		for _, step := range []struct{ after, asked int }{{0, 2}, {9, 2}, {2, 3}} {
			time.Sleep(time.Duration(step.after) * time.Second)
			want(t, get(e, "/a"), 200, "Hit", "1")
			synctest.Wait()
			if o.count() != step.asked {
				t.Errorf("asked %d times, want %d", o.count(), step.asked)
			}
		}
		time.Sleep(11 * time.Second)
		o.status = 404
		want(t, get(e, "/a"), 200, "Hit", "1")
		synctest.Wait()
		want(t, get(e, "/a"), 404, "Error", "4")
	})
}

// No invalidation is outlived: not by the copy that is served stale, nor by what
// was asked for behind the viewers' backs, be it a new copy or a confirmation.
func TestInvalidationEndsStaleWhileRevalidate(t *testing.T) {
	for name, etag := range map[string]string{"a new copy": "", "a confirmation": `"same"`} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := newNumbered("max-age=10, stale-while-revalidate=100")
				tagged := roundTripper(func(r *http.Request) (*http.Response, error) {
					resp, err := o.RoundTrip(r)
					if err == nil && etag != "" {
						resp.Header.Set("Etag", etag)
					}
					return resp, err
				})
				e := open(t, tagged, Config{})
				want(t, get(e, "/a"), 200, "Miss", "1")
				synctest.Wait()
				time.Sleep(11 * time.Second)
				gate := make(chan struct{})
				o.gate = gate
				want(t, get(e, "/a"), 200, "Hit", "1")
				synctest.Wait()
				if err := e.Invalidate("E1", []freshet.Pattern{"/a"}); err != nil {
					t.Fatal(err)
				}
				o.gate = nil
				want(t, get(e, "/a"), 200, "Miss", "3") // waits for its own, not for the one that began before
				synctest.Wait()
				close(gate)
				synctest.Wait()
				want(t, get(e, "/a"), 200, "Hit", "3")
			})
		})
	}
}

// A viewer that has to wait joins what was begun behind others' backs.
func TestWaitingJoinsTheRevalidation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newNumbered("max-age=10, stale-while-revalidate=5")
		e := open(t, o, Config{})
		get(e, "/a")
		synctest.Wait()
		time.Sleep(14 * time.Second)
		o.gate = make(chan struct{})
		want(t, get(e, "/a"), 200, "Hit", "1")
		time.Sleep(2 * time.Second) // the window closes
		answer := make(chan *httptest.ResponseRecorder)
		go func() { answer <- get(e, "/a") }()
		synctest.Wait()
		close(o.gate)
		want(t, <-answer, 200, "Hit", "2")
		if o.count() != 2 {
			t.Errorf("%d requests", o.count())
		}
	})
}

// simultaneous sends n equal requests while the origin holds its answers back,
// and returns how many reached it before it gave the first.
func simultaneous(t *testing.T, e http.Handler, o *numbered, n int, headers ...string) int {
	before := o.count()
	o.gate = make(chan struct{})
	answers := make(chan *httptest.ResponseRecorder, n)
	for range n {
		go func() { answers <- get(e, "/a", headers...) }()
		synctest.Wait()
	}
	asked := o.count() - before
	close(o.gate)
	seen := make(map[string]bool)
	for range n {
		w := <-answers
		if w.Code != 200 {
			t.Errorf("%d", w.Code)
		}
		seen[w.Body.String()] = true
	}
	if len(seen) != o.count()-before {
		t.Errorf("%d answers of the origin, but viewers saw %v", o.count()-before, seen)
	}
	o.gate = nil
	synctest.Wait()
	return asked
}

// Requests with one key wait for one answer, except where cookies are forwarded,
// where nothing is cached, and where the origin has shown that it wants to be
// asked for each viewer.
func TestWhereRequestsCollapse(t *testing.T) {
	cookies := func(b *distribution.CacheBehavior) {
		b.ForwardedValues.Cookies = distribution.CookiePreference{Forward: "whitelist", WhitelistedNames: []string{"s"}}
	}
	beyond := func(b *distribution.CacheBehavior) {
		const optimized, allViewer = "658327ea-f89d-4fab-a63d-7e88639e58f6", "216adef6-5c7f-47e4-b989-5492eafa07d3"
		b.ForwardedValues, b.CachePolicyID, b.OriginRequestPolicyID = nil, optimized, allViewer
	}
	disabled := func(b *distribution.CacheBehavior) {
		b.MaxTTL, b.DefaultTTL = new(int64(0)), new(int64(0))
	}
	floor := func(b *distribution.CacheBehavior) { b.MinTTL = new(int64(1)) }
	for _, tt := range []struct {
		rule        string
		change      func(*distribution.CacheBehavior)
		control     string
		first, then int // of four that ask at once
	}{
		{"collapsed", func(*distribution.CacheBehavior) {}, "max-age=5", 1, 1},
		{"cookies forwarded", cookies, "max-age=5", 4, 4},
		{"cookies forwarded by an origin request policy", beyond, "max-age=5", 4, 4},
		{"caching disabled", disabled, "max-age=5", 4, 4},
		{"private, once known", func(*distribution.CacheBehavior) {}, "private", 1, 4},
		{"no-store, once known", func(*distribution.CacheBehavior) {}, "no-store", 1, 4},
		{"no-cache, once known", func(*distribution.CacheBehavior) {}, "no-cache", 1, 4},
		{"max-age=0, once known", func(*distribution.CacheBehavior) {}, "max-age=0", 1, 4},
		{"s-maxage=0, once known", func(*distribution.CacheBehavior) {}, "s-maxage=0, max-age=5", 1, 4},
		{"private, but held for the minimum", floor, "private", 1, 1},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := newNumbered(tt.control)
				e := open(t, o, Config{Distributions: []distribution.Distribution{behaving(tt.change)}})
				for _, expected := range []int{tt.first, tt.then} {
					if got := simultaneous(t, e, o, 4, "Cookie", "s=1"); got != expected {
						t.Errorf("the origin was asked by %d of 4 at once, want %d", got, expected)
					}
					time.Sleep(6 * time.Second)
				}
				// Once it says otherwise they wait for one another again.
				o.control = "max-age=5"
				get(e, "/a", "Cookie", "s=1")
				time.Sleep(6 * time.Second)
				again := 1
				if tt.first == 4 {
					again = 4
				}
				if got := simultaneous(t, e, o, 4, "Cookie", "s=1"); got != again {
					t.Errorf("later the origin was asked by %d of 4 at once, want %d", got, again)
				}
			})
		})
	}
}

// Vary: * without a minimum TTL: every request goes to the origin, without
// conditions; but the copy stands in when it fails.
func TestVaryAny(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		status := 200
		o := &recorded{answer: func(r *http.Request) (*http.Response, error) {
			if r.Header.Get("If-None-Match") != "" {
				t.Error("asked with a condition")
			}
			return reply(status, "x", "Vary", "*", "Etag", `"v"`, "Cache-Control", "max-age=100, stale-while-revalidate=100"), nil
		}}
		e := open(t, o, Config{})
		for i := 1; i <= 3; i++ {
			want(t, get(e, "/a"), 200, "Miss", "x")
			synctest.Wait()
			if o.count() != i {
				t.Errorf("asked %d times, want %d", o.count(), i)
			}
		}
		status = 500
		want(t, get(e, "/a"), 200, "RefreshHit", "x")
	})
}

// Behind the viewers' backs one request at a time is made, also where requests
// do not wait for one another, and none while the origin rests after a failure
// although the copy may not stand in any longer.
func TestOneRevalidationAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newNumbered("max-age=10, stale-while-revalidate=100")
		e := open(t, o, Config{Distributions: []distribution.Distribution{behaving(func(b *distribution.CacheBehavior) {
			b.ForwardedValues.Cookies.Forward = "all"
		})}})
		get(e, "/a")
		synctest.Wait()
		time.Sleep(11 * time.Second)
		o.gate = make(chan struct{})
		for range 3 {
			want(t, get(e, "/a"), 200, "Hit", "1")
			synctest.Wait()
		}
		close(o.gate)
		if o.count() != 2 {
			t.Errorf("%d requests to the origin, want one behind the viewers' backs", o.count())
		}
	})
	synctest.Test(t, func(t *testing.T) {
		o := newNumbered("max-age=10, stale-while-revalidate=100, stale-if-error=5")
		e := open(t, o, Config{})
		get(e, "/a")
		synctest.Wait()
		o.status = 503
		for _, step := range []struct{ after, asked int }{{14, 2}, {4, 2}, {3, 2}, {2, 2}, {2, 3}} {
			time.Sleep(time.Duration(step.after) * time.Second)
			want(t, get(e, "/a"), 200, "Hit", "1")
			synctest.Wait()
			if o.count() != step.asked {
				t.Errorf("asked %d times, want %d", o.count(), step.asked)
			}
		}
	})
}

// Of two fetches of one URL the later one's answer stays, whichever arrives
// first.
func TestTheLaterFetchStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newNumbered("max-age=100")
		e := open(t, o, Config{Distributions: []distribution.Distribution{behaving(func(b *distribution.CacheBehavior) {
			b.ForwardedValues.Cookies.Forward = "all"
		})}})
		first, done := make(chan struct{}), make(chan *httptest.ResponseRecorder)
		o.gate = first
		go func() { done <- get(e, "/a") }()
		synctest.Wait()
		o.gate = nil
		want(t, get(e, "/a"), 200, "Miss", "2")
		synctest.Wait()
		close(first)
		want(t, <-done, 200, "Miss", "1")
		synctest.Wait()
		want(t, get(e, "/a"), 200, "Hit", "2")
	})
}
