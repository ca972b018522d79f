// Package source finds out what an input is and has it read: S3's events or a
// list of keys.
package source

import (
	"bytes"
	"fmt"
	"time"

	"github.com/freshet/freshet/internal/source/batch"
	"github.com/freshet/freshet/internal/source/keylist"
	"github.com/freshet/freshet/internal/source/s3event"
)

// Format is what an input can be.
type Format string

// The formats.
const (
	Events Format = "events" // see s3event
	Keys   Format = "keys"   // see keylist
)

// MaxListBytes is how long a list of keys may be: some two million of them.
const MaxListBytes = 128 << 20

// Options say how to read. Format is found out when empty.
type Options struct {
	Format  Format
	Origin  string          // bucket of keys that do not name one
	Now     time.Time       // when listed keys changed; events bring their own time
	Dialect s3event.Dialect // of events
}

// Detect tells the formats apart by how the input begins: { or [{ or [[ begins
// events, and anything else a list of keys. A list whose first key begins so is
// taken for events, unless its format is named.
func Detect(data []byte) Format {
	data = bytes.TrimSpace(bytes.TrimPrefix(data, []byte("\ufeff")))
	if rest, ok := bytes.CutPrefix(data, []byte("[")); ok {
		rest = bytes.TrimSpace(rest)
		if len(rest) > 0 && (rest[0] == '{' || rest[0] == '[') {
			return Events
		}
		return Keys
	}
	if bytes.HasPrefix(data, []byte("{")) {
		return Events
	}
	return Keys
}

// Parse reads data. An error means that nothing of it was read; single records
// that could not be read are in the result's Problems. An input without any
// records gives an empty result if it is a list, and an error if it is named as
// events.
func Parse(data []byte, opts Options) (batch.Result, error) {
	format := opts.Format
	if format == "" {
		format = Detect(data)
	}
	switch format {
	case Events:
		return s3event.Parse(data, s3event.Options{Dialect: opts.Dialect})
	case Keys:
		if len(data) > MaxListBytes {
			return batch.Result{}, fmt.Errorf("read keys: %d bytes are over the limit of %d", len(data), MaxListBytes)
		}
		return keylist.Parse(data, opts.Origin, opts.Now), nil
	default:
		return batch.Result{}, fmt.Errorf("no input format is called %q: there are %q and %q", format, Events, Keys)
	}
}
