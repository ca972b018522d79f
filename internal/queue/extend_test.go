package queue_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/queue"
)

// What is still worked on is not delivered again, and what is not is.
func TestExtend(t *testing.T) {
	q, _ := open(t, t.TempDir())
	const wait = 2 * time.Second
	q.AckWait(wait)
	put(t, q, change("worked on", "01"), change("forgotten", "02"))
	if last, err := q.Last(t.Context()); err != nil || last != 2 {
		t.Errorf("the last one is %d, %v", last, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var mu sync.Mutex
	times := make(map[string]int)
	var kept *queue.Delivery
	extended, late := time.Now(), false
	tick := time.NewTicker(wait / 20)
	defer tick.Stop()
	go func() {
		for {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			mu.Lock()
			if kept != nil {
				late = late || time.Since(extended) > wait/2
				extended = time.Now()
				if err := kept.Extend(); err != nil {
					t.Error(err)
				}
			}
			mu.Unlock()
		}
	}()
	err := q.Consume(ctx, func(d queue.Delivery) {
		mu.Lock()
		defer mu.Unlock()
		if d.Sequence() == 0 {
			t.Error("a delivery without a place")
		}
		times[d.Change.Key]++
		if d.Change.Key == "worked on" {
			kept, extended = &d, time.Now()
		}
		if times["forgotten"] == 3 {
			cancel()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if times["forgotten"] < 3 {
		t.Errorf("what nobody works on came %d times", times["forgotten"])
	}
	if times["worked on"] != 1 && !late {
		t.Errorf("what is worked on came %d times", times["worked on"])
	}
}

func TestLastOfNone(t *testing.T) {
	q, _ := open(t, t.TempDir())
	if last, err := q.Last(t.Context()); err != nil || last != 0 {
		t.Errorf("%d, %v", last, err)
	}
}
