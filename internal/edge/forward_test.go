package edge

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/freshet/freshet/internal/distribution"
)

// asked sends one request through a behavior with the given policies and returns
// what the origin was asked.
func asked(t *testing.T, change func(*distribution.Distribution, *distribution.CacheBehavior), method, target string, headers ...string) *http.Request {
	t.Helper()
	o := fixed(200, "x")
	d := custom(distribution.Origin{})
	change(&d, &d.Config.DefaultCacheBehavior)
	do(open(t, o, Config{Distributions: []distribution.Distribution{d}}), method, target, headers...)
	return o.last(t)
}

var browser = []string{
	"Accept", "text/html", "Accept-Encoding", "gzip", "Accept-Language", "en", "Authorization", "Basic x", "Cookie", "b=2; a=1", "User-Agent", "Mozilla",
	"Referer", "http://r.example/", "Origin", "http://o.example", "X-Own", "1", "X-Http-Method-Override", "PUT", "If-None-Match", `"x"`, "Range", "bytes=0-1",
	"Access-Control-Request-Method", "GET", "Access-Control-Request-Headers", "X-Own",
	"X-Real-Ip", "1.2.3.4", "X-Forwarded-Proto", "https", "X-Edge-Result", "x", "Te", "trailers", "Proxy-Authorization", "x", "Cloudfront-Viewer-Country", "DE",
	"Forwarded", "for=x", "Connection", "close, X-Hop", "X-Hop", "1", "Keep-Alive", "9", "Cache-Control", "no-cache",
}

// neverForwarded no configuration sends on.
var neverForwarded = []string{
	"X-Real-Ip", "X-Forwarded-Proto", "X-Edge-Result", "Te", "Proxy-Authorization", "Forwarded", "Connection", "X-Hop", "Keep-Alive", "Cloudfront-Viewer-Country",
}

// What the origin gets depends on the cache policy and the origin request
// policy: everything but a list in the older form, with policies what they list.
func TestHeadersToOrigin(t *testing.T) {
	always := []string{"If-None-Match", "Range"}
	cors := []string{"Origin", "Access-Control-Request-Method", "Access-Control-Request-Headers"}
	most := append(slices.Clone(cors), "Accept", "Accept-Language", "Authorization", "Cookie", "Referer", "X-Own", "X-Http-Method-Override", "Cache-Control")
	for _, tt := range []struct {
		name, policy string
		sent         []string
		agent, host  string
	}{
		{"cache policy only", "", nil, "Amazon CloudFront", ""},
		{"the older form", "older", append(slices.Clone(cors), "X-Own", "Cache-Control"), "Amazon CloudFront", ""},
		{"AllViewer", "216adef6-5c7f-47e4-b989-5492eafa07d3", most, "Mozilla", "e1.cloudfront.localhost"},
		{"AllViewerAndCloudFrontHeaders", "33f36d7e-f396-46d9-90e0-52428a34d9dc", append(slices.Clone(most), "Cloudfront-Is-Desktop-Viewer", "Cloudfront-Viewer-Address"), "Mozilla", "e1.cloudfront.localhost"},
		{"AllViewerExceptHostHeader", "b689b0a8-53d0-40ab-baf2-68738e2966ac", most, "Mozilla", ""},
		{"CORS-S3Origin", "88a5eaf4-2fd4-4709-b370-b4c650ea3fcf", cors, "Amazon CloudFront", ""},
		{"CORS-CustomOrigin", "59781a5b-3903-41f3-afcb-af62929ccde1", cors[:1], "Amazon CloudFront", ""},
		{"UserAgentRefererHeaders", "acba4595-bd28-49b8-b9fe-13317c0390fa", []string{"Referer"}, "Mozilla", ""},
		{"Elemental-MediaTailor", "775133bc-15f2-49f9-abea-afb2e0bf67d2", cors, "Mozilla", ""},
		{"HostHeaderOnly", "bf0718e1-ba1e-49d1-88b1-f726733018ae", nil, "Amazon CloudFront", "e1.cloudfront.localhost"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := asked(t, func(_ *distribution.Distribution, b *distribution.CacheBehavior) {
				b.OriginRequestPolicyID = tt.policy
				if tt.policy == "older" {
					b.OriginRequestPolicyID, b.CachePolicyID, b.ForwardedValues, b.MaxTTL = "", "", &distribution.ForwardedValues{}, new(int64(0))
				}
			}, "GET", "http://e1.cloudfront.localhost/a", browser...)
			expected := append(slices.Clone(tt.sent), always...)
			for name := range r.Header {
				own := slices.Contains([]string{"User-Agent", "Accept-Encoding", "X-Forwarded-For", "Via", "X-Amz-Cf-Id"}, name)
				cloudFronts := strings.HasPrefix(name, "Cloudfront-") && strings.HasPrefix(tt.name, "AllViewerAnd")
				if !own && !cloudFronts && !slices.Contains(expected, name) {
					t.Errorf("%s: %q was forwarded", name, r.Header[name])
				}
			}
			for _, name := range expected {
				if r.Header.Get(name) == "" {
					t.Errorf("%s was not forwarded", name)
				}
			}
			for _, name := range neverForwarded {
				if v, ok := r.Header[name]; ok {
					t.Errorf("%s: %q was forwarded", name, v)
				}
			}
			if r.Header.Get("User-Agent") != tt.agent {
				t.Errorf("User-Agent %q, want %q", r.Header.Get("User-Agent"), tt.agent)
			}
			if host := map[string]string{"": "origin.test"}[tt.host]; r.Host != host+tt.host {
				t.Errorf("Host %q, want %q", r.Host, host+tt.host)
			}
		})
	}
}

// Authorization goes with the methods that are never cached, whatever the
// policies say.
func TestAuthorizationToOrigin(t *testing.T) {
	for method, want := range map[string]bool{"GET": false, "HEAD": false, "OPTIONS": true, "POST": true, "PUT": true, "PATCH": true, "DELETE": true} {
		for _, cached := range []string{"", "OPTIONS"} {
			r := asked(t, func(_ *distribution.Distribution, b *distribution.CacheBehavior) {
				if cached != "" {
					b.CachedMethods = []string{"GET", "HEAD", cached}
				}
			}, method, "/", "Authorization", "Basic x")
			if got := r.Header.Get("Authorization") != ""; got != (want && method != cached) {
				t.Errorf("%s with %q cached: Authorization forwarded: %v", method, cached, got)
			}
		}
	}
}

// Cookies and query strings of the key and of the origin request policy go
// together; what only the policy names is not in the key.
func TestCookiesAndQueryStringsToOrigin(t *testing.T) {
	key := distribution.CachePolicy{ID: "key", Config: distribution.CachePolicyConfig{Parameters: distribution.Parameters{
		CookiesConfig:      distribution.CookiesConfig{CookieBehavior: "whitelist", Cookies: []string{"session"}},
		QueryStringsConfig: distribution.QueryStringsConfig{QueryStringBehavior: "whitelist", QueryStrings: []string{"page"}},
	}}}
	request := func(cookies distribution.CookiesConfig, queries distribution.QueryStringsConfig) distribution.OriginRequestPolicy {
		return distribution.OriginRequestPolicy{ID: "more", Config: distribution.OriginRequestPolicyConfig{CookiesConfig: cookies, QueryStringsConfig: queries}}
	}
	for _, tt := range []struct {
		mode          string
		names         []string
		cookie, query string
	}{
		{"none", nil, "session=1", "page=2"},
		{"whitelist", []string{"b", "x"}, "b=2; session=1", "b=1&page=2"},
		{"allExcept", []string{"b", "session", "page"}, "a=3; session=1", "page=2&a"},
		{"all", nil, "a=3; b=2; session=1", "b=1&page=2&a"},
	} {
		r := asked(t, func(d *distribution.Distribution, b *distribution.CacheBehavior) {
			d.CachePolicies = []distribution.CachePolicy{key}
			d.OriginRequestPolicies = []distribution.OriginRequestPolicy{request(
				distribution.CookiesConfig{CookieBehavior: tt.mode, Cookies: tt.names}, distribution.QueryStringsConfig{QueryStringBehavior: tt.mode, QueryStrings: tt.names})}
			b.CachePolicyID, b.OriginRequestPolicyID = "key", "more"
		}, "GET", "/?b=1&page=2&a", "Cookie", "session=1; b=2; a=3")
		if r.Header.Get("Cookie") != tt.cookie || r.URL.RawQuery != tt.query {
			t.Errorf("%s %v: cookies %q, query string %q, want %q and %q", tt.mode, tt.names, r.Header.Get("Cookie"), r.URL.RawQuery, tt.cookie, tt.query)
		}
	}

	o := fixed(200, "x", "Cache-Control", "max-age=60", "Set-Cookie", "a=b")
	d := dist("E1")
	d.Config.DefaultCacheBehavior = distribution.CacheBehavior{TargetOriginID: "site", CachePolicyID: "Managed-CachingOptimized", OriginRequestPolicyID: "AllViewer"}
	e := open(t, o, Config{Distributions: []distribution.Distribution{d}})
	for i, target := range []string{"/a?x=1", "/a?x=2"} {
		w := get(e, target, "Cookie", target)
		settle(t, e)
		if want := []string{"Miss", "Hit"}[i]; xcache(w) != want {
			t.Errorf("%s: %s, want %s", target, xcache(w), want)
		}
		if w.Header().Get("Set-Cookie") != "a=b" {
			t.Errorf("%s: where cookies go to the origin, Set-Cookie comes back: %v", target, w.Header())
		}
	}
}

// A managed policy keeps response-content-* from a bucket; from other origins and
// by a custom policy it is not kept.
func TestManagedPoliciesWithBuckets(t *testing.T) {
	for _, tt := range []struct{ domain, policy, want string }{
		{"site.s3.amazonaws.com", "AllViewerExceptHostHeader", "a=1"},
		{"web.example.com", "AllViewerExceptHostHeader", "a=1&response-content-type=x"},
		{"site.s3.amazonaws.com", "mine", "a=1&response-content-type=x"},
	} {
		r := asked(t, func(d *distribution.Distribution, b *distribution.CacheBehavior) {
			d.Config.Origins[0].DomainName = tt.domain
			d.OriginRequestPolicies = []distribution.OriginRequestPolicy{{ID: "mine", Config: distribution.OriginRequestPolicyConfig{QueryStringsConfig: distribution.QueryStringsConfig{QueryStringBehavior: "all"}}}}
			b.OriginRequestPolicyID = tt.policy
		}, "GET", "/?a=1&response-content-type=x")
		if r.URL.RawQuery != tt.want {
			t.Errorf("%s, %s: %q, want %q", tt.domain, tt.policy, r.URL.RawQuery, tt.want)
		}
	}
}

func TestUnknownPoliciesAreRefused(t *testing.T) {
	for _, change := range []func(*distribution.CacheBehavior){
		func(b *distribution.CacheBehavior) { b.OriginRequestPolicyID = "nobody" },
		func(b *distribution.CacheBehavior) { b.ResponseHeadersPolicyID = "nobody" },
	} {
		d := behaving(change)
		if _, err := New(Config{Distributions: []distribution.Distribution{d}}); err == nil || !strings.Contains(err.Error(), "aws cloudfront get-") {
			t.Errorf("got %v, want an error that says what to do", err)
		}
	}
}

// The viewer and the origin are told the same request ID.
func TestOneRequestID(t *testing.T) {
	o := fixed(200, "x")
	e := open(t, o, Config{})
	for _, method := range []string{"GET", "HEAD"} {
		w := do(e, method, "/"+method)
		if id := w.Header().Get("X-Amz-Cf-Id"); id == "" || id != o.last(t).Header.Get("X-Amz-Cf-Id") {
			t.Errorf("%s: the viewer got %q, the origin %q", method, id, o.last(t).Header.Get("X-Amz-Cf-Id"))
		}
	}
}

// CloudFront's own headers are what it knows, never what the viewer claims.
func TestCloudFrontHeaders(t *testing.T) {
	const (
		desktop = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Safari/537.36"
		phone   = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148"
		android = "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 Chrome/120.0 Mobile Safari/537.36"
		tablet  = "Mozilla/5.0 (Linux; Android 13; SM-X700) AppleWebKit/537.36 Chrome/120.0 Safari/537.36"
		ipad    = "Mozilla/5.0 (iPad; CPU OS 16_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148"
		tv      = "Mozilla/5.0 (SMART-TV; Linux; Tizen 6.0) AppleWebKit/537.36"
	)
	for agent, is := range map[string]string{desktop: "Desktop", phone: "Mobile Ios", android: "Mobile Android", tablet: "Tablet Android", ipad: "Tablet Ios", tv: "Smarttv", "": "Desktop"} {
		for _, device := range []string{"Desktop", "Mobile", "Tablet", "Smarttv", "Android", "Ios"} {
			r := httptest.NewRequest("GET", "/", nil)
			r.Header.Set("User-Agent", agent)
			r.Header.Set("Cloudfront-Is-"+device+"-Viewer", "maybe")
			want := map[bool]string{true: "true", false: "false"}[slices.Contains(strings.Fields(is), device)]
			if got, ok := viewerHeader(r, "Cloudfront-Is-"+device+"-Viewer"); !ok || got != want {
				t.Errorf("%s: Is-%s-Viewer is %q, want %s", agent, device, got, want)
			}
		}
	}
	r := httptest.NewRequest("GET", "https://a.example/", nil)
	r.RemoteAddr = "[2001:db8::1]:4711"
	r.TLS = &tls.ConnectionState{Version: tls.VersionTLS13, CipherSuite: tls.TLS_AES_128_GCM_SHA256}
	for name, want := range map[string]string{
		"Cloudfront-Forwarded-Proto": "https", "Cloudfront-Viewer-Address": "2001:db8::1:4711", "Cloudfront-Viewer-Http-Version": "1.1",
		"Cloudfront-Viewer-Tls": "TLSv1.3:TLS_AES_128_GCM_SHA256:fullHandshake",
	} {
		if got, _ := viewerHeader(r, name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	for _, name := range []string{"Cloudfront-Viewer-City", "Cloudfront-Is-Toaster-Viewer"} {
		r.Header.Set(name, "claimed")
		if got, ok := viewerHeader(r, name); ok {
			t.Errorf("%s: %q, which nobody can know", name, got)
		}
	}
}
