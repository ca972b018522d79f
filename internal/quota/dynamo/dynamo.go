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
		return nil, "", fmt.Errorf("read the quota from the table %s: %w", s.table, err)
	}
	if len(out.Item) == 0 {
		return nil, "", nil
	}
	text, ok := out.Item[attributeRecord].(*types.AttributeValueMemberB)
	number, numbered := out.Item[attributeRevision].(*types.AttributeValueMemberN)
	if !ok || !numbered {
		return nil, "", fmt.Errorf("read the quota from the table %s: the item %q is not freshet's: give it a table of its own", s.table, s.id)
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
		return "", false, fmt.Errorf("write the quota to the table %s: %w", s.table, err)
	}
	return next, true, nil
}

func (s *Store) key() map[string]types.AttributeValue {
	return map[string]types.AttributeValue{attributeID: &types.AttributeValueMemberS{Value: s.id}}
}
