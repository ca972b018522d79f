// Package wal keeps a sequence of entries in the files of a directory, so that
// none that was acknowledged is lost whenever the process or the machine goes
// down. What is appended at the same time is written and synced at once.
//
// A file begins with the number of its first frame, by which it is called; each
// frame holds what was appended at once. Files are filled up with zeros in
// advance, since that makes a sync about half as long: no metadata change with it.
package wal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Config says where a log keeps its entries, and for how long.
type Config struct {
	Dir  string           // is made if missing; of one log at a time, the caller sees to that
	Keep time.Duration    // after which a file may go whose entries are all older; 0 for never
	Room int64            // bytes that files take; beyond that the oldest go; 0 is without bound
	Now  func() time.Time // nil is time.Now
	Log  *slog.Logger     // is told of files that cannot be removed; nil discards
}

// grain is how a log deals with files.
type grain struct {
	fileSize int64 // after which the next file begins
	ahead    int64 // zeros that are written at a time
	syncs    bool  // off in tests that write much
}

func coarse() grain { return grain{fileSize: 4 << 20, ahead: 1 << 20, syncs: true} }

// MaxAppend is how many bytes can be appended at once, with 4 for each entry.
const MaxAppend = 32 << 20

// Log is an open log. Its methods may be called concurrently.
type Log struct {
	cfg Config
	grain

	mu    sync.Mutex
	waits *batch // what is written next; nil for nothing

	writing sync.Mutex // one write at a time
	closed  bool
	file    *os.File // nil before the first write, and after one that failed
	end     int64    // of what is acknowledged in it
	zeroed  int64    // how far it is filled
	next    uint64   // number of the next frame
}

// batch is what is written at once.
type batch struct {
	entries [][]byte
	size    int
	written chan struct{} // closed once err is set
	err     error
}

// ErrClosed is what Append fails with after Close.
var ErrClosed = errors.New("the log is closed")

// ErrDamaged is in the error of Open and Replay where entries are missing that were
// acknowledged. An end that is torn is none of those.
var ErrDamaged = errors.New("the log is damaged")

// Open reads what is there as far as it must to go on behind it, and removes what
// need not be kept any more.
func Open(cfg Config) (*Log, error) { return openWith(cfg, coarse()) }

func openWith(cfg Config, g grain) (*Log, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("open the log in %s: %w", cfg.Dir, err)
	}
	l := &Log{cfg: cfg, grain: g, next: 1}
	if err := l.resume(); err != nil {
		return nil, fmt.Errorf("open the log in %s: %w", cfg.Dir, err)
	}
	l.prepare()
	return l, nil
}

// prepare spares the first Append what is done for each file. Whatever fails is
// done again by that.
func (l *Log) prepare() {
	if l.file == nil && l.begin() != nil {
		return
	}
	if l.zeroed < l.end+l.ahead/2 && l.fill() && l.syncs {
		_ = l.file.Sync()
	}
}

// fill writes zeros behind the file, as far as there is room.
func (l *Log) fill() bool {
	_, err := l.file.WriteAt(make([]byte, l.ahead), l.zeroed)
	if err == nil {
		l.zeroed += l.ahead
	}
	return err == nil
}

// resume finds the end of the last file, and goes on there if nothing is torn.
func (l *Log) resume() error {
	files, err := filesIn(l.cfg.Dir)
	if err != nil || len(files) == 0 {
		return err
	}
	last := files[len(files)-1]
	text, err := os.ReadFile(filepath.Join(l.cfg.Dir, last.name))
	if err != nil {
		return err
	}
	read := scan(text, last.first, nil)
	if read.damaged {
		return damaged(l.cfg.Dir, last, read.end)
	}
	l.next = read.next
	l.drop(files[:len(files)-1])
	if !read.clean || read.end >= l.fileSize {
		return nil
	}
	f, err := os.OpenFile(filepath.Join(l.cfg.Dir, last.name), os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	l.file, l.end, l.zeroed = f, read.end, int64(len(text))
	return nil
}

// Append adds entries, which stay together, and returns when they are synced. One
// of those who append at the same time writes for all, and does not heed ctx. After
// an error the entries may be in the log or not.
func (l *Log) Append(ctx context.Context, entries ...[]byte) error {
	size := 0
	for _, e := range entries {
		size += len(e) + entryHead
	}
	if size > MaxAppend {
		return fmt.Errorf("write the log: %d bytes are more than %d", size, MaxAppend)
	}
	l.mu.Lock()
	b, leads := l.waits, false
	if b == nil || b.size+size > MaxAppend {
		b, leads = &batch{written: make(chan struct{})}, true
		l.waits = b
	}
	b.entries = append(b.entries, entries...)
	b.size += size
	l.mu.Unlock()
	if leads {
		l.lead(b)
		return b.err
	}
	select {
	case <-b.written:
		return b.err
	case <-ctx.Done():
		return fmt.Errorf("write the log: %w", ctx.Err())
	}
}

// lead writes a batch once the one before it is written.
func (l *Log) lead(b *batch) {
	l.writing.Lock()
	defer l.writing.Unlock()
	l.mu.Lock()
	if l.waits == b {
		l.waits = nil // whoever comes now waits for the next
	}
	l.mu.Unlock()
	if b.err = l.write(b.entries); b.err != nil {
		b.err = fmt.Errorf("write the log: %w", b.err)
	}
	close(b.written)
}

// write appends one frame. l.writing is held.
func (l *Log) write(entries [][]byte) error {
	if l.closed {
		return ErrClosed
	}
	if l.file != nil && l.end >= l.fileSize {
		l.leave()
	}
	if l.file == nil {
		if err := l.begin(); err != nil {
			return err
		}
	}
	frame := appendFrame(nil, l.next, entries)
	if err := l.put(frame); err != nil {
		// What reached the disk is not known. The next attempt begins with a file of
		// its own; this one is cut if it can be.
		l.leave()
		return err
	}
	l.end += int64(len(frame))
	l.next++
	return nil
}

// put writes a frame behind the end, and syncs it.
func (l *Log) put(frame []byte) error {
	grown := false
	if need := l.end + int64(len(frame)); need > l.zeroed {
		grown = true
		if need < l.zeroed+l.ahead {
			l.fill() // without room for that there may be some for the frame
		}
		l.zeroed = max(l.zeroed, need)
	}
	if _, err := l.file.WriteAt(frame, l.end); err != nil {
		return err
	}
	switch {
	case !l.syncs:
		return nil
	case grown:
		return l.file.Sync()
	}
	return syncData(l.file)
}

// begin makes the next file.
func (l *Log) begin() error {
	if files, err := filesIn(l.cfg.Dir); err == nil {
		l.drop(files)
	}
	// One that is called the same holds nothing that was acknowledged.
	f, err := os.OpenFile(filepath.Join(l.cfg.Dir, fileName(l.next)), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if l.syncs {
		if err := syncDir(l.cfg.Dir); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	l.file, l.end, l.zeroed = f, 0, 0
	return nil
}

// leave ends the file, behind which nothing is written any more.
func (l *Log) leave() {
	_ = errors.Join(l.file.Truncate(l.end), l.file.Close()) // what is acknowledged is synced
	l.file = nil
}

// drop removes the oldest of files as long as they are too much or too old.
func (l *Log) drop(files []file) {
	var size int64
	for _, f := range files {
		size += f.size
	}
	for _, f := range files {
		old := l.cfg.Keep > 0 && l.cfg.Now().Sub(f.modified) > l.cfg.Keep
		much := l.cfg.Room > 0 && size > max(0, l.cfg.Room-l.fileSize)
		if !old && !much {
			return
		}
		if err := os.Remove(filepath.Join(l.cfg.Dir, f.name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			l.cfg.Log.Warn("remove what a log need not keep any more", "file", f.name, "error", err)
			return
		}
		size -= f.size
	}
}

// Replay calls each for every entry that was there when it began, oldest first, and
// returns its first error. The entry is each's to keep.
func (l *Log) Replay(ctx context.Context, each func(entry []byte) error) error {
	l.writing.Lock()
	until := l.next
	l.writing.Unlock()
	files, err := filesIn(l.cfg.Dir)
	if err != nil {
		return fmt.Errorf("read the log: %w", err)
	}
	for i, f := range files {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("read the log: %w", err)
		}
		l.writing.Lock() // so that no frame is seen half written
		text, err := os.ReadFile(filepath.Join(l.cfg.Dir, f.name))
		l.writing.Unlock()
		if err != nil {
			return fmt.Errorf("read the log: %w", err)
		}
		read := scan(text, f.first, func(number uint64, entry []byte) error {
			if number >= until {
				return nil
			}
			return each(entry)
		})
		switch {
		case read.err != nil:
			return read.err
		case read.damaged, i+1 < len(files) && read.next < files[i+1].first:
			return fmt.Errorf("read the log: %w", damaged(l.cfg.Dir, f, read.end))
		}
	}
	return nil
}

func damaged(dir string, f file, end int64) error {
	return fmt.Errorf("%w: %s cannot be read behind its first %d bytes; move it away to go on without what it holds", ErrDamaged, filepath.Join(dir, f.name), end)
}

// Close ends the log; what was acknowledged stays. It may be called twice.
func (l *Log) Close() error {
	l.writing.Lock()
	defer l.writing.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	if l.file != nil {
		l.leave()
	}
	return nil
}
