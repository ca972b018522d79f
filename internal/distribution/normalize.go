package distribution

import (
	"cmp"
	"slices"
	"strings"
)

// Normalize fills in what CloudFront fills in, leaves out what is switched off,
// and sorts what is a set, so that a distribution is the same whether it was
// read from the API, which says everything, or from a template, which does not.
// A managed policy that is named gets its ID. Normalizing twice changes nothing;
// slices are not changed but replaced.
// https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_DistributionConfig.html
func (d *Distribution) Normalize() {
	d.Config.normalize()
	d.CachePolicies = slices.Clone(d.CachePolicies)
	for i := range d.CachePolicies {
		d.CachePolicies[i].Normalize()
	}
}

func (c *Config) normalize() {
	c.HTTPVersion = strings.ToLower(c.HTTPVersion)
	c.PriceClass = cmp.Or(c.PriceClass, "PriceClass_All")
	c.ConnectionMode = cmp.Or(c.ConnectionMode, "direct")
	c.leaveOut()
	c.Origins = slices.Clone(c.Origins)
	for i := range c.Origins {
		c.Origins[i].normalize()
	}
	c.OriginGroups = slices.Clone(c.OriginGroups)
	for i := range c.OriginGroups {
		g := &c.OriginGroups[i]
		g.StatusCodes = set(g.StatusCodes)
		if g.SelectionCriteria == "default" {
			g.SelectionCriteria = ""
		}
	}
	c.DefaultCacheBehavior.normalize()
	c.CacheBehaviors = slices.Clone(c.CacheBehaviors)
	for i := range c.CacheBehaviors {
		c.CacheBehaviors[i].normalize()
	}
	c.normalizeErrors()
}

// leaveOut removes what is there but switched off.
func (c *Config) leaveOut() {
	if c.Logging != nil && !c.Logging.Enabled {
		c.Logging = nil
	}
	if r := c.Restrictions; r != nil && (r.GeoRestriction.RestrictionType == "none" || len(r.GeoRestriction.Locations) == 0) {
		c.Restrictions = nil
	}
	if c.CacheTagConfig != nil && c.CacheTagConfig.HeaderName == "" {
		c.CacheTagConfig = nil
	}
	if c.TenantConfig != nil && len(c.TenantConfig.ParameterDefinitions) == 0 {
		c.TenantConfig = nil
	}
	c.ViewerCertificate = c.ViewerCertificate.normalized()
}

// normalized returns nil for CloudFront's own certificate, and one without the
// fields that say the same as others do.
func (v *ViewerCertificate) normalized() *ViewerCertificate {
	if v == nil || v.CloudFrontDefaultCertificate || *v == (ViewerCertificate{}) {
		return nil
	}
	n := *v
	switch n.CertificateSource {
	case "acm":
		n.ACMCertificateARN = cmp.Or(n.ACMCertificateARN, n.Certificate)
	case "iam":
		n.IAMCertificateID = cmp.Or(n.IAMCertificateID, n.Certificate)
	}
	if n.Certificate == n.ACMCertificateARN || n.Certificate == n.IAMCertificateID {
		n.Certificate, n.CertificateSource = "", ""
	}
	if n == (ViewerCertificate{}) {
		return nil
	}
	return &n
}

func (o *Origin) normalize() {
	o.ConnectionAttempts = cmp.Or(o.ConnectionAttempts, 3)
	o.ConnectionTimeout = cmp.Or(o.ConnectionTimeout, 10)
	if o.OriginShield != nil && !o.OriginShield.Enabled {
		o.OriginShield = nil
	}
	if o.S3OriginConfig != nil {
		s := *o.S3OriginConfig
		s.OriginReadTimeout = cmp.Or(s.OriginReadTimeout, 30)
		o.S3OriginConfig = &s
	}
	if o.VPCOriginConfig != nil {
		v := *o.VPCOriginConfig
		v.OriginReadTimeout = cmp.Or(v.OriginReadTimeout, 30)
		v.OriginKeepaliveTimeout = cmp.Or(v.OriginKeepaliveTimeout, 5)
		o.VPCOriginConfig = &v
	}
	if o.CustomOriginConfig != nil {
		o.CustomOriginConfig = o.CustomOriginConfig.normalized()
	}
}

func (c CustomOriginConfig) normalized() *CustomOriginConfig {
	c.HTTPPort = cmp.Or(c.HTTPPort, 80)
	c.HTTPSPort = cmp.Or(c.HTTPSPort, 443)
	c.OriginReadTimeout = cmp.Or(c.OriginReadTimeout, 30)
	c.OriginKeepaliveTimeout = cmp.Or(c.OriginKeepaliveTimeout, 5)
	c.IPAddressType = cmp.Or(c.IPAddressType, "ipv4")
	c.OriginSSLProtocols = set(c.OriginSSLProtocols)
	return &c
}

func (b *CacheBehavior) normalize() {
	b.ViewerProtocolPolicy = cmp.Or(b.ViewerProtocolPolicy, "allow-all")
	if p, ok := ManagedOriginRequestPolicy(b.OriginRequestPolicyID); ok {
		b.OriginRequestPolicyID = p.ID
	}
	if p, ok := ManagedResponseHeadersPolicy(b.ResponseHeadersPolicyID); ok {
		b.ResponseHeadersPolicyID = p.ID
	}
	b.AllowedMethods = methods(b.AllowedMethods)
	b.CachedMethods = methods(b.CachedMethods)
	if b.GRPCConfig != nil && !b.GRPCConfig.Enabled {
		b.GRPCConfig = nil
	}
	if b.CachePolicyID != "" {
		b.ForwardedValues, b.MinTTL, b.DefaultTTL, b.MaxTTL = nil, nil, nil, nil
		if p, ok := ManagedCachePolicy(b.CachePolicyID); ok {
			b.CachePolicyID = p.ID
		}
		return
	}
	b.MinTTL, b.DefaultTTL, b.MaxTTL = filledTTLs(b.MinTTL, b.DefaultTTL, b.MaxTTL)
	var f ForwardedValues
	if b.ForwardedValues != nil {
		f = *b.ForwardedValues
	}
	f.QueryStringCacheKeys = set(f.QueryStringCacheKeys)
	f.Headers = set(f.Headers)
	f.Cookies.Forward = cmp.Or(f.Cookies.Forward, "none")
	f.Cookies.WhitelistedNames = set(f.Cookies.WhitelistedNames)
	b.ForwardedValues = &f
}

// Normalize fills in what CloudFront fills in and sorts what is a set.
func (p *CachePolicy) Normalize() {
	c := &p.Config
	c.MinTTL, c.DefaultTTL, c.MaxTTL = filledTTLs(c.MinTTL, c.DefaultTTL, c.MaxTTL)
	k := &c.Parameters
	k.QueryStringsConfig.QueryStringBehavior = cmp.Or(k.QueryStringsConfig.QueryStringBehavior, "none")
	k.QueryStringsConfig.QueryStrings = set(k.QueryStringsConfig.QueryStrings)
	k.HeadersConfig.HeaderBehavior = cmp.Or(k.HeadersConfig.HeaderBehavior, "none")
	k.HeadersConfig.Headers = set(k.HeadersConfig.Headers)
	k.CookiesConfig.CookieBehavior = cmp.Or(k.CookiesConfig.CookieBehavior, "none")
	k.CookiesConfig.Cookies = set(k.CookiesConfig.Cookies)
}

func filledTTLs(lowest, normal, highest *int64) (*int64, *int64, *int64) {
	var c Caching
	c.setTTLs(lowest, normal, highest)
	or := func(p *int64, value int64) *int64 {
		if p != nil {
			return p
		}
		return &value
	}
	return or(lowest, c.MinTTL), or(normal, c.DefaultTTL), or(highest, c.MaxTTL)
}

func (c *Config) normalizeErrors() {
	c.CustomErrorResponses = slices.Clone(c.CustomErrorResponses)
	for i := range c.CustomErrorResponses {
		if r := &c.CustomErrorResponses[i]; r.ErrorCachingMinTTL == nil {
			seconds := int64(r.CachingTTL().Seconds())
			r.ErrorCachingMinTTL = &seconds
		}
	}
	slices.SortStableFunc(c.CustomErrorResponses, func(a, b CustomErrorResponse) int { return cmp.Compare(a.ErrorCode, b.ErrorCode) })
}

func methods(m []string) []string {
	if len(m) == 0 {
		return []string{"GET", "HEAD"}
	}
	return set(m)
}

// set returns list sorted and without doubles, nil where it is empty.
func set[T cmp.Ordered](list []T) []T {
	return slices.Compact(slices.Sorted(slices.Values(list)))
}
