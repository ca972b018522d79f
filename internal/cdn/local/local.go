// Package local drives our own edge when it runs in the same process. It shares
// one register of invalidations with the edge's CloudFront API, so a caller
// reference that was used over one way is known over the other.
package local

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/cdn"
	"github.com/freshet/freshet/internal/distribution"
	"github.com/freshet/freshet/internal/edge/api"
)

// Register is what the driver needs of an *api.Register.
type Register interface {
	Create(ctx context.Context, distributionID string, batch api.Batch) (api.Invalidation, error)
	Get(distributionID, id string) (api.Invalidation, error)
	Distributions() []distribution.Distribution
}

// Driver is a cdn.Driver over a register.
type Driver struct{ register Register }

// New returns the driver of the edge whose register it is given.
func New(register Register) *Driver { return &Driver{register: register} }

// The edge charges nothing and completes in the time it takes to write two
// records, unless one of its nodes is cut off.
const (
	maxPatterns      = 3000
	maxWildcards     = 15
	pollEvery        = 20 * time.Millisecond
	completionWithin = time.Minute
)

// Invalidate files the invalidation with the register. The receipt says
// Completed only where the same one was sent before.
func (d *Driver) Invalidate(ctx context.Context, inv freshet.Invalidation) (freshet.Receipt, error) {
	paths := make([]string, len(inv.Patterns))
	for i, p := range inv.Patterns {
		paths[i] = string(p)
	}
	slices.Sort(paths)
	created, err := d.register.Create(ctx, inv.Distribution, api.Batch{CallerReference: inv.CallerReference, Paths: slices.Compact(paths)})
	if err != nil {
		return freshet.Receipt{}, wrap("invalidate at "+inv.Distribution, err)
	}
	return receipt(created), nil
}

// Status looks the invalidation up. The time of a completed one is that of its
// completion.
func (d *Driver) Status(ctx context.Context, distribution, id string) (freshet.Receipt, error) {
	if err := ctx.Err(); err != nil {
		return freshet.Receipt{}, wrap("status of "+id, err)
	}
	found, err := d.register.Get(distribution, id)
	if err != nil {
		return freshet.Receipt{}, wrap("status of "+id, err)
	}
	return receipt(found), nil
}

// Profiles describes the distributions of the edge.
func (d *Driver) Profiles(ctx context.Context) ([]freshet.Profile, error) {
	if err := ctx.Err(); err != nil {
		return nil, wrap("list the edge's distributions", err)
	}
	var profiles []freshet.Profile
	for _, at := range d.register.Distributions() {
		profiles = append(profiles, freshet.Profile{
			Distribution:     at.ID,
			Hosts:            at.Hosts(),
			MaxPatterns:      maxPatterns,
			MaxWildcards:     maxWildcards,
			PollEvery:        pollEvery,
			CompletionWithin: completionWithin,
		})
	}
	slices.SortFunc(profiles, func(a, b freshet.Profile) int { return strings.Compare(a.Distribution, b.Distribution) })
	return profiles, nil
}

func receipt(i api.Invalidation) freshet.Receipt {
	r := freshet.Receipt{Distribution: i.Distribution, CallerReference: i.CallerReference, ID: i.ID, State: freshet.Accepted, At: i.Created}
	if i.Status() == api.StatusCompleted {
		r.State, r.At = freshet.Completed, i.Completed
	}
	return r
}

// wrap gives a register's error its class.
func wrap(doing string, err error) error {
	class, hint := classify(err)
	return &cdn.Error{Class: class, Hint: hint, Err: fmt.Errorf("%s: %w", doing, err)}
}

func classify(err error) (class cdn.Class, hint string) {
	var refused *api.Error
	switch {
	case errors.Is(err, api.ErrReferenceUsed):
		return cdn.Conflict, "give each set of paths a caller reference of its own"
	case !errors.As(err, &refused):
		return cdn.Unavailable, ""
	}
	switch refused.Code {
	case api.NoSuchDistribution, api.NoSuchInvalidation:
		return cdn.NotFound, ""
	case api.BatchTooLarge:
		return cdn.TooLarge, ""
	case api.TooManyInvalidationsInProgress:
		return cdn.Busy, "wait until some of what is in progress is completed"
	case api.ServiceUnavailable:
		return cdn.Unavailable, "is the disk full?"
	default:
		return cdn.Rejected, ""
	}
}
