package disk

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"
)

// FS is what a store needs of a file system. Names are paths.
type FS interface {
	// Open opens a file as os.OpenFile does, for its owner alone.
	Open(name string, flag int) (File, error)

	// Remove, Rename and SyncDir are those of a directory's entries. What SyncDir
	// has returned of survives the loss of power.
	Remove(name string) error
	Rename(from, to string) error
	SyncDir(dir string) error

	// List returns the names in a directory, sorted.
	List(dir string) ([]string, error)
}

// File is an open file.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Sync() error

	// Size is the length of the file, and how many bytes it takes of the disk.
	Size() (length, taken int64, err error)

	// Erase makes zeros of a part of the file, whose space is given back where that
	// is possible.
	Erase(at, length int64) error
}

// Print is what is another of a file once it was written to, or is another file.
type Print struct {
	inode             uint64
	length            int64
	modified, changed int64 // in nanoseconds, by the system's clock
}

// printOf is nil where that is not known: the file system does not say, or the file
// was written to so recently that its times might be the same the next time.
func printOf(f File) *Print {
	r, ok := f.(interface{ Print() (Print, error) })
	if !ok {
		return nil
	}
	p, err := r.Print()
	if err != nil || time.Since(time.Unix(0, max(p.modified, p.changed))) < coarsest {
		return nil
	}
	return &p
}

// coarsest is more than a step of the clock by which systems tell files' times.
const coarsest = 50 * time.Millisecond

// System is the file system of the machine.
type System struct{}

// Open is of FS.
func (System) Open(name string, flag int) (File, error) {
	f, err := os.OpenFile(name, flag, 0o600)
	if err != nil {
		return nil, err
	}
	return systemFile{f}, nil
}

// Remove is of FS.
func (System) Remove(name string) error { return os.Remove(name) }

// Rename is of FS.
func (System) Rename(from, to string) error { return os.Rename(from, to) }

// List is of FS.
func (System) List(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, nil
}

// SyncDir is of FS.
func (System) SyncDir(dir string) error {
	d, err := os.Open(filepath.Clean(dir))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

type systemFile struct{ *os.File }

// zeros writes them where there is no better way to erase.
func (f systemFile) zeros(at, length int64) error {
	block := make([]byte, min(length, 1<<16))
	for length > 0 {
		n := min(length, int64(len(block)))
		if _, err := f.WriteAt(block[:n], at); err != nil {
			return err
		}
		at, length = at+n, length-n
	}
	return nil
}
