package gitdiff

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Leaf is what a tree has at a path: a file, a symbolic link or a submodule.
type Leaf struct {
	Path string // as Entry has it
	Mode Mode
	Blob string // of a submodule its commit
	Size int64  // bytes; 0 of a submodule
	In   string // path of the submodule that holds the blob; empty: the repository itself
}

// ParseTree reads what git ls-tree -r -z --full-tree prints, with sizes (-l) or
// without, and returns the leaves sorted by their paths' bytes.
func ParseTree(out []byte) ([]Leaf, error) {
	var all []Leaf
	for rest := out; len(rest) > 0; {
		line, after, ok := bytes.Cut(rest, []byte{0})
		if !ok {
			return nil, fmt.Errorf("read git's tree: entry %d: %w", len(all)+1, ErrCutShort)
		}
		l, err := parseLeaf(string(line))
		if err != nil {
			return nil, fmt.Errorf("read git's tree: entry %d: %w", len(all)+1, err)
		}
		all = append(all, l)
		rest = after
	}
	SortLeaves(all)
	return all, nil
}

// parseLeaf reads "100644 blob <id>   12\tpath", or the same without a size.
func parseLeaf(line string) (l Leaf, err error) {
	head, path, ok := strings.Cut(line, "\t")
	fields := strings.Fields(head)
	if !ok || len(fields) < 3 || len(fields) > 4 || path == "" {
		return l, fmt.Errorf("%q is no line of git ls-tree -r -z", clip(line))
	}
	l.Path = path
	if l.Mode, err = parseMode(fields[0]); err != nil {
		return l, err
	}
	if l.Blob, err = parseID(fields[2]); err != nil {
		return l, err
	}
	if len(fields) == 3 || fields[3] == "-" && l.Mode == Submodule {
		return l, nil
	}
	if l.Size, err = strconv.ParseInt(fields[3], 10, 64); err != nil || l.Size < 0 {
		return l, fmt.Errorf("%q: size %q is no number", clip(path), clip(fields[3]))
	}
	return l, nil
}

// SortLeaves sorts by the bytes of paths.
func SortLeaves(all []Leaf) {
	slices.SortFunc(all, func(a, b Leaf) int { return strings.Compare(a.Path, b.Path) })
}

// Compare finds what differs between two trees, as git diff-tree does. Both are
// sorted by path and have each path once; so has the result.
func Compare(before, after []Leaf) []Entry {
	var all []Entry
	for len(before) > 0 || len(after) > 0 {
		switch order(before, after) {
		case -1:
			l := before[0]
			all, before = append(all, Entry{Path: l.Path, Status: Deleted, OldMode: l.Mode, OldBlob: l.Blob}), before[1:]
		case 1:
			l := after[0]
			all, after = append(all, Entry{Path: l.Path, Status: Added, NewMode: l.Mode, NewBlob: l.Blob}), after[1:]
		default:
			a, b := before[0], after[0]
			if a.Mode != b.Mode || a.Blob != b.Blob {
				e := Entry{Path: a.Path, Status: Modified, OldMode: a.Mode, NewMode: b.Mode, OldBlob: a.Blob, NewBlob: b.Blob}
				if a.Mode&0o170000 != b.Mode&0o170000 {
					e.Status = Retyped
				}
				all = append(all, e)
			}
			before, after = before[1:], after[1:]
		}
	}
	return all
}

func order(before, after []Leaf) int {
	switch {
	case len(before) == 0:
		return 1
	case len(after) == 0:
		return -1
	}
	return cmp.Compare(before[0].Path, after[0].Path)
}
