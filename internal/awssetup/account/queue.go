package account

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/freshet/freshet/internal/awssetup"
)

// Queues is what is asked of SQS.
type Queues interface {
	GetQueueUrl(context.Context, *sqs.GetQueueUrlInput, ...func(*sqs.Options)) (*sqs.GetQueueUrlOutput, error)
	GetQueueAttributes(context.Context, *sqs.GetQueueAttributesInput, ...func(*sqs.Options)) (*sqs.GetQueueAttributesOutput, error)
	ListQueueTags(context.Context, *sqs.ListQueueTagsInput, ...func(*sqs.Options)) (*sqs.ListQueueTagsOutput, error)
	CreateQueue(context.Context, *sqs.CreateQueueInput, ...func(*sqs.Options)) (*sqs.CreateQueueOutput, error)
	SetQueueAttributes(context.Context, *sqs.SetQueueAttributesInput, ...func(*sqs.Options)) (*sqs.SetQueueAttributesOutput, error)
	DeleteQueue(context.Context, *sqs.DeleteQueueInput, ...func(*sqs.Options)) (*sqs.DeleteQueueOutput, error)
}

func (a *Account) seeQueue(ctx context.Context, w awssetup.Resource) (awssetup.Seen, bool, error) {
	at, err := a.aws.SQS.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: &w.Name})
	if is(err, "AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist") {
		return awssetup.Seen{}, false, nil
	}
	if err != nil {
		return awssetup.Seen{}, false, err
	}
	a.queues[w.Kind] = aws.ToString(at.QueueUrl)
	out, err := a.aws.SQS.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{QueueUrl: at.QueueUrl, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameAll}})
	if err != nil {
		return awssetup.Seen{}, false, err
	}
	tags, err := a.aws.SQS.ListQueueTags(ctx, &sqs.ListQueueTagsInput{QueueUrl: at.QueueUrl})
	if err != nil {
		return awssetup.Seen{}, false, err
	}
	return awssetup.Seen{Properties: out.Attributes, Bucket: tags.Tags[awssetup.Tag]}, true, nil
}

// createQueue fails for a minute after a queue of the name was deleted; SQS says
// so.
func (a *Account) createQueue(ctx context.Context, w awssetup.Resource) error {
	out, err := a.aws.SQS.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: &w.Name, Attributes: w.Properties, Tags: a.tags()})
	if err == nil {
		a.queues[w.Kind] = aws.ToString(out.QueueUrl)
	}
	return err
}

func (a *Account) changeQueue(ctx context.Context, w awssetup.Resource) error {
	_, err := a.aws.SQS.SetQueueAttributes(ctx, &sqs.SetQueueAttributesInput{QueueUrl: aws.String(a.queues[w.Kind]), Attributes: w.Properties})
	return err
}

func (a *Account) removeQueue(ctx context.Context, w awssetup.Resource) error {
	_, err := a.aws.SQS.DeleteQueue(ctx, &sqs.DeleteQueueInput{QueueUrl: aws.String(a.queues[w.Kind])})
	return err
}
