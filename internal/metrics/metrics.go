// Package metrics counts what a freshet does: for Prometheus, and for people who
// look on.
package metrics

import (
	"fmt"
	"net/http"
	"runtime"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/freshet/freshet/internal/edge"
	"github.com/freshet/freshet/internal/quota"
)

// Recorder is told of everything and keeps count. All methods may be called
// concurrently.
type Recorder struct {
	registry *prometheus.Registry
	requests *requests
	changes  *changes

	distributions distributions
	news          news
	reloads       reloads
	watched       watched
}

// New returns a Recorder with a registry of its own.
func New() *Recorder {
	r := &Recorder{registry: prometheus.NewRegistry(), requests: newRequests(), changes: newChanges()}
	r.registry.MustRegister(buildInfo(), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	r.registry.MustRegister(r.requests.all()...)
	r.registry.MustRegister(r.changes.all()...)
	r.registry.MustRegister(r.reloads.all()...)
	return r
}

// Gauges are asked whenever somebody looks.
type Gauges struct {
	Edge    func() edge.Stats
	Disk    func() (edge.DiskStats, bool)                         // of the edge; false, or nil: there is none
	Waiting func() (changes uint64, err error)                    // in the queue
	Overdue func() int                                            // changes under way that should be fresh by now; nil: not known
	Work    func() (running []Working, waiting uint64, err error) // after changes; nil: none is done
	Waits   func() []Wait                                         // before changes are planned; nil: for nothing
	Quota   Quota                                                 // nil: requests are not held back
}

// Quota is who keeps requests back until the CDN has room for them.
type Quota interface {
	Waiting() int                     // requests that wait for room
	InProgress() map[string]quota.Use // by distribution; those with nothing in progress may be left out
}

// refusals counts what the edge turned away for a reason.
func refusals(reason string, n func() uint64) prometheus.Collector {
	o := prometheus.CounterOpts(gauge("freshet_edge_refused_total", "What the edge turned away: connections and requests for which there was no room, and connections that flooded it."))
	o.ConstLabels = prometheus.Labels{"reason": reason}
	return prometheus.NewCounterFunc(o, func() float64 { return float64(n()) })
}

// Ask adds what is not counted here but asked for. It may be called once.
func (r *Recorder) Ask(g Gauges) error {
	r.watched.gauges.Store(&g)
	for _, c := range []prometheus.Collector{
		prometheus.NewGaugeFunc(gauge("freshet_edge_stored_objects", "Responses that the edge holds, including invalid ones that are not swept yet."),
			func() float64 { return float64(g.Edge().Objects) }),
		prometheus.NewGaugeFunc(gauge("freshet_edge_stored_bytes", "Memory that the responses take which the edge holds."),
			func() float64 { return float64(g.Edge().Bytes) }),
		prometheus.NewGaugeFunc(gauge("freshet_edge_capacity_bytes", "Memory that the responses may take which the edge holds."),
			func() float64 { return float64(g.Edge().Capacity) }),
		prometheus.NewGaugeFunc(gauge("freshet_edge_remembered_patterns", "Invalidated patterns that the edge still has to compare with."),
			func() float64 { return float64(g.Edge().Patterns) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts(gauge("freshet_edge_evictions_total", "Responses that had to make room for others.")),
			func() float64 { return float64(g.Edge().Evictions) }),
		refusals("connections", func() uint64 { return g.Edge().Refused.Connections }),
		refusals("requests", func() uint64 { return g.Edge().Refused.Requests }),
		refusals("floods", func() uint64 { return g.Edge().Refused.Floods }),
		&waiting{prometheus.NewDesc("freshet_queue_waiting", "Changes that are accepted and neither verified nor dead yet.", nil, nil), g.Waiting},
	} {
		if err := r.registry.Register(c); err != nil {
			return fmt.Errorf("register metrics: %w", err)
		}
	}
	if err := r.askDisk(g.Disk); err != nil {
		return err
	}
	if err := r.askChanges(g); err != nil {
		return err
	}
	if g.Quota == nil {
		return nil
	}
	if err := r.registry.Register(&room{r, g.Quota}); err != nil {
		return fmt.Errorf("register metrics: %w", err)
	}
	return nil
}

// askChanges adds what is asked for of changes, as far as there is somebody to ask.
func (r *Recorder) askChanges(g Gauges) error {
	if g.Overdue != nil {
		overdue := prometheus.NewGaugeFunc(gauge("freshet_changes_overdue", "Changes under way that should have been seen fresh by now, see fresh_within."),
			func() float64 { return float64(g.Overdue()) })
		if err := r.registry.Register(overdue); err != nil {
			return fmt.Errorf("register metrics: %w", err)
		}
	}
	if g.Work != nil {
		for _, c := range []prometheus.Collector{
			prometheus.NewGaugeFunc(gauge("freshet_work_running", "Programs that run after changes."), func() float64 {
				running, _, _ := g.Work()
				return float64(len(running))
			}),
			&waiting{prometheus.NewDesc("freshet_work_waiting", "Work after changes that has not begun.", nil, nil), func() (uint64, error) {
				_, n, err := g.Work()
				return n, err
			}},
		} {
			if err := r.registry.Register(c); err != nil {
				return fmt.Errorf("register metrics: %w", err)
			}
		}
	}
	if g.Waits != nil {
		held := prometheus.NewGaugeFunc(gauge("freshet_changes_held", "Changes that wait for a hold or a fact before they are planned."), func() (n float64) {
			for _, w := range g.Waits() {
				n += float64(w.Changes)
			}
			return n
		})
		if err := r.registry.Register(held); err != nil {
			return fmt.Errorf("register metrics: %w", err)
		}
	}
	return nil
}

func gauge(name, help string) prometheus.GaugeOpts {
	return prometheus.GaugeOpts{Name: name, Help: help}
}

// waiting has no value while the queue gives no answer: zero would be a lie, and
// an error would take all other metrics along.
type waiting struct {
	desc *prometheus.Desc
	ask  func() (uint64, error)
}

// Describe is of prometheus.Collector.
func (w *waiting) Describe(c chan<- *prometheus.Desc) { c <- w.desc }

// Collect is of prometheus.Collector.
func (w *waiting) Collect(c chan<- prometheus.Metric) {
	if n, err := w.ask(); err == nil {
		c <- prometheus.MustNewConstMetric(w.desc, prometheus.GaugeValue, float64(n))
	}
}

// Handler answers with all metrics, in the format that is asked for.
func (r *Recorder) Handler() http.Handler {
	return promhttp.HandlerFor(r.registry, promhttp.HandlerOpts{EnableOpenMetrics: true})
}

// buildInfo is 1 with what was built as labels.
func buildInfo() prometheus.Collector {
	version, revision := "devel", "unknown"
	if build, ok := debug.ReadBuildInfo(); ok {
		if v := build.Main.Version; v != "" && v != "(devel)" {
			version = v
		}
		for _, s := range build.Settings {
			if s.Key == "vcs.revision" {
				revision = s.Value
			}
		}
	}
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "freshet_build_info", Help: "Always 1; what was built stands in the labels.",
		ConstLabels: prometheus.Labels{"version": version, "revision": revision, "goversion": runtime.Version()},
	}, func() float64 { return 1 })
}
