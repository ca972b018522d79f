package edge

import (
	"github.com/freshet/freshet/internal/edge/loop"
	"github.com/freshet/freshet/internal/edge/narrow"
)

// foreseen is a request that was read before others were answered.
type foreseen struct {
	sought

	request narrow.Request
	verdict narrow.Verdict
	aimed   bool
}

// Foresee is of loop.Foresight. A copy among a million is far from the processor,
// and so is what says where it lies; so all are sent for before the first is
// waited for. Whether a copy may be served is seen when it is.
func (d *quick) Foresee(all [][]byte, a *loop.Answer) {
	q, store := ownQuery(a), d.edge.store.arena
	for len(q.seen) < len(all) {
		q.seen = append(q.seen, foreseen{})
	}
	for i, in := range all {
		f := &q.seen[i]
		f.verdict, f.aimed = f.request.Read(in), false
		if f.verdict == narrow.Plain && d.aim(&f.sought, &f.request, q.over) {
			f.aimed = true
			store.Approach(f.hash)
		}
	}
	r := store.Enter(q.favorite)
	for i := range all {
		if f := &q.seen[i]; f.aimed {
			r.Fetch(f.hash)
		}
	}
	r.Leave()
}
