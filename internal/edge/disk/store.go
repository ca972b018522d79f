// Package disk keeps records in a directory, within a limit of bytes, and finds
// them again after a restart. It knows nothing of what is in them.
//
// Records are appended to segments, which are files; when there is no room for
// more, the oldest segment goes as a whole, and what was used of it is appended
// anew. Whatever is read is checked against checksums first, so that what was torn,
// damaged or brought to the wrong place is not there. Records are not synced: what
// a loss of power takes is not there either. Beside them is a Ledger, of which what
// was acknowledged is never lost.
package disk

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofrs/flock"
)

// Options are where and how much. Dir and Limit are required.
type Options struct {
	Dir     string
	Limit   int64 // bytes of the disk, everything included
	Records int64 // at most; 0 for as many as there is room for

	// Valid reports whether the record with a label may still be used. It is asked
	// before a record is found that was written, or written anew: a sweep that begins
	// later asks again. Nil for all.
	Valid func(label []byte) bool

	// Hot reports whether the record with a label is in use, although nobody may
	// have read it here for a long time: then it is kept when its segment goes. Nil
	// for nobody who says so.
	Hot func(label []byte) bool

	FS  FS            // nil for the machine's
	Log *slog.Logger  // nil for none
	Few time.Duration // for how long a lookup waits for what is not indexed yet; 0 for 200 ms
}

// LeastLimit is the smallest limit.
const LeastLimit = 1 << 20

// Store is a directory of records. It must be closed. Its methods may be called
// concurrently.
type Store struct {
	fs       FS
	dir      string
	limit    int64
	most     int64 // records
	full     int64 // size of a segment with many records
	valid    func(label []byte) bool
	hot      func(label []byte) bool
	log      *slog.Logger
	patience time.Duration
	unlock   func() error
	locked   os.FileInfo // the file that is
	ledger   *Ledger
	written  [][]byte // entries of the ledger, as they were found
	lost     error    // why there are none

	index   *index
	rooms   sync.Pool // *[blockSize]byte for what is read of bodies, small enough to stay in a processor's cache
	asked   asked
	reads   *trouble
	writes  *trouble
	counts  counts
	loaded  chan struct{} // closed once the index is complete
	queued  atomic.Int64  // bytes that wait to be written
	closed  atomic.Bool
	loading sync.WaitGroup

	commits sync.RWMutex // held while a record is written, checked and indexed; locked when a sweep begins
	writing sync.Mutex   // one append at a time
	active  *segment     // nil for none; writing is held

	mu    sync.Mutex
	byID  map[uint32]*segment
	order []*segment // the oldest first
	left  []*segment // that were removed, but whose files could not be
	taken int64      // bytes of the disk, removed segments that are still read included
	id    string
	era   int // counts how often everything was removed
	ids   uint32
	last  uint64 // number of a segment
}

// Stats is what a store has and has done.
type Stats struct {
	Records   int64
	Bytes     int64 // that it takes of the disk
	Limit     int64
	Reads     uint64 // of records that were found
	Writes    uint64 // of records
	Refused   uint64 // records that were not written, since the disk was busy or failing
	Damaged   uint64 // records that were not what had been written
	Reclaimed uint64 // records that had to make room
	Errors    uint64 // of the file system
	Failing   bool
}

type counts struct{ reads, writes, refused, damaged, reclaimed, errors atomic.Uint64 }

// Names of files in the directory.
const (
	formatFile = "format"
	lockFile   = "lock"
)

const formatText = "freshet's cache on disk, format 1\n"

// ErrForeign is what Open fails with for a directory that holds something else.
var ErrForeign = errors.New("it is not empty and holds no cache of freshet's: name an empty directory, or one that does not exist")

// ErrInUse is what Open fails with for a directory that another process uses.
var ErrInUse = errors.New("another process uses it")

// Open opens the store in a directory, which is made if it is missing. Records are
// found once the index has been read, which goes on behind the caller's back.
func Open(o Options) (*Store, error) {
	s, err := open(o)
	if err != nil {
		return nil, fmt.Errorf("cache on disk in %s: %w", o.Dir, err)
	}
	return s, nil
}

func open(o Options) (*Store, error) {
	s := &Store{
		fs: o.FS, dir: o.Dir, limit: o.Limit, most: o.Records, valid: o.Valid, hot: o.Hot, log: o.Log, patience: o.Few,
		index: newIndex(), byID: make(map[uint32]*segment), loaded: make(chan struct{}),
		rooms: sync.Pool{New: func() any { return new([blockSize]byte) }},
		asked: asked{began: make(map[uint64]time.Time)},
	}
	if o.Limit < LeastLimit {
		return nil, fmt.Errorf("%d bytes are too few, at least %d are needed", o.Limit, LeastLimit)
	}
	if s.valid == nil {
		s.valid = func([]byte) bool { return true }
	}
	if s.hot == nil {
		s.hot = func([]byte) bool { return false }
	}
	if s.fs == nil {
		s.fs = System{}
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.patience == 0 {
		s.patience = 200 * time.Millisecond
	}
	s.full = min(max(o.Limit/64, 64<<10), 32<<20)
	s.reads, s.writes = newTroubles(s)
	if err := s.take(); err != nil {
		return nil, err
	}
	s.ledger, s.written, s.lost = openLedger(s.fs, s.dir, min(max(o.Limit/16, 64<<10), 64<<20))
	found, err := s.find()
	if err != nil {
		return nil, errors.Join(err, s.unlock())
	}
	s.loading.Go(func() { s.load(found) })
	return s, nil
}

// take makes the directory ours.
func (s *Store) take() error {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	names, err := s.fs.List(s.dir)
	if err != nil {
		return err
	}
	if !slices.Contains(names, formatFile) && slices.ContainsFunc(names, isForeign) {
		return ErrForeign
	}
	if err := s.lock(); err != nil {
		return err
	}
	if err := s.readFormat(); err != nil {
		return errors.Join(err, s.unlock())
	}
	return nil
}

// isForeign reports whether a file is none of a store's.
func isForeign(name string) bool {
	if _, _, ok := segmentOf(name); ok {
		return false
	}
	ledgers := ledgerFiles()
	return !slices.Contains(append(ledgers[:], formatFile, lockFile, "lost+found"), strings.TrimSuffix(name, newSuffix))
}

// lock keeps others out of the directory. If the lock is held already, but on one that
// was in its place before, the other is let go.
func (s *Store) lock() error {
	path := filepath.Join(s.dir, lockFile)
	if held, err := os.Stat(path); err == nil && s.locked != nil && os.SameFile(held, s.locked) {
		return nil
	}
	lock := flock.New(path, flock.SetPermissions(0o600))
	switch ours, err := lock.TryLock(); {
	case err != nil:
		return fmt.Errorf("lock it: %w", err)
	case !ours:
		return ErrInUse
	}
	held, err := os.Stat(path)
	if err != nil {
		return errors.Join(fmt.Errorf("lock it: %w", err), lock.Unlock())
	}
	s.mu.Lock()
	before := s.unlock
	s.locked, s.unlock = held, lock.Unlock
	s.mu.Unlock()
	if before != nil {
		return before() // of a directory that is another's now, or nobody's
	}
	return nil
}

// errVersion is what Open fails with for a directory of another freshet's.
var errVersion = errors.New("its format is that of another version: empty the directory, or name another")

// readFormat finds out whose directory it is, and makes it one's own that is empty. One
// of which that is damaged holds nothing any more.
func (s *Store) readFormat() error {
	text, err := s.readFile(formatFile)
	if errors.Is(err, os.ErrNotExist) {
		return s.writeFormat()
	}
	if err != nil {
		return err
	}
	id, ok := strings.CutPrefix(string(text), formatText)
	id, ended := strings.CutSuffix(id, "\n")
	if _, err := hex.DecodeString(id); ok && ended && err == nil && len(id) == 32 {
		s.id = id
		return nil
	}
	if isOtherFormat(string(text)) {
		return errVersion
	}
	names, err := s.fs.List(s.dir)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(names, isForeign) {
		return ErrForeign
	}
	s.log.Warn("which cache is on disk cannot be read any more: it is begun anew", slog.String("dir", s.dir))
	return s.writeFormat()
}

// isOtherFormat reports whether a text says that a directory has another format.
func isOtherFormat(text string) bool {
	before, after, _ := strings.Cut(formatText, "1")
	number, ok := strings.CutPrefix(text, before)
	number, _, ended := strings.Cut(number, after)
	n, err := strconv.ParseUint(number, 10, 32)
	return ok && ended && err == nil && n != 1
}

// writeFormat gives the directory an identity, once it is certain that it is kept.
func (s *Store) writeFormat() error {
	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails
	id := hex.EncodeToString(random[:])
	if err := s.writeFile(formatFile, []byte(formatText+id+"\n")); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.id = id
	return nil
}

// ID names what is in the directory, and no other.
func (s *Store) ID() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.id
}

// Ledger returns the ledger of the directory, and the entries that were in it when
// it was opened. An error says that some of them may be missing. Before anything is
// appended it has to be rewritten.
func (s *Store) Ledger() (l *Ledger, entries [][]byte, lost error) {
	return s.ledger, s.written, s.lost
}

// Renew removes everything, and gives the directory another identity, by which it
// is known that it holds nothing of what it did. A directory that was removed is
// made again; one that another has taken the place of is used only if Open would have
// used that. It must not be called twice at once.
func (s *Store) Renew() error {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return fmt.Errorf("make the cache on disk anew: %w", err)
	}
	if err := s.regain(); err != nil {
		return fmt.Errorf("make the cache on disk anew in %s: %w", s.dir, err)
	}
	s.Empty()
	if err := s.writeFormat(); err != nil {
		return fmt.Errorf("make the cache on disk anew in %s: %w", s.dir, err)
	}
	return nil
}

// regain makes the directory ours that is there now, if it is not.
func (s *Store) regain() error {
	if s.closed.Load() {
		return ErrClosed
	}
	names, err := s.fs.List(s.dir)
	if err != nil {
		return err
	}
	if !slices.Contains(names, formatFile) && slices.ContainsFunc(names, isForeign) {
		return ErrForeign
	}
	return s.lock()
}

// Missing reports whether the directory is not there any more, or another one is.
func (s *Store) Missing() bool {
	text, err := s.readFile(formatFile)
	return errors.Is(err, os.ErrNotExist) || err == nil && string(text) != formatText+s.ID()+"\n"
}

const newSuffix = ".new"

// writeFile replaces a file as a whole.
func (s *Store) writeFile(name string, text []byte) error { return writeFile(s.fs, s.dir, name, text) }

func writeFile(fs FS, dir, name string, text []byte) error {
	path := filepath.Join(dir, name)
	f, err := fs.Open(path+newSuffix, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(text, 0)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, fs.Remove(path+newSuffix))
	}
	if err := fs.Rename(path+newSuffix, path); err != nil {
		return err
	}
	return fs.SyncDir(dir)
}

func (s *Store) readFile(name string) ([]byte, error) { return readFile(s.fs, s.dir, name) }

func readFile(fs FS, dir, name string) ([]byte, error) {
	f, err := fs.Open(filepath.Join(dir, name), read)
	if err != nil {
		return nil, err
	}
	length, _, err := f.Size()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	text := make([]byte, length)
	if length > 0 {
		_, err = f.ReadAt(text, 0)
	}
	return text, errors.Join(err, f.Close())
}

// Close seals what was written last, and lets go of the directory. It may be
// called twice. Nothing is found or kept afterwards.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	s.loading.Wait()
	s.writing.Lock()
	defer s.writing.Unlock()
	var err error
	if s.active != nil && s.active.file != nil {
		err = s.active.seal()
		s.active = nil
	}
	s.mu.Lock()
	unlock := s.unlock
	s.mu.Unlock()
	return errors.Join(err, s.ledger.close(), unlock())
}

// Stats returns what there is to count.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	taken := s.taken
	s.mu.Unlock()
	c := &s.counts
	return Stats{
		Records: s.index.len(), Bytes: taken + s.fixed(), Limit: s.limit, Reads: c.reads.Load(), Writes: c.writes.Load(), Refused: c.refused.Load(),
		Damaged: c.damaged.Load(), Reclaimed: c.reclaimed.Load(), Errors: c.errors.Load(), Failing: s.reads.resting() || s.writes.resting(),
	}
}

// fixed is what the store takes of the disk beside segments: the directory, the
// lock and the format, and the ledger.
func (s *Store) fixed() int64 { return 4*page + s.ledger.taken() }

const page = 4096

// taking is how much of a disk a file of so many bytes takes.
func taking(length int64) int64 { return (length + page - 1) / page * page }
