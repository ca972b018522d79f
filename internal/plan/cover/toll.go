package cover

// A toll is a price put on each unit of a bounded dimension, on top of what
// patterns and refills cost. With tolls the tree has a best cover again in one
// pass, and tolls high enough make it keep to the bounds. Whatever the tolls,
// its cost less what the bounds themselves would pay is a lower bound of any
// cover within them; and a state that, with tolls, is further above the best than
// the best known cover is above that lower bound, leads to nothing better.
// (Lagrange's multipliers, in the words of the trade.)
type tolls [dimensions]money

// haggler looks for the tolls that give the best lower bound.
type haggler struct {
	attempt
	t      *tree
	active []int
	tolled offer
	tolls  tolls  // that gave lower
	lower  money  // of all covers within the bounds
	known  choice // the best cover within the bounds that came up; not possible when none did
	bids   int    // that may still be taken
}

// How often tolls are changed, per dimension: to find one that is high enough,
// and then the best one.
const (
	raises     = 12
	bargains   = 24
	rounds     = 2       // over all dimensions, when there are several
	bidBudget  = 1 << 26 // nodes and requirements that all bids together may look at
	raiseShift = 3
)

func newHaggler(t *tree, a attempt, active []int) *haggler {
	h := &haggler{attempt: a, t: t, active: active, known: choice{value: value{cost: impossible}}}
	h.bids = max(raises, bidBudget/(t.nodes()+t.len()))
	h.tolled = offer{make([]money, t.nodes()), a.offer.cold}
	return h
}

func (h *haggler) haggle() {
	var x tolls
	for range min(rounds, len(h.active)) {
		for _, d := range h.active {
			x[d] = h.settle(x, d)
		}
	}
}

// bid is the best cover under some toll of one dimension.
type bid struct {
	cost  money // without that toll, but with those of other dimensions
	units int64
	toll  money
}

// settle finds the toll of dimension d at which covers above and within its
// bound cost the same, the other tolls being what they are.
func (h *haggler) settle(x tolls, d int) money {
	above := h.bid(x, d, 0)
	if above.units <= h.bounds[d] {
		return 0
	}
	toll := max(1, h.offer.cheapest()>>raiseShift)
	within := h.bid(x, d, toll)
	for range raises {
		if within.units <= h.bounds[d] {
			break
		}
		above, toll = within, min(toll<<raiseShift, most>>20)
		within = h.bid(x, d, toll)
	}
	if within.units > h.bounds[d] {
		return within.toll
	}
	for range min(bargains, h.bids) {
		if within.units >= above.units || within.cost <= above.cost {
			break
		}
		next := h.bid(x, d, (within.cost-above.cost)/money(above.units-within.units))
		switch {
		case next.units <= h.bounds[d] && next.units > within.units:
			within = next
		case next.units > h.bounds[d] && next.units < above.units:
			above = next
		default:
			return next.toll
		}
	}
	return within.toll
}

// cheapest is what the cheapest wildcard costs.
func (o offer) cheapest() money {
	least := most
	for _, c := range o.cost {
		least = min(least, c)
	}
	return least
}

// bid takes the best cover with tolls x, but for toll on d, and learns from it.
func (h *haggler) bid(x tolls, d int, toll money) bid {
	x[d] = toll
	h.bids--
	leaf := h.toll(x)
	c := best(h.t, h.tolled, leaf)
	if !c.possible() || c.cost >= most/2 {
		return bid{cost: c.cost, toll: toll, units: 1 << 40}
	}
	s := state{value: c.value}
	if h.group != nil {
		s.group = h.groupOf(h.t, c)
	}
	if allowed := x.due(h.bounds); allowed < most && c.cost-allowed > h.lower {
		h.lower, h.tolls = c.cost-allowed, x
	}
	due := x.charge(&s)
	units := s.dimension(d)
	s.cost -= due
	if s.within(h.bounds) && s.less(h.known.value) {
		h.known = choice{s.value, c.wildcards}
	}
	return bid{cost: s.cost + due - toll.times(units), units: units, toll: toll}
}

// toll puts x on everything on offer, and returns the tolled leaf.
func (h *haggler) toll(x tolls) func(int) value {
	for v, cost := range h.offer.cost {
		if cost != impossible {
			s := wildcardState(h.attempt, h.t, v)
			cost = cost.plus(x.charge(&s))
		}
		h.tolled.cost[v] = cost
	}
	return func(i int) value {
		s := leafState(h.attempt, i)
		if s.possible() {
			s.cost = s.cost.plus(x.charge(&s))
		}
		return s.value
	}
}

func wildcardState(a attempt, t *tree, v int) state {
	s := state{value: a.offer.value(v), one: int32(firstWildcard - v), two: nothing}
	if a.members(t.left[v], t.right[v]) > 0 {
		s.group = [2]int32{1, 1}
	}
	return s
}

func leafState(a attempt, i int) state {
	s := state{value: a.leaf(i), one: nothing, two: nothing}
	if a.group != nil {
		s.group[1] = min(a.members(int32(i), int32(i)), s.patterns)
	}
	return s
}

// charge is the toll for all that s takes.
func (x *tolls) charge(s *state) (due money) {
	for d, toll := range x {
		if toll != 0 {
			due = due.plus(toll.times(s.dimension(d)))
		}
	}
	return due
}

// due is the toll for all that b allows.
func (x *tolls) due(b bounds) (due money) {
	for d, toll := range x {
		if toll != 0 {
			due = due.plus(toll.times(b[d]))
		}
	}
	return due
}

// prospects says of each node what lies around it, with tolls: what the node
// costs at least, what it costs from within, and what all the rest costs at
// least if no wildcard reaches over the node.
type prospects struct {
	tolls   tolls
	ceiling money // no state is worth keeping that comes to more, the rest included
	least   []money
	inside  []money
	outside []money
}

// prospects is nil when no cover is known to compare with.
func (h *haggler) prospects() *prospects {
	ceiling := h.known.cost.plus(h.tolls.due(h.bounds))
	if !h.known.possible() || ceiling >= most {
		return nil
	}
	n := h.t.nodes()
	p := &prospects{tolls: h.tolls, ceiling: ceiling, least: make([]money, n), inside: make([]money, n), outside: make([]money, n)}
	parent := make([]int32, n)
	leaf := h.toll(h.tolls)
	var stack []int32
	total := func(left, right, above int32) (sum money) {
		next := right
		for len(stack) > 0 && h.t.left[stack[len(stack)-1]] >= left {
			v := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			for ; next > h.t.right[v]; next-- {
				sum = sum.plus(leaf(int(next)).cost)
			}
			sum, next, parent[v] = sum.plus(p.least[v]), h.t.left[v]-1, above
		}
		for ; next >= left; next-- {
			sum = sum.plus(leaf(int(next)).cost)
		}
		return sum
	}
	for v := range n {
		p.inside[v] = total(h.t.left[v], h.t.right[v], int32(v))
		p.least[v] = min(p.inside[v], h.tolled.cost[v])
		stack = append(stack, int32(v))
	}
	whole := total(0, int32(h.t.len()-1), nothing)
	for v := n - 1; v >= 0; v-- {
		around, within := money(0), whole
		if up := parent[v]; up != nothing {
			around, within = p.outside[up], p.inside[up]
		}
		p.outside[v] = impossible
		if within != impossible && around != impossible {
			p.outside[v] = around.plus(within - p.least[v])
		}
	}
	return p
}

// worth reports whether state s, which covers node v, may be part of something
// better than what is known.
func (p *prospects) worth(s *state, v int) bool {
	return p == nil || s.cost.plus(p.tolls.charge(s)).plus(p.outside[v]) <= p.ceiling
}

// slack is how far a state that covers a part of what is below node v may be
// above the least that this part costs.
func (p *prospects) slack(v int) money {
	if p.inside[v] == impossible || p.outside[v] == impossible {
		return -1
	}
	return p.ceiling - p.inside[v] - p.outside[v]
}
