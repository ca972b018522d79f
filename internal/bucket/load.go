package bucket

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/versity/versitygw/backend/posix"
	"golang.org/x/sync/errgroup"
)

// inProgress ends the name of an upload that is being completed.
const inProgress = ".inprogress"

// load builds the index from the files of the bucket.
func (s *store) load(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	paths := make(chan string, 256)
	for range 2 * runtime.GOMAXPROCS(0) {
		group.Go(func() error { return s.loadEach(paths) })
	}
	group.Go(func() error {
		defer close(paths)
		return s.walk(ctx, "", paths)
	})
	if err := group.Wait(); err != nil {
		return fmt.Errorf("index the store: %w", err)
	}
	return nil
}

func (s *store) loadEach(paths <-chan string) (failed error) {
	for path := range paths {
		key, ok := keyOf(path)
		if !ok {
			s.log.Warn("a file in the store is no object and is left alone", "file", filepath.Join(s.dir, path))
			continue
		}
		object, exists, err := s.read(key)
		switch {
		case err != nil && failed == nil:
			failed = fmt.Errorf("object %q: %w", key, err)
		case exists:
			s.index.set(object)
		case err == nil:
			s.log.Warn("a file in the store has no ETag and is left alone", "file", filepath.Join(s.dir, path))
		}
	}
	return failed
}

// walk sends the files below dir, which is relative to the bucket's directory.
// A name with a leading dot is versitygw's: a temporary file that a crash has
// left behind is removed.
func (s *store) walk(ctx context.Context, dir string, paths chan<- string) error {
	entries, err := os.ReadDir(filepath.Join(s.dir, dir))
	if err != nil {
		return err
	}
	for _, entry := range entries {
		path := filepath.Join(dir, entry.Name())
		switch {
		case strings.HasPrefix(entry.Name(), "."):
			s.sweep(path, entry)
		case entry.IsDir() && isContinued(entry.Name()):
			if err := s.walk(ctx, path, paths); err != nil {
				return err
			}
		default:
			select {
			case paths <- path:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return nil
}

func (s *store) sweep(path string, entry fs.DirEntry) {
	if entry.Type().IsRegular() {
		if err := os.Remove(filepath.Join(s.dir, path)); err != nil {
			s.log.Warn("a temporary file of a crash stays behind", "file", path, "err", err)
		}
	}
}

// recoverUploads removes what interrupted writes have left in versitygw's
// temporary directory, and opens again the multipart uploads whose completion
// was cut off, so that the client can complete them once more.
func (s *store) recoverUploads() error {
	temporary := filepath.Join(s.dir, posix.MetaTmpDir)
	if err := os.MkdirAll(temporary, 0o700); err != nil { // without it the first PUT takes the slow way
		return fmt.Errorf("make versitygw's temporary directory: %w", err)
	}
	root := os.DirFS(s.dir)
	leftovers, err := fs.Glob(root, posix.MetaTmpDir+"/*")
	if err != nil {
		return err
	}
	for _, path := range leftovers {
		if stat, err := fs.Stat(root, path); err == nil && stat.Mode().IsRegular() {
			_ = os.Remove(filepath.Join(s.dir, path))
		}
	}
	uploads, err := fs.Glob(root, posix.MetaTmpMultipartDir+"/*/*"+inProgress)
	if err != nil {
		return err
	}
	for _, path := range uploads {
		id, _, _ := strings.Cut(filepath.Base(path), ".")
		if err := os.Rename(filepath.Join(s.dir, path), filepath.Join(s.dir, filepath.Dir(path), id)); err != nil {
			s.log.Warn("an interrupted upload cannot be completed", "upload", id, "err", err)
		}
	}
	return nil
}
