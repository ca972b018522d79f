package disk

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// find lists the segments in the directory, the latest first, and the
// bytes that they take. Nothing of the segments is read yet.
func (s *Store) find() (found []*segment, err error) {
	names, err := s.fs.List(s.dir)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if number, alone, ok := segmentOf(name); ok {
			s.last = max(s.last, number)
			found = append(found, &segment{number: number, alone: alone, name: name, seed: seedOf(s.id)})
		} else if strings.HasSuffix(name, newSuffix) {
			_ = s.fs.Remove(filepath.Join(s.dir, name)) // what somebody was writing when it was killed
		}
	}
	slices.SortFunc(found, func(a, b *segment) int {
		if a.number > b.number {
			return -1
		}
		return 1
	})
	for _, g := range found {
		f, err := s.open(g, read)
		if err == nil {
			_, g.taken, err = f.Size()
			err = errors.Join(err, f.Close())
		}
		if err != nil {
			s.reads.failed("look at "+g.name, err)
		}
		s.adopt(g)
	}
	slices.Reverse(s.order)
	return found, nil
}

// adopt makes a segment one of the store's, the latest.
func (s *Store) adopt(g *segment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ids++; s.ids > maxID {
		s.ids = 1
	}
	for s.byID[s.ids] != nil {
		s.ids++
	}
	g.id = s.ids
	s.byID[g.id] = g
	s.order = append(s.order, g)
	s.taken += g.taken
}

// load fills the index from segments, the latest first.
func (s *Store) load(found []*segment) {
	defer close(s.loaded)
	began := time.Now()
	for _, g := range found {
		for attempt := 1; ; attempt++ {
			err := s.loadSegment(g)
			if s.closed.Load() {
				return
			}
			if err == nil {
				break
			}
			if s.reads.failed("read "+g.name, err); attempt == mostAttempts {
				s.discard(g)
				break
			}
			s.awaitRest()
		}
	}
	s.fit()
	s.log.Debug("the cache on disk is indexed", slog.String("dir", s.dir), slog.Int64("records", s.index.len()), slog.Duration("took", time.Since(began)))
}

// fit ends what the index has to know only while it is not complete, and makes room where
// there was a higher limit before.
func (s *Store) fit() {
	s.commits.RLock() // since to make room is to write anew what is in use
	defer s.commits.RUnlock()
	s.writing.Lock()
	defer s.writing.Unlock()
	s.index.unbar()
	s.makeRoom(0)
}

// mostAttempts is how often it is tried to read a segment, with rests in between,
// before it is given up: what cannot be read now may be as well as ever.
const mostAttempts = 4

// awaitRest returns when the disk is not left alone any more.
func (s *Store) awaitRest() {
	for s.reads.resting() && !s.closed.Load() {
		<-time.After(20 * time.Millisecond)
	}
}

// loadSegment adds the records of a segment to the index, and seals it if it was
// not.
func (s *Store) loadSegment(g *segment) error {
	if !s.has(g) {
		return nil
	}
	f, err := s.open(g, change)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	length, _, err := f.Size()
	if err != nil {
		return err
	}
	contents, where, sealed, err := g.contentsOf(f, length)
	if err != nil {
		return err
	}
	records := 0
	eachContent(contents, func(c content) {
		if s.index.add(c.hash, placeAt(g.id, c.at)) || !g.alone { // a later one stands in its place
			records++
		}
	})
	s.commits.RLock() // since to make room is to write anew what is in use
	defer s.commits.RUnlock()
	s.writing.Lock()
	defer s.writing.Unlock()
	g.end, g.contents = length, where
	switch {
	case !s.has(g): // it had to make room meanwhile
		eachContent(contents, func(c content) { s.index.remove(c.hash, placeAt(g.id, c.at)) })
	case records == 0:
		s.discard(g)
	case !sealed && !g.alone:
		g.entries = contents
		s.sealFound(g)
	case g.alone:
		g.entries = contents
	}
	return nil
}

// contentsOf is the table of contents of a segment that was found.
func (s *segment) contentsOf(f File, length int64) (contents []byte, where span, sealed bool, err error) {
	if s.alone {
		contents, err = s.lone(f, length)
		return contents, span{}, false, err
	}
	contents, where, sealed, err = s.readContents(f, length)
	if err == nil && !sealed {
		contents, err = s.scan(f, length)
		where = span{}
	}
	return contents, where, sealed, err
}

// sealFound gives a segment the table of contents that it lacks. Without, it is in
// memory. s.writing is held.
func (s *Store) sealFound(g *segment) {
	f, err := s.open(g, change)
	if err != nil {
		return
	}
	if !s.makeRoom(taking(int64(len(g.entries)) + trailerSize + align)) {
		_ = f.Close()
		return
	}
	g.file = f
	if g.seal() == nil {
		s.resize(g, taking(g.end))
	}
}

// measure finds out what a segment takes of the disk since parts of it were erased.
func (s *Store) measure(g *segment) {
	f, err := s.open(g, read)
	if err != nil {
		return
	}
	_, taken, err := f.Size()
	if errors.Join(err, f.Close()) != nil {
		return
	}
	s.resize(g, min(taken, taking(g.end)))
}

func (s *Store) resize(g *segment, taken int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !g.removed {
		s.taken += taken - g.taken
		g.taken = taken
	}
}

// discard removes a segment with all its records, which the index may still know.
func (s *Store) discard(g *segment) {
	s.mu.Lock()
	if g.removed {
		s.mu.Unlock()
		return
	}
	g.removed = true
	delete(s.byID, g.id)
	if i := slices.Index(s.order, g); i >= 0 {
		s.order = slices.Delete(s.order, i, i+1)
	}
	s.mu.Unlock()
	s.unlink(g) // without the lock, which who reads waits for: a large file takes its time
}

// unlink removes the file of a segment that was removed. If that fails its space is
// not ours again, and it is tried later.
func (s *Store) unlink(g *segment) {
	err := s.fs.Remove(filepath.Join(s.dir, g.name))
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	if err != nil {
		s.writes.failed("remove "+g.name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.left = append(s.left, g)
		return
	}
	g.gone = true
	s.release(g)
}

// removeLeft removes what could not be removed before.
func (s *Store) removeLeft() {
	if s.writes.resting() {
		return
	}
	s.mu.Lock()
	left := s.left
	s.left = nil
	s.mu.Unlock()
	for _, g := range left {
		s.unlink(g)
	}
}

// isLeft reports whether there is something that could not be removed.
func (s *Store) isLeft() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.left) > 0
}

// release gives the space of a removed segment back once nobody reads it. s.mu is
// held.
func (s *Store) release(g *segment) {
	if g.gone && len(g.pins) == 0 {
		s.taken -= g.taken
		g.taken = 0
	}
}

// Empty removes all records.
func (s *Store) Empty() {
	s.writing.Lock()
	defer s.writing.Unlock()
	if s.active != nil && s.active.file != nil {
		_ = s.active.file.Close()
		s.active.file = nil
	}
	s.active = nil
	s.mu.Lock()
	all := slices.Clone(s.order)
	s.mu.Unlock()
	for _, g := range all {
		s.discard(g)
	}
	s.index.clear()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.era++
}
