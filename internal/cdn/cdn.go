// Package cdn is the border to the CDNs: what freshet asks of one, and how one
// says no. A driver sends and reports; it does not retry, throttle, log or
// decide.
package cdn

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/freshet/freshet"
)

// Driver talks to one CDN. All methods may be called concurrently.
type Driver interface {
	// Invalidate asks the CDN to remove what inv.Patterns cover. A second call
	// with the same caller reference and patterns returns the receipt of the
	// first and removes nothing again. The receipt's state is Accepted or
	// Completed.
	Invalidate(ctx context.Context, inv freshet.Invalidation) (freshet.Receipt, error)

	// Status says how far the invalidation with the CDN's own id has come.
	Status(ctx context.Context, distribution, id string) (freshet.Receipt, error)

	// Profiles describes the distributions the driver can reach, sorted by ID.
	Profiles(ctx context.Context) ([]freshet.Profile, error)
}

// Progress is an invalidation that is in progress.
type Progress struct {
	ID                  string
	Patterns, Wildcards int // the wildcards are among the patterns
	Since               time.Time
}

// Observer is a Driver that can tell what is in progress at a distribution,
// whoever began it.
type Observer interface {
	// InProgress lists it. What is in known is taken from there, which spares a
	// question to the CDN for each.
	InProgress(ctx context.Context, distribution string, known map[string]Progress) ([]Progress, error)
}

// Class says what an error means to the caller.
type Class string

// The classes. Only the first three are worth another try with the same
// request.
const (
	Throttled   Class = "throttled"   // too many requests: slow down
	Busy        Class = "busy"        // too much in progress: wait for some to complete
	Unavailable Class = "unavailable" // no answer, or none that settles anything
	Rejected    Class = "rejected"    // the request is wrong and will stay wrong
	TooLarge    Class = "too large"   // the request must be split
	NotFound    Class = "not found"   // no such distribution or invalidation
	Denied      Class = "denied"      // credentials or permissions
	Conflict    Class = "conflict"    // the caller reference was used for other patterns
)

// Temporary reports whether the same request may succeed later.
func (c Class) Temporary() bool { return c == Throttled || c == Busy || c == Unavailable }

// Error is what every method of a Driver fails with.
type Error struct {
	Class      Class
	RetryAfter time.Duration // zero when the CDN did not say
	Hint       string        // what a person can do about it; may be empty
	Err        error
}

// Error returns the cause followed by the hint.
func (e *Error) Error() string {
	if e.Hint == "" {
		return fmt.Sprintf("%v (%s)", e.Err, e.Class)
	}
	return fmt.Sprintf("%v (%s): %s", e.Err, e.Class, e.Hint)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// ClassOf returns the class of err, or Unavailable for an error that is no
// *Error: what a driver did not understand may have been done or not.
func ClassOf(err error) Class {
	var e *Error
	if errors.As(err, &e) {
		return e.Class
	}
	return Unavailable
}
