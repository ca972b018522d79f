package edge

import (
	"encoding/binary"
	"errors"
	"net/http"
	"time"
)

// How a stored response is written down on disk: its label says what it is and how
// to find out whether it was invalidated, its head everything else but the body.
// The form is part of formOnDisk.

// onDisk is the label of a record.
type onDisk struct {
	line    uint64 // of the distribution, as it was configured
	birth   uint64 // as in stamp
	url     string
	variant string
	names   []string
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func (l *onDisk) append(b []byte) []byte {
	b = binary.AppendUvarint(b, l.line)
	b = binary.AppendUvarint(b, l.birth)
	b = appendText(appendText(b, l.url), l.variant)
	b = binary.AppendUvarint(b, uint64(len(l.names)))
	for _, name := range l.names {
		if name == l.url { // which is most often so
			name = ""
		}
		b = appendText(b, name)
	}
	return b
}

// errUnreadable is what was not written by append.
var errUnreadable = errors.New("what is on disk cannot be read")

// unpacking reads what appendText and its like have written. After the first thing
// that is none, everything is nothing.
type unpacking struct {
	rest []byte
	bad  bool
}

func (u *unpacking) number() uint64 {
	n, size := binary.Uvarint(u.rest)
	if size <= 0 {
		u.bad, u.rest = true, nil
		return 0
	}
	u.rest = u.rest[size:]
	return n
}

func (u *unpacking) bytes() []byte {
	n := u.number()
	if n > uint64(len(u.rest)) {
		u.bad, u.rest = true, nil
		return nil
	}
	b := u.rest[:n]
	u.rest = u.rest[n:]
	return b
}

func (u *unpacking) text() string { return string(u.bytes()) }

// count is the number of things that follow, each of which takes a byte at least.
func (u *unpacking) count() int {
	n := u.number()
	if n > uint64(len(u.rest)) {
		u.bad, u.rest = true, nil
		return 0
	}
	return int(n)
}

func (u *unpacking) signed() int64 { return int64(u.number()) }

func readLabel(b []byte) (l onDisk, err error) {
	u := unpacking{rest: b}
	l.line, l.birth, l.url, l.variant = u.number(), u.number(), u.text(), u.text()
	for range u.count() {
		name := u.text()
		if name == "" {
			name = l.url
		}
		l.names = append(l.names, name)
	}
	if u.bad || len(u.rest) > 0 {
		return onDisk{}, errUnreadable
	}
	return l, nil
}

// Flags of a head.
const (
	flagAged = 1 << iota
	flagPart
	flagUnconfirmed
	flagStaleOnError
	flagStore
)

// appendHead appends what is kept of an entry beside its label and body.
func appendHead(b []byte, e *entry) []byte {
	flags := 0
	for _, f := range [...]struct {
		set  bool
		flag int
	}{{e.aged, flagAged}, {e.part != nil, flagPart}, {e.life.unconfirmed, flagUnconfirmed}, {e.life.staleOnError, flagStaleOnError}, {e.life.store, flagStore}} {
		if f.set {
			flags |= f.flag
		}
	}
	for _, n := range [...]int64{int64(flags), int64(e.status), e.received.UnixNano(), int64(e.age), int64(e.life.fresh), int64(e.life.behind), int64(e.life.staleFor)} {
		b = binary.AppendUvarint(b, uint64(n))
	}
	if e.part != nil {
		for _, n := range [...]int64{e.part.first, e.part.length, e.part.total} {
			b = binary.AppendUvarint(b, uint64(n))
		}
	}
	b = binary.AppendUvarint(b, uint64(len(e.header)))
	for name, values := range e.header {
		b = appendText(b, name)
		b = binary.AppendUvarint(b, uint64(len(values)))
		for _, v := range values {
			b = appendText(b, v)
		}
	}
	return b
}

// readHead makes an entry of what appendHead has written.
func readHead(b []byte) (*entry, error) {
	u := unpacking{rest: b}
	e := new(entry)
	flags := u.number()
	e.status = int(u.number())
	e.received = time.Unix(0, u.signed())
	e.age = time.Duration(u.signed())
	e.life = lifetime{
		fresh: time.Duration(u.signed()), behind: time.Duration(u.signed()), staleFor: time.Duration(u.signed()),
		store: flags&flagStore != 0, unconfirmed: flags&flagUnconfirmed != 0, staleOnError: flags&flagStaleOnError != 0,
	}
	e.aged = flags&flagAged != 0
	if flags&flagPart != 0 {
		e.part = &part{u.signed(), u.signed(), u.signed()}
	}
	n := u.count()
	e.header = make(http.Header, n)
	for range n {
		name := u.text()
		values := make([]string, u.count())
		for i := range values {
			values[i] = u.text()
		}
		e.header[name] = values
	}
	if u.bad || len(u.rest) > 0 {
		return nil, errUnreadable
	}
	return e, nil
}
