package bucket

import (
	"context"
	"fmt"
	"hash/maphash"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/freshet/freshet"
)

// Why an object changed, in the words of S3's event notifications.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-event-types-and-destinations.html
const (
	causePut      = "ObjectCreated:Put"
	causeCopy     = "ObjectCreated:Copy"
	causeComplete = "ObjectCreated:CompleteMultipartUpload"
	causeDelete   = "ObjectRemoved:Delete"
)

// announcer tells the world about changes, one at a time for each key.
type announcer struct {
	origin    string
	onChange  func(context.Context, freshet.Change) error
	ctx       context.Context // ends when the bucket gives up on running requests
	seed      maphash.Seed
	locks     [256]sync.Mutex // by hash of the key
	sequencer *sequencer

	mu      sync.Mutex
	owed    map[string]string   // key to cause, of changes that could not be queued
	writing map[string]*writing // by key
}

// writing are the requests that are about to change a key, or have changed it and
// not announced that yet.
type writing struct {
	now   int
	mixed bool // there were several at a time, so something may have been stored that nobody is told of
}

// enter notes a request that is about to change key; leave ends it.
func (a *announcer) enter(key string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	w := a.writing[key]
	if w == nil {
		w = &writing{}
		a.writing[strings.Clone(key)] = w
	}
	w.now++
	w.mixed = w.mixed || w.now > 1
}

func (a *announcer) leave(key string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if w := a.writing[key]; w != nil {
		if w.now--; w.now <= 0 {
			delete(a.writing, key)
		}
	}
}

// alone reports whether every version of key that was stored is told of.
func (a *announcer) alone(key string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	w := a.writing[key]
	return w == nil || !w.mixed
}

func (a *announcer) lock(key string) *sync.Mutex {
	return &a.locks[maphash.String(a.seed, key)%uint64(len(a.locks))]
}

// debt returns the cause of the change of key that is still unannounced.
func (a *announcer) debt(key string) (cause string, owed bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	cause, owed = a.owed[key]
	return cause, owed
}

func (a *announcer) setDebt(key, cause string, owed bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if owed {
		a.owed[key] = cause
	} else {
		delete(a.owed, key)
	}
}

// tell hands on what o has become. The caller holds the key's lock. The tags are
// left out where a version may have been stored in between that nobody is told
// of: whoever relies on tags has to rely on those of every version.
func (a *announcer) tell(o Object, exists bool, tags, cause string) error {
	change := freshet.Change{
		Origin: a.origin, Key: o.Key, Op: freshet.OpDelete, Sequencer: a.sequencer.next(),
		Time: time.Now().UTC(), Cause: cause,
	}
	if exists {
		change.Op, change.ETag, change.Served, change.Size, change.Time = freshet.OpPut, o.ETag, o.Served, o.Size, o.Time
		if a.alone(o.Key) {
			change.Tags = tags
		}
	}
	if a.onChange == nil {
		return nil
	}
	err := a.onChange(a.ctx, change)
	a.setDebt(o.Key, cause, err != nil)
	if err != nil {
		return errNotQueued(o.Key, err)
	}
	return nil
}

// settle brings the index to what the store now holds under key and announces
// it. It reads the object again under the key's lock, so whatever requests race
// for a key, the last change announced describes what is there in the end.
//
// Without a difference to the index nothing is announced, except when always
// is set or an earlier announcement failed.
func (s *store) settle(key, cause string, always bool) error {
	key = strings.Clone(key) // the string may lie in a buffer of the request
	lock := s.announcer.lock(key)
	lock.Lock()
	defer lock.Unlock()
	now, tags, exists, err := s.readNow(key)
	if err != nil {
		return fmt.Errorf("read back %q: %w", key, err)
	}
	before, existed := s.index.get(key)
	if exists {
		s.index.set(now)
	} else {
		now = Object{Key: key}
		s.index.delete(key)
	}
	_, owed := s.announcer.debt(key)
	if !always && !owed && exists == existed && (!exists || now == before) {
		return nil
	}
	return s.announcer.tell(now, exists, tags, cause)
}

// payDebt announces what an earlier request could not. Every request that
// changes key begins with it, since its own repetition may find nothing left to
// change: the second DELETE, or a PUT that only creates.
func (s *store) payDebt(key string) error {
	cause, owed := s.announcer.debt(key)
	if !owed {
		return nil
	}
	return s.settle(key, cause, true)
}

// concluded ends a request that may have changed key. A request that failed may
// have changed it too: versitygw sets tags after the object is in place.
func (s *store) concluded(op, key, cause string, err error) error {
	defer s.announcer.leave(key)
	settled := s.settle(key, cause, err == nil && cause != causeDelete)
	if err != nil {
		return s.answer(op, key, err)
	}
	return s.answer(op, key, settled)
}

// sequencer gives out strictly increasing numbers that follow the clock.
type sequencer struct {
	mu   sync.Mutex
	last uint64
}

// newSequencer starts after the given sequencer; the empty one comes before all.
func newSequencer(after freshet.Sequencer) (*sequencer, error) {
	if after == "" {
		return &sequencer{}, nil
	}
	const digits = 16
	text := string(after) + strings.Repeat("0", max(0, digits-len(after)))
	last, err := strconv.ParseUint(text[:digits], 16, 64)
	if err != nil || !after.Valid() || last+1 == 0 {
		return nil, fmt.Errorf("sequencers cannot go on after %q", after)
	}
	return &sequencer{last: last}, nil
}

// next is sixteen hexadecimal digits, so that S3's rule for comparing
// sequencers orders them as numbers.
func (s *sequencer) next() freshet.Sequencer {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = max(s.last+1, uint64(time.Now().UnixNano()))
	return freshet.Sequencer(fmt.Sprintf("%016x", s.last))
}
