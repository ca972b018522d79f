// Package carried knows which cache tags every cached copy of an object carries,
// so that an invalidation of a tag removes all of them. A copy carries the tags
// that its version had when it was fetched: one of before the object was tagged
// has none, and no invalidation of a tag finds it.
package carried

import (
	"slices"

	"github.com/freshet/freshet"
)

// Object is an origin and a key.
type Object [2]string

// Book remembers of each object which of its versions may be cached. It is told
// of every version that viewers may get (Add), before a plan is made that has to
// remove it, and of every invalidation that has removed all copies of older
// versions (Floor). Of an object without Floor nothing is known, so nothing is
// sure. Objects that never had tags take memory only between the two. A Book is
// not safe for concurrent use; its zero value is empty.
type Book struct {
	of map[Object]*history
}

// history is what may be cached of one object.
type history struct {
	floored  bool
	floor    freshet.Sequencer // copies are of this version or a newer one, if floored
	first    freshet.Sequencer // what it began with: no version that came later is missing
	tagged   bool              // some version had tags
	versions []version
}

// version stands for all versions with the same tags.
type version struct {
	tags   string            // lines of freshet.TagLine
	newest freshet.Sequencer // of them; empty for one that cannot be ordered, which may be cached for ever
}

// mostVersions are told apart; beyond, the oldest ones count as without tags.
const mostVersions = 8

// Add notes that a version of o may be cached from here on. It is told of the
// versions in their order; of what it was told before, it may be told again at
// any time.
func (b *Book) Add(o Object, s freshet.Sequencer, tags string) {
	h := b.of[o]
	if h == nil {
		h = b.begin(o, s)
	}
	if s != "" && h.floored && s.Compare(h.floor) < 0 {
		return // its copies are gone
	}
	h.add(version{tags, s})
}

// Load is the Floor that an earlier Book ended with, for one that knows nothing
// of o yet.
func (b *Book) Load(o Object, s freshet.Sequencer, tags string) {
	if tags != "" && s != "" && b.of[o] == nil {
		h := b.begin(o, s)
		h.floored, h.floor = true, s
		h.add(version{tags, s})
	}
}

func (b *Book) begin(o Object, s freshet.Sequencer) *history {
	if b.of == nil {
		b.of = make(map[Object]*history)
	}
	h := &history{first: s}
	b.of[o] = h
	return h
}

func (h *history) add(v version) {
	h.tagged = h.tagged || v.tags != ""
	for i := range h.versions {
		known := &h.versions[i]
		if known.tags != v.tags || (known.newest == "") != (v.newest == "") {
			continue
		}
		if v.newest.Compare(known.newest) > 0 {
			known.newest = v.newest
		}
		return
	}
	h.versions = append(h.versions, v)
	if len(h.versions) > mostVersions {
		h.merge()
	}
}

// merge makes one version without tags of all that can be ordered.
func (h *history) merge() {
	one := version{}
	h.versions = slices.DeleteFunc(h.versions, func(v version) bool {
		if v.newest != "" && v.newest.Compare(one.newest) > 0 {
			one.newest = v.newest
		}
		return v.newest != ""
	})
	h.versions = append(h.versions, one)
	if len(h.versions) > mostVersions { // so many that cannot be ordered
		h.versions = []version{{}}
	}
}

// Floor notes that an invalidation has removed every copy of versions older than
// s, which it was told of, and whose tags are given again: it covered all URLs of
// the object, was made after version s was stored, and is completed. Older news
// than what is known is ignored.
func (b *Book) Floor(o Object, s freshet.Sequencer, tags string) {
	h := b.of[o]
	if h == nil || s == "" || s.Compare(h.first) < 0 || h.floored && s.Compare(h.floor) < 0 {
		return
	}
	h.add(version{tags, s})
	h.floored, h.floor = true, s
	h.versions = slices.DeleteFunc(h.versions, func(v version) bool { return v.newest != "" && v.newest.Compare(s) < 0 })
	if !h.tagged && len(h.versions) == 1 && h.versions[0].newest == s {
		delete(b.of, o)
	}
}

// Void forgets every Floor: caches were configured in another way from here on,
// and have taken other tags, or none, from what they hold. What an invalidation
// removes that was made before is no Floor either.
func (b *Book) Void() {
	for _, h := range b.of {
		h.floored = false
	}
}

// Sure returns the tags that every cached copy of o carries, sorted, where the
// cache takes them from header; none where it is not known.
func (b *Book) Sure(o Object, header string) []string {
	h := b.of[o]
	if h == nil || !h.floored || len(h.versions) == 0 {
		return nil
	}
	sure := freshet.TagsIn(h.versions[0].tags, header)
	for _, v := range h.versions[1:] {
		has := freshet.TagsIn(v.tags, header)
		sure = slices.DeleteFunc(sure, func(tag string) bool { return !slices.Contains(has, tag) })
	}
	return sure
}

// Lines returns the lines of all versions of o that may be cached, from which
// MayIn reads what some copy may carry.
func (b *Book) Lines(o Object) []string {
	h := b.of[o]
	if h == nil {
		return nil
	}
	lines := make([]string, len(h.versions))
	for i, v := range h.versions {
		lines[i] = v.tags
	}
	return lines
}

// Len is how many objects take memory.
func (b *Book) Len() int { return len(b.of) }

// Objects calls yield for each object that has tags, with its Lines.
func (b *Book) Objects(yield func(Object, []string) bool) {
	for o := range b.of {
		if !yield(o, b.Lines(o)) {
			return
		}
	}
}

// MayIn returns the tags that some cached copy may carry, sorted.
func MayIn(lines []string, header string) []string {
	var tags []string
	for _, l := range lines {
		tags = append(tags, freshet.TagsIn(l, header)...)
	}
	slices.Sort(tags)
	return slices.Compact(tags)
}
