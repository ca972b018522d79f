package edge

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/freshet/freshet/internal/distribution"
)

// A behavior allows one of three sets of methods; what is not in it gets a 403.
func TestAllowedMethods(t *testing.T) {
	all := []string{"GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"}
	for _, set := range [][]string{nil, all[:2], all[:3], all} {
		d := custom(distribution.Origin{})
		d.Config.DefaultCacheBehavior.AllowedMethods = set
		o := fixed(200, "ok")
		e := open(t, o, Config{Distributions: []distribution.Distribution{d}})
		for _, method := range append(slices.Clone(all), "TRACE", "PROPFIND", "get") {
			allowed := slices.Contains(set, method) || set == nil && (method == "GET" || method == "HEAD")
			before := o.count()
			w := do(e, method, "/")
			if got := w.Code == 200; got != allowed || !allowed && w.Code != 403 {
				t.Errorf("%v: %s got %d", set, method, w.Code)
			}
			if asked := o.count() > before; asked != allowed {
				t.Errorf("%v: %s reached the origin: %v", set, method, asked)
			}
		}
	}
	for _, bad := range [][]string{{"GET"}, {"GET", "POST"}, {"GET", "HEAD", "TRACE"}} {
		d := custom(distribution.Origin{})
		d.Config.DefaultCacheBehavior.AllowedMethods = bad
		if _, err := New(Config{Distributions: []distribution.Distribution{d}}); err == nil {
			t.Errorf("the set %v was accepted", bad)
		}
	}
}

// Only GET and HEAD are cached, and OPTIONS where the behavior says so, apart
// from GET.
func TestCachedMethods(t *testing.T) {
	for _, cachesOptions := range []bool{false, true} {
		d := dist("E1")
		b := &d.Config.DefaultCacheBehavior
		b.AllowedMethods = []string{"GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"}
		if cachesOptions {
			b.CachedMethods = []string{"GET", "HEAD", "OPTIONS"}
		}
		asked := make(map[string]int)
		o := &recorded{answer: func(r *http.Request) (*http.Response, error) {
			asked[r.Method]++
			return reply(200, r.Method, "Cache-Control", "max-age=100"), nil
		}}
		e := open(t, o, Config{Distributions: []distribution.Distribution{d}})
		for range 2 {
			for _, method := range []string{"GET", "OPTIONS"} {
				if w := do(e, method, "/a"); w.Body.String() != method {
					t.Errorf("%s was answered with %q", method, w.Body)
				}
				settle(t, e)
			}
		}
		options := map[bool]int{false: 2, true: 1}[cachesOptions]
		if asked["GET"] != 1 || asked["OPTIONS"] != options {
			t.Errorf("OPTIONS cached %v: the origin was asked %v", cachesOptions, asked)
		}
		for _, method := range []string{"PUT", "POST", "PATCH", "DELETE"} {
			for range 2 {
				if w := do(e, method, "/b"); xcache(w) != "Miss" {
					t.Errorf("%s: %s", method, xcache(w))
				}
			}
			if asked[method] != 2 {
				t.Errorf("%s reached the origin %d times out of 2", method, asked[method])
			}
		}
	}
}

// A body goes with the methods that have one, of a known length or not. With GET
// it is a 403.
func TestBodies(t *testing.T) {
	o := &recorded{answer: func(r *http.Request) (*http.Response, error) {
		var body []byte
		if r.Body != nil {
			body, _ = io.ReadAll(r.Body)
		}
		return reply(200, r.Header.Get("Content-Type")+" "+string(body)), nil
	}}
	e := open(t, o, Config{Distributions: []distribution.Distribution{custom(distribution.Origin{})}})
	for _, method := range []string{"PUT", "POST", "PATCH", "DELETE", "OPTIONS", "GET", "HEAD"} {
		for _, length := range []int64{4, -1} {
			r := httptest.NewRequest(method, "/", strings.NewReader("text"))
			r.ContentLength = length
			r.Header.Set("Content-Type", "x/y")
			w := serve(e, r)
			if method == "GET" || method == "HEAD" {
				if w.Code != 403 {
					t.Errorf("%s with a body: %d, want 403", method, w.Code)
				}
				continue
			}
			want(t, w, 200, "Miss", "x/y text")
			if got := o.last(t).ContentLength; got != length {
				t.Errorf("%s: a body of length %d was sent on with %d", method, length, got)
			}
		}
	}
}

// allow-all answers both protocols; redirect-to-https sends HTTP elsewhere, with
// a 301, or a 307 where the method must stay, which is a 403 where the viewer does
// not know that; https-only refuses it with a 403.
func TestViewerProtocolPolicy(t *testing.T) {
	for _, tt := range []struct {
		policy, method, target string
		status                 int
		location, cache        string
	}{
		{"", "GET", "http://e1.cloudfront.localhost/", 200, "", "Miss"},
		{"allow-all", "GET", "http://e1.cloudfront.localhost/", 200, "", "Miss"},
		{"allow-all", "GET", "https://e1.cloudfront.localhost/", 200, "", "Miss"},
		{"redirect-to-https", "GET", "https://e1.cloudfront.localhost/", 200, "", "Miss"},
		{"redirect-to-https", "GET", "http://e1.cloudfront.localhost:8080/a%2F\"b?c=d&e", 301, "https://e1.cloudfront.localhost/a%2F%22b?c=d&e", "Redirect"},
		{"redirect-to-https", "HEAD", "http://e1.cloudfront.localhost/", 301, "https://e1.cloudfront.localhost/", "Redirect"},
		{"redirect-to-https", "POST", "http://[::1]:8080/", 307, "https://[::1]/", "Redirect"},
		{"https-only", "GET", "http://e1.cloudfront.localhost/", 403, "", "Error"},
		{"https-only", "POST", "http://e1.cloudfront.localhost/", 403, "", "Error"},
		{"https-only", "GET", "https://e1.cloudfront.localhost/", 200, "", "Miss"},
	} {
		t.Run(tt.policy+" "+tt.method+" "+tt.target, func(t *testing.T) {
			d := custom(distribution.Origin{})
			d.Config.DefaultCacheBehavior.ViewerProtocolPolicy = tt.policy
			o := fixed(200, "x")
			w := do(open(t, o, Config{Distributions: []distribution.Distribution{d}}), tt.method, tt.target)
			if w.Code != tt.status || w.Header().Get("Location") != tt.location || xcache(w) != tt.cache {
				t.Errorf("%d %s %q", w.Code, w.Header().Get("X-Cache"), w.Header().Get("Location"))
			}
			if asked := o.count() > 0; asked != (tt.status == 200) {
				t.Errorf("the origin was asked: %v", asked)
			}
		})
	}
	for method, status := range map[string]int{"GET": 301, "HEAD": 301, "POST": 403, "PUT": 403, "PATCH": 403, "DELETE": 403, "OPTIONS": 403} {
		d := custom(distribution.Origin{})
		d.Config.DefaultCacheBehavior.ViewerProtocolPolicy = "redirect-to-https"
		r := httptest.NewRequest(method, "http://e1.cloudfront.localhost/", nil)
		r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/1.0", 1, 0
		if w := serve(open(t, fixed(200, "x"), Config{Distributions: []distribution.Distribution{d}}), r); w.Code != status {
			t.Errorf("%s by HTTP/1.0: %d, want %d", method, w.Code, status)
		}
	}
	d := custom(distribution.Origin{})
	d.Config.DefaultCacheBehavior.ViewerProtocolPolicy = "redirect-to-https"
	e := open(t, fixed(200, "x"), Config{Distributions: []distribution.Distribution{d}, TLSPort: 8443})
	if w := get(e, "http://e1.cloudfront.localhost:8080/a"); w.Header().Get("Location") != "https://e1.cloudfront.localhost:8443/a" {
		t.Errorf("with a TLS port of its own: %q", w.Header().Get("Location"))
	}
}
