package quota

import (
	"context"
	"strconv"
	"sync"
)

// Store keeps one small record, of a few kilobytes, that all senders of an
// account share.
type Store interface {
	// Load returns the record and its revision, both empty if there is none.
	Load(ctx context.Context) (record []byte, revision string, err error)

	// Swap writes the record if its revision is still the one given, and returns
	// the new revision. ok is false where somebody else was quicker.
	Swap(ctx context.Context, record []byte, revision string) (next string, ok bool, err error)
}

// Memory is a Store for one process. The zero value is empty.
type Memory struct {
	mu       sync.Mutex
	record   []byte
	revision int
}

// Load returns the record.
func (m *Memory) Load(context.Context) (record []byte, revision string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.revision == 0 {
		return nil, "", nil
	}
	return m.record, strconv.Itoa(m.revision), nil
}

// Swap replaces the record.
func (m *Memory) Swap(_ context.Context, record []byte, revision string) (next string, ok bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.revision != 0 && revision != strconv.Itoa(m.revision) || m.revision == 0 && revision != "" {
		return "", false, nil
	}
	m.revision++
	m.record = record
	return strconv.Itoa(m.revision), true, nil
}
