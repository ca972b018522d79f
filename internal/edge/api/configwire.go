package api

import (
	"cmp"
	"strconv"
	"strings"

	"github.com/freshet/freshet/internal/distribution"
)

// The documents that describe distributions. Every element that CloudFront's
// model requires is there, and those that it always sends, with CloudFront's
// default where nothing was configured.
// https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_DistributionConfig.html

func configElements(c distribution.Config) []element {
	return append([]element{
		text("CallerReference", c.CallerReference),
		text("DefaultRootObject", c.DefaultRootObject),
		loggingElement(c.Logging),
		text("ContinuousDeploymentPolicyId", c.ContinuousDeploymentPolicyID),
		pointed(c.TenantConfig, tenantElement),
		pointed(c.CacheTagConfig, func(t distribution.CacheTagConfig) element {
			return group("CacheTagConfig", text("HeaderName", t.HeaderName))
		}),
	}, summaryElements(c)...)
}

// summaryElements are in the configuration and in the list's summary.
func summaryElements(c distribution.Config) []element {
	return []element{
		named("Aliases", "CNAME", c.Aliases),
		list("Origins", each(c.Origins, originElement)),
		list("OriginGroups", each(c.OriginGroups, originGroupElement)),
		group("DefaultCacheBehavior", behaviorElements(c.DefaultCacheBehavior)...),
		list("CacheBehaviors", each(c.CacheBehaviors, func(b distribution.CacheBehavior) element {
			return group("CacheBehavior", append([]element{text("PathPattern", b.PathPattern)}, behaviorElements(b)...)...)
		})),
		list("CustomErrorResponses", each(c.CustomErrorResponses, errorResponseElement)),
		text("Comment", c.Comment),
		text("PriceClass", cmp.Or(c.PriceClass, "PriceClass_All")),
		flag("Enabled", c.Enabled),
		certificateElement(c.ViewerCertificate),
		restrictionsElement(c.Restrictions),
		text("WebACLId", c.WebACLID),
		text("HttpVersion", cmp.Or(c.HTTPVersion, "http2")),
		flag("IsIPV6Enabled", c.IsIPV6Enabled),
		flag("Staging", c.Staging),
		optional("AnycastIpListId", c.AnycastIPListID),
		optional("ConnectionMode", c.ConnectionMode),
		pointed(c.ConnectionFunctionAssociation, func(a distribution.ConnectionFunctionAssociation) element {
			return group("ConnectionFunctionAssociation", text("Id", a.ID))
		}),
		pointed(c.ViewerMtlsConfig, viewerMtlsElement),
	}
}

func loggingElement(l *distribution.Logging) element {
	l = cmp.Or(l, &distribution.Logging{})
	return group("Logging", flag("Enabled", l.Enabled), flag("IncludeCookies", l.IncludeCookies), text("Bucket", l.Bucket), text("Prefix", l.Prefix))
}

func tenantElement(t distribution.TenantConfig) element {
	if len(t.ParameterDefinitions) == 0 {
		return group("TenantConfig")
	}
	return group("TenantConfig", group("ParameterDefinitions", each(t.ParameterDefinitions, func(p distribution.ParameterDefinition) element {
		s := p.Definition.StringSchema
		return group("member", text("Name", p.Name), group("Definition", group("StringSchema",
			optional("Comment", s.Comment), optional("DefaultValue", s.DefaultValue), flag("Required", s.Required))))
	})...))
}

func viewerMtlsElement(m distribution.ViewerMtlsConfig) element {
	return group("ViewerMtlsConfig", optional("Mode", m.Mode), pointed(m.TrustStoreConfig, func(s distribution.TrustStoreConfig) element {
		return group("TrustStoreConfig", text("TrustStoreId", s.TrustStoreID),
			flag("AdvertiseTrustStoreCaNames", s.AdvertiseTrustStoreCANames), flag("IgnoreCertificateExpiry", s.IgnoreCertificateExpiration))
	}))
}

// certificateElement shows CloudFront's own certificate where none was
// configured. Certificate and CertificateSource are the older names of the
// others, which CloudFront still sends.
func certificateElement(c *distribution.ViewerCertificate) element {
	v := *cmp.Or(c, &distribution.ViewerCertificate{CloudFrontDefaultCertificate: true})
	source := "cloudfront"
	switch {
	case v.ACMCertificateARN != "":
		source = "acm"
	case v.IAMCertificateID != "":
		source = "iam"
	}
	method := v.SSLSupportMethod
	if v.CloudFrontDefaultCertificate {
		method = cmp.Or(method, "vip")
	}
	return group("ViewerCertificate",
		flag("CloudFrontDefaultCertificate", v.CloudFrontDefaultCertificate),
		optional("IAMCertificateId", v.IAMCertificateID),
		optional("ACMCertificateArn", v.ACMCertificateARN),
		optional("SSLSupportMethod", method),
		text("MinimumProtocolVersion", cmp.Or(v.MinimumProtocolVersion, "TLSv1")),
		optional("Certificate", cmp.Or(v.Certificate, v.ACMCertificateARN, v.IAMCertificateID)),
		text("CertificateSource", cmp.Or(v.CertificateSource, source)))
}

func restrictionsElement(r *distribution.Restrictions) element {
	geo := cmp.Or(r, &distribution.Restrictions{}).GeoRestriction
	return group("Restrictions", group("GeoRestriction",
		append([]element{text("RestrictionType", cmp.Or(geo.RestrictionType, "none"))}, items(texts("Location", geo.Locations))...)...))
}

func errorResponseElement(r distribution.CustomErrorResponse) element {
	code := ""
	if r.ResponseCode != 0 {
		code = strconv.Itoa(r.ResponseCode)
	}
	return group("CustomErrorResponse", number("ErrorCode", r.ErrorCode), text("ResponsePagePath", r.ResponsePagePath),
		text("ResponseCode", code), number("ErrorCachingMinTTL", int64(r.CachingTTL().Seconds())))
}

// originElement shows a bucket of which nothing else is said as an S3 origin,
// and everything else, a bucket's website endpoint included, as a custom one.
func originElement(o distribution.Origin) element {
	_, isBucket := o.Bucket()
	if o.S3OriginConfig == nil && o.CustomOriginConfig == nil && o.VPCOriginConfig == nil {
		if isBucket && !strings.Contains(o.DomainName, ".s3-website") {
			o.S3OriginConfig = &distribution.S3OriginConfig{}
		} else {
			o.CustomOriginConfig = &distribution.CustomOriginConfig{}
		}
	}
	return group("Origin",
		text("Id", o.ID),
		text("DomainName", o.DomainName),
		text("OriginPath", o.OriginPath),
		list("CustomHeaders", each(o.CustomHeaders, func(h distribution.OriginHeader) element {
			return group("OriginCustomHeader", text("HeaderName", h.HeaderName), text("HeaderValue", h.HeaderValue))
		})),
		pointed(o.S3OriginConfig, func(s distribution.S3OriginConfig) element {
			return group("S3OriginConfig", text("OriginAccessIdentity", s.OriginAccessIdentity), positive("OriginReadTimeout", s.OriginReadTimeout))
		}),
		pointed(o.CustomOriginConfig, customOriginElement),
		pointed(o.VPCOriginConfig, func(v distribution.VPCOriginConfig) element {
			return group("VpcOriginConfig", text("VpcOriginId", v.VPCOriginID), optional("OwnerAccountId", v.OwnerAccountID),
				number("OriginReadTimeout", cmp.Or(v.OriginReadTimeout, 30)), number("OriginKeepaliveTimeout", cmp.Or(v.OriginKeepaliveTimeout, 5)))
		}),
		number("ConnectionAttempts", cmp.Or(o.ConnectionAttempts, 3)),
		number("ConnectionTimeout", cmp.Or(o.ConnectionTimeout, 10)),
		positive("ResponseCompletionTimeout", o.ResponseCompletionTimeout),
		shieldElement(o.OriginShield),
		text("OriginAccessControlId", o.OriginAccessControlID),
	)
}

// positive is left out where n is 0.
func positive(name string, n int) element {
	if n == 0 {
		return element{}
	}
	return number(name, n)
}

func customOriginElement(c distribution.CustomOriginConfig) element {
	protocols := c.OriginSSLProtocols
	if len(protocols) == 0 {
		protocols = []string{"TLSv1.2"}
	}
	shown := group("CustomOriginConfig",
		number("HTTPPort", cmp.Or(c.HTTPPort, 80)),
		number("HTTPSPort", cmp.Or(c.HTTPSPort, 443)),
		text("OriginProtocolPolicy", cmp.Or(c.OriginProtocolPolicy, "match-viewer")),
		named("OriginSslProtocols", "SslProtocol", protocols),
		number("OriginReadTimeout", cmp.Or(c.OriginReadTimeout, 30)),
		number("OriginKeepaliveTimeout", cmp.Or(c.OriginKeepaliveTimeout, 5)),
		optional("IpAddressType", c.IPAddressType),
	)
	if m := c.OriginMtlsConfig; m != nil {
		shown.below = append(shown.below, group("OriginMtlsConfig", text("ClientCertificateArn", m.ClientCertificateARN)))
	}
	return shown
}

func shieldElement(s *distribution.OriginShield) element {
	s = cmp.Or(s, &distribution.OriginShield{})
	return group("OriginShield", flag("Enabled", s.Enabled), optional("OriginShieldRegion", s.OriginShieldRegion))
}

func originGroupElement(g distribution.OriginGroup) element {
	return group("OriginGroup",
		text("Id", g.ID),
		group("FailoverCriteria", list("StatusCodes", each(g.StatusCodes, func(code int) element { return number("StatusCode", code) }))),
		list("Members", each(g.Members, func(id string) element { return group("OriginGroupMember", text("OriginId", id)) })),
		optional("SelectionCriteria", g.SelectionCriteria))
}
