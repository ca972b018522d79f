package api_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
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

// freshPEM is a public key that nobody has the other half of.
func freshPEM(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	text, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: text}))
}

func TestOtherPolicies(t *testing.T) {
	var serving []distribution.Distribution
	cat := catalog(t, func(c *api.CatalogConfig) {
		c.BuiltIn = nil
		c.Apply = func(ds []distribution.Distribution) error { serving = ds; return nil }
	})
	c, ctx := goClient(serve(t, open(t, &edge{}, nil), func(c *api.HandlerConfig) { c.Catalog = cat }).URL, secret), t.Context()
	request := &types.OriginRequestPolicyConfig{Name: aws.String("mine"), HeadersConfig: &types.OriginRequestPolicyHeadersConfig{HeaderBehavior: types.OriginRequestPolicyHeaderBehaviorAllViewer},
		CookiesConfig:      &types.OriginRequestPolicyCookiesConfig{CookieBehavior: types.OriginRequestPolicyCookieBehaviorAll},
		QueryStringsConfig: &types.OriginRequestPolicyQueryStringsConfig{QueryStringBehavior: types.OriginRequestPolicyQueryStringBehaviorNone}}
	asked, err := c.CreateOriginRequestPolicy(ctx, &cloudfront.CreateOriginRequestPolicyInput{OriginRequestPolicyConfig: request})
	if err != nil {
		t.Fatal(err)
	}
	answered, err := c.CreateResponseHeadersPolicy(ctx, &cloudfront.CreateResponseHeadersPolicyInput{ResponseHeadersPolicyConfig: &types.ResponseHeadersPolicyConfig{Name: aws.String("mine"),
		CustomHeadersConfig: &types.ResponseHeadersPolicyCustomHeadersConfig{Quantity: aws.Int32(1), Items: []types.ResponseHeadersPolicyCustomHeader{{Header: aws.String("X-A"), Value: aws.String("b"), Override: aws.Bool(true)}}}}})
	if err != nil {
		t.Fatal(err)
	}
	config := sdkConfig("r")
	config.DefaultCacheBehavior.OriginRequestPolicyId, config.DefaultCacheBehavior.ResponseHeadersPolicyId = asked.OriginRequestPolicy.Id, answered.ResponseHeadersPolicy.Id
	d, err := c.CreateDistribution(ctx, &cloudfront.CreateDistributionInput{DistributionConfig: config})
	if err != nil {
		t.Fatal(err)
	}
	b := &serving[0].Config.DefaultCacheBehavior
	if got, err := serving[0].OriginRequest(b); err != nil || got.Headers.Mode != distribution.All || got.Policy != "mine" {
		t.Errorf("the edge asks by %+v, %v", got, err)
	}
	if got, err := serving[0].ResponseHeaders(b); err != nil || len(got.Config.CustomHeaders) != 1 || got.Config.CustomHeaders[0].Value != "b" {
		t.Errorf("the edge answers by %+v, %v", got, err)
	}
	byRequest, err := c.ListDistributionsByOriginRequestPolicyId(ctx, &cloudfront.ListDistributionsByOriginRequestPolicyIdInput{OriginRequestPolicyId: asked.OriginRequestPolicy.Id})
	if err != nil || len(byRequest.DistributionIdList.Items) != 1 || byRequest.DistributionIdList.Items[0] != *d.Distribution.Id {
		t.Errorf("by origin request policy: %+v, %v", byRequest, err)
	}
	byResponse, err := c.ListDistributionsByResponseHeadersPolicyId(ctx, &cloudfront.ListDistributionsByResponseHeadersPolicyIdInput{ResponseHeadersPolicyId: answered.ResponseHeadersPolicy.Id})
	if err != nil || len(byResponse.DistributionIdList.Items) != 1 {
		t.Errorf("by response headers policy: %+v, %v", byResponse, err)
	}
	_, err = c.DeleteOriginRequestPolicy(ctx, &cloudfront.DeleteOriginRequestPolicyInput{Id: asked.OriginRequestPolicy.Id, IfMatch: asked.ETag})
	refusedAs(t, "delete", "OriginRequestPolicyInUse", err)
	_, err = c.DeleteResponseHeadersPolicy(ctx, &cloudfront.DeleteResponseHeadersPolicyInput{Id: answered.ResponseHeadersPolicy.Id, IfMatch: answered.ETag})
	refusedAs(t, "delete", "ResponseHeadersPolicyInUse", err)
	request.CookiesConfig.CookieBehavior = types.OriginRequestPolicyCookieBehaviorWhitelist
	_, err = c.UpdateOriginRequestPolicy(ctx, &cloudfront.UpdateOriginRequestPolicyInput{Id: asked.OriginRequestPolicy.Id, OriginRequestPolicyConfig: request, IfMatch: asked.ETag})
	refusedAs(t, "a list of nothing", "InvalidArgument", err)
	config.CallerReference, config.DefaultCacheBehavior.OriginRequestPolicyId = aws.String("s"), aws.String("none")
	_, err = c.CreateDistribution(ctx, &cloudfront.CreateDistributionInput{DistributionConfig: config})
	refusedAs(t, "unknown", "NoSuchOriginRequestPolicy", err)
	managed, err := c.ListResponseHeadersPolicies(ctx, &cloudfront.ListResponseHeadersPoliciesInput{Type: types.ResponseHeadersPolicyTypeManaged})
	if err != nil || len(managed.ResponseHeadersPolicyList.Items) != len(distribution.ManagedResponseHeadersPolicies()) {
		t.Errorf("managed: %+v, %v", managed, err)
	}
}

func TestKeys(t *testing.T) {
	var serving []distribution.Distribution
	cat := catalog(t, func(c *api.CatalogConfig) {
		c.BuiltIn = nil
		c.Apply = func(ds []distribution.Distribution) error { serving = ds; return nil }
	})
	c, ctx := goClient(serve(t, open(t, &edge{}, nil), func(c *api.HandlerConfig) { c.Catalog = cat }).URL, secret), t.Context()
	text := freshPEM(t)
	keyConfig := &types.PublicKeyConfig{CallerReference: aws.String("r"), Name: aws.String("k"), EncodedKey: &text, Comment: aws.String("c")}
	key, err := c.CreatePublicKey(ctx, &cloudfront.CreatePublicKeyInput{PublicKeyConfig: keyConfig})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.CreatePublicKey(ctx, &cloudfront.CreatePublicKeyInput{PublicKeyConfig: &types.PublicKeyConfig{CallerReference: aws.String("s"), Name: aws.String("l"), EncodedKey: aws.String("no PEM")}})
	refusedAs(t, "no PEM", "InvalidArgument", err)
	other := *keyConfig
	other.EncodedKey = aws.String(freshPEM(t))
	_, err = c.UpdatePublicKey(ctx, &cloudfront.UpdatePublicKeyInput{Id: key.PublicKey.Id, IfMatch: key.ETag, PublicKeyConfig: &other})
	refusedAs(t, "another key", "CannotChangeImmutablePublicKeyFields", err)
	groupConfig := &types.KeyGroupConfig{Name: aws.String("g"), Items: []string{"KNONE"}}
	_, err = c.CreateKeyGroup(ctx, &cloudfront.CreateKeyGroupInput{KeyGroupConfig: groupConfig})
	refusedAs(t, "unknown key", "InvalidArgument", err)
	groupConfig.Items = []string{*key.PublicKey.Id}
	made, err := c.CreateKeyGroup(ctx, &cloudfront.CreateKeyGroupInput{KeyGroupConfig: groupConfig})
	if err != nil {
		t.Fatal(err)
	}
	config := sdkConfig("r")
	config.DefaultCacheBehavior.TrustedKeyGroups = &types.TrustedKeyGroups{Enabled: aws.Bool(true), Quantity: aws.Int32(1), Items: []string{*made.KeyGroup.Id}}
	d, err := c.CreateDistribution(ctx, &cloudfront.CreateDistributionInput{DistributionConfig: config})
	if err != nil {
		t.Fatal(err)
	}
	if got := d.Distribution.ActiveTrustedKeyGroups; !*got.Enabled || len(got.Items) != 1 || *got.Items[0].KeyGroupId != *made.KeyGroup.Id || got.Items[0].KeyPairIds.Items[0] != *key.PublicKey.Id {
		t.Errorf("active: %+v", got)
	}
	if got := serving[0].KeyGroups; len(got) != 1 || len(got[0].Keys) != 1 || got[0].Keys[0].EncodedKey != text || got[0].Keys[0].ID != *key.PublicKey.Id {
		t.Errorf("the edge trusts %+v", got)
	}
	keys, err := c.ListPublicKeys(ctx, nil)
	if err != nil || len(keys.PublicKeyList.Items) != 1 || *keys.PublicKeyList.Items[0].EncodedKey != text || keys.PublicKeyList.Items[0].CreatedTime == nil {
		t.Errorf("listed %+v, %v", keys, err)
	}
	groups, err := c.ListKeyGroups(ctx, nil)
	if err != nil || len(groups.KeyGroupList.Items) != 1 || *groups.KeyGroupList.Items[0].KeyGroup.KeyGroupConfig.Name != "g" {
		t.Errorf("listed %+v, %v", groups, err)
	}
	using, err := c.ListDistributionsByKeyGroup(ctx, &cloudfront.ListDistributionsByKeyGroupInput{KeyGroupId: made.KeyGroup.Id})
	if err != nil || len(using.DistributionIdList.Items) != 1 {
		t.Errorf("using it %+v, %v", using, err)
	}
	_, err = c.DeletePublicKey(ctx, &cloudfront.DeletePublicKeyInput{Id: key.PublicKey.Id, IfMatch: key.ETag})
	refusedAs(t, "delete a key", "PublicKeyInUse", err)
	_, err = c.DeleteKeyGroup(ctx, &cloudfront.DeleteKeyGroupInput{Id: made.KeyGroup.Id, IfMatch: made.ETag})
	refusedAs(t, "delete a group", "ResourceInUse", err)
	_, err = c.GetKeyGroup(ctx, &cloudfront.GetKeyGroupInput{Id: aws.String("none")})
	refusedAs(t, "unknown group", "NoSuchResource", err)
}

func TestOriginAccessControls(t *testing.T) {
	c, ctx := goClient(serve(t, open(t, &edge{}, nil), nil).URL, secret), t.Context()
	config := &types.OriginAccessControlConfig{Name: aws.String("n"), SigningBehavior: types.OriginAccessControlSigningBehaviorsAlways,
		SigningProtocol: types.OriginAccessControlSigningProtocolsSigv4, OriginAccessControlOriginType: types.OriginAccessControlOriginTypesS3}
	made, err := c.CreateOriginAccessControl(ctx, &cloudfront.CreateOriginAccessControlInput{OriginAccessControlConfig: config})
	if err != nil {
		t.Fatal(err)
	}
	config.Description = aws.String("d")
	updated, err := c.UpdateOriginAccessControl(ctx, &cloudfront.UpdateOriginAccessControlInput{Id: made.OriginAccessControl.Id, IfMatch: made.ETag, OriginAccessControlConfig: config})
	if err != nil || *updated.OriginAccessControl.OriginAccessControlConfig.Description != "d" {
		t.Fatal(err)
	}
	all, err := c.ListOriginAccessControls(ctx, nil)
	if err != nil || len(all.OriginAccessControlList.Items) != 1 || *all.OriginAccessControlList.Items[0].Description != "d" || *all.OriginAccessControlList.IsTruncated {
		t.Errorf("listed %+v, %v", all, err)
	}
	if _, err := c.DeleteOriginAccessControl(ctx, &cloudfront.DeleteOriginAccessControlInput{Id: made.OriginAccessControl.Id, IfMatch: updated.ETag}); err != nil {
		t.Error(err)
	}
}

// A distribution of the configuration file brings its policies with it.
func TestPartsOfBuiltInDistributions(t *testing.T) {
	cat := catalog(t, func(c *api.CatalogConfig) {
		d := distribution.ForBucket("E1FILE", "site")
		d.Config.CallerReference = "" // as in a template
		d.Config.DefaultCacheBehavior = distribution.CacheBehavior{TargetOriginID: "site", CachePolicyID: "from-file", TrustedKeyGroups: []string{"group"}}
		d.CachePolicies = []distribution.CachePolicy{{ID: "from-file", Config: distribution.CachePolicyConfig{Name: "of the file", MaxTTL: new(int64(7)), DefaultTTL: new(int64(5))}}}
		d.KeyGroups = []distribution.KeyGroup{{ID: "group", Keys: []distribution.PublicKey{{ID: "KEY", EncodedKey: "PEM"}}}}
		c.BuiltIn = []distribution.Distribution{d}
	})
	if got := cat.Distributions()[0]; len(got.CachePolicies) != 1 || len(got.KeyGroups) != 1 || got.KeyGroups[0].Keys[0].EncodedKey != "PEM" {
		t.Errorf("the edge is given %+v", got)
	}
	c, ctx := goClient(serve(t, open(t, &edge{}, nil), func(c *api.HandlerConfig) { c.Catalog = cat }).URL, secret), t.Context()
	got, err := c.GetCachePolicy(ctx, &cloudfront.GetCachePolicyInput{Id: aws.String("from-file")})
	if err != nil || *got.CachePolicy.CachePolicyConfig.MaxTTL != 7 {
		t.Errorf("got %+v, %v", got, err)
	}
	_, err = c.DeleteCachePolicy(ctx, &cloudfront.DeleteCachePolicyInput{Id: aws.String("from-file"), IfMatch: got.ETag})
	refusedAs(t, "delete", "AccessDenied", err)
	config, err := c.GetDistributionConfig(ctx, &cloudfront.GetDistributionConfigInput{Id: aws.String("E1FILE")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.UpdateDistribution(ctx, &cloudfront.UpdateDistributionInput{Id: aws.String("E1FILE"), IfMatch: config.ETag, DistributionConfig: config.DistributionConfig}); err != nil {
		t.Errorf("update it with what it is: %v", err)
	}
}
