package e2e_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront/types"
)

// A distribution that is made through the API while freshet runs is served at
// once, kept fresh like the one of the configuration, and there again after a
// crash.
func TestPromiseDistributionsOfTheAPIAreKeptFresh(t *testing.T) {
	f := start(t, options{})
	objects := f.s3(t)
	f.putVerified(t, objects, "a.txt", "first")
	c, ctx := f.cloudfront(t), t.Context()
	made, err := c.CreateDistribution(ctx, &cloudfront.CreateDistributionInput{DistributionConfig: &types.DistributionConfig{
		CallerReference: aws.String("r"), Comment: aws.String(""), Enabled: aws.Bool(true),
		Aliases: &types.Aliases{Quantity: aws.Int32(1), Items: []string{"second.example.com"}},
		Origins: &types.Origins{Quantity: aws.Int32(1), Items: []types.Origin{{Id: aws.String("bucket"), DomainName: aws.String(f.Bucket + ".s3.eu-west-1.amazonaws.com"),
			S3OriginConfig: &types.S3OriginConfig{OriginAccessIdentity: aws.String("")}}}},
		DefaultCacheBehavior: &types.DefaultCacheBehavior{TargetOriginId: aws.String("bucket"), ViewerProtocolPolicy: types.ViewerProtocolPolicyAllowAll,
			CachePolicyId: aws.String("658327ea-f89d-4fab-a63d-7e88639e58f6")},
	}})
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: newTransport(t)}
	want := func(f *running, when, path, cache, body, host string) {
		t.Helper()
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, f.Edge+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		got, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer got.Body.Close()
		text, err := io.ReadAll(got.Body)
		if err != nil || got.StatusCode != http.StatusOK || got.Header.Get("X-Cache") != cache+" from cloudfront" || string(text) != body {
			t.Errorf("%s: %d %s %q, %v; want %s %q", when, got.StatusCode, got.Header.Get("X-Cache"), text, err, cache, body)
		}
	}
	const host = "second.example.com"
	want(f, "at once", "/a.txt", "Miss", "first", host)
	want(f, "by its own name", "/a.txt", "Hit", "first", *made.Distribution.DomainName)
	f.putVerified(t, objects, "a.txt", "second")
	want(f, "after a change", "/a.txt", "Hit", "second", host) // verification has fetched it

	built, err := c.GetDistributionConfig(ctx, &cloudfront.GetDistributionConfigInput{Id: &f.Distribution})
	if err != nil {
		t.Fatal(err)
	}
	built.DistributionConfig.DefaultRootObject = aws.String("a.txt")
	if _, err := c.UpdateDistribution(ctx, &cloudfront.UpdateDistributionInput{Id: &f.Distribution, IfMatch: built.ETag, DistributionConfig: built.DistributionConfig}); err != nil {
		t.Fatal(err)
	}
	want(f, "the root of the built-in one", "/", "Miss", "second", "")
	f.kill()

	again := start(t, options{data: f.data, like: f})
	want(again, "after a crash", "/a.txt", "Miss", "second", host)
	again.putVerified(t, again.s3(t), "a.txt", "third")
	want(again, "after a change", "/a.txt", "Hit", "third", host)
	want(again, "the root of the built-in one", "/", "Hit", "third", "")

	got, err := again.cloudfront(t).GetDistribution(ctx, &cloudfront.GetDistributionInput{Id: made.Distribution.Id})
	if err != nil || *got.ETag != *made.ETag || !strings.HasSuffix(*got.Distribution.DomainName, ".cloudfront.localhost") {
		t.Errorf("the distribution is %+v, %v", got, err)
	}
}
