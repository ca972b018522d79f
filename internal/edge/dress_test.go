package edge

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/freshet/freshet/internal/distribution"
)

// dressed opens an edge whose only behavior has a response headers policy.
func dressed(t *testing.T, o *recorded, p distribution.ResponseHeadersPolicyConfig) *Edge {
	t.Helper()
	d := dist("E1")
	d.ResponseHeadersPolicies = []distribution.ResponseHeadersPolicy{{ID: "p", Config: p}}
	d.Config.DefaultCacheBehavior.ResponseHeadersPolicyID = "p"
	d.Config.DefaultCacheBehavior.AllowedMethods = []string{"GET", "HEAD", "OPTIONS"}
	return open(t, o, Config{Distributions: []distribution.Distribution{d}})
}

// Security headers are added to every answer; with override they replace the
// origin's, without they give way to it. What is stored stays as it was.
func TestSecurityHeaders(t *testing.T) {
	c := distribution.ResponseHeadersPolicyConfig{SecurityHeadersConfig: &distribution.SecurityHeadersConfig{
		ContentSecurityPolicy:   &distribution.ContentSecurityPolicy{ContentSecurityPolicy: "default-src 'self'", Override: true},
		ContentTypeOptions:      &distribution.ContentTypeOptions{},
		FrameOptions:            &distribution.FrameOptions{FrameOption: "DENY", Override: false},
		ReferrerPolicy:          &distribution.ReferrerPolicy{ReferrerPolicy: "no-referrer", Override: true},
		StrictTransportSecurity: &distribution.StrictTransportSecurity{MaxAge: 5, IncludeSubdomains: true, Preload: true, Override: true},
		XSSProtection:           &distribution.XSSProtection{Protection: true, ReportURI: "https://r.example/"},
	}}
	o := fixed(200, "x", "Content-Security-Policy", "theirs", "X-Frame-Options", "theirs")
	e := dressed(t, o, c)
	for _, cache := range []string{"Miss", "Hit"} {
		w := get(e, "/a")
		settle(t, e)
		if xcache(w) != cache {
			t.Errorf("%s, want %s", xcache(w), cache)
		}
		for name, want := range map[string]string{
			"Content-Security-Policy": "default-src 'self'", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "theirs", "Referrer-Policy": "no-referrer",
			"Strict-Transport-Security": "max-age=5; includeSubDomains; preload", "X-Xss-Protection": "1; report=https://r.example/",
		} {
			if got := w.Header()[name]; !slices.Equal(got, []string{want}) {
				t.Errorf("%s: %s: %q, want %q", cache, name, got, want)
			}
		}
	}
	stored := e.serving().sites[0].lookup(key{0, "/a", ""})
	if stored == nil || stored.header.Get("Content-Security-Policy") != "theirs" || stored.header.Get("Referrer-Policy") != "" {
		t.Errorf("the policy changed what is stored: %+v", stored)
	}
	for want, c := range map[string]distribution.XSSProtection{"0": {}, "1": {Protection: true}, "1; mode=block": {Protection: true, ModeBlock: true}} {
		if got := xssProtection(&c); got != want {
			t.Errorf("%+v: %q, want %q", c, got, want)
		}
	}
}

// Headers are removed first and added then; of Server and Date, CloudFront sends
// its own.
func TestCustomAndRemovedHeaders(t *testing.T) {
	c := distribution.ResponseHeadersPolicyConfig{
		RemoveHeaders: []string{"x-powered-by", "Vary", "Server", "X-Both"},
		CustomHeaders: []distribution.CustomHeader{{Header: "X-New", Value: "1"}, {Header: "X-Both", Value: "ours"}, {Header: "X-Kept", Value: "ours"}, {Header: "x-over", Value: "ours", Override: true}, {Header: "X-Empty"}},
	}
	o := fixed(200, "x", "X-Powered-By", "y", "Vary", "Accept-Encoding", "Server", "nginx", "X-Both", "theirs", "X-Kept", "theirs", "X-Over", "theirs")
	w := get(dressed(t, o, c), "/")
	for name, want := range map[string][]string{
		"X-Powered-By": nil, "Vary": nil, "Server": {"CloudFront"}, "X-New": {"1"}, "X-Both": {"ours"}, "X-Kept": {"theirs"}, "X-Over": {"ours"}, "X-Empty": {""},
	} {
		if got := w.Header()[name]; !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	for _, bad := range []distribution.ResponseHeadersPolicyConfig{
		{RemoveHeaders: []string{"content-length"}}, {RemoveHeaders: []string{"X-Amz-Cf-Id"}}, {RemoveHeaders: []string{"x-edge-y"}}, {RemoveHeaders: []string{"Connection"}},
		{RemoveHeaders: []string{"a b"}}, {CustomHeaders: []distribution.CustomHeader{{Header: "A", Value: "x\r\nB: y"}}}, {CustomHeaders: []distribution.CustomHeader{{Header: "A:"}}},
	} {
		if _, err := newDressing(&distribution.ResponseHeadersPolicy{ID: "p", Config: bad}); err == nil {
			t.Errorf("%+v was accepted", bad)
		}
	}
}

// CORS headers go with requests that have an Origin; methods, headers and age
// with OPTIONS only.
func TestCORSHeaders(t *testing.T) {
	some := &distribution.CORSConfig{
		AccessControlAllowOrigins: []string{"https://app.example", "*.wild.example", "http://*.dev.example:8080"}, AccessControlAllowCredentials: true,
		AccessControlAllowMethods: []string{"ALL"}, AccessControlAllowHeaders: []string{"X-A", "X-B"}, AccessControlExposeHeaders: []string{"X-C"}, AccessControlMaxAge: new(int64(600)),
	}
	anyone := &distribution.CORSConfig{AccessControlAllowOrigins: []string{"*"}, AccessControlAllowMethods: []string{"GET", "PUT"}}
	for _, tt := range []struct {
		name                   string
		c                      *distribution.CORSConfig
		method, origin, allows string
	}{
		{"no Origin", anyone, "GET", "", ""},
		{"anyone", anyone, "GET", "https://who.example", "*"},
		{"anyone, preflight", anyone, "OPTIONS", "https://who.example", "*"},
		{"one of them", some, "GET", "https://app.example", "https://app.example"},
		{"letter case of a host is nothing", some, "GET", "https://APP.example", "https://APP.example"},
		{"another scheme", some, "GET", "http://app.example", ""},
		{"another port", some, "GET", "https://app.example:8443", ""},
		{"a subdomain, any scheme", some, "GET", "http://a.b.wild.example", "http://a.b.wild.example"},
		{"not the domain itself", some, "GET", "https://wild.example", ""},
		{"not what merely ends so", some, "GET", "https://evilwild.example", ""},
		{"with a port", some, "OPTIONS", "http://x.dev.example:8080", "http://x.dev.example:8080"},
		{"null", some, "GET", "null", ""},
		{"nobody", some, "OPTIONS", "https://who.example", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := dressed(t, fixed(200, "x"), distribution.ResponseHeadersPolicyConfig{CORSConfig: tt.c})
			var sent []string
			if tt.origin != "" {
				sent = []string{"Origin", tt.origin}
			}
			h := do(e, tt.method, "/", sent...).Header()
			expected := map[string]string{"Access-Control-Allow-Origin": tt.allows}
			if tt.allows != "" && tt.c == some {
				expected["Access-Control-Allow-Credentials"], expected["Access-Control-Expose-Headers"] = "true", "X-C"
			}
			if tt.allows != "" && tt.method == "OPTIONS" {
				expected["Access-Control-Allow-Methods"] = "GET,PUT"
				if tt.c == some {
					expected["Access-Control-Allow-Methods"] = "DELETE,GET,HEAD,OPTIONS,PATCH,POST,PUT"
					expected["Access-Control-Allow-Headers"], expected["Access-Control-Max-Age"] = "X-A,X-B", "600"
				}
			}
			for _, name := range []string{"Origin", "Credentials", "Methods", "Headers"} {
				if name = "Access-Control-Allow-" + name; h.Get(name) != expected[name] {
					t.Errorf("%s: %q, want %q", name, h.Get(name), expected[name])
				}
			}
			if name := "Access-Control-Max-Age"; h.Get(name) != expected[name] {
				t.Errorf("%s: %q, want %q", name, h.Get(name), expected[name])
			}
			// What differs by Origin must say so to browsers' caches.
			if varies := strings.Contains(h.Get("Vary"), "Origin"); varies != (tt.c == some) {
				t.Errorf("Vary: %q", h.Get("Vary"))
			}
		})
	}
	for _, override := range []bool{false, true} {
		c := *anyone
		c.OriginOverride = override
		w := get(dressed(t, fixed(200, "x", "Access-Control-Allow-Origin", "https://theirs.example"), distribution.ResponseHeadersPolicyConfig{CORSConfig: &c}), "/", "Origin", "https://a.example")
		if want := map[bool]string{false: "https://theirs.example", true: "*"}[override]; w.Header().Get("Access-Control-Allow-Origin") != want {
			t.Errorf("override %v: %v", override, w.Header())
		}
	}
}

// The managed policies are there by ID and do what their pages say.
func TestManagedResponseHeaders(t *testing.T) {
	security := map[string]string{
		"Referrer-Policy": "strict-origin-when-cross-origin", "Strict-Transport-Security": "max-age=31536000",
		"X-Content-Type-Options": "nosniff", "X-Frame-Options": "SAMEORIGIN", "X-Xss-Protection": "1; mode=block",
	}
	for id, has := range map[string]struct{ cors, preflight, security bool }{
		"60669652-455b-4ae9-85a4-c4c02393f86c": {true, false, false}, "5cc3b908-e619-4b99-88e5-2cf7f45965bd": {true, true, false},
		"67f7725c-6f97-4210-82d7-5512b31e9d03": {false, false, true}, "e61eb60c-9c35-4d20-a928-2b84e02af89c": {true, false, true},
		"eaab4381-ed33-4a86-88ca-d9558dc6cd63": {true, true, true},
	} {
		d := custom(distribution.Origin{})
		d.Config.DefaultCacheBehavior.ResponseHeadersPolicyID = id
		e := open(t, fixed(200, "x", "X-Content-Type-Options", "theirs"), Config{Distributions: []distribution.Distribution{d}})
		h := do(e, "OPTIONS", "/", "Origin", "https://a.example").Header()
		for name, value := range security {
			if got := h.Get(name) == value; got != has.security {
				t.Errorf("%s: %s: %q", id, name, h.Get(name))
			}
		}
		if got := h.Get("Access-Control-Allow-Origin") == "*"; got != has.cors {
			t.Errorf("%s: CORS headers %v", id, h)
		}
		if got := h.Get("Access-Control-Allow-Methods") == "DELETE,GET,HEAD,OPTIONS,PATCH,POST,PUT"; got != has.preflight {
			t.Errorf("%s: preflight headers %v", id, h)
		}
	}
}

// Server-Timing is added to the given share of the answers, and to every one
// that asks for it with Pragma: server-timing.
func TestServerTiming(t *testing.T) {
	for _, tt := range []struct {
		c      distribution.ServerTimingConfig
		pragma string
		want   bool
	}{
		{distribution.ServerTimingConfig{Enabled: true, SamplingRate: 100}, "", true},
		{distribution.ServerTimingConfig{Enabled: true}, "", false},
		{distribution.ServerTimingConfig{Enabled: true}, "server-timing", true},
		{distribution.ServerTimingConfig{SamplingRate: 100}, "server-timing", false},
	} {
		e := dressed(t, fixed(200, "x", "Server-Timing", "db;dur=53"), distribution.ResponseHeadersPolicyConfig{ServerTiming: &tt.c})
		for _, form := range []string{
			`^db;dur=53,cdn-upstream-layer;desc="EDGE",cdn-cache-miss,cdn-pop;desc="LCL50-C1",cdn-rid;desc="[\w-]{54}==",cdn-downstream-fbl;dur=\d+$`,
			`^cdn-cache-hit,cdn-hit-layer;desc="EDGE",cdn-pop;desc="LCL50-C1",cdn-rid;desc="[\w-]{54}==",cdn-downstream-fbl;dur=\d+$`,
		} {
			w := get(e, "/a", "Pragma", tt.pragma)
			settle(t, e)
			if got := regexp.MustCompile(form).MatchString(strings.Join(w.Header()["Server-Timing"], "|")); got != tt.want {
				t.Errorf("%+v: %q", tt, w.Header()["Server-Timing"])
			}
		}
	}
}

// What the edge itself answers in the place of a behavior is dressed as well.
func TestRefusalsAreDressed(t *testing.T) {
	e := dressed(t, fixed(500, "x"), distribution.ResponseHeadersPolicyConfig{CustomHeaders: []distribution.CustomHeader{{Header: "X-Own", Value: "1"}}})
	for method, status := range map[string]int{http.MethodGet: 500, http.MethodPost: 403} {
		if w := do(e, method, "/"); w.Code != status || w.Header().Get("X-Own") != "1" {
			t.Errorf("%s: %d %v", method, w.Code, w.Header())
		}
	}
}
