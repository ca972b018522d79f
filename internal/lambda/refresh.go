package lambda

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/apply"
	"github.com/freshet/freshet/internal/cdn"
	"github.com/freshet/freshet/internal/plan"
	"github.com/freshet/freshet/internal/quota"
	"github.com/freshet/freshet/internal/source/batch"
)

type object struct{ origin, key string }

// refresh has everything invalidated that the changes make stale, and notes the
// messages of those for which that was not accepted.
func (r *run) refresh(ctx context.Context, arrived []batch.Change) {
	byBucket := make(map[string][]freshet.Change)
	messages := make(map[object][]string)
	for _, c := range arrived {
		o := object{c.Origin, c.Key}
		messages[o] = append(messages[o], c.At.Message)
		if r.done.has(c.Sum()) {
			r.meter.add(repeated, 1)
			r.mail.again = true // so were its neighbours, perhaps
			continue
		}
		byBucket[c.Origin] = append(byBucket[c.Origin], c.Change)
	}
	failed := func(changes []freshet.Change, err error) {
		told := make(map[string]bool)
		for _, c := range changes {
			for _, m := range messages[object{c.Origin, c.Key}] {
				if !told[m] {
					told[m] = true
					r.fail(m, err)
				}
			}
		}
	}
	if len(r.cfg.Distributions) > 0 && len(byBucket) > 0 {
		var all []freshet.Change
		for _, changes := range byBucket {
			all = append(all, changes...)
		}
		byBucket = map[string][]freshet.Change{"": all}
	}
	for bucket, changes := range byBucket {
		at, err := r.sites.of(ctx, bucket)
		if err != nil {
			failed(changes, err)
			continue
		}
		r.batch(ctx, at, changes, failed)
	}
}

// batch takes changes from the route to the CDN's acceptance.
func (r *run) batch(ctx context.Context, at *site, arrived []freshet.Change, failed func([]freshet.Change, error)) {
	latest, superseded := freshet.Latest(arrived)
	targets, unrouted := at.router.Targets(latest, nil)
	for _, u := range unrouted {
		r.log.Info("nothing to invalidate", "bucket", u.Origin, "key", u.Key, "reason", u.Reason)
	}
	if r.mail.again {
		var err error
		if targets, err = r.uncovered(ctx, latest, targets); err != nil {
			failed(latest, err)
			return
		}
	}
	in := plan.Input{Changes: latest, Superseded: superseded, Targets: targets, Unrouted: unrouted, Profiles: at.profiles, Terms: &r.cfg.Plan, Live: true}
	lost := make(map[object]bool)
	lose := func(changes []freshet.Change, err error) {
		for _, c := range changes {
			lost[object{c.Origin, c.Key}] = true
		}
		failed(changes, err)
	}
	plans, err := plans(in, lose)
	if err != nil {
		failed(latest, err)
		return
	}
	for _, p := range plans {
		r.send(ctx, at, p, lose)
	}
	for _, c := range slices.Concat(latest, superseded) {
		if !lost[object{c.Origin, c.Key}] {
			r.done.add(c.Sum())
		}
	}
}

// send sends the requests of a plan, those of several distributions beside each
// other, and tells failed of the changes of those that were not accepted.
func (r *run) send(ctx context.Context, at *site, p freshet.Plan, failed func([]freshet.Change, error)) {
	lane := quota.Live
	if len(p.Invalidations) > len(at.profiles) {
		lane = quota.Bulk
	}
	changes := make(map[object]freshet.Change, len(p.Changes))
	for _, c := range p.Changes {
		changes[object{c.Origin, c.Key}] = c
	}
	var mu sync.Mutex
	var sending sync.WaitGroup
	for _, inv := range p.Invalidations {
		r.meter.add(planned, 1)
		sending.Go(func() {
			receipt, err := r.one(ctx, lane, inv)
			if err == nil {
				r.accepted(inv, receipt)
				r.within(ctx, at, inv, receipt, changes)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if cdn.ClassOf(err) == cdn.NotFound {
				r.sites.forget()
			}
			concerned := make(map[object]bool)
			var these []freshet.Change
			for _, t := range inv.Targets {
				if o := (object{t.Origin, t.Key}); !concerned[o] {
					concerned[o] = true
					these = append(these, changes[o])
				}
			}
			failed(these, err)
		})
	}
	sending.Wait()
}

// tryAgain is how long a request waits at most, after it has failed, until it goes
// to the broker again, which makes everybody wait while the CDN is in trouble.
const tryAgain = 2 * time.Second

// one sends a request until it is accepted, refused for good, or the function's
// time is up.
func (r *run) one(ctx context.Context, lane quota.Lane, inv freshet.Invalidation) (freshet.Receipt, error) {
	return apply.Send(ctx, r.broker.Lane(lane), inv, apply.Retry{For: time.Hour, Most: tryAgain, Each: func(_ freshet.Invalidation, err error) {
		r.log.Warn("will try again", "distribution", inv.Distribution, "err", err)
	}})
}

// within measures how long the changes took to be accepted and, where that is
// waited for, to be completed.
func (r *run) within(ctx context.Context, at *site, inv freshet.Invalidation, receipt freshet.Receipt, changes map[object]freshet.Change) {
	var oldest time.Time
	for _, t := range inv.Targets {
		if c := changes[object{t.Origin, t.Key}]; !c.Time.IsZero() && (oldest.IsZero() || c.Time.Before(oldest)) {
			oldest = c.Time
		}
	}
	if oldest.IsZero() {
		return
	}
	r.meter.observe(acceptedWithin, time.Since(oldest))
	if r.cfg.Wait != WaitCompleted {
		return
	}
	var profile freshet.Profile
	for _, p := range at.profiles {
		if p.Distribution == inv.Distribution {
			profile = p
		}
	}
	if _, err := r.completed(ctx, receipt, profile); err != nil {
		r.log.Warn("accepted, but not seen completed", "distribution", inv.Distribution, "invalidation", receipt.ID, "err", err)
		return
	}
	r.meter.observe(freshWithin, time.Since(oldest))
}

// order invalidates what somebody asked for.
func (r *run) order(ctx context.Context, o order) (receipts []freshet.Receipt, err error) {
	if len(o.Changes) > 0 {
		return r.objects(ctx, o)
	}
	distributions := r.cfg.Distributions
	if o.Distribution != "" {
		distributions = []string{o.Distribution}
	}
	if len(distributions) == 0 {
		return nil, fmt.Errorf("invalidate %s: neither the event nor %s names a distribution", o.Invalidate[0], EnvDistributions)
	}
	var all []error
	for _, d := range distributions {
		profile := cloudFrontProfile(d, r.cfg)
		for _, part := range profile.Split(o.patterns()) {
			inv := freshet.Invalidation{Distribution: d, Patterns: part, CallerReference: freshet.CallerReferenceOf(d, []freshet.Sum{sumOf(o.reference(r.id))}, part, 0)}
			receipt, err := r.one(ctx, quota.Live, inv)
			if err != nil {
				all = append(all, err)
				continue
			}
			r.accepted(inv, receipt)
			if o.Wait {
				if receipt, err = r.completed(ctx, receipt, profile); err != nil {
					all = append(all, err)
					continue
				}
			}
			receipts = append(receipts, receipt)
		}
	}
	return receipts, errors.Join(all...)
}

// objects invalidates what is stale with the objects that an order names. Errors
// are noted at its message, as those of other changes are.
func (r *run) objects(ctx context.Context, o order) ([]freshet.Receipt, error) {
	before := len(r.receipts)
	r.refresh(ctx, o.changes(r.id))
	receipts := slices.Clone(r.receipts[before:])
	if !o.Wait || r.failed[o.message] != nil {
		return receipts, nil
	}
	for i, receipt := range receipts {
		done, err := r.completed(ctx, receipt, cloudFrontProfile(receipt.Distribution, r.cfg))
		if err != nil {
			return nil, err
		}
		receipts[i] = done
	}
	return receipts, nil
}
