package edge

import "time"

// sweepDelay gathers invalidations that arrive together into one sweep. Until
// it begins, their copies take memory and their patterns a longer walk, and that
// is all.
const sweepDelay = time.Second

// requestSweep asks for a sweep soon. It never blocks.
func (e *Edge) requestSweep() {
	select {
	case e.sweeps <- struct{}{}:
	default:
	}
}

func (e *Edge) sweepOnRequest() {
	for {
		select {
		case <-e.sweeps:
		case <-e.ctx.Done():
			return
		}
		timer := time.NewTimer(sweepDelay)
		select {
		case <-timer.C:
			e.sweep()
		case <-e.ctx.Done():
			timer.Stop()
			return
		}
	}
}

// sweep removes all copies that were invalidated, or whose distribution is served
// no more, and forgets the patterns that
// are then of no more use: those recorded before the sweep began.
func (e *Edge) sweep() {
	// Loaded before anything is looked at: what is begun or stored from here on
	// has been checked at these epochs or later.
	now := e.serving()
	began, tags := make([]uint64, len(now.sites)), make([]uint64, len(now.sites))
	for i, s := range now.sites {
		began[i] = s.epochs.counter.Load()
		tags[i] = s.checkFills(began[i])
	}
	for entry := range e.store.all() {
		if s := now.byNumber[entry.key.site]; s == nil || !s.epochs.valid(&entry.stamp, entry.names) {
			e.store.drop(entry)
		}
	}
	for i, s := range now.sites {
		s.epochs.forget(began[i], tags[i])
	}
}
