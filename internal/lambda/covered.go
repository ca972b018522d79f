package lambda

import (
	"context"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/cdn"
	"github.com/freshet/freshet/internal/cdn/cloudfront"
)

// mostCovering is how many of the newest invalidations of a distribution are
// looked through for what was done before.
const mostCovering = 200

// uncovered leaves out the targets that an invalidation covers which was taken
// after their change: the messages were delivered before, and how SQS puts them
// together is not the same each time, so neither are the caller references.
func (r *run) uncovered(ctx context.Context, changes []freshet.Change, targets []freshet.Target) ([]freshet.Target, error) {
	times := make(map[object]time.Time, len(changes))
	for _, c := range changes {
		times[object{c.Origin, c.Key}] = c.Time
	}
	oldest := make(map[string]time.Time)
	for _, t := range targets {
		at := times[object{t.Origin, t.Key}]
		if at.IsZero() {
			continue // nobody knows what came after it
		}
		if o, ok := oldest[t.Distribution]; !ok || at.Before(o) {
			oldest[t.Distribution] = at
		}
	}
	taken := make(map[string]*coverage)
	for distribution, from := range oldest {
		sent, err := r.since(ctx, distribution, from)
		if err != nil {
			return nil, err
		}
		taken[distribution] = coverageOf(sent)
	}
	left := make([]freshet.Target, 0, len(targets))
	for _, t := range targets {
		if at := times[object{t.Origin, t.Key}]; at.IsZero() || !taken[t.Distribution].after(at, t.Pattern) {
			left = append(left, t)
		}
	}
	if n := len(targets) - len(left); n > 0 {
		r.meter.add(repeated, n)
		r.log.Info("invalidated before", "targets", n)
	}
	return left, nil
}

// since asks until the CDN answers or the time is over. What it will never tell,
// for want of a permission, is only warned of: better twice than not at all.
func (r *run) since(ctx context.Context, distribution string, from time.Time) ([]cloudfront.Sent, error) {
	known := make(map[string][]freshet.Pattern)
	ask := func() ([]cloudfront.Sent, error) {
		sent, err := r.world.CDN.Since(ctx, distribution, from, mostCovering, known)
		if err != nil && !cdn.ClassOf(err).Temporary() {
			return nil, backoff.Permanent(err)
		}
		return sent, err
	}
	waits := backoff.NewExponentialBackOff()
	waits.InitialInterval, waits.MaxInterval = 50*time.Millisecond, 2*time.Second
	sent, err := backoff.Retry(ctx, ask, backoff.WithBackOff(waits), backoff.WithMaxElapsedTime(r.left(ctx)))
	if err != nil && !cdn.ClassOf(err).Temporary() {
		r.log.Warn("cannot see what was invalidated before; it may be invalidated twice", "distribution", distribution, "err", err)
		return nil, nil
	}
	return sent, err
}

// coverage is when paths were invalidated last.
type coverage struct {
	exact     map[freshet.Pattern]time.Time
	wildcards map[freshet.Pattern]time.Time
}

func coverageOf(sent []cloudfront.Sent) *coverage {
	c := &coverage{exact: make(map[freshet.Pattern]time.Time), wildcards: make(map[freshet.Pattern]time.Time)}
	for _, s := range slices.Backward(sent) { // the newest last
		for _, p := range s.Patterns {
			if p.IsWildcard() {
				c.wildcards[p] = s.At
			} else {
				c.exact[p] = s.At
			}
		}
	}
	return c
}

// after reports whether all that p covers was invalidated after a moment.
func (c *coverage) after(at time.Time, p freshet.Pattern) bool {
	if last, ok := c.exact[p]; ok && last.After(at) {
		return true
	}
	for wildcard, last := range c.wildcards {
		if last.After(at) && wildcard.Covers(p.Prefix()) {
			return true
		}
	}
	return false
}
