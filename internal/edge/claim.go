package edge

import (
	"sync"
	"sync/atomic"
)

// room is the memory that bodies take beside the store: those that are still
// arriving, and those that were evicted or invalidated while somebody reads them.
// The store makes room for it. What a small body takes is no more than what each
// viewer may take who shares nothing, so only the large ones must fit; together with
// the store they are never more than twice the limit.
type room struct {
	limit  int64
	over   int64        // what is larger than so many bytes is large
	small  atomic.Int64 // bytes of small bodies, and of windows
	large  atomic.Int64
	charge func(bytes int64) // tells the store; nil for nobody
}

// told tells the store of so many bytes more.
func (r *room) told(bytes int64) {
	if r.charge != nil && bytes != 0 {
		r.charge(bytes)
	}
}

// taken is what is counted in all.
func (r *room) taken() int64 { return r.small.Load() + r.large.Load() }

// isTight reports whether so much is taken that nobody should take more than what
// is needed.
func (r *room) isTight() bool { return r.taken() > r.limit/8 }

func (r *room) of(size int64) *atomic.Int64 {
	if size > r.over {
		return &r.large
	}
	return &r.small
}

// admits reports whether a body of the announced length, -1 for none, should be
// kept. Nothing is reserved for it: an announcement takes no memory.
func (r *room) admits(length int64) bool {
	if length > r.over {
		return r.taken()+length <= r.limit
	}
	return r.hasSmall()
}

// hasSmall reports whether small bodies may become more. Two thirds of the room they
// have whatever large ones take, which is little longer than they take to arrive.
func (r *room) hasSmall() bool { return r.small.Load() < r.limit/3*2 }

// claim is what one body takes of the room. It takes nothing of it while it is in
// the store, which has a limit of its own, nor once nobody uses it any more. Nil
// is the claim of what is not counted.
type claim struct {
	room *room

	mu     sync.Mutex
	size   int64
	users  int // the fetch that brings the body, or replaces it, and everybody who reads it
	places int // entries in the store that have the body
}

// outside reports whether the room is taken. c.mu is held.
func (c *claim) outside() bool { return c.users > 0 && c.places == 0 }

// resize says how much memory the body takes from now on. It reports false, and
// changes nothing, if a large body may not become so much larger. Only the fetch
// that brings the body calls it, before the body is stored.
func (c *claim) resize(size int64) bool {
	if c == nil {
		return true
	}
	c.mu.Lock()
	was := c.size
	ok := c.resized(size)
	c.mu.Unlock()
	if ok {
		c.room.told(size - was)
	}
	return ok
}

// resized is resize, of which the store is not told. c.mu is held.
func (c *claim) resized(size int64) bool {
	from, to := c.room.of(c.size), c.room.of(size)
	more := size
	if from == to {
		more -= c.size
	}
	if now := to.Add(more); more > 0 && to == &c.room.large && now > c.room.limit {
		to.Add(-more)
		return false
	}
	if from != to {
		from.Add(-c.size)
	}
	c.size = size
	return true
}

// count adds so many users and places in the store.
func (c *claim) count(users, places int) {
	if c == nil {
		return
	}
	c.mu.Lock()
	before, more := c.outside(), int64(0)
	c.users += users
	c.places += places
	switch after := c.outside(); {
	case after && !before:
		more = c.size
	case before && !after:
		more = -c.size
	}
	c.room.of(c.size).Add(more)
	c.mu.Unlock()
	c.room.told(more)
}

// enter begins a use of the body, which must be ended.
func (c *claim) enter() { c.count(1, 0) }
func (c *claim) leave() { c.count(-1, 0) }

// affords reports whether the body may become so large as far as all others are
// concerned: many may have been admitted at once, of which nothing had arrived. What
// is no larger than a window is in a time of need may always. Only who may call resize
// may call it.
func (c *claim) affords(size int64) bool {
	switch {
	case c == nil || size <= tightWindow:
		return true
	case size > c.room.over:
		return c.room.taken()+size-c.size <= c.room.limit
	}
	return c.room.hasSmall()
}

// isTight is the room's.
func (c *claim) isTight() bool { return c != nil && c.room.isTight() }

// stored and removed say that an entry with the body is about to come into the
// store, and that one has left it.
func (c *claim) stored()  { c.count(0, 1) }
func (c *claim) removed() { c.count(0, -1) }
