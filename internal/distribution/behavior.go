package distribution

import (
	"path"
	"strings"
)

// CacheBehavior says how requests whose path matches PathPattern are answered.
// It has either a cache policy or, in the older way, ForwardedValues and TTLs of
// its own; Distribution.Caching knows what follows from either.
// https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_CacheBehavior.html
type CacheBehavior struct {
	PathPattern           string           `json:"PathPattern,omitempty"` // empty in the default behavior
	TargetOriginID        string           `json:"TargetOriginId"`        // of an origin or an origin group
	ViewerProtocolPolicy  string           `json:"ViewerProtocolPolicy,omitempty"`
	AllowedMethods        []string         `json:"AllowedMethods,omitempty"`                                    // empty: GET and HEAD
	CachedMethods         []string         `json:"CachedMethods,omitempty" also:"AllowedMethods.CachedMethods"` // empty: GET and HEAD
	Compress              bool             `json:"Compress,omitempty"`
	CachePolicyID         string           `json:"CachePolicyId,omitempty"`
	ForwardedValues       *ForwardedValues `json:"ForwardedValues,omitempty"`
	MinTTL                *int64           `json:"MinTTL,omitempty"`     // seconds; nil: DefaultMinTTL; only without a cache policy
	DefaultTTL            *int64           `json:"DefaultTTL,omitempty"` // seconds; nil: DefaultDefaultTTL
	MaxTTL                *int64           `json:"MaxTTL,omitempty"`     // seconds; nil: DefaultMaxTTL
	OriginRequestPolicyID string           `json:"OriginRequestPolicyId,omitempty"`

	ResponseHeadersPolicyID    string                      `json:"ResponseHeadersPolicyId,omitempty"`
	FunctionAssociations       []FunctionAssociation       `json:"FunctionAssociations,omitempty"`
	LambdaFunctionAssociations []LambdaFunctionAssociation `json:"LambdaFunctionAssociations,omitempty"`
	TrustedKeyGroups           []string                    `json:"TrustedKeyGroups,omitempty" beside:"Enabled"`
	TrustedSigners             []string                    `json:"TrustedSigners,omitempty" beside:"Enabled"`
	FieldLevelEncryptionID     string                      `json:"FieldLevelEncryptionId,omitempty"`
	RealtimeLogConfigARN       string                      `json:"RealtimeLogConfigArn,omitempty"`
	SmoothStreaming            bool                        `json:"SmoothStreaming,omitempty"`
	GRPCConfig                 *GRPCConfig                 `json:"GrpcConfig,omitempty"`
}

// SpelledPattern is PathPattern as it is matched against paths in their canonical
// spelling. Of the characters that a pattern may hold, only the quotation mark is
// escaped there.
func (b *CacheBehavior) SpelledPattern() string {
	return strings.ReplaceAll(b.PathPattern, `"`, "%22")
}

// FunctionAssociation runs a CloudFront function.
type FunctionAssociation struct {
	EventType   string `json:"EventType"` // viewer-request or viewer-response
	FunctionARN string `json:"FunctionARN"`
}

// LambdaFunctionAssociation runs a Lambda@Edge function.
type LambdaFunctionAssociation struct {
	EventType         string `json:"EventType"` // viewer- or origin-request or -response
	LambdaFunctionARN string `json:"LambdaFunctionARN"`
	IncludeBody       bool   `json:"IncludeBody,omitempty"`
}

// GRPCConfig lets gRPC through.
type GRPCConfig struct {
	Enabled bool `json:"Enabled"`
}

// Behavior returns the behavior that answers path, which begins with a slash,
// has no query string and is in its canonical spelling: the first of CacheBehaviors that matches, or else
// the default. Dot segments and repeated slashes in path do not count, so
// /a/../b is answered by the behavior of /b; the origin gets path as it is.
func (c *Config) Behavior(path string) *CacheBehavior { return c.BehaviorAt(c.BehaviorIndex(path)) }

// BehaviorIndex returns where in CacheBehaviors the behavior stands that answers
// path, and their number where it is the default.
func (c *Config) BehaviorIndex(path string) int {
	path = Matched(path)
	for i := range c.CacheBehaviors {
		if Match(c.CacheBehaviors[i].SpelledPattern(), path) {
			return i
		}
	}
	return len(c.CacheBehaviors)
}

// BehaviorAt returns the behavior that BehaviorIndex means by i.
func (c *Config) BehaviorAt(i int) *CacheBehavior {
	if i < len(c.CacheBehaviors) {
		return &c.CacheBehaviors[i]
	}
	return &c.DefaultCacheBehavior
}

// Matched is what path patterns are matched against: path without what RFC 3986
// says does not distinguish paths. One that ends in a dot segment ends in a slash
// without it.
func Matched(p string) string {
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

// Match reports whether a behavior's path pattern matches path. * stands for
// any run of characters, slashes included, ? for exactly one; letter case
// counts; a missing leading slash makes no difference.
func Match(pattern, path string) bool {
	return Glob(strings.TrimPrefix(pattern, "/"), strings.TrimPrefix(path, "/"))
}

// Glob reports whether s matches pattern, in which * stands for any run of
// characters and ? for exactly one. It backtracks to the last * only, so it takes
// at most len(pattern)*len(s) steps.
func Glob(pattern, s string) bool {
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
