// Package alarm watches the steps of changes, and tells people when content is
// not fresh that should be: once when that begins, and once when it is over.
package alarm

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/freshet/freshet/internal/journal"
)

// Kind is what an alarm is about.
type Kind string

// The kinds.
const (
	Stale Kind = "stale" // the edge serves old bytes after a second invalidation
	Dead  Kind = "dead"  // changes were given up for another reason
	Late  Kind = "late"  // changes were not seen fresh within the time that was promised
)

// State is whether what an alarm is about is so.
type State string

// The states.
const (
	Raised  State = "raised"
	Cleared State = "cleared"
)

// Notice is what people are told.
type Notice struct {
	ID           string    `json:"id"` // the same however often it is sent
	Alarm        Kind      `json:"alarm"`
	State        State     `json:"state"`
	Distribution string    `json:"distribution,omitempty"` // empty: changes that were given up before it was known where they go
	Since        time.Time `json:"since"`                  // when it was raised or cleared
	Changes      int       `json:"changes"`                // that it is about now
	Examples     []Example `json:"examples,omitempty"`     // the first of them
	FreshWithin  float64   `json:"fresh_within_seconds,omitempty"`
	Text         string    `json:"text"` // all that in a sentence
}

// Example is one of the changes that an alarm is about.
type Example struct {
	Origin    string    `json:"origin"`
	Key       string    `json:"key"`
	ChangedAt time.Time `json:"changed_at"`
	Reason    string    `json:"reason,omitempty"`
}

// examples is how many an alarm has at most.
const examples = 10

// Shelf is where alarms are kept, so that a restart neither repeats nor forgets
// one. A journal.Shelf is one.
type Shelf interface {
	Put(ctx context.Context, key string, value []byte) error
	All(ctx context.Context, apply func(value []byte) error) error
}

// Config is what alarms work with.
type Config struct {
	Shelf   Shelf
	Senders map[string]Sender // by name; may be empty
	Give    time.Duration     // how long a notice that cannot be sent is tried again
	Log     *slog.Logger
}

// mostLate is how many late changes are counted until the alarm is cleared. Of
// dead letters all are known.
const mostLate = 10000

// calm is for how long nothing may be late until the alarm is cleared.
const calm = time.Minute

// alarm is one kind at one distribution.
type alarm struct {
	Kind         Kind             `json:"kind"`
	Distribution string           `json:"distribution"`
	State        State            `json:"state"`
	Since        time.Time        `json:"since"`
	Told         map[string]State `json:"told"` // by the sender's name
	FreshWithin  float64          `json:"fresh_within_seconds,omitempty"`
	Examples     []Example        `json:"examples,omitempty"` // as it was last written

	about map[object]Example // changes that stand for it
	first []object           // of about, the oldest
	last  time.Time          // when something was late
}

// object is an origin, and a key with the rule that is about it, if any is.
type object [2]string

func (a *alarm) name() string { return string(a.Kind) + "." + cmp.Or(a.Distribution, "-") }

// Book is all alarms. Call Run.
type Book struct {
	cfg  Config
	kick map[string]chan struct{} // wakes senders

	mu     sync.Mutex
	steps  []journal.Record // not looked at yet
	wake   chan struct{}
	alarms map[string]*alarm
	stale  map[string]bool     // changes seen stale and not at their end, by ID and distribution
	open   map[string]underWay // changes that must be fresh by a time, likewise
	dirty  map[string]*alarm   // to be written
}

// underWay is a change that is not at its end.
type underWay struct {
	distribution string
	deadline     time.Time
	freshWithin  float64
	example      Example
}

// Open returns the alarms that an earlier run has kept. dead are the dead
// letters.
func Open(ctx context.Context, cfg Config, dead []journal.Work) (*Book, error) {
	b := &Book{
		cfg: cfg, kick: make(map[string]chan struct{}), wake: make(chan struct{}, 1), alarms: make(map[string]*alarm),
		stale: make(map[string]bool), open: make(map[string]underWay), dirty: make(map[string]*alarm),
	}
	for name := range cfg.Senders {
		b.kick[name] = make(chan struct{}, 1)
	}
	err := cfg.Shelf.All(ctx, func(value []byte) error {
		a := &alarm{about: make(map[object]Example)}
		if err := json.Unmarshal(value, a); err != nil {
			return fmt.Errorf("read an alarm: %w", err)
		}
		if a.Kind == Late && a.State == Raised {
			a.last = time.Now() // what is late still will soon be seen
			for _, e := range a.Examples {
				a.add(object{e.Origin, e.Key + " "}, e)
			}
		}
		b.alarms[a.name()] = a
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, w := range dead {
		b.bury(w)
	}
	return b, nil
}

// bury notes what a dead letter is about.
func (b *Book) bury(w journal.Work) {
	where := make(map[object][]string)
	for _, inv := range w.Plan.Invalidations {
		for _, t := range inv.Targets {
			if o := (object{t.Origin, t.Key}); !slices.Contains(where[o], t.Distribution) {
				where[o] = append(where[o], t.Distribution)
			}
		}
	}
	kind := Dead
	if w.Stale {
		kind = Stale
	}
	for _, c := range w.Left() {
		o := object{c.Origin, c.Key}
		e := Example{Origin: c.Origin, Key: c.Key, ChangedAt: c.Time, Reason: w.Reason}
		if w.Rule != "" {
			b.at(Dead, "").add(object{c.Origin, c.Key + " " + w.Rule}, e)
			continue
		}
		distributions := where[o]
		if len(distributions) == 0 {
			distributions = []string{""}
		}
		for _, d := range distributions {
			b.at(kind, d).add(object{c.Origin, c.Key + " "}, e)
		}
	}
}

// at returns the alarm of a kind at a distribution. The caller holds b.mu, but
// for Open.
func (b *Book) at(k Kind, distribution string) *alarm {
	a := &alarm{Kind: k, Distribution: distribution, State: Cleared, Told: make(map[string]State), about: make(map[object]Example)}
	if known := b.alarms[a.name()]; known != nil {
		return known
	}
	b.alarms[a.name()] = a
	return a
}

func (a *alarm) add(o object, e Example) {
	_, known := a.about[o]
	if !known && a.Kind == Late && len(a.about) >= mostLate {
		return
	}
	if !known && len(a.first) < examples {
		a.first = append(a.first, o)
	}
	a.about[o] = e
}

func (a *alarm) remove(o object) {
	delete(a.about, o)
	a.first = slices.DeleteFunc(a.first, func(other object) bool { return other == o })
}

func (a *alarm) examples() (shown []Example) {
	for _, o := range a.first {
		shown = append(shown, a.about[o])
	}
	return shown
}

// notice is what is told of a.
func (a *alarm) notice() Notice {
	sum := sha256.Sum256([]byte(a.name() + " " + string(a.State) + " " + a.Since.UTC().Format(time.RFC3339Nano)))
	n := Notice{
		ID: hex.EncodeToString(sum[:8]), Alarm: a.Kind, State: a.State, Distribution: a.Distribution, Since: a.Since,
		Changes: len(a.about), FreshWithin: a.FreshWithin,
	}
	n.Examples = a.examples()
	n.Text = n.sentence()
	return n
}

func (n Notice) sentence() string {
	at := ""
	if n.Distribution != "" {
		at = " at distribution " + n.Distribution
	}
	if n.State == Cleared {
		return map[Kind]string{
			Stale: "what was stale" + at + " is fresh again",
			Dead:  "nothing is given up any more" + at,
			Late:  "changes" + at + " are fresh in time again",
		}[n.Alarm]
	}
	changes := fmt.Sprintf("%d changes", n.Changes)
	if n.Changes == 1 {
		changes = "1 change"
	}
	within := fmt.Sprintf("not fresh within %v", time.Duration(n.FreshWithin*float64(time.Second)))
	if n.Distribution == "" {
		within += " and not sent yet"
	}
	text := changes + at + ": " + map[Kind]string{
		Stale: "the edge serves old bytes, after a second invalidation too",
		Dead:  "given up; freshet retry tries again",
		Late:  within,
	}[n.Alarm]
	if len(n.Examples) > 0 {
		text += ", such as " + n.Examples[0].Key
		if reason := n.Examples[0].Reason; reason != "" {
			text += " (" + reason + ")"
		}
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}
