package api_test

import (
	"strconv"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront/types"

	"github.com/freshet/freshet/internal/distribution"
	"github.com/freshet/freshet/internal/edge/api"
)

func names(n int) (list []string) {
	for i := range n {
		list = append(list, "n"+strconv.Itoa(i))
	}
	return list
}

// What an account and its policies may hold unless a higher quota was asked for:
// as much as is allowed is accepted, one more is refused.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/cloudfront-limits.html
func TestQuotasOfAnAccount(t *testing.T) {
	policies := 0
	for _, tt := range []struct {
		rule, code string
		change     func(*types.ParametersInCacheKeyAndForwardedToOrigin, []string)
	}{
		{"10 headers in a cache policy", "TooManyHeadersInCachePolicy", func(p *types.ParametersInCacheKeyAndForwardedToOrigin, list []string) {
			p.HeadersConfig = &types.CachePolicyHeadersConfig{HeaderBehavior: types.CachePolicyHeaderBehaviorWhitelist, Headers: &types.Headers{Quantity: aws.Int32(int32(len(list))), Items: list}}
		}},
		{"10 cookies in a cache policy", "TooManyCookiesInCachePolicy", func(p *types.ParametersInCacheKeyAndForwardedToOrigin, list []string) {
			p.CookiesConfig = &types.CachePolicyCookiesConfig{CookieBehavior: types.CachePolicyCookieBehaviorWhitelist, Cookies: &types.CookieNames{Quantity: aws.Int32(int32(len(list))), Items: list}}
		}},
		{"10 query strings in a cache policy", "TooManyQueryStringsInCachePolicy", func(p *types.ParametersInCacheKeyAndForwardedToOrigin, list []string) {
			p.QueryStringsConfig = &types.CachePolicyQueryStringsConfig{QueryStringBehavior: types.CachePolicyQueryStringBehaviorWhitelist, QueryStrings: &types.QueryStringNames{Quantity: aws.Int32(int32(len(list))), Items: list}}
		}},
		{"20 cache policies", "TooManyCachePolicies", nil},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			c, ctx := goClient(serve(t, open(t, &edge{}, nil), nil).URL, secret), t.Context()
			create := func(n int) error {
				policies++
				config := sdkPolicy("policy" + strconv.Itoa(policies))
				if tt.change != nil {
					tt.change(config.ParametersInCacheKeyAndForwardedToOrigin, names(n))
				}
				_, err := c.CreateCachePolicy(ctx, &cloudfront.CreateCachePolicyInput{CachePolicyConfig: config})
				return err
			}
			most := 10
			if tt.change == nil {
				most = 20
				for i := range most - 1 {
					if err := create(i); err != nil {
						t.Fatal(err)
					}
				}
			}
			if err := create(most); err != nil {
				t.Errorf("%d: %v", most, err)
			}
			refusedAs(t, "one more", tt.code, create(most+1))
		})
	}
	t.Run("500 distributions", func(t *testing.T) {
		var all []distribution.Distribution
		for _, name := range names(499) {
			all = append(all, distribution.ForBucket("E"+name, "site"))
		}
		cat := catalog(t, func(c *api.CatalogConfig) { c.BuiltIn = all })
		c, ctx := goClient(serve(t, open(t, &edge{}, nil), func(c *api.HandlerConfig) { c.Catalog = cat }).URL, secret), t.Context()
		if _, err := c.CreateDistribution(ctx, &cloudfront.CreateDistributionInput{DistributionConfig: sdkConfig("r")}); err != nil {
			t.Errorf("the 500th: %v", err)
		}
		_, err := c.CreateDistribution(ctx, &cloudfront.CreateDistributionInput{DistributionConfig: sdkConfig("s")})
		refusedAs(t, "one more", "TooManyDistributions", err)
	})
}
