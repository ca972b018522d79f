// Package pipeline is the conductor: it takes changes from the queue, has them
// routed and planned, sends the plans, waits, verifies, and writes down every
// step. What was accepted ends as verified or as a dead letter.
package pipeline

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/apply"
	"github.com/freshet/freshet/internal/cdn"
	"github.com/freshet/freshet/internal/journal"
	"github.com/freshet/freshet/internal/plan"
	"github.com/freshet/freshet/internal/queue"
	"github.com/freshet/freshet/internal/route"
)

// Config is everything a pipeline works with.
type Config struct {
	Queue   *queue.Queue
	Journal *journal.Journal
	Driver  cdn.Driver
	Bulk    cdn.Driver // for plans that take long to send, which others overtake; nil: Driver
	Router  *route.Router
	Terms   plan.Terms
	Check   func(context.Context, freshet.Target, freshet.Change, func() bool) freshet.Verdict // verify.Checker's Check; called for many changes at once
	Retry   time.Duration                                                                      // how long a request that fails for a while is worth another try

	// Redo has a dead letter of work after a change, which is no plan, done once
	// more: when it returns that is certain. Nil where there is no such work.
	Redo func(context.Context, journal.Work) error

	// Tagging is how caches take tags as the pipeline begins; Retag changes it.
	Tagging Tagging

	// Within is how soon after it changed at the origin a change is to be seen at a
	// distribution, or, where that is not known yet, at "" any; 0, or nil, is no
	// promise.
	Within func(distribution string) time.Duration

	// Holds are leases during which changes gather; nil for none.
	Holds *Holds
	// Before is what changes wait for before they are planned; nil for nothing. It
	// is asked about those that come to the same distributions together, and may
	// take its time: those that come meanwhile join. Its error makes dead letters
	// of them all, whose reason it is; a retry asks again. What it waited for is
	// forgotten with the answer: the next change has it asked anew, and so has the
	// next run.
	Before func(context.Context, Due) error

	Report func([]journal.Record) // told of every step; called from several goroutines; must not block
	Log    *slog.Logger
}

// Pipeline is one run of the conductor.
type Pipeline struct {
	cfg      Config
	plans    sync.WaitGroup
	arrivals chan queue.Delivery
	revived  chan journal.Work

	retrying    sync.Mutex // so that a dead letter is revived once
	remembering sync.Mutex // so that what is remembered of an object only gets newer

	bulk chan struct{} // a place for each plan that is being sent in bulk

	reached  atomic.Uint64 // the newest message of the queue that was admitted
	live     *live
	rerouted atomic.Pointer[route.Router] // nil: the configuration's

	mu       sync.Mutex
	profiles []freshet.Profile
	gate     gate
	register
}

const (
	// maxBatch is the greatest number of changes that one plan is made for.
	maxBatch = 1000
	// maxBulk is how many plans may be waiting to be sent in bulk before no more
	// changes are taken from the queue.
	maxBulk = 64
	// bulky is how many patterns make a plan one that takes longer than a second to
	// send.
	bulky = 150
)

// New returns a pipeline that has not begun. verified is the journal's
// inventory.
func New(cfg Config, verified map[[2]string]journal.Seen) *Pipeline {
	if cfg.Bulk == nil {
		cfg.Bulk = cfg.Driver
	}
	p := &Pipeline{
		cfg:      cfg,
		arrivals: make(chan queue.Delivery, 4*maxBatch),
		revived:  make(chan journal.Work),
		bulk:     make(chan struct{}, maxBulk),
		live:     newLive(verified, cfg.Tagging),
		register: newRegister(verified),
		gate:     gate{asked: make(map[string]*asked), retried: make(map[*work]*asked), answers: make(chan struct{}, 1)},
	}
	p.gate.heard = p.holdsChanged()
	return p
}

// Reroute has plans made from here on find their targets with r: distributions
// have come, gone or changed. Plans that are under way go on as they are.
func (p *Pipeline) Reroute(r *route.Router) {
	p.rerouted.Store(r)
	p.forgetProfiles()
	p.live.touch()
}

func (p *Pipeline) router() *route.Router {
	if r := p.rerouted.Load(); r != nil {
		return r
	}
	return p.cfg.Router
}

// Run works until ctx is done: first it takes up the plans that an earlier run
// left unfinished, then whatever the queue delivers. It returns when everything
// it had begun has stopped; what is unfinished then is taken up by the next
// run.
func (p *Pipeline) Run(parent context.Context) error {
	ctx, stop := context.WithCancelCause(parent)
	defer p.plans.Wait()
	defer stop(nil)
	err := p.takeUp(ctx)
	if parent.Err() != nil {
		return nil
	}
	if err != nil {
		return fmt.Errorf("take up unfinished plans: %w", err)
	}
	p.plans.Go(func() { p.takeRevived(ctx) })
	p.plans.Go(func() { p.keepHeld(ctx, queue.ExtendEvery) })
	p.plans.Go(func() { stop(p.cfg.Queue.Consume(ctx, p.arrive(ctx))) })
	var pace pace
	for ctx.Err() == nil {
		batch := p.gather(ctx, &pace)
		if ready := p.pass(ctx, batch); len(ready) > 0 && ctx.Err() == nil {
			p.carryOut(ctx, p.plan(ctx, ready))
		}
	}
	if parent.Err() == nil {
		return context.Cause(ctx)
	}
	return nil
}

// takeUp goes on with the plans that an earlier run left unfinished. None begins
// before all are known: one may be about to be written again that another stands
// in for.
func (p *Pipeline) takeUp(ctx context.Context) error {
	dead, err := p.cfg.Journal.Dead(ctx)
	if err != nil {
		return err
	}
	for _, w := range dead {
		p.live.begin(w.Left()...)
		p.live.note(w.Plan.Changes...)
		p.live.note(w.Plan.Superseded...)
	}
	unfinished, err := p.cfg.Journal.Plans(ctx)
	if err != nil {
		return err
	}
	var taken []*work
	for _, saved := range unfinished {
		if w, ok := p.take(ctx, saved); ok {
			taken = append(taken, w)
		}
	}
	for _, w := range taken {
		p.plans.Go(func() { p.goOn(ctx, w) })
	}
	return nil
}

// arrive hands deliveries to the batch that is being gathered.
func (p *Pipeline) arrive(ctx context.Context) func(queue.Delivery) {
	return func(d queue.Delivery) {
		select {
		case p.arrivals <- d:
		case <-ctx.Done():
		}
	}
}

// carryOut takes plans as far as the CDN's acceptance, unless they are sent in
// bulk; the rest goes on beside the next batch.
func (p *Pipeline) carryOut(ctx context.Context, plans []*work) {
	for _, w := range plans {
		if !p.persist(ctx, "write the plan", func() error { return p.cfg.Journal.SavePlan(ctx, w.Work) }) {
			return
		}
		p.step(ctx, w.changes, journal.Planned, w.Planned)
		if !w.bulk() {
			p.send(ctx, w)
			p.plans.Go(func() { p.settle(ctx, w) })
			continue
		}
		select {
		case p.bulk <- struct{}{}:
		case <-ctx.Done():
			return
		}
		p.plans.Go(func() {
			p.send(ctx, w)
			<-p.bulk
			p.settle(ctx, w)
		})
	}
}

// bulk reports whether a plan takes so long to send that others should not wait
// for it.
func (w *work) bulk() bool {
	patterns, wildcards := 0, 0
	for _, inv := range w.Plan.Invalidations {
		patterns += len(inv.Patterns)
		for _, p := range inv.Patterns {
			if p.IsWildcard() {
				wildcards++
			}
		}
	}
	return patterns > bulky || wildcards > 1
}

// take resumes a plan of an earlier run, or one that a person revived. ok is
// false where another unfinished plan carries all of it.
func (p *Pipeline) take(ctx context.Context, saved journal.Work) (w *work, ok bool) {
	if saved.Rule != "" {
		p.redo(ctx, saved)
		return nil, false
	}
	w = p.resume(saved)
	if len(w.changes) > 0 {
		return w, true
	}
	if p.underWayAs(saved.Name()) {
		return nil, false // it was revived while this run took up what the last one had left, and so came twice
	}
	p.persist(ctx, "finish the plan", func() error { return p.cfg.Journal.FinishPlan(ctx, saved) })
	return nil, false
}

// underWayAs reports whether a plan that is kept under a name is under way.
func (p *Pipeline) underWayAs(name string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.underWay {
		if c.work != nil && c.work.Name() == name {
			return true
		}
	}
	return false
}

// redo hands a dead letter of work to who does it.
func (p *Pipeline) redo(ctx context.Context, saved journal.Work) {
	if p.cfg.Redo == nil {
		p.cfg.Log.Warn("nobody does work after changes any more", "rule", saved.Rule)
	} else if !p.persist(ctx, "queue work", func() error { return p.cfg.Redo(ctx, saved) }) {
		return
	}
	p.persist(ctx, "finish the work's letter", func() error { return p.cfg.Journal.FinishPlan(ctx, saved) })
}

// goOn does what is left of a plan that was taken.
func (p *Pipeline) goOn(ctx context.Context, w *work) {
	if w.Refused {
		if err := p.await(ctx, w); err != nil {
			if ctx.Err() == nil {
				p.refuse(w.changes, notBefore(err))
				p.bury(ctx, w)
			}
			return
		}
	}
	if w.Stale || w.Refused {
		p.repeat(ctx, w, w.changes)
		p.bury(ctx, w)
		return
	}
	p.send(ctx, w)
	p.settle(ctx, w)
}

// takeRevived resumes the plans that Retry hands over, until ctx is done.
func (p *Pipeline) takeRevived(ctx context.Context) {
	for {
		select {
		case saved := <-p.revived:
			if w, ok := p.take(ctx, saved); ok {
				p.plans.Go(func() { p.goOn(ctx, w) })
			}
		case <-ctx.Done():
			return
		}
	}
}

// Retry makes unfinished plans of the dead letters that match, and returns how
// many changes will be tried again. Requests that the CDN may have accepted
// keep their caller references; those that were completed and left something
// stale get new ones.
func (p *Pipeline) Retry(ctx context.Context, match func(journal.Work) bool) (changes int, err error) {
	p.retrying.Lock()
	defer p.retrying.Unlock()
	dead, err := p.cfg.Journal.Dead(ctx)
	if err != nil {
		return 0, err
	}
	for _, w := range dead {
		if !match(w) {
			continue
		}
		if err := p.cfg.Journal.Revive(ctx, w); err != nil {
			return changes, err
		}
		select {
		case p.revived <- w:
			changes += len(w.Only)
		case <-ctx.Done():
			return changes, ctx.Err()
		}
	}
	return changes, nil
}

// send hands the plan's requests to the CDN, in order.
func (p *Pipeline) send(ctx context.Context, w *work) {
	driver := p.cfg.Driver
	if w.bulk() {
		driver = p.cfg.Bulk
	}
	for i := range w.Plan.Invalidations {
		inv := w.Plan.Invalidations[i]
		if len(w.carried(inv)) == 0 {
			continue // in a dead letter that is tried again: what it was for was done, or is done elsewhere
		}
		receipt, err := apply.Send(ctx, driver, inv, apply.Retry{For: p.cfg.Retry, Each: func(_ freshet.Invalidation, err error) {
			p.cfg.Log.Warn("will try again", "err", err)
		}})
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			p.giveUp(w, inv, err.Error())
			continue
		}
		p.accepted(w, inv, receipt)
	}
	p.step(ctx, p.alive(w), journal.Sent, time.Now())
}

// persist repeats a write until it succeeds, since nothing may be done that was
// not written down. It reports false only when ctx is done.
func (p *Pipeline) persist(ctx context.Context, doing string, write func() error) bool {
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		err := write()
		if err == nil {
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		p.cfg.Log.Error(doing+" failed; nothing is lost, but nothing goes on until it succeeds", "err", err)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return false
		}
	}
}
