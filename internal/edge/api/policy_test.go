package api_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront/types"

	"github.com/freshet/freshet/internal/distribution"
	"github.com/freshet/freshet/internal/edge/api"
)

func sdkPolicy(name string) *types.CachePolicyConfig {
	return &types.CachePolicyConfig{Name: &name, MinTTL: aws.Int64(1), MaxTTL: aws.Int64(60), DefaultTTL: aws.Int64(30),
		ParametersInCacheKeyAndForwardedToOrigin: &types.ParametersInCacheKeyAndForwardedToOrigin{
			EnableAcceptEncodingGzip: aws.Bool(true),
			HeadersConfig:            &types.CachePolicyHeadersConfig{HeaderBehavior: types.CachePolicyHeaderBehaviorNone},
			CookiesConfig:            &types.CachePolicyCookiesConfig{CookieBehavior: types.CachePolicyCookieBehaviorNone},
			QueryStringsConfig: &types.CachePolicyQueryStringsConfig{QueryStringBehavior: types.CachePolicyQueryStringBehaviorWhitelist,
				QueryStrings: &types.QueryStringNames{Quantity: aws.Int32(2), Items: []string{"v", "lang"}}},
		}}
}

func TestCachePolicies(t *testing.T) {
	var serving []distribution.Distribution
	cat := catalog(t, func(c *api.CatalogConfig) {
		c.Apply = func(ds []distribution.Distribution) error { serving = ds; return nil }
	})
	c, ctx := goClient(serve(t, open(t, &edge{}, nil), func(c *api.HandlerConfig) { c.Catalog = cat }).URL, secret), t.Context()
	made, err := c.CreateCachePolicy(ctx, &cloudfront.CreateCachePolicyInput{CachePolicyConfig: sdkPolicy("mine")})
	if err != nil {
		t.Fatal(err)
	}
	id := made.CachePolicy.Id
	_, err = c.CreateCachePolicy(ctx, &cloudfront.CreateCachePolicyInput{CachePolicyConfig: sdkPolicy("mine")})
	refusedAs(t, "same name", "CachePolicyAlreadyExists", err)
	bad := sdkPolicy("bad")
	bad.MinTTL = aws.Int64(100)
	_, err = c.CreateCachePolicy(ctx, &cloudfront.CreateCachePolicyInput{CachePolicyConfig: bad})
	refusedAs(t, "order of TTLs", "InvalidArgument", err)

	config := sdkConfig("r")
	config.DefaultCacheBehavior.CachePolicyId = id
	d, err := c.CreateDistribution(ctx, &cloudfront.CreateDistributionInput{DistributionConfig: config})
	if err != nil {
		t.Fatal(err)
	}
	caching := func() distribution.Caching {
		for i := range serving {
			if serving[i].ID == *d.Distribution.Id {
				got, err := serving[i].Caching(&serving[i].Config.DefaultCacheBehavior)
				if err != nil {
					t.Fatal(err)
				}
				return got
			}
		}
		t.Fatal("the edge was not given the distribution")
		return distribution.Caching{}
	}
	if got := caching(); got.MaxTTL != 60 || len(got.QueryStrings.Names) != 2 || !got.Gzip {
		t.Errorf("the edge caches by %+v", got)
	}
	using, err := c.ListDistributionsByCachePolicyId(ctx, &cloudfront.ListDistributionsByCachePolicyIdInput{CachePolicyId: id})
	if err != nil || len(using.DistributionIdList.Items) != 1 || using.DistributionIdList.Items[0] != *d.Distribution.Id {
		t.Errorf("using it: %+v, %v", using, err)
	}
	next := sdkPolicy("mine")
	next.MaxTTL = aws.Int64(90)
	_, err = c.UpdateCachePolicy(ctx, &cloudfront.UpdateCachePolicyInput{Id: id, CachePolicyConfig: next, IfMatch: aws.String("ESTALE")})
	refusedAs(t, "stale", "PreconditionFailed", err)
	updated, err := c.UpdateCachePolicy(ctx, &cloudfront.UpdateCachePolicyInput{Id: id, CachePolicyConfig: next, IfMatch: made.ETag})
	if err != nil {
		t.Fatal(err)
	}
	if got := caching(); got.MaxTTL != 90 {
		t.Errorf("after the update the edge caches by %+v", got)
	}
	_, err = c.DeleteCachePolicy(ctx, &cloudfront.DeleteCachePolicyInput{Id: id, IfMatch: updated.ETag})
	refusedAs(t, "delete while in use", "CachePolicyInUse", err)
	config.DefaultCacheBehavior.CachePolicyId = aws.String("4135ea2d-6df8-44a3-9df3-4b5a84be39ad")
	if _, err := c.UpdateDistribution(ctx, &cloudfront.UpdateDistributionInput{Id: d.Distribution.Id, IfMatch: d.ETag, DistributionConfig: config}); err != nil {
		t.Fatal(err)
	}
	if _, err = c.DeleteCachePolicy(ctx, &cloudfront.DeleteCachePolicyInput{Id: id, IfMatch: updated.ETag}); err != nil {
		t.Error(err)
	}
	_, err = c.GetCachePolicy(ctx, &cloudfront.GetCachePolicyInput{Id: id})
	refusedAs(t, "get what is gone", "NoSuchCachePolicy", err)
}

func TestManagedCachePolicies(t *testing.T) {
	c, ctx := goClient(serve(t, open(t, &edge{}, nil), nil).URL, secret), t.Context()
	if _, err := c.CreateCachePolicy(ctx, &cloudfront.CreateCachePolicyInput{CachePolicyConfig: sdkPolicy("mine")}); err != nil {
		t.Fatal(err)
	}
	count := func(sort types.CachePolicyType) int {
		n, marker := 0, (*string)(nil)
		for {
			page, err := c.ListCachePolicies(ctx, &cloudfront.ListCachePoliciesInput{Type: sort, Marker: marker, MaxItems: aws.Int32(4)})
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range page.CachePolicyList.Items {
				if managed := *p.CachePolicy.CachePolicyConfig.Name != "mine"; managed != (p.Type == types.CachePolicyTypeManaged) || p.CachePolicy.LastModifiedTime == nil {
					t.Errorf("%s is %s", *p.CachePolicy.CachePolicyConfig.Name, p.Type)
				}
			}
			n += len(page.CachePolicyList.Items)
			if marker = page.CachePolicyList.NextMarker; marker == nil {
				return n
			}
		}
	}
	all := len(distribution.ManagedCachePolicies())
	if m, own, both := count("managed"), count("custom"), count(""); m != all || own != 1 || both != all+1 {
		t.Errorf("managed %d, custom %d, both %d", m, own, both)
	}
	id := aws.String("658327ea-f89d-4fab-a63d-7e88639e58f6")
	got, err := c.GetCachePolicy(ctx, &cloudfront.GetCachePolicyInput{Id: id})
	if err != nil || *got.CachePolicy.CachePolicyConfig.Name != "Managed-CachingOptimized" || *got.CachePolicy.CachePolicyConfig.MinTTL != 1 {
		t.Errorf("got %+v, %v", got, err)
	}
	_, err = c.UpdateCachePolicy(ctx, &cloudfront.UpdateCachePolicyInput{Id: id, CachePolicyConfig: sdkPolicy("x"), IfMatch: got.ETag})
	refusedAs(t, "update", "IllegalUpdate", err)
	_, err = c.DeleteCachePolicy(ctx, &cloudfront.DeleteCachePolicyInput{Id: id, IfMatch: got.ETag})
	refusedAs(t, "delete", "IllegalDelete", err)
	using, err := c.ListDistributionsByCachePolicyId(ctx, &cloudfront.ListDistributionsByCachePolicyIdInput{CachePolicyId: id})
	if err != nil || *using.DistributionIdList.Quantity != 0 || *using.DistributionIdList.IsTruncated {
		t.Errorf("using it: %+v, %v", using, err)
	}
}

const publicPEM = `-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEYzDRG1dyDP7kDNRB7gFRTXuBNkBQ
dBSwgGyTNw1jYNO6pnJ7Rr5m5mJMKBPqk+WO5Y0mVnuSM5OX6mlQyvyn0w==
-----END PUBLIC KEY-----
`
