package doctor

import (
	"time"

	"github.com/freshet/freshet/internal/cdn"
	"github.com/freshet/freshet/internal/distribution"
	"github.com/freshet/freshet/internal/route"
)

// Answer is what a question was answered with, or why it was not.
type Answer[T any] struct {
	Is  T
	Err error
}

// Seen is everything that checks judge.
type Seen struct {
	Own      bool   // all of it is of a running freshet up: there is no account, and no notifications
	Bucket   string // empty where none was named or found
	Wanted   string // ID of the distribution that was named; empty: those that the bucket feeds
	Region   string // that is configured
	Routes   route.Rules
	Caller   Answer[Caller]
	Fed      Answer[[]string] // IDs of the distributions that have the bucket as an origin; asked where none is wanted
	Home     Answer[string]   // the bucket's region
	Rules    Answer[Notifications]
	Expiring Answer[bool] // whether the bucket's lifecycle rules expire anything
	Listing  Answer[Listing]
	Pages    []Page
	Function string // the Lambda function that invalidates; empty: not looked at
	Worker   Answer[Worker]
	Sites    []Site
}

// Caller is whom credentials belong to.
type Caller struct{ Account, ARN string }

// Notifications is what a bucket tells about changes.
type Notifications struct {
	EventBridge bool
	Rules       []Rule
}

// Rule has S3 send some events about some keys to somebody.
type Rule struct {
	ID, To         string // To is an ARN
	Events         []string
	Prefix, Suffix string
}

// Listing is the keys of a bucket, or the first of them.
type Listing struct {
	Keys []string
	More bool // there are others
}

// Page is an object that browsers show, and what they are told about keeping it.
type Page struct {
	Key, CacheControl string
	Err               error
}

// Site is a distribution.
type Site struct {
	ID           string
	Err          error  // why nothing else is known
	Status       string // Deployed or InProgress
	Account      string // that it belongs to; empty where that was not said
	Distribution distribution.Distribution
	Front        Answer[Reply] // to a request for its root
	InProgress   Answer[[]cdn.Progress]
	Rewritten    map[string]Answer[[]Rewritten] // by the ARN of a CloudFront function at viewer-request
	Trial        *Trial                         // nil where no canary was sent
}

// Rewritten is what a function makes of a path: another one, or the same.
type Rewritten struct{ From, To string }

// Reply is what a viewer gets.
type Reply struct {
	Status int
	Cache  string // X-Cache
	Body   string // its beginning
}

// Trial is the way of a canary.
type Trial struct {
	Key, Path string
	Steps     []Step // that were taken, in order
	Failed    string // the step that was not; empty: none
	Err       error  // why
	Left      error  // why the canary could not be removed
}

// Step is a part of a canary's way.
type Step struct {
	Name string
	Took time.Duration
}
