package api

import (
	"regexp"
	"slices"
	"strings"

	"github.com/freshet/freshet/internal/distribution"
)

const maxComment = 128 // characters

// viewers judges what decides who is answered, and how.
func viewers(c *distribution.Config) error {
	if n := len([]rune(c.Comment)); n > maxComment {
		return refuse(InvalidArgument, "The parameter Comment has %d characters, at most %d are allowed", n, maxComment)
	}
	if t := c.CacheTagConfig; t != nil && !isToken(t.HeaderName) {
		return refuse(InvalidArgument, "The parameter HeaderName of CacheTagConfig is no header: %q", clip(t.HeaderName))
	}
	for i, alias := range c.Aliases {
		if slices.ContainsFunc(c.Aliases[:i], func(earlier string) bool { return strings.EqualFold(earlier, alias) }) {
			return refuse(InvalidArgument, "The parameter CNAME contains %q twice", clip(alias))
		}
	}
	if r := c.Restrictions; r != nil {
		geo := r.GeoRestriction
		if oneOf(geo.RestrictionType, "", "none") != (len(geo.Locations) == 0) {
			return refuse("InvalidGeoRestrictionParameter", "The specified geo restriction parameter is not valid: %d locations with the type %q", len(geo.Locations), geo.RestrictionType)
		}
	}
	for _, rule := range []func(*distribution.Config) error{certificate, webACL, pathPatterns, lambdas} {
		if err := rule(c); err != nil {
			return err
		}
	}
	return nil
}

// isToken reports whether a text can be the name of a header.
func isToken(name string) bool {
	return name != "" && strings.Trim(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-.^_`|~") == ""
}

// certificate judges how the certificate is named: whether there is such a one
// is nobody's knowledge here.
// https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_ViewerCertificate.html
func certificate(c *distribution.Config) error {
	v := c.ViewerCertificate
	if v == nil {
		return nil
	}
	own := v.ACMCertificateARN != "" || v.IAMCertificateID != ""
	switch {
	case own && v.CloudFrontDefaultCertificate, v.ACMCertificateARN != "" && v.IAMCertificateID != "":
		return refuse("InvalidViewerCertificate", "A viewer certificate is specified in more than one of CloudFrontDefaultCertificate, ACMCertificateArn and IAMCertificateId")
	case v.ACMCertificateARN != "" && !acmCertificate.MatchString(v.ACMCertificateARN):
		return refuse("InvalidViewerCertificate", "The specified SSL certificate doesn't exist, isn't in us-east-1 region, isn't valid, or doesn't include a valid certificate chain: %q", clip(v.ACMCertificateARN))
	case own && !oneOf(v.SSLSupportMethod, "sni-only", "vip", "static-ip"):
		return refuse("InvalidViewerCertificate", "The parameter SSLSupportMethod is not valid for a certificate of your own: %q", clip(v.SSLSupportMethod))
	case !oneOf(v.MinimumProtocolVersion, "", "SSLv3", "TLSv1", "TLSv1_2016", "TLSv1.1_2016", "TLSv1.2_2018", "TLSv1.2_2019", "TLSv1.2_2021", "TLSv1.2_2025", "TLSv1.3_2025"):
		return refuse("InvalidMinimumProtocolVersion", "The minimum protocol version is not valid: %q", clip(v.MinimumProtocolVersion))
	}
	return nil
}

var (
	acmCertificate = regexp.MustCompile(`^arn:aws[a-z-]*:acm:us-east-1:\d+:certificate/.+$`)
	webACLv2       = regexp.MustCompile(`^arn:aws[a-z-]*:wafv2:us-east-1:\d+:global/webacl/[^/]+/[^/]+$`)
	webACLClassic  = regexp.MustCompile(`^[0-9a-f-]{36}$`)
	lambdaVersion  = regexp.MustCompile(`^arn:aws[a-z-]*:lambda:us-east-1:\d{12}:function:[A-Za-z0-9_-]+:\d+$`)
	// What CloudFront's documentation lists, and what else of a path's characters
	// stands in patterns that people have.
	patternBytes = regexp.MustCompile(`^[A-Za-z0-9_.*$/~"'@:+&?%!=,;()-]+$`)
)

func webACL(c *distribution.Config) error {
	if id := c.WebACLID; id != "" && !webACLv2.MatchString(id) && !webACLClassic.MatchString(id) {
		return refuse("InvalidWebACLId", "A web ACL ID specified is not valid: %q is neither the ARN of a global one of AWS WAF nor the ID of one of AWS WAF Classic", clip(id))
	}
	return nil
}

// pathPatterns lets no two behaviors have the same one. A slash at the beginning
// makes no difference.
func pathPatterns(c *distribution.Config) error {
	seen := make(map[string]bool)
	for _, b := range c.CacheBehaviors {
		pattern := strings.TrimPrefix(b.PathPattern, "/")
		switch {
		case seen[pattern]:
			return refuse(InvalidArgument, "The parameter PathPattern contains %q twice", clip(b.PathPattern))
		case b.PathPattern != "" && !patternBytes.MatchString(b.PathPattern):
			return refuse(InvalidArgument, "The parameter PathPattern contains invalid characters: %q", clip(b.PathPattern))
		}
		seen[pattern] = true
	}
	return nil
}

// lambdas judges how functions of Lambda@Edge are named. The edge runs none.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/lambda-requirements-limits.html
func lambdas(c *distribution.Config) error {
	for _, b := range behaviors(c) {
		events := make(map[string]bool)
		for _, a := range b.LambdaFunctionAssociations {
			switch {
			case !lambdaVersion.MatchString(a.LambdaFunctionARN):
				return refuse("InvalidLambdaFunctionAssociation", "The function ARN must reference a specific function version in us-east-1. (The ARN must end with the version number.) ARN: %s", clip(a.LambdaFunctionARN))
			case !oneOf(a.EventType, "viewer-request", "viewer-response", "origin-request", "origin-response"), events[a.EventType]:
				return refuse("InvalidLambdaFunctionAssociation", "The event type is not valid or used twice in a behavior: %q", clip(a.EventType))
			case a.IncludeBody && strings.HasSuffix(a.EventType, "-response"):
				return refuse("InvalidLambdaFunctionAssociation", "IncludeBody is for events of requests only")
			}
			events[a.EventType] = true
		}
	}
	return nil
}
