package release

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/barrier"
	"github.com/freshet/freshet/internal/cdn"
)

// Event is what is going on.
type Event struct {
	Step Do        `json:"step"`
	Text string    `json:"text"`
	At   time.Time `json:"at"`
}

// Release takes the steps.
type Release struct {
	Wanted Wanted
	Zip    []byte // when no image is wanted
	Lambda Functions
	Keep   Keeper

	Driver  cdn.Driver // with patterns
	Profile freshet.Profile

	// Facts are what the new code has to answer with at the origin; {version} and
	// {sha256} in them are those of what was published.
	Facts  []string
	Waiter *barrier.Waiter

	Sample  func(context.Context) error                                                               // one request while a canary is watched; may be nil
	Measure func(ctx context.Context, version string, since time.Time) (n, faults float64, err error) // what Lambda counted; may be nil
	Verify  func(context.Context, Journal) error
	Warm    func(context.Context, Journal) error

	Within time.Duration // that each step may take
	Each   func(Event)   // told what goes on; may be nil

	journal  Journal
	last     Journal // finished before this one began; zero when none was
	told     Do
	unasked  string // what may not be asked, and was said not to
	updates  int
	measured time.Time
}

// Keeper keeps a journal.
type Keeper interface {
	Load() (Journal, error) // the zero value when there is none
	Save(Journal) error
}

// Stopped is the error of a release that did not come to its end.
type Stopped struct {
	Err       error
	Situation string // what state things are in, and how to go back
	Hint      string // how to go on
}

// Error says all of it.
func (e *Stopped) Error() string {
	text := e.Err.Error() + "; " + e.Situation
	if e.Hint != "" {
		text += "; to go on: " + e.Hint
	}
	return text
}

// Unwrap returns why.
func (e *Stopped) Unwrap() error { return e.Err }

// Run takes steps until nothing is left to do. What a run before it has done, it
// does not do again. The journal is what is known at the end, with an error too.
func (r *Release) Run(ctx context.Context) (Journal, error) {
	if err := r.begin(); err != nil {
		return r.journal, err
	}
	var at Seen
	var w waiting
	for {
		s, err := r.look(ctx, r.journal)
		if err == nil {
			at = s
			r.remember(s)
			step := Next(r.Wanted, r.journal, s)
			if step.Do == Done {
				return r.end(s)
			}
			err = r.take(ctx, step, s, &w)
		} else {
			err = r.failed(ctx, "look", err, &w)
		}
		if err != nil {
			return r.journal, r.stopped(ctx, err, at)
		}
	}
}

// begin goes on with what the last run has left, or begins.
func (r *Release) begin() error {
	w := r.Wanted
	last, err := r.Keep.Load()
	if err != nil {
		return err
	}
	if last.For(w) {
		r.journal = last
		r.forgetOther()
		r.say("begin", "going on with what was begun at "+last.Began.Format(time.RFC3339))
		return nil
	}
	r.journal = Journal{Format: Format, Function: w.Function, Alias: w.Alias, Code: w.Code, Image: w.Image, Began: time.Now()}
	if last.Finished() && last.Function == w.Function && last.Alias == w.Alias {
		r.last = last
	}
	return nil
}

// forgetOther forgets invalidations of other patterns than are wanted now. Those
// of the same ones have the same caller references when they are planned again.
func (r *Release) forgetOther() {
	if !samePatterns(planned(r.journal), r.Wanted.Patterns) {
		r.journal.Invalidations, r.journal.Receipts, r.journal.Repeated, r.journal.Verified, r.journal.Warmed = nil, nil, false, false, false
	}
}

func samePatterns(a, b []freshet.Pattern) bool {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	return slices.Equal(slices.Compact(a), slices.Compact(b))
}

// remember notes what answered before anything was done.
func (r *Release) remember(s Seen) {
	if r.journal.Before != (Before{}) {
		return
	}
	r.journal.Before.Code = s.Latest.ID()
	if s.Alias != nil {
		r.journal.Before.Version = s.Alias.Version
	}
}

// waiting is what is waited for, or tried again, since when.
type waiting struct {
	step  Do
	since time.Time
	saw   string
}

// at begins anew to count when it is about something else than before.
func (w *waiting) at(step Do) time.Duration {
	if w.step != step {
		*w = waiting{step: step, since: time.Now()}
	}
	return time.Since(w.since)
}

// givenUp is the error of a release that the next run begins anew.
type givenUp struct{ why, hint string }

func (g *givenUp) Error() string { return g.why }

// take takes one step, or waits until it is time to look again.
func (r *Release) take(ctx context.Context, step Step, s Seen, w *waiting) error {
	switch step.Do {
	case Stop:
		r.journal.Failed, r.journal.Ended = step.Why, s.Now
		return errors.Join(&givenUp{step.Why, step.Hint}, r.keep())
	case Wait:
		return r.wait(ctx, step, w)
	}
	if text := r.intent(step); r.told != step.Do && text != "" {
		r.told = step.Do
		r.say(step.Do, text)
	}
	err := r.do(ctx, step, s)
	if err == nil {
		w.at("") // what comes next has its own time
		return nil
	}
	return r.failed(ctx, step.Do, err, w)
}

func (r *Release) wait(ctx context.Context, step Step, w *waiting) error {
	after := w.at(Do(step.For))
	if after >= r.Within {
		return fmt.Errorf("%s did not end within %v; last seen: %s", step.For, r.Within, step.Saw)
	}
	if w.saw != step.Saw {
		w.saw = step.Saw
		r.say(Wait, fmt.Sprintf("%s: %s", step.For, step.Saw))
	}
	return pause(ctx, min(barrier.Pause(after, longestPause), r.Within-after))
}

// longestPause is how long at most nobody looks.
const longestPause = 5 * time.Second

// failed waits before what failed is tried again, and returns the error where
// that is no use, or has been tried for long enough.
func (r *Release) failed(ctx context.Context, step Do, err error, w *waiting) error {
	var temporary *again
	if ctx.Err() != nil || !errors.As(err, &temporary) {
		return err
	}
	after := w.at("again " + step)
	if after >= r.Within {
		return fmt.Errorf("tried for %v: %w", r.Within, err)
	}
	if w.saw != err.Error() {
		w.saw = err.Error()
		r.say(step, "will try again: "+err.Error())
	}
	return pause(ctx, min(barrier.Pause(after, longestPause), r.Within-after))
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// lookAfterwards is how long it may take to find out in what state things were
// left.
const lookAfterwards = 5 * time.Second

// stopped says what state things are in.
func (r *Release) stopped(ctx context.Context, err error, s Seen) error {
	if err := ctx.Err(); err != nil {
		r.say(Stop, context.Cause(ctx).Error())
	}
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookAfterwards)
	defer cancel()
	if now, err := r.look(limited, r.journal); err == nil {
		s = now
	}
	e := &Stopped{Err: err, Situation: Situation(r.Wanted, r.journal, s), Hint: "run the same command again"}
	var lost *givenUp
	var stale *Stale
	switch {
	case errors.As(err, &lost):
		e.Hint = lost.hint
	case errors.As(err, &stale):
		e.Hint = "look at what answers there; freshet invalidate clears it yet again, and the same command again looks once more"
	}
	return e
}

// end notes that all is done, once.
func (r *Release) end(s Seen) (Journal, error) {
	if r.journal.Finished() {
		r.say(Done, "released before, at "+r.journal.Ended.Format(time.RFC3339)+": nothing was left to do")
		return r.journal, nil
	}
	r.journal.Ended = s.Now
	r.say(Done, Situation(r.Wanted, r.journal, s))
	return r.journal, r.keep()
}

func (r *Release) keep() error { return r.Keep.Save(r.journal) }

func (r *Release) say(step Do, text string) {
	if r.Each != nil {
		r.Each(Event{step, text, time.Now()})
	}
}

// intent is a step in words; empty for those that only write down.
func (r *Release) intent(step Step) string {
	w, j := r.Wanted, r.journal
	switch step.Do {
	case Update:
		return "replace the code of " + w.Function + " with " + short(cmp.Or(w.Code, w.Image))
	case Publish:
		return "publish it"
	case BeginCanary:
		return fmt.Sprintf("give version %s %g %% of the requests of %s for %v", j.Version, w.Canary*100, w.Alias, w.CanaryFor)
	case Watch:
		return "watch how version " + j.Version + " does"
	case Back:
		return "take the requests away from version " + j.Version + " again: " + step.Why
	case Switch:
		return "have " + w.Alias + " point to version " + j.Version
	case Probe:
		return "see that the new code answers"
	case Invalidate:
		return "invalidate at " + w.Distribution
	case Verify:
		return "look through the edge"
	case Warm:
		return "warm what was made cold"
	}
	return ""
}

// probe waits until the origin answers as the new code does.
func (r *Release) probe(ctx context.Context) error {
	var facts []barrier.Fact
	for _, text := range r.Facts {
		f, err := barrier.Parse(r.named(text))
		if err != nil {
			return err
		}
		facts = append(facts, f)
	}
	if err := r.Waiter.Wait(ctx, facts); err != nil {
		return fmt.Errorf("the new code was not seen at the origin: %w", err)
	}
	r.journal.Probed = true
	return r.keep()
}

// named puts what was released in the place of {version} and {sha256}.
func (r *Release) named(text string) string {
	code := regexp.QuoteMeta(r.Wanted.Code)
	return strings.NewReplacer("{version}", r.journal.Version, "{sha256}", code).Replace(text)
}
