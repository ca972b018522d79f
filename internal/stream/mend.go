package stream

import (
	"context"
	"errors"
	"os"
	"time"
)

// spare is how much space, in bytes, a server is worth starting again for.
const spare = 1 << 20

const (
	firstPause   = 100 * time.Millisecond // before a server is started anew; doubles
	longestPause = 5 * time.Second
	quiet        = 10 * time.Second // a server that ran so long was fine
	spaceEvery   = 250 * time.Millisecond
)

// mend starts the server anew whenever it has complained, once there is space.
// Servers that complain again and again are started less and less often.
func (e *Engine) mend(ctx context.Context, trouble <-chan struct{}) {
	defer close(e.mended)
	pause, began := firstPause, time.Now()
	for {
		select {
		case <-trouble:
		case <-ctx.Done():
			return
		}
		if time.Since(began) > quiet {
			pause = firstPause
		}
		for trouble = nil; trouble == nil; pause = min(2*pause, longestPause) {
			if !sleep(ctx, pause) || !e.awaitSpace(ctx) {
				return
			}
			trouble = e.restart()
		}
		began = time.Now()
	}
}

// sleep reports false when ctx is done.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// awaitSpace reports false when ctx is done.
func (e *Engine) awaitSpace(ctx context.Context) bool {
	for first := true; ; first = false {
		err := hasSpace(e.cfg.Dir)
		if err == nil {
			return true
		}
		if first {
			e.log.Error("the store waits for space", "dir", e.cfg.Dir, "err", err)
		}
		if !sleep(ctx, spaceEvery) {
			return false
		}
	}
}

// restart returns nil if the server does not start.
func (e *Engine) restart() (trouble <-chan struct{}) {
	e.shutdown()
	trouble, err := e.start()
	if err != nil {
		e.log.Error("the store will be opened again later", "err", err)
		return nil
	}
	e.log.Warn("the store was opened again", "dir", e.cfg.Dir)
	return trouble
}

// hasSpace finds out by writing, which also works where free space cannot be
// asked for or is bounded by a quota.
func hasSpace(dir string) error {
	f, err := os.CreateTemp(dir, ".space-*")
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, spare))
	return errors.Join(err, f.Sync(), f.Close(), os.Remove(f.Name()))
}
