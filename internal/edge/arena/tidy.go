package arena

import "github.com/freshet/freshet/internal/edge/packed"

// Tidy gives memory back of which entries that were removed take much: those
// that are left are moved together, where they are in their queue. between is
// called now and then, as Each has it.
func (a *Arena[B]) Tidy(between func()) { a.tidy((*segment).isSparse, between) }

// TidyAll is Tidy where what was removed takes little, too. It may move all that
// there is.
func (a *Arena[B]) TidyAll(between func()) {
	a.tidy(func(s *segment) bool { return s.isSparse() || s.isUntidy() }, between)
}

func (a *Arena[B]) tidy(which func(*segment) bool, between func()) {
	a.upkeep.Lock()
	defer a.upkeep.Unlock()
	for _, in := range []int{small, main} {
		t := tidying{which: which}
		for a.tidyNext(in, &t) {
			between()
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.collect()
}

// tidying is how far a queue is tidy.
type tidying struct {
	which func(*segment) bool // are emptied
	seq   uint64
	to    *segment // what is left is moved to, as long as it has room
	was   uint64   // its seq
}

// isSparse reports whether a segment is worth moving at any time.
func (s *segment) isSparse() bool { return s.live*4 < len(s.data)*3 }

// isUntidy reports whether what was removed takes a hundred and twenty-eighth of a
// segment: less than one in a hundred entries.
func (s *segment) isUntidy() bool { return (s.used-s.live)*128 >= len(s.data) }

// tidyNext empties the next segment that is sparse, and reports whether there was
// one.
func (a *Arena[B]) tidyNext(in int, t *tidying) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	q := &a.queues[in]
	s := q.first
	for s != nil && (s.seq <= t.seq || !t.which(s)) {
		s = s.after
	}
	if s == nil || s == q.last {
		return false
	}
	t.seq = s.seq
	if t.to != nil && t.to.seq != t.was {
		t.to = nil // somebody was faster
	}
	for s.seq == t.seq && s.at < s.used { // it is retired with the last of them
		v, place := s.view(s.at), placeOf(s.number, s.at)
		s.at += padded(len(v.Bytes()))
		if v.Uses().Load()&dead == 0 {
			a.shift(q, s, t, place, v)
		}
	}
	if s.seq == t.seq {
		a.retire(s)
	}
	return true
}

// shift moves an entry of s to a segment before it.
func (a *Arena[B]) shift(q *queue, s *segment, t *tidying, place uint64, v packed.View) {
	n := len(v.Bytes())
	if t.to == nil || len(t.to.data)-t.to.used < n {
		to := a.fresh(n)
		to.queue, to.seq, to.before, to.after = s.queue, s.seq, s.before, s
		if s.before != nil {
			s.before.after = to
		} else {
			q.first = to
		}
		s.before = to
		a.taken.Add(int64(len(to.data)))
		t.to, t.was = to, to.seq
	}
	h := a.hashOf(v)
	found := a.slotOf(h, place)
	to, _ := q.write(t.to, v)
	found.store(h, to)
	v.Uses().Or(dead)
	if s.live -= padded(n); s.live == 0 {
		a.retire(s)
	}
}
