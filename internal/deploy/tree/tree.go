// Package tree reads the files that a deploy is to send: which ones there are,
// and what is in them.
package tree

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/freshet/freshet/internal/deploy/ignore"
)

// Content is an open file. It may be read in several places at the same time.
type Content interface {
	io.ReaderAt
	io.Closer
}

// Entry is a file that a site has, wherever it comes from.
type Entry struct {
	Path string // below the site, with slashes
	Size int64
	Open func() (Content, error)

	// Stamp differs when the file does; empty where nothing does that is cheaper
	// than reading it.
	Stamp string
}

// Links says what to do about symbolic links.
type Links string

// What to do about them.
const (
	Inside Links = "inside" // follow those that stay in the directory, refuse others; the default
	All    Links = "all"    // follow all
	Skip   Links = "skip"   // leave them out
)

// Options limit what of a directory belongs to the site.
type Options struct {
	Ignore []string // lines as in .gitignore
	Hidden bool     // names that begin with a dot belong to it, not only .well-known
	Links  Links    // empty: Inside
}

// IgnoreFile is read, if there is one, in the directory itself.
const IgnoreFile = ".freshetignore"

// Listing is what a directory has.
type Listing struct {
	Entries []Entry // sorted by path
	Ignored int     // files and directories that rules leave out
	Hidden  int     // that their names leave out
}

// Read lists a directory. The error joins all that is wrong with names and links,
// so that nothing of it shows only later.
func Read(dir string, o Options) (Listing, error) {
	root, err := filepath.EvalSymlinks(dir)
	if err == nil {
		root, err = filepath.Abs(root)
	}
	if err != nil {
		return Listing{}, fmt.Errorf("read the site: %w", err)
	}
	if stat, err := os.Stat(root); err != nil || !stat.IsDir() {
		return Listing{}, fmt.Errorf("read the site: %s is no directory", dir)
	}
	r := &reading{root: root, Options: o}
	own, err := os.ReadFile(filepath.Join(root, IgnoreFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Listing{}, fmt.Errorf("read the site: %w", err)
	}
	r.ignore = ignore.Parse(strings.Join(append(slices.Clone(o.Ignore), string(own)), "\n"))
	r.dir(root, "", nil)
	slices.SortFunc(r.Entries, func(a, b Entry) int { return strings.Compare(a.Path, b.Path) })
	if err := errors.Join(r.problems...); err != nil {
		return Listing{}, fmt.Errorf("read the site:\n%w", err)
	}
	return r.Listing, nil
}

// reading is a directory that is being listed.
type reading struct {
	Options
	Listing
	root     string
	ignore   ignore.Lines
	problems []error
}

// mostProblems are named; who has more has understood.
const mostProblems = 20

func (r *reading) complain(format string, args ...any) {
	if len(r.problems) < mostProblems {
		r.problems = append(r.problems, fmt.Errorf(format, args...))
	}
}

// dir reads the directory at where, whose files are below under. around are the
// directories that lead to it.
func (r *reading) dir(where, under string, around []os.FileInfo) {
	self, err := os.Stat(where)
	if err != nil {
		r.complain("%w", err)
		return
	}
	if slices.ContainsFunc(around, func(a os.FileInfo) bool { return os.SameFile(a, self) }) {
		r.complain("%s: the link leads to a directory that it is in itself", under)
		return
	}
	around = append(slices.Clip(around), self)
	entries, err := os.ReadDir(where)
	if err != nil {
		r.complain("%w", err)
		return
	}
	for _, e := range entries {
		r.entry(filepath.Join(where, e.Name()), path.Join(under, e.Name()), e, around)
	}
}

func (r *reading) entry(where, name string, e fs.DirEntry, around []os.FileInfo) {
	if r.left(e.Name(), name) {
		return
	}
	link := e.Type()&fs.ModeSymlink != 0
	if link && r.Links == Skip {
		r.Ignored++
		return
	}
	stat, err := os.Stat(where)
	if err != nil {
		if link {
			err = fmt.Errorf("%s: the link leads nowhere: %w", name, err)
		}
		r.complain("%w", err)
		return
	}
	if r.ignore.Match(name, stat.IsDir()) {
		r.Ignored++
		return
	}
	if link && r.Links != All && !r.inside(where) {
		r.complain("%s: the link leads out of the site: --symlinks all follows it, --symlinks skip leaves it out", name)
		return
	}
	switch {
	case stat.IsDir():
		r.dir(where, name, around)
	case !stat.Mode().IsRegular():
		r.complain("%s is neither a file nor a directory: put it into %s", name, IgnoreFile)
	default:
		r.file(where, name, stat)
	}
}

// left reports whether the name alone says that something is none of the site's.
func (r *reading) left(base, name string) bool {
	switch {
	case base == ".git" || base == ".freshet" || name == IgnoreFile || base == ".DS_Store":
	case base[0] != '.' || r.Options.Hidden || base == ".well-known":
		return false
	}
	r.Listing.Hidden++
	return true
}

func (r *reading) inside(where string) bool {
	target, err := filepath.EvalSymlinks(where)
	if err != nil {
		return false
	}
	rel, err := filepath.Rel(r.root, target)
	return err == nil && filepath.IsLocal(rel)
}

func (r *reading) file(where, name string, stat os.FileInfo) {
	if err := CheckPath(name); err != nil {
		r.complain("%w", err)
		return
	}
	r.Entries = append(r.Entries, Entry{Path: name, Size: stat.Size(), Stamp: stamp(where, stat), Open: func() (Content, error) {
		f, err := os.Open(where)
		if err != nil {
			return nil, fmt.Errorf("read the site: %w", err)
		}
		return f, nil
	}})
}

// CheckPath says why a file of that name cannot be an object.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
func CheckPath(name string) error {
	switch {
	case !utf8.ValidString(name):
		return fmt.Errorf("%q is not UTF-8, which object keys must be: rename it", name)
	case strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return fmt.Errorf("%q has a control character in its name, which listings of a bucket cannot show: rename it", name)
	}
	return nil
}
