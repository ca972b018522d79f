package plan

import (
	"cmp"
	"slices"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/plan/cover"
)

// requests splits the patterns of one distribution into requests within its
// limits: what belongs to a consistency group stays together; the other exact
// paths and tags come before the wildcards, which CloudFront counts separately
// and more slowly.
func (m *maker) requests(p freshet.Profile, targets []int32, s cover.Solution) []freshet.Invalidation {
	covered := m.byChoice(targets, s)
	var all []freshet.Invalidation
	for _, choices := range m.split(p, s.Choices) {
		all = append(all, m.request(p, s, covered, choices))
	}
	return all
}

// split returns which choices go into one request each, by their places, in
// ascending order.
func (m *maker) split(p freshet.Profile, choices []cover.Choice) [][]int {
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
	if room := p.MaxPatterns - len(exact); m.Live && len(exact) > 0 && len(wild) > 0 && (p.MaxPatterns <= 0 || room > 0) {
		n := len(wild)
		if p.MaxWildcards > 0 {
			n = min(n, p.MaxWildcards)
		}
		if p.MaxPatterns > 0 {
			n = min(n, room)
		}
		exact, wild = slices.Sorted(slices.Values(slices.Concat(exact, wild[:n]))), wild[n:]
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

// byChoice lists the targets that each choice covers, sorted by URL, origin and
// key.
func (m *maker) byChoice(targets []int32, s cover.Solution) [][]int32 {
	ends := make([]int, len(s.Choices))
	for _, c := range s.By {
		ends[c]++
	}
	sum := 0
	for i, n := range ends {
		sum += n
		ends[i] = sum
	}
	all := make([]int32, len(targets))
	covered := make([][]int32, len(s.Choices))
	for i := len(targets) - 1; i >= 0; i-- {
		c := s.By[i]
		ends[c]--
		all[ends[c]] = targets[i]
	}
	for i, begin := range ends {
		end := len(all)
		if i+1 < len(ends) {
			end = ends[i+1]
		}
		covered[i] = all[begin:end]
		m.sort(covered[i])
	}
	return covered
}

// sort orders targets that come almost sorted: by pattern.
func (m *maker) sort(targets []int32) {
	less := func(i, j int32) int {
		a, b := &m.Targets[i], &m.Targets[j]
		return cmp.Or(cmp.Compare(a.URL, b.URL), cmp.Compare(a.Origin, b.Origin), cmp.Compare(a.Key, b.Key), cmp.Compare(a.Reason, b.Reason))
	}
	if !slices.IsSortedFunc(targets, less) {
		slices.SortFunc(targets, less)
	}
}

// request makes one request of some choices.
func (m *maker) request(p freshet.Profile, s cover.Solution, covered [][]int32, choices []int) freshet.Invalidation {
	inv := freshet.Invalidation{Distribution: p.Distribution, Patterns: make([]freshet.Pattern, 0, len(choices))}
	n := 0
	for _, i := range choices {
		n += len(covered[i])
	}
	list := make([]int32, 0, n)
	for _, i := range choices {
		c := s.Choices[i]
		inv.Patterns = append(inv.Patterns, c.Pattern)
		list = append(list, covered[i]...)
		if c.Pattern.IsWildcard() || c.Pattern.IsTag() {
			inv.Effects = append(inv.Effects, freshet.Effect{Pattern: c.Pattern, Targets: c.Needs, ColdObjects: c.Cold.Objects, ColdBytes: c.Cold.Bytes})
		}
	}
	m.sort(list)
	inv.Targets = make([]freshet.Target, len(list))
	sums := make([]freshet.Sum, 0, len(list))
	for i, t := range list {
		inv.Targets[i] = m.Targets[t]
		if c, ok := m.index[object{inv.Targets[i].Origin, inv.Targets[i].Key}]; ok {
			sums = append(sums, m.sums[c])
		}
	}
	inv.CallerReference = freshet.CallerReferenceOf(p.Distribution, sums, inv.Patterns, m.Attempt)
	return inv
}
