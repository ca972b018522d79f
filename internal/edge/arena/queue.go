package arena

import "github.com/freshet/freshet/internal/edge/packed"

// The queues.
const (
	small = iota
	main
)

// smallShare is the part of the limit that the small queue has: a tenth.
const smallShare = 10

// queue is a row of segments, the oldest first.
type queue struct {
	first, last *segment
	bytes       int64 // of entries in it, removed or not, and of what else those take that are not
}

// segment is a row of entries.
type segment struct {
	data   []byte
	number uint32
	queue  int
	seq    uint64 // grows along a queue
	used   int
	live   int // bytes of entries that were not removed
	at     int // what lies before was evicted or moved
	epoch  uint64

	before, after *segment
}

func padded(n int) int { return (n + packed.Align - 1) / packed.Align * packed.Align }

func (a *Arena[B]) segmentAt(place uint64) *segment {
	number, _ := split(place)
	return (*a.segments.Load())[number]
}

// view is the entry at a place.
func (a *Arena[B]) view(place uint64) packed.View {
	number, offset := split(place)
	return (*a.segments.Load())[number].view(offset)
}

// viewSoon is view for who reads nearly all of the entry: it is on its way when the
// first of it is looked at.
func (a *Arena[B]) viewSoon(place uint64) packed.View {
	number, offset := split(place)
	s := (*a.segments.Load())[number]
	fetch(&s.data[offset], fetchedLines)
	return s.view(offset)
}

// fetchedLines is about how many the processor brings at once.
const fetchedLines = 12

func (s *segment) view(offset int) packed.View {
	b := s.data[offset:]
	n := packed.SizeAt(b)
	return packed.Trust(b[:n:n])
}

// append writes an entry at the end of a queue. a.mu is held.
func (a *Arena[B]) append(to int, v packed.View) (uint64, packed.View) {
	q, n := &a.queues[to], len(v.Bytes())
	if q.last == nil || len(q.last.data)-q.last.used < n {
		sealed := q.last
		a.extend(q, to, a.fresh(n))
		if sealed != nil && sealed.live == 0 {
			a.retire(sealed)
		}
	}
	return q.write(q.last, v)
}

// write writes an entry at the end of a segment.
func (q *queue) write(s *segment, v packed.View) (uint64, packed.View) {
	offset := s.used
	n := padded(v.CopyTo(s.data[offset:]))
	s.used += n
	s.live += n
	q.bytes += int64(n)
	return placeOf(s.number, offset), s.view(offset)
}

// extend puts a segment at the end of a queue.
func (a *Arena[B]) extend(q *queue, to int, s *segment) {
	a.seq++
	s.queue, s.seq, s.before, s.after = to, a.seq, q.last, nil
	if q.last != nil {
		q.last.after = s
	} else {
		q.first = s
	}
	q.last = s
	a.taken.Add(int64(len(s.data)))
}

// retire takes a segment out of its queue, in which nothing is found any more.
func (a *Arena[B]) retire(s *segment) {
	q := &a.queues[s.queue]
	if s.before != nil {
		s.before.after = s.after
	} else {
		q.first = s.after
	}
	if s.after != nil {
		s.after.before = s.before
	} else {
		q.last = s.before
	}
	q.bytes -= int64(s.used)
	a.taken.Add(-int64(len(s.data)))
	s.before, s.after, s.seq = nil, nil, 0
	s.epoch = a.pins.next()
	a.limbo = append(a.limbo, s)
}

// makeRoom evicts entries until so many bytes more may be taken. a.mu is held.
func (a *Arena[B]) makeRoom(bytes int64) {
	for a.isFull(bytes) && a.evictOne() {
	}
}

// isFull reports whether there is no room for so many bytes more.
func (a *Arena[B]) isFull(bytes int64) bool {
	return a.taken.Load()+min(a.charged.Load(), a.limit/4*3)+bytes > a.limit
}

// evictOne goes on by one entry in the queue whose turn it is, and reports whether
// there was any.
func (a *Arena[B]) evictOne() bool {
	from := small
	if q := &a.queues[small]; q.first == nil || a.queues[main].first != nil && q.bytes <= a.limit/smallShare {
		from = main
	}
	q := &a.queues[from]
	s := q.first
	if s == nil {
		return false
	}
	if s.at >= s.used {
		a.retire(s)
		return true
	}
	v, place := s.view(s.at), placeOf(s.number, s.at)
	s.at += padded(len(v.Bytes()))
	uses := v.Uses().Load()
	switch {
	case uses&dead != 0:
	case from == small && uses&usesMask >= leastUses:
		a.move(place, v, 0)
	case from == main && uses&usesMask > 0:
		a.move(place, v, uses&usesMask-1)
	default:
		a.evict(from, place, v)
	}
	return true
}

// leastUses is how often an entry must have been used in the small queue to come
// into the main one.
const leastUses = 1

func (a *Arena[B]) evict(from int, place uint64, v packed.View) {
	h := a.hashOf(v)
	a.slotOf(h, place).remove()
	if from == small {
		a.taken.Add(a.ghosts.add(h, int(a.objects.Load())))
	}
	a.evicted.Add(1)
	a.bury(place, v)
}

// move appends an entry to the main queue.
func (a *Arena[B]) move(place uint64, v packed.View, uses uint32) {
	h := a.hashOf(v)
	found := a.slotOf(h, place)
	from := a.segmentAt(place)
	to, moved := a.append(main, v)
	moved.Uses().Store(uses)
	if v.Away() {
		bytes := a.outside(v).bytes
		a.queues[from.queue].bytes -= bytes
		a.queues[main].bytes += bytes
	}
	found.store(h, to)
	v.Uses().Or(dead)
	if from.live -= padded(len(v.Bytes())); from.live == 0 && from != a.queues[from.queue].last {
		a.retire(from)
	}
}
