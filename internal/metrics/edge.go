package metrics

import (
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/freshet/freshet/internal/edge"
)

// requests counts what viewers asked for and what origins were asked for.
type requests struct {
	served  *prometheus.CounterVec
	bytes   *prometheus.CounterVec
	took    *prometheus.HistogramVec
	fetched *prometheus.CounterVec
	waited  *prometheus.HistogramVec

	// Looking a series up costs more than counting, so those that were counted
	// once are kept.
	known  atomic.Pointer[map[served]series]
	adding sync.Mutex

	totals totals
}

// served is what one series stands for. Everything in it has few values.
type served struct {
	distribution, result, method, class string
}

type series struct {
	requests, bytes prometheus.Counter
	took            prometheus.Observer
}

// totals are what rates are made of.
type totals struct {
	results [len(results) + 1]atomic.Uint64 // the last is for any other
	bytes   atomic.Uint64
	fetches atomic.Uint64
}

// results are the values of X-Cache, those that make a hit first.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/standard-logs-reference.html
var results = [...]string{"Hit", "RefreshHit", "Miss", "Error", "Redirect"}

const (
	other = "Other" // result or method
	none  = "none"  // no distribution, or no status
)

// latencies reach from what a hit takes to an origin's last chance, in seconds.
var latencies = []float64{0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60}

func newRequests() *requests {
	r := &requests{
		served: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "freshet_edge_requests_total", Help: "Requests of viewers, by what came of them.",
		}, []string{"distribution", "result", "method", "status_class"}),
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "freshet_edge_response_bytes_total", Help: "Bytes of bodies that were sent to viewers.",
		}, []string{"distribution", "result"}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "freshet_edge_request_duration_seconds", Help: "Time from a request to the end of its answer.", Buckets: latencies,
		}, []string{"distribution", "result"}),
		fetched: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "freshet_edge_origin_fetches_total", Help: "Attempts to have something from an origin, revalidations included.",
		}, []string{"distribution", "status_class"}),
		waited: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "freshet_edge_origin_response_seconds", Help: "Time until an origin's answer began.", Buckets: latencies,
		}, []string{"distribution"}),
	}
	r.known.Store(new(map[served]series))
	return r
}

func (r *requests) all() []prometheus.Collector {
	return []prometheus.Collector{r.served, r.bytes, r.took, r.fetched, r.waited}
}

// Served is of edge.Observer.
func (r *Recorder) Served(s edge.Served) {
	n := resultIndex(s.Result)
	r.requests.totals.results[n].Add(1)
	r.requests.totals.bytes.Add(uint64(max(0, s.Bytes)))
	known := r.requests.series(served{orNone(s.Distribution), resultName(n), methodName(s.Method), class(s.Status)})
	known.requests.Inc()
	known.bytes.Add(float64(max(0, s.Bytes)))
	if s.Status >= 200 { // not of tunnels, which are open for as long as somebody likes
		known.took.Observe(s.Took.Seconds())
	}
	r.watched.visited(s)
}

// Fetched is of edge.Observer.
func (r *Recorder) Fetched(distribution string, status int, took time.Duration) {
	r.requests.totals.fetches.Add(1)
	r.requests.fetched.WithLabelValues(orNone(distribution), class(status)).Inc()
	r.requests.waited.WithLabelValues(orNone(distribution)).Observe(took.Seconds())
}

func (r *requests) series(of served) series {
	if s, ok := (*r.known.Load())[of]; ok {
		return s
	}
	r.adding.Lock()
	defer r.adding.Unlock()
	made := series{
		requests: r.served.WithLabelValues(of.distribution, of.result, of.method, of.class),
		bytes:    r.bytes.WithLabelValues(of.distribution, of.result),
		took:     r.took.WithLabelValues(of.distribution, of.result),
	}
	more := maps.Clone(*r.known.Load())
	if more == nil {
		more = make(map[served]series)
	}
	more[of] = made
	r.known.Store(&more)
	return made
}

func resultIndex(result string) int {
	if i := slices.Index(results[:], result); i >= 0 {
		return i
	}
	return len(results)
}

func resultName(i int) string {
	if i < len(results) {
		return results[i]
	}
	return other
}

// methodName has one name for all methods that CloudFront does not know, since
// viewers may make up any.
func methodName(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPut, http.MethodPatch, http.MethodPost, http.MethodDelete:
		return m
	}
	return other
}

func orNone(s string) string {
	if s == "" {
		return none
	}
	return s
}

var classes = [...]string{none, "1xx", "2xx", "3xx", "4xx", "5xx"}

func class(status int) string {
	if status < 100 || status > 599 {
		return none
	}
	return classes[status/100]
}
