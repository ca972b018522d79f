// Package memcdn is a CDN in memory, for tests of everything that talks to one:
// it remembers what it was asked, completes when it is told to and fails on
// demand.
package memcdn

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/cdn"
)

// CDN is a cdn.Driver. All methods may be called concurrently.
type CDN struct {
	profiles []freshet.Profile

	mu       sync.Mutex
	accepted []*accepted // in order
	held     bool
	faults   []Fault
	unknown  []error // what the coming calls of Status fail with
	calls    int
}

type accepted struct {
	inv       freshet.Invalidation
	receipt   freshet.Receipt
	completed time.Time // zero before
}

// Fault is what happens to one call of Invalidate. The zero value is nothing, so
// that a list of faults can let calls through.
type Fault struct {
	Err        error // is returned; a plain error becomes a *cdn.Error of class Unavailable
	LoseAnswer bool  // the request is carried out first, or refused as it would have been
}

// Profile returns a plain profile of a distribution: everything a CDN may lack
// is there, and limits are CloudFront's.
func Profile(distribution string) freshet.Profile {
	return freshet.Profile{
		Distribution:     distribution,
		Hosts:            []string{strings.ToLower(distribution) + ".cdn.example"},
		MaxPatterns:      1000,
		MaxWildcards:     15,
		PatternPrice:     0.005,
		PollEvery:        10 * time.Millisecond,
		CompletionWithin: time.Minute,
	}
}

// New returns a CDN with the given distributions, whose profiles it keeps to: a
// request with more patterns or wildcards than they allow is TooLarge, tags
// without Tags are Rejected.
func New(profiles ...freshet.Profile) *CDN {
	sorted := slices.Clone(profiles)
	slices.SortFunc(sorted, func(a, b freshet.Profile) int { return strings.Compare(a.Distribution, b.Distribution) })
	return &CDN{profiles: sorted}
}

// Hold makes invalidations stay accepted until release is called, which
// completes all of them and those that follow. Without Hold an invalidation is
// completed as soon as it is accepted, though its own receipt says Accepted.
func (c *CDN) Hold() (release func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = true
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.held = false
		for _, a := range c.accepted {
			a.complete()
		}
	}
}

// Fail appends to the faults of the coming calls of Invalidate, one each.
func (c *CDN) Fail(faults ...Fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults = append(c.faults, faults...)
}

// FailStatus appends to what the coming calls of Status fail with, one each; nil
// lets a call through. A plain error becomes a *cdn.Error of class Unavailable.
func (c *CDN) FailStatus(errs ...error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unknown = append(c.unknown, errs...)
}

// Accepted returns what was accepted, in order, each once however often it was
// sent.
func (c *CDN) Accepted() []freshet.Invalidation {
	c.mu.Lock()
	defer c.mu.Unlock()
	var sent []freshet.Invalidation
	for _, a := range c.accepted {
		sent = append(sent, a.inv)
	}
	return sent
}

// Calls counts the calls of Invalidate, failed and repeated ones included.
func (c *CDN) Calls() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls
}

// Invalidate accepts the invalidation unless a fault is due.
func (c *CDN) Invalidate(ctx context.Context, inv freshet.Invalidation) (freshet.Receipt, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls++
	if err := ctx.Err(); err != nil {
		return freshet.Receipt{}, fail(cdn.Unavailable, fmt.Errorf("invalidate at %s: %w", inv.Distribution, err))
	}
	var fault Fault
	if len(c.faults) > 0 {
		fault, c.faults = c.faults[0], c.faults[1:]
	}
	if fault.Err != nil && !fault.LoseAnswer {
		return freshet.Receipt{}, asError(fault.Err)
	}
	receipt, err := c.accept(inv)
	switch {
	case err != nil:
		return freshet.Receipt{}, err
	case fault.Err != nil:
		return freshet.Receipt{}, asError(fault.Err)
	case fault.LoseAnswer:
		return freshet.Receipt{}, fail(cdn.Unavailable, errors.New("the answer was lost"))
	}
	return receipt, nil
}

// accept files an invalidation, or finds it filed. c.mu is held.
func (c *CDN) accept(inv freshet.Invalidation) (freshet.Receipt, error) {
	profile, err := c.profile(inv.Distribution)
	if err != nil {
		return freshet.Receipt{}, err
	}
	if err := check(inv, profile); err != nil {
		return freshet.Receipt{}, err
	}
	inv.Patterns = slices.Compact(slices.Sorted(slices.Values(inv.Patterns)))
	inv.Targets = slices.Clone(inv.Targets)
	for _, a := range c.accepted {
		if a.inv.Distribution != inv.Distribution || a.inv.CallerReference != inv.CallerReference {
			continue
		}
		if !slices.Equal(a.inv.Patterns, inv.Patterns) {
			return freshet.Receipt{}, fail(cdn.Conflict, fmt.Errorf("caller reference %q was used for other patterns", inv.CallerReference))
		}
		return a.now(), nil
	}
	a := &accepted{inv: inv, receipt: freshet.Receipt{
		Distribution:    inv.Distribution,
		CallerReference: inv.CallerReference,
		ID:              fmt.Sprintf("I%d", len(c.accepted)+1),
		State:           freshet.Accepted,
		At:              time.Now(),
	}}
	c.accepted = append(c.accepted, a)
	if !c.held {
		a.complete()
	}
	return a.receipt, nil
}

func (a *accepted) complete() {
	if a.completed.IsZero() {
		a.completed = time.Now()
	}
}

// now is the receipt as it stands.
func (a *accepted) now() freshet.Receipt {
	receipt := a.receipt
	if !a.completed.IsZero() {
		receipt.State, receipt.At = freshet.Completed, a.completed
	}
	return receipt
}

func check(inv freshet.Invalidation, profile freshet.Profile) error {
	if inv.CallerReference == "" || len(inv.Patterns) == 0 {
		return fail(cdn.Rejected, errors.New("a caller reference and patterns are required"))
	}
	wildcards := 0
	for _, p := range inv.Patterns {
		if _, err := freshet.ParsePattern(string(p)); err != nil {
			return fail(cdn.Rejected, err)
		}
		if p.IsTag() && !profile.Tags {
			return fail(cdn.Rejected, fmt.Errorf("%s does not understand the tag %s", inv.Distribution, p))
		}
		if p.IsWildcard() {
			wildcards++
		}
	}
	if exceeds(len(inv.Patterns), profile.MaxPatterns) || exceeds(wildcards, profile.MaxWildcards) {
		return fail(cdn.TooLarge, fmt.Errorf("%d patterns, %d of them wildcards, are too many", len(inv.Patterns), wildcards))
	}
	return nil
}

// exceeds compares with a limit that is none when it is zero.
func exceeds(n, limit int) bool { return limit > 0 && n > limit }

// Status returns the receipt of an invalidation as it stands.
func (c *CDN) Status(ctx context.Context, distribution, id string) (freshet.Receipt, error) {
	if err := ctx.Err(); err != nil {
		return freshet.Receipt{}, fail(cdn.Unavailable, fmt.Errorf("status of %s: %w", id, err))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.unknown) > 0 {
		var err error
		err, c.unknown = c.unknown[0], c.unknown[1:]
		if err != nil {
			return freshet.Receipt{}, asError(err)
		}
	}
	if _, err := c.profile(distribution); err != nil {
		return freshet.Receipt{}, err
	}
	for _, a := range c.accepted {
		if a.receipt.Distribution == distribution && a.receipt.ID == id {
			return a.now(), nil
		}
	}
	return freshet.Receipt{}, fail(cdn.NotFound, fmt.Errorf("no invalidation %q at %s", id, distribution))
}

// Profiles returns those given to New, sorted.
func (c *CDN) Profiles(ctx context.Context) ([]freshet.Profile, error) {
	if err := ctx.Err(); err != nil {
		return nil, fail(cdn.Unavailable, fmt.Errorf("profiles: %w", err))
	}
	profiles := slices.Clone(c.profiles)
	for i := range profiles {
		profiles[i].Hosts = slices.Clone(profiles[i].Hosts)
	}
	return profiles, nil
}

func (c *CDN) profile(distribution string) (freshet.Profile, error) {
	for _, p := range c.profiles {
		if p.Distribution == distribution {
			return p, nil
		}
	}
	return freshet.Profile{}, fail(cdn.NotFound, fmt.Errorf("no distribution %q", distribution))
}

func fail(class cdn.Class, err error) error { return &cdn.Error{Class: class, Err: err} }

// asError keeps the promise that drivers fail with *cdn.Error.
func asError(err error) error {
	var e *cdn.Error
	if errors.As(err, &e) {
		return err
	}
	return fail(cdn.Unavailable, err)
}
