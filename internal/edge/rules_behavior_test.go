package edge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/distribution"
)

// Which behavior answers a path, and what its origin is asked for.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/DownloadDistValuesCacheBehavior.html#DownloadDistValuesPathPattern
func TestBehaviorsInOrder(t *testing.T) {
	const normally = "default"
	for _, tt := range []struct {
		rule     string
		patterns []string
		target   string
		want     string // the pattern of the behavior
	}{
		{"the first that matches answers", []string{"/a/*", "/a/b*"}, "/a/bc", "/a/*"},
		{"a more specific one answers if it comes first", []string{"/a/b*", "/a/*"}, "/a/bc", "/a/b*"},
		{"the default answers the rest", []string{"/a/*"}, "/b", normally},
		{"* is any number of characters", []string{"/a*z"}, "/abcz", "/a*z"},
		{"* is no character, too", []string{"/a*z"}, "/az", "/a*z"},
		{"* crosses slashes", []string{"*.jpg"}, "/deep/down/a.jpg", "*.jpg"},
		{"? is one character", []string{"/a?c"}, "/abc", "/a?c"},
		{"? is no fewer", []string{"/a?c"}, "/ac", normally},
		{"? is no more", []string{"/a?c"}, "/abbc", normally},
		{"letter case counts", []string{"*.jpg"}, "/a.JPG", normally},
		{"a pattern needs no slash to begin with", []string{"images/*"}, "/images/a", "images/*"},
		{"a slash to begin with changes nothing", []string{"/images/*", "images/*"}, "/images/a", "/images/*"},
		{"a pattern is for the whole path", []string{"images/*"}, "/x/images/a", normally},
		{"the query string plays no part", []string{"*.jpg", "/a?x=1"}, "/a?x=1&y=.jpg", normally},
		{"dot segments do not count", []string{"/b"}, "/a/../b", "/b"},
		{"repeated slashes do not count", []string{"/a/b"}, "//a///b", "/a/b"},
		{"a dot segment leads out of a behavior", []string{"/private/*"}, "/private/../b", normally},
		{"an escape means what it stands for", []string{"/private/*"}, "/%70rivate/a", "/private/*"},
		{"letters and marks", []string{`/aZ0_-.$/~"'@:+&`}, `/aZ0_-.$/~%22'@:+&`, `/aZ0_-.$/~"'@:+&`},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			d := dist("E1")
			d.Config.DefaultRootObject = ""
			for i, pattern := range tt.patterns {
				id := fmt.Sprint(i)
				d.Config.Origins = append(d.Config.Origins, distribution.Origin{ID: id})
				d.Config.CacheBehaviors = append(d.Config.CacheBehaviors, distribution.CacheBehavior{
					PathPattern: pattern, TargetOriginID: id, ForwardedValues: &distribution.ForwardedValues{QueryString: true},
				})
			}
			d.Config.DefaultCacheBehavior.ForwardedValues.QueryString = true
			o := fixed(200, "x")
			e := open(t, nil, Config{Distributions: []distribution.Distribution{d}, Resolve: func(_ distribution.Distribution, at distribution.Origin) (Origin, error) {
				return Origin{URL: "http://o" + at.ID + ".test", Transport: o}, nil
			}})
			get(retarget(e), "/", "Target", tt.target)
			r := o.last(t)
			got := normally
			for i, pattern := range tt.patterns {
				if r.URL.Host == fmt.Sprintf("o%d.test", i) {
					got = pattern
				}
			}
			if got != tt.want {
				t.Errorf("%s was answered by %s, want %s", tt.target, got, tt.want)
			}
			if r.URL.RequestURI() != tt.target {
				t.Errorf("the origin was asked for %s instead of %s", r.URL.RequestURI(), tt.target)
			}
		})
	}
}

// retarget takes the request target from the header Target, since httptest does
// not parse every target that a viewer may send.
func retarget(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.RequestURI = r.Header.Get("Target")
		r.Header.Del("Target")
		h.ServeHTTP(w, r)
	})
}

// Where the origin path and the default root object come in.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/DefaultRootObject.html
func TestPathsToOrigins(t *testing.T) {
	all := []string{"GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"}
	for _, tt := range []struct {
		rule         string
		prefix, root string
		method       string
		target, want string
	}{
		{"the origin path goes before", "/site", "", "GET", "/a", "/site/a"},
		{"the root of the distribution is the default root object", "", "index.html", "GET", "/", "/index.html"},
		{"with an origin path", "/site", "index.html", "GET", "/", "/site/index.html"},
		{"the default root object may be in a folder", "", "d/home.html", "GET", "/", "/d/home.html"},
		{"no folder has a default root object", "", "index.html", "GET", "/d/", "/d/"},
		{"without a default root object the root is asked for", "", "", "GET", "/", "/"},
		{"the default root object is for HEAD, too", "", "index.html", "HEAD", "/", "/index.html"},
		{"the default root object is for OPTIONS, too", "", "index.html", "OPTIONS", "/", "/index.html"},
		{"the default root object is for PUT, too", "", "index.html", "PUT", "/", "/index.html"},
		{"the default root object is for POST, too", "", "index.html", "POST", "/", "/index.html"},
		{"the default root object is for PATCH, too", "", "index.html", "PATCH", "/", "/index.html"},
		{"the default root object is for DELETE, too", "", "index.html", "DELETE", "/", "/index.html"},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			d := behaving(func(b *distribution.CacheBehavior) { b.AllowedMethods = all })
			d.Config.DefaultRootObject, d.Config.Origins[0].OriginPath = tt.root, tt.prefix
			o := fixed(200, "")
			do(open(t, o, Config{Distributions: []distribution.Distribution{d}}), tt.method, tt.target)
			if got := o.last(t); got.URL.RequestURI() != tt.want || got.Method != tt.method {
				t.Errorf("the origin was asked for %s %s, want %s %s", got.Method, got.URL.RequestURI(), tt.method, tt.want)
			}
		})
	}
}

// What is always in the cache key, and what is not.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/understanding-the-cache-key.html
func TestCacheKeys(t *testing.T) {
	const one, two = "http://e1.cloudfront.localhost", "http://e2.cloudfront.localhost"
	for _, tt := range []struct {
		rule          string
		first, second string
		headers       []string // of the second request
		same          bool
	}{
		{"the path", one + "/a", one + "/b", nil, false},
		{"letter case of the path", one + "/a", one + "/A", nil, false},
		{"the spelling of the path", one + "/a%2Fb", one + "/a/b", nil, false},
		{"the distribution", one + "/a", two + "/a", nil, false},
		{"not the name by which it is reached", one + "/a", "http://www.one.example/a", nil, true},
		{"not the protocol", one + "/a", "https://e1.cloudfront.localhost/a", nil, true},
		{"not the query string unless listed", one + "/a", one + "/a?x=1", nil, true},
		{"not headers unless listed", one + "/a", one + "/a", []string{"Accept-Language", "de", "User-Agent", "x", "Origin", "http://o.example"}, true},
		{"not cookies unless listed", one + "/a", one + "/a", []string{"Cookie", "a=1"}, true},
		{"not Accept-Encoding unless it is switched on", one + "/a", one + "/a", []string{"Accept-Encoding", "gzip, br"}, true},
		{"not the viewer's Cache-Control and Pragma", one + "/a", one + "/a", []string{"Cache-Control", "no-cache", "Pragma", "no-cache"}, true},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			first := dist("E1")
			first.Config.Aliases = []string{"www.one.example"}
			e := open(t, fixed(200, "x"), Config{Distributions: []distribution.Distribution{first, dist("E2")}})
			want(t, get(e, tt.first), 200, "Miss", "x")
			settle(t, e)
			want(t, get(e, tt.second, tt.headers...), 200, map[bool]string{true: "Hit", false: "Miss"}[tt.same], "x")
		})
	}
}

// Each value of X-Cache that this edge gives, and what for.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/standard-logs-reference.html
func TestXCacheValues(t *testing.T) {
	answered := `function handler(event) { return {statusCode: 200}; }`
	failing := `function handler(event) { throw new Error('broken'); }`
	for _, tt := range []struct {
		value, text string // of a function at viewer-request
		protocol    string // viewer protocol policy
		status      int    // of the origin
		before      int    // requests before
		after       time.Duration
		want        int
	}{
		{"Miss", "", "", 200, 0, 0, 200},
		{"Hit", "", "", 200, 1, 0, 200},
		{"RefreshHit", "", "", 200, 1, 11 * time.Second, 200},
		{"Error", "", "", 404, 0, 0, 404},
		{"Error", "", "", 404, 1, 0, 404}, // also from the cache
		{"Error", "", "https-only", 200, 0, 0, 403},
		{"Redirect", "", "redirect-to-https", 200, 0, 0, 301},
		{"Miss", "", "", 302, 0, 0, 302}, // the origin's own redirect
		{"FunctionGeneratedResponse", answered, "", 200, 0, 0, 200},
		{"FunctionExecutionError", failing, "", 200, 0, 0, 503},
	} {
		t.Run(tt.value, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := &recorded{answer: func(r *http.Request) (*http.Response, error) {
					if r.Header.Get("If-None-Match") == `"v"` {
						return reply(304, "", "Etag", `"v"`), nil
					}
					return reply(tt.status, "x", "Etag", `"v"`, "Cache-Control", "max-age=10"), nil
				}}
				d := behaving(func(b *distribution.CacheBehavior) { b.ViewerProtocolPolicy = tt.protocol })
				if tt.text != "" {
					d = running("first", "")
				}
				e := open(t, o, Config{Distributions: []distribution.Distribution{d}, Function: code(t, map[string]string{"first": cmp.Or(tt.text, answered)})})
				for range tt.before {
					get(e, "http://e1.cloudfront.localhost/a")
					synctest.Wait()
				}
				time.Sleep(tt.after)
				w := get(e, "http://e1.cloudfront.localhost/a")
				if w.Code != tt.want || w.Header().Get("X-Cache") != tt.value+" from cloudfront" {
					t.Errorf("%d %q, want %d %s", w.Code, w.Header().Get("X-Cache"), tt.want, tt.value)
				}
			})
		})
	}
}

// What an invalidation of one path removes.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/invalidation-specifying-objects.html
func TestInvalidationPaths(t *testing.T) {
	cached := []string{
		"/", "/index.html", "/images", "/images/", "/images/a.png", "/images/deep/b.png", "/Images/a.png", "/image", "/a*b", "/axb",
		"/q?x=1", "/q?x=2", "/q", "/a%20b", "/a+b", "/x%2By", "/x+y", "/%C3%A9.png", "/w%3Fz", "/d/index.html", "/d/", "/d",
	}
	for _, tt := range []struct {
		rule string
		path freshet.Pattern
		gone []string
	}{
		{"a path is for itself only", "/images/a.png", []string{"/images/a.png"}},
		{"a path without its slash is another", "/images", []string{"/images"}},
		{"a path with a slash is another", "/images/", []string{"/images/"}},
		{"a * at the end is any characters", "/image*", []string{"/images", "/images/", "/images/a.png", "/images/deep/b.png", "/image"}},
		{"a * crosses slashes", "/images/*", []string{"/images/", "/images/a.png", "/images/deep/b.png"}},
		{"a * elsewhere is an asterisk", "/a*b", []string{"/a*b"}},
		{"everything", "/*", cached},
		{"letter case counts", "/Images/*", []string{"/Images/a.png"}},
		{"? is no wildcard", "/imag?", nil},
		{"a query string is named as it is", "/q?x=1", []string{"/q?x=1"}},
		{"a path without a query string is the one without", "/q", []string{"/q"}},
		{"a * takes all query strings", "/q*", []string{"/q?x=1", "/q?x=2", "/q"}},
		{"a space is %20", "/a%20b", []string{"/a%20b"}},
		{"a space is + as well, which is another copy", "/a+b", []string{"/a+b"}},
		{"an escaped + is another than a raw one", "/x%2By", []string{"/x%2By"}},
		{"a raw + is another than an escaped one", "/x+y", []string{"/x+y"}},
		{"what is not ASCII is escaped", "/%C3%A9.png", []string{"/%C3%A9.png"}},
		{"a question mark of the name is %3F", "/w%3Fz", []string{"/w%3Fz"}},
		{"the root is the default root object as well", "/", []string{"/"}},
		{"the default root object is the root as well", "/index.html", []string{"/", "/index.html"}},
		{"index documents of folders stand for themselves only", "/d/index.html", []string{"/d/index.html"}},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			e := open(t, fixed(200, "x"), Config{Distributions: []distribution.Distribution{behaving(func(b *distribution.CacheBehavior) { b.ForwardedValues.QueryString = true })}})
			h := retarget(e)
			for _, target := range cached {
				get(h, "/", "Target", target)
			}
			settle(t, e)
			if err := e.Invalidate("E1", []freshet.Pattern{tt.path}); err != nil {
				t.Fatal(err)
			}
			for _, target := range cached {
				w := get(h, "/", "Target", target)
				if gone := xcache(w) == "Miss"; gone != slices.Contains(tt.gone, target) {
					t.Errorf("%s: %s", target, xcache(w))
				}
			}
		})
	}
}

// Of two distributions in a row the second answers, a third does not.
func TestChainedDistributions(t *testing.T) {
	for hops, status := range []int{200, 200, 403, 403} {
		via := slices.Repeat([]string{"1.1 a.cloudfront.net (CloudFront)"}, hops)
		o := fixed(200, "x")
		headers := []string{"X-Via", "none"}
		if hops > 0 {
			headers = []string{"Via", strings.Join(via, ", ")}
		}
		if w := get(open(t, o, Config{}), "/", headers...); w.Code != status {
			t.Errorf("after %d distributions: %d, want %d", hops, w.Code, status)
		}
	}
	// An edge that is its own origin ends the loop.
	var e *Edge
	loop := roundTripper(func(r *http.Request) (*http.Response, error) {
		in := httptest.NewRequest(r.Method, r.URL.RequestURI(), nil)
		in.Header = r.Header.Clone()
		resp := serve(e, in).Result()
		if resp.StatusCode == 0 {
			return nil, errors.New("no answer")
		}
		return resp, nil
	})
	e = open(t, loop, Config{Distributions: []distribution.Distribution{squeezing("Managed-CachingDisabled", false)}})
	if w := get(e, "/"); w.Code != 403 {
		t.Errorf("in a loop: %d", w.Code)
	}
}

// A viewer who leaves does not end the fetch, and what it brings is stored.
func TestFetchOutlivesItsViewer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pieces := make(chan string)
		o := slow(pieces, 6)
		e := open(t, o, Config{})
		ctx, leave := context.WithCancel(t.Context())
		gone := make(chan struct{})
		go func() { doContext(ctx, e, "GET", "/a"); close(gone) }()
		pieces <- "abc"
		leave()
		<-gone
		pieces <- "def"
		close(pieces)
		synctest.Wait()
		want(t, get(e, "/a"), 200, "Hit", "abcdef")
		if o.count() != 1 {
			t.Errorf("the origin was asked %d times", o.count())
		}
	})
}
