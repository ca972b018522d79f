package pipeline_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/cdn"
)

// network is a CDN whose every answer a test can change.
type network struct {
	mu       sync.Mutex
	requests []freshet.Invalidation               // accepted, without repetitions
	calls    int                                  // of Invalidate
	refuse   func(freshet.Invalidation) error     // nil accepts
	accepted map[string]freshet.Invalidation      // by caller reference
	check    func(freshet.Change) freshet.Verdict // what a probe sees; nil is fresh
	waitFor  func(freshet.Change, func() bool)    // before it sees; may be nil

	distribution string // the only one
	beside       []string
}

func (n *network) Invalidate(ctx context.Context, inv freshet.Invalidation) (freshet.Receipt, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.calls++
	if err := ctx.Err(); err != nil {
		return freshet.Receipt{}, err
	}
	if n.refuse != nil {
		if err := n.refuse(inv); err != nil {
			return freshet.Receipt{}, err
		}
	}
	if earlier, ok := n.accepted[inv.CallerReference]; !ok {
		n.accepted[inv.CallerReference] = inv
		n.requests = append(n.requests, inv)
	} else if !slices.Equal(earlier.Patterns, inv.Patterns) {
		return freshet.Receipt{}, &cdn.Error{Class: cdn.Conflict, Err: errors.New("reference used for other patterns")}
	}
	return freshet.Receipt{Distribution: inv.Distribution, CallerReference: inv.CallerReference, ID: "I" + inv.CallerReference, State: freshet.Accepted}, nil
}

func (n *network) Status(_ context.Context, d, id string) (freshet.Receipt, error) {
	return freshet.Receipt{Distribution: d, ID: id, State: freshet.Completed}, nil
}

func (n *network) Profiles(context.Context) ([]freshet.Profile, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	var all []freshet.Profile
	for _, id := range append([]string{n.distribution}, n.beside...) {
		all = append(all, freshet.Profile{Distribution: id, MaxPatterns: 1000, MaxWildcards: 1, PollEvery: time.Millisecond})
	}
	return all, nil
}

func (n *network) set(change func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	change()
}

func (n *network) probe(_ context.Context, t freshet.Target, c freshet.Change, enough func() bool) freshet.Verdict {
	n.mu.Lock()
	check, wait := n.check, n.waitFor
	n.mu.Unlock()
	if wait != nil {
		wait(c, enough)
	}
	if check == nil {
		return freshet.Verdict{Target: t, State: freshet.Fresh}
	}
	v := check(c)
	v.Target = t
	return v
}
