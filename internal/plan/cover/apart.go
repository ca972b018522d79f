package cover

import (
	"cmp"
	"maps"
	"slices"
)

// top is the cover by the wildcard over all needs.
func (s *solver) top(a attempt, tags []int) found {
	v := s.t.nodes() - 1
	if v < 0 || int(s.t.right[v]-s.t.left[v])+1 != s.t.len() {
		return none
	}
	c := choice{value: a.offer.value(v), wildcards: []int32{int32(v)}}
	if !c.possible() || !a.within(s.t, c) {
		return none
	}
	return found{choice: c, tags: tags}
}

// apart covers each group by itself, and what is in no group without touching
// any. Groups whose covers meet are joined and covered again.
func (s *solver) apart(a attempt, tags []int) found {
	for joined := make(union); ; {
		covers, met := s.oneByOne(a, tags, joined)
		if covers == nil {
			return none
		}
		if !met {
			return s.rest(a, tags, covers)
		}
	}
}

// oneByOne covers each of the joined groups; met is true when some had to be
// joined further. nil means that one of them cannot be covered.
func (s *solver) oneByOne(a attempt, tags []int, joined union) (covers []found, met bool) {
	members := make(map[string][]string)
	for _, g := range s.groups {
		root := joined.root(g)
		members[root] = append(members[root], g)
	}
	owner := make([]string, s.t.len())
	for _, root := range slices.Sorted(maps.Keys(members)) {
		before := s.membersOf(named(members[root]))
		f := s.bind(alone(a, before), tags, members[root]...)
		if !f.possible() {
			return nil, false
		}
		covers = append(covers, f)
		for i, taken := range s.takenBy(f, before) {
			if taken {
				met = s.claim(i, root, owner, joined) || met
			}
		}
	}
	return covers, met
}

// claim notes that requirement i is covered for the group root, and joins it
// with those that have to do with i already; true when there were some.
func (s *solver) claim(i int, root string, owner []string, joined union) (met bool) {
	others := []string{owner[i]}
	for _, n := range s.t.needs(i) {
		others = append(others, s.p.Needs[n].Group)
	}
	for _, g := range others {
		if g != "" && joined.root(g) != joined.root(root) {
			joined.join(g, root)
			met = true
		}
	}
	owner[i] = root
	return met
}

// alone is a with nothing to cover but the members that before counts.
func alone(a attempt, before []int32) attempt {
	leaf := a.leaf
	a.leaf = func(i int) value {
		if before[i+1] == before[i] {
			return value{}
		}
		return leaf(i)
	}
	return a
}

// takenBy says of each requirement whether it is one of the members that before
// counts or below a wildcard of f.
func (s *solver) takenBy(f found, before []int32) []bool {
	taken := make([]bool, s.t.len())
	for i := range taken {
		taken[i] = before[i+1] > before[i]
	}
	for _, v := range f.wildcards {
		for i := s.t.left[v]; i <= s.t.right[v]; i++ {
			taken[i] = true
		}
	}
	return taken
}

// rest adds to the covers of all groups that of the needs in none. Its wildcards
// reach over nothing that the groups' patterns reach.
func (s *solver) rest(a attempt, tags []int, covers []found) found {
	whole := found{tags: tags}
	for _, f := range covers {
		whole.value = whole.plus(f.value)
		whole.wildcards = append(whole.wildcards, f.wildcards...)
	}
	settled := make([]int32, s.t.len()+1)
	for i, taken := range s.takenBy(whole, s.membersOf(named(s.groups))) {
		settled[i+1] = settled[i]
		if taken {
			settled[i+1]++
		}
	}
	for d, used := range [...]int64{int64(whole.wild), int64(whole.patterns), whole.cold} {
		if a.bounds[d] != unbounded {
			if a.bounds[d] -= used; a.bounds[d] < 0 {
				return none
			}
		}
	}
	others, _ := cheapest(s.t, besides(a, s.t, settled))
	whole.value = whole.plus(others.value)
	whole.wildcards = append(whole.wildcards, others.wildcards...)
	slices.SortFunc(whole.wildcards, func(v, w int32) int { return cmp.Compare(s.t.left[v], s.t.left[w]) })
	return whole
}

// besides is a with nothing to cover but what is not settled, and with no
// wildcard over anything that is.
func besides(a attempt, t *tree, settled []int32) attempt {
	leaf, o := a.leaf, offer{slices.Clone(a.offer.cost), a.offer.cold}
	for v := range o.cost {
		if settled[t.right[v]+1] > settled[t.left[v]] {
			o.cost[v] = impossible
		}
	}
	a.offer = o
	a.leaf = func(i int) value {
		if settled[i+1] > settled[i] {
			return value{}
		}
		return leaf(i)
	}
	return a
}
