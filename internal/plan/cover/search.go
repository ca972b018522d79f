package cover

import (
	"cmp"
	"slices"

	"github.com/freshet/freshet"
)

// searchBudget is how much looking at nodes, requirements and entries a search
// over tags may take before it is cut short. It is counted, not timed, so that
// the same problem always has the same answer.
const searchBudget = 1 << 27

// search finds the best cover with tags, by branch and bound: each tag is either
// sent or not, and given those that are, the tree has the exact answer for the
// rest. What may still be sent is bounded from below by letting each requirement
// pay its share of the cheapest tag that could cover it.
type search struct {
	*solver
	terms terms
	offer offer // without what the rails forbid
	leaf  func(int) value
	order []int // tags, those that cover most first
	best  found
	open  money // bound of what was not looked at
	work  int
}

func (s *solver) search(c terms) found {
	x := &search{solver: s, terms: c, offer: s.allowed(c.rails), leaf: s.leaf(c.rails), order: s.usable(c.rails), open: impossible}
	x.best = none
	x.try(nil)
	x.greedy()
	x.branch(0, nil, 0)
	x.best.lower = min(x.best.cost, x.open)
	x.best.exact = x.open >= x.best.cost
	return x.withoutIdle(c, x.best)
}

// usable lists the tags that the rails allow, one of each kind, those that cover
// most first.
func (s *solver) usable(r rails) (order []int) {
	b := s.tags
	guarded := s.guarded(r)
	for t, name := range b.names {
		if r.exact[freshet.Pattern("#"+name)] {
			continue
		}
		hurts := slices.ContainsFunc(b.cold[t], func(e int32) bool { return guarded[e] })
		same := slices.ContainsFunc(order, func(o int) bool {
			return slices.Equal(b.covers[o], b.covers[t]) && slices.Equal(b.cold[o], b.cold[t])
		})
		if !hurts && !same {
			order = append(order, t)
		}
	}
	slices.SortStableFunc(order, func(t, u int) int { return cmp.Compare(len(b.covers[u]), len(b.covers[t])) })
	return order
}

// guarded says which entries lie below a protected prefix.
func (s *solver) guarded(r rails) []bool {
	on := make([]bool, len(s.tags.at))
	for _, prefix := range r.protected {
		c := s.p.Inventory.Cursor()
		c.Seek(prefix)
		low, _ := slices.BinarySearch(s.tags.at, int32(c.Index()))
		c.SeekBeyond(prefix)
		high, _ := slices.BinarySearch(s.tags.at, int32(c.Index()))
		for i := low; i < high; i++ {
			on[i] = true
		}
	}
	return on
}

// try looks at the cover with exactly these tags, which are not kept.
func (x *search) try(tags []int) bool {
	tags = slices.Sorted(slices.Values(tags))
	x.work += x.size()
	f := x.cover(x.terms, tags)
	if !f.exact {
		x.open = min(x.open, f.lower)
	}
	if !f.possible() || !f.less(x.best.value) {
		return false
	}
	x.best = f
	return true
}

func (x *search) size() int { return x.t.nodes() + x.t.len() + len(x.tags.entries) }

// greedy adds one tag after another where that helps, so that the search has
// something to beat.
func (x *search) greedy() {
	var sent []int
	for _, t := range x.order {
		if x.work < searchBudget/2 && x.try(append(sent, t)) {
			sent = append(sent, t)
		}
	}
}

// branch looks at all covers that send in, none of the other tags before
// position at of the order, and any of those after it. bound is what they cost
// at least.
func (x *search) branch(at int, in []int, bound money) {
	if at == len(x.order) {
		return
	}
	if x.work > searchBudget {
		x.open = min(x.open, bound)
		return
	}
	least := x.bound(at, in)
	if !least.less(x.best.value) {
		return
	}
	if with := append(slices.Clip(in), x.order[at]); x.helps(in, x.order[at]) {
		x.try(with)
		x.branch(at+1, with, least.cost)
	}
	x.branch(at+1, in, least.cost)
}

// helps reports whether tag t covers something that in does not.
func (x *search) helps(in []int, t int) bool {
	on := x.tags.covered(in)
	return slices.ContainsFunc(x.tags.covers[t], func(u int32) bool { return !on[u] })
}

// bound is what no cover of the branch is better than: all that its tags make
// cold is free for wildcards, and each requirement is covered by its share of a
// tag if that is cheaper than its path.
func (x *search) bound(at int, in []int) value {
	b, open := x.tags, x.order[at:]
	on := b.covered(in)
	share := x.shares(open, on)
	x.work += x.size()
	a := attempt{offer: x.reduced(x.offer, slices.Concat(in, open)), leaf: func(i int) value {
		own := x.leaf(i)
		if b.units[i] == b.units[i+1] {
			return own
		}
		tagged := value{}
		for u := b.units[i]; u < b.units[i+1]; u++ {
			if !on[u] {
				tagged.cost = tagged.cost.plus(share[u])
			}
		}
		if tagged.less(own) {
			return tagged
		}
		return own
	}}
	return best(x.t, a.offer, a.leaf).plus(b.spent(x.tariff, in))
}

// shares splits what each tag costs at least among the units that are not on.
func (x *search) shares(tags []int, on []bool) []money {
	share := make([]money, len(on))
	for u := range share {
		share[u] = impossible
	}
	for _, t := range tags {
		n := money(0)
		for _, u := range x.tags.covers[t] {
			if !on[u] {
				n++
			}
		}
		if n == 0 {
			continue
		}
		each := x.tariff.pattern.plus(x.tariff.refill(x.tags.alone[t])) / n
		for _, u := range x.tags.covers[t] {
			share[u] = min(share[u], each)
		}
	}
	return share
}

// reduced is o where what the tags make cold costs wildcards nothing.
func (s *solver) reduced(o offer, tags []int) offer {
	overlap := s.tags.overlap(tags)
	r := offer{make([]money, len(o.cost)), make([]int64, len(o.cold))}
	for v := range o.cost {
		cold := s.census.cold[v].Minus(overlap(v))
		r.cost[v], r.cold[v] = s.tariff.pattern.plus(s.tariff.refill(cold)), cold.Objects
		if o.cost[v] == impossible {
			r.cost[v] = impossible
		}
	}
	return r
}

// withoutIdle drops tags that serve no need, as a search that was cut short may
// have left them.
func (x *search) withoutIdle(c terms, f found) found {
	if len(f.tags) == 0 || f.exact {
		return f
	}
	sol := x.explain(f)
	busy := f.tags[:0:0]
	for k, t := range f.tags {
		if sol.Choices[k].Needs > 0 {
			busy = append(busy, t)
		}
	}
	if len(busy) == len(f.tags) {
		return f
	}
	g := x.cover(c, busy)
	g.exact, g.lower = false, f.lower
	return g
}
