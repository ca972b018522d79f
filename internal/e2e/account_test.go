package e2e_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// account plays Parameter Store, DynamoDB, CodePipeline and Lambda: the operations
// that the function uses of them, and how they refuse.
type account struct {
	*httptest.Server

	mu         sync.Mutex
	parameters map[string]string
	tables     map[string]attributes // each with the only thing in it
	refuse     map[string]string     // kind of error by operation
	writes     int                   // of tables
	lost       int                   // conditions that did not hold
	jobs       []string              // what CodePipeline was told, with the reason of a failure
	update     string                // LastUpdateStatus of every function
}

// attributes are values as DynamoDB writes them: {"S": "text"}.
type attributes map[string]map[string]string

func newAccount(t *testing.T) *account {
	t.Helper()
	a := &account{parameters: make(map[string]string), tables: make(map[string]attributes), refuse: make(map[string]string)}
	a.Server = httptest.NewServer(a)
	t.Cleanup(a.Close)
	return a
}

func (a *account) environ() []string {
	return []string{"AWS_ENDPOINT_URL_SSM=" + a.URL, "AWS_ENDPOINT_URL_DYNAMODB=" + a.URL, "AWS_ENDPOINT_URL_CODEPIPELINE=" + a.URL, "AWS_ENDPOINT_URL_LAMBDA=" + a.URL}
}

// ServeHTTP answers one operation of AWS's JSON protocols.
func (a *account) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Name                      string
		TableName                 string
		ConditionExpression       string
		Key, Item                 attributes
		ExpressionAttributeValues attributes
		FailureDetails            struct{ Message string }
	}
	_ = json.NewDecoder(r.Body).Decode(&in) // what is missing is refused below
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	a.mu.Lock()
	defer a.mu.Unlock()
	if strings.HasPrefix(r.URL.Path, "/2015-03-31/functions/") {
		_, _ = fmt.Fprintf(w, `{"Configuration":{"State":"Active","LastUpdateStatus":%q}}`, a.update)
		return
	}
	if strings.HasPrefix(operation, "PutJob") {
		a.jobs = append(a.jobs, operation+" "+in.FailureDetails.Message)
	}
	answer, refusal := a.do(operation, in.Name, in.TableName, func(item attributes) (attributes, string) {
		if operation == "GetItem" {
			return item, ""
		}
		holds := len(item) == 0
		if in.ConditionExpression == "#revision = :revision" {
			holds = len(item) > 0 && item["revision"]["N"] == in.ExpressionAttributeValues[":revision"]["N"]
		}
		if !holds {
			a.lost++
			return nil, "ConditionalCheckFailedException"
		}
		a.writes++
		return in.Item, ""
	})
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	if refusal != "" {
		w.WriteHeader(http.StatusBadRequest)
		answer = map[string]string{"__type": refusal, "message": "not for you"}
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func (a *account) do(operation, parameter, table string, item func(attributes) (attributes, string)) (answer any, refusal string) {
	if refusal := a.refuse[operation]; refusal != "" {
		return nil, refusal
	}
	switch operation {
	case "GetParameter":
		value, ok := a.parameters[parameter]
		if !ok {
			return nil, "ParameterNotFound"
		}
		return map[string]any{"Parameter": map[string]string{"Name": parameter, "Type": "String", "Value": value}}, ""
	case "GetItem", "PutItem":
		before, ok := a.tables[table]
		if !ok {
			return nil, "ResourceNotFoundException"
		}
		after, refusal := item(before)
		if refusal == "" {
			a.tables[table] = after
		}
		return map[string]any{"Item": after}, refusal
	}
	if strings.HasPrefix(operation, "PutJob") {
		return struct{}{}, ""
	}
	return nil, "UnknownOperationException"
}

// moto starts moto's server, which plays AWS, and returns its URL. It is not
// among the programs that CI has: it is a second opinion of what account is the
// first.
func moto(t *testing.T) string {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil || exec.Command(python, "-c", "import moto.server").Run() != nil {
		t.Skip("moto is not installed")
	}
	host, port := freePort(t)
	server := exec.Command(python, "-m", "moto.server", "-H", host, "-p", port)
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Process.Kill(); _ = server.Wait() })
	url := "http://" + net.JoinHostPort(host, port)
	for limit := time.Now().Add(patience); ; {
		if got, err := http.Get(url + "/moto-api/"); err == nil {
			got.Body.Close()
			return url
		}
		if time.Now().After(limit) {
			t.Fatal("moto does not answer")
		}
		<-time.After(50 * time.Millisecond)
	}
}
