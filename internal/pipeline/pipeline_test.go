package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/cdn"
	"github.com/freshet/freshet/internal/distribution"
	"github.com/freshet/freshet/internal/journal"
	"github.com/freshet/freshet/internal/pipeline"
	"github.com/freshet/freshet/internal/plan"
	"github.com/freshet/freshet/internal/queue"
	"github.com/freshet/freshet/internal/route"
	"github.com/freshet/freshet/internal/stream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// line is a pipeline on a store of its own, which a test can stop and start.
type line struct {
	t       *testing.T
	dir     string
	network *network
	bulk    cdn.Driver // nil: the network
	js      jetstream.JetStream
	queue   *queue.Queue
	journal *journal.Journal
	run     *pipeline.Pipeline
	holds   *pipeline.Holds
	within  func(string) time.Duration
	before  func(context.Context, pipeline.Due) error
	stop    func()

	queryString bool // is in the cache key
	terms       plan.Terms
	rules       route.Rules
	beside      []distribution.Distribution
	tagging     pipeline.Tagging

	mu      sync.Mutex
	records []journal.Record     // reported
	watch   func(journal.Record) // told of each, after it was added; may be nil
	changed chan struct{}
}

func newLine(t *testing.T) *line {
	l := &line{t: t, dir: t.TempDir(), terms: plan.DefaultTerms(), changed: make(chan struct{}, 1), network: &network{accepted: make(map[string]freshet.Invalidation), distribution: "E1"}}
	l.start()
	t.Cleanup(func() { l.stop() })
	return l
}

func (l *line) start() {
	l.t.Helper()
	e, err := stream.Open(stream.Config{Dir: l.dir})
	l.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	l.js = e.JetStream()
	l.queue, err = queue.Open(ctx, e.JetStream())
	l.must(err)
	l.journal, err = journal.Open(ctx, e.JetStream())
	l.must(err)
	inventory, err := l.journal.Inventory(ctx)
	l.must(err)
	unfinished, err := l.journal.Plans(ctx)
	l.must(err)
	l.mu.Lock()
	for _, w := range unfinished {
		l.records = append(l.records, journal.Record{State: "unfinished", Plan: w.Plan.ID})
	}
	l.records = append(l.records, journal.Record{State: "started"})
	l.mu.Unlock()
	shelf, err := journal.OpenShelf(ctx, e.JetStream(), "HOLDS")
	l.must(err)
	l.holds, err = pipeline.OpenHolds(ctx, shelf)
	l.must(err)
	l.run = pipeline.New(pipeline.Config{
		Tagging: l.tagging,
		Within:  l.within, Holds: l.holds, Before: l.before,
		Queue: l.queue, Journal: l.journal, Driver: l.network, Bulk: l.bulk, Check: l.network.probe, Retry: 50 * time.Millisecond,
		Router: l.router(), Terms: l.terms,
		Report: l.report, Log: slog.New(slog.DiscardHandler),
	}, inventory)
	ended := make(chan error, 1)
	run := l.run
	go func() { ended <- run.Run(ctx) }()
	l.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			l.t.Error(err)
		}
		e.Close()
	})
}

func (l *line) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

func (l *line) report(rs []journal.Record) {
	l.mu.Lock()
	l.records = append(l.records, rs...)
	watch := l.watch
	l.mu.Unlock()
	select {
	case l.changed <- struct{}{}:
	default:
	}
	for _, r := range rs {
		if watch != nil {
			watch(r)
		}
	}
}

// steps returns the states that a change has passed, as reported.
func (l *line) steps(c freshet.Change) (states []journal.State) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.records {
		if r.ID == c.ID() {
			states = append(states, r.State)
		}
	}
	return states
}

// last returns the last reported record of a change in state s, and waits for
// it.
func (l *line) last(c freshet.Change, s journal.State) journal.Record {
	l.t.Helper()
	timeout := time.After(2 * time.Minute)
	for {
		l.mu.Lock()
		for _, r := range slices.Backward(l.records) {
			if r.ID == c.ID() && r.State == s {
				l.mu.Unlock()
				return r
			}
		}
		l.mu.Unlock()
		select {
		case <-l.changed:
		case <-timeout:
			l.t.Fatalf("%s %s: not %s; it went %v", c.Key, c.Sequencer, s, l.steps(c))
		}
	}
}

func (l *line) put(cs ...freshet.Change) {
	l.t.Helper()
	for _, c := range cs {
		l.must(l.queue.Put(l.t.Context(), c))
	}
}

// delivered waits until the pipeline has been handed n changes that it has not
// acknowledged.
func (l *line) delivered(n int) {
	l.t.Helper()
	s, err := l.js.Stream(l.t.Context(), "CHANGES")
	l.must(err)
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); {
		for info := range s.ListConsumers(l.t.Context()).Info() {
			if info.NumAckPending == n {
				return
			}
		}
	}
	l.t.Fatalf("the pipeline has not got %d changes", n)
}

// settled waits until queue and journal hold nothing unfinished.
func (l *line) settled() {
	l.t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; {
		pending, err := l.queue.Pending(l.t.Context())
		l.must(err)
		plans, err := l.journal.Plans(l.t.Context())
		l.must(err)
		if len(pending) == 0 && len(plans) == 0 {
			return
		}
		if time.Now().After(deadline) {
			l.t.Fatalf("unfinished: %d changes in the queue, %d plans", len(pending), len(plans))
		}
	}
}

func put(key string, n int) freshet.Change {
	return freshet.Change{Origin: "site", Key: key, Op: freshet.OpPut, Sequencer: freshet.Sequencer(fmt.Sprintf("%016X", n)), ETag: fmt.Sprint(n), Time: time.Now().UTC()}
}

var whole = []journal.State{journal.Received, journal.Planned, journal.Sent, journal.Completed, journal.Verified}

func TestAChangeGoesTheWholeWay(t *testing.T) {
	l := newLine(t)
	c := put("d/index.html", 1)
	l.put(c)
	r := l.last(c, journal.Verified)
	if got := l.steps(c); !slices.Equal(got, whole) {
		t.Errorf("steps %v, want %v", got, whole)
	}
	if want := []freshet.Pattern{"/d", "/d/", "/d/index.html"}; !slices.Equal(r.Patterns, want) {
		t.Errorf("patterns %v, want %v", r.Patterns, want)
	}
	for name, at := range map[string]*time.Time{"received": r.ReceivedAt, "planned": r.PlannedAt, "sent": r.SentAt, "completed": r.CompletedAt, "verified": r.VerifiedAt} {
		if at == nil || at.Before(c.Time) {
			t.Errorf("%s at %v, changed at %v", name, at, c.Time)
		}
	}
	if r.Invalidation != "I"+l.network.requests[0].CallerReference || r.Distribution != "E1" || r.Reason != "" {
		t.Errorf("incomplete record %+v", r)
	}
	l.settled()
	var written []journal.State
	l.must(l.journal.Read(t.Context(), func(r journal.Record) error { written = append(written, r.State); return nil }))
	if !slices.Equal(written, whole) {
		t.Errorf("journal %v, want %v", written, whole)
	}
}

func TestAChangeThatNothingCachesIsDoneWithoutARequest(t *testing.T) {
	l := newLine(t)
	c := put("x", 1)
	c.Origin = "elsewhere"
	l.put(c)
	r := l.last(c, journal.Verified)
	if !strings.Contains(r.Reason, "elsewhere") || len(l.network.requests) != 0 || r.SentAt != nil {
		t.Errorf("%d requests, record %+v", len(l.network.requests), r)
	}
	l.settled()
}

func TestATemporaryFailureIsTriedAgainUnderTheSameReference(t *testing.T) {
	l := newLine(t)
	var tried []string
	l.network.refuse = func(inv freshet.Invalidation) error {
		if tried = append(tried, inv.CallerReference); len(tried) == 1 {
			return &cdn.Error{Class: cdn.Throttled, RetryAfter: time.Millisecond, Err: errors.New("slow down")}
		}
		return nil
	}
	c := put("a", 1)
	l.put(c)
	l.last(c, journal.Verified)
	if len(tried) != 2 || tried[0] != tried[1] {
		t.Errorf("references tried: %v", tried)
	}
}

func TestWhatIsRefusedIsADeadLetterUntilItIsTriedAgain(t *testing.T) {
	l := newLine(t)
	l.network.refuse = func(freshet.Invalidation) error {
		return &cdn.Error{Class: cdn.Denied, Err: errors.New("no permission"), Hint: "grant cloudfront:CreateInvalidation"}
	}
	c, d := put("a", 1), put("b", 1)
	l.put(c, d)
	for _, c := range []freshet.Change{c, d} {
		if r := l.last(c, journal.Dead); !strings.Contains(r.Reason, "no permission") || !strings.Contains(r.Reason, "grant") {
			t.Errorf("reason %q", r.Reason)
		}
	}
	l.settled()
	l.network.set(func() { l.network.refuse = nil })
	n, err := l.run.Retry(t.Context(), func(journal.Work) bool { return true })
	if err != nil || n != 2 {
		t.Fatalf("retried %d: %v", n, err)
	}
	for _, c := range []freshet.Change{c, d} {
		if r := l.last(c, journal.Verified); r.Reason != "" {
			t.Errorf("reason %q", r.Reason)
		}
	}
	l.settled()
	if dead, err := l.journal.Dead(t.Context()); err != nil || len(dead) != 0 {
		t.Errorf("dead letters left: %v, %v", dead, err)
	}
}

func TestADeadLetterIsTriedAgainByTheNextRun(t *testing.T) {
	l := newLine(t)
	l.network.refuse = func(freshet.Invalidation) error { return &cdn.Error{Class: cdn.Denied, Err: errors.New("no")} }
	c := put("a", 1)
	l.put(c)
	l.last(c, journal.Dead)
	l.settled()
	dead, err := l.journal.Dead(t.Context())
	l.must(err)
	l.must(l.journal.Revive(t.Context(), dead[0]))
	l.network.set(func() { l.network.refuse = nil })
	l.stop()
	l.start()
	l.last(c, journal.Verified)
	l.settled()
}

func stale(freshet.Change) freshet.Verdict {
	return freshet.Verdict{State: freshet.Stale, Reason: "old bytes"}
}

func TestPromiseProvenStaleIsInvalidatedAgainOnce(t *testing.T) {
	l := newLine(t)
	l.network.check = func(c freshet.Change) freshet.Verdict {
		l.network.mu.Lock()
		defer l.network.mu.Unlock()
		if len(l.network.requests) < 2 {
			return stale(c)
		}
		return freshet.Verdict{State: freshet.Fresh}
	}
	c := put("a", 1)
	l.put(c)
	r := l.last(c, journal.Verified)
	if first, second := l.network.requests[0], l.network.requests[1]; len(l.network.requests) != 2 ||
		first.CallerReference == second.CallerReference || !slices.Equal(first.Patterns, second.Patterns) {
		t.Errorf("requests: %+v", l.network.requests)
	}
	if s := l.last(c, journal.Stale); !strings.Contains(s.Reason, "old bytes") {
		t.Errorf("alarm: %+v", s)
	}
	if r.Reason != "" || !strings.Contains(r.Invalidation, ",") {
		t.Errorf("verified: %+v", r)
	}
	l.settled()
}

func TestStaleTwiceIsADeadLetterAndTriedAgainUnderAnotherReference(t *testing.T) {
	l := newLine(t)
	l.network.check = stale
	c := put("a", 1)
	l.put(c)
	if r := l.last(c, journal.Dead); !strings.Contains(r.Reason, "second invalidation") {
		t.Errorf("reason %q", r.Reason)
	}
	l.settled()
	l.network.set(func() { l.network.check = nil })
	if n, err := l.run.Retry(t.Context(), func(journal.Work) bool { return true }); err != nil || n != 1 {
		t.Fatalf("retried %d: %v", n, err)
	}
	l.last(c, journal.Verified)
	l.settled()
	if references := slices.Sorted(maps.Keys(l.network.accepted)); len(references) != 3 {
		t.Errorf("references: %v", references)
	}
}

func TestPromiseProvenUnseenIsNotCalledFresh(t *testing.T) {
	l := newLine(t)
	l.network.check = func(freshet.Change) freshet.Verdict {
		return freshet.Verdict{State: freshet.Unreachable, Reason: "the edge answered 502"}
	}
	c := put("a", 1)
	l.put(c)
	if r := l.last(c, journal.Dead); !strings.Contains(r.Reason, "could not be verified") || !strings.Contains(r.Reason, "502") || r.CompletedAt == nil {
		t.Errorf("record %+v", r)
	}
	l.settled()
}

func TestOlderChangesOfAKeyAreSettledWithTheNewest(t *testing.T) {
	l := newLine(t)
	l.stop()
	l.start() // a stopped line gathers
	release := make(chan struct{})
	l.network.set(func() {
		l.network.refuse = func(freshet.Invalidation) error { <-release; return nil }
	})
	first := put("other", 1)
	l.put(first)
	l.last(first, journal.Planned)
	gone := put("a", 3)
	gone.Op, gone.ETag = freshet.OpDelete, ""
	l.put(put("a", 2), gone, put("a", 1))
	l.delivered(4)
	close(release)
	if r := l.last(gone, journal.Verified); r.Reason != "" || r.Op != freshet.OpDelete {
		t.Errorf("newest: %+v", r)
	}
	for _, n := range []int{1, 2} {
		r := l.last(put("a", n), journal.Verified)
		if !strings.Contains(r.Reason, "superseded") || r.Op != freshet.OpPut || r.ETag != fmt.Sprint(n) || r.Invalidation == "" {
			t.Errorf("older: %+v", r)
		}
	}
	l.settled()
}

// TestANewerChangeDecidesForOneThatIsStillChecked: while a key is overwritten,
// the older change's probe may see neither its own version nor the origin's.
func TestANewerChangeDecidesForOneThatIsStillChecked(t *testing.T) {
	l := newLine(t)
	checking := make(chan struct{})
	l.network.waitFor = func(c freshet.Change, enough func() bool) {
		if c.ETag == "1" {
			close(checking)
			for !enough() {
				<-time.After(time.Millisecond) // between two probes
			}
		}
	}
	l.network.check = func(c freshet.Change) freshet.Verdict {
		if c.ETag == "1" {
			return stale(c)
		}
		return freshet.Verdict{State: freshet.Fresh}
	}
	older, newer := put("a", 1), put("a", 2)
	l.put(older)
	<-checking
	l.put(newer)
	l.last(newer, journal.Verified)
	if r := l.last(older, journal.Verified); !strings.Contains(r.Reason, "superseded") {
		t.Errorf("older: %+v", r)
	}
	l.settled()
	if states := l.steps(older); slices.Contains(states, journal.Stale) {
		t.Errorf("false alarm: %v", states)
	}
}

func TestAnAnnouncementThatComesAgainChangesNothing(t *testing.T) {
	l := newLine(t)
	c := put("a", 5)
	l.put(c)
	l.last(c, journal.Verified)
	l.settled()
	l.stop()
	l.start()
	older := put("a", 4)
	again := c
	again.ETag = "tells them apart at the door" // the queue's own deduplication ends at a restart of its window
	l.put(older, put("b", 1))
	l.last(put("b", 1), journal.Verified)
	l.settled()
	if len(l.network.requests) != 2 {
		t.Errorf("%d requests, want one for a and one for b", len(l.network.requests))
	}
}

// TestPromiseNothingIsLostOrDoubled stops the pipeline at random moments under
// a stream of changes, as a crash does: nothing that it had in memory goes on.
// In the end every change is verified, and no change was invalidated under two
// references.
func TestPromiseNothingIsLostOrDoubled(t *testing.T) {
	l := newLine(t)
	random := rand.New(rand.NewPCG(1, 2))
	var all []freshet.Change
	for round := range 15 {
		for range 20 {
			c := put(fmt.Sprintf("k%d", random.IntN(30)), len(all)+1)
			all = append(all, c)
			l.put(c)
			if random.IntN(4) == 0 {
				l.last(all[random.IntN(len(all))], journal.Received)
			}
		}
		if round%3 == 0 {
			l.last(all[len(all)-1], journal.Planned)
		}
		l.stop()
		l.start()
	}
	l.settled()
	verified := make(map[string]bool)
	l.must(l.journal.Read(t.Context(), func(r journal.Record) error {
		if r.State == journal.Verified {
			verified[r.ID] = true
		}
		return nil
	}))
	for _, c := range all {
		if !verified[c.ID()] {
			t.Errorf("lost: %s %s, it went %v", c.Key, c.Sequencer, l.steps(c))
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	invalidations := make(map[string]map[string]bool) // by change
	for _, r := range l.records {
		if r.Invalidation != "" {
			if invalidations[r.ID] == nil {
				invalidations[r.ID] = make(map[string]bool)
			}
			invalidations[r.ID][r.Invalidation] = true
		}
	}
	for id, of := range invalidations {
		if len(of) > 1 {
			t.Errorf("change %s was invalidated by %v; it went\n%s", id, slices.Collect(maps.Keys(of)), way(l.records, id))
		}
	}
}

// way tells what became of a change, run by run.
func way(records []journal.Record, id string) string {
	var b strings.Builder
	for i, r := range records {
		if r.ID == id || r.ID == "" {
			fmt.Fprintln(&b, i, r.State, r.Key, r.Sequencer, r.Plan, r.Invalidation, r.Reason)
		}
	}
	return b.String()
}

func TestAStoreThatStopsEndsTheRun(t *testing.T) {
	l := newLine(t)
	e, err := stream.Open(stream.Config{Dir: t.TempDir()})
	l.must(err)
	q, err := queue.Open(t.Context(), e.JetStream())
	l.must(err)
	j, err := journal.Open(t.Context(), e.JetStream())
	l.must(err)
	run := pipeline.New(pipeline.Config{
		Queue: q, Journal: j, Driver: l.network, Bulk: l.bulk, Check: l.network.probe, Report: l.report, Log: slog.New(slog.DiscardHandler),
		Router: new(route.Router), Terms: plan.DefaultTerms(),
	}, nil)
	ended := make(chan error, 1)
	go func() { ended <- run.Run(t.Context()) }()
	l.must(q.Put(t.Context(), put("a", 1)))
	for len(l.steps(put("a", 1))) == 0 {
		<-l.changed
	}
	e.Close()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("the run ended as if it had been told to")
		}
	case <-time.After(2 * time.Minute):
		t.Error("the run goes on without a store")
	}
}
