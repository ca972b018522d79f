package edge

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/edge/disk"
)

// Disk is where an edge keeps what it has cached beside its memory.
//
// What was invalidated stands there too, before Invalidate returns, so that a later
// process with the same directory serves nothing of it. What was invalidated while
// none had the directory it cannot know: see Known.
type Disk struct {
	Dir   string
	Limit int64 // bytes of the disk, everything included

	// Known is what Pair was told last by the process before this one, whether
	// that had the same directory, another, or none: if it is not about this
	// directory, nothing that is there is served. Pair has to keep what it is told
	// before it returns. Nil says that every process that was ever told of an
	// invalidation had the directory.
	Known string
	Pair  func(token string) error

	// Replayed is closed when what was invalidated while there was no process was
	// passed to Invalidate. Nothing is served from disk before. Nil is at once.
	Replayed <-chan struct{}

	FS disk.FS // nil for the machine's
}

// tier is the part of the cache that is on disk. The nil tier is none.
type tier struct {
	edge     *Edge
	config   Disk
	store    *disk.Store
	ledger   *disk.Ledger
	log      *slog.Logger
	session  uint64
	token    string      // by which the session is known, and nobody else
	before   string      // that of the one that this one goes on from; empty for none
	trusted  atomic.Bool // what is on disk is known to be valid or invalidated
	given    atomic.Bool // what is on disk is given up, and nobody will take it for valid
	replayed atomic.Bool
	reads    singleflight.Group
	reading  chan struct{} // holds one for each read under way
	patience time.Duration // for how long a viewer waits for the disk
	held     int64         // how large a body is at most that is brought into memory
	hits     atomic.Uint64
	sweeps   chan struct{}
	orders   orders

	mu     sync.RWMutex
	last   uint64 // number of a lineage
	living map[string]*lineage
	byLine map[uint64]*lineage

	doubting sync.Mutex // one at a time makes everything anew
	shedding sync.Mutex // one at a time makes room for what is invalidated
}

// sessionBits are those of an epoch that count within one session, so that those of
// a session are above all of those before it, whatever was not written down.
const sessionBits = 40

// mostReads is how many lookups may wait for the disk at once.
const mostReads = 256

// indexShare is which part of the memory for responses the index of those on disk
// may take beside it, at some 32 bytes for each.
const indexShare = 8

// openTier opens the directory, and finds out whether what is there may be served.
func (e *Edge) openTier(c *Disk) (*tier, error) {
	t := &tier{
		edge: e, config: *c, token: rand.Text(), patience: diskPatience, held: heldOf(e.limit), log: e.log, sweeps: make(chan struct{}, 1), reading: make(chan struct{}, mostReads),
		living: make(map[string]*lineage), byLine: make(map[uint64]*lineage),
	}
	var err error
	t.store, err = disk.Open(disk.Options{
		Dir: c.Dir, Limit: c.Limit, Records: max(e.limit/indexShare/32, 1<<16), FS: c.FS, Log: e.log, Valid: t.valid, Hot: t.hot,
	})
	if err != nil {
		return nil, err
	}
	if err := t.begin(); err != nil {
		_ = t.doubt("open it", err) // nothing was invalidated yet that would depend on it
	}
	if c.Replayed == nil {
		t.replayed.Store(true)
	} else {
		e.start(t.awaitReplay)
	}
	e.start(t.sweepOnRequest)
	e.start(t.attend)
	return t, nil
}

func (t *tier) awaitReplay() {
	select {
	case <-t.config.Replayed:
		t.replayed.Store(true)
	case <-t.edge.ctx.Done():
	}
}

// begin reads the ledger, takes what is there for valid if that is certain, and
// begins a session.
func (t *tier) begin() error {
	ledger, entries, lost := t.store.Ledger()
	t.ledger = ledger
	c, err := readLedger(entries)
	if err = errors.Join(lost, err); err != nil {
		c, _ = readLedger(nil)
		err = fmt.Errorf("what was invalidated is not known: %w", err)
	} else if !t.paired(c) {
		err = errors.New("it was last used with another data directory, was put back from a copy, or freshet has run without it since")
	}
	if err != nil {
		if t.store.Stats().Records > 0 || len(entries) > 0 {
			t.log.Warn("nothing of what was cached on disk is served", slog.String("dir", t.config.Dir), slog.Any("because", err))
		}
		if err := t.store.Renew(); err != nil {
			return err
		}
		c, _ = readLedger(nil)
	}
	t.session, t.last, t.living, t.byLine = c.session+1, c.last, c.living, c.byLine
	if t.before = c.token; t.config.Pair != nil {
		_, t.before, _ = strings.Cut(t.config.Known, "/")
	}
	return t.settle()
}

// paired reports whether the process before this one had the directory, as it is: the
// ledger knows all that was invalidated then. That process may have been killed
// before it had written down in both places that it began, and so may those after it;
// then what is known is the session from which they went on.
func (t *tier) paired(c *annals) bool {
	if t.config.Pair == nil {
		return true
	}
	id, known, _ := strings.Cut(t.config.Known, "/")
	return id == t.store.ID() && known != "" && (known == c.token || known == c.before)
}

// settle writes down in both places which session this is. From then on what is on
// disk is trusted. The directory comes first: what is known elsewhere must never be
// later than what is in it, since so it is in one that was put back from a copy.
func (t *tier) settle() error {
	if err := t.noteAll(); err != nil {
		return err
	}
	if t.config.Pair != nil { // whose disk may be this one
		if err := t.withRoom(func() error { return t.config.Pair(t.store.ID() + "/" + t.token) }); err != nil {
			return fmt.Errorf("write down which cache on disk is used: %w", err)
		}
	}
	t.trusted.Store(true)
	return nil
}

// notes are the entries of a ledger that says what is known now.
func (t *tier) notes() [][]byte {
	t.mu.RLock()
	defer t.mu.RUnlock()
	most := t.ledger.Share() / 2
	for {
		notes, size := [][]byte{noteOfSession(t.session, t.token, t.before)}, int64(0)
		for _, l := range t.living {
			begun, told := l.noteBegin(), l.noteOf(l.history.all())
			notes = append(notes, begun, told)
			size += int64(len(begun) + len(told))
		}
		if size <= most {
			return notes
		}
		merged := false
		for _, l := range t.living {
			merged = l.history.shrink() || merged
		}
		if !merged {
			return notes
		}
	}
}

// note writes an entry down. Where others have filled the disk, what is cached makes
// room for that.
func (t *tier) note(entry []byte) error {
	var err error
	if t.ledger.Fits(len(entry)) {
		err = t.ledger.Append(entry)
	} else {
		err = t.ledger.Rewrite(t.notes)
	}
	if disk.IsFull(err) {
		return t.noteAll()
	}
	return err
}

// noteAll is note, with room made, for all that is known.
func (t *tier) noteAll() error {
	return t.withRoom(func() error { return t.ledger.Rewrite(t.notes) })
}

// withRoom does what has to be written. As long as the disk has no room for it what
// was cached longest ago goes.
func (t *tier) withRoom(do func() error) error {
	t.shedding.Lock()
	defer t.shedding.Unlock()
	err := do() // somebody else may have made room already
	for disk.IsFull(err) && t.store.Shed() {
		err = do()
	}
	return err
}

// invalidate has the edge, and those that have its directory later, serve nothing
// any more that the patterns cover. An error says that the latter is not certain.
func (s *site) invalidate(patterns []freshet.Pattern) error {
	epoch := s.epochs.invalidate(patterns)
	t := s.tier
	switch {
	case t == nil:
		return nil
	case t.trusted.Load():
		defer t.requestSweep()
		if err := t.note(s.lineage.noteOf(struckBy(patterns, epoch))); err != nil {
			return t.doubt("write down what is invalidated", err)
		}
		return nil
	case t.given.Load():
		return nil // there is nothing on disk that it could be about
	}
	return t.renew()
}

// doubt gives up what is on disk, since it is not certain that what was invalidated
// can be known later. It returns an error if it is not even certain that nobody
// serves it later.
func (t *tier) doubt(doing string, err error) error {
	if t.trusted.Swap(false) {
		t.given.Store(false)
	}
	t.log.Error("what is cached on disk is given up, and memory and origins go on without", slog.String("dir", t.config.Dir), slog.String("doing", doing), slog.Any("error", err))
	return t.renew()
}

// renew empties the directory and begins to use it anew, or at least sees to it
// that nobody takes what is there for valid.
func (t *tier) renew() error {
	t.doubting.Lock()
	defer t.doubting.Unlock()
	if t.trusted.Load() {
		return nil
	}
	var unpaired error
	if t.config.Pair != nil {
		unpaired = t.config.Pair("")
	}
	if err := t.store.Renew(); err != nil {
		if t.config.Pair != nil && unpaired == nil {
			t.given.Store(true)
			return nil
		}
		return fmt.Errorf("give up what is cached on disk: %w", errors.Join(err, unpaired))
	}
	t.given.Store(true)
	if err := t.settle(); err != nil {
		return nil //nolint:nilerr // the next attempt will do; what there was is gone
	}
	t.log.Info("the cache on disk is used again, and empty", slog.String("dir", t.config.Dir))
	return nil
}

// attendEvery is how often a directory is looked at that may have gone, or has been
// given up.
const attendEvery = 5 * time.Second

// attend brings a directory back that failed.
func (t *tier) attend() {
	tick := time.NewTicker(attendEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-t.edge.ctx.Done():
			return
		}
		if t.trusted.Load() && t.store.Missing() {
			_ = t.doubt("find the directory", errors.New("it was removed, or replaced"))
		}
		if !t.trusted.Load() {
			_ = t.renew() // who depends on it asks himself
		}
	}
}

// adopt gives a site the lineage that it goes on with, or a new one. t is not nil.
func (t *tier) adopt(s *site) error {
	print, err := printOf(s.config)
	if err != nil {
		return err
	}
	t.mu.Lock()
	l := t.living[s.config.ID]
	begins := l == nil || l.print != print || t.inUse(l)
	if begins {
		if l != nil {
			delete(t.byLine, l.number)
		}
		t.last++
		l = &lineage{number: t.last, id: s.config.ID, print: print, history: newEpochs(maxRecords)}
		t.living[l.id], t.byLine[l.number] = l, l
	}
	t.mu.Unlock()
	s.tier, s.lineage = t, l
	s.epochs.lastingIn(l.history, t.session<<sessionBits)
	if begins {
		t.noted(l.noteBegin())
	}
	return nil
}

// inUse reports whether a site of this process has the lineage.
func (t *tier) inUse(l *lineage) bool {
	for _, s := range t.edge.serving().sites {
		if s.lineage == l {
			return true
		}
	}
	return false
}

// adoptAll has all sites have a lineage, before they are served.
func (t *tier) adoptAll(next *served) error {
	if t == nil {
		return nil
	}
	for _, s := range next.sites {
		if s.lineage == nil {
			if err := t.adopt(s); err != nil {
				return err
			}
		}
	}
	t.retain(next)
	return nil
}

// retain ends the lineages of distributions that are served no more.
func (t *tier) retain(next *served) {
	t.mu.Lock()
	var ended []*lineage
	for id, l := range t.living {
		if next.byID[id] == nil {
			ended = append(ended, l)
			delete(t.living, id)
			delete(t.byLine, l.number)
		}
	}
	t.mu.Unlock()
	for _, l := range ended {
		t.noted(l.noteEnd())
	}
}

// noted is note for what cannot fail.
func (t *tier) noted(entry []byte) {
	if t.trusted.Load() {
		if err := t.note(entry); err != nil {
			_ = t.doubt("write down what is served", err)
		}
	}
}

func (t *tier) lineage(number uint64) *lineage {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.byLine[number]
}

// valid is of disk.Options.
func (t *tier) valid(label []byte) bool {
	l, err := readLabel(label)
	return err == nil && t.holds(&l)
}

// holds reports whether what a label speaks of was not invalidated.
func (t *tier) holds(l *onDisk) bool {
	line := t.lineage(l.line)
	return line != nil && !line.history.known().covered(l.names, l.birth)
}

// hot is of disk.Options.
func (t *tier) hot(label []byte) bool {
	l, err := readLabel(label)
	if err != nil {
		return false
	}
	line := t.lineage(l.line)
	if line == nil {
		return false
	}
	s := t.edge.serving().byID[line.id]
	return s != nil && s.lineage == line && t.edge.store.has(key{s.number, l.url, l.variant})
}

// close lets go of the directory.
func (t *tier) close() error {
	if t == nil {
		return nil
	}
	return t.store.Close()
}

// hashOf is under what a response is kept.
func (l *lineage) hashOf(k *key) uint64 { return disk.Hash(l.number, k.url, k.variant) }

// keyOf is hashOf as a text.
func keyOf(hash uint64) string {
	var b [8]byte
	for i := range b {
		b[i] = byte(hash >> (8 * i))
	}
	return hex.EncodeToString(b[:])
}

// requestSweep asks for a sweep of the disk soon. It never blocks.
func (t *tier) requestSweep() {
	select {
	case t.sweeps <- struct{}{}:
	default:
	}
}

// idleShare is how many times as long as it works a sweep of the disk rests.
const idleShare = 9

func (t *tier) sweepOnRequest() {
	again := time.NewTimer(time.Hour)
	defer again.Stop()
	for {
		select {
		case <-t.sweeps:
		case <-again.C:
		case <-t.edge.ctx.Done():
			return
		}
		again.Reset(sweepDelay)
		select {
		case <-again.C:
		case <-t.edge.ctx.Done():
			return
		}
		if again.Reset(time.Hour); !t.sweep() {
			again.Reset(time.Minute)
		}
	}
}

// sweep removes from disk what was invalidated, or is of no distribution, and
// forgets what is then of no more use. It reports whether it came to its end.
func (t *tier) sweep() bool {
	began := make(map[*lineage]uint64)
	for _, s := range t.edge.serving().sites {
		began[s.lineage] = s.epochs.counter.Load()
	}
	if !t.store.Sweep(idleShare, t.edge.ctx.Done()) {
		return false
	}
	for l, epoch := range began {
		l.history.forget(epoch, epoch)
	}
	return true
}
