package account

import (
	"context"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/freshet/freshet/internal/awssetup"
)

func (a *Account) seeTable(ctx context.Context, w awssetup.Resource) (awssetup.Seen, bool, error) {
	out, err := a.aws.DynamoDB.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &w.Name})
	if is(err, "ResourceNotFoundException") {
		return awssetup.Seen{}, false, nil
	}
	if err != nil {
		return awssetup.Seen{}, false, err
	}
	kinds := make(map[string]types.ScalarAttributeType)
	for _, d := range out.Table.AttributeDefinitions {
		kinds[aws.ToString(d.AttributeName)] = d.AttributeType
	}
	var key []string
	for _, k := range out.Table.KeySchema {
		name := aws.ToString(k.AttributeName)
		key = append(key, name, string(kinds[name]), string(k.KeyType))
	}
	seen := awssetup.Seen{Properties: map[string]string{awssetup.PropertyKey: strings.Join(key, " ")}}
	tags, err := a.aws.DynamoDB.ListTagsOfResource(ctx, &dynamodb.ListTagsOfResourceInput{ResourceArn: out.Table.TableArn})
	if err != nil {
		return awssetup.Seen{}, false, err
	}
	for _, t := range tags.Tags {
		if aws.ToString(t.Key) == awssetup.Tag {
			seen.Bucket = aws.ToString(t.Value)
		}
	}
	return seen, true, nil
}

func (a *Account) createTable(ctx context.Context, w awssetup.Resource) error {
	_, err := a.aws.DynamoDB.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName: &w.Name, BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("id"), AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("id"), KeyType: types.KeyTypeHash}},
		Tags:                 []types.Tag{{Key: aws.String(awssetup.Tag), Value: &a.site.Bucket}},
	})
	if err != nil {
		return err
	}
	return dynamodb.NewTableExistsWaiter(a.aws.DynamoDB).Wait(ctx, &dynamodb.DescribeTableInput{TableName: &w.Name}, readyWithin)
}

func (a *Account) removeTable(ctx context.Context, w awssetup.Resource) error {
	_, err := a.aws.DynamoDB.DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: &w.Name})
	return err
}

func (a *Account) seeLogs(ctx context.Context, w awssetup.Resource) (awssetup.Seen, bool, error) {
	out, err := a.aws.Logs.DescribeLogGroups(ctx, &cloudwatchlogs.DescribeLogGroupsInput{LogGroupNamePrefix: &w.Name})
	if err != nil {
		return awssetup.Seen{}, false, err
	}
	for _, g := range out.LogGroups {
		if aws.ToString(g.LogGroupName) != w.Name {
			continue
		}
		seen := awssetup.Seen{Properties: make(map[string]string)}
		if g.RetentionInDays != nil {
			seen.Properties[awssetup.PropertyRetention] = strconv.Itoa(int(*g.RetentionInDays))
		}
		tags, err := a.aws.Logs.ListTagsForResource(ctx, &cloudwatchlogs.ListTagsForResourceInput{ResourceArn: aws.String(a.site.ARN("logs", "log-group:"+w.Name))})
		if err != nil {
			return awssetup.Seen{}, false, err
		}
		seen.Bucket = tags.Tags[awssetup.Tag]
		return seen, true, nil
	}
	return awssetup.Seen{}, false, nil
}

func (a *Account) createLogs(ctx context.Context, w awssetup.Resource) error {
	if _, err := a.aws.Logs.CreateLogGroup(ctx, &cloudwatchlogs.CreateLogGroupInput{LogGroupName: &w.Name, Tags: a.tags()}); err != nil {
		return err
	}
	return a.changeLogs(ctx, w)
}

func (a *Account) changeLogs(ctx context.Context, w awssetup.Resource) error {
	_, err := a.aws.Logs.PutRetentionPolicy(ctx, &cloudwatchlogs.PutRetentionPolicyInput{LogGroupName: &w.Name, RetentionInDays: number(w.Properties[awssetup.PropertyRetention])})
	return err
}

func (a *Account) removeLogs(ctx context.Context, w awssetup.Resource) error {
	_, err := a.aws.Logs.DeleteLogGroup(ctx, &cloudwatchlogs.DeleteLogGroupInput{LogGroupName: &w.Name})
	return err
}

// number is that of a property, which awssetup wrote.
func number(text string) *int32 {
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return nil
	}
	return aws.Int32(int32(n))
}
