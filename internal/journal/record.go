package journal

import (
	"time"

	"github.com/freshet/freshet"
)

// State is how far a change has come.
type State string

// The states, in the order in which a change passes them. Stale is a warning on
// the way: the edge was seen serving old bytes after completion, and the
// invalidation is repeated once. Verified, Dead and Made are final.
const (
	Received  State = "received"  // in the queue, on disk
	Planned   State = "planned"   // its plan is in the journal
	Sent      State = "sent"      // the CDN accepted every request for it
	Completed State = "completed" // the CDN says that it is done
	Verified  State = "verified"  // the edge was seen serving what the origin holds
	Stale     State = "stale"
	Dead      State = "dead" // given up, with the reason; freshet retry sends it again
	Made      State = "made" // what a rule does after a change was done
)

// States lists all states in their order.
func States() []State {
	return []State{Received, Planned, Sent, Completed, Verified, Stale, Dead, Made}
}

// Final reports whether nothing follows s but a retry by a person.
func (s State) Final() bool { return s == Verified || s == Dead || s == Made }

// Record is one step of one change at one distribution, with the times of all
// steps before it. Its JSON form is what freshet log --json prints.
type Record struct {
	ID           string            `json:"id"` // of the change
	Origin       string            `json:"origin"`
	Key          string            `json:"key"`
	Op           freshet.Op        `json:"op"`
	State        State             `json:"state"`
	Distribution string            `json:"distribution,omitempty"` // empty before routing and where no distribution caches the key
	Patterns     []freshet.Pattern `json:"patterns"`
	Invalidation string            `json:"invalidation"` // the CDN's ID; several are separated by commas
	Plan         string            `json:"plan,omitempty"`
	ETag         string            `json:"etag,omitempty"`
	Sequencer    freshet.Sequencer `json:"sequencer,omitempty"`
	Cause        string            `json:"cause,omitempty"`
	ChangedAt    time.Time         `json:"changed_at"`
	ReceivedAt   *time.Time        `json:"received_at,omitempty"`
	PlannedAt    *time.Time        `json:"planned_at"`
	SentAt       *time.Time        `json:"sent_at"`
	CompletedAt  *time.Time        `json:"completed_at"`
	VerifiedAt   *time.Time        `json:"verified_at"`
	Reason       string            `json:"reason"`
	FreshWithin  float64           `json:"fresh_within_seconds,omitempty"` // what was promised; 0 for nothing
	Rule         string            `json:"rule,omitempty"`                 // of work after a change, which the record is about then
	Said         string            `json:"said,omitempty"`                 // the last that its program wrote
	Late         bool              `json:"late,omitempty"`                 // it was not verified within that
}

// First is the record that c was received.
func First(c freshet.Change, received time.Time) Record {
	return Record{
		ID: c.ID(), Origin: c.Origin, Key: c.Key, Op: c.Op, ETag: c.ETag, Sequencer: c.Sequencer, Cause: c.Cause,
		Patterns: []freshet.Pattern{}, ChangedAt: c.Time,
	}.At(Received, received)
}

// At returns a copy of r in state s, which it reached at t.
func (r Record) At(s State, t time.Time) Record {
	r.State = s
	if deadline, promised := r.Deadline(); promised && s.Final() {
		r.Late = t.After(deadline)
	}
	switch s {
	case Received:
		r.ReceivedAt = &t
	case Planned:
		r.PlannedAt = &t
	case Sent:
		r.SentAt = &t
	case Completed:
		r.CompletedAt = &t
	case Verified:
		r.VerifiedAt = &t
	case Stale, Dead, Made: // their time is the message's
	}
	return r
}

// Deadline is when the change must be verified, if anything was promised: so
// long after it changed at the origin, by the origin's clock.
func (r Record) Deadline() (deadline time.Time, promised bool) {
	if r.FreshWithin <= 0 || r.ChangedAt.IsZero() {
		return time.Time{}, false
	}
	return r.ChangedAt.Add(time.Duration(r.FreshWithin * float64(time.Second))), true
}

// LateAt reports whether what was promised is broken at a time: the change was
// verified too late, or is not verified and should be.
func (r Record) LateAt(now time.Time) bool {
	if r.State == Verified || r.State == Made {
		return r.Late
	}
	deadline, promised := r.Deadline()
	return promised && now.After(deadline)
}
