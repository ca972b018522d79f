package mirror

import (
	"context"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// queue holds the paths that have to be looked at. A path is worked on by one
// worker at a time, and once more if it was marked meanwhile.
type queue struct {
	mu     sync.Mutex
	change *sync.Cond
	ready  []*task
	tasks  map[string]*task
	active int // ready or being worked on
	closed bool
}

// task is the work on one path.
type task struct {
	path string

	// These are the queue's.
	hash    bool // at the next look compare the content even if size and time are the same
	running bool
	queued  bool
	again   bool // marked while it was running
	timer   *time.Timer
	turn    int // counts enqueueings, so that a timer that fires too late is known

	// These are the worker's.
	backoff  *backoff.ExponentialBackOff // of an error; nil when there was none
	full     bool                        // hash, of this look
	absent   absence
	observed observation
}

// outcome is how an attempt has ended: done, to be continued after a while, or
// failed, to be tried again later and later.
type outcome struct {
	wait time.Duration
	err  error
}

func newQueue() *queue {
	q := &queue{tasks: make(map[string]*task)}
	q.change = sync.NewCond(&q.mu)
	return q
}

// mark asks for a look at path. Without hash a file with the remembered size
// and time is taken for unchanged.
func (q *queue) mark(path string, hash bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	t, ok := q.tasks[path]
	if !ok {
		t = &task{path: path}
		q.tasks[path] = t
	}
	t.hash = t.hash || hash
	if t.running {
		t.again = true
		return
	}
	q.enqueue(t)
}

// expect is mark for what is missing where a directory has come back.
func (q *queue) expect(path string, hash bool) {
	q.locked(func() {
		if q.tasks[path] == nil {
			q.tasks[path] = &task{path: path, absent: absence{back: true}}
		}
	})
	q.mark(path, hash)
}

func (q *queue) enqueue(t *task) {
	if t.queued || q.closed {
		return
	}
	if t.timer != nil {
		t.timer.Stop()
		t.timer = nil
	}
	t.queued = true
	t.turn++
	q.active++
	q.ready = append(q.ready, t)
	q.change.Broadcast()
}

// next waits for a task; ok is false when the queue is closed.
func (q *queue) next() (t *task, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.ready) == 0 && !q.closed {
		q.change.Wait()
	}
	if q.closed {
		return nil, false
	}
	t = q.ready[0]
	q.ready = q.ready[1:]
	t.queued, t.running, t.again = false, true, false
	t.full, t.hash = t.hash, false
	return t, true
}

func (q *queue) finish(t *task, o outcome) {
	q.mu.Lock()
	defer q.mu.Unlock()
	t.running = false
	q.active--
	defer q.change.Broadcast()
	if o.err == nil {
		t.backoff = nil
	} else if t.backoff == nil {
		t.backoff = newBackOff()
	}
	if o.err != nil || o.wait > 0 {
		t.hash = t.hash || t.full || o.err != nil
	}
	switch {
	case q.closed:
	case t.again:
		q.enqueue(t)
	case o.err != nil:
		q.later(t, t.backoff.NextBackOff())
	case o.wait > 0:
		q.later(t, o.wait)
	default:
		delete(q.tasks, t.path)
	}
}

func (q *queue) later(t *task, wait time.Duration) {
	turn := t.turn
	t.timer = time.AfterFunc(wait, func() { q.due(t, turn) })
}

// due has a look at a task after a pause, unless there was one meanwhile.
func (q *queue) due(t *task, turn int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if t.turn == turn {
		q.enqueue(t)
	}
}

// waitIdle returns when nothing is ready or being worked on; what waits for a
// writer to close a file or for another try does not count.
func (q *queue) waitIdle(ctx context.Context) {
	defer context.AfterFunc(ctx, func() { q.locked(q.change.Broadcast) })()
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.active > 0 && !q.closed && ctx.Err() == nil {
		q.change.Wait()
	}
}

// locked runs f while no task changes hands.
func (q *queue) locked(f func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	f()
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	for _, t := range q.tasks {
		if t.timer != nil {
			t.timer.Stop()
		}
	}
	q.change.Broadcast()
}
