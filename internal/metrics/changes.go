package metrics

import (
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/freshet/freshet/internal/edge/api"
	"github.com/freshet/freshet/internal/journal"
)

// changes counts what is kept fresh.
type changes struct {
	invalidations *prometheus.CounterVec
	completion    *prometheus.HistogramVec
	steps         *prometheus.CounterVec
	fresh         prometheus.Histogram
	late          *prometheus.CounterVec
	pushed        *prometheus.CounterVec
}

// delays reach from our own edge's to those of CDNs, in seconds.
var delays = []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600}

func newChanges() *changes {
	return &changes{
		invalidations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "freshet_invalidations_total", Help: "Invalidations that were accepted (InProgress) and that were completed (Completed).",
		}, []string{"distribution", "state"}),
		completion: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "freshet_invalidation_completion_seconds", Help: "Time from an invalidation's acceptance to its completion.", Buckets: delays,
		}, []string{"distribution"}),
		steps: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "freshet_changes_total", Help: "Changes that reached a state, once for each distribution that they concern.",
		}, []string{"state"}),
		fresh: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "freshet_change_fresh_seconds", Help: "Time from a change at the origin until the edge was seen serving it.", Buckets: delays,
		}),
		late: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "freshet_changes_late_total", Help: "Changes that ended later than fresh_within promises, verified or given up.",
		}, []string{"distribution"}),
		pushed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "freshet_cdn_pushed_back_total", Help: "Requests that the CDN did not take just then: throttled, busy or unavailable.",
		}, []string{"distribution", "class"}),
	}
}

func (c *changes) all() []prometheus.Collector {
	return []prometheus.Collector{c.invalidations, c.completion, c.steps, c.fresh, c.late, c.pushed}
}

// Invalidation is told of an invalidation that was accepted or completed.
// It neither keeps nor changes the paths.
func (r *Recorder) Invalidation(i api.Invalidation) {
	distribution := r.distributions.label(i.Distribution)
	r.changes.invalidations.WithLabelValues(distribution, i.Status()).Inc()
	if !i.Completed.IsZero() {
		r.changes.completion.WithLabelValues(distribution).Observe(max(0, i.Completed.Sub(i.Created).Seconds()))
	}
	r.news.invalidation(i)
}

// Records is told of steps of changes.
func (r *Recorder) Records(steps []journal.Record) {
	for _, s := range steps {
		if !repeated(s) {
			r.changes.steps.WithLabelValues(string(s.State)).Inc()
		}
		if s.Late {
			r.changes.late.WithLabelValues(r.distributions.label(s.Distribution)).Inc()
		}
		if s.State == journal.Verified && s.VerifiedAt != nil {
			r.changes.fresh.Observe(max(0, s.VerifiedAt.Sub(s.ChangedAt).Seconds()))
		}
	}
	r.news.records(steps)
}

// repeated reports whether a step is told of for those who look on, and is none: a
// change that waits, or work that has begun.
func repeated(s journal.Record) bool {
	return s.State == journal.Received && s.Reason != "" || s.Rule != "" && !s.State.Final()
}

// PushedBack is told of a request that the CDN did not take just then.
func (r *Recorder) PushedBack(distribution, class string) {
	r.changes.pushed.WithLabelValues(r.distributions.label(distribution), class).Inc()
}

// newest is how many invalidations and changes are shown.
const newest = 10

// news are the newest invalidations and changes, newest last.
type news struct {
	mu            sync.Mutex
	invalidations []api.Invalidation
	changes       []journal.Record
}

func (n *news) invalidation(i api.Invalidation) {
	i.Paths = slices.Clone(i.Paths[:min(len(i.Paths), newest)]) // which is enough to see what it is about
	n.mu.Lock()
	defer n.mu.Unlock()
	n.invalidations = put(n.invalidations, i, func(old api.Invalidation) bool { return old.ID == i.ID && old.Distribution == i.Distribution })
}

// records puts a step in the place of the one before. At first a change has no
// distribution.
func (n *news) records(steps []journal.Record) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, s := range steps[max(0, len(steps)-newest):] {
		n.changes = put(n.changes, s, func(old journal.Record) bool {
			return old.ID == s.ID && (old.Distribution == "" || old.Distribution == s.Distribution)
		})
	}
}

// put replaces what is the same, or adds v in the place of the oldest.
func put[T any](all []T, v T, same func(T) bool) []T {
	if i := slices.IndexFunc(all, same); i >= 0 {
		all[i] = v
		return all
	}
	if len(all) == newest {
		all = slices.Delete(all, 0, 1)
	}
	return append(all, v)
}

// all returns copies, newest first.
func (n *news) all() (invalidations []api.Invalidation, changes []journal.Record) {
	n.mu.Lock()
	defer n.mu.Unlock()
	invalidations, changes = slices.Clone(n.invalidations), slices.Clone(n.changes)
	slices.Reverse(invalidations)
	slices.Reverse(changes)
	return invalidations, changes
}
