// Package plan turns targets into the requests that make them fresh, at the
// least cost. It is pure, and the same input gives the same plan byte for byte.
package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/inventory"
	"github.com/freshet/freshet/internal/plan/cover"
)

// Input is what a plan is made from.
type Input struct {
	Changes     []freshet.Change // the newest of each object
	Superseded  []freshet.Change
	Targets     []freshet.Target
	Unrouted    []freshet.Unrouted
	Profiles    []freshet.Profile
	Inventories map[string]*inventory.Inventory // what is live at each distribution; nil or missing where it is not known
	Sure        func(freshet.Target) []string   // cache tags, in lower case, that every cached copy of a target carries; in an inventory's distribution; nil: those that the inventory has for its URL
	Terms       *Terms                          // nil: DefaultTerms
	Live        bool                            // freshness counts more than the last path: one wildcard at most, or those that are needed
	Attempt     int                             // how often the same changes were completed and found stale before
}

// Refused is the error of a plan that is against the guard rails or limits.
type Refused struct {
	Distribution string
	Err          *cover.Refused
	Target       *freshet.Target // that cannot be met by itself; nil where several together are too much
}

func (r *Refused) Error() string {
	text := "plan distribution " + r.Distribution + ": " + r.Err.Error()
	if r.Target != nil {
		text += fmt.Sprintf("; %q has changed: %s", r.Target.Key, r.Target.Reason)
	}
	return text
}

func (r *Refused) Unwrap() error { return r.Err }

// Make returns the cheapest plan for in: at each distribution a set of patterns
// that covers every target, split into requests as the distribution's profile
// demands, and an account of what it costs. The plan may share memory with in.
// It fails when a target's distribution has no profile, and with a Refused when
// no plan is within the guard rails.
func Make(in Input) (freshet.Plan, error) {
	p := freshet.Plan{
		Changes: in.Changes, Superseded: in.Superseded, Unrouted: in.Unrouted,
		Invalidations: []freshet.Invalidation{},
	}
	if p.Changes == nil {
		p.Changes = []freshet.Change{}
	}
	m := newMaker(in)
	byDistribution := make(map[string][]int32)
	for i := range in.Targets {
		d := in.Targets[i].Distribution
		byDistribution[d] = append(byDistribution[d], int32(i))
	}
	for _, id := range slices.Sorted(maps.Keys(byDistribution)) {
		i := slices.IndexFunc(in.Profiles, func(p freshet.Profile) bool { return p.Distribution == id })
		if i < 0 {
			return freshet.Plan{}, fmt.Errorf("plan distribution %s: no driver knows it", id)
		}
		invalidations, costing, err := m.distribution(in.Profiles[i], byDistribution[id])
		if err != nil {
			return freshet.Plan{}, err
		}
		p.Invalidations = append(p.Invalidations, invalidations...)
		p.Costs = append(p.Costs, costing)
	}
	p.ID = identify(p, m.sums)
	return p, nil
}

// maker is the input with what is looked up in it often.
type maker struct {
	Input
	terms    Terms
	sums     []freshet.Sum // of the changes
	changeOf []int32       // of each target, the place of its change; -1 where it is not among them
}

type object struct{ origin, key string }

func newMaker(in Input) *maker {
	m := &maker{Input: in, terms: DefaultTerms(), sums: make([]freshet.Sum, len(in.Changes)), changeOf: make([]int32, len(in.Targets))}
	if in.Terms != nil {
		m.terms = *in.Terms
	}
	for i := range in.Changes {
		m.sums[i] = in.Changes[i].Sum()
	}
	m.findChanges()
	return m
}

// findChanges fills changeOf. Targets come in the order of their changes, so
// that most are found at once or at the next change; only where they do not is
// an index made.
func (m *maker) findChanges() {
	var index map[object]int32
	is := func(c int, t *freshet.Target) bool {
		return c < len(m.Changes) && m.Changes[c].Key == t.Key && m.Changes[c].Origin == t.Origin
	}
	last := 0
	for i := range m.Targets {
		t := &m.Targets[i]
		switch {
		case is(last, t):
		case is(last+1, t):
			last++
		default:
			if index == nil {
				index = make(map[object]int32, len(m.Changes))
				for c := range m.Changes {
					index[object{m.Changes[c].Origin, m.Changes[c].Key}] = int32(c)
				}
			}
			c, ok := index[object{t.Origin, t.Key}]
			if !ok {
				m.changeOf[i] = -1
				continue
			}
			last = int(c)
		}
		m.changeOf[i] = int32(last)
	}
}

// distribution plans the targets at one distribution, given by their places in
// the input.
func (m *maker) distribution(p freshet.Profile, targets []int32) ([]freshet.Invalidation, freshet.Costing, error) {
	needs := make([]cover.Need, len(targets))
	for i, t := range targets {
		target := &m.Targets[t]
		needs[i] = cover.Need{URL: target.URL, Pattern: target.Pattern, Group: target.Group}
	}
	problem := m.terms.problem(p, needs, m.Inventories[p.Distribution])
	if m.Sure != nil {
		problem.Sure = func(n int) []string { return m.Sure(m.Targets[targets[n]]) }
	}
	if m.Live && m.terms.MaxWildcards == nil {
		problem.Limits.MaxWildcards = new(max(1, neededWildcards(needs)))
	}
	solution, err := cover.Solve(problem)
	if err != nil {
		if refused, ok := err.(*cover.Refused); ok { //nolint:errorlint // Solve returns it as it is
			return nil, freshet.Costing{}, &Refused{p.Distribution, refused, m.firstOf(targets, refused.URL)}
		}
		return nil, freshet.Costing{}, fmt.Errorf("plan distribution %s: %w", p.Distribution, err)
	}
	return m.requests(p, targets, solution), m.costing(p, targets, problem, solution), nil
}

// firstOf returns the first of targets that has a URL, by key; nil without one.
func (m *maker) firstOf(targets []int32, url string) (first *freshet.Target) {
	for _, t := range targets {
		if target := &m.Targets[t]; url != "" && target.URL == url && (first == nil || target.Key < first.Key) {
			first = target
		}
	}
	return first
}

// identify names a plan by what it is about, so that the same batch planned
// twice has the same ID. changes are the sums of its changes.
func identify(p freshet.Plan, changes []freshet.Sum) string {
	h := sha256.New()
	for i := range changes {
		_, _ = h.Write(changes[i][:])
	}
	_, _ = io.WriteString(h, "\n")
	for _, c := range p.Superseded {
		sum := c.Sum()
		_, _ = h.Write(sum[:])
	}
	for _, inv := range p.Invalidations {
		_, _ = io.WriteString(h, "\n"+inv.CallerReference)
	}
	return hex.EncodeToString(h.Sum(nil)[:10])
}
