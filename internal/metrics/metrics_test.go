package metrics_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"go.uber.org/goleak"

	"github.com/freshet/freshet/internal/edge"
	"github.com/freshet/freshet/internal/edge/api"
	"github.com/freshet/freshet/internal/function"
	"github.com/freshet/freshet/internal/journal"
	"github.com/freshet/freshet/internal/metrics"
	"github.com/freshet/freshet/internal/quota"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func recorder(t *testing.T) *metrics.Recorder {
	t.Helper()
	r := metrics.New()
	err := r.Ask(metrics.Gauges{
		Edge:    func() edge.Stats { return edge.Stats{Objects: 3, Bytes: 4096, Evictions: 7, Patterns: 2} },
		Waiting: func() (uint64, error) { return 5, nil },
		Quota:   full{},
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// full is a quota with little room left.
type full struct{}

func (full) Waiting() int { return 4 }

func (full) InProgress() map[string]quota.Use {
	return map[string]quota.Use{"E8": {Patterns: 2990, Wildcards: 15}, "E9": {Patterns: 1}}
}

// How much of the quotas is in use is told of each distribution.
func TestRoomIsTold(t *testing.T) {
	wantLines(t, scrape(t, recorder(t)), "freshet_quota_waiting 4",
		`freshet_quota_in_progress{distribution="E8",kind="exact"} 2975`, `freshet_quota_in_progress{distribution="E8",kind="wildcard"} 15`,
		`freshet_quota_in_progress{distribution="E9",kind="exact"} 1`, `freshet_quota_in_progress{distribution="E9",kind="wildcard"} 0`)
}

func scrape(t *testing.T, r *metrics.Recorder) string {
	t.Helper()
	w := httptest.NewRecorder()
	r.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", http.NoBody))
	if w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func wantLines(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, l := range lines {
		if !strings.Contains("\n"+text, "\n"+l+"\n") {
			t.Errorf("no line %s in\n%s", l, only(text, l))
		}
	}
}

// only are the lines of the metric that a line is about.
func only(text, line string) string {
	name := line[:strings.IndexAny(line, "{ ")]
	var found []string
	for l := range strings.Lines(text) {
		if strings.HasPrefix(l, name) {
			found = append(found, l)
		}
	}
	return strings.Join(found, "")
}

// everything tells r of one of each.
func everything(r *metrics.Recorder) {
	began := time.Unix(1000, 0)
	done := began.Add(20 * time.Millisecond)
	r.Served(edge.Served{Distribution: "E1", Method: "GET", Path: "/a", Result: "Hit", Status: 200, Bytes: 10, Took: 70 * time.Microsecond})
	r.Fetched("E1", 200, 3*time.Millisecond)
	r.Invalidation(api.Invalidation{ID: "I1", Distribution: "E1", Paths: []string{"/a"}, Created: began})
	r.Invalidation(api.Invalidation{ID: "I1", Distribution: "E1", Paths: []string{"/a"}, Created: began, Completed: done})
	r.Records([]journal.Record{
		{ID: "1", Key: "a", State: journal.Received, ChangedAt: began},
		{ID: "1", Key: "a", State: journal.Verified, Distribution: "E1", ChangedAt: began, VerifiedAt: &done},
	})
}

func TestEverythingIsCounted(t *testing.T) {
	r := recorder(t)
	everything(r)
	wantLines(t, scrape(t, r),
		`freshet_edge_requests_total{distribution="E1",method="GET",result="Hit",status_class="2xx"} 1`,
		`freshet_edge_response_bytes_total{distribution="E1",result="Hit"} 10`,
		`freshet_edge_request_duration_seconds_bucket{distribution="E1",result="Hit",le="5e-05"} 0`,
		`freshet_edge_request_duration_seconds_bucket{distribution="E1",result="Hit",le="0.0001"} 1`,
		`freshet_edge_origin_fetches_total{distribution="E1",status_class="2xx"} 1`,
		`freshet_edge_origin_response_seconds_count{distribution="E1"} 1`,
		`freshet_edge_evictions_total 7`,
		`freshet_edge_stored_bytes 4096`,
		`freshet_edge_stored_objects 3`,
		`freshet_edge_remembered_patterns 2`,
		`freshet_invalidations_total{distribution="E1",state="InProgress"} 1`,
		`freshet_invalidations_total{distribution="E1",state="Completed"} 1`,
		`freshet_invalidation_completion_seconds_bucket{distribution="E1",le="0.01"} 0`,
		`freshet_invalidation_completion_seconds_bucket{distribution="E1",le="0.025"} 1`,
		`freshet_changes_total{state="received"} 1`,
		`freshet_changes_total{state="verified"} 1`,
		`freshet_change_fresh_seconds_sum 0.02`,
		`freshet_change_fresh_seconds_count 1`,
		`freshet_queue_waiting 5`,
	)
}

// The names are as Prometheus wants them.
func TestConventions(t *testing.T) {
	r := recorder(t)
	everything(r)
	problems, err := promlint.New(strings.NewReader(scrape(t, r))).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// Whatever viewers send, the number of series stays small.
func TestViewersCannotMakeSeries(t *testing.T) {
	r := recorder(t)
	for i := range 2000 {
		r.Served(edge.Served{
			Distribution: "E1", Method: fmt.Sprint("M", i), Path: fmt.Sprint("/", i), Result: fmt.Sprint("R", i), Status: i, Bytes: -1,
		})
	}
	text := only(scrape(t, r), "freshet_edge_requests_total{")
	if n := strings.Count(text, "\n"); n != 6 {
		t.Errorf("%d series of requests, want one for each class of status and one for none:\n%s", n, text)
	}
	wantLines(t, text,
		`freshet_edge_requests_total{distribution="E1",method="Other",result="Other",status_class="5xx"} 100`,
		`freshet_edge_requests_total{distribution="E1",method="Other",result="Other",status_class="none"} 1500`)
}

// However many distributions come and go, the number of series is bounded.
func TestDistributionsThatComeAndGo(t *testing.T) {
	r := recorder(t)
	for i := range 3000 {
		id := fmt.Sprint("E", i)
		r.Served(edge.Served{Distribution: id, Method: "GET", Result: "Hit", Status: 200})
		r.Fetched(id, 200, time.Millisecond)
		r.Invalidation(api.Invalidation{ID: "I", Distribution: id})
	}
	text := scrape(t, r)
	for _, name := range []string{"freshet_edge_requests_total{", "freshet_edge_origin_fetches_total{", "freshet_invalidations_total{"} {
		if n := strings.Count(only(text, name), "\n"); n != 1001 {
			t.Errorf("%d series of %s", n, name)
		}
	}
	wantLines(t, text, `freshet_edge_requests_total{distribution="E999",method="GET",result="Hit",status_class="2xx"} 1`,
		`freshet_edge_requests_total{distribution="Other",method="GET",result="Hit",status_class="2xx"} 2000`)
}

// Whatever the edge says came of a request has a series of its own.
func TestResults(t *testing.T) {
	r := recorder(t)
	all := []string{
		"Hit", "Miss", "RefreshHit", "Error", "Redirect",
		"FunctionGeneratedResponse", string(function.ExecutionError), string(function.ThrottledError), string(function.ValidationError),
	}
	for _, result := range all {
		r.Served(edge.Served{Distribution: "E1", Method: "GET", Result: result, Status: 200})
	}
	text := scrape(t, r)
	for _, result := range all {
		wantLines(t, text, `freshet_edge_requests_total{distribution="E1",method="GET",result="`+result+`",status_class="2xx"} 1`)
	}
}

// A viewer that names no distribution, and a tunnel, which has no duration.
func TestOddRequests(t *testing.T) {
	r := recorder(t)
	r.Served(edge.Served{Method: "GET", Result: "Error", Status: 403})
	r.Served(edge.Served{Distribution: "E1", Method: "GET", Result: "Miss", Status: 101, Took: time.Hour})
	text := scrape(t, r)
	wantLines(t, text, `freshet_edge_requests_total{distribution="none",method="GET",result="Error",status_class="4xx"} 1`,
		`freshet_edge_request_duration_seconds_count{distribution="E1",result="Miss"} 0`)
}

// A queue that gives no answer takes no other metric along.
func TestASilentQueueIsLeftOut(t *testing.T) {
	r := metrics.New()
	if err := r.Ask(metrics.Gauges{Edge: func() edge.Stats { return edge.Stats{} }, Waiting: func() (uint64, error) { return 0, errors.New("gone") }}); err != nil {
		t.Fatal(err)
	}
	text := scrape(t, r)
	wantLines(t, text, "freshet_edge_stored_objects 0")
	if strings.Contains(text, "\nfreshet_queue_waiting") || !strings.Contains(text, "\nfreshet_build_info{") || !strings.Contains(text, "\ngo_goroutines ") {
		t.Errorf("%s", text)
	}
}

func TestRecordersAreIndependent(t *testing.T) {
	a, b := recorder(t), recorder(t)
	everything(a)
	if text := scrape(t, b); strings.Contains(text, `distribution="E1"`) {
		t.Error("what one was told another shows")
	}
}

// A hit is counted without memory, watched or not.
func TestCountingAllocatesNothing(t *testing.T) {
	r := recorder(t)
	s := edge.Served{Distribution: "E1", Method: "GET", Path: "/a", Result: "Hit", Status: 200, Bytes: 10, Took: time.Millisecond}
	r.Served(s)
	if n := testing.AllocsPerRun(100, func() { r.Served(s) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { _ = r.Watch(ctx, func(metrics.Snapshot) error { return nil }) }()
		synctest.Wait()
		r.Served(s)
		if n := testing.AllocsPerRun(100, func() { r.Served(s) }); n != 0 {
			t.Errorf("%v allocations while somebody looks on", n)
		}
	})
}

func BenchmarkServed(b *testing.B) {
	r := metrics.New()
	s := edge.Served{Distribution: "E1", Method: "GET", Path: "/a", Result: "Hit", Status: 200, Bytes: 10, Took: time.Millisecond}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r.Served(s)
		}
	})
}

// Nothing is lost however many tell at once.
func TestConcurrent(t *testing.T) {
	r := recorder(t)
	var running sync.WaitGroup
	for i := range 4 {
		running.Go(func() {
			for n := range 500 {
				r.Served(edge.Served{Distribution: fmt.Sprint("E", n%5), Method: "GET", Path: fmt.Sprint("/", n), Result: "Miss", Status: 200 + i, Bytes: 1})
				everything(r)
			}
		})
	}
	running.Wait()
	wantLines(t, scrape(t, r), `freshet_changes_total{state="verified"} 2000`, `freshet_edge_response_bytes_total{distribution="E3",result="Miss"} 400`)
}
