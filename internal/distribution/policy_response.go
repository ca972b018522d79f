package distribution

import (
	"fmt"
	"strings"
)

// ResponseHeadersPolicy is a response headers policy under its ID.
type ResponseHeadersPolicy struct {
	_ struct{} `known:"LastModifiedTime ETag ResponseMetadata"`

	ID     string                      `json:"Id"`
	Config ResponseHeadersPolicyConfig `json:"ResponseHeadersPolicyConfig"`
}

// ResponseHeadersPolicyConfig says which headers viewers get beside those of the
// origin, and which of the origin's they do not get.
// https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_ResponseHeadersPolicyConfig.html
type ResponseHeadersPolicyConfig struct {
	Name                  string                 `json:"Name"`
	Comment               string                 `json:"Comment,omitempty"`
	CORSConfig            *CORSConfig            `json:"CorsConfig,omitempty"`
	SecurityHeadersConfig *SecurityHeadersConfig `json:"SecurityHeadersConfig,omitempty"`
	ServerTiming          *ServerTimingConfig    `json:"ServerTimingHeadersConfig,omitempty"`
	CustomHeaders         []CustomHeader         `json:"CustomHeadersConfig,omitempty"`
	RemoveHeaders         []string               `json:"RemoveHeadersConfig,omitempty" element:"Header"`
}

// CORSConfig answers requests from other origins.
// https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_ResponseHeadersPolicyCorsConfig.html
type CORSConfig struct {
	AccessControlAllowCredentials bool     `json:"AccessControlAllowCredentials"`
	AccessControlAllowHeaders     []string `json:"AccessControlAllowHeaders"`
	AccessControlAllowMethods     []string `json:"AccessControlAllowMethods"` // ALL is all of them
	AccessControlAllowOrigins     []string `json:"AccessControlAllowOrigins"` // with * alone, or as the leftmost label
	AccessControlExposeHeaders    []string `json:"AccessControlExposeHeaders,omitempty"`
	AccessControlMaxAge           *int64   `json:"AccessControlMaxAgeSec,omitempty"` // seconds
	OriginOverride                bool     `json:"OriginOverride"`
}

// SecurityHeadersConfig is a set of headers; those that are nil are not added.
// https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_ResponseHeadersPolicySecurityHeadersConfig.html
type SecurityHeadersConfig struct {
	ContentSecurityPolicy   *ContentSecurityPolicy   `json:"ContentSecurityPolicy,omitempty"`
	ContentTypeOptions      *ContentTypeOptions      `json:"ContentTypeOptions,omitempty"`
	FrameOptions            *FrameOptions            `json:"FrameOptions,omitempty"`
	ReferrerPolicy          *ReferrerPolicy          `json:"ReferrerPolicy,omitempty"`
	StrictTransportSecurity *StrictTransportSecurity `json:"StrictTransportSecurity,omitempty"`
	XSSProtection           *XSSProtection           `json:"XSSProtection,omitempty"`
}

// ContentSecurityPolicy is the header of the same name.
type ContentSecurityPolicy struct {
	ContentSecurityPolicy string `json:"ContentSecurityPolicy"`
	Override              bool   `json:"Override"`
}

// ContentTypeOptions adds X-Content-Type-Options: nosniff.
type ContentTypeOptions struct {
	Override bool `json:"Override"`
}

// FrameOptions is X-Frame-Options.
type FrameOptions struct {
	FrameOption string `json:"FrameOption"` // DENY or SAMEORIGIN
	Override    bool   `json:"Override"`
}

// ReferrerPolicy is the header of the same name.
type ReferrerPolicy struct {
	ReferrerPolicy string `json:"ReferrerPolicy"`
	Override       bool   `json:"Override"`
}

// StrictTransportSecurity has browsers come over TLS only.
type StrictTransportSecurity struct {
	MaxAge            int64 `json:"AccessControlMaxAgeSec"` // seconds
	IncludeSubdomains bool  `json:"IncludeSubdomains,omitempty"`
	Preload           bool  `json:"Preload,omitempty"`
	Override          bool  `json:"Override"`
}

// XSSProtection is for old browsers.
type XSSProtection struct {
	Protection bool   `json:"Protection"`
	ModeBlock  bool   `json:"ModeBlock,omitempty"`
	ReportURI  string `json:"ReportUri,omitempty"`
	Override   bool   `json:"Override"`
}

// ServerTimingConfig adds a Server-Timing header to some of the responses.
type ServerTimingConfig struct {
	Enabled      bool    `json:"Enabled"`
	SamplingRate float64 `json:"SamplingRate,omitempty"` // percent of the responses
}

// CustomHeader is any other header.
type CustomHeader struct {
	Header   string `json:"Header"`
	Value    string `json:"Value"`
	Override bool   `json:"Override"`
}

// ResponseHeaders returns b's response headers policy, or nil if it has none.
// The error names a policy that is neither managed nor among the distribution's
// own.
func (d *Distribution) ResponseHeaders(b *CacheBehavior) (*ResponseHeadersPolicy, error) {
	id := b.ResponseHeadersPolicyID
	if id == "" {
		return nil, nil
	}
	if p, ok := ManagedResponseHeadersPolicy(id); ok {
		return &p, nil
	}
	for i := range d.ResponseHeadersPolicies {
		if p := d.ResponseHeadersPolicies[i]; p.ID == id {
			return &p, nil
		}
	}
	return nil, fmt.Errorf("response headers policy %q is neither a managed one nor among those that were read: "+
		"`aws cloudfront get-response-headers-policy --id %s` prints it, give that as well", id, id)
}

// ManagedResponseHeadersPolicy returns the policy that Amazon manages under an
// ID or a name, which may be without its Managed-.
func ManagedResponseHeadersPolicy(idOrName string) (ResponseHeadersPolicy, bool) {
	for _, p := range ManagedResponseHeadersPolicies() {
		if p.ID == idOrName || p.Config.Name == idOrName || strings.TrimPrefix(p.Config.Name, "Managed-") == idOrName {
			return p, true
		}
	}
	return ResponseHeadersPolicy{}, false
}

// ManagedResponseHeadersPolicies returns all of them, sharing nothing with an
// earlier call.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/using-managed-response-headers-policies.html
func ManagedResponseHeadersPolicies() []ResponseHeadersPolicy {
	made := func(id, name string, cors *CORSConfig, security *SecurityHeadersConfig) ResponseHeadersPolicy {
		return ResponseHeadersPolicy{ID: id, Config: ResponseHeadersPolicyConfig{Name: "Managed-" + name, CORSConfig: cors, SecurityHeadersConfig: security}}
	}
	return []ResponseHeadersPolicy{
		made("60669652-455b-4ae9-85a4-c4c02393f86c", "SimpleCORS", simpleCORS(), nil),
		made("5cc3b908-e619-4b99-88e5-2cf7f45965bd", "CORS-With-Preflight", preflightCORS(), nil),
		made("67f7725c-6f97-4210-82d7-5512b31e9d03", "SecurityHeadersPolicy", nil, managedSecurity()),
		made("e61eb60c-9c35-4d20-a928-2b84e02af89c", "CORS-and-SecurityHeadersPolicy", simpleCORS(), managedSecurity()),
		made("eaab4381-ed33-4a86-88ca-d9558dc6cd63", "CORS-with-preflight-and-SecurityHeadersPolicy", preflightCORS(), managedSecurity()),
	}
}

func simpleCORS() *CORSConfig {
	return &CORSConfig{
		AccessControlAllowOrigins: []string{"*"}, // and nothing for preflights
	}
}

func preflightCORS() *CORSConfig {
	return &CORSConfig{
		AccessControlAllowOrigins: []string{"*"}, AccessControlAllowHeaders: []string{"*"},
		AccessControlAllowMethods:  []string{"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"},
		AccessControlExposeHeaders: []string{"*"},
	}
}

func managedSecurity() *SecurityHeadersConfig {
	return &SecurityHeadersConfig{
		ContentTypeOptions:      &ContentTypeOptions{Override: true},
		FrameOptions:            &FrameOptions{FrameOption: "SAMEORIGIN"},
		ReferrerPolicy:          &ReferrerPolicy{ReferrerPolicy: "strict-origin-when-cross-origin"},
		StrictTransportSecurity: &StrictTransportSecurity{MaxAge: year},
		XSSProtection:           &XSSProtection{Protection: true, ModeBlock: true},
	}
}
