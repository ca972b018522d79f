package plan_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/plan"
)

func target(distribution, key string) freshet.Target {
	url := freshet.KeyPaths(key)[0]
	pattern, _ := freshet.PathPattern(url)
	return freshet.Target{Distribution: distribution, Origin: "site", Key: key, URL: url, Pattern: pattern, Served: true, Reason: "test"}
}

func input(keys ...string) (in plan.Input) {
	for _, k := range keys {
		in.Changes = append(in.Changes, freshet.Change{Origin: "site", Key: k, Op: freshet.OpPut, Sequencer: "01"})
		in.Targets = append(in.Targets, target("E1", k))
	}
	in.Profiles = []freshet.Profile{{Distribution: "E1", MaxPatterns: 3, MaxWildcards: 1}}
	return in
}

func patterns(p freshet.Plan) (all [][]freshet.Pattern) {
	for _, inv := range p.Invalidations {
		all = append(all, inv.Patterns)
	}
	return all
}

func TestPatternsOfAPlan(t *testing.T) {
	type requests = [][]freshet.Pattern
	for _, tt := range []struct {
		name string
		keys []string
		want requests
	}{
		{"nothing", nil, nil},
		{"one", []string{"a"}, requests{{"/a"}}},
		{"sorted", []string{"b", "a"}, requests{{"/a", "/b"}}},
		{"split at the limit", []string{"a", "b", "c", "d"}, requests{{"/a", "/b", "/c"}, {"/d"}}},
		{"a wildcard goes alone", []string{"a", "v~1"}, requests{{"/a"}, {"/v*"}}},
		{"one wildcard in a request", []string{"v~1", "w~1"}, requests{{"/v*"}, {"/w*"}}},
		{"a wildcard covers paths and wildcards", []string{"v~1", "v2", "vw~1", "a"}, requests{{"/a"}, {"/v*"}}},
		{"a path that only looks covered", []string{"v~1", "a/v2"}, requests{{"/a/v2"}, {"/v*"}}},
		{"everything", []string{"~", "a", "b/c"}, requests{{"/*"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := plan.Make(input(tt.keys...))
			if err != nil {
				t.Fatal(err)
			}
			if got := patterns(p); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestADistributionsPathsStayItsOwn(t *testing.T) {
	in := input("a", "b")
	in.Targets[1].Distribution = "E2"
	in.Profiles = append(in.Profiles, freshet.Profile{Distribution: "E2"})
	p, err := plan.Make(in)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := patterns(p), [][]freshet.Pattern{{"/a"}, {"/b"}}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if p.Invalidations[0].CallerReference == p.Invalidations[1].CallerReference {
		t.Error("two requests with one caller reference")
	}
}

func TestAnUnknownDistributionIsAnError(t *testing.T) {
	in := input("a")
	in.Profiles = nil
	if _, err := plan.Make(in); err == nil || !strings.Contains(err.Error(), "E1") {
		t.Errorf("got %v, want an error that names the distribution", err)
	}
}

// TestPromiseNothingIsDoubled: the same batch gives the same plan, references
// included, in whatever order it comes; a deliberate repetition gives other
// references and nothing else.
func TestPromiseNothingIsDoubled(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawn(t)
		first := text(t, in)
		seed := rapid.Uint64().Draw(t, "seed")
		shuffle := rand.New(rand.NewPCG(seed, seed))
		shuffle.Shuffle(len(in.Targets), func(i, j int) { in.Targets[i], in.Targets[j] = in.Targets[j], in.Targets[i] })
		if again := text(t, in); again != first {
			t.Fatalf("another order, another plan:\n%s\n%s", first, again)
		}
		in.Attempt = 1
		repeated, _ := plan.Make(in)
		in.Attempt = 0
		original, _ := plan.Make(in)
		for i, inv := range repeated.Invalidations {
			if inv.CallerReference == original.Invalidations[i].CallerReference {
				t.Fatal("a repetition under the old reference would do nothing")
			}
		}
		if !reflect.DeepEqual(patterns(repeated), patterns(original)) {
			t.Fatal("a repetition with other patterns")
		}
	})
}

func text(t *rapid.T, in plan.Input) string {
	p, err := plan.Make(in)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestPromiseExact: every target is covered by a pattern of the request that
// carries it, every request is within the limits, every pattern is needed, and
// no reference is used twice.
func TestPromiseExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		keys := rapid.SliceOfNDistinct(rapid.StringMatching(`[abc/~]{1,5}`), 1, 40, rapid.ID[string]).Draw(t, "keys")
		in := input(keys...)
		p, err := plan.Make(in)
		if err != nil {
			t.Fatal(err)
		}
		covered := make(map[string]bool)
		references := make(map[string]bool)
		for _, inv := range p.Invalidations {
			check(t, inv, covered)
			if references[inv.CallerReference] {
				t.Fatal("a caller reference for two requests")
			}
			references[inv.CallerReference] = true
		}
		for _, target := range in.Targets {
			if !covered[target.URL] {
				t.Fatalf("%s is in no request", target.URL)
			}
		}
	})
}

func check(t *rapid.T, inv freshet.Invalidation, covered map[string]bool) {
	exact, wild := 0, 0
	for _, pattern := range inv.Patterns {
		if pattern.IsWildcard() {
			wild++
		} else {
			exact++
		}
		if !slices.ContainsFunc(inv.Targets, func(t freshet.Target) bool { return pattern.Covers(t.URL) }) {
			t.Fatalf("pattern %s is for nothing", pattern)
		}
	}
	if exact > 3 || wild > 1 || exact > 0 && wild > 0 {
		t.Fatalf("request over the limits: %v", inv.Patterns)
	}
	for _, target := range inv.Targets {
		if !slices.ContainsFunc(inv.Patterns, func(p freshet.Pattern) bool { return p.Covers(target.URL) }) {
			t.Fatalf("%s is not covered by %v", target.URL, inv.Patterns)
		}
		covered[target.URL] = true
	}
}

func BenchmarkMake(b *testing.B) {
	for _, n := range []int{1000, 10000} {
		var keys []string
		for i := range n {
			keys = append(keys, fmt.Sprintf("blog/2026/%05d/index.html", i))
		}
		in := input(keys...)
		in.Profiles[0].MaxPatterns = 1000
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				if _, err := plan.Make(in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
