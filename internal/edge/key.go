package edge

import (
	"net/http"
	"net/textproto"
	"slices"
	"strings"

	"github.com/freshet/freshet/internal/distribution"
)

// keying is what of a request is in the cache key of one behavior beside host
// and path. Whatever is in the key the origin gets too.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/controlling-the-cache-key.html
type keying struct {
	queryStrings distribution.Selection
	headers      []string // canonical names, sorted
	anyHeader    bool     // all headers are forwarded, so that nothing is cached
	cookies      distribution.Selection
	gzip, brotli bool // of Accept-Encoding these are in the key
	eachAsked    bool // there is no minimum TTL, so that Vary: * is heeded

	beyond *forwarding // what the origin gets beside the key
}

// newKeying prepares what a behavior's configuration says.
func newKeying(c *distribution.Caching) keying {
	k := keying{queryStrings: c.QueryStrings, cookies: c.Cookies, gzip: c.Gzip, brotli: c.Brotli, anyHeader: c.Headers.Mode == distribution.All, eachAsked: c.MinTTL <= 0}
	if c.Headers.Mode == distribution.Listed {
		for _, name := range c.Headers.Names {
			k.headers = append(k.headers, textproto.CanonicalMIMEHeaderKey(name))
		}
	}
	normalized := k.gzip || k.brotli
	k.headers = slices.DeleteFunc(k.headers, func(name string) bool {
		return name == "Cookie" || isUnsent(name) || normalized && name == "Accept-Encoding"
	})
	slices.Sort(k.headers)
	k.headers = slices.Compact(k.headers)
	return k
}

// isUnsent reports whether no configuration sends a header of a viewer's on, so
// that it cannot be in a key either.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/RequestAndResponseBehaviorCustomOrigin.html#request-custom-headers-behavior
func isUnsent(name string) bool {
	switch name {
	case "X-Amz-Cf-Id", "X-Forwarded-Proto", "X-Real-Ip":
		return true
	}
	return slices.Contains(hopByHop, name) || strings.HasPrefix(name, "X-Edge-")
}

// query returns the part of a query string that is in the key: the selected
// parameters as the viewer spelled and ordered them.
func (k *keying) query(text string) string {
	switch k.queryStrings.Mode {
	case distribution.All:
		return text
	case distribution.None:
		return ""
	}
	if text == "" || k.selectsAll(text) {
		return text
	}
	var b strings.Builder
	for parameter := range strings.SplitSeq(text, "&") {
		if !k.selectsParameter(parameter) {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('&')
		}
		b.WriteString(parameter)
	}
	return b.String()
}

// selectsAll finds the common case, in which nothing has to be copied.
func (k *keying) selectsAll(text string) bool {
	for parameter := range strings.SplitSeq(text, "&") {
		if !k.selectsParameter(parameter) {
			return false
		}
	}
	return true
}

// selectsParameter compares names as they are spelled; letter case counts. What
// has no name is nobody's parameter and only there where all others are, too.
func (k *keying) selectsParameter(parameter string) bool {
	name, _, _ := strings.Cut(parameter, "=")
	return slices.Contains(k.queryStrings.Names, name) == (k.queryStrings.Mode == distribution.Listed)
}

// variant is the part of the key that no invalidation can name: method,
// encodings, headers and cookies. Where the key holds none of the last two it
// is a constant, so that a hit allocates nothing.
func (k *keying) variant(r *http.Request) string {
	encodings := k.encodings(acceptEncoding(r))
	if len(k.headers) == 0 && !k.forwardsCookies() && r.Method != http.MethodOptions {
		return encodings
	}
	var b strings.Builder
	b.WriteString(encodings)
	b.WriteByte('\n')
	if r.Method == http.MethodOptions {
		b.WriteString(http.MethodOptions)
	}
	for _, name := range k.headers {
		if value, ok := viewerHeader(r, name); ok {
			b.WriteString("\n" + name + ":" + value)
		}
	}
	if cookies := k.cookie(r.Header["Cookie"]); cookies != "" {
		b.WriteString("\nCookie:" + cookies)
	}
	return b.String()
}

// forward adds to h what of the request the origin gets because it is in the
// key.
func (k *keying) forward(h http.Header, r *http.Request) {
	if k.anyHeader {
		for name, values := range endToEnd(r.Header, []string{"Cookie"}) {
			h[name] = values
		}
	}
	for _, name := range k.headers {
		if value, ok := viewerHeader(r, name); ok && name != "Host" {
			h[name] = []string{value}
		}
	}
	if encodings := k.encodings(acceptEncoding(r)); encodings != "" {
		h["Accept-Encoding"] = []string{encodings}
	}
	if cookies := k.cookie(r.Header["Cookie"]); cookies != "" {
		h["Cookie"] = []string{cookies}
	}
}

// host is the Host the origin is asked for because it is in the key; empty for
// the origin's own.
func (k *keying) host(r *http.Request) string {
	if k.anyHeader || slices.Contains(k.headers, "Host") {
		return r.Host
	}
	return ""
}

// viewerHeader returns a header as it counts in the key: several lines as one,
// and not what only CloudFront itself may say.
func viewerHeader(r *http.Request, name string) (string, bool) {
	switch {
	case name == "Host":
		return r.Host, true
	case isCloudFronts(name):
		return cloudFrontHeader(r, name)
	}
	lines, ok := r.Header[name]
	if len(lines) == 1 {
		return lines[0], true
	}
	return strings.Join(lines, ", "), ok
}

// acceptEncoding is the header of the same name, which counts for nothing in
// HTTP/1.0.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/ServingCompressedFiles.html
func acceptEncoding(r *http.Request) []string {
	if r.ProtoMajor == 1 && r.ProtoMinor == 0 {
		return nil
	}
	return r.Header["Accept-Encoding"]
}

// encodings reduces Accept-Encoding to what the key distinguishes: br,gzip or
// br or gzip or nothing.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/ServingCompressedFiles.html
func (k *keying) encodings(lines []string) string {
	if !k.gzip && !k.brotli {
		return ""
	}
	var gzip, brotli bool
	for _, line := range lines {
		for coding := range strings.SplitSeq(line, ",") {
			name, weight, _ := strings.Cut(coding, ";")
			if refused(weight) {
				continue
			}
			name = trimSpace(name)
			gzip = gzip || strings.EqualFold(name, "gzip")
			brotli = brotli || strings.EqualFold(name, "br")
		}
	}
	switch gzip, brotli = gzip && k.gzip, brotli && k.brotli; {
	case gzip && brotli:
		return "br,gzip"
	case brotli:
		return "br"
	case gzip:
		return "gzip"
	}
	return ""
}

// refused reports whether the parameters of a coding hold a weight of 0.
// https://www.rfc-editor.org/rfc/rfc9110#section-12.4.2
func refused(parameters string) bool {
	for parameter := range strings.SplitSeq(parameters, ";") {
		name, value, _ := strings.Cut(parameter, "=")
		if strings.EqualFold(trimSpace(name), "q") {
			return strings.Trim(trimSpace(value), "0.") == ""
		}
	}
	return false
}

// cookie returns the selected cookies in one line, sorted by name; those of one
// name stay in the viewer's order.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/Cookies.html
func (k *keying) cookie(lines []string) string {
	if !k.forwardsCookies() {
		return ""
	}
	var kept []string
	for _, line := range lines {
		for pair := range strings.SplitSeq(line, ";") {
			if pair = trimSpace(pair); pair != "" && k.selectsCookie(pair) {
				kept = append(kept, pair)
			}
		}
	}
	slices.SortStableFunc(kept, func(a, b string) int { return strings.Compare(cookieName(a), cookieName(b)) })
	return strings.Join(kept, "; ")
}

// forwardsCookies reports whether the origin may get cookies.
func (k *keying) forwardsCookies() bool { return k.cookies.Mode != distribution.None }

// cookiesMayBeSet reports whether the origin may have seen cookies, and so may
// set some.
func (k *keying) cookiesMayBeSet() bool {
	return k.forwardsCookies() || k.beyond != nil && k.beyond.Cookies.Mode != distribution.None
}

// selectsCookie understands * and ? in the configured names.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/DownloadDistValuesCacheBehavior.html
func (k *keying) selectsCookie(pair string) bool {
	if k.cookies.Mode == distribution.All {
		return true
	}
	name := cookieName(pair)
	named := slices.ContainsFunc(k.cookies.Names, func(pattern string) bool {
		return pattern == name || strings.ContainsAny(pattern, "*?") && distribution.Match(pattern, name)
	})
	return named == (k.cookies.Mode == distribution.Listed)
}

func cookieName(pair string) string {
	name, _, _ := strings.Cut(pair, "=")
	return trimSpace(name)
}
