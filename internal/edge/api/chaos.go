package api

import (
	"context"
	"encoding/binary"
	"hash/fnv"
	"maps"
	"sync"
	"time"
)

// Chaos makes calls and invalidations go wrong on purpose, as a spec says, for
// those who test what they have built on the API. What goes wrong depends on
// nothing but the spec with its seed and the calls so far: the same calls in the
// same order fail alike. The zero value does nothing. Its methods may be called
// concurrently.
type Chaos struct {
	mu      sync.Mutex
	spec    ChaosSpec
	calls   map[Trouble]uint64 // how often each was considered
	counts  map[Trouble]int    // and how often it happened
	changed chan struct{}      // closed when the spec changes; nil until somebody waits for it
}

// Set replaces the spec and counts anew. Invalidations that were stuck or delayed
// are looked at again.
func (c *Chaos) Set(spec ChaosSpec) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spec = spec
	c.calls, c.counts = make(map[Trouble]uint64), make(map[Trouble]int)
	if c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
}

// Spec returns what Set was given.
func (c *Chaos) Spec() ChaosSpec {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.spec
}

// Counts says how often each trouble happened since the last Set.
func (c *Chaos) Counts() map[Trouble]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.counts)
}

// Fault is for HandlerConfig.
func (c *Chaos) Fault(operation string) (f Fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if rule, hit := c.considered(Slow, operation); hit {
		c.count(Slow)
		f.Delay = rule.For
	}
	// Each is considered for each call, so that one does not shift the others.
	_, throttled := c.considered(Throttle, operation)
	_, unavailable := c.considered(Unavailable, operation)
	_, busy := c.considered(Busy, operation)
	_, lost := c.considered(Lose, operation)
	switch {
	case throttled:
		c.count(Throttle)
		f.Err = ErrThrottled()
	case unavailable:
		c.count(Unavailable)
		f.Err = ErrUnavailable()
	case busy:
		c.count(Busy)
		f.Err = ErrBusy()
	case lost:
		c.count(Lose)
		f.LoseAnswer = true
	}
	return f
}

// Hold is for RegisterConfig. An invalidation that is stuck comes free when the
// spec changes and no longer holds it.
func (c *Chaos) Hold(ctx context.Context, i Invalidation) {
	for {
		wait, changed := c.holds(i)
		if wait == 0 {
			return
		}
		var over <-chan time.Time // never, for one that is stuck
		var timer *time.Timer
		if wait > 0 {
			timer = time.NewTimer(wait)
			over = timer.C
		}
		select {
		case <-changed:
		case <-over:
			return
		case <-ctx.Done():
			return
		}
		if timer != nil {
			timer.Stop()
		}
	}
}

// holds returns how long an invalidation is to be held, which is negative for ever, and what is
// closed when that changes.
func (c *Chaos) holds(Invalidation) (time.Duration, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.changed == nil {
		c.changed = make(chan struct{})
	}
	if _, hit := c.hits(Stuck); hit {
		return -1, c.changed
	}
	if rule, hit := c.hits(Complete); hit {
		return rule.For, c.changed
	}
	return 0, c.changed
}

// hits considers a trouble of invalidations and counts it where it happens. c.mu is held.
func (c *Chaos) hits(t Trouble) (ChaosRule, bool) {
	rule, hit := c.considered(t, "")
	if hit {
		c.count(t)
	}
	return rule, hit
}

// considered reports whether a trouble happens to the call of an operation,
// which is empty for an invalidation.
func (c *Chaos) considered(t Trouble, operation string) (ChaosRule, bool) {
	rule, ok := c.spec.Rules[t]
	if !ok || operation != "" && !c.spec.concerns(t, operation) {
		return ChaosRule{}, false
	}
	c.calls[t]++
	return rule, rule.chosen(c.spec.Seed, t, c.calls[t])
}

func (c *Chaos) count(t Trouble) { c.counts[t]++ }

// chosen reports whether the nth is one of those that the rule means.
func (r ChaosRule) chosen(seed uint64, t Trouble, n uint64) bool {
	switch {
	case r.Every > 0:
		return n%uint64(r.Every) == 0
	case r.Percent > 0:
		h := fnv.New64a()
		var b [16]byte
		binary.BigEndian.PutUint64(b[:8], seed)
		binary.BigEndian.PutUint64(b[8:], n)
		_, _ = h.Write([]byte(t))
		_, _ = h.Write(b[:])
		return float64(mixed(h.Sum64())>>11)/(1<<53) < r.Percent/100
	}
	return true
}

// mixed spreads the bits of a hash evenly: the last bytes of its input reach only
// some of them.
func mixed(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
