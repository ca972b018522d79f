package app

import (
	"context"
	"crypto/rand"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/journal"
	"github.com/freshet/freshet/internal/metrics"
	"github.com/freshet/freshet/internal/work/worker"
)

const (
	usualWorkers = 2
	workPause    = 2 * time.Second // after the first failure
	maxWorkInput = 16 << 30        // bytes of an object that is fetched for work
	longestPut   = time.Minute     // after which what work has made no longer waits for the rest of it
)

// changed queues a change: first what is to be done after it, since a change
// that is known to be queued is announced by nobody again.
func (u *Up) changed(ctx context.Context, c freshet.Change) error {
	if err := worker.Put(ctx, u.tasks, u.rules, c); err != nil {
		return err
	}
	return u.queue.Put(ctx, c)
}

// openWork prepares the work after changes.
func (u *Up) openWork(context.Context) (err error) {
	for _, r := range u.rules {
		if _, err := worker.Find(r); err != nil {
			u.opts.Log.Warn("work will fail", "rule", r.ID(), "err", err)
		}
	}
	at := u.cfg.Workers
	if at == 0 {
		at = usualWorkers
	}
	client := s3.New(s3.Options{
		BaseEndpoint: &u.S3, UsePathStyle: true, Region: u.cfg.Region, Credentials: u.credentials(),
		HTTPClient: &http.Client{Transport: u.toBucket},
	})
	u.worker, err = worker.New(worker.Config{
		Tasks: u.tasks, Journal: u.journal, Store: worker.NewStore(client, u.cfg.Bucket), Rules: u.rules, AtOnce: at,
		Pause: workPause, MaxInput: maxWorkInput, Dir: u.data.path("work"), Together: u.together, Report: u.report, Log: u.opts.Log,
	})
	return err
}

// together has what is put under keys until done is called go into one plan.
func (u *Up) together(ctx context.Context, keys []string) (done func()) {
	var changes []freshet.Change
	for _, key := range keys {
		changes = append(changes, freshet.Change{Origin: u.cfg.Bucket, Key: key})
	}
	targets, _ := u.routing.Load().Targets(changes, nil)
	var distributions []string
	for _, t := range targets {
		if !slices.Contains(distributions, t.Distribution) {
			distributions = append(distributions, t.Distribution)
		}
	}
	name := "work-" + strings.ToLower(rand.Text()[:8])
	if len(distributions) == 0 {
		return func() {}
	}
	if _, err := u.holds.Take(ctx, name, distributions, longestPut); err != nil {
		u.opts.Log.Debug("what work has made goes one by one", "err", err)
		return func() {}
	}
	return func() {
		if _, err := u.pipeline.Release(context.WithoutCancel(ctx), name); err != nil {
			u.opts.Log.Debug("a hold will end by itself", "err", err)
		}
	}
}

// again has a dead letter of work done once more.
func (u *Up) again(ctx context.Context, letter journal.Work) error {
	return worker.Again(ctx, u.tasks, letter)
}

// working is what runs, as it is shown to those who look on, and how much waits.
func (u *Up) working() (running []metrics.Working, waiting uint64, err error) {
	for _, r := range u.worker.Running() {
		running = append(running, metrics.Working{Rule: r.Rule, Key: r.Key, Since: r.Since})
	}
	ctx, cancel := context.WithTimeout(context.Background(), answersWithin)
	defer cancel()
	all, err := u.tasks.Len(ctx)
	return running, all - min(all, uint64(len(running))), err
}
