package edge

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/freshet/freshet/internal/distribution"
)

// What becomes of each header on its way to the origin: in the older form as it
// is, with a cache policy alone, and where the key lists it.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/RequestAndResponseBehaviorCustomOrigin.html#request-custom-headers-behavior
func TestRequestHeaders(t *testing.T) {
	const passed, replaced = "the viewer's", "Amazon CloudFront"
	for _, tt := range []struct {
		name                  string
		older, policy, listed string // what the origin gets
	}{
		{"Accept", "", "", passed},
		{"Accept-Charset", "", "", passed},
		{"Accept-Language", "", "", passed},
		{"Authorization", "", "", passed},
		{"Expect", "", "", passed},
		{"Referer", "", "", passed},
		{"X-HTTP-Method-Override", "", "", passed},
		{"Cookie", "", "", ""},
		{"User-Agent", replaced, replaced, passed},
		{"Proxy-Authenticate", "", "", ""},
		{"Proxy-Authorization", "", "", ""},
		{"Proxy-Connection", "", "", ""},
		{"TE", "", "", ""},
		{"Trailer", "", "", ""},
		{"Upgrade", "", "", ""},
		{"X-Edge-Anything", "", "", ""},
		{"X-Forwarded-Proto", "", "", ""},
		{"X-Real-IP", "", "", ""},
		{"Origin", passed, "", passed},
		{"Date", passed, "", passed},
		{"From", passed, "", passed},
		{"Cache-Control", passed, "", passed},
		{"Pragma", passed, "", passed},
		{"Max-Forwards", passed, "", passed},
		{"Warning", passed, "", passed},
		{"X-Own", passed, "", passed},
		{"Content-MD5", passed, passed, passed},
		{"Content-Type", passed, passed, passed},
		{"If-Match", passed, passed, passed},
		{"If-Modified-Since", passed, passed, passed},
		{"If-None-Match", passed, passed, passed},
		{"If-Range", passed, passed, passed},
		{"If-Unmodified-Since", passed, passed, passed},
		{"Range", passed, passed, passed},
		{"CloudFront-Viewer-Country", "", "", ""}, // which nobody here knows
	} {
		t.Run(tt.name, func(t *testing.T) {
			sent := passed
			if tt.name == "Range" {
				sent = "bytes=0-1" // one that is none is not passed on
			}
			none := []*int64{new(int64(0)), new(int64(0)), new(int64(0))}
			for form, expected := range map[string]string{"older": tt.older, "policy": tt.policy, "listed": tt.listed, "listed, older": tt.listed} {
				r := asked(t, func(d *distribution.Distribution, b *distribution.CacheBehavior) {
					var names []string
					if strings.HasPrefix(form, "listed") {
						names = []string{tt.name}
					}
					if strings.HasSuffix(form, "older") {
						b.CachePolicyID, b.MinTTL, b.DefaultTTL, b.MaxTTL = "", none[0], none[1], none[2]
						b.ForwardedValues = &distribution.ForwardedValues{Headers: names}
						return
					}
					b.CachePolicyID = "p1"
					d.CachePolicies = []distribution.CachePolicy{{ID: "p1", Config: distribution.CachePolicyConfig{
						MinTTL: none[0], DefaultTTL: none[1], MaxTTL: none[2],
						Parameters: distribution.Parameters{HeadersConfig: distribution.HeadersConfig{HeaderBehavior: "whitelist", Headers: names}},
					}}}
				}, "GET", "/", tt.name, sent)
				if expected == passed {
					expected = sent
				}
				if got := r.Header.Get(tt.name); got != expected {
					t.Errorf("%s: the origin got %q, want %q", form, got, expected)
				}
			}
		})
	}
}

// What CloudFront itself says to an origin, whatever the viewer said.
func TestOwnRequestHeaders(t *testing.T) {
	older := func(_ *distribution.Distribution, b *distribution.CacheBehavior) {
		b.CachePolicyID, b.ForwardedValues, b.MaxTTL = "", &distribution.ForwardedValues{}, new(int64(0))
	}
	for form, change := range map[string]func(*distribution.Distribution, *distribution.CacheBehavior){"older": older, "policy": func(*distribution.Distribution, *distribution.CacheBehavior) {}} {
		t.Run(form, func(t *testing.T) {
			for before, after := range map[string]string{"": "192.0.2.1", "10.0.0.1": "10.0.0.1, 192.0.2.1", "10.0.0.1, 10.0.0.2": "10.0.0.1, 10.0.0.2, 192.0.2.1"} {
				headers := []string{"User-Agent", "me", "X-Amz-Cf-Id", "mine", "Via", "1.0 first"}
				if before != "" {
					headers = append(headers, "X-Forwarded-For", before)
				}
				r := asked(t, change, "GET", "http://e1.cloudfront.localhost/", headers...)
				if got := r.Header.Get("X-Forwarded-For"); got != after {
					t.Errorf("X-Forwarded-For %q became %q, want %q", before, got, after)
				}
				if id := r.Header.Get("X-Amz-Cf-Id"); len(id) != 56 {
					t.Errorf("X-Amz-Cf-Id %q", id)
				}
				if got := r.Header.Get("User-Agent"); got != "Amazon CloudFront" {
					t.Errorf("User-Agent %q", got)
				}
				if via := r.Header.Get("Via"); !strings.HasPrefix(via, "1.0 first, 1.1 ") || !strings.HasSuffix(via, cloudfrontHop) {
					t.Errorf("Via %q", via)
				}
				if r.Host != "origin.test" || r.Proto != "HTTP/1.1" {
					t.Errorf("%s to %s", r.Proto, r.Host)
				}
			}
		})
	}
}

// What of Vary viewers see: what the origin may have looked at.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/RequestAndResponseBehaviorCustomOrigin.html#ResponseCustomRemovedHeaders
func TestVaryOfResponses(t *testing.T) {
	device := []string{"CloudFront-Is-Mobile-Viewer"}
	for _, tt := range []struct {
		rule          string
		keyed, beyond []string // headers in the key, and in an origin request policy
		vary, want    string
	}{
		{"Accept-Encoding and Cookie stay", nil, nil, "accept-encoding, Cookie", "accept-encoding, Cookie"},
		{"headers in the key stay", []string{"X-Lang", "Accept-Language"}, nil, "X-Lang, X-Other, Accept-Language", "X-Lang, Accept-Language"},
		{"headers of an origin request policy stay", nil, []string{"X-Lang"}, "X-Lang, X-Other", "X-Lang"},
		{"all others go", nil, nil, "X-Other, User-Agent", ""},
		{"User-Agent goes unless the origin is told of the device", []string{"X-Lang"}, nil, "User-Agent, X-Lang", "X-Lang"},
		{"User-Agent stays where the key tells of the device", device, nil, "User-Agent", "User-Agent"},
		{"User-Agent stays where a policy tells of the device", nil, device, "User-Agent", "User-Agent"},
		{"* goes where there is a minimum", nil, nil, "*", ""},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			d := policed(distribution.Parameters{HeadersConfig: distribution.HeadersConfig{HeaderBehavior: "whitelist", Headers: tt.keyed}})
			d.CachePolicies[0].Config.MinTTL = new(int64(1))
			if tt.beyond != nil {
				d.OriginRequestPolicies = []distribution.OriginRequestPolicy{{ID: "o1", Config: distribution.OriginRequestPolicyConfig{
					HeadersConfig: distribution.HeadersConfig{HeaderBehavior: "whitelist", Headers: tt.beyond},
				}}}
				d.Config.DefaultCacheBehavior.OriginRequestPolicyID = "o1"
			}
			e := open(t, fixed(200, "x", "Vary", tt.vary), Config{Distributions: []distribution.Distribution{d}})
			for _, cache := range []string{"Miss", "Hit"} {
				w := get(e, "/a")
				settle(t, e)
				if got := w.Header().Get("Vary"); got != tt.want || xcache(w) != cache {
					t.Errorf("%s: Vary %q, want %q", xcache(w), got, tt.want)
				}
			}
		})
	}
}

// What becomes of the origin's headers on their way to viewers, from the origin
// and from the cache.
func TestResponseHeaders(t *testing.T) {
	forwarding := func(b *distribution.CacheBehavior) { b.ForwardedValues.Cookies.Forward = "all" }
	for _, tt := range []struct {
		rule       string
		change     func(*distribution.CacheBehavior)
		name, sent string
		want       string // how it ends; empty for none
	}{
		{"Set-Cookie goes where no cookies are forwarded", nil, "Set-Cookie", "a=b", ""},
		{"Set-Cookie stays, and is cached, where cookies are forwarded", forwarding, "Set-Cookie", "a=b", "a=b"},
		{"Trailer goes", nil, "Trailer", "X-T", ""},
		{"Upgrade goes", nil, "Upgrade", "h2c", ""},
		{"Via is replaced", nil, "Via", "1.0 other", ".cloudfront.net (CloudFront)"},
		{"Server stays", nil, "Server", "nginx", "nginx"},
		{"Server is CloudFront unless the origin has one", nil, "X-Other", "1", "1"},
		{"X-Cache is replaced", nil, "X-Cache", "Hit from elsewhere", "from cloudfront"},
		{"X-Amz-Cf-Id is the request's own", nil, "X-Amz-Cf-Id", "theirs", "=="},
		{"X-Amz-Cf-Pop is the edge's own", nil, "X-Amz-Cf-Pop", "theirs", "LCL50-C1"},
		{"Age on a hit", nil, "X-Other", "1", "1"},
		{"any other header stays", nil, "X-Other", "1", "1"},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			change := tt.change
			if change == nil {
				change = func(*distribution.CacheBehavior) {}
			}
			e := open(t, fixed(200, "x", tt.name, tt.sent, "Cache-Control", "max-age=100"), Config{Distributions: []distribution.Distribution{behaving(change)}})
			for _, cache := range []string{"Miss", "Hit"} {
				w := get(e, "/a")
				settle(t, e)
				h := w.Header()
				if got := h.Values(tt.name); xcache(w) != cache || len(got) > 1 || !strings.HasSuffix(h.Get(tt.name), tt.want) || tt.want == "" && len(got) > 0 {
					t.Errorf("%s: %s is %q, want %q", xcache(w), tt.name, got, tt.want)
				}
				if server := h.Get("Server"); tt.name != "Server" && server != "CloudFront" {
					t.Errorf("Server is %q", server)
				}
				if age := h["Age"]; slices.Equal(age, []string{"0"}) != (cache == "Hit") {
					t.Errorf("%s: Age is %q", cache, age)
				}
			}
		})
	}
}

// A connection to an origin is used again, whatever viewers say of theirs.
func TestOriginConnectionsAreKept(t *testing.T) {
	addresses := make(map[string]bool)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		addresses[r.RemoteAddr] = true
		if r.Close || r.Header.Get("Connection") == "close" {
			t.Error("the connection is to be closed")
		}
	}))
	defer server.Close()
	e := reaching(t, Config{Origins: map[string]string{"web.example": server.URL}}, custom(distribution.Origin{DomainName: "web.example"}))
	for range 3 {
		get(e, "/", "Connection", "close")
	}
	if len(addresses) != 1 {
		t.Errorf("%d connections for three requests", len(addresses))
	}
}
