package edge

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freshet/freshet/internal/distribution"
)

// allForwarding is a distribution whose origin gets all that viewers send, with
// some headers in the cache key.
func allForwarding(keyed ...string) distribution.Distribution {
	d := policed(distribution.Parameters{
		HeadersConfig:      distribution.HeadersConfig{HeaderBehavior: "whitelist", Headers: keyed},
		QueryStringsConfig: distribution.QueryStringsConfig{QueryStringBehavior: "all"},
	})
	d.Config.DefaultCacheBehavior.OriginRequestPolicyID = "Managed-AllViewer"
	d.Config.DefaultCacheBehavior.AllowedMethods = allowedSets[2]
	return d
}

// An answer to a request with Authorization is for that viewer, unless the
// origin says otherwise or others who see it have sent the same.
func TestAuthorization(t *testing.T) {
	for _, tt := range []struct {
		rule    string
		keyed   []string
		control string
		first   []string // headers of the first request
		second  []string
		want    string // X-Cache of the second
	}{
		{"not for others", nil, "max-age=100", []string{"Authorization", "a"}, nil, "Miss"},
		{"nor for the same viewer", nil, "max-age=100", []string{"Authorization", "a"}, []string{"Authorization", "a"}, "Miss"},
		{"public", nil, "max-age=100, public", []string{"Authorization", "a"}, nil, "Hit"},
		{"s-maxage", nil, "s-maxage=100", []string{"Authorization", "a"}, []string{"Authorization", "b"}, "Hit"},
		{"must-revalidate", nil, "max-age=100, must-revalidate", []string{"Authorization", "a"}, nil, "Hit"},
		{"what everybody gets is for the authorized as well", nil, "max-age=100", nil, []string{"Authorization", "a"}, "Hit"},
		{"in the key, the same", []string{"Authorization"}, "max-age=100", []string{"Authorization", "a"}, []string{"Authorization", "a"}, "Hit"},
		{"in the key, another", []string{"Authorization"}, "max-age=100", []string{"Authorization", "a"}, []string{"Authorization", "b"}, "Miss"},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			o := fixed(200, "x", "Cache-Control", tt.control)
			e := open(t, o, Config{Distributions: []distribution.Distribution{allForwarding(append(tt.keyed, "X-Some")...)}})
			get(e, "/a", tt.first...)
			if len(tt.first) > 0 && o.last(t).Header.Get("Authorization") != "a" {
				t.Fatal("the origin does not see who asks")
			}
			settle(t, e)
			want(t, get(e, "/a", tt.second...), 200, tt.want, "x")
			settle(t, e)
		})
	}
}

// Where Authorization does not reach the origin, the answer cannot depend on it.
func TestAuthorizationThatTheOriginDoesNotSee(t *testing.T) {
	o := fixed(200, "x", "Cache-Control", "max-age=100")
	e := open(t, o, Config{})
	get(e, "/a", "Authorization", "a")
	settle(t, e)
	want(t, get(e, "/a", "Authorization", "b"), 200, "Hit", "x")
}

// What a change made elsewhere on the site, by the answer's own account, is
// outdated with it.
func TestChangesOutdateWhatTheyName(t *testing.T) {
	for _, tt := range []struct {
		rule, header, value string
		status              int
		forgotten           bool
	}{
		{"Location", "Location", "/made?v=1", 201, true},
		{"Location of a redirect", "Location", "/made?v=1", 303, true},
		{"Content-Location", "Content-Location", "/made?v=1", 200, true},
		{"relative", "Location", "../made?v=1", 201, true},
		{"absolute", "Location", "https://E1.cloudfront.localhost/made?v=1", 201, true},
		{"without scheme", "Location", "//e1.cloudfront.localhost/made?v=1#there", 201, true},
		{"in another spelling", "Location", "/m%61de?v=1", 201, true},
		{"another site", "Location", "http://other.test/made?v=1", 201, false},
		{"another port", "Location", "//e1.cloudfront.localhost:81/made?v=1", 201, false},
		{"another query string", "Location", "/made?v=2", 201, false},
		{"a wildcard is a character", "Location", "/mad*", 201, false},
		{"no URL", "Location", "/%zz", 201, false},
		{"no URL of the web", "Location", "mailto:a@b.test", 201, false},
		{"a failure changes nothing", "Location", "/made?v=1", 409, false},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			o := &recorded{answer: func(r *http.Request) (*http.Response, error) {
				if r.Method == "POST" {
					return reply(tt.status, "", tt.header, tt.value), nil
				}
				return reply(200, "x", "Cache-Control", "max-age=60"), nil
			}}
			e := open(t, o, Config{Distributions: []distribution.Distribution{allForwarding("X-Some")}})
			host := []string{"Host", "e1.cloudfront.localhost"}
			get(e, "/made?v=1", host...)
			get(e, "/maddest", host...)
			settle(t, e)
			do(e, "POST", "/a/b", host...)
			if got := xcache(get(e, "/made?v=1", host...)) == "Miss"; got != tt.forgotten {
				t.Errorf("forgotten: %v", got)
			}
			if got := xcache(get(e, "/maddest", host...)); got != "Hit" {
				t.Errorf("what is not named: %s", got)
			}
			settle(t, e)
		})
	}
}

// A 304 replaces what was stored of a response's header, but not what describes
// the bytes.
func TestHeadersOfA304(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := []string{"Etag", `"v"`, "Content-Type", "text/plain", "Content-Encoding", "x", "Content-Md5", "a", "Content-Location", "/a", "X-Kept", "1", "Cache-Control", "max-age=1"}
		second := []string{"Etag", `"v"`, "Content-Type", "text/plain;charset=utf-8", "Content-Encoding", "y", "Content-Md5", "b", "Content-Location", "/b", "X-Added", "1", "Cache-Control", "max-age=9"}
		o := &recorded{answer: func(r *http.Request) (*http.Response, error) {
			if r.Header.Get("If-None-Match") != "" {
				return reply(304, "", second...), nil
			}
			return reply(200, "x", first...), nil
		}}
		e := open(t, o, Config{})
		get(e, "/a")
		synctest.Wait()
		time.Sleep(2 * time.Second)
		for _, cache := range []string{"RefreshHit", "Hit"} {
			w := get(e, "/a")
			want(t, w, 200, cache, "x")
			for name, value := range map[string]string{
				"Content-Type": "text/plain;charset=utf-8", "Content-Encoding": "x", "Content-Md5": "a", "Content-Location": "/b", "X-Kept": "1", "X-Added": "1", "Cache-Control": "max-age=9",
			} {
				if got := w.Header().Get(name); got != value {
					t.Errorf("%s: %s is %q, want %q", cache, name, got, value)
				}
			}
		}
	})
}

// Vary: * goes on to browsers where the edge itself heeds it.
func TestVaryAnyGoesOn(t *testing.T) {
	for lowest, want := range map[int64]string{0: "*, X-Some", 60: "X-Some"} {
		d := allForwarding("X-Some")
		d.CachePolicies[0].Config.MinTTL = &lowest
		e := open(t, fixed(200, "x", "Vary", "*", "Vary", "X-Some"), Config{Distributions: []distribution.Distribution{d}})
		if got := get(e, "/a").Header().Get("Vary"); got != want {
			t.Errorf("MinTTL %d: Vary %q, want %q", lowest, got, want)
		}
	}
}

// Where the origin does not say when something was modified, when it sent it
// counts, in whole seconds that are over.
func TestIfModifiedSinceWithoutLastModified(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := open(t, fixed(200, "x", "Cache-Control", "max-age=100"), Config{})
		sent := time.Now()
		get(e, "/a")
		synctest.Wait()
		time.Sleep(5 * time.Second)
		for after, status := range map[time.Duration]int{-time.Second: 200, 0: 200, time.Second: 304, time.Hour: 304} {
			w := get(e, "/a", "If-Modified-Since", sent.Add(after).UTC().Format(http.TimeFormat))
			if w.Code != status {
				t.Errorf("%v after it was sent: %d, want %d", after, w.Code, status)
			}
		}
		if w := get(e, "/a", "If-Modified-Since", sent.Add(time.Hour).UTC().Format(http.TimeFormat), "If-None-Match", `"x"`); w.Code != 200 {
			t.Errorf("with If-None-Match: %d", w.Code)
		}
	})
}

// Where cookies are forwarded, both headers that set them go on.
func TestSetCookie2(t *testing.T) {
	o := fixed(200, "x", "Set-Cookie", "a=b", "Set-Cookie2", "a=b")
	for _, tt := range []struct {
		d    distribution.Distribution
		want string
	}{{dist("E1"), ""}, {allForwarding("X-Some"), "a=b"}} {
		h := get(open(t, o, Config{Distributions: []distribution.Distribution{tt.d}}), "/a").Header()
		if h.Get("Set-Cookie") != tt.want || h.Get("Set-Cookie2") != tt.want {
			t.Errorf("got %v, want %q", h, tt.want)
		}
	}
}
