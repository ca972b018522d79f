package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/freshet/freshet/internal/quota"
)

// room tells how much of the CDN's quotas is in use.
type room struct {
	recorder *Recorder
	quota    Quota
}

// Describe says nothing, since labels come and go.
func (r *room) Describe(chan<- *prometheus.Desc) {}

// Collect is of prometheus.Collector.
func (r *room) Collect(c chan<- prometheus.Metric) {
	waiting := prometheus.NewDesc("freshet_quota_waiting", "Requests that wait for room within the CDN's quotas.", nil, nil)
	c <- prometheus.MustNewConstMetric(waiting, prometheus.GaugeValue, float64(r.quota.Waiting()))
	progress := prometheus.NewDesc("freshet_quota_in_progress", "Paths that are known to be in progress at the CDN, by whether they are exact or wildcards.",
		[]string{"distribution", "kind"}, nil)
	for label, use := range r.byLabel() {
		c <- prometheus.MustNewConstMetric(progress, prometheus.GaugeValue, float64(use.Patterns-use.Wildcards), label, "exact")
		c <- prometheus.MustNewConstMetric(progress, prometheus.GaugeValue, float64(use.Wildcards), label, "wildcard")
	}
}

// byLabel adds up distributions that share a label.
func (r *room) byLabel() map[string]quota.Use {
	sums := make(map[string]quota.Use)
	for d, use := range r.quota.InProgress() {
		label := r.recorder.distributions.label(d)
		sum := sums[label]
		sums[label] = quota.Use{Patterns: sum.Patterns + use.Patterns, Wildcards: sum.Wildcards + use.Wildcards}
	}
	return sums
}
