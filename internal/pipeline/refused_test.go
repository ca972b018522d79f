package pipeline_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/distribution"
	"github.com/freshet/freshet/internal/journal"
	"github.com/freshet/freshet/internal/route"
)

// TestWhatIsRefusedTakesNothingWithIt: one change of a batch can only be
// invalidated by what must never be sent. The others are, and that one waits as
// a dead letter until it is allowed, also across a restart.
func TestWhatIsRefusedTakesNothingWithIt(t *testing.T) {
	l := newLine(t)
	l.stop()
	l.terms.Never = []freshet.Pattern{"/*"}
	l.start()
	refused := put("~", 1)
	batch := []freshet.Change{put("a", 1), put("b", 1), refused, put("c", 1), put("d", 1)}
	l.put(batch...)
	for _, c := range batch {
		if c.Key == refused.Key {
			if r := l.last(c, journal.Dead); !strings.Contains(r.Reason, "never") {
				t.Errorf("the reason is %q", r.Reason)
			}
			continue
		}
		l.last(c, journal.Verified)
	}
	l.settled()

	l.must(revive(t, l))
	l.last(refused, journal.Dead)
	l.settled()

	l.stop()
	l.terms.Never = nil
	l.start()
	l.must(revive(t, l))
	if r := l.last(refused, journal.Verified); len(r.Patterns) != 1 || r.Patterns[0] != "/*" {
		t.Errorf("it was invalidated by %q", r.Patterns)
	}
	l.settled()
}

func revive(t *testing.T, l *line) error {
	t.Helper()
	n, err := l.run.Retry(t.Context(), func(journal.Work) bool { return true })
	if err == nil && n != 1 {
		t.Errorf("%d changes were revived", n)
	}
	return err
}

// TestWhatIsRefusedLeavesGroupsWhole: the batch is divided around the change that
// is refused, but not through what has to change together.
func TestWhatIsRefusedLeavesGroupsWhole(t *testing.T) {
	l := newLine(t)
	l.stop()
	l.terms.Never = []freshet.Pattern{"/*"}
	l.rules = route.Rules{Groups: []route.Group{{Name: "app", Keys: []string{"a/{n}", "z/{n}"}}}}
	l.start()
	begun, release := make(chan struct{}), make(chan struct{})
	l.network.set(func() {
		l.network.refuse = func(inv freshet.Invalidation) error {
			if inv.Patterns[0] == "/first" {
				close(begun)
				<-release
			}
			return nil
		}
	})
	l.put(put("first", 1))
	<-begun
	batch := []freshet.Change{put("a/1", 1), put("a/2", 1), put("b", 1), put("~", 1), put("y", 1), put("z/1", 1)}
	l.put(batch...)
	l.delivered(1 + len(batch))
	close(release)
	sent := make(map[string]bool)
	for _, c := range batch {
		if c.Key == "~" {
			l.last(c, journal.Dead)
			continue
		}
		if r := l.last(c, journal.Verified); strings.Contains(c.Key, "/") {
			sent[r.Invalidation] = true
		}
	}
	if len(sent) != 1 {
		t.Errorf("the group went in %d requests", len(sent))
	}
	l.settled()
}

// TestARefusalAtOneDistributionHoldsNothingBackAtOthers: what must not be cleared
// at one distribution is cleared at the other, and not once more when the first
// one's turn comes.
func TestARefusalAtOneDistributionHoldsNothingBackAtOthers(t *testing.T) {
	l := newLine(t)
	l.stop()
	below := distribution.ForBucket("E2", "site")
	below.Config.Origins[0].OriginPath = "/a"
	l.beside, l.network.beside = []distribution.Distribution{below}, []string{"E2"}
	l.terms.Never = []freshet.Pattern{"/*"}
	l.start()
	c, other := put("a/~", 1), put("a/b", 2)
	l.put(c, other)
	l.last(other, journal.Verified)
	if r := l.last(c, journal.Dead); !strings.Contains(r.Reason, "distribution E2") || !strings.HasSuffix(r.Reason, "; it is invalidated at the other distributions") {
		t.Errorf("the reason is %q", r.Reason)
	}
	l.settled()
	if got := cleared(l, "E1", "/a/*"); got != 1 {
		t.Errorf("cleared %d times at E1: %+v", got, l.requests())
	}
	l.stop()
	l.terms.Never = nil
	l.start()
	l.must(revive(t, l))
	l.last(c, journal.Verified)
	l.settled()
	if one, two := cleared(l, "E1", "/a/*"), cleared(l, "E2", "/*"); one != 1 || two != 1 {
		t.Errorf("cleared %d times at E1 and %d at E2: %+v", one, two, l.requests())
	}
}

// cleared counts the requests at a distribution that have a pattern.
func cleared(l *line, id string, pattern freshet.Pattern) (n int) {
	for _, inv := range l.requests() {
		if inv.Distribution == id && slices.Contains(inv.Patterns, pattern) {
			n++
		}
	}
	return n
}

// TestOfWhatIsStaleOnlyWhatIsRefusedIsGivenUp: the rest is invalidated again.
func TestOfWhatIsStaleOnlyWhatIsRefusedIsGivenUp(t *testing.T) {
	l := newLine(t)
	l.network.set(func() { l.network.check = stale })
	l.take("together", time.Hour)
	batch := []freshet.Change{put("a", 1), put("b", 2), put("~", 3), put("c", 4)}
	l.put(batch...)
	l.held(len(batch))
	l.release("together")
	for _, c := range batch {
		l.last(c, journal.Dead)
	}
	l.settled()
	l.stop()
	l.terms.Never = []freshet.Pattern{"/*"}
	l.network.set(func() { l.network.check = nil })
	l.start()
	if n, err := l.run.Retry(t.Context(), func(journal.Work) bool { return true }); err != nil || n != 4 {
		t.Errorf("%d are tried again: %v", n, err)
	}
	for _, c := range batch {
		if c.Key != "~" {
			l.last(c, journal.Verified)
		}
	}
	l.settled()
	if r := l.last(batch[2], journal.Dead); !strings.Contains(r.Reason, "never") {
		t.Errorf("the reason is %q; %v %+v", r.Reason, l.steps(batch[2]), l.requests())
	}
	l.stop()
	l.terms.Never = nil
	l.start()
	l.must(revive(t, l))
	l.last(batch[2], journal.Verified)
	l.settled()
	if n := cleared(l, "E1", "/*"); n != 3 {
		t.Errorf("cleared %d times, of which two left it stale", n)
	}
}
