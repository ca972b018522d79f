package api

import (
	"strconv"

	"github.com/freshet/freshet/internal/distribution"
)

// What a response headers policy may add.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/cloudfront-limits.html
const (
	maxCustomHeaders = 10
	maxCSP           = 1783 // characters of a content security policy
)

// responsePolicy is a response headers policy's configuration.
type responsePolicy struct {
	distribution.ResponseHeadersPolicyConfig
}

func (p responsePolicy) title() string { return p.Name }

func responsePolicies() kind {
	uses := anyBehavior(func(b *distribution.CacheBehavior, id string) bool { return b.ResponseHeadersPolicyID == id })
	return kind{
		name: responsePolicyKind, word: "ResponseHeadersPolicy", missing: "NoSuchResponseHeadersPolicy", most: maxPolicies, tooMany: "TooManyResponseHeadersPolicies",
		newID: newRequestID, dated: "LastModifiedTime", page: pageWithout,
		read: readResponsePolicy, load: decodeJSON[responsePolicy], judge: judgeResponsePolicy,
		uses: uses, used: func(s *state, id string) bool { return s.usedBy(id, uses) },
		managed: func() []managedResource {
			return each(distribution.ManagedResponseHeadersPolicies(), func(p distribution.ResponseHeadersPolicy) managedResource {
				return managedResource{p.ID, responsePolicy{p.Config}}
			})
		},
	}
}

func readResponsePolicy(body []byte) (configured, error) {
	const root = "ResponseHeadersPolicyConfig"
	t, err := readTree(body, root)
	if err == nil {
		err = required(t, lower(root), "Name")
	}
	if err != nil {
		return nil, err
	}
	d, strangers, err := distribution.Decode(tree{"ResponseHeadersPolicies": []any{tree{root: t}}}, "")
	if err := decoded(root, strangers, err); err != nil {
		return nil, err
	}
	return responsePolicy{d.ResponseHeadersPolicies[0].Config}, nil
}

func judgeResponsePolicy(_ *state, _, config configured) error {
	p := config.(responsePolicy)
	if p.Name == "" {
		return refuse(InvalidArgument, "The parameter Name must not be empty")
	}
	if n := len(p.CustomHeaders); n > maxCustomHeaders {
		return refuse("TooManyCustomHeadersInResponseHeadersPolicy", "The policy has %d custom headers, at most %d are allowed", n, maxCustomHeaders)
	}
	for _, rule := range []func(responsePolicy) error{crossOrigin, securityHeaders, otherHeaders} {
		if err := rule(p); err != nil {
			return err
		}
	}
	if s := p.SecurityHeadersConfig; s != nil {
		if c := s.ContentSecurityPolicy; c != nil && len(c.ContentSecurityPolicy) > maxCSP {
			return refuse("TooLongCSPInResponseHeadersPolicy", "The content security policy has %d characters, at most %d are allowed", len(c.ContentSecurityPolicy), maxCSP)
		}
		if f := s.FrameOptions; f != nil && !oneOf(f.FrameOption, "DENY", "SAMEORIGIN") {
			return refuse(InvalidArgument, "The parameter FrameOption is not valid: %q", clip(f.FrameOption))
		}
	}
	return nil
}

func (p responsePolicy) elements() []element {
	below := []element{
		optional("Comment", p.Comment),
		text("Name", p.Name),
		pointed(p.CORSConfig, corsElement),
		pointed(p.SecurityHeadersConfig, securityElement),
		pointed(p.ServerTiming, func(s distribution.ServerTimingConfig) element {
			return group("ServerTimingHeadersConfig", flag("Enabled", s.Enabled), text("SamplingRate", strconv.FormatFloat(s.SamplingRate, 'f', -1, 64)))
		}),
	}
	if len(p.CustomHeaders) > 0 {
		below = append(below, list("CustomHeadersConfig", each(p.CustomHeaders, func(h distribution.CustomHeader) element {
			return group("ResponseHeadersPolicyCustomHeader", text("Header", h.Header), text("Value", h.Value), flag("Override", h.Override))
		})))
	}
	if len(p.RemoveHeaders) > 0 {
		below = append(below, list("RemoveHeadersConfig", each(p.RemoveHeaders, func(h string) element {
			return group("ResponseHeadersPolicyRemoveHeader", text("Header", h))
		})))
	}
	return below
}

func corsElement(c distribution.CORSConfig) element {
	shown := group("CorsConfig",
		named("AccessControlAllowOrigins", "Origin", c.AccessControlAllowOrigins),
		named("AccessControlAllowHeaders", "Header", c.AccessControlAllowHeaders),
		named("AccessControlAllowMethods", "Method", c.AccessControlAllowMethods),
		flag("AccessControlAllowCredentials", c.AccessControlAllowCredentials),
		pointed(c.AccessControlMaxAge, func(seconds int64) element { return number("AccessControlMaxAgeSec", seconds) }),
		flag("OriginOverride", c.OriginOverride))
	if len(c.AccessControlExposeHeaders) > 0 {
		shown.below = append(shown.below, named("AccessControlExposeHeaders", "Header", c.AccessControlExposeHeaders))
	}
	return shown
}

func securityElement(s distribution.SecurityHeadersConfig) element {
	return group("SecurityHeadersConfig",
		pointed(s.XSSProtection, func(x distribution.XSSProtection) element {
			return group("XSSProtection", flag("Override", x.Override), flag("Protection", x.Protection), flag("ModeBlock", x.ModeBlock), optional("ReportUri", x.ReportURI))
		}),
		pointed(s.FrameOptions, func(f distribution.FrameOptions) element {
			return group("FrameOptions", flag("Override", f.Override), text("FrameOption", f.FrameOption))
		}),
		pointed(s.ReferrerPolicy, func(r distribution.ReferrerPolicy) element {
			return group("ReferrerPolicy", flag("Override", r.Override), text("ReferrerPolicy", r.ReferrerPolicy))
		}),
		pointed(s.ContentSecurityPolicy, func(c distribution.ContentSecurityPolicy) element {
			return group("ContentSecurityPolicy", flag("Override", c.Override), text("ContentSecurityPolicy", c.ContentSecurityPolicy))
		}),
		pointed(s.ContentTypeOptions, func(c distribution.ContentTypeOptions) element {
			return group("ContentTypeOptions", flag("Override", c.Override))
		}),
		pointed(s.StrictTransportSecurity, func(t distribution.StrictTransportSecurity) element {
			return group("StrictTransportSecurity", flag("Override", t.Override), flag("IncludeSubdomains", t.IncludeSubdomains),
				flag("Preload", t.Preload), number("AccessControlMaxAgeSec", t.MaxAge))
		}))
}
