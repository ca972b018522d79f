package lambda

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strings"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	sdkcloudfront "github.com/aws/aws-sdk-go-v2/service/cloudfront"
	"github.com/aws/aws-sdk-go-v2/service/codecommit"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	sdklambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"github.com/freshet/freshet/internal/cdn/cloudfront"
	"github.com/freshet/freshet/internal/quota/dynamo"
)

// Start answers invocations until Lambda ends the process. It returns only if the
// function cannot begin; Lambda is told why, and reports it to whoever invokes.
func Start(ctx context.Context, getenv func(string) string, out io.Writer) error {
	log, err := newLog(getenv(EnvLog), out)
	if err != nil {
		return err
	}
	h, err := assemble(ctx, getenv, log, out)
	if err != nil {
		log.Error("cannot begin", "err", err)
		// Lambda calls the function all the same, and hears the reason each time.
		lambda.StartWithOptions(lambda.NewHandler(func(context.Context) error { return err }), lambda.WithContext(ctx))
		return err
	}
	lambda.StartWithOptions(h, lambda.WithContext(ctx))
	return nil
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

// assemble makes the handler that the environment describes.
func assemble(ctx context.Context, getenv func(string) string, log *slog.Logger, out io.Writer) (*Handler, error) {
	sdk, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, fmt.Errorf("load the AWS configuration: %w", err)
	}
	document, err := document(ctx, sdk, getenv(EnvConfig))
	if err != nil {
		return nil, err
	}
	cfg, err := ReadConfig(document, getenv)
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
			o.Region = "us-east-1" // where CloudFront's API is
		}),
		Jobs:    codepipeline.NewFromConfig(sdk),
		Commits: codecommit.NewFromConfig(sdk),
		Updates: sdklambda.NewFromConfig(sdk),
		Log:     log,
		Metrics: Metrics{Out: out, Function: getenv("AWS_LAMBDA_FUNCTION_NAME")},
	}
	if cfg.QuotaTable != "" {
		world.Shared = dynamo.New(dynamodb.NewFromConfig(sdk), cfg.QuotaTable, "account")
	}
	return New(cfg, world), nil
}

// defaultDocument is read from the zip if it is there.
const defaultDocument = "freshet.yaml"

// document reads the configuration from where the environment says it is.
func document(ctx context.Context, sdk aws.Config, where string) ([]byte, error) {
	name, inSSM := strings.CutPrefix(where, "ssm:")
	object, inS3 := strings.CutPrefix(where, "s3://")
	switch {
	case inSSM:
		out, err := ssm.NewFromConfig(sdk).GetParameter(ctx, &ssm.GetParameterInput{Name: &name, WithDecryption: aws.Bool(true)})
		if err != nil {
			return nil, fmt.Errorf("read the configuration from the parameter %s: %w", name, err)
		}
		if out.Parameter == nil {
			return nil, fmt.Errorf("read the configuration: the parameter %s is empty", name)
		}
		return []byte(aws.ToString(out.Parameter.Value)), nil
	case inS3:
		bucket, key, ok := strings.Cut(object, "/")
		if !ok || bucket == "" || key == "" {
			return nil, fmt.Errorf("%s=%s: write s3://BUCKET/KEY", EnvConfig, where)
		}
		return fromS3(ctx, sdk, bucket, key)
	case where != "":
		text, err := os.ReadFile(where)
		if err != nil {
			return nil, fmt.Errorf("read the configuration: %w", err)
		}
		return text, nil
	}
	text, err := os.ReadFile(defaultDocument)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	return text, nil
}

// maxDocument is how large a configuration may be, in bytes.
const maxDocument = 1 << 20

func fromS3(ctx context.Context, sdk aws.Config, bucket, key string) ([]byte, error) {
	out, err := s3.NewFromConfig(sdk).GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return nil, fmt.Errorf("read the configuration from s3://%s/%s: %w", bucket, key, err)
	}
	defer func() { _ = out.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(out.Body, maxDocument+1))
	if err == nil && len(text) > maxDocument {
		err = fmt.Errorf("it has more than %d bytes", maxDocument)
	}
	if err != nil {
		return nil, fmt.Errorf("read the configuration from s3://%s/%s: %w", bucket, key, err)
	}
	return text, nil
}
