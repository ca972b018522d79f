package cover

import (
	"fmt"
	"slices"

	"github.com/freshet/freshet"
)

// explain spells a cover out: tags first, then paths and wildcards in order.
func (s *solver) explain(f found) Solution {
	sol := Solution{By: make([]int32, len(s.p.Needs)), Order: s.t.order, Widened: s.widened, Choices: make([]Choice, 0, f.patterns)}
	for i := range sol.By {
		sol.By[i] = nothing
	}
	s.tags.explain(&sol, f.tags)
	overlap := s.tags.overlap(f.tags)
	nodes := f.wildcards
	for i := 0; i < s.t.len(); {
		end, chosen := i+1, Choice{}
		if len(nodes) > 0 && int(s.t.left[nodes[0]]) == i {
			v := int(nodes[0])
			nodes, end = nodes[1:], int(s.t.right[v])+1
			chosen = Choice{Pattern: s.t.wildcard(v), Cold: s.census.cold[v].Minus(overlap(v))}
		} else {
			chosen.Pattern = freshet.Pattern(s.t.keys[i])
		}
		if s.assign(&sol, &chosen, i, end) {
			sol.Choices = append(sol.Choices, chosen)
		}
		i = end
	}
	for _, c := range sol.Choices {
		sol.Cold = sol.Cold.Plus(c.Cold)
	}
	sol.Cost = s.tariff.cost(len(sol.Choices), sol.Cold)
	return sol
}

// assign gives the needs of requirements from to end to the next choice, but for
// those that a tag has already; false when none is left.
func (s *solver) assign(sol *Solution, chosen *Choice, from, end int) bool {
	for _, n := range s.t.order[s.t.start[from]:s.t.start[end]] {
		if sol.By[n] == nothing {
			sol.By[n] = int32(len(sol.Choices))
			chosen.Needs++
		}
	}
	return chosen.Needs > 0
}

// everything is what /* would be.
func (s *solver) everything(c terms) Estimate {
	e := Estimate{Patterns: min(1, s.t.len())}
	if s.t.len() > 0 {
		e.Cold = s.census.all
	}
	e.Cost = s.tariff.cost(e.Patterns, e.Cold)
	if rail, name := c.rails.wildcard("/", false); rail != "" {
		e.Refused = forbidden(rail, "/*", name)
	} else {
		e.Refused = exceeded(c.bounds, value{cold: e.Cold.Objects, wild: int32(e.Patterns), patterns: int32(e.Patterns)})
	}
	return e
}

// perURL is the plan of one pattern for each requirement.
func (s *solver) perURL(c terms) Estimate {
	leaf := s.leaf(c.rails)
	e := Estimate{Patterns: s.t.len()}
	wild := int32(0)
	for i := range s.t.len() {
		if s.t.forced[i] {
			wild++
		}
		if e.Refused == nil {
			e.Refused = s.refusedAlone(c.rails, leaf, i)
		}
	}
	for _, v := range s.own(attempt{offer: s.offer, leaf: leaf}).wildcards {
		e.Cold = e.Cold.Plus(s.census.cold[v])
	}
	e.Cost = s.tariff.cost(e.Patterns, e.Cold)
	if e.Refused == nil {
		e.Refused = exceeded(c.bounds, value{cold: e.Cold.Objects, wild: wild, patterns: int32(e.Patterns)})
	}
	if e.Refused == nil && c.requests && !s.fit(s.own(attempt{offer: s.offer, leaf: leaf})) {
		e.Refused = &Refused{Rail: Group, Reason: "the paths of a group do not fit into one request"}
	}
	return e
}

// refusedAlone says why requirement i cannot be covered by its own pattern.
func (s *solver) refusedAlone(r rails, leaf func(int) value, i int) *Refused {
	p := s.t.pattern(i)
	if rail, name := r.wildcard(p.Prefix(), true); s.t.forced[i] && rail != "" {
		return forbidden(rail, p, name)
	}
	if !s.t.forced[i] && !leaf(i).possible() {
		return &Refused{Rail: Never, Reason: fmt.Sprintf("%s has changed and may not be sent", p)}
	}
	return nil
}

// forbidden says that p is, by the value that a rail has in the configuration.
func forbidden(rail Rail, p freshet.Pattern, value string) *Refused {
	if string(p) == value {
		return &Refused{Rail: rail, Reason: value + " is not to be sent"}
	}
	return &Refused{Rail: rail, Reason: fmt.Sprintf("%s would remove %s", p, value)}
}

// own is the cover of each requirement by its own pattern, without those that
// another one's wildcard covers.
func (s *solver) own(a attempt) found {
	asked := make([]bool, s.t.nodes())
	for v := range asked {
		asked[v] = s.t.asked(v)
	}
	c := choice{wildcards: outermost(s.t, asked)}
	next := int32(0)
	for _, v := range append(slices.Clip(c.wildcards), nothing) {
		end := int32(s.t.len())
		if v != nothing {
			end = s.t.left[v]
			c.value = c.plus(a.offer.value(int(v)))
		}
		for ; next < end; next++ {
			c.value = c.plus(a.leaf(int(next)))
		}
		if v != nothing {
			next = s.t.right[v] + 1
		}
	}
	return found{choice: c}
}

// exceeded says which bound v goes beyond; nil when none.
func exceeded(b bounds, v value) *Refused {
	s := state{value: v}
	for d, rail := range [...]Rail{wildcards: MaxWildcards, patterns: MaxPatterns, coldObjects: MaxCollateral} {
		if n := s.dimension(d); b[d] != unbounded && n > b[d] {
			return &Refused{Rail: rail, Reason: fmt.Sprintf("%d are more than %d", n, b[d])}
		}
	}
	return nil
}
