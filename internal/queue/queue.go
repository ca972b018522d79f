// Package queue is the durable way from a source to the pipeline: a JetStream
// work queue of changes. What Put has returned for is on disk and is delivered
// until it is acknowledged.
package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/stream"
)

const (
	streamName = "CHANGES"
	subject    = "freshet.changes"

	// ackWait bounds how long a delivered change may stay unacknowledged
	// before it is delivered again to a running pipeline. It is longer than
	// the longest wait for a CDN; retries are the pipeline's own, and a
	// restart takes everything over at once.
	ackWait = time.Hour

	// ExtendEvery is how often Extend is to be called for what waits for longer
	// than that.
	ExtendEvery = ackWait / 3

	// mostTries is how often a change is handed to the store that does not say
	// whether it has it. Each try takes five seconds.
	mostTries = 6
)

// Queue is the work queue. Its methods may be called concurrently.
type Queue struct {
	js      jetstream.JetStream
	stream  jetstream.Stream
	ackWait time.Duration
}

// Open creates the queue in js or finds it again.
func Open(ctx context.Context, js jetstream.JetStream) (*Queue, error) {
	s, err := js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name:       streamName,
		Subjects:   []string{subject},
		Retention:  jetstream.WorkQueuePolicy,
		Storage:    jetstream.FileStorage,
		Duplicates: 2 * time.Minute,
	})
	if err != nil {
		return nil, fmt.Errorf("open the queue: %w", err)
	}
	return &Queue{js: js, stream: s, ackWait: ackWait}, nil
}

// Put stores a change. It returns when the change is synced to disk; a change
// whose ID was put in the last two minutes is not stored again. So where the
// answer is late, as that of a disk is which others keep busy, it is asked for
// again: whoever changed the object would be told that it failed.
func (q *Queue) Put(ctx context.Context, c freshet.Change) error {
	payload, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("queue %s: %w", c.Key, err)
	}
	for n := 1; ; n++ {
		_, err := q.js.Publish(ctx, subject, payload, jetstream.WithMsgID(c.ID()))
		if err == nil {
			return nil
		}
		if n == mostTries || ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("queue %s: %w", c.Key, err)
		}
	}
}

// Waiting is a change that was put and not acknowledged.
type Waiting struct {
	freshet.Change
	Since time.Time // when it was put
}

// Pending returns all changes that wait, oldest first.
func (q *Queue) Pending(ctx context.Context) ([]Waiting, error) {
	info, err := q.stream.Info(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the queue: %w", err)
	}
	var all []Waiting
	for seq := info.State.FirstSeq; seq <= info.State.LastSeq && info.State.Msgs > 0; seq++ {
		m, err := q.stream.GetMsg(ctx, seq, jetstream.WithGetMsgSubject(subject)) // the first one from there
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read the queue: %w", err)
		}
		var c freshet.Change
		if err := json.Unmarshal(m.Data, &c); err != nil {
			return nil, fmt.Errorf("read message %d of the queue: %w", m.Sequence, err)
		}
		seq = m.Sequence
		all = append(all, Waiting{c, m.Time})
	}
	return all, nil
}

// Len is the number of changes that wait.
func (q *Queue) Len(ctx context.Context) (uint64, error) {
	info, err := q.stream.Info(ctx)
	if err != nil {
		return 0, fmt.Errorf("read the queue: %w", err)
	}
	return info.State.Msgs, nil
}

// Last is the sequence number of the newest change that waits, or 0 if none does.
func (q *Queue) Last(ctx context.Context) (uint64, error) {
	m, err := q.stream.GetLastMsgForSubject(ctx, subject)
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return 0, nil
	case err != nil:
		return 0, fmt.Errorf("read the queue: %w", err)
	}
	return m.Sequence, nil
}

// Delivery is a change that was handed out and not acknowledged yet.
type Delivery struct {
	Change   freshet.Change
	msg      jetstream.Msg
	sequence uint64
}

// Ack removes the change from the queue. It does not wait until that is on
// disk: after a crash the change may be delivered again.
func (d Delivery) Ack() error {
	if err := d.msg.Ack(); err != nil {
		return fmt.Errorf("acknowledge %s: %w", d.Change.Key, err)
	}
	return nil
}

// Extend keeps the change from being delivered again for a while, since it is
// still worked on.
func (d Delivery) Extend() error {
	if err := d.msg.InProgress(); err != nil {
		return fmt.Errorf("keep %s: %w", d.Change.Key, err)
	}
	return nil
}

// Sequence is the place of the change in the queue: those put later have greater
// ones.
func (d Delivery) Sequence() uint64 { return d.sequence }

// Consume calls each for everything in the queue, unacknowledged deliveries of
// an earlier consumer included, oldest first, and then for what is put while it
// runs. each is called from one goroutine and must not block for long. Consume
// returns when ctx is done. There is one consumer at a time.
func (q *Queue) Consume(ctx context.Context, each func(Delivery)) error {
	run := stream.Consumer{Name: "pipeline", Config: jetstream.ConsumerConfig{AckWait: q.ackWait, MaxAckPending: -1}, Ahead: 4096}
	err := stream.Deliver(ctx, q.stream, run, func(m jetstream.Msg) {
		var c freshet.Change
		if json.Unmarshal(m.Data(), &c) != nil {
			// Only this package writes here, so this is a damaged message;
			// delivering it again would not mend it.
			_ = m.TermWithReason("not a change")
			return
		}
		d := Delivery{Change: c, msg: m}
		if meta, err := m.Metadata(); err == nil {
			d.sequence = meta.Sequence.Stream
		}
		each(d)
	})
	if err != nil {
		return fmt.Errorf("the queue: %w", err)
	}
	return nil
}
