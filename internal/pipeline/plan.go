package pipeline

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/journal"
	"github.com/freshet/freshet/internal/plan"
)

// plan makes the plan of a batch: one, unless that were against the guard rails.
// Then each half of the batch gets its own, so that what is refused does not
// take the rest with it; a consistency group is divided last. There is none when
// there is nothing to do or ctx is done.
func (p *Pipeline) plan(ctx context.Context, batch []*change) []*work {
	leaders, late := p.lead(batch)
	p.verifiedNow(ctx, late)
	return p.planFor(ctx, leaders)
}

func (p *Pipeline) planFor(ctx context.Context, leaders []*change) []*work {
	if len(leaders) == 0 {
		return nil
	}
	var in plan.Input
	saved := p.batchOf(leaders, &in)
	in.Targets, in.Unrouted = p.router().Targets(in.Changes, p.live.has)
	if p.tooLong(leaders) {
		first, second := halves(leaders, in.Targets)
		return append(p.planFor(ctx, first), p.planFor(ctx, second)...)
	}
	made, refused, ok := p.makePlan(ctx, in)
	switch {
	case !ok:
		return nil
	case refused != "" && len(leaders) > 1:
		first, second := halves(leaders, in.Targets)
		return append(p.planFor(ctx, first), p.planFor(ctx, second)...)
	}
	saved.Plan, saved.Refused = made, refused != ""
	w := p.carry(saved, leaders)
	if refused != "" {
		p.refuse(leaders, refusal(made, refused))
	}
	return []*work{w}
}

// refusal is why changes are given up. What was not refused is sent all the same.
func refusal(made freshet.Plan, refused string) string {
	if len(made.Invalidations) == 0 {
		return refused
	}
	return refused + "; it is invalidated at the other distributions"
}

// batchOf puts changes, and what follows them, into the input of a plan.
func (p *Pipeline) batchOf(leaders []*change, in *plan.Input) journal.Work {
	saved := journal.Work{Planned: time.Now(), Received: make(map[string]time.Time)}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range leaders {
		in.Changes = append(in.Changes, c.Change)
		for _, f := range c.followers {
			p.live.begin(f.Change)
		}
	}
	in.Superseded = p.followersOf(leaders, saved.Received) // the queue still holds those that do not fit
	return saved
}

// tooLong reports whether a plan for changes might not fit into the journal. One
// is never too long, and neither is what was gathered without waiting.
func (p *Pipeline) tooLong(leaders []*change) bool {
	weight, room := 0, p.roomForBatch()
	for i, c := range leaders {
		if i > 0 && weight > room {
			return true
		}
		weight += c.weight
	}
	return false
}

// unsent makes plans that send nothing, for changes that are given up for a
// reason.
func (p *Pipeline) unsent(ctx context.Context, leaders []*change, reason string) []*work {
	if len(leaders) == 0 {
		return nil
	}
	if p.tooLong(leaders) {
		return append(p.unsent(ctx, leaders[:len(leaders)/2], reason), p.unsent(ctx, leaders[len(leaders)/2:], reason)...)
	}
	var in plan.Input
	saved := p.batchOf(leaders, &in)
	saved.Refused = true
	made, _, ok := p.makePlan(ctx, in)
	if !ok {
		return nil
	}
	saved.Plan = made
	w := p.carry(saved, leaders)
	p.refuse(leaders, reason)
	return []*work{w}
}

// halves divides at least two changes, which have targets, and none of their
// consistency groups unless one is all there is.
func halves(changes []*change, targets []freshet.Target) (first, second []*change) {
	groups := make(map[object]string)
	for _, t := range targets {
		groups[object{t.Origin, t.Key}] = t.Group
	}
	var whole [][]*change // what is not divided
	places := make(map[string]int)
	for _, c := range changes {
		group := groups[objectOf(c.Change)]
		place, known := places[group]
		if group == "" || !known {
			place, places[group] = len(whole), len(whole)
			whole = append(whole, nil)
		}
		whole[place] = append(whole[place], c)
	}
	if len(whole) == 1 {
		return changes[:len(changes)/2], changes[len(changes)/2:]
	}
	return slices.Concat(whole[:len(whole)/2]...), slices.Concat(whole[len(whole)/2:]...)
}

// refuse gives changes up for which nothing is sent.
func (p *Pipeline) refuse(changes []*change, reason string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range changes {
		c.reason = strings.TrimPrefix(c.reason+"; "+reason, "; ")
	}
}

// makePlan calls plan.Make with the profiles of all distributions, again and again
// while one of them is unknown to the driver; a distribution may have come or
// gone since the targets were found, so they are found anew each time. Where it
// is refused at a distribution the plan is for the others.
func (p *Pipeline) makePlan(ctx context.Context, in plan.Input) (made freshet.Plan, refused string, ok bool) {
	in.Live, in.Terms, in.Inventories = true, &p.cfg.Terms, p.live.inventories(p.router(), p.plans.Go)
	in.Sure = p.live.sure
	if in.Attempt > 0 { // what was found stale is not left to tags again
		in.Sure = func(freshet.Target) []string { return nil }
	}
	ok = p.persist(ctx, "plan", func() (err error) {
		in.Profiles = p.live.tagsIn(p.knownProfiles(ctx))
		made, refused, err = makeWithin(in)
		if err != nil {
			p.forgetProfiles()
			in.Targets, in.Unrouted = p.router().Targets(in.Changes, p.live.has)
		}
		return err
	})
	return made, refused, ok
}

// makeWithin makes a plan for all distributions at which there is one within the
// guard rails. refused says why there is none at the others.
func makeWithin(in plan.Input) (made freshet.Plan, refused string, err error) {
	for {
		made, err = plan.Make(in)
		var here *plan.Refused
		if !errors.As(err, &here) {
			return made, refused, err
		}
		refused = strings.TrimPrefix(refused+"; "+here.Error(), "; ")
		in.Targets = slices.DeleteFunc(slices.Clone(in.Targets), func(t freshet.Target) bool { return t.Distribution == here.Distribution })
	}
}

// knownProfiles asks the driver once.
func (p *Pipeline) knownProfiles(ctx context.Context) []freshet.Profile {
	p.mu.Lock()
	known := p.profiles
	p.mu.Unlock()
	if known != nil {
		return known
	}
	p.persist(ctx, "read the CDN's distributions", func() (err error) {
		known, err = p.cfg.Driver.Profiles(ctx)
		return err
	})
	p.mu.Lock()
	defer p.mu.Unlock()
	p.profiles = known
	return known
}

func (p *Pipeline) forgetProfiles() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.profiles = nil
}

// lead sorts a batch into changes that need a plan of their own, oldest
// arrivals of an object following the newest, changes that one already under
// way settles, and late ones: something newer was verified while they waited for
// their batch.
func (p *Pipeline) lead(batch []*change) (order, late []*change) {
	p.mu.Lock()
	defer p.mu.Unlock()
	changes := make([]freshet.Change, len(batch))
	for i, c := range batch {
		changes[i] = c.Change
	}
	latest, superseded := freshet.Latest(changes)
	leaders := make(map[object]*change, len(latest))
	for _, l := range latest {
		c := p.underWay[l.ID()]
		leaders[objectOf(l)] = c
		if p.covered(l) {
			c.note = supersededNote
			late = append(late, c)
			continue
		}
		if prev := p.newest[objectOf(l)]; prev != nil && !prev.settled && older(c.Change, prev.Change) {
			// It came late: the invalidation under way was made after it.
			p.follow(prev, c)
			leaders[objectOf(l)] = prev
			continue
		}
		order = append(order, c)
	}
	for _, s := range superseded {
		p.follow(leaders[objectOf(s)], p.underWay[s.ID()])
	}
	return order, late
}

// follow has c settled together with leader. The caller holds p.mu.
func (p *Pipeline) follow(leader, c *change) {
	c.newer = leader
	c.join(leader)
	if leader.work != nil && c.work == nil {
		c.work = leader.work
		c.work.left++
	}
	if len(c.records) == 1 && c.records[0].Distribution == "" {
		base := c.records[0]
		c.records = slices.Clone(leader.records)
		for i := range c.records {
			r := &c.records[i]
			r.ID, r.Op, r.ETag, r.Sequencer, r.Cause = base.ID, base.Op, base.ETag, base.Sequencer, base.Cause
			r.ChangedAt, r.ReceivedAt = base.ChangedAt, base.ReceivedAt
		}
	}
}

// carry makes a saved plan a plan under way, with leaders as its changes.
func (p *Pipeline) carry(saved journal.Work, leaders []*change) *work {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := &work{Work: saved, changes: leaders, receipts: make(map[string]freshet.Receipt)}
	targets := make(map[object][]freshet.Target)
	patterns := make(map[object][]freshet.Pattern)
	for _, inv := range saved.Plan.Invalidations {
		covering := inv.Covering()
		for _, t := range inv.Targets {
			o := object{t.Origin, t.Key}
			targets[o] = append(targets[o], t)
			patterns[o] = append(patterns[o], covering(t))
		}
	}
	unrouted := make(map[object]string)
	for _, u := range saved.Plan.Unrouted {
		unrouted[object{u.Origin, u.Key}] = u.Reason
	}
	for _, c := range leaders {
		o := objectOf(c.Change)
		c.describe(saved.Plan.ID, targets[o], patterns[o], unrouted[o])
		p.live.begin(c.Change)
		for _, m := range c.lineage() {
			for i := range m.records {
				m.records[i].FreshWithin = p.within(m.records[i].Distribution)
			}
			if m.work == nil {
				m.work = w
				w.left++
			}
		}
		p.rank(c)
	}
	return w
}

// rank finds out whether c or another planned change of its object is the
// newest. c need not be: it may be one that is invalidated again, taken up after
// a restart, or revived. The caller holds p.mu.
func (p *Pipeline) rank(c *change) {
	o := objectOf(c.Change)
	switch other := p.newest[o]; {
	case other == nil || other == c:
		p.newest[o] = c
	case older(c.Change, other.Change):
		c.newer = other
	default:
		other.newer = c
		p.newest[o] = c
	}
}

// resume registers the changes of a plan that was saved by an earlier run or
// has been revived.
func (p *Pipeline) resume(saved journal.Work) *work {
	p.mu.Lock()
	var leaders []*change
	byObject := make(map[object]*change)
	register := func(fc freshet.Change) *change {
		if c := p.underWay[fc.ID()]; c != nil {
			return nil
		}
		c := p.add(fc, saved.Received[fc.ID()])
		c.noted = true
		return c
	}
	for _, fc := range saved.Left() {
		if c := register(fc); c != nil {
			leaders = append(leaders, c)
			byObject[objectOf(fc)] = c
		}
	}
	for _, fc := range saved.Plan.Superseded {
		if leader := byObject[objectOf(fc)]; leader != nil {
			if c := register(fc); c != nil {
				c.newer = leader
				c.join(leader)
			}
		}
	}
	p.mu.Unlock()
	w := p.carry(saved, leaders)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range leaders {
		for _, m := range c.lineage() {
			for i := range m.records {
				m.records[i] = m.records[i].At(journal.Planned, saved.Planned)
			}
		}
	}
	return w
}

// again makes the plans that repeat the invalidations of changes found stale,
// under new caller references, or that do what was refused before. There is one,
// unless that is refused: then each half gets its own, and what is left is given
// up.
func (p *Pipeline) again(ctx context.Context, w *work, stale []*change) []*work {
	p.mu.Lock()
	in := plan.Input{Attempt: w.Attempt}
	if !w.Refused {
		in.Attempt++
	}
	saved := journal.Work{Planned: time.Now(), Attempt: in.Attempt, Received: make(map[string]time.Time)}
	for _, c := range stale {
		in.Changes = append(in.Changes, c.Change)
		in.Targets = append(in.Targets, c.targets...)
	}
	in.Superseded = p.followersOf(stale, saved.Received) // the queue still holds those that do not fit
	p.mu.Unlock()
	if w.Refused {
		in.Targets, in.Unrouted = p.router().Targets(in.Changes, p.live.has)
	}
	made, refused, ok := p.makePlan(ctx, in)
	switch {
	case !ok:
		return nil
	case refused != "" && len(stale) > 1:
		first, second := halves(stale, in.Targets)
		return append(p.again(ctx, w, first), p.again(ctx, w, second)...)
	case refused != "" && len(made.Invalidations) == 0:
		p.refuse(stale, refusal(made, refused))
		p.stay(stale, !w.Refused)
		return nil
	}
	saved.Plan, saved.Refused = made, refused != ""
	if !p.persist(ctx, "write the plan", func() error { return p.cfg.Journal.SavePlan(ctx, saved) }) {
		return nil
	}
	if p.release(w, stale) && !p.persist(ctx, "finish the plan", func() error { return p.cfg.Journal.FinishPlan(ctx, w.Work) }) {
		return nil
	}
	next := p.carry(saved, stale)
	if refused != "" {
		p.refuse(stale, refusal(made, refused))
	}
	return []*work{next}
}

// stay notes whether changes that are given up are stale, so that a retry sends
// something new.
func (p *Pipeline) stay(changes []*change, stale bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range changes {
		c.stale = stale
	}
}

// repeat has changes of a plan done by plans that are made anew.
func (p *Pipeline) repeat(ctx context.Context, w *work, changes []*change) {
	var under sync.WaitGroup
	for _, next := range p.again(ctx, w, changes) {
		under.Go(func() {
			p.step(ctx, next.changes, journal.Planned, next.Planned)
			p.send(ctx, next)
			p.settle(ctx, next)
		})
	}
	under.Wait()
}

// release takes changes that were given up from the plan that carries them, and
// reports whether it carries nothing else.
func (p *Pipeline) release(w *work, changes []*change) (empty bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range changes {
		c.reason, c.stale = "", false
		for _, m := range c.lineage() {
			if m.work == w {
				m.work = nil
				w.left--
			}
		}
	}
	return w.left == 0
}
