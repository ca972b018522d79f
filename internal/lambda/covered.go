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
	sent, err := asked(ctx, r.left(ctx), func() ([]cloudfront.Sent, error) {
		return r.world.CDN.Listed(ctx, distribution, from, mostCovering)
	})
	for i := range sent {
		if err != nil {
			break
		}
		sent[i].Patterns, err = asked(ctx, r.left(ctx), func() ([]freshet.Pattern, error) {
			return r.world.CDN.Patterns(ctx, distribution, sent[i].ID)
		})
		if cdn.ClassOf(err) == cdn.NotFound {
			err = nil
		}
	}
	if err != nil && !cdn.ClassOf(err).Temporary() {
		r.log.Warn("cannot see what was invalidated before; it may be invalidated twice", "distribution", distribution, "err", err)
		return nil, nil
	}
	return sent, err
}

// asked repeats one question while it fails for a reason that passes.
func asked[T any](ctx context.Context, within time.Duration, ask func() (T, error)) (T, error) {
	waits := backoff.NewExponentialBackOff()
	waits.InitialInterval, waits.MaxInterval = 50*time.Millisecond, tryAgain
	return backoff.Retry(ctx, func() (T, error) {
		answer, err := ask()
		if err != nil && !cdn.ClassOf(err).Temporary() {
			return answer, backoff.Permanent(err)
		}
		return answer, err
	}, backoff.WithBackOff(waits), backoff.WithMaxElapsedTime(within))
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
