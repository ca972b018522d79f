package account

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/freshet/freshet/internal/awssetup"
)

// Buckets is what is asked of S3.
type Buckets interface {
	GetBucketLocation(context.Context, *s3.GetBucketLocationInput, ...func(*s3.Options)) (*s3.GetBucketLocationOutput, error)
	GetBucketNotificationConfiguration(context.Context, *s3.GetBucketNotificationConfigurationInput, ...func(*s3.Options)) (*s3.GetBucketNotificationConfigurationOutput, error)
	PutBucketNotificationConfiguration(context.Context, *s3.PutBucketNotificationConfigurationInput, ...func(*s3.Options)) (*s3.PutBucketNotificationConfigurationOutput, error)
}

// CheckBucket refuses a bucket in another region, since S3 notifies only queues
// of its own.
func (a *Account) CheckBucket(ctx context.Context) error {
	out, err := a.aws.S3.GetBucketLocation(ctx, &s3.GetBucketLocationInput{Bucket: &a.site.Bucket, ExpectedBucketOwner: &a.site.Account})
	if err != nil {
		return fmt.Errorf("find the bucket %s in the account %s: %w", a.site.Bucket, a.site.Account, err)
	}
	region := string(out.LocationConstraint)
	switch region {
	case "":
		region = "us-east-1"
	case "EU":
		region = "eu-west-1"
	}
	if region != a.site.Region {
		return fmt.Errorf("the bucket %s is in %s, and notifies only queues there: give --region %s", a.site.Bucket, region, region)
	}
	return nil
}

// Rules are all rules of the bucket.
func (a *Account) Rules(ctx context.Context) ([]awssetup.Rule, error) {
	out, err := a.notifications(ctx)
	if err != nil {
		return nil, err
	}
	var rules []awssetup.Rule
	for _, c := range out.QueueConfigurations {
		rules = append(rules, rule(c.Id, c.QueueArn, c.Events, c.Filter))
	}
	for _, c := range out.TopicConfigurations {
		rules = append(rules, rule(c.Id, c.TopicArn, c.Events, c.Filter))
	}
	for _, c := range out.LambdaFunctionConfigurations {
		rules = append(rules, rule(c.Id, c.LambdaFunctionArn, c.Events, c.Filter))
	}
	return rules, nil
}

func (a *Account) notifications(ctx context.Context) (*s3.GetBucketNotificationConfigurationOutput, error) {
	out, err := a.aws.S3.GetBucketNotificationConfiguration(ctx, &s3.GetBucketNotificationConfigurationInput{Bucket: &a.site.Bucket, ExpectedBucketOwner: &a.site.Account})
	if err != nil {
		return nil, fmt.Errorf("read the notification rules of %s: %w", a.site.Bucket, err)
	}
	return out, nil
}

func rule(id, to *string, events []types.Event, f *types.NotificationConfigurationFilter) awssetup.Rule {
	r := awssetup.Rule{ID: aws.ToString(id), To: aws.ToString(to)}
	for _, e := range events {
		r.Events = append(r.Events, string(e))
	}
	if f == nil || f.Key == nil {
		return r
	}
	for _, part := range f.Key.FilterRules {
		switch strings.ToLower(string(part.Name)) {
		case "prefix":
			r.Prefix = aws.ToString(part.Value)
		case "suffix":
			r.Suffix = aws.ToString(part.Value)
		}
	}
	return r
}

func (a *Account) seeRule(ctx context.Context, _ awssetup.Resource) (awssetup.Seen, bool, error) {
	rules, err := a.Rules(ctx)
	if err != nil {
		return awssetup.Seen{}, false, err
	}
	seen, there := a.site.SeenRule(rules)
	return seen, there, nil
}

// putRule puts the site's rule in the place of an earlier one. S3 tries the queue
// when it gets the rule, and its policy may not have arrived yet.
func (a *Account) putRule(ctx context.Context, _ awssetup.Resource) error {
	early := func(err error) bool {
		return is(err, "InvalidArgument") && strings.Contains(err.Error(), "destination configurations")
	}
	return settled(ctx, early, func() error { return a.merge(ctx, configured(a.site.Rule())) })
}

func (a *Account) removeRule(ctx context.Context, _ awssetup.Resource) error { return a.merge(ctx) }

func configured(r awssetup.Rule) types.QueueConfiguration {
	c := types.QueueConfiguration{Id: &r.ID, QueueArn: &r.To}
	for _, e := range r.Events {
		c.Events = append(c.Events, types.Event(e))
	}
	var parts []types.FilterRule
	if r.Prefix != "" {
		parts = append(parts, types.FilterRule{Name: types.FilterRuleNamePrefix, Value: &r.Prefix})
	}
	if r.Suffix != "" {
		parts = append(parts, types.FilterRule{Name: types.FilterRuleNameSuffix, Value: &r.Suffix})
	}
	if len(parts) > 0 {
		c.Filter = &types.NotificationConfigurationFilter{Key: &types.S3KeyFilter{FilterRules: parts}}
	}
	return c
}

// merge writes the configuration back with the site's rules replaced by those
// given. S3 replaces all of it and has no condition for that, so it is read right
// before, and all that others put there is written as it was read.
func (a *Account) merge(ctx context.Context, mine ...types.QueueConfiguration) error {
	out, err := a.notifications(ctx)
	if err != nil {
		return err
	}
	queues := slices.DeleteFunc(slices.Clone(out.QueueConfigurations), func(c types.QueueConfiguration) bool {
		return a.site.Mine(rule(c.Id, c.QueueArn, nil, nil))
	})
	_, err = a.aws.S3.PutBucketNotificationConfiguration(ctx, &s3.PutBucketNotificationConfigurationInput{
		Bucket: &a.site.Bucket, ExpectedBucketOwner: &a.site.Account,
		NotificationConfiguration: &types.NotificationConfiguration{
			QueueConfigurations: append(queues, mine...), TopicConfigurations: out.TopicConfigurations,
			LambdaFunctionConfigurations: out.LambdaFunctionConfigurations, EventBridgeConfiguration: out.EventBridgeConfiguration,
		},
	})
	return err
}
