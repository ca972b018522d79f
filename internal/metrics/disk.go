package metrics

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/freshet/freshet/internal/edge"
)

// askDisk adds what there is to count about the edge's disk, if there is one.
func (r *Recorder) askDisk(ask func() (edge.DiskStats, bool)) error {
	if ask == nil {
		return nil
	}
	if _, there := ask(); !there {
		return nil
	}
	now := func(of func(edge.DiskStats) float64) func() float64 {
		return func() float64 {
			s, _ := ask()
			return of(s)
		}
	}
	for _, m := range []struct {
		name, help string
		of         func(edge.DiskStats) float64
		counts     bool
	}{
		{"stored_objects", "Responses that the edge holds on disk, including invalid ones that are not swept yet.", func(s edge.DiskStats) float64 { return float64(s.Objects) }, false},
		{"stored_bytes", "Bytes of the disk that the cache there takes, everything included.", func(s edge.DiskStats) float64 { return float64(s.Bytes) }, false},
		{"capacity_bytes", "Bytes of the disk that the cache there may take.", func(s edge.DiskStats) float64 { return float64(s.Capacity) }, false},
		{"failing", "1 while the disk has failed and is not used.", func(s edge.DiskStats) float64 { return oneIf(s.Failing) }, false},
		{"hits_total", "Responses that were not in memory and were found on disk.", func(s edge.DiskStats) float64 { return float64(s.Hits) }, true},
		{"writes_total", "Responses that were written to disk.", func(s edge.DiskStats) float64 { return float64(s.Written) }, true},
		{"refused_total", "Responses that were not written to disk, since it was too slow or failed.", func(s edge.DiskStats) float64 { return float64(s.Refused) }, true},
		{"damaged_total", "Responses on disk that were not what had been written, and so were not served.", func(s edge.DiskStats) float64 { return float64(s.Damaged) }, true},
		{"evictions_total", "Responses on disk that had to make room for others.", func(s edge.DiskStats) float64 { return float64(s.Evicted) }, true},
		{"errors_total", "Failures of the disk.", func(s edge.DiskStats) float64 { return float64(s.Errors) }, true},
	} {
		opts := gauge("freshet_edge_disk_"+m.name, m.help)
		var c prometheus.Collector = prometheus.NewGaugeFunc(opts, now(m.of))
		if m.counts {
			c = prometheus.NewCounterFunc(prometheus.CounterOpts(opts), now(m.of))
		}
		if err := r.registry.Register(c); err != nil {
			return fmt.Errorf("register metrics: %w", err)
		}
	}
	return nil
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
