// Package warm has an edge fetch what viewers will ask for.
package warm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/freshet/freshet/internal/probe"
)

// Request is one fetch that makes one response of one cache warm.
type Request struct {
	Ask     probe.Ask
	Variant string // that Ask asks for, as it is shown
	Weight  int64  // how often it is asked for; the larger, the sooner it is fetched
}

// State is what became of a request.
type State string

// The states.
const (
	Already State = "already warm" // the cache had it
	Warmed  State = "warmed"       // the cache has fetched it
	Unkept  State = "not kept"     // the cache has fetched it, and a second time when it was asked again
	Failed  State = "failed"       // nothing that is worth keeping came back
	Skipped State = "skipped"      // it may not be fetched
)

// Result is what became of one request.
type Result struct {
	Request
	State  State
	Reason string       // of Failed, Skipped and Unkept
	Answer probe.Answer // of the last try; zero where there was none
	Tries  int
	Err    error // of the last try; nil where there was an answer
}

// Fetcher is what *probe.Client does.
type Fetcher interface {
	Fetch(context.Context, probe.Ask) (probe.Answer, error)
}

// Config says how to warm. Client alone is needed.
type Config struct {
	Client      Fetcher
	Rate        float64             // requests a second; 0 or less: as many as Concurrency allows
	Concurrency int                 // requests at a time; 0: 8
	Tries       int                 // of a request that fails in a way that may pass; 0: 3
	Confirm     bool                // ask again for what was warmed, and see that the cache has it
	Each        func(Result)        // told of each result, one at a time, in the order in which they come; may be nil
	Progress    func(done, all int) // told after each; may be nil
}

// Report sums up.
type Report struct {
	Already, Warmed, Unkept, Failed, Skipped int
	Left                                     int   // requests that nothing was done for, since the context ended
	Bytes                                    int64 // that came back
	Took                                     time.Duration
}

// Done is how many requests had a result.
func (r Report) Done() int { return r.Already + r.Warmed + r.Unkept + r.Failed + r.Skipped }

const (
	defaultConcurrency = 8
	defaultTries       = 3
	firstPause         = 500 * time.Millisecond
	longestPause       = 30 * time.Second
)

// Fetch sends the requests, those of the largest weight first and equals in the
// order in which they are given. It returns an error only when ctx ended before
// all were done; what could not be fetched is in the results. requests is not
// changed.
func Fetch(ctx context.Context, cfg Config, requests []Request) (Report, error) {
	began := time.Now()
	f := &fetching{Config: cfg, all: len(requests), limit: rate.NewLimiter(rate.Inf, 1)}
	f.Concurrency, f.Tries = cmp.Or(max(cfg.Concurrency, 0), defaultConcurrency), cmp.Or(max(cfg.Tries, 0), defaultTries)
	if cfg.Rate > 0 {
		f.limit = rate.NewLimiter(rate.Limit(cfg.Rate), 1)
	}
	hottest := Ordered(requests)
	queue := make(chan Request)
	var workers sync.WaitGroup
	for range min(f.Concurrency, len(hottest)) {
		workers.Go(func() {
			for r := range queue {
				if result := f.one(ctx, r); ctx.Err() == nil || result.State == Already || result.State == Warmed {
					f.count(result)
				}
			}
		})
	}
	for _, r := range hottest {
		// Not in the select alone, which would go on by chance after the end.
		if ctx.Err() != nil {
			break
		}
		select {
		case queue <- r:
		case <-ctx.Done():
		}
	}
	close(queue)
	workers.Wait()
	f.report.Took = time.Since(began)
	f.report.Left = len(requests) - f.report.Done()
	if f.report.Left > 0 {
		return f.report, fmt.Errorf("warm: %d of %d requests were not made: %w", f.report.Left, len(requests), context.Cause(ctx))
	}
	return f.report, nil
}

// Ordered returns requests in the order in which they are made.
func Ordered(requests []Request) []Request {
	hottest := slices.Clone(requests)
	slices.SortStableFunc(hottest, func(a, b Request) int { return cmp.Compare(b.Weight, a.Weight) })
	return hottest
}

// fetching is one run.
type fetching struct {
	Config
	all   int
	limit *rate.Limiter

	mu     sync.Mutex // also orders Each and Progress
	report Report
}

func (f *fetching) count(r Result) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.report.Bytes += r.Answer.Size
	switch r.State {
	case Already:
		f.report.Already++
	case Warmed:
		f.report.Warmed++
	case Unkept:
		f.report.Unkept++
	case Skipped:
		f.report.Skipped++
	default:
		f.report.Failed++
	}
	if f.Each != nil {
		f.Each(r)
	}
	if f.Progress != nil {
		f.Progress(f.report.Done(), f.all)
	}
}

// one fetches until there is an answer that stays.
func (f *fetching) one(ctx context.Context, r Request) Result {
	pause := firstPause
	for try := 1; ; try++ {
		result := f.try(ctx, r)
		result.Tries = try
		if try >= f.Tries || !passing(result) || ctx.Err() != nil {
			return result
		}
		wait := max(pause, min(result.Answer.RetryAfter(), longestPause))
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return result
		}
		pause = min(2*pause, longestPause)
	}
}

// passing reports whether another try may go better.
func passing(r Result) bool {
	return r.State == Failed && (r.Err != nil || r.Answer.Status >= 500 || r.Answer.Status == http.StatusTooManyRequests)
}

func (f *fetching) try(ctx context.Context, r Request) Result {
	result := f.ask(ctx, r)
	if result.State != Warmed || !f.Confirm {
		return result
	}
	if again := f.ask(ctx, r); again.State != Already && again.Err == nil {
		result.State, result.Reason = Unkept, "the cache asked the origin again: "+cacheSaid(again.Answer)
	}
	return result
}

func cacheSaid(a probe.Answer) string {
	if kept := a.Header.Get("Cache-Control"); kept != "" {
		return "Cache-Control is " + kept
	}
	return cmp.Or(a.Cache(), "it says nothing of a copy")
}

// ask fetches once, when it is its turn.
func (f *fetching) ask(ctx context.Context, r Request) Result {
	result := Result{Request: r}
	if err := f.limit.Wait(ctx); err != nil {
		result.State, result.Err, result.Reason = Failed, context.Cause(ctx), "not asked for"
		return result
	}
	a, err := f.Client.Fetch(ctx, r.Ask)
	result.Answer = a
	if err != nil {
		result.State, result.Err, result.Reason = Failed, err, err.Error()
		if _, refused := errors.AsType[*probe.Refused](err); refused {
			result.State = Skipped
		}
		return result
	}
	result.State, result.Reason = judge(a)
	return result
}

// judge says what an answer means for the cache. Redirects and what is gone are
// kept like everything else; errors of the origin are no use to anybody.
func judge(a probe.Answer) (State, string) {
	switch {
	case a.Status >= 500 || a.Status == http.StatusTooManyRequests:
		return Failed, fmt.Sprintf("the edge answered %d", a.Status)
	case a.Status >= 400:
		return Failed, fmt.Sprintf("the edge answered %d: there is nothing to keep warm", a.Status)
	case !a.Whole:
		return Failed, fmt.Sprintf("the body is longer than the %d bytes that are read, and a body that is not read to its end need not be kept", a.Size)
	case a.Hit():
		return Already, ""
	}
	return Warmed, ""
}
