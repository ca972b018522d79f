package edge

import (
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/freshet/freshet/internal/edge/loop"
)

// guest is a viewer while net/http has his request, or his connection. A nil one
// does nothing.
type guest struct {
	due atomic.Int64 // from when on he may be asked to go, in nanoseconds of the epoch; 0 while nobody waits for him
	end func()       // has him go; may be called by anybody, at any time
}

// await says that the viewer is waited for, and may be for so long even if there is
// no room for others.
func (g *guest) await(patience time.Duration) {
	if g != nil {
		g.due.Store(time.Now().Add(patience).UnixNano())
	}
}

// came says that nobody waits for the viewer any more.
func (g *guest) came() {
	if g != nil {
		g.due.Store(0)
	}
}

// moving is how a body gets on between a guest and net/http.
type moving struct {
	guest *guest
	bytes int           // of the present patientBytes
	spent time.Duration // waiting for them
}

// part has f take or bring some of the body, for which the guest is waited for. He
// has headerPatience for each patientBytes if there is no room for others.
func (m *moving) part(f func([]byte) (int, error), p []byte) (int, error) {
	if m.guest == nil {
		return f(p)
	}
	began := time.Now()
	m.guest.due.Store(began.Add(headerPatience - m.spent).UnixNano())
	n, err := f(p)
	m.guest.came()
	m.spent += time.Since(began)
	if m.bytes += n; m.bytes >= patientBytes {
		m.bytes, m.spent = 0, 0
	}
	return n, err
}

// guests are all that are with net/http. The zero value is nobody.
type guests struct {
	pressed atomic.Bool

	mu  sync.Mutex
	all map[*guest]struct{}
}

func (g *guests) enter(one *guest) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.all == nil {
		g.all = make(map[*guest]struct{})
	}
	g.all[one] = struct{}{}
}

func (g *guests) leave(one *guest) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.all, one)
}

// shed has some of those go who have been waited for the longest.
func (g *guests) shed() {
	type late struct {
		guest *guest
		due   int64
	}
	now := time.Now().UnixNano()
	g.mu.Lock()
	var over []late
	for one := range g.all {
		if due := one.due.Load(); due > 0 && due < now {
			over = append(over, late{one, due})
		}
	}
	most := loop.Share(len(g.all))
	g.mu.Unlock()
	slices.SortFunc(over, func(a, b late) int { return int(min(max(a.due-b.due, -1), 1)) })
	for _, l := range over[:min(len(over), most)] {
		l.guest.end()
	}
}

// makeRoom sheds soon.
func (e *Edge) makeRoom() {
	if e.guests.pressed.Swap(true) {
		return
	}
	e.start(func() {
		e.guests.pressed.Store(false)
		e.guests.shed()
	})
}

// overfull is what viewers are told for whom there is no room.
const overfull = "There are too many requests at once."

// refuseRequest answers a request for which there is no room.
func (e *Edge) refuseRequest(w http.ResponseWriter) {
	h, page := errorPage(http.StatusServiceUnavailable, overfull)
	e.sign(h, http.StatusServiceUnavailable, failed)
	for name, values := range h {
		w.Header()[name] = values
	}
	w.WriteHeader(http.StatusServiceUnavailable)
	_, _ = w.Write(page) // the viewer is gone, or not
}

// guestOf is the guest whose request r is; nil where nobody counts.
func guestOf(r *http.Request) *guest {
	switch c := r.Context().Value(inConn{}).(type) {
	case *viewerConn:
		return c.guest
	case *streamed:
		return &c.guest
	}
	return nil
}

// streamed is a request over HTTP/2 that is with net/http.
type streamed struct {
	guest
	*multiplexed

	mu      sync.Mutex
	control *http.ResponseController
	over    bool // control must not be used any more
}

func newStreamed(m *multiplexed, w http.ResponseWriter) *streamed {
	s := &streamed{multiplexed: m, control: http.NewResponseController(w)}
	s.end = s.giveUp
	return s
}

// giveUp has whoever reads or writes see that there is no time left.
func (s *streamed) giveUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.over {
		past := time.Unix(1, 0)
		_ = s.control.SetReadDeadline(past)
		_ = s.control.SetWriteDeadline(past) // net/http has both
	}
}

func (s *streamed) finish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
}
