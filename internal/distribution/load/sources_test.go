package load

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Each file has what is known of it, and all see each other's policies.
func TestSourcesHaveOptionsOfTheirOwn(t *testing.T) {
	dir := t.TempDir()
	config := func(bucket, policy string) string {
		return `{"ETag": "E1", "DistributionConfig": {"Enabled": true, "Origins": {"Quantity": 1, "Items": [{"Id": "o", "DomainName": "` + bucket +
			`.s3.amazonaws.com"}]}, "DefaultCacheBehavior": {"TargetOriginId": "o", "CachePolicyId": "` + policy + `"}}}`
	}
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	r, err := Sources([]Source{
		{Path: write("one.json", config("one", "mine")), Options: Options{ID: "E1ONE", DomainName: "d1.cloudfront.net"}},
		{Path: write("two.json", config("two", "Managed-CachingOptimized")), Options: Options{ID: "E2TWO"}},
		{Path: write("policy.json", `{"ETag": "E1", "CachePolicy": {"Id": "mine", "CachePolicyConfig": {"Name": "mine", "MinTTL": 5}}}`)},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Distributions) != 2 || r.Distributions[0].ID != "E1ONE" || r.Distributions[0].DomainName != "d1.cloudfront.net" || r.Distributions[1].ID != "E2TWO" {
		t.Fatalf("%+v", r.Distributions)
	}
	c, err := r.Distributions[0].Caching(&r.Distributions[0].Config.DefaultCacheBehavior)
	if err != nil || c.MinTTL != 5 {
		t.Errorf("%+v, %v", c, err)
	}
	for _, w := range r.Warnings {
		t.Errorf("warning %v", w)
	}

	_, err = Sources([]Source{
		{Path: write("three.json", config("one", "x")), Options: Options{ID: "E3"}},
		{Path: filepath.Join(dir, "missing.json")},
	})
	if err == nil || !strings.Contains(err.Error(), "three.json") || !strings.Contains(err.Error(), "missing.json") {
		t.Errorf("got %v", err)
	}
}
