package quota_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/cdn"
	"github.com/freshet/freshet/internal/quota"
)

// request has so many exact paths and wildcards, and a caller reference of its own.
func request(distribution, name string, exact, wildcards int) freshet.Invalidation {
	inv := freshet.Invalidation{Distribution: distribution, CallerReference: name}
	for i := range exact {
		inv.Patterns = append(inv.Patterns, freshet.Pattern(fmt.Sprintf("/%s/%d", name, i)))
	}
	for i := range wildcards {
		inv.Patterns = append(inv.Patterns, freshet.Pattern(fmt.Sprintf("/%s/%d/*", name, i)))
	}
	return inv
}

// follow asks after an accepted invalidation until it is completed, as everybody
// does who sends one.
func follow(ctx context.Context, d cdn.Driver, r freshet.Receipt) {
	for r.State == freshet.Accepted {
		select {
		case <-time.After(2 * time.Second):
		case <-ctx.Done():
			return
		}
		r, _ = d.Status(ctx, r.Distribution, r.ID)
	}
}

// send sends all at once and returns when each was accepted, by reference.
func send(t *testing.T, d cdn.Driver, requests ...freshet.Invalidation) (accepted map[string]time.Time) {
	t.Helper()
	accepted = make(map[string]time.Time)
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, inv := range requests {
		all.Go(func() {
			r, err := d.Invalidate(t.Context(), inv)
			if err != nil {
				t.Errorf("%s: %v", inv.CallerReference, err)
				return
			}
			mu.Lock()
			accepted[inv.CallerReference] = time.Now()
			mu.Unlock()
			follow(t.Context(), d, r)
		})
		time.Sleep(time.Microsecond) // they line up in this order
	}
	all.Wait()
	return accepted
}

func (s *strict) unrefused(t *testing.T) {
	t.Helper()
	if len(s.refusals) > 0 {
		t.Errorf("%d of %d calls were refused: %s", len(s.refusals), s.calls, strings.Join(s.refusals[:min(3, len(s.refusals))], "; "))
	}
}

// Ten thousand paths never get a push-back, although others use a part of the
// window, and one urgent request passes them.
func TestPromiseWithinTheLimits(t *testing.T) {
	for name, q := range map[string]freshet.Quota{
		"both":   cloudFront,
		"rate":   {PatternsPerSecond: 150, WildcardsPerSecond: 1},
		"window": {PatternsInProgress: 3000, WildcardsInProgress: 15},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &strict{quota: q, takes: 25 * time.Second, answers: 200 * time.Millisecond}
				s.occupy("E1", 1500, 6)
				b := quota.New(quota.Config{Driver: observable{s}, Default: q})
				var bulk []freshet.Invalidation
				for i := range 67 {
					bulk = append(bulk, request("E1", fmt.Sprint("bulk", i), 148, i%2))
				}
				var all sync.WaitGroup
				all.Go(func() { send(t, b.Lane(quota.Bulk), bulk...) })
				time.Sleep(20 * time.Second)
				before := time.Now()
				urgent := send(t, b, request("E1", "urgent", 3, 0))
				if waited := urgent["urgent"].Sub(before); waited > 2*time.Second {
					t.Errorf("the urgent request waited for %v", waited)
				}
				all.Wait()
				s.unrefused(t)
				if len(s.order) != 68 {
					t.Errorf("%d requests were accepted, want 68", len(s.order))
				}
			})
		})
	}
}

func TestALoneRequestGoesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &strict{quota: cloudFront, takes: time.Second}
		b := quota.New(quota.Config{Driver: observable{s}, Default: cloudFront})
		for i := range 5 {
			before := time.Now()
			if _, err := b.Invalidate(t.Context(), request("E1", fmt.Sprint(i), 3, 0)); err != nil {
				t.Fatal(err)
			}
			if waited := time.Since(before); waited > 0 {
				t.Errorf("request %d waited for %v", i, waited)
			}
		}
		if s.looks > 0 {
			t.Errorf("looked %d times at what others do, for a few paths", s.looks)
		}
	})
}

func TestOthersLeaveNoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &strict{quota: cloudFront, takes: time.Minute}
		s.occupy("E1", 2900, 0)
		b := quota.New(quota.Config{Driver: observable{s}, Default: cloudFront})
		began := time.Now()
		other := send(t, b, request("E1", "large", 150, 0), request("E1", "small", 120, 0), request("E2", "elsewhere", 150, 0))
		s.unrefused(t)
		if other["large"].Sub(began) < time.Minute || other["small"].Before(other["large"]) {
			t.Errorf("accepted after %v and %v, want a minute and later", other["large"].Sub(began), other["small"].Sub(began))
		}
		if waited := other["elsewhere"].Sub(began); waited > 2*time.Second {
			t.Errorf("the request for another distribution waited for %v", waited)
		}
	})
}

// What others do that cannot be seen costs few push-backs, and no request.
func TestTheUnseen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &strict{quota: cloudFront, takes: 10 * time.Minute}
		s.occupy("E1", 2990, 15)
		var pushed atomic.Int64
		b := quota.New(quota.Config{Driver: s, Default: cloudFront, Pushed: func(string, error) { pushed.Add(1) }})
		began := time.Now()
		accepted := send(t, b, request("E1", "a", 20, 0), request("E1", "b", 0, 1))
		if waited := accepted["b"].Sub(began); waited < 9*time.Minute || waited > 11*time.Minute {
			t.Errorf("accepted after %v, want some 10 minutes", waited)
		}
		if s.calls > 100 || pushed.Load() != int64(len(s.refusals)) || s.calls < 3 {
			t.Errorf("%d calls, %d push-backs told of, %d happened", s.calls, pushed.Load(), len(s.refusals))
		}
	})
}

func TestSlowsDownAndRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		s := &strict{quota: cloudFront, takes: time.Second, faults: func(int) error {
			if time.Since(began) < 5*time.Minute {
				return &cdn.Error{Class: cdn.Throttled, Err: errors.New("Rate exceeded")}
			}
			return nil
		}}
		b := quota.New(quota.Config{Driver: observable{s}, Default: cloudFront})
		accepted := send(t, b, request("E1", "a", 1, 0), request("E1", "b", 1, 0))
		if s.calls > 20 {
			t.Errorf("%d calls within five minutes of being throttled", s.calls)
		}
		if late := accepted["a"].Sub(began); late > 5*time.Minute+time.Minute {
			t.Errorf("went on after %v", late)
		}
		for i := range 30 {
			send(t, b, request("E1", fmt.Sprint("warm", i), 1, 0))
		}
		time.Sleep(10 * time.Second)
		before := time.Now()
		if _, err := b.Invalidate(t.Context(), request("E1", "recovered", 1, 0)); err != nil || time.Since(before) > 0 {
			t.Errorf("waited for %v after it had recovered; %v", time.Since(before), err)
		}
	})
}

// What else fails is the caller's to see at once, and keeps no room.
func TestFailuresAreTheCallers(t *testing.T) {
	for _, class := range []cdn.Class{cdn.Rejected, cdn.TooLarge, cdn.NotFound, cdn.Denied, cdn.Conflict, cdn.Unavailable} {
		t.Run(string(class), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &strict{quota: cloudFront, faults: func(call int) error {
					if call == 1 {
						return &cdn.Error{Class: class, Err: errors.New("no")}
					}
					return nil
				}}
				b := quota.New(quota.Config{Driver: s, Default: cloudFront})
				inv := request("E1", "a", 10, 1)
				if _, err := b.Invalidate(t.Context(), inv); cdn.ClassOf(err) != class || s.calls != 1 {
					t.Errorf("%v after %d calls, want the class %q after one", err, s.calls, class)
				}
				kept := b.InProgress()["E1"]
				if want := (quota.Use{}); class == cdn.Unavailable {
					want = quota.Use{Patterns: 11, Wildcards: 1} // it may have been done
					if kept != want {
						t.Errorf("%v is booked, want %v", kept, want)
					}
				} else if kept != want {
					t.Errorf("%v is booked, want nothing", kept)
				}
				if _, err := b.Invalidate(t.Context(), inv); err != nil {
					t.Errorf("sent again: %v", err)
				}
			})
		})
	}
}

// Nothing in progress that could complete, and still too much: nobody would
// ever wait long enough.
func TestTooMuchForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &strict{quota: freshet.Quota{PatternsInProgress: 100}, takes: time.Second}
		b := quota.New(quota.Config{Driver: observable{s}, Default: s.quota})
		_, err := b.Invalidate(t.Context(), request("E1", "large", 101, 0))
		if cdn.ClassOf(err) != cdn.Busy {
			t.Errorf("%v, want it to come back as busy", err)
		}
	})
}

func TestGivesUpWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &strict{quota: cloudFront, takes: time.Hour}
		s.occupy("E1", 3000, 0)
		b := quota.New(quota.Config{Driver: observable{s}, Default: cloudFront})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := b.Invalidate(ctx, request("E1", "a", 100, 0))
		if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) || b.Waiting() != 0 {
			t.Errorf("%v, %d still wait", err, b.Waiting())
		}
		s.unrefused(t)
	})
}

// Live requests in an endless stream do not keep bulk from being sent.
func TestBulkIsNotStarved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		s := &strict{quota: cloudFront, takes: time.Second}
		b := quota.New(quota.Config{Driver: s, Default: cloudFront})
		var live sync.WaitGroup
		for i := range 20 {
			live.Go(func() {
				for n := 0; ctx.Err() == nil; n++ {
					_, _ = b.Invalidate(ctx, request("E1", fmt.Sprint("live", i, "-", n), 1, 0))
				}
			})
		}
		time.Sleep(10 * time.Second)
		began := time.Now()
		accepted := send(t, b.Lane(quota.Bulk), request("E1", "bulk", 1, 0))
		if waited := accepted["bulk"].Sub(began); waited < 30*time.Second || waited > 2*time.Minute {
			t.Errorf("bulk waited for %v beside twenty live senders, want between half a minute and two", waited)
		}
		stop()
		live.Wait()
	})
}

// Senders that share a store keep within the quotas together, and one that died
// does not hold its room for ever.
func TestSharedBySenders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &strict{quota: cloudFront, takes: 20 * time.Second, answers: 100 * time.Millisecond}
		store := new(quota.Memory)
		var all sync.WaitGroup
		for i := range 4 {
			b := quota.New(quota.Config{Driver: observable{s}, Default: cloudFront, Store: store})
			var requests []freshet.Invalidation
			for n := range 15 {
				requests = append(requests, request("E1", fmt.Sprint(i, "-", n), 100, n%2))
			}
			all.Go(func() { send(t, b, requests...) })
			all.Go(func() {
				dying, die := context.WithTimeout(t.Context(), time.Duration(i)*time.Second)
				defer die()
				_, _ = b.Invalidate(dying, request("E1", fmt.Sprint("dies", i), 100, 1))
			})
		}
		all.Wait()
		s.unrefused(t)
		b := quota.New(quota.Config{Driver: observable{s}, Store: store})
		if spent, err := b.Spent(t.Context(), time.Now()); err != nil || spent < 60*100 {
			t.Errorf("%d paths were charged for, %v", spent, err)
		}
	})
}

func TestSpentBeginsAnewEachMonth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &strict{quota: cloudFront, takes: time.Minute}
		b := quota.New(quota.Config{Driver: s, Default: cloudFront})
		send(t, b, request("E1", "a", 10, 1))
		repeated := request("E1", "b", 5, 0)
		for range 3 {
			if _, err := b.Invalidate(t.Context(), repeated); err != nil {
				t.Fatal(err)
			}
		}
		now := time.Now()
		if n, err := b.Spent(t.Context(), now); n != 16 || err != nil {
			t.Errorf("%d paths, %v; want 16: the same request again is free", n, err)
		}
		if n, _ := b.Spent(t.Context(), now.AddDate(0, 1, 0)); n != 0 {
			t.Errorf("%d paths in the next month, want none", n)
		}
	})
}

type broken struct{ quota.Memory }

func (*broken) Swap(context.Context, []byte, string) (string, bool, error) {
	return "", false, errors.New("no such table")
}

func TestWithoutItsStoreNothingIsSent(t *testing.T) {
	s := &strict{quota: cloudFront}
	b := quota.New(quota.Config{Driver: s, Store: new(broken)})
	_, err := b.Invalidate(t.Context(), request("E1", "a", 1, 0))
	if cdn.ClassOf(err) != cdn.Unavailable || !strings.Contains(fmt.Sprint(err), "no such table") || s.calls > 0 {
		t.Errorf("%v after %d calls", err, s.calls)
	}
}

// Whatever is asked for in whatever order, a strict CDN refuses nothing, and
// everything is sent once.
func TestAnyTraffic(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		q := freshet.Quota{
			PatternsPerSecond:   float64(rapid.SampledFrom([]int{0, 10, 150}).Draw(rt, "patterns a second")),
			WildcardsPerSecond:  float64(rapid.SampledFrom([]int{0, 1, 2}).Draw(rt, "wildcards a second")),
			PatternsInProgress:  rapid.SampledFrom([]int{0, 30, 300}).Draw(rt, "patterns in progress"),
			WildcardsInProgress: rapid.SampledFrom([]int{0, 2, 15}).Draw(rt, "wildcards in progress"),
		}
		s := &strict{quota: q, takes: time.Duration(rapid.IntRange(0, 40).Draw(rt, "completes after")) * time.Second, answers: 50 * time.Millisecond}
		type arrival struct {
			inv  freshet.Invalidation
			lane quota.Lane
			gap  time.Duration
		}
		most := 10
		arrivals := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) arrival {
			wild := 0
			if q.WildcardsPerSecond != 1 && q.WildcardsInProgress != 2 {
				wild = rapid.IntRange(0, 2).Draw(rt, "wildcards")
			} else {
				wild = rapid.IntRange(0, 1).Draw(rt, "wildcards")
			}
			return arrival{
				inv:  request(rapid.SampledFrom([]string{"E1", "E2"}).Draw(rt, "distribution"), "", rapid.IntRange(1, most-2).Draw(rt, "exact"), wild),
				lane: quota.Lane(rapid.IntRange(0, 1).Draw(rt, "lane")),
				gap:  time.Duration(rapid.IntRange(0, 3000).Draw(rt, "gap")) * time.Millisecond,
			}
		}), 1, 25).Draw(rt, "arrivals")
		synctest.Test(t, func(t *testing.T) {
			b := quota.New(quota.Config{Driver: observable{s}, Default: q})
			var all sync.WaitGroup
			for i, a := range arrivals {
				a.inv.CallerReference = fmt.Sprint("r", i)
				all.Go(func() { send(t, b.Lane(a.lane), a.inv) })
				time.Sleep(a.gap)
			}
			all.Wait()
		})
		slices.Sort(s.order)
		if len(s.refusals) > 0 || len(s.order) != len(arrivals) || len(slices.Compact(s.order)) != len(arrivals) {
			rt.Fatalf("%d of %d accepted, refused: %v", len(s.order), len(arrivals), s.refusals)
		}
	})
}
