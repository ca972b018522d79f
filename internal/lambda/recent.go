package lambda

// recent remembers the changes that were accepted last: a duplicate that meets
// the same instance costs nothing. The zero value is empty.
type recent struct {
	young, old map[string]bool
}

// mostRecent bounds each of the two generations, to some 10 MB.
const mostRecent = 50_000

func (r *recent) has(id string) bool { return r.young[id] || r.old[id] }

func (r *recent) add(id string) {
	if r.young == nil || len(r.young) >= mostRecent {
		r.young, r.old = make(map[string]bool), r.young
	}
	r.young[id] = true
}
