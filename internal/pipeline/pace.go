package pipeline

import (
	"context"
	"time"

	"github.com/freshet/freshet/internal/queue"
)

// pace decides how long changes gather before a request is made for them. A
// lone change goes at once. When several arrive while a request is under way,
// more are likely to come, and the time quadruples with each such batch; when the
// stream dries up, the batch goes without waiting for the rest of it. There is
// nothing to configure.
type pace struct {
	window time.Duration // how long the next batch gathers
	gap    time.Duration // between two arrivals in a stream, smoothed
	last   time.Time     // arrival
}

const (
	firstWindow   = 20 * time.Millisecond
	growth        = 4
	longestWindow = time.Second // CloudFront takes about one request a second without pushing back
	shortestQuiet = 10 * time.Millisecond
	longestQuiet  = 100 * time.Millisecond
	streamEnds    = 3 * longestQuiet // a pause after which what comes is no part of what came
)

// arrived notes one arrival. One after a long pause is a lone change.
func (p *pace) arrived(now time.Time) {
	if gap := now.Sub(p.last); gap < streamEnds {
		p.gap += (gap - p.gap) / 8
	} else {
		p.window, p.gap = 0, 0
	}
	p.last = now
}

// quiet is the pause that ends a batch early. Uploads come in clumps, so a long
// stream is given longer pauses than a short one.
func (p *pace) quiet() time.Duration {
	return max(shortestQuiet, min(p.window/4, longestQuiet), min(8*p.gap, longestQuiet))
}

// gathered notes that a batch of n changes is complete.
func (p *pace) gathered(n int) {
	switch {
	case n > 1:
		p.window = min(max(growth*p.window, firstWindow), longestWindow)
	case p.window > firstWindow:
		p.window /= 2
	default:
		p.window = 0
	}
}

// gather returns the next batch. It is empty when ctx is done or what came
// needs no plan.
func (p *Pipeline) gather(ctx context.Context, pc *pace) []*change {
	var batch []*change
	room := p.roomForBatch()
	var closing <-chan time.Time // nil until the first change is there
	for len(batch) < maxBatch && room > 0 && ctx.Err() == nil {
		d, ok := p.next(ctx, pc, len(batch) > 0, closing)
		if !ok {
			break
		}
		now := time.Now()
		pc.arrived(now)
		c := p.admit(d, now)
		p.reached.Store(max(p.reached.Load(), d.Sequence()))
		if c == nil {
			continue
		}
		p.cfg.Report(p.lastRecords(c))
		batch = append(batch, c)
		c.weight = p.weigh(c.Change)
		room -= c.weight
		if closing == nil {
			closing = time.After(pc.window)
		}
	}
	if len(batch) > 0 {
		pc.gathered(len(batch))
	}
	return batch
}

// crowded reports whether so many changes wait that no more are taken from the
// queue.
func (p *Pipeline) crowded() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.gate.count() >= maxHeld
}

// next returns the next delivery, or false when the batch is complete.
func (p *Pipeline) next(ctx context.Context, pc *pace, begun bool, closing <-chan time.Time) (d queue.Delivery, ok bool) {
	arrivals := p.arrivals
	if p.crowded() {
		arrivals = nil
	}
	select {
	case d = <-arrivals:
		return d, true
	default:
	}
	var quiet <-chan time.Time
	if begun {
		if pc.window == 0 {
			return d, false
		}
		quiet = time.After(pc.quiet())
	}
	select {
	case d = <-arrivals:
		return d, true
	case <-quiet:
	case <-closing:
	case <-p.gate.heard:
	case <-p.gate.answers:
	case <-ctx.Done():
	}
	return d, false
}
