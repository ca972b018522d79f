package api

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// The codes of an Error: those of CloudFront's API.
// https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_CreateInvalidation.html
const (
	InvalidArgument                = "InvalidArgument"
	InconsistentQuantities         = "InconsistentQuantities"
	MissingBody                    = "MissingBody"
	MalformedInput                 = "MalformedInput" // the body is no XML of the right shape
	MalformedXML                   = "MalformedXML"   // a required element is missing
	BatchTooLarge                  = "BatchTooLarge"
	TooManyInvalidationsInProgress = "TooManyInvalidationsInProgress"
	NoSuchDistribution             = "NoSuchDistribution"
	NoSuchInvalidation             = "NoSuchInvalidation"
	EntityNotFound                 = "EntityNotFound" // of distribution tenants
	UnsupportedOperation           = "UnsupportedOperation"
	AccessDenied                   = "AccessDenied"
	InvalidIfMatchVersion          = "InvalidIfMatchVersion" // If-Match is missing
	PreconditionFailed             = "PreconditionFailed"    // If-Match names another version
	IllegalUpdate                  = "IllegalUpdate"
	IllegalDelete                  = "IllegalDelete"
	InvalidTagging                 = "InvalidTagging"
	NoSuchResource                 = "NoSuchResource"
	DistributionAlreadyExists      = "DistributionAlreadyExists"
	DistributionNotDisabled        = "DistributionNotDisabled"
	CNAMEAlreadyExists             = "CNAMEAlreadyExists"
	NoSuchOrigin                   = "NoSuchOrigin"
	FunctionSizeLimitExceeded      = "FunctionSizeLimitExceeded"
	TestFunctionFailed             = "TestFunctionFailed"
	Throttling                     = "Throttling"
	ServiceUnavailable             = "ServiceUnavailable"
)

// ErrReferenceUsed is found by errors.Is in the error of Register.Create when
// the caller reference belongs to an invalidation of other paths. The Error
// around it has the code InvalidArgument: CloudFront's documentation names
// InvalidationBatchAlreadyExists, but what clients really receive is
// InvalidArgument with the message that this Error has.
var ErrReferenceUsed = errors.New("the caller reference was used for other paths")

// Error is a refusal as CloudFront words it.
type Error struct {
	Code    string
	Status  int // of the HTTP answer
	Message string
	Err     error // the cause where there is one; never shown to clients
}

// Error returns code and message, followed by the cause.
func (e *Error) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%s: %s: %v", e.Code, e.Message, e.Err)
	}
	return e.Code + ": " + e.Message
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// refuse returns an error of the given code, whose HTTP status is CloudFront's.
func refuse(code, format string, args ...any) *Error {
	return &Error{Code: code, Status: statusOf(code), Message: fmt.Sprintf(format, args...)}
}

// statusOf says with which HTTP status CloudFront sends a code.
func statusOf(code string) int {
	ends := func(end string) bool { return strings.HasSuffix(code, end) }
	switch {
	case code == BatchTooLarge, code == FunctionSizeLimitExceeded, code == entitySizeLimitExceeded:
		return http.StatusRequestEntityTooLarge
	case strings.HasPrefix(code, "NoSuch"), code == EntityNotFound:
		return http.StatusNotFound
	case ends("AlreadyExists"), ends("InUse"), ends("NotDisabled"), ends("WhileInUse"):
		return http.StatusConflict
	case code == PreconditionFailed:
		return http.StatusPreconditionFailed
	case code == AccessDenied:
		return http.StatusForbidden
	case code == TestFunctionFailed:
		return http.StatusInternalServerError
	case code == ServiceUnavailable:
		return http.StatusServiceUnavailable
	default: // Throttling too, other than one would think
		return http.StatusBadRequest
	}
}

func noSuchDistribution(id string) *Error {
	return refuse(NoSuchDistribution, "The specified distribution does not exist: %q", clip(id))
}

func unavailable(message string, cause error) *Error {
	e := refuse(ServiceUnavailable, "%s", message)
	e.Err = cause
	return e
}

// clip keeps a client's text in a message short.
func clip(s string) string { return clipped(s, 100) }

func clipped(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
