package app

import (
	"context"
	"fmt"
	"slices"

	"github.com/freshet/freshet/internal/distribution"
	"github.com/freshet/freshet/internal/journal"
	"github.com/freshet/freshet/internal/metrics"
	"github.com/freshet/freshet/internal/pipeline"
	"github.com/freshet/freshet/internal/server"
)

// openHolds reads the leases that outlived the last run.
func (u *Up) openHolds(ctx context.Context) (*pipeline.Holds, error) {
	shelf, err := journal.OpenShelf(ctx, u.store.JetStream(), "HOLDS")
	if err != nil {
		return nil, err
	}
	return pipeline.OpenHolds(ctx, shelf)
}

// takeHold takes or renews a lease. A distribution that is not here would make
// it hold nothing.
func (u *Up) takeHold(ctx context.Context, h server.Hold) (pipeline.Lease, error) {
	all := u.catalog.Distributions()
	for _, id := range h.Distributions {
		if !slices.ContainsFunc(all, func(d distribution.Distribution) bool { return d.ID == id }) {
			return pipeline.Lease{}, fmt.Errorf("%w: there is no distribution %s here", pipeline.ErrLease, id)
		}
	}
	return u.holds.Take(ctx, h.Name, h.Distributions, h.During())
}

// whyWaits puts into records of changes that have just been received what they
// wait for.
func (u *Up) whyWaits(each func(journal.Record) error) func(journal.Record) error {
	return func(r journal.Record) error {
		if r.State == journal.Received && r.Reason == "" {
			for _, now := range u.pipeline.Last(r.ID) {
				if now.State == journal.Received {
					r.Reason = now.Reason
				}
			}
		}
		return each(r)
	}
}

// waits is what changes wait for, as it is shown to those who look on.
func (u *Up) waits() (shown []metrics.Wait) {
	for _, w := range u.pipeline.Waits() {
		s := metrics.Wait{Why: w.Why, Distributions: w.Distributions, Changes: w.Changes, Since: w.Since}
		if !w.Until.IsZero() {
			s.Until = &w.Until
		}
		shown = append(shown, s)
	}
	return shown
}
