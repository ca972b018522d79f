package api_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freshet/freshet/internal/distribution"
	"github.com/freshet/freshet/internal/edge/api"
)

// Completed waits for the edge and for the log, however often they fail.
func TestCompletionIsRepeatedUntilItSucceeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &edge{fail: 7}
		log := &failingLog{}
		r, err := api.Open(context.Background(), api.RegisterConfig{Distributions: distributions, Invalidator: e, Log: log})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		i, err := r.Create(context.Background(), "E1PLAIN", api.Batch{CallerReference: "r", Paths: []string{"/a"}})
		if err != nil {
			t.Fatal(err)
		}
		log.failNext(1 << 30)
		for e.attempts() < 8 {
			if got, _ := r.Get("E1PLAIN", i.ID); got.Status() != api.StatusInProgress {
				t.Fatalf("%s after %d attempts", got.Status(), e.attempts())
			}
			time.Sleep(time.Second)
		}
		synctest.Wait()
		if got, _ := r.Get("E1PLAIN", i.ID); got.Status() != api.StatusInProgress {
			t.Fatal("Completed while the log fails")
		}
		log.failNext(0)
		time.Sleep(time.Minute)
		synctest.Wait()
		if got, _ := r.Get("E1PLAIN", i.ID); got.Status() != api.StatusCompleted {
			t.Error("never completed")
		}
		if n := e.attempts(); n != 8 {
			t.Errorf("the edge was told %d times, want 8", n)
		}
	})
}

func (e *edge) attempts() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.tried
}

func TestInvalidationOfADistributionThatWentAwayCompletes(t *testing.T) {
	var mu sync.Mutex
	current := distributions()
	e := &edge{fail: 1 << 30}
	log := &api.MemoryLog{}
	r := open(t, e, func(c *api.RegisterConfig) {
		c.Log = log
		c.Distributions = func() []distribution.Distribution {
			mu.Lock()
			defer mu.Unlock()
			return current
		}
	})
	i, err := r.Create(t.Context(), "E1PLAIN", api.Batch{CallerReference: "r", Paths: []string{"/a"}})
	if err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	current = nil
	mu.Unlock()
	_, err = r.Get("E1PLAIN", i.ID)
	wantCode(t, err, api.NoSuchDistribution, 404)
	eventually(t, "completion", func() bool { return r.InProgress("E1PLAIN") == 0 })
}
