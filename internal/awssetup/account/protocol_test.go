package account_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"

	"github.com/freshet/freshet/internal/awssetup/account"
)

// CloudWatch is asked in AWS's query protocol, which programs that play AWS know;
// clients later than the one in go.mod speak another.
func TestCloudWatchIsAskedInTheQueryProtocol(t *testing.T) {
	actions := make(chan string, 1)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		actions <- r.PostFormValue("Action")
		w.WriteHeader(http.StatusBadRequest)
	}))
	defer s.Close()
	services := account.Connect(aws.Config{
		Region: "us-east-1", BaseEndpoint: new(s.URL), RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", ""),
	})
	if _, err := services.Alarms.DescribeAlarms(t.Context(), new(cloudwatch.DescribeAlarmsInput)); err == nil {
		t.Error("a refusal is no error")
	}
	if got := <-actions; got != "DescribeAlarms" {
		t.Errorf("the action is %q", got)
	}
}
