package disk

import (
	"errors"
	"slices"
	"time"
)

// mostAgain is how many bytes of a segment that goes are kept by appending them
// anew, so that room is made by what was not used.
func (s *Store) mostAgain() int64 { return min(s.full/2, 8<<20) }

// budget is what segments may take of the disk.
func (s *Store) budget() int64 { return s.limit - 4*page - s.ledger.room }

// makeRoom has so many bytes free, and reports false if that cannot be. s.commits
// and s.writing are held.
func (s *Store) makeRoom(n int64) bool {
	again, ok := s.reclaim(n)
	if len(again) == 0 {
		return ok
	}
	if last := &again[len(again)-1]; !s.fits(sizeOf(again), &last.Written) {
		more, enough := s.reclaim(n + s.full)
		again = append(again, more...)
		if enough && s.turn() != nil {
			return false
		}
	}
	s.readmit(again)
	return s.isFree(n)
}

// sizeOf is more than what records take of a segment, but for the table of
// contents.
func sizeOf(again []kept) (sum int64) {
	for i := range again {
		h := again[i].header()
		sum += h.size() + contentSize + h.label
	}
	return sum
}

// kept is a record of a segment that goes.
type kept struct {
	Written

	from place
}

// reclaim removes segments, the oldest first, until so many bytes are free, and
// returns those of their records that are in use: the index still has them where
// they were. s.commits and s.writing are held.
func (s *Store) reclaim(n int64) (again []kept, ok bool) {
	s.removeLeft()
	spared, size := s.segments(), int64(0)
	for {
		if s.isFree(n) {
			return again, true
		}
		g := s.oldest()
		if g == nil || s.isLeft() {
			return again, false // or nothing would be there any more, and no more room than before
		}
		if g.alone && spared > 0 && s.isHot(g) {
			spared--
			s.spare(g)
			continue
		}
		before := len(again)
		if !g.alone {
			for k := range s.hotOf(g, s.mostAgain()-size) {
				again = append(again, k)
				size += int64(len(k.Head) + len(k.Label) + len(k.Body))
			}
		}
		s.drop(g, again[before:])
	}
}

// Shed removes the oldest segment although there is room, since somebody else has
// filled the disk, and reports whether there was one.
func (s *Store) Shed() bool {
	s.writing.Lock()
	defer s.writing.Unlock()
	g := s.oldest()
	if g == nil && s.active != nil {
		if g = s.active; g.file != nil {
			_ = g.file.Close() // it goes
			g.file = nil
		}
		s.active = nil
	}
	if g == nil {
		return false
	}
	s.drop(g, nil)
	return !s.isLeft()
}

// isFree reports whether so many bytes, and a place in the index, are free.
func (s *Store) isFree(n int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.taken+n <= s.budget() && (s.most == 0 || s.index.len() <= s.most)
}

func (s *Store) segments() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.order)
}

// oldest is the segment to go next; nil for none but the active one. s.writing is
// held.
func (s *Store) oldest() *segment {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.order {
		if g != s.active {
			return g
		}
	}
	return nil
}

// spare gives a segment another round.
func (s *Store) spare(g *segment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.order, g); i >= 0 {
		s.order = append(slices.Delete(s.order, i, i+1), g)
	}
}

// isHot reports whether the record of a segment that has one is in use. That is
// asked once, unless it is used again.
func (s *Store) isHot(g *segment) (hot bool) {
	eachContent(g.entries, func(c content) {
		p, ok := s.index.get(c.hash)
		if !ok || p.bare() != placeAt(g.id, c.at) {
			return
		}
		if hot = p.used(); hot {
			s.index.put(c.hash, p.bare())
		}
		hot = hot || s.hot(c.label)
	})
	return hot
}

// hotOf returns the records in use of a segment, up to so many bytes.
func (s *Store) hotOf(g *segment, most int64) func(yield func(kept) bool) {
	return func(yield func(kept) bool) {
		eachContent(s.contents(g), func(c content) {
			from := placeAt(g.id, c.at)
			p, ok := s.index.get(c.hash)
			if !ok || p.bare() != from || c.size > most || !p.used() && !s.hot(c.label) {
				return
			}
			r, err := s.read(g, c.hash, from)
			if err != nil {
				return
			}
			if body, err := r.Body.Bytes(); err == nil {
				most -= c.size
				yield(kept{Written{Hash: c.hash, Label: r.Label, Head: r.Head, Body: body}, from})
			}
		})
	}
}

// readmit appends records anew, as far as they are valid and fit into the active
// segment. s.commits and s.writing are held.
func (s *Store) readmit(again []kept) {
	for i := range again {
		k := &again[i]
		h := k.header()
		if !s.valid(k.Label) || !s.fits(h.size(), &k.Written) {
			s.index.remove(k.Hash, k.from)
			continue
		}
		b, err := s.append(h, &k.Written)
		if err != nil {
			s.index.remove(k.Hash, k.from)
		} else if !s.index.move(k.Hash, k.from, b.place) { // it was removed meanwhile
			s.bury(b.segment, b.segment.file, b.place.at(), h.size())
		}
	}
}

// drop removes a segment and its records to make room; the index keeps those that
// are written anew.
func (s *Store) drop(g *segment, again []kept) {
	stays := make(map[place]bool, len(again))
	for _, k := range again {
		stays[k.from] = true
	}
	eachContent(s.contents(g), func(c content) {
		if p := placeAt(g.id, c.at); !stays[p] && s.index.remove(c.hash, p) {
			s.counts.reclaimed.Add(1)
		}
	})
	s.discard(g)
}

// contents is the table of contents of a segment, of which the caller may change
// nothing; nothing if it cannot be read. s.writing is held.
func (s *Store) contents(g *segment) []byte {
	if g.contents.length == 0 {
		return g.entries
	}
	f, err := s.open(g, read)
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }() // nothing was written
	contents, _, ok, err := g.readContents(f, g.end)
	if err != nil || !ok {
		return nil
	}
	return contents
}

// Remove removes the record with a hash, if there is one.
func (s *Store) Remove(hash uint64) {
	bar := true
	select {
	case <-s.loaded:
		bar = false
	default:
	}
	if p, was := s.index.forget(hash, bar); was {
		s.erase(p)
	}
}

// erase makes a record one that the next start does not find either.
func (s *Store) erase(p place) {
	s.writing.Lock()
	defer s.writing.Unlock()
	g, ok := s.pin(p)
	if !ok || s.writes.resting() {
		if ok {
			s.unpin(g, p)
		}
		return
	}
	defer s.unpin(g, p)
	if g.alone {
		s.discard(g)
		return
	}
	f := g.file
	if f == nil {
		var err error
		if f, err = s.open(g, change); err != nil {
			_ = s.failedToRead(g, err) // either it is noted, or the record is gone
			return
		}
		defer func() { _ = f.Close() }() // a failure was seen when it was written
	}
	s.bury(g, f, p.at(), 0)
}

// bury writes in the place of a record that there is none any more. The size is
// that of the record; 0 for what its header says.
func (s *Store) bury(g *segment, f File, at, size int64) {
	if size == 0 {
		b := make([]byte, headerSize)
		if _, err := f.ReadAt(b, at); err != nil {
			s.reads.failed("read "+g.name, err)
			return
		}
		h, ok := readHeader(b, g, at)
		if !ok {
			return
		}
		size = h.size()
	}
	h := header{body: size - headerSize, flags: erased, segment: g.number, at: at}
	if _, err := f.WriteAt(h.append(nil, g.seed), at); err != nil {
		s.writes.failed("write "+g.name, err)
	}
}

// Sweep removes the records that are not valid, and gives their space back to the
// system. What was written before it began is looked at, all of it, or false
// is returned: then something could not be, or stop was closed. Between two
// segments it pauses for idle times the time that one has taken.
func (s *Store) Sweep(idle int, stop <-chan struct{}) (complete bool) {
	s.commits.Lock()   // whoever wrote something that was valid then has had it indexed
	s.commits.Unlock() //nolint:staticcheck // nothing is to be done meanwhile
	select {
	case <-s.loaded:
	case <-stop:
		return false
	}
	s.mu.Lock()
	all := slices.Clone(s.order)
	s.mu.Unlock()
	complete = true
	for _, g := range all {
		began := time.Now()
		complete = s.sweepSegment(g) && complete
		rest := time.NewTimer(time.Duration(idle) * time.Since(began))
		select {
		case <-rest.C:
		case <-stop:
			rest.Stop()
			return false
		}
	}
	return complete
}

// sweepSegment removes what is not valid of one segment, and reports whether that
// was possible.
func (s *Store) sweepSegment(g *segment) bool {
	s.writing.Lock()
	contents, sealed := g.entries[:len(g.entries):len(g.entries)], g.contents.length > 0
	s.writing.Unlock()
	if sealed {
		contents = s.contents(g)
	}
	if len(contents) == 0 {
		return !s.has(g)
	}
	dead, live := s.outdated(g, contents)
	s.writing.Lock()
	defer s.writing.Unlock()
	switch {
	case !s.has(g):
		return true
	case live == 0 && g != s.active:
		s.discard(g)
		return true
	case len(dead) == g.swept:
		return true
	}
	return s.eraseAll(g, dead)
}

// outdated removes what is not valid of a segment from the index. It returns where
// all is that can be erased, and how many records are left.
func (s *Store) outdated(g *segment, contents []byte) (dead []span, live int) {
	eachContent(contents, func(c content) {
		at := placeAt(g.id, c.at)
		p, ok := s.index.get(c.hash)
		here := ok && p.bare() == at
		if here && s.valid(c.label) {
			live++
			return
		}
		if here {
			s.index.remove(c.hash, at)
		}
		dead = append(dead, span{c.at, c.size})
	})
	return dead, live
}

// eraseAll erases parts of a segment, but for what somebody reads right now.
// s.writing is held.
func (s *Store) eraseAll(g *segment, dead []span) (all bool) {
	swept := len(dead)
	dead = slices.DeleteFunc(dead, func(d span) bool { return s.isRead(g, placeAt(g.id, d.at)) })
	all = len(dead) == swept
	g.reading.Lock()
	defer g.reading.Unlock()
	f, err := s.open(g, change)
	if err != nil {
		return errors.Is(s.failedToRead(g, err), ErrGone)
	}
	defer func() { _ = f.Close() }() // a failure was seen when it was written
	for i := 0; i < len(dead); i++ {
		d := dead[i]
		if g.contents.length > 0 { // nobody will look for where the records begin
			for i+1 < len(dead) && dead[i+1].at == d.at+d.length {
				i++
				d.length += dead[i].length
			}
			err = f.Erase(d.at, d.length)
		} else {
			s.bury(g, f, d.at, d.length)
			err = f.Erase(d.at+headerSize, d.length-headerSize)
		}
		if err != nil {
			s.writes.failed("erase parts of "+g.name, err)
			return false
		}
	}
	if all {
		g.swept = swept
	}
	if g != s.active {
		s.measure(g)
	}
	return all
}
