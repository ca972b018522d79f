package wal

import (
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"
)

// A frame is: the length of what follows its head, its number, a checksum over both
// and what follows, and the entries, each behind its length.
const (
	frameHead = 4 + 8 + 8
	entryHead = 4
)

func appendFrame(b []byte, number uint64, entries [][]byte) []byte {
	at := len(b)
	b = append(b, make([]byte, frameHead)...)
	for _, e := range entries {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(e)))
		b = append(b, e...)
	}
	binary.LittleEndian.PutUint32(b[at:], uint32(len(b)-at-frameHead))
	binary.LittleEndian.PutUint64(b[at+4:], number)
	binary.LittleEndian.PutUint64(b[at+12:], checksum(b[at:at+12], b[at+frameHead:]))
	return b
}

func checksum(head, body []byte) uint64 {
	d := xxhash.New()
	_, _ = d.Write(head)
	_, _ = d.Write(body)
	return d.Sum64()
}

// readFrame returns what a frame holds and its size; ok is false for what is none
// of that number.
func readFrame(b []byte, number uint64) (body []byte, size int, ok bool) {
	if len(b) < frameHead || binary.LittleEndian.Uint64(b[4:]) != number {
		return nil, 0, false
	}
	n := int(binary.LittleEndian.Uint32(b))
	if n > len(b)-frameHead {
		return nil, 0, false
	}
	body = b[frameHead : frameHead+n]
	return body, frameHead + n, checksum(b[:12], body) == binary.LittleEndian.Uint64(b[12:])
}

// reading is what was found in a file.
type reading struct {
	next    uint64 // number of the frame that would follow
	end     int64  // of the last frame
	clean   bool   // there is nothing behind it
	damaged bool   // there are frames behind what is none
	err     error  // what each returned
}

// scan reads a file whose first frame has the given number, and calls each, where
// it is not nil, for every entry.
func scan(text []byte, first uint64, each func(number uint64, entry []byte) error) reading {
	r := reading{next: first}
	for {
		body, size, ok := readFrame(text[r.end:], r.next)
		if !ok {
			break
		}
		for len(body) >= entryHead && each != nil {
			n := int(binary.LittleEndian.Uint32(body))
			if n > len(body)-entryHead {
				break // no writer of ours does that
			}
			if r.err = each(r.next, slices.Clone(body[entryHead:entryHead+n])); r.err != nil {
				return r
			}
			body = body[entryHead+n:]
		}
		r.end += int64(size)
		r.next++
	}
	rest := text[r.end:]
	r.clean = !slices.ContainsFunc(rest, func(c byte) bool { return c != 0 })
	r.damaged = !r.clean && holdsLater(rest, r.next)
	return r
}

// holdsLater reports whether there is a whole frame that was written later than
// that of the given number: nothing is written behind one that is torn.
func holdsLater(text []byte, number uint64) bool {
	for at := 1; at+frameHead <= len(text); at++ {
		found := binary.LittleEndian.Uint64(text[at+4:])
		if found <= number || found > number+uint64(len(text)) {
			continue
		}
		if _, _, ok := readFrame(text[at:], found); ok {
			return true
		}
	}
	return false
}

// file is one of a log's.
type file struct {
	name     string
	first    uint64 // number of its first frame
	size     int64
	modified time.Time
}

const extension = ".wal"

func fileName(first uint64) string { return fmt.Sprintf("%020d%s", first, extension) }

// filesIn are the files of a log, the oldest first. Others are passed over.
func filesIn(dir string) (files []file, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		var f file
		digits, ok := strings.CutSuffix(e.Name(), extension)
		if n, err := fmt.Sscanf(digits, "%d", &f.first); !ok || n != 1 || err != nil || fileName(f.first) != e.Name() {
			continue
		}
		info, err := e.Info()
		if err != nil {
			return nil, err
		}
		f.name, f.size, f.modified = e.Name(), info.Size(), info.ModTime()
		files = append(files, f)
	}
	slices.SortFunc(files, func(a, b file) int { return strings.Compare(a.name, b.name) })
	return files, nil
}
