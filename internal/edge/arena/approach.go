package arena

import "unsafe"

// Approach has the processor bring what tells where the entry with a hash is, while
// the program goes on.
func (a *Arena[B]) Approach(h uint64) {
	if t := a.index.table(h).slots.Load(); t != nil {
		slots := *t
		fetch((*byte)(unsafe.Pointer(&slots[home(h&tagMask, len(slots))])), 1)
	}
}

// Fetch has the processor bring the entry with a hash, if there is one, while the
// program goes on.
func (r Reader[B]) Fetch(h uint64) {
	a := r.arena
	t := a.index.table(h).slots.Load()
	if t == nil {
		return
	}
	slots, tag := *t, h&tagMask
	for at := home(tag, len(slots)); ; at++ {
		if at == len(slots) {
			at = 0
		}
		s := slots[at].Load()
		if s == empty {
			return
		}
		if s>>placeBits == tag && s != gone {
			number, offset := split(s & (1<<placeBits - 1))
			fetch(&(*a.segments.Load())[number].data[offset], fetchedLines)
			return
		}
	}
}
