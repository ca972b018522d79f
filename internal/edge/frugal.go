package edge

import (
	"log/slog"
	"time"
)

// A request that is no plain hit takes so much memory by estimate, for goroutines and
// buffers, beside what arrives: so much of the store's limit at most, and no more
// than a part of it, so that a small store is one all the same.
const (
	requestWeight     = 64 << 10
	leastRequestShare = 4096
)

// chargeRequests tells the store of so many requests more.
func (e *Edge) chargeRequests(n int64) {
	e.store.arena.Charge(n * min(requestWeight, e.limit/leastRequestShare))
}

// fitting is how many requests take half of so much memory.
func fitting(limit int64) int {
	const least = 256 // whatever there is
	return int(max(least, limit/2/requestWeight))
}

// Yield has the store take so many bytes less than it may, since something else in
// the process takes them. What requests and arriving bodies take of it already is a
// part of that. Less than nothing is nothing. Nobody else may be calling it.
func (e *Edge) Yield(bytes int64) {
	known := e.room.taken() + int64(e.connections.Lent())*min(requestWeight, e.limit/leastRequestShare)
	want := max(0, bytes-known)
	e.store.arena.Charge(want - e.yielded)
	e.yielded = want
}

// refused is who was turned away so far.
func (e *Edge) refused() (r TurnedAway) {
	r.Connections, r.Requests = e.connections.Refused()
	r.Floods = e.counts.floods.Load()
	return r
}

// sayRefused tells the log once in refusalsEvery at most.
func (e *Edge) sayRefused() {
	const refusalsEvery = time.Minute
	now, last := time.Now().UnixNano(), e.said.Load()
	if now-last < int64(refusalsEvery) || !e.said.CompareAndSwap(last, now) {
		return
	}
	r := e.refused()
	e.log.Warn("viewers are turned away; these are all so far", slog.Uint64("connections", r.Connections), slog.Uint64("requests", r.Requests), slog.Uint64("floods", r.Floods))
}
