package edge

import (
	"bytes"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/freshet/freshet/internal/edge/disk"
)

// With a disk, how large a body is at most that is held in memory too, and up to
// which size it is read as a whole before any of it is sent, to see whether it is
// undamaged. Of larger ones each piece is, before it is sent.
const (
	heldBody    = windowSize
	checkedBody = 8 << 20
)

// heldOf is how large a body is at most that is brought from disk into so much memory.
// What takes more than a thousandth of that would drive out too much for its one viewer.
func heldOf(memory int64) int64 { return min(max(memory/1024, 2*largeBody), heldBody) }

// diskPatience is for how long a viewer waits for the disk, before the origin is
// asked.
const diskPatience = time.Second

// errSlow is what a disk fails with that does not answer in time.
var errSlow = errors.New("the disk does not answer")

// find returns the copy that may answer q, fresh or expired, or nil: from memory,
// or else from disk, after which it is in memory. It may wait for the disk.
func (e *Edge) find(q *query) *entry {
	stored := q.site.lookupFor(q)
	if stored == nil {
		return e.recall(q)
	}
	if stored.remote != nil && !stored.remote.Alive() {
		q.site.store.drop(stored)
		return nil
	}
	return stored
}

// recallPart brings the part that a query asks for from disk into memory, if it is
// there.
func (e *Edge) recallPart(q *query) {
	if q.site.tier.serves() && q.site.lookup(q.key) == nil {
		e.recall(q)
	}
}

// serves reports whether what is on disk may be served.
func (t *tier) serves() bool { return t != nil && t.trusted.Load() && t.replayed.Load() }

// recall is find for what is not in memory.
func (e *Edge) recall(q *query) *entry {
	t := q.site.tier
	if !t.serves() {
		return nil
	}
	hash := q.site.lineage.hashOf(&q.key)
	if !t.store.May(hash) {
		return nil
	}
	select {
	case t.reading <- struct{}{}:
	default:
		return nil // a disk that keeps so many waiting is slower than the origin
	}
	defer func() { <-t.reading }()
	site, k := q.site, key{q.key.site, strings.Clone(q.key.url), q.key.variant}
	answered := t.reads.DoChan(keyOf(hash), func() (any, error) { return t.load(site, k, hash), nil })
	patience := time.NewTimer(t.patience)
	defer patience.Stop()
	select {
	case a := <-answered:
		if found := site.lookupFor(q); found != nil {
			return found
		}
		if made, _ := a.Val.(*entry); made != nil && q.alias == "" && site.epochs.valid(&made.stamp, made.names) {
			return made // for which there was no room in memory
		}
	case <-patience.C:
		t.slow()
	}
	return nil
}

// load brings a response from disk into memory.
func (t *tier) load(s *site, k key, hash uint64) *entry {
	// In this order: what was invalidated up to now is known, and what a sweep has
	// forgotten of it before that is not found any more.
	now, known := s.epochs.counter.Load(), s.lineage.history.known()
	r := t.store.Get(hash)
	if r == nil {
		return nil
	}
	made, birth, err := t.entryOf(s, k, r, known)
	if err != nil || made == nil {
		return nil
	}
	made.birth = birth
	made.checked.Store(now)
	if !s.keep(made) {
		return nil
	}
	t.hits.Add(1)
	return made
}

// glance is peek for what is on disk, and leaves it there.
func (s *site) glance(q *query) *entry {
	if !s.tier.serves() {
		return nil
	}
	now, known := s.epochs.counter.Load(), s.lineage.history.known() // as in load
	r := s.tier.store.Get(s.lineage.hashOf(&q.key))
	if r == nil {
		return nil
	}
	made, birth, err := s.tier.entryOf(s, q.key, r, known)
	if err != nil || made == nil {
		return nil
	}
	made.birth, made.recalled = birth, true
	made.checked.Store(now)
	if !s.epochs.admits(&made.stamp, made.names) || !s.answersAlias(made, q.alias) {
		return nil
	}
	return made
}

// entryOf makes an entry of a record, or nothing of one that is another's, was
// invalidated, or was damaged. What was known of the lineage's history before the
// record was looked for decides: a sweep may have forgotten it since.
func (t *tier) entryOf(s *site, k key, r *disk.Record, known *node) (_ *entry, birth uint64, _ error) {
	l, err := readLabel(r.Label)
	if err != nil {
		return nil, 0, err
	}
	if l.line != s.lineage.number || l.url != k.url || l.variant != k.variant {
		return nil, 0, nil
	}
	if known.covered(l.names, l.birth) || t.lineage(l.line) == nil {
		r.Body.Drop()
		return nil, 0, nil
	}
	made, err := readHead(r.Head)
	if err != nil || made.received.After(time.Now().Add(time.Second)) { // the clock was set back, so that nobody knows how old it is
		return nil, 0, err
	}
	made.key, made.names = k, l.names
	return made, l.birth, t.embody(made, r.Body)
}

// embody gives an entry its body, or where it is.
func (t *tier) embody(made *entry, b *disk.Body) error {
	if b.Size() > t.held {
		made.remote = b
		if b.Size() <= checkedBody {
			return b.Check()
		}
		return nil
	}
	body, err := b.Bytes()
	if err != nil {
		return err
	}
	if len(body) >= largeBody {
		made.piece = t.edge.bodies.Put(body)
	}
	if made.piece == nil {
		made.body = bytes.Clone(body) // not all that was read with it
	}
	return nil
}

// keepable reports whether a response may be on disk: not what an origin does not
// want to be kept, however long it is in memory, nor what is for one viewer.
func keepable(e *entry) bool {
	d := parseCacheControl(e.header["Cache-Control"])
	return e.life.store && !e.life.each && !e.isMark() && !d.noStore && !d.private
}

// record is what is written of an entry with a body. Of what was invalidated while
// it was fetched the disk's own history need know nothing any more, but the fetch does.
func (t *tier) record(s *site, e *entry, body []byte) disk.Written {
	l := onDisk{line: s.lineage.number, birth: e.birth, url: e.key.url, variant: e.key.variant, names: e.names}
	return disk.Written{Hash: s.lineage.hashOf(&e.key), Label: l.append(nil), Head: appendHead(nil, e), Body: body, Valid: func() bool { return s.epochs.admits(&e.stamp, e.names) }}
}

// keepOnDisk has what a fill has brought, and is kept, on disk, too.
func (s *site) keepOnDisk(e *entry, body []byte) {
	t := s.tier
	if t == nil {
		return
	}
	defer t.inOrder(s, e)()
	if there := s.store.peek(e.key); there != nil && there.begun > e.begun {
		return // and writes, or has written, itself
	}
	if !keepable(e) || !t.trusted.Load() {
		t.remove(s, &e.key)
		return
	}
	_, _ = t.store.Put(t.record(s, e, body)) // what could not be written is not there, and counted
}

// keepRefreshed is keepOnDisk for a response that the origin has confirmed. One that
// is on disk alone stays there as it is: after a restart it is asked for anew.
func (s *site) keepRefreshed(e *entry) {
	if s.tier == nil || e.remote != nil {
		return
	}
	body := e.body
	if e.piece != nil {
		body = make([]byte, e.piece.Size())
		if _, err := e.piece.ReadAt(body, 0); err != nil {
			return
		}
	}
	s.keepOnDisk(e, body)
}

// orders are locks for responses with one key.
type orders [64]sync.Mutex

// inOrder has responses with one key written one after the other.
func (t *tier) inOrder(s *site, e *entry) (unlock func()) {
	m := &t.orders[s.lineage.hashOf(&e.key)%uint64(len(t.orders))]
	m.Lock()
	return m.Unlock
}

// putOnDisk writes a large response to disk, and puts it into e where its body is.
// If it does not, it stays in memory.
func (s *site) putOnDisk(e *entry, body []byte) bool {
	t := s.tier
	if t == nil || len(body) <= heldBody || !keepable(e) || !t.trusted.Load() {
		return false
	}
	defer t.inOrder(s, e)()
	b, err := t.store.Put(t.record(s, e, body))
	if err != nil {
		return false
	}
	e.remote = b
	return true
}

// forgetOnDisk removes what is on disk under a key.
func (s *site) forgetOnDisk(k *key) {
	if s.tier != nil {
		s.tier.remove(s, k)
	}
}

func (t *tier) remove(s *site, k *key) { t.store.Remove(s.lineage.hashOf(k)) }

// DiskStats is what there is to count about the disk.
type DiskStats struct {
	Objects  int64  // responses, including those that are invalid and not swept yet
	Bytes    uint64 // that the directory takes of the disk
	Capacity uint64 // bytes that it may take
	Hits     uint64 // responses that came from disk because they were not in memory
	Written  uint64 // responses
	Refused  uint64 // responses that were not written, since the disk was too slow or failed
	Damaged  uint64 // responses that were not what had been written, and were not served
	Evicted  uint64 // responses that had to make room for others
	Errors   uint64 // of the file system
	Failing  bool   // it is not used at the moment
}

// DiskStats returns the counters of the disk; false without one.
func (e *Edge) DiskStats() (DiskStats, bool) {
	if e.tier == nil {
		return DiskStats{}, false
	}
	st := e.tier.store.Stats()
	return DiskStats{
		Objects: st.Records, Bytes: uint64(st.Bytes), Capacity: uint64(st.Limit), Hits: e.tier.hits.Load(), Written: st.Writes, Refused: st.Refused,
		Damaged: st.Damaged, Evicted: st.Reclaimed, Errors: st.Errors, Failing: st.Failing || !e.tier.trusted.Load(),
	}, true
}
