package alarm_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/alarm"
	"github.com/freshet/freshet/internal/journal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// shelf keeps alarms in memory.
type shelf struct {
	mu     sync.Mutex
	values map[string][]byte
}

func (s *shelf) Put(_ context.Context, key string, value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.values[key] = slices.Clone(value)
	return nil
}

func (s *shelf) All(_ context.Context, apply func([]byte) error) error {
	s.mu.Lock()
	values := slices.Collect(maps.Values(s.values))
	s.mu.Unlock()
	for _, v := range values {
		if err := apply(v); err != nil {
			return err
		}
	}
	return nil
}

// person is told of alarms, and may not be listening.
type person struct {
	mu      sync.Mutex
	heard   []alarm.Notice
	tries   int
	failing error
}

func (p *person) Send(_ context.Context, n alarm.Notice) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tries++
	if p.failing == nil {
		p.heard = append(p.heard, n)
	}
	return p.failing
}

func (p *person) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failing = err
}

// take returns what was heard since the last time, in short.
func (p *person) take() (said []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, n := range p.heard {
		said = append(said, fmt.Sprintf("%s %s %s %d", n.Alarm, n.State, n.Distribution, n.Changes))
	}
	slices.Sort(said)
	p.heard = nil
	return said
}

// watching is a book that runs in a bubble.
type watching struct {
	*alarm.Book
	t    *testing.T
	stop func()
	person
	shelf shelf
}

func in(t *testing.T, test func(w *watching)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &watching{t: t, shelf: shelf{values: make(map[string][]byte)}}
		w.start()
		test(w)
		w.stop()
	})
}

func (w *watching) start(dead ...journal.Work) {
	w.t.Helper()
	book, err := alarm.Open(w.t.Context(), alarm.Config{
		Shelf: &w.shelf, Senders: map[string]alarm.Sender{"person": &w.person}, Give: 10 * time.Minute, Log: slog.New(slog.DiscardHandler),
	}, dead)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := book.Run(ctx); err != nil {
			w.t.Error(err)
		}
	}()
	w.Book, w.stop = book, func() { cancel(); <-ended }
	synctest.Wait()
}

// tell reports a step of a change.
func (w *watching) tell(r journal.Record) {
	w.t.Helper()
	w.Records([]journal.Record{r})
	synctest.Wait()
}

func (w *watching) want(said ...string) {
	w.t.Helper()
	synctest.Wait()
	if got := w.take(); !slices.Equal(got, said) {
		w.t.Errorf("said %q, want %q", got, said)
	}
}

func after(d time.Duration) { time.Sleep(d); synctest.Wait() } // of the bubble

func record(key string, s journal.State) journal.Record {
	now := time.Now()
	return journal.Record{ID: key + "1", Origin: "site", Key: key, Distribution: "E1", ChangedAt: now, Reason: "old bytes"}.At(s, now)
}

func TestStaleIsRaisedOnceAndCleared(t *testing.T) {
	in(t, func(w *watching) {
		w.tell(record("a", journal.Stale))
		w.want() // it is invalidated once more
		w.tell(record("a", journal.Stale))
		w.tell(record("a", journal.Dead))
		n := w.heard[0]
		if n.Text != "1 change at distribution E1: the edge serves old bytes, after a second invalidation too, such as a (old bytes)" || n.ID == "" || n.Examples[0].Key != "a" {
			t.Errorf("%+v", n)
		}
		w.want("stale raised E1 1")
		for i := range 100 {
			key := fmt.Sprint("b", i)
			w.tell(record(key, journal.Stale))
			w.tell(record(key, journal.Dead))
		}
		w.want()
		w.tell(record("a", journal.Verified))
		for i := range 99 {
			w.tell(record(fmt.Sprint("b", i), journal.Verified))
		}
		w.want()
		w.tell(record("b99", journal.Verified))
		w.want("stale cleared E1 0")
	})
}

func TestStaleOnceIsNoAlarm(t *testing.T) {
	in(t, func(w *watching) {
		w.tell(record("a", journal.Stale))
		w.tell(record("a", journal.Verified))
		r := record("a", journal.Dead) // of a later change, which nobody saw stale
		r.ID = "a2"
		w.tell(r)
		w.want("dead raised E1 1")
	})
}

// What was given up before it was known where it goes is cleared wherever it
// goes in the end, or nowhere.
func TestDeadWithoutADistribution(t *testing.T) {
	in(t, func(w *watching) {
		for _, key := range []string{"a", "b"} {
			r := record(key, journal.Dead)
			r.Distribution = ""
			w.tell(r)
		}
		w.want("dead raised  1") // told with the first, quiet with the second
		w.tell(record("a", journal.Verified))
		w.want()
		r := record("b", journal.Verified)
		r.Distribution = ""
		w.tell(r)
		w.want("dead cleared  0")
	})
}

func promised(key, id string, s journal.State) journal.Record {
	r := record(key, s)
	r.ID, r.FreshWithin = id, 10
	return r
}

func TestLateIsRaisedWhileItIsWaitedFor(t *testing.T) {
	in(t, func(w *watching) {
		received := promised("a", "1", journal.Received)
		received.Distribution = ""
		w.tell(received)
		planned := promised("a", "1", journal.Planned)
		w.tell(planned)
		after(9 * time.Second)
		w.want()
		after(3 * time.Second)
		w.want("late raised E1 1")
		after(time.Hour)
		w.want() // as long as it is late
		w.tell(planned.At(journal.Verified, time.Now()))
		after(58 * time.Second)
		w.want()
		after(3 * time.Second)
		w.want("late cleared E1 0")
	})
}

func TestLateBeforeItIsPlanned(t *testing.T) {
	in(t, func(w *watching) {
		r := promised("a", "1", journal.Received)
		r.Distribution, r.Reason = "", "waits: hold deploy"
		w.tell(r)
		after(14 * time.Second)
		w.want()
		after(3 * time.Second)
		if text := w.heard[0].Text; text != "1 change: not fresh within 10s and not sent yet, such as a (waits: hold deploy)" {
			t.Error(text)
		}
		w.want("late raised  1")
	})
}

func TestWhatIsInTimeIsNoAlarm(t *testing.T) {
	in(t, func(w *watching) {
		r := promised("a", "1", journal.Planned)
		w.tell(r)
		after(9 * time.Second)
		w.tell(r.At(journal.Verified, time.Now()))
		after(time.Hour)
		w.want()
		w.tell(record("b", journal.Planned)) // nothing was promised of it
		after(time.Hour)
		w.want()
	})
}

// Late ones among timely ones are one alarm, not many.
func TestLateDoesNotFlap(t *testing.T) {
	in(t, func(w *watching) {
		for i := range 100 {
			r := promised("a", fmt.Sprint(i), journal.Planned)
			if i%2 == 0 {
				r.ChangedAt = r.ChangedAt.Add(-time.Minute)
			}
			w.tell(r.At(journal.Verified, time.Now()))
			after(time.Second)
		}
		w.want("late raised E1 1")
		after(2 * time.Minute)
		w.want("late cleared E1 0")
	})
}

func TestWhoeverDoesNotListenIsToldLater(t *testing.T) {
	in(t, func(w *watching) {
		w.fail(errors.New("busy"))
		w.tell(record("a", journal.Dead))
		after(time.Minute)
		w.fail(nil)
		after(time.Minute)
		w.want("dead raised E1 1")
		if w.tries < 3 || w.tries > 10 {
			t.Errorf("%d tries", w.tries)
		}
		// Raised and cleared while nobody listens, it is told as it is then.
		w.fail(errors.New("busy"))
		w.tell(record("a", journal.Verified))
		w.tell(record("a", journal.Dead))
		w.fail(nil)
		after(2 * time.Minute)
		w.want("dead cleared E1 0", "dead raised E1 1")
	})
}

func TestItIsGivenUpInTheEnd(t *testing.T) {
	for _, failed := range []error{errors.New("busy"), fmt.Errorf("no such address: %w", alarm.ErrRefused)} {
		in(t, func(w *watching) {
			w.fail(failed)
			w.tell(record("a", journal.Dead))
			after(time.Hour)
			tries := w.tries
			if errors.Is(failed, alarm.ErrRefused) && tries != 1 || tries > 20 {
				t.Errorf("%v: %d tries", failed, tries)
			}
			after(24 * time.Hour)
			if w.tries != tries {
				t.Errorf("%v: it is tried for ever", failed)
			}
			w.fail(nil)
			w.tell(record("a", journal.Verified))
			w.want("dead cleared E1 0")
		})
	}
}

// A restart neither repeats an alarm nor forgets it.
func TestARestart(t *testing.T) {
	letter := func(key string, stale bool) journal.Work {
		c := freshet.Change{Origin: "site", Key: key, Op: freshet.OpPut, Sequencer: "01"}
		return journal.Work{Stale: stale, Reason: "old bytes", Only: []string{c.ID()}, Plan: freshet.Plan{
			Changes:       []freshet.Change{c, {Origin: "site", Key: "other", Sequencer: "02"}},
			Invalidations: []freshet.Invalidation{{Targets: []freshet.Target{{Distribution: "E1", Origin: "site", Key: key}, {Distribution: "E1", Origin: "site", Key: key}}}},
		}}
	}
	in(t, func(w *watching) {
		w.tell(record("a", journal.Stale))
		w.tell(record("a", journal.Dead))
		late := promised("b", "1", journal.Planned)
		late.ChangedAt = late.ChangedAt.Add(-time.Hour)
		w.tell(late.At(journal.Verified, time.Now()))
		w.want("late raised E1 1", "stale raised E1 1")
		w.stop()
		w.start(letter("a", true))
		w.want()
		w.stop()
		w.start(letter("a", true), letter("b", false)) // which nobody has told yet
		w.want("dead raised E1 1")
		w.tell(record("a", journal.Verified))
		w.want("stale cleared E1 0")
		after(2 * time.Minute)
		w.want("late cleared E1 0")
		w.stop()
		w.start() // it was verified just before the end
		w.want("dead cleared E1 0")
		w.stop()
		w.start()
		w.want()
	})
}

func TestExamplesAreFew(t *testing.T) {
	in(t, func(w *watching) {
		var steps []journal.Record
		for i := range 50 {
			steps = append(steps, record(fmt.Sprintf("k%02d", i), journal.Dead))
		}
		w.Records(steps)
		synctest.Wait()
		n := w.heard[0]
		if n.Changes != 50 || len(n.Examples) != 10 || n.Examples[0].Key != "k00" {
			t.Errorf("%+v", n)
		}
		if text, err := json.Marshal(n); err != nil || !strings.Contains(string(text), `"alarm":"dead","state":"raised","distribution":"E1"`) {
			t.Errorf("%s, %v", text, err)
		}
		w.take()
	})
}
