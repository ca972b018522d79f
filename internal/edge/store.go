package edge

import (
	"fmt"
	"iter"
	"sync/atomic"

	"github.com/maypok86/otter/v2"
)

// store keeps entries within a limit of bytes. It decides what to evict and
// knows nothing of validity.
type store struct {
	cache   *otter.Cache[key, *entry]
	evicted atomic.Uint64 // entries that had to make room
}

func newStore(limit uint64) (*store, error) {
	s := new(store)
	c, err := otter.New(&otter.Options[key, *entry]{
		MaximumWeight: limit,
		Weigher:       func(_ key, e *entry) uint32 { return e.weight() },
		OnAtomicDeletion: func(d otter.DeletionEvent[key, *entry]) {
			d.Value.claim.removed()
			d.Value.piece.Drop()
			if d.WasEvicted() {
				s.evicted.Add(1)
			}
		},
	})
	if err != nil {
		return nil, fmt.Errorf("make a store of %d bytes: %w", limit, err)
	}
	s.cache = c
	return s, nil
}

// get returns nil when there is no entry.
func (s *store) get(k key) *entry {
	e, _ := s.cache.GetIfPresent(k)
	return e
}

// peek is get without a trace: it does not count as a use of the entry.
func (s *store) peek(k key) *entry {
	e, _ := s.cache.GetEntryQuietly(k)
	return e.Value
}

func (s *store) put(e *entry) {
	e.claim.stored()
	e.piece.Keep()
	s.cache.Set(e.key, e)
}

// drop removes e, but not an entry that has replaced it.
func (s *store) drop(e *entry) {
	s.cache.ComputeIfPresent(e.key, func(now *entry) (*entry, otter.ComputeOp) {
		if now == e {
			return nil, otter.InvalidateOp
		}
		return now, otter.CancelOp
	})
}

// replace puts next in the place of e, but not of an entry that has replaced e.
func (s *store) replace(e, next *entry) {
	s.cache.ComputeIfPresent(e.key, func(now *entry) (*entry, otter.ComputeOp) {
		if now == e {
			next.claim.stored()
			next.piece.Keep()
			return next, otter.WriteOp
		}
		return now, otter.CancelOp
	})
}

func (s *store) all() iter.Seq[*entry] { return s.cache.Values() }

func (s *store) objects() int  { return s.cache.EstimatedSize() }
func (s *store) bytes() uint64 { return s.cache.WeightedSize() }
