package api

import (
	"context"
	"maps"
	"slices"
	"sync"
)

// Shelf keeps what was configured through the API, each resource under a key of
// its own. Its methods may be called concurrently.
type Shelf interface {
	// Put replaces what is under key and returns when that is durable. After an
	// error either of the two may be there.
	Put(ctx context.Context, key string, value []byte) error

	// Delete removes what is under key, if anything is, and returns when that is
	// durable.
	Delete(ctx context.Context, key string) error

	// All calls apply for every value that is kept, in any order, and returns its
	// first error.
	All(ctx context.Context, apply func(value []byte) error) error
}

// MemoryShelf is a Shelf that ends with the process. The zero value is empty and
// ready.
type MemoryShelf struct {
	mu   sync.Mutex
	kept map[string][]byte
}

// Put never fails, whatever became of ctx.
func (s *MemoryShelf) Put(_ context.Context, key string, value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kept == nil {
		s.kept = make(map[string][]byte)
	}
	s.kept[key] = slices.Clone(value)
	return nil
}

// Delete never fails.
func (s *MemoryShelf) Delete(_ context.Context, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.kept, key)
	return nil
}

// All passes what is kept when it begins.
func (s *MemoryShelf) All(ctx context.Context, apply func(value []byte) error) error {
	s.mu.Lock()
	kept := maps.Clone(s.kept)
	s.mu.Unlock()
	for _, value := range kept {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := apply(value); err != nil {
			return err
		}
	}
	return nil
}
