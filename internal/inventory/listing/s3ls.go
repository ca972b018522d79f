package listing

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// lsParser reads what aws s3 ls --recursive prints: the date and time in 19
// characters, a space, the size in ten or more that are filled with spaces on
// the left, a space, and the key as it is. With --summarize two lines follow.
// https://docs.aws.amazon.com/cli/latest/reference/s3/ls.html
type lsParser struct {
	objects, bytes int64 // since the last trailer
	faulty         bool  // a line since then was left out, so that the trailer cannot agree
}

const (
	lsDate = len("2006-01-02 15:04:05")
	lsSize = lsDate + 1 + 10 // where a size ends that has at most ten digits
)

var (
	errHuman        = errors.New("the sizes are rounded: list without --human-readable")
	errNotRecursive = errors.New("the listing leaves out what is in folders: list with --recursive")
)

func (p *lsParser) parse(line []byte) (Object, bool, error) {
	trimmed := bytes.TrimLeft(line, " ")
	if len(trimmed) == 0 {
		return Object{}, false, nil
	}
	if value, ok := bytes.CutPrefix(trimmed, []byte("Total Objects: ")); ok {
		return Object{}, false, p.total("objects", value, &p.objects)
	}
	if value, ok := bytes.CutPrefix(trimmed, []byte("Total Size: ")); ok {
		err := p.total("bytes", value, &p.bytes)
		p.faulty = false
		return Object{}, false, err
	}
	if len(trimmed) < len(line) && bytes.HasPrefix(trimmed, []byte("PRE ")) {
		return Object{}, false, fatal{errNotRecursive}
	}
	o, err := parseLS(line)
	if err != nil {
		p.faulty = true
		return Object{}, true, err
	}
	p.objects++
	p.bytes += o.Size
	return o, true, nil
}

// total compares a trailer with what was read, and begins anew, since listings
// of several buckets may follow one another.
func (p *lsParser) total(of string, value []byte, read *int64) error {
	said, err := strconv.ParseInt(string(value), 10, 64)
	switch {
	case err != nil && isHuman(value):
		return fatal{errHuman}
	case err != nil:
		return fmt.Errorf("%q is no number of %s", clip(value), of)
	case said != *read && !p.faulty:
		return fatal{fmt.Errorf("the listing speaks of %d %s, but holds %d: a part of it is missing", said, of, *read)}
	}
	*read = 0
	return nil
}

func (p *lsParser) end() error { return nil }

func parseLS(line []byte) (Object, error) {
	rest, ok := cutDate(line)
	if !ok {
		return Object{}, fmt.Errorf("%q does not begin with a date and a time", clip(line))
	}
	rest = bytes.TrimLeft(rest, " ")
	digits := len(rest) - len(bytes.TrimLeft(rest, "0123456789"))
	sizeEnd := len(line) - len(rest) + digits
	// A key may begin with Bytes, but then its size ends where sizes end.
	if isHuman(rest) && (sizeEnd < lsSize || rest[digits] == '.') {
		return Object{}, fatal{errHuman}
	}
	size, err := parseSize(rest[:digits])
	if err != nil {
		return Object{}, fmt.Errorf("no size follows the date in %q", clip(line))
	}
	key, space := bytes.CutPrefix(rest[digits:], []byte(" "))
	if !space {
		return Object{}, fmt.Errorf("no key follows the size in %q", clip(line))
	}
	return Object{Key: string(key), Size: size}, nil
}

// isHuman accepts what --human-readable makes of a size: "1 Byte", "20 Bytes",
// "1.5 MiB".
func isHuman(text []byte) bool {
	number, rest, _ := bytes.Cut(text, []byte(" "))
	unit, _, _ := bytes.Cut(rest, []byte(" "))
	if _, err := strconv.ParseFloat(string(number), 64); err != nil {
		return false
	}
	switch string(unit) {
	case "Byte", "Bytes":
		return bytes.IndexByte(number, '.') < 0
	case "KiB", "MiB", "GiB", "TiB", "PiB", "EiB":
		return bytes.IndexByte(number, '.') > 0
	}
	return false
}

// cutDate takes a date and a time off the line.
func cutDate(line []byte) (rest []byte, ok bool) {
	const like = "0000-00-00 00:00:00 "
	if len(line) < len(like) {
		return nil, false
	}
	for i := range len(like) {
		if like[i] == '0' && !isDigit(line[i]) || like[i] != '0' && line[i] != like[i] {
			return nil, false
		}
	}
	return line[lsDate:], true
}
