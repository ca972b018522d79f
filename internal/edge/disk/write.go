package disk

import (
	"errors"
	"fmt"
	"time"

	"github.com/cespare/xxhash/v2"
)

func checksum(b []byte) uint64 { return xxhash.Sum64(b) }

// Hash is a hash of a key.
func Hash(number uint64, texts ...string) uint64 {
	d := xxhash.NewWithSeed(number)
	for _, text := range texts {
		_, _ = d.WriteString(text)
		_, _ = d.Write([]byte{0})
	}
	return d.Sum64()
}

// Written is what is to be kept under a hash, in the place of what is there.
type Written struct {
	Hash        uint64
	Label, Head []byte
	Body        []byte

	// Valid reports, where it is not nil, whether the record may be kept as far as
	// its writer knows; see Options.Valid, too.
	Valid func() bool
}

// stands reports whether a record may be kept. That is asked before it is written, so
// that nobody finds it whenever the process is killed, and again before it can be
// found here. s.commits is held.
func (s *Store) stands(w *Written) bool {
	return s.valid(w.Label) && (w.Valid == nil || w.Valid())
}

func (w *Written) header() header {
	return header{label: int64(len(w.Label)), head: int64(len(w.Head)), body: int64(len(w.Body)), hash: w.Hash}
}

// Why a record is not kept.
var (
	ErrTooLarge = errors.New("the record is too large")
	ErrBusy     = errors.New("too much waits to be written")
	ErrFull     = errors.New("there is no room that could be had")
	ErrInvalid  = errors.New("the record is not valid any more")
	ErrClosed   = errors.New("the store is closed")
)

// mostQueued is how many bytes may wait for a slow disk.
const mostQueued = 16 << 20

// Largest is the largest body that is kept.
func (s *Store) Largest() int64 { return min(s.limit/4, maxBody) }

// aloneFrom is from how many bytes on a record has a segment of its own.
func (s *Store) aloneFrom() int64 { return s.full / 4 }

func (s *Store) refuse(w *Written) error {
	switch {
	case s.closed.Load():
		return ErrClosed
	case len(w.Label) > maxLabel || len(w.Head) > maxHead || int64(len(w.Body)) > s.Largest():
		return ErrTooLarge
	case s.writes.resting():
		return ErrResting
	}
	return nil
}

// Put keeps a record. On an error nothing is kept, and what was there under its
// hash is not there any more.
func (s *Store) Put(w Written) (*Body, error) {
	b, err := s.put(&w)
	if err != nil {
		s.counts.refused.Add(1)
		s.Remove(w.Hash)
		return nil, err
	}
	s.counts.writes.Add(1)
	return b, nil
}

func (s *Store) put(w *Written) (*Body, error) {
	if err := s.refuse(w); err != nil {
		return nil, err
	}
	h := w.header()
	if h.size() >= s.aloneFrom() {
		return s.putAlone(w)
	}
	if s.queued.Add(h.size()) > mostQueued {
		s.queued.Add(-h.size())
		return nil, ErrBusy
	}
	defer s.queued.Add(-h.size())
	s.commits.RLock()
	defer s.commits.RUnlock()
	s.writing.Lock()
	defer s.writing.Unlock()
	if s.closed.Load() {
		return nil, ErrClosed
	}
	if !s.stands(w) {
		return nil, ErrInvalid
	}
	b, err := s.append(h, w)
	if err != nil {
		return nil, err
	}
	if !s.stands(w) {
		s.bury(b.segment, b.segment.file, b.place.at(), h.size())
		return nil, ErrInvalid
	}
	s.supersede(s.index.put(w.Hash, b.place))
	return b, nil
}

// append writes a record behind the last one. s.writing is held.
func (s *Store) append(h header, w *Written) (*Body, error) {
	began := time.Now()
	if err := s.room(h.size(), w); err != nil {
		return nil, err
	}
	g := s.active
	h.segment, h.at = g.number, g.end
	text, sums := h.record(w, g.seed)
	if _, err := g.file.WriteAt(text, g.end); err != nil {
		s.failedToWrite(g, err)
		return nil, err
	}
	s.writes.fine(began)
	c := content{hash: w.Hash, at: g.end, size: h.size(), label: w.Label}
	g.entries = c.append(g.entries)
	g.end += h.size()
	_, body := h.places()
	return &Body{store: s, segment: g, hash: w.Hash, place: placeAt(g.id, h.at), at: h.at + body, size: h.body, sums: sums}, nil
}

// record is a record as it is written, and the checksums of its body's blocks.
func (h *header) record(w *Written, seed uint64) (text, sums []byte) {
	sums = appendSums(nil, w.Body)
	text = make([]byte, headerSize, h.size())
	text = append(append(append(text, w.Label...), w.Head...), sums...)
	h.sum = checksum(text[headerSize:])
	h.append(text[:0], seed)
	text = append(text, w.Body...)
	return append(text, make([]byte, h.size()-int64(len(text)))...), sums
}

// fits reports whether there is room in the active segment for a record, and for
// its place in the table of contents. s.writing is held.
func (s *Store) fits(record int64, w *Written) bool {
	g := s.active
	return g != nil && taking(aligned(g.end+record)+int64(len(g.entries)+contentSize+len(w.Label))+trailerSize) <= s.full
}

// supersede removes a record that was written anew if it has a segment of its own,
// which may be a later one. s.writing is held.
func (s *Store) supersede(p place) {
	s.mu.Lock()
	g := s.byID[p.id()]
	s.mu.Unlock()
	if g != nil && g.alone {
		s.discard(g)
	}
}

// room sees to it that a record fits into the active segment. s.writing is held.
func (s *Store) room(record int64, w *Written) error {
	if s.fits(record, w) {
		return nil
	}
	again, ok := s.reclaim(s.full)
	if !ok {
		return ErrFull
	}
	if err := s.turn(); err != nil {
		return err
	}
	s.readmit(again)
	if !s.fits(record, w) {
		return ErrFull
	}
	return nil
}

// turn ends the active segment and begins another, for which there is room.
// s.writing is held.
func (s *Store) turn() error {
	if g := s.active; g != nil {
		s.active = nil
		err := g.seal()
		s.resize(g, taking(g.end))
		if err != nil {
			s.failedToWrite(g, err)
			return err
		}
	}
	g, err := s.newSegment(false)
	if err != nil {
		return err
	}
	g.taken = s.full // from the beginning, so that it need not be looked at again and again
	s.adopt(g)
	s.active = g
	return nil
}

// newSegment makes the file of a segment, which is not yet the store's.
func (s *Store) newSegment(alone bool) (*segment, error) {
	s.mu.Lock()
	s.last++
	g := &segment{number: s.last, alone: alone, name: segmentName(s.last, alone), seed: seedOf(s.id)}
	s.mu.Unlock()
	f, err := s.open(g, create)
	if err != nil {
		s.writes.failed("make "+g.name, err)
		return nil, fmt.Errorf("make a segment: %w", err)
	}
	g.file = f
	return g, nil
}

// failedToWrite ends a segment that could not be written to. What is in it stays.
// s.writing is held.
func (s *Store) failedToWrite(g *segment, err error) {
	s.writes.failed("write "+g.name, err)
	if g.file != nil {
		_ = g.file.Close()
		g.file = nil
	}
	if s.active == g {
		s.active = nil
	}
	if g.end == 0 {
		s.discard(g)
	} else {
		s.resize(g, taking(g.end))
	}
}

// Spool is a record whose body is still arriving. It must be committed or given
// up.
type Spool struct {
	store *Store
	g     *segment
	size  int64
	room  int64 // reserved
	sums  []byte
	block *blockSum
	era   int
	err   error
}

// blockSum is the checksum of the block that is arriving.
type blockSum struct {
	xxhash.Digest

	n int64
}

// Begin begins a record with a segment of its own.
func (s *Store) Begin() (*Spool, error) {
	if err := s.refuse(&Written{}); err != nil {
		return nil, err
	}
	g, err := s.newSegment(true)
	if err != nil {
		return nil, err
	}
	p := &Spool{store: s, g: g, block: new(blockSum), era: s.eraNow()}
	p.block.Reset()
	if err := p.reserve(headerSize); err != nil {
		p.GiveUp()
		return nil, err
	}
	return p, nil
}

// reserve has room for so many bytes in all.
func (p *Spool) reserve(size int64) error {
	const step = 1 << 20
	need := taking(size)
	if need <= p.room {
		return nil
	}
	if size > p.store.Largest()+p.store.full {
		return ErrTooLarge
	}
	more := need - p.room
	if need > step {
		more = max(more, step)
	}
	s := p.store
	s.commits.RLock() // since to make room is to write anew what is in use
	defer s.commits.RUnlock()
	s.writing.Lock()
	defer s.writing.Unlock()
	if !s.makeRoom(more) {
		return ErrFull
	}
	s.mu.Lock()
	s.taken += more
	s.mu.Unlock()
	p.room += more
	return nil
}

// Write appends to the body, of which it keeps nothing. After an error the record
// can only be given up.
func (p *Spool) Write(b []byte) (int, error) {
	if p.err == nil && p.size+int64(len(b)) > p.store.Largest() {
		p.err = ErrTooLarge
	}
	if p.err == nil {
		p.err = p.reserve(headerSize + p.size + int64(len(b)))
	}
	if p.err == nil {
		if _, err := p.g.file.WriteAt(b, headerSize+p.size); err != nil {
			p.store.writes.failed("write "+p.g.name, err)
			p.err = err
		}
	}
	if p.err != nil {
		return 0, p.err
	}
	p.sum(b)
	p.size += int64(len(b))
	return len(b), nil
}

func (p *Spool) sum(b []byte) {
	for len(b) > 0 {
		n := min(int64(len(b)), blockSize-p.block.n)
		_, _ = p.block.Write(b[:n])
		if p.block.n += n; p.block.n == blockSize {
			p.endBlock()
		}
		b = b[n:]
	}
}

func (p *Spool) endBlock() {
	if p.block.n > 0 {
		p.sums = appendSum(p.sums, p.block.Sum64())
		p.block.Reset()
		p.block.n = 0
	}
}

// Commit ends the record, whose body is what was written. On an error it is given
// up.
func (p *Spool) Commit(w Written) (*Body, error) {
	b, err := p.commit(&w)
	if err != nil {
		p.store.counts.refused.Add(1)
		p.GiveUp()
		p.store.Remove(w.Hash)
		return nil, err
	}
	p.store.counts.writes.Add(1)
	return b, nil
}

func (p *Spool) commit(w *Written) (*Body, error) {
	s := p.store
	if p.err != nil {
		return nil, p.err
	}
	if err := s.refuse(w); err != nil {
		return nil, err
	}
	p.endBlock()
	h := header{label: int64(len(w.Label)), head: int64(len(w.Head)), body: p.size, hash: w.Hash, flags: bodyFirst, segment: p.g.number}
	if err := p.reserve(h.size()); err != nil {
		return nil, err
	}
	around := append(append(append(make([]byte, 0, h.around()), w.Label...), w.Head...), p.sums...)
	h.sum = checksum(around)
	s.commits.RLock()
	defer s.commits.RUnlock()
	if !s.stands(w) {
		return nil, ErrInvalid
	}
	began := time.Now()
	place, body := h.places()
	around = append(around, make([]byte, h.size()-headerSize-h.body-int64(len(around)))...)
	_, err := p.g.file.WriteAt(around, place)
	if err == nil {
		_, err = p.g.file.WriteAt(h.append(nil, p.g.seed), 0) // last, since from now on it is a record
	}
	if err != nil {
		s.writes.failed("write "+p.g.name, err)
		return nil, err
	}
	if !s.stands(w) {
		p.GiveUp() // before a sweep can begin
		return nil, ErrInvalid
	}
	s.writes.fine(began)
	return p.adopted(&h, w, body)
}

// adopted has the store find the record.
func (p *Spool) adopted(h *header, w *Written, body int64) (*Body, error) {
	s, g := p.store, p.g
	s.writing.Lock()
	defer s.writing.Unlock()
	if s.closed.Load() || s.eraNow() != p.era {
		return nil, ErrClosed
	}
	err := g.file.Close()
	g.file = nil
	if err != nil {
		s.writes.failed("write "+g.name, err)
		return nil, err
	}
	c := content{hash: w.Hash, size: h.size(), label: w.Label}
	g.entries = c.append(nil)
	s.mu.Lock()
	s.taken -= p.room
	g.taken = taking(h.size())
	s.mu.Unlock()
	p.room = 0
	s.adopt(g)
	s.supersede(s.index.put(w.Hash, placeAt(g.id, 0)))
	p.g = nil
	return &Body{store: s, segment: g, hash: w.Hash, place: placeAt(g.id, 0), at: body, size: h.body, sums: p.sums}, nil
}

func (s *Store) eraNow() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.era
}

// GiveUp ends a record that is not committed. It may be called twice, and after
// Commit.
func (p *Spool) GiveUp() {
	if p.g == nil {
		return
	}
	s := p.store
	if p.g.file != nil {
		_ = p.g.file.Close() // and nobody will read it
	}
	s.mu.Lock()
	p.g.removed, p.g.taken = true, p.room
	s.mu.Unlock()
	s.unlink(p.g)
	p.g, p.room = nil, 0
	p.err = errors.Join(p.err, ErrGone)
}

func (s *Store) putAlone(w *Written) (*Body, error) {
	p, err := s.Begin()
	if err != nil {
		return nil, err
	}
	if _, err := p.Write(w.Body); err != nil {
		p.GiveUp()
		return nil, err
	}
	b, err := p.commit(w)
	if err != nil {
		p.GiveUp()
	}
	return b, err
}
