package benchedge

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// kind is one way to invalidate, and what it covers.
type kind struct {
	name  string
	paths []string // some of what is covered
	apply func(ctx context.Context, p *purger) error
	again func(ctx context.Context, p *process) error // brings back what was covered; nil where that takes too long
	sweep bool                                        // how memory comes back is of interest
}

// purged is what one contender made of one kind.
type purged struct {
	answered []float64 // milliseconds
	stale    int       // answers with old bytes to requests that began after the invalidation was answered
	last     float64   // milliseconds from then until the last of them
	without  string    // why there are no figures
	sweep    string    // how memory came back
}

const (
	watchers   = 8                // connections that look for stale answers
	watchPause = time.Millisecond // between two requests of one of them
	watchLeast = time.Second      // without a stale answer, after which none is expected
	watchMost  = 10 * time.Second // for which stale answers are waited for
)

func (b *bench) kinds() []kind {
	const size = smallBody
	hundredth := b.objects / 100
	refill := func(from, n int) func(context.Context, *process) error {
		return func(ctx context.Context, p *process) error {
			return fill(ctx, p.addr, n, 16, func(i int) string { return b.path(size, from+i) })
		}
	}
	wildcard := func(prefix string) func(context.Context, *purger) error {
		return func(ctx context.Context, p *purger) error { return p.wildcard(ctx, prefix) }
	}
	return []kind{
		{"exact path", b.paths(b.objects-1, 1), func(ctx context.Context, p *purger) error { return p.exact(ctx, b.path(size, b.objects-1)) }, refill(b.objects-1, 1), false},
		{"wildcard, 10 objects", b.paths(0, 10), wildcard(fmt.Sprintf("/%d/ten/", size)), refill(0, 10), false},
		{"tag, 1 % of them", b.paths(10+hundredth, hundredth), func(ctx context.Context, p *purger) error {
			if p.tag == nil {
				return errNoTags
			}
			return p.tag(ctx, "bench")
		}, refill(10+hundredth, hundredth), false},
		{"wildcard, 1 % of them", b.paths(10, hundredth), wildcard(fmt.Sprintf("/%d/hundredth/", size)), refill(10, hundredth), true},
		{"wildcard, all", b.paths(10, hundredth), wildcard(fmt.Sprintf("/%d/", size)), nil, true},
	}
}

// paths are those of some small objects, a thousand of them at most.
func (b *bench) paths(from, n int) (paths []string) {
	for i := range min(n, 1000) {
		paths = append(paths, b.path(smallBody, from+i))
	}
	return paths
}

// purge invalidates in each way at each contender, while viewers look whether they
// get anything that is out of date.
func (b *bench) purge(ctx context.Context, all []*process) (chapter, error) {
	kinds := b.kinds()
	results := make([][]purged, len(kinds))
	for i, k := range kinds {
		results[i] = make([]purged, len(all))
		for at, p := range all {
			var err error
			if results[i][at], err = b.purgeOne(ctx, p, k); err != nil {
				return chapter{}, fmt.Errorf("%s, %s: %w", p.name, k.name, err)
			}
			r := results[i][at]
			fmt.Fprintf(b.progress, "%s, %s: answered after %s ms, %d stale for %.1f ms %s%s\n", p.name, k.name, spreadOf(r.answered), r.stale, r.last, r.without, r.sweep)
		}
	}
	return b.purgeChapter(all, kinds, results), nil
}

// purgeOne repeats one kind as often as there are rounds, or once where what it
// removes is not brought back.
func (b *bench) purgeOne(ctx context.Context, p *process, k kind) (r purged, err error) {
	times := b.rounds
	if k.again == nil || p.name == "nginx" {
		times = 1 // nginx looks at every file each time
	}
	for i := range times {
		full, err := p.held(ctx)
		if err != nil {
			return r, err
		}
		answered, err := b.watched(ctx, p, k, &r)
		if err != nil || r.without != "" {
			return r, err
		}
		if i == 0 && k.sweep {
			if r.sweep, err = sweeping(ctx, p, answered, full); err != nil {
				return r, err
			}
		}
		if k.again != nil {
			if err := k.again(ctx, p); err != nil {
				return r, err
			}
		}
	}
	return r, nil
}

// watched invalidates once while viewers look, and returns when that was answered.
func (b *bench) watched(ctx context.Context, p *process, k kind, r *purged) (answered time.Time, err error) {
	purger, err := newPurger(ctx, p) // each time, since servers end connections that are idle
	if err != nil {
		return answered, err
	}
	defer purger.close()
	now := b.origin.version.Add(1)
	w := &watch{fresh: now, began: time.Now()}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var viewers sync.WaitGroup
	for i := range watchers {
		viewers.Go(func() {
			if err := w.look(ctx, p.addr, k.paths, i); err != nil {
				cancel(err)
			}
		})
	}
	time.Sleep(200 * time.Millisecond)
	before := time.Now()
	err = k.apply(ctx, purger)
	after := time.Now()
	w.answered.Store(int64(after.Sub(w.began)))
	if err == nil {
		r.answered = append(r.answered, after.Sub(before).Seconds()*1e3)
		for quiet := after; time.Since(quiet) < watchLeast && time.Since(after) < watchMost && ctx.Err() == nil; time.Sleep(10 * time.Millisecond) {
			if last := w.last.Load(); last > 0 {
				quiet = w.began.Add(time.Duration(last))
			}
		}
	}
	cancel(nil)
	viewers.Wait()
	if err == errNoTags { //nolint:errorlint // it is ours, and comes as it is
		r.without = err.Error()
		return after, nil
	}
	if cause := context.Cause(ctx); err == nil && cause != context.Canceled { //nolint:errorlint // what cancel(nil) gives
		err = cause
	}
	r.stale += int(w.stale.Load())
	if last := w.last.Load(); last > 0 {
		r.last = max(r.last, time.Duration(last-w.answered.Load()).Seconds()*1e3)
	}
	return after, err
}

// watch counts answers that are out of date. Times are since it began.
type watch struct {
	fresh    int64 // the version that is not out of date
	began    time.Time
	answered atomic.Int64 // when the invalidation was answered; 0 for not yet
	stale    atomic.Int64
	last     atomic.Int64 // when the last stale answer came
}

// look asks for the paths in turn until ctx is done.
func (w *watch) look(ctx context.Context, addr string, paths []string, from int) error {
	v, err := newViewer(ctx, addr)
	if err != nil {
		return err
	}
	defer v.close()
	for i := from; ctx.Err() == nil; i += watchers {
		answered := w.answered.Load() // before the request begins
		version, err := v.get(paths[i%len(paths)])
		if err != nil {
			return err
		}
		if answered > 0 && version < w.fresh {
			w.stale.Add(1)
			w.last.Store(int64(time.Since(w.began)))
		}
		time.Sleep(watchPause)
	}
	return nil
}

// The ten seconds after an invalidation, step by step.
const (
	sweepSteps = 10
	sweepStep  = time.Second
)

// sweeping watches for ten seconds after an invalidation how what objects took
// comes back, and what that costs while nobody asks for anything.
func sweeping(ctx context.Context, p *process, answered time.Time, full int64) (string, error) {
	began, before := time.Now(), p.cpu()
	var held []int64
	most, last, lastAt := 0.0, before, began
	for i := int(time.Since(answered)/sweepStep) + 1; i <= sweepSteps; i++ {
		time.Sleep(time.Until(answered.Add(time.Duration(i) * sweepStep)))
		h, err := p.held(ctx)
		if err != nil {
			return "", err
		}
		now := p.cpu()
		held = append(held, h)
		most = max(most, (now-last).Seconds()/time.Since(lastAt).Seconds())
		last, lastAt = now, time.Now()
	}
	if len(held) == 0 {
		return "took longer than was watched", nil
	}
	end := held[len(held)-1]
	after := sweepSteps
	for i := len(held) - 1; i >= 0 && held[i]-end <= (full-end)/100; i-- {
		after = sweepSteps - (len(held) - 1 - i)
	}
	return fmt.Sprintf("%d of %d MB were free after %d s, at %.1f %% of a core (%.1f %% in the busiest second); then the process had %d MB",
		(full-end)>>20, full>>20, after, (p.cpu()-before).Seconds()/time.Since(began).Seconds()*100, most*100, p.memory()>>20), nil
}

func (b *bench) purgeChapter(all []*process, kinds []kind, results [][]purged) (c chapter) {
	var text strings.Builder
	fmt.Fprintf(&text, "%d objects of %d bytes. %d viewers go on asking for what is covered. Stale are answers with old bytes to requests\n"+
		"that began after the invalidation was answered. nginx remembers open files for a second only, here.\n\n"+
		"| what | server | answered after, ms | stale answers | until, ms |\n|---|---|---|---|---|\n", b.objects, smallBody, watchers)
	var sweeps strings.Builder
	for i, k := range kinds {
		for at, p := range all {
			r := results[i][at]
			if r.without != "" {
				fmt.Fprintf(&text, "| %s | %s | %s | | |\n", k.name, p.name, r.without)
				continue
			}
			until := ""
			if r.stale > 0 {
				until = fmt.Sprintf("%.0f", r.last)
			}
			fmt.Fprintf(&text, "| %s | %s | %s | %d | %s |\n", k.name, p.name, spreadOf(r.answered), r.stale, until)
			if r.sweep != "" {
				fmt.Fprintf(&sweeps, "- %s, %s: %s\n", p.name, k.name, r.sweep)
			}
		}
		c.rows = append(c.rows, rowOf(purgeTitle+": "+k.name, all, func(at int) string {
			r := results[i][at]
			if r.without != "" {
				return r.without
			}
			return fmt.Sprintf("%s ms, %d stale", short(spreadOf(r.answered).median), r.stale)
		})...)
	}
	fmt.Fprintf(&text, "\nWhat objects take, by the server's own account, in the ten seconds after that:\n\n%s", sweeps.String())
	c.text = text.String()
	return c
}
