package edge

import (
	"net/http"
	"strings"
	"time"
)

// precondition returns the status with which a conditional request is answered
// instead of content: 304, 412, or 0 when the content is to be sent. stored are
// the headers of the response that would be sent.
// https://www.rfc-editor.org/rfc/rfc9110#section-13.2.2
func precondition(request, stored http.Header) int {
	etag := stored.Get("Etag")
	if match := request.Values("If-Match"); len(match) > 0 {
		if !listsETag(match, etag, strongMatch) {
			return http.StatusPreconditionFailed
		}
	} else if since, ok := dateOf(request, "If-Unmodified-Since"); ok {
		if modified, ok := dateOf(stored, "Last-Modified"); ok && modified.After(since) {
			return http.StatusPreconditionFailed
		}
	}
	if match := request.Values("If-None-Match"); len(match) > 0 {
		if listsETag(match, etag, weakMatch) {
			return http.StatusNotModified
		}
	} else if since, ok := dateOf(request, "If-Modified-Since"); ok {
		if modified, ok := modifiedAt(stored); ok && !modified.After(since) {
			return http.StatusNotModified
		}
	}
	return 0
}

// modifiedAt is when a stored response was last modified or, where the origin
// does not say, the end of the second in which it sent it: what somebody has
// from later than that is no older.
// https://www.rfc-editor.org/rfc/rfc9111#section-4.3.2
func modifiedAt(stored http.Header) (time.Time, bool) {
	if _, says := stored["Last-Modified"]; says {
		return dateOf(stored, "Last-Modified")
	}
	sent, ok := dateOf(stored, "Date")
	return sent.Add(time.Second), ok
}

// rangeApplies reports whether a Range header counts: always without If-Range,
// and otherwise only if the copy is the very one the viewer has a part of.
func rangeApplies(request, stored http.Header) bool {
	value := request.Get("If-Range")
	if value == "" {
		return true
	}
	if strings.HasPrefix(value, `"`) || strings.HasPrefix(value, "W/") {
		return strongMatch(value, stored.Get("Etag"))
	}
	asked, err := http.ParseTime(value)
	modified, ok := dateOf(stored, "Last-Modified")
	return err == nil && ok && asked.Equal(modified)
}

func dateOf(h http.Header, name string) (time.Time, bool) {
	value := h.Get(name)
	if value == "" {
		return time.Time{}, false
	}
	t, err := http.ParseTime(value)
	return t, err == nil
}

// listsETag reports whether one of the entity tags in lines matches etag. A *
// matches any stored response, also one without an entity tag.
func listsETag(lines []string, etag string, matches func(a, b string) bool) bool {
	for _, line := range lines {
		for line != "" {
			line = strings.TrimLeft(line, " \t,")
			if strings.HasPrefix(line, "*") {
				return true
			}
			tag, rest, ok := cutETag(line)
			if !ok {
				break
			}
			if matches(tag, etag) {
				return true
			}
			line = rest
		}
	}
	return false
}

// cutETag splits the entity tag off with which s begins. Tags may hold commas.
func cutETag(s string) (tag, rest string, ok bool) {
	open := strings.IndexByte(s, '"')
	if open != 0 && (open != 2 || s[:2] != "W/") {
		return "", "", false
	}
	length := strings.IndexByte(s[open+1:], '"')
	if length < 0 {
		return "", "", false
	}
	end := open + length + 2
	return s[:end], s[end:], true
}

func strongMatch(a, b string) bool {
	return a != "" && a == b && !strings.HasPrefix(a, "W/")
}

func weakMatch(a, b string) bool {
	a, b = strings.TrimPrefix(a, "W/"), strings.TrimPrefix(b, "W/")
	return a != "" && a == b
}
