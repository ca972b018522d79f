package edge

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/edge/packed"
)

// epochs decides which copies of one distribution were invalidated. A counter
// is raised by every invalidation; a tree of patterns remembers at which value
// each was last invalidated; a copy remembers the value at which its fetch
// began. Readers take no lock.
type epochs struct {
	counter atomic.Uint64
	records atomic.Pointer[records]
	limit   int     // records before branches are merged
	room    int     // bytes that records take before branches are merged
	first   uint64  // value of the counter in the beginning
	lasting *epochs // remembers the same for what is on disk; nil if nothing is

	writing sync.Mutex // one invalidation or pruning at a time
}

// records is one state of the pattern tree.
type records struct {
	root *node
	// floor is the highest epoch of which records may have been dropped. What
	// was last checked before it can no longer be shown to be valid.
	floor uint64
}

// The bounds of the memory that patterns take: so many, and so many bytes, which
// is enough for as many of a hundred bytes, but not of the longest.
const (
	maxRecords     = 1 << 16
	maxRecordsSize = 16 << 20
)

func newEpochs(limit int) *epochs {
	e := &epochs{limit: limit, room: maxRecordsSize}
	e.records.Store(&records{root: newNode("", 0, 0, nil)})
	return e
}

// lastingIn has e remember in lasting, too, whatever is invalidated, and begin
// behind all that it knows. Nothing may have been stamped before.
func (e *epochs) lastingIn(lasting *epochs, first uint64) {
	e.first, e.lasting = first, lasting
	e.counter.Store(first)
	e.records.Store(&records{root: newNode("", 0, 0, nil), floor: first})
}

// invalidations is how many there were.
func (e *epochs) invalidations() uint64 { return e.counter.Load() - e.first }

// stamp is what a copy, or a fetch that will become one, knows of the
// invalidations of its distribution.
type stamp struct {
	birth   uint64        // counter before the origin was asked
	checked atomic.Uint64 // no record up to this epoch is newer than birth and covers the copy
}

// begin stamps a fetch. It must be called before the origin is asked: an
// invalidation that is recorded while the origin answers is newer than the
// fetch.
func (e *epochs) begin(s *stamp) {
	s.birth = e.counter.Load()
	s.checked.Store(s.birth)
}

// valid reports whether nothing that covers one of the names has been
// invalidated since s began. It costs one comparison unless something was
// invalidated since the last call, and a walk along the names otherwise.
func (e *epochs) valid(s *stamp, names []string) bool {
	// The counter is loaded before the records: an invalidation that arrives in
	// between may be missed by the walk, but then checked is behind the counter
	// and the next call walks again.
	now := e.counter.Load()
	if s.checked.Load() == now {
		return true
	}
	r := e.records.Load()
	// Loaded after the records, since a sweep marks what it checked before it
	// publishes the floor.
	if s.checked.Load() < r.floor {
		return false
	}
	for _, name := range names {
		if r.root.invalidated(name) > s.birth {
			return false
		}
	}
	s.checked.Store(now)
	return true
}

// holds is valid for a copy where it lies.
func (e *epochs) holds(v packed.View) bool {
	now, checked := e.counter.Load(), v.Checked()
	before := checked.Load()
	if before == now {
		return true
	}
	r := e.records.Load()
	if checked.Load() < r.floor {
		return false
	}
	birth := v.Birth()
	for name := range v.Names() {
		if r.root.invalidated(name) > birth {
			return false
		}
	}
	checked.CompareAndSwap(before, now) // or somebody else has checked meanwhile
	return true
}

// invalidate makes every copy that the patterns cover invalid if its fetch
// began before the call. When it returns no later call of valid says otherwise. It
// returns the value of the counter.
func (e *epochs) invalidate(patterns []freshet.Pattern) (epoch uint64) {
	e.writing.Lock()
	defer e.writing.Unlock()
	old := e.records.Load()
	epoch = e.counter.Load() + 1
	root := old.root
	for _, p := range patterns {
		switch {
		case p.IsTag():
			root = root.with(strings.ToLower(string(p)), false, epoch)
		case !matchesNothing(p):
			root = root.with(noted(p), p.IsWildcard(), epoch)
		}
	}
	root = root.within(e.limit, e.room)
	if e.lasting != nil {
		e.lasting.record(struckBy(patterns, epoch))
	}
	e.records.Store(&records{root: root, floor: old.floor})
	e.counter.Store(epoch)
	return epoch
}

// admits reports what valid does but takes no earlier result for an answer, so
// that a name counts that was not known when s was checked last. What is stored
// must be admitted after its stamp was last marked.
func (e *epochs) admits(s *stamp, names []string) bool {
	r := e.records.Load()
	if s.checked.Load() < r.floor {
		return false
	}
	return !slices.ContainsFunc(names, func(name string) bool { return r.root.invalidated(name) > s.birth })
}

// newestTag is the epoch at which any tag was last invalidated.
func (e *epochs) newestTag() uint64 {
	root := e.records.Load().root
	newest := root.wild
	if i, ok := root.child('#'); ok {
		newest = max(newest, root.children[i].newest)
	}
	return newest
}

// matchesNothing reports whether CloudFront accepts the path and ignores it:
// a ~ cannot be invalidated, escaped or not.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/invalidation-specifying-objects.html
func matchesNothing(p freshet.Pattern) bool {
	return strings.Contains(string(p), "%7E") || strings.Contains(string(p), "%7e")
}

// noted is the prefix of a pattern with the escapes of its path in upper case,
// as names have them. Those of a query string are compared as they are written.
func noted(p freshet.Pattern) string {
	path, query, found := strings.Cut(p.Prefix(), "?")
	if path = upperEscapes(path); found {
		return path + "?" + query
	}
	return path
}

// upperEscapes returns a path with the letters of its escapes in upper case. The
// two cases mean the same.
// https://www.rfc-editor.org/rfc/rfc3986#section-6.2.2.1
func upperEscapes(path string) string {
	if strings.IndexByte(path, '%') < 0 {
		return path
	}
	b := []byte(path)
	for i := range b {
		if b[i] == '%' && isEscape(path[i:]) {
			copy(b[i:i+3], strings.ToUpper(path[i:i+3]))
		}
	}
	return string(b)
}

// forget drops the records of paths of epoch and before, and those of tags of
// tags and before, which is not later: a fetch whose tags are still unknown must
// find all that were invalidated since it began. Before the call every copy and
// every fetch of the distribution must have been checked at epoch or later;
// those that were not count as invalidated from now on.
func (e *epochs) forget(epoch, tags uint64) {
	e.writing.Lock()
	defer e.writing.Unlock()
	old := e.records.Load()
	root := old.root.after(epoch)
	if root == nil {
		root = newNode("", 0, 0, nil)
	}
	if i, ok := old.root.child('#'); ok {
		root = root.grafted('#', old.root.children[i].after(tags))
	}
	e.records.Store(&records{root: root, floor: max(old.floor, epoch)})
}

// crowded reports whether so many patterns are remembered that branches may soon
// have to be merged, which viewers must not be able to bring about.
func (e *epochs) crowded() bool {
	root := e.records.Load().root
	return root.records > e.limit/2 || root.size > e.room/2
}

// live is the number of patterns remembered.
func (e *epochs) live() int { return e.records.Load().root.records }
