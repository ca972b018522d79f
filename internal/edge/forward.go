package edge

import (
	"cmp"
	"crypto/tls"
	"net"
	"net/http"
	"net/textproto"
	"slices"
	"strings"

	"github.com/freshet/freshet/internal/distribution"
)

// forwarding is what of a viewer's request the origin gets although it is not in
// the cache key.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/controlling-origin-requests.html
type forwarding struct {
	distribution.OriginRequest

	legacy  bool     // the behavior has no cache policy: all headers go on but those that are always removed
	headers []string // canonical names, of Listed and of AllBut
	added   []string // canonical names of CloudFront's own headers
	toS3    bool     // the origin is a bucket
}

func newForwarding(d *distribution.Distribution, b *distribution.CacheBehavior) (forwarding, error) {
	policy, err := d.OriginRequest(b)
	if err != nil {
		return forwarding{}, err
	}
	f := forwarding{OriginRequest: policy, legacy: b.CachePolicyID == ""}
	for _, name := range policy.Headers.Names {
		if name = textproto.CanonicalMIMEHeaderKey(name); policy.Headers.Mode == distribution.Listed && isCloudFronts(name) {
			f.added = append(f.added, name)
		}
		f.headers = append(f.headers, name)
	}
	for _, name := range policy.Added {
		f.added = append(f.added, textproto.CanonicalMIMEHeaderKey(name))
	}
	if o, ok := d.Config.Origin(b.TargetOriginID); ok {
		_, f.toS3 = o.Bucket()
	}
	return f, nil
}

func isCloudFronts(name string) bool { return strings.HasPrefix(name, "Cloudfront-") }

// selects reports whether the policy names a header.
func (f *forwarding) selects(name string) bool {
	return distribution.Selection{Mode: f.Headers.Mode, Names: f.headers}.Selects(name)
}

// removed are headers of a viewer's request that no configuration sends on.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/RequestAndResponseBehaviorCustomOrigin.html
var removed = []string{"Expect", "Forwarded", "X-Amz-Cf-Id", "X-Forwarded-Proto", "X-Real-Ip"}

// removedByDefault are those that go on only where the key or a policy has them.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/RequestAndResponseBehaviorCustomOrigin.html
var removedByDefault = []string{
	"Accept", "Accept-Charset", "Accept-Encoding", "Accept-Language", "Authorization", "Referer", "User-Agent", "X-Http-Method-Override",
}

// toOriginForAll returns the headers with which the origin is asked for what is
// kept for others: those of the viewer who comes first, without conditions and
// ranges.
func (e *Edge) toOriginForAll(r *http.Request, q *query) http.Header {
	h := e.toOrigin(r, q)
	for name := range h {
		if name == "Range" || strings.HasPrefix(name, "If-") || strings.HasPrefix(name, "Content-") {
			delete(h, name)
		}
	}
	return h
}

// toOrigin returns the headers with which the origin is asked for one viewer's
// answer.
func (e *Edge) toOrigin(r *http.Request, q *query) http.Header {
	b := q.behavior
	h := endToEnd(r.Header, removed)
	for name := range h {
		if !b.forwards(name, r.Method) {
			delete(h, name)
		}
	}
	b.keying.forward(h, r)
	for _, name := range b.forwarding.added {
		if value, ok := viewerHeader(r, name); ok {
			h[name] = []string{value}
		}
	}
	if cookies := b.cookie(r.Header["Cookie"]); cookies != "" {
		h["Cookie"] = []string{cookies}
	}
	e.addOwn(h, r)
	if h["X-Amz-Cf-Id"] = []string{q.id}; q.id == "" {
		h["X-Amz-Cf-Id"][0] = requestID()
	}
	return h
}

// forwards reports whether a header that is not in the key goes on.
func (b *behavior) forwards(name, method string) bool {
	f := &b.forwarding
	switch {
	case name == "Cookie" || isCloudFronts(name) || strings.HasPrefix(name, "X-Edge-"):
		return false // or elsewhere
	case strings.HasPrefix(name, "If-") || strings.HasPrefix(name, "Content-") || name == "Range" || name == "Via":
		return true
	case name == "Accept-Encoding" && (b.keying.gzip || b.keying.brotli):
		return false // in the key, normalized
	case f.selects(name) || isHandshake(name):
		return true
	case name == "Authorization":
		return !b.cached[method]
	}
	return f.legacy && !slices.Contains(removedByDefault, name)
}

// cookie returns the cookies that are in the key or that the policy names, in
// the order in which those of the key are.
func (b *behavior) cookie(lines []string) string {
	f := &b.forwarding
	if f.Cookies.Mode == distribution.None {
		return b.keying.cookie(lines)
	}
	var kept []string
	for _, line := range lines {
		for pair := range strings.SplitSeq(line, ";") {
			pair = trimSpace(pair)
			inKey := b.keying.forwardsCookies() && b.keying.selectsCookie(pair)
			if pair != "" && (inKey || f.Cookies.Selects(cookieName(pair))) {
				kept = append(kept, pair)
			}
		}
	}
	slices.SortStableFunc(kept, func(a, b string) int { return strings.Compare(cookieName(a), cookieName(b)) })
	return strings.Join(kept, "; ")
}

// query returns what of a viewer's query string the origin gets: the parameters
// in the key and those that the policy names, as the viewer spelled and ordered
// them; all where the behavior is of the older form and forwards query strings,
// of which it may list some for the key. Managed policies keep from a bucket what
// would change its headers.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/using-managed-origin-request-policies.html
func (b *behavior) query(text, inKey string) string {
	f := &b.forwarding
	if b.CachePolicyID == "" && b.ForwardedValues != nil && b.ForwardedValues.QueryString {
		return text
	}
	s3 := f.Managed && f.toS3
	switch mode := f.QueryStrings.Mode; {
	case mode == distribution.None:
		return inKey
	case mode == distribution.All && !s3:
		return text
	}
	var kept []string
	for parameter := range strings.SplitSeq(text, "&") {
		name, _, _ := strings.Cut(parameter, "=")
		if b.keying.queryStrings.Selects(name) || f.QueryStrings.Selects(name) && (!s3 || !strings.HasPrefix(name, "response-content-")) {
			kept = append(kept, parameter)
		}
	}
	return strings.Join(kept, "&")
}

// host is the Host to ask the origin for; empty for the origin's own.
func (b *behavior) host(r *http.Request) string {
	if b.forwarding.selects("Host") {
		return r.Host
	}
	return b.keying.host(r)
}

// originHost is the host of a behavior's requests to its origin. What others may
// get from the cache is asked for by a name of the distribution, without a port,
// where the key does not hold the host: whoever makes up another one, which
// reaches the distribution that answers all hosts, would decide what they get.
func (s *site) originHost(b *behavior, r *http.Request, cached bool) string {
	host := b.host(r)
	if host == "" || !cached || b.keying.host(r) != "" {
		return host
	}
	name := host
	if bare, _, err := net.SplitHostPort(host); err == nil {
		name = bare
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if s.has(name) {
		return name
	}
	return cmp.Or(s.config.DomainName, usualHost(&s.config))
}

// has reports whether a host is one of the distribution's, by itself or below an
// alias such as *.example.com.
func (s *site) has(host string) bool {
	if strings.EqualFold(host, s.config.DomainName) {
		return true
	}
	for _, name := range s.config.Config.Aliases {
		below, wildcard := strings.CutPrefix(strings.ToLower(name), "*")
		if host == below || wildcard && len(host) > len(below) && strings.HasSuffix(host, below) {
			return true
		}
	}
	return false
}

// cloudFrontHeader returns one of the headers in which CloudFront tells origins
// what it knows of a viewer. Where in the world that is nobody knows here.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/adding-cloudfront-headers.html
func cloudFrontHeader(r *http.Request, name string) (string, bool) {
	switch name {
	case "Cloudfront-Forwarded-Proto":
		if r.TLS != nil {
			return "https", true
		}
		return "http", true
	case "Cloudfront-Viewer-Address":
		host, port, err := net.SplitHostPort(r.RemoteAddr)
		return host + ":" + port, err == nil
	case "Cloudfront-Viewer-Http-Version":
		return httpVersion(r), true
	case "Cloudfront-Viewer-Tls":
		return viewerTLS(r.TLS), r.TLS != nil
	}
	device, ok := strings.CutPrefix(name, "Cloudfront-Is-")
	if !ok {
		return "", false
	}
	return viewerIs(r.UserAgent(), device)
}

func httpVersion(r *http.Request) string {
	return string([]byte{byte('0' + r.ProtoMajor), '.', byte('0' + r.ProtoMinor)})
}

func viewerTLS(s *tls.ConnectionState) string {
	if s == nil {
		return ""
	}
	handshake := "fullHandshake"
	if s.DidResume {
		handshake = "sessionResumed"
	}
	return strings.ReplaceAll(tls.VersionName(s.Version), "TLS 1", "TLSv1") + ":" + tls.CipherSuiteName(s.CipherSuite) + ":" + handshake
}

// viewerIs answers, by User-Agent, whether a viewer is a device of the kind that
// the end of a CloudFront-Is header names. Exactly one of Desktop, Mobile,
// SmartTV and Tablet holds.
func viewerIs(agent, device string) (string, bool) {
	agent = strings.ToLower(agent)
	has := func(words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(agent, w) })
	}
	tv := has("smart-tv", "smarttv", "smart_tv", "googletv", "appletv", "hbbtv", "netcast", "bravia", "roku", "crkey", "; aft")
	tablet := !tv && (has("ipad", "tablet", "kindle", "silk/", "playbook") || has("android") && !has("mobile"))
	mobile := !tv && !tablet && has("mobi", "iphone", "ipod", "windows phone", "opera mini", "blackberry")
	var is bool
	switch device {
	case "Smarttv-Viewer":
		is = tv
	case "Tablet-Viewer":
		is = tablet
	case "Mobile-Viewer":
		is = mobile
	case "Desktop-Viewer":
		is = !tv && !tablet && !mobile
	case "Android-Viewer":
		is = has("android")
	case "Ios-Viewer":
		is = has("iphone", "ipad", "ipod")
	default:
		return "", false
	}
	if is {
		return "true", true
	}
	return "false", true
}
