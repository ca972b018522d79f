package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/freshet/freshet/internal/config"
	"github.com/freshet/freshet/internal/edge"
)

// The two halves of an explanation, which come from the router and from the edge,
// tell of the same behavior and the same patterns, for every spelling of a URL.
func TestHalvesOfExplanationsAgree(t *testing.T) {
	file := filepath.Join(t.TempDir(), "site.yaml")
	text := `Id: E1EXAMPLE1234
DistributionConfig:
  Enabled: true
  Aliases: [www.example.com]
  Origins: [{Id: site, DomainName: site.s3.amazonaws.com}, {Id: odd, DomainName: odd.example.com, CustomOriginConfig: {OriginProtocolPolicy: https-only}}]
  CacheBehaviors:
    - {PathPattern: /b/*, TargetOriginId: odd, CachePolicyId: 658327ea-f89d-4fab-a63d-7e88639e58f6}
    - {PathPattern: "*.a?c", TargetOriginId: site, CachePolicyId: 658327ea-f89d-4fab-a63d-7e88639e58f6}
  DefaultCacheBehavior: {TargetOriginId: site, ForwardedValues: {QueryString: true, QueryStringCacheKeys: [v]}}
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := NewPlanner(config.Config{Distributions: []config.DistributionFile{{File: file}}, Data: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	answered := make(map[string]bool)
	for _, target := range []string{
		"/", "/b/", "/b//x", "/x/../b/y", "/b", "/%62/x", "/B/x", "/x.abc", "/x.a/c", "/x.ac", "/~u/x", "/%7eu/x", "/a b", "/ü?v=1", "/a?w=2&v=1", "/a?v=%41", "/b/..", "//b/x", "/b/x?v=1",
	} {
		e, err := p.ExplainURL(edge.Question{Host: "www.example.com", Target: target, Secure: true})
		if err != nil || len(e.Ways) != 1 || len(e.Distributions) != 1 {
			t.Fatalf("%s: %+v %v", target, e, err)
		}
		way, stop := e.Ways[0], e.Distributions[0].URLs[0]
		if said := strings.TrimSuffix(strings.TrimPrefix(stop.Behavior, "Default ("), ")"); said != way.Behavior || stop.Caches != (way.Key != nil) {
			t.Errorf("%s is answered by %s and cached %v, and by %s with the key %+v", target, stop.Behavior, stop.Caches, way.Behavior, way.Key)
		}
		answered[way.Behavior] = true
		if way.Names[0] != stop.URL {
			t.Errorf("%s is cached as %s, and known as %q", target, stop.URL, way.Names)
		}
	}
	if len(answered) != 3 {
		t.Errorf("only %v answered", answered)
	}
}

// A distribution that the edge would not serve is explained as far as that goes.
func TestExplainWhatTheEdgeDoesNotServe(t *testing.T) {
	file := filepath.Join(t.TempDir(), "site.yaml")
	text := `Id: E1EXAMPLE1234
DistributionConfig:
  Enabled: true
  Origins: [{Id: site, DomainName: site.s3.amazonaws.com}]
  DefaultCacheBehavior: {TargetOriginId: site, AllowedMethods: [GET, POST], CachePolicyId: 658327ea-f89d-4fab-a63d-7e88639e58f6}
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := NewPlanner(config.Config{Distributions: []config.DistributionFile{{File: file}}, Data: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	e, err := p.ExplainURL(edge.Question{Target: "/a"})
	if err != nil || len(e.Ways) != 0 || len(e.Distributions) != 1 || !strings.Contains(strings.Join(e.Distributions[0].Notes, "\n"), "none of the sets") || len(e.Distributions[0].URLs[0].Patterns) == 0 {
		t.Errorf("%+v %v", e, err)
	}
}
