package release

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/freshet/freshet/internal/barrier"
)

// URLs is what is asked of Lambda about function URLs; *lambda.Client has it. It
// needs lambda:GetFunctionUrlConfig.
type URLs interface {
	GetFunctionUrlConfig(context.Context, *lambda.GetFunctionUrlConfigInput, ...func(*lambda.Options)) (*lambda.GetFunctionUrlConfigOutput, error)
}

// FunctionURL returns where a function, or its alias, answers, and whether only
// what is signed.
func FunctionURL(ctx context.Context, api URLs, function, alias string) (at string, signed bool, err error) {
	in := &lambda.GetFunctionUrlConfigInput{FunctionName: &function}
	if alias != "" {
		in.Qualifier = &alias
	}
	out, err := api.GetFunctionUrlConfig(ctx, in)
	switch {
	case err != nil && barrier.ClassOf(err) == barrier.NotFound:
		return "", false, fmt.Errorf("%s has no function URL: say with --origin where it answers", function)
	case err != nil:
		return "", false, asked("ask Lambda for the URL of "+function, err, "lambda:GetFunctionUrlConfig")
	case aws.ToString(out.FunctionUrl) == "":
		return "", false, errors.New("ask Lambda for the URL of " + function + ": the answer has none")
	}
	return *out.FunctionUrl, out.AuthType == types.FunctionUrlAuthTypeAwsIam, nil
}

// Signed signs requests without a body as function URLs behind an origin access
// control want them.
type Signed struct {
	Next        http.RoundTripper
	Credentials aws.CredentialsProvider
	Region      string
}

// RoundTrip signs a copy of r.
func (s Signed) RoundTrip(r *http.Request) (*http.Response, error) {
	c, err := s.Credentials.Retrieve(r.Context())
	if err != nil {
		return nil, fmt.Errorf("sign the request: %w", err)
	}
	r = r.Clone(r.Context())
	empty := sha256.Sum256(nil)
	if err := v4.NewSigner().SignHTTP(r.Context(), c, r, hex.EncodeToString(empty[:]), "lambda", s.Region, time.Now()); err != nil {
		return nil, fmt.Errorf("sign the request: %w", err)
	}
	return s.Next.RoundTrip(r)
}

// Sampler asks a URL once. Its error is what speaks against the code that
// answered.
func Sampler(transport http.RoundTripper, at string) func(context.Context) error {
	client := &http.Client{Transport: transport, Timeout: sampleWithin, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return func(ctx context.Context) error {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, at, http.NoBody)
		if err != nil {
			return err
		}
		r.Header.Set("User-Agent", "freshet-release")
		resp, err := client.Do(r)
		if err != nil {
			return err
		}
		defer func() { _ = resp.Body.Close() }()
		_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, sampleBytes))
		if resp.StatusCode >= http.StatusInternalServerError {
			err = fmt.Errorf("%s answered %s", at, resp.Status)
		}
		return err
	}
}

const (
	sampleWithin = 30 * time.Second
	sampleBytes  = 1 << 20
)
