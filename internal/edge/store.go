package edge

import (
	"errors"
	"net/http"
	"time"

	"github.com/freshet/freshet/internal/edge/arena"
	"github.com/freshet/freshet/internal/edge/disk"
	"github.com/freshet/freshet/internal/edge/offheap"
	"github.com/freshet/freshet/internal/edge/packed"
)

// store keeps copies within a limit of bytes, packed and outside of the Go heap.
// It decides what to evict and knows nothing of validity.
type store struct {
	arena *arena.Arena[bulk]
	began time.Time // by whose reading of the monotonic clock ages are told
}

// bulk is the body of a copy that is too large to be packed with the rest.
type bulk struct {
	body   []byte
	piece  *offheap.Piece // in its place, where the system has such a thing
	remote *disk.Body     // in its place, where it is on disk alone
	claim  *claim
}

// bulkOverhead is about what a bulk takes besides the bytes of its body.
const bulkOverhead = 512

func newStore(limit int64) *store {
	return &store{began: time.Now(), arena: arena.New(limit, func(b *bulk) {
		b.claim.removed()
		b.piece.Drop()
	})}
}

func packedKey(k key) packed.Key { return packed.Key{Site: k.site, URL: k.url, Variant: k.variant} }

// nanos is a time as it is packed, so that it can be compared with any that the
// store was told of, even if somebody sets the clock meanwhile.
func (s *store) nanos(t time.Time) int64 { return s.began.UnixNano() + int64(t.Sub(s.began)) }

func (s *store) timeOf(nanos int64) time.Time {
	return s.began.Add(time.Duration(nanos - s.began.UnixNano()))
}

// since is how long before now a copy was received.
func (s *store) since(v packed.View, now time.Time) time.Duration {
	return now.Sub(s.began) - time.Duration(v.Received()-s.began.UnixNano())
}

// answers is that of entry, for a copy where it lies.
func (s *store) answers(v packed.View, now time.Time) bool {
	expired := s.since(v, now) - v.Fresh()
	if expired < 0 {
		return true
	}
	if now.UnixNano() >= v.Retry().Load() {
		return false
	}
	lasts, may := v.StandsInFor()
	return may && (lasts < 0 || expired < lasts)
}

// unpack returns the copy that a reader has found; nil if it was removed just now.
func (s *store) unpack(r arena.Reader[bulk], v packed.View) *entry {
	body := r.Body(v)
	if v.Away() && body == nil {
		return nil
	}
	p := v.Entry()
	e := &entry{
		serial: v.Serial(), begun: p.Begun, key: key{p.Key.Site, p.Key.URL, p.Key.Variant}, names: p.Names, status: p.Status, header: p.Header,
		body: p.Body, received: s.timeOf(v.Received()), age: p.Age, aged: p.Aged,
		life: lifetime{
			store: p.Store, fresh: p.Fresh, each: p.Each, unconfirmed: p.Unconfirmed, behind: p.Behind,
			staleOnError: p.StaleOnError, staleFor: p.StaleFor,
		},
	}
	if p.Part != nil {
		e.part = &part{p.Part.First, p.Part.Length, p.Part.Total}
	}
	if body != nil {
		e.body, e.piece, e.remote, e.claim = body.body, body.piece, body.remote, body.claim
	}
	e.birth = p.Birth
	e.checked.Store(p.Checked)
	e.retry.Store(p.Retry)
	return e
}

// pack is unpack the other way round.
func (s *store) pack(e *entry) *packed.Entry {
	p := &packed.Entry{
		Key: packedKey(e.key), Names: e.names, Status: e.status, Header: e.header,
		Birth: e.birth, Checked: e.checked.Load(), Begun: e.begun, Received: time.Unix(0, s.nanos(e.received)), Age: e.age, Aged: e.aged, Retry: e.retry.Load(),
		Store: e.life.store, Fresh: e.life.fresh, Each: e.life.each, Unconfirmed: e.life.unconfirmed, Behind: e.life.behind,
		StaleOnError: e.life.staleOnError, StaleFor: e.life.staleFor,
		Quick: e.ready.quick, Dressed: e.ready.header, Behavior: e.ready.behavior, Plain: e.ready.plain,
	}
	if e.part != nil {
		p.Part = &packed.Part{First: e.part.first, Length: e.part.length, Total: e.part.total}
	}
	if e.isBulky() {
		p.Size = e.size()
	} else {
		p.Body = e.body
	}
	return p
}

// isBulky reports whether the body is not packed with the rest.
func (e *entry) isBulky() bool { return e.piece != nil || e.remote != nil || len(e.body) >= largeBody }

// peek returns nil when there is no copy. It leaves no trace.
func (s *store) peek(k key) *entry {
	r := s.arena.EnterAnywhere()
	defer r.Leave()
	pk := packedKey(k)
	v := r.Peek(&pk)
	if v.IsNone() {
		return nil
	}
	return s.unpack(r, v)
}

// has reports whether there is a copy. It leaves no trace.
func (s *store) has(k key) bool {
	r := s.arena.EnterAnywhere()
	defer r.Leave()
	pk := packedKey(k)
	v := r.Peek(&pk)
	return !v.IsNone()
}

// put stores a copy, in the place of any other with its key. What has no room, or
// could not go out, is not stored.
func (s *store) put(e *entry) { s.write(e, s.arena.Put) }

// replace puts next in the place of e, but not of a copy that has replaced e.
func (s *store) replace(e, next *entry) {
	s.write(next, func(p *packed.Entry, b *bulk, size int64) (uint64, error) {
		return s.arena.Replace(e.serial, p, b, size)
	})
}

func (s *store) write(e *entry, how func(*packed.Entry, *bulk, int64) (uint64, error)) {
	p := s.pack(e)
	var b *bulk
	size := int64(0)
	if e.isBulky() {
		b = &bulk{e.body, e.piece, e.remote, e.claim}
		size = bulkOverhead + int64(cap(e.body)) + e.piece.Taken() + e.remote.Overhead()
		b.claim.stored()
		b.piece.Keep()
	}
	serial, err := how(p, b, size)
	if errors.Is(err, packed.ErrUnpackable) {
		p.Header = cleaned(p.Header)
		p.Quick, p.Dressed = false, nil
		serial, err = how(p, b, size)
	}
	if err == nil {
		e.serial = serial
	} else if b != nil {
		b.claim.removed()
		b.piece.Drop()
	}
}

// cleaned is a header as it would go out.
func cleaned(h http.Header) http.Header {
	kept := make(http.Header, len(h))
	for name, values := range h {
		for _, v := range values {
			if v, ok := packed.Clean(name, v); ok {
				kept[name] = append(kept[name], v)
			}
		}
	}
	return kept
}

// drop removes e, but not a copy that has replaced it.
func (s *store) drop(e *entry) {
	k := packedKey(e.key)
	s.arena.Drop(&k, func(v packed.View) bool { return v.Serial() == e.serial })
}

// rest says until when the origin is not asked again for what e is a copy of.
func (s *store) rest(e *entry, until time.Time) {
	e.retry.Store(until.UnixNano())
	k := packedKey(e.key)
	s.arena.Change(&k, e.serial, func(v packed.View) { v.Retry().Store(until.UnixNano()) })
}

func (s *store) objects() int  { return s.arena.Objects() }
func (s *store) bytes() uint64 { return uint64(s.arena.Bytes()) }
