package pipeline_test

import (
	"testing"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/journal"
	"github.com/freshet/freshet/internal/plan"
)

// TestAPlanThatReplacesAnotherStaysWritten: a run was killed when it had written
// the plan that does what was refused, and not yet forgotten the one that did
// nothing.
func TestAPlanThatReplacesAnotherStaysWritten(t *testing.T) {
	for range 10 {
		l := newLine(t)
		c := put("a", 1)
		in := plan.Input{Changes: []freshet.Change{c}, Terms: &l.terms, Live: true}
		in.Profiles, _ = l.network.Profiles(t.Context())
		nothing, err := plan.Make(in)
		l.must(err)
		in.Targets, _ = l.router().Targets(in.Changes, nil)
		something, err := plan.Make(in)
		l.must(err)
		received := map[string]time.Time{c.ID(): time.Now()}
		l.must(l.journal.SavePlan(t.Context(), journal.Work{Plan: nothing, Received: received, Planned: time.Now(), Refused: true}))
		l.must(l.journal.SavePlan(t.Context(), journal.Work{Plan: something, Received: received, Planned: time.Now()}))
		l.stop()
		release := make(chan struct{})
		l.network.set(func() { l.network.waitFor = func(freshet.Change, func() bool) { <-release } })
		l.start()
		l.last(c, journal.Completed)
		plans, err := l.journal.Plans(t.Context())
		l.must(err)
		if len(plans) != 1 || plans[0].Plan.ID != something.ID || plans[0].Refused {
			t.Errorf("%d plans are written: %+v", len(plans), plans)
		}
		close(release)
		l.last(c, journal.Verified)
		l.settled()
		l.stop()
	}
}
