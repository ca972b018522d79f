package api

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Log keeps a register's entries. Both methods may be called concurrently.
type Log interface {
	// Append adds an entry and returns when it is durable. After an error the
	// entry may be in the log or not: the register appends it again or never
	// speaks of it.
	Append(ctx context.Context, e Entry) error

	// Replay calls apply for each entry in the order of their appending and
	// stops at its first error, which it returns.
	Replay(ctx context.Context, apply func(Entry) error) error
}

// EntryKind says what an entry records.
type EntryKind string

// The kinds of entries. Of one invalidation Created comes first; either may be
// there more than once, and then the last one counts.
const (
	Created   EntryKind = "created"   // accepted, not yet applied to the edge
	Completed EntryKind = "completed" // the edge serves nothing of it any more
)

// Entry is one thing that happened to an invalidation.
type Entry struct {
	Kind            EntryKind `json:"kind"`
	Distribution    string    `json:"distribution"`
	ID              string    `json:"id"`
	At              time.Time `json:"at"`
	CallerReference string    `json:"caller_reference,omitempty"` // of Created
	Paths           []string  `json:"paths,omitempty"`            // of Created, as the client sent them
}

// MemoryLog is a Log that ends with the process, for an edge whose
// invalidations need not outlive it. The zero value is empty and ready.
type MemoryLog struct {
	mu      sync.Mutex
	entries []Entry
}

// Append never fails, whatever became of ctx.
func (l *MemoryLog) Append(_ context.Context, e Entry) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	e.Paths = slices.Clone(e.Paths)
	l.entries = append(l.entries, e)
	return nil
}

// Replay passes the entries that are there when it begins.
func (l *MemoryLog) Replay(ctx context.Context, apply func(Entry) error) error {
	l.mu.Lock()
	entries := l.entries
	l.mu.Unlock()
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := apply(e); err != nil {
			return err
		}
	}
	return nil
}
