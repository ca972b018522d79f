package metrics

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/edge"
)

// Snapshot is what happened since the one before, and where things stand.
type Snapshot struct {
	Time          time.Time          `json:"time"`
	Seconds       float64            `json:"seconds"` // since the one before; rates are over them
	Requests      float64            `json:"requests_per_second"`
	Results       map[string]float64 `json:"results_per_second"` // by result; those that did not occur are left out
	HitRatio      *float64           `json:"hit_ratio"`          // nil without hits and misses
	Bytes         float64            `json:"bytes_per_second"`   // of bodies, to viewers
	Fetches       float64            `json:"origin_fetches_per_second"`
	Evictions     float64            `json:"evictions_per_second"`
	Refused       float64            `json:"refused_per_second,omitempty"` // connections and requests, for want of room or for flooding
	StoredObjects int                `json:"stored_objects"`
	StoredBytes   uint64             `json:"stored_bytes"`
	Capacity      uint64             `json:"capacity_bytes"` // that they may take
	Disk          *OnDisk            `json:"disk,omitempty"` // nil without one
	Waiting       *uint64            `json:"queue_waiting"`  // changes accepted and neither verified nor dead; nil if the queue gives no answer
	Hottest       []Path             `json:"hottest"`        // most asked for in the last Window, most first
	Invalidations []Invalidation     `json:"invalidations"`  // newest first
	Changes       []Change           `json:"changes"`        // newest first
	Waits         []Wait             `json:"waits,omitempty"`
	Working       []Working          `json:"working,omitempty"` // programs that run after changes, the oldest first
	ToDo          uint64             `json:"to_do,omitempty"`   // work that waits for them
}

// OnDisk is what the edge holds on disk.
type OnDisk struct {
	StoredObjects int64   `json:"stored_objects"`
	StoredBytes   uint64  `json:"stored_bytes"`
	Capacity      uint64  `json:"capacity_bytes"`
	Hits          float64 `json:"hits_per_second"` // of what was not in memory
	Failing       bool    `json:"failing,omitempty"`
}

// Working is a program that runs after a change.
type Working struct {
	Rule  string    `json:"rule"`
	Key   string    `json:"key"`
	Since time.Time `json:"since"`
}

// Wait is what changes wait for before they are planned.
type Wait struct {
	Why           string     `json:"why"`
	Distributions []string   `json:"distributions,omitempty"` // empty: all
	Changes       int        `json:"changes"`                 // that wait
	Since         time.Time  `json:"since"`
	Until         *time.Time `json:"until,omitempty"` // when it ends by itself
}

// Window is for how long a request counts for the hottest paths.
const Window = 10 * time.Second

// Path is a URL path that viewers ask for often.
type Path struct {
	Distribution string  `json:"distribution"`
	Path         string  `json:"path"` // in the spelling of freshet.CanonicalPath; cut off if it is very long
	Requests     float64 `json:"requests_per_second"`
	HitRatio     float64 `json:"hit_ratio"` // hits of all requests
	Bytes        float64 `json:"bytes_per_second"`
}

// Invalidation is one that was accepted.
type Invalidation struct {
	ID           string     `json:"id"`
	Distribution string     `json:"distribution"`
	Status       string     `json:"status"`
	Paths        []string   `json:"paths"` // the first of them
	Created      time.Time  `json:"created"`
	Completed    *time.Time `json:"completed"`
}

// Change is one on its way, or one that has arrived.
type Change struct {
	Key          string     `json:"key"`
	Op           string     `json:"op"`
	State        string     `json:"state"`
	Distribution string     `json:"distribution"`
	ChangedAt    time.Time  `json:"changed_at"`
	VerifiedAt   *time.Time `json:"verified_at"`
	Reason       string     `json:"reason"`
	Late         bool       `json:"late,omitempty"` // it was not fresh within what was promised, or should be by now
}

// watched are those who look on. What costs more than counting is done for them
// only.
type watched struct {
	gauges  atomic.Pointer[Gauges]
	hottest atomic.Pointer[[]*hottest] // nil: nobody looks on
	mu      sync.Mutex                 // to change hottest
}

// maxWatching is how many may look on at a time, since each costs every request
// a little.
const maxWatching = 8

// ErrWatched is what Watch fails with when too many look on already.
var ErrWatched = errors.New("eight are looking on already")

func (w *watched) visited(s edge.Served) {
	all := w.hottest.Load()
	if all == nil {
		return
	}
	for _, h := range *all {
		h.add(visit{s.Distribution, s.Path}, isHit(s.Result), uint64(max(0, s.Bytes)))
	}
}

func isHit(result string) bool { return result == results[0] || result == results[1] }

func (w *watched) join(h *hottest) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []*hottest
	if now := w.hottest.Load(); now != nil {
		all = slices.Clone(*now)
	}
	if len(all) >= maxWatching {
		return ErrWatched
	}
	all = append(all, h)
	w.hottest.Store(&all)
	return nil
}

func (w *watched) leave(h *hottest) {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := slices.DeleteFunc(slices.Clone(*w.hottest.Load()), func(o *hottest) bool { return o == h })
	if len(all) == 0 {
		w.hottest.Store(nil)
		return
	}
	w.hottest.Store(&all)
}

// Watch calls each with a snapshot every second, the first time after one, until
// ctx is done or each fails.
func (r *Recorder) Watch(ctx context.Context, each func(Snapshot) error) error {
	h := newHottest()
	if err := r.watched.join(h); err != nil {
		return err
	}
	defer r.watched.leave(h)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	w := &watch{recorder: r, hottest: h, before: r.count(time.Now())}
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case now := <-tick.C:
			if err := each(w.snapshot(now)); err != nil {
				return err
			}
		}
	}
}

// counts are all totals at a time.
type counts struct {
	at                        time.Time
	results                   [len(results)]uint64
	bytes, fetches, evictions uint64
	stored                    edge.Stats
	disk                      edge.DiskStats
	onDisk                    bool
}

func (r *Recorder) count(at time.Time) counts {
	t := &r.requests.totals
	c := counts{at: at, bytes: t.bytes.Load(), fetches: t.fetches.Load()}
	for i := range t.results {
		c.results[i] = t.results[i].Load()
	}
	if g := r.watched.gauges.Load(); g != nil {
		c.stored = g.Edge()
		c.evictions = c.stored.Evictions
		if g.Disk != nil {
			c.disk, c.onDisk = g.Disk()
		}
	}
	return c
}

// watch is one who looks on.
type watch struct {
	recorder *Recorder
	hottest  *hottest
	before   counts
	spans    [][]counted // oldest first
	began    []time.Time // of the spans
}

func (w *watch) snapshot(now time.Time) Snapshot {
	before, c := w.before, w.recorder.count(now)
	w.before = c
	s := Snapshot{
		Time: now, Seconds: c.at.Sub(before.at).Seconds(), Results: make(map[string]float64),
		StoredObjects: c.stored.Objects, StoredBytes: c.stored.Bytes, Capacity: c.stored.Capacity,
	}
	rate := func(now, before uint64) float64 { return per(now-before, s.Seconds) }
	for i := range c.results {
		if n := rate(c.results[i], before.results[i]); n > 0 {
			s.Results[results[i]] = n
			s.Requests += n
		}
	}
	hits, misses := s.Results[results[0]]+s.Results[results[1]], s.Results[results[2]]
	if hits+misses > 0 {
		ratio := hits / (hits + misses)
		s.HitRatio = &ratio
	}
	s.Requests = round(s.Requests)
	s.Bytes, s.Fetches, s.Evictions = rate(c.bytes, before.bytes), rate(c.fetches, before.fetches), rate(c.evictions, before.evictions)
	s.Refused = rate(c.stored.Refused.All(), before.stored.Refused.All())
	if c.onDisk {
		s.Disk = &OnDisk{c.disk.Objects, c.disk.Bytes, c.disk.Capacity, rate(c.disk.Hits, before.disk.Hits), c.disk.Failing}
	}
	s.Hottest = w.paths(before.at, now)
	if g := w.recorder.watched.gauges.Load(); g != nil {
		if n, err := g.Waiting(); err == nil {
			s.Waiting = &n
		}
		if g.Waits != nil {
			s.Waits = g.Waits()
		}
		if g.Work != nil {
			s.Working, s.ToDo, _ = g.Work()
		}
	}
	s.Invalidations, s.Changes = w.recorder.newest()
	return s
}

// shown is how many paths a snapshot has.
const shown = 10

func (w *watch) paths(began, now time.Time) []Path {
	w.spans, w.began = append(w.spans, w.hottest.take()), append(w.began, began)
	for len(w.spans) > int(Window/time.Second) {
		w.spans, w.began = slices.Delete(w.spans, 0, 1), slices.Delete(w.began, 0, 1)
	}
	seconds := now.Sub(w.began[0]).Seconds()
	paths := make([]Path, 0, shown)
	for _, c := range sum(w.spans, shown) {
		paths = append(paths, Path{
			Distribution: c.distribution, Path: freshet.CanonicalPath(strings.ToValidUTF8(c.path, "")), Requests: per(c.count-c.over, seconds),
			HitRatio: round(float64(c.hits) / float64(c.count-c.over)), Bytes: per(c.bytes, seconds),
		})
	}
	return paths
}

func per(n uint64, seconds float64) float64 { return round(float64(n) / max(seconds, 1e-3)) }

// round keeps three digits after the point, which is more than rates are worth.
func round(f float64) float64 { return math.Round(f*1000) / 1000 }

func (r *Recorder) newest() (invalidations []Invalidation, changes []Change) {
	is, cs := r.news.all()
	invalidations, changes = make([]Invalidation, 0, len(is)), make([]Change, 0, len(cs))
	for _, i := range is {
		v := Invalidation{ID: i.ID, Distribution: i.Distribution, Status: i.Status(), Paths: i.Paths, Created: i.Created}
		if !i.Completed.IsZero() {
			v.Completed = &i.Completed
		}
		invalidations = append(invalidations, v)
	}
	for _, c := range cs {
		changes = append(changes, Change{c.Key, string(c.Op), string(c.State), c.Distribution, c.ChangedAt, c.VerifiedAt, c.Reason, c.LateAt(time.Now())})
	}
	return invalidations, changes
}
