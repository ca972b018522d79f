// Package packed lays a stored response out in one run of bytes, without a
// pointer: what decides over it in a head of fixed size, then its key, its
// names, its header, and its body. So it can lie in memory that the garbage
// collector does not look at, and is answered from as it lies there. The header
// is there as it goes out, or tersely, where that makes the entry much smaller.
package packed

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"
)

// Key names a response: a distribution, the URL as the viewer spelled it, with
// the part of the query string that counts, and what else of the request counts.
type Key struct {
	Site    uint32
	URL     string
	Variant string
}

// Entry is a stored response before it is packed, or after it was unpacked.
type Entry struct {
	Key    Key
	Names  []string // under which an invalidation may name it
	Status int      // 0 for what is no response but reminds of one; at most 65,535
	Header map[string][]string

	Birth   uint64 // epoch before the origin was asked
	Checked uint64 // epoch up to which it is known to be valid
	Begun   uint64 // counts fetches

	Received time.Time     // whose reading of the monotonic clock is lost
	Age      time.Duration // it had then
	Aged     bool          // by an upstream cache, which said so
	Retry    int64         // Unix nanoseconds before which a failed origin is not asked again

	Store        bool          // worth keeping
	Fresh        time.Duration // for which it is reused without asking the origin
	Each         bool          // the origin wants to be asked for each viewer
	Unconfirmed  bool          // the origin is not asked whether it is still right
	Behind       time.Duration // for which it is served after its expiry while the origin is asked
	StaleOnError bool          // it may stand in for a failing origin
	StaleFor     time.Duration // after its expiry; negative for without limit

	Part *Part  // that Body is, or nil for the whole
	Body []byte // nil where it is elsewhere
	Size int64  // of the body where it is elsewhere; not heeded with Body
	At   uint32 // where it is then, as the owner of the bytes counts; 0 with Body

	// Quick says that the header may go out as it is, with what an edge says of
	// itself in between. Dressed, if it is not nil, is the header that goes out
	// in its place through one behavior.
	Quick    bool
	Plain    bool // the owner's mark
	Dressed  map[string][]string
	Behavior int // that Dressed is for; at most 65,535
}

// Part is a part of a body: Length bytes from First on, of Total.
type Part struct{ First, Length, Total int64 }

// ErrUnpackable is what Append fails with for what has no place in the layout:
// strings, or a header, longer than any request or response may be, and header
// lines that could not go out as they are.
var ErrUnpackable = errors.New("cannot be packed")

// The head. Words that change while others read them are in the order of the
// machine, and everything else begins with the lowest byte.
const (
	atLength   = 0 // of all, uint32
	atFlags    = 4 // uint8
	atMore     = 5 // uint8
	atStatus   = 6
	atSerial   = 8  // the owner's, uint64
	atChecked  = 16 // changes
	atRetry    = 24 // changes
	atUses     = 32 // changes, uint32, the owner's
	atSite     = 36
	atBirth    = 40
	atBegun    = 48
	atReceived = 56
	atFresh    = 64
	atNames    = 72 // length, uint32
	atVariant  = 76 // length, uint16, as those below
	atURL      = 78
	atLines    = 80
	headSize   = 82

	// Behind the head, of those entries that have moreFlag.
	atBehind   = headSize
	atStaleFor = headSize + 8
	atFirst    = headSize + 16
	atPart     = headSize + 24 // length
	atTotal    = headSize + 32
	atSize     = headSize + 40
	atAge      = headSize + 48
	atPlace    = headSize + 56 // uint32
	atBehavior = headSize + 60 // uint16
	atDressed  = headSize + 62 // length, uint16
	moreSize   = 64
)

// gapsSize is how many bytes the gaps of lines take that are not terse, before
// their text: uint16 each.
const gapsSize = 2 * Gaps

// Flags of the first byte, and of the second.
const (
	agedFlag = 1 << iota
	storeFlag
	eachFlag
	unconfirmedFlag
	staleFlag
	foreverFlag // StaleFor is negative
	quickFlag
	moreFlag

	oneNameFlag = 1 << 0 // the only name is the URL
	partFlag    = 1 << 1
	dressedFlag = 1 << 2
	awayFlag    = 1 << 3 // the body is elsewhere
	plainFlag   = 1 << 4
	terseFlag   = 1 << 5 // all lines are

	headFlags = oneNameFlag | plainFlag | terseFlag // which need no more than the head
)

// Align is to what address a packed entry must be aligned for its words that
// change to be read.
const Align = 8

func flagOf(set bool, flag byte) byte {
	if set {
		return flag
	}
	return 0
}

// Append appends e to dst, from a multiple of Align bytes in dst on if dst had
// such a length. On an error dst is as it was.
func Append(dst []byte, e *Entry) ([]byte, error) {
	start := len(dst)
	b := append(dst, make([]byte, headSize)...)
	flags := flagOf(e.Aged, agedFlag) | flagOf(e.Store, storeFlag) | flagOf(e.Each, eachFlag) | flagOf(e.Unconfirmed, unconfirmedFlag) |
		flagOf(e.StaleOnError, staleFlag) | flagOf(e.StaleFor < 0, foreverFlag) | flagOf(e.Quick, quickFlag)
	oneName := len(e.Names) == 1 && e.Names[0] == e.Key.URL
	away := e.Body == nil && e.Size > 0
	more := flagOf(oneName, oneNameFlag) | flagOf(e.Part != nil, partFlag) | flagOf(e.Dressed != nil, dressedFlag) | flagOf(away, awayFlag) | flagOf(e.Plain, plainFlag)
	if e.Behind != 0 || e.Age != 0 || e.StaleFor > 0 || more&^headFlags != 0 {
		flags |= moreFlag
		b = append(b, make([]byte, moreSize)...)
	}
	p := packing{b: b, start: start, entry: e}
	p.text(atURL, e.Key.URL)
	p.text(atVariant, e.Key.Variant)
	if !oneName {
		p.names()
	}
	if p.header() {
		more |= terseFlag
	}
	p.b = append(p.b, e.Body...)
	if n := int64(len(p.b) - start); n > math.MaxUint32/2 {
		p.fail("%d bytes", n)
	}
	if e.Status < 0 || e.Status > math.MaxUint16 || e.Behavior < 0 || e.Behavior > math.MaxUint16 {
		p.fail("status %d of behavior %d", e.Status, e.Behavior)
	}
	if p.err != nil {
		return dst, fmt.Errorf("pack %s: %w", e.Key.URL[:min(len(e.Key.URL), 200)], p.err)
	}
	p.head(flags, more)
	return p.b, nil
}

// packing is one entry on its way.
type packing struct {
	b     []byte
	start int
	entry *Entry
	err   error
}

func (p *packing) fail(format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf("%w: %s", ErrUnpackable, fmt.Sprintf(format, args...))
	}
}

// short puts a number into the head.
func (p *packing) short(at, n int) {
	if n > math.MaxUint16 {
		p.fail("%d bytes of a key or header", n)
	}
	binary.LittleEndian.PutUint16(p.b[p.start+at:], uint16(n))
}

func (p *packing) text(at int, s string) {
	p.short(at, len(s))
	p.b = append(p.b, s...)
}

// names appends each name behind its length.
func (p *packing) names() {
	before := len(p.b)
	for _, name := range p.entry.Names {
		p.b = binary.LittleEndian.AppendUint32(p.b, uint32(len(name)))
		p.b = append(p.b, name...)
	}
	binary.LittleEndian.PutUint32(p.b[p.start+atNames:], uint32(len(p.b)-before))
}

// head fills in what has a place of its own.
func (p *packing) head(flags, more byte) {
	e, b := p.entry, p.b[p.start:]
	binary.LittleEndian.PutUint32(b[atLength:], uint32(len(b)))
	b[atFlags], b[atMore] = flags, more
	binary.LittleEndian.PutUint16(b[atStatus:], uint16(e.Status))
	binary.NativeEndian.PutUint64(b[atChecked:], e.Checked)
	binary.NativeEndian.PutUint64(b[atRetry:], uint64(e.Retry))
	binary.LittleEndian.PutUint32(b[atSite:], e.Key.Site)
	binary.LittleEndian.PutUint64(b[atBirth:], e.Birth)
	binary.LittleEndian.PutUint64(b[atBegun:], e.Begun)
	binary.LittleEndian.PutUint64(b[atReceived:], uint64(e.Received.UnixNano()))
	binary.LittleEndian.PutUint64(b[atFresh:], uint64(e.Fresh))
	if flags&moreFlag == 0 {
		return
	}
	binary.LittleEndian.PutUint64(b[atBehind:], uint64(e.Behind))
	binary.LittleEndian.PutUint64(b[atAge:], uint64(e.Age))
	binary.LittleEndian.PutUint64(b[atStaleFor:], uint64(e.StaleFor))
	if part := e.Part; part != nil {
		binary.LittleEndian.PutUint64(b[atFirst:], uint64(part.First))
		binary.LittleEndian.PutUint64(b[atPart:], uint64(part.Length))
		binary.LittleEndian.PutUint64(b[atTotal:], uint64(part.Total))
	}
	if more&awayFlag != 0 {
		binary.LittleEndian.PutUint64(b[atSize:], uint64(e.Size))
		binary.LittleEndian.PutUint32(b[atPlace:], e.At)
	}
	binary.LittleEndian.PutUint16(b[atBehavior:], uint16(e.Behavior))
}
