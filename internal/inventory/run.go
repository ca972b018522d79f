package inventory

import (
	"encoding/binary"
	"math"
	"math/bits"
	"unsafe"
)

// Entries are stored sorted and front-coded: each says how many bytes it shares
// with the one before and spells only the rest. Every perBlock entries a block
// begins with an entry in full, so that blocks can be searched by halving, and
// remembers the sums of all that lies before it.
const (
	perBlock  = 32
	chunkSize = 256 << 10 // blocks are packed into chunks, so that nothing large is ever copied while growing

	// maxTotal is where sums of bytes and of requests stop growing, so that no
	// arithmetic on them overflows.
	maxTotal = math.MaxInt64 / 8
)

// What follows the URL of an entry: uvarint of size<<2|flags, then the requests
// and the number of tags with their identifiers where the flags say so.
const (
	hasTags     = 1
	hasRequests = 2
	flagBits    = 2
)

// block is where a block lies and the sums of everything before it.
type block struct {
	chunk, at   uint32
	bytes       int64
	requests    int64
	refillBytes int64 // only where requests are known
}

// run is a sorted sequence of entries.
type run struct {
	n      int
	blocks []block
	chunks [][]byte
	total  Sum
}

func (r *run) memory() int64 {
	bytes := int64(cap(r.blocks)) * int64(unsafe.Sizeof(block{}))
	for _, c := range r.chunks {
		bytes += int64(cap(c))
	}
	return bytes
}

// before is the sum of all entries that precede block b.
func (r *run) before(b int) Sum {
	if b == len(r.blocks) {
		return r.total
	}
	k := &r.blocks[b]
	return Sum{int64(b) * perBlock, k.bytes, k.requests, k.requests, k.refillBytes}
}

// head is the URL of the first entry of block b.
func (r *run) head(b int) []byte {
	k := r.blocks[b]
	rest := r.chunks[k.chunk][k.at:]
	n, used := binary.Uvarint(rest[1:]) // the first byte says that nothing is shared
	return rest[1+used : 1+used+int(n)]
}

// writer makes a run of entries that come sorted and without duplicates.
type writer struct {
	run
	weighted bool
	last     []byte
	open     []byte // the block being written
	start    block  // and its sums
	stored   int    // bytes in chunks
}

func (w *writer) add(url []byte, size, requests int64, tags []uint32) {
	if w.n%perBlock == 0 {
		w.seal()
		w.start = block{bytes: w.total.Bytes, requests: w.total.Requests, refillBytes: w.total.RefillBytes}
		w.last = w.last[:0]
	}
	size = min(max(size, 0), maxTotal-w.total.Bytes)
	requests = min(max(requests, 0), maxTotal-w.total.Requests)
	if w.weighted && size > 0 {
		requests = min(requests, (maxTotal-w.total.RefillBytes)/size)
	}
	w.spell(url)
	w.describe(uint64(size), uint64(requests), tags)
	w.n++
	w.total = w.total.Plus(own(size, requests, w.weighted))
}

func (w *writer) spell(url []byte) {
	shared := sharedLength(w.last, url)
	w.open = binary.AppendUvarint(w.open, uint64(shared))
	w.open = binary.AppendUvarint(w.open, uint64(len(url)-shared))
	w.open = append(w.open, url[shared:]...)
	w.last = append(w.last[:shared], url[shared:]...)
}

func (w *writer) describe(size, requests uint64, tags []uint32) {
	flags := uint64(0)
	if len(tags) > 0 {
		flags |= hasTags
	}
	if requests > 0 {
		flags |= hasRequests
	}
	w.open = binary.AppendUvarint(w.open, size<<flagBits|flags)
	if requests > 0 {
		w.open = binary.AppendUvarint(w.open, requests)
	}
	if len(tags) > 0 {
		w.open = binary.AppendUvarint(w.open, uint64(len(tags)))
	}
	for _, t := range tags {
		w.open = binary.AppendUvarint(w.open, uint64(t))
	}
}

// seal moves the open block into a chunk.
func (w *writer) seal() {
	if len(w.open) == 0 {
		return
	}
	last := len(w.chunks) - 1
	if last < 0 || cap(w.chunks[last])-len(w.chunks[last]) < len(w.open) {
		w.chunks = append(w.chunks, make([]byte, 0, max(min(w.stored, chunkSize), 1<<10, len(w.open))))
		last++
	}
	w.start.chunk, w.start.at = uint32(last), uint32(len(w.chunks[last]))
	w.blocks = append(w.blocks, w.start)
	w.chunks[last] = append(w.chunks[last], w.open...)
	w.stored += len(w.open)
	w.open = w.open[:0]
}

// own is the sum of one entry.
func own(size, requests int64, weighted bool) Sum {
	s := Sum{Objects: 1, Bytes: size, Requests: requests, Refills: 1, RefillBytes: size}
	if weighted {
		s.Refills, s.RefillBytes = requests, size*requests
	}
	return s
}

// sharedLength is the length of the longest common prefix of a and b.
func sharedLength(a, b []byte) int {
	n := min(len(a), len(b))
	i := 0
	for ; i+8 <= n; i += 8 {
		if x := binary.LittleEndian.Uint64(a[i:]) ^ binary.LittleEndian.Uint64(b[i:]); x != 0 {
			return i + bits.TrailingZeros64(x)/8
		}
	}
	for ; i < n && a[i] == b[i]; i++ {
	}
	return i
}
