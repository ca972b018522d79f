// Package function runs CloudFront Functions: JavaScript at viewer-request and
// viewer-response, with CloudFront's event object, header rules, limits and
// errors. It opens no files and no connections; what a function may see of the
// world (an event, a key value store, the time) comes in by value.
//
// The language is that of https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/functions-javascript-runtime-features.html
package function

import (
	"time"
)

// Runtime is a version of CloudFront's JavaScript, by its name in the API.
type Runtime string

// The runtimes there are.
const (
	JS10 Runtime = "cloudfront-js-1.0" // no const, let, async, Buffer or key value store
	JS20 Runtime = "cloudfront-js-2.0"
)

// Known reports whether rt is one of CloudFront's runtimes.
func (rt Runtime) Known() bool { return rt == JS10 || rt == JS20 }

// EventType says where in a request's life a function runs.
type EventType string

// The event types that functions can be associated with.
const (
	ViewerRequest  EventType = "viewer-request"
	ViewerResponse EventType = "viewer-response"
)

// Documented limits of CloudFront.
const (
	maxCode     = 10 * 1024 // of a function: https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/cloudfront-limits.html
	maxEvent    = 40960     // of a test event: https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_TestFunction.html
	maxURL      = 8192      // of URI and query string: https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/edge-function-restrictions-all.html
	maxLogs     = 10 * 1024 // https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/cloudfront-function-restrictions.html
	maxHeaders  = 32 * 1024 // of all names and values together
	maxGenerate = 40 * 1024 // of a body: documented for Lambda@Edge at viewer events; nothing is said for functions
)

// Limits end a run. Zero values stand for the defaults.
type Limits struct {
	// Steps is the number of statements that may be executed. CloudFront limits
	// the time instead, to an unpublished value below a millisecond; statements
	// are counted here so that the same run always ends in the same way.
	Steps int
	// Memory is in bytes. No string, array or buffer can exceed it, nor can what
	// one run builds by joining strings exceed 32 times as much. What many small
	// objects take is bounded by Steps alone.
	Memory int
	// Depth is the number of nested calls.
	Depth int
	// Time catches what counts no steps, such as sorting again and again. It is
	// generous, since a busy machine is no fault of the function, and 2 s at most:
	// that is when regular expressions give up, which cannot be interrupted.
	Time time.Duration

	patient bool // Time is no limit; for tests of the others on a busy machine
}

const (
	defaultSteps  = 100_000
	defaultMemory = 2 << 20
	defaultDepth  = 400
	maxTime       = 2 * time.Second
	defaultTime   = maxTime
)

func (l Limits) orDefaults() Limits {
	if l.Steps <= 0 {
		l.Steps = defaultSteps
	}
	if l.Memory <= 0 {
		l.Memory = defaultMemory
	}
	if l.Depth <= 0 {
		l.Depth = defaultDepth
	}
	if l.Time <= 0 {
		l.Time = defaultTime
	}
	if l.patient {
		l.Time = time.Hour
		return l
	}
	l.Time = min(l.Time, maxTime)
	return l
}

// Edge is where the request arrived, as cf.edgeLocation shows it to
// viewer-request functions.
type Edge struct {
	Name     string `json:"name"`     // IATA code
	ServerIP string `json:"serverIp"` //
	Region   string `json:"region"`   // of the regional edge cache
}

// Options are what one run may see and use, besides its event.
type Options struct {
	KVS    Store // nil: no store is associated, and cf.kvs() throws
	Limits Limits
	Edge   Edge
	Now    time.Time // the time that Date shows throughout the run; zero: when the run begins
}

// Result is what came of a run. One of Request and Response is set if there was
// no error.
type Result struct {
	Request  *Request       // goes on to the cache
	Response *Response      // goes to the viewer
	Origins  []OriginChange // in the order of the calls
	Logs     []string       // lines of console.log, at most 10 KB of them
	// LogData is what the function last gave to cf.logCustomData, escaped, at most
	// 800 bytes of it.
	LogData string
	// Utilization is the share of the step limit that was used, 0 to 100.
	// CloudFront's number of the same name is a share of time.
	Utilization int
}
