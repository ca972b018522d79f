package api

import (
	"slices"
	"strings"
)

// crossOrigin judges what a response headers policy says of CORS.
// https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_ResponseHeadersPolicyCorsConfig.html
func crossOrigin(p responsePolicy) error {
	if p.CORSConfig == nil {
		return nil
	}
	for _, m := range p.CORSConfig.AccessControlAllowMethods {
		if !oneOf(m, "GET", "DELETE", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "ALL") {
			return refuse(InvalidArgument, "The parameter AccessControlAllowMethods is not valid: %q", clip(m))
		}
	}
	if age := p.CORSConfig.AccessControlMaxAge; age != nil && *age < 0 {
		return refuse(InvalidArgument, "The parameter AccessControlMaxAgeSec is negative")
	}
	return nil
}

// securityHeaders judges what a policy says of security headers, and how much is
// measured.
// https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_ResponseHeadersPolicySecurityHeadersConfig.html
func securityHeaders(p responsePolicy) error {
	if t := p.ServerTiming; t != nil && (t.SamplingRate < 0 || t.SamplingRate > 100) {
		return refuse(InvalidArgument, "The parameter SamplingRate is not between 0 and 100")
	}
	s := p.SecurityHeadersConfig
	if s == nil {
		return nil
	}
	if r := s.ReferrerPolicy; r != nil && !oneOf(r.ReferrerPolicy, "no-referrer", "no-referrer-when-downgrade", "origin", "origin-when-cross-origin",
		"same-origin", "strict-origin", "strict-origin-when-cross-origin", "unsafe-url") {
		return refuse(InvalidArgument, "The parameter ReferrerPolicy is not valid: %q", clip(r.ReferrerPolicy))
	}
	if t := s.StrictTransportSecurity; t != nil && t.MaxAge < 0 {
		return refuse(InvalidArgument, "The parameter AccessControlMaxAgeSec is negative")
	}
	if x := s.XSSProtection; x != nil && x.ModeBlock && x.ReportURI != "" {
		return refuse(InvalidArgument, "The parameter ReportUri cannot be used when ModeBlock is true")
	}
	if c := s.ContentSecurityPolicy; c != nil && !isValue(c.ContentSecurityPolicy) {
		return refuse(InvalidArgument, "The parameter ContentSecurityPolicy holds what no header can")
	}
	return nil
}

// otherHeaders judges the headers that a policy adds and removes.
func otherHeaders(p responsePolicy) error {
	var seen []string
	for _, h := range p.CustomHeaders {
		name := strings.ToLower(h.Header)
		switch {
		case !isToken(h.Header) || fixedHeader(name):
			return refuse(InvalidArgument, "The parameter CustomHeadersConfig contains a header that is not allowed: %q", clip(h.Header))
		case !isValue(h.Value):
			return refuse(InvalidArgument, "The value of the custom header %q holds what no header can", clip(h.Header))
		case slices.Contains(seen, name):
			return refuse(InvalidArgument, "The parameter CustomHeadersConfig contains %q twice", clip(h.Header))
		}
		seen = append(seen, name)
	}
	for _, h := range p.RemoveHeaders {
		if !isToken(h) || fixedHeader(strings.ToLower(h)) {
			return refuse(InvalidArgument, "The parameter RemoveHeadersConfig contains a header that is not allowed: %q", clip(h))
		}
	}
	return nil
}

// isValue reports whether a text can be the value of a header.
func isValue(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}

// fixedHeader reports whether a header, in small letters, belongs to the
// connection or to CloudFront: no policy adds or removes it.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/understanding-response-headers-policies.html
func fixedHeader(name string) bool {
	for _, prefix := range []string{"x-accel-", "x-amz-cf-", "x-amzn-", "x-edge-"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return oneOf(name, "connection", "content-encoding", "content-length", "expect", "host", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection",
		"trailer", "transfer-encoding", "upgrade", "via", "warning", "x-cache", "x-forwarded-proto", "x-real-ip")
}
