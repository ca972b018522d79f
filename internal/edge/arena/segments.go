package arena

import (
	"runtime"
	"slices"
)

// keptSpare is how many segments are kept for what comes next.
const keptSpare = 2

// fresh returns a segment with room for so many bytes. a.mu is held.
func (a *Arena[B]) fresh(bytes int) *segment {
	a.collect()
	// What nobody can have any more in a moment is waited for if it is much, since
	// readers do not keep anything for long.
	for int64(len(a.limbo))*int64(a.size) > max(a.limit/16, 4*int64(a.size)) {
		runtime.Gosched()
		a.collect()
	}
	if n := len(a.spare); n > 0 && bytes <= a.size {
		s := a.spare[n-1]
		a.spare = a.spare[:n-1]
		return s
	}
	s := &segment{data: a.memory.take(max(a.size, (bytes+pageSize-1)/pageSize*pageSize))}
	if n := len(a.holes); n > 0 {
		s.number = uint32(a.holes[n-1])
		a.holes = a.holes[:n-1]
		(*a.segments.Load())[s.number] = s
		return s
	}
	all := *a.segments.Load()
	s.number = uint32(len(all))
	all = append(slices.Clip(all), s) // readers may have the others
	a.segments.Store(&all)
	return s
}

const pageSize = 4 << 10

// collect makes those segments spare that nobody can be reading any more, and
// gives back what is too much. a.mu is held.
func (a *Arena[B]) collect() {
	if len(a.limbo) == 0 {
		return
	}
	oldest := a.pins.oldest()
	n := 0
	for ; n < len(a.limbo) && a.limbo[n].epoch <= oldest; n++ {
		s := a.limbo[n]
		s.used, s.live, s.at = 0, 0, 0
		if len(s.data) == a.size && len(a.spare) < keptSpare {
			a.spare = append(a.spare, s)
			continue
		}
		(*a.segments.Load())[s.number] = nil
		a.holes = append(a.holes, int(s.number))
		a.memory.give(s.data)
	}
	a.limbo = slices.Delete(a.limbo, 0, n)
}
