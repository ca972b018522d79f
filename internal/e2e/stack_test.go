package e2e_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/cloudfront"
)

// What cdk synth writes for a bucket, an application and a distribution with a
// policy of its own.
const stack = `{"Resources":{
 "Site":{"Type":"AWS::S3::Bucket","UpdateReplacePolicy":"Retain","DeletionPolicy":"Retain"},
 "Policy4A":{"Type":"AWS::CloudFront::CachePolicy","Properties":{"CachePolicyConfig":{"DefaultTTL":60,"MaxTTL":120,"MinTTL":0,"Name":"StackPolicy",
  "ParametersInCacheKeyAndForwardedToOrigin":{"CookiesConfig":{"CookieBehavior":"none"},"EnableAcceptEncodingBrotli":true,"EnableAcceptEncodingGzip":true,
   "HeadersConfig":{"HeaderBehavior":"none"},"QueryStringsConfig":{"QueryStringBehavior":"whitelist","QueryStrings":["v"]}}}}},
 "Control1":{"Type":"AWS::CloudFront::OriginAccessControl","Properties":{"OriginAccessControlConfig":{"Name":"c","OriginAccessControlOriginType":"s3","SigningBehavior":"always","SigningProtocol":"sigv4"}}},
 "Dist5B":{"Type":"AWS::CloudFront::Distribution","Properties":{"DistributionConfig":{
  "Aliases":["stack.example.com"],"Comment":"from a stack","DefaultRootObject":"index.html","Enabled":true,"HttpVersion":"http2","IPV6Enabled":true,
  "CustomErrorResponses":[{"ErrorCode":404,"ErrorCachingMinTTL":5,"ResponseCode":404,"ResponsePagePath":"/404.html"}],
  "DefaultCacheBehavior":{"CachePolicyId":{"Ref":"Policy4A"},"Compress":true,"TargetOriginId":"O1","ViewerProtocolPolicy":"allow-all"},
  "CacheBehaviors":[{"PathPattern":"/api/*","CachePolicyId":"4135ea2d-6df8-44a3-9df3-4b5a84be39ad","OriginRequestPolicyId":"b689b0a8-53d0-40ab-baf2-68738e2966ac","TargetOriginId":"O2","ViewerProtocolPolicy":"allow-all"}],
  "Origins":[{"DomainName":{"Fn::GetAtt":["Site","RegionalDomainName"]},"Id":"O1","OriginAccessControlId":{"Fn::GetAtt":["Control1","Id"]},"S3OriginConfig":{"OriginAccessIdentity":""}},
   {"DomainName":"app.example.com","Id":"O2","CustomOriginConfig":{"OriginProtocolPolicy":"https-only","OriginSSLProtocols":["TLSv1.2"]}}]}}}}}`

// The distribution of a stack is served as it is, beside the built-in one, with
// the bucket and a server on this machine as its origins.
func TestStacksAreServedUnchanged(t *testing.T) {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "app "+r.URL.Path) }))
	t.Cleanup(app.Close)
	file := filepath.Join(t.TempDir(), "Stack.template.json")
	if err := os.WriteFile(file, []byte(stack), 0o600); err != nil {
		t.Fatal(err)
	}
	f := start(t, options{config: "distributions:\n- file: " + file + "\n  resources: {Site: site}\norigins:\n  app.example.com: " + app.URL + "\n"})
	f.putVerified(t, f.s3(t), "a.txt", "first")
	client := &http.Client{Transport: newTransport(t)}
	want := func(path, host, want string) {
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
		body, _ := io.ReadAll(got.Body)
		if text := got.Header.Get("X-Cache") + " " + string(body); text != want {
			t.Errorf("%s at %s: %q, want %q", path, host, text, want)
		}
	}
	want("/a.txt?v=1", "stack.example.com", "Miss from cloudfront first")
	want("/a.txt?v=1&w=2", "stack.example.com", "Hit from cloudfront first")
	want("/api/x", "stack.example.com", "Miss from cloudfront app /api/x")
	want("/a.txt", "", "Hit from cloudfront first") // verification has fetched it

	c := f.cloudfront(t)
	list, err := c.ListDistributions(t.Context(), nil)
	if err != nil || len(list.DistributionList.Items) != 2 {
		t.Fatalf("listed %+v, %v", list, err)
	}
	for _, d := range list.DistributionList.Items {
		got, err := c.GetDistributionConfig(t.Context(), &cloudfront.GetDistributionConfigInput{Id: d.Id})
		if err != nil {
			t.Fatal(err)
		}
		if *d.Id != f.Distribution {
			policy, err := c.GetCachePolicy(t.Context(), &cloudfront.GetCachePolicyInput{Id: got.DistributionConfig.DefaultCacheBehavior.CachePolicyId})
			if err != nil || *policy.CachePolicy.CachePolicyConfig.Name != "StackPolicy" || *policy.CachePolicy.CachePolicyConfig.MaxTTL != 120 {
				t.Errorf("the policy is %+v, %v", policy, err)
			}
			if !strings.HasPrefix(*got.DistributionConfig.Comment, "from a stack") || len(got.DistributionConfig.CacheBehaviors.Items) != 1 {
				t.Errorf("the distribution is %+v", got.DistributionConfig)
			}
		}
		if _, err := c.UpdateDistribution(t.Context(), &cloudfront.UpdateDistributionInput{Id: d.Id, IfMatch: got.ETag, DistributionConfig: got.DistributionConfig}); err != nil {
			t.Errorf("sent back as it was read: %v", err)
		}
	}
	f.putVerified(t, f.s3(t), "a.txt", "second")
	want("/a.txt?v=1", "stack.example.com", "Miss from cloudfront second")
}
