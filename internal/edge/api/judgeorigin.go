package api

import (
	"slices"
	"strings"

	"github.com/freshet/freshet/internal/distribution"
)

// originAccess refuses an origin that is asked under an identity that is not
// there, or under two. What the distribution had before stays allowed: the
// configuration file may name what only its own account has.
func (s *state) originAccess(before, c *distribution.Config) error {
	for _, o := range c.Origins {
		identity := ""
		if o.S3OriginConfig != nil {
			identity = o.S3OriginConfig.OriginAccessIdentity
		}
		had := before != nil && slices.ContainsFunc(before.Origins, func(b distribution.Origin) bool {
			return b.OriginAccessControlID == o.OriginAccessControlID && (identity == "" || b.S3OriginConfig != nil && b.S3OriginConfig.OriginAccessIdentity == identity)
		})
		id, named := strings.CutPrefix(identity, originAccessIdentity)
		switch {
		case had:
		case identity != "" && o.OriginAccessControlID != "":
			return refuse("IllegalOriginAccessConfiguration", "The origin %q has both an origin access identity and an origin access control", clip(o.ID))
		case identity != "" && (!named || s.resources[resourceKey{accessIdentityKind, id}] == nil):
			return refuse("InvalidOriginAccessIdentity", "The specified origin access identity does not exist or is not valid: %q", clip(identity))
		case o.OriginAccessControlID != "" && s.resources[resourceKey{accessControlKind, o.OriginAccessControlID}] == nil:
			return refuse("InvalidOriginAccessControl", "The origin access control is not valid: %q does not exist", clip(o.OriginAccessControlID))
		}
	}
	return nil
}

// origins judges what requests to origins are like.
func origins(c *distribution.Config) error {
	for _, o := range c.Origins {
		if o.OriginShield != nil && o.OriginShield.Enabled && o.OriginShield.OriginShieldRegion == "" {
			return refuse(InvalidArgument, "The parameter OriginShieldRegion is required for the origin %q, whose Origin Shield is enabled", clip(o.ID))
		}
		for _, h := range o.CustomHeaders {
			if ownHeader(h.HeaderName) {
				return refuse(InvalidArgument, "The parameter HeaderName contains %q, which CloudFront does not add to requests to the origin %q", clip(h.HeaderName), clip(o.ID))
			}
		}
		if custom := o.CustomOriginConfig; custom != nil {
			if err := customOrigin(custom); err != nil {
				return err
			}
		}
	}
	for _, g := range c.OriginGroups {
		if len(g.Members) == 2 && g.Members[0] == g.Members[1] {
			return refuse(InvalidArgument, "The origin group %q has the same origin twice: %q", clip(g.ID), clip(g.Members[0]))
		}
	}
	return nil
}

// ownHeader reports whether CloudFront keeps a header of requests to origins to
// itself.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/add-origin-custom-headers.html
func ownHeader(name string) bool {
	name = strings.ToLower(name)
	return strings.HasPrefix(name, "x-amz-") || strings.HasPrefix(name, "x-edge-") ||
		oneOf(name, "accept-encoding", "cache-control", "connection", "content-length", "cookie", "host", "if-match", "if-modified-since", "if-none-match", "if-range",
			"if-unmodified-since", "max-forwards", "pragma", "proxy-authenticate", "proxy-authorization", "proxy-connection", "range", "request-range", "te", "trailer",
			"transfer-encoding", "upgrade", "via", "x-real-ip")
}

func customOrigin(c *distribution.CustomOriginConfig) error {
	for _, port := range []int{c.HTTPPort, c.HTTPSPort} {
		if port != 0 && port != 80 && port != 443 && (port < 1024 || port > 65535) {
			return refuse(InvalidArgument, "The parameter HTTPPort or HTTPSPort is not valid: %d is none of 80, 443 and 1024 to 65535", port)
		}
	}
	for _, protocol := range c.OriginSSLProtocols {
		if !oneOf(protocol, "SSLv3", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3") {
			return refuse(InvalidArgument, "The parameter OriginSslProtocols is not valid: %q", clip(protocol))
		}
	}
	return nil
}
