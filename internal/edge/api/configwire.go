package api

import (
	"cmp"
	"encoding/xml"
	"strings"

	"github.com/freshet/freshet/internal/distribution"
)

// The documents that describe distributions. Every element that CloudFront's
// model requires is there, and those that it always sends; what the edge does
// not have shows CloudFront's default. Lists without elements have a Quantity of
// 0 and no Items, as CloudFront writes them.
// https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_DistributionConfig.html

type distributionXML struct {
	XMLName            xml.Name  `xml:"http://cloudfront.amazonaws.com/doc/2020-05-31/ Distribution"`
	ID                 string    `xml:"Id"`
	ARN                string    `xml:"ARN"`
	Status             string    `xml:"Status"`
	LastModifiedTime   string    `xml:"LastModifiedTime"`
	InProgress         int       `xml:"InProgressInvalidationBatches"`
	DomainName         string    `xml:"DomainName"`
	TrustedSigners     noTrust   `xml:"ActiveTrustedSigners"`
	TrustedKeyGroups   noTrust   `xml:"ActiveTrustedKeyGroups"`
	DistributionConfig configXML `xml:"DistributionConfig"`
}

type configRootXML struct {
	XMLName xml.Name `xml:"http://cloudfront.amazonaws.com/doc/2020-05-31/ DistributionConfig"`
	configXML
}

type distributionListXML struct {
	XMLName xml.Name `xml:"http://cloudfront.amazonaws.com/doc/2020-05-31/ DistributionList"`
	pageXML
	Items *[]distributionSummaryXML `xml:"Items>DistributionSummary"`
}

type distributionSummaryXML struct {
	ID               string `xml:"Id"`
	ARN              string `xml:"ARN"`
	ETag             string `xml:"ETag"`
	Status           string `xml:"Status"`
	LastModifiedTime string `xml:"LastModifiedTime"`
	DomainName       string `xml:"DomainName"`
	sharedXML
}

type configXML struct {
	CallerReference   string     `xml:"CallerReference"`
	DefaultRootObject string     `xml:"DefaultRootObject"`
	Logging           loggingXML `xml:"Logging"`
	Continuous        string     `xml:"ContinuousDeploymentPolicyId"`
	sharedXML
}

// sharedXML is in the configuration and in the summary.
type sharedXML struct {
	Aliases              aliasesXML     `xml:"Aliases"`
	Origins              originsXML     `xml:"Origins"`
	OriginGroups         noneXML        `xml:"OriginGroups"`
	DefaultCacheBehavior behaviorXML    `xml:"DefaultCacheBehavior"`
	CacheBehaviors       behaviorsXML   `xml:"CacheBehaviors"`
	CustomErrorResponses noneXML        `xml:"CustomErrorResponses"`
	Comment              string         `xml:"Comment"`
	PriceClass           string         `xml:"PriceClass"`
	Enabled              bool           `xml:"Enabled"`
	ViewerCertificate    certificateXML `xml:"ViewerCertificate"`
	GeoRestriction       geoXML         `xml:"Restrictions>GeoRestriction"`
	WebACLID             string         `xml:"WebACLId"`
	HTTPVersion          string         `xml:"HttpVersion"`
	IsIPV6Enabled        bool           `xml:"IsIPV6Enabled"`
	Staging              bool           `xml:"Staging"`
}

// noneXML is a list that is always empty.
type noneXML struct {
	Quantity int `xml:"Quantity"`
}

// noTrust is a list of signers that nobody is on.
type noTrust struct {
	Enabled  bool `xml:"Enabled"`
	Quantity int  `xml:"Quantity"`
}

type loggingXML struct {
	Enabled        bool   `xml:"Enabled"`
	IncludeCookies bool   `xml:"IncludeCookies"`
	Bucket         string `xml:"Bucket"`
	Prefix         string `xml:"Prefix"`
}

type aliasesXML struct {
	Quantity int       `xml:"Quantity"`
	Items    *[]string `xml:"Items>CNAME"`
}

type certificateXML struct {
	Default                bool   `xml:"CloudFrontDefaultCertificate"`
	SSLSupportMethod       string `xml:"SSLSupportMethod"`
	MinimumProtocolVersion string `xml:"MinimumProtocolVersion"`
	CertificateSource      string `xml:"CertificateSource"`
}

type geoXML struct {
	RestrictionType string `xml:"RestrictionType"`
	Quantity        int    `xml:"Quantity"`
}

type originsXML struct {
	Quantity int          `xml:"Quantity"`
	Items    *[]originXML `xml:"Items>Origin"`
}

type originXML struct {
	ID            string           `xml:"Id"`
	DomainName    string           `xml:"DomainName"`
	OriginPath    string           `xml:"OriginPath"`
	CustomHeaders noneXML          `xml:"CustomHeaders"`
	S3            *s3OriginXML     `xml:"S3OriginConfig"`
	Custom        *customOriginXML `xml:"CustomOriginConfig"`
	Attempts      int              `xml:"ConnectionAttempts"`
	Timeout       int              `xml:"ConnectionTimeout"` // seconds
	ShieldEnabled bool             `xml:"OriginShield>Enabled"`
	AccessControl string           `xml:"OriginAccessControlId"`
}

type s3OriginXML struct {
	OriginAccessIdentity string `xml:"OriginAccessIdentity"`
}

type customOriginXML struct {
	HTTPPort         int             `xml:"HTTPPort"`
	HTTPSPort        int             `xml:"HTTPSPort"`
	ProtocolPolicy   string          `xml:"OriginProtocolPolicy"`
	SSLProtocols     sslProtocolsXML `xml:"OriginSslProtocols"`
	ReadTimeout      int             `xml:"OriginReadTimeout"`      // seconds
	KeepaliveTimeout int             `xml:"OriginKeepaliveTimeout"` // seconds
}

type sslProtocolsXML struct {
	Quantity int      `xml:"Quantity"`
	Items    []string `xml:"Items>SslProtocol"`
}

type behaviorsXML struct {
	Quantity int            `xml:"Quantity"`
	Items    *[]behaviorXML `xml:"Items>CacheBehavior"`
}

type behaviorXML struct {
	PathPattern          string       `xml:"PathPattern,omitempty"` // of the ordered ones only
	TargetOriginID       string       `xml:"TargetOriginId"`
	TrustedSigners       noTrust      `xml:"TrustedSigners"`
	TrustedKeyGroups     noTrust      `xml:"TrustedKeyGroups"`
	ViewerProtocolPolicy string       `xml:"ViewerProtocolPolicy"`
	AllowedMethods       methodsXML   `xml:"AllowedMethods"`
	SmoothStreaming      bool         `xml:"SmoothStreaming"`
	Compress             bool         `xml:"Compress"`
	LambdaFunctions      noneXML      `xml:"LambdaFunctionAssociations"`
	Functions            noneXML      `xml:"FunctionAssociations"`
	FieldLevelEncryption string       `xml:"FieldLevelEncryptionId"`
	ForwardedValues      forwardedXML `xml:"ForwardedValues"`
	MinTTL               int64        `xml:"MinTTL"`
	DefaultTTL           int64        `xml:"DefaultTTL"`
	MaxTTL               int64        `xml:"MaxTTL"`
}

type methodsXML struct {
	Quantity int      `xml:"Quantity"`
	Items    []string `xml:"Items>Method"`
	Cached   int      `xml:"CachedMethods>Quantity"`
	CachedBy []string `xml:"CachedMethods>Items>Method"`
}

type forwardedXML struct {
	QueryString          bool    `xml:"QueryString"`
	Cookies              string  `xml:"Cookies>Forward"`
	Headers              noneXML `xml:"Headers"`
	QueryStringCacheKeys noneXML `xml:"QueryStringCacheKeys"`
}

func configDocument(c distribution.Config) configXML {
	return configXML{CallerReference: c.CallerReference, DefaultRootObject: c.DefaultRootObject, sharedXML: sharedDocument(c)}
}

func sharedDocument(c distribution.Config) sharedXML {
	return sharedXML{
		Aliases:              aliasesXML{Quantity: len(c.Aliases), Items: some(c.Aliases)},
		Origins:              originsXML{Quantity: len(c.Origins), Items: some(each(c.Origins, originDocument))},
		DefaultCacheBehavior: behaviorDocument(c.DefaultCacheBehavior),
		CacheBehaviors:       behaviorsXML{Quantity: len(c.CacheBehaviors), Items: some(each(c.CacheBehaviors, behaviorDocument))},
		Comment:              c.Comment,
		PriceClass:           "PriceClass_All",
		Enabled:              c.Enabled,
		ViewerCertificate:    certificateXML{Default: true, SSLSupportMethod: "vip", MinimumProtocolVersion: "TLSv1", CertificateSource: "cloudfront"},
		GeoRestriction:       geoXML{RestrictionType: "none"},
		HTTPVersion:          "http2",
	}
}

// each turns a list of one type into a list of another.
func each[A, B any](list []A, turn func(A) B) []B {
	turned := make([]B, 0, len(list))
	for _, a := range list {
		turned = append(turned, turn(a))
	}
	return turned
}

// originDocument shows a bucket as an S3 origin, and everything else, a
// bucket's website endpoint included, as a custom one.
func originDocument(o distribution.Origin) originXML {
	doc := originXML{ID: o.ID, DomainName: o.DomainName, OriginPath: o.OriginPath, Attempts: 3, Timeout: 10}
	if _, isBucket := o.Bucket(); isBucket && !strings.Contains(o.DomainName, ".s3-website") {
		doc.S3 = &s3OriginXML{}
		return doc
	}
	doc.Custom = &customOriginXML{HTTPPort: 80, HTTPSPort: 443, ProtocolPolicy: "match-viewer",
		SSLProtocols: sslProtocolsXML{Quantity: 1, Items: []string{"TLSv1.2"}}, ReadTimeout: 30, KeepaliveTimeout: 5}
	return doc
}

func behaviorDocument(b distribution.CacheBehavior) behaviorXML {
	methods := []string{"HEAD", "GET"}
	forwarded := cmp.Or(b.ForwardedValues, &distribution.ForwardedValues{})
	return behaviorXML{
		PathPattern:          b.PathPattern,
		TargetOriginID:       b.TargetOriginID,
		ViewerProtocolPolicy: "allow-all",
		AllowedMethods:       methodsXML{Quantity: len(methods), Items: methods, Cached: len(methods), CachedBy: methods},
		ForwardedValues:      forwardedXML{QueryString: forwarded.QueryString, Cookies: "none"},
		MinTTL:               *cmp.Or(b.MinTTL, new(int64(distribution.DefaultMinTTL))),
		DefaultTTL:           *cmp.Or(b.DefaultTTL, new(int64(distribution.DefaultDefaultTTL))),
		MaxTTL:               *cmp.Or(b.MaxTTL, new(int64(distribution.DefaultMaxTTL))),
	}
}
