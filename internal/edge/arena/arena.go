// Package arena keeps packed entries within a limit of bytes, outside of the Go
// heap, and finds them by their keys. What it refers to them by has no pointers,
// so however many there are the garbage collector does not notice.
//
// Entries are appended to segments. Which have to make room is decided by
// S3-FIFO: what is new goes through a small queue, in which a tenth of the bytes
// are, and only what is asked for again there, or soon after it has left it, comes
// into the main one; what is asked for there goes round once more. So a hit
// changes a counter of two bits, at most three times, and what leaves a queue
// leaves whole segments behind.
// https://dl.acm.org/doi/10.1145/3600006.3613147
//
// Readers take no lock. A segment is used for something else only when everybody
// has left who may have found something in it (see pins).
package arena

import (
	"errors"
	"hash/maphash"
	"math/bits"
	"sync"
	"sync/atomic"

	"github.com/freshet/freshet/internal/edge/packed"
)

// Arena is a cache of packed entries. B is what there may be of an entry outside
// of the arena, such as a large body. Its methods may be called concurrently.
type Arena[B any] struct {
	limit   int64
	size    int // of a segment
	removed func(b *B)
	seed    maphash.Seed
	memory  *memory

	pins     pins
	index    index
	segments atomic.Pointer[[]*segment] // by number; read by those who are pinned
	bodies   atomic.Pointer[[]atomic.Pointer[outside[B]]]
	scratch  sync.Pool // *[]byte

	objects atomic.Int64
	taken   atomic.Int64 // bytes, of the segments in queues and what else counts
	charged atomic.Int64 // bytes that others take
	evicted atomic.Uint64

	upkeep sync.Mutex // one pass over everything at a time; taken before mu

	mu     sync.Mutex // everything below, and whatever changes more than counters of an entry
	queues [2]queue
	ghosts ghosts
	serial uint64
	seq    uint64 // of segments
	spare  []*segment
	limbo  []*segment // to be spare, in this order, once nobody can be reading them
	holes  []int      // numbers of no segment
	places []hole     // of bodies, likewise, in this order
}

// outside is what there is of an entry outside of the arena.
type outside[B any] struct {
	body  *B
	bytes int64
}

// hole is a place of bodies that is free from an epoch on.
type hole struct {
	at    uint32
	epoch uint64
}

// Segments are as large as it takes for a limit to have some hundreds, and smaller
// than usual only where there would be less than sixteen. They are huge pages where
// there would be 512.
const (
	usualSegment   = 64 << 10
	largestSegment = 1 << 20
	hugeSegment    = 2 << 20
	segmentsPer    = 256
	leastSegments  = 16
)

// segmentSize is a power of two.
func segmentSize(limit int64) int {
	if limit/hugeSegment >= 2*segmentsPer {
		return hugeSegment
	}
	most := uint64(max(limit/leastSegments, pageSize))
	want := min(max(uint64(limit/segmentsPer), usualSegment), largestSegment, most)
	return 1 << (bits.Len64(want) - 1)
}

// New returns an arena for so many bytes. removed is called once for the body of
// each entry that had one when that is no longer in the arena, whatever the
// reason; the arena must not be called from it.
func New[B any](limit int64, removed func(*B)) *Arena[B] {
	a := &Arena[B]{limit: limit, size: segmentSize(limit), removed: removed, seed: maphash.MakeSeed(), memory: newMemory()}
	a.scratch.New = func() any { return new([]byte) }
	a.segments.Store(&[]*segment{nil}) // so that no place is 0
	a.bodies.Store(new([]atomic.Pointer[outside[B]]))
	a.pins.epoch.Store(1)
	return a
}

// Objects is the number of entries.
func (a *Arena[B]) Objects() int { return int(a.objects.Load()) }

// Bytes is how many bytes of memory everything takes, entries that were removed and
// what finds the others included.
func (a *Arena[B]) Bytes() int64 { return a.taken.Load() }

// Charge says that others take so many bytes more of the limit, or fewer, of which
// Bytes does not tell. A quarter is left to the entries, whatever others take. Who takes more evicts what has to make room, unless somebody
// is at that already, or stores something. It may be called from what New was
// given.
func (a *Arena[B]) Charge(bytes int64) {
	if a.charged.Add(bytes); bytes > 0 && a.isFull(0) && a.mu.TryLock() {
		a.makeRoom(0)
		a.mu.Unlock()
	}
}

// OffHeap is how many bytes of memory segments take beside the Go heap, in use or
// not.
func (a *Arena[B]) OffHeap() int64 { return a.memory.size.Load() }

// Evicted is how many entries had to make room for others.
func (a *Arena[B]) Evicted() uint64 { return a.evicted.Load() }

// Hash is that of a key, as other methods want it.
func (a *Arena[B]) Hash(k *packed.Key) uint64 { return a.hash(k) }

func (a *Arena[B]) hash(k *packed.Key) uint64 {
	const odd = 0x9e3779b97f4a7c15
	h := maphash.String(a.seed, k.URL) ^ uint64(k.Site)*odd
	if k.Variant != "" {
		h ^= bits.RotateLeft64(maphash.String(a.seed, k.Variant)*odd, 31)
	}
	return h
}

func (a *Arena[B]) hashOf(v packed.View) uint64 {
	return a.hash(&packed.Key{Site: v.Site(), URL: v.URL(), Variant: v.Variant()})
}

// What Put and Replace fail with, beside packed.ErrUnpackable.
var (
	ErrTooLarge = errors.New("larger than the arena")
	ErrReplaced = errors.New("not there any more")
)

// Put stores an entry in the place of what has its key, and returns the number by
// which it is told from others. body, nil for none, takes so many bytes elsewhere;
// where the entry has no body itself there must be one. On an error it is not
// taken over, and nothing has the key any more.
func (a *Arena[B]) Put(e *packed.Entry, body *B, bytes int64) (serial uint64, err error) {
	return a.put(e, body, bytes, func(packed.View) bool { return true })
}

// Replace is Put in the place of the entry with a serial number, and ErrReplaced if
// that is not there any more.
func (a *Arena[B]) Replace(old uint64, e *packed.Entry, body *B, bytes int64) (serial uint64, err error) {
	return a.put(e, body, bytes, func(now packed.View) bool { return !now.IsNone() && now.Serial() == old })
}

func (a *Arena[B]) put(e *packed.Entry, body *B, bytes int64, may func(now packed.View) bool) (uint64, error) {
	buf := a.scratch.Get().(*[]byte)
	defer a.scratch.Put(buf)
	b, err := packed.Append((*buf)[:0], e)
	if err != nil {
		a.remove(&e.Key, may)
		return 0, err
	}
	*buf = b
	h := a.hash(&e.Key)
	a.mu.Lock()
	defer a.mu.Unlock()
	if old, _ := a.find(&e.Key, h); !may(old) {
		return 0, ErrReplaced
	}
	if int64(len(b))+bytes > a.limit {
		a.drop(&e.Key, h)
		return 0, ErrTooLarge
	}
	a.makeRoom(bytes)
	a.insert(&e.Key, h, b, body, bytes)
	serial := a.serial
	a.makeRoom(0)
	return serial, nil
}

// insert stores what was packed. a.mu is held.
func (a *Arena[B]) insert(k *packed.Key, h uint64, b []byte, body *B, bytes int64) {
	old, slot := a.find(k, h)
	to, uses := small, uint32(0)
	switch {
	case !old.IsNone():
		to, uses = a.segmentAt(slot.place()).queue, old.Uses().Load()&usesMask
	case a.ghosts.take(h):
		to = main
	}
	place, v := a.append(to, packed.Trust(b))
	a.serial++
	v.SetSerial(a.serial)
	v.Uses().Store(uses)
	if body != nil {
		a.putBody(v, &outside[B]{body, bytes})
		a.queues[to].bytes += bytes
		a.taken.Add(bytes)
	}
	a.objects.Add(1)
	if old.IsNone() {
		a.taken.Add(a.index.insert(h, place))
		return
	}
	was := slot.place()
	slot.store(h, place)
	a.bury(was, old)
}

// putBody finds a place for the body of an entry. a.mu is held.
func (a *Arena[B]) putBody(v packed.View, o *outside[B]) {
	table := *a.bodies.Load()
	if len(a.places) > 0 && a.places[0].epoch <= a.pins.oldest() {
		at := a.places[0].at
		a.places = a.places[1:]
		table[at].Store(o)
		v.SetAt(at)
		return
	}
	at := len(table)
	if at == cap(table) || at == 0 {
		next := make([]atomic.Pointer[outside[B]], at, max(64, 2*at))
		for i := range table {
			next[i].Store(table[i].Load())
		}
		table = next
	}
	table = table[:at+1]
	table[at].Store(o)
	a.bodies.Store(&table)
	v.SetAt(uint32(at))
}

// bury counts an entry that cannot be found any more as removed. a.mu is held.
func (a *Arena[B]) bury(place uint64, v packed.View) {
	s := a.segmentAt(place)
	v.Uses().Or(dead)
	a.objects.Add(-1)
	if v.Away() {
		a.takeBody(s, v)
	}
	s.live -= padded(len(v.Bytes()))
	if s.live == 0 && s != a.queues[s.queue].last {
		a.retire(s)
	}
}

// takeBody lets go of the body of an entry that is removed from a segment. a.mu is
// held.
func (a *Arena[B]) takeBody(s *segment, v packed.View) {
	o := a.outside(v)
	(*a.bodies.Load())[v.At()].Store(nil)
	a.places = append(a.places, hole{v.At(), a.pins.next()})
	a.queues[s.queue].bytes -= o.bytes
	a.taken.Add(-o.bytes)
	a.removed(o.body)
}

func (a *Arena[B]) outside(v packed.View) *outside[B] { return (*a.bodies.Load())[v.At()].Load() }

// Drop removes the entry with a key, if there is one of which may says so. may must
// not call the arena.
func (a *Arena[B]) Drop(k *packed.Key, may func(packed.View) bool) {
	a.remove(k, func(v packed.View) bool { return !v.IsNone() && may(v) })
}

func (a *Arena[B]) remove(k *packed.Key, may func(packed.View) bool) {
	h := a.hash(k)
	a.mu.Lock()
	defer a.mu.Unlock()
	if v, _ := a.find(k, h); may(v) {
		a.drop(k, h)
	}
}

// drop removes the entry with a key, if there is one. a.mu is held.
func (a *Arena[B]) drop(k *packed.Key, h uint64) {
	v, slot := a.find(k, h)
	if v.IsNone() {
		return
	}
	place := slot.place()
	slot.remove()
	a.bury(place, v)
}

// Change calls f with the entry with a key and a serial number, if it is there.
// What f changes stays, which is not certain of what a reader changes.
func (a *Arena[B]) Change(k *packed.Key, serial uint64, f func(packed.View)) {
	h := a.hash(k)
	a.mu.Lock()
	defer a.mu.Unlock()
	if v, _ := a.find(k, h); !v.IsNone() && v.Serial() == serial {
		f(v)
	}
}
