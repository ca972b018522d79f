package pipeline

import (
	"slices"
	"strings"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/journal"
	"github.com/freshet/freshet/internal/queue"
)

// object is what changes have in common: origin and key.
type object [2]string

func objectOf(c freshet.Change) object { return object{c.Origin, c.Key} }

// change is one change under way. Its fields are guarded by the pipeline's
// mutex.
type change struct {
	freshet.Change
	received   time.Time
	weight     int              // bytes that it may add to a plan; 0 where it came with one
	deliveries []queue.Delivery // every message that brought it
	first      journal.Record   // that it was received
	records    []journal.Record // the last step, one for each distribution
	targets    []freshet.Target
	noted      bool      // first is in the journal, or was before a restart
	work       *work     // the plan that carries it
	leader     *change   // what it is settled with; nil when it is settled by itself
	followers  []*change // all changes whose leader it is
	newer      *change   // a newer change of the object that is under way or settled since
	note       string    // why no distribution caches it; empty when one does
	reason     string    // why it was given up; empty while it was not
	stale      bool      // given up because the edge was stale after all was completed
	settled    bool
}

// lineage is c and everything that is settled with it.
func (c *change) lineage() []*change {
	return append([]*change{c}, c.followers...)
}

// join has c, and what followed it, settled together with other or with other's
// leader. It reports false, and does nothing, where that would be c itself.
func (c *change) join(other *change) bool {
	if other.leader != nil {
		other = other.leader
	}
	if other == c {
		return false
	}
	for _, m := range c.lineage() {
		m.leader = other
		other.followers = append(other.followers, m)
	}
	c.followers = nil
	return true
}

// work is a plan under way.
type work struct {
	journal.Work
	changes  []*change                  // the newest of each object
	receipts map[string]freshet.Receipt // by caller reference
	left     int                        // changes, followers of this plan included, that are not settled
}

// carried returns the changes that inv is for.
func (w *work) carried(inv freshet.Invalidation) []*change {
	keys := make(map[object]bool, len(inv.Targets))
	for _, t := range inv.Targets {
		keys[object{t.Origin, t.Key}] = true
	}
	var cs []*change
	for _, c := range w.changes {
		if keys[objectOf(c.Change)] {
			cs = append(cs, c)
		}
	}
	return cs
}

// register knows every change under way and what was verified before.
type register struct {
	underWay map[string]*change           // by change ID
	newest   map[object]*change           // planned and not settled
	verified map[object]freshet.Sequencer // the newest change verified
	recent   recent                       // IDs settled by this run, and of changes without sequencers the last of each object before it
}

func newRegister(inventory map[[2]string]journal.Seen) register {
	r := register{
		underWay: make(map[string]*change),
		newest:   make(map[object]*change),
		verified: make(map[object]freshet.Sequencer, len(inventory)),
		recent:   recent{ids: make(map[string]bool)},
	}
	for o, s := range inventory {
		r.verified[o] = s.Sequencer
		if s.Change != "" {
			r.recent.add(s.Change)
		}
	}
	return r
}

// recent remembers the last IDs added to it.
type recent struct {
	ids   map[string]bool
	order []string
	next  int
}

const recentIDs = 1 << 16

func (r *recent) add(id string) {
	if r.ids[id] {
		return
	}
	r.ids[id] = true
	if len(r.order) < recentIDs {
		r.order = append(r.order, id)
		return
	}
	delete(r.ids, r.order[r.next])
	r.order[r.next] = id
	r.next = (r.next + 1) % recentIDs
}

// admit registers a delivered change. It returns nil when nothing is left to be
// planned for it: it is under way already, was settled before, or is older than
// what was verified.
func (p *Pipeline) admit(d queue.Delivery, now time.Time) *change {
	p.mu.Lock()
	defer p.mu.Unlock()
	id := d.Change.ID()
	if c := p.underWay[id]; c != nil {
		c.deliveries = append(c.deliveries, d)
		return nil
	}
	if p.recent.ids[id] || p.covered(d.Change) {
		p.acknowledge(d)
		return nil
	}
	c := p.add(d.Change, now)
	c.deliveries = append(c.deliveries, d)
	return c
}

// covered reports whether a change at least as new was verified. Its records
// were written before that was.
func (p *Pipeline) covered(c freshet.Change) bool {
	return reached(c.Sequencer, p.verified[objectOf(c)])
}

// reached reports whether what was seen of an object is at least as new as s. It
// is not known to be where a sequencer is missing.
func reached(s, seen freshet.Sequencer) bool {
	return s != "" && seen != "" && s.Compare(seen) <= 0
}

// add registers a change that is not under way. The caller holds p.mu.
func (p *Pipeline) add(fc freshet.Change, received time.Time) *change {
	c := &change{Change: fc, received: received, first: journal.First(fc, received)}
	c.first.FreshWithin = p.within("")
	c.records = []journal.Record{c.first}
	p.underWay[fc.ID()] = c
	p.live.note(fc)
	return c
}

// within is what was promised of a distribution, in seconds.
func (p *Pipeline) within(distribution string) float64 {
	if p.cfg.Within == nil {
		return 0
	}
	return p.cfg.Within(distribution).Seconds()
}

func (p *Pipeline) lastRecords(c *change) []journal.Record {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(c.records)
}

func (p *Pipeline) acknowledge(ds ...queue.Delivery) {
	for _, d := range ds {
		if err := d.Ack(); err != nil {
			p.cfg.Log.Debug("will be delivered again", "err", err)
		}
	}
}

// older reports whether a is older than b, another change of the same object.
func older(a, b freshet.Change) bool {
	latest, _ := freshet.Latest([]freshet.Change{a, b})
	return latest[0].ID() == b.ID()
}

// describe writes what is planned for a change into its records and those of
// the changes that follow it: one record for each distribution. sent has the
// pattern that covers each of targets; note says why there is none. The caller
// holds p.mu.
func (c *change) describe(planID string, targets []freshet.Target, sent []freshet.Pattern, note string) {
	c.targets, c.note = targets, note
	patterns := make(map[string][]freshet.Pattern)
	var distributions []string
	for i, t := range targets {
		if _, known := patterns[t.Distribution]; !known {
			distributions = append(distributions, t.Distribution)
		}
		if !slices.Contains(patterns[t.Distribution], sent[i]) {
			patterns[t.Distribution] = append(patterns[t.Distribution], sent[i])
		}
	}
	if len(distributions) == 0 {
		distributions = []string{""}
	}
	for _, m := range c.lineage() {
		before := m.records
		m.records = nil
		for _, d := range distributions {
			r := before[max(0, slices.IndexFunc(before, func(r journal.Record) bool { return r.Distribution == d }))]
			if r.Distribution != d {
				r.Distribution, r.Invalidation = d, ""
			}
			r.Plan = planID
			if r.Patterns = patterns[d]; r.Patterns == nil {
				r.Patterns = []freshet.Pattern{}
			}
			m.records = append(m.records, r)
		}
	}
}

// accepted writes a receipt into the records of the changes it is for. A change
// of another plan that follows one of these has receipts of its own.
func (p *Pipeline) accepted(w *work, inv freshet.Invalidation, r freshet.Receipt) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w.receipts[inv.CallerReference] = r
	for _, c := range w.carried(inv) {
		for _, m := range c.lineage() {
			if m.work == w {
				m.sentAs(inv.Distribution, r.ID)
			}
		}
	}
}

// sentAs adds the CDN's ID of a request at a distribution.
func (c *change) sentAs(distribution, id string) {
	for i := range c.records {
		r := &c.records[i]
		if r.Distribution == distribution && !slices.Contains(strings.Split(r.Invalidation, ","), id) {
			r.Invalidation = strings.Trim(r.Invalidation+","+id, ",")
		}
	}
}

// giveUp marks the changes that inv is for as lost causes.
func (p *Pipeline) giveUp(w *work, inv freshet.Invalidation, reason string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range w.carried(inv) {
		c.reason = reason
	}
}

// alive returns the plan's changes that are neither given up nor settled.
func (p *Pipeline) alive(w *work) []*change {
	p.mu.Lock()
	defer p.mu.Unlock()
	var cs []*change
	for _, c := range w.changes {
		if c.reason == "" && !c.settled {
			cs = append(cs, c)
		}
	}
	return cs
}
