package journal_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/journal"
	"github.com/freshet/freshet/internal/stream"
)

func open(t *testing.T, dir string) (*journal.Journal, func()) {
	t.Helper()
	e, err := stream.Open(stream.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	j, err := journal.Open(t.Context(), e.JetStream())
	if err != nil {
		t.Fatal(err)
	}
	return j, e.Close
}

func record(key string, s journal.State) journal.Record {
	return journal.Record{ID: "id-" + key, Key: key, State: s, ChangedAt: time.Now().UTC()}
}

func keys(t *testing.T, j *journal.Journal) (got []string) {
	t.Helper()
	err := j.Read(t.Context(), func(r journal.Record) error { got = append(got, r.Key); return nil })
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestRecordsAreReadInTheirOrderAfterARestart(t *testing.T) {
	dir := t.TempDir()
	j, stop := open(t, dir)
	var want []string
	var batch []journal.Record
	for i := range 1234 { // more than two messages' worth
		key := fmt.Sprintf("k%04d", i)
		want, batch = append(want, key), append(batch, record(key, journal.Received))
	}
	if err := j.Append(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	if got := keys(t, j); !slices.Equal(got, want) {
		t.Fatalf("read %d records, want %d in order", len(got), len(want))
	}
	stop()
	j, _ = open(t, dir)
	if err := j.Append(t.Context(), []journal.Record{record("last", journal.Dead)}); err != nil {
		t.Fatal(err)
	}
	if got := keys(t, j); !slices.Equal(got, append(want, "last")) {
		t.Fatalf("after a restart: read %d records, want %d in order", len(got), len(want)+1)
	}
}

func TestReadOfAnEmptyJournalEnds(t *testing.T) {
	j, _ := open(t, t.TempDir())
	if got := keys(t, j); got != nil {
		t.Fatalf("read %v from an empty journal", got)
	}
}

func TestFollowSeesOldAndNewRecordsOnce(t *testing.T) {
	j, _ := open(t, t.TempDir())
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if err := j.Append(ctx, []journal.Record{record("a", journal.Received), record("b", journal.Received)}); err != nil {
		t.Fatal(err)
	}
	seen := make(chan string, 16)
	enough := errors.New("enough")
	ended := make(chan error, 1)
	go func() {
		n := 0
		ended <- j.Follow(ctx, func(r journal.Record) error {
			seen <- r.Key
			if n++; n == 5 {
				return enough
			}
			return nil
		})
	}()
	for _, want := range []string{"a", "b"} {
		if got := <-seen; got != want {
			t.Fatalf("saw %s, want %s", got, want)
		}
	}
	for _, key := range []string{"c", "d", "e"} {
		if err := j.Append(ctx, []journal.Record{record(key, journal.Received)}); err != nil {
			t.Fatal(err)
		}
		if got := <-seen; got != key {
			t.Fatalf("saw %s, want %s", got, key)
		}
	}
	if err := <-ended; !errors.Is(err, enough) {
		t.Fatalf("Follow returned %v, want the error of its callback", err)
	}
}

func TestFollowEndsWithItsContext(t *testing.T) {
	j, _ := open(t, t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- j.Follow(ctx, func(journal.Record) error { return nil }) }()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Fatalf("Follow returned %v", err)
	}
}

func TestWorkSurvivesUntilItIsFinished(t *testing.T) {
	dir := t.TempDir()
	j, stop := open(t, dir)
	ctx := t.Context()
	for _, id := range []string{"one", "two", "three"} {
		if err := j.SavePlan(ctx, journal.Work{Plan: freshet.Plan{ID: id}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.FinishPlan(ctx, journal.Work{Plan: freshet.Plan{ID: "two"}}); err != nil {
		t.Fatal(err)
	}
	if err := j.FinishPlan(ctx, journal.Work{Plan: freshet.Plan{ID: "two"}}); err != nil {
		t.Fatalf("finishing twice: %v", err)
	}
	stop()
	j, _ = open(t, dir)
	if got := ids(t, j.Plans); !slices.Equal(got, []string{"one", "three"}) {
		t.Fatalf("unfinished: %v", got)
	}
}

func ids(t *testing.T, list func(context.Context) ([]journal.Work, error)) (got []string) {
	t.Helper()
	all, err := list(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range all {
		got = append(got, w.Plan.ID)
	}
	return got
}

func TestADeadLetterIsRevivedAsWork(t *testing.T) {
	j, _ := open(t, t.TempDir())
	ctx := t.Context()
	w := journal.Work{Plan: freshet.Plan{ID: "p"}, Only: []string{"c1"}, Reason: "denied"}
	if err := j.Bury(ctx, w); err != nil {
		t.Fatal(err)
	}
	if got := ids(t, j.Dead); !slices.Equal(got, []string{"p"}) {
		t.Fatalf("dead: %v", got)
	}
	if err := j.Revive(ctx, w); err != nil {
		t.Fatal(err)
	}
	if got := ids(t, j.Dead); got != nil {
		t.Fatalf("still dead: %v", got)
	}
	if got := ids(t, j.Plans); !slices.Equal(got, []string{"p"}) {
		t.Fatalf("revived: %v", got)
	}
}

func TestInventoryKeepsTheLastOfEachKey(t *testing.T) {
	dir := t.TempDir()
	j, stop := open(t, dir)
	now := time.Now().UTC()
	odd := "a b/é~#?\n" + string(make([]byte, 900))
	for _, s := range [][]journal.Seen{
		{{Origin: "site", Key: odd, ETag: "1"}, {Origin: "site", Key: "gone", ETag: "1"}, {Origin: "site", Key: "long gone", ETag: "1"}, {Origin: "other", Key: odd, ETag: "x"}},
		{{Origin: "site", Key: odd, ETag: "2", Served: "s", Sequencer: "0A"}, {Origin: "site", Key: "gone", Gone: true, At: now}, {Origin: "site", Key: "long gone", Gone: true, At: now.Add(-8 * 24 * time.Hour)}},
	} {
		if err := j.Remember(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	j, _ = open(t, dir)
	got, err := j.Inventory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := map[[2]string]journal.Seen{
		{"site", "gone"}: {Origin: "site", Key: "gone", Gone: true, At: now},
		{"site", odd}:    {Origin: "site", Key: odd, ETag: "2", Served: "s", Sequencer: "0A"},
		{"other", odd}:   {Origin: "other", Key: odd, ETag: "x"},
	}
	if len(got) != len(want) {
		t.Fatalf("inventory has %d objects, want %d", len(got), len(want))
	}
	for k, w := range want {
		if got[k] != w {
			t.Errorf("%q: %+v, want %+v", k, got[k], w)
		}
	}
}

func BenchmarkSaveAndFinish(b *testing.B) {
	e, err := stream.Open(stream.Config{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	j, err := journal.Open(b.Context(), e.JetStream())
	if err != nil {
		b.Fatal(err)
	}
	for i := 0; b.Loop(); i++ {
		id := fmt.Sprint(i)
		if err := j.SavePlan(b.Context(), journal.Work{Plan: freshet.Plan{ID: id}}); err != nil {
			b.Fatal(err)
		}
		if err := j.FinishPlan(b.Context(), journal.Work{Plan: freshet.Plan{ID: id}}); err != nil {
			b.Fatal(err)
		}
	}
}

// TestPlansEqualAModel saves and finishes plans from several goroutines with
// restarts in between: nothing unfinished is ever missing.
func TestPlansEqualAModel(t *testing.T) {
	dir := t.TempDir()
	random := rand.New(rand.NewPCG(3, 4))
	model := make(map[string]bool)
	n := 0
	for range 12 {
		j, stop := open(t, dir)
		for range 10 {
			var working sync.WaitGroup
			for id := range model {
				if random.IntN(2) == 0 {
					delete(model, id)
					working.Go(func() {
						if err := j.FinishPlan(t.Context(), journal.Work{Plan: freshet.Plan{ID: id}}); err != nil {
							t.Error(err)
						}
					})
				}
			}
			for range random.IntN(4) {
				n++
				id := fmt.Sprint(n)
				model[id] = true
				working.Go(func() {
					if err := j.SavePlan(t.Context(), journal.Work{Plan: freshet.Plan{ID: id}, Only: []string{strings.Repeat("x", 10000)}}); err != nil {
						t.Error(err)
					}
				})
			}
			working.Wait()
			got := ids(t, j.Plans)
			slices.Sort(got)
			if want := slices.Sorted(maps.Keys(model)); !slices.Equal(got, want) {
				t.Fatalf("unfinished: %v, want %v", got, want)
			}
		}
		stop()
	}
}

func TestRecordsOfAnyLengthAreWritten(t *testing.T) {
	j, _ := open(t, t.TempDir())
	pattern := freshet.Pattern("/" + strings.Repeat("&", 3000)) // each of them six bytes in JSON
	records := make([]journal.Record, 500)
	for i := range records {
		records[i] = journal.Record{ID: fmt.Sprint(i), Patterns: []freshet.Pattern{pattern, pattern, pattern}}
	}
	if err := j.Append(t.Context(), records); err != nil {
		t.Fatal(err)
	}
	n := 0
	if err := j.Read(t.Context(), func(r journal.Record) error {
		if r.ID != fmt.Sprint(n) || len(r.Patterns) != 3 {
			t.Errorf("record %d is %s", n, r.ID)
		}
		n++
		return nil
	}); err != nil || n != len(records) {
		t.Errorf("read %d: %v", n, err)
	}
}

// TestADeadLetterIsNotItsPlan: the rest of the plan may still be under way when
// a person revives what of it is dead.
func TestADeadLetterIsNotItsPlan(t *testing.T) {
	j, _ := open(t, t.TempDir())
	plan := journal.Work{Plan: freshet.Plan{ID: "p"}}
	dead, stale := plan, plan
	dead.Reason = "denied"
	stale.Reason, stale.Stale = "old bytes", true
	for _, step := range []error{
		j.SavePlan(t.Context(), plan), j.Bury(t.Context(), dead), j.Bury(t.Context(), stale),
		j.Revive(t.Context(), dead), j.Revive(t.Context(), stale), j.FinishPlan(t.Context(), plan),
	} {
		if step != nil {
			t.Fatal(step)
		}
	}
	if got := ids(t, j.Plans); !slices.Equal(got, []string{"p", "p"}) {
		t.Errorf("unfinished: %v, want both that were revived", got)
	}
}

// Whoever reads leaves nothing behind in the store, which bears only so many
// readers.
func TestReadersAreForgotten(t *testing.T) {
	e, err := stream.Open(stream.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	j, err := journal.Open(t.Context(), e.JetStream())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	seen := make(chan string)
	followed := make(chan error, 1)
	go func() {
		followed <- j.Follow(ctx, func(r journal.Record) error {
			select {
			case seen <- r.Key:
			case <-ctx.Done():
			}
			return nil
		})
	}()
	for i := range 30 {
		key := fmt.Sprint(i)
		if err := j.Append(t.Context(), []journal.Record{record(key, journal.Received)}); err != nil {
			t.Fatal(err)
		}
		if got := <-seen; got != key {
			t.Fatalf("followed %s, want %s", got, key)
		}
		if err := j.Read(t.Context(), func(journal.Record) error { return nil }); err != nil {
			t.Fatal(err)
		}
		if err := j.Read(t.Context(), func(journal.Record) error { return errors.New("enough") }); err == nil {
			t.Fatal("an error of each is lost")
		}
	}
	cancel()
	if err := <-followed; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	noReaders(t, e)
}

// So do those who leave while the store makes their reader.
func TestReadersOfWhoHasLeftAreForgotten(t *testing.T) {
	e, err := stream.Open(stream.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	j, err := journal.Open(t.Context(), e.JetStream())
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Duration(i)*20*time.Microsecond, cancel)
		if err := j.Follow(ctx, func(journal.Record) error { return nil }); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
	noReaders(t, e)
}

// noReaders waits until the store has no readers: the client drops a reader that it
// has replaced while others go on.
func noReaders(t *testing.T, e *stream.Engine) {
	t.Helper()
	s, err := e.JetStream().Stream(t.Context(), "JOURNAL")
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); ; {
		info, err := s.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if info.State.Consumers == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d readers are left", info.State.Consumers)
		}
	}
}
