package edge

import (
	"runtime"
	"time"

	"github.com/freshet/freshet/internal/edge/packed"
)

// sweepDelay gathers invalidations that arrive together into one sweep, and
// sweepEvery is from the beginning of one to that of the next at least, so that
// there is no more to do where they never end. Until a sweep has come by, their
// copies take memory and their patterns a longer walk, and that is all.
const (
	sweepDelay = time.Second
	sweepEvery = 5 * time.Second
)

// sweepShare is what sweeps take of a core at most.
const sweepShare = 0.1

// requestSweep asks for a sweep soon. It never blocks.
func (e *Edge) requestSweep() {
	select {
	case e.sweeps <- struct{}{}:
	default:
	}
}

// sweepOnRequest sweeps until the edge is closed, when it hurries.
func (e *Edge) sweepOnRequest() {
	paced := share{part: sweepShare, cpu: threadClock(), rest: e.wait}
	for {
		select {
		case <-e.sweeps:
		case <-e.ctx.Done():
			return
		}
		e.wait(sweepDelay)
		if e.ctx.Err() != nil {
			return
		}
		again := time.Now().Add(sweepEvery - sweepDelay)
		paced.do(e.sweepWith)
		e.wait(time.Until(again))
	}
}

// wait returns after d, or when the edge is closed.
func (e *Edge) wait(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-e.ctx.Done():
	}
}

// sweep is sweepWith without a rest.
func (e *Edge) sweep() { e.sweepWith(runtime.Gosched) }

// sweepWith removes all copies that were invalidated, or whose distribution is
// served no more, and forgets the patterns that are then of no more use: those
// recorded before it began. It calls pause often while it works, without a lock.
func (e *Edge) sweepWith(pause func()) {
	// Loaded before anything is looked at: what is begun or stored from here on
	// has been checked at these epochs or later.
	now := e.serving()
	began, tags := make([]uint64, len(now.sites)), make([]uint64, len(now.sites))
	for i, s := range now.sites {
		began[i] = s.epochs.counter.Load()
		tags[i] = s.checkFills(began[i])
	}
	e.store.arena.Each(func(v packed.View) bool {
		s := now.byNumber[v.Site()]
		return s != nil && s.epochs.holds(v)
	}, pause)
	for i, s := range now.sites {
		s.epochs.forget(began[i], tags[i])
	}
	e.store.arena.Tidy(pause)
}
