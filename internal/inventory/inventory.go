// Package inventory holds what is live at one distribution: every URL that the
// cache may hold, with its size, how often it is asked for and its cache tags.
// It answers how much lies below a prefix without looking at each URL, and
// keeps ten million URLs in a few hundred megabytes.
package inventory

import (
	"iter"
	"maps"
	"slices"
	"strings"
)

// Entry is one live URL.
type Entry struct {
	URL      string   // canonical path, with the query string where it is in the cache key
	Size     int64    // bytes; less than nothing counts as nothing
	Requests int64    // how often it is expected to be fetched again once it is cold, where the Builder is Weighted
	Tags     []string // cache tags, without the #, in lower case when they come out of an Inventory
}

// Sum adds up entries.
type Sum struct {
	Objects  int64
	Bytes    int64
	Requests int64
	// Refills and RefillBytes are what will be fetched from the origin again once
	// the entries are cold: each once, or, where requests are known, so often.
	Refills     int64
	RefillBytes int64
}

// Plus returns s and t together.
func (s Sum) Plus(t Sum) Sum {
	return Sum{s.Objects + t.Objects, s.Bytes + t.Bytes, s.Requests + t.Requests, s.Refills + t.Refills, s.RefillBytes + t.RefillBytes}
}

// Minus returns s without t.
func (s Sum) Minus(t Sum) Sum {
	return Sum{s.Objects - t.Objects, s.Bytes - t.Bytes, s.Requests - t.Requests, s.Refills - t.Refills, s.RefillBytes - t.RefillBytes}
}

// Inventory is immutable and safe for concurrent use. A nil *Inventory means
// that nothing is known about the distribution, which is something else than an
// empty one; its methods must not be called.
type Inventory struct {
	run
	weighted bool
	tags     tagIndex
}

// Len is the number of URLs.
func (v *Inventory) Len() int { return v.n }

// Weighted reports whether Requests are known, so that an entry with none costs
// nothing to refill.
func (v *Inventory) Weighted() bool { return v.weighted }

// Total adds up everything.
func (v *Inventory) Total() Sum { return v.total }

// Under adds up the entries whose URL begins with prefix.
func (v *Inventory) Under(prefix string) Sum {
	c := v.Cursor()
	c.Seek(prefix)
	before := c.Before()
	c.SeekBeyond(prefix)
	return c.Before().Minus(before)
}

// Find returns the entry of url; false when url is not live.
func (v *Inventory) Find(url string) (Entry, bool) {
	c := v.Cursor()
	c.Seek(url)
	if !c.Is(url) {
		return Entry{}, false
	}
	return c.Entry(), true
}

// All yields the entries by URL, in the order of bytes.
func (v *Inventory) All() iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		for c := v.Cursor(); !c.Done(); c.Next() {
			if !yield(c.Entry()) {
				return
			}
		}
	}
}

// Tags returns the names of all tags, sorted.
func (v *Inventory) Tags() []string {
	return slices.Sorted(maps.Keys(v.tags.ids))
}

// Tagged yields the positions, ascending, of the entries that carry tag, in
// whatever case it is written.
func (v *Inventory) Tagged(tag string) iter.Seq[int] {
	id, ok := v.tags.ids[strings.ToLower(tag)]
	return func(yield func(int) bool) {
		if ok {
			v.tags.each(id, yield)
		}
	}
}

// Memory is roughly how many bytes the inventory takes.
func (v *Inventory) Memory() int64 {
	return v.memory() + v.tags.memory()
}
