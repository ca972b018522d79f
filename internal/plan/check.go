package plan

import (
	"errors"
	"fmt"
	"slices"

	"github.com/freshet/freshet"
)

// Check reports whether p, which came from outside, does what the plan did that
// Make made: every pattern is one, every target is covered by its request, the
// caller references belong to what they are for, and the ID to all requests and
// changes. It takes only plans of a first attempt, and does not look at what a
// plan only tells: reasons, effects and costs.
func Check(p freshet.Plan) error {
	sums := make([]freshet.Sum, len(p.Changes))
	ofObject := make(map[object]freshet.Sum, len(p.Changes))
	for i, c := range p.Changes {
		sums[i] = c.Sum()
		ofObject[object{c.Origin, c.Key}] = sums[i]
	}
	for i, inv := range p.Invalidations {
		if err := checkRequest(inv, ofObject); err != nil {
			return fmt.Errorf("request %d: %w", i+1, err)
		}
	}
	if p.ID != identify(p, sums) {
		return fmt.Errorf("the ID %s does not belong to its requests and changes", p.ID)
	}
	return nil
}

func checkRequest(inv freshet.Invalidation, sums map[object]freshet.Sum) error {
	if inv.Distribution == "" || len(inv.Patterns) == 0 {
		return errors.New("a distribution and patterns are needed")
	}
	for _, pattern := range inv.Patterns {
		if _, err := freshet.ParsePattern(string(pattern)); err != nil {
			return err
		}
	}
	if !slices.IsSorted(inv.Patterns) || len(slices.Compact(slices.Clone(inv.Patterns))) != len(inv.Patterns) {
		return errors.New("its patterns are not in order, or one is there twice")
	}
	covering := inv.Covering()
	var changes []freshet.Sum
	for _, t := range inv.Targets {
		if covering(t) == "" {
			return fmt.Errorf("no pattern covers %s", t.URL)
		}
		if sum, ok := sums[object{t.Origin, t.Key}]; ok {
			changes = append(changes, sum)
		}
	}
	if inv.CallerReference != freshet.CallerReferenceOf(inv.Distribution, changes, inv.Patterns, 0) {
		return fmt.Errorf("the caller reference %s does not belong to its patterns and changes", inv.CallerReference)
	}
	return nil
}
