package disk

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/cespare/xxhash/v2"
)

// segment is a file with records, the later ones behind the earlier ones, or, if
// it is alone, with one. Which they are stands at its end once it is full.
type segment struct {
	id     uint32 // within this process
	number uint64 // the later the higher
	alone  bool
	name   string
	seed   uint64 // of checksums

	reading sync.RWMutex // locked while parts are erased

	// Store.mu is held for these.
	taken   int64         // bytes of the disk
	pins    map[place]int // those who read a record
	removed bool
	gone    bool // from the disk, too

	// Store.writing is held for these, until it is sealed.
	file    File // nil once it is sealed
	end     int64
	entries []byte // of its contents

	swept    int  // how many of its records were erased when it was looked at last
	contents span // where its table of contents is; nothing if it has none
}

// seedOf is the seed of checksums in a store with an identity.
func seedOf(id string) uint64 { return xxhash.Sum64String(id) }

type span struct{ at, length int64 }

// The names of segments that hold many records, and of those that hold one.
const (
	manySuffix  = ".records"
	aloneSuffix = ".record"
)

func segmentName(number uint64, alone bool) string {
	if alone {
		return fmt.Sprintf("%016x%s", number, aloneSuffix)
	}
	return fmt.Sprintf("%016x%s", number, manySuffix)
}

// segmentOf reads what segmentName has written.
func segmentOf(name string) (number uint64, alone, ok bool) {
	text, alone := strings.CutSuffix(name, aloneSuffix)
	if !alone {
		if text, ok = strings.CutSuffix(name, manySuffix); !ok {
			return 0, false, false
		}
	}
	number, err := strconv.ParseUint(text, 16, 64)
	return number, alone, err == nil && name == segmentName(number, alone)
}

// content is what the table of contents says of a record.
type content struct {
	hash  uint64
	at    int64
	size  int64
	label []byte
}

const contentSize = 8 + 4 + 4 + 2 // and the label

func (c *content) append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint64(b, c.hash)
	b = binary.LittleEndian.AppendUint32(b, uint32(c.at/align))
	b = binary.LittleEndian.AppendUint32(b, uint32(c.size/align))
	b = binary.LittleEndian.AppendUint16(b, uint16(len(c.label)))
	return append(b, c.label...)
}

// eachContent calls each for all of a table of contents, whose bytes the labels
// are.
func eachContent(b []byte, each func(content)) {
	for len(b) >= contentSize {
		c := content{hash: binary.LittleEndian.Uint64(b), at: int64(binary.LittleEndian.Uint32(b[8:])) * align, size: int64(binary.LittleEndian.Uint32(b[12:])) * align}
		n := contentSize + int(binary.LittleEndian.Uint16(b[16:]))
		if n > len(b) {
			return
		}
		c.label = b[contentSize:n]
		each(c)
		b = b[n:]
	}
}

// The last bytes of a sealed segment say where its table of contents is.
const (
	trailerSize = 40
	trailerMark = 0x31544e4f43445246 // FRDCONT1
)

// trailer is the end of a segment whose table of contents is at a place.
func (s *segment) trailer(at int64, contents []byte) []byte {
	b := binary.LittleEndian.AppendUint64(nil, trailerMark)
	b = binary.LittleEndian.AppendUint64(b, s.number)
	b = binary.LittleEndian.AppendUint64(b, uint64(at))
	b = binary.LittleEndian.AppendUint64(b, uint64(len(contents)))
	return binary.LittleEndian.AppendUint64(b, s.contentSum(b, contents))
}

func (s *segment) contentSum(trailer, contents []byte) uint64 {
	d := xxhash.NewWithSeed(s.seed)
	_, _ = d.Write(trailer)
	_, _ = d.Write(contents)
	return d.Sum64()
}

// readContents returns the table of contents of a sealed segment, and false for
// one that is not, or whose table is damaged.
func (s *segment) readContents(f File, length int64) (contents []byte, where span, ok bool, err error) {
	if length < trailerSize {
		return nil, span{}, false, nil
	}
	t := make([]byte, trailerSize)
	if _, err := f.ReadAt(t, length-trailerSize); err != nil {
		return nil, span{}, false, err
	}
	n64 := func(at int) uint64 { return binary.LittleEndian.Uint64(t[at:]) }
	where = span{int64(n64(16)), int64(n64(24))}
	if n64(0) != trailerMark || n64(8) != s.number || where.at < 0 || where.length < 0 || where.length > length || where.at != length-trailerSize-where.length {
		return nil, span{}, false, nil
	}
	contents = make([]byte, where.length)
	if _, err := f.ReadAt(contents, where.at); err != nil {
		return nil, span{}, false, err
	}
	return contents, where, n64(32) == s.contentSum(t[:32], contents), nil
}

// scan finds the records of a segment that was not sealed. What comes after a
// damaged one is not found.
func (s *segment) scan(f File, length int64) (contents []byte, err error) {
	w := window{file: f, length: length}
	for at := int64(0); at+headerSize <= length; {
		b, err := w.get(at, headerSize)
		if err != nil {
			return nil, err
		}
		h, ok := readHeader(b, s, at)
		if !ok || at+h.size() > length {
			break
		}
		if h.flags&erased == 0 {
			label, err := w.get(at+headerSize, h.label)
			if err != nil {
				return nil, err
			}
			c := content{h.hash, at, h.size(), label}
			contents = c.append(contents)
		}
		at += h.size()
	}
	return contents, nil
}

// window reads a file from its beginning to its end, a good part of it at a time.
type window struct {
	file   File
	length int64
	at     int64
	have   []byte
	room   []byte
}

const windowSize = 128 << 10

// get returns what is in the file, which is as long, from at on, until it is called the
// next time.
func (w *window) get(at, n int64) ([]byte, error) {
	if at < w.at || at+n > w.at+int64(len(w.have)) {
		if w.room == nil {
			w.room = make([]byte, min(windowSize, w.length))
		}
		w.at, w.have = at, w.room[:min(int64(len(w.room)), w.length-at)]
		if _, err := w.file.ReadAt(w.have, at); err != nil {
			w.have = nil
			return nil, err
		}
	}
	return w.have[at-w.at:][:n], nil
}

// lone is scan for a segment with one record.
func (s *segment) lone(f File, length int64) (contents []byte, err error) {
	b := make([]byte, headerSize)
	if length < headerSize {
		return nil, nil
	}
	if _, err := f.ReadAt(b, 0); err != nil {
		return nil, err
	}
	h, ok := readHeader(b, s, 0)
	if !ok || h.flags&erased != 0 || h.size() > length {
		return nil, nil
	}
	around, _ := h.places()
	label := make([]byte, h.label)
	if _, err := f.ReadAt(label, around); err != nil {
		return nil, err
	}
	c := content{h.hash, 0, h.size(), label}
	return c.append(nil), nil
}

func (s *Store) open(g *segment, flag int) (File, error) {
	defer s.ask()()
	return s.fs.Open(filepath.Join(s.dir, g.name), flag)
}

// seal writes the table of contents behind the records, and closes the file.
func (s *segment) seal() error {
	at := aligned(s.end)
	out := append(s.entries, s.trailer(at, s.entries)...)
	_, err := s.file.WriteAt(out, at)
	if err == nil {
		s.contents = span{at, int64(len(s.entries))}
		s.end = at + int64(len(out))
		s.entries = nil
	}
	if closing := s.file.Close(); err == nil {
		err = closing
	}
	s.file = nil
	return err
}

const (
	create = os.O_RDWR | os.O_CREATE | os.O_EXCL
	change = os.O_RDWR
	read   = os.O_RDONLY
)
