package survey_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront/types"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/route"
	"github.com/freshet/freshet/internal/survey"
)

// account has distributions and a policy; what is not there is an error.
type account struct {
	distributions []types.Distribution
	policy        types.CachePolicy
	tenants       []types.DistributionTenant
	pages         int
	denied        bool
}

func (a *account) GetDistribution(_ context.Context, in *cloudfront.GetDistributionInput, _ ...func(*cloudfront.Options)) (*cloudfront.GetDistributionOutput, error) {
	for _, d := range a.distributions {
		if *d.Id == *in.Id {
			return &cloudfront.GetDistributionOutput{Distribution: &d}, nil
		}
	}
	return nil, errors.New("NoSuchDistribution")
}

func (a *account) GetDistributionTenant(_ context.Context, in *cloudfront.GetDistributionTenantInput, _ ...func(*cloudfront.Options)) (*cloudfront.GetDistributionTenantOutput, error) {
	for _, t := range a.tenants {
		if *t.Id == *in.Identifier {
			return &cloudfront.GetDistributionTenantOutput{DistributionTenant: &t}, nil
		}
	}
	return nil, errors.New("EntityNotFound")
}

func (a *account) GetCachePolicy(_ context.Context, in *cloudfront.GetCachePolicyInput, _ ...func(*cloudfront.Options)) (*cloudfront.GetCachePolicyOutput, error) {
	if a.denied || *in.Id != *a.policy.Id {
		return nil, errors.New("AccessDenied")
	}
	return &cloudfront.GetCachePolicyOutput{CachePolicy: &a.policy}, nil
}

// ListDistributions has a distribution on each page.
func (a *account) ListDistributions(_ context.Context, in *cloudfront.ListDistributionsInput, _ ...func(*cloudfront.Options)) (*cloudfront.ListDistributionsOutput, error) {
	a.pages++
	i := 0
	if in.Marker != nil {
		i = slices.IndexFunc(a.distributions, func(d types.Distribution) bool { return *d.Id == *in.Marker }) + 1
	}
	d := a.distributions[i]
	list := &types.DistributionList{Items: []types.DistributionSummary{{Id: d.Id, Enabled: d.DistributionConfig.Enabled, Origins: d.DistributionConfig.Origins}}}
	if i+1 < len(a.distributions) {
		list.NextMarker, list.IsTruncated = d.Id, aws.Bool(true)
	}
	return &cloudfront.ListDistributionsOutput{DistributionList: list}, nil
}

func dist(id, host, originPath, policy string, enabled bool) types.Distribution {
	return types.Distribution{
		Id: &id, ARN: aws.String("arn:aws:cloudfront::1:distribution/" + id), DomainName: aws.String("d" + strings.ToLower(id) + ".cloudfront.net"), Status: aws.String("Deployed"),
		DistributionConfig: &types.DistributionConfig{
			CallerReference: aws.String("r"), Comment: aws.String(""), Enabled: &enabled, DefaultRootObject: aws.String("index.html"),
			Aliases: &types.Aliases{Quantity: aws.Int32(1), Items: []string{strings.ToLower(id) + ".example.com"}},
			Origins: &types.Origins{Quantity: aws.Int32(1), Items: []types.Origin{{
				Id: aws.String("o"), DomainName: &host, OriginPath: &originPath, S3OriginConfig: &types.S3OriginConfig{OriginAccessIdentity: aws.String("")},
				CustomHeaders: &types.CustomHeaders{Quantity: aws.Int32(0)},
			}}},
			DefaultCacheBehavior: &types.DefaultCacheBehavior{
				TargetOriginId: aws.String("o"), ViewerProtocolPolicy: types.ViewerProtocolPolicyRedirectToHttps, CachePolicyId: &policy,
				AllowedMethods: &types.AllowedMethods{Quantity: aws.Int32(2), Items: []types.Method{"GET", "HEAD"}, CachedMethods: &types.CachedMethods{Quantity: aws.Int32(2), Items: []types.Method{"GET", "HEAD"}}},
				Compress:       aws.Bool(true),
			},
			CustomErrorResponses: &types.CustomErrorResponses{Quantity: aws.Int32(0)},
			HttpVersion:          types.HttpVersionHttp2,
			PriceClass:           types.PriceClassPriceClassAll,
			CacheTagConfig:       &types.CacheTagConfig{HeaderName: aws.String("x-amz-meta-cache-tag")},
			ViewerCertificate:    &types.ViewerCertificate{CloudFrontDefaultCertificate: aws.Bool(true), MinimumProtocolVersion: types.MinimumProtocolVersionTLSv1},
		},
	}
}

func anAccount() *account {
	const optimized = "658327ea-f89d-4fab-a63d-7e88639e58f6"
	return &account{
		distributions: []types.Distribution{
			dist("E3", "site.s3.eu-west-1.amazonaws.com", "/v2", "11111111-2222-3333-4444-555555555555", true),
			dist("E1", "other.s3.amazonaws.com", "", optimized, true),
			dist("E2", "site.s3-website-us-east-1.amazonaws.com", "", optimized, false),
		},
		policy: types.CachePolicy{Id: aws.String("11111111-2222-3333-4444-555555555555"), CachePolicyConfig: &types.CachePolicyConfig{
			Name: aws.String("by-query"), MinTTL: aws.Int64(0), DefaultTTL: aws.Int64(60), MaxTTL: aws.Int64(600),
			ParametersInCacheKeyAndForwardedToOrigin: &types.ParametersInCacheKeyAndForwardedToOrigin{
				EnableAcceptEncodingGzip: aws.Bool(true),
				CookiesConfig:            &types.CachePolicyCookiesConfig{CookieBehavior: types.CachePolicyCookieBehaviorNone},
				HeadersConfig:            &types.CachePolicyHeadersConfig{HeaderBehavior: types.CachePolicyHeaderBehaviorNone},
				QueryStringsConfig:       &types.CachePolicyQueryStringsConfig{QueryStringBehavior: types.CachePolicyQueryStringBehaviorAll},
			},
		}},
	}
}

func TestFeeding(t *testing.T) {
	a := anAccount()
	got, err := survey.Feeding(t.Context(), a, "site")
	if err != nil || len(got) != 2 || !got["E3"] || got["E2"] || a.pages != 3 {
		t.Errorf("got %v, %v, from %d pages", got, err, a.pages)
	}
}

// What was read is what route works with: origin path, query strings of a custom
// policy, cache tags.
func TestRead(t *testing.T) {
	found, err := survey.Read(t.Context(), anAccount(), "E3", "E1", "E3")
	if err != nil || len(found.Distributions) != 2 || found.Distributions[0].ID != "E1" || len(found.CachePolicies) != 1 {
		t.Fatalf("got %+v, %v", found, err)
	}
	if c := found.Distributions[1].Config; c.CacheTagConfig == nil || c.CacheTagConfig.HeaderName != "x-amz-meta-cache-tag" || c.Aliases[0] != "e3.example.com" {
		t.Errorf("got %+v", c)
	}
	router, err := route.New(found.Distributions, route.Rules{})
	if err != nil {
		t.Fatal(err)
	}
	targets, _ := router.Targets([]freshet.Change{{Origin: "site", Key: "v2/a.css", Op: freshet.OpPut}}, nil)
	var patterns []freshet.Pattern
	for _, target := range targets {
		patterns = append(patterns, target.Pattern)
	}
	if !slices.Contains(patterns, "/a.css*") && !slices.Contains(patterns, "/a.css?*") {
		t.Errorf("got %q, want one for every query string below the origin path", patterns)
	}
}

func TestReadNamesWhatItCannotRead(t *testing.T) {
	a := anAccount()
	a.denied = true
	for id, text := range map[string]string{"E9": "read distribution E9: NoSuchDistribution", "E3": "read cache policy 11111111-2222-3333-4444-555555555555: AccessDenied"} {
		if _, err := survey.Read(t.Context(), a, id); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v, want %q", id, err, text)
		}
	}
	if found, err := survey.Read(t.Context(), a); err != nil || len(found.Distributions) > 0 {
		t.Errorf("nothing: %v, %v", found, err)
	}
}

// A tenant is its distribution with the tenant's ID, domains and parameters: what
// changes in its folder of the bucket is stale there, and in another's is not.
func TestReadTenants(t *testing.T) {
	a := anAccount()
	shared := dist("EMULTI", "{{store}}.s3.eu-west-1.amazonaws.com", "/{{folder}}", "658327ea-f89d-4fab-a63d-7e88639e58f6", true)
	shared.DistributionConfig.TenantConfig = &types.TenantConfig{ParameterDefinitions: []types.ParameterDefinition{
		{Name: aws.String("store"), Definition: &types.ParameterDefinitionSchema{StringSchema: &types.StringSchemaConfig{Required: aws.Bool(false), DefaultValue: aws.String("site")}}},
		{Name: aws.String("folder"), Definition: &types.ParameterDefinitionSchema{StringSchema: &types.StringSchemaConfig{Required: aws.Bool(true)}}},
	}}
	a.distributions = append(a.distributions, shared)
	for _, name := range []string{"one", "two"} {
		a.tenants = append(a.tenants, types.DistributionTenant{
			Id: aws.String("dt_" + name), DistributionId: aws.String("EMULTI"), Enabled: aws.Bool(true), Status: aws.String("Deployed"),
			Domains:    []types.DomainResult{{Domain: aws.String(name + ".example.org")}, {Domain: aws.String("www." + name + ".example.org")}},
			Parameters: []types.Parameter{{Name: aws.String("folder"), Value: aws.String(name)}},
		})
	}
	found, err := survey.Read(t.Context(), a, "dt_two", "dt_one")
	if err != nil || len(found.Distributions) != 2 || found.Distributions[0].ID != "dt_one" {
		t.Fatalf("got %+v, %v", found, err)
	}
	if got := found.Distributions[1].Hosts(); !slices.Contains(got, "two.example.org") || !slices.Contains(got, "www.two.example.org") || slices.Contains(got, "emulti.example.com") {
		t.Errorf("hosts are %q", got)
	}
	router, err := route.New(found.Distributions, route.Rules{})
	if err != nil {
		t.Fatal(err)
	}
	targets, _ := router.Targets([]freshet.Change{{Origin: "site", Key: "two/a.css", Op: freshet.OpPut}}, nil)
	if len(targets) != 1 || targets[0].Distribution != "dt_two" || targets[0].Pattern != "/a.css" {
		t.Errorf("got %+v", targets)
	}
	if aws.ToString(shared.DistributionConfig.Origins.Items[0].OriginPath) != "/{{folder}}" {
		t.Error("what the account answered was changed")
	}
	if _, err := survey.Read(t.Context(), a, "dt_three"); err == nil || !strings.Contains(err.Error(), "dt_three: EntityNotFound") {
		t.Errorf("a tenant that is not there: %v", err)
	}
	a.tenants[0].DistributionId = aws.String("EGONE")
	if _, err := survey.Read(t.Context(), a, "dt_one"); err == nil || !strings.Contains(err.Error(), "EGONE") {
		t.Errorf("a tenant of nothing: %v", err)
	}
}
