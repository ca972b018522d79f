package plan

import (
	"fmt"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/inventory"
	"github.com/freshet/freshet/internal/plan/cover"
)

// costing explains what a solution costs and what else could have been done.
func (m *maker) costing(p freshet.Profile, targets []int32, problem cover.Problem, s cover.Solution) freshet.Costing {
	c := freshet.Costing{
		Distribution: p.Distribution,
		Plan:         estimate(len(s.Choices), s.Cost, s.Cold),
		PerObject:    m.perObject(targets, problem, s),
		Everything:   estimate(s.Everything.Patterns, s.Everything.Cost, s.Everything.Cold),
	}
	for _, choice := range s.Choices {
		if choice.Pattern.IsWildcard() {
			c.Plan.Wildcards++
		}
	}
	if s.PerURL.Refused == nil {
		c.PerURL = new(estimate(s.PerURL.Patterns, s.PerURL.Cost, s.PerURL.Cold))
	}
	if s.Everything.Refused != nil {
		c.Everything.Refused = s.Everything.Refused.Error()
	}
	for _, rail := range s.Dearer {
		c.KeptFrom = append(c.KeptFrom, string(rail))
	}
	if problem.Inventory == nil {
		c.Assumption = fmt.Sprintf("what it holds is not known: %d objects of %d bytes are assumed, a tenth of them below each further step of a path",
			m.terms.AssumeObjects, m.terms.AssumeBytes)
	} else {
		c.Known = new(int64(problem.Inventory.Len()))
	}
	if !s.Optimal {
		c.AtLeast = &s.LowerBound
	}
	return c
}

func estimate(patterns int, cost cover.Cost, cold inventory.Sum) freshet.Estimate {
	return freshet.Estimate{Patterns: patterns, Dollars: cost.Patterns, ColdObjects: cold.Objects, ColdBytes: cold.Bytes, Cost: cost.Total}
}

// perObject is the price of what is usually done: the path of each changed
// object, and nothing for its other URLs.
func (m *maker) perObject(targets []int32, problem cover.Problem, s cover.Solution) freshet.Estimate {
	own := make([]bool, len(m.Changes))
	seen := make([]bool, len(m.Changes))
	e := freshet.Estimate{Misses: s.PerURL.Patterns}
	for _, i := range targets {
		t := &m.Targets[i]
		c := m.changeOf[i]
		if c < 0 {
			continue
		}
		if !seen[c] {
			seen[c] = true
			e.Patterns++
		}
		if !own[c] && t.Served && t.URL == string(t.Pattern) {
			own[c] = true
			e.Misses--
		}
	}
	e.Dollars = float64(e.Patterns) * problem.Prices.Pattern
	e.Cost = e.Dollars
	return e
}
