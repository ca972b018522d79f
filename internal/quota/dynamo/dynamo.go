// Package dynamo keeps the record that senders of one account share in a table
// of Amazon DynamoDB, by conditional writes.
package dynamo

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"

	"github.com/freshet/freshet/internal/cdn"
)

// Names of the table's attributes. Its key is id, a string, without a sort key.
const (
	attributeID       = "id"
	attributeRecord   = "record"
	attributeRevision = "revision"
)

// API is what a Store asks of DynamoDB; *dynamodb.Client has it. It needs the
// permissions dynamodb:GetItem and PutItem on the table.
type API interface {
	GetItem(context.Context, *dynamodb.GetItemInput, ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error)
	PutItem(context.Context, *dynamodb.PutItemInput, ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error)
}

// Store is a quota.Store: one item of a table.
type Store struct {
	api       API
	table, id string
}

// New returns the store that is the item called id of a table.
func New(api API, table, id string) *Store { return &Store{api, table, id} }

// Load reads the item as it is now, not as it may have been.
func (s *Store) Load(ctx context.Context) (record []byte, revision string, err error) {
	out, err := s.api.GetItem(ctx, &dynamodb.GetItemInput{TableName: &s.table, Key: s.key(), ConsistentRead: aws.Bool(true)})
	if err != nil {
		return nil, "", s.failed("read the quota from", err)
	}
	if len(out.Item) == 0 {
		return nil, "", nil
	}
	text, ok := out.Item[attributeRecord].(*types.AttributeValueMemberB)
	number, numbered := out.Item[attributeRevision].(*types.AttributeValueMemberN)
	if !ok || !numbered {
		return nil, "", &cdn.Error{Class: cdn.Denied, Hint: "give it a table of its own", Err: fmt.Errorf("read the quota from the table %s: the item %q is not freshet's", s.table, s.id)}
	}
	return text.Value, number.Value, nil
}

// Swap writes the item unless somebody else has written it since.
func (s *Store) Swap(ctx context.Context, record []byte, revision string) (next string, ok bool, err error) {
	in := &dynamodb.PutItemInput{TableName: &s.table, Item: s.key(), ConditionExpression: aws.String("attribute_not_exists(#id)"), ExpressionAttributeNames: map[string]string{"#id": attributeID}}
	next = "1"
	if revision != "" {
		n, err := strconv.ParseInt(revision, 10, 64)
		if err != nil {
			return "", false, fmt.Errorf("write the quota to the table %s: the revision %q is no number", s.table, revision)
		}
		next = strconv.FormatInt(n+1, 10)
		in.ConditionExpression = aws.String("#revision = :revision")
		in.ExpressionAttributeNames = map[string]string{"#revision": attributeRevision}
		in.ExpressionAttributeValues = map[string]types.AttributeValue{":revision": &types.AttributeValueMemberN{Value: revision}}
	}
	in.Item[attributeRecord] = &types.AttributeValueMemberB{Value: record}
	in.Item[attributeRevision] = &types.AttributeValueMemberN{Value: next}
	_, err = s.api.PutItem(ctx, in)
	var lost *types.ConditionalCheckFailedException
	switch {
	case errors.As(err, &lost):
		return "", false, nil
	case err != nil:
		return "", false, s.failed("write the quota to", err)
	}
	return next, true, nil
}

// failed tells what will not pass by itself, so that nobody tries again in vain,
// and what to do about it. Everything else is as the SDK says it.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
func (s *Store) failed(doing string, err error) error {
	doing += " the table " + s.table
	var refused smithy.APIError
	if !errors.As(err, &refused) {
		return fmt.Errorf("%s: %w", doing, err)
	}
	hint := map[string]string{
		"ResourceNotFoundException": "make it, in the function's region: aws dynamodb create-table --billing-mode PAY_PER_REQUEST --attribute-definitions AttributeName=id,AttributeType=S --key-schema AttributeName=id,KeyType=HASH --table-name " + s.table,
		"AccessDeniedException":     "the function's role needs dynamodb:GetItem and dynamodb:PutItem on it",
		"ValidationException":       "its key has to be id, a string, with no sort key",
	}[refused.ErrorCode()]
	if hint == "" {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return &cdn.Error{Class: cdn.Denied, Hint: hint, Err: fmt.Errorf("%s: %w", doing, err)}
}

func (s *Store) key() map[string]types.AttributeValue {
	return map[string]types.AttributeValue{attributeID: &types.AttributeValueMemberS{Value: s.id}}
}
