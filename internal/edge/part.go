package edge

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/freshet/freshet/internal/edge/compress"
)

// part says that an entry holds some of a body only: length bytes from first on,
// of total.
type part struct{ first, length, total int64 }

// partSize is to which multiple of bytes the range that the origin is asked for
// is widened, so that the next range of the same object often finds its bytes,
// and viewers cannot fill the cache with one object.
// CloudFront, too, may ask for more than the viewer did.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/RangeGETs.html
const partSize = 1 << 20

// wideRange returns the range to ask the origin for when a viewer wants the one
// in header of an object that is not cached, and whether that is less than the
// whole object. Of several ranges the whole is fetched.
func wideRange(header string, multiple int64) (string, bool) {
	unit, spec, ok := strings.Cut(header, "=")
	spec = trimSpace(spec)
	if !ok || !strings.EqualFold(trimSpace(unit), "bytes") || strings.Contains(spec, ",") {
		return "", false
	}
	first, last, ok := strings.Cut(spec, "-")
	from, okFrom := digits(first)
	to, okTo := digits(last)
	const enough = 1 << 60 // bytes, so that nothing overflows
	switch {
	case !ok || from > enough:
		return "", false
	case first == "":
		return "bytes=-" + strconv.FormatInt((to+multiple-1)/multiple*multiple, 10), okTo && 0 < to && to <= enough
	case last == "" || okTo && to > enough:
		from = from / multiple * multiple
		return "bytes=" + strconv.FormatInt(from, 10) + "-", okFrom && from > 0
	}
	wide := "bytes=" + strconv.FormatInt(from/multiple*multiple, 10) + "-" + strconv.FormatInt((to/multiple+1)*multiple-1, 10)
	return wide, okFrom && okTo && from <= to
}

// servePart answers a request for a range of an object of which no whole copy
// is there, from a part that is cached or by fetching one. A fetch of the whole
// that is under way is followed instead.
func (e *Edge) servePart(w http.ResponseWriter, r *http.Request, q *query, asked string) {
	if q.site.isFilling(q.key) {
		e.serveFill(w, r, q)
		return
	}
	p := *q
	p.asked = asked
	p.key.variant += "\nRange:" + asked
	e.recallPart(&p)
	e.serveFill(w, r, &p)
}

// asksForPart reports whether a GET is answered with less than all of a response
// of so many bytes.
func asksForPart(r *http.Request, e *entry, size int64) bool {
	header := r.Header.Get("Range")
	if header == "" || size < 0 || r.Method != http.MethodGet || !rangeApplies(r.Header, e.header) {
		return false
	}
	_, status := selectSpans(header, size)
	return status != http.StatusOK
}

// whole is the query for all of what q asks a part of.
func (q *query) whole() *query {
	all := *q
	all.key.variant = strings.TrimSuffix(q.key.variant, "\nRange:"+q.asked)
	all.asked = ""
	return &all
}

func (s *site) isFilling(k key) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fills[k] != nil
}

// holds reports whether the entry has all the bytes that a request asks for.
func (e *entry) holds(r *http.Request) bool {
	if e.part == nil {
		return true
	}
	if !rangeApplies(r.Header, e.header) {
		return false
	}
	spans, status := selectSpans(r.Header.Get("Range"), e.part.total)
	switch {
	case status == http.StatusRequestedRangeNotSatisfiable:
		return true
	case status != http.StatusPartialContent || len(spans) != 1:
		return false
	}
	return spans[0].offset >= e.part.first && spans[0].offset+spans[0].length <= e.part.first+e.part.length
}

// take makes of an origin's 206 what is known of the whole: the response as it
// would have been, and which part of its body there is. That is nil for all of
// it, unless the whole would have been compressed: then it must not be cached
// as the whole. ok is false if the answer does not say which part it is, or not
// how long.
func (q *query) take(resp *response) (p *part, ok bool) {
	unit, text, _ := strings.Cut(resp.Header.Get("Content-Range"), " ")
	bounds, size, _ := strings.Cut(text, "/")
	first, last, _ := strings.Cut(bounds, "-")
	from, okFrom := digits(trimSpace(first))
	to, okTo := digits(last)
	total, okTotal := digits(trimSpace(size))
	if !strings.EqualFold(unit, "bytes") || !okFrom || !okTo || !okTotal || from > to || to >= total || resp.ContentLength != to-from+1 {
		return nil, false
	}
	resp.StatusCode = http.StatusOK
	delete(resp.Header, "Content-Range")
	if to-from+1 == total && q.encoding(resp) == compress.None {
		return nil, true
	}
	return &part{from, to - from + 1, total}, true
}

// partial is the content of a part, in the offsets of the whole.
type partial struct {
	content

	part *part
}

func (p partial) size() int64 { return p.part.total }

func (p partial) copyPart(ctx context.Context, w io.Writer, s span) error {
	s.offset -= p.part.first
	return p.content.copyPart(ctx, w, s)
}
