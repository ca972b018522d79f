package accesslog

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/freshet/freshet"
)

// record is the fields of one line as they are written; nil where there is no
// value.
type record struct {
	date, time, millis              []byte
	host, domain                    []byte
	method, stem, query             []byte
	status, bytes, location, result []byte
}

func (l *log) hit(r record) (h Hit, err error) {
	if h.Status, err = parseStatus(r.status); err != nil {
		return Hit{}, err
	}
	if len(r.bytes) > 0 {
		if h.Bytes, err = strconv.ParseInt(string(r.bytes), 10, 64); err != nil || h.Bytes < 0 {
			return Hit{}, fmt.Errorf("sc-bytes %q is no number of bytes", clip(r.bytes))
		}
	}
	if h.Time, err = parseTime(r); err != nil {
		return Hit{}, err
	}
	if h.Path, h.Query, err = splitURL(r.stem, r.query); err != nil {
		return Hit{}, err
	}
	h.Domain = l.host(r.domain)
	if h.Host = l.host(r.host); h.Host == "" {
		h.Host = h.Domain
	}
	h.Method, h.Location, h.Result = l.name(r.method), l.name(r.location), l.name(r.result)
	if h.Method == "" && h.Path != "" {
		return Hit{}, errors.New("the line has no cs-method")
	}
	if len(h.Location) > maxLocation {
		return Hit{}, fmt.Errorf("x-edge-location %q is longer than %d bytes", clip(r.location), maxLocation)
	}
	return h, nil
}

const maxLocation = 32

// host brings the name that a viewer sent to the one spelling it has in a
// distribution's list.
func (l *log) host(field []byte) string {
	lower := true
	for _, c := range field {
		lower = lower && c != ':' && (c < 'A' || c > 'Z')
	}
	if lower {
		return l.name(field)
	}
	name, _, _ := bytes.Cut(field, []byte(":"))
	return l.name(bytes.ToLower(name))
}

// parseStatus takes 000 as 0: the viewer left before the response began.
func parseStatus(field []byte) (int, error) {
	if len(field) == 3 {
		a, b, c := field[0]-'0', field[1]-'0', field[2]-'0'
		if a <= 9 && b <= 9 && c <= 9 {
			return int(a)*100 + int(b)*10 + int(c), nil
		}
	}
	if len(field) == 1 && field[0] == '0' {
		return 0, nil // 000 as a number
	}
	return 0, fmt.Errorf("sc-status %q is no status", clip(field))
}

// parseTime prefers date and time to the milliseconds, and returns the zero time
// where the log has neither.
func parseTime(r record) (time.Time, error) {
	switch {
	case len(r.date) > 0 && len(r.time) > 0:
		return parseDate(r.date, r.time)
	case len(r.millis) > 0:
		n, err := strconv.ParseInt(string(r.millis), 10, 64)
		if err != nil {
			return time.Time{}, fmt.Errorf("timestamp(ms) %q is no number", clip(r.millis))
		}
		return time.UnixMilli(n).UTC(), nil
	}
	return time.Time{}, nil
}

// parseDate takes a date and a time in UTC, as 2026-01-02 and 03:04:05.
func parseDate(date, clock []byte) (time.Time, error) {
	text := make([]byte, 0, len("2006-01-02T15:04:05Z"))
	if len(date) == 10 && len(clock) == 8 { // package time takes more forms of a time than logs have
		text = append(append(append(append(text, date...), 'T'), clock...), 'Z')
	}
	at, err := time.Parse(time.RFC3339, string(text))
	if err != nil {
		return time.Time{}, fmt.Errorf("date %q with time %q is none", clip(date), clip(clock))
	}
	return at, nil
}

// splitURL decodes what the log writes of a URL. A stem may be missing, as of a
// request that was refused before its path was read. Some old logs have the
// query string in the stem.
func splitURL(stem, query []byte) (path, search string, err error) {
	if len(stem) == 0 {
		return "", "", nil
	}
	if stem[0] != '/' {
		return "", "", fmt.Errorf("cs-uri-stem %q does not begin with a slash", clip(stem))
	}
	if before, after, found := bytes.Cut(stem, []byte("?")); found {
		stem = before
		if len(query) == 0 {
			query = after
		}
	}
	return freshet.CanonicalPath(string(undo(stem))), string(undo(query)), nil
}

// undo takes back the escapes that CloudFront makes when it writes a log, so
// that what remains is as the viewer sent it: %2520 becomes %20, and %20, a space
// that the viewer did not escape, becomes a space. An escape of a character that
// the log does not escape (%2B, %2F) is the viewer's own, in a log whose writer
// left the percent signs alone, and stays. The result may be field itself.
//
// The log escapes the control characters, the space, all that is not ASCII, and
// < > " # % { } | \ ^ ~ [ ] ` and the apostrophe.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/standard-logging-legacy-s3.html#LogFileFormat
func undo(field []byte) []byte {
	if bytes.IndexByte(field, '%') < 0 {
		return field
	}
	out := make([]byte, 0, len(field))
	for i := 0; i < len(field); i++ {
		if c, ok := escape(field[i:]); ok && isEscaped(c) {
			out = append(out, c)
			i += 2
			continue
		}
		out = append(out, field[i])
	}
	return out
}

func escape(s []byte) (c byte, ok bool) {
	if len(s) < 3 || s[0] != '%' {
		return 0, false
	}
	high, low := unhex(s[1]), unhex(s[2])
	return high<<4 | low, high < 16 && low < 16
}

// unhex returns 16 for what is no hexadecimal digit.
func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 16
}

// isEscaped reports whether a log holds c only as an escape.
func isEscaped(c byte) bool {
	return c <= ' ' || c >= 0x7F || strings.IndexByte("<>\"#%{}|\\^~[]`'", c) >= 0
}

// clip keeps an error readable when the input is not.
func clip(s []byte) string {
	const most = 80
	if len(s) <= most {
		return string(s)
	}
	return string(s[:most]) + "…"
}
