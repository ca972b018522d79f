// Package route finds every URL under which viewers reach a changed object. It
// is pure: distributions, rules and changes in, targets out, the same ones for
// the same input in the same order.
package route

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/distribution"
)

// Router finds URLs for the keys of a fixed set of distributions. It may be used
// by several goroutines.
type Router struct {
	sites     []*site
	rules     compiled
	stops     map[string][]stop // by bucket
	elsewhere []stop            // for a bucket that feeds none: what rules name
}

// stop is a distribution, and those of its origins that are one bucket. There
// may be none of those where a rule names the distribution.
type stop struct {
	site  *site
	feeds []fed
}

// fed is a feed with the error pages among its objects, by key.
type fed struct {
	*feed
	pages map[string]page
}

// New prepares routing. The error joins all problems with the rules and the
// distributions, and each names the rule it is about.
func New(distributions []distribution.Distribution, rules Rules) (*Router, error) {
	return NewWith(distributions, rules, Functions{})
}

// NewWith is New where something is known of functions. What they may do is asked
// for here, once.
func NewWith(distributions []distribution.Distribution, rules Rules, functions Functions) (*Router, error) {
	r, err := newRouter(distributions, rules, functions)
	if err != nil {
		return nil, err
	}
	return r, nil
}

// newRouter returns a router even with an error: what could not be understood
// then has no effect, and behaviors of unknown policies cache.
func newRouter(distributions []distribution.Distribution, rules Rules, functions Functions) (*Router, error) {
	r := &Router{stops: make(map[string][]stop)}
	var problems []error
	var ids []string
	for _, d := range distributions {
		s, err := newSite(d)
		if slices.Contains(ids, d.ID) {
			err = errors.Join(err, fmt.Errorf("there are two distributions %s", d.ID))
		}
		ids = append(ids, d.ID)
		problems = append(problems, err)
		r.sites = append(r.sites, s)
	}
	var err error
	if r.rules, err = compile(rules, ids); err != nil {
		problems = append(problems, err)
		r.rules.rewrites, r.rules.derived, r.rules.groups = nil, nil, nil
	}
	r.connect(&functions)
	return r, errors.Join(problems...)
}

// connect finds out which buckets feed which sites.
func (r *Router) connect(functions *Functions) {
	for _, s := range r.sites {
		for _, o := range s.Config.Origins {
			if f := newFeed(s, o); f != nil {
				s.feeds = append(s.feeds, fed{feed: f})
				r.stops[f.bucket] = nil
			}
		}
	}
	buckets := slices.Sorted(maps.Keys(r.stops))
	for _, s := range r.sites {
		s.choose(functions, buckets)
		for i := range s.feeds {
			f := &s.feeds[i]
			f.pages = s.pages(f.feed, r.rules.expire)
			r.stops[f.bucket] = nil
		}
	}
	for _, s := range r.sites {
		named := r.rules.names(s.ID)
		for bucket := range r.stops {
			if feeds := s.feedsOf(bucket); len(feeds) > 0 || named {
				r.stops[bucket] = append(r.stops[bucket], stop{s, feeds})
			}
		}
		if named {
			r.elsewhere = append(r.elsewhere, stop{site: s})
		}
	}
}

// feedsOf returns the origins of s that are bucket.
func (s *site) feedsOf(bucket string) (feeds []fed) {
	for _, f := range s.feeds {
		if f.bucket == bucket {
			feeds = append(feeds, f)
		}
	}
	return feeds
}

// names reports whether a rule derives URLs at the distribution with that ID
// from whatever bucket.
func (c *compiled) names(id string) bool {
	return slices.ContainsFunc(c.derived, func(r rule) bool { return slices.Contains(r.sites, id) })
}

func (r *Router) finder() *finder { return &finder{r: r, joined: make(map[[2]string]string)} }

// Targets returns what the changes make stale, in the order of changes and
// distributions, and the changes that make nothing stale, with the reason that
// says most. Every change is in one of the two results. seen reports whether
// anything is known to have been under a key before; nil means that nothing is
// known about that, so that no object counts as new.
func (r *Router) Targets(changes []freshet.Change, seen func(origin, key string) bool) ([]freshet.Target, []freshet.Unrouted) {
	const sample = 1024
	f := r.finder()
	var unrouted []freshet.Unrouted
	for i := range changes {
		if i == sample { // enough to guess how many there will be
			f.targets = slices.Grow(f.targets, len(f.targets)*(len(changes)-i)/sample)
		}
		c := &changes[i]
		if reason := f.find(c, seen); reason != "" {
			unrouted = append(unrouted, freshet.Unrouted{Origin: c.Origin, Key: c.Key, Reason: reason})
		}
	}
	return f.targets, unrouted
}

// Group is the consistency group of a key; empty where it has none.
func (r *Router) Group(key string) string { return r.rules.groupOf(key) }

// Own is the URL of an object at a distribution that caches it.
type Own struct {
	Distribution string `json:"distribution"`
	URL          string `json:"url"` // canonical path
}

// Own returns the own URL of an object at each distribution that caches it,
// whether or not its changes are routed. Of a key with spaces it is the URL with
// %20.
func (r *Router) Own(origin, key string) []Own {
	var all []Own
	var prefix, path string
	stops := r.stops[origin]
	for i := range stops {
		s := stops[i].site
		if s.off != "" {
			continue
		}
		for _, fd := range stops[i].feeds {
			rest, ok := fd.under(key)
			if !ok {
				continue
			}
			if path == "" || prefix != fd.prefix {
				prefix, path = fd.prefix, freshet.KeyPaths(rest)[0]
			}
			if b := s.behaviorOf(path); !s.behaviors[b].caches || !fd.leads[b] || fd.chosen[b] != "" {
				continue
			}
			own := Own{s.ID, path}
			if slices.Contains(all, own) {
				continue
			}
			if all == nil {
				all = make([]Own, 0, len(stops))
			}
			all = append(all, own)
		}
	}
	return all
}
