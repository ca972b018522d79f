package journal

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// Shelf keeps the last JSON value of each of its keys, for ever. Its methods may
// be called concurrently.
type Shelf struct {
	js jetstream.JetStream
	kv jetstream.KeyValue
}

// OpenShelf creates the shelf called name, in capital letters, or finds it again.
func OpenShelf(ctx context.Context, js jetstream.JetStream, name string) (*Shelf, error) {
	kv, err := keep(ctx, js, name)
	if err != nil {
		return nil, fmt.Errorf("open the shelf %s: %w", name, err)
	}
	return &Shelf{js: js, kv: kv}, nil
}

// Put replaces what is under key and returns when it is synced to disk. A key
// has letters, digits, and any of -_=./ in between.
func (s *Shelf) Put(ctx context.Context, key string, value []byte) error {
	return put(ctx, s.kv, key, json.RawMessage(value))
}

// Delete removes what is under key, if anything is, and returns when that is
// synced to disk.
func (s *Shelf) Delete(ctx context.Context, key string) error { return remove(ctx, s.kv, key) }

// All calls apply for every value that is there, oldest first, and returns the
// first error of apply.
func (s *Shelf) All(ctx context.Context, apply func(value []byte) error) error {
	values, err := each[json.RawMessage](ctx, s.js, s.kv)
	if err != nil {
		return err
	}
	for _, v := range values {
		if err := apply(v); err != nil {
			return err
		}
	}
	return nil
}
