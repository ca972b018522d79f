// Package gitdiff reads what git says about the difference of two commits, and
// turns paths of a repository into changes of objects.
//
// https://git-scm.com/docs/diff-format
package gitdiff

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Mode is the kind of a file as git's trees have it.
// https://git-scm.com/docs/git-fast-import#_filemodify
type Mode uint32

// The modes. What differs otherwise, such as 100664 of old repositories, is a
// file.
const (
	Nothing    Mode = 0
	File       Mode = 0o100644
	Executable Mode = 0o100755
	Link       Mode = 0o120000
	Submodule  Mode = 0o160000
)

// IsFile reports whether there is content that could be served.
func (m Mode) IsFile() bool { return m&0o170000 == 0o100000 }

// Status is what became of a path.
type Status byte

// The states. There are no renames and copies: for a cache, a rename is a removal
// and an addition.
const (
	Added    Status = 'A'
	Modified Status = 'M'
	Deleted  Status = 'D'
	Retyped  Status = 'T' // a file became a link, a link a submodule and the like
)

// String is git's letter.
func (s Status) String() string { return string(rune(s)) }

// Entry is a path that differs between two trees. Blobs are object IDs, which
// are empty where there is nothing; that of a submodule is its commit.
type Entry struct {
	Path             string // the bytes that the repository has, with slashes, in whatever encoding
	Status           Status
	OldMode, NewMode Mode
	OldBlob, NewBlob string
}

// ErrCutShort is in the error about an output that ends within an entry: the
// program was ended, and what it had still to say is unknown.
var ErrCutShort = errors.New("it ends in the middle of an entry")

// Parse reads what git diff-tree -r -z --raw --no-renames --no-abbrev prints
// about two trees. Nothing is printed about equal ones, which gives no entries.
func Parse(out []byte) ([]Entry, error) {
	var all []Entry
	for rest := out; len(rest) > 0; {
		e, n, err := parseEntry(rest)
		if err != nil {
			return nil, fmt.Errorf("read git's difference: entry %d: %w", len(all)+1, err)
		}
		all = append(all, e)
		rest = rest[n:]
	}
	return all, nil
}

// parseEntry reads ":100644 100644 <id> <id> M", a NUL, the path and a NUL.
func parseEntry(text []byte) (e Entry, n int, err error) {
	head, rest, ok := bytes.Cut(text, []byte{0})
	if !ok {
		return e, 0, ErrCutShort
	}
	path, _, ok := bytes.Cut(rest, []byte{0})
	if !ok {
		return e, 0, ErrCutShort
	}
	n = len(head) + len(path) + 2
	fields := strings.Split(string(head), " ")
	if len(fields) != 5 || !strings.HasPrefix(fields[0], ":") || len(path) == 0 {
		return e, 0, fmt.Errorf("%q is no line of git diff-tree --raw -z", clip(string(head)))
	}
	e.Path = string(path)
	if e.OldMode, err = parseMode(fields[0][1:]); err != nil {
		return e, 0, err
	}
	if e.NewMode, err = parseMode(fields[1]); err != nil {
		return e, 0, err
	}
	if e.OldBlob, err = parseID(fields[2]); err != nil {
		return e, 0, err
	}
	if e.NewBlob, err = parseID(fields[3]); err != nil {
		return e, 0, err
	}
	if len(fields[4]) == 0 {
		return e, 0, fmt.Errorf("%q has no status", clip(e.Path))
	}
	e.Status = Status(fields[4][0])
	return e, n, e.check(fields[4])
}

// check holds the status against the modes, by which everything else goes.
func (e Entry) check(status string) error {
	old, now := e.OldMode != Nothing && e.OldBlob != "", e.NewMode != Nothing && e.NewBlob != ""
	want := map[Status][2]bool{Added: {false, true}, Modified: {true, true}, Deleted: {true, false}, Retyped: {true, true}}
	has, known := want[e.Status]
	if !known || len(status) > 1 {
		return fmt.Errorf("%q has status %s, expected A, M, D or T: git diff-tree is to be called with --no-renames and two trees", clip(e.Path), clip(status))
	}
	if has != [2]bool{old, now} {
		return fmt.Errorf("%q has status %s, but modes %06o and %06o", clip(e.Path), status, e.OldMode, e.NewMode)
	}
	return nil
}

func parseMode(text string) (Mode, error) {
	m, err := strconv.ParseUint(text, 8, 32)
	if err != nil || len(text) != 6 {
		return 0, fmt.Errorf("%q is no mode", clip(text))
	}
	return Mode(m), nil
}

// parseID reads a whole object ID, of SHA-1 or SHA-256. One of zeros is empty.
func parseID(text string) (string, error) {
	if !IsID(text) {
		return "", fmt.Errorf("%q is no whole object ID: git diff-tree is to be called with --no-abbrev", clip(text))
	}
	if IsZero(text) {
		return "", nil
	}
	return text, nil
}

// IsID reports whether text is written as a whole object ID, of SHA-1 or
// SHA-256.
func IsID(text string) bool {
	return (len(text) == 40 || len(text) == 64) && strings.Trim(text, "0123456789abcdef") == ""
}

// IsZero reports whether id stands for no commit, as webhooks write it: the
// branch was not there before, or is not there now.
func IsZero(id string) bool { return IsID(id) && strings.Trim(id, "0") == "" }

// EmptyTrees are the IDs of the tree without files, which every repository
// knows: of SHA-1 and of SHA-256.
var EmptyTrees = [...]string{
	"4b825dc642cb6eb9a060e54bf8d69288fbee4904",
	"6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321",
}

// clip keeps an error readable when the input is not.
func clip(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
