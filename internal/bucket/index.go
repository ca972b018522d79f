package bucket

import (
	"iter"
	"strings"
	"sync"
	"time"

	"github.com/tidwall/btree"
)

// Object is what the bucket knows of an object without reading it.
type Object struct {
	Key    string
	ETag   string // without quotes
	Served string // fingerprint of the headers that go out with it
	Size   int64
	Time   time.Time // last modified, UTC
}

// index holds every object in the order of the keys' bytes, which is the order
// of S3's listings. The zero value is empty and ready.
type index struct {
	mu      sync.RWMutex
	objects btree.Map[string, Object]
}

func (x *index) get(key string) (Object, bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.objects.Get(key)
}

func (x *index) set(o Object) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.objects.Set(o.Key, o)
}

func (x *index) delete(key string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.objects.Delete(key)
}

func (x *index) len() int {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.objects.Len()
}

// all yields the objects as they were when the iteration began.
func (x *index) all() iter.Seq[Object] {
	return func(yield func(Object) bool) {
		x.mu.Lock() // Copy marks the tree as shared
		snapshot := x.objects.Copy()
		x.mu.Unlock()
		snapshot.Scan(func(_ string, o Object) bool { return yield(o) })
	}
}

// query is what the kinds of listing have in common.
type query struct {
	prefix    string
	delimiter string
	after     string // keys up to and including this one are left out
	skip      string // a common prefix that an earlier page has shown
	max       int
}

// page is one answer to a query.
type page struct {
	objects  []Object
	prefixes []string // common prefixes
	more     bool
	last     string // the last thing shown, in listing order
	rolled   bool   // last is a common prefix
}

// list answers q. A common prefix counts as one towards max however many keys
// it stands for, and costs one look into the index.
func (x *index) list(q query) page {
	x.mu.RLock()
	defer x.mu.RUnlock()
	var p page
	if q.max <= 0 {
		return p
	}
	from := max(q.prefix, q.after)
	if q.skip != "" {
		from = max(from, afterAll(q.skip))
	}
	for walk := x.objects.Iter(); walk.Seek(from); {
		key := walk.Key()
		if key == q.after && q.after != "" {
			from = key + "\x00"
			continue
		}
		if !strings.HasPrefix(key, q.prefix) {
			break
		}
		if len(p.objects)+len(p.prefixes) == q.max {
			p.more = true
			break
		}
		from = p.show(q, walk.Value())
	}
	return p
}

// show adds o, or the common prefix that stands for it, and returns where to
// look next.
func (p *page) show(q query, o Object) (next string) {
	common, rolled := rollUp(o.Key, q.prefix, q.delimiter)
	p.last, p.rolled = o.Key, rolled
	if !rolled {
		p.objects = append(p.objects, o)
		return o.Key + "\x00"
	}
	p.last = common
	p.prefixes = append(p.prefixes, common)
	return afterAll(common)
}

// rollUp returns the common prefix that stands for key in a listing, if any.
func rollUp(key, prefix, delimiter string) (string, bool) {
	if delimiter == "" || !strings.HasPrefix(key, prefix) {
		return "", false
	}
	i := strings.Index(key[len(prefix):], delimiter)
	if i < 0 {
		return "", false
	}
	return key[:len(prefix)+i+len(delimiter)], true
}

// afterAll is the first string behind all those that begin with prefix. Keys
// are UTF-8, so that 0xFF ends none of their prefixes.
func afterAll(prefix string) string {
	last := len(prefix) - 1
	return prefix[:last] + string([]byte{prefix[last] + 1})
}
