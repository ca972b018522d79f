// Package plan turns targets into the requests that make them fresh. It is
// pure, and the same input gives the same plan byte for byte.
package plan

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/freshet/freshet"
)

// Input is what a plan is made from.
type Input struct {
	Changes    []freshet.Change // the newest of each object
	Superseded []freshet.Change
	Targets    []freshet.Target
	Unrouted   []freshet.Unrouted
	Profiles   []freshet.Profile
	Attempt    int // how often the same changes were completed and found stale before
}

// Make returns the plan for in: at each distribution one pattern per URL, but
// for those that a wildcard of the same distribution covers, split into
// requests as the distribution's profile demands. It fails when a target's
// distribution has no profile.
func Make(in Input) (freshet.Plan, error) {
	p := freshet.Plan{
		Changes: slices.Concat([]freshet.Change{}, in.Changes), Superseded: in.Superseded, Unrouted: in.Unrouted,
		Invalidations: []freshet.Invalidation{},
	}
	byDistribution := make(map[string][]freshet.Target)
	for _, t := range in.Targets {
		byDistribution[t.Distribution] = append(byDistribution[t.Distribution], t)
	}
	changes := make(map[object]freshet.Change, len(in.Changes))
	for _, c := range in.Changes {
		changes[object{c.Origin, c.Key}] = c
	}
	for _, id := range sortedKeys(byDistribution) {
		i := slices.IndexFunc(in.Profiles, func(p freshet.Profile) bool { return p.Distribution == id })
		if i < 0 {
			return freshet.Plan{}, fmt.Errorf("plan distribution %s: no driver knows it", id)
		}
		p.Invalidations = append(p.Invalidations, requests(in.Profiles[i], byDistribution[id], changes, in.Attempt)...)
	}
	p.ID = identify(p)
	return p, nil
}

type object struct{ origin, key string }

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// requests splits one distribution's targets into requests within its limits.
func requests(p freshet.Profile, targets []freshet.Target, changes map[object]freshet.Change, attempt int) []freshet.Invalidation {
	cover := newCover(targets)
	var all []freshet.Invalidation
	for _, patterns := range p.Split(cover.patterns) {
		inv := freshet.Invalidation{Distribution: p.Distribution, Patterns: patterns}
		for _, pattern := range patterns {
			inv.Targets = append(inv.Targets, cover.targets[pattern]...)
		}
		slices.SortFunc(inv.Targets, func(a, b freshet.Target) int {
			return cmp.Or(cmp.Compare(a.URL, b.URL), cmp.Compare(a.Origin, b.Origin), cmp.Compare(a.Key, b.Key))
		})
		inv.CallerReference = freshet.CallerReference(p.Distribution, changesOf(inv.Targets, changes), patterns, attempt)
		all = append(all, inv)
	}
	return all
}

func changesOf(targets []freshet.Target, changes map[object]freshet.Change) []freshet.Change {
	var cs []freshet.Change
	for _, t := range targets {
		if c, ok := changes[object{t.Origin, t.Key}]; ok {
			cs = append(cs, c)
		}
	}
	return cs
}

// cover is the patterns to send, sorted, with the targets each is for.
type cover struct {
	patterns []freshet.Pattern
	targets  map[freshet.Pattern][]freshet.Target
}

func newCover(targets []freshet.Target) cover {
	c := cover{targets: make(map[freshet.Pattern][]freshet.Target)}
	wildcards := wildcardsOf(targets)
	for _, t := range targets {
		p := t.Pattern
		if w, ok := coveringWildcard(wildcards, p); ok {
			p = w
		}
		if _, known := c.targets[p]; !known {
			c.patterns = append(c.patterns, p)
		}
		c.targets[p] = append(c.targets[p], t)
	}
	slices.Sort(c.patterns)
	return c
}

// wildcardsOf returns the wildcards among the targets' patterns, by prefix.
func wildcardsOf(targets []freshet.Target) map[string]bool {
	prefixes := make(map[string]bool)
	for _, t := range targets {
		if t.Pattern.IsWildcard() {
			prefixes[t.Pattern.Prefix()] = true
		}
	}
	return prefixes
}

// coveringWildcard finds the shortest wildcard that covers all that p covers.
// It looks each prefix of p up, so it takes time by p's length and not by the
// number of wildcards.
func coveringWildcard(prefixes map[string]bool, p freshet.Pattern) (freshet.Pattern, bool) {
	if len(prefixes) == 0 {
		return "", false
	}
	prefix := p.Prefix()
	for n := 0; n <= len(prefix); n++ {
		if prefixes[prefix[:n]] {
			return freshet.Pattern(prefix[:n] + "*"), true
		}
	}
	return "", false
}

// identify names a plan by what it is about, so that the same batch planned
// twice has the same ID.
func identify(p freshet.Plan) string {
	h := sha256.New()
	for _, cs := range [][]freshet.Change{p.Changes, p.Superseded} {
		for _, c := range cs {
			fmt.Fprintln(h, c.ID())
		}
		fmt.Fprintln(h)
	}
	for _, inv := range p.Invalidations {
		fmt.Fprintln(h, inv.CallerReference)
	}
	return hex.EncodeToString(h.Sum(nil)[:10])
}
