// Package cover finds the cheapest set of invalidation patterns that removes
// given URLs from the cache of one distribution: exact paths, wildcards and
// cache tags. It weighs what each pattern costs against what refilling the cache
// costs after a wildcard or a tag has removed more than had changed. The answer
// is the best there is, not the best that was found, and says so when it is not.
//
// Of answers that cost the same it takes the one that makes fewer objects cold,
// then the one with fewer wildcards, then the one with fewer patterns, then the
// longer wildcards. The order of the needs makes no difference.
package cover

import (
	"fmt"
	"math"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/inventory"
)

// Need is one URL that has to leave the cache.
type Need struct {
	URL     string          // canonical path, with the query string where it is in the cache key
	Pattern freshet.Pattern // removes URL: URL itself, or a wildcard where URL has no exact pattern
	Group   string          // the needs of one group leave the cache by one request; "" is no group
}

// Prices are in US dollars. Anything below a picodollar is rounded.
type Prices struct {
	Pattern      float64 // for each pattern
	RefillObject float64 // for each object that is fetched again without having changed
	RefillByte   float64 // for each of its bytes
}

// Limits bound a plan. Zero is no limit, but of MaxWildcards.
type Limits struct {
	MaxWildcards           *int // in the whole plan; nil for any number
	MaxPatterns            int  // in the whole plan, wildcards and tags among them
	MaxPatternsPerRequest  int  // for one group
	MaxWildcardsPerRequest int  // for one group
}

// Rails are what no plan may do, whatever it would save.
type Rails struct {
	// Never holds patterns that are not sent, and neither is a wildcard that
	// removes all that one of them does: who never sends /docs/* does not mean to
	// send /doc* instead.
	Never []freshet.Pattern
	// Protected holds path prefixes below which nothing goes cold that has not
	// changed. No wildcard reaches below them but a need's own of the query strings
	// of one path, and no tag that takes an unchanged object from there.
	Protected []string
	// MaxCollateral is how many objects the whole plan may make cold that have not
	// changed; nil for any number.
	MaxCollateral *int64
}

// Assumption stands in for an inventory that is not known. A wildcard is taken
// to remove ColdPerURL unchanged objects for each needed URL, and of those of
// the whole site a tenth for each step that its prefix goes down: a step is a
// folder's name or the beginning of a name, so that /* removes all of Site, /d*
// a tenth, /docs/* a hundredth and /docs/p* a thousandth. A need's own
// pattern for the query strings of one path, such as /docs/?*, removes none.
type Assumption struct {
	Site           int64 // objects
	ColdPerURL     int64
	BytesPerObject int64
}

// Problem is what Solve is asked.
type Problem struct {
	Needs      []Need
	Inventory  *inventory.Inventory // nil when not known
	Prices     Prices
	Limits     Limits
	Rails      Rails
	Assumption Assumption // without an inventory
	Tags       bool       // the CDN understands cache tags; they are used where the inventory knows them
	// Sure returns the tags, in lower case, that every cached copy of a need
	// carries, given by its place; nil: those of the inventory. Otherwise what the
	// inventory has may be made cold by a tag, and is not relied upon.
	Sure func(need int) []string
}

// Choice is one pattern of a solution.
type Choice struct {
	Pattern freshet.Pattern
	Needs   int // how many it is there for
	// Cold is what it makes cold that no need named. What several choices make
	// cold is counted at the first of them, so that the choices add up.
	Cold inventory.Sum
	// Bundle numbers the choices that must go into one request, from 1; 0 for
	// those that may go anywhere.
	Bundle int
}

// Cost is in US dollars.
type Cost struct {
	Patterns float64
	Refill   float64
	Total    float64
}

// Estimate is what a plan that was not chosen would have been.
type Estimate struct {
	Patterns int
	Cost     Cost
	Cold     inventory.Sum
	Refused  *Refused // why it could not have been sent at all; nil when it could
}

// Solution is the cheapest cover.
type Solution struct {
	Choices []Choice // sorted by pattern
	By      []int32  // for each need the position of its choice
	Order   []int32  // the needs, sorted by pattern; those of equal patterns in no particular order
	Cost    Cost
	Cold    inventory.Sum
	// Optimal says that there is no cheaper plan. It is false only when a search
	// was cut short; a plan then costs LowerBound dollars at least.
	Optimal    bool
	LowerBound float64
	PerURL     Estimate // every need by its own pattern
	Everything Estimate // /*
	// Dearer names the rails without which the plan would have cost less.
	Dearer []Rail
	// Widened lists the needs, ascending, whose pattern CloudFront does not take,
	// being too long or misspelt. The longest wildcard before the fault stands in.
	Widened []int32
}

// Rail names a constraint, as configurations spell it.
type Rail string

// The rails and limits that can refuse a plan.
const (
	Never         Rail = "never"
	Protected     Rail = "protected"
	MaxCollateral Rail = "max_collateral"
	MaxWildcards  Rail = "max_wildcards"
	MaxPatterns   Rail = "max_patterns"
	Group         Rail = "group"
)

// Refused says that no plan keeps to the rails.
type Refused struct {
	Rail   Rail
	Reason string
	URL    string // of a need that cannot be met by itself; empty where several together are too much
}

func (r *Refused) Error() string { return fmt.Sprintf("%s: %s", r.Rail, r.Reason) }

// Solve returns the cheapest cover of p.Needs. The error is a *Refused when the
// rails and limits leave none, and another one when p makes no sense. It neither
// keeps nor changes what p points to.
func Solve(p Problem) (Solution, error) {
	if err := check(p); err != nil {
		return Solution{}, err
	}
	s, err := newSolver(p)
	if err != nil {
		return Solution{}, err
	}
	return s.solve()
}

func check(p Problem) error {
	for name, price := range map[string]float64{"pattern": p.Prices.Pattern, "refilled object": p.Prices.RefillObject, "refilled byte": p.Prices.RefillByte} {
		if price < 0 || math.IsNaN(price) {
			return fmt.Errorf("the price of a %s is %v, it must be 0 or more", name, price)
		}
	}
	if p.Assumption.ColdPerURL < 0 || p.Assumption.BytesPerObject < 0 || p.Assumption.Site < 0 {
		return fmt.Errorf("the assumption %+v must not be negative", p.Assumption)
	}
	if len(p.Needs) > math.MaxInt32/2 {
		return fmt.Errorf("%d needs are more than one plan can hold", len(p.Needs))
	}
	return nil
}
