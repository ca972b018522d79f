package alarm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sns/types"
	"github.com/aws/smithy-go"
)

// Topic publishes notices to an SNS topic.
type Topic struct {
	ARN    string
	Client *sns.Client
}

// NewTopic returns a sender to the topic, with the credentials of the
// environment and in the topic's own region.
func NewTopic(ctx context.Context, topic string) (*Topic, error) {
	parsed, err := arn.Parse(topic)
	if err != nil {
		return nil, fmt.Errorf("SNS topic %s: %w", topic, err)
	}
	sdk, err := config.LoadDefaultConfig(ctx, config.WithRegion(parsed.Region))
	if err != nil {
		return nil, fmt.Errorf("SNS topic %s: %w", topic, err)
	}
	return &Topic{topic, sns.NewFromConfig(sdk)}, nil
}

// longestSubject is what SNS takes. A subject is ASCII, begins with a letter,
// digit or punctuation mark, and has no control characters.
// https://docs.aws.amazon.com/sns/latest/api/API_Publish.html
const longestSubject = 100

// Send implements Sender. A FIFO topic gets notices in the order of each
// distribution, and none twice.
func (t *Topic) Send(ctx context.Context, n Notice) error {
	body, err := json.Marshal(n)
	if err != nil {
		return fmt.Errorf("write the alarm: %w", err)
	}
	text := func(s string) types.MessageAttributeValue {
		return types.MessageAttributeValue{DataType: aws.String("String"), StringValue: &s}
	}
	in := &sns.PublishInput{
		TopicArn: &t.ARN,
		Message:  aws.String(string(body)),
		Subject:  aws.String(subject(n)),
		MessageAttributes: map[string]types.MessageAttributeValue{
			"alarm": text(string(n.Alarm)), "state": text(string(n.State)),
		},
	}
	if n.Distribution != "" {
		in.MessageAttributes["distribution"] = text(n.Distribution)
	}
	if strings.HasSuffix(t.ARN, ".fifo") {
		in.MessageGroupId, in.MessageDeduplicationId = aws.String("freshet-"+n.Distribution), &n.ID
	}
	if _, err := t.Client.Publish(ctx, in); err != nil {
		return fmt.Errorf("publish the alarm: %w", lasting(err))
	}
	return nil
}

func subject(n Notice) string {
	s := fmt.Sprintf("freshet: %s %s %s", n.Alarm, n.State, n.Distribution)
	return strings.TrimSpace(s[:min(len(s), longestSubject)])
}

// lasting marks what will be the same at the next try.
func lasting(err error) error {
	var failed smithy.APIError
	if !errors.As(err, &failed) {
		return err
	}
	switch failed.ErrorCode() {
	case "NotFound", "InvalidParameter", "InvalidParameterValue", "ParameterValueInvalid", "KMSAccessDenied":
		return fmt.Errorf("%w: %w", err, ErrRefused)
	}
	return err // permissions are granted, endpoints enabled, and clocks set right
}
