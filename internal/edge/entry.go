package edge

import (
	"context"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/freshet/freshet/internal/edge/disk"
	"github.com/freshet/freshet/internal/edge/offheap"
)

// key names a cached response: a distribution, the URL as the viewer spelled it,
// with the part of the query string that counts, and what else of the request
// the behavior distinguishes.
type key struct {
	site    uint32
	url     string
	variant string // as keying says; empty in the simplest case
}

// entry is one response, complete or, until its stream is through, the head of
// one; or a copy of what the store has. Apart from its atomics it is not modified
// once others can see it.
type entry struct {
	stamp

	serial   uint64 // of the copy in the store; 0 for none
	ready    readyHeader
	begun    uint64 // of the fill that brought it
	key      key
	names    []string // canonical spellings of the URL, each of which an invalidation may name
	status   int
	header   http.Header
	body     []byte
	piece    *offheap.Piece // in place of a large body; nil for a body
	remote   *disk.Body     // in place of one that is on disk alone
	recalled bool           // from disk, and not in memory
	claim    *claim         // on the room beside the store; nil for a small body
	part     *part          // nil: body is the whole

	received time.Time
	age      time.Duration // it had when it was received
	aged     bool          // by an upstream cache, which said so
	life     lifetime
	retry    atomic.Int64 // Unix nanoseconds before which the origin is not asked again after it failed
}

// isMark reports whether the entry is no response but reminds of one that was
// not stored, since the origin wants to be asked for each viewer.
func (e *entry) isMark() bool { return e.status == 0 }

// fresh reports whether the entry may be reused now without asking the origin.
func (e *entry) fresh(now time.Time) bool { return now.Sub(e.received) < e.life.fresh }

// standsIn reports whether the entry may be served now although it has expired,
// given that the origin fails. It says nothing of invalidations.
func (e *entry) standsIn(now time.Time) bool {
	if !e.life.staleOnError {
		return false
	}
	expired := now.Sub(e.received) - e.life.fresh
	return e.life.staleFor < 0 || expired < e.life.staleFor
}

// resting reports whether the origin failed so recently that it is not asked
// again yet.
func (e *entry) resting(now time.Time) bool { return now.UnixNano() < e.retry.Load() }

// answers reports whether the entry is served now without asking the origin.
func (e *entry) answers(now time.Time) bool {
	return e.fresh(now) || e.resting(now) && e.standsIn(now)
}

// answersBehind reports whether the entry is served at once although it has
// expired, while the origin is asked behind the viewer's back.
// https://www.rfc-editor.org/rfc/rfc5861#section-3
func (e *entry) answersBehind(now time.Time) bool {
	return now.Sub(e.received)-e.life.fresh < e.life.behind
}

// size is the number of bytes of the body.
func (e *entry) size() int64 { return int64(len(e.body)) + e.pieceSize() + e.remote.Size() }

func (e *entry) pieceSize() int64 {
	if e.piece == nil {
		return 0
	}
	return e.piece.Size()
}

// onlyWriter hides what else a writer can do.
type onlyWriter struct{ io.Writer }

// copyPart writes a part of the body to w.
func (e *entry) copyPart(ctx context.Context, w io.Writer, s span) error {
	if e.remote != nil {
		return copyRemote(ctx, w, s, e.remote.Each)
	}
	e.claim.enter()
	defer e.claim.leave()
	if e.piece != nil {
		_, err := io.CopyBuffer(onlyWriter{w}, io.NewSectionReader(e.piece, s.offset, s.length), make([]byte, min(s.length, patientBytes)))
		return err
	}
	_, err := w.Write(e.body[s.offset : s.offset+s.length])
	return err
}
