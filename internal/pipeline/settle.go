package pipeline

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/apply"
	"github.com/freshet/freshet/internal/journal"
)

// step notes that changes reached a state: in the journal first, then to
// whoever watches. Changes that follow them take the step with them; changes
// that nothing is sent for pass over being sent and completed.
func (p *Pipeline) step(ctx context.Context, changes []*change, s journal.State, at time.Time) {
	p.mu.Lock()
	var records, received []journal.Record
	for _, c := range changes {
		if len(c.targets) == 0 && (s == journal.Sent || s == journal.Completed) {
			continue
		}
		for _, m := range c.lineage() {
			if !m.noted {
				received = append(received, m.first)
				m.noted = true
			}
			records = append(records, m.advance(c, s, at)...)
		}
	}
	p.mu.Unlock()
	p.record(ctx, received, records)
}

const supersededNote = "superseded by a newer change of the same key"

// advance puts the records of m, which is leader or follows it, into state s.
// The caller holds p.mu.
func (m *change) advance(leader *change, s journal.State, at time.Time) []journal.Record {
	for i := range m.records {
		r := m.records[i].At(s, at)
		switch {
		case leader.reason != "":
			r.Reason = leader.reason
		case m != leader:
			r.Reason = supersededNote
		default:
			r.Reason = m.note
			if s == journal.Verified && !m.seenAt(r.Distribution) {
				r.Reason = unseenNote
			}
		}
		m.records[i] = r
	}
	return slices.Clone(m.records)
}

// unseenNote says that a change is done and was not seen to be: the URLs that
// show it are private or made by something else.
const unseenNote = "completed; no URL of it can be fetched and compared"

// seenAt reports whether a URL of m could be compared with the object at a
// distribution, or there is none that caches it.
func (m *change) seenAt(distribution string) bool {
	there := false
	for _, t := range m.targets {
		if t.Distribution == distribution {
			if t.Served {
				return true
			}
			there = true
		}
	}
	return !there
}

// record writes and reports records. That a change was received is written down
// together with its plan; until then the queue itself is the record.
func (p *Pipeline) record(ctx context.Context, received, records []journal.Record) {
	if len(records) == 0 {
		return
	}
	if p.persist(ctx, "write the journal", func() error { return p.cfg.Journal.Append(ctx, append(received, records...)) }) {
		p.cfg.Report(records)
	}
}

// settle brings an accepted plan to its end: completion, verification, and a
// final state for every change.
func (p *Pipeline) settle(ctx context.Context, w *work) {
	p.complete(ctx, w)
	if ctx.Err() != nil {
		return
	}
	alive := p.alive(w)
	p.step(ctx, alive, journal.Completed, time.Now())
	stale := p.verify(ctx, w, alive)
	if ctx.Err() != nil {
		return
	}
	if len(stale) > 0 {
		p.step(ctx, stale, journal.Stale, time.Now())
	}
	if len(stale) > 0 && w.Attempt == 0 {
		p.repeat(ctx, w, stale)
	}
	p.bury(ctx, w)
}

// complete waits until the CDN is done with every request of the plan.
func (p *Pipeline) complete(ctx context.Context, w *work) {
	profiles := make(map[string]freshet.Profile)
	for _, profile := range p.knownProfiles(ctx) {
		profiles[profile.Distribution] = profile
	}
	var waiting sync.WaitGroup
	for _, inv := range w.Plan.Invalidations {
		p.mu.Lock()
		receipt, ok := w.receipts[inv.CallerReference]
		p.mu.Unlock()
		if !ok {
			continue
		}
		waiting.Go(func() {
			_, err := apply.Wait(ctx, p.cfg.Driver, receipt, profiles[inv.Distribution])
			if err != nil && ctx.Err() == nil {
				p.giveUp(w, inv, err.Error())
			}
		})
	}
	waiting.Wait()
}

// outcome is what verification made of one change.
type outcome struct {
	*change
	verdict freshet.Verdict // the worst
}

// verify looks at every change through the edge and settles those that are
// fresh, in whatever order they turn out to be. It returns those that are
// stale; unreachable ones are given up.
func (p *Pipeline) verify(ctx context.Context, w *work, changes []*change) (stale []*change) {
	outcomes := make(chan outcome, len(changes))
	var looking sync.WaitGroup
	for _, c := range changes {
		looking.Go(func() { outcomes <- outcome{c, p.look(ctx, c)} })
	}
	go func() {
		looking.Wait()
		close(outcomes)
	}()
	for first := range outcomes {
		var fresh []*change
		for _, o := range drain(first, outcomes) {
			switch p.conclude(w, o) {
			case freshet.Fresh:
				fresh = append(fresh, o.change)
			case freshet.Stale:
				stale = append(stale, o.change)
			case freshet.Unreachable, "":
			}
		}
		if ctx.Err() == nil {
			p.verifiedNow(ctx, fresh)
		}
	}
	return stale
}

// drain returns first and what else is ready, so that many changes are written
// down at once and one is not kept waiting for many.
func drain(first outcome, more <-chan outcome) []outcome {
	ready := []outcome{first}
	for {
		select {
		case o, ok := <-more:
			if !ok {
				return ready
			}
			ready = append(ready, o)
		default:
			return ready
		}
	}
}

// look returns the worst verdict on the URLs of a change.
func (p *Pipeline) look(ctx context.Context, c *change) freshet.Verdict {
	worst := freshet.Verdict{State: freshet.Fresh}
	superseded := func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return c.newer != nil && c.newer.reason == ""
	}
	for _, t := range c.targets {
		if !t.Served || worst.State == freshet.Stale {
			continue
		}
		if v := p.cfg.Check(ctx, t, c.Change, superseded); v.State != freshet.Fresh {
			worst = v
		}
	}
	return worst
}

// conclude turns a verdict into what is to be done: Fresh, Stale, Unreachable
// for a change that was given up, or nothing where a newer change of the same
// object decides for both.
func (p *Pipeline) conclude(w *work, o outcome) freshet.VerdictState {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := o.change
	switch newer := c.newer; {
	case o.verdict.State == freshet.Fresh:
		return freshet.Fresh
	case newer != nil && !newer.settled && c.join(newer):
		return ""
	case newer != nil && newer.settled && newer.reason == "":
		return freshet.Fresh
	case o.verdict.State == freshet.Stale:
		c.reason, c.stale = o.verdict.Target.URL+": "+o.verdict.Reason, true
		if w.Attempt > 0 {
			c.reason = "still stale after a second invalidation: " + c.reason
		}
		return freshet.Stale
	default:
		c.reason = "completed, but could not be verified: " + o.verdict.Reason
		return freshet.Unreachable
	}
}

// verifiedNow writes down that changes, and those that follow them, were seen
// fresh, and removes them from the queue.
func (p *Pipeline) verifiedNow(ctx context.Context, fresh []*change) {
	if len(fresh) == 0 {
		return
	}
	now := time.Now()
	p.mu.Lock()
	p.seal(fresh)
	p.mu.Unlock()
	p.step(ctx, fresh, journal.Verified, now)
	if p.remember(ctx, fresh, now) {
		p.forget(ctx, fresh)
	}
}

// remember writes down what was seen of each object, unless something newer of
// it was: plans are verified side by side, and the older one may be the later.
func (p *Pipeline) remember(ctx context.Context, fresh []*change, now time.Time) bool {
	p.remembering.Lock()
	defer p.remembering.Unlock()
	var seen []journal.Seen
	p.mu.Lock()
	for _, c := range fresh {
		o := objectOf(c.Change)
		if c.Sequencer != "" && c.Sequencer.Compare(p.verified[o]) < 0 {
			continue
		}
		p.verified[o] = c.Sequencer
		era := p.floor(c)
		p.live.put(c.Change)
		if newer := p.newest[o]; newer != nil {
			p.live.begin(newer.Change)
		}
		s := journal.Seen{Origin: c.Origin, Key: c.Key, ETag: c.ETag, Served: c.Served, Gone: c.Op == freshet.OpDelete, Size: c.Size, Sequencer: c.Sequencer, Tags: c.Tags, Era: era, At: now}
		if c.Sequencer == "" {
			s.Change = c.ID()
		}
		seen = append(seen, s)
	}
	p.mu.Unlock()
	return p.persist(ctx, "remember what was verified", func() error { return p.cfg.Journal.Remember(ctx, seen) })
}

// floor notes that no older version of c's object is cached, where that is so.
// The caller holds p.mu.
func (p *Pipeline) floor(c *change) (era string) {
	if c.work == nil || !p.live.tagged() || !c.invalidated(p.router().Own(c.Origin, c.Key), p.live.headers()) {
		return ""
	}
	return p.live.floor(c.Change, c.work.Planned)
}

// bury makes dead letters of the plan's changes that were given up.
func (p *Pipeline) bury(ctx context.Context, w *work) {
	for _, stale := range []bool{false, true} {
		lost, letter := p.deadLetter(w, stale)
		if len(lost) == 0 {
			continue
		}
		if !p.persist(ctx, "bury a dead letter", func() error { return p.cfg.Journal.Bury(ctx, letter) }) {
			return
		}
		p.step(ctx, lost, journal.Dead, time.Now())
		p.forget(ctx, lost)
	}
}

// deadLetter returns the plan's own changes that were given up and are not
// settled, stale ones or others, and the letter that will try them again. What
// follows them dies and is revived with them; where there is no room for all of
// it in the letter, the rest stays dead, which harms no object.
func (p *Pipeline) deadLetter(w *work, stale bool) (lost []*change, letter journal.Work) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range w.changes {
		if c.work == w && c.reason != "" && c.stale == stale && !c.settled {
			lost = append(lost, c)
		}
	}
	if len(lost) == 0 {
		return nil, letter
	}
	p.seal(lost)
	letter = w.Work
	letter.Stale, letter.Only, letter.Reason = stale, nil, lost[0].reason
	letter.Received = make(map[string]time.Time)
	for _, c := range lost {
		letter.Only = append(letter.Only, c.ID())
	}
	letter.Plan.Superseded = p.followersOf(lost, letter.Received)
	return lost, letter
}

// seal keeps more changes from following these. The caller holds p.mu.
func (p *Pipeline) seal(changes []*change) {
	for _, c := range changes {
		for _, m := range c.lineage() {
			m.settled = true
		}
		if o := objectOf(c.Change); p.newest[o] == c {
			delete(p.newest, o)
		}
	}
}

// forget removes changes whose final state was written down from the queue, and
// finishes the plans that have none left.
func (p *Pipeline) forget(ctx context.Context, changes []*change) {
	if ctx.Err() != nil {
		return // their last step may not be on disk
	}
	var done []*work
	p.mu.Lock()
	for _, c := range changes {
		for _, m := range c.lineage() {
			delete(p.underWay, m.ID())
			p.recent.add(m.ID())
			p.acknowledge(m.deliveries...)
			if m.work == nil {
				continue // it came too late to be planned
			}
			if m.work.left--; m.work.left == 0 {
				done = append(done, m.work)
			}
		}
	}
	p.mu.Unlock()
	for _, w := range done {
		p.persist(ctx, "finish the plan", func() error { return p.cfg.Journal.FinishPlan(ctx, w.Work) })
	}
}
