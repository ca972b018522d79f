package distribution

import (
	"fmt"
	"strings"
)

// CloudFront's TTLs where nothing else was configured, in seconds.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/Expiration.html
const (
	DefaultMinTTL     = 0
	DefaultDefaultTTL = 86400
	DefaultMaxTTL     = 31536000
)

// CachePolicy is a cache policy under its ID.
type CachePolicy struct {
	_ struct{} `known:"LastModifiedTime ETag ResponseMetadata"`

	ID     string            `json:"Id"`
	Config CachePolicyConfig `json:"CachePolicyConfig"`
}

// CachePolicyConfig is CloudFront's CachePolicyConfig.
// https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_CachePolicyConfig.html
type CachePolicyConfig struct {
	Name       string     `json:"Name"`
	Comment    string     `json:"Comment,omitempty"`
	MinTTL     *int64     `json:"MinTTL,omitempty"`     // seconds; nil: DefaultMinTTL
	DefaultTTL *int64     `json:"DefaultTTL,omitempty"` // seconds; nil: DefaultDefaultTTL
	MaxTTL     *int64     `json:"MaxTTL,omitempty"`     // seconds; nil: DefaultMaxTTL
	Parameters Parameters `json:"ParametersInCacheKeyAndForwardedToOrigin"`
}

// Parameters are what is in the cache key beside host and path, and what the
// origin gets because of it.
type Parameters struct {
	EnableAcceptEncodingGzip   bool               `json:"EnableAcceptEncodingGzip,omitempty"`
	EnableAcceptEncodingBrotli bool               `json:"EnableAcceptEncodingBrotli,omitempty"`
	QueryStringsConfig         QueryStringsConfig `json:"QueryStringsConfig"`
	HeadersConfig              HeadersConfig      `json:"HeadersConfig"`
	CookiesConfig              CookiesConfig      `json:"CookiesConfig"`
}

// QueryStringsConfig selects query string parameters.
type QueryStringsConfig struct {
	QueryStringBehavior string   `json:"QueryStringBehavior,omitempty"` // none, whitelist, allExcept or all; empty: none
	QueryStrings        []string `json:"QueryStrings,omitempty"`
}

// HeadersConfig selects headers.
type HeadersConfig struct {
	HeaderBehavior string   `json:"HeaderBehavior,omitempty"` // none or whitelist; empty: none
	Headers        []string `json:"Headers,omitempty"`
}

// CookiesConfig selects cookies.
type CookiesConfig struct {
	CookieBehavior string   `json:"CookieBehavior,omitempty"` // none, whitelist, allExcept or all; empty: none
	Cookies        []string `json:"Cookies,omitempty"`
}

// ForwardedValues is the older way to say what is in the cache key.
// https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_ForwardedValues.html
type ForwardedValues struct {
	QueryString          bool             `json:"QueryString"`
	QueryStringCacheKeys []string         `json:"QueryStringCacheKeys,omitempty"` // empty: all of them, where QueryString is set
	Headers              []string         `json:"Headers,omitempty"`              // * is all, and then nothing is cached
	Cookies              CookiePreference `json:"Cookies"`
}

// CookiePreference selects cookies in the older way.
type CookiePreference struct {
	Forward          string   `json:"Forward,omitempty"` // none, whitelist or all; empty: none
	WhitelistedNames []string `json:"WhitelistedNames,omitempty"`
}

// Selection says which of the query string parameters, headers or cookies of a
// request are meant. The zero value means none.
type Selection struct {
	Mode  SelectionMode
	Names []string // of Listed: those; of AllBut: the others
}

// SelectionMode is how a Selection selects.
type SelectionMode string

// The modes. None is the zero value.
const (
	None   SelectionMode = ""
	Listed SelectionMode = "whitelist"
	AllBut SelectionMode = "allExcept"
	All    SelectionMode = "all"
)

// Caching is what a behavior's configuration means for its cache, whichever way
// it was written. TTLs are seconds.
type Caching struct {
	Policy       string // name of the cache policy; empty where the behavior has values of its own
	PolicyID     string
	MinTTL       int64
	DefaultTTL   int64 // never below MinTTL
	MaxTTL       int64 // never below MinTTL
	QueryStrings Selection
	Headers      Selection
	Cookies      Selection
	Gzip, Brotli bool // Accept-Encoding is in the key, as far as these encodings go
}

// Caches reports whether anything may be kept at all. Where all headers are
// forwarded nothing is.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/header-caching.html
func (c Caching) Caches() bool { return c.MaxTTL > 0 && c.Headers.Mode != All }

// Caching returns what b means for the cache. The error names a policy that is
// neither managed nor among the distribution's own.
func (d *Distribution) Caching(b *CacheBehavior) (Caching, error) {
	if b.CachePolicyID == "" {
		return b.ownCaching(), nil
	}
	if p, ok := ManagedCachePolicy(b.CachePolicyID); ok {
		return p.caching(), nil
	}
	for _, p := range d.CachePolicies {
		if p.ID == b.CachePolicyID {
			return p.caching(), nil
		}
	}
	return Caching{}, fmt.Errorf("cache policy %q is neither a managed one nor among those that were read: "+
		"`aws cloudfront get-cache-policy --id %s` prints it, give that as well", b.CachePolicyID, b.CachePolicyID)
}

func (p CachePolicy) caching() Caching {
	c := Caching{Policy: p.Config.Name, PolicyID: p.ID}
	c.setTTLs(p.Config.MinTTL, p.Config.DefaultTTL, p.Config.MaxTTL)
	k := p.Config.Parameters
	c.Gzip, c.Brotli = k.EnableAcceptEncodingGzip, k.EnableAcceptEncodingBrotli
	c.QueryStrings = selection(k.QueryStringsConfig.QueryStringBehavior, k.QueryStringsConfig.QueryStrings)
	c.Headers = selection(k.HeadersConfig.HeaderBehavior, k.HeadersConfig.Headers)
	c.Cookies = selection(k.CookiesConfig.CookieBehavior, k.CookiesConfig.Cookies)
	return c
}

// ownCaching is what a behavior of the older form says itself. One that
// compresses knows gzip only, unless it has Accept-Encoding in the key as it was
// sent.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/ServingCompressedFiles.html
func (b *CacheBehavior) ownCaching() Caching {
	var c Caching
	c.setTTLs(b.MinTTL, b.DefaultTTL, b.MaxTTL)
	c.Gzip = b.Compress
	f := b.ForwardedValues
	if f == nil {
		return c
	}
	switch {
	case f.QueryString && len(f.QueryStringCacheKeys) > 0:
		c.QueryStrings = Selection{Listed, f.QueryStringCacheKeys}
	case f.QueryString:
		c.QueryStrings = Selection{Mode: All}
	}
	c.Headers = selection("whitelist", f.Headers)
	for _, h := range f.Headers {
		if h == "*" {
			c.Headers = Selection{Mode: All}
		}
		if h == "*" || strings.EqualFold(h, "Accept-Encoding") {
			c.Gzip = false
		}
	}
	c.Cookies = selection(f.Cookies.Forward, f.Cookies.WhitelistedNames)
	return c
}

// setTTLs fills in the defaults. Those of the upper bounds are raised where the
// lower bound is larger.
func (c *Caching) setTTLs(lowest, normal, highest *int64) {
	or := func(p *int64, value int64) int64 {
		if p != nil {
			value = *p
		}
		return value
	}
	c.MinTTL = max(or(lowest, DefaultMinTTL), 0)
	c.DefaultTTL = max(or(normal, DefaultDefaultTTL), c.MinTTL)
	c.MaxTTL = max(or(highest, DefaultMaxTTL), c.MinTTL)
	if highest == nil {
		c.MaxTTL = max(c.MaxTTL, c.DefaultTTL)
	}
}

func selection(mode string, names []string) Selection {
	switch m := SelectionMode(mode); m {
	case All:
		return Selection{Mode: All}
	case Listed:
		if len(names) > 0 {
			return Selection{m, names}
		}
	case AllBut:
		if len(names) == 0 {
			return Selection{Mode: All}
		}
		return Selection{m, names}
	}
	return Selection{}
}
