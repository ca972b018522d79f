package disk

import (
	"errors"
	"log/slog"
	"sync"
	"syscall"
	"time"
)

// How long a disk that failed is left alone.
const (
	shortestRest = time.Second
	longestRest  = time.Minute
)

// trouble is what is known of a disk that fails to be read, or to be written. It is
// left alone for a while after a failure, longer each time, so that nobody waits for
// it in vain. What fails to be written can be read all the same.
type trouble struct {
	store *Store
	fails string // what is said when it begins
	works string // and when it is over

	mu    sync.Mutex
	began time.Time // zero while all is well
	until time.Time
	rest  time.Duration
}

// ErrResting is what is answered for a disk that failed a moment ago.
var ErrResting = errors.New("the disk has failed and is left alone for a while")

func newTroubles(s *Store) (reading, writing *trouble) {
	return &trouble{
			store: s, fails: "the cache on disk cannot be read: memory and origins go on without it, and it is tried again from time to time",
			works: "the cache on disk can be read again",
		}, &trouble{
			store: s, fails: "the cache on disk takes nothing more: what is there is served, the rest goes on without it, and it is tried again from time to time",
			works: "the cache on disk takes something again",
		}
}

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
		t.store.log.Error(t.fails, slog.String("dir", t.store.dir), slog.String("doing", doing), slog.Any("error", err))
	}
}

// fine notes that something has succeeded that was begun at a time. After a failure
// that has to go on for as long as the disk was left alone, so that one that takes
// some things and not others is not said to work, and to fail, again and again.
func (t *trouble) fine(since time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.began.IsZero() || since.Before(t.until.Add(t.rest)) {
		return
	}
	t.store.log.Info(t.works, slog.String("dir", t.store.dir), slog.Duration("after", time.Since(t.began).Round(time.Second)))
	t.began, t.until, t.rest = time.Time{}, time.Time{}, 0
}

// IsFull reports whether an error says that there is no room on a disk, or none that
// may be used, so that to remove something helps.
func IsFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
