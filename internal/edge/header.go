package edge

import (
	"net/http"
	"net/textproto"
	"slices"
	"strings"

	"github.com/freshet/freshet/internal/edge/compress"
)

// hopByHop are the headers that concern one connection only, in either
// direction.
var hopByHop = []string{
	"Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection",
	"Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

// notFromOrigin are headers of an origin's response that CloudFront replaces,
// or that must not be shared.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/RequestAndResponseBehaviorCustomOrigin.html
var notFromOrigin = []string{
	"Age", "Content-Length", "Via", "X-Amz-Cf-Id", "X-Amz-Cf-Pop", "X-Cache",
}

// endToEnd returns a copy of h without the headers of one connection, those
// that Connection names, and those in without. Values are shared with h.
func endToEnd(h http.Header, without []string) http.Header {
	kept := make(http.Header, len(h)+4)
	for name, values := range h {
		kept[name] = values
	}
	for _, line := range h["Connection"] {
		for name := range strings.SplitSeq(line, ",") {
			delete(kept, textproto.CanonicalMIMEHeaderKey(trimSpace(name)))
		}
	}
	for _, name := range hopByHop {
		delete(kept, name)
	}
	for _, name := range without {
		delete(kept, name)
	}
	return kept
}

// fromOrigin returns what of an origin's response goes out to viewers. Where
// cookies are not forwarded, none may be set; where they are, Set-Cookie is
// cached with the rest.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/Cookies.html
func (k *keying) fromOrigin(h http.Header) http.Header {
	kept := endToEnd(h, notFromOrigin)
	if !k.cookiesMayBeSet() {
		delete(kept, "Set-Cookie")
		delete(kept, "Set-Cookie2")
	}
	k.reduceVary(kept)
	if kept.Get("Server") == "" {
		kept.Set("Server", "CloudFront")
	}
	return kept
}

// reduceVary leaves the names that can make a difference: other headers are not
// forwarded, so the origin cannot have looked at them. A * stays where the edge
// heeds it, and browsers have to as well.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/RequestAndResponseBehaviorCustomOrigin.html#request-custom-content-negotiation
func (k *keying) reduceVary(h http.Header) {
	var kept []string
	for _, line := range h["Vary"] {
		for name := range strings.SplitSeq(line, ",") {
			if name = trimSpace(name); k.varies(textproto.CanonicalMIMEHeaderKey(name)) {
				kept = append(kept, name)
			}
		}
	}
	delete(h, "Vary")
	if kept != nil {
		h.Set("Vary", strings.Join(kept, ", "))
	}
}

// varies reports whether the origin may have looked at a header, given by its
// canonical name. What it is told of the device was read from the User-Agent.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/RequestAndResponseBehaviorCustomOrigin.html#ResponseCustomRemovedHeaders
func (k *keying) varies(name string) bool {
	switch name {
	case "*":
		return k.eachAsked
	case "Accept-Encoding", "Cookie":
		return true
	}
	return k.tells(name) || name == "User-Agent" && slices.ContainsFunc(aboutDevices[:], k.tells)
}

// aboutDevices are CloudFront's own headers of what it takes a viewer for.
var aboutDevices = [...]string{"Cloudfront-Is-Desktop-Viewer", "Cloudfront-Is-Mobile-Viewer", "Cloudfront-Is-Smarttv-Viewer", "Cloudfront-Is-Tablet-Viewer"}

// tells reports whether the configuration names a header for the origin.
func (k *keying) tells(name string) bool {
	return k.anyHeader || slices.Contains(k.headers, name) || k.beyond != nil && k.beyond.selects(name)
}

// refreshed returns the headers of a stored response after the origin said that
// it is unchanged: what the 304 says replaces what was stored, except for what
// describes the bytes that were kept. Neither argument is modified.
// https://www.rfc-editor.org/rfc/rfc9111#section-3.2
func (k *keying) refreshed(stored, unchanged http.Header) http.Header {
	merged := stored.Clone()
	for name, values := range k.fromOrigin(unchanged) {
		switch name {
		case "Content-Encoding", "Content-Md5", "Content-Range":
		case "Etag":
			if !weakMatch(values[0], stored.Get("Etag")) { // else it is the tag of what was stored, perhaps before it was compressed
				merged[name] = values
			}
		case "Server":
			if unchanged.Get("Server") != "" {
				merged[name] = values
			}
		default:
			merged[name] = values
		}
	}
	if merged.Get("Content-Encoding") != "" && namesEncoding(stored["Vary"]) {
		compress.Vary(merged)
	}
	return merged
}

func namesEncoding(vary []string) bool {
	return strings.Contains(strings.ToLower(strings.Join(vary, ",")), "accept-encoding")
}
