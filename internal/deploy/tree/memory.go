package tree

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/freshet/freshet/internal/deploy"
)

// Memory knows what was in files when they were read last, as git's index does:
// a file of the same size, times and number as then holds what it held then. A
// nil Memory knows nothing.
type Memory struct {
	file  string
	known map[string]remembered // by stamp
}

type remembered struct {
	Stamp string      `json:"stamp"`
	Hash  deploy.Hash `json:"hash"`
	ETag  string      `json:"etag"`
	Type  string      `json:"type,omitempty"`
}

// settled is how old a file must have been when it was read, so that a later
// change shows in its times, however coarse they are.
const settled = 2 * time.Second

// OpenMemory reads what is remembered of the site in dir, in a file of its own
// below cache. What cannot be read is forgotten.
func OpenMemory(cache, dir string) *Memory {
	where, err := filepath.Abs(dir)
	if err != nil || cache == "" {
		return nil
	}
	sum := sha256.Sum256([]byte(where))
	m := &Memory{file: filepath.Join(cache, hex.EncodeToString(sum[:12])+".jsonl"), known: make(map[string]remembered)}
	f, err := os.Open(m.file)
	if err != nil {
		return m
	}
	defer func() { _ = f.Close() }()
	lines := json.NewDecoder(bufio.NewReader(f))
	for {
		var r remembered
		if lines.Decode(&r) != nil {
			return m
		}
		m.known[r.Stamp] = r
	}
}

func (m *Memory) get(e Entry) (deploy.File, bool) {
	if m == nil || e.Stamp == "" {
		return deploy.File{}, false
	}
	r, ok := m.known[e.Stamp]
	return deploy.File{Path: e.Path, Size: e.Size, Hash: r.Hash, ETag: r.ETag, Type: r.Type}, ok
}

// keep remembers files for Save.
func (m *Memory) keep(files []File) {
	if m == nil {
		return
	}
	m.known = make(map[string]remembered, len(files))
	for _, f := range files {
		if f.Entry.Stamp != "" {
			m.known[f.Entry.Stamp] = remembered{f.Entry.Stamp, f.Hash, f.ETag, f.Type}
		}
	}
}

// Save writes what is remembered, all of it or nothing.
func (m *Memory) Save() error {
	if m == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(m.file), 0o700); err != nil {
		return fmt.Errorf("remember the site's hashes: %w", err)
	}
	next, err := os.CreateTemp(filepath.Dir(m.file), "part-*")
	if err != nil {
		return fmt.Errorf("remember the site's hashes: %w", err)
	}
	defer func() { _ = os.Remove(next.Name()) }() // gone once it was renamed
	out := bufio.NewWriter(next)
	lines := json.NewEncoder(out)
	for _, r := range m.known {
		if err = lines.Encode(r); err != nil {
			break
		}
	}
	err = errors.Join(err, out.Flush(), next.Close())
	if err == nil {
		err = os.Rename(next.Name(), m.file)
	}
	if err != nil {
		return fmt.Errorf("remember the site's hashes: %w", err)
	}
	return nil
}
