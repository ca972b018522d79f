package distribution

import (
	"regexp"
	"slices"
	"strings"
)

// Origin is where a distribution fetches from.
// https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_Origin.html
type Origin struct {
	ID                        string              `json:"Id"`
	DomainName                string              `json:"DomainName"`
	OriginPath                string              `json:"OriginPath"` // begins with a slash and ends without; may be empty
	CustomHeaders             []OriginHeader      `json:"CustomHeaders,omitempty" also:"OriginCustomHeaders"`
	S3OriginConfig            *S3OriginConfig     `json:"S3OriginConfig,omitempty"`
	CustomOriginConfig        *CustomOriginConfig `json:"CustomOriginConfig,omitempty"`
	VPCOriginConfig           *VPCOriginConfig    `json:"VpcOriginConfig,omitempty"`
	OriginAccessControlID     string              `json:"OriginAccessControlId,omitempty"`
	OriginShield              *OriginShield       `json:"OriginShield,omitempty"`
	ConnectionAttempts        int                 `json:"ConnectionAttempts,omitempty"`        // 0: 3
	ConnectionTimeout         int                 `json:"ConnectionTimeout,omitempty"`         // seconds; 0: 10
	ResponseCompletionTimeout int                 `json:"ResponseCompletionTimeout,omitempty"` // seconds; 0: none
}

// OriginHeader is added to each request to the origin.
type OriginHeader struct {
	HeaderName  string `json:"HeaderName"`
	HeaderValue string `json:"HeaderValue"`
}

// S3OriginConfig marks an origin as a bucket's REST endpoint.
type S3OriginConfig struct {
	OriginAccessIdentity string `json:"OriginAccessIdentity"`
	OriginReadTimeout    int    `json:"OriginReadTimeout,omitempty"` // seconds
}

// CustomOriginConfig is how to talk to an HTTP server.
type CustomOriginConfig struct {
	HTTPPort               int      `json:"HTTPPort"`
	HTTPSPort              int      `json:"HTTPSPort"`
	OriginProtocolPolicy   string   `json:"OriginProtocolPolicy"` // http-only, match-viewer or https-only
	OriginSSLProtocols     []string `json:"OriginSslProtocols,omitempty" also:"OriginSSLProtocols"`
	OriginReadTimeout      int      `json:"OriginReadTimeout,omitempty"`      // seconds; 0: 30
	OriginKeepaliveTimeout int      `json:"OriginKeepaliveTimeout,omitempty"` // seconds; 0: 5
	IPAddressType          string   `json:"IpAddressType,omitempty"`
	OriginMtlsConfig       *struct {
		ClientCertificateARN string `json:"ClientCertificateArn"`
	} `json:"OriginMtlsConfig,omitempty"`
}

// VPCOriginConfig marks an origin inside a private network.
type VPCOriginConfig struct {
	VPCOriginID            string `json:"VpcOriginId"`
	OwnerAccountID         string `json:"OwnerAccountId,omitempty"`
	OriginReadTimeout      int    `json:"OriginReadTimeout,omitempty"`      // seconds
	OriginKeepaliveTimeout int    `json:"OriginKeepaliveTimeout,omitempty"` // seconds
}

// OriginShield is one more layer of cache before the origin.
type OriginShield struct {
	Enabled            bool   `json:"Enabled"`
	OriginShieldRegion string `json:"OriginShieldRegion,omitempty"`
}

// OriginGroup is a pair of origins: the second is asked when the first answers
// with one of StatusCodes.
type OriginGroup struct {
	ID                string   `json:"Id"`
	StatusCodes       []int    `json:"StatusCodes" also:"FailoverCriteria.StatusCodes"`
	Members           []string `json:"Members" element:"OriginId"` // origin IDs, the primary first
	SelectionCriteria string   `json:"SelectionCriteria,omitempty"`
}

var bucketHost = regexp.MustCompile(`^(.+)\.s3(?:\.localhost|(?:-fips|-accelerate)?(?:\.dualstack)?(?:[.-][a-z0-9-]+)?\.amazonaws\.com(?:\.cn)?|-website[.-][a-z0-9-]+\.amazonaws\.com(?:\.cn)?)$`)

// Bucket returns the name of the S3 bucket that the origin's domain name stands
// for, and whether it stands for one.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html
func (o Origin) Bucket() (string, bool) {
	m := bucketHost.FindStringSubmatch(strings.ToLower(o.DomainName))
	if m == nil {
		return "", false
	}
	return m[1], true
}

// Origin returns the origin with the given ID.
func (c *Config) Origin(id string) (Origin, bool) {
	for _, o := range c.Origins {
		if o.ID == id {
			return o, true
		}
	}
	return Origin{}, false
}

// Feeds reports whether a behavior whose target is the origin or origin group
// target may be answered by the origin with the given ID.
func (c *Config) Feeds(target, origin string) bool {
	if target == origin {
		return true
	}
	for _, g := range c.OriginGroups {
		if g.ID == target {
			return slices.Contains(g.Members, origin)
		}
	}
	return false
}
