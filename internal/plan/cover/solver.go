package cover

import (
	"fmt"

	"github.com/freshet/freshet"
)

// solver holds what all attempts at one problem share.
type solver struct {
	p       Problem
	tariff  tariff
	widened []int32
	t       *tree
	census  census
	offer   offer // without rails
	tags    *tagBook
	groups  []string // the names, sorted
}

func newSolver(p Problem) (*solver, error) {
	r, widened, err := newRequirements(p.Needs)
	if err != nil {
		return nil, err
	}
	s := &solver{p: p, tariff: newTariff(p.Prices), widened: widened, t: newTree(&r), groups: groupNames(p.Needs)}
	s.census = newCounter(p, s.t).count()
	s.offer = offer{make([]money, s.t.nodes()), make([]int64, s.t.nodes())}
	for v, cold := range s.census.cold {
		s.offer.cost[v], s.offer.cold[v] = s.tariff.pattern.plus(s.tariff.refill(cold)), cold.Objects
	}
	if p.Tags && p.Inventory != nil {
		s.tags = newTagBook(p, s.t, s.census, s.leaf(newRails(p.Rails)))
	}
	return s, nil
}

// terms are what a plan has to keep to.
type terms struct {
	rails    rails
	bounds   bounds
	requests bool // groups must fit into one request each
}

func (s *solver) terms(r Rails, l Limits) terms {
	t := terms{rails: newRails(r), bounds: noBounds}
	t.requests = len(s.groups) > 0 && (l.MaxPatternsPerRequest > 0 || l.MaxWildcardsPerRequest > 0)
	if l.MaxWildcards != nil {
		t.bounds[wildcards] = max(0, int64(*l.MaxWildcards))
	}
	if l.MaxPatterns > 0 {
		t.bounds[patterns] = int64(l.MaxPatterns)
	}
	if r.MaxCollateral != nil {
		t.bounds[coldObjects] = max(0, *r.MaxCollateral)
	}
	return t
}

// found is a cover, and how far it may be from the best.
type found struct {
	choice
	tags  []int // in the tag book, ascending
	exact bool
	lower money // no cover costs less
}

func (s *solver) solve() (Solution, error) {
	c := s.terms(s.p.Rails, s.p.Limits)
	f := s.plan(c)
	if !f.possible() {
		return Solution{}, s.refusal()
	}
	sol := s.explain(f)
	s.bundle(&sol)
	sol.Optimal, sol.LowerBound = f.exact, f.lower.dollars()
	sol.PerURL, sol.Everything = s.perURL(c), s.everything(c)
	sol.Dearer = s.dearer(f.cost)
	return sol, nil
}

// plan finds the best cover within c.
func (s *solver) plan(c terms) found {
	if s.tags == nil || len(s.tags.names) == 0 {
		return s.cover(c, nil)
	}
	return s.search(c)
}

// cover finds the best cover that uses the given tags and no others.
func (s *solver) cover(c terms, tags []int) found {
	a := attempt{offer: s.allowed(c.rails), leaf: s.leaf(c.rails), bounds: c.bounds}
	spent := s.tags.spent(s.tariff, tags)
	for d := range a.bounds {
		if used := (&state{value: spent}).dimension(d); a.bounds[d] != unbounded && used > a.bounds[d] {
			return none
		} else if a.bounds[d] != unbounded {
			a.bounds[d] -= used
		}
	}
	if len(tags) > 0 {
		a.offer, a.leaf = s.reduced(a.offer, tags), s.tags.relieved(a.leaf, tags)
	}
	f := s.within(c, a, tags)
	f.value, f.lower = f.plus(spent), f.lower.plus(spent.cost)
	return f
}

// within finds the best cover for a, groups considered.
func (s *solver) within(c terms, a attempt, tags []int) found {
	best, lower := cheapest(s.t, a)
	f := found{choice: best, tags: tags, exact: lower >= best.cost, lower: lower}
	if !c.requests || !best.possible() || s.fit(f) {
		return f
	}
	return s.together(a, f)
}

// leaf tells what each requirement costs by its exact path.
func (s *solver) leaf(r rails) func(int) value {
	price := value{cost: s.tariff.pattern, patterns: 1}
	if len(r.exact) == 0 {
		return func(i int) value {
			if s.t.forced[i] {
				return value{cost: impossible}
			}
			return price
		}
	}
	return func(i int) value {
		if s.t.forced[i] || r.exact[freshet.Pattern(s.t.keys[i])] {
			return value{cost: impossible}
		}
		return price
	}
}

// allowed is the offer without what the rails forbid.
func (s *solver) allowed(r rails) offer {
	if r.none() {
		return s.offer
	}
	o := offer{make([]money, len(s.offer.cost)), s.offer.cold}
	for v, cost := range s.offer.cost {
		if rail, _ := r.wildcard(s.t.prefix(v), s.t.asked(v)); rail != "" {
			cost = impossible
		}
		o.cost[v] = cost
	}
	return o
}

// without lists the constraints in force, each with the problem as it would be
// without it.
func (s *solver) without() (names []Rail, relaxed []terms) {
	r, l := s.p.Rails, s.p.Limits
	add := func(name Rail, r Rails, l Limits) {
		names, relaxed = append(names, name), append(relaxed, s.terms(r, l))
	}
	if len(r.Never) > 0 {
		add(Never, Rails{nil, r.Protected, r.MaxCollateral}, l)
	}
	if len(r.Protected) > 0 {
		add(Protected, Rails{r.Never, nil, r.MaxCollateral}, l)
	}
	if r.MaxCollateral != nil {
		add(MaxCollateral, Rails{r.Never, r.Protected, nil}, l)
	}
	if l.MaxWildcards != nil {
		add(MaxWildcards, r, Limits{nil, l.MaxPatterns, l.MaxPatternsPerRequest, l.MaxWildcardsPerRequest})
	}
	if l.MaxPatterns > 0 {
		add(MaxPatterns, r, Limits{l.MaxWildcards, 0, l.MaxPatternsPerRequest, l.MaxWildcardsPerRequest})
	}
	if len(s.groups) > 0 {
		add(Group, r, Limits{MaxWildcards: l.MaxWildcards, MaxPatterns: l.MaxPatterns})
	}
	return names, relaxed
}

// dearer names the constraints without which a plan would cost less than cost.
func (s *solver) dearer(cost money) (names []Rail) {
	all, relaxed := s.without()
	if len(all) == 0 || s.plan(s.terms(Rails{}, Limits{})).cost >= cost {
		return nil
	}
	for i, name := range all {
		if s.plan(relaxed[i]).cost < cost {
			names = append(names, name)
		}
	}
	if names == nil { // each of them alone would be enough to forbid it
		names = all
	}
	return names
}

// refusal says why there is no cover.
func (s *solver) refusal() *Refused {
	r := newRails(s.p.Rails)
	leaf := s.leaf(r)
	for i := range s.t.len() {
		if leaf(i).possible() {
			continue
		}
		if refused := s.refusedAlone(r, leaf, i); refused != nil {
			refused.URL = s.firstURL(i)
			refused.Reason = fmt.Sprintf("%s cannot be removed: %s", refused.URL, refused.Reason)
			return refused
		}
	}
	names, relaxed := s.without()
	for i, name := range names {
		if f := s.plan(relaxed[i]); f.possible() {
			return &Refused{Rail: name, Reason: s.reason(name, f)}
		}
	}
	if len(names) == 0 {
		return &Refused{Reason: "no plan was found"}
	}
	return &Refused{Rail: names[0], Reason: "no plan is within all rails and limits at once"}
}

// firstURL is the smallest URL of requirement i.
func (s *solver) firstURL(i int) string {
	needs := s.t.needs(i)
	url := s.p.Needs[needs[0]].URL
	for _, n := range needs {
		url = min(url, s.p.Needs[n].URL)
	}
	return url
}

// reason puts into words what the cheapest plan f without a rail has too much of.
func (s *solver) reason(name Rail, f found) string {
	switch name {
	case MaxCollateral:
		return fmt.Sprintf("every plan makes more than %d unchanged objects cold, the cheapest one %d", *s.p.Rails.MaxCollateral, f.cold)
	case MaxWildcards:
		return fmt.Sprintf("%d wildcards are allowed, the cheapest plan takes %d, and the rails leave no shorter ones", *s.p.Limits.MaxWildcards, f.wild)
	case MaxPatterns:
		return fmt.Sprintf("%d patterns are allowed, the cheapest plan takes %d", s.p.Limits.MaxPatterns, f.patterns)
	case Group:
		return fmt.Sprintf("the needs of a group do not fit into one request of %d patterns and %d wildcards", s.p.Limits.MaxPatternsPerRequest, s.p.Limits.MaxWildcardsPerRequest)
	default:
		return "what it forbids is needed to keep to the other rails and limits"
	}
}
