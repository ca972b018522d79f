package edge

import (
	"sync"
	"sync/atomic"
)

// room is the memory that bodies may take beside the store: those that are still
// arriving, and those that were evicted or invalidated while somebody reads them.
// What a small body takes is no more than what each viewer may take who shares
// nothing, so only the large ones must fit; together with the store they are
// never more than twice the limit.
type room struct {
	limit int64
	over  int64        // what is larger than so many bytes is large
	small atomic.Int64 // bytes of small bodies that are arriving
	large atomic.Int64
}

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
		return r.large.Load()+length <= r.limit
	}
	return r.small.Load() < r.limit
}

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
	defer c.mu.Unlock()
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
	defer c.mu.Unlock()
	before := c.outside()
	c.users += users
	c.places += places
	switch after := c.outside(); {
	case after && !before:
		c.room.of(c.size).Add(c.size)
	case before && !after:
		c.room.of(c.size).Add(-c.size)
	}
}

// enter begins a use of the body, which must be ended.
func (c *claim) enter() { c.count(1, 0) }
func (c *claim) leave() { c.count(-1, 0) }

// arrived ends the use of the fetch. A small body counts no longer.
func (c *claim) arrived() {
	c.mu.Lock()
	small := c.size <= c.room.over
	c.mu.Unlock()
	if small {
		c.resize(0)
	}
	c.leave()
}

// stored and removed say that an entry with the body is about to come into the
// store, and that one has left it.
func (c *claim) stored()  { c.count(0, 1) }
func (c *claim) removed() { c.count(0, -1) }
