// Package offheap keeps large bodies outside of the Go heap, where the garbage
// collector does not count them and the system can send them without a copy.
//
// A body lives as long as something in the program refers to its Piece. Its place
// is given back afterwards and never used for another, so that no one who still
// reads a place, be it the system on its way to a viewer, finds other bytes there.
package offheap

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// Space is where pieces are. The nil Space has room for none.
type Space struct {
	file    file
	next    atomic.Int64 // where the next piece begins
	held    atomic.Int64 // bytes of all pieces
	garbage atomic.Int64 // bytes of those that nobody keeps any more

	bound      int64        // of garbage, beyond which it is looked for
	left       atomic.Int64 // garbage that somebody still referred to when it was looked for last
	collecting sync.Mutex
}

// Piece is the bytes of one body, which do not change.
type Piece struct {
	space *Space
	place place
	kept  atomic.Int64 // how often
}

type place struct{ at, size int64 }

// taken is how many bytes of memory a place takes.
func (p place) taken() int64 {
	const page = 4096 // or a part of the system's pages
	return (p.size + page - 1) / page * page
}

// New returns a space, in which bytes that nobody keeps any more take no more
// than bound, for long; nil where the system has no such thing.
func New(bound int64) *Space {
	f, ok := newFile()
	if !ok {
		return nil
	}
	s := &Space{file: f, bound: bound}
	runtime.AddCleanup(s, file.close, f)
	return s
}

// Held is how many bytes of memory all pieces take.
func (s *Space) Held() int64 {
	if s == nil {
		return 0
	}
	return s.held.Load()
}

// Put returns a piece with a copy of b; nil if the system has no room for it.
func (s *Space) Put(b []byte) *Piece {
	if s == nil || len(b) == 0 {
		return nil
	}
	s.awaitRoom()
	const align = 1 << 16 // of the largest pages of the systems that Go knows
	p := place{size: int64(len(b))}
	p.at = s.next.Add((p.size+align-1)/align*align) - (p.size+align-1)/align*align
	if !s.file.write(b, p.at) {
		s.file.clear(p)
		return nil
	}
	s.held.Add(p.taken())
	s.garbage.Add(p.taken())
	made := &Piece{space: s, place: p}
	runtime.AddCleanup(made, func(p place) {
		s.file.clear(p)
		s.held.Add(-p.taken())
		s.gone(p)
	}, p)
	return made
}

// Size is the number of bytes.
func (p *Piece) Size() int64 { return p.place.size }

// Taken is how many bytes of memory the piece takes; none for nil.
func (p *Piece) Taken() int64 {
	if p == nil {
		return 0
	}
	return p.place.taken()
}

// ReadAt reads as io.ReaderAt has it.
func (p *Piece) ReadAt(b []byte, at int64) (int, error) {
	defer runtime.KeepAlive(p)
	return p.space.file.read(b, p.place, at)
}

// File returns the descriptor of a file that holds the piece, and where in it.
// Whoever reads it must hold the piece meanwhile.
func (p *Piece) File() (fd int, at int64) { return p.space.file.descriptor(), p.place.at }

// Keep says that the piece is to be kept, once more. Before, it counts as garbage
// of which the collector may soon find that somebody still refers to it. Keeping
// nil does nothing.
func (p *Piece) Keep() {
	if p != nil && p.kept.Add(1) == 1 {
		p.space.garbage.Add(-p.place.taken())
	}
}

// Drop ends one Keep.
func (p *Piece) Drop() {
	if p == nil || p.kept.Add(-1) != 0 {
		return
	}
	if p.space.garbage.Add(p.place.taken()) > p.space.left.Load()+p.space.bound {
		p.space.collect()
	}
}

// collect has the garbage collector find out what nobody refers to any more.
func (s *Space) collect() {
	if s.collecting.TryLock() {
		go s.collected()
	}
}

// collected is collect for who has locked collecting.
func (s *Space) collected() {
	defer s.collecting.Unlock()
	runtime.GC()
	s.left.Store(s.garbage.Load()) // and what of it is about to go is not for long
}

// gone says that one piece less is garbage.
func (s *Space) gone(p place) {
	garbage := s.garbage.Add(-p.taken())
	if left := s.left.Load(); garbage < left {
		s.left.CompareAndSwap(left, garbage)
	}
}

// awaitRoom has those who bring more wait for the collector where garbage comes
// faster than it goes.
func (s *Space) awaitRoom() {
	if s.garbage.Load() <= s.left.Load()+2*s.bound {
		return
	}
	s.collecting.Lock()
	if s.garbage.Load() <= s.left.Load()+2*s.bound {
		s.collecting.Unlock()
		return
	}
	s.collected()
}
