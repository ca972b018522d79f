package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/cespare/xxhash/v2"
)

// Ledger is a sequence of entries of which none that was acknowledged is lost. It
// is kept twice, in two files, so that neither a torn end nor damage to one of them
// takes anything away unseen. Its methods may be called concurrently.
type Ledger struct {
	fs   FS
	dir  string
	room int64

	mu     sync.Mutex
	waits  *batch // entries that will be written next; nil for none
	size   int64
	broken error

	reserved   int64      // bytes of the disk that each file has for what will be appended
	writing    sync.Mutex // one write of both files at a time
	files      [2]File
	end        int64
	generation uint64
	sequence   uint64
}

// batch is what is written, and synced, at once.
type batch struct {
	frames  [][]byte
	written chan struct{} // closed once err is set
	err     error
}

// ledgerFiles are the names of the two copies.
func ledgerFiles() [2]string { return [2]string{"ledger-a", "ledger-b"} }

// ErrBroken is what Append fails with after a failure, until Rewrite has succeeded.
var ErrBroken = errors.New("the ledger is broken")

// errLost is a ledger of which something may be missing.
var errLost = errors.New("the ledger is damaged")

// A frame is: the length of the entry, a sequence number, a checksum over both and
// the entry, and the entry. The first of a file holds its generation.
const frameSize = 4 + 8 + 8

func appendFrame(b []byte, sequence uint64, entry []byte) []byte {
	at := len(b)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(entry)))
	b = binary.LittleEndian.AppendUint64(b, sequence)
	d := xxhash.New()
	_, _ = d.Write(b[at:])
	_, _ = d.Write(entry)
	b = binary.LittleEndian.AppendUint64(b, d.Sum64())
	return append(b, entry...)
}

// readFrame returns what follows the frame, too; false for what is none.
func readFrame(b []byte) (sequence uint64, entry, rest []byte, ok bool) {
	if len(b) < frameSize {
		return 0, nil, nil, false
	}
	n := int64(binary.LittleEndian.Uint32(b))
	if n > int64(len(b)-frameSize) {
		return 0, nil, nil, false
	}
	entry = b[frameSize : frameSize+n]
	d := xxhash.New()
	_, _ = d.Write(b[:12])
	_, _ = d.Write(entry)
	return binary.LittleEndian.Uint64(b[4:]), entry, b[frameSize+n:], d.Sum64() == binary.LittleEndian.Uint64(b[12:])
}

// copied is one of the two files as it was read.
type copied struct {
	generation uint64
	entries    [][]byte
	whole      bool // to its end
}

func readLedger(text []byte) (c copied) {
	sequence, entry, rest, ok := readFrame(text)
	if !ok || sequence != 0 || len(entry) != 8 {
		return copied{}
	}
	c.generation = binary.LittleEndian.Uint64(entry)
	for next := uint64(1); len(rest) > 0; next++ {
		if sequence, entry, rest, ok = readFrame(rest); !ok || sequence != next {
			return c
		}
		c.entries = append(c.entries, entry)
	}
	c.whole = true
	return c
}

// openLedger returns the entries that are in the ledger of a directory. The ledger
// takes no more of the disk than room, and nothing before Rewrite was called.
func openLedger(fs FS, dir string, room int64) (l *Ledger, entries [][]byte, err error) {
	l = &Ledger{fs: fs, dir: dir, room: room, broken: ErrBroken}
	var copies [2]copied
	for i, name := range ledgerFiles() {
		text, err := readFile(fs, dir, name)
		if err == nil {
			copies[i] = readLedger(text)
		}
		l.generation = max(l.generation, copies[i].generation)
	}
	a, b := copies[0], copies[1]
	switch {
	case !a.whole && !b.whole:
		return l, nil, errLost
	case !b.whole:
		return l, a.entries, nil
	case !a.whole:
		return l, b.entries, nil
	case a.generation != b.generation: // the newer one holds what the older one did
		if a.generation > b.generation {
			return l, a.entries, nil
		}
		return l, b.entries, nil
	case len(a.entries) >= len(b.entries):
		return l, a.entries, nil
	}
	return l, b.entries, nil
}

// Rewrite puts entries in the place of all that there are. It waits for what is
// being appended; what is appended meanwhile is lost unless it is among the
// entries, so they are asked for once nothing is.
func (l *Ledger) Rewrite(entries func() [][]byte) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	generation := l.generation + 1
	text := appendFrame(nil, 0, binary.LittleEndian.AppendUint64(nil, generation))
	sequence := uint64(0)
	for _, e := range entries() {
		sequence++
		text = appendFrame(text, sequence, e)
	}
	err := l.replace(text)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.broken = errors.Join(ErrBroken, err)
		return fmt.Errorf("write the ledger anew: %w", err)
	}
	l.generation, l.sequence, l.end, l.size, l.broken = generation, sequence, int64(len(text)), int64(len(text)), nil
	return nil
}

// replace writes both files anew, one after the other, so that one of them is
// whole at any time. l.writing is held.
func (l *Ledger) replace(text []byte) error {
	l.shut()
	for i, name := range ledgerFiles() {
		if err := writeFile(l.fs, l.dir, name, text); err != nil {
			return err
		}
		f, err := l.fs.Open(filepath.Join(l.dir, name), os.O_RDWR)
		if err != nil {
			return err
		}
		l.files[i] = f
		l.reserve(f)
	}
	return nil
}

// ahead is how many bytes a file of the ledger has reserved of the disk, so that what
// is invalidated can be written down when others have filled it.
const ahead = 256 << 10

// reserve has room for what will be appended, where the system has such a thing.
// l.writing is held.
func (l *Ledger) reserve(f File) {
	r, ok := f.(interface{ Reserve(length int64) error })
	if n := min(ahead, l.Share()/page*page); ok && r.Reserve(n) == nil {
		l.mu.Lock()
		l.reserved = n
		l.mu.Unlock()
	}
}

func (l *Ledger) shut() {
	for i, f := range l.files {
		if f != nil {
			_ = f.Close() // what was written is synced
			l.files[i] = nil
		}
	}
}

// Append adds an entry and returns once it will survive whatever happens to the
// process and the machine. Entries that come at the same time are synced at once.
func (l *Ledger) Append(entry []byte) error {
	l.mu.Lock()
	if l.broken != nil {
		defer l.mu.Unlock()
		return l.broken
	}
	b, leads := l.waits, l.waits == nil
	if leads {
		b = &batch{written: make(chan struct{})}
		l.waits = b
	}
	b.frames = append(b.frames, entry)
	l.mu.Unlock()
	if !leads {
		<-b.written
		return b.err
	}
	l.writing.Lock()
	l.mu.Lock()
	l.waits = nil // whoever comes now waits for the next
	broken := l.broken
	l.mu.Unlock()
	if b.err = broken; broken == nil {
		b.err = l.write(b.frames)
	}
	l.writing.Unlock()
	close(b.written)
	return b.err
}

// write appends entries to both files. l.writing is held.
func (l *Ledger) write(entries [][]byte) error {
	var text []byte
	sequence := l.sequence
	for _, e := range entries {
		sequence++
		text = appendFrame(text, sequence, e)
	}
	var failed [2]error
	var second sync.WaitGroup
	second.Go(func() { failed[1] = writeSynced(l.files[1], text, l.end) })
	failed[0] = writeSynced(l.files[0], text, l.end)
	second.Wait()
	err := errors.Join(failed[:]...)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.broken = errors.Join(ErrBroken, err)
		return l.broken
	}
	l.sequence = sequence
	l.end += int64(len(text))
	l.size = l.end
	return nil
}

func writeSynced(f File, text []byte, at int64) error {
	if _, err := f.WriteAt(text, at); err != nil {
		return err
	}
	return f.Sync()
}

// Fits reports whether an entry of so many bytes can be appended without the
// ledger's taking more of the disk than it may. If not, it is to be written anew.
func (l *Ledger) Fits(entry int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return taking(l.size+frameSize+int64(entry)) <= l.Share()
}

// Share is how many bytes one copy may take, so that both and those that will
// replace them have room.
func (l *Ledger) Share() int64 { return l.room / 4 }

// taken is how many bytes of the disk the ledger takes.
func (l *Ledger) taken() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return 2 * taking(max(l.size, l.reserved))
}

func (l *Ledger) close() error {
	l.writing.Lock()
	defer l.writing.Unlock()
	l.shut()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.broken = ErrBroken
	return nil
}
