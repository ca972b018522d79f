package dynamo_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/freshet/freshet/internal/quota"
	"github.com/freshet/freshet/internal/quota/dynamo"
)

var _ quota.Store = (*dynamo.Store)(nil)

// table speaks as much of DynamoDB's protocol as the store uses, and knows the
// two conditions that it writes under.
type table struct {
	mu   sync.Mutex
	item map[string]map[string]string
	lose int // so many answers of PutItem to lose
}

func (s *table) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var in struct {
		TableName, ConditionExpression string
		ConsistentRead                 bool
		Item, Key                      map[string]map[string]string
		ExpressionAttributeValues      map[string]map[string]string
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	refuse := func(kind string) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = fmt.Fprintf(w, `{"__type":"com.amazonaws.dynamodb.v20120810#%s","message":"no"}`, kind)
	}
	switch _, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), "."); {
	case in.TableName != "freshet":
		refuse("ResourceNotFoundException")
	case operation == "GetItem" && in.ConsistentRead && in.Key["id"]["S"] == "account":
		_ = json.NewEncoder(w).Encode(map[string]any{"Item": s.item})
	case operation == "PutItem" && in.Item["id"]["S"] == "account":
		holds := len(s.item) == 0
		if in.ConditionExpression == "#revision = :revision" {
			holds = s.item["revision"]["N"] == in.ExpressionAttributeValues[":revision"]["N"] && len(s.item) > 0
		}
		if !holds {
			refuse("ConditionalCheckFailedException")
			return
		}
		s.item = in.Item
		if s.lose > 0 {
			s.lose--
			http.Error(w, "lost", http.StatusInternalServerError)
			return
		}
		_, _ = w.Write([]byte("{}"))
	default:
		refuse("ValidationException")
	}
}

func open(t *testing.T, s *table, name string) *dynamo.Store {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return dynamo.New(dynamodb.New(dynamodb.Options{
		BaseEndpoint: &server.URL, Region: "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider("k", "s", ""), Retryer: aws.NopRetryer{},
	}), name, "account")
}

func TestWritesOnlyWhatItHasRead(t *testing.T) {
	s := open(t, new(table), "freshet")
	if record, revision, err := s.Load(t.Context()); len(record) > 0 || revision != "" || err != nil {
		t.Fatalf("an empty table has %q, %q, %v", record, revision, err)
	}
	first, ok, err := s.Swap(t.Context(), []byte("one"), "")
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	if _, ok, err := s.Swap(t.Context(), []byte("another"), ""); ok || err != nil {
		t.Errorf("written over what was not read: %v, %v", ok, err)
	}
	second, ok, err := s.Swap(t.Context(), []byte("two"), first)
	if err != nil || !ok || second == first {
		t.Fatal(second, ok, err)
	}
	if _, ok, _ := s.Swap(t.Context(), []byte("late"), first); ok {
		t.Error("written over what somebody else has written")
	}
	if record, revision, err := s.Load(t.Context()); string(record) != "two" || revision != second || err != nil {
		t.Errorf("got %q, %q, %v", record, revision, err)
	}
}

func TestManyWritersLoseNothing(t *testing.T) {
	s := open(t, new(table), "freshet")
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for n := 0; n < 20; {
				record, revision, err := s.Load(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				_, ok, err := s.Swap(t.Context(), append(record, 'x'), revision)
				if err != nil {
					t.Error(err)
					return
				}
				if ok {
					n++
				}
			}
		})
	}
	all.Wait()
	if record, revision, _ := s.Load(t.Context()); len(record) != 160 || revision != "160" {
		t.Errorf("%d writes are left, at revision %s", len(record), revision)
	}
}

func TestSaysWhatIsWrong(t *testing.T) {
	if _, _, err := open(t, new(table), "missing").Load(t.Context()); err == nil || !strings.Contains(err.Error(), "table missing") {
		t.Errorf("got %v", err)
	}
	foreign := &table{item: map[string]map[string]string{"id": {"S": "account"}, "record": {"S": "text"}}}
	if _, _, err := open(t, foreign, "freshet").Load(t.Context()); err == nil || !strings.Contains(err.Error(), "is not freshet's") {
		t.Errorf("got %v", err)
	}
	// An answer that was lost is an error; what was written is found when it is read.
	losing := &table{lose: 1}
	s := open(t, losing, "freshet")
	if _, ok, err := s.Swap(t.Context(), []byte("one"), ""); ok || err == nil {
		t.Errorf("got %v, %v", ok, err)
	}
	if record, _, err := s.Load(t.Context()); string(record) != "one" || err != nil {
		t.Errorf("got %q, %v; stored is %q", record, err, base64.StdEncoding.EncodeToString(record))
	}
}
