package distribution

import "strings"

// ManagedCachePolicy returns the cache policy that Amazon manages under an ID
// or a name, which may be without its Managed-.
func ManagedCachePolicy(idOrName string) (CachePolicy, bool) {
	const prefix = "Managed-"
	for i := range managed {
		m := &managed[i]
		if m.id == idOrName || strings.TrimPrefix(m.name, prefix) == strings.TrimPrefix(idOrName, prefix) {
			return m.policy(), true
		}
	}
	return CachePolicy{}, false
}

// ManagedCachePolicies returns all of them, those for everybody first.
func ManagedCachePolicies() []CachePolicy {
	all := make([]CachePolicy, len(managed))
	for i := range managed {
		all[i] = managed[i].policy()
	}
	return all
}

// managedPolicy is a row of the documented table. Words are separated by
// spaces; * is all.
type managedPolicy struct {
	id, name                       string
	lowest, normal, highest        int64
	gzip, brotli                   bool
	headers, cookies, queryStrings string
}

const (
	day         = 86400
	year        = 365 * day
	methodNames = "host origin x-http-method x-http-method-override x-method-override"
	amplify     = "Accept Authorization CloudFront-Viewer-Country Host"
	amplifyV2   = amplify + " RSC X-Amplify-Dpl"
)

// managed holds the documented policies, and those that Amplify alone uses and
// that nevertheless appear in its distributions. CloudFront's own names of the
// two that use the origin's headers have no Managed-.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/using-managed-cache-policies.html
// https://docs.aws.amazon.com/amplify/latest/userguide/cache-configuration-type.html
var managed = [...]managedPolicy{
	{id: "658327ea-f89d-4fab-a63d-7e88639e58f6", name: "Managed-CachingOptimized", lowest: 1, normal: day, highest: year, gzip: true, brotli: true},
	{id: "b2884449-e4de-46a7-ac36-70bc7f1ddd6d", name: "Managed-CachingOptimizedForUncompressedObjects", lowest: 1, normal: day, highest: year},
	{id: "4135ea2d-6df8-44a3-9df3-4b5a84be39ad", name: "Managed-CachingDisabled"},
	{id: "83da9c7e-98b4-4e11-a168-04f0df8e2c65", name: "UseOriginCacheControlHeaders", highest: year, gzip: true, brotli: true, headers: methodNames, cookies: "*"},
	{id: "4cc15a8a-d715-48a4-82b8-cc0b614638fe", name: "UseOriginCacheControlHeaders-QueryStrings", highest: year, gzip: true, brotli: true, headers: methodNames, cookies: "*", queryStrings: "*"},
	{id: "08627262-05a9-4f76-9ded-b50ca2e3a84f", name: "Managed-Elemental-MediaPackage", normal: day, highest: year, gzip: true, headers: "origin", queryStrings: "aws.manifestfilter end m start"},
	{id: "2e54312d-136d-493c-8eb9-b001f22f67d2", name: "Managed-Amplify", lowest: 2, normal: 2, highest: 600, gzip: true, brotli: true, headers: "Authorization CloudFront-Viewer-Country Host", cookies: "*", queryStrings: "*"},
	{id: "4d1d2f1d-3a71-49ad-9e08-7ea5d843a556", name: "Managed-Amplify-Default", highest: year, gzip: true, brotli: true, headers: amplify, cookies: "*", queryStrings: "*"},
	{id: "a6bad946-36c3-4c33-aa98-362c74a7fb13", name: "Managed-Amplify-DefaultNoCookies", highest: year, gzip: true, brotli: true, headers: amplify, queryStrings: "*"},
	{id: "1c6db51a-a33f-469a-8245-dae26771f530", name: "Managed-Amplify-ImageOptimization", highest: year, gzip: true, brotli: true, headers: "Accept Authorization Host", queryStrings: "*"},
	{id: "7e5fad67-ee98-4ad0-b05a-394999eefc1a", name: "Managed-Amplify-StaticContent", highest: year, gzip: true, brotli: true, headers: "Authorization Host"},
	{id: "1b1c9610-973a-4fb9-9932-a6c274840887", name: "Managed-Amplify-Default-V2", highest: year, gzip: true, brotli: true, headers: amplifyV2, cookies: "*", queryStrings: "*"},
	{id: "17322e93-4707-445a-93bc-6c8c16621822", name: "Managed-Amplify-DefaultNoCookies-V2", highest: year, gzip: true, brotli: true, headers: amplifyV2, cookies: "__dpl", queryStrings: "*"},
	{id: "766eb028-1aff-4eb2-a5a4-2674e1538f26", name: "Managed-Amplify-ImageOptimization-V2", highest: year, gzip: true, brotli: true, headers: amplifyV2, cookies: "__dpl", queryStrings: "*"},
	{id: "4c02794c-7c81-4ba1-8b5d-e05fb0f95ed8", name: "Managed-Amplify-StaticContent-V2", highest: year, gzip: true, brotli: true, headers: "Authorization CloudFront-Viewer-Country Host RSC X-Amplify-Dpl", cookies: "__dpl", queryStrings: "dpl"},
}

// policy returns a policy that shares nothing with the table.
func (m *managedPolicy) policy() CachePolicy {
	lowest, normal, highest := m.lowest, m.normal, m.highest
	var k Parameters
	k.EnableAcceptEncodingGzip, k.EnableAcceptEncodingBrotli = m.gzip, m.brotli
	k.QueryStringsConfig.QueryStringBehavior, k.QueryStringsConfig.QueryStrings = words(m.queryStrings)
	k.HeadersConfig.HeaderBehavior, k.HeadersConfig.Headers = words(m.headers)
	k.CookiesConfig.CookieBehavior, k.CookiesConfig.Cookies = words(m.cookies)
	return CachePolicy{ID: m.id, Config: CachePolicyConfig{
		Name: m.name, MinTTL: &lowest, DefaultTTL: &normal, MaxTTL: &highest, Parameters: k,
	}}
}

func words(s string) (mode string, names []string) {
	switch s {
	case "":
		return "none", nil
	case "*":
		return "all", nil
	}
	return "whitelist", strings.Fields(s)
}
