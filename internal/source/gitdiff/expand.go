package gitdiff

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// mostLeaves is how many files links may make of a tree.
const mostLeaves = 1 << 20

// mostHops is how many links may lead from one to the other, as in Linux.
const mostHops = 40

// Expand puts, in the place of symbolic links, what they lead to within the
// tree: a file under the link's name, or all files of a folder below it. Links
// that lead out of the tree, nowhere, or into a folder that they are in stay as
// they are. targets has the text of each link by its blob. leaves are sorted by
// path, and so is the result.
func Expand(leaves []Leaf, targets map[string]string) ([]Leaf, error) {
	x := &expansion{leaves: leaves, targets: targets}
	for _, l := range leaves {
		x.add(l.Path, l, nil)
		if len(x.made) > mostLeaves {
			return nil, fmt.Errorf("expand symbolic links: they make more than %d files", mostLeaves)
		}
	}
	SortLeaves(x.made)
	return x.made, nil
}

type expansion struct {
	leaves  []Leaf
	targets map[string]string
	made    []Leaf
}

// add puts l under a name. open are the folders that are being followed.
func (x *expansion) add(name string, l Leaf, open []string) {
	l2 := l
	l2.Path = name
	if l.Mode != Link || len(x.made) > mostLeaves {
		x.made = append(x.made, l2)
		return
	}
	found, folder, ok := x.resolve(l)
	switch {
	case !ok || folder && (within(l.Path, found) || slices.ContainsFunc(open, func(o string) bool { return within(o, found) })):
		x.made = append(x.made, l2)
	case folder:
		open = append(slices.Clone(open), l.Path)
		for _, below := range x.below(found) {
			x.add(name+strings.TrimPrefix(below.Path, found), below, open)
		}
	default:
		target, _ := x.leaf(found)
		target.Path = name
		x.made = append(x.made, target)
	}
}

// within reports whether p is the folder or lies below it. The empty folder is
// the whole tree.
func within(p, folder string) bool {
	return folder == "" || p == folder || strings.HasPrefix(p, folder+"/")
}

// resolve follows a link to a file, or to a folder that is not empty.
func (x *expansion) resolve(l Leaf) (found string, folder, ok bool) {
	here, rest := dir(l.Path), x.targets[l.Blob]
	if rest == "" {
		return "", false, false
	}
	for hops := 0; rest != ""; {
		if strings.HasPrefix(rest, "/") {
			return "", false, false // some place on a machine
		}
		var part string
		part, rest, _ = strings.Cut(rest, "/")
		rest = strings.TrimLeft(rest, "/")
		switch part {
		case "", ".":
			continue
		case "..":
			if here == "" {
				return "", false, false
			}
			here = dir(here)
			continue
		}
		next := path.Join(here, part)
		at, known := x.leaf(next)
		switch {
		case known && at.Mode == Link:
			if hops++; hops > mostHops || x.targets[at.Blob] == "" {
				return "", false, false
			}
			rest = strings.TrimSuffix(x.targets[at.Blob]+"/"+rest, "/")
		case known && rest == "" && at.Mode.IsFile():
			return next, false, true
		case known || len(x.below(next)) == 0:
			return "", false, false
		default:
			here = next
		}
	}
	return here, true, len(x.below(here)) > 0
}

// dir is the folder of p, which is empty at the top.
func dir(p string) string {
	if i := strings.LastIndexByte(p, '/'); i >= 0 {
		return p[:i]
	}
	return ""
}

func (x *expansion) leaf(p string) (Leaf, bool) {
	i, found := x.find(p)
	if !found {
		return Leaf{}, false
	}
	return x.leaves[i], true
}

func (x *expansion) find(p string) (int, bool) {
	return slices.BinarySearchFunc(x.leaves, p, func(l Leaf, p string) int { return strings.Compare(l.Path, p) })
}

// below is what a folder has in it, at any depth.
func (x *expansion) below(folder string) []Leaf {
	if folder == "" {
		return x.leaves
	}
	from, _ := x.find(folder + "/")
	to, _ := x.find(folder + "0") // the byte after the slash
	return x.leaves[from:to]
}
