package quota_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/cdn"
	"github.com/freshet/freshet/internal/quota"
)

// One that died without telling holds its room for a quarter of an hour, and not
// for ever, where nobody can see what is in progress.
func TestTheDeadLetGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &strict{quota: cloudFront, takes: 10 * time.Second}
		store := new(quota.Memory)
		dies := quota.New(quota.Config{Driver: s, Default: cloudFront, Store: store})
		for i := range 15 { // and nobody asks after them
			if _, err := dies.Invalidate(t.Context(), request("E1", fmt.Sprint(i), 100, 1)); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		began := time.Now()
		b := quota.New(quota.Config{Driver: s, Default: cloudFront, Store: store})
		if _, err := b.Invalidate(ctx, request("E1", "next", 100, 1)); err != nil || time.Since(began) > 16*time.Minute {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

// Small requests in an endless stream do not keep a large one from being sent:
// none passes one that lacks the same.
func TestTheLargeIsNotStarved(t *testing.T) {
	for name, lane := range map[string]quota.Lane{"live": quota.Live, "bulk": quota.Bulk} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithCancel(t.Context())
				s := &strict{quota: cloudFront, takes: time.Second, answers: 200 * time.Millisecond}
				b := quota.New(quota.Config{Driver: s, Default: cloudFront})
				var small sync.WaitGroup
				for i := range 20 {
					small.Go(func() {
						for n := 0; ctx.Err() == nil; n++ {
							r, _ := b.Invalidate(ctx, request("E1", fmt.Sprint("small", i, "-", n), 1, 0))
							follow(ctx, b, r)
						}
					})
				}
				time.Sleep(10 * time.Second)
				began := time.Now()
				waiting, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
				defer cancel()
				if _, err := b.Lane(lane).Invalidate(waiting, request("E1", "large", 150, 0)); err != nil {
					t.Errorf("not sent within %v: %v", time.Since(began), err)
				}
				stop()
				small.Wait()
				s.unrefused(t)
			})
		})
	}
}

// Whoever waits for room for wildcards does not hold up what has none.
func TestPathsPassWildcards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &strict{quota: cloudFront, takes: 10 * time.Minute}
		s.occupy("E1", 15, 15)
		b := quota.New(quota.Config{Driver: observable{s}, Default: cloudFront})
		var wild sync.WaitGroup
		wild.Go(func() { send(t, b, request("E1", "wild", 61, 1)) })
		time.Sleep(time.Second)
		began := time.Now()
		if _, err := b.Invalidate(t.Context(), request("E1", "exact", 3, 0)); err != nil || time.Since(began) > 10*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		wild.Wait()
		s.unrefused(t)
	})
}

// hanging is a CDN that does not say what is in progress.
type hanging struct {
	*strict
	looks atomic.Int64
}

func (h *hanging) InProgress(ctx context.Context, distribution string, _ map[string]cdn.Progress) ([]cdn.Progress, error) {
	h.looks.Add(1)
	if distribution == "E1" {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return nil, nil
}

// A CDN that does not answer when it is asked what is in progress holds up only
// those who have to know, and those not for long.
func TestASlowLookHoldsUpNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hanging{strict: &strict{quota: cloudFront, takes: time.Second}}
		b := quota.New(quota.Config{Driver: h, Default: cloudFront})
		began := time.Now()
		var all sync.WaitGroup
		invalidate := func(what string, inv freshet.Invalidation, within time.Duration) {
			ctx, cancel := context.WithTimeout(t.Context(), within)
			defer cancel()
			if _, err := b.Invalidate(ctx, inv); err != nil {
				t.Errorf("%s: %v after %v", what, err, time.Since(began))
			}
		}
		all.Go(func() { invalidate("the one that looks", request("E1", "large", 100, 0), time.Minute) })
		synctest.Wait()
		invalidate("elsewhere", request("E2", "elsewhere", 50, 0), time.Second)
		invalidate("a few paths", request("E1", "small", 1, 0), time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := b.Invalidate(ctx, request("E1", "impatient", 100, 0)); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 3*time.Second {
			t.Errorf("gave up after %v: %v", time.Since(began), err)
		}
		if _, err := b.Status(t.Context(), "E2", "I0"); err != nil || b.Waiting() != 1 || time.Since(began) > 3*time.Second {
			t.Errorf("%v, %d wait, after %v", err, b.Waiting(), time.Since(began))
		}
		all.Wait()
		if waited := time.Since(began); waited > 15*time.Second || h.looks.Load() > 5 {
			t.Errorf("looked %d times within %v", h.looks.Load(), waited)
		}
	})
}

// stuck is a store that never answers.
type stuck struct{}

func (stuck) Load(ctx context.Context) ([]byte, string, error) {
	<-ctx.Done()
	return nil, "", ctx.Err()
}

func (stuck) Swap(ctx context.Context, _ []byte, _ string) (string, bool, error) {
	<-ctx.Done()
	return "", false, ctx.Err()
}

func TestAStuckStoreIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &strict{quota: cloudFront}
		b := quota.New(quota.Config{Driver: observable{s}, Default: cloudFront, Store: stuck{}})
		began := time.Now()
		var all sync.WaitGroup
		for i := range 3 {
			all.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				if _, err := b.Invalidate(ctx, request("E1", fmt.Sprint(i), 1, 0)); cdn.ClassOf(err) != cdn.Unavailable || errors.Is(ctx.Err(), context.DeadlineExceeded) {
					t.Errorf("%v after %v", err, time.Since(began))
				}
			})
		}
		synctest.Wait()
		if b.Waiting() != 3 || len(b.InProgress()) != 0 || time.Since(began) > 0 {
			t.Errorf("%d wait, after %v", b.Waiting(), time.Since(began))
		}
		all.Wait()
		if s.calls != 0 {
			t.Errorf("%d calls without a record", s.calls)
		}
	})
}

// forgetful is a store that is away while it is told so.
type forgetful struct {
	quota.Memory
	away atomic.Bool
}

func (f *forgetful) Load(ctx context.Context) ([]byte, string, error) {
	if f.away.Load() {
		return nil, "", errors.New("away")
	}
	return f.Memory.Load(ctx)
}

func (f *forgetful) Swap(ctx context.Context, record []byte, revision string) (string, bool, error) {
	if f.away.Load() {
		return "", false, errors.New("away")
	}
	return f.Memory.Swap(ctx, record, revision)
}

// A push-back is no failure, also where it could not be noted.
func TestAPushBackThatIsNotNoted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := new(forgetful)
		s := &strict{quota: cloudFront, answers: 2 * time.Second}
		s.faults = func(call int) error {
			if call == 1 {
				store.away.Store(true)
				return &cdn.Error{Class: cdn.Throttled, Err: errors.New("Rate exceeded")}
			}
			return nil
		}
		b := quota.New(quota.Config{Driver: s, Default: cloudFront, Store: store})
		_, err := b.Invalidate(t.Context(), request("E1", "a", 1, 0))
		if cdn.ClassOf(err) != cdn.Unavailable || s.calls != 1 {
			t.Errorf("%v after %d calls, want to hear of the store, which is away", err, s.calls)
		}
	})
}

// Senders whose clocks are far off hold nobody up for long, and take back no
// month.
func TestClocksThatAreOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		far := now.Add(9 * time.Hour).Format(time.RFC3339)
		month := now.AddDate(0, 1, 0)
		record := fmt.Sprintf(`{"recent":[{"p":150,"r":"x","u":%[1]q,"c":%[1]q}],"pace":1,"resume":%[1]q,"month":%[2]q,"spent":70,`+
			`"windows":{"E1":{"known":{"I":{"p":3000,"at":%[1]q}},"pace":1,"looked":%[1]q,"resume":%[1]q}}}`, far, month.Format("2006-01"))
		store := new(quota.Memory)
		if _, ok, err := store.Swap(t.Context(), []byte(record), ""); err != nil || !ok {
			t.Fatal(err)
		}
		b := quota.New(quota.Config{Driver: &strict{quota: cloudFront, takes: time.Second}, Default: cloudFront, Store: store})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if _, err := b.Invalidate(ctx, request("E2", "a", 10, 0)); err != nil || time.Since(now) > time.Minute {
			t.Errorf("%v after %v", err, time.Since(now))
		}
		if _, err := b.Invalidate(ctx, request("E1", "b", 10, 0)); err != nil {
			t.Errorf("%v after %v", err, time.Since(now))
		}
		if n, err := b.Spent(t.Context(), month); err != nil || n != 90 {
			t.Errorf("%d were spent in the month that others have already, %v, want 90", n, err)
		}
	})
}

// The record stays small, however many distributions there were.
func TestTheRecordStaysSmall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &strict{quota: cloudFront, takes: time.Second}
		store := new(quota.Memory)
		b := quota.New(quota.Config{Driver: observable{s}, Default: cloudFront, Store: store})
		for i := range 1000 {
			if _, err := b.Invalidate(t.Context(), request(fmt.Sprint("E", i), fmt.Sprint(i), 61, 0)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
		}
		if text, _, _ := store.Load(t.Context()); len(text) > 4<<10 {
			t.Errorf("it has %d bytes: %.300s", len(text), text)
		}
	})
}

// Two thousand wait at once, and it costs little to find out whose turn it is.
func TestThousandsWait(t *testing.T) {
	const many = 2000
	began := time.Now()
	synctest.Test(t, func(t *testing.T) {
		s := &strict{quota: cloudFront, takes: time.Second}
		b := quota.New(quota.Config{Driver: observable{s}, Default: cloudFront})
		requests := make([]freshet.Invalidation, many)
		for i := range requests {
			requests[i] = request("E1", fmt.Sprint(i), 1, 0)
		}
		send(t, b, requests...)
		s.unrefused(t)
		if len(s.order) != many || b.Waiting() != 0 {
			t.Errorf("%d were sent, %d wait", len(s.order), b.Waiting())
		}
	})
	t.Logf("%d requests took %v", many, time.Since(began))
}
