package distribution

import (
	"reflect"
	"slices"
	"testing"
)

// Managed policies are known by ID and by name, with and without Managed-.
func TestManagedOriginRequestPolicies(t *testing.T) {
	for _, p := range ManagedOriginRequestPolicies() {
		for _, name := range []string{p.ID, p.Config.Name, p.Config.Name[len("Managed-"):]} {
			d := &Distribution{}
			r, err := d.OriginRequest(&CacheBehavior{OriginRequestPolicyID: name})
			if err != nil || r.PolicyID != p.ID || !r.Managed {
				t.Errorf("%s: %+v, %v", name, r, err)
			}
		}
	}
	d := &Distribution{}
	r, err := d.OriginRequest(&CacheBehavior{OriginRequestPolicyID: "b689b0a8-53d0-40ab-baf2-68738e2966ac"})
	want := OriginRequest{
		Policy: "Managed-AllViewerExceptHostHeader", PolicyID: "b689b0a8-53d0-40ab-baf2-68738e2966ac", Managed: true,
		Headers: Selection{AllBut, []string{"Host"}}, Cookies: Selection{Mode: All}, QueryStrings: Selection{Mode: All},
	}
	if err != nil || !reflect.DeepEqual(r, want) {
		t.Errorf("%+v, %v, want %+v", r, err, want)
	}
	if r, err := d.OriginRequest(&CacheBehavior{}); err != nil || !reflect.DeepEqual(r, OriginRequest{}) {
		t.Errorf("no policy: %+v, %v", r, err)
	}
}

func TestCustomPolicies(t *testing.T) {
	d := &Distribution{
		OriginRequestPolicies: []OriginRequestPolicy{
			{ID: "o", Config: OriginRequestPolicyConfig{HeadersConfig: HeadersConfig{HeaderBehavior: "allViewerAndWhitelistCloudFront", Headers: []string{"CloudFront-Viewer-Address"}}}},
			{ID: "bad", Config: OriginRequestPolicyConfig{HeadersConfig: HeadersConfig{HeaderBehavior: "all"}}},
		},
		ResponseHeadersPolicies: []ResponseHeadersPolicy{{ID: "r", Config: ResponseHeadersPolicyConfig{Name: "mine"}}},
	}
	r, err := d.OriginRequest(&CacheBehavior{OriginRequestPolicyID: "o"})
	if err != nil || r.Headers.Mode != All || !slices.Equal(r.Added, []string{"CloudFront-Viewer-Address"}) || r.Managed {
		t.Errorf("%+v, %v", r, err)
	}
	for _, id := range []string{"bad", "nobody"} {
		if _, err := d.OriginRequest(&CacheBehavior{OriginRequestPolicyID: id}); err == nil {
			t.Errorf("origin request policy %s was accepted", id)
		}
	}
	if p, err := d.ResponseHeaders(&CacheBehavior{ResponseHeadersPolicyID: "r"}); err != nil || p.Config.Name != "mine" {
		t.Errorf("%+v, %v", p, err)
	}
	if p, err := d.ResponseHeaders(&CacheBehavior{}); err != nil || p != nil {
		t.Errorf("no policy: %+v, %v", p, err)
	}
	if _, err := d.ResponseHeaders(&CacheBehavior{ResponseHeadersPolicyID: "nobody"}); err == nil {
		t.Error("a response headers policy that nobody knows was accepted")
	}
}

func TestManagedResponseHeadersPolicies(t *testing.T) {
	all := ManagedResponseHeadersPolicies()
	if len(all) != 5 {
		t.Fatalf("%d policies", len(all))
	}
	for _, p := range all {
		for _, name := range []string{p.ID, p.Config.Name, p.Config.Name[len("Managed-"):]} {
			if got, ok := ManagedResponseHeadersPolicy(name); !ok || got.ID != p.ID {
				t.Errorf("%s: %v", name, got.ID)
			}
		}
	}
}

func TestSelects(t *testing.T) {
	for _, tt := range []struct {
		s    Selection
		a, b bool
	}{
		{Selection{}, false, false}, {Selection{Mode: All}, true, true},
		{Selection{Listed, []string{"a"}}, true, false}, {Selection{AllBut, []string{"a"}}, false, true},
	} {
		if tt.s.Selects("a") != tt.a || tt.s.Selects("b") != tt.b {
			t.Errorf("%+v selects a: %v, b: %v", tt.s, tt.s.Selects("a"), tt.s.Selects("b"))
		}
	}
}

func TestFractions(t *testing.T) {
	p, warnings, err := decode[ResponseHeadersPolicy](tree(t, `{"Id":"r","ResponseHeadersPolicyConfig":{"Name":"n",
		"ServerTimingHeadersConfig":{"Enabled":true,"SamplingRate":12.5},
		"CustomHeadersConfig":{"Quantity":1,"Items":[{"Header":"X-A","Value":"b","Override":true}]},
		"RemoveHeadersConfig":{"Quantity":1,"Items":[{"Header":"X-Powered-By"}]}}}`), "p")
	if err != nil || len(warnings) > 0 || p.Config.ServerTiming.SamplingRate != 12.5 || !slices.Equal(p.Config.RemoveHeaders, []string{"X-Powered-By"}) ||
		!slices.Equal(p.Config.CustomHeaders, []CustomHeader{{"X-A", "b", true}}) {
		t.Errorf("%+v, %v, %v", p, warnings, err)
	}
	if _, _, err := decode[ServerTimingConfig](tree(t, `{"SamplingRate":"many"}`), "p"); err == nil {
		t.Error("a sampling rate that is no number was accepted")
	}
}
