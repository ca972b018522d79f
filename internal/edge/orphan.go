package edge

import (
	"errors"
	"slices"
	"sync"
)

// maxOrphans is how many fetches go on that no viewer waits for any more. Who
// opens requests and leaves them at once costs the origin no more than that.
const maxOrphans = 256

// errOrphaned is the cause with which a fetch is given up that nobody waits for.
var errOrphaned = errors.New("nobody waits for the response, and too many others go on for nobody")

// orphans are the fills whose viewers have all left, the oldest first. It may be
// used concurrently; the lock of a site is taken before it.
type orphans struct {
	mu  sync.Mutex
	all []*fill
}

// add returns the fill that is one too many, if there is one.
func (o *orphans) add(f *fill) *fill {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.all = append(o.all, f)
	if len(o.all) <= maxOrphans {
		return nil
	}
	oldest := o.all[0]
	o.all = slices.Delete(o.all, 0, 1)
	return oldest
}

func (o *orphans) remove(f *fill) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if i := slices.Index(o.all, f); i >= 0 {
		o.all = slices.Delete(o.all, i, i+1)
	}
}

// part has a viewer leave a fill that it waited for or read. The last one's
// leaves it an orphan if it still runs.
func (s *site) part(f *fill, o *orphans) {
	if oldest := s.orphan(f, o); oldest != nil {
		oldest.giveUp()
	}
}

func (s *site) orphan(f *fill, o *orphans) (oldest *fill) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.viewers--; f.viewers > 0 {
		return nil
	}
	if _, runs := s.running[f]; !runs {
		return nil
	}
	f.orphaned = o
	return o.add(f)
}

// adopt counts a viewer who joins. s.mu is held.
func (f *fill) adopt() {
	f.viewers++
	if f.orphaned != nil {
		f.orphaned.remove(f)
		f.orphaned = nil
	}
}

// giveUp ends an orphan, unless somebody has joined it.
func (f *fill) giveUp() {
	f.at.mu.Lock()
	defer f.at.mu.Unlock()
	if f.viewers > 0 {
		return
	}
	if f.at.fills[f.key] == f {
		delete(f.at.fills, f.key)
	}
	f.cancel(errOrphaned)
}
