package barrier

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Class says what an error of an AWS API means to one who waits.
type Class int

// The classes. Only the first is worth another question.
const (
	Transient Class = iota // no answer, or one that says to ask again
	NotFound
	Denied  // credentials or permissions
	Refused // for good, for another reason
)

// ErrNoCredentials is why nothing could be asked.
var ErrNoCredentials = errors.New("no usable AWS credentials")

// ClassOf tells what an error of an AWS client means.
func ClassOf(err error) Class {
	var answer smithy.APIError
	var invalid *smithy.InvalidParamsError
	switch {
	case errors.Is(err, ErrNoCredentials):
		return Denied
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return Transient
	case errors.As(err, &invalid):
		return Refused
	case errors.As(err, &answer):
		return classOfCode(answer.ErrorCode(), statusOf(err))
	}
	return classOfStatus(statusOf(err))
}

func classOfCode(code string, status int) Class {
	if _, throttled := retry.DefaultThrottleErrorCodes[code]; throttled {
		return Transient
	}
	switch code {
	case "ResourceNotFoundException", "NoSuchDistribution", "NoSuchKey", "NoSuchBucket", "NotFound",
		"ProvisionedConcurrencyConfigNotFoundException", "ImageNotFoundException", "RepositoryNotFoundException":
		return NotFound
	case "AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "NotAuthorized", "OptInRequired", "AuthFailure",
		"InvalidClientTokenId", "InvalidAccessKeyId", "UnrecognizedClientException", "MissingAuthenticationToken", "MissingAuthenticationTokenException",
		"IncompleteSignature", "SignatureDoesNotMatch", "InvalidSignatureException", "RequestTimeTooSkewed", "RequestExpired",
		"ExpiredToken", "ExpiredTokenException", "KMSAccessDeniedException":
		return Denied
	}
	return classOfStatus(status)
}

func classOfStatus(status int) Class {
	switch {
	case status == http.StatusNotFound:
		return NotFound
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return Denied
	case status == http.StatusTooManyRequests || status == http.StatusRequestTimeout || status < 400 || status >= 500:
		return Transient // a status below 400 is none, or an answer that could not be read
	}
	return Refused
}

func statusOf(err error) int {
	var answered *smithyhttp.ResponseError
	if !errors.As(err, &answered) || answered.Response == nil {
		return 0
	}
	return answered.HTTPStatusCode()
}

// Cause is an AWS error without the SDK's words around it, which are long and
// say twice what the caller says.
func Cause(err error) string {
	var answer smithy.APIError
	if errors.As(err, &answer) && answer.ErrorCode() != "" {
		if answer.ErrorMessage() == "" {
			return answer.ErrorCode()
		}
		return answer.ErrorCode() + ": " + strings.TrimSpace(answer.ErrorMessage())
	}
	if status := statusOf(err); status != 0 {
		return fmt.Sprintf("status %d", status)
	}
	return err.Error()
}

// marked marks the errors of a credentials provider, which the SDK wraps like
// any other.
type marked struct{ provider aws.CredentialsProvider }

// Retrieve returns the provider's credentials or ErrNoCredentials.
func (m marked) Retrieve(ctx context.Context) (aws.Credentials, error) {
	if m.provider == nil {
		return aws.Credentials{}, ErrNoCredentials
	}
	c, err := m.provider.Retrieve(ctx)
	if err != nil {
		return c, fmt.Errorf("%w: %w", ErrNoCredentials, err)
	}
	return c, nil
}
