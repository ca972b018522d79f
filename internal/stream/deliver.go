package stream

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// Consumer is how the messages of a stream are handed out that one run after the
// other works off.
type Consumer struct {
	Name string // what the names of its runs begin with

	// Config is of every run; its Durable and AckPolicy are Deliver's.
	Config jetstream.ConsumerConfig
	Ahead  int // messages that are fetched at once; 0 for as many as usual
}

// Deliver calls each for every message of a stream that is not acknowledged, what
// an earlier run left included, oldest first, and for what comes, until ctx is
// done. each is called from one goroutine. There is one run at a time: what an
// earlier one still held is taken from it.
func Deliver(ctx context.Context, s jetstream.Stream, c Consumer, each func(jetstream.Msg)) error {
	taken, err := takeOver(ctx, s, c)
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return fmt.Errorf("take it over from earlier runs: %w", err)
	}
	var options []jetstream.PullConsumeOpt
	if c.Ahead > 0 {
		options = append(options, jetstream.PullMaxMessages(c.Ahead))
	}
	running, err := taken.Consume(func(m jetstream.Msg) { each(m) }, options...)
	if err != nil {
		return fmt.Errorf("consume: %w", err)
	}
	defer running.Stop()
	select {
	case <-ctx.Done():
		return nil
	case <-running.Closed():
		return errors.New("consume: the store has stopped")
	}
}

// takeOver replaces the consumers of earlier runs, since what they held
// unacknowledged would only be delivered again after their AckWait. Every run's has
// a name of its own: a process that is killed while it makes or removes one leaves
// half of it on disk, and under the same name JetStream would go on where that
// one was and deliver nothing.
func takeOver(ctx context.Context, s jetstream.Stream, c Consumer) (jetstream.Consumer, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	earlier := s.ConsumerNames(ctx)
	for name := range earlier.Name() {
		if err := s.DeleteConsumer(ctx, name); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
			return nil, err
		}
	}
	if err := earlier.Err(); err != nil {
		return nil, err
	}
	config := c.Config
	config.Durable, config.AckPolicy = c.Name+"-"+rand.Text(), jetstream.AckExplicitPolicy
	return s.CreateConsumer(ctx, config)
}
