package api

import (
	"cmp"

	"github.com/freshet/freshet/internal/distribution"
)

// What a cache policy may list.
const maxListed = 10

// cachePolicy is a cache policy's configuration.
type cachePolicy struct{ distribution.CachePolicyConfig }

func (p cachePolicy) title() string { return p.Name }

func cachePolicies() kind {
	return kind{
		name: cachePolicyKind, word: "CachePolicy", missing: "NoSuchCachePolicy", most: maxPolicies, tooMany: "TooManyCachePolicies",
		newID: newRequestID, dated: "LastModifiedTime", page: pageWithout,
		read: readCachePolicy, load: decodeJSON[cachePolicy], judge: judgeCachePolicy,
		uses: usesCachePolicy(), used: func(s *state, id string) bool { return s.usedBy(id, usesCachePolicy()) },
		managed: func() []managedResource {
			return each(distribution.ManagedCachePolicies(), func(p distribution.CachePolicy) managedResource {
				return managedResource{p.ID, cachePolicy{p.Config}}
			})
		},
	}
}

func usesCachePolicy() func(*distribution.Config, string) bool {
	return anyBehavior(func(b *distribution.CacheBehavior, id string) bool { return b.CachePolicyID == id })
}

func readCachePolicy(body []byte) (configured, error) {
	const root = "CachePolicyConfig"
	t, err := readTree(body, root)
	if err == nil {
		err = required(t, "cachePolicyConfig", "Name", "MinTTL")
	}
	if parameters, ok := t["ParametersInCacheKeyAndForwardedToOrigin"].(tree); ok && err == nil {
		err = required(parameters, "cachePolicyConfig.parametersInCacheKeyAndForwardedToOrigin", "EnableAcceptEncodingGzip", "HeadersConfig", "CookiesConfig", "QueryStringsConfig")
	}
	if err != nil {
		return nil, err
	}
	p, strangers, err := distribution.DecodeCachePolicy(tree{root: t}, "")
	return cachePolicy{p.Config}, decoded(root, strangers, err)
}

func judgeCachePolicy(_ *state, _, config configured) error {
	p := config.(cachePolicy)
	k := p.Parameters
	switch {
	case p.Name == "":
		return refuse(InvalidArgument, "The parameter Name must not be empty")
	case descending(p.MinTTL, p.DefaultTTL, p.MaxTTL):
		return refuse(InvalidArgument, "The order of the TTLs is not valid: MinTTL <= DefaultTTL <= MaxTTL must hold")
	case len(k.HeadersConfig.Headers) > maxListed:
		return refuse("TooManyHeadersInCachePolicy", "The cache policy lists %d headers, at most %d are allowed", len(k.HeadersConfig.Headers), maxListed)
	case len(k.CookiesConfig.Cookies) > maxListed:
		return refuse("TooManyCookiesInCachePolicy", "The cache policy lists %d cookies, at most %d are allowed", len(k.CookiesConfig.Cookies), maxListed)
	case len(k.QueryStringsConfig.QueryStrings) > maxListed:
		return refuse("TooManyQueryStringsInCachePolicy", "The cache policy lists %d query strings, at most %d are allowed", len(k.QueryStringsConfig.QueryStrings), maxListed)
	case !oneOf(k.HeadersConfig.HeaderBehavior, "", "none", "whitelist"), !selects(k.HeadersConfig.HeaderBehavior, k.HeadersConfig.Headers):
		return refuse(InvalidArgument, "The parameter HeadersConfig is not valid")
	case !selects(k.CookiesConfig.CookieBehavior, k.CookiesConfig.Cookies):
		return refuse(InvalidArgument, "The parameter CookiesConfig is not valid")
	case !selects(k.QueryStringsConfig.QueryStringBehavior, k.QueryStringsConfig.QueryStrings):
		return refuse(InvalidArgument, "The parameter QueryStringsConfig is not valid")
	}
	return uncached(p.CachePolicyConfig)
}

// uncached refuses a cache key for what is never cached.
func uncached(p distribution.CachePolicyConfig) error {
	k := p.Parameters
	if p.MaxTTL == nil || *p.MaxTTL != 0 {
		return nil
	}
	for _, set := range []struct {
		member string
		is     bool
	}{
		{"HeaderBehavior", !oneOf(k.HeadersConfig.HeaderBehavior, "", "none")}, {"CookieBehavior", !oneOf(k.CookiesConfig.CookieBehavior, "", "none")},
		{"QueryStringBehavior", !oneOf(k.QueryStringsConfig.QueryStringBehavior, "", "none")},
		{"EnableAcceptEncodingGzip", k.EnableAcceptEncodingGzip}, {"EnableAcceptEncodingBrotli", k.EnableAcceptEncodingBrotli},
	} {
		if set.is {
			return refuse(InvalidArgument, "The parameter %s is invalid for policy with caching disabled.", set.member)
		}
	}
	return nil
}

// selects reports whether names are listed where, and only where, mode wants
// them.
func selects(mode string, names []string) bool {
	switch mode {
	case "", "none", "all":
		return len(names) == 0
	case "whitelist", "allExcept":
		return len(names) > 0
	}
	return false
}

func (p cachePolicy) elements() []element {
	var caching distribution.Caching
	d := distribution.Distribution{CachePolicies: []distribution.CachePolicy{{ID: "shown", Config: p.CachePolicyConfig}}}
	caching, _ = d.Caching(&distribution.CacheBehavior{CachePolicyID: "shown"}) // the policy is there
	k := p.Parameters
	return []element{
		optional("Comment", p.Comment),
		text("Name", p.Name),
		number("DefaultTTL", caching.DefaultTTL),
		number("MaxTTL", caching.MaxTTL),
		number("MinTTL", caching.MinTTL),
		group("ParametersInCacheKeyAndForwardedToOrigin",
			flag("EnableAcceptEncodingGzip", k.EnableAcceptEncodingGzip),
			flag("EnableAcceptEncodingBrotli", k.EnableAcceptEncodingBrotli),
			selected("HeadersConfig", "HeaderBehavior", k.HeadersConfig.HeaderBehavior, "Headers", k.HeadersConfig.Headers),
			selected("CookiesConfig", "CookieBehavior", k.CookiesConfig.CookieBehavior, "Cookies", k.CookiesConfig.Cookies),
			selected("QueryStringsConfig", "QueryStringBehavior", k.QueryStringsConfig.QueryStringBehavior, "QueryStrings", k.QueryStringsConfig.QueryStrings)),
	}
}

// selected shows which names are meant.
func selected(name, behavior, mode, names string, listed []string) element {
	shown := group(name, text(behavior, cmp.Or(mode, "none")))
	if len(listed) > 0 {
		shown.below = append(shown.below, named(names, "Name", listed))
	}
	return shown
}
