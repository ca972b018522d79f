package queue_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/queue"
	"github.com/freshet/freshet/internal/stream"
)

func open(t *testing.T, dir string) (*queue.Queue, func()) {
	t.Helper()
	e, err := stream.Open(stream.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	q, err := queue.Open(t.Context(), e.JetStream())
	if err != nil {
		t.Fatal(err)
	}
	return q, e.Close
}

func change(key, sequencer string) freshet.Change {
	return freshet.Change{Origin: "site", Key: key, Op: freshet.OpPut, Sequencer: freshet.Sequencer(sequencer), Time: time.Unix(1, 0).UTC()}
}

func put(t *testing.T, q *queue.Queue, cs ...freshet.Change) {
	t.Helper()
	for _, c := range cs {
		if err := q.Put(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
}

// consume returns the first n deliveries.
func consume(t *testing.T, q *queue.Queue, n int) []queue.Delivery {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var got []queue.Delivery
	err := q.Consume(ctx, func(d queue.Delivery) {
		if got = append(got, d); len(got) == n {
			cancel()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(got) < n {
		t.Fatalf("%d deliveries, want %d", len(got), n)
	}
	return got[:n]
}

func keysOf(ds []queue.Delivery) (keys []string) {
	for _, d := range ds {
		keys = append(keys, d.Change.Key)
	}
	return keys
}

func pending(t *testing.T, q *queue.Queue) (keys []string) {
	t.Helper()
	all, err := q.Pending(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		keys = append(keys, c.Key)
	}
	return keys
}

func TestChangesArriveAsTheyWerePut(t *testing.T) {
	q, _ := open(t, t.TempDir())
	want := freshet.Change{Origin: "site", Key: "a b/é\n\x00~", Op: freshet.OpDelete, Sequencer: "0A", Version: "v", ETag: "e", Served: "s", Size: 7, Time: time.Unix(1, 2).UTC(), Cause: "c"}
	put(t, q, want)
	if got := consume(t, q, 1)[0].Change; got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestLenCountsWhatWaits(t *testing.T) {
	q, stop := open(t, t.TempDir())
	length := func() uint64 {
		n, err := q.Len(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := length(); n != 0 {
		t.Errorf("%d in an empty queue", n)
	}
	put(t, q, change("a", "1"), change("b", "1"), change("b", "1"))
	if n := length(); n != 2 {
		t.Errorf("%d of 2", n)
	}
	if err := consume(t, q, 2)[0].Ack(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(2 * time.Minute); length() != 1; {
		if time.Now().After(deadline) {
			t.Fatalf("%d after one of two was acknowledged", length())
		}
	}
	stop()
	if _, err := q.Len(t.Context()); err == nil {
		t.Error("a store that was stopped gave an answer")
	}
}

func TestADuplicateIsStoredOnce(t *testing.T) {
	q, _ := open(t, t.TempDir())
	put(t, q, change("a", "01"), change("a", "01"), change("a", "02"))
	if got := pending(t, q); !slices.Equal(got, []string{"a", "a"}) {
		t.Errorf("pending: %q", got)
	}
}

// TestWhatWasNotAcknowledgedComesAgain also after a restart, and at once,
// however recently an earlier consumer had it.
func TestWhatWasNotAcknowledgedComesAgain(t *testing.T) {
	dir := t.TempDir()
	q, stop := open(t, dir)
	put(t, q, change("a", "01"), change("b", "01"), change("c", "01"))
	if err := consume(t, q, 3)[1].Ack(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(2 * time.Minute); len(pending(t, q)) != 2; {
		if time.Now().After(deadline) {
			t.Fatalf("pending after an acknowledgement: %q", pending(t, q))
		}
	}
	if got := keysOf(consume(t, q, 2)); !slices.Equal(got, []string{"a", "c"}) {
		t.Fatalf("second consumer got %q", got)
	}
	stop()
	q, _ = open(t, dir)
	put(t, q, change("d", "01"))
	if got := keysOf(consume(t, q, 3)); !slices.Equal(got, []string{"a", "c", "d"}) {
		t.Fatalf("after a restart got %q", got)
	}
}

func TestConsumeGoesOnWithWhatIsPutLater(t *testing.T) {
	q, _ := open(t, t.TempDir())
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	arrived := make(chan string)
	ended := make(chan error, 1)
	go func() { ended <- q.Consume(ctx, func(d queue.Delivery) { arrived <- d.Change.Key }) }()
	for i := range 50 {
		key := fmt.Sprint(i)
		put(t, q, change(key, "01"))
		if got := <-arrived; got != key {
			t.Fatalf("got %s, want %s", got, key)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

func TestAStoppedStoreEndsPut(t *testing.T) {
	q, stop := open(t, t.TempDir())
	stop()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if err := q.Put(ctx, change("a", "01")); err == nil {
		t.Error("Put into a stopped store succeeded")
	}
}

// A process that is killed while it takes the queue over leaves half a consumer
// behind: what was delivered to it, without what says that it is one.
func TestHalfAConsumer(t *testing.T) {
	dir := t.TempDir()
	q, stop := open(t, dir)
	put(t, q, change("a", "01"), change("b", "01"))
	consume(t, q, 2) // and acknowledge nothing
	stop()
	found, err := filepath.Glob(filepath.Join(dir, "jetstream", "*", "streams", "CHANGES", "obs", "*", "meta.sum"))
	if err != nil || len(found) != 1 {
		t.Fatalf("consumers %q, %v", found, err)
	}
	if err := os.Remove(found[0]); err != nil {
		t.Fatal(err)
	}
	q, _ = open(t, dir)
	consume(t, q, 2)
}
