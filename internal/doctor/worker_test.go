package doctor_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/freshet/freshet/internal/doctor"
)

// The function's queue, its dead letters and its log are asked for as Lambda, SQS
// and CloudWatch want it.
func TestWorkerOnTheWire(t *testing.T) {
	answers := map[string]string{
		"GET /2015-03-31/functions/inv":                 `{"Configuration":{"State":"Active","LastUpdateStatus":"Successful","Environment":{"Variables":{"FRESHET_DISTRIBUTIONS":"E1"}}},"Concurrency":{"ReservedConcurrentExecutions":1}}`,
		"GET /2015-03-31/event-source-mappings":         `{"EventSourceMappings":[{"EventSourceArn":"arn:aws:sqs:eu-west-1:123456789012:changes","State":"Enabled"}]}`,
		"AmazonSQS.GetQueueUrl changes":                 `{"QueueUrl":"http://q/changes"}`,
		"AmazonSQS.GetQueueUrl dead":                    `{"QueueUrl":"http://q/dead"}`,
		"AmazonSQS.GetQueueAttributes http://q/changes": `{"Attributes":{"ApproximateNumberOfMessages":"4","RedrivePolicy":"{\"deadLetterTargetArn\":\"arn:aws:sqs:eu-west-1:123456789012:dead\",\"maxReceiveCount\":10}"}}`,
		"AmazonSQS.GetQueueAttributes http://q/dead":    `{"Attributes":{"ApproximateNumberOfMessages":"7"}}`,
		"Logs_20140328.FilterLogEvents /aws/lambda/inv": `{"events":[{"timestamp":1000,"message":"{\"level\":\"ERROR\",\"err\":\"AccessDenied: no\"}\n"}]}`,
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct{ QueueName, QueueURL, LogGroupName string }
		_ = json.NewDecoder(r.Body).Decode(&in) // GETs have none
		name := strings.TrimSuffix(r.Method+" "+r.URL.Path, "/")
		if target := r.Header.Get("X-Amz-Target"); target != "" {
			name = target + " " + in.QueueName + in.QueueURL + in.LogGroupName
		}
		answer, ok := answers[name]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		_, _ = w.Write([]byte(answer))
	}))
	defer server.Close()
	t.Setenv("AWS_ENDPOINT_URL", server.URL)
	t.Setenv("AWS_CONFIG_FILE", "/dev/null")
	clients, err := doctor.Dial(t.Context(), doctor.Place{Region: "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider("a", "b", "")})
	if err != nil {
		t.Fatal(err)
	}
	var saw []string
	for _, f := range doctor.Examine(t.Context(), doctor.Config{Clients: clients, Function: "inv"}) {
		if f.Check == "lambda" {
			saw = append(saw, f.Saw)
		}
	}
	all := strings.Join(saw, "\n")
	for _, want := range []string{"7 changes could not be invalidated and lie in arn:aws:sqs:eu-west-1:123456789012:dead", "1 error in its log", "AccessDenied: no"} {
		if !strings.Contains(all, want) {
			t.Errorf("no %q among\n%s", want, all)
		}
	}
	if strings.Contains(all, "cannot be read") {
		t.Error(all)
	}
}
