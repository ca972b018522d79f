package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront/types"
	"github.com/aws/smithy-go"

	"github.com/freshet/freshet/internal/cdn/cdntest"
	"github.com/freshet/freshet/internal/edge/api"
)

func goClient(url, secret string) *cloudfront.Client {
	return cloudfront.New(cloudfront.Options{Region: "eu-west-1", BaseEndpoint: &url, Retryer: aws.NopRetryer{}, HTTPClient: cdntest.Patient{},
		Credentials: credentials.NewStaticCredentialsProvider(keyID, secret, "")})
}

func goBatch(reference string, paths ...string) *types.InvalidationBatch {
	return &types.InvalidationBatch{CallerReference: &reference, Paths: &types.Paths{Quantity: aws.Int32(int32(len(paths))), Items: paths}}
}

func TestGoSDK(t *testing.T) {
	e := &edge{}
	release := e.hold()
	s := serve(t, open(t, e, nil), nil)
	c := goClient(s.URL, secret)
	ctx := t.Context()
	created, err := c.CreateInvalidation(ctx, &cloudfront.CreateInvalidationInput{DistributionId: aws.String("E1PLAIN"), InvalidationBatch: goBatch("go", "/a%20b", "/x?x=1&y=2")})
	if err != nil {
		t.Fatal(err)
	}
	id := created.Invalidation.Id
	if *created.Location != s.URL+create+"/"+*id || *created.Invalidation.Status != "InProgress" || created.Invalidation.CreateTime.IsZero() ||
		!slices.Equal(created.Invalidation.InvalidationBatch.Paths.Items, []string{"/a%20b", "/x?x=1&y=2"}) {
		t.Errorf("created %+v", created)
	}
	release()
	waiter := cloudfront.NewInvalidationCompletedWaiter(c, func(o *cloudfront.InvalidationCompletedWaiterOptions) {
		o.MinDelay, o.MaxDelay = 10*time.Millisecond, time.Second
	})
	if err := waiter.Wait(ctx, &cloudfront.GetInvalidationInput{DistributionId: aws.String("E1PLAIN"), Id: id}, 20*time.Second); err != nil {
		t.Error(err)
	}
	list, err := c.ListInvalidations(ctx, &cloudfront.ListInvalidationsInput{DistributionId: aws.String("E1PLAIN"), MaxItems: aws.Int32(5)})
	if err != nil || len(list.InvalidationList.Items) != 1 || *list.InvalidationList.Items[0].Status != "Completed" || *list.InvalidationList.MaxItems != 5 || *list.InvalidationList.IsTruncated {
		t.Errorf("list %+v, %v", list, err)
	}
}

// No member that CloudFront's model requires may be nil in what the SDK parsed.
// The SDK marks those members in its documentation only, so they are named here.
func TestGoSDKFindsRequiredMembers(t *testing.T) {
	s := serve(t, open(t, &edge{}, nil), nil)
	c := goClient(s.URL, secret)
	for _, id := range []string{"E1PLAIN", "E2RICH"} {
		d, err := c.GetDistribution(t.Context(), &cloudfront.GetDistributionInput{Id: &id})
		if err != nil {
			t.Fatal(err)
		}
		required(t, d.Distribution, "Id", "ARN", "Status", "LastModifiedTime", "InProgressInvalidationBatches", "DomainName", "DistributionConfig")
		requiredOfConfig(t, d.Distribution.DistributionConfig)
		if *d.Distribution.ARN != "arn:aws:cloudfront::123456789012:distribution/"+id || *d.Distribution.Status != "Deployed" {
			t.Errorf("ARN %s, status %s", *d.Distribution.ARN, *d.Distribution.Status)
		}
		config, err := c.GetDistributionConfig(t.Context(), &cloudfront.GetDistributionConfigInput{Id: &id})
		if err != nil || !reflect.DeepEqual(config.DistributionConfig, d.Distribution.DistributionConfig) || *config.ETag != *d.ETag {
			t.Errorf("GetDistributionConfig and GetDistribution differ: %v", err)
		}
	}
	list, err := c.ListDistributions(t.Context(), &cloudfront.ListDistributionsInput{})
	if err != nil || len(list.DistributionList.Items) != 2 {
		t.Fatalf("list %+v, %v", list, err)
	}
	required(t, list.DistributionList, "Marker", "MaxItems", "IsTruncated", "Quantity")
	for _, d := range list.DistributionList.Items {
		required(t, &d, "Id", "ARN", "Status", "LastModifiedTime", "DomainName", "Aliases", "Origins", "DefaultCacheBehavior", "CacheBehaviors",
			"CustomErrorResponses", "Comment", "PriceClass", "Enabled", "ViewerCertificate", "Restrictions", "WebACLId", "HttpVersion", "IsIPV6Enabled", "Staging", "ETag")
	}
}

// The legacy cache settings are what our distribution model has.
func requiredOfConfig(t *testing.T, c *types.DistributionConfig) {
	t.Helper()
	required(t, c, "CallerReference", "Aliases", "DefaultRootObject", "Origins", "DefaultCacheBehavior", "CacheBehaviors", "CustomErrorResponses", "Comment",
		"Logging", "PriceClass", "Enabled", "ViewerCertificate", "Restrictions", "WebACLId", "HttpVersion")
	required(t, c.Restrictions.GeoRestriction, "RestrictionType", "Quantity")
	required(t, c.Aliases, "Quantity")
	for _, o := range c.Origins.Items {
		required(t, &o, "Id", "DomainName", "OriginPath", "CustomHeaders")
		switch {
		case o.S3OriginConfig != nil:
			required(t, o.S3OriginConfig, "OriginAccessIdentity")
		default:
			required(t, o.CustomOriginConfig, "HTTPPort", "HTTPSPort", "OriginProtocolPolicy", "OriginSslProtocols")
		}
		if (o.S3OriginConfig == nil) == (o.CustomOriginConfig == nil) || (*o.Id == "assets" || *o.Id == "site" && *c.CallerReference == "E1PLAIN") != (o.S3OriginConfig != nil) {
			t.Errorf("origin %s has S3 %v and custom %v", *o.Id, o.S3OriginConfig, o.CustomOriginConfig)
		}
	}
	b := c.DefaultCacheBehavior
	required(t, b, "TargetOriginId", "TrustedSigners", "TrustedKeyGroups", "ViewerProtocolPolicy", "AllowedMethods", "SmoothStreaming", "Compress", "ForwardedValues", "MinTTL", "DefaultTTL", "MaxTTL")
	required(t, b.AllowedMethods, "Quantity", "Items", "CachedMethods")
	required(t, b.AllowedMethods.CachedMethods, "Quantity", "Items")
	required(t, b.ForwardedValues, "QueryString", "Cookies", "Headers", "QueryStringCacheKeys")
	if *b.MinTTL != 0 || *b.DefaultTTL != 86400 || *b.MaxTTL != 31536000 || b.ViewerProtocolPolicy != types.ViewerProtocolPolicyAllowAll || b.ForwardedValues.Cookies.Forward != types.ItemSelectionNone {
		t.Errorf("default behavior %+v", b)
	}
	for _, b := range c.CacheBehaviors.Items {
		required(t, &b, "PathPattern", "TargetOriginId", "ViewerProtocolPolicy", "ForwardedValues")
	}
}

// required fails for each named member of the struct behind p that is not set.
func required(t *testing.T, p any, members ...string) {
	t.Helper()
	v := reflect.ValueOf(p).Elem()
	for _, name := range members {
		if v.FieldByName(name).IsZero() {
			t.Errorf("%s.%s is missing", v.Type().Name(), name)
		}
	}
}

func TestGoSDKErrors(t *testing.T) {
	s := serve(t, open(t, &edge{}, nil), nil)
	code := func(err error) string {
		var e smithy.APIError
		if !errors.As(err, &e) {
			return "no API error: " + err.Error()
		}
		return e.ErrorCode()
	}
	_, err := goClient(s.URL, "wrong").ListDistributions(t.Context(), nil)
	if got := code(err); got != "SignatureDoesNotMatch" {
		t.Errorf("wrong secret: %s", got)
	}
	c := goClient(s.URL, secret)
	var missing *types.NoSuchInvalidation
	if _, err = c.GetInvalidation(t.Context(), &cloudfront.GetInvalidationInput{DistributionId: aws.String("E1PLAIN"), Id: aws.String("INONE")}); !errors.As(err, &missing) {
		t.Errorf("unknown invalidation: %v", err)
	}
	var large *types.BatchTooLarge
	_, err = c.CreateInvalidation(t.Context(), &cloudfront.CreateInvalidationInput{DistributionId: aws.String("E1PLAIN"), InvalidationBatch: goBatch("r", slices.Repeat([]string{"/a"}, 3001)...)})
	if !errors.As(err, &large) {
		t.Errorf("3,001 paths: %v", err)
	}
	_, err = c.CreateInvalidationForDistributionTenant(t.Context(), &cloudfront.CreateInvalidationForDistributionTenantInput{Id: aws.String("dt"), InvalidationBatch: goBatch("r", "/a")})
	if got := code(err); got != "EntityNotFound" {
		t.Errorf("tenant: %s", got)
	}
	_, err = c.VerifyDnsConfiguration(t.Context(), &cloudfront.VerifyDnsConfigurationInput{Identifier: aws.String("dt")})
	if got := code(err); got != "UnsupportedOperation" {
		t.Errorf("unknown operation: %s", got)
	}
}

func TestBoto3(t *testing.T) {
	python := "python3"
	if exec.Command(python, "-c", "import boto3").Run() != nil {
		python = "/usr/bin/python3" // for which the system's packages are
	}
	if exec.Command(python, "-c", "import boto3").Run() != nil {
		missing(t, "python3 with boto3")
	}
	e := &edge{}
	s := serve(t, open(t, e, nil), nil)
	var seen struct {
		Version, Location, Created string
		Status                     int
		Found, Listed, Behavior    any
		Same                       []bool
		Distributions              any
		Modified                   string
		Errors                     [][]any
	}
	text, err := run(t, secret, python, filepath.Join("testdata", "boto3_client.py"), s.URL)
	if err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	if err := json.Unmarshal([]byte(text), &seen); err != nil {
		t.Fatal(err)
	}
	t.Logf("boto3 %s", seen.Version)
	if seen.Status != 201 || seen.Created != "InProgress" || !strings.HasPrefix(seen.Location, s.URL+create+"/I") {
		t.Errorf("created: %+v", seen)
	}
	for what, pair := range map[string][2]any{
		"found":         {seen.Found, []any{true, "Completed", "boto3", 3.0}},
		"listed":        {seen.Listed, []any{5.0, 5.0, true}},
		"same":          {seen.Same, []bool{true, true}},
		"behavior":      {seen.Behavior, true},
		"modified":      {seen.Modified, "2026-01-02T03:04:05+00:00"},
		"distributions": {seen.Distributions, []any{[]any{"E1PLAIN", []any{}, []any{"site"}, "freshet: bucket site"}, []any{"E2RICH", []any{"www.example.com", "cdn.example.com"}, []any{"assets", "app", "site"}, "<&> é"}}},
		"errors": {seen.Errors, [][]any{{"InvalidArgument", 400.0, "InvalidArgument"}, {"NoSuchDistribution", 404.0, "NoSuchDistribution"}, {"InconsistentQuantities", 400.0, "InconsistentQuantities"},
			{"NoSuchInvalidation", 404.0, "NoSuchInvalidation"}, {"NoSuchDistribution", 404.0, "NoSuchDistribution"}, {"SignatureDoesNotMatch", 403.0, "ClientError"}}},
	} {
		if !reflect.DeepEqual(pair[0], pair[1]) {
			t.Errorf("%s: got %v, want %v", what, pair[0], pair[1])
		}
	}
	if n := len(e.seen()); n != 5 {
		t.Errorf("the edge was told %d times, want 5", n)
	}
}

// run starts a client with nothing of the user's AWS configuration.
func run(t *testing.T, secret, program string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, program, args...)
	c.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "AWS_") })
	c.Env = append(c.Env, "AWS_ACCESS_KEY_ID="+keyID, "AWS_SECRET_ACCESS_KEY="+secret, "AWS_DEFAULT_REGION=eu-central-1", "AWS_PAGER=", "AWS_MAX_ATTEMPTS=1",
		"AWS_CONFIG_FILE="+os.DevNull, "AWS_SHARED_CREDENTIALS_FILE="+os.DevNull, "AWS_EC2_METADATA_DISABLED=true", "PYTHONDONTWRITEBYTECODE=1")
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	err := c.Run()
	return out.String(), err
}

// awsCLIs finds every aws on the PATH: versions 1 and 2 send and parse
// differently.
func awsCLIs() []string {
	var found []string
	for _, folder := range filepath.SplitList(os.Getenv("PATH")) {
		if path, err := exec.LookPath(filepath.Join(folder, "aws")); err == nil {
			found = append(found, path)
		}
	}
	return found
}

func TestAWSCLI(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the AWS CLI two dozen times")
	}
	clis := awsCLIs()
	if len(clis) == 0 {
		missing(t, "the AWS CLI")
	}
	tested := make(map[string]bool)
	for _, cli := range clis {
		version, err := run(t, secret, cli, "--version")
		if tested[version] {
			continue
		}
		tested[version] = true
		t.Run(strings.Fields(version + " ?")[0], func(t *testing.T) {
			if err != nil {
				t.Fatalf("%v: %s", err, version)
			}
			testAWSCLI(t, cli)
		})
	}
}

func testAWSCLI(t *testing.T, cli string) {
	e := &edge{}
	r := open(t, e, nil)
	s := serve(t, r, nil)
	call := func(args ...string) (string, error) {
		return run(t, secret, cli, append([]string{"--endpoint-url", s.URL, "--output", "text", "cloudfront"}, args...)...)
	}
	want := func(want string, args ...string) string {
		t.Helper()
		got, err := call(args...)
		got = strings.TrimSpace(got)
		if err != nil || !regexp.MustCompile("^(?:"+want+")$").MatchString(got) {
			t.Errorf("aws %s: %q, %v, want %s", args[0], got, err, want)
		}
		return got
	}
	id := want(`I[A-Z0-9]{13}`, "create-invalidation", "--distribution-id", "E1PLAIN", "--paths", "/a%20b", "/c/*", "/d?e=f&g", "--query", "Invalidation.Id")
	eventually(t, "completion", completed(r, "E1PLAIN", id))
	want(``, "wait", "invalidation-completed", "--distribution-id", "E1PLAIN", "--id", id)
	want("Completed\t3\t/c/\\*", "get-invalidation", "--distribution-id", "E1PLAIN", "--id", id, "--query", "[Invalidation.Status, Invalidation.InvalidationBatch.Paths.Quantity, Invalidation.InvalidationBatch.Paths.Items[1]]")
	const given = `{"CallerReference":"cli","Paths":{"Quantity":1,"Items":["/x"]}}`
	second := want(`I[A-Z0-9]{13}`, "create-invalidation", "--distribution-id", "E1PLAIN", "--invalidation-batch", given, "--query", "Invalidation.Id")
	want(second, "create-invalidation", "--distribution-id", "E1PLAIN", "--invalidation-batch", given, "--query", "Invalidation.Id")
	all := []string{second, id}
	for n := range 3 {
		i, err := r.Create(t.Context(), "E1PLAIN", api.Batch{CallerReference: string(rune('a' + n)), Paths: []string{"/y"}})
		if err != nil {
			t.Fatal(err)
		}
		all = append([]string{i.ID}, all...)
	}
	list := []string{"list-invalidations", "--distribution-id", "E1PLAIN", "--query", "InvalidationList.Items[].Id"}
	for _, paged := range [][]string{{}, {"--page-size", "2"}, {"--no-paginate"}} {
		got := strings.Fields(want(`(?s).*`, append(slices.Clone(list), paged...)...))
		if !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(all))) || len(got) > 0 && got[len(got)-1] != id {
			t.Errorf("list-invalidations %v: %v, want %v", paged, got, all)
		}
	}
	if got := strings.Fields(want(`(?s).*`, append(slices.Clone(list), "--max-items", "3")...)); len(got) < 3 || slices.Contains(got[:3], id) {
		t.Errorf("--max-items 3 gave %v", got)
	}
	want("e1plain.cloudfront.localhost\tDeployed\t0", "get-distribution", "--id", "E1PLAIN", "--query", "Distribution.[DomainName, Status, InProgressInvalidationBatches]")
	want("index.html\thttp2\tE[A-Z0-9]{13}", "get-distribution-config", "--id", "E1PLAIN", "--query", "[DistributionConfig.DefaultRootObject, DistributionConfig.HttpVersion, ETag]")
	want("E1PLAIN\tE2RICH", "list-distributions", "--query", "DistributionList.Items[].Id")
	want("E1PLAIN\\sE2RICH", "list-distributions", "--page-size", "1", "--query", "DistributionList.Items[].Id")
	for code, args := range map[string][]string{
		"InvalidArgument":    {"create-invalidation", "--distribution-id", "E1PLAIN", "--paths", "/a b"},
		"NoSuchDistribution": {"create-invalidation", "--distribution-id", "odd id+~", "--paths", "/a"},
		"NoSuchInvalidation": {"get-invalidation", "--distribution-id", "E1PLAIN", "--id", "INONE"},
	} {
		if got, err := call(args...); err == nil || !strings.Contains(got, "("+code+")") {
			t.Errorf("aws %v: %q, %v, want %s", args, got, err, code)
		}
	}
	if got, err := run(t, "wrong", cli, "--endpoint-url", s.URL, "cloudfront", "list-distributions"); err == nil || !strings.Contains(got, "(SignatureDoesNotMatch)") {
		t.Errorf("with a wrong secret: %q, %v", got, err)
	}
}
