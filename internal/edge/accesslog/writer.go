package accesslog

import (
	"errors"
	"fmt"
	"io"
	"sync"
)

// Writer writes a log. Its methods may be called concurrently. Whoever logs never
// waits for the file: lines are gathered in memory until Flush, and the caller has
// to see to it that somebody calls it.
type Writer struct {
	due func()

	mu     sync.Mutex
	lines  []byte // that nobody writes yet
	lost   int    // lines for which there was no room
	closed bool
	second int64  // since 1970, of the last line
	moment []byte // how that is written

	writing sync.Mutex // before mu
	to      io.WriteCloser
	left    []byte // that are being written, or could not be
}

// dueSize is how much is gathered before it is to be written. Each time that it is
// written the scheduler has a look whether it has to be waited for, which costs more
// than a hundred lines.
const dueSize = 512 << 10

// mostGathered is how much may wait, if it cannot be written. Lines beyond it are
// lost.
const mostGathered = 8 << 20

// NewWriter returns a Writer of one file, which it closes. due is called, and must
// not wait, when much has been gathered; nil for nobody.
func NewWriter(to io.WriteCloser, due func()) *Writer {
	if due == nil {
		due = func() {}
	}
	return &Writer{due: due, to: to, lines: []byte(Header)}
}

// Log adds a line, and keeps nothing of r, which is the less work the more often one
// and the same is logged. It reports false, and does nothing, after Close.
func (w *Writer) Log(r *Record) bool {
	if r.line == nil {
		r.line = make([]byte, 0, 512)
	}
	r.line = appendRest(r.line[:0], r)
	line := r.line
	second := r.End.Unix()
	w.mu.Lock()
	if second != w.second || len(w.moment) == 0 {
		w.second, w.moment = second, moment(w.moment[:0], r.End)
	}
	before := len(w.lines)
	switch {
	case w.closed:
		w.mu.Unlock()
		return false
	case before+len(line) > mostGathered:
		w.lost++
	default:
		w.lines = append(append(w.lines, w.moment...), line...)
	}
	due := before < dueSize && len(w.lines) >= dueSize
	w.mu.Unlock()
	if due {
		w.due()
	}
	return true
}

// Flush writes what was gathered. What could not be written is kept, and is the
// first that is written the next time, from the byte on that was not; the error
// says so, and how many lines were lost since there is no more room.
func (w *Writer) Flush() error {
	w.writing.Lock()
	defer w.writing.Unlock()
	return w.flush()
}

// flush does as Flush says. w.writing is held.
func (w *Writer) flush() error {
	var failed error
	if len(w.left) > 0 {
		failed = w.write()
	}
	var lost int
	w.mu.Lock()
	if len(w.left) == 0 {
		w.left, w.lines = w.lines, w.left
	}
	lost, w.lost = w.lost, 0
	w.mu.Unlock()
	if failed == nil && len(w.left) > 0 {
		failed = w.write()
	}
	if lost > 0 {
		failed = errors.Join(failed, fmt.Errorf("write access log: %d lines are lost", lost))
	}
	return failed
}

// write writes what is left.
func (w *Writer) write() error {
	n, err := w.to.Write(w.left)
	if err != nil {
		w.left = w.left[n:]
		return fmt.Errorf("write access log: %w", err)
	}
	if n := cap(w.left); n > 4*dueSize || n > 64<<10 && len(w.left) < n/16 {
		w.left = nil // there was a rush, which is over
		return nil
	}
	w.left = w.left[:0]
	return nil
}

// Close writes what was gathered and closes the file. What cannot be written then
// is lost.
func (w *Writer) Close() error {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.writing.Lock()
	defer w.writing.Unlock()
	return errors.Join(w.flush(), w.to.Close())
}
