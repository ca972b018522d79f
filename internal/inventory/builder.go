package inventory

import (
	"bytes"
	"cmp"
	"container/heap"
	"slices"
	"strings"
)

// gathered is how many entries wait to be sorted together.
const gathered = 1 << 16

// Builder makes an Inventory. Its zero value is ready for use. Entries that come
// sorted by URL are stored at once; others in sorted runs, which are merged at
// the end, each run being let go of while the result grows.
type Builder struct {
	// Weighted says that Requests are known. It is set before the first Add.
	Weighted bool

	waiting []Entry
	runs    []*writer
	tags    tagIndex
	ids     []uint32
	url     []byte
}

// Add takes e in any order; e's tags are copied. Of entries with the same URL the
// last one counts.
func (b *Builder) Add(e Entry) {
	b.waiting = append(b.waiting, e)
	if len(b.waiting) == gathered {
		b.store()
	}
}

// Inventory returns what was added and leaves the Builder empty, with Weighted
// as it was.
func (b *Builder) Inventory() *Inventory {
	b.store()
	for _, w := range b.runs {
		w.seal()
	}
	result := &writer{weighted: b.Weighted}
	switch len(b.runs) {
	case 0:
	case 1:
		result = b.runs[0]
	default:
		b.merge(result)
	}
	result.seal()
	v := &Inventory{run: result.run, weighted: b.Weighted, tags: b.tags}
	v.tags.fill(v)
	*b = Builder{Weighted: b.Weighted}
	return v
}

// store appends what waits to the last run if it comes after all of it, and
// begins another run otherwise.
func (b *Builder) store() {
	order := b.sorted()
	if len(order) == 0 {
		return
	}
	last := len(b.runs) - 1
	if last < 0 || string(b.runs[last].last) >= b.waiting[order[0]].URL {
		if last >= 0 {
			b.runs[last].seal()
		}
		b.runs = append(b.runs, &writer{weighted: b.Weighted})
		last++
	}
	for _, i := range order {
		e := &b.waiting[i]
		b.ids = b.tags.intern(e.Tags, b.ids)
		b.url = append(b.url[:0], e.URL...)
		b.runs[last].add(b.url, e.Size, e.Requests, b.ids)
	}
	clear(b.waiting)
	b.waiting = b.waiting[:0]
}

// sorted returns the positions of what waits by URL, the last one of each.
func (b *Builder) sorted() []int32 {
	order := make([]int32, len(b.waiting))
	ascending := true
	for i := range order {
		order[i] = int32(i)
		ascending = ascending && (i == 0 || b.waiting[i-1].URL < b.waiting[i].URL)
	}
	if ascending {
		return order
	}
	slices.SortFunc(order, func(x, y int32) int {
		return cmp.Or(strings.Compare(b.waiting[x].URL, b.waiting[y].URL), cmp.Compare(y, x))
	})
	return slices.CompactFunc(order, func(x, y int32) bool { return b.waiting[x].URL == b.waiting[y].URL })
}

// merge writes all runs into one. A later run has the last word on a URL.
func (b *Builder) merge(into *writer) {
	var front runHeap
	for i, w := range b.runs {
		c := &Cursor{r: &w.run, weighted: w.weighted, free: true}
		c.enter(0)
		front = append(front, runCursor{c, i})
	}
	b.runs = nil
	heap.Init(&front)
	var last []byte
	for first := true; len(front) > 0; first = false {
		c := front[0].Cursor
		if first || !bytes.Equal(last, c.key) {
			last = append(last[:0], c.key...)
			into.add(c.key, c.size, c.requests, c.tagIDs(b.ids))
		}
		if c.Next(); c.Done() {
			heap.Pop(&front)
		} else {
			heap.Fix(&front, 0)
		}
	}
}

type runCursor struct {
	*Cursor
	number int // of the run
}

// runHeap has the smallest URL on top, and of equal ones that of the last run.
type runHeap []runCursor

func (h runHeap) Len() int { return len(h) }
func (h runHeap) Less(i, j int) bool {
	return cmp.Or(bytes.Compare(h[i].key, h[j].key), cmp.Compare(h[j].number, h[i].number)) < 0
}
func (h runHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *runHeap) Push(x any)   { *h = append(*h, x.(runCursor)) }
func (h *runHeap) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	*h = (*h)[:last]
	return x
}
