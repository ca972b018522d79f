package edge

import (
	"cmp"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freshet/freshet/internal/distribution"
)

// ttls is dist with TTLs, in a cache policy or in the older form; a negative
// one is not said.
func ttls(policy bool, lowest, normal, highest int64) distribution.Distribution {
	said := func(n int64) *int64 {
		if n < 0 {
			return nil
		}
		return &n
	}
	d := dist("E1")
	b := &d.Config.DefaultCacheBehavior
	if policy {
		d.CachePolicies = []distribution.CachePolicy{{ID: "p1", Config: distribution.CachePolicyConfig{Name: "own", MinTTL: said(lowest), DefaultTTL: said(normal), MaxTTL: said(highest)}}}
		*b = distribution.CacheBehavior{TargetOriginID: b.TargetOriginID, CachePolicyID: "p1"}
		return d
	}
	b.MinTTL, b.DefaultTTL, b.MaxTTL = said(lowest), said(normal), said(highest)
	return d
}

// timed is an origin whose answers have these headers; an Expires such as +50s
// is that long after each answer.
func timed(status int, headers ...string) *recorded {
	return &recorded{answer: func(*http.Request) (*http.Response, error) {
		resp := reply(status, "x", headers...)
		if after, ok := strings.CutPrefix(resp.Header.Get("Expires"), "+"); ok {
			d, err := time.ParseDuration(after)
			if err != nil {
				return nil, err
			}
			resp.Header.Set("Expires", time.Now().Add(d).UTC().Format(http.TimeFormat))
		}
		return resp, nil
	}}
}

// keptFor checks to the second how long an edge answers without asking.
func keptFor(t *testing.T, e *Edge, o *recorded, kept time.Duration) {
	t.Helper()
	asks := func(when string, expected bool) {
		t.Helper()
		before := o.count()
		get(e, "/a")
		synctest.Wait()
		if asked := o.count() > before; asked != expected {
			t.Errorf("%s the origin was asked: %v, want %v", when, asked, expected)
		}
	}
	asks("first", true)
	if kept > 0 {
		time.Sleep(kept - time.Second)
		asks("a second before the end", false)
		time.Sleep(time.Second)
	}
	asks("at the end", true)
}

// How long a response is kept, by what the origin says and what the behavior
// does, as the guide's table has it; in either form of a behavior.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/Expiration.html
func TestTimeToLive(t *testing.T) {
	const unsaid, century = -1, int64(longest / time.Second)
	for _, tt := range []struct {
		rule                    string
		lowest, normal, highest int64
		headers                 []string
		kept                    int64 // seconds
	}{
		{"max-age below the maximum", 0, 86400, 1000, []string{"Cache-Control", "max-age=100"}, 100},
		{"max-age above the maximum", 0, 86400, 1000, []string{"Cache-Control", "max-age=5000"}, 1000},
		{"s-maxage below the maximum", 0, 86400, 1000, []string{"Cache-Control", "s-maxage=100"}, 100},
		{"s-maxage above the maximum", 0, 86400, 1000, []string{"Cache-Control", "s-maxage=5000"}, 1000},
		{"s-maxage before max-age", 0, 86400, 1000, []string{"Cache-Control", "max-age=100, s-maxage=200"}, 200},
		{"Expires before the maximum", 0, 86400, 1000, []string{"Expires", "+50s"}, 50},
		{"Expires after the maximum", 0, 86400, 1000, []string{"Expires", "+1h"}, 1000},
		{"max-age before Expires", 0, 86400, 1000, []string{"Cache-Control", "max-age=70", "Expires", "+50s"}, 70},
		{"s-maxage before Expires", 0, 86400, 1000, []string{"Cache-Control", "s-maxage=70", "Expires", "+50s"}, 70},
		{"nothing said", 0, 500, 1000, nil, 500},
		{"nothing said, default above the maximum", 0, 86400, 1000, nil, 86400},
		{"no-cache", 0, 500, 1000, []string{"Cache-Control", "no-cache"}, 0},
		{"no-store", 0, 500, 1000, []string{"Cache-Control", "no-store"}, 0},
		{"private", 0, 500, 1000, []string{"Cache-Control", "private"}, 0},
		{"no-cache beside max-age", 0, 500, 1000, []string{"Cache-Control", "max-age=100, no-cache"}, 0},
		{"max-age of 0", 0, 500, 1000, []string{"Cache-Control", "max-age=0"}, 0},

		{"with a minimum, max-age between", 60, 300, 1000, []string{"Cache-Control", "max-age=100"}, 100},
		{"with a minimum, max-age below it", 60, 300, 1000, []string{"Cache-Control", "max-age=10"}, 60},
		{"with a minimum, max-age above the maximum", 60, 300, 1000, []string{"Cache-Control", "max-age=5000"}, 1000},
		{"with a minimum, s-maxage between", 60, 300, 1000, []string{"Cache-Control", "max-age=10, s-maxage=100"}, 100},
		{"with a minimum, s-maxage below it", 60, 300, 1000, []string{"Cache-Control", "max-age=100, s-maxage=10"}, 60},
		{"with a minimum, s-maxage above the maximum", 60, 300, 1000, []string{"Cache-Control", "max-age=100, s-maxage=5000"}, 1000},
		{"with a minimum, Expires between", 60, 300, 1000, []string{"Expires", "+100s"}, 100},
		{"with a minimum, Expires before it", 60, 300, 1000, []string{"Expires", "+1s"}, 60},
		{"with a minimum, Expires after the maximum", 60, 300, 1000, []string{"Expires", "+1h"}, 1000},
		{"with a minimum, max-age before Expires", 60, 300, 1000, []string{"Cache-Control", "max-age=100", "Expires", "+1h"}, 100},
		{"with a minimum, nothing said", 60, 300, 1000, nil, 300},
		{"with a minimum above the default, nothing said", 60, 30, 1000, nil, 60},
		{"with a minimum, no-cache", 60, 300, 1000, []string{"Cache-Control", "no-cache"}, 60},
		{"with a minimum, no-store", 60, 300, 1000, []string{"Cache-Control", "no-store"}, 60},
		{"with a minimum, private", 60, 300, 1000, []string{"Cache-Control", "private, max-age=500"}, 60},

		{"the longest max-age", 0, 0, 2 * century, []string{"Cache-Control", "max-age=99999999999"}, century},
		{"minimum unless said", unsaid, 500, 1000, []string{"Cache-Control", "max-age=1"}, 1},
		{"default unless said", unsaid, unsaid, unsaid, nil, 86400},
		{"maximum unless said", unsaid, unsaid, unsaid, []string{"Cache-Control", "max-age=99999999"}, 31536000},
		{"a minimum raises the default that was not said", 100000, unsaid, unsaid, nil, 100000},
		{"a minimum raises the maximum that was not said", 40000000, unsaid, unsaid, []string{"Cache-Control", "max-age=50000000"}, 40000000},
		{"a default raises the maximum that was not said", 0, 40000000, unsaid, []string{"Cache-Control", "max-age=35000000"}, 35000000},
		{"a maximum of 0", 0, 0, 0, []string{"Cache-Control", "max-age=100"}, 0},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			for _, policy := range []bool{false, true} {
				synctest.Test(t, func(t *testing.T) {
					o := timed(200, tt.headers...)
					e := open(t, o, Config{Distributions: []distribution.Distribution{ttls(policy, tt.lowest, tt.normal, tt.highest)}})
					keptFor(t, e, o, time.Duration(tt.kept)*time.Second)
				})
			}
		})
	}
}

// Viewers are told the origin's Cache-Control and Expires, however long the edge
// keeps the response.
func TestViewersSeeTheOriginsLifetime(t *testing.T) {
	for _, control := range []string{"max-age=5, s-maxage=70", "no-store", "private"} {
		e := open(t, fixed(200, "x", "Cache-Control", control, "Expires", "0"), Config{Distributions: []distribution.Distribution{ttls(true, 60, 60, 1000)}})
		for _, cache := range []string{"Miss", "Hit"} {
			w := get(e, "/a")
			settle(t, e)
			want(t, w, 200, cache, "x")
			if w.Header().Get("Cache-Control") != control || w.Header().Get("Expires") != "0" {
				t.Errorf("%s: %q: %v", cache, control, w.Header())
			}
		}
	}
}

// CachingOptimized has a minimum of one second, and so shares for a second what
// the origin calls private.
func TestCachingOptimizedSharesForASecond(t *testing.T) {
	for _, control := range []string{"private", "no-cache", "no-store"} {
		synctest.Test(t, func(t *testing.T) {
			o := timed(200, "Cache-Control", control)
			keptFor(t, open(t, o, Config{Distributions: []distribution.Distribution{squeezing("Managed-CachingOptimized", false)}}), o, time.Second)
		})
	}
}

// What an expired copy is good for when the origin fails.
func TestStandingIn(t *testing.T) {
	const down, silent = 0, -1
	for _, tt := range []struct {
		rule     string
		policy   [2]int64 // minimum and maximum
		control  string   // of the copy
		failure  int      // status of the origin, or down or silent
		after    int      // seconds since the copy came
		standsIn bool
	}{
		{"a 500", [2]int64{0, 1000}, "max-age=5", 500, 6, true},
		{"a 501", [2]int64{0, 1000}, "max-age=5", 501, 6, true},
		{"a 502", [2]int64{0, 1000}, "max-age=5", 502, 6, true},
		{"a 503", [2]int64{0, 1000}, "max-age=5", 503, 6, true},
		{"a 504", [2]int64{0, 1000}, "max-age=5", 504, 6, true},
		{"a 599", [2]int64{0, 1000}, "max-age=5", 599, 6, true},
		{"no connection", [2]int64{0, 1000}, "max-age=5", down, 6, true},
		{"no answer in time", [2]int64{0, 1000}, "max-age=5", silent, 6, true},
		{"a 404 goes out", [2]int64{0, 1000}, "max-age=5", 404, 6, false},
		{"a 403 goes out", [2]int64{0, 1000}, "max-age=5", 403, 6, false},
		{"no-cache without a minimum", [2]int64{0, 1000}, "no-cache", down, 6, true},
		{"no-cache with a minimum", [2]int64{3, 1000}, "no-cache", down, 6, true},
		{"no-store with a minimum", [2]int64{3, 1000}, "no-store", down, 6, true},
		{"private with a minimum", [2]int64{3, 1000}, "private", down, 6, true},
		{"private without a minimum", [2]int64{0, 1000}, "private", down, 6, false},
		{"no-store without a minimum", [2]int64{0, 1000}, "no-store", down, 6, false},
		{"nothing is cached", [2]int64{0, 0}, "max-age=5", down, 6, false},
		{"stale-if-error=0", [2]int64{0, 1000}, "max-age=5, stale-if-error=0", down, 6, false},
		{"stale-if-error=0 with a minimum", [2]int64{3, 1000}, "no-cache, stale-if-error=0", down, 6, false},
		{"within stale-if-error", [2]int64{0, 1000}, "max-age=5, stale-if-error=20", 503, 24, true},
		{"after stale-if-error", [2]int64{0, 1000}, "max-age=5, stale-if-error=20", 503, 25, false},
		{"stale-if-error is no longer than the maximum", [2]int64{0, 10}, "max-age=5, stale-if-error=20", 503, 16, false},
		{"long after, without a window", [2]int64{0, 1000}, "max-age=5", 503, 86400, true},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := fixed(200, "good", "Cache-Control", tt.control, "Etag", `"v"`)
				e := open(t, o, Config{Distributions: []distribution.Distribution{ttls(true, tt.policy[0], cmp.Or(tt.policy[0], 5), tt.policy[1])}})
				if tt.policy[1] == 0 {
					e = open(t, o, Config{Distributions: []distribution.Distribution{ttls(true, 0, 0, 0)}})
				}
				want(t, get(e, "/a"), 200, "Miss", "good")
				synctest.Wait()
				time.Sleep(time.Duration(tt.after) * time.Second)
				o.answer = func(r *http.Request) (*http.Response, error) {
					switch tt.failure {
					case down:
						return nil, errors.New("refused")
					case silent:
						<-r.Context().Done()
						return nil, r.Context().Err()
					}
					return reply(tt.failure, "bad"), nil
				}
				w := get(e, "/a")
				if tt.standsIn {
					want(t, w, 200, "RefreshHit", "good")
				} else if status := map[bool]int{true: tt.failure, false: 502}[tt.failure > 0]; w.Code != status || xcache(w) != "Error" {
					t.Errorf("%d %s, want %d", w.Code, xcache(w), status)
				}
			})
		})
	}
}
