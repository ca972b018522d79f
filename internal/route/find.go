package route

import (
	"slices"
	"strings"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/distribution"
)

// finder finds the targets of one change after the other. What it learns on the
// way that later changes may need again, it keeps.
type finder struct {
	r       *Router
	targets []freshet.Target

	change  *freshet.Change
	group   string
	spared  bool // the object is new and new ones are skipped
	first   int  // in targets, of this change
	at      int  // in targets, of this change at this distribution
	weight  int  // of reason
	reason  string
	ways    []way
	rest    string   // of the key, below the origin path asked last
	paths   []string // of the key pathsOf, relative to the origin path asked last
	pathsOf string
	rewrote []ruled
	derived []ruled
	joined  map[[2]string]string
	trace   func(step traced) // nil unless somebody wants to know
}

// traced is what became of one way at one distribution.
type traced struct {
	site     *site
	feed     *feed // nil where it does not matter which origin answers
	way      *way
	behavior int    // -1 for a way that stands for many URLs
	reason   string // why there is no target; empty where there is
	added    []freshet.Target
	runs     []stretch // of a way for many URLs: what of it may be cached
}

// The weights of reasons for not routing a change: what comes closest to a
// target says most.
const (
	unknownBucket = iota
	disabled
	outsidePath
	otherOrigin
	notCached
	leftToExpire
	skippedNew
)

const newObject = "a new object under a key that was never seen: new_objects is skip"

func (f *finder) refuse(weight int, reason string) {
	if weight > f.weight || f.reason == "" {
		f.weight, f.reason = weight, reason
	}
}

// find appends the targets of c, and returns why there are none.
func (f *finder) find(c *freshet.Change, seen func(origin, key string) bool) (reason string) {
	rules := &f.r.rules
	f.change, f.first, f.weight, f.reason = c, len(f.targets), unknownBucket, ""
	if reason := rules.filtered(c.Origin, c.Key); reason != "" {
		return reason
	}
	f.group = rules.groupOf(c.Key)
	f.spared = rules.skipNew && seen != nil && c.Op == freshet.OpPut && !seen(c.Origin, c.Key)
	f.rewrote = ruledWays(f.rewrote[:0], rules.rewrites, c.Key, function)
	f.derived = ruledWays(f.derived[:0], rules.derived, c.Key, nothing)
	stops, known := f.r.stops[c.Origin]
	if !known {
		stops = f.r.elsewhere
		f.refuse(unknownBucket, "no distribution has bucket "+c.Origin+" as an origin")
	}
	for i := range stops {
		f.stop(&stops[i])
	}
	if len(f.targets) > f.first {
		return ""
	}
	return f.reason
}

// stop finds the targets at one distribution.
func (f *finder) stop(s *stop) {
	if s.site.off != "" {
		if len(s.feeds) > 0 {
			f.refuse(disabled, s.site.off)
		}
		return
	}
	f.at = len(f.targets)
	for i := range s.feeds {
		f.atOrigin(s.site, &s.feeds[i])
	}
	for i := range f.derived {
		d := &f.derived[i]
		if len(d.rule.sites) == 0 && len(s.feeds) > 0 || slices.Contains(d.rule.sites, s.site.ID) {
			for j := range d.ways {
				f.offer(s.site, nil, &d.ways[j])
			}
		}
	}
	for i := range s.feeds {
		f.errorPage(s.site, &s.feeds[i])
	}
}

// atOrigin finds the targets that viewers reach through one origin.
func (f *finder) atOrigin(s *site, fd *fed) {
	rest, ok := fd.under(f.change.Key)
	if !ok {
		f.refuse(outsidePath, fd.outside)
		return
	}
	for ok {
		f.below(s, fd, rest)
		// What is below any folder may be below an origin path that may be any.
		_, rest, ok = strings.Cut(rest, "/")
		ok = ok && rest != "" && fd.anyPath
	}
}

// below finds the targets of the key as rest below the origin path.
func (f *finder) below(s *site, fd *fed, rest string) {
	f.rest = rest
	f.ways = f.objectWays(f.ways[:0], s, fd.feed, rest)
	for i := range f.ways {
		f.offer(s, fd.feed, &f.ways[i])
	}
	for i := range f.rewrote {
		w := &f.rewrote[i]
		if len(w.rule.sites) > 0 && !slices.Contains(w.rule.sites, s.ID) {
			continue
		}
		for j := range w.ways {
			f.offer(s, fd.feed, &w.ways[j])
		}
	}
}

// offer adds targets for w if its behavior caches and, unless fd is nil, leads
// to that origin.
func (f *finder) offer(s *site, fd *feed, w *way) {
	if w.many != nil {
		f.offerMany(s, fd, w)
		return
	}
	i := s.behaviorOf(w.path)
	weight, reason := f.refusal(s, fd, w, i)
	before := len(f.targets)
	if reason != "" {
		f.refuse(weight, reason)
	} else {
		b := &s.behaviors[i]
		if fd != nil && fd.chosen[i] != "" {
			chosen := *w
			chosen.reason = f.join(w.reason, fd.chosen[i])
			w = &chosen
		}
		f.addURL(b, s.ID, w, f.served(b, fd, w, i) && !b.private())
		f.addRewritten(s, w, i)
	}
	if f.trace != nil {
		f.trace(traced{s, fd, w, i, reason, f.targets[before:], nil})
	}
}

// refusal returns why behavior i makes no target of w, or nothing.
func (f *finder) refusal(s *site, fd *feed, w *way, i int) (weight int, reason string) {
	switch {
	case fd != nil && !fd.leads[i]:
		return otherOrigin, fd.refusals[i]
	case !s.behaviors[i].caches:
		return notCached, s.behaviors[i].refusal
	case f.spared && !w.lists:
		return skippedNew, newObject
	}
	return 0, ""
}

// served reports whether a probe of w may expect the object. In an origin group
// another bucket may answer before this one, or in the place of what was
// deleted. Where a function chooses, a probe goes where it sends a plain request.
func (f *finder) served(b *behavior, fd *feed, w *way, i int) bool {
	if w.served && (b.chooses || fd.chosen[i] != "") {
		return fd.serves(b, w, f.change.Key, f.rest)
	}
	return w.served && fd.first[i] && (!fd.group[i] || f.change.Op != freshet.OpDelete)
}

// addURL adds the target for one path, and those for its query strings as far
// as they are in the cache key.
func (f *finder) addURL(b *behavior, id string, w *way, served bool) {
	if w.query != nil {
		all := w.query.spellings(b.caching.QueryStrings)
		for _, q := range all {
			f.add(found{id, w.path + "?" + q, strings.HasSuffix(q, "*"), served, w.reason})
		}
		if len(all) == 0 {
			f.add(found{id, w.path, false, served, f.join(w.reason, ", whose query string is not in the cache key")})
		}
		return
	}
	f.add(found{id, w.path, false, served, w.reason})
	if b.caching.QueryStrings.Mode != distribution.None {
		f.add(found{id, w.path + "?*", true, false, f.join(w.reason, b.queries)})
	}
}

// addRewritten adds the object's own URLs where a function runs, or may run,
// before the cache is asked: the cache key then has the path it rewrites to, but
// the behavior is still that of the path the viewer asked for.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/functions-event-structure.html
func (f *finder) addRewritten(s *site, w *way, i int) {
	b := &s.behaviors[i]
	if w.via == function || w.via == perhaps && b.rewrites {
		for _, p := range f.paths {
			f.addURL(b, s.ID, &way{path: p, reason: rewrittenTo}, false)
		}
	}
}

// offerMany adds the fewest targets that cover all URLs of w that a behavior
// caches which, unless fd is nil, leads to that origin.
func (f *finder) offerMany(s *site, fd *feed, w *way) {
	reason, before := "", len(f.targets)
	runs := s.reach(w.many, w.path, func(i int) bool { return s.behaviors[i].caches && (fd == nil || fd.leads[i]) })
	switch {
	case f.spared && !w.lists:
		reason = newObject
		f.refuse(skippedNew, reason)
	case len(runs) == 0:
		reason = "no behavior of " + s.ID + " caches such a URL from this origin"
		f.refuse(notCached, reason)
	default:
		why := w.reason
		if fd != nil && fd.chosen[runs[0].behavior] != "" {
			why = f.join(why, fd.chosen[runs[0].behavior])
		}
		f.addAll(s, runs, why)
		f.addRewritten(s, w, runs[0].behavior)
	}
	if f.trace != nil {
		f.trace(traced{s, fd, w, -1, reason, f.targets[before:], runs})
	}
}

func (f *finder) addAll(s *site, runs []stretch, reason string) {
	for _, run := range runs {
		if run.many {
			f.add(found{s.ID, run.url + "*", true, false, reason})
		} else {
			f.addURL(&s.behaviors[run.behavior], s.ID, &way{path: run.url, reason: reason}, false)
		}
	}
}

// errorPage adds what shows the object in place of errors.
func (f *finder) errorPage(s *site, fd *fed) {
	p, ok := fd.pages[f.change.Key]
	if !ok {
		return
	}
	before, reason := len(f.targets), ""
	switch {
	case f.spared:
		reason = newObject
		f.refuse(skippedNew, reason)
	case len(p.stretches) == 0:
		reason = p.reason
		f.refuse(leftToExpire, reason)
	default:
		f.addAll(s, p.stretches, p.reason)
	}
	if f.trace != nil {
		f.trace(traced{s, fd.feed, &way{path: "/", many: language{}, reason: p.reason}, -1, reason, f.targets[before:], p.stretches})
	}
}

// found is a URL to make a target of.
type found struct {
	site   string
	url    string
	wild   bool // the * at the end of url is meant as one
	served bool
	reason string
}

// add appends a target unless its URL came up before.
func (f *finder) add(u found) {
	for i := range f.targets[f.at:] {
		if t := &f.targets[f.at+i]; t.URL == u.url {
			t.Served = t.Served || u.served
			return
		}
	}
	pattern, exact := patternOf(u)
	if !exact {
		u.reason = f.join(u.reason, inexact(u.url, pattern))
	}
	f.targets = append(f.targets, freshet.Target{
		Distribution: u.site, Origin: f.change.Origin, Key: f.change.Key, URL: u.url, Pattern: pattern,
		Served: u.served, Group: f.group, Reason: u.reason,
	})
}

// patternOf returns the pattern that removes u; exact is false where it removes
// more.
func patternOf(u found) (p freshet.Pattern, exact bool) {
	if !u.wild {
		return freshet.PathPattern(u.url)
	}
	p = freshet.PrefixPattern(strings.TrimSuffix(u.url, "*"))
	return p, string(p) == u.url
}

// inexact says why a wildcard was not to be avoided.
func inexact(url string, pattern freshet.Pattern) string {
	switch {
	case string(pattern) == url+"*":
		return "; its name ends in *, which CloudFront takes for itself only if the * of a wildcard follows"
	case len(pattern) >= freshet.MaxPatternLength-2:
		return "; it is longer than an invalidation path may be, so a wildcard ends earlier"
	default:
		return "; CloudFront cannot invalidate a ~, so a wildcard ends before it"
	}
}

// join concatenates two parts of a reason, once.
func (f *finder) join(a, b string) string {
	text, ok := f.joined[[2]string{a, b}]
	if !ok {
		text = a + b
		f.joined[[2]string{a, b}] = text
	}
	return text
}
