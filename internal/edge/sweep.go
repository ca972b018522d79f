package edge

import (
	"runtime"
	"sync"
	"time"

	"github.com/freshet/freshet/internal/edge/arena"
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
	gone := int64(0)
	e.store.arena.Each(func(v packed.View) bool {
		s := now.byNumber[v.Site()]
		holds := s != nil && s.epochs.holds(v)
		if !holds {
			gone += int64(len(v.Bytes()))
		}
		return holds
	}, pause)
	for i, s := range now.sites {
		s.epochs.forget(began[i], tags[i])
	}
	e.untidy.tidy(e.store.arena, gone, pause)
}

// untidy is what sweeps have removed since all was moved together.
type untidy struct {
	mu    sync.Mutex
	bytes int64
	next  time.Time // when all may be moved again
}

// tidyEvery is how long sweeps let pass at least, after all was moved together,
// before they do it again; and tidyShare is the part of the time that it takes then
// at most. What takes a quarter of its segment is given back by each.
const (
	tidyEvery = 15 * time.Second
	tidyShare = 4
)

// worthTidying is the part of the store that must have been removed.
const worthTidying = 256

// isDue counts what a sweep has removed, and reports whether all is to be moved
// together now.
func (u *untidy) isDue(gone, stored int64, now time.Time) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.bytes += gone
	if u.bytes == 0 || u.bytes < stored/worthTidying || now.Before(u.next) {
		return false
	}
	u.bytes, u.next = 0, now.Add(tidyEvery)
	return true
}

// took says how long that took.
func (u *untidy) took(d time.Duration, now time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.next = now.Add(max(tidyEvery, (tidyShare-1)*d))
}

// tidy gives memory back after a sweep that has removed so many bytes.
func (u *untidy) tidy(a *arena.Arena[bulk], gone int64, pause func()) {
	began := time.Now()
	if !u.isDue(gone, a.Bytes(), began) {
		a.Tidy(pause)
		return
	}
	a.TidyAll(pause)
	u.took(time.Since(began), time.Now())
}
