// Package s3event reads what S3, and the stores that imitate it, say about
// their objects: notification records and EventBridge events, bare or wrapped
// by SNS and SQS, one or many.
//
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
package s3event

import (
	"fmt"

	"github.com/freshet/freshet/internal/source/batch"
)

// Limits where Options name none.
const (
	DefaultMaxBytes   = 8 << 20 // a Lambda invocation brings at most 6 MB, an SQS message 1 MiB
	DefaultMaxRecords = 100_000
)

// MaxEnvelopes is how many wrappers a record may stand in. S3 through SNS
// through SQS needs two, in a JSON array three.
const MaxEnvelopes = 3

// Options say how to read. The zero value recognises the dialect of each record
// and has the default limits.
type Options struct {
	Dialect    Dialect
	MaxBytes   int
	MaxRecords int
}

// Parse reads one input: a JSON value, or several one after another (JSON
// lines, or files put together), each of them one of
//
//   - a notification {"Records": […]}, or one of its records by itself
//   - an EventBridge event
//   - SNS's {"Type": "Notification", "Message": "…"}, or the Records[].Sns that
//     a Lambda gets, around any of these
//   - the Records[].body that a Lambda gets from SQS, or what `aws sqs
//     receive-message` prints, around any of these
//   - an array of these
//
// A record that cannot be read is a problem of the result and leaves its
// neighbours alone. An error means that the input as a whole was not read: it
// is over a limit, no JSON, or nothing that carries events.
func Parse(data []byte, opts Options) (batch.Result, error) {
	opts, err := opts.complete()
	if err != nil {
		return batch.Result{}, err
	}
	if len(data) > opts.MaxBytes {
		return batch.Result{}, fmt.Errorf("read S3 events: %d bytes are over the limit of %d", len(data), opts.MaxBytes)
	}
	r := &reader{opts: opts}
	if err := r.input(data); err != nil {
		return batch.Result{}, fmt.Errorf("read S3 events: %w", err)
	}
	if n := r.result.Records(); n > opts.MaxRecords {
		return batch.Result{}, fmt.Errorf("read S3 events: more than the limit of %d records", opts.MaxRecords)
	}
	return r.result, nil
}

// complete puts the defaults where nothing was asked for.
func (o Options) complete() (Options, error) {
	d, err := ParseDialect(string(o.Dialect))
	if err != nil {
		return o, err
	}
	o.Dialect = d
	if o.MaxBytes == 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	if o.MaxRecords == 0 {
		o.MaxRecords = DefaultMaxRecords
	}
	return o, nil
}

// reader collects what one input holds.
type reader struct {
	opts   Options
	result batch.Result
}

// full reports that the limit is passed, after which nothing more need be read.
func (r *reader) full() bool { return r.result.Records() > r.opts.MaxRecords }

func (r *reader) change(c batch.Change) { r.result.Changes = append(r.result.Changes, c) }

func (r *reader) skip(at batch.Place, event, reason string) {
	r.result.Skipped = append(r.result.Skipped, batch.Skipped{At: at, Event: event, Reason: reason})
}

func (r *reader) problem(at batch.Place, err error) {
	r.result.Problems = append(r.result.Problems, batch.Problem{At: at, Err: err})
}
