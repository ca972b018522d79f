package cli

import (
	"archive/zip"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

// moto starts moto's server, which plays AWS, and points the SDK at it; its IDs of
// distributions begin with any letter or digit. It is not
// among the programs that CI has: what Install decides is tested without it.
func moto(t *testing.T) aws.Config {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil || exec.Command(python, "-c", "import moto.server").Run() != nil {
		t.Skip("moto is not installed: install, status and uninstall are not tried against it")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	listener.Close()
	server := exec.Command(python, "-m", "moto.server", "-H", "127.0.0.1", "-p", port)
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Process.Kill(); _ = server.Wait() })
	url := "http://127.0.0.1:" + port
	for deadline := time.Now().Add(time.Minute); ; {
		if resp, err := http.Get(url + "/moto-api/"); err == nil {
			resp.Body.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("moto does not answer")
		}
		<-time.After(50 * time.Millisecond)
	}
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": url, "AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y", "AWS_SESSION_TOKEN": "",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, "AWS_PROFILE": "",
	} {
		t.Setenv(name, value)
	}
	cfg, err := config.LoadDefaultConfig(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func zipped(t *testing.T, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "code.zip")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := zip.NewWriter(f)
	bootstrap, err := w.Create("bootstrap")
	if err == nil {
		_, err = bootstrap.Write([]byte(content))
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// someAccount is what is in moto before freshet comes: a bucket that notifies
// somebody else.
func someAccount(t *testing.T, cfg aws.Config) (*s3.Client, types.QueueConfiguration) {
	t.Helper()
	buckets := s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true })
	theirs := types.QueueConfiguration{
		Id: aws.String("theirs"), Events: []types.Event{"s3:ObjectCreated:Put"}, QueueArn: aws.String("arn:aws:sqs:eu-west-1:123456789012:theirs"),
		Filter: &types.NotificationConfigurationFilter{Key: &types.S3KeyFilter{FilterRules: []types.FilterRule{{Name: types.FilterRuleNamePrefix, Value: aws.String("logs/")}}}},
	}
	_, err := buckets.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("www"), CreateBucketConfiguration: &types.CreateBucketConfiguration{LocationConstraint: "eu-west-1"}})
	if err == nil {
		_, err = sqs.NewFromConfig(cfg).CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String("theirs")})
	}
	if err == nil {
		_, err = buckets.PutBucketNotificationConfiguration(t.Context(), &s3.PutBucketNotificationConfigurationInput{Bucket: aws.String("www"), NotificationConfiguration: &types.NotificationConfiguration{
			QueueConfigurations: []types.QueueConfiguration{theirs},
		}})
	}
	if err != nil {
		t.Fatal(err)
	}
	return buckets, theirs
}

// TestInstall goes the whole way, in an account in which there is something.
func TestInstall(t *testing.T) {
	cfg := moto(t)
	buckets, theirs := someAccount(t, cfg)
	run := func(code int, want, args string) {
		t.Helper()
		var out, err strings.Builder
		if got := Main(t.Context(), strings.Fields("aws "+args), strings.NewReader("n\n"), &out, &err); got != code {
			t.Errorf("%s: exit code %d\n%s%s", args, got, out.String(), err.String())
		}
		var lines []string
		for _, line := range strings.Split(strings.TrimSpace(out.String()+err.String()), "\n") {
			lines = append(lines, strings.Join(strings.Fields(line), " "))
		}
		if got := strings.Join(lines, "\n"); !strings.Contains(got, want) {
			t.Errorf("%s:\n%s\nwant\n%s", args, got, want)
		}
	}
	rules := func(want int) {
		t.Helper()
		is, err := buckets.GetBucketNotificationConfiguration(t.Context(), &s3.GetBucketNotificationConfigurationInput{Bucket: aws.String("www")})
		if err != nil || len(is.QueueConfigurations) != want || *is.QueueConfigurations[0].Id != *theirs.Id || *is.QueueConfigurations[0].Filter.Key.FilterRules[0].Value != "logs/" {
			t.Errorf("rules: %+v, %v", is, err)
		}
	}
	file := zipped(t, "one")
	const site = "install --bucket www --prefix site/ --distribution E2EXAMPLE1234 "
	const none = "missing dead-letter queue freshet-dead\nmissing queue freshet\nmissing log group /aws/lambda/freshet\nmissing role freshet\nmissing function freshet\nmissing event source mapping freshet\nmissing dead-letter alarm freshet-dead-letters\nmissing age alarm freshet-age\nmissing fresh-within alarm freshet-accepted\nmissing notification rule freshet-freshet\n0 waiting, 0 dead letters"
	all := func(what string) string { return strings.ReplaceAll(strings.Split(none, "\n0 ")[0], "missing", what) }

	run(1, none, "status --bucket www")
	run(1, `"theirs" sends s3:ObjectCreated:Put below "logs/"`, "install --bucket www --zip "+file)
	run(1, "--zip", site)
	run(1, "give --region eu-west-1", site+"--region eu-central-1 --zip "+file)
	run(0, all("create"), site+"--dry-run --zip "+file)
	run(1, "nothing was done", site+"--zip "+file) // the answer is no
	run(1, none, "status --bucket www")
	rules(1)

	run(0, all("create"), site+"--yes --zip "+file)
	rules(2)
	run(0, all("keep"), site+"--zip "+file) // and asks nothing
	run(0, all("keep"), "status --bucket www")
	run(0, `{"do":"keep","kind":"queue","name":"freshet"}`, "status --bucket www --json")
	rules(2)

	run(0, "create table quota", site+"--table quota --distribution 4BOSKRU0RC80Z --yes")
	run(0, "keep table quota", site+"--table quota --distribution 4BOSKRU0RC80Z")
	run(0, "change function freshet: code\n", site+"--table quota --distribution 4BOSKRU0RC80Z --yes --zip "+zipped(t, "two"))
	run(0, "keep function freshet", "status --bucket www")

	const topic = "--alarm-topic arn:aws:sns:eu-west-1:123456789012:alarms --fresh-within 2m "
	run(2, "500ms is not a number of whole seconds", site+"--fresh-within 500ms")
	run(2, `"topic" is no ARN of an SNS topic`, site+"--alarm-topic topic")
	run(0, "change dead-letter alarm freshet-dead-letters: topic\nchange age alarm freshet-age: threshold, topic", site+"--table quota --distribution 4BOSKRU0RC80Z --yes "+topic)
	run(0, "keep dead-letter alarm freshet-dead-letters\nkeep age alarm freshet-age\nkeep fresh-within alarm", "status --bucket www")
	alarms, err := cloudwatch.NewFromConfig(cfg).DescribeAlarms(t.Context(), &cloudwatch.DescribeAlarmsInput{AlarmNames: []string{"freshet-dead-letters", "freshet-age"}})
	if err != nil || len(alarms.MetricAlarms) != 2 || *alarms.MetricAlarms[0].Threshold+*alarms.MetricAlarms[1].Threshold != 120 || alarms.MetricAlarms[0].AlarmActions[0] != strings.Fields(topic)[1] {
		t.Errorf("alarms: %+v, %v", alarms, err)
	}
	run(1, "is for arm64: give a --zip for x86_64", site+"--table quota --distribution 4BOSKRU0RC80Z --architecture x86_64 "+topic)
	run(0, "change function freshet: architecture, code", site+"--table quota --distribution 4BOSKRU0RC80Z --yes --architecture x86_64 "+topic+"--zip "+zipped(t, "three"))
	run(0, "keep function freshet", "status --bucket www")

	memory := &lambda.UpdateFunctionConfigurationInput{FunctionName: aws.String("freshet"), MemorySize: aws.Int32(128)}
	if _, err := lambda.NewFromConfig(cfg).UpdateFunctionConfiguration(t.Context(), memory); err != nil {
		t.Fatal(err)
	}
	run(1, "change function freshet: memory", "status --bucket www")
	if _, err := buckets.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("other"), CreateBucketConfiguration: &types.CreateBucketConfiguration{LocationConstraint: "eu-west-1"}}); err != nil {
		t.Fatal(err)
	}
	run(1, "was made for the bucket www", "install --bucket other --yes --zip "+file)
	run(0, "foreign function", "uninstall --bucket other --yes")
	run(1, "was made for the bucket www", "install --bucket other --only-notifications --yes")
	run(0, "keep notification rule freshet-freshet", "install --bucket www --prefix site/ --only-notifications")

	run(1, "nothing was done", "uninstall --bucket www")
	run(0, "delete notification rule freshet-freshet\ndelete fresh-within alarm freshet-accepted\ndelete age alarm freshet-age\ndelete dead-letter alarm freshet-dead-letters\ndelete event source mapping freshet\ndelete function freshet\ndelete role freshet\ndelete log group /aws/lambda/freshet\ndelete table quota\ndelete queue freshet\ndelete dead-letter queue freshet-dead", "uninstall --bucket www --yes")
	rules(1)
	run(1, none, "status --bucket www")
	run(1, "there is no queue freshet", "install --bucket www --prefix site/ --only-notifications")
	if _, err := sqs.NewFromConfig(cfg).GetQueueUrl(t.Context(), &sqs.GetQueueUrlInput{QueueName: aws.String("theirs")}); err != nil {
		t.Errorf("their queue: %v", err)
	}
}

// Lambda takes any zip, and says so only when the function is to begin.
func TestZipsOfAnotherMachine(t *testing.T) {
	elf := func(machine byte) string {
		return "\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 9) + "\x02\x00" + string([]byte{machine}) + "\x00\x01\x00\x00\x00" + strings.Repeat("\x00", 28) + "\x40\x00\x38\x00\x00\x00\x40\x00" + strings.Repeat("\x00", 4)
	}
	for name, c := range map[string]struct{ content, architecture, want string }{
		"for the other": {elf(62), "arm64", "its bootstrap is for x86_64: give --architecture x86_64, or a zip for arm64"},
		"and back":      {elf(183), "x86_64", "its bootstrap is for arm64"},
		"fits":          {elf(183), "arm64", ""},
		"a script":      {"#!/bin/sh\n", "arm64", ""},
	} {
		code, err := os.ReadFile(zipped(t, c.content))
		if err != nil {
			t.Fatal(err)
		}
		if err := builtFor(code, c.architecture); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if err := builtFor([]byte("PK"), "arm64"); err == nil {
		t.Error("taken for a zip")
	}
}
