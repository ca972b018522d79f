package account

import (
	"context"
	"fmt"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/freshet/freshet/internal/awssetup"
)

// Depth is about how many messages wait in the queue or are being worked on, and
// lie in the dead-letter queue. Queues that Look did not find hold none.
func (a *Account) Depth(ctx context.Context) (waiting, dead int, err error) {
	if waiting, err = a.depth(ctx, awssetup.Queue); err != nil {
		return 0, 0, err
	}
	dead, err = a.depth(ctx, awssetup.DeadLetterQueue)
	return waiting, dead, err
}

func (a *Account) depth(ctx context.Context, k awssetup.Kind) (n int, err error) {
	url, ok := a.queues[k]
	if !ok {
		return 0, nil
	}
	visible, hidden := types.QueueAttributeNameApproximateNumberOfMessages, types.QueueAttributeNameApproximateNumberOfMessagesNotVisible
	out, err := a.aws.SQS.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{QueueUrl: &url, AttributeNames: []types.QueueAttributeName{visible, hidden}})
	if err != nil {
		return 0, fmt.Errorf("count the messages of the %s: %w", k, err)
	}
	for _, name := range []types.QueueAttributeName{visible, hidden} {
		each, err := strconv.Atoi(out.Attributes[string(name)])
		if err != nil {
			return 0, fmt.Errorf("count the messages of the %s: %w", k, err)
		}
		n += each
	}
	return n, nil
}
