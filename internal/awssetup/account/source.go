package account

import (
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/freshet/freshet/internal/awssetup"
)

// seeSource finds the mapping by its two ends. It is as much the site's as they
// are, since it has no name of its own.
func (a *Account) seeSource(ctx context.Context, w awssetup.Resource) (awssetup.Seen, bool, error) {
	out, err := a.aws.Lambda.ListEventSourceMappings(ctx, &lambda.ListEventSourceMappingsInput{EventSourceArn: aws.String(a.site.QueueARN()), FunctionName: &w.Name})
	if is(err, "ResourceNotFoundException") {
		return awssetup.Seen{}, false, nil
	}
	if err != nil || len(out.EventSourceMappings) == 0 {
		return awssetup.Seen{}, false, err
	}
	function, err := a.aws.Lambda.GetFunction(ctx, &lambda.GetFunctionInput{FunctionName: &w.Name})
	if err != nil && !is(err, "ResourceNotFoundException") {
		return awssetup.Seen{}, false, err
	}
	seen := awssetup.Seen{Bucket: a.site.Bucket}
	if err == nil {
		seen.Bucket = function.Tags[awssetup.Tag]
	}
	m := out.EventSourceMappings[0]
	a.mapping = m.UUID
	var responses []string
	for _, r := range m.FunctionResponseTypes {
		responses = append(responses, string(r))
	}
	seen.Properties = map[string]string{
		awssetup.PropertyBatch: text(m.BatchSize), awssetup.PropertyWindow: text(m.MaximumBatchingWindowInSeconds),
		awssetup.PropertyResponse: strings.Join(responses, " "), awssetup.PropertyState: lasting(aws.ToString(m.State)),
	}
	if m.ScalingConfig != nil {
		seen.Properties[awssetup.PropertyScaling] = text(m.ScalingConfig.MaximumConcurrency)
	}
	return seen, true, nil
}

// lasting is the state that a passing one leads to.
func lasting(state string) string {
	switch state {
	case "Creating", "Enabling", "Updating":
		return "Enabled"
	}
	return state
}

func (a *Account) createSource(ctx context.Context, w awssetup.Resource) error {
	p := w.Properties
	return settled(ctx, roleTooNew, func() error {
		_, err := a.aws.Lambda.CreateEventSourceMapping(ctx, &lambda.CreateEventSourceMappingInput{
			FunctionName: &w.Name, EventSourceArn: aws.String(a.site.QueueARN()), Enabled: aws.Bool(true),
			BatchSize: number(p[awssetup.PropertyBatch]), MaximumBatchingWindowInSeconds: number(p[awssetup.PropertyWindow]),
			FunctionResponseTypes: []types.FunctionResponseType{types.FunctionResponseType(p[awssetup.PropertyResponse])},
			ScalingConfig:         &types.ScalingConfig{MaximumConcurrency: number(p[awssetup.PropertyScaling])},
		})
		return err
	})
}

func (a *Account) changeSource(ctx context.Context, w awssetup.Resource) error {
	p := w.Properties
	return settled(ctx, func(err error) bool { return busy(err) || roleTooNew(err) }, func() error {
		_, err := a.aws.Lambda.UpdateEventSourceMapping(ctx, &lambda.UpdateEventSourceMappingInput{
			UUID: a.mapping, FunctionName: &w.Name, Enabled: aws.Bool(true),
			BatchSize: number(p[awssetup.PropertyBatch]), MaximumBatchingWindowInSeconds: number(p[awssetup.PropertyWindow]),
			FunctionResponseTypes: []types.FunctionResponseType{types.FunctionResponseType(p[awssetup.PropertyResponse])},
			ScalingConfig:         &types.ScalingConfig{MaximumConcurrency: number(p[awssetup.PropertyScaling])},
		})
		return err
	})
}

func (a *Account) removeSource(ctx context.Context, _ awssetup.Resource) error {
	return settled(ctx, busy, func() error {
		_, err := a.aws.Lambda.DeleteEventSourceMapping(ctx, &lambda.DeleteEventSourceMappingInput{UUID: a.mapping})
		return err
	})
}
