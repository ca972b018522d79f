package arena

import (
	"math"
	"math/rand/v2"
	"runtime"
	"sync/atomic"

	"github.com/freshet/freshet/internal/edge/packed"
)

// pins tell who may be reading. A reader pins the epoch before it looks anything
// up. What was made impossible to find before the epoch was raised to n can be
// read by those only who have pinned an epoch below n: whoever pins n or more has
// loaded the epoch after it was raised, and looks things up after that; and who
// has not pinned anything yet when all pins are looked at will do that, and look
// things up, afterwards.
type pins struct {
	epoch atomic.Uint64 // never 0
	slots [pinCount]pin
}

const pinCount = 128

type pin struct {
	epoch atomic.Uint64 // 0: free
	_     [56]byte      // each in a cache line of its own
}

// next raises the epoch and returns it.
func (p *pins) next() uint64 { return p.epoch.Add(1) }

// oldest is the lowest epoch that is pinned.
func (p *pins) oldest() uint64 {
	oldest := uint64(math.MaxUint64)
	for i := range p.slots {
		if e := p.slots[i].epoch.Load(); e != 0 {
			oldest = min(oldest, e)
		}
	}
	return oldest
}

// Reader reads entries, which stay as they are until it leaves, even if they are
// removed from the arena. It must leave soon, and not wait for anything before.
type Reader[B any] struct {
	arena *Arena[B]
	pin   *pin
}

// Enter returns a reader. favorite is a number that the caller should have for
// itself; any will do.
func (a *Arena[B]) Enter(favorite uint32) Reader[B] {
	epoch := a.pins.epoch.Load()
	for i := favorite; ; i++ {
		if p := &a.pins.slots[i%pinCount]; p.epoch.Load() == 0 && p.epoch.CompareAndSwap(0, epoch) {
			return Reader[B]{a, p}
		}
		if i-favorite > pinCount {
			runtime.Gosched()
		}
	}
}

// EnterAnywhere is Enter for those who have no number.
func (a *Arena[B]) EnterAnywhere() Reader[B] { return a.Enter(rand.Uint32()) }

// Leave ends the use of everything that was read. It must be called once.
func (r Reader[B]) Leave() { r.pin.epoch.Store(0) }

const (
	usesMask = 3
	dead     = 1 << 31
)

// Get returns the entry with a key, and counts that as a use of it.
func (r Reader[B]) Get(k *packed.Key) packed.View { return r.GetHashed(k, r.arena.hash(k)) }

// GetHashed is Get for a key of which the caller has the hash.
func (r Reader[B]) GetHashed(k *packed.Key, h uint64) packed.View {
	v := r.arena.lookup(k, h)
	if !v.IsNone() {
		uses := v.Uses()
		if n := uses.Load(); n&usesMask < usesMask {
			uses.CompareAndSwap(n, n+1) // or somebody else has counted
		}
	}
	return v
}

// Peek is Get without a trace.
func (r Reader[B]) Peek(k *packed.Key) packed.View { return r.arena.lookup(k, r.arena.hash(k)) }

// Body is what an entry has outside of the arena; nil if there is none, or if the
// entry was removed meanwhile.
func (r Reader[B]) Body(v packed.View) *B {
	if !v.Away() {
		return nil
	}
	if o := r.arena.outside(v); o != nil {
		return o.body
	}
	return nil
}
