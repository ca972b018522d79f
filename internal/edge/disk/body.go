package disk

import (
	"errors"
	"io"
	"sync/atomic"
	"time"
)

// Body is the body of a record, which stays where it is on the disk until the
// store needs the space. It is read piece by piece, and what is read is checked.
type Body struct {
	store   *Store
	segment *segment
	hash    uint64
	place   place
	at      int64 // in the file
	size    int64
	sums    []byte
	have    []byte                // all of it; nil if it is not at hand
	sound   atomic.Pointer[Print] // of the file when all of it was found undamaged last; nil for never
}

// Size is the number of bytes. Nil has none.
func (b *Body) Size() int64 {
	if b == nil {
		return 0
	}
	return b.size
}

// Overhead is how many bytes of memory a body takes that is on disk. Nil takes
// none.
func (b *Body) Overhead() int64 {
	if b == nil {
		return 0
	}
	return 128 + int64(len(b.sums)+len(b.have))
}

// Alive reports whether the body can still be read, as far as is known: its record is
// the one with its hash, and the disk is not left alone.
func (b *Body) Alive() bool {
	if b.have != nil {
		return true
	}
	s := b.store
	p, ok := s.index.get(b.hash)
	return ok && p.bare() == b.place.bare() && s.has(b.segment) && !s.reads.resting() && !s.closed.Load()
}

// Bytes reads all of the body.
func (b *Body) Bytes() ([]byte, error) {
	if b.have != nil {
		return b.have, nil
	}
	whole := make([]byte, 0, b.size)
	err := b.Each(0, b.size, func(p []byte) error {
		whole = append(whole, p...)
		return nil
	})
	return whole, err
}

// Check reads all of the body to see whether it is undamaged.
func (b *Body) Check() error { return b.Each(0, b.size, func([]byte) error { return nil }) }

// Each calls each for the bytes of a part of the body, piece by piece, of which it
// may keep none, and returns its first error. What is passed on is what was
// written. An error on the way ends it.
func (b *Body) Each(from, length int64, each func([]byte) error) error {
	r, err := b.open()
	if err != nil {
		return err
	}
	defer r.Close()
	return r.Each(from, length, each)
}

// Drop removes the record that the body is of, if it is still there.
func (b *Body) Drop() {
	if b.store.index.remove(b.hash, b.place) {
		b.store.erase(b.place)
	}
}

func (b *Body) damaged() {
	if b.store.index.remove(b.hash, b.place) {
		b.store.counts.damaged.Add(1)
	}
}

// Reading is a body that somebody reads. It must be closed. Its methods must not be
// called concurrently.
type Reading struct {
	body  *Body
	file  File // nil for a body that is at hand
	began time.Time
	print *Print // of the file when it was opened; nil if that is not known

	at    int64            // where in the body the piece begins that was read last
	piece []byte           // it; nil for none
	room  *[blockSize]byte // where it is; nil for nowhere yet
	sound int64            // up to where, from its beginning, the body was found undamaged
}

// Open begins to read a part of the body. Its first blocks are checked before Open
// returns, and with whole all of the body is, unless it was since its file was written.
func (b *Body) Open(from int64, whole bool) (*Reading, error) {
	r, err := b.open()
	if err != nil {
		return nil, err
	}
	if err = r.begin(from, whole); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// open is Open, of a body of which nothing is read yet.
func (b *Body) open() (*Reading, error) {
	if b.have != nil {
		return &Reading{body: b}, nil
	}
	g, ok := b.store.pin(b.place)
	if !ok || g != b.segment {
		if ok {
			b.store.unpin(g, b.place)
		}
		return nil, ErrGone
	}
	r := &Reading{body: b, began: time.Now()}
	var err error
	if r.file, err = b.store.open(g, read); err != nil {
		b.store.unpin(g, b.place)
		return nil, b.store.failedToRead(g, err)
	}
	r.print = printOf(r.file)
	return r, nil
}

// Close ends the reading.
func (r *Reading) Close() {
	if r.file == nil {
		return
	}
	_ = r.file.Close() // nothing was written
	r.body.store.unpin(r.body.segment, r.body.place)
	if r.room != nil {
		r.body.store.rooms.Put(r.room)
		r.room, r.piece = nil, nil
	}
}

// begin reads what Open says.
func (r *Reading) begin(from int64, whole bool) error {
	b := r.body
	if r.file == nil || b.size == 0 {
		return nil
	}
	if length, _, err := r.file.Size(); err == nil && length < b.at+b.size {
		b.damaged()
		return errDamaged
	}
	from = from / blockSize * blockSize
	first, last := from, min(from+4*blockSize, b.size)
	if was := b.sound.Load(); whole && was != nil && r.print != nil && *was == *r.print {
		last = first
	} else if whole {
		first, last = 0, b.size
	}
	for at := first; at < last; at += int64(len(r.piece)) {
		if err := r.read(at); err != nil {
			return err
		}
	}
	return r.read(from)
}

// Each is that of the body.
func (r *Reading) Each(from, length int64, each func([]byte) error) error {
	if r.file == nil {
		return each(r.body.have[from : from+length])
	}
	end := from + length
	for at := from / blockSize * blockSize; at < end; {
		if err := r.read(at); err != nil {
			return err
		}
		n := int64(len(r.piece))
		if err := each(r.piece[max(from-at, 0):min(end-at, n)]); err != nil {
			return err
		}
		at += n
	}
	return nil
}

// read has in r.piece the block that begins at a place of the body.
func (r *Reading) read(at int64) error {
	b := r.body
	if len(r.piece) > 0 && r.at == at {
		return nil
	}
	if r.room == nil {
		r.room = b.store.rooms.Get().(*[blockSize]byte)
	}
	p := r.room[:min(blockSize, b.size-at)]
	r.piece = nil
	b.segment.reading.RLock()
	_, err := b.store.readAt(r.file, p, b.at+at)
	b.segment.reading.RUnlock()
	if err == nil || errors.Is(err, io.EOF) {
		if bad := checkBlocks(p, b.sums, at/blockSize); err != nil || bad != nil {
			b.damaged()
			return errDamaged
		}
	}
	if err != nil {
		b.store.index.remove(b.hash, b.place)
		return b.store.failedToRead(b.segment, err)
	}
	b.store.reads.fine(r.began)
	if r.at, r.piece = at, p; at == r.sound {
		r.heard(int64(len(p)))
	}
	return nil
}

// heard notes that so many bytes more from the beginning on are undamaged.
func (r *Reading) heard(n int64) {
	if r.sound += n; r.sound < r.body.size || r.print == nil {
		return
	}
	if now := printOf(r.file); now != nil && *now == *r.print {
		r.body.sound.Store(now)
	}
}
