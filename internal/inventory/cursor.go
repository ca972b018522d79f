package inventory

import (
	"encoding/binary"
	"sort"
)

// Cursor walks through an inventory, forwards only. It skips what lies between
// without reading it, and knows the sum of everything that it has left behind.
type Cursor struct {
	r        *run
	weighted bool
	tagNames []string
	free     bool // let go of what has been read

	index int // of the entry it stands on
	next  int // block that follows the one it stands in
	left  int // entries after it in its block
	rest  []byte
	sum   Sum // of what lies before it; Objects is only right in Before

	target   []byte // of the last seek
	key      []byte
	shared   int // with the entry before it in its block
	size     int64
	requests int64
	tags     []byte // uvarints
	tagCount int
}

// Cursor returns one that stands on the first entry.
func (v *Inventory) Cursor() *Cursor {
	c := &Cursor{r: &v.run, weighted: v.weighted, tagNames: v.tags.names}
	c.enter(0)
	return c
}

// Done reports whether the cursor has left the last entry behind.
func (c *Cursor) Done() bool { return c.index >= c.r.n }

// Index is the position of the entry it stands on, Len when it is done.
func (c *Cursor) Index() int { return c.index }

// Before adds up all entries that it has left behind.
func (c *Cursor) Before() Sum {
	s := c.sum
	s.Objects = int64(c.index)
	if s.Refills = s.Requests; !c.weighted {
		s.Refills, s.RefillBytes = s.Objects, s.Bytes
	}
	return s
}

// Own is the sum of the entry it stands on alone; nothing when it is done.
func (c *Cursor) Own() Sum {
	if c.Done() {
		return Sum{}
	}
	return own(c.size, c.requests, c.weighted)
}

// Is reports whether it stands on url.
func (c *Cursor) Is(url string) bool { return !c.Done() && string(c.key) == url }

// HasPrefix reports whether the URL it stands on begins with prefix.
func (c *Cursor) HasPrefix(prefix string) bool {
	return !c.Done() && len(c.key) >= len(prefix) && string(c.key[:len(prefix)]) == prefix
}

// Entry copies the entry it stands on, which must be there.
func (c *Cursor) Entry() Entry {
	return Entry{URL: string(c.key), Size: c.size, Requests: c.requests, Tags: c.Tags()}
}

// Tags returns the tags of the entry it stands on; nil when there are none.
func (c *Cursor) Tags() []string {
	if c.Done() || c.tagCount == 0 {
		return nil
	}
	names := make([]string, c.tagCount)
	rest := c.tags
	for i := range names {
		id, n := binary.Uvarint(rest)
		names[i], rest = c.tagNames[id], rest[n:]
	}
	return names
}

// Next moves on by one entry.
func (c *Cursor) Next() {
	switch {
	case c.Done():
	case c.left == 0:
		c.enter(c.next)
	default:
		c.leave()
		c.read()
	}
}

// Seek moves on to the first entry that is not before url. It never moves back.
func (c *Cursor) Seek(url string) { c.seek(url, false) }

// SeekBeyond moves on to the first entry that comes after all those that begin
// with prefix. It never moves back.
func (c *Cursor) SeekBeyond(prefix string) { c.seek(prefix, true) }

// SeekIndex moves on to entry i. It never moves back.
func (c *Cursor) SeekIndex(i int) {
	if i <= c.index {
		return
	}
	if b := min(i/perBlock, len(c.r.blocks)); b >= c.next {
		c.enter(b)
	}
	for c.index < i && !c.Done() {
		c.Next()
	}
}

// seek remembers how much of target the current entry shares, m. An entry that
// shares more than m with its predecessor then compares as that did, and one
// that shares less comes after target, so most are passed without comparing.
func (c *Cursor) seek(to string, beyond bool) {
	if c.Done() {
		return
	}
	c.target = append(c.target[:0], to...)
	target := c.target
	m := sharedLength(c.key, target)
	if !precedes(c.key, target, m, beyond) {
		return
	}
	for {
		if c.left == 0 {
			c.gallop(target, beyond)
			if c.Done() {
				return
			}
			if m = sharedLength(c.key, target); !precedes(c.key, target, m, beyond) {
				return
			}
			continue
		}
		c.leave()
		c.read()
		switch {
		case c.shared > m || c.shared == len(target):
		case c.shared < m:
			return
		default:
			for m < len(c.key) && m < len(target) && c.key[m] == target[m] {
				m++
			}
			if !precedes(c.key, target, m, beyond) {
				return
			}
		}
	}
}

// precedes reports whether key, which shares m bytes with target, comes before
// it or, if beyond is set, before all that begin with it or among them.
func precedes(key, target []byte, m int, beyond bool) bool {
	if m == len(target) {
		return beyond
	}
	return m == len(key) || key[m] < target[m]
}

// gallop enters the last block from c.next on whose first entry precedes
// target, or c.next when there is none.
func (c *Cursor) gallop(target []byte, beyond bool) {
	head := func(b int) bool {
		key := c.r.head(b)
		return precedes(key, target, sharedLength(key, target), beyond)
	}
	low, step := c.next, 1
	for low+step < len(c.r.blocks) && head(low+step) {
		low += step
		step *= 2
	}
	if step > 1 {
		width := min(step, len(c.r.blocks)-low) - 1
		low += sort.Search(width, func(i int) bool { return !head(low + 1 + i) })
	}
	c.enter(low)
}

// enter stands on the first entry of block b, or leaves the last entry behind.
func (c *Cursor) enter(b int) {
	c.sum = c.r.before(b)
	c.index, c.next = min(b*perBlock, c.r.n), b+1
	if b >= len(c.r.blocks) {
		return
	}
	k := c.r.blocks[b]
	if c.free && k.chunk > 0 {
		c.r.chunks[k.chunk-1] = nil
	}
	c.left = min(perBlock, c.r.n-c.index)
	c.rest = c.r.chunks[k.chunk][k.at:]
	c.read()
}

// leave adds the entry it stands on to what lies before.
func (c *Cursor) leave() {
	c.index++
	c.sum.Bytes += c.size
	c.sum.Requests += c.requests
	if c.weighted {
		c.sum.RefillBytes += c.size * c.requests
	}
}

// read decodes the entry that rest begins with.
func (c *Cursor) read() {
	c.left--
	c.shared = int(c.uvarint())
	n := int(c.uvarint())
	c.key = append(c.key[:c.shared], c.rest[:n]...)
	c.rest = c.rest[n:]
	described := c.uvarint()
	c.size, c.requests, c.tagCount = int64(described>>flagBits), 0, 0
	if described&hasRequests != 0 {
		c.requests = int64(c.uvarint())
	}
	if described&hasTags != 0 {
		c.readTags()
	}
}

func (c *Cursor) readTags() {
	c.tagCount = int(c.uvarint())
	c.tags = c.rest
	for range c.tagCount {
		c.uvarint()
	}
}

func (c *Cursor) uvarint() uint64 {
	if b := c.rest[0]; b < 0x80 {
		c.rest = c.rest[1:]
		return uint64(b)
	}
	x, n := binary.Uvarint(c.rest)
	c.rest = c.rest[n:]
	return x
}
