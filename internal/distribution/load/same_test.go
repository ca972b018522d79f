package load

import (
	"encoding/json"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/distribution"
)

const shopPolicy = "0f1e2d3c-4b5a-4697-8877-665544332211"

// forms are the ways in which the same distribution is written in testdata.
// What a file cannot say, or only CloudFormation knows, is given.
var forms = []struct {
	name     string
	files    []string
	options  Options
	warnings int
}{
	{"get-distribution", []string{"get-distribution.json", "get-cache-policy.json"}, Options{}, 0},
	{"get-distribution-config", []string{"get-cache-policy.json", "E1SHOPEXAMPLE1.json"}, Options{DomainName: "d111111abcdef8.cloudfront.net"}, 0},
	{"template in JSON", []string{"template.json"}, inTemplate(), 0},
	{"template in YAML", []string{"template.yaml"}, inTemplate(), 0},
	{"cdk synth", []string{"cdk.out"}, inSynth(), 0},
	{"ours", []string{"ours.yaml"}, Options{}, 0},
}

func inTemplate() Options {
	return Options{
		ID: "E1SHOPEXAMPLE1", DomainName: "d111111abcdef8.cloudfront.net", Region: "eu-central-1", StackName: "shop",
		Parameters: map[string]string{"Prefix": "live"},
		Resources: map[string]string{
			"Access": "E2ACCESSEXAMPLE", "SearchPolicy": shopPolicy,
			"Rewrite.FunctionARN": "arn:aws:cloudfront::123456789012:function/rewrite",
		},
	}
}

func inSynth() Options {
	return Options{Resources: map[string]string{
		"Shop3FF9535D": "E1SHOPEXAMPLE1", "Shop3FF9535D.DomainName": "d111111abcdef8.cloudfront.net",
		"SiteE53D7754": "shop-site", "Backup1B9EDC4A": "shop-backup", "Images8C3F7D0E": "shop-images", "Logs6819BB44": "shop-logs",
		"ShopOrigin1S3OriginAccessControlA1B2C3D4": "E2ACCESSEXAMPLE", "SearchPolicy2D9C0E77": shopPolicy,
		"RewriteF7A4C1B2.FunctionARN": "arn:aws:cloudfront::123456789012:function/rewrite",
	}}
}

func read(t *testing.T, i int) distribution.Distribution {
	t.Helper()
	f := forms[i]
	var paths []string
	for _, name := range f.files {
		paths = append(paths, filepath.Join("testdata", "shop", name))
	}
	r, err := Files(paths, f.options)
	if err != nil {
		t.Fatalf("%s: %v", f.name, err)
	}
	if len(r.Distributions) != 1 || len(r.CachePolicies) != 1 {
		t.Fatalf("%s: %d distributions and %d cache policies", f.name, len(r.Distributions), len(r.CachePolicies))
	}
	if len(r.Warnings) != f.warnings {
		t.Errorf("%s: warnings %v", f.name, r.Warnings)
	}
	return r.Distributions[0]
}

// One distribution with groups, twenty behaviors of both kinds and a policy of
// its own is the same, however it is written. Only the API tells the caller's
// reference and when something was changed.
func TestSameResult(t *testing.T) {
	want := read(t, 0)
	want.Config.CallerReference, want.LastModified = "", time.Time{}
	for i, f := range forms[1:] {
		t.Run(f.name, func(t *testing.T) {
			got := read(t, i+1)
			got.Config.CallerReference = ""
			if !reflect.DeepEqual(got, want) {
				t.Errorf("is\n%s\nwant\n%s", text(t, got), text(t, want))
			}
		})
	}
}

func text(t *testing.T, d distribution.Distribution) string {
	t.Helper()
	b, err := json.MarshalIndent(d, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// What the shop's distribution is known to be, so that being the same everywhere
// is not being empty everywhere.
func TestShop(t *testing.T) {
	d := read(t, 2)
	c := &d.Config
	if d.ID != "E1SHOPEXAMPLE1" || d.DomainName != "d111111abcdef8.cloudfront.net" || !c.Enabled || c.DefaultRootObject != "index.html" {
		t.Errorf("%s at %s, enabled %v, root %s", d.ID, d.DomainName, c.Enabled, c.DefaultRootObject)
	}
	if want := []string{"www.example.com", "shop.example.com"}; !reflect.DeepEqual(c.Aliases, want) {
		t.Errorf("aliases %v", c.Aliases)
	}
	if len(c.Origins) != 4 || len(c.CacheBehaviors) != 20 || len(c.CustomErrorResponses) != 3 || c.CacheTagConfig.HeaderName != "x-amz-meta-cache-tag" {
		t.Errorf("%d origins, %d behaviors, %d errors, tags %+v", len(c.Origins), len(c.CacheBehaviors), len(c.CustomErrorResponses), c.CacheTagConfig)
	}
	group := distribution.OriginGroup{ID: "site-or-backup", StatusCodes: []int{404, 500, 502, 503, 504}, Members: []string{"site", "backup"}}
	if !reflect.DeepEqual(c.OriginGroups, []distribution.OriginGroup{group}) {
		t.Errorf("groups %+v", c.OriginGroups)
	}
	for path, want := range map[string]struct {
		pattern, target, policy string
		lowest, normal, highest int64
		queryStrings, headers   distribution.SelectionMode
		caches                  bool
	}{
		"/":             {"", "site-or-backup", "Managed-CachingOptimized", 1, 86400, 31536000, "", "", true},
		"/api/v1/x.jpg": {"/api/v1/*", "api", "Managed-CachingDisabled", 0, 0, 0, "", "", false},
		"/search":       {"/search", "api", "shop-search", 0, 300, 3600, "whitelist", "whitelist", true},
		"/a/b.webp":     {"*.webp", "images", "", 60, 3600, 86400, "whitelist", "whitelist", true},
		"/thumbs/1.gif": {"/thumbs/?.gif", "images", "", 0, 86400, 31536000, "", "", true},
		"/account/x":    {"/account/*", "api", "", 0, 0, 0, "all", "all", false},
		"/old/~user/x":  {"/old/~user/*", "backup", "", 0, 86400, 31536000, "whitelist", "", true},
		"/x/y.html":     {"*.html", "site-or-backup", "shop-search", 0, 300, 3600, "whitelist", "whitelist", true},
	} {
		b := c.Behavior(path)
		k, err := d.Caching(b)
		if err != nil || b.PathPattern != want.pattern || b.TargetOriginID != want.target || k.Policy != want.policy || k.Caches() != want.caches {
			t.Errorf("%s: behavior %q to %s, policy %q, caches %v (%v)", path, b.PathPattern, b.TargetOriginID, k.Policy, k.Caches(), err)
		}
		if k.MinTTL != want.lowest || k.DefaultTTL != want.normal || k.MaxTTL != want.highest || k.QueryStrings.Mode != want.queryStrings || k.Headers.Mode != want.headers {
			t.Errorf("%s: %+v", path, k)
		}
	}
	for i, want := range []string{"shop-site", "shop-backup", "", "shop-images"} {
		if got, _ := c.Origins[i].Bucket(); got != want {
			t.Errorf("origin %s is bucket %q, want %q", c.Origins[i].ID, got, want)
		}
	}
	if o := c.Origins[2].CustomOriginConfig; o.HTTPSPort != 8443 || o.HTTPPort != 80 || o.OriginReadTimeout != 60 {
		t.Errorf("%+v", o)
	}
}

// A development stack of the same template has a behavior more, a distribution
// more, and no alias.
func TestConditionsOfTheShop(t *testing.T) {
	o := inTemplate()
	o.ID, o.DomainName = "", ""
	o.Parameters["Stage"] = "dev"
	_, err := Files([]string{"testdata/shop/template.yaml"}, o)
	if err == nil || !strings.Contains(err.Error(), "testdata/shop/template.yaml: Resources.Debug.Properties.DistributionConfig.Origins: there is none") {
		t.Errorf("the broken distribution: %v", err)
	}
	if strings.Contains(err.Error(), "Resources.Shop") {
		t.Errorf("of the other one: %v", err)
	}
}
