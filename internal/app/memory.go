package app

import (
	"context"
	"log/slog"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// What the garbage collector leaves lying about at most, as a part of what the
// edge's store may take and in bytes, and how seldom it may run all the same: what
// is stored is hardly on the heap, so that little else is there.
const (
	garbageShare  = 12 // a twelfth
	mostGarbage   = 32 << 20
	leastPercent  = 10
	normalPercent = 100
	mostPercent   = 400
)

// gcPercent is GOGC for a heap of so many live bytes in front of a store of at
// most so many.
func gcPercent(live, memory uint64) int {
	if live == 0 {
		return normalPercent
	}
	// A small store is no reason to collect all the time.
	garbage := min(max(memory/garbageShare, 8<<20), mostGarbage)
	return int(min(max(garbage*100/live, leastPercent), mostPercent))
}

// boundGarbage keeps the process's memory close to what is in use, unless GOGC
// says what is wanted.
func (u *Up) boundGarbage(ctx context.Context) error {
	if os.Getenv("GOGC") != "" {
		return nil
	}
	before := debug.SetGCPercent(normalPercent)
	defer debug.SetGCPercent(before)
	if os.Getenv("GOMEMLIMIT") == "" {
		defer debug.SetMemoryLimit(debug.SetMemoryLimit(-1))
	}
	now, limit := normalPercent, int64(0)
	read := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	tick := time.NewTicker(time.Second / 20)
	defer tick.Stop()
	metrics.Read(read)
	memory := int64(u.cfg.Memory)
	r := returning{bound: memory * 6 / 5}
	if own := inUse(read) + programMemory(); own > memory*13/10-memory/4 {
		u.opts.Log.Warn("the process itself needs too much memory to stay within 1.3 times of what is configured",
			slog.String("memory", u.cfg.Memory.String()), slog.Int64("needed", own))
	}
	for {
		metrics.Read(read)
		if next := gcPercent(read[0].Value.Uint64(), uint64(u.cfg.Memory)); next*10 < now*9 || next*10 > now*11 {
			debug.SetGCPercent(next)
			now = next
		}
		stored, own := u.edge.OffHeap(), inUse(read)+programMemory()
		u.edge.Yield(own - beside(memory))
		if os.Getenv("GOMEMLIMIT") == "" {
			next := heapLimit(r.bound-programMemory(), stored, int64(read[0].Value.Uint64()))
			if apart := next - limit; max(apart, -apart) > limit/64 { // to set it stops the program for a moment
				debug.SetMemoryLimit(next)
				limit = next
			}
		}
		if r.due(time.Now(), own+stored) {
			debug.FreeOSMemory()
			metrics.Read(read)
			r.done(time.Now(), inUse(read)+programMemory()+u.edge.OffHeap())
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// beside is how much of the memory that the process may take, 1.3 times of what is
// configured, is left to everything but the store, if that is full: what there was
// in the store takes memory until the collector has seen that nobody reads it, and
// what comes takes some before anybody looks.
func beside(memory int64) int64 { return memory*3/10 - memory/16 - memory/40 }

// heapLimit is what the runtime may have of the system where everything is to take
// so much, so much of it is elsewhere, and so much is live. It is never so little
// that the collector would run all the time.
func heapLimit(all, elsewhere, live int64) int64 {
	const least = 8 << 20
	return max(all-elsewhere, live+live/8+least)
}

// inUse is what the runtime has of the system.
func inUse(read []metrics.Sample) int64 {
	return int64(read[1].Value.Uint64() - read[2].Value.Uint64())
}

// returning decides when memory that nobody uses any more is given back to the
// system at once, which takes a while: soon, and ever more seldom where it does
// not help, since it is something else than the store that has grown.
type returning struct {
	bound int64 // in use at most
	next  time.Time
	pause time.Duration
}

func (r *returning) due(now time.Time, taken int64) bool {
	return taken > r.bound && !now.Before(r.next)
}

// done is to be told what is in use afterwards.
func (r *returning) done(now time.Time, taken int64) {
	const shortest, longest = 2 * time.Second, 5 * time.Minute
	if taken <= r.bound {
		r.pause = shortest
	} else {
		r.pause = min(max(2*r.pause, shortest), longest)
	}
	r.next = now.Add(r.pause)
}
