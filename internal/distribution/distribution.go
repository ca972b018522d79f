// Package distribution is CloudFront's configuration model as data: which
// origins a distribution has, which behavior answers a path, and for how long
// what it answers may be cached. Names are those of the CloudFront API.
package distribution

import (
	"path"
	"regexp"
	"strings"
	"time"
)

// Distribution is a configuration under the ID and domain name CloudFront gave
// it.
type Distribution struct {
	ID           string    `json:"Id" yaml:"Id"`
	DomainName   string    `json:"DomainName" yaml:"DomainName"` // the CDN's own host name, without scheme
	LastModified time.Time `json:"LastModifiedTime" yaml:"LastModifiedTime,omitempty"`
	Config       Config    `json:"DistributionConfig" yaml:"DistributionConfig"`
}

// Config is CloudFront's DistributionConfig.
type Config struct {
	CallerReference      string          `json:"CallerReference" yaml:"CallerReference"`
	Comment              string          `json:"Comment" yaml:"Comment"`
	Enabled              bool            `json:"Enabled" yaml:"Enabled"`
	Aliases              []string        `json:"Aliases,omitempty" yaml:"Aliases,omitempty"`
	DefaultRootObject    string          `json:"DefaultRootObject" yaml:"DefaultRootObject"` // without leading slash; may hold folders
	Origins              []Origin        `json:"Origins" yaml:"Origins"`
	DefaultCacheBehavior CacheBehavior   `json:"DefaultCacheBehavior" yaml:"DefaultCacheBehavior"`
	CacheBehaviors       []CacheBehavior `json:"CacheBehaviors,omitempty" yaml:"CacheBehaviors,omitempty"` // in order; the first match answers
}

// Origin is where a distribution fetches from.
type Origin struct {
	ID         string `json:"Id" yaml:"Id"`
	DomainName string `json:"DomainName" yaml:"DomainName"`
	OriginPath string `json:"OriginPath" yaml:"OriginPath"` // begins with a slash and ends without; may be empty
}

// CacheBehavior says how requests whose path matches PathPattern are answered.
// TTLs are seconds.
type CacheBehavior struct {
	PathPattern    string `json:"PathPattern,omitempty" yaml:"PathPattern,omitempty"` // empty in the default behavior
	TargetOriginID string `json:"TargetOriginId" yaml:"TargetOriginId"`
	QueryString    bool   `json:"QueryString" yaml:"QueryString"` // query strings are part of the cache key and are forwarded
	MinTTL         int64  `json:"MinTTL" yaml:"MinTTL"`
	DefaultTTL     int64  `json:"DefaultTTL" yaml:"DefaultTTL"`
	MaxTTL         int64  `json:"MaxTTL" yaml:"MaxTTL"`
}

// CloudFront's TTLs where nothing else was configured, in seconds.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/Expiration.html
const (
	DefaultMinTTL     = 0
	DefaultDefaultTTL = 86400
	DefaultMaxTTL     = 31536000
)

// ErrorCachingMinTTL is how long an error is cached when the origin does not
// say otherwise.
const ErrorCachingMinTTL = 10 * time.Second

// ForBucket returns a distribution with CloudFront's defaults in front of one
// bucket of the embedded store.
func ForBucket(id, bucket string) Distribution {
	return Distribution{
		ID:         id,
		DomainName: strings.ToLower(id) + LocalSuffix,
		Config: Config{
			CallerReference:      id,
			Comment:              "freshet: bucket " + bucket,
			Enabled:              true,
			DefaultRootObject:    "index.html",
			Origins:              []Origin{{ID: bucket, DomainName: bucket + ".s3.localhost"}},
			DefaultCacheBehavior: CacheBehavior{TargetOriginID: bucket, MinTTL: DefaultMinTTL, DefaultTTL: DefaultDefaultTTL, MaxTTL: DefaultMaxTTL},
		},
	}
}

// LocalSuffix ends the domain name of every distribution of the embedded edge.
const LocalSuffix = ".cloudfront.localhost"

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

// Hosts returns the names under which viewers reach the distribution: the CDN's
// own first, then the aliases.
func (d Distribution) Hosts() []string {
	return append([]string{d.DomainName}, d.Config.Aliases...)
}

// Origin returns the origin with the given ID.
func (c Config) Origin(id string) (Origin, bool) {
	for _, o := range c.Origins {
		if o.ID == id {
			return o, true
		}
	}
	return Origin{}, false
}

// Behavior returns the behavior that answers path, which begins with a slash
// and has no query string: the first of CacheBehaviors that matches, or else
// the default. Dot segments and repeated slashes in path do not count, so
// /a/../b is answered by the behavior of /b; the origin gets path as it is.
func (c Config) Behavior(path string) CacheBehavior {
	path = normalized(path)
	for _, b := range c.CacheBehaviors {
		if Match(b.PathPattern, path) {
			return b
		}
	}
	return c.DefaultCacheBehavior
}

// normalized removes what RFC 3986 says does not distinguish paths. A path that
// ends in a dot segment ends in a slash without it.
func normalized(p string) string {
	if !strings.Contains(p, "//") && !strings.Contains(p, "/.") {
		return p
	}
	clean := path.Clean(p)
	last := p[strings.LastIndexByte(p, '/')+1:]
	if clean != "/" && (last == "" || last == "." || last == "..") {
		clean += "/"
	}
	return clean
}

// Caches reports whether the behavior may keep a response at all.
func (b CacheBehavior) Caches() bool { return b.MaxTTL > 0 }

// Match reports whether a behavior's path pattern matches path. * stands for
// any run of characters, slashes included, ? for exactly one; letter case
// counts; a missing leading slash makes no difference.
func Match(pattern, path string) bool {
	return glob(strings.TrimPrefix(pattern, "/"), strings.TrimPrefix(path, "/"))
}

// glob backtracks to the last * only, so it takes at most len(pattern)*len(s)
// steps.
func glob(pattern, s string) bool {
	p, i, star, mark := 0, 0, -1, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p, i = p+1, i+1
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
