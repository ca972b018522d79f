package cover

import (
	"github.com/freshet/freshet"
)

// solver holds what all attempts at one problem share.
type solver struct {
	p       Problem
	tariff  tariff
	rails   rails
	widened []int32
	t       *tree
	census  census
	offer   offer // without rails
}

func newSolver(p Problem) (*solver, error) {
	r, widened, err := newRequirements(p.Needs)
	if err != nil {
		return nil, err
	}
	s := &solver{p: p, tariff: newTariff(p.Prices), rails: newRails(p.Rails), widened: widened, t: newTree(&r)}
	s.census = newCounter(p, s.t).count()
	s.offer = offer{make([]money, s.t.nodes()), make([]int64, s.t.nodes())}
	for v, cold := range s.census.cold {
		s.offer.cost[v], s.offer.cold[v] = s.tariff.pattern.plus(s.tariff.refill(cold)), cold.Objects
	}
	return s, nil
}

func (s *solver) solve() (Solution, error) {
	o := s.allowed(s.rails)
	c := best(s.t, o, s.leaf)
	if !c.possible() {
		return Solution{}, &Refused{Never, "no plan"}
	}
	sol := s.explain(c)
	sol.Optimal, sol.LowerBound = true, sol.Cost.Total
	sol.PerURL, sol.Everything = s.perURL(), s.everything()
	return sol, nil
}

// leaf is what requirement i costs by its exact path.
func (s *solver) leaf(i int) value {
	if s.t.forced[i] {
		return value{cost: impossible}
	}
	return value{cost: s.tariff.pattern, patterns: 1}
}

// allowed is the offer without what the rails forbid.
func (s *solver) allowed(r rails) offer {
	if r.none() {
		return s.offer
	}
	o := offer{make([]money, len(s.offer.cost)), s.offer.cold}
	for v, cost := range s.offer.cost {
		if rail, _ := r.wildcard(s.t.prefix(v)); rail != "" {
			cost = impossible
		}
		o.cost[v] = cost
	}
	return o
}

// explain spells a cover out.
func (s *solver) explain(c choice) Solution {
	sol := Solution{By: make([]int32, len(s.p.Needs)), Widened: s.widened, Choices: make([]Choice, 0, c.patterns)}
	wildcards := c.wildcards
	for i := 0; i < s.t.len(); {
		end, chosen := i+1, Choice{}
		if len(wildcards) > 0 && int(s.t.left[wildcards[0]]) == i {
			v := wildcards[0]
			wildcards, end = wildcards[1:], int(s.t.right[v])+1
			chosen = Choice{Pattern: s.t.wildcard(int(v)), Cold: s.census.cold[v]}
		} else {
			chosen.Pattern = freshet.Pattern(s.t.keys[i])
		}
		for _, n := range s.t.order[s.t.start[i]:s.t.start[end]] {
			sol.By[n] = int32(len(sol.Choices))
			chosen.Needs++
		}
		sol.Cold = sol.Cold.Plus(chosen.Cold)
		sol.Choices = append(sol.Choices, chosen)
		i = end
	}
	sol.Cost = s.tariff.cost(len(sol.Choices), sol.Cold)
	return sol
}

func (s *solver) everything() Estimate {
	e := Estimate{Patterns: min(1, s.t.len())}
	if s.t.len() > 0 {
		e.Cold = s.census.all
	}
	e.Cost = s.tariff.cost(e.Patterns, e.Cold)
	if rail, name := s.rails.wildcard("/"); rail != "" {
		e.Refused = &Refused{rail, "/* would remove " + name}
	}
	return e
}

// perURL is the plan of one pattern for each requirement.
func (s *solver) perURL() Estimate {
	own := make([]bool, s.t.nodes())
	for v := range own {
		own[v] = s.forcedNode(v)
	}
	e := Estimate{Patterns: s.t.len()}
	for _, v := range outermost(s.t, own) {
		e.Cold = e.Cold.Plus(s.census.cold[v])
	}
	e.Cost = s.tariff.cost(e.Patterns, e.Cold)
	return e
}

// forcedNode reports whether node v is the very wildcard that a requirement
// asks for.
func (s *solver) forcedNode(v int) bool {
	l := s.t.left[v]
	for _, i := range []int32{l, l + 1} { // an exact one of the same key comes first
		if int(i) < s.t.len() && s.t.forced[i] && len(s.t.keys[i]) == int(s.t.depth[v]) && i <= s.t.right[v] {
			return true
		}
	}
	return false
}
