package quota

import (
	"time"

	"github.com/freshet/freshet"
)

// ticket is a request that wants to be sent.
type ticket struct {
	inv     freshet.Invalidation
	use     Use
	quota   freshet.Quota
	lane    Lane
	since   time.Time
	waiting bool          // not being sent just now
	turn    chan struct{} // has a token when there is something to try
}

// tell lets t try once more.
func (t *ticket) tell() {
	select {
	case t.turn <- struct{}{}:
	default: // it was told, and has not come to it yet
	}
}

// Use is what a request takes of the quotas. Wildcards are among the patterns.
type Use struct {
	Patterns  int `json:"p"`
	Wildcards int `json:"w,omitempty"`
}

func useOf(patterns []freshet.Pattern) Use {
	u := Use{Patterns: len(patterns)}
	for _, p := range patterns {
		if p.IsWildcard() {
			u.Wildcards++
		}
	}
	return u
}

func (u Use) plus(v Use) Use { return Use{u.Patterns + v.Patterns, u.Wildcards + v.Wildcards} }

func (t *ticket) urgency(now time.Time) Lane {
	if now.Sub(t.since) >= patience {
		return Live
	}
	return t.lane
}

// choice is whose turn it is.
type choice struct {
	next *ticket       // nil: nobody's
	full []*ticket     // the first of those that lack room at their distributions
	owes []*ticket     // the first of those that the rates hold up
	wait time.Duration // how long, at most, until to choose again
}

// choose finds the request whose turn it is and for which there is room, the
// urgent before the others and the older before the younger; tickets are in the
// order of their age. One that lacks room lets those pass that take nothing of
// what it lacks, and no others, or a large one would wait for ever. Those that
// are blind wait for what is found out about their distribution.
func choose(tickets []*ticket, k *book, blind func(*ticket) bool, now time.Time) choice {
	q := queue{book: k, blind: blind, now: now, sums: make(map[string]Use), held: make(map[string]bool), wildHeld: make(map[string]bool), owed: make(map[claim][2]time.Duration)}
	q.wait = time.Minute
	for _, lane := range []Lane{Live, Bulk} {
		for _, t := range tickets {
			if t.waiting && t.urgency(now) == lane && q.settled(t) {
				return q.choice
			}
		}
	}
	return q.choice
}

// queue is gone through once, from the first to the last.
type queue struct {
	choice
	book     *book
	blind    func(*ticket) bool
	now      time.Time
	sums     map[string]Use  // in progress, by distribution
	held     map[string]bool // distributions where somebody before lacks room
	wildHeld map[string]bool // where somebody before lacks room for wildcards only
	noWild   bool            // somebody before lacks the rate for wildcards
	owed     map[claim][2]time.Duration
}

// claim is what the wait for the rates' sake depends on.
type claim struct {
	quota freshet.Quota
	use   Use
}

// settled reports whether the choice is made, now that it is t's turn to be
// looked at.
func (q *queue) settled(t *ticket) bool {
	d, wild := t.inv.Distribution, t.use.Wildcards > 0
	if q.held[d] || wild && (q.noWild || q.wildHeld[d]) {
		return false
	}
	if q.blind(t) {
		return false // and does not hold up the others: it is soon told
	}
	if _, ok := q.sums[d]; !ok {
		q.sums[d] = q.book.window(d).sum(q.now)
	}
	if room, wildRoom := q.book.fits(t, q.sums[d], q.now); !room || !wildRoom {
		q.held[d], q.wildHeld[d] = !room, true
		q.full, q.wait = append(q.full, t), min(q.wait, lookEvery)
		return false
	}
	return q.affords(t)
}

// affords reports whether t or, for the rates' sake, nobody is to be sent.
func (q *queue) affords(t *ticket) bool {
	of := claim{t.quota, t.use}
	owed, ok := q.owed[of]
	if !ok {
		owed[0], owed[1] = q.book.owed(t.quota, t.use, q.now)
		q.owed[of] = owed
	}
	if owed[0] > 0 {
		q.wait, q.owes = min(q.wait, owed[0]), append(q.owes, t)
		return true
	}
	if owed[1] > 0 {
		q.wait, q.owes, q.noWild = min(q.wait, owed[1]), append(q.owes, t), true
		return false
	}
	q.next = t
	return true
}
