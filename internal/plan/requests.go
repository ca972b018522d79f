package plan

import (
	"cmp"
	"slices"
	"strings"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/plan/cover"
)

// requests splits the patterns of one distribution into requests within its
// limits: what belongs to a consistency group stays together; the other exact
// paths and tags come before the wildcards, which CloudFront counts separately
// and more slowly.
func (m *maker) requests(p freshet.Profile, targets []int32, s cover.Solution) []freshet.Invalidation {
	a := m.allot(targets, s)
	var all []freshet.Invalidation
	for _, choices := range split(p, s.Choices) {
		all = append(all, m.request(p, s, a, choices))
	}
	return all
}

// split returns which choices go into one request each, by their places, in
// ascending order.
func split(p freshet.Profile, choices []cover.Choice) [][]int {
	bundles := make(map[int][]int)
	var order []int
	var exact, wild []int
	for i, c := range choices {
		switch {
		case c.Bundle != 0:
			if bundles[c.Bundle] == nil {
				order = append(order, c.Bundle)
			}
			bundles[c.Bundle] = append(bundles[c.Bundle], i)
		case c.Pattern.IsWildcard():
			wild = append(wild, i)
		default:
			exact = append(exact, i)
		}
	}
	var all [][]int
	for _, b := range order {
		all = append(all, bundles[b])
	}
	return slices.Concat(all, chunk(exact, p.MaxPatterns), chunk(wild, p.MaxWildcards))
}

func chunk(list []int, limit int) [][]int {
	if len(list) == 0 {
		return nil
	}
	if limit <= 0 {
		limit = len(list)
	}
	return slices.Collect(slices.Chunk(list, limit))
}

// allotment is which targets each choice covers: those of choice i, sorted by
// URL, origin and key, stand at list[begin[i]:begin[i+1]], by their places in
// the input.
type allotment struct {
	list  []int32
	begin []int32
}

func (a allotment) of(choice int) []int32 { return a.list[a.begin[choice]:a.begin[choice+1]] }

func (m *maker) allot(targets []int32, s cover.Solution) allotment {
	a := allotment{list: make([]int32, len(targets)), begin: make([]int32, len(s.Choices)+1)}
	for _, c := range s.By {
		a.begin[c+1]++
	}
	for i := range s.Choices {
		a.begin[i+1] += a.begin[i]
	}
	next := slices.Clone(a.begin)
	for _, i := range s.Order {
		c := s.By[i]
		a.list[next[c]] = targets[i]
		next[c]++
	}
	for i := range s.Choices {
		m.sort(a.of(i))
	}
	return a
}

// sort orders targets by URL, origin and key.
func (m *maker) sort(targets []int32) {
	if len(targets) < 2 || slices.IsSortedFunc(targets, m.compare) {
		return
	}
	slices.SortFunc(targets, m.compare)
}

func (m *maker) compare(i, j int32) int {
	a, b := &m.Targets[i], &m.Targets[j]
	if c := strings.Compare(a.URL, b.URL); c != 0 {
		return c
	}
	return cmp.Or(strings.Compare(a.Origin, b.Origin), strings.Compare(a.Key, b.Key), strings.Compare(a.Reason, b.Reason))
}

// request makes one request of some choices.
func (m *maker) request(p freshet.Profile, s cover.Solution, a allotment, choices []int) freshet.Invalidation {
	inv := freshet.Invalidation{Distribution: p.Distribution, Patterns: make([]freshet.Pattern, 0, len(choices))}
	n := 0
	for _, i := range choices {
		n += len(a.of(i))
	}
	list := make([]int32, 0, n)
	for _, i := range choices {
		c := s.Choices[i]
		inv.Patterns = append(inv.Patterns, c.Pattern)
		list = append(list, a.of(i)...)
		if c.Pattern.IsWildcard() || c.Pattern.IsTag() {
			inv.Effects = append(inv.Effects, freshet.Effect{Pattern: c.Pattern, Targets: c.Needs, ColdObjects: c.Cold.Objects, ColdBytes: c.Cold.Bytes})
		}
	}
	m.sort(list)
	inv.Targets = m.targets(list)
	sums := make([]freshet.Sum, 0, len(list))
	for _, t := range list {
		if c := m.changeOf[t]; c >= 0 {
			sums = append(sums, m.sums[c])
		}
	}
	inv.CallerReference = freshet.CallerReferenceOf(p.Distribution, sums, inv.Patterns, m.Attempt)
	return inv
}

// targets returns the targets at some places of the input: a part of it where
// they stand together.
func (m *maker) targets(list []int32) []freshet.Target {
	first := int(list[0])
	if together := func() bool {
		for i, t := range list {
			if int(t) != first+i {
				return false
			}
		}
		return true
	}(); together {
		return m.Targets[first : first+len(list) : first+len(list)]
	}
	chosen := make([]freshet.Target, len(list))
	for i, t := range list {
		chosen[i] = m.Targets[t]
	}
	return chosen
}
