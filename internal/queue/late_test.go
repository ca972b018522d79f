package queue_test

import (
	"context"
	"errors"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/freshet/freshet/internal/queue"
	"github.com/freshet/freshet/internal/stream"
)

// slowStore answers the first few times too late, as one does whose disk others
// keep busy: it has what it was given.
type slowStore struct {
	jetstream.JetStream
	late int
	err  error
}

func (s *slowStore) Publish(ctx context.Context, subject string, payload []byte, o ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	ack, err := s.JetStream.Publish(ctx, subject, payload, o...)
	if s.late--; s.late >= 0 && err == nil {
		return nil, s.err
	}
	return ack, err
}

func TestAnswersThatAreLate(t *testing.T) {
	e, err := stream.Open(stream.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	broken := errors.New("no space left on device")
	for i, tt := range []struct {
		late int
		err  error // of each late answer
		want error
	}{{3, context.DeadlineExceeded, nil}, {100, context.DeadlineExceeded, context.DeadlineExceeded}, {1, broken, broken}} {
		s := &slowStore{e.JetStream(), tt.late, tt.err}
		q, err := queue.Open(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		if err := q.Put(t.Context(), change("a", string(rune('1'+i)))); !errors.Is(err, tt.want) {
			t.Errorf("%d late answers: %v, want %v", tt.late, err, tt.want)
		}
		if n, err := q.Len(t.Context()); err != nil || n != uint64(i+1) {
			t.Errorf("%d changes are stored, %v; want each once", n, err)
		}
	}
	gone, cancel := context.WithCancel(t.Context())
	s := &slowStore{e.JetStream(), 0, nil}
	q, err := queue.Open(gone, s)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := q.Put(gone, change("b", "1")); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v", err)
	}
}
