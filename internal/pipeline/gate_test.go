package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/journal"
	"github.com/freshet/freshet/internal/pipeline"
)

// held returns once n changes wait, as Waits tells.
func (l *line) held(n int) []pipeline.Wait {
	l.t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); {
		waits, all := l.run.Waits(), 0
		for _, w := range waits {
			all += w.Changes
		}
		if all == n {
			return waits
		}
	}
	l.t.Fatalf("not %d changes wait: %+v", n, l.run.Waits())
	return nil
}

func (l *line) take(name string, during time.Duration, distributions ...string) {
	l.t.Helper()
	_, err := l.holds.Take(l.t.Context(), name, distributions, during)
	l.must(err)
}

func (l *line) release(name string) {
	l.t.Helper()
	held, err := l.run.Release(l.t.Context(), name)
	l.must(err)
	if !held {
		l.t.Errorf("hold %s was not there", name)
	}
}

func (l *line) requests() []freshet.Invalidation {
	l.network.mu.Lock()
	defer l.network.mu.Unlock()
	return slices.Clone(l.network.requests)
}

// Under a hold a deploy becomes one plan, however long it takes and however often
// its files are written.
func TestChangesGatherUnderAHold(t *testing.T) {
	l := newLine(t)
	l.take("deploy", time.Hour)
	old := put("0.css", 1)
	l.put(old)
	if w := l.held(1); w[0].Lease != "deploy" || w[0].Why != "hold deploy" || w[0].Until.IsZero() {
		t.Errorf("it waits for %+v", w)
	}
	if r := l.last(old, journal.Received); r.Reason != "waits: hold deploy" {
		t.Errorf("the record says %q", r.Reason)
	}
	if r := l.run.Last(old.ID()); len(r) != 1 || r[0].Reason != "waits: hold deploy" {
		t.Errorf("the last record is %+v", r)
	}
	var all []freshet.Change
	for i := range 1010 { // more than are planned together otherwise
		all = append(all, put(fmt.Sprintf("%d.css", i), i+2))
	}
	l.put(all...)
	if len(l.requests()) != 0 {
		t.Fatal("something was sent during the hold")
	}
	l.release("deploy") // what was put before is in the plan, wherever it is by now
	plans := make(map[string]bool)
	for _, c := range all {
		plans[l.last(c, journal.Verified).Plan] = true
	}
	if len(plans) != 1 {
		t.Errorf("they went in %d plans", len(plans))
	}
	if r := l.last(old, journal.Verified); !strings.Contains(r.Reason, "superseded") || !plans[r.Plan] {
		t.Errorf("the older change of the same key: %+v", r)
	}
	if held, err := l.run.Release(t.Context(), "deploy"); held || err != nil {
		t.Errorf("released again: %v, %v", held, err)
	}
	l.settled()
}

// A hold of another distribution, or of changes that nothing caches, holds
// nothing.
func TestAHoldHoldsItsDistributionsAlone(t *testing.T) {
	l := newLine(t)
	l.take("other", time.Hour, "E2")
	c := put("a", 1)
	l.put(c)
	l.last(c, journal.Verified)
	l.take("this", time.Hour, "E1")
	nowhere := put("x", 2)
	nowhere.Origin = "elsewhere"
	held := put("b", 3)
	l.put(held, nowhere)
	l.last(nowhere, journal.Verified)
	l.held(1)
	l.release("this")
	l.last(held, journal.Verified)
}

// A hold ends by itself, unless it is renewed.
func TestAHoldEndsByItself(t *testing.T) {
	l := newLine(t)
	l.take("forgotten", 50*time.Millisecond)
	l.take("renewed", 50*time.Millisecond)
	l.take("renewed", time.Hour)
	c := put("a", 1)
	l.put(c)
	for deadline := time.Now().Add(2 * time.Minute); len(l.holds.Leases()) != 1; {
		if time.Now().After(deadline) {
			t.Fatal("the forgotten hold does not end")
		}
	}
	l.held(1)
	l.take("renewed", 10*time.Millisecond)
	l.last(c, journal.Verified)
	if waits := l.run.Waits(); len(waits) != 0 {
		t.Errorf("%+v", waits)
	}
}

// What waits is not lost with the process, nor is the hold.
func TestAHoldOutlivesTheProcess(t *testing.T) {
	l := newLine(t)
	l.take("deploy", time.Hour)
	l.take("short", time.Millisecond)
	c := put("a", 1)
	l.put(c)
	l.held(1)
	l.stop()
	l.start()
	if w := l.held(1); len(w) != 1 || w[0].Lease != "deploy" {
		t.Errorf("after a restart %+v", w)
	}
	if len(l.requests()) != 0 {
		t.Error("something was sent")
	}
	l.release("deploy")
	l.last(c, journal.Verified)
	l.settled()
}

func TestHoldsThatCannotBe(t *testing.T) {
	l := newLine(t)
	for _, name := range []string{"", "a b", "a/b", "-a", "a.", strings.Repeat("a", 65)} {
		if _, err := l.holds.Take(t.Context(), name, nil, time.Second); !errors.Is(err, pipeline.ErrLease) {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, during := range []time.Duration{0, -time.Second, pipeline.LongestLease + 1} {
		if _, err := l.holds.Take(t.Context(), "a", nil, during); !errors.Is(err, pipeline.ErrLease) {
			t.Errorf("%v: %v", during, err)
		}
	}
	for i := range 64 {
		l.take(fmt.Sprintf("h%d", i), time.Minute)
	}
	if _, err := l.holds.Take(t.Context(), "one more", nil, time.Second); !errors.Is(err, pipeline.ErrLease) {
		t.Error(err)
	}
	l.take("h7", time.Hour)
}

// facts is a Before that a test answers.
type facts struct {
	asked  chan pipeline.Due
	answer chan error
}

func newFacts() facts { return facts{make(chan pipeline.Due, 10), make(chan error)} }

func (f facts) before(ctx context.Context, d pipeline.Due) error {
	f.asked <- d
	select {
	case err := <-f.answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func lineWith(t *testing.T, f facts) *line {
	l := newLine(t)
	l.stop()
	l.before = f.before
	l.start()
	return l
}

// While a fact has not come true nothing is invalidated, and what arrives
// meanwhile joins.
func TestWhatArrivesWhileAFactIsWaitedForJoins(t *testing.T) {
	f := newFacts()
	l := lineWith(t, f)
	first, second, third := put("a", 1), put("b", 2), put("a", 3)
	l.put(first)
	due := <-f.asked
	if !slices.Equal(due.Distributions, []string{"E1"}) {
		t.Errorf("asked about %v", due.Distributions)
	}
	due.Say("function api is InProgress")
	l.put(second, third)
	if w := l.held(3); len(w) != 1 || w[0].Why != "function api is InProgress" || w[0].Lease != "" || w[0].Since.IsZero() {
		t.Errorf("waits: %+v", w)
	}
	if len(l.requests()) != 0 || len(f.asked) != 0 {
		t.Errorf("%d requests were sent, asked %d times more", len(l.requests()), len(f.asked))
	}
	f.answer <- nil
	plan := l.last(third, journal.Verified).Plan
	for _, c := range []freshet.Change{first, second} {
		if r := l.last(c, journal.Verified); r.Plan != plan {
			t.Errorf("%s went with another plan", c.Key)
		}
	}
	// The next change has it asked anew.
	next := put("c", 4)
	l.put(next)
	<-f.asked
	f.answer <- nil
	l.last(next, journal.Verified)
	l.settled()
}

// A fact that does not come true makes dead letters, and a retry asks again.
func TestAFactThatDoesNotComeTrue(t *testing.T) {
	f := newFacts()
	l := lineWith(t, f)
	l.put(put("a", 1))
	<-f.asked
	a, b := put("a", 2), put("b", 3)
	l.put(a, b)
	l.held(3)
	f.answer <- errors.New("function api: Failed (ImageDeleted)")
	for _, c := range []freshet.Change{a, b} {
		if r := l.last(c, journal.Dead); r.Reason != "nothing was invalidated: function api: Failed (ImageDeleted)" {
			t.Errorf("the reason is %q", r.Reason)
		}
	}
	l.settled()
	retry := func() {
		t.Helper()
		if n, err := l.run.Retry(t.Context(), func(journal.Work) bool { return true }); err != nil || n != 2 {
			t.Errorf("%d are tried again: %v", n, err)
		}
		<-f.asked
		l.held(2)
	}
	retry()
	f.answer <- errors.New("still not")
	for deadline := time.Now().Add(2 * time.Minute); ; {
		if r := l.last(a, journal.Dead); strings.HasSuffix(r.Reason, "still not") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("it is not dead again")
		}
	}
	l.settled()
	if len(l.requests()) != 0 {
		t.Error("something was sent")
	}
	// Killed while it waits: the next run asks again.
	retry()
	l.stop()
	l.start()
	<-f.asked
	f.answer <- nil
	l.last(a, journal.Verified)
	l.last(b, journal.Verified)
	l.settled()
}

// A hold that is taken while a fact is waited for holds, too, and the fact must
// be true after it.
func TestAHoldDuringAFact(t *testing.T) {
	f := newFacts()
	l := lineWith(t, f)
	c := put("a", 1)
	l.put(c)
	<-f.asked
	l.take("deploy", time.Hour)
	f.answer <- nil
	for deadline := time.Now().Add(2 * time.Minute); ; {
		if w := l.run.Waits(); len(w) == 1 && w[0].Lease == "deploy" && w[0].Changes == 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%+v", l.run.Waits())
		}
	}
	if len(l.requests()) != 0 {
		t.Error("something was sent")
	}
	l.release("deploy")
	<-f.asked
	f.answer <- nil
	l.last(c, journal.Verified)
}

// A dead letter that is revived during a hold waits as well.
func TestARetryWaitsForAHold(t *testing.T) {
	l := newLine(t)
	l.stop()
	l.terms.Never = []freshet.Pattern{"/*"}
	l.start()
	c := put("~", 1)
	l.put(c)
	l.last(c, journal.Dead)
	l.settled()
	l.stop()
	l.terms.Never = nil
	l.start()
	l.take("deploy", time.Hour)
	l.must(revive(t, l))
	for deadline := time.Now().Add(2 * time.Minute); ; {
		if r := l.run.Last(c.ID()); len(r) == 1 && r[0].Reason == "waits: hold deploy" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%+v", l.run.Last(c.ID()))
		}
	}
	if len(l.requests()) != 0 {
		t.Error("something was sent")
	}
	l.release("deploy")
	l.last(c, journal.Verified)
	l.settled()
}
