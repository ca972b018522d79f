package freshet

import "strings"

// How paths are spelled. CloudFront matches invalidations textually against the
// URL as viewers wrote it, and wants these characters escaped in invalidation
// paths and no others: non-ASCII bytes and the "unsafe" ones of RFC 1738.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/invalidation-specifying-objects.html

// mustEscape reports whether CloudFront wants c percent-encoded in a path.
func mustEscape(c byte) bool {
	return c <= ' ' || c >= 0x7F || strings.IndexByte("\"<>#%{}|\\^[]`", c) >= 0
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	default:
		return c - 'a' + 10
	}
}

const upperHex = "0123456789ABCDEF"

func appendEscaped(b []byte, c byte) []byte {
	return append(b, '%', upperHex[c>>4], upperHex[c&15])
}

func escapeAll(s string) string {
	var b []byte
	for i := range len(s) {
		b = appendEscaped(b, s[i])
	}
	return string(b)
}

// CanonicalPath brings the path of a request, as the viewer spelled it and
// without its query string, to the one spelling that invalidation patterns use.
// Escapes that were not needed are undone (%69 is i, %2F is /), those that are
// needed are made, in upper case. A + stays a + and %2B stays %2B, since S3
// reads them differently; %3F and %25 stay what they are. The result is never
// shorter in meaning: two paths that an S3 origin answers with different
// objects have different canonical paths.
func CanonicalPath(path string) string {
	if isCanonical(path) {
		return path
	}
	b := make([]byte, 0, len(path)+8)
	for i := 0; i < len(path); i++ {
		c := path[i]
		escaped := false
		if c == '%' && i+2 < len(path) && isHex(path[i+1]) && isHex(path[i+2]) {
			c, escaped = unhex(path[i+1])<<4|unhex(path[i+2]), true
			i += 2
		}
		if mustEscape(c) || escaped && (c == '+' || c == '?') {
			b = appendEscaped(b, c)
		} else {
			b = append(b, c)
		}
	}
	return string(b)
}

// isCanonical finds the common case, a path without anything to rewrite.
func isCanonical(path string) bool {
	for i := 0; i < len(path); i++ {
		if mustEscape(path[i]) {
			return false
		}
	}
	return true
}

// KeyPaths returns the canonical paths under which an S3 origin serves key:
// usually one; two for a key with spaces, which viewers write as %20 or as +.
// A literal + is only reachable as %2B, a ? as %3F.
func KeyPaths(key string) []string {
	path := keyPath(key, "%20")
	if !strings.Contains(key, " ") {
		return []string{path}
	}
	return []string{path, keyPath(key, "+")}
}

func keyPath(key, space string) string {
	if isCanonical(key) && strings.IndexByte(key, '+') < 0 && strings.IndexByte(key, '?') < 0 {
		return "/" + key
	}
	b := make([]byte, 1, len(key)+8)
	b[0] = '/'
	for i := 0; i < len(key); i++ {
		switch c := key[i]; {
		case c == ' ':
			b = append(b, space...)
		case c == '+' || c == '?' || mustEscape(c):
			b = appendEscaped(b, c)
		default:
			b = append(b, c)
		}
	}
	return string(b)
}

// CanonicalQuery spells a query string, or a part of one, as invalidation
// patterns can: escapes that a pattern must have are made, and those the viewer
// made stay as they are, since CloudFront compares query strings as they were
// written.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/QueryStringParameters.html
func CanonicalQuery(query string) string {
	if isCanonical(query) {
		return query
	}
	b := make([]byte, 0, len(query)+8)
	for i := 0; i < len(query); i++ {
		switch c := query[i]; {
		case c == '%' && i+2 < len(query) && isHex(query[i+1]) && isHex(query[i+2]):
			b = append(b, query[i:i+3]...)
			i += 2
		case mustEscape(c):
			b = appendEscaped(b, c)
		default:
			b = append(b, c)
		}
	}
	return string(b)
}

// PathPattern returns the pattern that removes a canonical path (with its query
// string, if any) from the cache and as little else as possible. exact is false
// where CloudFront has no exact spelling: a ~ cannot be matched at all, escaped
// or not, so a wildcard ends before the first one; a path longer than
// MaxPatternLength needs a wildcard that ends earlier; a * at the end of a path
// is only itself when the * of a wildcard follows.
func PathPattern(path string) (p Pattern, exact bool) {
	if tilde(path) < 0 && len(path) <= MaxPatternLength && !strings.HasSuffix(path, "*") {
		return Pattern(path), true
	}
	return PrefixPattern(path), false
}

// PrefixPattern returns the wildcard that removes every canonical path that
// begins with prefix and, but for what CloudFront cannot match, nothing else.
func PrefixPattern(prefix string) Pattern {
	if i := tilde(prefix); i >= 0 {
		prefix = prefix[:i]
	}
	if len(prefix) >= MaxPatternLength {
		end := MaxPatternLength - 1
		// No pattern ends within an escape.
		if i := strings.LastIndexByte(prefix[:end], '%'); i >= end-2 {
			end = i
		}
		prefix = prefix[:end]
	}
	return Pattern(prefix + "*")
}

// tilde returns where the first ~ stands, raw or escaped as a query string may
// have it, or -1.
func tilde(path string) int {
	first := -1
	for _, spelling := range [...]string{"~", "%7E", "%7e"} {
		if i := strings.Index(path, spelling); i >= 0 && (first < 0 || i < first) {
			first = i
		}
	}
	return first
}
