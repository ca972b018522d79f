package disk

import (
	"errors"
	"io"
	"os"
	"sync"
	"time"
)

// Record is what is kept under a hash. Whether it is what somebody looks for, and
// not another with the same hash, label and head say.
type Record struct {
	Label, Head []byte
	Body        *Body
}

// ErrGone is what reading a body fails with that had to make room.
var ErrGone = errors.New("the record is not on disk any more")

// firstRead is how many bytes of a record are read at once.
const firstRead = 4096

// Get returns the record with a hash, and nil if there is none. As long as the
// index is not complete it waits for a moment.
func (s *Store) Get(hash uint64) *Record {
	if s.closed.Load() || s.reads.resting() {
		return nil
	}
	p, ok := s.index.use(hash)
	if !ok && s.May(hash) {
		p, ok = s.awaitIndex(hash)
	}
	if !ok {
		return nil
	}
	g, ok := s.pin(p)
	if !ok {
		s.index.remove(hash, p)
		return nil
	}
	defer s.unpin(g, p)
	began := time.Now()
	r, err := s.read(g, hash, p)
	switch {
	case err == nil:
		s.reads.fine(began)
		s.counts.reads.Add(1)
		return r
	case errors.Is(err, errDamaged):
		if s.index.remove(hash, p) { // otherwise it was removed while it was read
			s.counts.damaged.Add(1)
		}
	case errors.Is(err, ErrGone):
		s.index.remove(hash, p)
	default:
		s.index.remove(hash, p)
		_ = s.failedToRead(g, err) // whatever it was, there is no record
	}
	return nil
}

// awaitIndex waits until a record is in the index, which the latest are first, or
// all is that there is, but not for long.
func (s *Store) awaitIndex(hash uint64) (place, bool) {
	for end := time.Now().Add(s.patience); time.Now().Before(end); {
		select {
		case <-s.loaded:
			return s.index.use(hash)
		case <-time.After(2 * time.Millisecond):
		}
		if p, ok := s.index.use(hash); ok {
			return p, true
		}
	}
	return nowhere, false
}

// Loaded is closed once all that is on disk is found.
func (s *Store) Loaded() <-chan struct{} { return s.loaded }

// May reports whether there may be a record with a hash, without looking at the
// disk.
func (s *Store) May(hash uint64) bool {
	if _, ok := s.index.get(hash); ok {
		return true
	}
	select {
	case <-s.loaded:
		return false
	default:
		return !s.index.isBarred(hash)
	}
}

// Failed notes what somebody else has found out about the disk: that it fails.
func (s *Store) Failed(doing string, err error) { s.reads.failed(doing, err) }

// failedToRead notes a failure, and returns it. That a segment had to make room
// after it was looked up is none: then it returns ErrGone. A file that somebody else
// has removed is no more.
func (s *Store) failedToRead(g *segment, err error) error {
	missing := errors.Is(err, os.ErrNotExist)
	if missing && !s.has(g) {
		return ErrGone
	}
	s.reads.failed("read "+g.name, err)
	if missing {
		s.discard(g)
	}
	return err
}

// pin keeps the space of a segment from being used again, and the record at p from
// being erased.
func (s *Store) pin(p place) (*segment, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.byID[p.id()]
	if g == nil {
		return nil, false
	}
	if g.pins == nil {
		g.pins = make(map[place]int)
	}
	g.pins[p]++
	return g, true
}

func (s *Store) unpin(g *segment, p place) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if g.pins[p]--; g.pins[p] == 0 {
		delete(g.pins, p)
	}
	s.release(g)
}

// isRead reports whether somebody reads the record at a place.
func (s *Store) isRead(g *segment, p place) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return g.pins[p] > 0
}

// has reports whether a segment was not removed.
func (s *Store) has(g *segment) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !g.removed
}

// read reads a record but for a large body.
func (s *Store) read(g *segment, hash uint64, p place) (*Record, error) {
	g.reading.RLock()
	defer g.reading.RUnlock()
	f, err := s.open(g, read)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // nothing was written
	at := p.at()
	first := make([]byte, firstRead)
	n, err := s.readAt(f, first, at)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	h, ok := readHeader(first[:n], g, at)
	switch {
	case ok && h.flags&erased != 0:
		return nil, ErrGone
	case !ok || h.hash != hash:
		return nil, errDamaged
	}
	around, body := h.places()
	have := func(from, length int64) ([]byte, error) {
		if from+length <= int64(n) {
			return first[from : from+length : from+length], nil
		}
		b := make([]byte, length)
		if _, err := s.readAt(f, b, at+from); err != nil {
			if errors.Is(err, io.EOF) {
				return nil, errDamaged
			}
			return nil, err
		}
		return b, nil
	}
	text, err := have(around, h.around())
	if err != nil {
		return nil, err
	}
	if checksum(text) != h.sum {
		return nil, errDamaged
	}
	b := &Body{store: s, segment: g, hash: hash, place: p, at: at + body, size: h.body, sums: text[h.label+h.head:]}
	if body+h.body <= int64(n) {
		b.have = first[body : body+h.body : body+h.body]
		if err := checkBlocks(b.have, b.sums, 0); err != nil {
			return nil, err
		}
	}
	return &Record{Label: text[:h.label:h.label], Head: text[h.label : h.label+h.head : h.label+h.head], Body: b}, nil
}

// readAt is that of a file, watched.
func (s *Store) readAt(f File, p []byte, at int64) (int, error) {
	defer s.ask()()
	return f.ReadAt(p, at)
}

// ask has Reading count until the disk has answered.
func (s *Store) ask() (answered func()) {
	began := time.Now()
	s.asked.Lock()
	defer s.asked.Unlock()
	s.asked.last++
	number := s.asked.last
	s.asked.began[number] = began
	return func() {
		s.asked.Lock()
		defer s.asked.Unlock()
		delete(s.asked.began, number)
	}
}

// asked are the reads that the disk has not answered yet.
type asked struct {
	sync.Mutex

	last  uint64
	began map[uint64]time.Time
}

// Reading is for how long the disk has owed an answer to somebody who reads.
func (s *Store) Reading() (longest time.Duration) {
	s.asked.Lock()
	defer s.asked.Unlock()
	for _, began := range s.asked.began {
		longest = max(longest, time.Since(began))
	}
	return longest
}
