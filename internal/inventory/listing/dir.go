package listing

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
)

// Dir yields the files below the directory at path as objects, as Files does.
// Symbolic links that lead out of it are not followed.
func Dir(path string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		root, err := os.OpenRoot(path)
		if err != nil {
			yield(Object{}, fmt.Errorf("read directory: %w", err))
			return
		}
		defer func() { _ = root.Close() }()
		for o, err := range Files(root.FS()) {
			if !yield(o, err) {
				return
			}
		}
	}
}

// Files yields the files of fsys in lexical order, each under its path as the
// key, those whose names begin with a dot too, but not version control and our
// own state, which freshet up does not mirror either. A *RecordError stands for
// what is none and is left out: a directory that cannot be read, a socket, a
// symbolic link to a directory or to nothing. Where links may lead is up to fsys: os.DirFS
// follows them anywhere, os.Root only within.
func Files(fsys fs.FS) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		_ = fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
			switch {
			case d != nil && d.IsDir() && (d.Name() == ".git" || d.Name() == ".freshet"):
				return fs.SkipDir
			case err == nil && d.IsDir():
				return nil
			case err != nil && name == ".":
				yield(Object{}, fmt.Errorf("read directory: %w", err))
				return fs.SkipAll
			}
			var o Object
			if err == nil {
				o, err = file(fsys, name, d)
			}
			if err != nil {
				o, err = Object{}, &RecordError{At: fmt.Sprintf("file %q", name), Err: err}
			}
			if !yield(o, err) {
				return fs.SkipAll
			}
			if err != nil && d != nil && d.IsDir() {
				return fs.SkipDir
			}
			return nil
		})
	}
}

func file(fsys fs.FS, name string, d fs.DirEntry) (Object, error) {
	found, err := d.Info()
	if err == nil && d.Type()&fs.ModeSymlink != 0 {
		found, err = fs.Stat(fsys, name)
	}
	switch {
	case err != nil:
		return Object{}, err
	case found.IsDir():
		return Object{}, errors.New("a symbolic link to a directory is not followed")
	case !found.Mode().IsRegular():
		return Object{}, errors.New("it is no regular file")
	}
	o := Object{Key: name, Size: found.Size()}
	return o, check(o)
}
