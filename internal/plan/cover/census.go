package cover

import (
	"slices"
	"strings"

	"github.com/freshet/freshet/internal/inventory"
)

// census is what the inventory, or what is assumed in its place, holds below
// each node without being needed.
type census struct {
	cold  []inventory.Sum // by node
	all   inventory.Sum   // below /
	from  []int32         // by node, where it begins and ends in the inventory;
	to    []int32         // only where spans were asked for
	needs []int32         // positions in the inventory of what is needed, ascending; the same
}

// counter takes the census in one pass over requirements and inventory. Both
// are sorted, and so are the places where nodes begin and end.
type counter struct {
	t        *tree
	others   []string          // needed URLs that are no requirement's key, sorted
	cursor   *inventory.Cursor // nil without an inventory
	assume   Assumption
	needed   inventory.Sum // so far
	lastURL  string
	lastSeen int // position in the inventory
	spans    bool
	census
}

func newCounter(p Problem, t *tree) *counter {
	c := &counter{t: t, assume: p.Assumption, lastSeen: -1, others: otherURLs(p.Needs, t.requirements), spans: p.Tags && p.Inventory != nil}
	if p.Inventory != nil {
		c.cursor = p.Inventory.Cursor()
	}
	c.cold = make([]inventory.Sum, t.nodes())
	if c.spans {
		c.from, c.to = make([]int32, t.nodes()), make([]int32, t.nodes())
	}
	return c
}

// otherURLs returns the needed URLs that differ from what their pattern says.
func otherURLs(needs []Need, r *requirements) []string {
	var urls []string
	for i := range r.len() {
		for _, n := range r.needs(i) {
			if url := needs[n].URL; r.forced[i] || url != r.keys[i] {
				urls = append(urls, url)
			}
		}
	}
	if slices.ContainsFunc(urls, func(u string) bool { return strings.IndexByte(u, 0) >= 0 }) {
		slices.Sort(urls)
		return urls
	}
	order, _ := sorted(urls)
	ordered := make([]string, len(urls))
	for i, at := range order {
		ordered[i] = urls[at]
	}
	return ordered
}

func (c *counter) count() census {
	t := c.t
	starts, ends := t.byLeft(), 0
	root := c.spared("/", false)
	for i := range t.len() {
		for len(starts) > 0 && int(t.left[starts[0]]) == i {
			c.begin(int(starts[0]))
			starts = starts[1:]
		}
		if !t.forced[i] {
			c.othersUntil(t.keys[i], false)
			c.mark(t.keys[i])
		}
		for ends < t.nodes() && int(t.right[ends]) == i {
			c.end(ends)
			ends++
		}
	}
	c.all = c.toAssumed("/", c.spared("/", true).Minus(root))
	return c.census
}

func (c *counter) begin(v int) {
	c.cold[v] = c.spared(c.t.prefix(v), false)
	if c.spans {
		c.from[v] = int32(c.cursor.Index())
	}
}

func (c *counter) end(v int) {
	sum := c.spared(c.t.prefix(v), true).Minus(c.cold[v])
	if c.cursor == nil && c.t.queries(v) {
		sum = c.toAssumedOf(sum, 0)
	} else {
		sum = c.toAssumed(c.t.prefix(v), sum)
	}
	c.cold[v] = sum
	if c.spans {
		c.to[v] = int32(c.cursor.Index())
	}
}

// spared is what lies before prefix, or before all that comes after prefix,
// without what is needed of it. Without an inventory it is what is needed.
func (c *counter) spared(prefix string, beyond bool) inventory.Sum {
	c.othersUntil(prefix, beyond)
	switch {
	case c.cursor == nil:
		return c.needed
	case beyond:
		c.cursor.SeekBeyond(prefix)
	default:
		c.cursor.Seek(prefix)
	}
	return c.cursor.Before().Minus(c.needed)
}

// toAssumed turns a count of needed URLs below prefix into the unchanged objects
// assumed to be there.
func (c *counter) toAssumed(prefix string, s inventory.Sum) inventory.Sum {
	if c.cursor != nil {
		return s
	}
	return c.toAssumedOf(s, c.assume.below(prefix))
}

// toAssumedOf is toAssumed where so many of the site's objects lie below.
func (c *counter) toAssumedOf(s inventory.Sum, below int64) inventory.Sum {
	objects := int64(money(c.assume.ColdPerURL).times(s.Objects).plus(money(below)))
	bytes := int64(money(c.assume.BytesPerObject).times(objects))
	return inventory.Sum{Objects: objects, Bytes: bytes, Refills: objects, RefillBytes: bytes}
}

// below is how many objects of the site lie below prefix.
func (a Assumption) below(prefix string) int64 {
	objects := a.Site
	for i := 1; i < len(prefix) && objects > 0; i++ {
		if prefix[i] == '/' || prefix[i-1] == '/' {
			objects /= 10
		}
	}
	return objects
}

func (c *counter) othersUntil(url string, beyond bool) {
	for len(c.others) > 0 && (c.others[0] < url || beyond && strings.HasPrefix(c.others[0], url)) {
		c.mark(c.others[0])
		c.others = c.others[1:]
	}
}

// mark counts a needed URL, once.
func (c *counter) mark(url string) {
	if c.cursor == nil {
		if url != c.lastURL {
			c.needed.Objects++
			c.lastURL = url
		}
		return
	}
	c.cursor.Seek(url)
	if !c.cursor.Is(url) || c.cursor.Index() == c.lastSeen {
		return
	}
	c.lastSeen = c.cursor.Index()
	c.needed = c.needed.Plus(c.cursor.Own())
	if c.spans {
		c.needs = append(c.needs, int32(c.lastSeen))
	}
}
