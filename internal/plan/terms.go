package plan

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/inventory"
	"github.com/freshet/freshet/internal/plan/cover"
)

// Terms are what plans are made under, beside what the CDN charges and allows:
// what a cold cache is worth, and the guard rails.
type Terms struct {
	PatternPrice  *float64          `yaml:"pattern_price,omitempty" json:"pattern_price,omitempty"`   // US dollars for each path, wildcard or tag; nil: the CDN's price
	RefillObject  float64           `yaml:"refill_object" json:"refill_object"`                       // US dollars that making an unchanged object cold is held to cost
	RefillGB      float64           `yaml:"refill_gb" json:"refill_gb"`                               // the same, for each 10^9 bytes of it
	AssumeObjects int64             `yaml:"assume_objects" json:"assume_objects"`                     // in the whole site, where there is no inventory
	AssumeBytes   int64             `yaml:"assume_bytes" json:"assume_bytes"`                         // of each of them
	MaxWildcards  *int              `yaml:"max_wildcards,omitempty" json:"max_wildcards,omitempty"`   // in a plan, at one distribution; nil: as many as may be in progress at once
	MaxCollateral *int64            `yaml:"max_collateral,omitempty" json:"max_collateral,omitempty"` // unchanged objects that a plan may make cold at one distribution; nil: any number
	Never         []freshet.Pattern `yaml:"never,omitempty" json:"never,omitempty"`                   // patterns that must not be sent
	Protected     []string          `yaml:"protected,omitempty" json:"protected,omitempty"`           // path prefixes below which nothing unchanged may be made cold
}

// DefaultTerms hold a path to be worth five cold objects: refilling one costs
// little, but somebody waits for it at each edge location. The price per byte is
// what traffic between regions costs. Without an inventory a site of ten
// thousand objects is assumed, a tenth of them below each further step of a
// path.
func DefaultTerms() Terms {
	return Terms{RefillObject: 0.001, RefillGB: 0.02, AssumeObjects: 10_000, AssumeBytes: 50_000}
}

// Check returns everything that is wrong with t, joined.
func (t Terms) Check() error {
	var problems []error
	complain := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	for _, p := range []struct {
		name  string
		value float64
	}{{"refill_object", t.RefillObject}, {"refill_gb", t.RefillGB}, {"pattern_price", *or(t.PatternPrice, 0)}} {
		if !(p.value >= 0 && p.value <= 1e6) { // not a number is neither
			complain("%s: %v is no price in dollars", p.name, p.value)
		}
	}
	if t.AssumeObjects < 0 || t.AssumeBytes < 0 || *or(t.MaxWildcards, 0) < 0 || *or(t.MaxCollateral, 0) < 0 {
		complain("assume_objects, assume_bytes, max_wildcards, max_collateral: must not be negative")
	}
	for _, p := range t.Never {
		if _, err := freshet.ParsePattern(string(p)); err != nil {
			complain("never: %w", err)
		}
	}
	for _, p := range t.Protected {
		if !strings.HasPrefix(p, "/") || strings.HasSuffix(p, "*") {
			complain("protected: %q must be the beginning of a path, such as /checkout/", p)
		}
	}
	return errors.Join(problems...)
}

func or[T any](p *T, value T) *T {
	if p != nil {
		return p
	}
	return &value
}

// maxWildcards is nil where there is no limit.
func (t Terms) maxWildcards(p freshet.Profile) *int {
	if t.MaxWildcards == nil && p.Quota.WildcardsInProgress > 0 {
		return &p.Quota.WildcardsInProgress
	}
	return t.MaxWildcards
}

// neededWildcards counts the wildcards that no other stands in for.
func neededWildcards(needs []cover.Need) int {
	var prefixes []string
	for _, n := range needs {
		if n.Pattern.IsWildcard() {
			prefixes = append(prefixes, n.Pattern.Prefix())
		}
	}
	slices.Sort(prefixes)
	count, last := 0, ""
	for _, p := range prefixes {
		if count == 0 || !strings.HasPrefix(p, last) {
			count, last = count+1, p
		}
	}
	return count
}

// problem states what is to be solved for one distribution.
func (t Terms) problem(p freshet.Profile, needs []cover.Need, live *inventory.Inventory) cover.Problem {
	return cover.Problem{
		Needs:     needs,
		Inventory: live,
		Prices: cover.Prices{
			Pattern:      *or(t.PatternPrice, p.PatternPrice),
			RefillObject: t.RefillObject,
			RefillByte:   t.RefillGB / 1e9,
		},
		Limits: cover.Limits{
			MaxWildcards:           t.maxWildcards(p),
			MaxPatternsPerRequest:  p.MaxPatterns,
			MaxWildcardsPerRequest: p.MaxWildcards,
		},
		Rails:      cover.Rails{Never: t.Never, Protected: t.Protected, MaxCollateral: t.MaxCollateral},
		Assumption: cover.Assumption{Site: t.AssumeObjects, BytesPerObject: t.AssumeBytes},
		Tags:       p.Tags,
	}
}
