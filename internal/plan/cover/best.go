package cover

// offer is what covering by each node's wildcard costs, by node; impossible
// where it is forbidden.
type offer struct {
	cost []money
	cold []int64 // objects
}

func (o offer) value(v int) value { return value{o.cost[v], o.cold[v], 1, 1} }

// choice is a cover under construction: the wildcards that are sent, none below
// another, in order. Requirements below none of them are covered as they are.
type choice struct {
	value
	wildcards []int32 // nodes
}

// best is the cheapest cover of all requirements, each node taking the better of
// its wildcard and the best covers below it. leaf is what each requirement costs
// by itself.
func best(t *tree, o offer, leaf func(int) value) choice {
	sent := make([]bool, t.nodes())
	var stack []part
	total := func(left, right int32) value {
		var sum value
		next := right // the last requirement not yet in sum
		for len(stack) > 0 && stack[len(stack)-1].left >= left {
			top := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			for ; next > top.right; next-- {
				sum = sum.plus(leaf(int(next)))
			}
			sum = sum.plus(top.value)
			next = top.left - 1
		}
		for ; next >= left; next-- {
			sum = sum.plus(leaf(int(next)))
		}
		return sum
	}
	for v := range t.nodes() {
		sum := total(t.left[v], t.right[v])
		if w := o.value(v); w.less(sum) {
			sum, sent[v] = w, true
		}
		stack = append(stack, part{sum, t.left[v], t.right[v]})
	}
	c := choice{value: total(0, int32(t.len()-1))}
	c.wildcards = outermost(t, sent)
	return c
}

// part is a stretch of requirements and what covering it costs.
type part struct {
	value
	left, right int32
}

// outermost lists the nodes that are sent and below no other that is, in order.
func outermost(t *tree, sent []bool) []int32 {
	var nodes []int32
	free := int32(t.len()) // requirements from here on are settled
	for v := t.nodes() - 1; v >= 0; v-- {
		if sent[v] && t.right[v] < free {
			nodes = append(nodes, int32(v))
			free = t.left[v]
		}
	}
	for i, j := 0, len(nodes)-1; i < j; i, j = i+1, j-1 {
		nodes[i], nodes[j] = nodes[j], nodes[i]
	}
	return nodes
}
