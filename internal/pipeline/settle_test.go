package pipeline_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/cdn"
	"github.com/freshet/freshet/internal/journal"
)

// TestAnOlderChangeNeverDecidesForANewerOne: a newer change is planned while the
// older one is being invalidated again.
func TestAnOlderChangeNeverDecidesForANewerOne(t *testing.T) {
	l := newLine(t)
	older, newer := put("a", 1), put("a", 2)
	planned, again := make(chan struct{}), make(chan struct{})
	l.mu.Lock()
	l.watch = func(r journal.Record) {
		switch {
		case r.ID == older.ID() && r.State == journal.Stale:
			l.put(newer)
			<-planned
		case r.ID == newer.ID() && r.State == journal.Planned:
			select {
			case <-planned:
			default:
				close(planned)
			}
		}
	}
	l.mu.Unlock()
	looks := 0
	l.network.set(func() {
		l.network.check = stale
		l.network.waitFor = func(c freshet.Change, _ func() bool) {
			if c.ETag == "2" {
				<-again
			} else if looks++; looks == 2 {
				close(again)
			}
		}
	})
	l.put(older)
	if r := l.last(newer, journal.Dead); !strings.Contains(r.Reason, "second invalidation") {
		t.Errorf("newer: %+v", r)
	}
	l.last(older, journal.Dead)
	l.settled()
}

// TestKeysOfTheGreatestLengthGetThrough puts a full batch of keys with as many
// and as long URLs as a key can have, so that not all of them fit into one plan.
func TestKeysOfTheGreatestLengthGetThrough(t *testing.T) {
	l := newLine(t)
	l.stop()
	l.queryString = true
	var all []freshet.Change
	for n := range 80 {
		end := fmt.Sprintf(" %d/index.html", n)
		c := put(strings.Repeat("&", 1024-len(end))+end, n+1)
		all = append(all, c)
	}
	l.start()
	release := make(chan struct{})
	l.network.set(func() {
		l.network.refuse = func(freshet.Invalidation) error { <-release; return nil }
	})
	first := put("first", 1)
	l.put(first)
	l.last(first, journal.Planned)
	l.put(all...)
	close(release)
	for _, c := range all {
		l.last(c, journal.Verified)
	}
	l.settled()
}

// TestWhatIsDoneAgainWasReceivedOnce: freshet log would show a second line.
func TestWhatIsDoneAgainWasReceivedOnce(t *testing.T) {
	l := newLine(t)
	l.network.set(func() { l.network.check = stale })
	c := put("a", 1)
	l.put(c)
	l.last(c, journal.Dead)
	l.settled()
	received := 0
	l.must(l.journal.Read(t.Context(), func(r journal.Record) error {
		if r.State == journal.Received {
			received++
		}
		return nil
	}))
	if received != 1 {
		t.Errorf("received %d times", received)
	}
}

// TestManyWhoRetryAtOnceReviveOnce, and what they have revived stays in the
// journal until it is done.
func TestManyWhoRetryAtOnceReviveOnce(t *testing.T) {
	l := newLine(t)
	release := make(chan struct{})
	l.network.set(func() {
		l.network.refuse = func(freshet.Invalidation) error { return &cdn.Error{Class: cdn.Denied, Err: errors.New("no")} }
	})
	c := put("a", 1)
	l.put(c)
	l.last(c, journal.Dead)
	l.settled()
	l.network.set(func() {
		l.network.refuse = nil
		l.network.waitFor = func(freshet.Change, func() bool) { <-release }
	})
	var tried atomic.Int64
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			n, err := l.run.Retry(t.Context(), func(journal.Work) bool { return true })
			if err != nil {
				t.Error(err)
			}
			tried.Add(int64(n))
		})
	}
	all.Wait()
	if n := tried.Load(); n != 1 {
		t.Errorf("one change was revived %d times", n)
	}
	l.last(c, journal.Completed)
	if plans, err := l.journal.Plans(t.Context()); err != nil || len(plans) != 1 {
		t.Errorf("unfinished: %v, %v", plans, err)
	}
	close(release)
	l.last(c, journal.Verified)
	l.settled()
}

// TestOnlyWhatIsDeadIsSentAgain: other requests of the plan were done long ago.
func TestOnlyWhatIsDeadIsSentAgain(t *testing.T) {
	l := newLine(t)
	release := make(chan struct{})
	dead, fine := put("a~", 1), put("b", 1) // a wildcard and an exact path: two requests
	l.network.set(func() {
		l.network.refuse = func(inv freshet.Invalidation) error {
			<-release
			if inv.Patterns[0].IsWildcard() {
				return &cdn.Error{Class: cdn.Denied, Err: errors.New("no")}
			}
			return nil
		}
	})
	first := put("first", 1)
	l.put(first)
	l.last(first, journal.Planned)
	l.put(dead, fine)
	close(release)
	l.last(dead, journal.Dead)
	l.last(fine, journal.Verified)
	l.settled()
	calls := 0
	l.network.set(func() { l.network.refuse, calls = nil, l.network.calls })
	_, err := l.run.Retry(t.Context(), func(journal.Work) bool { return true })
	l.must(err)
	l.last(dead, journal.Verified)
	l.network.set(func() { calls = l.network.calls - calls })
	if calls != 1 {
		t.Errorf("%d requests were sent for one dead letter", calls)
	}
}
