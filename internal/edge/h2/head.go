package h2

import (
	"bytes"
	"encoding/binary"

	"golang.org/x/net/http2"
)

// named are places in HPACK's table of what everybody knows, by the names that
// answers have.
// https://www.rfc-editor.org/rfc/rfc7541#appendix-A
func named(name []byte) byte { //nolint:cyclop // it is a table
	switch string(name) {
	case "Accept-Ranges":
		return 18
	case "Access-Control-Allow-Origin":
		return 20
	case "Age":
		return 21
	case "Cache-Control":
		return 24
	case "Content-Disposition":
		return 25
	case "Content-Encoding":
		return 26
	case "Content-Language":
		return 27
	case "Content-Length":
		return 28
	case "Content-Location":
		return 29
	case "Content-Type":
		return 31
	case "Date":
		return 33
	case "Etag":
		return 34
	case "Expires":
		return 36
	case "Last-Modified":
		return 44
	case "Link":
		return 45
	case "Location":
		return 46
	case "Server":
		return 54
	case "Set-Cookie":
		return 55
	case "Strict-Transport-Security":
		return 56
	case "Vary":
		return 59
	case "Via":
		return 60
	}
	return 0
}

// appendInteger appends a number with a prefix of so many bits, beside which first
// has the others.
// https://www.rfc-editor.org/rfc/rfc7541#section-5.1
func appendInteger(b []byte, first byte, bits uint, n int) []byte {
	most := 1<<bits - 1
	if n < most {
		return append(b, first|byte(n))
	}
	b = append(b, first|byte(most))
	for n -= most; n >= 0x80; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(b, byte(n))
}

// appendBlock appends an answer's head, as it would go out over HTTP/1.1, as a
// block of HPACK, and reports whether it is a head. Nothing in the block depends
// on what either side remembers, nor is anything remembered of it, so that such
// blocks may stand between those of another encoder.
func appendBlock(b, head []byte) ([]byte, bool) {
	const before = len("HTTP/1.1 ")
	line, rest, ok := bytes.Cut(head, newline)
	if !ok || len(line) < before+3 {
		return b, false
	}
	if code := line[before : before+3]; string(code) == "200" {
		b = append(b, 0x80|8)
	} else {
		b = append(append(b, 8, 3), code...)
	}
	for len(rest) > len(newline) {
		if line, rest, ok = bytes.Cut(rest, newline); !ok {
			return b, false
		}
		name, value, ok := bytes.Cut(line, colon)
		if !ok {
			return b, false
		}
		if at := named(name); at > 0 {
			b = appendInteger(b, 0, 4, int(at))
		} else {
			b = appendInteger(append(b, 0), 0, 7, len(name))
			from := len(b)
			b = append(b, name...)
			lower(b[from:])
		}
		b = append(appendInteger(b, 0, 7, len(value)), value...)
	}
	return b, true
}

var newline, colon = []byte("\r\n"), []byte(": ")

func lower(b []byte) {
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c | 0x20
		}
	}
}

// frameHeader is how many bytes of a frame come before what is in it.
const frameHeader = 9

// mostFrame is the most that is in a frame, in either direction: what everybody
// must take.
const mostFrame = 16 << 10

func appendFrame(b []byte, kind http2.FrameType, flags http2.Flags, stream uint32, size int) []byte {
	b = append(b, byte(size>>16), byte(size>>8), byte(size), byte(kind), byte(flags))
	return binary.BigEndian.AppendUint32(b, stream)
}

// appendHeaders appends a block in as many frames as it needs.
func appendHeaders(b, block []byte, stream uint32, end bool) []byte {
	kind, flags := http2.FrameHeaders, http2.Flags(0)
	if end {
		flags = http2.FlagHeadersEndStream
	}
	for {
		part := block[:min(len(block), mostFrame)]
		if block = block[len(part):]; len(block) == 0 {
			flags |= http2.FlagHeadersEndHeaders
		}
		b = append(appendFrame(b, kind, flags, stream, len(part)), part...)
		if len(block) == 0 {
			return b
		}
		kind, flags = http2.FrameContinuation, 0
	}
}

func appendWindowUpdate(b []byte, stream uint32, n int) []byte {
	return binary.BigEndian.AppendUint32(appendFrame(b, http2.FrameWindowUpdate, 0, stream, 4), uint32(n))
}

func appendReset(b []byte, stream uint32, code http2.ErrCode) []byte {
	return binary.BigEndian.AppendUint32(appendFrame(b, http2.FrameRSTStream, 0, stream, 4), uint32(code))
}
