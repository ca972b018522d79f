package quota_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freshet/freshet/internal/apply"
	"github.com/freshet/freshet/internal/cdn"
	"github.com/freshet/freshet/internal/quota"
)

// A CDN that fails half of the calls for no reason of ours, and throttles and
// refuses two of ten, gets three requests within the minute that a function has,
// in nineteen of twenty cases, and mostly within a third of it.
func TestRecoversAmongManyFailures(t *testing.T) {
	const runs = 100
	var took []time.Duration
	calls := 0
	for seed := range runs {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(uint64(seed), 1))
			s := &strict{quota: cloudFront, takes: 20 * time.Second, answers: 50 * time.Millisecond}
			s.faults = func(int) error {
				switch p := random.Float64(); {
				case p < 0.50:
					return &cdn.Error{Class: cdn.Unavailable, Err: errors.New("503")}
				case p < 0.60:
					return &cdn.Error{Class: cdn.Throttled, Err: errors.New("Rate exceeded")}
				case p < 0.70:
					return &cdn.Error{Class: cdn.Busy, Err: errors.New("too many")}
				}
				return nil
			}
			b := quota.New(quota.Config{Driver: observable{s}, Default: cloudFront})
			began := time.Now()
			var all sync.WaitGroup
			for i := range 3 {
				all.Go(func() {
					if _, err := apply.Send(t.Context(), b, request("E1", fmt.Sprint(i), 150, 0), apply.Retry{For: time.Hour, Most: 2 * time.Second}); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
			took, calls = append(took, time.Since(began)), calls+s.calls
		})
	}
	slices.Sort(took)
	t.Logf("median %v, 95th percentile %v, worst %v, %.1f calls", took[runs/2], took[runs*95/100], took[runs-1], float64(calls)/runs)
	if half, late := took[runs/2], took[runs*95/100]; half > 20*time.Second || late > 54*time.Second {
		t.Errorf("half took more than %v, one of twenty more than %v", half, late)
	}
}

// What others have sent counts until they have their answers: those who wait for
// that hear of it when it is so, and not when it must be at the latest.
func TestHearsOfOthersAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &strict{quota: cloudFront, takes: time.Second, answers: 500 * time.Millisecond}
		store := new(quota.Memory)
		var all sync.WaitGroup
		began := time.Now()
		for i := range 2 {
			b := quota.New(quota.Config{Driver: observable{s}, Default: cloudFront, Store: store})
			all.Go(func() { send(t, b, request("E1", fmt.Sprint(i), 149, 1)) })
			time.Sleep(100 * time.Millisecond)
		}
		all.Wait()
		s.unrefused(t)
		if late := time.Since(began); late > 6*time.Second {
			t.Errorf("both were accepted and completed after %v", late)
		}
	})
}
