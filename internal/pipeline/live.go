package pipeline

import (
	"maps"
	"sync"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/carried"
	"github.com/freshet/freshet/internal/inventory"
	"github.com/freshet/freshet/internal/journal"
	"github.com/freshet/freshet/internal/route"
)

// live knows what the origins hold, as far as it was verified, for the planner
// to know what a wildcard would make cold. It is built anew when something has
// changed, but never takes more than a tenth of the time: a plan that is made
// from what was so a moment ago is right all the same, and at worst less cheap.
type live struct {
	mu       sync.Mutex
	sizes    map[object]int64
	open     map[object]bool   // taken up, and not verified since: something older of it may be cached
	told     map[object]string // the tags that were verified last, of those that have some
	changed  bool
	tags     tagging
	built    map[string]*inventory.Inventory
	building bool
	next     time.Time // not built anew before
}

func newLive(verified map[[2]string]journal.Seen, t Tagging) *live {
	l := &live{sizes: make(map[object]int64, len(verified)), open: make(map[object]bool), told: make(map[object]string), changed: true}
	l.tags.Tagging, l.tags.since = t, time.Now() // an unfinished plan may be of before, and of another configuration
	for o, s := range verified {
		if !s.Gone {
			l.sizes[o] = s.Size
		}
		if s.Tags != "" {
			l.told[o] = s.Tags
		}
	}
	l.load(verified)
	return l
}

func (l *live) put(c freshet.Change) {
	l.mu.Lock()
	defer l.mu.Unlock()
	o := objectOf(c)
	delete(l.open, o)
	size, known := l.sizes[o]
	switch {
	case c.Op == freshet.OpDelete && known:
		delete(l.sizes, o)
	case c.Op != freshet.OpDelete && (!known || size != c.Size):
		l.sizes[o] = c.Size
	case c.Tags != l.told[o]:
	default:
		return
	}
	l.changed = true
	if c.Tags == "" {
		delete(l.told, o)
	} else {
		l.told[o] = c.Tags
	}
}

// begin notes that viewers may get, from here on, what changes are about, or
// may have got it before.
func (l *live) begin(changes ...freshet.Change) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range changes {
		l.open[objectOf(c)] = true
	}
}

// has reports whether viewers may have got an object: it was there when it was
// last verified, or changes of it were taken up since.
func (l *live) has(origin, key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	o := object{origin, key}
	_, ok := l.sizes[o]
	return ok || l.open[o]
}

// Objects returns what was verified and is there: origin and key, with the size
// in bytes.
func (p *Pipeline) Objects() map[[2]string]int64 {
	p.live.mu.Lock()
	defer p.live.mu.Unlock()
	objects := make(map[[2]string]int64, len(p.live.sizes))
	for o, size := range p.live.sizes {
		objects[o] = size
	}
	return objects
}

// inventories returns what is live at each distribution. A site that is not
// small is looked through by background, which runs its argument at some time,
// and until then what was live before is returned; nil at first.
func (l *live) inventories(r *route.Router, background func(func())) map[string]*inventory.Inventory {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.changed && !l.building && !time.Now().Before(l.next) {
		l.building, l.changed = true, false
		if len(l.sizes) <= small {
			lines, headers := l.mayCarry()
			l.keep(build(r, l.sizes, lines, headers))
		} else {
			sizes := maps.Clone(l.sizes)
			lines, headers := l.mayCarry()
			background(func() {
				built, took := build(r, sizes, lines, headers)
				l.mu.Lock()
				defer l.mu.Unlock()
				l.keep(built, took)
			})
		}
	}
	return l.built
}

// touch has the inventories built anew, since they depend on how objects are
// routed.
func (l *live) touch() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.changed = true
}

// small is the number of objects that are looked through in about a millisecond.
const small = 2000

// keep takes what was built. The caller holds l.mu.
func (l *live) keep(built map[string]*inventory.Inventory, took time.Duration) {
	l.built, l.building, l.next = built, false, time.Now().Add(9*took)
}

// build looks through what lives: lines has what the versions of objects have in
// the headers that may hold cache tags, headers the header by distribution.
func build(r *route.Router, sizes map[object]int64, lines map[object][]string, headers map[string]string) (built map[string]*inventory.Inventory, took time.Duration) {
	began := time.Now()
	builders := make(map[string]*inventory.Builder)
	for o, size := range sizes {
		for _, own := range r.Own(o[0], o[1]) {
			b := builders[own.Distribution]
			if b == nil {
				b = new(inventory.Builder)
				builders[own.Distribution] = b
			}
			e := inventory.Entry{URL: own.URL, Size: size}
			if of := lines[o]; of != nil {
				e.Tags = carried.MayIn(of, headers[own.Distribution])
			}
			b.Add(e)
		}
	}
	built = make(map[string]*inventory.Inventory, len(builders))
	for id, b := range builders {
		built[id] = b.Inventory()
	}
	return built, time.Since(began)
}
