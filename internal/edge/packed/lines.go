package packed

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
	"strings"
	"unsafe"
)

// Own are the headers that an edge says of itself in every answer, and which are
// therefore never stored, in their order. Between the lines of a header there is
// a gap for each.
var Own = [Gaps]string{"Age", "Content-Length", "Via", "X-Amz-Cf-Id", "X-Amz-Cf-Pop", "X-Cache"}

// Gaps is how many headers an edge says of itself.
const Gaps = 6

// Lines is a header as it goes out over HTTP/1.1, sorted by name, with an offset
// for each of Own where it belongs.
type Lines struct {
	Text []byte
	gaps [Gaps]uint16
}

// Gap is where in Text the header Own[i] goes.
func (l *Lines) Gap(i int) int { return int(l.gaps[i]) }

// linesOf are lines that are not terse.
func linesOf(b []byte) (l Lines) {
	for i := range l.gaps {
		l.gaps[i] = binary.LittleEndian.Uint16(b[2*i:])
	}
	l.Text = b[gapsSize:]
	return l
}

// Get returns the value of the first line of a header, whose name is canonical;
// nil where there is none.
func (l *Lines) Get(name string) []byte {
	for rest := l.Text; len(rest) > 0; {
		line, after, _ := bytes.Cut(rest, newline)
		if len(line) > len(name)+1 && line[len(name)] == ':' && string(line[:len(name)]) == name {
			return line[len(name)+2:]
		}
		rest = after
	}
	return nil
}

var newline = []byte("\r\n")

// worthwhile is the part of an entry that terse lines must save: a quarter. What is
// terse takes a hit some hundred nanoseconds more than what goes out as it is.
const worthwhile = 4

// header appends all lines, says in the head how long they are, and reports whether
// they are terse.
func (p *packing) header() (terse bool) {
	e, before := p.entry, len(p.b)
	p.lines(atLines, e.Header)
	between := len(p.b)
	if e.Dressed != nil {
		p.lines(atDressed, e.Dressed)
	}
	after := len(p.b)
	if all := after - p.start + len(e.Body); p.err != nil || (after-before)*worthwhile < all {
		return false
	}
	ok := p.terse(p.b[before:between:between])
	first := len(p.b) - after
	if ok && e.Dressed != nil {
		ok = p.terse(p.b[between:after:after])
	}
	if saved := after - before - (len(p.b) - after); !ok || saved*worthwhile < after-p.start+len(e.Body) {
		p.b = p.b[:after]
		return false
	}
	p.b = p.b[:before+copy(p.b[before:], p.b[after:])]
	p.short(atLines, first)
	if e.Dressed != nil {
		p.short(atDressed, len(p.b)-before-first)
	}
	return true
}

// terse appends lines that were appended before.
func (p *packing) terse(lines []byte) (ok bool) {
	l := linesOf(lines)
	p.b, ok = appendTerse(p.b, &l)
	return ok
}

// lines appends a header, and says in the head how long it is.
func (p *packing) lines(at int, h map[string][]string) {
	names := make([]string, 0, len(h))
	for name, values := range h {
		if len(values) > 0 {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, cmp.Compare)
	gaps := len(p.b)
	p.b = append(p.b, make([]byte, gapsSize)...)
	before, gap := len(p.b), 0
	for _, name := range names {
		for ; gap < Gaps && Own[gap] <= name; gap++ {
			if Own[gap] == name {
				p.fail("the header %s, which the edge says", name)
			}
			p.gap(gaps+2*gap, len(p.b)-before)
		}
		for _, value := range h[name] {
			p.line(name, value)
		}
	}
	for ; gap < Gaps; gap++ {
		p.gap(gaps+2*gap, len(p.b)-before)
	}
	p.short(at, len(p.b)-gaps)
}

// gap says where one is. One that is too far behind is found by its lines' length.
func (p *packing) gap(at, n int) { binary.LittleEndian.PutUint16(p.b[at:], uint16(n)) }

func (p *packing) line(name, value string) {
	if !GoesOut(name, value) {
		p.fail("the header %.100q: %.100q", name, value)
	}
	p.b = append(append(append(p.b, name...), ": "...), value...)
	p.b = append(p.b, "\r\n"...)
}

// GoesOut reports whether a header goes out as it is, and can be read again from
// its line.
func GoesOut(name, value string) bool {
	if name == "" || strings.ContainsAny(value, "\r\n") || strings.Trim(value, " \t") != value {
		return false
	}
	for i := range len(name) {
		if c := name[i]; !isToken(c) {
			return false
		}
	}
	switch name {
	case "Connection", "Trailer", "Transfer-Encoding": // which say how it goes out
		return false
	}
	return true
}

// Clean returns a header line as it goes out; ok is false if it does not.
func Clean(name, value string) (cleaned string, ok bool) {
	value = strings.Trim(strings.NewReplacer("\r", " ", "\n", " ").Replace(value), " \t")
	return value, GoesOut(name, value) && !slices.Contains(Own[:], name)
}

// isToken reports whether a byte may be in a name.
// https://www.rfc-editor.org/rfc/rfc9110#section-5.6.2
func isToken(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

// headerOf reads lines.
func headerOf(lines []byte) map[string][]string {
	text := string(lines)
	n := strings.Count(text, "\r\n")
	h, values := make(map[string][]string, n+8), make([]string, 0, n)
	for text != "" {
		line, rest, _ := strings.Cut(text, "\r\n")
		name, value, _ := strings.Cut(line, ": ")
		values = append(values, value)
		before := len(h[name])
		if first := len(values) - 1 - before; before == 0 {
			h[name] = values[first : first+1 : first+1]
		} else {
			h[name] = values[first : first+before+1 : first+before+1]
		}
		text = rest
	}
	return h
}

// areLines reports whether text is what lines makes.
func areLines(text []byte) bool {
	last := ""
	for len(text) > 0 {
		line, rest, ok := bytes.Cut(text, newline)
		name, value, ok2 := bytes.Cut(line, []byte(": "))
		if !ok || !ok2 || !GoesOut(textOf(name), textOf(value)) || textOf(name) < last || slices.Contains(Own[:], textOf(name)) {
			return false
		}
		last = textOf(name)
		text = rest
	}
	return true
}

// fit reports whether the gaps are where lines puts them.
func (l *Lines) fit() bool {
	at, gap := 0, 0
	for at < len(l.Text) {
		name, _, _ := bytes.Cut(l.Text[at:], []byte(":"))
		for ; gap < Gaps && Own[gap] <= textOf(name); gap++ {
			if l.Gap(gap) != at {
				return false
			}
		}
		at += bytes.Index(l.Text[at:], newline) + len(newline)
	}
	for ; gap < Gaps; gap++ {
		if l.Gap(gap) != at {
			return false
		}
	}
	return true
}

// textOf is b without a copy.
func textOf(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
