package distribution

import (
	"reflect"
	"strings"
	"testing"
)

func seconds(n int64) *int64 { return &n }

// The rules of TTLs are those of the developer guide.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/Expiration.html
func TestCachingOfABehaviorsOwnValues(t *testing.T) {
	tests := []struct {
		name string
		b    CacheBehavior
		want Caching
		kept bool
	}{
		{"nothing said", CacheBehavior{}, Caching{DefaultTTL: 86400, MaxTTL: 31536000}, true},
		{"nothing kept", CacheBehavior{MinTTL: seconds(0), DefaultTTL: seconds(0), MaxTTL: seconds(0)}, Caching{}, false},
		{"one second", CacheBehavior{DefaultTTL: seconds(0), MaxTTL: seconds(1)}, Caching{MaxTTL: 1}, true},
		{"a minimum raises the others", CacheBehavior{MinTTL: seconds(40000000)}, Caching{MinTTL: 40000000, DefaultTTL: 40000000, MaxTTL: 40000000}, true},
		{"a default raises the maximum", CacheBehavior{DefaultTTL: seconds(40000000)}, Caching{DefaultTTL: 40000000, MaxTTL: 40000000}, true},
		{
			"query strings", CacheBehavior{ForwardedValues: &ForwardedValues{QueryString: true}},
			Caching{DefaultTTL: 86400, MaxTTL: 31536000, QueryStrings: Selection{Mode: All}}, true,
		},
		{
			"some query strings", CacheBehavior{ForwardedValues: &ForwardedValues{QueryString: true, QueryStringCacheKeys: []string{"v"}}},
			Caching{DefaultTTL: 86400, MaxTTL: 31536000, QueryStrings: Selection{Listed, []string{"v"}}}, true,
		},
		{
			"keys without query strings", CacheBehavior{ForwardedValues: &ForwardedValues{QueryStringCacheKeys: []string{"v"}}},
			Caching{DefaultTTL: 86400, MaxTTL: 31536000}, true,
		},
		{
			"headers", CacheBehavior{ForwardedValues: &ForwardedValues{Headers: []string{"Origin"}}},
			Caching{DefaultTTL: 86400, MaxTTL: 31536000, Headers: Selection{Listed, []string{"Origin"}}}, true,
		},
		{
			"all headers", CacheBehavior{ForwardedValues: &ForwardedValues{Headers: []string{"Origin", "*"}}},
			Caching{DefaultTTL: 86400, MaxTTL: 31536000, Headers: Selection{Mode: All}}, false,
		},
		{"gzip where it compresses", CacheBehavior{Compress: true}, Caching{DefaultTTL: 86400, MaxTTL: 31536000, Gzip: true}, true},
		{
			"Accept-Encoding as it was sent", CacheBehavior{Compress: true, ForwardedValues: &ForwardedValues{Headers: []string{"accept-encoding"}}},
			Caching{DefaultTTL: 86400, MaxTTL: 31536000, Headers: Selection{Listed, []string{"accept-encoding"}}}, true,
		},
		{
			"all headers, Accept-Encoding among them", CacheBehavior{Compress: true, ForwardedValues: &ForwardedValues{Headers: []string{"*"}}},
			Caching{DefaultTTL: 86400, MaxTTL: 31536000, Headers: Selection{Mode: All}}, false,
		},
		{
			"cookies", CacheBehavior{ForwardedValues: &ForwardedValues{Cookies: CookiePreference{Forward: "whitelist", WhitelistedNames: []string{"sid"}}}},
			Caching{DefaultTTL: 86400, MaxTTL: 31536000, Cookies: Selection{Listed, []string{"sid"}}}, true,
		},
		{
			"all cookies", CacheBehavior{ForwardedValues: &ForwardedValues{Cookies: CookiePreference{Forward: "all"}}},
			Caching{DefaultTTL: 86400, MaxTTL: 31536000, Cookies: Selection{Mode: All}}, true,
		},
		{
			"no cookies", CacheBehavior{ForwardedValues: &ForwardedValues{Cookies: CookiePreference{Forward: "none", WhitelistedNames: []string{"sid"}}}},
			Caching{DefaultTTL: 86400, MaxTTL: 31536000}, true,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var d Distribution
			got, err := d.Caching(&tt.b)
			if err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("caching is %+v (%v), want %+v", got, err, tt.want)
			}
			if got.Caches() != tt.kept {
				t.Errorf("caches: %v", got.Caches())
			}
		})
	}
}

func TestCachingOfPolicies(t *testing.T) {
	own := CachePolicy{ID: "p1", Config: CachePolicyConfig{
		Name: "own", MinTTL: seconds(5), DefaultTTL: seconds(50), MaxTTL: seconds(500),
		Parameters: Parameters{
			EnableAcceptEncodingGzip: true,
			QueryStringsConfig:       QueryStringsConfig{"allExcept", []string{"utm"}},
			HeadersConfig:            HeadersConfig{"whitelist", []string{"Accept"}},
			CookiesConfig:            CookiesConfig{"all", nil},
		},
	}}
	d := Distribution{CachePolicies: []CachePolicy{own}}
	want := Caching{
		Policy: "own", PolicyID: "p1", MinTTL: 5, DefaultTTL: 50, MaxTTL: 500, Gzip: true,
		QueryStrings: Selection{AllBut, []string{"utm"}}, Headers: Selection{Listed, []string{"Accept"}}, Cookies: Selection{Mode: All},
	}
	// Values of the behavior's own do not count beside a policy.
	b := &CacheBehavior{CachePolicyID: "p1", MinTTL: seconds(9), ForwardedValues: &ForwardedValues{QueryString: true}}
	if got, err := d.Caching(b); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("own policy: %+v (%v), want %+v", got, err, want)
	}

	optimized := Caching{
		Policy: "Managed-CachingOptimized", PolicyID: "658327ea-f89d-4fab-a63d-7e88639e58f6",
		MinTTL: 1, DefaultTTL: 86400, MaxTTL: 31536000, Gzip: true, Brotli: true,
	}
	for _, name := range []string{"658327ea-f89d-4fab-a63d-7e88639e58f6", "Managed-CachingOptimized", "CachingOptimized"} {
		if got, err := d.Caching(&CacheBehavior{CachePolicyID: name}); err != nil || !reflect.DeepEqual(got, optimized) {
			t.Errorf("%s: %+v (%v), want %+v", name, got, err, optimized)
		}
	}
	disabled, err := d.Caching(&CacheBehavior{CachePolicyID: "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"})
	if err != nil || disabled.Caches() {
		t.Errorf("CachingDisabled caches: %+v (%v)", disabled, err)
	}
	if _, err := d.Caching(&CacheBehavior{CachePolicyID: "p2"}); err == nil || !strings.Contains(err.Error(), "get-cache-policy --id p2") {
		t.Errorf("a policy that nobody knows: %v", err)
	}
}

func TestManagedCachePolicies(t *testing.T) {
	seen := make(map[string]bool)
	for _, p := range ManagedCachePolicies() {
		if seen[p.ID] || seen[p.Config.Name] || p.Config.Name == "" {
			t.Errorf("%s %s is there twice, or has no name", p.ID, p.Config.Name)
		}
		seen[p.ID], seen[p.Config.Name] = true, true
		if *p.Config.MinTTL > *p.Config.DefaultTTL || *p.Config.DefaultTTL > *p.Config.MaxTTL {
			t.Errorf("%s: TTLs are not in order", p.Config.Name)
		}
		d := Distribution{CachePolicies: []CachePolicy{p}, Config: valid()}
		if warnings, err := d.Check(""); err != nil || len(warnings) > 0 {
			t.Errorf("%s: %v %v", p.Config.Name, warnings, err)
		}
	}
	if len(seen) != 2*15 {
		t.Errorf("%d IDs and names, want those of 15", len(seen))
	}
	p, ok := ManagedCachePolicy("UseOriginCacheControlHeaders-QueryStrings")
	if !ok || p.ID != "4cc15a8a-d715-48a4-82b8-cc0b614638fe" || len(p.Config.Parameters.HeadersConfig.Headers) != 5 {
		t.Errorf("%+v (%v)", p, ok)
	}
	p.Config.Parameters.HeadersConfig.Headers[0], *p.Config.MaxTTL = "changed", 1
	if again, _ := ManagedCachePolicy(p.ID); again.Config.Parameters.HeadersConfig.Headers[0] == "changed" || *again.Config.MaxTTL == 1 {
		t.Error("who gets a policy can change it for others")
	}
	for _, name := range []string{"", "Managed-", "cachingoptimized", "658327ea"} {
		if p, ok := ManagedCachePolicy(name); ok {
			t.Errorf("%q is %s", name, p.Config.Name)
		}
	}
}
