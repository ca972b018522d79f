package pipeline

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/journal"
)

// Due is what is about to be planned, and waits for Config.Before.
type Due struct {
	Distributions []string              // where something will be invalidated, sorted
	Say           func(progress string) // shown to whoever looks on; may be called at any time
}

// Wait is why changes are not planned yet.
type Wait struct {
	Lease         string    `json:"lease,omitempty"` // its name; empty where it is Config.Before that waits
	Why           string    `json:"why"`
	Distributions []string  `json:"distributions,omitempty"` // empty: all
	Changes       int       `json:"changes"`                 // that wait
	Since         time.Time `json:"since"`
	Until         time.Time `json:"until,omitzero"` // when it ends by itself
}

// gate is where changes wait before they are planned. The goroutine of Run
// changes it, holding p.mu, since others look on.
type gate struct {
	held    []*change         // by a lease, in the order of their arrival
	asked   map[string]*asked // by the distributions that Before was asked about
	heard   <-chan struct{}   // closed when leases have changed since held was looked through
	answers chan struct{}     // has a value when Before has answered
	done    []*asked          // what it answered
	retried map[*work]*asked  // revived changes that wait for Before
}

// asked is one call of Before, and the changes that wait for its answer.
type asked struct {
	distributions []string
	changes       []*change
	why           string
	since         time.Time
	err           error // the answer
}

// firstWhy is shown until Before says what it waits for.
const firstWhy = "what must be true first"

// maxHeld is how many changes wait at most in memory. The rest stays in the
// queue, whatever distributions it is about.
const maxHeld = 1 << 17

func (g *gate) count() int {
	n := len(g.held)
	for _, a := range g.asked {
		n += len(a.changes)
	}
	return n
}

// pass returns the changes that may be planned now: of batch, and of those that
// have waited. The others wait. What Before has refused is given up.
func (p *Pipeline) pass(ctx context.Context, batch []*change) (ready []*change) {
	if p.cfg.Holds == nil && p.cfg.Before == nil {
		return batch
	}
	cleared, refused := p.heardAnswers()
	for _, a := range refused {
		p.carryOut(ctx, p.abandon(ctx, a.changes, a.err))
	}
	batch = append(p.freed(), batch...)
	if p.cfg.Before == nil && p.cfg.Holds.none() {
		return append(cleared, batch...)
	}
	for i, c := range append(cleared, batch...) {
		where := p.where(c)
		switch lease, held := p.leaseOn(where); {
		case held:
			p.hold(c, lease)
		case p.cfg.Before == nil || len(where) == 0 || i < len(cleared):
			ready = append(ready, c)
		default:
			p.ask(ctx, where, c)
		}
	}
	return ready
}

// where returns the distributions at which c makes something stale, sorted.
func (p *Pipeline) where(cs ...*change) (distributions []string) {
	for _, c := range cs {
		targets, _ := p.router().Targets([]freshet.Change{c.Change}, p.live.has)
		for _, t := range targets {
			if !slices.Contains(distributions, t.Distribution) {
				distributions = append(distributions, t.Distribution)
			}
		}
	}
	slices.Sort(distributions)
	return distributions
}

func (p *Pipeline) leaseOn(distributions []string) (Lease, bool) {
	if p.cfg.Holds == nil || len(distributions) == 0 {
		return Lease{}, false
	}
	return p.cfg.Holds.on(distributions)
}

// freed returns what was held by leases, to be looked at again, if leases have
// changed.
func (p *Pipeline) freed() (held []*change) {
	if p.cfg.Holds == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.gate.heard:
		p.gate.heard = p.cfg.Holds.next()
		held, p.gate.held = p.gate.held, nil
	default:
	}
	return held
}

// hold has c wait for the end of a lease.
func (p *Pipeline) hold(c *change, l Lease) {
	p.mu.Lock()
	p.gate.held = append(p.gate.held, c)
	p.mu.Unlock()
	p.waits(c, "waits: hold "+l.Name)
}

// waits shows why a change goes no further.
func (p *Pipeline) waits(c *change, why string) {
	p.mu.Lock()
	before := c.records[0].Reason
	for i := range c.records {
		c.records[i].Reason = why
	}
	records := slices.Clone(c.records)
	p.mu.Unlock()
	if before != why {
		p.cfg.Report(records)
	}
}

// ask has c wait for Before's word about distributions, together with others if
// it was asked already.
func (p *Pipeline) ask(ctx context.Context, distributions []string, c *change) {
	name := strings.Join(distributions, ",")
	p.mu.Lock()
	a := p.gate.asked[name]
	begun := a != nil
	if !begun {
		a = &asked{distributions: distributions, since: time.Now(), why: firstWhy}
		p.gate.asked[name] = a
	}
	a.changes = append(a.changes, c)
	why := a.why
	p.mu.Unlock()
	p.waits(c, "waits for "+why)
	if begun {
		return
	}
	p.plans.Go(func() {
		err := p.before(ctx, a)
		p.mu.Lock()
		delete(p.gate.asked, name)
		a.err = err
		p.gate.done = append(p.gate.done, a)
		p.mu.Unlock()
		select {
		case p.gate.answers <- struct{}{}:
		default:
		}
	})
}

// before calls Before.
func (p *Pipeline) before(ctx context.Context, a *asked) error {
	return p.cfg.Before(ctx, Due{Distributions: slices.Clone(a.distributions), Say: func(progress string) {
		p.mu.Lock()
		defer p.mu.Unlock()
		a.why = progress
	}})
}

// heardAnswers returns the changes that Before has let go, and what it has
// refused.
func (p *Pipeline) heardAnswers() (cleared []*change, refused []*asked) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range p.gate.done {
		if a.err != nil {
			refused = append(refused, a)
			continue
		}
		cleared = append(cleared, a.changes...)
	}
	p.gate.done = nil
	return cleared, refused
}

// abandon makes the plans, which send nothing, of changes whose time never came.
// They end as dead letters.
func (p *Pipeline) abandon(ctx context.Context, batch []*change, why error) []*work {
	if ctx.Err() != nil {
		return nil // the next run asks again
	}
	leaders, late := p.lead(batch)
	p.verifiedNow(ctx, late)
	return p.unsent(ctx, leaders, notBefore(why))
}

func notBefore(why error) string { return "nothing was invalidated: " + why.Error() }

// await returns when a plan that was revived may be made, or why not.
func (p *Pipeline) await(ctx context.Context, w *work) error {
	for cleared := false; ; {
		changed, where := p.holdsChanged(), p.where(w.changes...)
		lease, held := p.leaseOn(where)
		switch {
		case held:
			cleared = false
			for _, c := range w.changes {
				p.waits(c, "waits: hold "+lease.Name)
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return fmt.Errorf("wait for hold %s: %w", lease.Name, ctx.Err())
			}
		case cleared || p.cfg.Before == nil || len(where) == 0:
			return nil
		default:
			if err := p.askFor(ctx, w, where); err != nil {
				return err
			}
			cleared = true
		}
	}
}

// askFor asks Before about a plan that was revived.
func (p *Pipeline) askFor(ctx context.Context, w *work, where []string) error {
	a := &asked{distributions: where, changes: w.changes, since: time.Now(), why: firstWhy}
	p.retries(w, a)
	defer p.retries(w, nil)
	for _, c := range w.changes {
		p.waits(c, "waits for "+firstWhy)
	}
	return p.before(ctx, a)
}

// retries notes that a plan that was revived waits for Before; nil: no longer.
func (p *Pipeline) retries(w *work, a *asked) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if a == nil {
		delete(p.gate.retried, w)
		return
	}
	p.gate.retried[w] = a
}

// holdsChanged is nil, which is for ever, where there are no leases.
func (p *Pipeline) holdsChanged() <-chan struct{} {
	if p.cfg.Holds == nil {
		return nil
	}
	return p.cfg.Holds.next()
}

// Waits returns the leases in force and what else changes wait for before they
// are planned, the oldest first.
func (p *Pipeline) Waits() (waits []Wait) {
	if p.cfg.Holds != nil {
		for _, l := range p.cfg.Holds.Leases() {
			waits = append(waits, Wait{Lease: l.Name, Why: "hold " + l.Name, Distributions: l.Distributions, Changes: p.heldBy(l), Since: l.Since, Until: l.Until})
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	show := func(a *asked) {
		waits = append(waits, Wait{Why: a.why, Distributions: a.distributions, Changes: len(a.changes), Since: a.since})
	}
	for _, a := range p.gate.asked {
		show(a)
	}
	for _, a := range p.gate.retried {
		show(a)
	}
	slices.SortStableFunc(waits, func(a, b Wait) int { return a.Since.Compare(b.Since) })
	return waits
}

// heldBy counts the changes that wait for the end of a lease.
func (p *Pipeline) heldBy(l Lease) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.gate.held {
		if c.records[0].Reason == "waits: hold "+l.Name {
			n++
		}
	}
	return n
}

// Last returns the last record of a change that is under way, one for each
// distribution.
func (p *Pipeline) Last(id string) []journal.Record {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.underWay[id]
	if c == nil {
		return nil
	}
	return slices.Clone(c.records)
}

// Overdue is how many changes are under way that should have been seen by now.
func (p *Pipeline) Overdue() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	for _, c := range p.underWay {
		if slices.ContainsFunc(c.records, func(r journal.Record) bool { return r.LateAt(now) }) {
			n++
		}
	}
	return n
}

// releaseWait bounds how long Release waits for changes that are on their way
// from the queue.
const releaseWait = 5 * time.Second

// Release ends a lease. What was put into the queue before goes into the same
// plan as what has gathered. held is false where there was no such lease.
func (p *Pipeline) Release(ctx context.Context, name string) (held bool, err error) {
	if p.cfg.Holds == nil {
		return false, nil
	}
	last, err := p.cfg.Queue.Last(ctx)
	if err != nil {
		return false, err
	}
	patience := time.After(releaseWait)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for waiting := true; waiting && p.reached.Load() < last; {
		select {
		case <-tick.C:
		case <-patience:
			waiting = false
		case <-ctx.Done():
			return false, fmt.Errorf("release hold %s: %w", name, ctx.Err())
		}
	}
	return p.cfg.Holds.Release(ctx, name)
}

// keepHeld tells the queue, until ctx is done, that what was delivered is worked
// on, however long it waits.
func (p *Pipeline) keepHeld(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			p.extend()
		case <-ctx.Done():
			return
		}
	}
}

func (p *Pipeline) extend() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.underWay {
		for _, d := range c.deliveries {
			if err := d.Extend(); err != nil {
				p.cfg.Log.Debug("may be delivered again", "err", err)
			}
		}
	}
}
