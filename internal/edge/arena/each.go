package arena

import "github.com/freshet/freshet/internal/edge/packed"

// batch is how many entries are looked at before others have their turn.
const batch = 128

// Each calls f with every entry that there is from the beginning to the end, and
// removes those for which it returns false. What f changes of an entry stays.
// Entries that come meanwhile may be left out. f must not call the arena; between,
// which is called now and then, may.
func (a *Arena[B]) Each(f func(packed.View) bool, between func()) {
	a.upkeep.Lock()
	defer a.upkeep.Unlock()
	a.each(f, between)
}

// Scan is Each for those who change nothing, and do not mind if something is left
// out that is moved meanwhile. It does not wait for others who do the same, or more.
func (a *Arena[B]) Scan(f func(packed.View), between func()) {
	a.each(func(v packed.View) bool { f(v); return true }, between)
}

func (a *Arena[B]) each(f func(packed.View) bool, between func()) {
	// The small queue first: what is moved goes to the end of the main one.
	for _, from := range []int{small, main} {
		c := cursor{queue: from}
		for a.eachOf(&c, f) {
			between()
		}
	}
}

// cursor is how far somebody has come in a queue.
type cursor struct {
	queue int
	in    *segment
	seq   uint64
	at    int
}

// eachOf looks at some entries, and reports whether there may be more.
func (a *Arena[B]) eachOf(c *cursor, f func(packed.View) bool) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for left := batch; left > 0; left-- {
		s := a.segmentOf(c)
		if s == nil {
			return false
		}
		v, place := s.view(c.at), placeOf(s.number, c.at)
		c.at += padded(len(v.Bytes()))
		if v.Uses().Load()&dead == 0 && !f(v) {
			a.slotOf(a.hashOf(v), place).remove()
			a.bury(place, v)
		}
	}
	return true
}

// segmentOf returns the segment with the next entry, to which it moves the cursor;
// nil at the end.
func (a *Arena[B]) segmentOf(c *cursor) *segment {
	s := c.in
	if s == nil || s.seq != c.seq {
		// It is not in the queue any more; what comes after it is found anew.
		s = a.queues[c.queue].first
		for s != nil && s.seq < c.seq {
			s = s.after
		}
	}
	for s != nil {
		if s.seq != c.seq {
			c.seq, c.at = s.seq, 0
		}
		if c.in, c.at = s, max(c.at, s.at); c.at < s.used {
			return s
		}
		if s.after == nil {
			return nil
		}
		s = s.after
	}
	return nil
}
