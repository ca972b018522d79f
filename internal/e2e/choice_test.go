package e2e_test

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront/types"
)

const choosingConfig = `{"Distribution":{"Id":"ECHOOSES","DistributionConfig":{
 "CallerReference":"r","Comment":"","Enabled":true,"Aliases":{"Quantity":1,"Items":["choose.example.com"]},
 "Origins":{"Quantity":3,"Items":[
  {"Id":"live","DomainName":"site.s3.us-east-1.amazonaws.com","OriginPath":"/live","S3OriginConfig":{"OriginAccessIdentity":""}},
  {"Id":"beta","DomainName":"site.s3.us-east-1.amazonaws.com","OriginPath":"/beta","S3OriginConfig":{"OriginAccessIdentity":""}},
  {"Id":"next","DomainName":"site.s3.us-east-1.amazonaws.com","OriginPath":"/next","S3OriginConfig":{"OriginAccessIdentity":""}}]},
 "DefaultCacheBehavior":{"TargetOriginId":"live","ViewerProtocolPolicy":"allow-all","CachePolicyId":"658327ea-f89d-4fab-a63d-7e88639e58f6",
  "FunctionAssociations":{"Quantity":1,"Items":[{"EventType":"viewer-request","FunctionARN":"FUNCTION"}]}}}}}`

func chooser(then string) string {
	return "import cf from 'cloudfront';\nfunction handler(event) {\n  if (event.request.uri.startsWith('/try/')) { " + then + " }\n  return event.request;\n}\n"
}

// What viewers reach only because a function chooses the origin is invalidated
// and seen to be fresh: with a function from a file, with the one that replaces
// it, and with one that is published through the API.
func TestPromiseExactWhereAFunctionChoosesTheOrigin(t *testing.T) {
	dir := t.TempDir()
	code, file := filepath.Join(dir, "choose.js"), filepath.Join(dir, "distribution.json")
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(code, chooser("cf.selectRequestOriginById('beta');"))
	write(file, strings.Replace(choosingConfig, "FUNCTION", "arn:aws:cloudfront::000000000000:function/choose", 1))
	f := start(t, options{config: "distributions:\n- file: " + file + "\nfunctions:\n- name: choose\n  file: " + code + "\n"})
	client, objects := &http.Client{Transport: newTransport(t)}, f.s3(t)
	want := func(host, path, body string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.Edge+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		got, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer got.Body.Close()
		if text, _ := io.ReadAll(got.Body); string(text) != body {
			t.Errorf("%s: %s %q, want %q", path, got.Status, text, body)
		}
	}
	put := func(key, body string) {
		t.Helper()
		n := f.log.len()
		etag := f.mustPut(t, objects, key, body)
		done := f.log.awaitFrom(t, n, "verified: "+key, func(r record) bool { return r.Key == key && r.ETag == etag && r.State == verified })
		if strings.Contains(done.Reason, "no URL of it") {
			t.Errorf("%s: %s", key, done.Reason)
		}
	}
	const host = "choose.example.com"
	put("beta/try/a", "first")
	want(host, "/try/a", "first")
	put("beta/try/a", "second")
	want(host, "/try/a", "second")
	put("live/b", "first")
	want(host, "/b", "first")
	put("live/b", "second")
	want(host, "/b", "second")

	c, ctx := f.cloudfront(t), t.Context()
	made, err := c.CreateFunction(ctx, &cloudfront.CreateFunctionInput{Name: aws.String("api"), FunctionCode: []byte(chooser("")),
		FunctionConfig: &types.FunctionConfig{Comment: aws.String(""), Runtime: types.FunctionRuntimeCloudfrontJs20}})
	if err != nil {
		t.Fatal(err)
	}
	publish := func(etag *string) {
		t.Helper()
		if _, err := c.PublishFunction(ctx, &cloudfront.PublishFunctionInput{Name: aws.String("api"), IfMatch: etag}); err != nil {
			t.Fatal(err)
		}
	}
	publish(made.ETag)
	config, err := c.GetDistributionConfig(ctx, &cloudfront.GetDistributionConfigInput{Id: aws.String("ECHOOSES")})
	if err != nil {
		t.Fatal(err)
	}
	config.DistributionConfig.DefaultCacheBehavior.FunctionAssociations.Items[0].FunctionARN = made.FunctionSummary.FunctionMetadata.FunctionARN
	if _, err := c.UpdateDistribution(ctx, &cloudfront.UpdateDistributionInput{Id: aws.String("ECHOOSES"), IfMatch: config.ETag, DistributionConfig: config.DistributionConfig}); err != nil {
		t.Fatal(err)
	}
	updated, err := c.UpdateFunction(ctx, &cloudfront.UpdateFunctionInput{Name: aws.String("api"), IfMatch: made.ETag, FunctionCode: []byte(chooser("cf.selectRequestOriginById('next');")),
		FunctionConfig: &types.FunctionConfig{Comment: aws.String(""), Runtime: types.FunctionRuntimeCloudfrontJs20}})
	if err != nil {
		t.Fatal(err)
	}
	publish(updated.ETag)
	put("next/try/c", "first")
	want(host, "/try/c", "first")
	put("next/try/c", "second")
	want(host, "/try/c", "second")

	// What an earlier version brought may still be cached.
	updated, err = c.UpdateFunction(ctx, &cloudfront.UpdateFunctionInput{Name: aws.String("api"), IfMatch: updated.ETag, FunctionCode: []byte(chooser("cf.selectRequestOriginById('beta');")),
		FunctionConfig: &types.FunctionConfig{Comment: aws.String(""), Runtime: types.FunctionRuntimeCloudfrontJs20}})
	if err != nil {
		t.Fatal(err)
	}
	publish(updated.ETag)
	want(host, "/try/c", "second")
	n := f.log.len()
	etag := f.mustPut(t, objects, "next/try/c", "third")
	f.log.awaitFrom(t, n, "completed: next/try/c", func(r record) bool { return r.ETag == etag && r.State == verified })
	put("beta/try/c", "of the other origin")
	want(host, "/try/c", "of the other origin")
}
