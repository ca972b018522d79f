package mirror

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// record is what the mirror remembers of an object of its own.
type record struct {
	Key  string    `json:"key"`
	MD5  string    `json:"md5,omitempty"`
	Type string    `json:"type,omitempty"`
	Size int64     `json:"size,omitempty"`
	Time time.Time `json:"time,omitzero"` // of the file's last modification
	At   time.Time `json:"at,omitzero"`   // when the file was read
	Sent bool      `json:"sent,omitempty"`
	// Before are the MD5s of uploads that this one is to replace, while it is
	// not known whether it has.
	Before []string `json:"before,omitempty"`

	Gone bool `json:"gone,omitempty"` // the object was deleted or is not ours any more
}

// settledFor is how old a file must have been when it was read, so that a later
// change shows in its modification time, whatever the clock of its file system.
const settledFor = 2 * time.Second

// describes reports whether the file still is the one that was read.
func (r record) describes(stat fs.FileInfo) bool {
	return r.Sent && r.Size == stat.Size() && r.Time.Equal(stat.ModTime()) && r.At.Sub(r.Time) > settledFor
}

// manifest is the mirror's memory: a file with one record per line, of which
// the last one for a key counts. A line is added before an object is put and
// another after; a line that a crash has cut off is ignored.
type manifest struct {
	mu      sync.Mutex
	records map[string]record
	file    *os.File
}

// openManifest reads the file, if there is one, and replaces it by one without
// superseded lines.
func openManifest(path string) (*manifest, error) {
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	m := &manifest{records: make(map[string]record)}
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r record
		if json.Unmarshal(lines.Bytes(), &r) == nil && r.Key != "" {
			m.set(r)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	m.file, err = m.rewrite(path)
	return m, err
}

func (m *manifest) set(r record) {
	if r.Gone {
		delete(m.records, r.Key)
	} else {
		m.records[r.Key] = r
	}
}

// rewrite replaces the file at once and returns it open for more lines.
func (m *manifest) rewrite(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	next, err := os.OpenFile(path+".next", os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	out := bufio.NewWriter(next)
	for _, key := range m.sortedKeys("") {
		line, err := json.Marshal(m.records[key])
		if err != nil {
			return nil, errors.Join(err, next.Close())
		}
		_, _ = out.Write(append(line, '\n')) // Flush has the error
	}
	if err := errors.Join(out.Flush(), next.Sync(), os.Rename(path+".next", path)); err != nil {
		return nil, errors.Join(err, next.Close())
	}
	return next, nil
}

// put remembers r, in the file first.
func (m *manifest) put(r record) error {
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	// The line break in front ends a line that a full disk has cut off.
	if _, err := m.file.Write(slices.Concat([]byte("\n"), line, []byte("\n"))); err != nil {
		return fmt.Errorf("write the manifest: %w", err)
	}
	m.set(r)
	return nil
}

func (m *manifest) get(key string) (record, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.records[key]
	return r, ok
}

func (m *manifest) len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.records)
}

// keys are the remembered keys that begin with prefix, sorted.
func (m *manifest) keys(prefix string) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sortedKeys(prefix)
}

func (m *manifest) sortedKeys(prefix string) []string {
	var keys []string
	for key := range m.records {
		if strings.HasPrefix(key, prefix) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// trustOnly takes back that an object was sent where the bucket holds another
// one or none.
func (m *manifest) trustOnly(stored map[string]Stored) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for key, r := range m.records {
		if object, ok := stored[key]; !ok || object.ETag != r.MD5 {
			r.Sent = false
			m.records[key] = r
		}
	}
}

func (m *manifest) close() { _ = m.file.Close() }
