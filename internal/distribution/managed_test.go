package distribution

import (
	"slices"
	"strconv"
	"strings"
	"testing"
)

// summary is a cache policy in one line: its TTLs, encodings, headers, cookies and
// query strings.
func summary(c Caching) string {
	kinds := []string{"-", "gzip", "br", "gzip,br"}
	encodings := 0
	if c.Gzip {
		encodings++
	}
	if c.Brotli {
		encodings += 2
	}
	parts := []string{strconv.FormatInt(c.MinTTL, 10) + "/" + strconv.FormatInt(c.DefaultTTL, 10) + "/" + strconv.FormatInt(c.MaxTTL, 10), kinds[encodings]}
	for _, s := range []Selection{c.Headers, c.Cookies, c.QueryStrings} {
		switch s.Mode {
		case None:
			parts = append(parts, "none")
		case All:
			parts = append(parts, "all")
		default:
			parts = append(parts, strings.Join(slices.Sorted(slices.Values(s.Names)), ","))
		}
	}
	return strings.Join(parts, " ")
}

// What the policies that Amazon manages say, as the guide lists them; those of
// Amplify alone as public exports of accounts have them.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/using-managed-cache-policies.html
func TestManagedCachePolicyValues(t *testing.T) {
	const methods = "host,origin,x-http-method,x-http-method-override,x-method-override"
	for _, tt := range []struct{ name, id, want string }{
		{"CachingOptimized", "658327ea-f89d-4fab-a63d-7e88639e58f6", "1/86400/31536000 gzip,br none none none"},
		{"CachingOptimizedForUncompressedObjects", "b2884449-e4de-46a7-ac36-70bc7f1ddd6d", "1/86400/31536000 - none none none"},
		{"CachingDisabled", "4135ea2d-6df8-44a3-9df3-4b5a84be39ad", "0/0/0 - none none none"},
		{"Elemental-MediaPackage", "08627262-05a9-4f76-9ded-b50ca2e3a84f", "0/86400/31536000 gzip origin none aws.manifestfilter,end,m,start"},
		{"UseOriginCacheControlHeaders", "83da9c7e-98b4-4e11-a168-04f0df8e2c65", "0/0/31536000 gzip,br " + methods + " all none"},
		{"UseOriginCacheControlHeaders-QueryStrings", "4cc15a8a-d715-48a4-82b8-cc0b614638fe", "0/0/31536000 gzip,br " + methods + " all all"},
		{"Amplify", "2e54312d-136d-493c-8eb9-b001f22f67d2", "2/2/600 gzip,br Authorization,CloudFront-Viewer-Country,Host all all"},
		{"Amplify-Default", "4d1d2f1d-3a71-49ad-9e08-7ea5d843a556", "0/0/31536000 gzip,br Accept,Authorization,CloudFront-Viewer-Country,Host all all"},
		{"Amplify-DefaultNoCookies", "a6bad946-36c3-4c33-aa98-362c74a7fb13", "0/0/31536000 gzip,br Accept,Authorization,CloudFront-Viewer-Country,Host none all"},
		{"Amplify-ImageOptimization", "1c6db51a-a33f-469a-8245-dae26771f530", "0/0/31536000 gzip,br Accept,Authorization,Host none all"},
		{"Amplify-StaticContent", "7e5fad67-ee98-4ad0-b05a-394999eefc1a", "0/0/31536000 gzip,br Authorization,Host none none"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, name := range []string{tt.name, tt.id} {
				var d Distribution
				c, err := d.Caching(&CacheBehavior{CachePolicyID: name})
				if got := summary(c); err != nil || got != tt.want || c.PolicyID != tt.id {
					t.Errorf("%s: %s %s (%v), want %s", name, c.PolicyID, got, err, tt.want)
				}
			}
		})
	}
}
