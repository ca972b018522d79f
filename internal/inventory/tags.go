package inventory

import (
	"encoding/binary"
	"slices"
	"strings"
)

// tagIndex knows which entries carry a tag. Positions are stored as distances.
type tagIndex struct {
	names    []string
	ids      map[string]uint32
	postings [][]byte
}

// intern returns the identifiers of tags, sorted and without duplicates. Case
// makes no difference, as CloudFront says, and an empty tag is none.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/Invalidation.html
func (x *tagIndex) intern(tags []string, into []uint32) []uint32 {
	into = into[:0]
	for _, t := range tags {
		if t = strings.ToLower(t); t != "" {
			into = append(into, x.id(t))
		}
	}
	slices.Sort(into)
	return slices.Compact(into)
}

func (x *tagIndex) id(folded string) uint32 {
	if id, ok := x.ids[folded]; ok {
		return id
	}
	if x.ids == nil {
		x.ids = make(map[string]uint32)
	}
	id := uint32(len(x.names))
	folded = strings.Clone(folded)
	x.names = append(x.names, folded)
	x.ids[folded] = id
	return id
}

// tagIDs returns the identifiers of the tags of the entry it stands on, in the
// memory of into where that suffices.
func (c *Cursor) tagIDs(into []uint32) []uint32 {
	into = into[:0]
	rest := c.tags
	for range c.tagCount {
		id, n := binary.Uvarint(rest)
		into, rest = append(into, uint32(id)), rest[n:]
	}
	return into
}

// fill reads which entries of v carry which tags.
func (x *tagIndex) fill(v *Inventory) {
	if len(x.names) == 0 {
		return
	}
	x.postings = make([][]byte, len(x.names))
	last := make([]int, len(x.names))
	for c := v.Cursor(); !c.Done(); c.Next() {
		rest := c.tags
		for range c.tagCount {
			id, n := binary.Uvarint(rest)
			rest = rest[n:]
			x.postings[id] = binary.AppendUvarint(x.postings[id], uint64(c.index-last[id]))
			last[id] = c.index
		}
	}
	x.forgetUnused()
}

// forgetUnused drops the tags that only replaced entries carried. Their
// identifiers stay taken.
func (x *tagIndex) forgetUnused() {
	for id, p := range x.postings {
		if len(p) == 0 {
			delete(x.ids, x.names[id])
		}
	}
}

func (x *tagIndex) each(id uint32, yield func(int) bool) {
	at := 0
	for rest := x.postings[id]; len(rest) > 0; {
		distance, n := binary.Uvarint(rest)
		rest = rest[n:]
		at += int(distance)
		if !yield(at) {
			return
		}
	}
}

func (x *tagIndex) memory() int64 {
	var bytes int64
	for id, p := range x.postings {
		bytes += int64(cap(p)) + int64(len(x.names[id])) + 64
	}
	return bytes
}
