package disk

import (
	"encoding/binary"
	"errors"
	"math"

	"github.com/cespare/xxhash/v2"
)

// A record is a header of fixed size, and then, in the order that the header
// says, label, head, the checksums of the body's blocks, and the body. Records
// begin at multiples of align.
const (
	align      = 8
	headerSize = 64
	recordMark = 0x31445246 // FRD1
	blockSize  = 64 << 10   // of a body, each with a checksum of its own

	// Flags.
	bodyFirst = 1 // the body comes before label, head and checksums
	erased    = 2 // there is nothing in the record any more but its size
)

// Bounds of what a record holds beside its body.
const (
	maxLabel = math.MaxUint16
	maxHead  = 4 << 20
)

// errDamaged is what a record fails with that is not what was written.
var errDamaged = errors.New("the record is damaged")

// header is what is known of a record before it is read. Segment and at say
// where it belongs, so that one that a disk has brought to another place is none;
// the seed of its checksum says to which store, and since when.
type header struct {
	label, head int64
	body        int64
	flags       uint32
	hash        uint64
	segment     uint64
	at          int64
	sum         uint64 // of label, head and the blocks' checksums
}

func (h *header) sums() int64 {
	if h.flags&erased != 0 {
		return 0
	}
	return blocks(h.body) * 8
}

// around is how many bytes there are beside header and body.
func (h *header) around() int64 { return h.label + h.head + h.sums() }

// size is how many bytes the record takes.
func (h *header) size() int64 { return aligned(headerSize + h.around() + h.body) }

// places returns where in the record that is which lies around the body, and
// where the body is.
func (h *header) places() (around, body int64) {
	if h.flags&bodyFirst != 0 {
		return headerSize + h.body, headerSize
	}
	return headerSize, headerSize + h.around()
}

func aligned(n int64) int64 { return (n + align - 1) / align * align }

// blocks is how many blocks a body has.
func blocks(body int64) int64 { return (body + blockSize - 1) / blockSize }

func (h *header) append(b []byte, seed uint64) []byte {
	at := len(b)
	b = binary.LittleEndian.AppendUint32(b, recordMark)
	b = binary.LittleEndian.AppendUint32(b, uint32(h.label))
	b = binary.LittleEndian.AppendUint32(b, uint32(h.head))
	b = binary.LittleEndian.AppendUint32(b, h.flags)
	for _, n := range [...]uint64{uint64(h.body), h.hash, h.segment, uint64(h.at), h.sum} {
		b = binary.LittleEndian.AppendUint64(b, n)
	}
	return binary.LittleEndian.AppendUint64(b, sumWith(seed, b[at:]))
}

func sumWith(seed uint64, b []byte) uint64 {
	d := xxhash.NewWithSeed(seed)
	_, _ = d.Write(b)
	return d.Sum64()
}

// readHeader returns false for what is no header of a record at this place.
func readHeader(b []byte, g *segment, at int64) (h header, ok bool) {
	if len(b) < headerSize {
		return h, false
	}
	n32 := func(at int) uint32 { return binary.LittleEndian.Uint32(b[at:]) }
	n64 := func(at int) uint64 { return binary.LittleEndian.Uint64(b[at:]) }
	if n32(0) != recordMark || n64(56) != sumWith(g.seed, b[:56]) {
		return h, false
	}
	h = header{
		label: int64(n32(4)), head: int64(n32(8)), flags: n32(12),
		body: int64(n64(16)), hash: n64(24), segment: n64(32), at: int64(n64(40)), sum: n64(48),
	}
	return h, h.segment == g.number && h.at == at && h.label <= maxLabel && h.head <= maxHead && 0 <= h.body && h.body <= maxBody
}

// maxBody is the largest body of a record.
const maxBody = 1 << 34

// appendSums appends the checksums of a body's blocks.
func appendSums(b, body []byte) []byte {
	for len(body) > 0 {
		n := min(len(body), blockSize)
		b = binary.LittleEndian.AppendUint64(b, xxhash.Sum64(body[:n]))
		body = body[n:]
	}
	return b
}

func appendSum(b []byte, sum uint64) []byte { return binary.LittleEndian.AppendUint64(b, sum) }

// checkBlocks compares the blocks of p, which begins with the block first, with
// their checksums. All but the last of a body are whole.
func checkBlocks(p, sums []byte, first int64) error {
	for i := first; len(p) > 0; i++ {
		n := min(len(p), blockSize)
		if binary.LittleEndian.Uint64(sums[i*8:]) != xxhash.Sum64(p[:n]) {
			return errDamaged
		}
		p = p[n:]
	}
	return nil
}
