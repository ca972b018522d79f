package doctor_test

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/freshet/freshet/internal/doctor"
)

var listening = regexp.MustCompile(`Running on (http://127\.0\.0\.1:[0-9]+)`)

// moto starts a stand-in of AWS and returns its URL.
func moto(t *testing.T) string {
	program, err := exec.LookPath("moto_server")
	if err != nil {
		t.Skip("SKIPPED: moto_server is not installed, so that nothing is held against a second opinion of AWS's APIs: pip install 'moto[server]'")
	}
	c := exec.CommandContext(t.Context(), program, "-H", "127.0.0.1", "-p", "0")
	said, err := c.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	address := make(chan string, 1)
	go func() {
		lines := bufio.NewScanner(said)
		for lines.Scan() {
			if m := listening.FindStringSubmatch(lines.Text()); m != nil {
				address <- m[1]
				break
			}
		}
		_, _ = io.Copy(io.Discard, said)
	}()
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	select {
	case a := <-address:
		return a
	case <-time.After(60 * time.Second):
		t.Fatal("moto_server does not start")
		return ""
	}
}

// EventBridge is switched on by an empty element.
func TestEventBridgeOnTheWire(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, ok := r.URL.Query()["notification"]; !ok {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_, _ = io.WriteString(w, `<NotificationConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><EventBridgeConfiguration/></NotificationConfiguration>`)
	}))
	defer server.Close()
	t.Setenv("AWS_ENDPOINT_URL", server.URL)
	t.Setenv("AWS_CONFIG_FILE", "/dev/null")
	clients, err := doctor.Dial(t.Context(), doctor.Place{Region: "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider("a", "b", "")})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range doctor.Examine(t.Context(), doctor.Config{Clients: clients, Bucket: "www"}) {
		if f.Check == "events" && (f.Level != doctor.OK || !strings.Contains(f.Saw, "EventBridge is told of every change")) || f.Check == "region" && !strings.Contains(f.Saw, "there is no bucket") {
			t.Errorf("%+v", f)
		}
	}
}

// What Dial makes asks STS, S3 and CloudFront as they want to be asked. No
// distribution is named: fetching from one would leave this machine.
func TestAgainstMoto(t *testing.T) {
	at := moto(t)
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": at, "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_SESSION_TOKEN": "", "AWS_REGION": "us-east-1",
		"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_PROFILE": "",
	} {
		t.Setenv(name, value)
	}
	ctx := t.Context()
	objects := s3.New(s3.Options{BaseEndpoint: &at, Region: "eu-west-1", UsePathStyle: true, Credentials: credentials.NewStaticCredentialsProvider("a", "b", "")})
	bucket := aws.String("www")
	if _, err := objects.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: bucket, CreateBucketConfiguration: &types.CreateBucketConfiguration{LocationConstraint: "eu-west-1"}}); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"index.html", "~me.css"} {
		if _, err := objects.PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: &key, Body: strings.NewReader(key), CacheControl: aws.String("max-age=7200")}); err != nil {
			t.Fatal(err)
		}
	}
	look := func() []doctor.Finding {
		clients, err := doctor.Dial(ctx, doctor.Place{})
		if err != nil {
			t.Fatal(err)
		}
		return doctor.Examine(ctx, doctor.Config{Clients: clients, Bucket: "www", Function: "inv"})
	}
	want := func(findings []doctor.Finding, level doctor.Level, check, saw string) {
		t.Helper()
		if !slices.ContainsFunc(findings, func(f doctor.Finding) bool {
			return f.Level == level && f.Check == check && strings.Contains(f.Saw, saw)
		}) {
			t.Errorf("no %s of %s with %q in %+v", level, check, saw, findings)
		}
	}
	first := look()
	want(first, doctor.OK, "credentials", "account 123456789012")
	want(first, doctor.Warning, "region", "the bucket www is in eu-west-1, and us-east-1 is configured")
	want(first, doctor.Error, "distribution", "no distribution of this account has the bucket www")
	want(first, doctor.Error, "events", "nobody is told of uploads")
	want(first, doctor.Note, "events", "no lifecycle rule expires anything now")
	want(first, doctor.Error, "lambda", "inv: there is no such function in eu-west-1")
	want(first, doctor.Warning, "keys", "1 of 2 keys cannot be invalidated exactly: ~me.css (only by /*)")
	want(first, doctor.Warning, "browsers", "index.html (max-age=7200)")

	if _, err := objects.PutBucketNotificationConfiguration(ctx, &s3.PutBucketNotificationConfigurationInput{Bucket: bucket, NotificationConfiguration: &types.NotificationConfiguration{QueueConfigurations: []types.QueueConfiguration{{
		QueueArn: aws.String("arn:aws:sqs:eu-west-1:123456789012:changes"), Events: []types.Event{"s3:ObjectCreated:*", "s3:ObjectRemoved:*"},
	}}}}); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_REGION", "eu-west-1")
	second := look()
	want(second, doctor.OK, "region", "in eu-west-1, as configured")
	want(second, doctor.Note, "events", "nobody is told of lifecycle expirations")
}
