package edge

import (
	"bytes"
	"net/http"
	"strconv"

	"github.com/freshet/freshet/internal/edge/narrow"
)

// heedConditions has what was found answer the conditions of q, and the range that
// it asks for, as respond would, and reports whether it can. A dressed header is one
// that a policy has changed.
func (q *plainQuery) heedConditions(dressed bool) bool {
	c, asked := &q.found, &q.request.Conditions
	if c.stored != http.StatusOK {
		return true // conditions are about nothing else
	}
	lines := c.lines
	if dressed {
		lines = c.view.Lines(&q.undressed)
	}
	if !q.behavior.quick.typed || lines.Get("Content-Range") != nil {
		return false
	}
	var match, noneMatch [1]string
	set := conditions{
		match: listed(&match, asked.IfMatch), noneMatch: listed(&noneMatch, asked.IfNoneMatch),
		unmodifiedSince: textOf(asked.IfUnmodifiedSince), modifiedSince: textOf(asked.IfModifiedSince), forRange: textOf(asked.IfRange),
	}
	modified := lines.Get("Last-Modified")
	says := validators{textOf(lines.Get("Etag")), textOf(modified), textOf(lines.Get("Date")), modified != nil}
	if status := set.precondition(&says); status != 0 {
		c.status, c.length, c.bare, c.plain = status, 0, true, false // the type is none, which is not plain
		return true
	}
	if asked.Range == nil || q.request.Head || !set.rangeApplies(&says) {
		return true
	}
	return c.narrowTo(asked)
}

func listed(room *[1]string, value []byte) []string {
	if value == nil {
		return nil
	}
	room[0] = textOf(value)
	return room[:]
}

// narrowTo has one part of the body go out. Where there is none, or there are
// several, it reports false.
func (c *plainCopy) narrowTo(asked *narrow.Conditions) bool {
	var room [1]span
	spans, status := appendSpans(room[:0], textOf(asked.Range), c.length)
	if status == http.StatusOK {
		return true
	}
	if len(spans) != 1 {
		return false
	}
	c.status, c.from, c.length = status, spans[0].offset, spans[0].length
	return true
}

// aboutLess appends what a header has from Age to Via where less than the whole
// body goes out.
func (c *plainCopy) aboutLess(b []byte) []byte {
	l := c.lines
	before, after := l.Text[l.Gap(0):l.Gap(1)], l.Text[l.Gap(1):l.Gap(2)]
	if c.bare {
		b = appendWithout(b, before, "Content-Encoding")
		if c.status != http.StatusNotModified {
			b = append(b, "Content-Length: 0\r\n"...)
		}
		return appendWithout(b, after, "Content-Type")
	}
	b = strconv.AppendInt(append(append(b, before...), "Content-Length: "...), c.length, 10)
	at := linesBefore(after, "Content-Range")
	b = append(append(append(b, "\r\n"...), after[:at]...), "Content-Range: bytes "...)
	b = append(strconv.AppendInt(b, c.from, 10), '-')
	b = append(strconv.AppendInt(b, c.from+c.length-1, 10), '/')
	b = append(strconv.AppendInt(b, c.view.Size(), 10), "\r\n"...)
	return append(b, after[at:]...)
}

// linesBefore is how much of sorted header lines comes before those of a name.
func linesBefore(lines []byte, name string) int {
	at := 0
	for at < len(lines) {
		colon := bytes.IndexByte(lines[at:], ':')
		if colon < 0 || textOf(lines[at:at+colon]) >= name {
			break
		}
		at += bytes.Index(lines[at:], newline) + len(newline)
	}
	return at
}

// appendWithout appends sorted header lines without those of a name.
func appendWithout(b, lines []byte, name string) []byte {
	at := linesBefore(lines, name)
	b = append(b, lines[:at]...)
	return append(b, lines[at+linesBefore(lines[at:], name+"\x00"):]...)
}

var newline = []byte("\r\n")
