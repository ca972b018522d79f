package packed

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"math"
	"slices"
	"strconv"
	"time"
)

// The value of a terse line is told by a byte: how long the text is that follows,
// or in which form it follows.
const (
	longText    = 255 - iota // its length, uint16, and the text
	dateValue                // seconds since 1970, uint32
	maxAge                   // seconds, uint32, of "max-age="
	publicAge                // likewise, of "public, max-age="
	quotedHex                // how many bytes, and these, of lower hexadecimal digits in quotes
	upperHex                 // likewise of upper ones, without quotes
	lowerHex                 // likewise of lower ones
	base64Value              // how many characters, and what they are of base64
	sixBits                  // likewise, in the alphabet of sixBitted
	formed                   // the lowest of these; no text of so many bytes or more has a byte alone for its length
)

// sixBitted has the characters of which the identifiers are that storage makes up.
var sixBitted = base64.NewEncoding("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._").WithPadding(base64.NoPadding).Strict()

var strict64 = base64.StdEncoding.WithPadding(base64.NoPadding).Strict()

// appendTerse appends lines so that expand makes them again; ok is false if they
// have something that does not fit.
func appendTerse(dst []byte, l *Lines) (terse []byte, ok bool) {
	at, gap := 0, 0
	for {
		gaps := 0
		for ; gap < Gaps && l.Gap(gap) == at; gap++ {
			gaps++
		}
		if gaps > 0 {
			dst = append(dst, byte(gapCode+gaps))
		}
		if at == len(l.Text) {
			return dst, true
		}
		n := bytes.Index(l.Text[at:], newline)
		if dst, ok = appendTerseLine(dst, l.Text[at:at+n]); !ok {
			return dst, false
		}
		at += n + len(newline)
	}
}

func appendTerseLine(dst, line []byte) (terse []byte, ok bool) {
	if code, is := words.codes[textOf(line)]; is && words.whole[code] {
		return append(dst, code), true
	}
	name, value, _ := bytes.Cut(line, []byte(": "))
	if code, is := words.codes[textOf(name)]; is {
		dst = append(dst, code)
	} else if len(name) > math.MaxUint8 {
		return dst, false
	} else {
		dst = append(append(dst, otherName, byte(len(name))), name...)
	}
	return appendValue(dst, value), true
}

// appendValue appends the shortest form of those that come into question.
func appendValue(dst, value []byte) []byte {
	if terse, ok := appendFormed(dst, value); ok && len(terse) < len(dst)+1+len(value) {
		return terse
	}
	if len(value) > formed-1 {
		return append(binary.LittleEndian.AppendUint16(append(dst, longText), uint16(len(value))), value...)
	}
	return append(append(dst, byte(len(value))), value...)
}

func appendFormed(dst, value []byte) (terse []byte, ok bool) {
	if len(value) < 4 {
		return dst, false
	}
	if len(value) == len(dateForm) && value[3] == ',' {
		if seconds, ok := dateOf(value); ok {
			return binary.LittleEndian.AppendUint32(append(dst, dateValue), seconds), true
		}
	}
	for _, age := range []struct {
		prefix string
		form   byte
	}{{agePrefix, maxAge}, {publicPrefix, publicAge}} {
		if digits, is := bytes.CutPrefix(value, []byte(age.prefix)); is {
			if n, err := strconv.ParseUint(textOf(digits), 10, 32); err == nil && strconv.FormatUint(n, 10) == textOf(digits) {
				return binary.LittleEndian.AppendUint32(append(dst, age.form), uint32(n)), true
			}
		}
	}
	return appendBits(dst, value)
}

// leastBits is how many characters it takes for them to be worth the work.
const leastBits = 16

// appendBits is appendFormed for digits that stand for bits.
func appendBits(dst, value []byte) (terse []byte, ok bool) {
	if n := len(value); value[0] == '"' && value[n-1] == '"' {
		return appendHex(dst, quotedHex, value[1:n-1])
	}
	if terse, ok = appendHex(dst, upperHex, value); ok {
		return terse, true
	}
	if terse, ok = appendHex(dst, lowerHex, value); ok {
		return terse, true
	}
	if len(value) < leastBits || len(value) > math.MaxUint8 {
		return dst, false
	}
	for _, how := range []struct {
		form byte
		by   *base64.Encoding
	}{{sixBits, sixBitted}, {base64Value, strict64}} {
		before := append(dst, how.form, byte(len(value)))
		if terse, err := how.by.AppendDecode(before, value); err == nil && len(terse) == len(before)+len(value)*6/8 {
			return terse, true
		}
	}
	return dst, false
}

func appendHex(dst []byte, form byte, digits []byte) (terse []byte, ok bool) {
	if len(digits)%2 != 0 || len(digits)/2 > math.MaxUint8 {
		return dst, false
	}
	other := byte('a') // which is of the other case
	if form != upperHex {
		other = 'A'
	}
	for _, c := range digits {
		if c >= other && c < other+6 {
			return dst, false
		}
	}
	terse, err := hex.AppendDecode(append(dst, form, byte(len(digits)/2)), digits)
	return terse, err == nil
}

// expand appends the text that terse lines stand for, and says where its gaps are.
// ok is false if they are not what appendTerse makes; then the text is of no use.
func expand(dst, terse []byte, gaps *[Gaps]uint16) (text []byte, ok bool) {
	start, gap := len(dst), 0
	for len(terse) > 0 {
		code := terse[0]
		terse = terse[1:]
		switch {
		case code == otherName:
			if len(terse) == 0 || len(terse) < 1+int(terse[0]) {
				return dst, false
			}
			n := 1 + int(terse[0])
			dst = append(append(dst, terse[1:n]...), ": "...)
			terse = terse[n:]
		case code < firstWord:
			for n := gap + int(code) - gapCode; gap < n; gap++ {
				if gap == Gaps {
					return dst, false
				}
				gaps[gap] = uint16(len(dst) - start)
			}
			continue
		default:
			if dst = append(dst, words.text[code]...); words.whole[code] {
				continue
			}
		}
		if dst, terse, ok = expandValue(dst, terse); !ok {
			return dst, false
		}
		dst = append(dst, "\r\n"...)
	}
	return dst, gap == Gaps
}

// expandValue appends the value with which terse begins, and returns what follows.
func expandValue(dst, terse []byte) (text, rest []byte, ok bool) {
	if len(terse) == 0 {
		return dst, nil, false
	}
	form := terse[0]
	terse = terse[1:]
	if form < formed {
		if n := int(form); n <= len(terse) {
			return append(dst, terse[:n]...), terse[n:], true
		}
		return dst, nil, false
	}
	switch form {
	case dateValue, maxAge, publicAge:
		if len(terse) < 4 {
			return dst, nil, false
		}
		return appendNumber(dst, form, binary.LittleEndian.Uint32(terse)), terse[4:], true
	case longText:
		if len(terse) < 2 || len(terse) < 2+int(binary.LittleEndian.Uint16(terse)) {
			return dst, nil, false
		}
		n := 2 + int(binary.LittleEndian.Uint16(terse))
		return append(dst, terse[2:n]...), terse[n:], true
	case formed:
		return dst, nil, false
	}
	return expandBits(dst, form, terse)
}

func appendNumber(dst []byte, form byte, n uint32) []byte {
	switch form {
	case maxAge:
		dst = append(dst, agePrefix...)
	case publicAge:
		dst = append(dst, publicPrefix...)
	default:
		return appendDate(dst, n)
	}
	return strconv.AppendUint(dst, uint64(n), 10)
}

func expandBits(dst []byte, form byte, terse []byte) (text, rest []byte, ok bool) {
	if len(terse) == 0 {
		return dst, nil, false
	}
	n := int(terse[0])
	of := n
	if form == sixBits || form == base64Value {
		of = n * 6 / 8
	}
	if terse = terse[1:]; len(terse) < of {
		return dst, nil, false
	}
	bits, rest := terse[:of], terse[of:]
	switch form {
	case sixBits:
		dst = sixBitted.AppendEncode(dst, bits)
	case base64Value:
		dst = strict64.AppendEncode(dst, bits)
	case quotedHex:
		dst = append(appendDigits(append(dst, '"'), bits, "0123456789abcdef"), '"')
	case lowerHex:
		dst = appendDigits(dst, bits, "0123456789abcdef")
	case upperHex:
		dst = appendDigits(dst, bits, "0123456789ABCDEF")
	}
	return dst, rest, true
}

func appendDigits(dst, bits []byte, digits string) []byte {
	n := len(dst)
	dst = slices.Grow(dst, 2*len(bits))[:n+2*len(bits)]
	to := dst[n:]
	for _, b := range bits {
		to[0], to[1] = digits[b>>4&15], digits[b&15]
		to = to[2:]
	}
	return dst
}

const (
	dateForm     = "Mon, 02 Jan 2006 15:04:05 GMT"
	agePrefix    = "max-age="
	publicPrefix = "public, max-age="
)

// dateOf is a date in the form in which HTTP writes it, as seconds since 1970.
func dateOf(value []byte) (seconds uint32, ok bool) {
	t, err := time.Parse(dateForm, textOf(value))
	if err != nil || t.Unix() < 0 || t.Unix() > math.MaxUint32 {
		return 0, false
	}
	var again [len(dateForm)]byte
	return uint32(t.Unix()), string(appendDate(again[:0], uint32(t.Unix()))) == string(value)
}

// appendDate appends what dateOf reads. It takes a third of what time.Time needs
// for it.
// https://howardhinnant.github.io/date_algorithms.html#civil_from_days
func appendDate(dst []byte, seconds uint32) []byte {
	const days, months = "ThuFriSatSunMonTueWed", "JanFebMarAprMayJunJulAugSepOctNovDec"
	day, second := seconds/86_400, seconds%86_400
	// Days are counted from the first of March of the year 0, and years begin there.
	since := day + 719_468
	era := since / 146_097
	of := since % 146_097
	year := (of - of/1460 + of/36_524 - of/146_096) / 365
	left := of - (365*year + year/4 - year/100)
	month := (5*left + 2) / 153
	date := left - (153*month+2)/5 + 1
	if year += era * 400; month < 10 {
		month += 2
	} else {
		month, year = month-10, year+1
	}
	week := day % 7 * 3
	dst = append(append(dst, days[week:week+3]...), ", "...)
	dst = append(append(appendTwo(dst, date), ' '), months[3*month:3*month+3]...)
	dst = appendTwo(appendTwo(append(dst, ' '), year/100), year%100)
	dst = append(appendTwo(append(dst, ' '), second/3600), ':')
	dst = append(appendTwo(dst, second/60%60), ':')
	return append(appendTwo(dst, second%60), " GMT"...)
}

func appendTwo(dst []byte, n uint32) []byte { return append(dst, byte('0'+n/10), byte('0'+n%10)) }
