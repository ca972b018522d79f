package app

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/freshet/freshet/internal/config"
)

// stack has a distribution of a bucket without a name, a function that it runs
// and one that nobody does.
const stack = `
Resources:
  Assets: {Type: AWS::S3::Bucket}
  Site:
    Type: AWS::CloudFront::Distribution
    Properties:
      DistributionConfig:
        Enabled: true
        Origins: [{Id: o, DomainName: !GetAtt Assets.RegionalDomainName, S3OriginConfig: {OriginAccessIdentity: ""}}]
        DefaultCacheBehavior: {TargetOriginId: o, ViewerProtocolPolicy: allow-all, CachePolicyId: CachingOptimized, FunctionAssociations: [{EventType: viewer-request, FunctionARN: !GetAtt Rewrite.FunctionARN}]}
  Store: {Type: AWS::CloudFront::KeyValueStore, Properties: {Name: pairs}}
  Rewrite:
    Type: AWS::CloudFront::Function
    Properties:
      Name: rewrite
      FunctionCode: function handler(event) { return event.request; }
      FunctionConfig: {Comment: "", Runtime: cloudfront-js-2.0, KeyValueStoreAssociations: [{KeyValueStoreARN: !GetAtt Store.Arn}]}
  Unused: {Type: AWS::CloudFront::Function, Properties: {Name: unused, FunctionCode: "function handler(", FunctionConfig: {Comment: "", Runtime: cloudfront-js-2.0}}}
`

func described(t *testing.T, text string) (config.Config, string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"stack.yaml": text, "pairs.json": `{"a": "b"}`} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg := config.Default()
	cfg.Distributions = []config.DistributionFile{{File: filepath.Join(dir, "stack.yaml"), KVS: map[string]string{"Store": filepath.Join(dir, "pairs.json")}}}
	return cfg, dir
}

const rewriteARN = "arn:aws:cloudfront::000000000000:function/rewrite"

// A stack is served as it is: its bucket is ours, and its function is run with
// its store.
func TestAStackIsServedAsItIs(t *testing.T) {
	cfg, dir := described(t, stack)
	var log strings.Builder
	d, err := describe(cfg, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil || len(d.distributions) != 1 {
		t.Fatalf("%+v (%v)", d, err)
	}
	site := d.distributions[0]
	if bucket, ok := site.Config.Origins[0].Bucket(); !ok || bucket != cfg.Bucket || site.DomainName != "site.cloudfront.localhost" {
		t.Errorf("%s has the bucket %s", site.DomainName, bucket)
	}
	if !slices.ContainsFunc(d.notes, func(n string) bool { return strings.Contains(n, `"site" stands for it`) }) {
		t.Errorf("notes %q", d.notes)
	}
	program, store, err := newScripts(d.scripts).find(rewriteARN)
	if err != nil || program == nil || store == nil {
		t.Fatalf("the function: %v, %v (%v)", program, store, err)
	}
	if v, ok := store.Lookup("a"); !ok || v != "b" {
		t.Errorf("its store has %q", v)
	}
	if len(d.scripts) != 1 || !strings.Contains(log.String(), "function=unused") {
		t.Errorf("%d functions, and %s", len(d.scripts), log.String())
	}
	if want := []string{filepath.Join(dir, "pairs.json"), filepath.Join(dir, "stack.yaml")}; !slices.Equal(d.files, want) {
		t.Errorf("files %q, want %q", d.files, want)
	}
}

// A function of the configuration goes before one of the same ARN in a file, and
// what is wrong is said with the place of it.
func TestFunctionsOfFiles(t *testing.T) {
	cfg, dir := described(t, strings.Replace(stack, "{ return event.request; }", "{ return +; }", 1))
	d, err := describe(cfg, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "stack.yaml: Resources.Rewrite.Properties: read function rewrite: ") || len(d.files) != 2 || d.distributions != nil {
		t.Errorf("%+v (%v)", d, err)
	}
	own := filepath.Join(dir, "own.js")
	if err := os.WriteFile(own, []byte("function handler(event) { return event.request; }"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg.Functions = []config.Function{{Name: "rewrite", File: own}}
	if d, err = describe(cfg, slog.New(slog.DiscardHandler)); err != nil || !slices.Contains(d.files, own) {
		t.Errorf("with one of the configuration: %q (%v)", d.files, err)
	}
	cfg, _ = described(t, stack)
	cfg.Distributions[0].KVS["Store"] = cfg.Distributions[0].File
	if _, err := describe(cfg, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "read key value store") {
		t.Errorf("pairs that are none: %v", err)
	}
}

// What files do not call by an ID can be reached all the same.
func TestDistributionsWithoutIDs(t *testing.T) {
	const one = `{Enabled: true, Origins: [{Id: o, DomainName: a.example.com}], DefaultCacheBehavior: {TargetOriginId: o, CachePolicyId: CachingOptimized}}`
	cfg, _ := described(t, "Distributions:\n- "+one+"\n- "+one+"\n")
	d, err := describe(cfg, slog.New(slog.DiscardHandler))
	if err != nil || len(d.distributions) != 2 || d.distributions[0].DomainName != "local1.cloudfront.localhost" || d.distributions[1].ID != "LOCAL2" {
		t.Errorf("%+v (%v)", d.distributions, err)
	}
}

func TestComparison(t *testing.T) {
	cfg, _ := described(t, stack)
	d, err := describe(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	same, changed, other := d.distributions[0], d.distributions[0], d.distributions[0]
	changed.ID, other.ID = "Changed", "Other"
	after := changed
	after.Config.Comment = "other"
	added := other
	added.ID = "Added"
	before, now := append(d.distributions[:1:1], changed, other), append(d.distributions[:1:1], after, added)
	now[0].LastModified = same.LastModified.AddDate(1, 0, 0)
	r := comparison(before, now)
	if !slices.Equal(r.Changed, []string{"Changed"}) || !slices.Equal(r.Added, []string{"Added"}) || !slices.Equal(r.Removed, []string{"Other"}) {
		t.Errorf("%+v", r)
	}
}
