package distribution

import (
	"fmt"
	"slices"
	"strings"
)

// OriginRequestPolicy is an origin request policy under its ID.
type OriginRequestPolicy struct {
	_ struct{} `known:"LastModifiedTime ETag ResponseMetadata"`

	ID     string                    `json:"Id"`
	Config OriginRequestPolicyConfig `json:"OriginRequestPolicyConfig"`
}

// OriginRequestPolicyConfig says what of a viewer's request the origin gets
// although it is not in the cache key. HeaderBehavior is none, whitelist,
// allViewer, allViewerAndWhitelistCloudFront or allExcept.
// https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_OriginRequestPolicyConfig.html
type OriginRequestPolicyConfig struct {
	Name               string             `json:"Name"`
	Comment            string             `json:"Comment,omitempty"`
	HeadersConfig      HeadersConfig      `json:"HeadersConfig"`
	CookiesConfig      CookiesConfig      `json:"CookiesConfig"`
	QueryStringsConfig QueryStringsConfig `json:"QueryStringsConfig"`
}

// OriginRequest is what a behavior's origin request policy adds to what is in
// the cache key. The zero value adds nothing.
type OriginRequest struct {
	Policy       string // its name
	PolicyID     string
	Headers      Selection // of the viewer's; Listed may name CloudFront's own
	Added        []string  // CloudFront's own headers that are added to all of the viewer's
	Cookies      Selection
	QueryStrings Selection
	Managed      bool
}

// OriginRequest returns what b's origin request policy says. The error names a
// policy that is neither managed nor among the distribution's own.
func (d *Distribution) OriginRequest(b *CacheBehavior) (OriginRequest, error) {
	id := b.OriginRequestPolicyID
	if id == "" {
		return OriginRequest{}, nil
	}
	if p, ok := ManagedOriginRequestPolicy(id); ok {
		r, err := p.request()
		r.Managed = true
		return r, err
	}
	for _, p := range d.OriginRequestPolicies {
		if p.ID == id {
			return p.request()
		}
	}
	return OriginRequest{}, fmt.Errorf("origin request policy %q is neither a managed one nor among those that were read: "+
		"`aws cloudfront get-origin-request-policy --id %s` prints it, give that as well", id, id)
}

func (p OriginRequestPolicy) request() (OriginRequest, error) {
	c := p.Config
	r := OriginRequest{Policy: c.Name, PolicyID: p.ID}
	r.Cookies = selection(c.CookiesConfig.CookieBehavior, c.CookiesConfig.Cookies)
	r.QueryStrings = selection(c.QueryStringsConfig.QueryStringBehavior, c.QueryStringsConfig.QueryStrings)
	switch mode := c.HeadersConfig.HeaderBehavior; mode {
	case "", "none":
	case "allViewer":
		r.Headers = Selection{Mode: All}
	case "allViewerAndWhitelistCloudFront":
		r.Headers, r.Added = Selection{Mode: All}, c.HeadersConfig.Headers
	case "whitelist", "allExcept":
		r.Headers = selection(mode, c.HeadersConfig.Headers)
	default:
		return OriginRequest{}, fmt.Errorf("origin request policy %s selects headers by %q, which is not "+
			"none, whitelist, allViewer, allViewerAndWhitelistCloudFront or allExcept", p.ID, mode)
	}
	return r, nil
}

// ManagedOriginRequestPolicy returns the policy that Amazon manages under an ID
// or a name, which may be without its Managed-.
func ManagedOriginRequestPolicy(idOrName string) (OriginRequestPolicy, bool) {
	for _, p := range ManagedOriginRequestPolicies() {
		if p.ID == idOrName || p.Config.Name == idOrName || strings.TrimPrefix(p.Config.Name, "Managed-") == idOrName {
			return p, true
		}
	}
	return OriginRequestPolicy{}, false
}

// cloudFront2022 are CloudFront's own headers of June 2022.
const cloudFront2022 = "CloudFront-Forwarded-Proto CloudFront-Is-Android-Viewer CloudFront-Is-Desktop-Viewer CloudFront-Is-IOS-Viewer " +
	"CloudFront-Is-Mobile-Viewer CloudFront-Is-SmartTV-Viewer CloudFront-Is-Tablet-Viewer CloudFront-Viewer-Address CloudFront-Viewer-ASN " +
	"CloudFront-Viewer-City CloudFront-Viewer-Country CloudFront-Viewer-Country-Name CloudFront-Viewer-Country-Region " +
	"CloudFront-Viewer-Country-Region-Name CloudFront-Viewer-Http-Version CloudFront-Viewer-Latitude CloudFront-Viewer-Longitude " +
	"CloudFront-Viewer-Metro-Code CloudFront-Viewer-Postal-Code CloudFront-Viewer-Time-Zone CloudFront-Viewer-TLS"

// ManagedOriginRequestPolicies returns all of them, sharing nothing with an
// earlier call.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/using-managed-origin-request-policies.html
func ManagedOriginRequestPolicies() []OriginRequestPolicy {
	const cors = "Origin Access-Control-Request-Headers Access-Control-Request-Method"
	return []OriginRequestPolicy{
		managedRequest("216adef6-5c7f-47e4-b989-5492eafa07d3", "AllViewer", "allViewer", "", "all", "all"),
		managedRequest("33f36d7e-f396-46d9-90e0-52428a34d9dc", "AllViewerAndCloudFrontHeaders-2022-06", "allViewerAndWhitelistCloudFront", cloudFront2022, "all", "all"),
		managedRequest("b689b0a8-53d0-40ab-baf2-68738e2966ac", "AllViewerExceptHostHeader", "allExcept", "Host", "all", "all"),
		managedRequest("59781a5b-3903-41f3-afcb-af62929ccde1", "CORS-CustomOrigin", "whitelist", "Origin", "none", "none"),
		managedRequest("88a5eaf4-2fd4-4709-b370-b4c650ea3fcf", "CORS-S3Origin", "whitelist", cors, "none", "none"),
		managedRequest("775133bc-15f2-49f9-abea-afb2e0bf67d2", "Elemental-MediaTailor-PersonalizedManifests", "whitelist", cors+" User-Agent X-Forwarded-For", "none", "all"),
		managedRequest("bf0718e1-ba1e-49d1-88b1-f726733018ae", "HostHeaderOnly", "whitelist", "Host", "none", "none"),
		managedRequest("acba4595-bd28-49b8-b9fe-13317c0390fa", "UserAgentRefererHeaders", "whitelist", "User-Agent Referer", "none", "none"),
	}
}

func managedRequest(id, name, behavior, headers, cookies, queryStrings string) OriginRequestPolicy {
	return OriginRequestPolicy{ID: id, Config: OriginRequestPolicyConfig{
		Name:               "Managed-" + name,
		HeadersConfig:      HeadersConfig{HeaderBehavior: behavior, Headers: strings.Fields(headers)},
		CookiesConfig:      CookiesConfig{CookieBehavior: cookies},
		QueryStringsConfig: QueryStringsConfig{QueryStringBehavior: queryStrings},
	}}
}

// Selects reports whether name is among those that s means, letter by letter.
func (s Selection) Selects(name string) bool {
	switch s.Mode {
	case All:
		return true
	case Listed:
		return slices.Contains(s.Names, name)
	case AllBut:
		return !slices.Contains(s.Names, name)
	}
	return false
}
