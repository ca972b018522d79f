package api

import (
	"context"
	"slices"
	"time"

	"github.com/freshet/freshet"
)

// The waits between attempts to complete an invalidation.
const (
	firstRetry = 50 * time.Millisecond
	lastRetry  = 5 * time.Second
)

// begin has an invalidation completed in the background, unless the register is
// closed. r.mu is held, or nobody else knows r yet. The limits on what may be in
// progress bound the goroutines. The edge is told of it unless it was before; then
// told is called, nil for nobody.
func (r *Register) begin(started *record, applied bool, told func()) {
	if r.closed.Err() == nil {
		r.work.Go(func() { r.complete(started.snapshot(), applied, told) })
	}
}

// complete tells the edge, and has the completion recorded. Whatever fails is done
// again until the register is closed.
func (r *Register) complete(i Invalidation, applied bool, told func()) {
	if !applied && !r.repeat("apply the invalidation to the edge", i.ID, func() error { return r.apply(i) }) {
		return
	}
	if told != nil {
		told()
	}
	if r.cfg.Hold != nil {
		r.cfg.Hold(r.closed, i)
	}
	r.end(Entry{Kind: Completed, Distribution: i.Distribution, ID: i.ID, At: r.cfg.Now().UTC().Truncate(time.Millisecond)})
}

// gathered is from one record of completions to the next at least: what is
// completed meanwhile is recorded together. Nobody waits for a completion as for an
// answer.
const gathered = 5 * time.Millisecond

// end has a completion recorded soon, at once if none was of late.
func (r *Register) end(done Entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = append(r.ended, done)
	if !r.ending && r.closed.Err() == nil {
		r.ending = true
		r.work.Go(r.recordEnded)
	}
}

// recordEnded records completions until there are none, then tells everybody.
func (r *Register) recordEnded() {
	for {
		r.mu.Lock()
		ended := r.ended
		r.ended, r.ending = nil, len(ended) > 0
		r.mu.Unlock()
		if len(ended) == 0 || !r.record(ended) {
			return
		}
		pause := time.NewTimer(gathered)
		select {
		case <-pause.C:
		case <-r.closed.Done():
			pause.Stop()
			return
		}
	}
}

// record makes completions durable, then visible, in this order: nobody shall see
// Completed become InProgress again by a restart. It reports false after Close.
func (r *Register) record(ended []Entry) bool {
	if !r.repeat("record completions", ended[0].ID, func() error {
		ctx, cancel := context.WithTimeout(r.closed, appendWithin)
		defer cancel()
		return r.cfg.Log.Append(ctx, ended...)
	}) {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, done := range ended {
		if finished := r.finish(done); finished != nil {
			r.changed(finished)
		}
	}
	r.dropPaths()
	return true
}

// apply tells the edge of an invalidation.
func (r *Register) apply(i Invalidation) error {
	// The content of a distribution that is gone went with it.
	d, err := r.Distribution(i.Distribution)
	if err != nil {
		return nil //nolint:nilerr // that is done
	}
	patterns := Batch{Paths: i.Paths}.patterns()
	// And so did its tags with their configuration.
	if d.Config.CacheTagConfig == nil {
		patterns = slices.DeleteFunc(patterns, freshet.Pattern.IsTag)
	}
	return r.cfg.Invalidator.Invalidate(i.Distribution, patterns)
}

// changed tells of an invalidation. r.mu is held, so that it is told in the
// right order.
func (r *Register) changed(i *record) {
	if r.cfg.Changed != nil {
		r.cfg.Changed(i.Invalidation)
	}
}

// repeat calls do until it succeeds and reports whether it did before Close.
func (r *Register) repeat(doing, id string, do func() error) bool {
	for wait := firstRetry; ; wait = min(2*wait, lastRetry) {
		if r.closed.Err() != nil {
			return false
		}
		err := do()
		if err == nil {
			return true
		}
		r.cfg.Logger.Warn(doing, "invalidation", id, "error", err, "retry_in", wait)
		select {
		case <-time.After(wait):
		case <-r.closed.Done():
		}
	}
}

// finish marks an invalidation as completed and returns it. Unknown ones, and
// such as are completed already, are passed over, and nil is returned. r.mu is
// held, or nobody else knows r yet.
func (r *Register) finish(done Entry) *record {
	h := r.history(done.Distribution)
	record, ok := h.records[done.ID]
	if !ok || !record.Completed.IsZero() {
		return nil
	}
	h.running.remove(record)
	record.Completed = done.At
	r.kept = append(r.kept, record)
	r.keptBytes += record.pathBytes()
	return record
}

// dropPaths forgets the paths of the earliest completed invalidations until the
// rest is within bounds, also in number, and lets go of records that their history forgot. r.mu
// is held.
func (r *Register) dropPaths() {
	for len(r.kept) > 0 && (r.keptBytes > r.cfg.KeepPaths || len(r.kept) > r.cfg.Keep || r.kept[0].forgotten) {
		oldest := r.kept[0]
		r.kept[0] = nil
		r.kept = r.kept[1:]
		r.keptBytes -= oldest.pathBytes()
		oldest.Paths = nil
	}
}

// replay applies one entry of the log. Nothing else uses the register yet.
func (r *Register) replay(e Entry) error {
	switch e.Kind {
	case Created:
		r.replayCreated(e)
	case Completed:
		r.finish(e)
		r.dropPaths()
	}
	// A kind that a later version added is none of ours.
	return nil
}

// replayCreated believes the last of several entries of one ID: they stem from
// appends that seemed to have failed, and the client was told of the last one
// only.
func (r *Register) replayCreated(e Entry) {
	h := r.history(e.Distribution)
	if old, ok := h.records[e.ID]; ok {
		if !old.Completed.IsZero() {
			return
		}
		h.running.remove(old)
	}
	created := newRecord(e.Distribution, Batch{CallerReference: e.CallerReference, Paths: e.Paths}, e.At)
	created.ID = e.ID
	h.insert(created)
	h.running.add(created)
	if len(h.order) > r.cfg.Keep {
		r.forget(h)
	}
}

// forget drops what h has held for longer than it is to be retained, and what is
// too much. r.mu is held, or nobody else knows r yet.
func (r *Register) forget(h *history) {
	var oldest time.Time
	if r.cfg.Retain > 0 {
		oldest = r.cfg.Now().Add(-r.cfg.Retain)
	}
	h.forget(oldest, r.cfg.Keep)
	r.dropPaths()
}

// resume begins anew what the log left in progress.
func (r *Register) resume() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.behind.Store(1) // which is this function
	for _, h := range r.histories {
		r.forget(h)
		for _, record := range slices.Clone(h.order) {
			if record.Completed.IsZero() {
				r.behind.Add(1)
				r.begin(record, false, r.caughtUp)
			}
		}
	}
	r.caughtUp()
}

// caughtUp says that one thing less is to be done before all is applied that was in
// progress when the register was opened.
func (r *Register) caughtUp() {
	if r.behind.Add(-1) == 0 && r.cfg.Resumed != nil {
		r.cfg.Resumed()
	}
}
