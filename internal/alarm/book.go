package alarm

import (
	"context"
	"encoding/json"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/freshet/freshet/internal/journal"
)

// look is how often it is looked whether something has become late.
const look = time.Second

// Records is told of steps of changes. It does not block, and may be called
// concurrently.
func (b *Book) Records(steps []journal.Record) {
	b.mu.Lock()
	b.steps = append(b.steps, steps...)
	b.mu.Unlock()
	nudge(b.wake)
}

func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Run watches until ctx is done. What could not be sent until then is sent by the
// next run, if it is still so.
func (b *Book) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for name, sender := range b.cfg.Senders {
		g.Go(func() error { b.tell(ctx, name, sender); return nil })
	}
	g.Go(func() error { b.watch(ctx); return nil })
	return g.Wait()
}

func (b *Book) watch(ctx context.Context) {
	tick := time.NewTicker(look)
	defer tick.Stop()
	b.judge(ctx, time.Now())
	for {
		select {
		case <-b.wake:
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		b.judge(ctx, time.Now())
	}
}

// judge looks at what has happened, and raises and clears alarms.
func (b *Book) judge(ctx context.Context, now time.Time) {
	b.mu.Lock()
	steps := b.steps
	b.steps = nil
	for _, r := range steps {
		b.step(r, now)
	}
	for _, u := range b.open {
		if now.After(u.deadline.Add(u.grace())) {
			b.late(u, now)
		}
	}
	for _, a := range b.alarms {
		b.decide(a, now)
	}
	changed := b.dirty
	b.dirty = make(map[string]*alarm)
	b.mu.Unlock()
	for _, a := range changed {
		b.write(ctx, a)
	}
	for _, c := range b.kick {
		nudge(c)
	}
}

// step looks at one step of a change. The caller holds b.mu.
func (b *Book) step(r journal.Record, now time.Time) {
	id, o := r.ID+" "+r.Distribution, object{r.Origin, r.Key + " " + r.Rule}
	e := Example{Origin: r.Origin, Key: r.Key, ChangedAt: r.ChangedAt, Reason: r.Reason}
	if r.Distribution != "" {
		delete(b.open, r.ID+" ") // where it goes is known now
	}
	switch r.State { //nolint:exhaustive // the others change nothing here
	case journal.Stale:
		b.stale[id] = true
	case journal.Dead:
		kind := Dead
		if b.stale[id] {
			kind = Stale
		}
		b.at(kind, r.Distribution).add(o, e)
	case journal.Made:
		b.at(Dead, "").remove(o)
	case journal.Verified:
		for _, a := range b.alarms {
			if a.Kind != Late && (a.Distribution == r.Distribution || a.Distribution == "" || r.Distribution == "") {
				a.remove(o)
			}
		}
		if r.Late {
			b.late(underWay{distribution: r.Distribution, freshWithin: r.FreshWithin, example: e}, now)
		}
	}
	if r.State.Final() {
		delete(b.stale, id)
		delete(b.open, id)
		return
	}
	if deadline, ok := r.Deadline(); ok {
		b.open[id] = underWay{distribution: r.Distribution, deadline: deadline, freshWithin: r.FreshWithin, example: e}
	}
}

// late notes that a change was or is late. The caller holds b.mu.
func (b *Book) late(u underWay, now time.Time) {
	a := b.at(Late, u.distribution)
	a.last, a.FreshWithin = now, u.freshWithin
	a.add(object{u.example.Origin, u.example.Key + " "}, u.example)
}

// grace is for how long a change may be late before that is an alarm: one that
// will be planned in a moment is late at its distribution, not nowhere.
func (u underWay) grace() time.Duration {
	if u.distribution == "" {
		return 5 * look
	}
	return 0
}

// decide raises or clears an alarm, if that is due. The caller holds b.mu.
func (b *Book) decide(a *alarm, now time.Time) {
	raised := len(a.about) > 0
	if a.Kind == Late {
		raised = raised && now.Sub(a.last) < calm
		if !raised {
			clear(a.about)
			a.first = nil
		}
	}
	state := Cleared
	if raised {
		state = Raised
	}
	if state == a.State {
		return
	}
	a.State, a.Since = state, now.UTC()
	b.dirty[a.name()] = a
	n := a.notice()
	log := b.cfg.Log.Info
	if state == Raised {
		log = b.cfg.Log.Warn
	}
	log("alarm "+string(state)+": "+n.Text, "alarm", a.Kind, "distribution", a.Distribution)
}

// write keeps an alarm. What is not kept is at worst told again.
func (b *Book) write(ctx context.Context, a *alarm) {
	b.mu.Lock()
	a.Examples = a.examples()
	text, err := json.Marshal(a)
	b.mu.Unlock()
	if err == nil {
		err = b.cfg.Shelf.Put(ctx, a.name(), text)
	}
	if err != nil && ctx.Err() == nil {
		b.cfg.Log.Warn("an alarm is not kept, and may be told again after a restart", "err", err)
	}
}
