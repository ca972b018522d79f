package pipeline_test

import (
	"testing"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/distribution"
	"github.com/freshet/freshet/internal/journal"
	"github.com/freshet/freshet/internal/route"
)

// TestADistributionThatIsGoneHoldsNothingUp: it is deleted while what is stale
// there waits to be invalidated again.
func TestADistributionThatIsGoneHoldsNothingUp(t *testing.T) {
	l := newLine(t)
	l.network.check = func(freshet.Change) freshet.Verdict {
		return freshet.Verdict{State: freshet.Stale, Reason: "old bytes"}
	}
	c := put("a", 1)
	l.put(c)
	l.last(c, journal.Dead)
	l.settled()

	e2 := distribution.ForBucket("E2", "site")
	router, err := route.New([]distribution.Distribution{e2}, route.Rules{})
	l.must(err)
	l.network.set(func() { l.network.distribution, l.network.check = "E2", nil })
	l.run.Reroute(router)
	l.must(revive(t, l))
	if r := l.last(c, journal.Verified); r.Distribution != "E2" {
		t.Errorf("%+v", r)
	}
	l.settled()
}
