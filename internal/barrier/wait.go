package barrier

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// Sight is what one look at a fact showed.
type Sight struct {
	Holds bool
	Saw   string // in words
}

// Progress is how far the waiting for a fact is.
type Progress struct {
	Fact Fact
	Sight
	After time.Duration // since the waiting began
}

// Waiter waits for facts. It may be used concurrently.
type Waiter struct {
	Clients Clients
	// HTTP fetches URLs; nil is the usual, which connects to no link-local address.
	HTTP http.RoundTripper
	// Getenv is the environment of which commands get PATH, HOME, TMPDIR and LANG,
	// and what they name. Nil is an empty one.
	Getenv func(string) string
	// Each is told of every look, one call at a time; may be nil.
	Each func(Progress)
	// Least is the time that the last look gets, however little of the fact's own is
	// left; 0 is a second.
	Least time.Duration
}

// Abort is the error of a fact that did not come true.
type Abort struct {
	Fact Fact
	Why  string
	Saw  string // last; empty when nothing was ever seen, or Why says it
	Do   string // what a person can do; may be empty
}

// Error names the fact, why it is not waited for any longer, what was seen last,
// and what can be done.
func (a *Abort) Error() string {
	text := fmt.Sprintf("%s: %s", a.Fact, a.Why)
	if a.Saw != "" {
		text += "; last seen: " + a.Saw
	}
	if a.Do != "" {
		text += "; " + a.Do
	}
	return text
}

// never is an error of a look after which looking again is no use.
type never struct{ why, do string }

func (n *never) Error() string { return n.why }

// Wait returns nil when each fact has been seen to hold, all of them waited for
// side by side. It ends with the first that cannot come true any more or takes
// longer than it may; the error then is, or joins, *Abort. When ctx ends it
// returns the cause of that.
func (w *Waiter) Wait(ctx context.Context, facts []Fact) error {
	one, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	errs := make([]error, len(facts))
	var all sync.WaitGroup
	var telling sync.Mutex
	tell := func(p Progress) {
		if w.Each != nil {
			telling.Lock()
			defer telling.Unlock()
			w.Each(p)
		}
	}
	for i, f := range facts {
		all.Go(func() {
			if errs[i] = w.wait(one, f, tell); errs[i] != nil {
				cancel(errOther)
			}
		})
	}
	all.Wait()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("wait for %s: %w", unmet(facts, errs), context.Cause(ctx))
	}
	for i, err := range errs {
		if errors.Is(err, errOther) {
			errs[i] = nil
		}
	}
	return errors.Join(errs...)
}

// errOther is why a fact is not waited for any longer when another is lost.
var errOther = errors.New("another fact did not come true")

func unmet(facts []Fact, errs []error) Fact {
	for i, err := range errs {
		if err != nil {
			return facts[i]
		}
	}
	return Fact{}
}

// lookWithin is how long one look may take, and leastLook the time that the last
// one gets.
const (
	lookWithin = 10 * time.Second
	leastLook  = time.Second
)

func (w *Waiter) wait(ctx context.Context, f Fact, tell func(Progress)) error {
	began, last, inRow := time.Now(), "", 0
	for {
		s, err := w.look(ctx, f, f.Within-time.Since(began))
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		var lost *never
		switch {
		case errors.As(err, &lost):
			return &Abort{Fact: f, Why: lost.why, Do: lost.do}
		case err != nil:
			s, inRow = Sight{Saw: err.Error()}, 0
		case s.Holds:
			inRow++
			if s.Holds = inRow >= max(f.Times, 1); !s.Holds {
				s.Saw = fmt.Sprintf("%s, %d of %d times", s.Saw, inRow, f.Times)
			}
		default:
			inRow = 0
		}
		last = s.Saw
		after := time.Since(began)
		tell(Progress{f, s, after})
		switch {
		case s.Holds:
			return nil
		case after >= f.Within:
			return &Abort{Fact: f, Why: fmt.Sprintf("not true within %v", f.Within), Saw: last, Do: "if it only needs longer, say so with within"}
		}
		pause := Pause(after, f.Kind.longest())
		if inRow > 0 {
			pause = firstPause
		}
		select {
		case <-time.After(min(jitter(pause), f.Within-after)):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// look looks once, for as long as there is time.
func (w *Waiter) look(ctx context.Context, f Fact, left time.Duration) (Sight, error) {
	within := max(left, cmp.Or(w.Least, leastLook))
	if f.Kind != Command {
		within = min(within, lookWithin)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, within, fmt.Errorf("no answer within %v", within.Round(time.Second)))
	defer cancel()
	s, err := w.at(ctx, f)
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = context.Cause(ctx)
	}
	return s, err
}

func (w *Waiter) at(ctx context.Context, f Fact) (Sight, error) {
	switch f.Kind {
	case Lambda:
		return w.function(ctx, f)
	case Distribution:
		return w.distribution(ctx, f)
	case Origin, URL:
		return w.fetched(ctx, f)
	case Command:
		return w.run(ctx, f)
	}
	return Sight{}, &never{why: "nobody knows how to look at it"}
}

// Pauses between two looks.
const (
	firstPause = 250 * time.Millisecond
	part       = 4
)

// Pause is how long to wait before the next look at something that has been
// waited for so long: a quarter of that, so that what takes four seconds is seen
// after five and what takes a second after one and a quarter, and longest at most.
func Pause(after, longest time.Duration) time.Duration {
	return min(max(after/part, firstPause), longest)
}

// longest is the pause that what is asked can be expected to bear from everybody
// at all times.
func (k Kind) longest() time.Duration {
	switch k {
	case Distribution:
		return 15 * time.Second
	case Lambda, Command:
		return 5 * time.Second
	default:
		return 2 * time.Second
	}
}

// jitter takes a tenth at most away or adds it, so that many who began together
// do not ask together.
func jitter(d time.Duration) time.Duration {
	return d + time.Duration((rand.Float64()-0.5)*0.2*float64(d))
}

// Never reports whether err says that what was looked at cannot become true any
// more.
func Never(err error) bool {
	var n *never
	return errors.As(err, &n)
}
