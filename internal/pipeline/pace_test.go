package pipeline

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func TestLoneChangeGoesAtOnce(t *testing.T) {
	var p pace
	for now := start; now.Before(start.Add(time.Minute)); now = now.Add(2 * longestWindow) {
		p.arrived(now)
		if p.window != 0 {
			t.Fatalf("a lone change waits %v", p.window)
		}
		p.gathered(1)
	}
}

func TestWindowGrowsWithEachBatchOfMany(t *testing.T) {
	var p pace
	p.arrived(start)
	want := firstWindow
	for range 10 {
		p.gathered(2)
		if p.window != want {
			t.Fatalf("the window is %v, want %v", p.window, want)
		}
		want = min(growth*want, longestWindow)
	}
}

func TestWindowShrinksWithEachBatchOfOne(t *testing.T) {
	p := pace{window: longestWindow}
	for range 20 {
		before := p.window
		p.gathered(1)
		if p.window > before/2 {
			t.Fatalf("the window went from %v to %v", before, p.window)
		}
		if before <= firstWindow && p.window != 0 {
			t.Fatalf("the window went from %v to %v, want none", before, p.window)
		}
	}
	if p.window != 0 {
		t.Errorf("the window is still %v", p.window)
	}
}

func TestLongPauseForgetsTheStream(t *testing.T) {
	p := pace{window: longestWindow, gap: longestQuiet, last: start}
	p.arrived(start.Add(streamEnds))
	if p.window != 0 || p.gap != 0 {
		t.Errorf("after a long pause the window is %v and the gap %v", p.window, p.gap)
	}
	p = pace{window: longestWindow, last: start}
	p.arrived(start.Add(streamEnds - 1))
	if p.window != longestWindow {
		t.Errorf("within a stream the window became %v", p.window)
	}
}

func TestQuietFollowsTheGaps(t *testing.T) {
	var p pace
	now := start
	p.arrived(now)
	if got := p.quiet(); got != shortestQuiet {
		t.Errorf("at first a pause of %v ends a batch, want %v", got, shortestQuiet)
	}
	for range 100 {
		now = now.Add(5 * time.Millisecond)
		p.arrived(now)
	}
	if got := p.quiet(); got < 30*time.Millisecond || got > 40*time.Millisecond {
		t.Errorf("with gaps of 5 ms a pause of %v ends a batch, want eight gaps", got)
	}
}

func TestPaceKeepsWithinItsBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var p pace
		now := start
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "arrival") {
				now = now.Add(time.Duration(rapid.Int64Range(0, int64(2*time.Second)).Draw(t, "gap")))
				p.arrived(now)
			} else {
				p.gathered(rapid.IntRange(1, maxBatch).Draw(t, "n"))
			}
			if p.window < 0 || p.window > longestWindow || 0 < p.window && p.window < firstWindow/2 {
				t.Fatalf("the window is %v", p.window)
			}
			if q := p.quiet(); q < shortestQuiet || q > longestQuiet {
				t.Fatalf("the pause is %v", q)
			}
			if p.gap < 0 || p.gap > streamEnds {
				t.Fatalf("the gap is %v", p.gap)
			}
		}
	})
}
