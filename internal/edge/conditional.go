package edge

import (
	"net/http"
	"strings"
	"time"
)

// conditions are what a request demands of the response that it would get. The
// empty texts demand nothing.
type conditions struct {
	match, noneMatch               []string // the lines of If-Match and If-None-Match
	unmodifiedSince, modifiedSince string
	forRange                       string // If-Range
}

func conditionsOf(request http.Header) conditions {
	return conditions{
		request["If-Match"], request["If-None-Match"], request.Get("If-Unmodified-Since"), request.Get("If-Modified-Since"), request.Get("If-Range"),
	}
}

// validators are what a stored response says of itself.
type validators struct {
	etag, modified, date string
	saysModified         bool // even if it is nothing
}

func validatorsOf(stored http.Header) validators {
	_, says := stored["Last-Modified"]
	return validators{stored.Get("Etag"), stored.Get("Last-Modified"), stored.Get("Date"), says}
}

// precondition returns the status with which a conditional request is answered
// instead of content: 304, 412, or 0 when the content is to be sent.
// https://www.rfc-editor.org/rfc/rfc9110#section-13.2.2
func (c *conditions) precondition(v *validators) int {
	if len(c.match) > 0 {
		if !listsETag(c.match, v.etag, strongMatch) {
			return http.StatusPreconditionFailed
		}
	} else if since, ok := parseDate(c.unmodifiedSince); ok {
		if modified, ok := parseDate(v.modified); ok && modified.After(since) {
			return http.StatusPreconditionFailed
		}
	}
	if len(c.noneMatch) > 0 {
		if listsETag(c.noneMatch, v.etag, weakMatch) {
			return http.StatusNotModified
		}
	} else if since, ok := parseDate(c.modifiedSince); ok {
		if modified, ok := v.modifiedAt(); ok && !modified.After(since) {
			return http.StatusNotModified
		}
	}
	return 0
}

// modifiedAt is when a stored response was last modified or, where the origin
// does not say, the end of the second in which it sent it: what somebody has
// from later than that is no older.
// https://www.rfc-editor.org/rfc/rfc9111#section-4.3.2
func (v *validators) modifiedAt() (time.Time, bool) {
	if v.saysModified {
		return parseDate(v.modified)
	}
	sent, ok := parseDate(v.date)
	return sent.Add(time.Second), ok
}

// rangeApplies reports whether a Range header counts: always without If-Range,
// and otherwise only if the copy is the very one the viewer has a part of.
func (c *conditions) rangeApplies(v *validators) bool {
	value := c.forRange
	if value == "" {
		return true
	}
	if strings.HasPrefix(value, `"`) || strings.HasPrefix(value, "W/") {
		return strongMatch(value, v.etag)
	}
	asked, err := http.ParseTime(value)
	modified, ok := parseDate(v.modified)
	return err == nil && ok && asked.Equal(modified)
}

// rangeApplies is that of conditions, for a request and what is stored.
func rangeApplies(request, stored http.Header) bool {
	c, v := conditionsOf(request), validatorsOf(stored)
	return c.rangeApplies(&v)
}

// precondition is that of conditions, for a request and what is stored.
func precondition(request, stored http.Header) int {
	c, v := conditionsOf(request), validatorsOf(stored)
	return c.precondition(&v)
}

func dateOf(h http.Header, name string) (time.Time, bool) { return parseDate(h.Get(name)) }

func parseDate(value string) (time.Time, bool) {
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
