// Package distribution is CloudFront's configuration model as data: which
// origins a distribution has, which behavior answers a path, and for how long
// and under which key what it answers is cached. Names are those of the
// CloudFront API; where the API wraps a list in Quantity and Items, a field is
// simply the list.
package distribution

import (
	"slices"
	"strings"
	"time"
)

// Distribution is a configuration under the ID and domain name CloudFront gave
// it, with the custom policies that its behaviors name.
type Distribution struct {
	_ struct{} `known:"ARN Status InProgressInvalidationBatches ActiveTrustedSigners ActiveTrustedKeyGroups AliasICPRecordals ETag Tags ResponseMetadata"`

	ID            string        `json:"Id"`
	DomainName    string        `json:"DomainName"` // the CDN's own host name, without scheme
	LastModified  time.Time     `json:"LastModifiedTime,omitzero"`
	Config        Config        `json:"DistributionConfig"`
	CachePolicies []CachePolicy `json:"CachePolicies,omitempty"` // custom ones; managed ones are known by ID

	OriginRequestPolicies   []OriginRequestPolicy   `json:"OriginRequestPolicies,omitempty"`   // likewise
	ResponseHeadersPolicies []ResponseHeadersPolicy `json:"ResponseHeadersPolicies,omitempty"` // likewise
	KeyGroups               []KeyGroup              `json:"KeyGroups,omitempty"`               // those that behaviors trust
}

// Config is CloudFront's DistributionConfig.
// https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_DistributionConfig.html
type Config struct {
	_ struct{} `known:"S3Origin CustomOrigin"` // settle reads them

	CallerReference      string                `json:"CallerReference"`
	Comment              string                `json:"Comment"`
	Enabled              bool                  `json:"Enabled"`
	Staging              bool                  `json:"Staging,omitempty"`
	Aliases              []string              `json:"Aliases,omitempty" also:"CNAMEs"`
	DefaultRootObject    string                `json:"DefaultRootObject"` // without leading slash; may hold folders
	Origins              []Origin              `json:"Origins"`
	OriginGroups         []OriginGroup         `json:"OriginGroups,omitempty"`
	DefaultCacheBehavior CacheBehavior         `json:"DefaultCacheBehavior"`
	CacheBehaviors       []CacheBehavior       `json:"CacheBehaviors,omitempty"` // in order; the first match answers
	CustomErrorResponses []CustomErrorResponse `json:"CustomErrorResponses,omitempty"`
	CacheTagConfig       *CacheTagConfig       `json:"CacheTagConfig,omitempty"` // nil: the distribution has no cache tags

	// What follows does not decide what is cached, but is part of a distribution.
	PriceClass                    string                         `json:"PriceClass,omitempty"`
	HTTPVersion                   string                         `json:"HttpVersion,omitempty"`
	IsIPV6Enabled                 bool                           `json:"IsIPV6Enabled,omitempty" also:"IPV6Enabled"`
	WebACLID                      string                         `json:"WebACLId,omitempty"`
	ViewerCertificate             *ViewerCertificate             `json:"ViewerCertificate,omitempty"`
	Logging                       *Logging                       `json:"Logging,omitempty"`
	Restrictions                  *Restrictions                  `json:"Restrictions,omitempty"`
	ContinuousDeploymentPolicyID  string                         `json:"ContinuousDeploymentPolicyId,omitempty"`
	AnycastIPListID               string                         `json:"AnycastIpListId,omitempty"`
	ConnectionMode                string                         `json:"ConnectionMode,omitempty"`
	ConnectionFunctionAssociation *ConnectionFunctionAssociation `json:"ConnectionFunctionAssociation,omitempty"`
	TenantConfig                  *TenantConfig                  `json:"TenantConfig,omitempty"`
	ViewerMtlsConfig              *ViewerMtlsConfig              `json:"ViewerMtlsConfig,omitempty"`
}

// CustomErrorResponse is what viewers get in place of an error of the origin,
// and for how long the error is cached.
type CustomErrorResponse struct {
	ErrorCode          int    `json:"ErrorCode"`
	ResponsePagePath   string `json:"ResponsePagePath,omitempty"`   // begins with a slash; empty: the origin's own answer
	ResponseCode       int    `json:"ResponseCode,omitempty"`       // 0: the origin's own
	ErrorCachingMinTTL *int64 `json:"ErrorCachingMinTTL,omitempty"` // seconds; nil: 10
}

// CacheTagConfig switches cache tags on.
type CacheTagConfig struct {
	HeaderName string `json:"HeaderName"` // of the origin's response; holds comma-separated tags
}

// ViewerCertificate is how viewers' TLS connections are answered.
type ViewerCertificate struct {
	CloudFrontDefaultCertificate bool   `json:"CloudFrontDefaultCertificate,omitempty"`
	ACMCertificateARN            string `json:"ACMCertificateArn,omitempty" also:"AcmCertificateArn"`
	IAMCertificateID             string `json:"IAMCertificateId,omitempty" also:"IamCertificateId"`
	Certificate                  string `json:"Certificate,omitempty"`
	CertificateSource            string `json:"CertificateSource,omitempty"`
	MinimumProtocolVersion       string `json:"MinimumProtocolVersion,omitempty"`
	SSLSupportMethod             string `json:"SSLSupportMethod,omitempty" also:"SslSupportMethod"`
}

// Logging is where standard access logs go.
type Logging struct {
	Enabled        bool   `json:"Enabled"` // where it is not said, and a bucket is, it is
	IncludeCookies bool   `json:"IncludeCookies,omitempty"`
	Bucket         string `json:"Bucket,omitempty"`
	Prefix         string `json:"Prefix,omitempty"`
}

// Restrictions are by country.
type Restrictions struct {
	GeoRestriction GeoRestriction `json:"GeoRestriction"`
}

// GeoRestriction lists two-letter country codes.
type GeoRestriction struct {
	_ struct{} `known:"Quantity"`

	RestrictionType string   `json:"RestrictionType"` // none, whitelist or blacklist
	Locations       []string `json:"Locations,omitempty" also:"Items"`
}

// ConnectionFunctionAssociation names a connection function.
type ConnectionFunctionAssociation struct {
	ID string `json:"Id"`
}

// TenantConfig marks a multi-tenant distribution.
type TenantConfig struct {
	ParameterDefinitions []ParameterDefinition `json:"ParameterDefinitions,omitempty"`
}

// ParameterDefinition is a parameter that tenants set.
type ParameterDefinition struct {
	Name       string              `json:"Name"`
	Definition ParameterConstraint `json:"Definition"`
}

// ParameterConstraint is the schema of a tenant's parameter.
type ParameterConstraint struct {
	StringSchema StringSchema `json:"StringSchema"`
}

// StringSchema constrains a text.
type StringSchema struct {
	Required     bool   `json:"Required"`
	Comment      string `json:"Comment,omitempty"`
	DefaultValue string `json:"DefaultValue,omitempty"`
}

// ViewerMtlsConfig asks viewers for certificates.
type ViewerMtlsConfig struct {
	Mode             string            `json:"Mode,omitempty"`
	TrustStoreConfig *TrustStoreConfig `json:"TrustStoreConfig,omitempty"`
}

// TrustStoreConfig says which viewers' certificates are trusted.
type TrustStoreConfig struct {
	TrustStoreID                string `json:"TrustStoreId"`
	AdvertiseTrustStoreCANames  bool   `json:"AdvertiseTrustStoreCaNames,omitempty"`
	IgnoreCertificateExpiration bool   `json:"IgnoreCertificateExpiry,omitempty"`
}

// DefaultErrorCachingMinTTL is how long an error is cached when neither the
// configuration nor the origin says otherwise.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/HTTPStatusCodes.html
const DefaultErrorCachingMinTTL = 10 * time.Second

// CachingTTL is how long the error is cached at least.
func (r CustomErrorResponse) CachingTTL() time.Duration {
	if r.ErrorCachingMinTTL == nil {
		return DefaultErrorCachingMinTTL
	}
	return time.Duration(*r.ErrorCachingMinTTL) * time.Second
}

// LocalSuffix ends the domain name of every distribution of the embedded edge.
const LocalSuffix = ".cloudfront.localhost"

// ForBucket returns a distribution with CloudFront's defaults in front of one
// bucket of the embedded store.
func ForBucket(id, bucket string) Distribution {
	return Distribution{
		ID:         id,
		DomainName: strings.ToLower(id) + LocalSuffix,
		Config: Config{
			CallerReference:   id,
			Comment:           "freshet: bucket " + bucket,
			Enabled:           true,
			DefaultRootObject: "index.html",
			Origins:           []Origin{{ID: bucket, DomainName: bucket + ".s3.localhost"}},
			DefaultCacheBehavior: CacheBehavior{
				TargetOriginID: bucket, ForwardedValues: &ForwardedValues{},
				MinTTL: new(int64(DefaultMinTTL)), DefaultTTL: new(int64(DefaultDefaultTTL)), MaxTTL: new(int64(DefaultMaxTTL)),
			},
		},
	}
}

// Hosts returns the names under which viewers reach the distribution: the CDN's
// own first, then the aliases.
func (d Distribution) Hosts() []string {
	if d.DomainName == "" {
		return slices.Clone(d.Config.Aliases)
	}
	return append([]string{d.DomainName}, d.Config.Aliases...)
}
