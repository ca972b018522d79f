// Package worker does the work after changes: it runs the programs of rules, and
// puts what they make back into the bucket. What was put into its queue is done,
// or ends as a dead letter, whatever is killed when.
package worker

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/journal"
	"github.com/freshet/freshet/internal/work"
)

// Config is everything that a worker works with.
type Config struct {
	Tasks    *Tasks
	Journal  *journal.Journal
	Store    Store
	Rules    []work.Rule   // checked
	AtOnce   int           // programs that run at a time
	Pause    time.Duration // after the first failure; four times as long after each
	MaxInput int64         // bytes of the largest object that is fetched

	// Dir is for the folders in which programs run. What is in it at the start is
	// removed.
	Dir string

	// Together has what is put under keys until done is called invalidated
	// together, as far as that can be had.
	Together func(ctx context.Context, keys []string) (done func())

	Report func([]journal.Record) // told of every step; called from several goroutines; must not block
	Log    *slog.Logger
}

// Worker is one run.
type Worker struct {
	cfg   Config
	rules map[string]work.Rule
	room  *semaphore.Weighted
	tasks sync.WaitGroup

	mu      sync.Mutex
	slots   map[slot]*queued
	running map[slot]Running
}

// slot is what is done one after the other: a rule's work on an object.
type slot struct{ rule, key string }

// queued is the newest task of a slot that is not begun; nil for none.
type queued struct{ next *delivery }

// Running is a program that runs.
type Running struct {
	Rule  string    `json:"rule"`
	Key   string    `json:"key"`
	Since time.Time `json:"since"`
}

// New returns a worker that has not begun.
func New(cfg Config) (*Worker, error) {
	var err error
	if cfg.Dir, err = filepath.Abs(cfg.Dir); err != nil { // programs run in folders of their own
		return nil, fmt.Errorf("find the folder for work: %w", err)
	}
	if err := os.RemoveAll(cfg.Dir); err != nil {
		return nil, fmt.Errorf("clear the folder for work: %w", err)
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder for work: %w", err)
	}
	w := &Worker{
		cfg: cfg, rules: make(map[string]work.Rule), room: semaphore.NewWeighted(int64(max(1, cfg.AtOnce))),
		slots: make(map[slot]*queued), running: make(map[slot]Running),
	}
	for _, r := range cfg.Rules {
		w.rules[r.ID()] = r
	}
	return w, nil
}

// Put stores what is to be done after a change, and returns when that is synced
// to disk.
func Put(ctx context.Context, q *Tasks, rules []work.Rule, c freshet.Change) error {
	for _, r := range work.Matching(rules, c.Key) {
		if err := q.Put(ctx, Task{c, r.ID()}); err != nil {
			return err
		}
	}
	return nil
}

// Again puts a dead letter's task into the queue once more.
func Again(ctx context.Context, q *Tasks, letter journal.Work) error {
	for _, c := range letter.Plan.Changes {
		if err := q.Put(ctx, Task{c, letter.Rule}); err != nil {
			return err
		}
	}
	return nil
}

// Run works until ctx is done. What it had begun then is done by the next run.
func (w *Worker) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer w.tasks.Wait()
	defer cancel()
	w.tasks.Go(func() { w.keep(ctx) })
	return w.cfg.Tasks.consume(ctx, func(d delivery) { w.take(ctx, d) })
}

// take has a task done when its turn comes. A newer one of the same slot stands
// in for those that have not begun.
func (w *Worker) take(ctx context.Context, d delivery) {
	s := slot{d.Rule, d.Change.Key}
	w.mu.Lock()
	defer w.mu.Unlock()
	q := w.slots[s]
	if q == nil {
		q = new(queued)
		w.slots[s] = q
		w.tasks.Go(func() { w.work(ctx, s, q) })
	}
	if q.next != nil {
		w.ack(*q.next)
	}
	q.next = &d
}

// work does the tasks of a slot until there are none.
func (w *Worker) work(ctx context.Context, s slot, q *queued) {
	for {
		if w.room.Acquire(ctx, 1) != nil {
			return
		}
		w.mu.Lock()
		d := q.next
		q.next = nil
		if d == nil {
			delete(w.slots, s)
		} else {
			w.running[s] = Running{Rule: s.rule, Key: s.key, Since: time.Now()}
		}
		w.mu.Unlock()
		if d != nil {
			w.do(ctx, *d)
			w.mu.Lock()
			delete(w.running, s)
			w.mu.Unlock()
		}
		w.room.Release(1)
		if d == nil || ctx.Err() != nil {
			return
		}
	}
}

func (w *Worker) ack(d delivery) {
	if err := d.msg.Ack(); err != nil {
		w.cfg.Log.Debug("work will be done again", "key", d.Change.Key, "err", err)
	}
}

// keep tells the queue, until ctx is done, that what is held is worked on.
func (w *Worker) keep(ctx context.Context) {
	tick := time.NewTicker(extendEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		w.mu.Lock()
		for _, q := range w.slots {
			if q.next != nil {
				_ = q.next.msg.InProgress()
			}
		}
		w.mu.Unlock()
	}
}

// Running returns the programs that run, the oldest first.
func (w *Worker) Running() (all []Running) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.running {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b Running) int {
		if age := a.Since.Compare(b.Since); age != 0 {
			return age
		}
		return strings.Compare(a.Rule+a.Key, b.Rule+b.Key)
	})
	return all
}
