package packed

import (
	"encoding/binary"
	"errors"
	"iter"
	"math"
	"strings"
	"sync/atomic"
	"time"
	"unsafe"
)

// View reads a packed entry where it lies. The strings and slices it returns are
// those bytes, and to be used no longer than those stay; nothing may be written
// to them. The zero View is none.
type View struct{ b []byte }

// ErrMalformed is what Open fails with.
var ErrMalformed = errors.New("not a packed entry")

// Open returns a view of the entry that b is, after it has looked at all of it
// that the view relies on. Whatever b holds, that and what the view's methods do
// is safe. Of the body it knows the length only.
func Open(b []byte) (View, error) {
	v := View{b}
	if len(b) < headSize || v.u32(atLength) != uint32(len(b)) || len(b) > math.MaxUint32/2 || !v.hasRoom() || !v.isSound() {
		return View{}, ErrMalformed
	}
	return v, nil
}

// Trust is Open without a look, for bytes that Append has written.
func Trust(b []byte) View { return View{b} }

// SizeAt is how many bytes the entry has with which b, of at least HeadSize bytes,
// begins.
func SizeAt(b []byte) int { return int(binary.LittleEndian.Uint32(b[atLength:])) }

// HeadSize is how many bytes any entry has at least.
const HeadSize = headSize

func (v View) hasRoom() bool {
	need := uint64(v.texts()) + uint64(v.u16(atURL)) + uint64(v.u16(atVariant)) + uint64(v.u32(atNames)) + uint64(v.u16(atLines))
	if v.b[atFlags]&moreFlag != 0 {
		if len(v.b) < headSize+moreSize {
			return false
		}
		need += uint64(v.u16(atDressed))
	}
	return need <= uint64(len(v.b))
}

// isSound looks at what hasRoom has found room for.
func (v View) isSound() bool {
	return v.hasSoundFlags() && v.hasSoundLines() && v.hasSoundNames() && v.hasSoundPart() &&
		v.Size() >= 0 && (!v.Away() || v.bodyAt() == len(v.b) && v.Size() > 0)
}

func (v View) hasSoundFlags() bool {
	more, hasMore := v.b[atMore], v.flag(moreFlag)
	switch {
	case more >= terseFlag<<1, !hasMore && more&^headFlags != 0:
		return false
	case hasMore && more&dressedFlag == 0 && v.u16(atDressed) != 0:
		return false
	}
	return more&oneNameFlag == 0 || v.u32(atNames) == 0
}

func (v View) hasSoundLines() bool {
	at := v.linesAt()
	return v.areSound(v.b[at:at+int(v.u16(atLines))]) && (v.b[atMore]&dressedFlag == 0 || v.areSound(v.dressedBytes()))
}

func (v View) areSound(lines []byte) bool {
	var l Lines
	switch {
	case v.b[atMore]&terseFlag != 0:
		text, ok := expand(nil, lines, &l.gaps)
		if !ok || len(text) > math.MaxUint16-gapsSize {
			return false
		}
		l.Text = text
	case len(lines) < gapsSize:
		return false
	default:
		l = linesOf(lines)
	}
	return areLines(l.Text) && l.fit()
}

func (v View) hasSoundNames() bool {
	names := v.nameBytes()
	for len(names) > 0 {
		if len(names) < 4 || uint64(len(names)-4) < uint64(binary.LittleEndian.Uint32(names)) {
			return false
		}
		names = names[4+binary.LittleEndian.Uint32(names):]
	}
	return true
}

func (v View) hasSoundPart() bool {
	p, ok := v.Part()
	return !ok || p.First >= 0 && p.Length >= 0 && p.Total >= 0 && p.First <= math.MaxInt64-p.Length && p.First+p.Length <= p.Total
}

func (v View) u16(at int) uint16 { return binary.LittleEndian.Uint16(v.b[at:]) }
func (v View) u32(at int) uint32 { return binary.LittleEndian.Uint32(v.b[at:]) }
func (v View) u64(at int) uint64 { return binary.LittleEndian.Uint64(v.b[at:]) }

func (v View) flag(f byte) bool { return v.b[atFlags]&f != 0 }

// texts is where what has no fixed size begins.
func (v View) texts() int {
	if v.flag(moreFlag) {
		return headSize + moreSize
	}
	return headSize
}

// IsNone reports whether there is no entry.
func (v View) IsNone() bool { return v.b == nil }

// Bytes is all of the entry.
func (v View) Bytes() []byte { return v.b }

// Site is of the key.
func (v View) Site() uint32 { return v.u32(atSite) }

// URL is of the key.
func (v View) URL() string {
	at := v.texts()
	return textOf(v.b[at : at+int(v.u16(atURL))])
}

// Variant is of the key.
func (v View) Variant() string {
	at := v.texts() + int(v.u16(atURL))
	return textOf(v.b[at : at+int(v.u16(atVariant))])
}

// Is reports whether k is the key.
func (v View) Is(k *Key) bool {
	return v.Site() == k.Site && v.URL() == k.URL && v.Variant() == k.Variant
}

func (v View) nameBytes() []byte {
	at := v.texts() + int(v.u16(atURL)) + int(v.u16(atVariant))
	return v.b[at : at+int(v.u32(atNames))]
}

// Names are those under which an invalidation may name the entry.
func (v View) Names() iter.Seq[string] {
	return func(yield func(string) bool) {
		if v.b[atMore]&oneNameFlag != 0 {
			yield(v.URL())
			return
		}
		for names := v.nameBytes(); len(names) > 0; {
			end := 4 + int(binary.LittleEndian.Uint32(names))
			if !yield(textOf(names[4:end])) {
				return
			}
			names = names[end:]
		}
	}
}

// Status is 0 for what is no response.
func (v View) Status() int { return int(v.u16(atStatus)) }

// Birth is the epoch before the origin was asked.
func (v View) Birth() uint64 { return v.u64(atBirth) }

// Begun counts fetches.
func (v View) Begun() uint64 { return v.u64(atBegun) }

// Received is in Unix nanoseconds.
func (v View) Received() int64 { return int64(v.u64(atReceived)) }

// Age is what it had when it was received.
func (v View) Age() time.Duration {
	if !v.flag(moreFlag) {
		return 0
	}
	return time.Duration(v.u64(atAge))
}

// Fresh is for how long it is reused without asking the origin.
func (v View) Fresh() time.Duration { return time.Duration(v.u64(atFresh)) }

// StandsInFor is for how long after its expiry it may stand in for a failing
// origin: negative for without limit. ok is false if it may not.
func (v View) StandsInFor() (d time.Duration, ok bool) { return v.staleFor(), v.flag(staleFlag) }

func (v View) staleFor() time.Duration {
	switch {
	case v.flag(moreFlag):
		return time.Duration(v.u64(atStaleFor))
	case v.flag(foreverFlag):
		return -1
	}
	return 0
}

// Quick reports whether the header may go out as it is.
func (v View) Quick() bool { return v.flag(quickFlag) }

// Plain is the owner's mark.
func (v View) Plain() bool { return v.b[atMore]&plainFlag != 0 }

// Part is the part that the body is; ok is false if it is the whole.
func (v View) Part() (p Part, ok bool) {
	if v.b[atMore]&partFlag == 0 {
		return Part{}, false
	}
	return Part{int64(v.u64(atFirst)), int64(v.u64(atPart)), int64(v.u64(atTotal))}, true
}

func (v View) linesAt() int {
	return v.texts() + int(v.u16(atURL)) + int(v.u16(atVariant)) + int(v.u32(atNames))
}

// Terse reports whether the lines take work to be read.
func (v View) Terse() bool { return v.b[atMore]&terseFlag != 0 }

// Lines is the header. What is terse is put into room, which grows if need be, and
// is there until the next call with it.
func (v View) Lines(room *[]byte) Lines {
	at := v.linesAt()
	return v.lines(v.b[at:at+int(v.u16(atLines))], room)
}

func (v View) lines(b []byte, room *[]byte) (l Lines) {
	if v.b[atMore]&terseFlag == 0 {
		return linesOf(b)
	}
	*room, _ = expand((*room)[:0], b, &l.gaps) // which Append has made, or Open looked at
	l.Text = *room
	return l
}

// Dressed is the header that goes out through one behavior, as Lines has it; ok is
// false if there is none.
func (v View) Dressed(room *[]byte) (l Lines, behavior int, ok bool) {
	if v.b[atMore]&dressedFlag == 0 {
		return Lines{}, 0, false
	}
	return v.lines(v.dressedBytes(), room), int(v.u16(atBehavior)), true
}

func (v View) dressedBytes() []byte {
	at := v.linesAt() + int(v.u16(atLines))
	return v.b[at : at+int(v.u16(atDressed))]
}

func (v View) bodyAt() int {
	at := v.linesAt() + int(v.u16(atLines))
	if v.flag(moreFlag) {
		at += int(v.u16(atDressed))
	}
	return at
}

// Body is empty where the body is elsewhere.
func (v View) Body() []byte { return v.b[v.bodyAt():] }

// Away reports whether the body is elsewhere.
func (v View) Away() bool { return v.b[atMore]&awayFlag != 0 }

// Size is that of the body, wherever it is.
func (v View) Size() int64 {
	if v.Away() {
		return int64(v.u64(atSize))
	}
	return int64(len(v.b) - v.bodyAt())
}

// At is where the body is, of an entry that has it elsewhere; otherwise 0.
func (v View) At() uint32 {
	if !v.Away() {
		return 0
	}
	return v.u32(atPlace)
}

// SetAt says where the body is. Nobody else may read the entry meanwhile.
func (v View) SetAt(at uint32) { binary.LittleEndian.PutUint32(v.b[atPlace:], at) }

// Serial is what the owner of the bytes tells entries apart by.
func (v View) Serial() uint64 { return v.u64(atSerial) }

// SetSerial may be called while nobody else reads the entry.
func (v View) SetSerial(n uint64) { binary.LittleEndian.PutUint64(v.b[atSerial:], n) }

// Checked is the epoch up to which the entry is known to be valid. It may change
// while others read the entry, which must be aligned, and so may Retry and Uses.
func (v View) Checked() *atomic.Uint64 { return (*atomic.Uint64)(unsafe.Pointer(&v.b[atChecked])) }

// Retry is in Unix nanoseconds.
func (v View) Retry() *atomic.Int64 { return (*atomic.Int64)(unsafe.Pointer(&v.b[atRetry])) }

// Uses is what the owner of the bytes knows of how the entry is used.
func (v View) Uses() *atomic.Uint32 { return (*atomic.Uint32)(unsafe.Pointer(&v.b[atUses])) }

// CopyTo copies the entry to the beginning of b, although others may change what
// changes, and returns how many bytes it has.
func (v View) CopyTo(b []byte) int {
	n := copy(b, v.b[:atChecked])
	n += copy(b[atSite:], v.b[atSite:]) + atSite - atChecked
	to := View{b[:n]}
	to.Checked().Store(v.Checked().Load())
	to.Retry().Store(v.Retry().Load())
	to.Uses().Store(v.Uses().Load())
	return n
}

// Entry unpacks the entry, of which it keeps nothing.
func (v View) Entry() *Entry {
	var room []byte
	lines := v.Lines(&room)
	e := &Entry{
		Key: Key{v.Site(), strings.Clone(v.URL()), strings.Clone(v.Variant())}, Status: v.Status(), Header: headerOf(lines.Text),
		Birth: v.Birth(), Checked: v.Checked().Load(), Begun: v.Begun(), Received: time.Unix(0, v.Received()), Age: v.Age(), Aged: v.flag(agedFlag), Retry: v.Retry().Load(),
		Store: v.flag(storeFlag), Fresh: v.Fresh(), Each: v.flag(eachFlag), Unconfirmed: v.flag(unconfirmedFlag), StaleOnError: v.flag(staleFlag), StaleFor: v.staleFor(),
		At: v.At(), Quick: v.Quick(), Plain: v.Plain(),
	}
	if v.b[atMore]&oneNameFlag != 0 {
		e.Names = []string{e.Key.URL}
	} else {
		for name := range v.Names() {
			e.Names = append(e.Names, strings.Clone(name))
		}
	}
	if v.flag(moreFlag) {
		e.Behind = time.Duration(v.u64(atBehind))
	}
	if part, ok := v.Part(); ok {
		e.Part = &part
	}
	if lines, behavior, ok := v.Dressed(&room); ok {
		e.Dressed, e.Behavior = headerOf(lines.Text), behavior
	}
	if v.Away() {
		e.Size = v.Size()
	} else {
		e.Body = append(make([]byte, 0, v.Size()), v.Body()...)
		e.Size = v.Size()
	}
	return e
}
