package cover

// With one bounded dimension, as a limit on wildcards alone, pairs of states are
// looked up in a table by that dimension instead of being sorted.

// clearTable makes room for every sum of a state of a and one of b.
func (f *fronts) clearTable(a, b stretch) {
	n := min(f.bounds[f.active[0]], f.most(a)+f.most(b)) + 1
	if int64(cap(f.table)) < n {
		f.table = make([]state, n)
	}
	f.table = f.table[:n]
	for i := range f.table {
		f.table[i].cost = impossible
	}
}

func (f *fronts) most(s stretch) (most int64) {
	for i := s.from; i < s.to; i++ {
		most = max(most, f.states[i].dimension(f.active[0]))
	}
	return most
}

// fromTable makes a stretch of the states that no other beats, by value.
func (f *fronts) fromTable() stretch {
	from := int32(len(f.states))
	cheapest := value{cost: impossible}
	for i := range f.table {
		if f.table[i].possible() && f.table[i].less(cheapest) {
			cheapest = f.table[i].value
			f.states = append(f.states, f.table[i])
		}
	}
	for i, j := int(from), len(f.states)-1; i < j; i, j = i+1, j-1 {
		f.states[i], f.states[j] = f.states[j], f.states[i]
	}
	return f.fresh(from)
}
