package cover

import (
	"strings"

	"github.com/freshet/freshet"
)

// tree is the radix tree over the requirements, as arrays. A node is a wildcard
// that may be worth sending: the longest one over the requirements left to
// right. Nodes come after the nodes below them.
type tree struct {
	*requirements
	depth []int32 // length of the wildcard's prefix
	left  []int32
	right []int32
}

func newTree(r *requirements) *tree {
	t := &tree{requirements: r}
	type open struct{ depth, left int32 }
	var stack []open
	for i := range r.len() {
		if d := int32(len(r.keys[i])); r.forced[i] && (len(stack) == 0 || stack[len(stack)-1].depth < d) {
			stack = append(stack, open{d, int32(i)})
		}
		shared := int32(0)
		if i+1 < r.len() {
			shared = r.shared[i+1]
		}
		left := int32(i)
		for len(stack) > 0 && stack[len(stack)-1].depth > shared {
			top := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			t.depth, t.left, t.right = append(t.depth, top.depth), append(t.left, top.left), append(t.right, int32(i))
			left = top.left
		}
		if shared > 0 && (len(stack) == 0 || stack[len(stack)-1].depth < shared) {
			stack = append(stack, open{shared, left})
		}
	}
	return t
}

func (t *tree) nodes() int { return len(t.depth) }

// prefix is what everything that node v removes begins with.
func (t *tree) prefix(v int) string { return t.keys[t.left[v]][:t.depth[v]] }

func (t *tree) wildcard(v int) freshet.Pattern { return freshet.Pattern(t.prefix(v) + "*") }

// asked reports whether node v is the very wildcard that a requirement asks for.
func (t *tree) asked(v int) bool {
	l := t.left[v]
	for _, i := range []int32{l, l + 1} { // an exact one of the same key comes first
		if i <= t.right[v] && t.forced[i] && len(t.keys[i]) == int(t.depth[v]) {
			return true
		}
	}
	return false
}

// queries reports whether node v is asked for and all that it removes is one
// path with its query strings, so that no other object is among it.
func (t *tree) queries(v int) bool {
	return strings.IndexByte(t.prefix(v), '?') >= 0 && t.asked(v)
}

// byLeft returns the nodes by their first requirement, the upper ones first.
func (t *tree) byLeft() []int32 {
	at := make([]int32, t.len()+1)
	for _, l := range t.left {
		at[l+1]++
	}
	for i := range t.len() {
		at[i+1] += at[i]
	}
	nodes := make([]int32, t.nodes())
	for v := t.nodes() - 1; v >= 0; v-- {
		nodes[at[t.left[v]]] = int32(v)
		at[t.left[v]]++
	}
	return nodes
}
