package cover

import (
	"cmp"
	"slices"
)

// What a plan can be bounded by.
const (
	wildcards = iota
	patterns
	coldObjects
	groupWildcards // those that cover a need of the group
	groupPatterns
	dimensions
)

const unbounded = -1

// bounds holds the most that is allowed of each dimension, or unbounded.
type bounds [dimensions]int64

var noBounds = bounds{unbounded, unbounded, unbounded, unbounded, unbounded}

// attempt is one question to the tree.
type attempt struct {
	offer  offer
	leaf   func(int) value
	bounds bounds
	group  []int32 // how many requirements of the group come before each one; nil without a group
}

// cheapest returns the best cover within the bounds, which is not possible when
// there is none, and what no such cover costs less than. The two costs differ
// only when the search was cut short.
func cheapest(t *tree, a attempt) (c choice, lower money) {
	c = best(t, a.offer, a.leaf)
	if !c.possible() || a.bounds == noBounds || a.within(t, c) {
		return c, c.cost
	}
	f := newFronts(t, a)
	h := newHaggler(t, a, f.active)
	h.lower = c.cost
	h.haggle()
	f.prospects = h.prospects()
	c = f.solve()
	if f.exact {
		return c, c.cost
	}
	if h.known.less(c.value) {
		c = h.known
	}
	return c, min(h.lower, c.cost)
}

// within reports whether c keeps to the bounds.
func (a attempt) within(t *tree, c choice) bool {
	s := state{value: c.value}
	if a.group != nil {
		s.group = a.groupOf(t, c)
	}
	return s.within(a.bounds)
}

// groupOf counts the wildcards and patterns of c that the group's needs take.
func (a attempt) groupOf(t *tree, c choice) (n [2]int32) {
	n[1] = a.group[t.len()]
	for _, v := range c.wildcards {
		if members := a.members(t.left[v], t.right[v]); members > 0 {
			n[0]++
			n[1] -= members - 1
		}
	}
	return n
}

// members counts the group's requirements among left to right.
func (a attempt) members(left, right int32) int32 {
	if a.group == nil {
		return 0
	}
	return a.group[right+1] - a.group[left]
}

// state is one way to cover a part of the tree. It was made of the states one
// and two, which are none, or of a wildcard, when negative.
type state struct {
	value
	group    [2]int32 // wildcards and patterns for the group
	one, two int32
}

const (
	nothing       = -1
	firstWildcard = -2 // of node 0; the others go down from here
)

func (s *state) dimension(d int) int64 {
	switch d {
	case wildcards:
		return int64(s.wild)
	case patterns:
		return int64(s.patterns)
	case coldObjects:
		return s.cold
	default:
		return int64(s.group[d-groupWildcards])
	}
}

func (s *state) within(b bounds) bool {
	for d, most := range b {
		if most != unbounded && s.dimension(d) > most {
			return false
		}
	}
	return s.possible()
}

func (s state) with(t state) state {
	return state{value: s.plus(t.value), group: [2]int32{s.group[0] + t.group[0], s.group[1] + t.group[1]}, one: nothing, two: nothing}
}

// How much is looked at before the search is cut short. Work is counted, not
// timed, so that the same problem always has the same answer.
const (
	widest     = 1 << 10 // states of a front with several dimensions
	widestLine = 1 << 16 // states of a front with one
	workBudget = 1 << 25 // pairs of states
	narrow     = 16      // states of a front once the budget is used up
)

// fronts finds the best cover within bounds: for each node the states that
// nothing beats in all bounded dimensions at once, from those of the nodes below
// it, as one fills a knapsack.
type fronts struct {
	attempt
	t      *tree
	active []int // bounded dimensions
	*prospects
	states []state
	stack  []stretch
	exact  bool
	work   int
	table  []state // by the one active dimension
	pairs  []state
}

// stretch is a finished part of the tree. Most parts have one state only, base,
// with nothing to choose; then from and to are equal.
type stretch struct {
	left, right int32
	base        state
	from, to    int32
	least       money // with tolls
}

func newFronts(t *tree, a attempt) *fronts {
	f := &fronts{attempt: a, t: t, exact: true}
	for d, most := range a.bounds {
		if most != unbounded {
			f.active = append(f.active, d)
		}
	}
	return f
}

func (f *fronts) solve() choice {
	for v := range f.t.nodes() {
		below := f.gather(f.t.left[v], f.t.right[v], v)
		f.stack = append(f.stack, f.withWildcard(v, below))
	}
	whole := f.gather(0, int32(f.t.len()-1), nothing)
	if whole.from == whole.to {
		if !whole.base.within(f.bounds) {
			whole.base.cost = impossible
		}
		return choice{value: whole.base.value}
	}
	chosen := whole.from
	for i := whole.from; i < whole.to; i++ {
		if f.states[i].less(f.states[chosen].value) {
			chosen = i
		}
	}
	return choice{value: f.states[chosen].value, wildcards: f.unfold(chosen)}
}

// unfold lists the wildcards that a state was made of, in order.
func (f *fronts) unfold(chosen int32) (nodes []int32) {
	for todo := []int32{chosen}; len(todo) > 0; {
		i := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		switch {
		case i <= firstWildcard:
			nodes = append(nodes, firstWildcard-i)
		case i >= 0:
			todo = append(todo, f.states[i].one, f.states[i].two)
		}
	}
	slices.SortFunc(nodes, func(v, w int32) int { return cmp.Compare(f.t.left[v], f.t.left[w]) })
	return nodes
}

// gather combines the finished stretches and the requirements from left to
// right, which is all that is below node v or, if that is nothing, all there is.
func (f *fronts) gather(left, right int32, v int) stretch {
	whole := stretch{left: left, right: right, base: state{one: nothing, two: nothing}}
	var open []stretch
	next := right
	for len(f.stack) > 0 && f.stack[len(f.stack)-1].left >= left {
		top := f.stack[len(f.stack)-1]
		f.stack = f.stack[:len(f.stack)-1]
		f.addLeaves(&whole.base, top.right+1, next)
		next = top.left - 1
		if top.from == top.to {
			whole.base = whole.base.with(top.base)
		} else {
			open = append(open, top)
		}
	}
	f.addLeaves(&whole.base, left, next)
	if len(open) == 0 || !whole.base.within(f.bounds) {
		return whole
	}
	slack := f.slackOf(v)
	for len(open) > 1 { // in rounds of two, so that large fronts meet large ones
		half := open[:0]
		for i := 0; i+1 < len(open); i += 2 {
			half = append(half, f.combine(open[i], open[i+1], slack))
		}
		if len(open)%2 == 1 {
			half = append(half, open[len(open)-1])
		}
		open = half
	}
	return f.shift(whole, open[0])
}

func (f *fronts) addLeaves(sum *state, left, right int32) {
	for i := left; i <= right; i++ {
		*sum = sum.with(leafState(f.attempt, int(i)))
	}
}

// shift adds whole's base to the states of front. They are nobody else's.
func (f *fronts) shift(whole, front stretch) stretch {
	kept := front.from
	for i := front.from; i < front.to; i++ {
		s := f.states[i].with(whole.base)
		s.one, s.two = f.states[i].one, f.states[i].two
		if s.within(f.bounds) {
			f.states[kept] = s
			kept++
		}
	}
	whole.from, whole.to = front.from, kept
	if kept == front.from {
		whole.base.cost = impossible
	}
	return whole
}

// withWildcard adds node v's own wildcard to what there is below it.
func (f *fronts) withWildcard(v int, below stretch) stretch {
	if f.prospects != nil {
		below.least = f.least[v]
	}
	w := wildcardState(f.attempt, f.t, v)
	single := below.from == below.to
	if single && below.base.within(f.bounds) && f.beats(&below.base, &w) {
		return below
	}
	if !w.within(f.bounds) || !f.worth(&w, v) {
		return f.weed(below, v)
	}
	for i := below.from; i < below.to; i++ {
		if f.beats(&f.states[i], &w) {
			return f.weed(below, v)
		}
	}
	f.pairs = append(f.pairs[:0], w)
	if single && below.base.within(f.bounds) {
		f.pairs = append(f.pairs, below.base)
	}
	f.pairs = append(f.pairs, f.states[below.from:below.to]...)
	kept := f.keep(f.pairs)
	below.from, below.to = kept.from, kept.to
	return f.weed(below, v)
}

// weed drops the states of node v's front that lead nowhere.
func (f *fronts) weed(front stretch, v int) stretch {
	if front.from == front.to {
		return front
	}
	kept := front.from
	for i := front.from; i < front.to; i++ {
		if f.worth(&f.states[i], v) {
			f.states[kept] = f.states[i]
			kept++
		}
	}
	if front.to = kept; kept == front.from {
		front.base.cost = impossible
	}
	return front
}

// slackOf is how far states of a part of what is below node v may be above the
// least that it costs; impossible for any distance.
func (f *fronts) slackOf(v int) money {
	if f.prospects == nil || v == nothing {
		return impossible
	}
	return f.slack(v)
}

// beats reports whether there is never a reason to take t rather than s.
func (f *fronts) beats(s, t *state) bool {
	if t.less(s.value) {
		return false
	}
	for _, d := range f.active {
		if s.dimension(d) > t.dimension(d) {
			return false
		}
	}
	return true
}

// keep makes a stretch of the states that no other beats, by value.
func (f *fronts) keep(all []state) stretch {
	slices.SortFunc(all, func(s, t state) int {
		return cmp.Or(s.compare(t.value), slices.Compare(s.group[:], t.group[:]), cmp.Compare(s.one, t.one), cmp.Compare(s.two, t.two))
	})
	f.work += 4 * len(all)
	from := int32(len(f.states))
	for i := range all {
		if !f.beaten(from, &all[i]) {
			f.states = append(f.states, all[i])
		}
	}
	return f.fresh(from)
}

// beaten reports whether one of the states from on, none of which costs more,
// beats s. With one dimension the last one is the best in it.
func (f *fronts) beaten(from int32, s *state) bool {
	if n := len(f.states); len(f.active) == 1 {
		return n > int(from) && f.beats(&f.states[n-1], s)
	}
	f.work += (len(f.states) - int(from)) / 8
	for i := from; int(i) < len(f.states); i++ {
		if f.beats(&f.states[i], s) {
			return true
		}
	}
	return false
}

// width is how many states a front may have.
func (f *fronts) width() int {
	switch {
	case f.work > workBudget:
		return narrow
	case f.inLine():
		return widestLine + 1
	default:
		return widest
	}
}

func (f *fronts) inLine() bool {
	return len(f.active) == 1 && f.bounds[f.active[0]] <= widestLine
}

// thin drops states from a front of more than width, evenly, but never the
// cheapest one nor those that take least of a dimension. It returns the new end.
func (f *fronts) thin(from, to int32, width int) int32 {
	front := f.states[from:to]
	if len(front) <= width {
		return to
	}
	f.exact = false
	keep := make([]bool, len(front))
	for i := range width {
		keep[i*len(front)/width] = true
	}
	for _, d := range f.active {
		least := 0
		for i := range front {
			if front[i].dimension(d) < front[least].dimension(d) {
				least = i
			}
		}
		keep[least] = true
	}
	n := int32(0)
	for i := range front {
		if keep[i] {
			front[n] = front[i]
			n++
		}
	}
	return from + n
}

// fresh makes a stretch of the states from on, which were just appended.
func (f *fronts) fresh(from int32) stretch {
	to := f.thin(from, int32(len(f.states)), f.width())
	f.states = f.states[:to]
	return stretch{from: from, to: to, base: state{value: value{cost: impossible}}}
}

// combine is every state of a with every state of b.
// Those are left out that are more than slack above the least they could cost.
func (f *fronts) combine(a, b stretch, slack money) stretch {
	if f.work+int(a.to-a.from)*int(b.to-b.from) > workBudget {
		a.to, b.to = f.thin(a.from, a.to, narrow), f.thin(b.from, b.to, narrow)
	}
	f.work += int(a.to-a.from) * int(b.to-b.from)
	f.pairs = f.pairs[:0]
	least := a.least.plus(b.least)
	line := f.inLine()
	if line {
		f.clearTable(a, b)
	}
	for i := a.from; i < a.to; i++ {
		for j := b.from; j < b.to; j++ {
			s := f.states[i].with(f.states[j])
			if !s.within(f.bounds) || slack != impossible && s.cost.plus(f.tolls.charge(&s))-least > slack {
				continue
			}
			s.one, s.two = i, j
			if !line {
				f.pairs = append(f.pairs, s)
			} else if at := &f.table[s.dimension(f.active[0])]; s.less(at.value) {
				*at = s
			}
		}
	}
	if line {
		return f.fromTable().costing(least)
	}
	return f.keep(f.pairs).costing(least)
}

func (s stretch) costing(least money) stretch {
	s.least = least
	return s
}
