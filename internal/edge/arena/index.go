package arena

import (
	"sync/atomic"

	"github.com/freshet/freshet/internal/edge/packed"
)

// index finds places by hashes. It consists of many tables, so that none takes
// long to be made larger. Readers need no lock: an entry stays where it is in its
// table until it is removed, and a slot that lies before it is empty in no table
// that it is in.
type index struct{ tables [tableCount]table }

const (
	tableBits  = 6
	tableCount = 1 << tableBits
)

// table is a hash table with linear probing. A slot holds the lowest bits of a
// hash and a place.
type table struct {
	slots atomic.Pointer[[]atomic.Uint64]

	live, used int // slots with an entry, and those that are not empty; a.mu is held
}

// A place is the number of a segment and an offset there, in units of the
// alignment.
const (
	placeBits  = 40
	offsetBits = 18
	tagBits    = 64 - placeBits
	tagMask    = 1<<tagBits - 1

	empty = 0
	gone  = 1 // an entry was removed
)

func placeOf(segment uint32, offset int) uint64 {
	return uint64(segment)<<offsetBits | uint64(offset/packed.Align)
}

func split(place uint64) (segment, offset int) {
	return int(place >> offsetBits), int(place&(1<<offsetBits-1)) * packed.Align
}

func (x *index) table(h uint64) *table { return &x.tables[h>>(64-tableBits)] }

// home is where in a table of n slots the search for a tag begins.
func home(tag uint64, n int) int { return int(tag * uint64(n) >> tagBits) }

// slot is where in its table an entry is found. Only its owner, who holds a.mu, may
// use it, until the table changes otherwise.
type slot struct {
	table *table
	at    int
}

func (s slot) value() *atomic.Uint64 { return &(*s.table.slots.Load())[s.at] }

func (s slot) place() uint64 { return s.value().Load() & (1<<placeBits - 1) }

func (s slot) store(h, place uint64) { s.value().Store(h&tagMask<<placeBits | place) }

// remove forgets the entry. The end of a row becomes empty again.
func (s slot) remove() {
	slots := *s.table.slots.Load()
	s.table.live--
	if slots[(s.at+1)%len(slots)].Load() != empty {
		s.value().Store(gone)
		return
	}
	s.value().Store(empty)
	s.table.used--
	for at := (s.at + len(slots) - 1) % len(slots); slots[at].Load() == gone; at = (at + len(slots) - 1) % len(slots) {
		slots[at].Store(empty)
		s.table.used--
	}
}

// lookup finds an entry for somebody who is pinned, or holds a.mu.
func (a *Arena[B]) lookup(k *packed.Key, h uint64) packed.View {
	t := a.index.table(h).slots.Load()
	if t == nil {
		return packed.View{}
	}
	slots, tag := *t, h&tagMask
	for at := home(tag, len(slots)); ; at++ {
		if at == len(slots) {
			at = 0
		}
		s := slots[at].Load()
		if s == empty {
			return packed.View{}
		}
		if s>>placeBits == tag && s != gone {
			if v := a.viewSoon(s & (1<<placeBits - 1)); v.Is(k) {
				return v
			}
		}
	}
}

// find is lookup with where it was found. a.mu is held.
func (a *Arena[B]) find(k *packed.Key, h uint64) (packed.View, slot) {
	t := a.index.table(h)
	at, tag := -1, h&tagMask
	for {
		if at = t.next(tag, at); at < 0 {
			return packed.View{}, slot{}
		}
		s := slot{t, at}
		if v := a.view(s.place()); v.Is(k) {
			return v, s
		}
	}
}

// slotOf finds the entry at a place, which must be there. a.mu is held.
func (a *Arena[B]) slotOf(h, place uint64) slot {
	t := a.index.table(h)
	at := -1
	for {
		if at = t.next(h&tagMask, at); at < 0 {
			panic("arena: an entry that is stored is not found")
		}
		if s := (slot{t, at}); s.place() == place {
			return s
		}
	}
}

// next returns the position after at of the next slot with a tag, -1 if there is
// none; at is -1 in the beginning.
func (t *table) next(tag uint64, at int) int {
	p := t.slots.Load()
	if p == nil {
		return -1
	}
	slots := *p
	if at < 0 {
		at = home(tag, len(slots)) - 1
	}
	for {
		if at++; at == len(slots) {
			at = 0
		}
		switch s := slots[at].Load(); {
		case s == empty:
			return -1
		case s != gone && s>>placeBits == tag:
			return at
		}
	}
}

// insert adds a place for a hash, and returns how many bytes more the index takes.
func (x *index) insert(h, place uint64) (more int64) {
	t := x.table(h)
	if p := t.slots.Load(); p == nil || (t.used+1)*8 > len(*p)*7 {
		more = t.rebuild()
	}
	slots := *t.slots.Load()
	at := home(h&tagMask, len(slots))
	for ; ; at++ {
		if at == len(slots) {
			at = 0
		}
		s := slots[at].Load()
		if s == empty {
			t.used++
		}
		if s == empty || s == gone {
			break
		}
	}
	t.live++
	slot{t, at}.store(h, place)
	return more
}

// rebuild makes a table without gone slots, in which two thirds are taken.
func (t *table) rebuild() (more int64) {
	var old []atomic.Uint64
	if p := t.slots.Load(); p != nil {
		old = *p
	}
	next := make([]atomic.Uint64, max(16, t.live*3/2))
	for i := range old {
		s := old[i].Load()
		if s == empty || s == gone {
			continue
		}
		at := home(s>>placeBits, len(next))
		for next[at].Load() != empty {
			at = (at + 1) % len(next)
		}
		next[at].Store(s)
	}
	t.used = t.live
	t.slots.Store(&next)
	return int64(len(next)-len(old)) * 8
}
