// Package batch is what a source makes of its input: the changes it found, each
// with the place where it stood, what it passed over and what it could not read.
package batch

import (
	"fmt"

	"github.com/freshet/freshet"
)

// Place is where a record stood in the input.
type Place struct {
	Message string `json:"message,omitempty"` // ID of the SQS message around it, by which a Lambda reports a partial failure; empty outside SQS
	Path    string `json:"path,omitempty"`    // from the outside inwards, such as "Records[3]"; empty for the input or message as a whole
}

// String writes the place for people: "Records[3]", "message m-7: Records[0]".
func (p Place) String() string {
	switch {
	case p.Message == "" && p.Path == "":
		return "input"
	case p.Message == "":
		return p.Path
	case p.Path == "":
		return "message " + p.Message
	default:
		return "message " + p.Message + ": " + p.Path
	}
}

// Inside returns the place of something that stands at path within p.
func (p Place) Inside(path string) Place {
	if p.Path != "" {
		path = p.Path + ": " + path
	}
	return Place{Message: p.Message, Path: path}
}

// Change is a change and where it came from.
type Change struct {
	freshet.Change

	At Place `json:"at"`
}

// Skipped is a record that was understood and makes nothing stale.
type Skipped struct {
	At     Place  `json:"at"`
	Event  string `json:"event"` // the source's own name for it
	Reason string `json:"reason"`
}

// Problem is a record that could not be read. What it would have changed is
// unknown, so it must be kept, retried or shown, and never dropped in silence.
type Problem struct {
	At  Place
	Err error
}

// Error returns the place and what was wrong there.
func (p Problem) Error() string { return fmt.Sprintf("%s: %v", p.At, p.Err) }

// Unwrap returns what was wrong, without the place.
func (p Problem) Unwrap() error { return p.Err }

// Result is one input, read. Every record of it is in exactly one of the lists,
// and each list is in the order of the input.
type Result struct {
	Changes  []Change
	Skipped  []Skipped
	Problems []Problem
}

// Records is the number of records the input held.
func (r Result) Records() int { return len(r.Changes) + len(r.Skipped) + len(r.Problems) }

// Plain returns the changes without their places, as the rest of the line
// wants them.
func (r Result) Plain() []freshet.Change {
	plain := make([]freshet.Change, len(r.Changes))
	for i, c := range r.Changes {
		plain[i] = c.Change
	}
	return plain
}

// Unread returns the IDs of the SQS messages that hold a problem, each once and
// in the order of the input: what a Lambda answers as batchItemFailures. Other
// changes of those messages are in the result all the same and come again with
// the redelivery, under the same IDs.
func (r Result) Unread() []string {
	var ids []string
	seen := make(map[string]bool)
	for _, p := range r.Problems {
		if id := p.At.Message; id != "" && !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	return ids
}
