package pipeline

import (
	"maps"
	"slices"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/carried"
	"github.com/freshet/freshet/internal/journal"
	"github.com/freshet/freshet/internal/route"
)

// Tagging says how caches take tags from what origins send.
type Tagging struct {
	Headers map[string]string // by distribution that has cache tags: the header they come in
	// Era is another one whenever some distribution is configured in another way:
	// what is cached since may have other tags.
	Era string
}

// tagging is the Tagging that plans are made with, and since when it is known to
// hold.
type tagging struct {
	Tagging
	since time.Time
	book  carried.Book
}

// Retag has plans made from here on rely on cache tags as t says, which caches do
// already. What was cached before may have other tags; it is invalidated by path,
// and tags are relied upon again once that is completed.
func (p *Pipeline) Retag(t Tagging) { p.live.retag(t) }

func (l *live) retag(t Tagging) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tags.Tagging, l.tags.since = Tagging{maps.Clone(t.Headers), t.Era}, time.Now()
	l.tags.book.Void()
	if len(t.Headers) == 0 {
		l.tags.book = carried.Book{}
	}
	l.changed = true
}

// load takes over the tags of what an earlier run verified, unless distributions
// are configured in another way now.
func (l *live) load(verified map[[2]string]journal.Seen) {
	for o, s := range verified {
		if s.Era == l.tags.Era && s.Era != "" {
			l.tags.book.Load(carried.Object(o), s.Sequencer, s.Tags)
		}
	}
}

// note remembers that viewers may get a version from here on, or may have got it
// before.
func (l *live) note(changes ...freshet.Change) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.tags.Headers) == 0 {
		return // what is known once there are tags begins with the invalidations that follow
	}
	for _, c := range changes {
		o := carried.Object(objectOf(c))
		l.tags.book.Add(o, c.Sequencer, c.Tags)
	}
}

// floor remembers that no older version of an object is cached than c, whose
// invalidations were planned at a time and are completed. It returns the era in
// which that holds, empty for none.
func (l *live) floor(c freshet.Change, planned time.Time) (era string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !planned.After(l.tags.since) {
		return ""
	}
	l.tags.book.Floor(carried.Object(objectOf(c)), c.Sequencer, c.Tags)
	return l.tags.Era
}

// tagged reports whether some distribution has cache tags.
func (l *live) tagged() bool { return len(l.headers()) > 0 }

// headers are not changed once they are there.
func (l *live) headers() map[string]string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tags.Headers
}

// tagsIn says of profiles, which drivers may have from a list that lacks it,
// whether their distributions have cache tags.
func (l *live) tagsIn(profiles []freshet.Profile) []freshet.Profile {
	headers := l.headers()
	said := slices.Clone(profiles)
	for i := range said {
		said[i].Tags = headers[said[i].Distribution] != ""
	}
	return said
}

// sure returns the cache tags that every cached copy of a target carries.
func (l *live) sure(t freshet.Target) []string {
	if !t.Served { // what is cached there is no copy of the object
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tags.book.Sure(carried.Object{t.Origin, t.Key}, l.tags.Headers[t.Distribution])
}

// mayCarry is a snapshot of what may be tagged, for whoever builds inventories:
// by object what its versions have in headers that may hold tags.
func (l *live) mayCarry() (lines map[object][]string, headers map[string]string) {
	if len(l.tags.Headers) == 0 {
		return nil, nil
	}
	lines = make(map[object][]string, l.tags.book.Len())
	for o, of := range l.tags.book.Objects {
		lines[object(o)] = of
	}
	return lines, l.tags.Headers
}

// invalidated reports whether something was sent for c at every distribution that
// has tags and caches the object: only then nothing older is left there.
func (c *change) invalidated(own []route.Own, headers map[string]string) bool {
	for _, o := range own {
		if headers[o.Distribution] == "" {
			continue
		}
		sent := false
		for _, t := range c.targets {
			sent = sent || t.Distribution == o.Distribution && t.URL == o.URL
		}
		if !sent {
			return false
		}
	}
	return len(c.targets) > 0
}
