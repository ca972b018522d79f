package release

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"github.com/gofrs/flock"
)

// Format marks the files in which journals are kept.
const Format = "freshet-release/1"

// File keeps a journal in a file.
type File struct {
	name string
	lock *flock.Flock
}

// ErrRunning is returned where another process is at the same release.
var ErrRunning = errors.New("another release of it is running")

var unsafeInName = regexp.MustCompile(`[^A-Za-z0-9_.-]+`)

// FileName is where the journal of a function, or of its alias, is kept below
// the data directory.
func FileName(data, function, alias string) string {
	name := unsafeInName.ReplaceAllString(function, "_")
	if alias != "" {
		name += "@" + alias
	}
	return filepath.Join(data, "releases", name+".json")
}

// OpenFile takes the file for this process until Close, and makes the folder
// that it is in.
func OpenFile(name string) (*File, error) {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of the journal: %w", err)
	}
	lock := flock.New(name+".lock", flock.SetPermissions(0o600))
	switch free, err := lock.TryLock(); {
	case err != nil:
		return nil, fmt.Errorf("lock the journal %s: %w", name, err)
	case !free:
		return nil, fmt.Errorf("journal %s: %w", name, ErrRunning)
	}
	return &File{name, lock}, nil
}

// Close gives the file back.
func (f *File) Close() error { return f.lock.Unlock() }

// Load returns the zero journal when there is none.
func (f *File) Load() (Journal, error) {
	text, err := os.ReadFile(f.name)
	if errors.Is(err, fs.ErrNotExist) {
		return Journal{}, nil
	}
	var j Journal
	if err == nil {
		err = json.Unmarshal(text, &j)
	}
	if err == nil && j.Format != Format {
		err = fmt.Errorf("its format is %q, and this freshet reads %q", j.Format, Format)
	}
	if err != nil {
		return Journal{}, fmt.Errorf("read the journal %s: %w; move it away to go by what AWS says alone", f.name, err)
	}
	return j, nil
}

// Save returns when the journal is on the disk as a whole.
func (f *File) Save(j Journal) error {
	text, err := json.MarshalIndent(j, "", "  ")
	if err == nil {
		err = f.replace(append(text, '\n'))
	}
	if err != nil {
		return fmt.Errorf("write the journal %s: %w", f.name, err)
	}
	return nil
}

func (f *File) replace(text []byte) error {
	next, err := os.CreateTemp(filepath.Dir(f.name), filepath.Base(f.name)+".*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(next.Name()) }() // gone once it was renamed
	_, err = next.Write(text)
	if err := errors.Join(err, next.Sync(), next.Close()); err != nil {
		return err
	}
	if err := os.Rename(next.Name(), f.name); err != nil {
		return err
	}
	syncDir(filepath.Dir(f.name))
	return nil
}

// syncDir makes a rename survive a loss of power, on systems that can.
func syncDir(dir string) {
	if d, err := os.Open(dir); err == nil {
		_ = errors.Join(d.Sync(), d.Close())
	}
}
