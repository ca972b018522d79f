package account

import (
	"cmp"
	"context"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"github.com/freshet/freshet/internal/awssetup"
)

// Alarms is what is asked of CloudWatch.
type Alarms interface {
	DescribeAlarms(context.Context, *cloudwatch.DescribeAlarmsInput, ...func(*cloudwatch.Options)) (*cloudwatch.DescribeAlarmsOutput, error)
	ListTagsForResource(context.Context, *cloudwatch.ListTagsForResourceInput, ...func(*cloudwatch.Options)) (*cloudwatch.ListTagsForResourceOutput, error)
	PutMetricAlarm(context.Context, *cloudwatch.PutMetricAlarmInput, ...func(*cloudwatch.Options)) (*cloudwatch.PutMetricAlarmOutput, error)
	DeleteAlarms(context.Context, *cloudwatch.DeleteAlarmsInput, ...func(*cloudwatch.Options)) (*cloudwatch.DeleteAlarmsOutput, error)
}

func (a *Account) seeAlarm(ctx context.Context, w awssetup.Resource) (awssetup.Seen, bool, error) {
	out, err := a.aws.Alarms.DescribeAlarms(ctx, &cloudwatch.DescribeAlarmsInput{AlarmNames: []string{w.Name}})
	if err != nil || len(out.MetricAlarms) == 0 {
		return awssetup.Seen{}, false, err
	}
	is := out.MetricAlarms[0]
	tags, err := a.aws.Alarms.ListTagsForResource(ctx, &cloudwatch.ListTagsForResourceInput{ResourceARN: is.AlarmArn})
	if err != nil {
		return awssetup.Seen{}, false, err
	}
	seen := awssetup.Seen{Properties: map[string]string{
		awssetup.PropertyAbout: aws.ToString(is.AlarmDescription), awssetup.PropertyNamespace: aws.ToString(is.Namespace), awssetup.PropertyMetric: aws.ToString(is.MetricName),
		awssetup.PropertyStatistic: cmp.Or(string(is.Statistic), aws.ToString(is.ExtendedStatistic)),
		awssetup.PropertyThreshold: strconv.FormatFloat(aws.ToFloat64(is.Threshold), 'f', -1, 64),
		awssetup.PropertyTopic:     strings.Join(is.AlarmActions, " "),
	}}
	for _, d := range is.Dimensions {
		seen.Properties[awssetup.PropertyDimension], seen.Properties[awssetup.PropertyOn] = aws.ToString(d.Name), aws.ToString(d.Value)
	}
	for _, t := range tags.Tags {
		if aws.ToString(t.Key) == awssetup.Tag {
			seen.Bucket = aws.ToString(t.Value)
		}
	}
	return seen, true, nil
}

// putAlarm makes an alarm or replaces it.
func (a *Account) putAlarm(ctx context.Context, w awssetup.Resource) error {
	p := w.Properties
	threshold, err := strconv.ParseFloat(p[awssetup.PropertyThreshold], 64)
	if err != nil {
		return err
	}
	in := &cloudwatch.PutMetricAlarmInput{
		AlarmName: &w.Name, AlarmDescription: aws.String(p[awssetup.PropertyAbout]),
		Namespace: aws.String(p[awssetup.PropertyNamespace]), MetricName: aws.String(p[awssetup.PropertyMetric]),
		Dimensions: []types.Dimension{{Name: aws.String(p[awssetup.PropertyDimension]), Value: aws.String(p[awssetup.PropertyOn])}},
		Period:     aws.Int32(awssetup.AlarmSeconds), EvaluationPeriods: aws.Int32(1), Threshold: &threshold,
		ComparisonOperator: types.ComparisonOperatorGreaterThanThreshold, TreatMissingData: aws.String("notBreaching"),
		Tags: []types.Tag{{Key: aws.String(awssetup.Tag), Value: &a.site.Bucket}},
	}
	if statistic := p[awssetup.PropertyStatistic]; strings.HasPrefix(statistic, "p") {
		in.ExtendedStatistic = &statistic
	} else {
		in.Statistic = types.Statistic(statistic)
	}
	if topic := p[awssetup.PropertyTopic]; topic != "" {
		in.AlarmActions = []string{topic}
	}
	_, err = a.aws.Alarms.PutMetricAlarm(ctx, in)
	return err
}

func (a *Account) removeAlarm(ctx context.Context, w awssetup.Resource) error {
	_, err := a.aws.Alarms.DeleteAlarms(ctx, &cloudwatch.DeleteAlarmsInput{AlarmNames: []string{w.Name}})
	return err
}
