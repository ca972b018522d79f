package cover

import (
	"math/bits"
	"slices"
)

// ranked is a key under way to its place: eight of its bytes, as a number.
type ranked struct {
	word uint64
	at   int32
}

// sorted returns the order of keys and how many bytes each has in common with
// its predecessor (its whole length if they are equal; 0 for the first). Keys
// hold no zero byte. Long shared prefixes are read once, eight bytes at a time.
func sorted(keys []string) (order, shared []int32) {
	s := sorter{keys: keys, all: make([]ranked, len(keys)), shared: make([]int32, len(keys))}
	order = make([]int32, len(keys))
	for i := range s.all {
		s.all[i].at = int32(i)
	}
	s.sort(0, len(keys), 0)
	for i, r := range s.all {
		order[i] = r.at
	}
	return order, s.shared
}

type sorter struct {
	keys    []string
	all     []ranked
	scratch []ranked
	shared  []int32
}

// sort brings all[from:to], which share depth bytes, into order.
func (s *sorter) sort(from, to, depth int) {
	for to-from > 1 {
		part := s.all[from:to]
		for i := range part {
			part[i].word = word(s.keys[part[i].at], depth)
		}
		s.byWord(part)
		if part[0].word != part[len(part)-1].word || part[0].word&0xff == 0 {
			s.descend(from, to, depth)
			return
		}
		depth += 8
	}
}

// descend sorts each run of equal words further.
func (s *sorter) descend(from, to, depth int) {
	start := from
	for i := from + 1; i <= to; i++ {
		if i < to && s.all[i].word == s.all[start].word {
			continue
		}
		w := s.all[start].word
		if w&0xff != 0 {
			s.sort(start, i, depth+8)
		} else {
			for k := start + 1; k < i; k++ {
				s.shared[k] = int32(len(s.keys[s.all[k].at]))
			}
		}
		if i < to {
			s.shared[i] = int32(depth + bits.LeadingZeros64(w^s.all[i].word)/8)
			start = i
		}
	}
}

func (s *sorter) byWord(part []ranked) {
	ascending := true
	varying := uint64(0)
	for i := 1; i < len(part); i++ {
		ascending = ascending && part[i-1].word <= part[i].word
		varying |= part[i].word ^ part[0].word
	}
	switch {
	case ascending:
	case len(part) < 1024:
		slices.SortFunc(part, func(a, b ranked) int {
			if a.word < b.word {
				return -1
			}
			if a.word > b.word {
				return 1
			}
			return 0
		})
	default:
		s.radix(part, varying)
	}
}

// radix sorts by the bytes of the word that vary, the last one first.
func (s *sorter) radix(part []ranked, varying uint64) {
	if s.scratch == nil {
		s.scratch = make([]ranked, len(s.all))
	}
	from, to := part, s.scratch[:len(part)]
	for shift := 0; shift < 64; shift += 8 {
		if varying>>shift&0xff == 0 {
			continue
		}
		var at [256]int32
		for _, r := range from {
			at[byte(r.word>>shift)]++
		}
		total := int32(0)
		for b, n := range at {
			at[b], total = total, total+n
		}
		for _, r := range from {
			b := byte(r.word >> shift)
			to[at[b]] = r
			at[b]++
		}
		from, to = to, from
	}
	if &from[0] != &part[0] {
		copy(part, from)
	}
}

// word is the eight bytes of s from depth on, filled up with zeros.
func word(s string, depth int) uint64 {
	if depth+8 <= len(s) {
		s = s[depth : depth+8]
		return uint64(s[7]) | uint64(s[6])<<8 | uint64(s[5])<<16 | uint64(s[4])<<24 |
			uint64(s[3])<<32 | uint64(s[2])<<40 | uint64(s[1])<<48 | uint64(s[0])<<56
	}
	w := uint64(0)
	for i := range min(8, max(0, len(s)-depth)) {
		w |= uint64(s[depth+i]) << (56 - 8*i)
	}
	return w
}
