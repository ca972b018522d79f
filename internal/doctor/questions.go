package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	cf "github.com/aws/aws-sdk-go-v2/service/cloudfront"
	cftypes "github.com/aws/aws-sdk-go-v2/service/cloudfront/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/freshet/freshet/internal/distribution"
)

const (
	// lookedAt is how many pages are asked for what browsers are told.
	lookedAt = 10
	// tried is how many keys functions are run with.
	tried = 200
	// largestFunction is more than CloudFront lets a function have.
	// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/cloudfront-limits.html#limits-functions
	largestFunction = 64 << 10
)

// home finds out in which region the bucket is. S3 says so also when it is asked
// in a wrong one.
func (c Config) home(ctx context.Context, bucket string) (string, error) {
	out, err := c.S3.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &bucket})
	var answered *smithyhttp.ResponseError
	if err != nil && errors.As(err, &answered) && answered.Response != nil {
		if region := answered.Response.Header.Get("X-Amz-Bucket-Region"); region != "" && answered.HTTPStatusCode()/100 == 3 {
			return region, nil
		}
	}
	if err != nil {
		return "", err
	}
	return aws.ToString(out.BucketRegion), nil
}

// notifications reads what S3 answered, whomever rules lead to.
func notifications(out *s3.GetBucketNotificationConfigurationOutput) Notifications {
	n := Notifications{EventBridge: out.EventBridgeConfiguration != nil}
	add := func(id, to *string, events []types.Event, filter *types.NotificationConfigurationFilter) {
		r := Rule{ID: aws.ToString(id), To: aws.ToString(to)}
		for _, e := range events {
			r.Events = append(r.Events, string(e))
		}
		if filter != nil && filter.Key != nil {
			for _, f := range filter.Key.FilterRules {
				switch strings.ToLower(string(f.Name)) {
				case "prefix":
					r.Prefix = aws.ToString(f.Value)
				case "suffix":
					r.Suffix = aws.ToString(f.Value)
				}
			}
		}
		n.Rules = append(n.Rules, r)
	}
	for _, r := range out.LambdaFunctionConfigurations {
		add(r.Id, r.LambdaFunctionArn, r.Events, r.Filter)
	}
	for _, r := range out.QueueConfigurations {
		add(r.Id, r.QueueArn, r.Events, r.Filter)
	}
	for _, r := range out.TopicConfigurations {
		add(r.Id, r.TopicArn, r.Events, r.Filter)
	}
	return n
}

// expiring reports whether a lifecycle rule removes what viewers see.
func (c Config) expiring(ctx context.Context, bucket string, in func(*s3.Options)) (bool, error) {
	out, err := c.S3.GetBucketLifecycleConfiguration(ctx, &s3.GetBucketLifecycleConfigurationInput{Bucket: &bucket}, in)
	if codeOf(err) == "NoSuchLifecycleConfiguration" {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(out.Rules, func(r types.LifecycleRule) bool {
		return r.Status == types.ExpirationStatusEnabled && r.Expiration != nil && (r.Expiration.Days != nil || r.Expiration.Date != nil)
	}), nil
}

// list lists the bucket's first keys.
func (c Config) list(ctx context.Context, bucket string, in func(*s3.Options)) (l Listing, err error) {
	pages := s3.NewListObjectsV2Paginator(c.S3, &s3.ListObjectsV2Input{Bucket: &bucket}, func(o *s3.ListObjectsV2PaginatorOptions) { o.StopOnDuplicateToken = true })
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx, in)
		if err != nil {
			return l, err
		}
		for _, o := range page.Contents {
			if len(l.Keys) == c.Keys {
				l.More = true
				return l, nil
			}
			l.Keys = append(l.Keys, aws.ToString(o.Key))
		}
	}
	return l, nil
}

// pages chooses some pages, the ones nearest to the root first.
func pages(keys []string) (chosen []string) {
	for _, key := range keys {
		if isPage(key) {
			chosen = append(chosen, key)
		}
	}
	slices.SortStableFunc(chosen, func(a, b string) int { return strings.Count(a, "/") - strings.Count(b, "/") })
	return chosen[:min(len(chosen), lookedAt)]
}

// rewritten runs a function as it is published with the paths of some keys.
func (c Config) rewritten(ctx context.Context, s *Seen, d *distribution.Distribution, arn string) ([]Rewritten, error) {
	name := arn[strings.LastIndexByte(arn, '/')+1:]
	code, known := c.Code[arn]
	if !known {
		var err error
		if code, err = c.published(ctx, name); err != nil {
			return nil, err
		}
	}
	var keys []string
	for _, key := range s.Listing.Is.Keys[:min(len(s.Listing.Is.Keys), tried)] {
		if below, ok := s.below(key); ok {
			keys = append(keys, below)
		}
	}
	return try(ctx, d, name, code, samples(keys, s.indexes()))
}

func (c Config) published(ctx context.Context, name string) (Code, error) {
	about, err := c.CloudFront.DescribeFunction(ctx, &cf.DescribeFunctionInput{Name: &name, Stage: cftypes.FunctionStageLive})
	if err != nil {
		return Code{}, fmt.Errorf("describe function %s: %w", name, err)
	}
	got, err := c.CloudFront.GetFunction(ctx, &cf.GetFunctionInput{Name: &name, Stage: cftypes.FunctionStageLive})
	if err != nil {
		return Code{}, fmt.Errorf("read function %s: %w", name, err)
	}
	if len(got.FunctionCode) > largestFunction || about.FunctionSummary == nil || about.FunctionSummary.FunctionConfig == nil {
		return Code{}, fmt.Errorf("read function %s: %w", name, io.ErrUnexpectedEOF)
	}
	return Code{Text: got.FunctionCode, Runtime: string(about.FunctionSummary.FunctionConfig.Runtime)}, nil
}
