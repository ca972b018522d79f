package api

import (
	"slices"
	"strings"

	"github.com/freshet/freshet/internal/distribution"
)

// CloudFront's quotas, which are not adjusted here.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/cloudfront-limits.html
const (
	maxDistributions  = 500
	maxBehaviors      = 75 // the default among them
	maxOrigins        = 100
	maxOriginGroups   = 10
	maxAliases        = 100
	maxOriginHeaders  = 30
	maxForwardHeaders = 10
	maxForwardCookies = 10
	maxPolicies       = 20 // of one kind
	maxFunctions      = 100
	maxKeyGroups      = 10
	maxPublicKeys     = 10
)

// judge refuses a distribution for the first rule of CloudFront's that it
// breaks. others are all distributions but this one.
func (s *state) judge(d distribution.Distribution, others []distribution.Distribution) error {
	for _, rule := range []func(*distribution.Config) error{quotas, s.targets, s.associations, responses, protocols, oldCaching, origins, viewers} {
		if err := rule(&d.Config); err != nil {
			return err
		}
	}
	if err := aliases(&d.Config, others); err != nil {
		return err
	}
	if _, err := d.Check(""); err != nil {
		first, _, _ := strings.Cut(err.Error(), "\n")
		return refuse(InvalidArgument, "The parameter %s", first)
	}
	return nil
}

func quotas(c *distribution.Config) error {
	for _, q := range []struct {
		code    string
		n, most int
	}{
		{"TooManyCacheBehaviors", len(c.CacheBehaviors) + 1, maxBehaviors},
		{"TooManyOrigins", len(c.Origins), maxOrigins},
		{"TooManyOriginGroupsPerDistribution", len(c.OriginGroups), maxOriginGroups},
		{"TooManyDistributionCNAMEs", len(c.Aliases), maxAliases},
	} {
		if q.n > q.most {
			return refuse(q.code, "Your request contains %d, at most %d are allowed for a distribution", q.n, q.most)
		}
	}
	for _, o := range c.Origins {
		if len(o.CustomHeaders) > maxOriginHeaders {
			return refuse("TooManyOriginCustomHeaders", "Your request contains %d custom headers for the origin %q, at most %d are allowed", len(o.CustomHeaders), clip(o.ID), maxOriginHeaders)
		}
	}
	if c.CallerReference == "" {
		return refuse(InvalidArgument, "Your request contains an empty caller reference")
	}
	return nil
}

// behaviors are all of them, the default last.
func behaviors(c *distribution.Config) []*distribution.CacheBehavior {
	all := make([]*distribution.CacheBehavior, len(c.CacheBehaviors)+1)
	for i := range all {
		all[i] = c.BehaviorAt(i)
	}
	return all
}

func (s *state) targets(c *distribution.Config) error {
	for _, b := range behaviors(c) {
		known := slices.ContainsFunc(c.OriginGroups, func(g distribution.OriginGroup) bool { return g.ID == b.TargetOriginID })
		if _, ok := c.Origin(b.TargetOriginID); !ok && !known {
			return refuse(NoSuchOrigin, "One or more of your origins or origin groups do not exist: %q", clip(b.TargetOriginID))
		}
	}
	for _, g := range c.OriginGroups {
		for _, m := range g.Members {
			if _, ok := c.Origin(m); !ok {
				return refuse(NoSuchOrigin, "One or more of your origins or origin groups do not exist: %q", clip(m))
			}
		}
	}
	return nil
}

// responses judges what viewers get.
func responses(c *distribution.Config) error {
	if strings.HasPrefix(c.DefaultRootObject, "/") {
		return refuse("InvalidDefaultRootObject", "The default root object cannot begin with a slash: %q", clip(c.DefaultRootObject))
	}
	errorCodes := []int{400, 403, 404, 405, 414, 416, 500, 501, 502, 503, 504}
	for _, r := range c.CustomErrorResponses {
		if !slices.Contains(errorCodes, r.ErrorCode) {
			return refuse("InvalidErrorCode", "The custom error response has an error code that is not allowed: %d", r.ErrorCode)
		}
		if r.ResponseCode != 0 && r.ResponseCode != 200 && !slices.Contains(errorCodes, r.ResponseCode) {
			return refuse("InvalidResponseCode", "The custom error response has a response code that is not allowed: %d", r.ResponseCode)
		}
	}
	if r := c.Restrictions; r != nil {
		if !oneOf(r.GeoRestriction.RestrictionType, "", "none", "whitelist", "blacklist") {
			return refuse("InvalidGeoRestrictionParameter", "The specified geo restriction parameter is not valid: %q", clip(r.GeoRestriction.RestrictionType))
		}
		for _, l := range r.GeoRestriction.Locations {
			if len(l) != 2 || strings.ToUpper(l) != l {
				return refuse("InvalidLocationCode", "The location code is not valid: %q", clip(l))
			}
		}
	}
	return nil
}

func oneOf(s string, allowed ...string) bool { return slices.Contains(allowed, s) }

// protocols judges how viewers and origins are talked to. Other than in
// CloudFront an alias needs no certificate: nobody owns a name here.
func protocols(c *distribution.Config) error {
	if !oneOf(c.PriceClass, "", "PriceClass_100", "PriceClass_200", "PriceClass_All", "None") {
		return refuse(InvalidArgument, "The parameter PriceClass is not valid: %q", clip(c.PriceClass))
	}
	if !oneOf(strings.ToLower(c.HTTPVersion), "", "http1.1", "http2", "http3", "http2and3") {
		return refuse(InvalidArgument, "The parameter HttpVersion is not valid: %q", clip(c.HTTPVersion))
	}
	for _, b := range behaviors(c) {
		if !oneOf(b.ViewerProtocolPolicy, "", "allow-all", "https-only", "redirect-to-https") {
			return refuse(InvalidArgument, "The parameter ViewerProtocolPolicy is not valid: %q", clip(b.ViewerProtocolPolicy))
		}
		if err := methods(b); err != nil {
			return err
		}
	}
	for _, o := range c.Origins {
		if err := originProtocol(o); err != nil {
			return err
		}
	}
	return nil
}

// methods allows the sets that CloudFront knows, in any order.
// https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_AllowedMethods.html
func methods(b *distribution.CacheBehavior) error {
	allowed := []string{"", "GET HEAD", "GET HEAD OPTIONS", "DELETE GET HEAD OPTIONS PATCH POST PUT"}
	set := func(m []string) string { return strings.Join(slices.Sorted(slices.Values(m)), " ") }
	if !oneOf(set(b.AllowedMethods), allowed...) {
		return refuse(InvalidArgument, "The parameter AllowedMethods is not valid: %q", clip(set(b.AllowedMethods)))
	}
	if !oneOf(set(b.CachedMethods), allowed[:3]...) {
		return refuse(InvalidArgument, "The parameter CachedMethods is not valid: %q", clip(set(b.CachedMethods)))
	}
	for _, m := range b.CachedMethods {
		if len(b.AllowedMethods) > 0 && !slices.Contains(b.AllowedMethods, m) {
			return refuse(InvalidArgument, "The parameter CachedMethods holds %s, which AllowedMethods does not", m)
		}
	}
	return nil
}

func originProtocol(o distribution.Origin) error {
	if o.ConnectionAttempts < 0 || o.ConnectionAttempts > 3 || o.ConnectionTimeout < 0 || o.ConnectionTimeout > 10 {
		return refuse(InvalidArgument, "The parameter ConnectionAttempts must be 1 to 3, and ConnectionTimeout 1 to 10, for the origin %q", clip(o.ID))
	}
	c := o.CustomOriginConfig
	switch {
	case c == nil:
		return nil
	case !oneOf(c.OriginProtocolPolicy, "", "http-only", "match-viewer", "https-only"):
		return refuse("InvalidRequiredProtocol", "The origin protocol policy is not valid: %q", clip(c.OriginProtocolPolicy))
	case c.OriginReadTimeout < 0 || c.OriginReadTimeout > 120:
		return refuse("InvalidOriginReadTimeout", "The specified origin read timeout is invalid. It must be between 1 and 120 seconds")
	case c.OriginKeepaliveTimeout < 0 || c.OriginKeepaliveTimeout > 120:
		return refuse("InvalidOriginKeepaliveTimeout", "The specified origin keepalive timeout is invalid. It must be between 1 and 120 seconds")
	}
	return nil
}

// oldCaching judges behaviors that have no cache policy.
func oldCaching(c *distribution.Config) error {
	for _, b := range behaviors(c) {
		f := b.ForwardedValues
		switch {
		case b.CachePolicyID != "" && f != nil:
			return refuse(InvalidArgument, "The parameter ForwardedValues cannot be used when a cache policy is associated to the cache behavior.")
		case b.CachePolicyID != "" && (b.MinTTL != nil || b.DefaultTTL != nil || b.MaxTTL != nil):
			return refuse(InvalidArgument, "The parameters MinTTL, DefaultTTL and MaxTTL cannot be used when a cache policy is associated to the cache behavior.")
		case b.CachePolicyID == "" && f == nil:
			return refuse(InvalidArgument, "The parameter ForwardedValues is required.")
		case descending(b.MinTTL, b.DefaultTTL, b.MaxTTL):
			return refuse("InvalidTTLOrder", "The order of the TTLs is not valid: MinTTL <= DefaultTTL <= MaxTTL must hold")
		case f == nil:
			continue
		}
		if err := forwarded(f); err != nil {
			return err
		}
	}
	return nil
}

func forwarded(f *distribution.ForwardedValues) error {
	whitelist := f.Cookies.Forward == string(distribution.Listed)
	switch {
	case !oneOf(f.Cookies.Forward, "", "none", "whitelist", "all"), whitelist != (len(f.Cookies.WhitelistedNames) > 0):
		return refuse("InvalidForwardCookies", "The cookies to forward are not valid: names are listed where, and only where, Forward is whitelist")
	case len(f.Cookies.WhitelistedNames) > maxForwardCookies:
		return refuse("TooManyCookieNamesInWhiteList", "Your request contains %d cookies, at most %d are allowed", len(f.Cookies.WhitelistedNames), maxForwardCookies)
	case len(f.Headers) > maxForwardHeaders:
		return refuse("TooManyHeadersInForwardedValues", "Your request contains %d headers, at most %d are allowed", len(f.Headers), maxForwardHeaders)
	}
	return nil
}

func descending(ttls ...*int64) bool {
	highest := int64(0)
	for _, t := range ttls {
		if t != nil && *t < highest {
			return true
		}
		if t != nil {
			highest = *t
		}
	}
	return false
}

// aliases lets none be at two distributions. CloudFront lets a distribution have
// *.example.com beside another's www.example.com.
func aliases(c *distribution.Config, others []distribution.Distribution) error {
	for _, alias := range c.Aliases {
		for _, o := range others {
			if slices.ContainsFunc(o.Hosts(), func(host string) bool { return strings.EqualFold(host, alias) }) {
				return refuse(CNAMEAlreadyExists, "One or more of the CNAMEs you provided are already associated with a different resource: %q", clip(alias))
			}
		}
	}
	return nil
}
