package signed

import (
	"strings"
)

// token is a signature and what belongs to it, as a request carries it.
type token struct {
	expires, policy, signature, keyID, hash string
}

// field returns where the value of a parameter or, after its prefix, of a cookie
// belongs; nil for all others.
func (t *token) field(name string) *string {
	switch name {
	case "Expires":
		return &t.expires
	case "Policy":
		return &t.policy
	case "Signature":
		return &t.signature
	case "Key-Pair-Id":
		return &t.keyID
	case "Hash-Algorithm":
		return &t.hash
	}
	return nil
}

// put keeps the first value of a name.
func (t *token) put(name, value string) {
	if into := t.field(name); into != nil && *into == "" {
		*into = value
	}
}

const cookiePrefix = "CloudFront-"

// inQuery reads the token of a signed URL.
func inQuery(query string) token {
	var t token
	for parameter := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(parameter, "=")
		t.put(name, value)
	}
	return t
}

// inCookies reads the token of signed cookies.
func inCookies(lines []string) token {
	var t token
	for _, line := range lines {
		for pair := range strings.SplitSeq(line, ";") {
			name, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
			if name, ok := strings.CutPrefix(name, cookiePrefix); ok {
				t.put(name, value)
			}
		}
	}
	return t
}

// StripQuery returns a query string without the parameters of a signature, which
// are neither in the cache key nor for the origin.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-signed-urls.html
func StripQuery(query string) string {
	return strip(query, "&", "&", "")
}

// StripCookie does the same for the value of a Cookie header.
func StripCookie(line string) string {
	return strip(line, ";", "; ", cookiePrefix)
}

func strip(list, separator, joint, prefix string) string {
	var none token
	isOurs := func(part string) bool {
		name, _, _ := strings.Cut(strings.TrimSpace(part), "=")
		name, ok := strings.CutPrefix(name, prefix)
		return ok && none.field(name) != nil
	}
	found := false
	for part := range strings.SplitSeq(list, separator) {
		found = found || isOurs(part)
	}
	if !found {
		return list
	}
	var kept []string
	for part := range strings.SplitSeq(list, separator) {
		if !isOurs(part) {
			if separator != joint {
				part = strings.TrimSpace(part)
			}
			kept = append(kept, part)
		}
	}
	return strings.Join(kept, joint)
}
