package edge

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/freshet/freshet/internal/edge/loop"
)

// A connection cannot be ended without a word: its viewer may have sent a request
// that is still on its way. So for a while before the end each answer says that it
// is the last of its connection. That is over when no request has come for
// drainQuiet, or after drainMost.
const (
	drainQuiet = 200 * time.Millisecond
	drainMost  = time.Second
	drainLook  = 10 * time.Millisecond
	drainShake = 50 * time.Millisecond // for those who are connecting
)

// Drainer is a listener whose viewers are to lose no request when it closes.
type Drainer interface {
	// Drain returns when no viewer sends requests any more who was not told that
	// his connection ends, and the door is closed, or is to be closed by the server
	// that has it; or when ctx is done.
	Drain(ctx context.Context)
}

// isEnding reports whether the answer to r is the last on its connection since the
// edge is about to go.
func (e *Edge) isEnding(r *http.Request) bool {
	if !e.draining.Load() || upgradeOf(r) != "" {
		return false
	}
	e.lastWord.Add(1)
	return true
}

// farewell has each answer be the last of its connection from now on, and returns
// when nobody asks any more, or there is nobody.
func (e *Edge) farewell(ctx context.Context, there func() bool) {
	e.draining.Store(true)
	tick := time.NewTicker(drainLook)
	defer tick.Stop()
	began := time.Now()
	asked, last := e.lastWord.Load(), began
	for now := began; there() && now.Sub(began) < drainMost && now.Sub(last) < drainQuiet; {
		select {
		case now = <-tick.C:
		case <-ctx.Done():
			return
		}
		if n := e.lastWord.Load(); n != asked {
			asked, last = n, now
		}
	}
}

// settle returns when nobody has been busy, and nothing has been answered, for
// drainQuiet, or when ctx is done.
func (e *Edge) settle(ctx context.Context, busy func() int) {
	asked, last := e.lastWord.Load(), time.Now()
	for time.Since(last) < drainQuiet && ctx.Err() == nil {
		pause(ctx, drainLook)
		if n := e.lastWord.Load(); n != asked || busy() > 0 {
			asked, last = n, time.Now()
		}
	}
}

// Drain is of Drainer.
func (d *plainDoor) Drain(ctx context.Context) {
	l, ok := d.Listener.(*loop.Door)
	if !ok {
		d.edge.farewell(ctx, func() bool { return true })
		return
	}
	d.edge.farewell(ctx, func() bool { return l.Open() > 0 })
	l.Deafen()
	pause(ctx, drainShake)
	_ = l.Close() // the listener is no more, whatever happened
	l.Wait(ctx)
	if ctx.Err() != nil {
		l.CutOff()
		return
	}
	// net/http answers nothing that it reads once it shuts down.
	if l.Open() > 0 {
		d.edge.settle(ctx, func() int { return l.Lent() - int(d.idle.Load()) })
	}
}

// Drain is of Drainer.
func (d *secureDoor) Drain(ctx context.Context) {
	d.edge.farewell(ctx, func() bool { return true })
	loop.Deafen(d.Listener)
	pause(ctx, drainShake)
	d.finish(ctx)
	d.edge.settle(ctx, d.busy)
	_ = d.Close() // the listener is no more, whatever happened
	d.Wait(ctx)
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

var _ = []interface {
	net.Listener
	Drainer
}{(*plainDoor)(nil), (*secureDoor)(nil)}
