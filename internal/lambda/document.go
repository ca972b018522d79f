package lambda

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/smithy-go"
)

const (
	// DefaultDocument is read from the zip if it is there.
	DefaultDocument = "freshet.yaml"
	// maxDocument is how large a configuration may be, in bytes.
	maxDocument = 1 << 20
	// readFor leaves time to say why it could not be read: Lambda ends a function
	// that has not begun after ten seconds, without a reason.
	// https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
	readFor = 8 * time.Second
)

// configure reads the configuration from where the environment says it is.
func configure(ctx context.Context, sdk aws.Config, getenv func(string) string) (Config, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, readFor, fmt.Errorf("no answer within %v", readFor))
	defer cancel()
	where := getenv(EnvConfig)
	text, elsewhere, err := Document(ctx, sdk, where)
	if !elsewhere {
		text, err = fromZip(where)
	}
	if err != nil {
		return Config{}, err
	}
	cfg, err := ReadConfig(text, getenv)
	if err != nil && where != "" {
		err = fmt.Errorf("%s: %w", where, err)
	}
	return cfg, err
}

// Document reads what FRESHET_CONFIG names: ssm:NAME or s3://BUCKET/KEY. Anything
// else is a file in the zip, which is not elsewhere.
func Document(ctx context.Context, sdk aws.Config, where string) (text []byte, elsewhere bool, err error) {
	name, inSSM := strings.CutPrefix(where, "ssm:")
	object, inS3 := strings.CutPrefix(where, "s3://")
	bucket, key, whole := strings.Cut(object, "/")
	switch {
	case inSSM && name == "":
		err = fmt.Errorf("%s=%s: write ssm:NAME", EnvConfig, where)
	case inS3 && (!whole || bucket == "" || key == ""):
		err = fmt.Errorf("%s=%s: write s3://BUCKET/KEY", EnvConfig, where)
	case inSSM:
		text, err = fromSSM(ctx, sdk, name)
	case inS3:
		text, err = fromS3(ctx, sdk, bucket, key)
	}
	return text, inSSM || inS3, err
}

func fromZip(name string) ([]byte, error) {
	file := name
	if name == "" {
		file = DefaultDocument
	}
	text, err := os.ReadFile(file)
	switch {
	case name == "" && errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("read the configuration: %w; put the file into the zip beside bootstrap, or write %s=ssm:NAME or s3://BUCKET/KEY", err, EnvConfig)
	case err != nil:
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	return text, nil
}

func fromSSM(ctx context.Context, sdk aws.Config, name string) ([]byte, error) {
	out, err := ssm.NewFromConfig(sdk).GetParameter(ctx, &ssm.GetParameterInput{Name: &name, WithDecryption: aws.Bool(true)})
	if err != nil {
		return nil, fmt.Errorf("read the configuration from the parameter %s: %w", name, advise(ctx, err, map[string]string{
			"ParameterNotFound":     fmt.Sprintf("make it in %s: aws ssm put-parameter --type String --name %s --value file://freshet.yaml", sdk.Region, name),
			"AccessDeniedException": "the function's role needs ssm:GetParameter on it, and kms:Decrypt on its key if it is a SecureString of a key of your own",
		}))
	}
	if out.Parameter == nil || aws.ToString(out.Parameter.Value) == "" {
		return nil, fmt.Errorf("read the configuration: the parameter %s is empty", name)
	}
	return []byte(*out.Parameter.Value), nil
}

func fromS3(ctx context.Context, sdk aws.Config, bucket, key string) ([]byte, error) {
	from := "s3://" + bucket + "/" + key
	out, err := s3.NewFromConfig(sdk).GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return nil, fmt.Errorf("read the configuration from %s: %w", from, advise(ctx, err, map[string]string{
			"NoSuchKey":         "put it there: aws s3 cp freshet.yaml " + from,
			"NoSuchBucket":      "is the bucket's name right?",
			"AccessDenied":      "the function's role needs s3:GetObject on arn:aws:s3:::" + bucket + "/" + key + "; without s3:ListBucket an object that is not there is denied, too",
			"PermanentRedirect": "the bucket has to be in " + sdk.Region + ", as the function is",
		}))
	}
	defer func() { _ = out.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(out.Body, maxDocument+1))
	if err == nil && len(text) > maxDocument {
		err = fmt.Errorf("it has more than %d bytes", maxDocument)
	}
	if err != nil {
		return nil, fmt.Errorf("read the configuration from %s: %w", from, err)
	}
	return text, nil
}

// advise says what to do about an error of AWS, by its code.
func advise(ctx context.Context, err error, byCode map[string]string) error {
	var refused smithy.APIError
	if errors.As(err, &refused) && byCode[refused.ErrorCode()] != "" {
		return fmt.Errorf("%w; %s", err, byCode[refused.ErrorCode()])
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%w: %w; a function inside a VPC reaches AWS by a NAT gateway or an endpoint only", context.Cause(ctx), err)
	}
	return err
}
