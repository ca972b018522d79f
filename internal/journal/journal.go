// Package journal is the durable record of what was decided and seen: every
// step of every change, the plans that are not finished, the dead letters, what
// was last verified of each object, and the embedded CloudFront API's register
// of invalidations. All of it lives in JetStream.
package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	recordStream  = "JOURNAL"
	recordSubject = "freshet.journal"

	// KeepFor and keepBytes are what the journal keeps of the past, whichever
	// ends first.
	KeepFor   = 90 * 24 * time.Hour
	keepBytes = 4 << 30

	// messageBytes is how long a message of records grows. A single record may
	// be longer.
	messageBytes = 1 << 20

	// stallWait bounds how long a write waits for those before it to be
	// synced.
	stallWait = 30 * time.Second

	// readWithin bounds each question before something is read. Nobody waits for a
	// read who could not wait longer, and a machine with other things to do takes
	// its time.
	readWithin = time.Minute

	// forgetWithin bounds what is still asked for somebody who has gone.
	forgetWithin = 10 * time.Second
)

// Journal is open until the engine under it closes. Its methods may be called
// concurrently.
type Journal struct {
	js        jetstream.JetStream
	records   jetstream.Stream
	plans     jetstream.KeyValue
	dead      jetstream.KeyValue
	inventory jetstream.KeyValue
}

// Open creates the journal in js or finds it again.
func Open(ctx context.Context, js jetstream.JetStream) (*Journal, error) {
	j := &Journal{js: js}
	var err error
	j.records, err = js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name:      recordStream,
		Subjects:  []string{recordSubject},
		Retention: jetstream.LimitsPolicy,
		Storage:   jetstream.FileStorage,
		MaxAge:    KeepFor,
		MaxBytes:  keepBytes,
	})
	if err != nil {
		return nil, fmt.Errorf("open the journal: %w", err)
	}
	for name, kv := range map[string]*jetstream.KeyValue{"PLANS": &j.plans, "DEAD": &j.dead, "INVENTORY": &j.inventory} {
		if *kv, err = keep(ctx, js, name); err != nil {
			return nil, fmt.Errorf("open the journal: %s: %w", name, err)
		}
	}
	return j, nil
}

// Append stores records in the given order. It returns when they are synced to
// disk; after an error some of them may be.
func (j *Journal) Append(ctx context.Context, records []Record) error {
	messages, err := pack(records)
	if err != nil {
		return fmt.Errorf("write the journal: %w", err)
	}
	var acks []jetstream.PubAckFuture
	for _, payload := range messages {
		ack, err := j.js.PublishAsync(recordSubject, payload, jetstream.WithStallWait(stallWait))
		if err != nil {
			return fmt.Errorf("write the journal: %w", err)
		}
		acks = append(acks, ack)
	}
	return await(ctx, acks, "write the journal")
}

// pack writes records as JSON arrays of about messageBytes at most.
func pack(records []Record) (messages [][]byte, err error) {
	var message []byte
	for i, r := range records {
		text, err := json.Marshal(r)
		if err != nil {
			return nil, err
		}
		if len(message) > 0 && len(message)+len(text) > messageBytes {
			messages, message = append(messages, append(message, ']')), nil
		}
		separator := byte(',')
		if len(message) == 0 {
			separator = '['
		}
		message = append(append(message, separator), text...)
		if i == len(records)-1 {
			messages = append(messages, append(message, ']'))
		}
	}
	return messages, nil
}

// await waits until every message was acknowledged.
func await(ctx context.Context, acks []jetstream.PubAckFuture, doing string) error {
	for _, ack := range acks {
		select {
		case <-ack.Ok():
		case err := <-ack.Err():
			return fmt.Errorf("%s: %w", doing, err)
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", doing, ctx.Err())
		}
	}
	return nil
}

// Read calls each for every record that was stored when it began, oldest first,
// and returns the first error of each.
func (j *Journal) Read(ctx context.Context, each func(Record) error) error {
	_, err := j.read(ctx, 0, each)
	return err
}

// Follow calls each for every stored record, oldest first, and then for those
// that come, until ctx is done or each fails.
func (j *Journal) Follow(ctx context.Context, each func(Record) error) error {
	next := uint64(0)
	for {
		var err error
		if next, err = j.read(ctx, next, each); err != nil {
			return err
		}
		if err := j.waitFor(ctx, next); err != nil {
			return err
		}
	}
}

// read goes through the messages from sequence number from to the last one
// there is, and returns the number after it.
func (j *Journal) read(ctx context.Context, from uint64, each func(Record) error) (uint64, error) {
	return scan(ctx, j.records, from, func(payload []byte) error {
		var records []Record
		if err := json.Unmarshal(payload, &records); err != nil {
			return fmt.Errorf("read the journal: %w", err)
		}
		for _, r := range records {
			if err := each(r); err != nil {
				return err
			}
		}
		return nil
	})
}

// waitFor returns when message seq exists.
func (j *Journal) waitFor(ctx context.Context, seq uint64) error {
	c, forget, err := reader(ctx, j.records, max(seq, 1))
	if err != nil {
		return fmt.Errorf("follow the journal: %w", err)
	}
	defer forget()
	for {
		_, err := c.Next(jetstream.FetchContext(ctx))
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		// That nothing came for half a minute is no failure.
		if !errors.Is(err, nats.ErrTimeout) && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, jetstream.ErrNoMessages) {
			return fmt.Errorf("follow the journal: %w", err)
		}
	}
}

// reader reads s from a sequence number on. The server keeps a reader for minutes
// after its last question, and bears only so many: forget has it drop this one,
// whatever has become of ctx. What the server has dropped itself is none. That ctx
// ends while the server makes the reader is no reason not to hear which it is.
func reader(ctx context.Context, s jetstream.Stream, from uint64) (c jetstream.Consumer, forget func(), err error) {
	asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), readWithin)
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(forgetWithin, cancel) })()
	c, err = s.OrderedConsumer(asking, jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: from})
	if err != nil {
		return nil, nil, err
	}
	return c, func() {
		if known := c.CachedInfo(); known != nil {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), forgetWithin)
			defer cancel()
			_ = s.DeleteConsumer(ctx, known.Name)
		}
	}, nil
}

// scan calls each with the messages of s from sequence number from to the last
// one there was when it began, and returns the number after that.
func scan(ctx context.Context, s jetstream.Stream, from uint64, each func([]byte) error) (next uint64, err error) {
	asking, cancel := context.WithTimeout(ctx, readWithin)
	defer cancel()
	info, err := s.Info(asking)
	if err != nil {
		return from, fmt.Errorf("read %s: %w", s.CachedInfo().Config.Name, err)
	}
	last := info.State.LastSeq
	from = max(from, info.State.FirstSeq, 1)
	if info.State.Msgs == 0 || from > last {
		return max(from, last+1), nil
	}
	// One that the store counts and cannot read would be waited for without end.
	if _, err := s.GetMsg(asking, last); err != nil {
		return from, fmt.Errorf("read %s: its last message, %d, is missing or damaged: %w", info.Config.Name, last, err)
	}
	c, forget, err := reader(ctx, s, from)
	if err != nil {
		return from, fmt.Errorf("read %s: %w", info.Config.Name, err)
	}
	defer forget()
	messages, err := c.Messages(jetstream.PullMaxMessages(256))
	if err != nil {
		return from, fmt.Errorf("read %s: %w", info.Config.Name, err)
	}
	defer messages.Stop()
	for {
		m, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return from, fmt.Errorf("read %s: %w", info.Config.Name, err)
		}
		if err := each(m.Data()); err != nil {
			return from, err
		}
		meta, err := m.Metadata()
		if err != nil {
			return from, fmt.Errorf("read %s: %w", info.Config.Name, err)
		}
		if meta.Sequence.Stream >= last {
			return last + 1, nil
		}
	}
}
