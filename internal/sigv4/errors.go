package sigv4

import (
	"fmt"
	"net/http"
)

// The codes of an Error, which are those of AWS's services.
// https://docs.aws.amazon.com/cloudfront/latest/APIReference/CommonErrors.html
const (
	MissingAuthenticationToken = "MissingAuthenticationToken" // not signed
	IncompleteSignature        = "IncompleteSignature"        // signed in a form that is not understood
	InvalidClientTokenID       = "InvalidClientTokenId"       // by an access key that is not ours
	SignatureDoesNotMatch      = "SignatureDoesNotMatch"      // with another secret, at another time, for another service, or changed on the way
	RequestEntityTooLarge      = "RequestEntityTooLarge"      // longer than MaxBody
)

// Error is why a request was not believed. CloudFront reports a signature whose
// time is off as SignatureDoesNotMatch too, where S3 says RequestTimeTooSkewed.
type Error struct {
	Code    string
	Status  int // of the HTTP answer
	Message string
}

// Error returns code and message. Neither holds the secret or a signature.
func (e *Error) Error() string { return e.Code + ": " + e.Message }

func incomplete(format string, args ...any) *Error {
	return &Error{Code: IncompleteSignature, Status: http.StatusForbidden, Message: fmt.Sprintf(format, args...)}
}

func mismatch(format string, args ...any) *Error {
	return &Error{Code: SignatureDoesNotMatch, Status: http.StatusForbidden, Message: fmt.Sprintf(format, args...)}
}

func invalidToken(message string) *Error {
	return &Error{Code: InvalidClientTokenID, Status: http.StatusForbidden, Message: message}
}

func tooLarge(limit int64) *Error {
	return &Error{Code: RequestEntityTooLarge, Status: http.StatusRequestEntityTooLarge, Message: fmt.Sprintf("the body is longer than %d bytes", limit)}
}
