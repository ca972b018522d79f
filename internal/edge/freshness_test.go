package edge

import (
	"net/http"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/distribution"
)

func TestLifetime(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	at := func(d time.Duration) string { return now.Add(d).Format(http.TimeFormat) }
	open := distribution.Caching{MinTTL: 0, DefaultTTL: 86400, MaxTTL: 1000}
	floor := distribution.Caching{MinTTL: 60, DefaultTTL: 30, MaxTTL: 1000}
	tests := []struct {
		rule     string
		behavior distribution.Caching
		status   int
		headers  []string
		fresh    int // seconds
		store    bool
		stale    bool // may stand in for a failing origin
	}{
		{"max-age below the maximum", open, 200, []string{"Cache-Control", "max-age=100"}, 100, true, true},
		{"max-age above the maximum", open, 200, []string{"Cache-Control", "max-age=5000"}, 1000, true, true},
		{"max-age below the minimum", floor, 200, []string{"Cache-Control", "max-age=10"}, 60, true, true},
		{"max-age above the maximum, with a minimum", floor, 200, []string{"Cache-Control", "max-age=5000"}, 1000, true, true},
		{"s-maxage rules the edge", open, 200, []string{"Cache-Control", "max-age=100, s-maxage=200"}, 200, true, true},
		{"s-maxage on another line", open, 200, []string{"Cache-Control", "max-age=100", "Cache-Control", "s-maxage=200"}, 200, true, true},
		{"s-maxage rules the edge, clamped", floor, 200, []string{"Cache-Control", "max-age=100, s-maxage=20"}, 60, true, true},
		{"Expires only", open, 200, []string{"Expires", at(50 * time.Second)}, 50, true, true},
		{"Expires after the maximum", open, 200, []string{"Expires", at(time.Hour)}, 1000, true, true},
		{"Expires before the minimum", floor, 200, []string{"Expires", at(time.Second)}, 60, true, true},
		{"Expires by the origin's clock", open, 200, []string{"Date", at(-time.Hour), "Expires", at(-time.Hour + 40*time.Second)}, 40, true, true},
		{"Expires has passed, no validator", open, 200, []string{"Expires", at(-time.Second)}, 0, false, true},
		{"Expires is no date", open, 200, []string{"Expires", "0", "Etag", `"x"`}, 0, true, true},
		{"max-age and Expires", open, 200, []string{"Cache-Control", "max-age=70", "Expires", at(50 * time.Second)}, 70, true, true},
		{"nothing said", open, 200, nil, 86400, true, true}, // not bounded by the maximum
		{"nothing said, default below the minimum", floor, 200, nil, 60, true, true},
		{"no-cache", open, 200, []string{"Cache-Control", "no-cache, max-age=100", "Etag", `"x"`}, 0, true, false},
		{"no-cache without validator", open, 200, []string{"Cache-Control", "no-cache"}, 0, false, false},
		{"no-store", open, 200, []string{"Cache-Control", "no-store", "Etag", `"x"`}, 0, false, false},
		{"private", open, 200, []string{"Cache-Control", "private, max-age=100", "Etag", `"x"`}, 0, false, false},
		{"no-cache with a minimum", floor, 200, []string{"Cache-Control", "no-cache"}, 60, true, true},
		{"no-store with a minimum", floor, 200, []string{"Cache-Control", "no-store"}, 60, true, true},
		{"private with a minimum", floor, 200, []string{"Cache-Control", "private"}, 60, true, true},
		{"max-age=0 is kept for revalidation", open, 200, []string{"Cache-Control", "max-age=0", "Last-Modified", at(-time.Hour)}, 0, true, true},
		{"Age counts", open, 200, []string{"Cache-Control", "max-age=100", "Age", "30"}, 70, true, true},
		{"Age beyond the lifetime", open, 200, []string{"Cache-Control", "max-age=100", "Age", "300", "Etag", `"x"`}, 0, true, true},
		{"more than 100 years", distribution.Caching{MaxTTL: 1 << 60}, 200, []string{"Cache-Control", "max-age=99999999999999999999"}, int(longest / time.Second), true, true},
		{"stale-if-error=0 ends standing in", open, 200, []string{"Cache-Control", "max-age=9, stale-if-error=0"}, 9, true, false},
		{"must-revalidate ends standing in", open, 200, []string{"Cache-Control", "max-age=9, must-revalidate"}, 9, true, false},
		{"redirects are stored", open, 301, []string{"Cache-Control", "max-age=9"}, 9, true, true},
		{"Vary: * without a minimum", open, 200, []string{"Vary", "Accept, *", "Etag", `"x"`}, 0, false, false},
		{"Vary: * with a minimum", floor, 200, []string{"Vary", "*"}, 60, true, true},
		{"404 for the error caching minimum", open, 404, nil, 10, true, false},
		{"404 with max-age", open, 404, []string{"Cache-Control", "max-age=100"}, 100, true, false},
		{"404 with a short max-age", open, 404, []string{"Cache-Control", "max-age=1"}, 10, true, false},
		{"404 within the maximum", open, 404, []string{"Cache-Control", "max-age=5000"}, 1000, true, false},
		{"404 with s-maxage", open, 404, []string{"Cache-Control", "s-maxage=30, max-age=100"}, 30, true, false},
		{"404 where nothing is cached", distribution.Caching{}, 404, nil, 0, false, false},
		{"200 where nothing is cached", distribution.Caching{}, 200, []string{"Cache-Control", "max-age=100"}, 0, false, false},
		{"206 unasked", open, 206, []string{"Cache-Control", "max-age=100"}, 0, false, false},
	}
	for _, status := range []int{414, 500, 501, 502, 503, 504} {
		tests = append(tests, struct {
			rule     string
			behavior distribution.Caching
			status   int
			headers  []string
			fresh    int
			store    bool
			stale    bool
		}{"always cached: " + http.StatusText(status), open, status, nil, 10, true, false})
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			got := lifetimeOf(&tt.behavior, tt.status, headerWith(tt.headers...), now)
			if got.fresh != time.Duration(tt.fresh)*time.Second || got.store != tt.store || got.staleOnError != tt.stale {
				t.Errorf("got %+v, want fresh %d s, store %v, stale %v", got, tt.fresh, tt.store, tt.stale)
			}
		})
	}
}

// 400, 403, 405, 412 and 415 are cached only if the origin gives a lifetime;
// others than these and the content statuses never are.
func TestLifetimeOfErrorsThatMustSaySo(t *testing.T) {
	b := &distribution.Caching{DefaultTTL: 86400, MaxTTL: 1000}
	for _, status := range []int{400, 403, 405, 412, 415} {
		if l := lifetimeOf(b, status, headerWith(), time.Now()); l.store {
			t.Errorf("%d is stored without a lifetime: %+v", status, l)
		}
		if l := lifetimeOf(b, status, headerWith("Cache-Control", "max-age=50"), time.Now()); l.fresh != 50*time.Second {
			t.Errorf("%d with max-age=50: %+v", status, l)
		}
	}
	for _, status := range []int{401, 410, 416, 418, 429, 505} {
		if l := lifetimeOf(b, status, headerWith("Cache-Control", "max-age=50"), time.Now()); l.store {
			t.Errorf("%d is stored: %+v", status, l)
		}
	}
}

func TestParseCacheControl(t *testing.T) {
	tests := map[string]directives{
		"":                                    {},
		"max-age=5":                           {hasMaxAge: true, maxAge: 5 * time.Second},
		"MAX-AGE = \"5\" ,NO-STORE":           {hasMaxAge: true, maxAge: 5 * time.Second, noStore: true},
		"max-age=5, max-age=9":                {hasMaxAge: true, maxAge: 5 * time.Second},
		"max-age=-5":                          {hasMaxAge: true},
		"max-age=1.5":                         {hasMaxAge: true},
		"max-age":                             {hasMaxAge: true},
		`x="a, no-store=\", private", public`: {},
		`private="x-a, no-store", s-maxage=1`: {private: true, hasSharedMaxAge: true, sharedMaxAge: time.Second},
		`no-cache="set-cookie`:                {noCache: true},
		",,;, =, max-age=3,":                  {hasMaxAge: true, maxAge: 3 * time.Second},
		"max-age=;, no-store":                 {hasMaxAge: true, noStore: true},
		"proxy-revalidate":                    {mustRevalidate: true},
		"stale-if-error=7":                    {hasStaleIfError: true, staleIfError: 7 * time.Second},
	}
	for line, want := range tests {
		if got := parseCacheControl([]string{line}); got != want {
			t.Errorf("%q: got %+v, want %+v", line, got, want)
		}
	}
}

func FuzzCacheControl(f *testing.F) {
	f.Add("max-age=1, s-maxage=\"2\"", "no-cache=\"a,b\", x=\"\\\"\"")
	f.Fuzz(func(t *testing.T, a, b string) {
		d := parseCacheControl([]string{a, b})
		for _, v := range []time.Duration{d.maxAge, d.sharedMaxAge, d.staleIfError} {
			if v < 0 || v > longest {
				t.Errorf("duration %v", v)
			}
		}
		// A directive that follows on a line of its own is never lost.
		if after := parseCacheControl([]string{a, b, "no-store"}); !after.noStore {
			t.Error("no-store was lost")
		}
	})
}
