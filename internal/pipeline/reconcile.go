package pipeline

import (
	"slices"
	"strings"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/journal"
)

// CauseReconcile is the cause of changes that no event told of.
const CauseReconcile = "Reconcile"

// Reconcile compares what an origin holds with what is known of it, and returns
// the changes that nobody announced: those made while nobody listened, or whose
// announcement a crash cut off. held is one change per object there is, without
// sequencer. known is what was last verified; waiting is every change that is
// queued, planned or dead, which settles its object by itself, or is known not
// to, if it is newer than what was verified and about what the origin holds now. The result is sorted as held, deletes last; it carries no
// sequencers either.
func Reconcile(origin string, held []freshet.Change, known map[[2]string]journal.Seen, waiting []freshet.Change, now time.Time) []freshet.Change {
	latest, _ := freshet.Latest(waiting)
	expected := make(map[object]journal.Seen, len(known)+len(latest))
	for o, s := range known {
		expected[o] = s
	}
	for _, c := range latest {
		if reached(c.Sequencer, known[objectOf(c)].Sequencer) {
			continue // such as a dead letter that something newer has made void
		}
		expected[objectOf(c)] = journal.Seen{Origin: c.Origin, Key: c.Key, ETag: c.ETag, Served: c.Served, Gone: c.Op == freshet.OpDelete}
	}
	var missed []freshet.Change
	for _, c := range held {
		s, ok := expected[objectOf(c)]
		delete(expected, objectOf(c))
		if ok && !s.Gone && s.ETag == c.ETag && s.Served == c.Served {
			continue
		}
		c.Op, c.Cause = freshet.OpPut, CauseReconcile
		missed = append(missed, c)
	}
	var gone []freshet.Change
	for o, s := range expected {
		if o[0] == origin && !s.Gone {
			gone = append(gone, freshet.Change{Origin: origin, Key: o[1], Op: freshet.OpDelete, Time: now, Cause: CauseReconcile})
		}
	}
	slices.SortFunc(gone, func(a, b freshet.Change) int { return strings.Compare(a.Key, b.Key) })
	return append(missed, gone...)
}
