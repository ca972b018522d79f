package quota_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freshet/freshet/internal/cdn"
	"github.com/freshet/freshet/internal/quota"
)

// A request that comes again after it was completed, or after its answer was
// lost, is charged for once, as CloudFront does.
func TestARepeatedRequestIsChargedForOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &strict{quota: cloudFront, takes: 5 * time.Second}
		store := new(quota.Memory)
		b := quota.New(quota.Config{Driver: s, Default: cloudFront, Store: store})
		inv := request("E1", "a", 10, 0)
		for range 3 {
			if _, err := b.Invalidate(t.Context(), inv); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Hour) // completed, and long forgotten
		}
		lost := request("E1", "lost", 70, 0)
		s.faults = func(int) error {
			s.taken = append(s.taken, taken{distribution: "E1", reference: "lost", patterns: 70, at: time.Now()})
			s.faults = nil
			return &cdn.Error{Class: cdn.Unavailable, Err: errors.New("the answer was lost")}
		}
		if _, err := b.Invalidate(t.Context(), lost); err == nil {
			t.Fatal("the answer was not lost")
		}
		time.Sleep(time.Second)
		for range 2 { // it is seen in progress first, as if it were another's
			again := quota.New(quota.Config{Driver: observable{s}, Default: cloudFront, Store: store}) // another process
			if _, err := again.Invalidate(t.Context(), lost); err != nil {
				t.Fatal(err)
			}
			if n, err := again.Spent(t.Context(), time.Now()); n != 80 || err != nil {
				t.Errorf("%d paths, %v; want 80", n, err)
			}
		}
	})
}

// Others may have thousands of requests in progress. They count, and the record
// fits into an item of DynamoDB, of 400 KB, many times over.
func TestTheRecordStaysSmallWhateverOthersDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &strict{quota: cloudFront, takes: 10 * time.Minute}
		for d := range 6 {
			for range 1000 {
				s.occupy(fmt.Sprint("E", d), 2, 0)
			}
		}
		s.occupy("E0", 0, 13)
		time.Sleep(10 * time.Second)
		store := new(quota.Memory)
		b := quota.New(quota.Config{Driver: observable{s}, Default: cloudFront, Store: store})
		for round := range 2 {
			for d := range 6 {
				if _, err := b.Invalidate(t.Context(), request(fmt.Sprint("E", d), fmt.Sprint(round, "-", d), 69, 1)); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(2 * time.Minute) // what others have is looked at anew
		}
		if u := b.InProgress()["E0"]; u != (quota.Use{Patterns: 2000 + 2*70, Wildcards: 15}) {
			t.Errorf("in progress: %v", u)
		}
		if text, _, _ := store.Load(t.Context()); len(text) > 40<<10 {
			t.Errorf("it has %d bytes: %.300s", len(text), text)
		}
		s.unrefused(t)
	})
}
