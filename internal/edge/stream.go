package edge

import (
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"slices"
	"sync"
	"time"
)

// stream is a body that is still arriving. One goroutine appends to it, any
// number read from where they like. As a buffer it keeps everything; as a
// window it keeps what some reader has not had yet, and makes the origin wait
// when that is much.
type stream struct {
	length int64  // as announced by the origin; -1 if it was not
	unread func() // called when the last reader of a window has gone; may be nil, must not block
	claim  *claim // of the buffer; nil if it is not counted

	mu      sync.Mutex
	changed chan struct{} // closed and replaced at every change
	window  bool
	bulky   bool          // body may lie in the buffer that was kept before
	base    int64         // offset of body[0]
	waited  time.Duration // by readers of a full window, for those who are behind
	from    int64         // base when that was reckoned last
	body    []byte
	readers map[*reader]struct{}
	done    bool
	err     error // why the body is incomplete
}

// windowSize is how far the origin may be ahead of the slowest viewer of a
// response that is not kept.
const windowSize = 1 << 20

// tightWindow is the same where memory is scarce.
const tightWindow = 32 << 10

// mostAhead is how far that is now.
func (s *stream) mostAhead() int {
	if s.claim.isTight() {
		return tightWindow
	}
	return windowSize
}

var errNoReaders = errors.New("all viewers have gone")

func newStream(length int64, window bool) *stream {
	return &stream{length: length, window: window, changed: make(chan struct{}), readers: make(map[*reader]struct{})}
}

// reader is one viewer's place in a stream. It must be closed.
type reader struct {
	s      *stream
	offset int64
	behind bool // too far, so that it gets no more
	closed bool
}

// reader adds a reader at the beginning of the body. There is none, and the
// result is nil, if the beginning is gone or the body broke off.
func (s *stream) reader() *reader {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.base > 0 || s.err != nil {
		return nil
	}
	r := &reader{s: s}
	s.claim.enter()
	s.readers[r] = struct{}{}
	return r
}

// close lets go of what only this reader was waiting for. Closing twice does
// nothing more, nor does closing nil.
func (r *reader) close() {
	if r == nil {
		return
	}
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	if r.closed {
		return
	}
	r.closed = true
	r.s.claim.leave()
	delete(r.s.readers, r)
	if r.s.window && len(r.s.readers) == 0 && r.s.unread != nil {
		r.s.unread()
	}
	r.s.wake()
}

// wake tells everybody who waits that something is different. s.mu is held.
func (s *stream) wake() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// append adds p, of which it keeps nothing, and for which there is room in a
// buffer. It waits while the window is full, and fails when nobody is left for
// whom the bytes would be.
func (s *stream) append(ctx context.Context, p []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.window {
		if len(s.readers) == 0 {
			s.done, s.err = true, errNoReaders
			return s.err
		}
		s.slide()
		if len(s.body) < s.mostAhead() {
			s.shrink()
			break
		}
		if err := s.makeRoom(ctx); err != nil {
			return err
		}
	}
	s.body = append(s.body, p...)
	if s.window && !s.bulky {
		s.claim.resize(int64(min(cap(s.body), windowSize))) // which is small
	}
	s.wake()
	return nil
}

// othersPatience is for how long those who share a window wait until the slowest
// of them has taken as much as the window holds.
const othersPatience = 10 * time.Second

var errLeftBehind = errors.New("the viewer kept others waiting")

// makeRoom waits until a reader has taken something from a full window. Readers
// who have everything and wait too long for the slowest go on without it; a
// reader who keeps nobody waiting has all the time that viewers have. s.mu is
// held.
func (s *stream) makeRoom(ctx context.Context) error {
	end := s.base + int64(len(s.body))
	kept := false
	for r := range s.readers {
		kept = kept || r.offset == end
	}
	if !kept {
		return s.wait(ctx)
	}
	s.waited, s.from = waitedFor(s.waited, s.base-s.from), s.base
	if s.waited >= othersPatience {
		s.leaveBehind()
		return nil
	}
	patience, cancel := context.WithTimeout(ctx, othersPatience-s.waited)
	defer cancel()
	began := time.Now()
	if s.wait(patience) != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	s.waited += time.Since(began)
	return nil
}

// waitedFor is what is left of a time after n bytes were taken, each of which makes
// up for its part of what a window may take. However the bytes are divided, a
// reader who takes a window within othersPatience is waited for.
func waitedFor(waited time.Duration, n int64) time.Duration {
	return max(0, waited-time.Duration(float64(othersPatience)*float64(n)/windowSize))
}

// leaveBehind gives up the readers at the beginning of the window. s.mu is held.
func (s *stream) leaveBehind() {
	for r := range s.readers {
		if r.offset <= s.base {
			r.behind = true
			delete(s.readers, r)
		}
	}
	s.waited, s.from = 0, s.base
	s.wake()
}

// slide drops what every reader has had. Bytes that a reader is still writing
// out are not overwritten, since appending only writes behind them. s.mu is
// held.
func (s *stream) slide() {
	lowest := int64(math.MaxInt64)
	for r := range s.readers {
		lowest = min(lowest, r.offset)
	}
	if n := min(lowest-s.base, int64(len(s.body))); n > 0 {
		s.body = s.body[n:]
		s.base += n
	}
}

// shrink gives up the buffer from before the window, once what is still needed
// of it is little. s.mu is held.
func (s *stream) shrink() {
	if !s.bulky {
		return
	}
	s.bulky = false
	s.body = slices.Clone(s.body)
	s.claim.resize(0)
}

// reserve makes the buffer large enough for n more bytes. It reports false if that
// would be more than most, or if there is no room beside the store. In a window
// there always is.
func (s *stream) reserve(n int, most int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	need := int64(len(s.body) + n)
	switch {
	case s.window || need <= int64(cap(s.body)):
		return true
	case need > most:
		return false
	}
	size := min(s.roomy(need), most)
	if !s.claim.affords(size) || !s.claim.resize(size) {
		return false
	}
	bigger := make([]byte, len(s.body), size)
	copy(bigger, s.body)
	s.body = bigger
	return true
}

// roomy is how large to make a buffer that needs so many bytes: doubled, and small
// ones eight times as large, but not beyond the announced length, so that a large
// announcement alone takes no memory; where none is known, large ones grow by a
// quarter. s.mu is held.
func (s *stream) roomy(need int64) int64 {
	have := int64(len(s.body))
	if need <= s.length {
		if have < windowSize/4 {
			return max(need, min(8*have, s.length))
		}
		return max(need, min(2*have, s.length))
	}
	return max(need, have+min(have, max(have/4, windowSize)))
}

// wait gives s.mu up until something changes.
func (s *stream) wait(ctx context.Context) error {
	changed := s.changed
	s.mu.Unlock()
	defer s.mu.Lock()
	select {
	case <-changed:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// openWindow stops the stream from keeping what every reader has had.
func (s *stream) openWindow() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.window, s.bulky = true, true
	s.wake()
}

// isWindow reports whether the stream may have dropped bytes.
func (s *stream) isWindow() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.window
}

// finish ends the body; err says that bytes are missing.
func (s *stream) finish(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.done {
		s.done, s.err = true, err
	}
	s.wake()
}

// whole returns the finished body. A buffer much larger than the body is given
// up for one that fits.
func (s *stream) whole() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if cap(s.body) > len(s.body)+len(s.body)/16 {
		s.body = append(make([]byte, 0, len(s.body)), s.body...)
		s.claim.resize(int64(len(s.body)))
	}
	return s.body
}

// size is the announced number of bytes, or -1.
func (r *reader) size() int64 { return r.s.length }

// copyPart writes a part of the body to w as it arrives; with a negative length
// all that follows the offset. w is flushed whenever there is nothing more to
// write yet. The error is the origin's if the body broke off.
func (r *reader) copyPart(ctx context.Context, w io.Writer, s span) error {
	r.seek(s.offset)
	for s.length != 0 {
		p, err := r.next(ctx, w)
		if err == io.EOF { //nolint:errorlint // the end of a body is io.EOF itself; wrapped, it is a failure
			return nil
		}
		if err != nil {
			return err
		}
		p = p[:min(len(p), windowSize)] // so that what was kept before a window is let go of soon
		if s.length > 0 {
			p = p[:min(int64(len(p)), s.length)]
			s.length -= int64(len(p))
		}
		if _, err := w.Write(p); err != nil {
			return err
		}
		r.seek(r.offset + int64(len(p)))
	}
	r.awaitEnd(ctx, w)
	return nil
}

// awaitEnd has a reader that has all of a body that is kept wait until the stream
// is finished. Without a disk the response is stored by then, so that whoever got
// it finds it in the cache.
func (r *reader) awaitEnd(ctx context.Context, w io.Writer) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	for flushed := false; !r.s.done && !r.s.window && r.offset == r.s.length; {
		if !flushed {
			flushed = true
			r.s.mu.Unlock()
			flush(w)
			r.s.mu.Lock()
			continue
		}
		if r.s.wait(ctx) != nil {
			return
		}
	}
}

// seek says which bytes the reader is done with.
func (r *reader) seek(offset int64) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	r.offset = offset
	if r.s.window {
		r.s.wake()
	}
}

// next returns the bytes at the reader's place, of which there is at least one,
// or io.EOF at the end of a complete body.
func (r *reader) next(ctx context.Context, w io.Writer) ([]byte, error) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	for flushed := false; ; {
		have := r.s.base + int64(len(r.s.body))
		switch {
		case r.behind:
			return nil, errLeftBehind
		case r.offset < have:
			return r.s.body[r.offset-r.s.base:], nil
		case r.s.done && r.s.err != nil:
			return nil, r.s.err
		case r.s.done:
			return nil, io.EOF
		}
		if !flushed {
			flushed = true
			r.s.mu.Unlock()
			flush(w)
			r.s.mu.Lock()
			continue
		}
		if err := r.s.wait(ctx); err != nil {
			return nil, err
		}
	}
}

func flush(w io.Writer) {
	if rw, ok := w.(http.ResponseWriter); ok {
		_ = http.NewResponseController(rw).Flush() // a writer that cannot is slower, not wrong
	}
}
