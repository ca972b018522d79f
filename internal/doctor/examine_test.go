package doctor_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/cdn"
	driver "github.com/freshet/freshet/internal/cdn/cloudfront"
	"github.com/freshet/freshet/internal/distribution"
	"github.com/freshet/freshet/internal/doctor"
)

// world is an account with a bucket www, a distribution E1 in front of it and
// somebody who invalidates what changes. It may be wrong in several ways.
type world struct {
	mu       sync.Mutex
	objects  map[string]string
	versions []string // that are there, where the bucket has versions
	cached   map[string]string
	sent     []driver.Sent

	versioned, deaf, stuck, stale, hanging bool
	missed                                 int // so many of the first changes are not told
	refuse                                 map[string]error
}

func newWorld() *world {
	return &world{objects: map[string]string{"v2/index.html": "x", "other": "y"}, cached: map[string]string{}, refuse: map[string]error{}}
}

func (w *world) clients() doctor.Clients {
	return doctor.Clients{CloudFront: (*fakeCloudFront)(w), S3: (*fakeS3)(w), STS: (*fakeSTS)(w), Invalidations: (*fakeCDN)(w), Fetch: w.fetch, Region: "eu-west-1"}
}

// changed has a change invalidated a while later.
func (w *world) changed(key string) {
	if w.missed--; w.deaf || w.missed >= 0 {
		return
	}
	path := "/" + strings.TrimPrefix(key, "v2/")
	time.AfterFunc(3*time.Second, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if !w.stale {
			delete(w.cached, path)
		}
		w.sent = append([]driver.Sent{{ID: fmt.Sprintf("I%d", len(w.sent)), At: time.Now(), Patterns: []freshet.Pattern{freshet.Pattern(path)}}}, w.sent...)
	})
}

func (w *world) fetch(ctx context.Context, d *distribution.Distribution, path string) (doctor.Reply, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.hanging {
		w.mu.Unlock()
		<-ctx.Done()
		w.mu.Lock()
		return doctor.Reply{}, ctx.Err()
	}
	if path == "/" {
		return doctor.Reply{Status: 200}, nil
	}
	if body, ok := w.cached[path]; ok {
		return doctor.Reply{Status: 200, Cache: "Hit from cloudfront", Body: body}, nil
	}
	body, ok := w.objects[strings.TrimPrefix(d.Config.Origins[0].OriginPath+path, "/")]
	if !ok {
		return doctor.Reply{Status: 403, Cache: "Error from cloudfront"}, w.refuse["Fetch"]
	}
	w.cached[path] = body
	return doctor.Reply{Status: 200, Cache: "Miss from cloudfront", Body: body}, w.refuse["Fetch"]
}

type fakeSTS world

func (f *fakeSTS) GetCallerIdentity(context.Context, *sts.GetCallerIdentityInput, ...func(*sts.Options)) (*sts.GetCallerIdentityOutput, error) {
	return &sts.GetCallerIdentityOutput{Account: aws.String("1"), Arn: aws.String("arn:aws:iam::1:user/u")}, f.refuse["GetCallerIdentity"]
}

type fakeS3 world

func (f *fakeS3) HeadBucket(context.Context, *s3.HeadBucketInput, ...func(*s3.Options)) (*s3.HeadBucketOutput, error) {
	return &s3.HeadBucketOutput{BucketRegion: aws.String("eu-west-1")}, f.refuse["HeadBucket"]
}

func (f *fakeS3) HeadObject(_ context.Context, in *s3.HeadObjectInput, _ ...func(*s3.Options)) (*s3.HeadObjectOutput, error) {
	return &s3.HeadObjectOutput{CacheControl: aws.String("max-age=0")}, f.refuse["HeadObject"]
}

func (f *fakeS3) ListObjectsV2(context.Context, *s3.ListObjectsV2Input, ...func(*s3.Options)) (*s3.ListObjectsV2Output, error) {
	out := &s3.ListObjectsV2Output{}
	for key := range f.objects {
		out.Contents = append(out.Contents, s3types.Object{Key: &key})
	}
	return out, f.refuse["ListObjectsV2"]
}

func (f *fakeS3) GetBucketNotificationConfiguration(context.Context, *s3.GetBucketNotificationConfigurationInput, ...func(*s3.Options)) (*s3.GetBucketNotificationConfigurationOutput, error) {
	filter := &s3types.NotificationConfigurationFilter{Key: &s3types.S3KeyFilter{FilterRules: []s3types.FilterRule{{Name: "Prefix", Value: aws.String("v2/")}}}}
	return &s3.GetBucketNotificationConfigurationOutput{
		QueueConfigurations:          []s3types.QueueConfiguration{{QueueArn: aws.String("q"), Events: []s3types.Event{"s3:ObjectCreated:*"}, Filter: filter}},
		LambdaFunctionConfigurations: []s3types.LambdaFunctionConfiguration{{LambdaFunctionArn: aws.String("l"), Events: []s3types.Event{"s3:ObjectRemoved:*"}}},
		TopicConfigurations:          []s3types.TopicConfiguration{{TopicArn: aws.String("t"), Events: []s3types.Event{"s3:LifecycleExpiration:*"}}},
	}, f.refuse["GetBucketNotificationConfiguration"]
}

func (f *fakeS3) GetBucketLifecycleConfiguration(context.Context, *s3.GetBucketLifecycleConfigurationInput, ...func(*s3.Options)) (*s3.GetBucketLifecycleConfigurationOutput, error) {
	return nil, errorOf("NoSuchLifecycleConfiguration")
}

func (f *fakeS3) PutObject(_ context.Context, in *s3.PutObjectInput, _ ...func(*s3.Options)) (*s3.PutObjectOutput, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	text, _ := io.ReadAll(in.Body)
	f.objects[*in.Key] = string(text)
	(*world)(f).changed(*in.Key)
	return &s3.PutObjectOutput{VersionId: f.version()}, f.refuse["PutObject"] // the answer may be lost
}

func (f *fakeS3) version() *string {
	if !f.versioned {
		return nil
	}
	v := fmt.Sprintf("v%d", len(f.versions))
	f.versions = append(f.versions, v)
	return &v
}

func (f *fakeS3) DeleteObject(_ context.Context, in *s3.DeleteObjectInput, _ ...func(*s3.Options)) (*s3.DeleteObjectOutput, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.refuse["DeleteObject"]; err != nil {
		return nil, err
	}
	if in.VersionId != nil {
		i := slices.Index(f.versions, *in.VersionId)
		f.versions[i] = ""
		return &s3.DeleteObjectOutput{}, nil
	}
	delete(f.objects, *in.Key)
	(*world)(f).changed(*in.Key)
	return &s3.DeleteObjectOutput{VersionId: f.version()}, nil
}

type fakeCDN world

func (f *fakeCDN) Since(_ context.Context, _ string, from time.Time, most int, _ map[string][]freshet.Pattern) (all []driver.Sent, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.sent {
		if !s.At.Before(from) && len(all) < most {
			all = append(all, s)
		}
	}
	return all, f.refuse["Since"]
}

func (f *fakeCDN) Status(_ context.Context, _, id string) (freshet.Receipt, error) {
	r := freshet.Receipt{ID: id, State: freshet.Completed}
	if f.stuck {
		r.State = freshet.Accepted
	}
	return r, nil
}

func (f *fakeCDN) InProgress(context.Context, string, map[string]cdn.Progress) ([]cdn.Progress, error) {
	return nil, f.refuse["InProgress"]
}

type fakeCloudFront world

func (f *fakeCloudFront) ListDistributions(context.Context, *cloudfront.ListDistributionsInput, ...func(*cloudfront.Options)) (*cloudfront.ListDistributionsOutput, error) {
	return &cloudfront.ListDistributionsOutput{DistributionList: &types.DistributionList{Items: []types.DistributionSummary{{Id: aws.String("E1"), Enabled: aws.Bool(true), Origins: origins()}}}}, f.refuse["ListDistributions"]
}

func origins() *types.Origins {
	return &types.Origins{Quantity: aws.Int32(1), Items: []types.Origin{{Id: aws.String("o"), DomainName: aws.String("www.s3.eu-west-1.amazonaws.com"), OriginPath: aws.String("/v2")}}}
}

func (f *fakeCloudFront) GetDistribution(_ context.Context, in *cloudfront.GetDistributionInput, _ ...func(*cloudfront.Options)) (*cloudfront.GetDistributionOutput, error) {
	return &cloudfront.GetDistributionOutput{Distribution: &types.Distribution{
		Id: in.Id, ARN: aws.String("arn:aws:cloudfront::1:distribution/E1"), DomainName: aws.String("d1.cloudfront.net"), Status: aws.String("Deployed"),
		DistributionConfig: &types.DistributionConfig{
			CallerReference: aws.String("r"), Comment: aws.String(""), Enabled: aws.Bool(true), Origins: origins(),
			DefaultCacheBehavior: &types.DefaultCacheBehavior{
				TargetOriginId: aws.String("o"), ViewerProtocolPolicy: types.ViewerProtocolPolicyAllowAll, CachePolicyId: aws.String(optimized),
				FunctionAssociations: &types.FunctionAssociations{Quantity: aws.Int32(1), Items: []types.FunctionAssociation{{EventType: types.EventTypeViewerRequest, FunctionARN: aws.String("arn:aws:cloudfront::1:function/turn")}}},
			},
		},
	}}, f.refuse["GetDistribution"]
}

func (f *fakeCloudFront) GetDistributionTenant(context.Context, *cloudfront.GetDistributionTenantInput, ...func(*cloudfront.Options)) (*cloudfront.GetDistributionTenantOutput, error) {
	return nil, errors.New("EntityNotFound")
}

func (f *fakeCloudFront) GetCachePolicy(context.Context, *cloudfront.GetCachePolicyInput, ...func(*cloudfront.Options)) (*cloudfront.GetCachePolicyOutput, error) {
	return nil, errors.New("there are managed ones only")
}

func (f *fakeCloudFront) DescribeFunction(context.Context, *cloudfront.DescribeFunctionInput, ...func(*cloudfront.Options)) (*cloudfront.DescribeFunctionOutput, error) {
	return &cloudfront.DescribeFunctionOutput{FunctionSummary: &types.FunctionSummary{FunctionConfig: &types.FunctionConfig{Runtime: types.FunctionRuntimeCloudfrontJs20}}}, f.refuse["DescribeFunction"]
}

func (f *fakeCloudFront) GetFunction(context.Context, *cloudfront.GetFunctionInput, ...func(*cloudfront.Options)) (*cloudfront.GetFunctionOutput, error) {
	return &cloudfront.GetFunctionOutput{FunctionCode: []byte(`function handler(event) { var r = event.request; if (r.uri.endsWith('/')) r.uri += 'index.html'; return r; }`)}, nil
}

func examine(t *testing.T, w *world, c doctor.Config) []doctor.Finding {
	t.Helper()
	c.Clients, c.Canary = w.clients(), true
	if c.Bucket+c.Distribution == "" {
		c.Bucket = "www"
	}
	return doctor.Examine(t.Context(), c)
}

func only(t *testing.T, findings []doctor.Finding, check string, level doctor.Level, saw string) {
	t.Helper()
	for _, f := range findings {
		switch {
		case f.Check == check && f.Level == level && strings.Contains(f.Saw, saw):
			saw = ""
		case f.Level != doctor.OK && f.Check != check:
			t.Errorf("also found: %+v", f)
		}
	}
	if saw != "" {
		t.Errorf("no %s of %s with %q: %+v", level, check, saw, findings)
	}
}

// Everything is asked and well, whether the bucket or the distribution is named;
// the canary is gone afterwards, and nothing else is.
func TestExamine(t *testing.T) {
	for name, c := range map[string]doctor.Config{"bucket": {Bucket: "www"}, "distribution": {Distribution: "E1"}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.versioned = true
				var doing []string
				c.Progress = func(what string) { doing = append(doing, what) }
				findings := examine(t, w, c)
				only(t, findings, "canary", doctor.OK, "deletion invalidated")
				only(t, findings, "events", doctor.OK, "go to l, q, t")
				only(t, findings, "functions", doctor.OK, "turn makes of 2 paths")
				only(t, findings, "keys", doctor.OK, "1 key:")
				if len(w.objects) != 2 || slices.ContainsFunc(w.versions, func(v string) bool { return v != "" }) || len(w.versions) != 3 {
					t.Errorf("left: %q, versions %q", w.objects, w.versions)
				}
				if !slices.ContainsFunc(doing, func(s string) bool { return strings.HasSuffix(s, "at E1: new content served") }) {
					t.Errorf("told of %q", doing)
				}
			})
		})
	}
}

// Whatever fails on a canary's way, the step is named and the object is removed.
func TestCanaryFails(t *testing.T) {
	for name, test := range map[string]struct {
		wrong func(*world)
		level doctor.Level
		saw   string
	}{
		"nobody is told":            {func(w *world) { w.deaf = true }, doctor.Error, "not change invalidated: no invalidation that covers /freshet-canary-"},
		"the change is lost":        {func(w *world) { w.missed = 2 }, doctor.Error, "not change invalidated"},
		"never completed":           {func(w *world) { w.stuck = true }, doctor.Error, "is in progress: not within 1m0s"},
		"the edge stays stale":      {func(w *world) { w.stale = true }, doctor.Error, "not new content served: "},
		"the answer to a put lost":  {func(w *world) { w.refuse["PutObject"] = errors.New("connection reset") }, doctor.Error, "not put: connection reset"},
		"not allowed to look":       {func(w *world) { w.refuse["Since"] = &cdn.Error{Class: cdn.Denied, Err: errorOf("AccessDenied")} }, doctor.Error, "not changed: AccessDenied"},
		"the edge does not read it": {func(w *world) { w.refuse["Fetch"] = errors.New("no route") }, doctor.Error, "not served: fetch /freshet-canary-"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				test.wrong(w)
				findings := examine(t, w, doctor.Config{Within: time.Minute})
				only(t, findings, "canary", test.level, test.saw)
				if len(w.objects) != 2 {
					t.Errorf("left: %q", w.objects)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.refuse["DeleteObject"] = errorOf("AccessDenied")
		findings := examine(t, w, doctor.Config{})
		only(t, findings, "canary", doctor.Warning, "is left in the bucket: AccessDenied")
	})
}

// A canary is removed also when the whole examination is given up.
func TestCanaryOfAGivenUpExamination(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.deaf = true
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		doctor.Examine(ctx, doctor.Config{Clients: w.clients(), Bucket: "www", Canary: true})
		if len(w.objects) != 2 {
			t.Errorf("left: %q", w.objects)
		}
	})
}

// What one question fails with keeps no other from being asked, and one that is
// not answered is given up.
func TestEachCheckByItself(t *testing.T) {
	for call, check := range map[string]string{
		"GetCallerIdentity": "credentials", "HeadBucket": "region", "GetBucketNotificationConfiguration": "events", "InProgress": "quota",
		"DescribeFunction": "functions", "HeadObject": "browsers",
	} {
		t.Run(call, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.refuse[call] = errorOf("AccessDenied")
				findings := examine(t, w, doctor.Config{})
				level := doctor.Warning
				if call == "GetCallerIdentity" || call == "HeadBucket" {
					level = doctor.Error
				}
				only(t, findings, check, level, "AccessDenied")
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.hanging = true
		findings := doctor.Examine(t.Context(), doctor.Config{Clients: w.clients(), Bucket: "www"})
		if !slices.ContainsFunc(findings, func(f doctor.Finding) bool {
			return f.Check == "reachable" && f.Level == doctor.Error && strings.Contains(f.Saw, "no answer within 15s")
		}) {
			t.Errorf("got %+v", findings)
		}
	})
}
