package quota

import (
	"cmp"
	"slices"
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
	waiting bool // not being sent just now
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

// choose returns the request whose turn it is and for which there is room, the
// urgent before the others and the older before the younger. One that lacks
// room at its distribution lets requests for others pass, and none for its own,
// or a large one would wait for ever. With none it returns how long to wait.
func choose(tickets []*ticket, k *book, now time.Time) (next *ticket, wait time.Duration) {
	var waiting []*ticket
	for _, t := range tickets {
		if t.waiting {
			waiting = append(waiting, t)
		}
	}
	slices.SortStableFunc(waiting, func(a, b *ticket) int {
		return cmp.Or(cmp.Compare(a.urgency(now), b.urgency(now)), a.since.Compare(b.since))
	})
	wait = time.Minute
	full := make(map[string]bool)
	for _, t := range waiting {
		if owed := k.owed(t.quota, t.use, now); owed > 0 {
			wait = min(wait, owed)
			continue
		}
		if full[t.inv.Distribution] {
			continue
		}
		if !k.fits(t, now) {
			full[t.inv.Distribution] = true
			wait = min(wait, lookEvery)
			continue
		}
		return t, 0
	}
	return nil, wait
}
