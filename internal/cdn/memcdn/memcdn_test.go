package memcdn_test

import (
	"errors"
	"testing"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/cdn"
	"github.com/freshet/freshet/internal/cdn/cdntest"
	"github.com/freshet/freshet/internal/cdn/memcdn"
)

func TestConformance(t *testing.T) {
	cdntest.Run(t, func(*testing.T) cdntest.Fixture {
		c := memcdn.New(memcdn.Profile("E2"), memcdn.Profile("E1"))
		return cdntest.Fixture{
			Driver:        c,
			Distributions: []string{"E2", "E1"},
			Hold:          c.Hold,
			TooMany:       1001,
			Removed: func(distribution string) (removed [][]freshet.Pattern) {
				for _, inv := range c.Accepted() {
					if inv.Distribution == distribution {
						removed = append(removed, inv.Patterns)
					}
				}
				return removed
			},
		}
	})
}

func TestFaults(t *testing.T) {
	c := memcdn.New(memcdn.Profile("E1"))
	throttled := &cdn.Error{Class: cdn.Throttled, RetryAfter: time.Second, Err: errors.New("slow down")}
	c.Fail(memcdn.Fault{Err: throttled}, memcdn.Fault{Err: errors.New("plain")}, memcdn.Fault{}, memcdn.Fault{LoseAnswer: true}, memcdn.Fault{LoseAnswer: true, Err: throttled})
	send := func(reference string) error {
		_, err := c.Invalidate(t.Context(), freshet.Invalidation{Distribution: "E1", CallerReference: reference, Patterns: []freshet.Pattern{"/a"}})
		return err
	}
	for n, want := range []struct {
		reference string
		class     cdn.Class // empty: accepted
		accepted  int       // afterwards
	}{{"1", cdn.Throttled, 0}, {"1", cdn.Unavailable, 0}, {"1", "", 1}, {"2", cdn.Unavailable, 2}, {"3", cdn.Throttled, 3}, {"2", "", 3}} {
		err := send(want.reference)
		var e *cdn.Error
		if want.class == "" && err != nil || want.class != "" && (!errors.As(err, &e) || e.Class != want.class) || len(c.Accepted()) != want.accepted {
			t.Errorf("call %d: %v, %d accepted, want %+v", n, err, len(c.Accepted()), want)
		}
	}
	if c.Calls() != 6 {
		t.Errorf("%d calls", c.Calls())
	}
}

func TestStatusFailsOnDemand(t *testing.T) {
	c := memcdn.New(memcdn.Profile("E1"))
	receipt, err := c.Invalidate(t.Context(), freshet.Invalidation{Distribution: "E1", CallerReference: "r", Patterns: []freshet.Pattern{"/a"}})
	if err != nil {
		t.Fatal(err)
	}
	c.FailStatus(errors.New("plain"), nil)
	if _, err := c.Status(t.Context(), "E1", receipt.ID); cdn.ClassOf(err) != cdn.Unavailable || err == nil {
		t.Errorf("first: %v", err)
	}
	for range 2 {
		if got, err := c.Status(t.Context(), "E1", receipt.ID); err != nil || got.State != freshet.Completed {
			t.Errorf("afterwards: %+v, %v", got, err)
		}
	}
}

func TestKeepsToProfiles(t *testing.T) {
	tagged := memcdn.Profile("E1")
	tagged.Tags, tagged.MaxWildcards, tagged.MaxPatterns = true, 1, 0
	c := memcdn.New(tagged, memcdn.Profile("E2"))
	for n, tt := range []struct {
		distribution string
		patterns     []freshet.Pattern
		class        cdn.Class
	}{{"E1", []freshet.Pattern{"#t", "/a*"}, ""}, {"E1", []freshet.Pattern{"/a*", "/b*"}, cdn.TooLarge}, {"E2", []freshet.Pattern{"#t"}, cdn.Rejected}} {
		_, err := c.Invalidate(t.Context(), freshet.Invalidation{Distribution: tt.distribution, CallerReference: string(rune('a' + n)), Patterns: tt.patterns})
		if tt.class == "" && err != nil || tt.class != "" && cdn.ClassOf(err) != tt.class {
			t.Errorf("%v at %s: %v, want %q", tt.patterns, tt.distribution, err, tt.class)
		}
	}
}
