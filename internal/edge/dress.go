package edge

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/freshet/freshet/internal/distribution"
)

// dressing is a response headers policy as it is applied to every answer of a
// behavior, from the cache or not: it changes nothing of what is stored.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/understanding-response-headers-policies.html
type dressing struct {
	remove   []string // canonical names
	fixed    []fixedHeader
	cors     *distribution.CORSConfig // nil for none
	timing   bool
	sampling float64 // of 1
}

// fixedHeader is one that does not depend on the request.
type fixedHeader struct {
	name     string // canonical
	value    []string
	override bool
}

// newDressing returns nil where there is nothing to do.
func newDressing(p *distribution.ResponseHeadersPolicy) (*dressing, error) {
	if p == nil {
		return nil, nil
	}
	d := &dressing{cors: p.Config.CORSConfig}
	for _, name := range p.Config.RemoveHeaders {
		name = textproto.CanonicalMIMEHeaderKey(name)
		if !isToken(name) || cannotBeRemoved(name) {
			return nil, fmt.Errorf("response headers policy %s: the header %q cannot be removed", p.ID, name)
		}
		d.remove = append(d.remove, name)
	}
	if s := p.Config.SecurityHeadersConfig; s != nil {
		d.addSecurity(s)
	}
	for _, c := range p.Config.CustomHeaders {
		d.add(c.Header, c.Value, c.Override)
	}
	for _, h := range d.fixed {
		if !isToken(h.name) || strings.ContainsAny(h.value[0], "\r\n\x00") {
			return nil, fmt.Errorf("response headers policy %s: the header %q: %q cannot be sent", p.ID, h.name, h.value[0])
		}
	}
	if t := p.Config.ServerTiming; t != nil && t.Enabled {
		d.timing, d.sampling = true, t.SamplingRate/100
	}
	return d, nil
}

func (d *dressing) add(name, value string, override bool) {
	d.fixed = append(d.fixed, fixedHeader{textproto.CanonicalMIMEHeaderKey(name), []string{value}, override})
}

// fixes reports whether the policy has its own value for one of the headers.
func (d *dressing) fixes(names ...string) bool {
	return slices.ContainsFunc(d.fixed, func(f fixedHeader) bool { return slices.Contains(names, f.name) })
}

func (d *dressing) addSecurity(s *distribution.SecurityHeadersConfig) {
	if c := s.ContentSecurityPolicy; c != nil {
		d.add("Content-Security-Policy", c.ContentSecurityPolicy, c.Override)
	}
	if c := s.ContentTypeOptions; c != nil {
		d.add("X-Content-Type-Options", "nosniff", c.Override)
	}
	if c := s.FrameOptions; c != nil {
		d.add("X-Frame-Options", c.FrameOption, c.Override)
	}
	if c := s.ReferrerPolicy; c != nil {
		d.add("Referrer-Policy", c.ReferrerPolicy, c.Override)
	}
	if c := s.StrictTransportSecurity; c != nil {
		value := "max-age=" + strconv.FormatInt(c.MaxAge, 10)
		if c.IncludeSubdomains {
			value += "; includeSubDomains"
		}
		if c.Preload {
			value += "; preload"
		}
		d.add("Strict-Transport-Security", value, c.Override)
	}
	if c := s.XSSProtection; c != nil {
		d.add("X-XSS-Protection", xssProtection(c), c.Override)
	}
}

func xssProtection(c *distribution.XSSProtection) string {
	switch {
	case !c.Protection:
		return "0"
	case c.ModeBlock:
		return "1; mode=block"
	case c.ReportURI != "":
		return "1; report=" + c.ReportURI
	}
	return "1"
}

// cannotBeRemoved reports whether CloudFront refuses a policy that removes a
// header.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/understanding-response-headers-policies.html#remove-headers-disallowed
func cannotBeRemoved(name string) bool {
	switch name {
	case "Content-Encoding", "Content-Length", "Expect", "Host", "Via", "Warning", "X-Cache", "X-Forwarded-Proto", "X-Real-Ip":
		return true
	}
	if slices.Contains(hopByHop, name) && name != "Te" {
		return true
	}
	return slices.ContainsFunc([]string{"X-Accel-", "X-Amz-Cf-", "X-Amzn-", "X-Edge-"}, func(p string) bool { return strings.HasPrefix(name, p) })
}

// apply changes the headers of an answer that is about to go out. Values are
// replaced, never modified, since a stored response shares them.
func (d *dressing) apply(h http.Header, r *http.Request, took time.Duration) {
	d.applySteady(h, r)
	if d.timing && (rand.Float64() < d.sampling || strings.EqualFold(trimSpace(r.Header.Get("Pragma")), "server-timing")) {
		addServerTiming(h, took)
	}
}

// applySteady is apply without what depends on chance and time.
func (d *dressing) applySteady(h http.Header, r *http.Request) {
	for _, name := range d.remove {
		delete(h, name)
		if name == "Server" {
			h[name] = []string{"CloudFront"}
		}
	}
	for _, f := range d.fixed {
		set(h, f.name, f.value, f.override)
	}
	if origin := r.Header.Get("Origin"); d.cors != nil {
		d.applyCORS(h, r.Method, origin)
	}
}

func set(h http.Header, name string, value []string, override bool) {
	if _, there := h[name]; !there || override {
		h[name] = value
	}
}

// applyCORS answers requests from other origins. What concerns what a request
// may be goes with answers to OPTIONS only.
func (d *dressing) applyCORS(h http.Header, method, origin string) {
	c := d.cors
	everybody := slices.Contains(c.AccessControlAllowOrigins, "*")
	if !everybody {
		addVary(h, "Origin")
	}
	if origin == "" {
		return
	}
	allowed := origin
	if everybody {
		allowed = "*"
	} else if !slices.ContainsFunc(c.AccessControlAllowOrigins, func(p string) bool { return allowsOrigin(p, origin) }) {
		if c.OriginOverride {
			delete(h, "Access-Control-Allow-Origin")
		}
		return
	}
	put := func(name, value string) {
		if value != "" {
			set(h, name, []string{value}, c.OriginOverride)
		}
	}
	put("Access-Control-Allow-Origin", allowed)
	put("Access-Control-Expose-Headers", strings.Join(c.AccessControlExposeHeaders, ","))
	if c.AccessControlAllowCredentials {
		put("Access-Control-Allow-Credentials", "true")
	}
	if method != http.MethodOptions {
		return
	}
	put("Access-Control-Allow-Methods", allowedMethods(c.AccessControlAllowMethods))
	put("Access-Control-Allow-Headers", strings.Join(c.AccessControlAllowHeaders, ","))
	if c.AccessControlMaxAge != nil {
		put("Access-Control-Max-Age", strconv.FormatInt(*c.AccessControlMaxAge, 10))
	}
}

func allowedMethods(list []string) string {
	if slices.Contains(list, "ALL") {
		list = allowedSets[2]
	}
	return strings.Join(list, ",")
}

// allowsOrigin matches a request's Origin with one that a policy names: with or
// without a scheme, a port, and a * in place of the leftmost labels.
func allowsOrigin(pattern, origin string) bool {
	o, err := url.Parse(strings.ToLower(origin))
	if err != nil || o.Host == "" {
		return false
	}
	scheme, host, hasScheme := strings.Cut(strings.ToLower(pattern), "://")
	if !hasScheme {
		host = scheme
	} else if scheme != o.Scheme {
		return false
	}
	if parent, ok := strings.CutPrefix(host, "*."); ok {
		return strings.HasSuffix(o.Host, "."+parent)
	}
	return o.Host == host
}

// addVary names one more header, unless it is named already.
func addVary(h http.Header, name string) {
	lines := h["Vary"]
	for _, line := range lines {
		for listed := range strings.SplitSeq(line, ",") {
			if listed = trimSpace(listed); listed == "*" || strings.EqualFold(listed, name) {
				return
			}
		}
	}
	h["Vary"] = []string{strings.Join(append(slices.Clone(lines), name), ", ")}
}

// addServerTiming says how the answer came about. What the origin said stays, but
// not on a hit.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/understanding-response-headers-policies.html#server-timing-header
func addServerTiming(h http.Header, took time.Duration) {
	var metrics []string
	switch word, _, _ := strings.Cut(h.Get("X-Cache"), " "); outcome(word) {
	case hit:
		metrics = []string{"cdn-cache-hit", `cdn-hit-layer;desc="EDGE"`}
	case refreshHit:
		metrics = append(slices.Clone(h["Server-Timing"]), "cdn-cache-refresh")
	default:
		metrics = append(slices.Clone(h["Server-Timing"]), `cdn-upstream-layer;desc="EDGE"`, "cdn-cache-miss")
	}
	metrics = append(metrics, `cdn-pop;desc="`+h.Get("X-Amz-Cf-Pop")+`"`, `cdn-rid;desc="`+h.Get("X-Amz-Cf-Id")+`"`,
		"cdn-downstream-fbl;dur="+strconv.FormatInt(took.Milliseconds(), 10))
	h["Server-Timing"] = []string{strings.Join(metrics, ",")}
}
