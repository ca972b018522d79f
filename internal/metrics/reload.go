package metrics

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// reloads is what became of the files that are read anew while freshet runs.
type reloads struct {
	failed atomic.Bool
	last   atomic.Int64 // when they were last taken over, in nanoseconds; zero: never
}

// Reloaded says that the distributions' files were read anew at a time: they were
// taken over, or what they said before still holds. The first reading counts, too.
func (r *Recorder) Reloaded(at time.Time, ok bool) {
	r.reloads.failed.Store(!ok)
	if ok {
		r.reloads.last.Store(at.UnixNano())
	}
}

func (r *reloads) all() []prometheus.Collector {
	return []prometheus.Collector{
		prometheus.NewGaugeFunc(gauge("freshet_reload_success", "1 if what the distributions' files say is what runs, 0 if they were refused when they were read last."), func() float64 {
			if r.failed.Load() {
				return 0
			}
			return 1
		}),
		prometheus.NewGaugeFunc(gauge("freshet_reload_last_success_timestamp_seconds", "When the distributions' files were last taken over, in Unix time."),
			func() float64 { return float64(r.last.Load()) / float64(time.Second) }),
	}
}
