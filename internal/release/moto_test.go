package release_test

import (
	"archive/zip"
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/freshet/freshet/internal/barrier"
	"github.com/freshet/freshet/internal/release"
)

// startMoto starts a stand-in of AWS that is not ours.
func startMoto(t *testing.T) aws.Config {
	t.Helper()
	program, err := exec.LookPath("moto_server")
	if err != nil {
		t.Skip("SKIPPED: moto_server is not installed, so that nothing is held against a second opinion of Lambda's API: pip install 'moto[server]'")
	}
	c := exec.CommandContext(t.Context(), program, "-H", "127.0.0.1", "-p", "0")
	said, err := c.StderrPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	at := make(chan string, 1)
	go func() {
		lines := bufio.NewScanner(said)
		for lines.Scan() {
			if m := regexp.MustCompile(`Running on (http://127\.0\.0\.1:[0-9]+)`).FindStringSubmatch(lines.Text()); m != nil {
				at <- m[1]
			}
		}
	}()
	select {
	case url := <-at:
		return aws.Config{Region: "eu-west-1", BaseEndpoint: &url, Credentials: credentials.NewStaticCredentialsProvider("AKIAEXAMPLE", "secret", "")}
	case <-time.After(90 * time.Second):
		t.Fatal("moto_server does not start")
		return aws.Config{}
	}
}

func zipOf(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.Create("bootstrap")
	if err == nil {
		_, err = io.WriteString(w, text)
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// What we send Lambda and understand of its answers is what another stand-in
// takes and gives.
func TestAgainstMoto(t *testing.T) {
	cfg, ctx := startMoto(t), t.Context()
	role, err := iam.NewFromConfig(cfg).CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String("r"), AssumeRolePolicyDocument: aws.String("{}")})
	if err != nil {
		t.Fatal(err)
	}
	client := lambda.NewFromConfig(barrier.Plain(cfg))
	_, err = client.CreateFunction(ctx, &lambda.CreateFunctionInput{
		FunctionName: aws.String("site"), Role: role.Role.Arn, Runtime: types.RuntimeProvidedal2023, Handler: aws.String("bootstrap"), Publish: true,
		Code: &types.FunctionCode{ZipFile: zipOf(t, "old")},
	})
	if err == nil {
		_, err = client.CreateAlias(ctx, &lambda.CreateAliasInput{FunctionName: aws.String("site"), Name: aws.String("live"), FunctionVersion: aws.String("1")})
	}
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld("live") // keeps the journal
	w.zip = zipOf(t, "new")
	journal, err := w.release(func(r *release.Release) {
		r.Lambda, r.Wanted.Probe, r.Wanted.Patterns = client, false, nil
		r.Wanted.Canary, r.Wanted.CanaryFor = 0.25, time.Millisecond
		r.Sample = func(context.Context) error { return nil }
	}).Run(ctx)
	if err != nil || journal.Version != "2" {
		t.Fatalf("%+v, %v", journal, err)
	}
	facts := fact(t, "lambda site:live updated version 2 sha256 "+release.SHA256(w.zip))
	waiter := &barrier.Waiter{Clients: barrier.Dial(barrier.Plain(cfg))}
	if err := waiter.Wait(ctx, facts); err != nil {
		t.Error(err)
	}
	var abort *barrier.Abort
	if err := waiter.Wait(ctx, fact(t, "lambda nobody updated")); !errors.As(err, &abort) || !strings.Contains(abort.Why, "ResourceNotFoundException") {
		t.Errorf("a function that there is not: %v", err)
	}
}

func fact(t *testing.T, text string) []barrier.Fact {
	t.Helper()
	f, err := barrier.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return []barrier.Fact{f}
}
