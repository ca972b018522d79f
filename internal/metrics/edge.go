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

// served is what one series stands for: the places of its labels in results,
// methods and classes.
type served struct {
	distribution          string
	result, method, class uint8
}

type series struct {
	requests, bytes prometheus.Counter
	took            prometheus.Observer
}

// totals are what rates are made of.
type totals struct {
	results [len(results)]atomic.Uint64
	bytes   atomic.Uint64
	fetches atomic.Uint64
}

const (
	other = "Other" // distribution, result or method
	none  = "none"  // no distribution, or no status
)

// The values that labels may have. The last result and the last method stand for
// all others, since viewers may make up any; those that make a hit come first.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/standard-logs-reference.html
var (
	results = [...]string{
		"Hit", "RefreshHit", "Miss", "Error", "Redirect",
		"FunctionGeneratedResponse", "FunctionExecutionError", "FunctionThrottledError", "FunctionValidationError", other,
	}
	methods = [...]string{
		http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPut, http.MethodPatch, http.MethodPost, http.MethodDelete, other,
	}
	classes = [...]string{none, "1xx", "2xx", "3xx", "4xx", "5xx"}
)

// distributions are the names that were used as labels. There are as many
// distributions at a time as CloudFront allows, but in a long life some come and
// some go.
type distributions struct {
	mu    sync.Mutex
	known map[string]bool
}

// maxDistributions is how many are told apart.
const maxDistributions = 1000

func (d *distributions) label(id string) string {
	if id == "" {
		return none
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.known[id] {
		return id
	}
	if len(d.known) >= maxDistributions {
		return other
	}
	if d.known == nil {
		d.known = make(map[string]bool)
	}
	d.known[id] = true
	return id
}

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
	n := place(results[:], s.Result)
	r.requests.totals.results[n].Add(1)
	r.requests.totals.bytes.Add(uint64(max(0, s.Bytes)))
	known := r.series(served{s.Distribution, uint8(n), uint8(place(methods[:], s.Method)), uint8(classOf(s.Status))})
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
	distribution = r.distributions.label(distribution)
	r.requests.fetched.WithLabelValues(distribution, classes[classOf(status)]).Inc()
	r.requests.waited.WithLabelValues(distribution).Observe(took.Seconds())
}

// series returns what counts a kind of request.
func (r *Recorder) series(of served) series {
	q := r.requests
	if s, ok := (*q.known.Load())[of]; ok {
		return s
	}
	distribution := r.distributions.label(of.distribution)
	if of.distribution != "" && distribution != of.distribution {
		of.distribution = other
		return r.series(of)
	}
	q.adding.Lock()
	defer q.adding.Unlock()
	made := series{
		requests: q.served.WithLabelValues(distribution, results[of.result], methods[of.method], classes[of.class]),
		bytes:    q.bytes.WithLabelValues(distribution, results[of.result]),
		took:     q.took.WithLabelValues(distribution, results[of.result]),
	}
	more := make(map[served]series, len(*q.known.Load())+1)
	maps.Copy(more, *q.known.Load())
	more[of] = made
	q.known.Store(&more)
	return made
}

// place is where a name stands, or the last place for one that is not there.
func place(names []string, name string) int {
	if i := slices.Index(names, name); i >= 0 {
		return i
	}
	return len(names) - 1
}

// classOf is the place of a status in classes.
func classOf(status int) int {
	if status < 100 || status > 599 {
		return 0
	}
	return status / 100
}
