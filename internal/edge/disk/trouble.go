package disk

import (
	"errors"
	"log/slog"
	"sync"
	"time"
)

// How long a disk that failed is left alone.
const (
	shortestRest = time.Second
	longestRest  = time.Minute
)

// trouble is what is known of a failing disk. It is left alone for a while after a
// failure, longer each time, so that nobody waits for it in vain.
type trouble struct {
	store *Store

	mu    sync.Mutex
	began time.Time // zero while all is well
	until time.Time
	rest  time.Duration
}

// ErrResting is what is answered for a disk that failed a moment ago.
var ErrResting = errors.New("the disk has failed and is left alone for a while")

func (t *trouble) resting() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return time.Now().Before(t.until)
}

// failed notes a failure, and says so if it is the first.
func (t *trouble) failed(doing string, err error) {
	t.store.counts.errors.Add(1)
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if now.Before(t.until) {
		return
	}
	t.rest = min(max(2*t.rest, shortestRest), longestRest)
	t.until = now.Add(t.rest)
	if t.began.IsZero() {
		t.began = now
		t.store.log.Error("the cache on disk fails: memory and origins go on without it, and it is tried again from time to time",
			slog.String("dir", t.store.dir), slog.String("doing", doing), slog.Any("error", err))
	}
}

// fine notes that something has succeeded that was begun at a time.
func (t *trouble) fine(since time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.began.IsZero() || since.Before(t.until) {
		return
	}
	t.store.log.Info("the cache on disk works again", slog.String("dir", t.store.dir), slog.Duration("after", time.Since(t.began).Round(time.Second)))
	t.began, t.until, t.rest = time.Time{}, time.Time{}, 0
}
