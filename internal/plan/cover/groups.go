package cover

import (
	"maps"
	"slices"
)

func groupNames(needs []Need) []string {
	names := make(map[string]bool)
	for i := range needs {
		if g := needs[i].Group; g != "" {
			names[g] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// union joins groups that share a pattern: those have to leave by one request.
type union map[string]string

func (u union) root(g string) string {
	for u[g] != "" {
		g = u[g]
	}
	return g
}

func (u union) join(a, b string) {
	if a, b = u.root(a), u.root(b); a != b {
		u[max(a, b)] = min(a, b)
	}
}

// bundles returns for each of n choices the group whose request it is in; "" for
// those that are in nobody's. by is the choice of each need.
func (s *solver) bundles(by []int32, n int) []string {
	of := make([]string, n)
	joined := make(union)
	for i := range s.p.Needs {
		g := s.p.Needs[i].Group
		if c := by[i]; g != "" && of[c] == "" {
			of[c] = g
		} else if g != "" {
			joined.join(of[c], g)
		}
	}
	for i, g := range of {
		if g != "" {
			of[i] = joined.root(g)
		}
	}
	return of
}

// bundle numbers the bundles in the order of their first choices.
func (s *solver) bundle(sol *Solution) {
	if len(s.groups) == 0 {
		return
	}
	numbers := make(map[string]int)
	for i, g := range s.bundles(sol.By, len(sol.Choices)) {
		if g == "" {
			continue
		}
		if numbers[g] == 0 {
			numbers[g] = len(numbers) + 1
		}
		sol.Choices[i].Bundle = numbers[g]
	}
}

// fit reports whether each group fits into one request.
func (s *solver) fit(f found) bool {
	sol := s.explain(f)
	return s.fits(sol.By, len(sol.Choices), func(c int) bool { return sol.Choices[c].Pattern.IsWildcard() })
}

func (s *solver) fits(by []int32, n int, wild func(choice int) bool) bool {
	type size struct{ patterns, wildcards int }
	sizes := make(map[string]size)
	for c, g := range s.bundles(by, n) {
		if g == "" {
			continue
		}
		n := sizes[g]
		n.patterns++
		if wild(c) {
			n.wildcards++
		}
		if sizes[g] = n; over(n.patterns, s.p.Limits.MaxPatternsPerRequest) || over(n.wildcards, s.p.Limits.MaxWildcardsPerRequest) {
			return false
		}
	}
	return true
}

func over(n, limit int) bool { return limit > 0 && n > limit }

// none is no cover at all.
var none = found{choice: choice{value: value{cost: impossible}}, exact: true, lower: impossible}

// together finds a cover in which groups fit into their requests, after the best
// cover without that rule did not. With one group it is the best one. With more,
// it is one that binds a single group and turns out to fit all, which is the best
// as well, or the cheapest of a few: one request for all groups; one for each,
// apart from everything else; the wildcard over all needs; and the pattern of
// each need.
func (s *solver) together(a attempt, free found) found {
	certain := free.exact && len(free.tags) == 0 // a tag may be counted for more groups than it serves
	for _, g := range s.groups {
		f := s.bind(a, free.tags, g)
		if f.exact && certain && !f.possible() {
			return none
		}
		if f.exact && certain && f.possible() && s.fit(f) {
			f.lower = f.cost
			return f
		}
	}
	best := none
	own := s.own(a)
	own.tags = free.tags
	for _, f := range []found{s.bind(a, free.tags, s.groups...), s.apart(a, free.tags), s.top(a, free.tags), own} {
		if f.possible() && a.within(s.t, f.choice) && s.fit(f) && f.less(best.value) {
			best = f
		}
	}
	best.exact, best.lower = false, free.lower
	return best
}

// bind finds the best cover in which the named groups fit into one request.
func (s *solver) bind(a attempt, tags []int, groups ...string) found {
	member := named(groups)
	a.group = s.membersOf(member)
	limits := s.p.Limits
	used := s.tags.touching(s.p.Needs, tags, member)
	if limits.MaxPatternsPerRequest > 0 {
		a.bounds[groupPatterns] = max(0, int64(limits.MaxPatternsPerRequest-used))
	}
	if limits.MaxWildcardsPerRequest > 0 {
		a.bounds[groupWildcards] = int64(limits.MaxWildcardsPerRequest)
	}
	best, lower := cheapest(s.t, a)
	return found{choice: best, tags: tags, exact: lower >= best.cost, lower: lower}
}

func named(groups []string) map[string]bool {
	names := make(map[string]bool, len(groups))
	for _, g := range groups {
		names[g] = true
	}
	return names
}

// membersOf counts for each requirement those before it with a need in one of
// the groups.
func (s *solver) membersOf(groups map[string]bool) []int32 {
	before := make([]int32, s.t.len()+1)
	for i := range s.t.len() {
		before[i+1] = before[i]
		for _, n := range s.t.needs(i) {
			if groups[s.p.Needs[n].Group] {
				before[i+1]++
				break
			}
		}
	}
	return before
}
