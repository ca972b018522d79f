package freshet

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// MaxPatternLength is the longest invalidation path, in characters.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/invalidation-specifying-objects.html
const MaxPatternLength = 4000

// MaxTagLength is the longest cache tag, in characters, without the leading #.
const MaxTagLength = 256

// Pattern names cached content in CloudFront's notation, for every CDN: an exact
// path with its query string (/a.css, /a?v=1), a wildcard with a * as its last
// character (/blog/*, which also crosses slashes and query strings), or a cache
// tag (#release-7).
type Pattern string

// ParsePattern checks s against CloudFront's rules for invalidation paths. The
// error says what to write instead.
func ParsePattern(s string) (Pattern, error) {
	if strings.HasPrefix(s, "#") {
		return parseTag(s)
	}
	if !strings.HasPrefix(s, "/") {
		return "", fmt.Errorf("pattern %q must begin with / (or # for a cache tag)", shorten(s))
	}
	if len(s) > MaxPatternLength {
		return "", fmt.Errorf("pattern %q is %d characters long, at most %d are allowed", shorten(s), len(s), MaxPatternLength)
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '~':
			return "", fmt.Errorf("pattern %q holds a ~, which CloudFront cannot invalidate, encoded or not: use a wildcard that ends before it, such as %q", shorten(s), shorten(s[:i])+"*")
		case c == '%':
			if i+2 >= len(s) || !isHex(s[i+1]) || !isHex(s[i+2]) {
				return "", fmt.Errorf("pattern %q holds a %% that begins no escape: write %%25", shorten(s))
			}
		case mustEscape(c):
			_, n := utf8.DecodeRuneInString(s[i:])
			return "", fmt.Errorf("pattern %q holds %q, which must be written %s", shorten(s), s[i:i+n], escapeAll(s[i:i+n]))
		}
	}
	return Pattern(s), nil
}

func parseTag(s string) (Pattern, error) {
	tag := s[1:]
	if tag == "" || len(tag) > MaxTagLength {
		return "", fmt.Errorf("tag %q must have 1 to %d characters after the #", shorten(s), MaxTagLength)
	}
	for i := 0; i < len(tag); i++ {
		if c := tag[i]; c < 33 || c > 126 || c == ',' {
			return "", fmt.Errorf("tag %q may hold visible ASCII characters except the comma", shorten(s))
		}
	}
	return Pattern(s), nil
}

// IsTag reports whether p names content by cache tag.
func (p Pattern) IsTag() bool { return strings.HasPrefix(string(p), "#") }

// IsWildcard reports whether p covers more than one URL. Only a * at the end is
// special; anywhere else it is an ordinary character.
func (p Pattern) IsWildcard() bool { return !p.IsTag() && strings.HasSuffix(string(p), "*") }

// Prefix is what every URL covered by a wildcard begins with; for an exact path
// it is the path itself.
func (p Pattern) Prefix() string {
	if p.IsWildcard() {
		return string(p[:len(p)-1])
	}
	return string(p)
}

// Covers reports whether p removes the response cached for url, a path in the
// spelling of CanonicalPath with the part of the query string that is in the
// cache key. A tag covers no URL by itself.
func (p Pattern) Covers(url string) bool {
	switch {
	case p.IsTag():
		return false
	case p.IsWildcard():
		return strings.HasPrefix(url, p.Prefix())
	default:
		return url == string(p)
	}
}

// shorten keeps error messages readable when the input is not.
func shorten(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
