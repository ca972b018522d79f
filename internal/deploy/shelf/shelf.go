// Package shelf keeps the documents that deploys leave for each other, and the
// lock that keeps two deploys apart. Writes are conditional: who has read an old
// version cannot overwrite a newer one.
package shelf

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
)

// Document is one as it was read.
type Document struct {
	Text    []byte
	Version string        // differs when the document does
	Age     time.Duration // since it was written, by the shelf's clock
}

// Versions that a write may ask for beside those of documents.
const (
	None = "none" // there must be no such document
	Any  = "any"  // whatever there is
)

// The errors of shelves.
var (
	ErrChanged       = errors.New("somebody else has written it")
	ErrUnconditional = errors.New("the store does not do conditional writes (If-None-Match, If-Match)")
)

// Shelf holds documents by name. Its methods may be called concurrently.
type Shelf interface {
	// Get returns fs.ErrNotExist when there is no such document.
	Get(ctx context.Context, name string) (Document, error)

	// Put writes a document if its version is still the one given, and returns
	// the new one. It returns ErrChanged when it is another, and ErrUnconditional
	// where the store cannot tell.
	Put(ctx context.Context, name string, text []byte, version string) (string, error)

	// String says where it is, for people.
	String() string
}

// Dir is a shelf in a directory of this machine.
type Dir string

// String is the directory.
func (d Dir) String() string { return string(d) }

// Get reads a file.
func (d Dir) Get(_ context.Context, name string) (Document, error) {
	file := filepath.Join(string(d), name)
	text, err := os.ReadFile(file)
	if err != nil {
		return Document{}, fmt.Errorf("read the state: %w", err)
	}
	stat, err := os.Stat(file)
	if err != nil {
		return Document{}, fmt.Errorf("read the state: %w", err)
	}
	return Document{Text: text, Version: versionOf(text), Age: time.Since(stat.ModTime())}, nil
}

func versionOf(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// Put replaces a file as a whole.
func (d Dir) Put(_ context.Context, name string, text []byte, version string) (string, error) {
	if err := os.MkdirAll(string(d), 0o700); err != nil {
		return "", fmt.Errorf("write the state: %w", err)
	}
	guard := flock.New(filepath.Join(string(d), ".guard"), flock.SetPermissions(0o600))
	if err := guard.Lock(); err != nil {
		return "", fmt.Errorf("write the state: %w", err)
	}
	defer func() { _ = guard.Unlock() }()
	file := filepath.Join(string(d), name)
	there, err := os.ReadFile(file)
	switch {
	case version == Any:
	case errors.Is(err, fs.ErrNotExist) && version == None:
	case err == nil && version == versionOf(there):
	case err == nil || errors.Is(err, fs.ErrNotExist):
		return "", ErrChanged
	default:
		return "", fmt.Errorf("write the state: %w", err)
	}
	next, err := os.CreateTemp(string(d), name+".*")
	if err != nil {
		return "", fmt.Errorf("write the state: %w", err)
	}
	defer func() { _ = os.Remove(next.Name()) }() // gone once it was renamed
	_, err = next.Write(text)
	if err = errors.Join(err, next.Sync(), next.Close()); err == nil {
		err = os.Rename(next.Name(), file)
	}
	if err != nil {
		return "", fmt.Errorf("write the state: %w", err)
	}
	return versionOf(text), nil
}
