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
		{"Expires by the origin's clock, which is fast", open, 200, []string{"Date", at(time.Hour), "Expires", at(time.Hour + 40*time.Second)}, 40, true, true},
		{"Date says how old it is", open, 200, []string{"Date", at(-30 * time.Second), "Expires", at(70 * time.Second)}, 70, true, true},
		{"Date says how old it is, with max-age", open, 200, []string{"Date", at(-30 * time.Second), "Cache-Control", "max-age=100"}, 70, true, true},
		{"the larger of Date and Age counts", open, 200, []string{"Date", at(-30 * time.Second), "Age", "40", "Cache-Control", "max-age=100"}, 60, true, true},
		{"the first of several Ages counts", open, 200, []string{"Age", "40, 1", "Age", "90", "Cache-Control", "max-age=100"}, 60, true, true},
		{"an Age that is no number is ignored", open, 200, []string{"Age", "-5", "Cache-Control", "max-age=100"}, 100, true, true},
		{"a Date is exact to the second only", open, 200, []string{"Date", at(-time.Second), "Cache-Control", "max-age=1"}, 1, true, true},
		{"age does not count against the default", open, 200, []string{"Age", "40", "Date", at(-time.Hour)}, 86400, true, true},
		{"age does not count against the minimum", floor, 200, []string{"Age", "400", "Cache-Control", "max-age=100"}, 60, true, true},
		{"Expires without Date is by our clock", open, 200, []string{"Expires", at(50 * time.Second)}, 50, true, true},
		{"s-maxage=0 with max-age", open, 200, []string{"Cache-Control", "max-age=100, s-maxage=0", "Etag", `"x"`}, 0, true, true},
		{"of repeated directives the first counts", open, 200, []string{"Cache-Control", "max-age=5, max-age=9", "Cache-Control", "max-age=1"}, 5, true, true},
		{"a quoted number", open, 200, []string{"Cache-Control", `max-age="50"`}, 50, true, true},
		{"max-age=0 to stand in only", open, 200, []string{"Cache-Control", "max-age=0, stale-if-error=60"}, 0, true, true},
		{"max-age=0 to be revalidated behind", open, 200, []string{"Cache-Control", "max-age=0, stale-while-revalidate=60"}, 0, true, true},
		{"must-revalidate, nothing to revalidate with", open, 200, []string{"Cache-Control", "max-age=0, must-revalidate, stale-while-revalidate=60"}, 0, false, false},
		{"a minimum TTL without maximum", distribution.Caching{MinTTL: 60, DefaultTTL: 60, MaxTTL: 60}, 200, []string{"Cache-Control", "max-age=100"}, 60, true, true},
		{"a minimum of a century and more", distribution.Caching{MinTTL: 1 << 62, DefaultTTL: 1 << 62, MaxTTL: 1 << 62}, 200, nil, int(longest / time.Second), true, true},
		{"Expires has passed, no validator", open, 200, []string{"Expires", at(-time.Second)}, 0, false, true},
		{"Expires is no date", open, 200, []string{"Expires", "0", "Etag", `"x"`}, 0, true, true},
		{"max-age and Expires", open, 200, []string{"Cache-Control", "max-age=70", "Expires", at(50 * time.Second)}, 70, true, true},
		{"nothing said", open, 200, nil, 86400, true, true}, // not bounded by the maximum
		{"nothing said, default below the minimum", floor, 200, nil, 60, true, true},
		{"no-cache", open, 200, []string{"Cache-Control", "no-cache, max-age=100", "Etag", `"x"`}, 0, true, true},
		{"no-cache without validator", open, 200, []string{"Cache-Control", "no-cache"}, 0, false, true},
		{"no-cache and must-revalidate", open, 200, []string{"Cache-Control", "no-cache, must-revalidate", "Etag", `"x"`}, 0, true, false},
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
		{"Vary: * without a minimum", open, 200, []string{"Vary", "Accept, *"}, 0, true, true},
		{"404 by its Date", open, 404, []string{"Cache-Control", "max-age=100", "Date", at(-30 * time.Second)}, 70, true, false},
		{"404 with no-store", open, 404, []string{"Cache-Control", "no-store"}, 10, true, false},
		{"Vary: * with a minimum", floor, 200, []string{"Vary", "*"}, 60, true, true},
		{"404 for the error caching minimum", open, 404, nil, 10, true, false},
		{"404 with max-age", open, 404, []string{"Cache-Control", "max-age=100"}, 100, true, false},
		{"404 with a short max-age", open, 404, []string{"Cache-Control", "max-age=1"}, 10, true, false},
		{"404 within the maximum", open, 404, []string{"Cache-Control", "max-age=5000"}, 1000, true, false},
		{"404 with s-maxage", open, 404, []string{"Cache-Control", "s-maxage=30, max-age=100"}, 30, true, false},
		{"404 where nothing is cached", distribution.Caching{}, 404, nil, 0, false, false},
		{"200 where nothing is cached", distribution.Caching{}, 200, []string{"Cache-Control", "max-age=100"}, 0, false, false},
		{"404 with Expires", open, 404, []string{"Expires", at(40 * time.Second)}, 40, true, false},
		{"404 with Expires and max-age", open, 404, []string{"Expires", at(40 * time.Second), "Cache-Control", "max-age=30"}, 30, true, false},
		{"404 with Expires within the error caching minimum", open, 404, []string{"Expires", at(time.Second)}, 10, true, false},
		{"500 that must not be shared, with Expires", open, 500, []string{"Expires", at(40 * time.Second), "Cache-Control", "private"}, 10, true, false},
		{"307 that says nothing", open, 307, nil, 0, false, false},
		{"308 that says nothing", floor, 308, nil, 0, false, false},
		{"307 with max-age", open, 307, []string{"Cache-Control", "max-age=100"}, 100, true, true},
		{"308 with Expires", open, 308, []string{"Expires", at(40 * time.Second)}, 40, true, true},
		{"308 with Cache-Control, but no lifetime", open, 308, []string{"Cache-Control", "public"}, 86400, true, true},
		{"302 that says nothing", open, 302, nil, 86400, true, true},
		{"299 that says nothing", open, 299, nil, 0, false, false},
		{"299 with max-age", open, 299, []string{"Cache-Control", "max-age=100"}, 100, true, true},
		{"299 that must be understood", open, 299, []string{"Cache-Control", "max-age=100, must-understand"}, 0, false, false},
		{"202 that must be understood", open, 202, []string{"Cache-Control", "max-age=100, must-understand"}, 100, true, true},
		{"200 that must be understood and not stored", open, 200, []string{"Cache-Control", "max-age=100, must-understand, no-store"}, 0, false, false},
		{"304 unasked", open, 304, []string{"Cache-Control", "max-age=100"}, 0, false, false},
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
			got := lifetimeOf(&tt.behavior, arrival{tt.status, headerWith(tt.headers...), now, distribution.DefaultErrorCachingMinTTL, false})
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
		if l := lifetimeOf(b, arrival{status, headerWith(), time.Now(), distribution.DefaultErrorCachingMinTTL, false}); l.store {
			t.Errorf("%d is stored without a lifetime: %+v", status, l)
		}
		if l := lifetimeOf(b, arrival{status, headerWith("Cache-Control", "max-age=50"), time.Now(), distribution.DefaultErrorCachingMinTTL, false}); l.fresh != 50*time.Second {
			t.Errorf("%d with max-age=50: %+v", status, l)
		}
	}
	for _, status := range []int{401, 410, 416, 418, 429, 505} {
		if l := lifetimeOf(b, arrival{status, headerWith("Cache-Control", "max-age=50"), time.Now(), distribution.DefaultErrorCachingMinTTL, false}); l.store {
			t.Errorf("%d is stored: %+v", status, l)
		}
	}
}

// What the origin answered to an Authorization that is not in the key goes to
// others only where it says so.
func TestLifetimeOfWhatWasAuthorized(t *testing.T) {
	for control, shared := range map[string]bool{
		"max-age=100":                   false,
		"max-age=100, proxy-revalidate": false,
		"max-age=100, public":           true,
		"max-age=100, must-revalidate":  true,
		"s-maxage=100":                  true,
		"s-maxage=100, private":         false,
	} {
		for _, status := range []int{200, 301, 404} {
			for _, lowest := range []int64{0, 60} {
				c := &distribution.Caching{MinTTL: lowest, DefaultTTL: 86400, MaxTTL: 1000}
				l := lifetimeOf(c, arrival{status, headerWith("Cache-Control", control, "Etag", `"x"`), time.Now(), distribution.DefaultErrorCachingMinTTL, true})
				want := shared || control == "s-maxage=100, private" && (lowest > 0 || status == 404) // as without Authorization
				if (l.fresh > 0) != want || l.store != want {
					t.Errorf("%d with %q and MinTTL %d: %+v", status, control, lowest, l)
				}
			}
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
		`x="a, no-store=\", private", public`: {public: true},
		`private="x-a, no-store", s-maxage=1`: {private: true, hasSharedMaxAge: true, sharedMaxAge: time.Second},
		`no-cache="set-cookie`:                {noCache: true},
		",,;, =, max-age=3,":                  {hasMaxAge: true, maxAge: 3 * time.Second},
		"max-age=;, no-store":                 {hasMaxAge: true, noStore: true},
		"proxy-revalidate":                    {mustRevalidate: true},
		"must-revalidate":                     {mustRevalidate: true, confirmedWhenStale: true},
		"must-understand, no-store":           {mustUnderstand: true, noStore: true},
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

// Neither window is longer than the maximum TTL, and there is none where stale
// responses may not be served.
func TestStaleWindows(t *testing.T) {
	open := distribution.Caching{DefaultTTL: 86400, MaxTTL: 1000}
	floor := distribution.Caching{MinTTL: 60, DefaultTTL: 86400, MaxTTL: 1000}
	for _, tt := range []struct {
		behavior distribution.Caching
		control  string
		behind   int // seconds
		onError  int // seconds; 0: not at all; -1: without limit
	}{
		{open, "max-age=10", 0, -1},
		{open, "max-age=10, stale-while-revalidate=20", 20, -1},
		{open, "max-age=10, stale-while-revalidate=5000, stale-if-error=6000", 1000, 1000},
		{open, "max-age=10, stale-if-error=30", 0, 30},
		{open, "max-age=10, stale-if-error=0", 0, 0},
		{open, "max-age=10, stale-while-revalidate=20, must-revalidate", 0, 0},
		{open, "max-age=10, stale-while-revalidate=20, proxy-revalidate", 0, 0},
		{open, "no-cache, stale-while-revalidate=20", 0, -1},
		{open, "no-cache, stale-if-error=0", 0, 0},
		{open, "no-cache, private", 0, 0},
		{open, "private, stale-if-error=20", 0, 0},
		{floor, "no-cache, stale-while-revalidate=20", 20, -1},
		{floor, "no-store, stale-if-error=20", 0, 20},
	} {
		l := lifetimeOf(&tt.behavior, arrival{200, headerWith("Cache-Control", tt.control), time.Now(), 0, false})
		onError := 0
		if l.staleOnError {
			onError = int(max(l.staleFor/time.Second, -1))
			if l.staleFor < 0 {
				onError = -1
			}
		}
		if l.behind != time.Duration(tt.behind)*time.Second || onError != tt.onError {
			t.Errorf("%q, minimum %d: %+v, want %d s behind and %d s on errors", tt.control, tt.behavior.MinTTL, l, tt.behind, tt.onError)
		}
	}
}

// Requests do not wait for one answer where the minimum TTL is 0 and the origin
// says private, no-store, no-cache, max-age=0 or s-maxage=0.
func TestAnswersForOneViewerOnly(t *testing.T) {
	for control, each := range map[string]bool{
		"private": true, "no-store": true, "no-cache": true, "max-age=0": true, "max-age=9, s-maxage=0": true, "max-age=0, s-maxage=9": false, "": false, "max-age=1": false,
	} {
		for _, lowest := range []int64{0, 1} {
			c := distribution.Caching{MinTTL: lowest, DefaultTTL: 5, MaxTTL: 5}
			if l := lifetimeOf(&c, arrival{200, headerWith("Cache-Control", control), time.Now(), 0, false}); l.each != (each && lowest == 0) {
				t.Errorf("%q with a minimum of %d: %+v", control, lowest, l)
			}
		}
	}
}

// The error caching minimum is that of the status, and 0 is no caching.
func TestErrorCachingMinimum(t *testing.T) {
	d := dist("E1")
	d.Config.CustomErrorResponses = []distribution.CustomErrorResponse{
		{ErrorCode: 404, ErrorCachingMinTTL: new(int64(40))}, {ErrorCode: 500, ErrorCachingMinTTL: new(int64(0))}, {ErrorCode: 503},
		{ErrorCode: 504, ErrorCachingMinTTL: new(int64(1 << 40))},
	}
	e := open(t, fixed(200, ""), Config{Distributions: []distribution.Distribution{d}})
	q := query{site: e.serving().sites[0], behavior: &e.serving().sites[0].behaviors[0]}
	for _, tt := range []struct {
		status  int
		control string
		fresh   time.Duration
	}{
		{404, "", 40 * time.Second}, {404, "max-age=30", 40 * time.Second}, {404, "max-age=50", 50 * time.Second},
		{500, "", 0}, {500, "max-age=5", 5 * time.Second}, {503, "", 10 * time.Second}, {502, "", 10 * time.Second},
		{504, "", distribution.DefaultMaxTTL * time.Second},
	} {
		l := q.lifetime(tt.status, headerWith("Cache-Control", tt.control), time.Now())
		if l.fresh != tt.fresh || l.store != (tt.fresh > 0) {
			t.Errorf("%d with %q: %+v, want %v", tt.status, tt.control, l, tt.fresh)
		}
	}
}
