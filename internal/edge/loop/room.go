package loop

import (
	"sync"
	"sync/atomic"
	"time"
)

// Room is how many viewers there may be, for all doors that share it. Before it
// is full, those who hold connections are asked to end some of which nothing has
// come for long, so that there is room for whoever comes.
type Room struct {
	connections, lent int64 // at most
	open, away        atomic.Int64
	refused           struct{ connections, requests atomic.Uint64 }
	told              func()               // of each that is refused; nil for nobody
	charge            func(requests int64) // nil for nobody

	began   time.Time
	holders holders // of connections
	lenders holders // of those whose requests are with others
}

// mostLent is how many requests are with others at once if nobody says otherwise
// and the process may open enough files.
const mostLent = 10_000

// NewRoom returns room for so many connections, and requests that are with others
// than those who hold the connections. 0 stands for as many as the files that the
// process may open are enough for, where each request may need a connection to an
// origin and a tenth is for everything else: at most 10,000 requests, or a quarter
// of the files, and as many connections as files are left.
func NewRoom(connections, lent int) *Room { return newRoom(connections, lent, mayOpen()) }

func newRoom(connections, lent, files int) *Room {
	usable := files - files/10
	if lent <= 0 {
		lent = usualLent(files)
	}
	if connections <= 0 {
		connections = max(usable-lent, 1)
	}
	return &Room{connections: int64(connections), lent: int64(lent), began: time.Now()}
}

// UsualRequests is how many requests NewRoom has with others where nobody says it.
func UsualRequests() int { return usualLent(mayOpen()) }

func usualLent(files int) int { return min(mostLent, max(files/4, 1)) }

// Charge has f told of how many requests more are with others, or fewer. It must be
// called before there are any.
func (r *Room) Charge(f func(requests int64)) { r.charge = f }

// Fits reports whether the process may open as many files as that takes.
func (r *Room) Fits() bool {
	files := mayOpen()
	return r.connections+r.lent <= int64(files-files/10)
}

// Connections is how many there may be.
func (r *Room) Connections() int { return int(r.connections) }

// Requests is how many may be with others at once.
func (r *Room) Requests() int { return int(r.lent) }

// Open is how many connections there are.
func (r *Room) Open() int { return int(r.open.Load()) }

// Lent is how many requests are with others.
func (r *Room) Lent() int { return int(r.away.Load()) }

// Refused is how many connections and requests there was no room for.
func (r *Room) Refused() (connections, requests uint64) {
	return r.refused.connections.Load(), r.refused.requests.Load()
}

// OnRefusal has f called after each that was refused. It must not block, and be told
// before there are any.
func (r *Room) OnRefusal(f func()) { r.told = f }

func (r *Room) refuse(counter *atomic.Uint64) {
	counter.Add(1)
	if r.told != nil {
		r.told()
	}
}

// Enter counts a connection in, and reports whether there is room for it. If not,
// it is not counted.
func (r *Room) Enter() bool {
	n := r.open.Add(1)
	if n > r.connections-r.connections/16 {
		r.holders.press(r.began)
	}
	if n > r.connections {
		r.open.Add(-1)
		r.refuse(&r.refused.connections)
		return false
	}
	return true
}

// Leave counts a connection out.
func (r *Room) Leave() { r.open.Add(-1) }

// Lend counts a request as being with others, and reports whether there is room
// for it. If not, it is not counted.
func (r *Room) Lend() bool {
	n := r.away.Add(1)
	if n > r.lent-r.lent/16 {
		r.lenders.press(r.began)
	}
	if n > r.lent {
		r.away.Add(-1)
		r.refuse(&r.refused.requests)
		return false
	}
	r.tell(1)
	return true
}

// Return counts a request as being with others no more.
func (r *Room) Return() {
	r.away.Add(-1)
	r.tell(-1)
}

func (r *Room) tell(requests int64) {
	if r.charge != nil {
		r.charge(requests)
	}
}

// Hold has f called whenever there is little room for connections, but not for
// each who comes. It must not block.
func (r *Room) Hold(f func()) { r.holders.add(f) }

// HoldLent is Hold for requests.
func (r *Room) HoldLent(f func()) { r.lenders.add(f) }

// holders are asked to make room.
type holders struct {
	asked atomic.Int64 // when they were last, in nanoseconds
	mu    sync.Mutex
	all   []func()
}

func (h *holders) add(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = append(h.all, f)
}

// pressing is how often they are asked at most.
const pressing = 50 * time.Millisecond

func (h *holders) press(began time.Time) {
	now := int64(time.Since(began) + pressing) // so that the first is in time
	if last := h.asked.Load(); now-last < int64(pressing) || !h.asked.CompareAndSwap(last, now) {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, f := range h.all {
		f()
	}
}

// Overstayed is for how long a viewer has to keep others waiting before he leaves
// for them.
const Overstayed = time.Second

// Share is how many of n there are that leave at once.
func Share(n int) int { return (n + 31) / 32 }
