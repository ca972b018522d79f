package account

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"github.com/freshet/freshet/internal/awssetup"
)

func testSite() awssetup.Site {
	return awssetup.Site{Bucket: "www", Prefix: "site/", Distributions: []string{"E2EXAMPLE1234"}, Account: "123456789012", Region: "eu-west-1"}.WithDefaults()
}

func resourceOf(t *testing.T, s awssetup.Site, k awssetup.Kind) awssetup.Resource {
	t.Helper()
	want, err := s.Resources("hash")
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range want {
		if w.Kind == k {
			return w
		}
	}
	t.Fatalf("no %s", k)
	return awssetup.Resource{}
}

// functions refuses to create a function as long as errs has errors left.
type functions struct {
	Functions
	errs     []error
	created  int
	reserved int32
	env      map[string]string
}

func (f *functions) CreateFunction(context.Context, *lambda.CreateFunctionInput, ...func(*lambda.Options)) (*lambda.CreateFunctionOutput, error) {
	if len(f.errs) > 0 {
		err := f.errs[0]
		f.errs = f.errs[1:]
		return nil, err
	}
	f.created++
	return &lambda.CreateFunctionOutput{}, nil
}

func (f *functions) GetFunction(context.Context, *lambda.GetFunctionInput, ...func(*lambda.Options)) (*lambda.GetFunctionOutput, error) {
	return &lambda.GetFunctionOutput{Configuration: &types.FunctionConfiguration{
		State: types.StateActive, LastUpdateStatus: types.LastUpdateStatusSuccessful,
		Environment: &types.EnvironmentResponse{Variables: map[string]string{"FRESHET_LOG": "debug", "FRESHET_QUOTA_TABLE": "gone"}}, CodeSha256: aws.String("hash"),
	}}, nil
}

func (f *functions) UpdateFunctionConfiguration(_ context.Context, in *lambda.UpdateFunctionConfigurationInput, _ ...func(*lambda.Options)) (*lambda.UpdateFunctionConfigurationOutput, error) {
	f.env = in.Environment.Variables
	return &lambda.UpdateFunctionConfigurationOutput{}, nil
}

func (f *functions) PutFunctionConcurrency(_ context.Context, in *lambda.PutFunctionConcurrencyInput, _ ...func(*lambda.Options)) (*lambda.PutFunctionConcurrencyOutput, error) {
	f.reserved = *in.ReservedConcurrentExecutions
	return &lambda.PutFunctionConcurrencyOutput{}, nil
}

func refusal(code, message string) error {
	return &smithy.GenericAPIError{Code: code, Message: message}
}

// TestARoleThatLambdaDoesNotKnowYet: IAM takes a while to tell everybody.
func TestARoleThatLambdaDoesNotKnowYet(t *testing.T) {
	early := refusal("InvalidParameterValueException", "The role defined for the function cannot be assumed by Lambda.")
	wrong := refusal("InvalidParameterValueException", "Unzipped size must be smaller than 262144000 bytes")
	tests := []struct {
		name  string
		errs  []error
		fails error
		after time.Duration
	}{
		{"known", nil, nil, 0},
		{"known later", []error{early, early}, nil, 2 * settleEvery},
		{"something else", []error{wrong}, wrong, 0},
		{"something else later", []error{early, wrong}, wrong, settleEvery},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			f := &functions{errs: tt.errs}
			s, start := testSite(), time.Now()
			err := New(Services{Lambda: f}, s, []byte("zip")).createFunction(t.Context(), resourceOf(t, s, awssetup.Function))
			if !errors.Is(err, tt.fails) || time.Since(start) != tt.after || tt.fails == nil && (f.created != 1 || f.reserved != 1) {
				t.Errorf("%s: %v after %v, %+v", tt.name, err, time.Since(start), f)
			}
		})
	}
}

func TestARoleThatLambdaNeverKnows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		early := refusal("InvalidParameterValueException", "cannot be assumed")
		start := time.Now()
		if err := settled(t.Context(), roleTooNew, func() error { return early }); !errors.Is(err, early) || time.Since(start) != settleWithin {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

// TestVariablesOfOthersStay: only the set-up's own are replaced, and removed when
// they are not wanted any more.
func TestVariablesOfOthersStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, s := &functions{}, testSite()
		if err := New(Services{Lambda: f}, s, nil).changeFunction(t.Context(), resourceOf(t, s, awssetup.Function)); err != nil {
			t.Fatal(err)
		}
		if len(f.env) != 2 || f.env["FRESHET_LOG"] != "debug" || f.env["FRESHET_DISTRIBUTIONS"] != "E2EXAMPLE1234" {
			t.Errorf("%v", f.env)
		}
	})
}

// buckets keeps one notification configuration.
type buckets struct {
	region s3types.BucketLocationConstraint
	is     s3types.NotificationConfiguration
	errs   []error
}

func (b *buckets) GetBucketLocation(context.Context, *s3.GetBucketLocationInput, ...func(*s3.Options)) (*s3.GetBucketLocationOutput, error) {
	return &s3.GetBucketLocationOutput{LocationConstraint: b.region}, nil
}

func (b *buckets) GetBucketNotificationConfiguration(context.Context, *s3.GetBucketNotificationConfigurationInput, ...func(*s3.Options)) (*s3.GetBucketNotificationConfigurationOutput, error) {
	return &s3.GetBucketNotificationConfigurationOutput{
		QueueConfigurations: b.is.QueueConfigurations, TopicConfigurations: b.is.TopicConfigurations,
		LambdaFunctionConfigurations: b.is.LambdaFunctionConfigurations, EventBridgeConfiguration: b.is.EventBridgeConfiguration,
	}, nil
}

func (b *buckets) PutBucketNotificationConfiguration(_ context.Context, in *s3.PutBucketNotificationConfigurationInput, _ ...func(*s3.Options)) (*s3.PutBucketNotificationConfigurationOutput, error) {
	if len(b.errs) > 0 {
		err := b.errs[0]
		b.errs = b.errs[1:]
		return nil, err
	}
	b.is = *in.NotificationConfiguration
	return &s3.PutBucketNotificationConfigurationOutput{}, nil
}

// TestRulesOfOthersStay: S3 replaces the whole configuration each time.
func TestRulesOfOthersStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := testSite()
		filter := &s3types.NotificationConfigurationFilter{Key: &s3types.S3KeyFilter{FilterRules: []s3types.FilterRule{{Name: "Prefix", Value: aws.String("logs/")}}}}
		created := []s3types.Event{"s3:ObjectCreated:*"}
		b := &buckets{errs: []error{refusal("InvalidArgument", "Unable to validate the following destination configurations")}, is: s3types.NotificationConfiguration{
			QueueConfigurations:          []s3types.QueueConfiguration{{Id: aws.String("q"), QueueArn: aws.String(s.QueueARN()), Events: created, Filter: filter}},
			TopicConfigurations:          []s3types.TopicConfiguration{{Id: aws.String("t"), TopicArn: aws.String("arn:t"), Events: created, Filter: filter}},
			LambdaFunctionConfigurations: []s3types.LambdaFunctionConfiguration{{Id: aws.String("l"), LambdaFunctionArn: aws.String("arn:l"), Events: created, Filter: filter}},
			EventBridgeConfiguration:     &s3types.EventBridgeConfiguration{},
		}}
		a := New(Services{S3: b}, s, nil)
		for range 2 { // a second time replaces the first
			if err := a.putRule(t.Context(), awssetup.Resource{}); err != nil {
				t.Fatal(err)
			}
			rules, err := a.Rules(t.Context())
			if err != nil || len(rules) != 4 || b.is.EventBridgeConfiguration == nil {
				t.Fatalf("%v, %v", rules, err)
			}
			for _, r := range rules {
				if !s.Mine(r) && r.Prefix != "logs/" || s.Mine(r) && r.Prefix != "site/" {
					t.Errorf("%v", r)
				}
			}
		}
		if err := a.removeRule(t.Context(), awssetup.Resource{}); err != nil {
			t.Fatal(err)
		}
		if rules, err := a.Rules(t.Context()); err != nil || len(rules) != 3 || b.is.EventBridgeConfiguration == nil {
			t.Errorf("%v, %v", rules, err)
		}
	})
}

func TestBucketsElsewhereAreRefused(t *testing.T) {
	for region, ok := range map[s3types.BucketLocationConstraint]bool{"eu-west-1": true, "EU": true, "": false, "eu-central-1": false} {
		err := New(Services{S3: &buckets{region: region}}, testSite(), nil).CheckBucket(t.Context())
		if (err == nil) != ok {
			t.Errorf("%q: %v", region, err)
		}
	}
}
