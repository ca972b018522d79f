package lambda

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime"
	"strconv"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/config"
	sdkcloudfront "github.com/aws/aws-sdk-go-v2/service/cloudfront"
	"github.com/aws/aws-sdk-go-v2/service/codecommit"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	sdklambda "github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/freshet/freshet/internal/barrier"
	"github.com/freshet/freshet/internal/cdn/cloudfront"
	"github.com/freshet/freshet/internal/quota"
	"github.com/freshet/freshet/internal/quota/dynamo"
)

// Start answers invocations until Lambda ends the process. It returns only if the
// function cannot begin; Lambda is told why, reports it to whoever invokes, and
// begins anew for the next event.
func Start(ctx context.Context, getenv func(string) string, out io.Writer) error {
	h, err := assemble(ctx, getenv, out)
	if err != nil {
		return errors.Join(err, report(ctx, getenv("AWS_LAMBDA_RUNTIME_API"), err))
	}
	oneProcessor(getenv)
	lambda.StartWithOptions(h, lambda.WithContext(ctx))
	return nil
}

// oneProcessor keeps a function that Lambda gives less than a whole processor, and
// that answers one event at a time, from waking threads that look for work, which
// is a third of what an event costs right after another. GOMAXPROCS in the environment goes before.
// https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
func oneProcessor(getenv func(string) string) {
	const whole = 1769 // MB
	memory, err := strconv.Atoi(getenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE"))
	if err == nil && memory <= whole && getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(1)
	}
}

// report tells Lambda why the function cannot begin.
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html#runtimes-api-initerror
func report(ctx context.Context, api string, cannot error) error {
	if api == "" {
		return errors.New("AWS_LAMBDA_RUNTIME_API is not set: this program is to be run by AWS Lambda")
	}
	text, err := json.Marshal(map[string]string{"errorMessage": cannot.Error(), "errorType": "freshet.Init"})
	if err != nil {
		return fmt.Errorf("report to Lambda: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+api+"/2018-06-01/runtime/init/error", bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("report to Lambda: %w", err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Lambda-Runtime-Function-Error-Type", "freshet.Init")
	answer, err := (&http.Client{Timeout: 5 * time.Second}).Do(r)
	if err != nil {
		return fmt.Errorf("report to Lambda: %w", err)
	}
	return answer.Body.Close()
}

func newLog(level string, out io.Writer) (*slog.Logger, error) {
	var l slog.Level
	if level != "" {
		if err := l.UnmarshalText([]byte(level)); err != nil {
			return nil, fmt.Errorf("%s: %w", EnvLog, err)
		}
	}
	return slog.New(slog.NewJSONHandler(out, &slog.HandlerOptions{Level: l})), nil
}

// patient tries as long as there is time for it: what would have to be read anew
// with the next delivery is better waited for. The CloudFront driver, which the
// broker looks after, has no part in it.
func patient() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts, o.MaxBackoff, o.RateLimiter = 12, 4*time.Second, ratelimit.None
	})
}

// assemble makes the handler that the environment describes.
func assemble(ctx context.Context, getenv func(string) string, out io.Writer) (*Handler, error) {
	log, err := newLog(getenv(EnvLog), out)
	if err != nil {
		return nil, err
	}
	sdk, err := config.LoadDefaultConfig(ctx, config.WithRetryer(patient))
	if err != nil {
		return nil, fmt.Errorf("load the AWS configuration: %w", err)
	}
	cfg, err := configure(ctx, sdk, getenv)
	if err != nil {
		return nil, err
	}
	driver, err := cloudfront.New(ctx, cloudfront.Config{Credentials: sdk.Credentials})
	if err != nil {
		return nil, err
	}
	world := World{
		CDN: driver,
		Account: sdkcloudfront.NewFromConfig(sdk, func(o *sdkcloudfront.Options) {
			o.Region = "us-east-1" // where CloudFront's API is, in whatever region the function runs
		}),
		Jobs:    codepipeline.NewFromConfig(sdk),
		Commits: codecommit.NewFromConfig(sdk),
		Updates: sdklambda.NewFromConfig(sdk),
		Asked:   barrier.Dial(barrier.Plain(sdk)),
		Log:     log,
		Metrics: Metrics{Out: out, Function: cmp.Or(getenv("AWS_LAMBDA_FUNCTION_NAME"), "freshet")},
	}
	if cfg.QuotaTable != "" {
		table := dynamodb.NewFromConfig(sdk)
		world.Shared = dynamo.New(table, cfg.QuotaTable, "account")
		world.Sightings = func(name string) quota.Store { return dynamo.New(table, cfg.QuotaTable, name) }
	}
	return New(cfg, world), nil
}
