package plan

import (
	"errors"
	"fmt"

	"github.com/freshet/freshet"
)

// Check reports whether p, which came from outside, is as Make made it: every
// pattern is one, every target is covered by its request, and the caller
// references belong to what they are for. It takes only plans of a first
// attempt.
func Check(p freshet.Plan) error {
	sums := make(map[object]freshet.Sum, len(p.Changes))
	for _, c := range p.Changes {
		sums[object{c.Origin, c.Key}] = c.Sum()
	}
	for i, inv := range p.Invalidations {
		if err := checkRequest(inv, sums); err != nil {
			return fmt.Errorf("request %d: %w", i+1, err)
		}
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
