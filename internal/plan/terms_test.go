package plan_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/inventory"
	"github.com/freshet/freshet/internal/plan"
	"github.com/freshet/freshet/internal/plan/cover"
)

// priced is an input for a CDN that charges, in front of a site with these
// objects of 1,000 bytes.
func priced(live []string, keys ...string) plan.Input {
	in := input(keys...)
	in.Profiles[0].PatternPrice, in.Profiles[0].MaxPatterns = 0.005, 1000
	in.Profiles[0].Quota.WildcardsInProgress = 15
	if live != nil {
		var b inventory.Builder
		for _, key := range live {
			b.Add(inventory.Entry{URL: freshet.KeyPaths(key)[0], Size: 1000})
		}
		in.Inventories = map[string]*inventory.Inventory{"E1": b.Inventory()}
	}
	return in
}

func mustMake(t *testing.T, in plan.Input) freshet.Plan {
	t.Helper()
	p, err := plan.Make(in)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestWhatIsKnownToBeLiveDecides(t *testing.T) {
	keys := []string{"blog/1", "blog/2", "blog/3", "news/1", "news/2", "news/3", "x"}
	others := []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r", "s", "t", "u", "v", "w", "y", "z"}
	p := mustMake(t, priced(append(append(others, "blog/4"), keys...), keys...))
	if got, want := patterns(p), [][]freshet.Pattern{{"/x"}, {"/blog/*"}, {"/news/*"}}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	c := p.Costs[0]
	if c.Plan.Patterns != 3 || c.Plan.Wildcards != 2 || c.Plan.ColdObjects != 1 || c.Plan.ColdBytes != 1000 || c.PerURL.Patterns != 7 || c.PerObject.Patterns != 7 || c.Everything.ColdObjects != 26 || *c.Known != 33 || c.Assumption != "" {
		t.Errorf("%+v", c)
	}
	if e := p.Invalidations[1].Effects; len(e) != 1 || e[0] != (freshet.Effect{Pattern: "/blog/*", Targets: 3, ColdObjects: 1, ColdBytes: 1000}) {
		t.Errorf("effects %+v", e)
	}
	if len(p.Invalidations[0].Effects) != 0 {
		t.Errorf("an exact path has effects: %+v", p.Invalidations[0].Effects)
	}

	// Without an inventory what is assumed is said, and paths stay paths.
	p = mustMake(t, priced(nil, keys...))
	if got := patterns(p); len(got) != 1 || len(got[0]) != 7 {
		t.Errorf("got %v", got)
	}
	if c := p.Costs[0]; c.Known != nil || !strings.Contains(c.Assumption, "10000 objects") {
		t.Errorf("%+v", c)
	}
}

// TestALivePlanHasOneWildcardOrThoseNeeded: CloudFront takes one a second.
func TestALivePlanHasOneWildcardOrThoseNeeded(t *testing.T) {
	keys := []string{"blog/1", "blog/2", "blog/3", "news/1", "news/2", "news/3"}
	for range 30 {
		keys = append(keys, "x"+strings.Repeat("y", len(keys)))
	}
	in := priced(append([]string{"a", "xz"}, keys...), keys[:6]...)
	in.Live = true
	if c := mustMake(t, in).Costs[0].Plan; c.Wildcards != 1 {
		t.Errorf("%+v", c)
	}
	in = priced(append([]string{"a", "xz"}, keys...), "p~1/a", "q~1/a", "p~1/b", "r~/x")
	in.Live = true
	p := mustMake(t, in)
	if c := p.Costs[0].Plan; c.Wildcards != 3 || c.Patterns != 3 {
		t.Errorf("%+v in %v", c, patterns(p))
	}
	in = priced(append([]string{"a", "xz"}, keys...), "p~1/a", "blog/1", "blog/2", "blog/3")
	in.Live = true
	p = mustMake(t, in)
	if c := p.Costs[0].Plan; c.Wildcards != 1 || c.Patterns != 4 {
		t.Errorf("%+v in %v", c, patterns(p))
	}
}

func TestAGroupGoesInOneRequest(t *testing.T) {
	in := priced([]string{"a", "b"}, "app/1", "app/2", "app/3", "w~1/x", "z")
	in.Profiles[0].MaxPatterns = 2
	in.Profiles[0].MaxWildcards = 1
	for _, i := range []int{0, 2, 3} {
		in.Targets[i].Group = "app"
	}
	p := mustMake(t, in)
	requests := make(map[int]bool)
	for i, inv := range p.Invalidations {
		if len(inv.Patterns) > 2 {
			t.Errorf("%v in one request", inv.Patterns)
		}
		for _, target := range inv.Targets {
			if target.Group == "app" {
				requests[i] = true
			}
		}
	}
	if len(requests) != 1 {
		t.Errorf("the group is spread over %d requests: %v", len(requests), patterns(p))
	}
}

func TestGuardRails(t *testing.T) {
	keys := []string{"blog/1", "blog/2", "blog/3"}
	live := append([]string{"blog/4", "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"}, keys...)
	for _, tt := range []struct {
		name  string
		rails func(*plan.Terms)
	}{
		{"never", func(t *plan.Terms) { t.Never = []freshet.Pattern{"/blog/*"} }},
		{"protected", func(t *plan.Terms) { t.Protected = []string{"/blog/"} }},
		{"max_collateral", func(t *plan.Terms) { t.MaxCollateral = new(int64(0)) }},
		{"no wildcards", func(t *plan.Terms) { t.MaxWildcards = new(0) }},
		{"max_wildcards", func(t *plan.Terms) { t.MaxCollateral = new(int64(0)); t.MaxWildcards = new(1) }},
	} {
		terms := plan.DefaultTerms()
		tt.rails(&terms)
		in := priced(live, keys...)
		in.Terms = &terms
		p := mustMake(t, in)
		if c := p.Costs[0]; c.Plan.Patterns != 3 || c.Plan.ColdObjects != 0 || len(c.KeptFrom) == 0 {
			t.Errorf("%s: %+v", tt.name, c)
		}
	}

	terms := plan.DefaultTerms()
	terms.Never = []freshet.Pattern{"/*"}
	in := priced(live, "~x")
	in.Terms = &terms
	_, err := plan.Make(in)
	var refused *plan.Refused
	if !errors.As(err, &refused) || refused.Distribution != "E1" || refused.Err.Rail != cover.Never {
		t.Errorf("got %v", err)
	}
	if want := `plan distribution E1: never: /~x cannot be removed: /* is not to be sent; "~x" has changed: test`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestTermsAreChecked(t *testing.T) {
	if err := plan.DefaultTerms().Check(); err != nil {
		t.Errorf("the defaults: %v", err)
	}
	for name, spoil := range map[string]func(*plan.Terms){
		"refill_object":  func(t *plan.Terms) { t.RefillObject = -1 },
		"refill_gb":      func(t *plan.Terms) { t.RefillGB = 1e300 },
		"pattern_price":  func(t *plan.Terms) { t.PatternPrice = new(-0.1) },
		"assume_objects": func(t *plan.Terms) { t.AssumeObjects = -1 },
		"max_collateral": func(t *plan.Terms) { t.MaxCollateral = new(int64(-1)) },
		"max_wildcards":  func(t *plan.Terms) { t.MaxWildcards = new(-1) },
		"never":          func(t *plan.Terms) { t.Never = []freshet.Pattern{"x"} },
		"protected":      func(t *plan.Terms) { t.Protected = []string{"checkout"} },
	} {
		terms := plan.DefaultTerms()
		spoil(&terms)
		if err := terms.Check(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCheckKnowsAPlanThatWasChanged(t *testing.T) {
	live := strings.Fields("a c d e f g h i j k l m n o p q r s t u x/2 x/3 x/4 x/5 x/6 x/7 x/8 x/9 x/10 x/11 x/12")
	fresh := func() freshet.Plan { return mustMake(t, priced(live, "x/1", "w~1/x", "b")) }
	if n := len(fresh().Invalidations); n != 2 {
		t.Fatalf("%d requests, want one for paths and one for a wildcard", n)
	}
	if err := plan.Check(fresh()); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*freshet.Plan){
		"another pattern":      func(p *freshet.Plan) { p.Invalidations[0].Patterns[0] = "/zzz" },
		"one pattern more":     func(p *freshet.Plan) { p.Invalidations[0].Patterns = append(p.Invalidations[0].Patterns, "/z") },
		"no pattern":           func(p *freshet.Plan) { p.Invalidations[0].Patterns = []freshet.Pattern{"zzz"} },
		"no patterns":          func(p *freshet.Plan) { p.Invalidations[0].Patterns = nil },
		"another distribution": func(p *freshet.Plan) { p.Invalidations[0].Distribution = "E2" },
		"another reference":    func(p *freshet.Plan) { p.Invalidations[0].CallerReference = "mine" },
		"a request less":       func(p *freshet.Plan) { p.Invalidations = p.Invalidations[1:] },
		"the same request":     func(p *freshet.Plan) { p.Invalidations = append(p.Invalidations, p.Invalidations[0]) },
		"another order": func(p *freshet.Plan) {
			p.Invalidations[0], p.Invalidations[1] = p.Invalidations[1], p.Invalidations[0]
		},
		"one pattern twice": func(p *freshet.Plan) {
			p.Invalidations[0].Patterns = append(p.Invalidations[0].Patterns[:1:1], p.Invalidations[0].Patterns...)
		},
		"a superseded change": func(p *freshet.Plan) { p.Superseded = append(p.Superseded, p.Changes[0]) },
		"another ID":          func(p *freshet.Plan) { p.ID = "x" },
		"another change": func(p *freshet.Plan) {
			p.Changes[0].Sequencer = "02"
			p.Changes[1].Sequencer = "02"
			p.Changes[2].Sequencer = "02"
		},
	} {
		p := fresh()
		change(&p)
		if err := plan.Check(p); err == nil {
			t.Errorf("%s was not noticed", name)
		}
	}
}
