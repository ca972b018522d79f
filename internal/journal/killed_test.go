package journal_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/journal"
	"github.com/freshet/freshet/internal/stream"
)

// killed opens the journal as it is found after a kill at this moment: the
// files are then what the operating system has of them.
func killed(t *testing.T, dir string) (*journal.Journal, func()) {
	t.Helper()
	copied := t.TempDir()
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return open(t, copied)
}

// A dead letter that was retried, and whose changes are verified since, is not
// dead again after a kill, and the plan it became is not sent again.
func TestTheRetriedIsNotFoundDeadAfterAKill(t *testing.T) {
	dir := t.TempDir()
	j, _ := open(t, dir)
	for n := range 12 {
		w := journal.Work{Plan: freshet.Plan{ID: fmt.Sprint(n)}, Only: []string{"c"}, Reason: "denied"}
		if err := j.Bury(t.Context(), w); err != nil {
			t.Fatal(err)
		}
		if n%3 == 2 {
			continue // nobody retries this one
		}
		if err := errors.Join(j.Revive(t.Context(), w), j.FinishPlan(t.Context(), w)); err != nil {
			t.Fatal(err)
		}
		again, end := killed(t, dir)
		if got, want := ids(t, again.Dead), ids(t, j.Dead); !slices.Equal(got, want) || len(want) != (n+1)/3 {
			t.Errorf("after %d: dead are %v, want %v", n, got, want)
		}
		if got := ids(t, again.Plans); got != nil {
			t.Errorf("after %d: unfinished are %v, want none", n, got)
		}
		end()
	}
}

// A plan that is finished is not sent again after a kill: what it covers may
// long have been covered anew, under another reference.
func TestTheFinishedIsNotFoundUnfinishedAfterAKill(t *testing.T) {
	dir := t.TempDir()
	j, _ := open(t, dir)
	plan := func(n int) journal.Work { return journal.Work{Plan: freshet.Plan{ID: fmt.Sprint(n)}} }
	for n := range 12 {
		// It is saved when it is made, and when a part of it is to be sent again.
		if err := errors.Join(j.SavePlan(t.Context(), plan(n)), j.SavePlan(t.Context(), plan(n))); err != nil {
			t.Fatal(err)
		}
		if n > 0 && n%3 > 0 { // the last stays under way, and every third for long
			if err := j.FinishPlan(t.Context(), plan(n-1)); err != nil {
				t.Fatal(err)
			}
		}
		again, end := killed(t, dir)
		if got, want := ids(t, again.Plans), ids(t, j.Plans); !slices.Equal(got, want) {
			t.Errorf("after %d: unfinished are %v, want %v", n, got, want)
		}
		end()
	}
}

// What marks the place of a plan that is finished goes by itself, also in a
// journal of before there were marks: one is left by each batch of changes.
func TestWhatMarksTheFinishedEnds(t *testing.T) {
	e, err := stream.Open(stream.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if _, err := e.JetStream().CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "PLANS", History: 1, Storage: jetstream.FileStorage}); err != nil {
		t.Fatal(err)
	}
	j, err := journal.Open(t.Context(), e.JetStream())
	if err != nil {
		t.Fatal(err)
	}
	w := journal.Work{Plan: freshet.Plan{ID: "p"}}
	for range 2 {
		if err := errors.Join(j.SavePlan(t.Context(), w), j.FinishPlan(t.Context(), w), j.FinishPlan(t.Context(), w)); err != nil {
			t.Fatal(err)
		}
	}
	s, err := e.JetStream().Stream(t.Context(), "KV_PLANS")
	if err != nil {
		t.Fatal(err)
	}
	left, err := s.Info(t.Context())
	if err != nil || left.State.Msgs != 1 {
		t.Fatalf("%d messages are left of a plan, %v, want its mark", left.State.Msgs, err)
	}
	m, err := s.GetMsg(t.Context(), left.State.LastSeq)
	if err != nil {
		t.Fatal(err)
	}
	if ttl, err := time.ParseDuration(m.Header.Get(jetstream.MsgTTLHeader)); err != nil || ttl < 5*time.Minute || ttl > time.Hour {
		t.Errorf("it stays for %v, %v, want some minutes", ttl, err)
	}
}
