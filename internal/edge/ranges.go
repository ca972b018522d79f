package edge

import (
	"fmt"
	"net/http"
	"strings"
)

// span is a part of a body: length bytes from offset on.
type span struct{ offset, length int64 }

// contentRange is the value of the header of the same name.
func (s span) contentRange(size int64) string {
	return fmt.Sprintf("bytes %d-%d/%d", s.offset, s.offset+s.length-1, size)
}

// maxSpans bounds the parts of one response, which cost some hundred bytes each
// however small they are.
const maxSpans = 100

// selectSpans returns the parts of a body of size bytes that a Range header
// asks for, and the status to answer with: 206; 416 if no part lies within the
// body; or 200 for the whole body, which is CloudFront's answer to ranges that
// are malformed, overlap or do not ascend.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/RangeGETs.html
func selectSpans(header string, size int64) ([]span, int) { return appendSpans(nil, header, size) }

// appendSpans is selectSpans for who has room for the parts.
func appendSpans(spans []span, header string, size int64) ([]span, int) {
	unit, list, ok := strings.Cut(header, "=")
	if !ok || !strings.EqualFold(trimSpace(unit), "bytes") {
		return nil, http.StatusOK
	}
	var end int64 // of the parts so far
	asked := 0
	for spec := range strings.SplitSeq(list, ",") {
		s, ok := parseSpan(trimSpace(spec), size)
		if asked++; !ok || asked > maxSpans {
			return nil, http.StatusOK
		}
		if s.length == 0 {
			continue
		}
		if s.offset < end {
			return nil, http.StatusOK
		}
		end = s.offset + s.length
		spans = append(spans, s)
	}
	if len(spans) == 0 {
		return nil, http.StatusRequestedRangeNotSatisfiable
	}
	return spans, http.StatusPartialContent
}

// parseSpan reads first-last, first- or -suffix. A well-formed range that lies
// outside the body has length 0.
func parseSpan(spec string, size int64) (span, bool) {
	first, last, ok := strings.Cut(spec, "-")
	if !ok {
		return span{}, false
	}
	if first == "" {
		n, ok := digits(last)
		n = min(n, size)
		return span{size - n, n}, ok
	}
	from, ok := digits(first)
	if !ok {
		return span{}, false
	}
	to := size - 1
	if last != "" {
		n, ok := digits(last)
		if !ok || n < from {
			return span{}, false
		}
		to = min(to, n)
	}
	return span{from, max(to-from+1, 0)}, true
}

// digits reads a row of digits. What does not fit counts as the largest number
// there is, which lies beyond every body.
func digits(s string) (int64, bool) {
	const largest = 1<<63 - 1
	if s == "" {
		return 0, false
	}
	var n int64
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c < '0' || c > '9' {
			return 0, false
		}
		if n > (largest-9)/10 {
			n = largest
			continue
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}
