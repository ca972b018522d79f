package lambda

import "github.com/freshet/freshet"

// recent remembers the changes that were accepted last: a duplicate that meets
// the same instance costs nothing. The zero value is empty.
type recent struct {
	young, old map[freshet.Sum]bool
}

// mostRecent bounds each of the two generations, to a few MB.
const mostRecent = 50_000

func (r *recent) has(id freshet.Sum) bool { return r.young[id] || r.old[id] }

func (r *recent) add(id freshet.Sum) {
	if r.young == nil || len(r.young) >= mostRecent {
		r.young, r.old = make(map[freshet.Sum]bool), r.young
	}
	r.young[id] = true
}
