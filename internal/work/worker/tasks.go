package worker

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/stream"
)

const (
	streamName = "WORK"
	subject    = "freshet.work"

	// ackWait bounds how long a task may stay unacknowledged by a run that has
	// died without a successor; one that works says so more often.
	ackWait     = time.Hour
	extendEvery = ackWait / 3

	// maxTasks is how many tasks are held in memory.
	maxTasks = 10000
)

// Task is one rule to be followed after one change.
type Task struct {
	Change freshet.Change `json:"change"`
	Rule   string         `json:"rule"` // its ID
}

// Tasks is the durable queue of what is to be done. Its methods may be called
// concurrently.
type Tasks struct {
	js     jetstream.JetStream
	stream jetstream.Stream
}

// OpenTasks creates the queue in js or finds it again.
func OpenTasks(ctx context.Context, js jetstream.JetStream) (*Tasks, error) {
	s, err := js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name: streamName, Subjects: []string{subject}, Retention: jetstream.WorkQueuePolicy, Storage: jetstream.FileStorage,
	})
	if err != nil {
		return nil, fmt.Errorf("open the queue of work: %w", err)
	}
	return &Tasks{js, s}, nil
}

// Put stores a task. It returns when the task is synced to disk.
func (q *Tasks) Put(ctx context.Context, t Task) error {
	text, err := json.Marshal(t)
	if err == nil {
		_, err = q.js.Publish(ctx, subject, text)
	}
	if err != nil {
		return fmt.Errorf("queue work on %s: %w", t.Change.Key, err)
	}
	return nil
}

// Len is how many tasks are not done.
func (q *Tasks) Len(ctx context.Context) (uint64, error) {
	info, err := q.stream.Info(ctx)
	if err != nil {
		return 0, fmt.Errorf("read the queue of work: %w", err)
	}
	return info.State.Msgs, nil
}

// delivery is a task that was handed out and not acknowledged yet.
type delivery struct {
	Task
	msg jetstream.Msg
}

// consume calls each for everything that is there, what an earlier run left
// included, oldest first, and for what comes, until ctx is done.
func (q *Tasks) consume(ctx context.Context, each func(delivery)) error {
	run := stream.Consumer{Name: "worker", Config: jetstream.ConsumerConfig{AckWait: ackWait, MaxAckPending: maxTasks}}
	err := stream.Deliver(ctx, q.stream, run, func(m jetstream.Msg) {
		var t Task
		if json.Unmarshal(m.Data(), &t) != nil {
			_ = m.TermWithReason("not a task") // only this package writes here, so it is damaged for good
			return
		}
		each(delivery{t, m})
	})
	if err != nil {
		return fmt.Errorf("the queue of work: %w", err)
	}
	return nil
}
