package app

import (
	"testing"
	"time"
)

func TestGCPercent(t *testing.T) {
	const mib = 1 << 20
	for _, tt := range []struct {
		live, memory uint64
		want         int
	}{
		{0, 256 * mib, 100}, {1 * mib, 256 * mib, 400}, {10 * mib, 256 * mib, 213}, {64 * mib, 4096 * mib, 50}, {21 * mib, 252 * mib, 100}, {42 * mib, 252 * mib, 50}, {360 * mib, 252 * mib, 10},
		{10_000 * mib, 252 * mib, 10}, {16 * mib, 1 * mib, 50},
	} {
		if got := gcPercent(tt.live, tt.memory); got != tt.want {
			t.Errorf("%d MiB live, %d for the store: %d, want %d", tt.live/mib, tt.memory/mib, got, tt.want)
		}
	}
}

// Memory is given back at once when there is too much of it, and not over and over
// where that does not help.
func TestReturning(t *testing.T) {
	r := returning{bound: 110}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	if r.due(now, 110) || !r.due(now, 111) {
		t.Error("not due when it should be")
	}
	for _, tt := range []struct {
		left  int64
		pause time.Duration
	}{{50, 2 * time.Second}, {120, 4 * time.Second}, {120, 8 * time.Second}, {110, 2 * time.Second}} {
		r.done(now, tt.left)
		if r.due(now.Add(tt.pause-1), 200) || !r.due(now.Add(tt.pause), 200) {
			t.Errorf("with %d left: not due after %v", tt.left, tt.pause)
		}
	}
	for range 20 {
		r.done(now, 200)
	}
	if !r.due(now.Add(5*time.Minute), 200) {
		t.Error("not due any more")
	}
}

// The more is elsewhere, the less is left to the heap, but always something.
func TestHeapLimit(t *testing.T) {
	const mib = 1 << 20
	for _, tt := range []struct{ all, elsewhere, live, want int64 }{
		{400 * mib, 0, 20 * mib, 400 * mib}, {400 * mib, 250 * mib, 20 * mib, 150 * mib},
		{400 * mib, 390 * mib, 40 * mib, 53 * mib}, {400 * mib, 800 * mib, 0, 8 * mib}, {400 * mib, 100 * mib, 400 * mib, 458 * mib},
	} {
		if got := heapLimit(tt.all, tt.elsewhere, tt.live); got != tt.want {
			t.Errorf("%d MiB, %d elsewhere, %d live: %d, want %d", tt.all/mib, tt.elsewhere/mib, tt.live/mib, got, tt.want)
		}
	}
}
