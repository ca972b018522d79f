package release

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/freshet/freshet/internal/barrier"
)

// Registry is what is asked of ECR; *ecr.Client has it. It needs
// ecr:DescribeImages on the repository.
type Registry interface {
	DescribeImages(context.Context, *ecr.DescribeImagesInput, ...func(*ecr.Options)) (*ecr.DescribeImagesOutput, error)
}

// ErrUnresolved is returned for a tag that may not be asked about.
var ErrUnresolved = errors.New("the registry may not be asked (ecr:DescribeImages)")

// Resolve returns the digest that the image has, and asks for that of a tag.
func Resolve(ctx context.Context, registry Registry, i Image) (digest string, err error) {
	if i.Digest != "" {
		return i.Digest, nil
	}
	out, err := registry.DescribeImages(ctx, &ecr.DescribeImagesInput{
		RegistryId: &i.Registry, RepositoryName: &i.Repository, ImageIds: []types.ImageIdentifier{{ImageTag: &i.Tag}},
	})
	switch {
	case err != nil && barrier.ClassOf(err) == barrier.Denied && !errors.Is(err, barrier.ErrNoCredentials):
		return "", ErrUnresolved
	case err != nil:
		return "", fmt.Errorf("ask the registry for %s:%s: %s", i.Repository, i.Tag, barrier.Cause(err))
	case len(out.ImageDetails) != 1 || aws.ToString(out.ImageDetails[0].ImageDigest) == "":
		return "", fmt.Errorf("ask the registry for %s:%s: the answer describes no image", i.Repository, i.Tag)
	}
	return *out.ImageDetails[0].ImageDigest, nil
}

// Metrics is what is asked of CloudWatch; *cloudwatch.Client has it. It needs
// cloudwatch:GetMetricStatistics on *.
type Metrics interface {
	GetMetricStatistics(context.Context, *cloudwatch.GetMetricStatisticsInput, ...func(*cloudwatch.Options)) (*cloudwatch.GetMetricStatisticsOutput, error)
}

// Counted returns what Lambda counted of the requests that reached a version by
// an alias. Lambda counts by the minute, and what it counted is known a minute or
// two later.
// https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
func Counted(m Metrics, function, alias string) func(ctx context.Context, version string, since time.Time) (n, faults float64, err error) {
	return func(ctx context.Context, version string, since time.Time) (n, faults float64, err error) {
		sum := func(metric string) (total float64) {
			out, failed := m.GetMetricStatistics(ctx, &cloudwatch.GetMetricStatisticsInput{
				Namespace: aws.String("AWS/Lambda"), MetricName: &metric, Period: aws.Int32(60), Statistics: []cwtypes.Statistic{cwtypes.StatisticSum},
				StartTime: aws.Time(since.Truncate(time.Minute)), EndTime: aws.Time(time.Now()),
				Dimensions: []cwtypes.Dimension{
					{Name: aws.String("FunctionName"), Value: &function},
					{Name: aws.String("Resource"), Value: aws.String(function + ":" + alias)},
					{Name: aws.String("ExecutedVersion"), Value: &version},
				},
			})
			if failed != nil {
				err = fmt.Errorf("CloudWatch does not say (cloudwatch:GetMetricStatistics): %s", barrier.Cause(failed))
				return 0
			}
			for _, d := range out.Datapoints {
				total += aws.ToFloat64(d.Sum)
			}
			return total
		}
		n, faults = sum("Invocations"), sum("Errors")
		return n, faults, err
	}
}
