package quota_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/cdn"
)

// strict is a CDN that holds its clients to both quotas without any leniency.
type strict struct {
	quota   freshet.Quota
	takes   time.Duration // an invalidation to complete
	answers time.Duration // a call to be answered
	faults  func(call int) error

	mu       sync.Mutex
	calls    int
	refusals []string
	taken    []taken
	order    []string // caller references
	looks    int
}

type taken struct {
	distribution, reference string
	patterns, wildcards     int
	at                      time.Time
	others                  bool
}

var cloudFront = freshet.Quota{RequestsPerSecond: 1, PatternsPerSecond: 150, WildcardsPerSecond: 1, PatternsInProgress: 3000, WildcardsInProgress: 15}

// occupy is somebody else's invalidation.
func (s *strict) occupy(distribution string, patterns, wildcards int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken = append(s.taken, taken{distribution, fmt.Sprint("other", len(s.taken)), patterns, wildcards, time.Now(), true})
}

func (s *strict) Invalidate(_ context.Context, inv freshet.Invalidation) (freshet.Receipt, error) {
	time.Sleep(s.answers)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	if s.faults != nil {
		if err := s.faults(s.calls); err != nil {
			return freshet.Receipt{}, err
		}
	}
	now := time.Now()
	for i, t := range s.taken {
		if t.reference == inv.CallerReference {
			return s.receipt(i, now), nil
		}
	}
	n := taken{distribution: inv.Distribution, reference: inv.CallerReference, patterns: len(inv.Patterns), at: now}
	for _, p := range inv.Patterns {
		if p.IsWildcard() {
			n.wildcards++
		}
	}
	if class, why := s.judge(n, now); why != "" {
		s.refusals = append(s.refusals, why)
		return freshet.Receipt{}, &cdn.Error{Class: class, Err: errors.New(why)}
	}
	s.taken = append(s.taken, n)
	s.order = append(s.order, inv.CallerReference)
	return s.receipt(len(s.taken)-1, now), nil
}

// judge counts anew what was taken within a second, and what is in progress.
func (s *strict) judge(n taken, now time.Time) (class cdn.Class, why string) {
	second, progress := n, n
	for _, t := range s.taken {
		if !t.others && now.Sub(t.at) < time.Second {
			second.patterns += t.patterns
			second.wildcards += t.wildcards
		}
		if t.distribution == n.distribution && now.Sub(t.at) < s.takes {
			progress.patterns += t.patterns
			progress.wildcards += t.wildcards
		}
	}
	switch {
	case s.quota.PatternsPerSecond > 0 && float64(second.patterns) > s.quota.PatternsPerSecond:
		return cdn.Throttled, fmt.Sprintf("%d patterns within a second", second.patterns)
	case s.quota.WildcardsPerSecond > 0 && n.wildcards > 0 && float64(second.wildcards) > s.quota.WildcardsPerSecond:
		return cdn.Throttled, fmt.Sprintf("%d wildcards within a second", second.wildcards)
	case s.quota.PatternsInProgress > 0 && progress.patterns > s.quota.PatternsInProgress:
		return cdn.Busy, fmt.Sprintf("%d patterns in progress", progress.patterns)
	case s.quota.WildcardsInProgress > 0 && n.wildcards > 0 && progress.wildcards > s.quota.WildcardsInProgress:
		return cdn.Busy, fmt.Sprintf("%d wildcards in progress", progress.wildcards)
	}
	return "", ""
}

func (s *strict) receipt(i int, now time.Time) freshet.Receipt {
	t := s.taken[i]
	r := freshet.Receipt{Distribution: t.distribution, CallerReference: t.reference, ID: fmt.Sprint("I", i), State: freshet.Accepted, At: t.at}
	if now.Sub(t.at) >= s.takes {
		r.State = freshet.Completed
	}
	return r
}

func (s *strict) Status(_ context.Context, _, id string) (freshet.Receipt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var i int
	_, err := fmt.Sscanf(id, "I%d", &i)
	if err != nil {
		return freshet.Receipt{}, err
	}
	return s.receipt(i, time.Now()), nil
}

func (s *strict) Profiles(context.Context) ([]freshet.Profile, error) { return nil, nil }

// observable is a strict CDN that tells what is in progress.
type observable struct{ *strict }

func (s observable) InProgress(_ context.Context, distribution string, _ map[string]cdn.Progress) (found []cdn.Progress, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.looks++
	for i, t := range s.taken {
		if t.distribution == distribution && time.Since(t.at) < s.takes {
			found = append(found, cdn.Progress{ID: fmt.Sprint("I", i), Patterns: t.patterns, Wildcards: t.wildcards, Since: t.at})
		}
	}
	return found, nil
}
