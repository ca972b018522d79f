package function

import (
	"fmt"
	"net/http"
)

// Kind is how a run failed, by the name that CloudFront shows in X-Cache and in
// its logs.
type Kind string

// The kinds there are.
const (
	// ExecutionError is an exception that nobody caught, or a promise that was
	// rejected or never kept.
	ExecutionError Kind = "FunctionExecutionError"
	// ThrottledError is a run that exceeds its limits. On CloudFront a function
	// that goes on doing so, or that does not even compile, is throttled.
	ThrottledError Kind = "FunctionThrottledError"
	// ValidationError is a result that CloudFront refuses.
	ValidationError Kind = "FunctionValidationError"
)

// Status is the HTTP status that a viewer sees: 502 if the result was refused,
// and 503 if there was none.
func (k Kind) Status() int {
	if k == ValidationError {
		return http.StatusBadGateway
	}
	return http.StatusServiceUnavailable
}

// Error is why a run failed. Line and Column are 1-based, and 0 if the failure
// has no place in the code.
type Error struct {
	Kind    Kind
	Message string // of a thrown error with its name, such as "TypeError: …"
	Name    string // of the function
	Line    int
	Column  int
}

// Error is the sentence that CloudFront's TestFunction returns as
// FunctionErrorMessage, with the place added.
func (e *Error) Error() string {
	if e.Kind == ValidationError {
		return "The CloudFront function returned an invalid value: " + e.Message
	}
	return "The CloudFront function associated with the CloudFront distribution is invalid or could not run. " + e.Message + place(e.Name, e.Line, e.Column)
}

// CompileError is why code is no function.
type CompileError struct {
	Name    string
	Line    int // 1-based; 0 if there is no place to point at
	Column  int
	Message string
}

func (e *CompileError) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %s", e.Name, e.Message)
	}
	return fmt.Sprintf("%s:%d:%d: %s", e.Name, e.Line, e.Column, e.Message)
}

func place(name string, line, column int) string {
	if line == 0 {
		return ""
	}
	return fmt.Sprintf(" (%s:%d:%d)", name, line, column)
}

func invalid(format string, args ...any) *Error {
	return &Error{Kind: ValidationError, Message: fmt.Sprintf(format, args...)}
}
