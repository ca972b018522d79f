package app

import (
	"context"
	"net/http"
	"time"

	"github.com/freshet/freshet/internal/journal"
	"github.com/freshet/freshet/internal/metrics"
	"github.com/freshet/freshet/internal/server"
)

// answersWithin is how long a look at the queue may take.
const answersWithin = time.Second

// openMetrics has the metrics ask for what is not counted as it happens.
func (u *Up) openMetrics(context.Context) error {
	return u.recorder.Ask(metrics.Gauges{Edge: u.edge.Stats, Disk: u.edge.DiskStats, Quota: u.quota, Waits: u.waits, Work: u.working, Overdue: u.pipeline.Overdue, Waiting: func() (uint64, error) {
		ctx, cancel := context.WithTimeout(context.Background(), answersWithin)
		defer cancel()
		return u.queue.Len(ctx)
	}})
}

// report tells everybody of steps of changes.
func (u *Up) report(steps []journal.Record) {
	u.recorder.Records(steps)
	u.alarms.Records(steps)
	if u.opts.Report != nil {
		u.opts.Report(steps)
	}
}

// scrapeServer answers with the metrics and nothing else, without a token.
func (u *Up) scrapeServer() *http.Server {
	mux := http.NewServeMux()
	mux.Handle("GET "+server.Metrics, u.recorder.Handler())
	return &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, IdleTimeout: 2 * time.Minute}
}
