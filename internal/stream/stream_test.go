package stream

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"
)

// After the server has complained another one takes its place: what was stored
// is still there, and clients and consumers of before go on.
func TestOpenedAgainAfterTrouble(t *testing.T) {
	defer goleak.VerifyNone(t)
	e, err := Open(Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	ctx, js := t.Context(), e.JetStream()
	s, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}, Retention: jetstream.WorkQueuePolicy, Storage: jetstream.FileStorage})
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.CreateConsumer(ctx, jetstream.ConsumerConfig{Durable: "c", AckPolicy: jetstream.AckExplicitPolicy})
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan string, 100)
	cc, err := c.Consume(func(m jetstream.Msg) {
		got <- string(m.Data())
		_ = m.DoubleAck(ctx)
	})
	if err != nil {
		t.Fatal(err)
	}
	defer cc.Stop()
	for _, text := range []string{"one", "two", "three"} {
		publish(t, js, text)
		for received := ""; received != text; { // what was not acknowledged in time comes again
			select {
			case received = <-got:
			case <-time.After(2 * time.Minute):
				t.Fatalf("%s did not arrive", text)
			}
		}
		before := e.serving()
		before.Errorf("the disk is full")
		deadline := time.After(2 * time.Minute)
		for e.serving() == before || e.serving() == nil {
			select {
			case <-time.After(time.Millisecond):
			case <-deadline:
				t.Fatal("the server was not replaced")
			}
		}
	}
}

func publish(t *testing.T, js jetstream.JetStream, text string) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		_, err := js.Publish(ctx, "s", []byte(text), jetstream.WithMsgID(text))
		cancel()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func TestHasSpace(t *testing.T) {
	if err := hasSpace(t.TempDir()); err != nil {
		t.Error(err)
	}
	if err := hasSpace("no such directory"); err == nil {
		t.Error("there is space in a directory that is not there")
	}
}
