// Package cdntest is what every cdn.Driver must do, as tests.
package cdntest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/cdn"
)

// Fixture is a driver with the CDN it talks to. The CDN is fresh: it has no
// invalidations yet.
type Fixture struct {
	Driver        cdn.Driver
	Distributions []string // the IDs of all that exist; two at least

	// Hold keeps the CDN from completing anything until release is called.
	// Release may be called twice.
	Hold func() (release func())

	// Removed returns what the CDN has removed at a distribution, one element
	// for each invalidation, in any order.
	Removed func(distribution string) [][]freshet.Pattern

	// TooMany is a number of patterns that is too large for one request; 0 where
	// the CDN has no such limit.
	TooMany int
}

// Run runs the suite; each test gets a fixture of its own.
func Run(t *testing.T, fixture func(t *testing.T) Fixture) {
	for name, test := range map[string]func(*testing.T, Fixture){
		"profiles":                   profiles,
		"accepted, then completed":   acceptedThenCompleted,
		"same reference":             sameReference,
		"same reference, other use":  sameReferenceOtherPatterns,
		"reference per distribution": referencePerDistribution,
		"unknown distribution":       unknownDistribution,
		"unknown invalidation":       unknownInvalidation,
		"bad patterns":               badPatterns,
		"too many patterns":          tooManyPatterns,
		"cancelled context":          cancelledContext,
		"one of many":                oneOfMany,
		"many at once":               manyAtOnce,
		"patterns are not touched":   patternsAreNotTouched,
	} {
		t.Run(name, func(t *testing.T) { test(t, fixture(t)) })
	}
}

func profiles(t *testing.T, f Fixture) {
	got, err := f.Driver.Profiles(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, p := range got {
		ids = append(ids, p.Distribution)
		if len(p.Hosts) == 0 || slices.Contains(p.Hosts, "") {
			t.Errorf("%s has the hosts %q", p.Distribution, p.Hosts)
		}
		if p.PollEvery <= 0 || p.CompletionWithin < p.PollEvery || p.MaxPatterns < 0 || p.MaxWildcards < 0 || p.PatternPrice < 0 {
			t.Errorf("%s has the profile %+v", p.Distribution, p)
		}
	}
	if !slices.IsSorted(ids) || !slices.Equal(ids, slices.Sorted(slices.Values(f.Distributions))) {
		t.Errorf("profiles of %v, want %v sorted", ids, f.Distributions)
	}
}

func acceptedThenCompleted(t *testing.T, f Fixture) {
	release := f.Hold()
	defer release()
	inv := invalidation(f.Distributions[0], "r", "/a*", "/b")
	accepted := invalidate(t, f, inv)
	if accepted.State != freshet.Accepted {
		t.Errorf("while the CDN is at it: %+v", accepted)
	}
	if again := status(t, f, accepted); again.State != freshet.Accepted {
		t.Errorf("its status: %+v", again)
	}
	release()
	completed := awaitCompletion(t, f, accepted)
	if completed.At.Before(accepted.At.Add(-time.Second)) {
		t.Errorf("completed at %v, accepted at %v", completed.At, accepted.At)
	}
	wantRemoved(t, f, inv.Distribution, inv.Patterns)
	wantRemoved(t, f, f.Distributions[1])
}

func sameReference(t *testing.T, f Fixture) {
	release := f.Hold()
	defer release()
	inv := invalidation(f.Distributions[0], "r", "/a", "/b")
	first := invalidate(t, f, inv)
	backwards := inv
	backwards.Patterns = []freshet.Pattern{"/b", "/a"}
	for _, again := range []freshet.Invalidation{inv, backwards} {
		if got := invalidate(t, f, again); got.ID != first.ID {
			t.Errorf("repeated with %v: %+v, want the ID %s", again.Patterns, got, first.ID)
		}
	}
	release()
	awaitCompletion(t, f, first)
	if got := invalidate(t, f, inv); got.ID != first.ID {
		t.Errorf("repeated after completion: %+v, want the ID %s", got, first.ID)
	}
	wantRemoved(t, f, inv.Distribution, inv.Patterns)
}

func sameReferenceOtherPatterns(t *testing.T, f Fixture) {
	first := invalidate(t, f, invalidation(f.Distributions[0], "r", "/a", "/b"))
	for _, patterns := range [][]string{{"/a"}, {"/a", "/b", "/c"}, {"/a", "/c"}} {
		_, err := f.Driver.Invalidate(t.Context(), invalidation(f.Distributions[0], "r", patterns...))
		wantClass(t, fmt.Sprint(patterns), err, cdn.Conflict)
	}
	awaitCompletion(t, f, first)
	wantRemoved(t, f, f.Distributions[0], []freshet.Pattern{"/a", "/b"})
}

func referencePerDistribution(t *testing.T, f Fixture) {
	first := invalidate(t, f, invalidation(f.Distributions[0], "r", "/a"))
	second := invalidate(t, f, invalidation(f.Distributions[1], "r", "/b"))
	awaitCompletion(t, f, first)
	awaitCompletion(t, f, second)
	wantRemoved(t, f, f.Distributions[0], []freshet.Pattern{"/a"})
	wantRemoved(t, f, f.Distributions[1], []freshet.Pattern{"/b"})
}

func unknownDistribution(t *testing.T, f Fixture) {
	_, err := f.Driver.Invalidate(t.Context(), invalidation("ENOTTHERE", "r", "/a"))
	wantClass(t, "Invalidate", err, cdn.NotFound)
	_, err = f.Driver.Status(t.Context(), "ENOTTHERE", "INOTTHERE")
	wantClass(t, "Status", err, cdn.NotFound)
}

func unknownInvalidation(t *testing.T, f Fixture) {
	first := invalidate(t, f, invalidation(f.Distributions[0], "r", "/a"))
	_, err := f.Driver.Status(t.Context(), f.Distributions[0], "INOTTHERE")
	wantClass(t, "an ID that was never given", err, cdn.NotFound)
	_, err = f.Driver.Status(t.Context(), f.Distributions[1], first.ID)
	wantClass(t, "an ID of another distribution", err, cdn.NotFound)
	awaitCompletion(t, f, first)
}

func badPatterns(t *testing.T, f Fixture) {
	for _, patterns := range [][]string{{}, {""}, {"a"}, {"/a b"}, {"/~a"}, {"/é"}, {"/a", "b"}, {"/" + strings.Repeat("a", freshet.MaxPatternLength)}} {
		_, err := f.Driver.Invalidate(t.Context(), invalidation(f.Distributions[0], "r", patterns...))
		wantClass(t, fmt.Sprintf("%.60q", patterns), err, cdn.Rejected)
	}
	// The reference of a refused request is still free.
	awaitCompletion(t, f, invalidate(t, f, invalidation(f.Distributions[0], "r", "/good")))
	wantRemoved(t, f, f.Distributions[0], []freshet.Pattern{"/good"})
}

func tooManyPatterns(t *testing.T, f Fixture) {
	if f.TooMany == 0 {
		t.Log("the CDN has no limit")
		return
	}
	var paths []string
	for n := range f.TooMany {
		paths = append(paths, fmt.Sprintf("/%d", n))
	}
	_, err := f.Driver.Invalidate(t.Context(), invalidation(f.Distributions[0], "r", paths...))
	wantClass(t, fmt.Sprintf("%d patterns", f.TooMany), err, cdn.TooLarge)
	wantRemoved(t, f, f.Distributions[0])
}

func cancelledContext(t *testing.T, f Fixture) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	calls := map[string]func() error{
		"Invalidate": func() error {
			_, err := f.Driver.Invalidate(ctx, invalidation(f.Distributions[0], "r", "/a"))
			return err
		},
		"Status":   func() error { _, err := f.Driver.Status(ctx, f.Distributions[0], "I"); return err },
		"Profiles": func() error { _, err := f.Driver.Profiles(ctx); return err },
	}
	for name, call := range calls {
		err := call()
		wantClass(t, name, err, cdn.Unavailable)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v is no context.Canceled", name, err)
		}
	}
}

// oneOfMany sends the same request many times at once.
func oneOfMany(t *testing.T, f Fixture) {
	inv := invalidation(f.Distributions[0], "r", "/a", "/b")
	ids := make([]string, 8)
	var all sync.WaitGroup
	for n := range ids {
		all.Go(func() {
			receipt, err := f.Driver.Invalidate(t.Context(), inv)
			if err != nil {
				t.Error(err)
			}
			ids[n] = receipt.ID
		})
	}
	all.Wait()
	if len(slices.Compact(ids)) != 1 {
		t.Fatalf("one request has the IDs %v", ids)
	}
	awaitCompletion(t, f, freshet.Receipt{Distribution: inv.Distribution, CallerReference: "r", ID: ids[0]})
	wantRemoved(t, f, inv.Distribution, inv.Patterns)
}

// manyAtOnce uses all methods at the same time.
func manyAtOnce(t *testing.T, f Fixture) {
	receipts := make([]freshet.Receipt, 8)
	var all sync.WaitGroup
	for n := range receipts {
		all.Go(func() {
			inv := invalidation(f.Distributions[n%2], fmt.Sprintf("r%d", n), fmt.Sprintf("/%d", n))
			var err error
			if receipts[n], err = f.Driver.Invalidate(t.Context(), inv); err != nil {
				t.Error(err)
				return
			}
			if _, err := f.Driver.Status(t.Context(), inv.Distribution, receipts[n].ID); err != nil {
				t.Error(err)
			}
			if _, err := f.Driver.Profiles(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	seen := make(map[string]bool)
	for _, receipt := range receipts {
		if key := receipt.Distribution + " " + receipt.ID; seen[key] {
			t.Errorf("two invalidations have the ID %s", key)
		} else {
			seen[key] = true
		}
		awaitCompletion(t, f, receipt)
	}
}

func patternsAreNotTouched(t *testing.T, f Fixture) {
	inv := invalidation(f.Distributions[0], "r", "/b", "/a")
	kept := slices.Clone(inv.Patterns)
	first := invalidate(t, f, inv)
	if !slices.Equal(inv.Patterns, kept) {
		t.Errorf("the patterns became %v", inv.Patterns)
	}
	inv.Patterns[0] = "/changed" // the driver must not have kept the slice
	awaitCompletion(t, f, first)
	wantRemoved(t, f, inv.Distribution, kept)
}
