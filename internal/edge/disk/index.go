package disk

import (
	"sync"
	"sync/atomic"
)

// place is where a record begins: the segment's id, the offset in it in units of
// align, and whether the record was read since it was written.
type place uint64

const (
	idBits     = 28
	offsetBits = 35
	maxID      = 1<<idBits - 1
	maxSegment = int64(1) << offsetBits * align // bytes of a segment that can be addressed
)

func placeAt(id uint32, at int64) place {
	return place(uint64(id)<<(offsetBits+1) | uint64(at/align)<<1)
}

func (p place) id() uint32 { return uint32(p >> (offsetBits + 1)) }
func (p place) at() int64  { return int64(p>>1&(1<<offsetBits-1)) * align }
func (p place) used() bool { return p&1 != 0 }
func (p place) bare() place {
	return p &^ 1
}

// index knows where the record with a hash is. There are no pointers in it, so
// that the garbage collector passes by: some 30 bytes for each record.
type index struct {
	count  atomic.Int64
	shards [64]struct {
		sync.Mutex
		places map[uint64]place
	}
}

func newIndex() *index {
	x := new(index)
	for i := range x.shards {
		x.shards[i].places = make(map[uint64]place)
	}
	return x
}

func (x *index) shard(hash uint64) (places map[uint64]place, unlock func()) {
	s := &x.shards[hash>>58]
	s.Lock()
	return s.places, s.Unlock
}

// nowhere is in the place of a record that was removed before the index knew
// where it was.
const nowhere place = 0

// use is get for somebody who reads the record.
func (x *index) use(hash uint64) (place, bool) {
	places, unlock := x.shard(hash)
	defer unlock()
	p, ok := places[hash]
	if p == nowhere {
		return nowhere, false
	}
	if ok && !p.used() {
		places[hash] = p | 1
	}
	return p.bare(), ok
}

func (x *index) get(hash uint64) (place, bool) {
	places, unlock := x.shard(hash)
	defer unlock()
	p := places[hash]
	return p, p != nowhere
}

// put returns where the record was before.
func (x *index) put(hash uint64, p place) (before place) {
	places, unlock := x.shard(hash)
	defer unlock()
	before, was := places[hash]
	if !was {
		x.count.Add(1)
	}
	places[hash] = p
	return before.bare()
}

// add is put for what is older than all that is there, but for what is in the same
// segment. It does nothing, and returns false, if there is something else, or was.
func (x *index) add(hash uint64, p place) bool {
	places, unlock := x.shard(hash)
	defer unlock()
	before, was := places[hash]
	if !was {
		x.count.Add(1)
	}
	if was && (before == nowhere || before.id() != p.id()) {
		return false
	}
	places[hash] = p
	return true
}

// isBarred reports whether a record was removed before the index knew where it was.
func (x *index) isBarred(hash uint64) bool {
	places, unlock := x.shard(hash)
	defer unlock()
	p, was := places[hash]
	return was && p == nowhere
}

// move reports whether the record was still at from, and is at to now.
func (x *index) move(hash uint64, from, to place) bool {
	places, unlock := x.shard(hash)
	defer unlock()
	if now, ok := places[hash]; !ok || now.bare() != from.bare() {
		return false
	}
	places[hash] = to
	return true
}

// remove forgets a record if it is still at p, and reports whether it was.
func (x *index) remove(hash uint64, p place) bool {
	places, unlock := x.shard(hash)
	defer unlock()
	if now, ok := places[hash]; !ok || now.bare() != p.bare() {
		return false
	}
	delete(places, hash)
	x.count.Add(-1)
	return true
}

// forget removes whatever is there; with bar, what add may bring later, too.
func (x *index) forget(hash uint64, bar bool) (p place, was bool) {
	places, unlock := x.shard(hash)
	defer unlock()
	p, was = places[hash]
	switch {
	case bar:
		if !was {
			x.count.Add(1)
		}
		places[hash] = nowhere
	case was:
		delete(places, hash)
		x.count.Add(-1)
	}
	return p.bare(), p != nowhere
}

// unbar ends what forget has barred.
func (x *index) unbar() {
	for i := range x.shards {
		s := &x.shards[i]
		s.Lock()
		for hash, p := range s.places {
			if p == nowhere {
				delete(s.places, hash)
				x.count.Add(-1)
			}
		}
		s.Unlock()
	}
}

func (x *index) clear() {
	for i := range x.shards {
		s := &x.shards[i]
		s.Lock()
		x.count.Add(-int64(len(s.places)))
		s.places = make(map[uint64]place)
		s.Unlock()
	}
}

func (x *index) len() int64 { return x.count.Load() }
