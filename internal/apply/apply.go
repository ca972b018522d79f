// Package apply sends the requests of a plan and waits for the CDN to finish
// them.
package apply

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/cdn"
)

// Retry says how long a temporary failure is worth another try. The zero value
// tries once.
type Retry struct {
	For   time.Duration                                // from the first failure to the last try
	First time.Duration                                // wait after the first failure; grows; 100 ms when zero
	Most  time.Duration                                // longest wait; half a minute when zero
	Each  func(inv freshet.Invalidation, failed error) // told of every failure that is tried again; may be nil
}

const (
	firstWait   = 100 * time.Millisecond
	longestWait = 30 * time.Second
	atOnce      = 50 * time.Millisecond
)

func (r Retry) backoff() *backoff.ExponentialBackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval = firstWait
	if r.First > 0 {
		b.InitialInterval = r.First
	}
	b.MaxInterval = longestWait
	if r.Most > 0 {
		b.MaxInterval = r.Most
	}
	return b
}

// Send asks the CDN for one invalidation until it accepts, refuses for good, or
// r.For is over. Every try carries the same caller reference, so that a request
// whose answer was lost is not done twice. The error is a *cdn.Error where the
// driver gave one.
func Send(ctx context.Context, d cdn.Driver, inv freshet.Invalidation, r Retry) (freshet.Receipt, error) {
	try := func() (freshet.Receipt, error) {
		receipt, err := d.Invalidate(ctx, inv)
		return receipt, classify(err)
	}
	notify := func(err error, _ time.Duration) {
		if r.Each != nil {
			r.Each(inv, err)
		}
	}
	receipt, err := retry(ctx, try, r, notify)
	if err != nil {
		return freshet.Receipt{}, fmt.Errorf("send invalidation %s to %s: %w", inv.CallerReference, inv.Distribution, err)
	}
	return receipt, nil
}

// retry runs try as r says. What comes back is try's own error, not the
// library's wrapping of it, or the reason why ctx is done.
func retry[T any](ctx context.Context, try func() (T, error), r Retry, notify backoff.Notify) (T, error) {
	got, err := try() // time counts from here: before it fails, a driver may wait for room
	if err == nil {
		return got, nil
	}
	failed := true
	options := []backoff.RetryOption{backoff.WithBackOff(r.backoff()), backoff.WithMaxElapsedTime(r.For), backoff.WithNotify(notify)}
	if r.For <= 0 {
		options = append(options, backoff.WithMaxTries(1))
	}
	got, err = backoff.Retry(ctx, func() (T, error) {
		if failed {
			failed = false
			return got, err
		}
		return try()
	}, options...)
	var permanent *backoff.PermanentError
	if errors.As(err, &permanent) {
		err = permanent.Err
	}
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		err = context.Cause(ctx)
	}
	return got, err
}

// Profiles asks the CDN for its distributions until it answers, refuses for good,
// or r.For is over. r.Each is not called.
func Profiles(ctx context.Context, d cdn.Driver, r Retry) ([]freshet.Profile, error) {
	return retry(ctx, func() ([]freshet.Profile, error) {
		profiles, err := d.Profiles(ctx)
		return profiles, classify(err)
	}, r, nil)
}

// classify tells the retry loop which errors to give up on and how long the CDN
// asked us to wait.
func classify(err error) error {
	if err == nil {
		return nil
	}
	if !cdn.ClassOf(err).Temporary() {
		return backoff.Permanent(err)
	}
	var e *cdn.Error
	if errors.As(err, &e) && e.RetryAfter > 0 {
		return waitError{err, &backoff.RetryAfterError{Duration: e.RetryAfter}}
	}
	return err
}

// waitError is an error that also carries the wait the CDN asked for.
type waitError struct {
	error
	wait *backoff.RetryAfterError
}

func (e waitError) Unwrap() []error { return []error{e.error, e.wait} }

// Wait returns when the CDN says that the invalidation is completed. It asks
// after p.PollEvery and then less and less often, up to every half minute; a
// CDN quicker than atOnce is asked straight away. It gives up after
// p.CompletionWithin, or when the CDN knows nothing of the invalidation.
func Wait(ctx context.Context, d cdn.Driver, receipt freshet.Receipt, p freshet.Profile) (freshet.Receipt, error) {
	within := p.CompletionWithin
	if within <= 0 {
		within = 15 * time.Minute
	}
	if receipt.State == freshet.Completed {
		return receipt, nil
	}
	if p.PollEvery > atOnce {
		select {
		case <-time.After(p.PollEvery):
		case <-ctx.Done():
			return freshet.Receipt{}, fmt.Errorf("wait for invalidation %s of %s: %w", receipt.ID, receipt.Distribution, context.Cause(ctx))
		}
	}
	poll := func() (freshet.Receipt, error) {
		now, err := d.Status(ctx, receipt.Distribution, receipt.ID)
		switch {
		case err != nil:
			return now, classify(err)
		case now.State == freshet.Failed:
			return now, backoff.Permanent(fmt.Errorf("the CDN reports failure: %s", now.Reason))
		case now.State != freshet.Completed:
			return now, fmt.Errorf("not completed within %v", within)
		}
		return now, nil
	}
	done, err := retry(ctx, poll, Retry{For: within, First: p.PollEvery}, nil)
	if err != nil {
		return freshet.Receipt{}, fmt.Errorf("wait for invalidation %s of %s: %w", receipt.ID, receipt.Distribution, err)
	}
	done.CallerReference = receipt.CallerReference
	return done, nil
}
