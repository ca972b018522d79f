package cloudfront

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/freshet/freshet/internal/cdn"
)

// wrap gives an error of the SDK its class and a hint.
func wrap(doing string, err error) error {
	class, hint := classify(err)
	return &cdn.Error{Class: class, Hint: hint, RetryAfter: retryAfter(err, time.Now()), Err: fmt.Errorf("%s: %w", doing, err)}
}

func classify(err error) (class cdn.Class, hint string) {
	var refused smithy.APIError
	var noCredentials *credentialsError
	var invalid *smithy.InvalidParamsError
	var unsendable *smithy.SerializationError
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return cdn.Unavailable, ""
	case errors.As(err, &noCredentials):
		return cdn.Denied, "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or give the function or machine a role"
	case errors.As(err, &refused):
		return classifyCode(refused.ErrorCode(), refused.ErrorMessage(), statusOf(err))
	case errors.As(err, &invalid), errors.As(err, &unsendable):
		return cdn.Rejected, ""
	}
	const hintEndpoint = "is the endpoint reachable from here, and CloudFront's?"
	if status := statusOf(err); status >= 400 {
		// An answer without CloudFront's XML, such as a proxy's.
		class, _ = classifyStatus(status)
		return class, hintEndpoint
	}
	// No connection, a torn one, or a success that cannot be read.
	return cdn.Unavailable, hintEndpoint
}

// classifyCode knows the codes that CloudFront documents and those it is known
// to send besides; for all others the HTTP status decides.
// https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_CreateInvalidation.html
// https://docs.aws.amazon.com/cloudfront/latest/APIReference/CommonErrors.html
func classifyCode(code, message string, status int) (class cdn.Class, hint string) {
	if _, throttled := retry.DefaultThrottleErrorCodes[code]; throttled {
		return cdn.Throttled, ""
	}
	switch code {
	case "TooManyInvalidationsInProgress":
		return cdn.Busy, "wait until some of what is in progress is completed; others may be invalidating at the same distribution"
	case "BatchTooLarge":
		return cdn.TooLarge, ""
	case "InvalidationBatchAlreadyExists":
		return cdn.Conflict, hintConflict
	case "InvalidArgument":
		return classifyInvalidArgument(message)
	case "NoSuchDistribution", "EntityNotFound":
		return cdn.NotFound, "is the distribution's ID right, and in the account that the credentials belong to?"
	case "NoSuchInvalidation", "NoSuchResource":
		return cdn.NotFound, ""
	case "RequestTimeout", "RequestTimeoutException", "ServiceUnavailable", "ServiceUnavailableException", "InternalError", "InternalFailure":
		return cdn.Unavailable, ""
	}
	if hint, denied := denials()[code]; denied {
		return cdn.Denied, hint
	}
	return classifyStatus(status)
}

const hintConflict = "give each set of paths a caller reference of its own"

// classifyInvalidArgument tells a caller reference that was used before from all
// other faults. CloudFront documents InvalidationBatchAlreadyExists for it, but
// sends the same InvalidArgument as for a bad path; only the text differs.
func classifyInvalidArgument(message string) (class cdn.Class, hint string) {
	text := strings.ToLower(message)
	if strings.Contains(text, "caller reference") && (strings.Contains(text, "previous") || strings.Contains(text, "already")) {
		return cdn.Conflict, hintConflict
	}
	return cdn.Rejected, ""
}

// denials are the codes that concern credentials and permissions, each with what
// a person can do.
func denials() map[string]string {
	const (
		permission = "the role or user needs cloudfront:CreateInvalidation and cloudfront:GetInvalidation on the distribution, and cloudfront:ListDistributions on *"
		key        = "check the access key and its secret"
		expired    = "the session has expired: sign in again or let the role's credentials be renewed"
		clock      = "check the secret key; if it is right, check this machine's clock"
	)
	return map[string]string{
		"AccessDenied":                permission,
		"AccessDeniedException":       permission,
		"UnauthorizedOperation":       permission,
		"NotAuthorized":               permission,
		"OptInRequired":               "the account is not signed up for CloudFront",
		"AuthFailure":                 key,
		"InvalidClientTokenId":        key,
		"InvalidAccessKeyId":          key,
		"UnrecognizedClientException": key,
		"MissingAuthenticationToken":  key,
		"IncompleteSignature":         key,
		"SignatureDoesNotMatch":       clock,
		"InvalidSignatureException":   clock,
		"RequestTimeTooSkewed":        clock,
		"RequestExpired":              clock,
		"RequestInTheFuture":          clock,
		"ExpiredToken":                expired,
		"ExpiredTokenException":       expired,
	}
}

func classifyStatus(status int) (class cdn.Class, hint string) {
	switch {
	case status == http.StatusTooManyRequests:
		return cdn.Throttled, ""
	case status == http.StatusRequestTimeout:
		return cdn.Unavailable, ""
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return cdn.Denied, ""
	case status == http.StatusNotFound:
		return cdn.NotFound, "is the endpoint CloudFront's?"
	case status == http.StatusRequestEntityTooLarge:
		return cdn.TooLarge, ""
	case status >= 400 && status < 500:
		return cdn.Rejected, ""
	default:
		return cdn.Unavailable, ""
	}
}

// statusOf returns the HTTP status of the answer, or 0 when there was none.
func statusOf(err error) int {
	var answered *smithyhttp.ResponseError
	if !errors.As(err, &answered) || answered.Response == nil {
		return 0
	}
	return answered.HTTPStatusCode()
}

// retryAfter reads the Retry-After header of the answer, which CloudFront does
// not send but a proxy before it may. Zero when there is none.
func retryAfter(err error, now time.Time) time.Duration {
	var answered *smithyhttp.ResponseError
	if !errors.As(err, &answered) || answered.Response == nil || answered.Response.Response == nil {
		return 0
	}
	header := answered.Response.Header.Get("Retry-After")
	if seconds, err := strconv.ParseUint(header, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(header); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}

// marked marks the errors of a credentials provider, which the SDK wraps like
// any other.
type marked struct{ provider aws.CredentialsProvider }

// Retrieve returns the provider's credentials or a credentialsError.
func (m marked) Retrieve(ctx context.Context) (aws.Credentials, error) {
	if m.provider == nil {
		return aws.Credentials{}, &credentialsError{errors.New("none are configured")}
	}
	c, err := m.provider.Retrieve(ctx)
	if err != nil {
		return c, &credentialsError{err}
	}
	return c, nil
}

type credentialsError struct{ err error }

// Error says what was being done.
func (e *credentialsError) Error() string { return "get credentials: " + e.err.Error() }

// Unwrap returns the provider's error.
func (e *credentialsError) Unwrap() error { return e.err }
