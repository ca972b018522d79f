package route

import (
	"slices"
	"strings"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/distribution"
)

// ExplainKey shows the way from an object to its URLs: for every distribution
// whether and through which origins it has the object, and for every URL which
// behavior answers and what is invalidated when the object changes.
func (r *Router) ExplainKey(origin, key string) Explanation {
	e := Explanation{Origin: origin, Key: key, Group: r.rules.groupOf(key)}
	found := make(map[string][]URLStop)
	f := r.finder()
	f.trace = func(t traced) { found[t.site.ID] = append(found[t.site.ID], t.explain()) }
	e.Reason = f.find(&freshet.Change{Origin: origin, Key: key, Op: freshet.OpPut}, nil)
	if strings.HasPrefix(key, "/") {
		e.Notes = append(e.Notes, "the key begins with a slash, so its URL begins with two: keys seldom do")
	}
	if r.rules.skipNew {
		e.Notes = append(e.Notes, "new_objects is skip: while nothing was ever seen under the key, only URLs are invalidated that other keys have to do with as well")
	}
	for _, s := range r.sites {
		stop := s.stop()
		stop.Origins = s.explainOrigins(origin, key)
		stop.URLs = found[s.ID]
		e.Distributions = append(e.Distributions, stop)
	}
	return e
}

// stop is what is to be said about s whatever the question.
func (s *site) stop() Stop {
	stop := Stop{Distribution: s.ID, Hosts: s.Hosts()}
	if s.off != "" {
		stop.Notes = append(stop.Notes, "disabled: viewers get nothing, and nothing is routed to it")
	}
	if s.Config.Staging {
		stop.Notes = append(stop.Notes, "staging: it has a cache of its own, which is invalidated like any other")
	}
	return stop
}

func (s *site) explainOrigins(bucket, key string) (all []OriginStop) {
	feeds := s.feeds
	for _, o := range s.Config.Origins {
		stop := OriginStop{ID: o.ID, DomainName: o.DomainName, OriginPath: o.OriginPath}
		switch _, is := o.Bucket(); {
		case !is:
			stop.Reason = "is no bucket"
		case feeds[0].bucket != bucket:
			stop.Reason, feeds = "is bucket "+feeds[0].bucket, feeds[1:]
		default:
			stop.Feeds, stop.Reason = feeds[0].explain(s, key)
			feeds = feeds[1:]
		}
		all = append(all, stop)
	}
	for _, f := range feeds { // that functions make
		if f.bucket == bucket {
			stop := OriginStop{ID: f.ID, DomainName: f.DomainName, OriginPath: f.OriginPath}
			stop.Feeds, stop.Reason = f.explain(s, key)
			stop.Reason += ": a function at the edge may make this of the origin"
			if f.anyPath {
				stop.Reason += ", with any origin path"
			}
			all = append(all, stop)
		}
	}
	return all
}

// explain says whether viewers reach key through f.
func (f *feed) explain(s *site, key string) (feeds bool, reason string) {
	rest, ok := f.under(key)
	switch {
	case s.off != "":
		return false, s.off
	case !ok:
		return false, f.outside
	case !slices.Contains(f.leads, true):
		return true, "has the key, but no behavior leads to it"
	case f.prefix != "":
		return true, "has the key as " + rest + " below its origin path"
	default:
		return true, "has the key"
	}
}

// explain puts into words what became of a way.
func (t traced) explain() URLStop {
	u := URLStop{URL: t.way.path, Reason: t.way.reason, Why: t.reason}
	if t.feed != nil {
		u.Origin = t.feed.ID
	}
	for _, target := range t.added {
		u.Patterns = append(u.Patterns, Removal{URL: target.URL, Pattern: string(target.Pattern), Served: target.Served, Reason: target.Reason})
	}
	if t.behavior >= 0 {
		u.answered(t.site, t.behavior)
		if len(t.added) == 0 && u.Why == "" {
			u.Why = "is invalidated already, see above"
		}
		return u
	}
	u.URL += "*"
	u.Caches = len(t.added) > 0
	u.Notes = t.bySeveral()
	return u
}

// bySeveral names the behaviors that a way for many URLs was narrowed to.
func (t traced) bySeveral() (notes []string) {
	for _, run := range t.runs {
		if !run.many {
			notes = append(notes, "of these "+run.url+" may be cached, by behavior "+t.site.behaviors[run.behavior].name)
		} else if run.url != t.way.path {
			notes = append(notes, "of these "+run.url+"* may be cached, by behavior "+t.site.behaviors[run.behavior].name)
		}
	}
	return notes
}

// answered says what behavior i of s does with the URL.
func (u *URLStop) answered(s *site, i int) {
	b := &s.behaviors[i]
	path, _, _ := strings.Cut(u.URL, "?")
	u.Tried = s.try(path)
	u.Behavior, u.Target, u.Caches = b.name, b.TargetOriginID, b.caches
	u.CacheKey, u.TTL = b.cacheKey(s, path), b.ttl()
	if matched := distribution.Matched(path); matched != path {
		u.Notes = append(u.Notes, "behaviors are matched against "+matched+", without dot segments and repeated slashes; the origin is asked for the path as it is")
	}
	u.Notes = append(u.Notes, b.notes()...)
	if g := originGroup(&s.Config, b.TargetOriginID); g != nil {
		u.Notes = append(u.Notes, "origin group: "+strings.Join(g.Members, ", then ")+" where that one fails")
	}
}
