package edge

import (
	"cmp"
	"slices"
	"strings"
)

// node is one node of an immutable radix tree over patterns. Whoever holds a
// node may read all of it without a lock; every change makes new nodes along
// one path and shares the rest.
type node struct {
	label    string  // bytes between the parent and this node; empty only in a root
	exact    uint64  // epoch at which the path that ends here was last invalidated; 0 for never
	wild     uint64  // epoch at which the wildcard that ends here was last invalidated; 0 for never
	children []*node // sorted by the first byte of label, no two alike

	records int    // values other than 0 in this node and below
	newest  uint64 // highest of them
	size    int    // about how many bytes this node and those below take
}

// nodeSize is what a node takes besides its label: itself, its place among its
// parent's children, and what allocating them rounds up.
const nodeSize = 120

// newNode computes what a node knows of its subtree. It keeps children.
func newNode(label string, exact, wild uint64, children []*node) *node {
	n := &node{label: label, exact: exact, wild: wild, children: children, newest: max(exact, wild), size: nodeSize + len(label)}
	if exact != 0 {
		n.records++
	}
	if wild != 0 {
		n.records++
	}
	for _, c := range children {
		n.records += c.records
		n.newest = max(n.newest, c.newest)
		n.size += c.size
	}
	return n
}

// child finds the position of the child whose label begins with b, and whether
// there is one.
func (n *node) child(b byte) (int, bool) {
	return slices.BinarySearchFunc(n.children, b, func(c *node, b byte) int { return cmp.Compare(c.label[0], b) })
}

// invalidated returns the epoch of the newest record that covers url, and 0
// when none does. It takes as many steps as url is long, however many records
// there are.
func (n *node) invalidated(url string) uint64 {
	var newest uint64
	for n != nil {
		newest = max(newest, n.wild)
		if url == "" {
			return max(newest, n.exact)
		}
		i, ok := n.child(url[0])
		if !ok || !strings.HasPrefix(url, n.children[i].label) {
			return newest
		}
		n = n.children[i]
		url = url[len(n.label):]
	}
	return newest
}

// with returns the tree in which prefix carries epoch, as a wildcard or as an
// exact path. epoch is at least as high as any in the tree, so a wildcard makes
// every record below it superfluous. prefix is what is left below n.
func (n *node) with(prefix string, wild bool, epoch uint64) *node {
	switch {
	case n.wild >= epoch:
		return n
	case prefix == "" && wild:
		return newNode(n.label, 0, epoch, nil)
	case prefix == "":
		return newNode(n.label, epoch, n.wild, n.children)
	}
	i, ok := n.child(prefix[0])
	if !ok {
		return newNode(n.label, n.exact, n.wild, slices.Insert(slices.Clone(n.children), i, leaf(prefix, wild, epoch)))
	}
	children := slices.Clone(n.children)
	children[i] = children[i].grow(prefix, wild, epoch)
	return newNode(n.label, n.exact, n.wild, children)
}

// grow is with for a prefix that still holds n's own label, or a part of it.
func (n *node) grow(prefix string, wild bool, epoch uint64) *node {
	shared := commonPrefix(n.label, prefix)
	if shared == len(n.label) {
		return n.with(prefix[shared:], wild, epoch)
	}
	// Copies, so that neither part keeps the other when that is forgotten.
	lower := newNode(strings.Clone(n.label[shared:]), n.exact, n.wild, n.children)
	return newNode(strings.Clone(n.label[:shared]), 0, 0, []*node{lower}).with(prefix[shared:], wild, epoch)
}

// leaf copies label, which may be the end of a long pattern.
func leaf(label string, wild bool, epoch uint64) *node {
	label = strings.Clone(label)
	if wild {
		return newNode(label, 0, epoch, nil)
	}
	return newNode(label, epoch, 0, nil)
}

func commonPrefix(a, b string) int {
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	return i
}

// after returns the tree without the records of epoch and before, and nil when
// none is left.
func (n *node) after(epoch uint64) *node {
	if n.newest <= epoch {
		return nil
	}
	children := make([]*node, 0, len(n.children))
	for _, c := range n.children {
		if kept := c.after(epoch); kept != nil {
			children = append(children, kept)
		}
	}
	return joined(newNode(n.label, newer(n.exact, epoch), newer(n.wild, epoch), children))
}

// grafted returns the tree in which branch, whose label begins with b or which
// is nil, is what there is below b.
func (n *node) grafted(b byte, branch *node) *node {
	i, ok := n.child(b)
	children := slices.Clone(n.children)
	if ok {
		children = slices.Delete(children, i, i+1)
	}
	if branch != nil {
		children = slices.Insert(children, i, branch)
	}
	return newNode(n.label, n.exact, n.wild, children)
}

func newer(value, epoch uint64) uint64 {
	if value <= epoch {
		return 0
	}
	return value
}

// joined merges a node that says nothing itself with its only child. Roots
// stay, so that their label stays empty.
func joined(n *node) *node {
	if n.label == "" || n.exact != 0 || n.wild != 0 || len(n.children) != 1 {
		return n
	}
	only := n.children[0]
	return newNode(n.label+only.label, only.exact, only.wild, only.children)
}

// atMost returns a tree of no more than limit records, which must be at least
// 1, that invalidates all that n invalidates. The deepest branches give way
// first, since they take the least along.
func (n *node) atMost(limit int) *node {
	for n.records > limit {
		depths := n.branchDepths(0, nil)
		slices.SortFunc(depths, func(a, b int) int { return cmp.Compare(b, a) })
		surplus := min(n.records-limit, len(depths))
		n = n.merged(0, depths[surplus-1])
	}
	return n
}

// within returns a tree of no more than limit records and, as long as it has
// several, no more than room bytes. It invalidates all that n invalidates.
func (n *node) within(limit, room int) *node {
	if n.records > limit {
		// Down to three quarters, so that the work is not done again for each
		// new pattern.
		n = n.atMost(max(1, limit*3/4))
	}
	if n.size <= room {
		return n
	}
	for n.size > room/4*3 && n.records > 1 {
		n = n.atMost(n.records * 3 / 4)
	}
	return n
}

// branchDepths appends how many bytes lie above each branch that merged may
// replace by a wildcard.
func (n *node) branchDepths(depth int, depths []int) []int {
	if n.lowestBranch() {
		return append(depths, depth)
	}
	for _, c := range n.children {
		depths = c.branchDepths(depth+len(c.label), depths)
	}
	return depths
}

// lowestBranch reports whether n holds several records and no other branch
// below it does.
func (n *node) lowestBranch() bool {
	return n.records > 1 && !slices.ContainsFunc(n.children, func(c *node) bool { return c.records > 1 })
}

// merged replaces each lowest branch at least so many bytes deep by one
// wildcard.
func (n *node) merged(depth, least int) *node {
	if n.lowestBranch() {
		if depth < least {
			return n
		}
		return newNode(n.label, 0, n.newest, nil)
	}
	children := make([]*node, len(n.children))
	for i, c := range n.children {
		children[i] = c.merged(depth+len(c.label), least)
	}
	return newNode(n.label, n.exact, n.wild, children)
}
