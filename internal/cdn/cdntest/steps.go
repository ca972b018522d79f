package cdntest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/cdn"
)

func invalidation(distribution, reference string, patterns ...string) freshet.Invalidation {
	inv := freshet.Invalidation{Distribution: distribution, CallerReference: reference}
	for _, p := range patterns {
		inv.Patterns = append(inv.Patterns, freshet.Pattern(p))
	}
	return inv
}

// invalidate must succeed with a receipt that says what it is for.
func invalidate(t *testing.T, f Fixture, inv freshet.Invalidation) freshet.Receipt {
	t.Helper()
	got, err := f.Driver.Invalidate(t.Context(), inv)
	if err != nil {
		t.Fatal(err)
	}
	wantReceipt(t, got, freshet.Receipt{Distribution: inv.Distribution, CallerReference: inv.CallerReference, ID: got.ID})
	return got
}

// status must succeed for the invalidation of a receipt.
func status(t *testing.T, f Fixture, of freshet.Receipt) freshet.Receipt {
	t.Helper()
	got, err := f.Driver.Status(t.Context(), of.Distribution, of.ID)
	if err != nil {
		t.Fatal(err)
	}
	wantReceipt(t, got, of)
	return got
}

func wantReceipt(t *testing.T, got, of freshet.Receipt) {
	t.Helper()
	if got.Distribution != of.Distribution || got.CallerReference != of.CallerReference || got.ID != of.ID || got.ID == "" ||
		got.At.IsZero() || got.State != freshet.Accepted && got.State != freshet.Completed || got.Reason != "" {
		t.Errorf("got the receipt %+v for %s %s %s", got, of.Distribution, of.CallerReference, of.ID)
	}
}

// completionDeadline bounds the wait for a CDN of the tests; drivers are tested
// against ones that take milliseconds.
const completionDeadline = 20 * time.Second

func awaitCompletion(t *testing.T, f Fixture, of freshet.Receipt) freshet.Receipt {
	t.Helper()
	deadline := time.After(completionDeadline)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		if got := status(t, f, of); got.State == freshet.Completed {
			return got
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s at %s is not completed after %v", of.ID, of.Distribution, completionDeadline)
		}
	}
}

// wantClass fails unless err is a *cdn.Error of the class, with a text.
func wantClass(t *testing.T, what string, err error, class cdn.Class) {
	t.Helper()
	var e *cdn.Error
	switch {
	case !errors.As(err, &e):
		t.Errorf("%s: %v is no *cdn.Error, want %s", what, err, class)
	case e.Class != class || e.Err == nil || e.Error() == "":
		t.Errorf("%s: %v has the class %s, want %s", what, err, e.Class, class)
	}
}

// wantRemoved compares what was removed at a distribution, order aside.
func wantRemoved(t *testing.T, f Fixture, distribution string, want ...[]freshet.Pattern) {
	t.Helper()
	if got, want := normal(f.Removed(distribution)), normal(want); !slices.Equal(got, want) {
		t.Errorf("removed at %s: %v, want %v", distribution, got, want)
	}
}

func normal(removed [][]freshet.Pattern) []string {
	var texts []string
	for _, patterns := range removed {
		texts = append(texts, fmt.Sprint(slices.Sorted(slices.Values(patterns))))
	}
	slices.Sort(texts)
	return texts
}
