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

// What an origin may be told to wait for.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/DownloadDistValuesOrigin.html
func TestBoundsOfAnOrigin(t *testing.T) {
	c, ctx := goClient(serve(t, open(t, &edge{}, nil), nil).URL, secret), t.Context()
	made := 0
	for _, tt := range []struct {
		rule, code string // empty where it is allowed
		change     func(*types.Origin)
	}{
		{"3 attempts of 10 seconds", "", func(o *types.Origin) { o.ConnectionAttempts, o.ConnectionTimeout = aws.Int32(3), aws.Int32(10) }},
		{"1 attempt of 1 second", "", func(o *types.Origin) { o.ConnectionAttempts, o.ConnectionTimeout = aws.Int32(1), aws.Int32(1) }},
		{"4 attempts", "InvalidArgument", func(o *types.Origin) { o.ConnectionAttempts = aws.Int32(4) }},
		{"11 seconds to connect", "InvalidArgument", func(o *types.Origin) { o.ConnectionTimeout = aws.Int32(11) }},
		{"120 seconds to answer", "", func(o *types.Origin) { o.CustomOriginConfig.OriginReadTimeout = aws.Int32(120) }},
		{"121 seconds to answer", "InvalidOriginReadTimeout", func(o *types.Origin) { o.CustomOriginConfig.OriginReadTimeout = aws.Int32(121) }},
		{"121 seconds to keep alive", "InvalidOriginKeepaliveTimeout", func(o *types.Origin) { o.CustomOriginConfig.OriginKeepaliveTimeout = aws.Int32(121) }},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			made++
			config := sdkConfig("r" + strconv.Itoa(made))
			tt.change(&config.Origins.Items[0])
			_, err := c.CreateDistribution(ctx, &cloudfront.CreateDistributionInput{DistributionConfig: config})
			if tt.code == "" && err != nil {
				t.Error(err)
			} else if tt.code != "" {
				refusedAs(t, tt.rule, tt.code, err)
			}
		})
	}
}

// A tag counts as one path.
func TestTagsCountAsPaths(t *testing.T) {
	e := &edge{}
	release := e.hold()
	defer release()
	r := open(t, e, func(c *api.RegisterConfig) {
		c.Quota = api.QuotaWindow
		c.Distributions = func() []distribution.Distribution {
			all := distributions()
			all[1].Config.CacheTagConfig = &distribution.CacheTagConfig{HeaderName: "Cache-Tag"}
			return all
		}
	})
	defer release()
	for i, tt := range []struct {
		paths []string
		want  string
	}{
		{append(numbered("a", "", 2998), "#one"), "<nil>"}, {[]string{"#two", "#three"}, "TooManyInvalidationsInProgress 400"},
		{[]string{"#two"}, "<nil>"}, {[]string{"/b"}, "TooManyInvalidationsInProgress 400"},
	} {
		_, err := r.Create(t.Context(), "E1PLAIN", api.Batch{CallerReference: strconv.Itoa(i), Paths: tt.paths})
		if got := codeIn(err); got != tt.want {
			t.Errorf("%d: %s, want %s", i, got, tt.want)
		}
	}
}
