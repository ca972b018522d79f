package release_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	ltypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/smithy-go"

	"github.com/freshet/freshet/internal/release"
	"github.com/freshet/freshet/internal/release/lambdatest"
)

const repository = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/site"

type fakeRegistry struct {
	digest string
	err    error
	asked  *ecr.DescribeImagesInput
}

func (f *fakeRegistry) DescribeImages(_ context.Context, in *ecr.DescribeImagesInput, _ ...func(*ecr.Options)) (*ecr.DescribeImagesOutput, error) {
	f.asked = in
	if f.err != nil {
		return nil, f.err
	}
	return &ecr.DescribeImagesOutput{ImageDetails: []types.ImageDetail{{ImageDigest: &f.digest}}}, nil
}

func TestResolve(t *testing.T) {
	tagged, _ := release.ParseImage(repository + ":v7")
	for _, tt := range []struct {
		f    fakeRegistry
		want string
		err  string
	}{
		{fakeRegistry{digest: "sha256:1"}, "sha256:1", ""},
		{fakeRegistry{}, "", "describes no image"},
		{fakeRegistry{err: &smithy.GenericAPIError{Code: "ImageNotFoundException", Message: "no such tag"}}, "", "ask the registry for site:v7: ImageNotFoundException: no such tag"},
		{fakeRegistry{err: &smithy.GenericAPIError{Code: "AccessDeniedException"}}, "", "ecr:DescribeImages"},
	} {
		got, err := release.Resolve(t.Context(), &tt.f, tagged)
		if got != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%q, %v; want %q, %q", got, err, tt.want, tt.err)
		}
		if aws.ToString(tt.f.asked.RegistryId) != "123456789012" || aws.ToString(tt.f.asked.ImageIds[0].ImageTag) != "v7" {
			t.Errorf("%+v", tt.f.asked)
		}
	}
	if _, err := release.Resolve(t.Context(), &fakeRegistry{err: &smithy.GenericAPIError{Code: "AccessDeniedException"}}, tagged); !errors.Is(err, release.ErrUnresolved) {
		t.Error(err)
	}
	digest := "sha256:" + strings.Repeat("ab", 32)
	pinned, _ := release.ParseImage(repository + "@" + digest)
	if got, err := release.Resolve(t.Context(), nil, pinned); err != nil || got != digest {
		t.Errorf("%s, %v", got, err)
	}
}

// An image is deployed by its digest; a tag that was moved deploys nothing by
// itself, and one that could not be resolved is deployed as it is.
func TestReleaseOfAnImage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld("live")
		w.lambda.Tag(repository+":v1", "first")
		w.lambda.CreateImage("site", "live", repository+":v1")
		digest := w.lambda.Tag(repository+":v1", "second")
		set := func(uri, code string) func(r *release.Release) {
			return func(r *release.Release) {
				r.Wanted.Code, r.Wanted.Image, r.Zip, r.Facts, r.Wanted.Probe = code, uri, nil, nil, false
			}
		}
		r := w.release(set("", ""))
		if now, err := r.Deployed(t.Context()); err != nil || now == digest || !strings.HasPrefix(now, "sha256:") {
			t.Errorf("a moved tag was deployed: %s, %v", now, err)
		}
		w.lambda.Next(lambdatest.Script{Takes: 3 * time.Second})
		if err := w.run(t, -1, set(repository+"@"+digest, digest)); err != nil || w.sent != 2 {
			t.Fatalf("%v, %d invalidations", err, w.sent)
		}
		if sha, version := w.lambda.Answers("site", "live"); "sha256:"+sha != digest || version != "2" {
			t.Errorf("%s at version %s", sha, version)
		}
		w.lambda.Tag(repository+":v1", "third")
		if err := w.run(t, -1, set(repository+":v1", "")); err != nil || w.sent != 4 {
			t.Fatalf("%v, %d invalidations", err, w.sent)
		}
		if got := strings.Join(w.lambda.Calls(), "\n"); strings.Count(got, "UpdateFunctionCode") != 2 || strings.Count(got, "PublishVersion") != 2 {
			t.Error(got)
		}
		// The same again, by a tag that nobody may ask about: Lambda finds that it
		// is the same.
		if err := w.run(t, -1, set(repository+":v1", "")); err != nil || w.sent != 4 {
			t.Fatalf("%v, %d invalidations", err, w.sent)
		}
	})
}

type fakeMetrics struct {
	asked []*cloudwatch.GetMetricStatisticsInput
	err   error
}

func (f *fakeMetrics) GetMetricStatistics(_ context.Context, in *cloudwatch.GetMetricStatisticsInput, _ ...func(*cloudwatch.Options)) (*cloudwatch.GetMetricStatisticsOutput, error) {
	f.asked = append(f.asked, in)
	n := map[string]float64{"Invocations": 100, "Errors": 2}[aws.ToString(in.MetricName)]
	return &cloudwatch.GetMetricStatisticsOutput{Datapoints: []cwtypes.Datapoint{{Sum: &n}, {Sum: &n}}}, f.err
}

func TestCounted(t *testing.T) {
	f := new(fakeMetrics)
	n, faults, err := release.Counted(f, "site", "live")(t.Context(), "7", time.Now())
	if n != 200 || faults != 4 || err != nil {
		t.Errorf("%v, %v, %v", n, faults, err)
	}
	dims := make(map[string]string)
	for _, d := range f.asked[1].Dimensions {
		dims[*d.Name] = *d.Value
	}
	if dims["FunctionName"] != "site" || dims["Resource"] != "site:live" || dims["ExecutedVersion"] != "7" {
		t.Errorf("%v", dims)
	}
	f.err = &smithy.GenericAPIError{Code: "AccessDenied"}
	if _, _, err := release.Counted(f, "site", "live")(t.Context(), "7", time.Now()); err == nil || !strings.Contains(err.Error(), "cloudwatch:GetMetricStatistics") {
		t.Error(err)
	}
}

type fakeURLs struct {
	out *lambda.GetFunctionUrlConfigOutput
	err error
}

func (f fakeURLs) GetFunctionUrlConfig(context.Context, *lambda.GetFunctionUrlConfigInput, ...func(*lambda.Options)) (*lambda.GetFunctionUrlConfigOutput, error) {
	return f.out, f.err
}

func TestFunctionURL(t *testing.T) {
	at, signed, err := release.FunctionURL(t.Context(), fakeURLs{out: &lambda.GetFunctionUrlConfigOutput{FunctionUrl: aws.String("https://x.lambda-url.eu-west-1.on.aws/"), AuthType: ltypes.FunctionUrlAuthTypeAwsIam}}, "site", "live")
	if at != "https://x.lambda-url.eu-west-1.on.aws/" || !signed || err != nil {
		t.Errorf("%s, %v, %v", at, signed, err)
	}
	_, _, err = release.FunctionURL(t.Context(), fakeURLs{err: &smithy.GenericAPIError{Code: "ResourceNotFoundException"}}, "site", "")
	if err == nil || !strings.Contains(err.Error(), "--origin") {
		t.Error(err)
	}
}

// What a function URL with authorization gets is signed for Lambda, and what
// answers with an error speaks against the code.
func TestSampler(t *testing.T) {
	status := http.StatusOK
	var authorization string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		authorization = r.Header.Get("Authorization")
		w.WriteHeader(status)
	}))
	defer s.Close()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	sample := release.Sampler(release.Signed{Next: transport, Credentials: credentials.NewStaticCredentialsProvider("AKIAEXAMPLE", "secret", ""), Region: "eu-west-1"}, s.URL+"/")
	for at, fails := range map[int]bool{200: false, 302: false, 404: false, 500: true, 502: true} {
		status = at
		if err := sample(t.Context()); (err != nil) != fails {
			t.Errorf("%d: %v", at, err)
		}
	}
	if !strings.Contains(authorization, "/eu-west-1/lambda/aws4_request") {
		t.Error(authorization)
	}
}
