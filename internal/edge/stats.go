package edge

import "sync/atomic"

// Stats is a snapshot of an edge's counters.
type Stats struct {
	Hits        uint64
	Misses      uint64 // what went to the origin and came back, stored or not
	RefreshHits uint64 // expired copies that the origin confirmed, or that stood in for it
	Errors      uint64 // answers with a status of 400 or more
	Objects     int    // stored, including copies that are invalid and not swept yet
	Bytes       uint64 // they take, overhead included
	Capacity    uint64 // bytes that they may take
	Evictions   uint64 // copies that had to make room for others
	Epoch       uint64 // invalidations so far, over all distributions
	Patterns    int    // remembered, over all distributions
	Refused     TurnedAway
}

// TurnedAway is what there was no room for, or what did harm, by why.
type TurnedAway struct {
	Connections uint64 // for which there was no room
	Requests    uint64 // the same; with a 503
	Floods      uint64 // connections over HTTP/2 that were ended for what they sent
}

// All is their sum.
func (r TurnedAway) All() uint64 { return r.Connections + r.Requests + r.Floods }

type counts struct {
	hits, misses, refreshHits, errors, floods atomic.Uint64
}

func (e *Edge) count(o outcome) {
	switch o {
	case hit:
		e.counts.hits.Add(1)
	case miss:
		e.counts.misses.Add(1)
	case refreshHit:
		e.counts.refreshHits.Add(1)
	case failed:
		e.counts.errors.Add(1)
	}
}

// OffHeap is how many bytes of memory what is stored takes beside the Go heap.
func (e *Edge) OffHeap() int64 { return e.bodies.Held() + e.store.arena.OffHeap() }

// Stats returns the counters. They are read one after the other, so they need
// not add up while requests are served.
func (e *Edge) Stats() Stats {
	st := Stats{
		Hits: e.counts.hits.Load(), Misses: e.counts.misses.Load(), RefreshHits: e.counts.refreshHits.Load(),
		Errors: e.counts.errors.Load(), Objects: e.store.objects(), Bytes: e.store.bytes(), Evictions: e.store.arena.Evicted(), Capacity: uint64(e.limit),
	}
	st.Refused = e.refused()
	st.Epoch = e.retired.Load()
	for _, s := range e.serving().sites {
		st.Epoch += s.epochs.invalidations()
		st.Patterns += s.epochs.live()
	}
	return st
}
