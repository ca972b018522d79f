package route

import (
	"maps"
	"slices"
	"strings"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/distribution"
)

// Question is a URL that somebody asks about: a path, with or without a query
// string. One that begins with http:// or https:// has a host of its own, which
// counts in place of Host. Without a host all distributions are asked.
type Question struct {
	Host string
	URL  string

	// Only is the ID of the distribution to ask, whatever the host; empty for
	// those that answer to it.
	Only string

	// Rewritten returns what a function before the cache makes of the URL at a
	// distribution, as a path with the query string, and whether that is known.
	// Nil where no function is.
	Rewritten func(distribution string) (to string, known bool)
}

// ExplainURL shows the way from a URL to the objects behind it: for every
// distribution that answers to the host which behavior answers, which objects
// may be in the answer, and what removes it from the cache.
func (r *Router) ExplainURL(q Question) Explanation {
	e := Explanation{Host: q.Host}
	a, notes := readURL(q.URL)
	e.Notes = notes
	if a.host != "" {
		e.Host = a.host
	}
	if e.URL = a.String(); e.URL != q.URL {
		e.Given = q.URL
	}
	sites := r.at(e.Host)
	if q.Only != "" {
		sites = slices.DeleteFunc(slices.Clone(r.sites), func(s *site) bool { return s.ID != q.Only })
	}
	for _, s := range sites {
		stop := s.stop()
		stop.URLs = []URLStop{r.explainURL(s, a, q.Rewritten)}
		e.Distributions = append(e.Distributions, stop)
	}
	if len(e.Distributions) == 0 {
		e.Reason = "there are no distributions"
		if e.Host != "" {
			e.Reason = "no distribution answers to the host " + e.Host
		}
	}
	return e
}

// asked is a URL as somebody asks about it, canonical.
type asked struct {
	host    string
	path    string
	query   string
	queried bool
}

func (a asked) String() string {
	if a.queried {
		return a.path + "?" + a.query
	}
	return a.path
}

func readURL(text string) (a asked, notes []string) {
	text, _, fragment := strings.Cut(text, "#")
	if fragment {
		notes = append(notes, "the part from # on stays in the browser; a # in a key is written %23")
	}
	if scheme, rest, ok := strings.Cut(text, "://"); ok && (strings.EqualFold(scheme, "http") || strings.EqualFold(scheme, "https")) {
		end := strings.IndexAny(rest+"/", "/?")
		a.host, text = rest[:end], rest[end:]
	}
	text, a.query, a.queried = strings.Cut(text, "?")
	a.path, a.query = canonicalPath(text), freshet.CanonicalQuery(a.query)
	return a, notes
}

// at returns the sites that answer to host: those that name it, or else those
// with the longest alias such as *.example.com that fits, and all without host.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/CNAMEs.html
func (r *Router) at(host string) []*site {
	if host == "" {
		return r.sites
	}
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		host = host[:i]
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	var best []*site
	longest := 0
	for _, s := range r.sites {
		fit := 0
		for _, name := range s.Hosts() {
			fit = max(fit, fits(host, strings.ToLower(name)))
		}
		switch {
		case fit == 0 || fit < longest:
		case fit > longest:
			best, longest = []*site{s}, fit
		default:
			best = append(best, s)
		}
	}
	return best
}

// Answering returns the IDs of the distributions that answer to host: one in a
// set that CloudFront would accept. Without a host it is all of them.
func (r *Router) Answering(host string) (ids []string) {
	for _, s := range r.at(host) {
		ids = append(ids, s.ID)
	}
	return ids
}

// fits is 0 where name does not stand for host, and larger the more exactly it
// does.
func fits(host, name string) int {
	if name == host {
		return 2 * len(name)
	}
	if suffix, ok := strings.CutPrefix(name, "*"); ok && strings.HasSuffix(host, suffix) && len(host) > len(suffix) {
		return len(name)
	}
	return 0
}

// explainURL is what s does with the URL.
func (r *Router) explainURL(s *site, a asked, rewritten func(string) (string, bool)) URLStop {
	i := s.behaviorOf(a.path)
	b := &s.behaviors[i]
	u := URLStop{URL: a.path}
	u.answered(s, i)
	u.URL = b.cachedAs(a)
	if u.URL != a.String() {
		u.Notes = append(u.Notes, "cached as "+u.URL+": the rest of the query string is not in the cache key")
	}
	if strings.Contains(a.path, "%20") && strings.Contains(a.path, "+") {
		u.Notes = append(u.Notes, "spaces are written in both ways: changes of its keys remove the URLs that have one way throughout")
	}
	to := b.rewritten(s, a, &u, rewritten)
	u.Keys = r.candidates(s, i, to)
	switch {
	case s.off != "":
		u.Why = s.off
	case !b.caches:
		u.Why = b.refusal
	default:
		r.remove(s, &u)
		if made := b.cachedAs(to); made != u.URL {
			u.Patterns = append(u.Patterns, removal(made, "what the function makes of the URL"))
		}
	}
	return u
}

// cachedAs is the URL under which b keeps what is asked for.
func (b *behavior) cachedAs(a asked) string {
	if kept := KeptQuery(a.query, b.caching.QueryStrings); kept != "" {
		return a.path + "?" + kept
	}
	return a.path
}

// removal is the pattern that removes one URL.
func removal(url, reason string) Removal {
	pattern, exact := freshet.PathPattern(url)
	made := Removal{URL: url, Pattern: string(pattern), Reason: reason}
	if !exact {
		made.Reason += inexact(url, pattern)
	}
	return made
}

// rewritten is what the function that b runs before the cache is asked makes of
// a URL, as far as that is known. The behavior stays.
func (b *behavior) rewritten(s *site, a asked, u *URLStop, rewritten func(string) (string, bool)) asked {
	if rewritten == nil || !b.runsFirst() {
		return a
	}
	text, known := rewritten(s.ID)
	if !known {
		return a
	}
	to := asked{host: a.host}
	to.path, to.query, to.queried = strings.Cut(text, "?")
	to.path, to.query = canonicalPath(to.path), freshet.CanonicalQuery(to.query)
	if to.path == a.path && to.query == a.query {
		return a
	}
	u.CacheKey = b.cacheKey(s, to.path)
	u.Notes = append(u.Notes, "the function before the cache makes "+to.String()+" of it, which the origin is asked for and the cache key has")
	return to
}

// KeptQuery is the part of a query string that is in the cache key.
func KeptQuery(text string, s distribution.Selection) string {
	var kept []string
	for parameter := range strings.SplitSeq(text, "&") {
		if name, _, _ := strings.Cut(parameter, "="); parameter != "" && inKey(s, name) {
			kept = append(kept, parameter)
		}
	}
	return strings.Join(kept, "&")
}

// remove lists the patterns that remove u: its own, and those that changes of
// its keys send.
func (r *Router) remove(s *site, u *URLStop) {
	u.Patterns = []Removal{removal(u.URL, "the URL itself")}
	f := r.finder()
	for i := range u.Keys {
		k := &u.Keys[i]
		if k.open || k.Bucket == "" {
			continue
		}
		f.targets = f.targets[:0]
		if why := f.find(&freshet.Change{Origin: k.Bucket, Key: k.Key, Op: freshet.OpPut}, nil); why != "" {
			k.Reason += "; a change of it is not routed: " + why
		}
		for _, t := range f.targets {
			if t.Distribution == s.ID && t.Pattern.Covers(u.URL) {
				u.Patterns = append(u.Patterns, Removal{URL: t.URL, Pattern: string(t.Pattern), Bucket: k.Bucket, Key: k.Key, Served: t.Served, Reason: t.Reason})
			}
		}
	}
}

// candidates are the objects that may answer a URL which behavior i answers, or
// that are part of the answer.
func (r *Router) candidates(s *site, i int, a asked) (all []Candidate) {
	add := func(c Candidate) {
		same := func(o Candidate) bool { return o.Bucket == c.Bucket && o.Key == c.Key && o.Origin == c.Origin }
		if !slices.ContainsFunc(all, same) {
			all = append(all, c)
		}
	}
	for _, f := range s.feeds {
		if f.leads[i] {
			r.objects(s, f.feed, a, func(c Candidate) {
				c.Reason += f.chosen[i]
				add(c)
				if f.anyPath {
					c.Key, c.open = "{path...}/"+c.Key, true
					add(c)
				}
			})
		}
	}
	for j := range r.rules.derived {
		r.rules.derived[j].sources(s, i, a, add)
	}
	if !s.behaviors[i].caches {
		return all
	}
	for _, f := range s.feeds {
		for _, key := range slices.Sorted(maps.Keys(f.pages)) {
			if p := f.pages[key]; p.covers(a.path) || len(p.stretches) == 0 {
				add(Candidate{Bucket: f.bucket, Key: key, Origin: f.ID, Reason: p.reason})
			}
		}
	}
	return all
}

func (p page) covers(path string) bool {
	return slices.ContainsFunc(p.stretches, func(s stretch) bool {
		return path == s.url || s.many && strings.HasPrefix(path, s.url)
	})
}

// objects adds what f may answer the URL with.
func (r *Router) objects(s *site, f *feed, a asked, add func(Candidate)) {
	with := func(key, reason string) {
		add(Candidate{Bucket: f.bucket, Key: f.prefix + key, Origin: f.ID, Reason: reason})
	}
	root := strings.TrimPrefix(s.Config.DefaultRootObject, "/")
	path := keyOfPath(a.path[1:])
	switch path {
	case "":
		if root != "" {
			with(root, defaultRoot)
		}
		if root != "" && !s.behaviors[s.behaviorOf("/")].rewrites {
			break
		}
		for _, name := range r.rules.index {
			with(name, rootIndex)
		}
	default:
		with(path, ownURL)
		folder, reason := path, folderIndex
		if !strings.HasSuffix(path, "/") {
			folder, reason = path+"/", folderBare
		}
		for _, name := range r.rules.index {
			with(folder+name, reason)
		}
	}
	for i := range r.rules.rewrites {
		w := &r.rules.rewrites[i]
		if len(w.sites) > 0 && !slices.Contains(w.sites, s.ID) {
			continue
		}
		for _, b := range w.urls[0].read(a, distribution.Selection{}) {
			if key, open, ok := w.key.below(f.prefix, b); ok {
				add(Candidate{Bucket: f.bucket, Key: key, Origin: f.ID, Reason: w.reason, open: open})
			}
		}
	}
}

// sources adds the objects that the URL is derived from by r at s.
func (r *rule) sources(s *site, i int, a asked, add func(Candidate)) {
	buckets := []string{""} // any
	switch {
	case len(r.sites) == 0:
		buckets = s.buckets()
	case !slices.Contains(r.sites, s.ID):
		return
	}
	for j := range r.urls {
		for _, b := range r.urls[j].read(a, s.behaviors[i].caching.QueryStrings) {
			key, open, _ := r.key.below("", b)
			for _, bucket := range buckets {
				add(Candidate{Bucket: bucket, Key: key, Reason: r.reason, open: open})
			}
		}
	}
}

// buckets lists those that feed s, once each.
func (s *site) buckets() (names []string) {
	for _, f := range s.feeds {
		if !slices.Contains(names, f.bucket) {
			names = append(names, f.bucket)
		}
	}
	return names
}

// knownValues are the values that a URL gives to placeholders.
type knownValues map[string]string

// read returns the values for which u is the URL. Parameters that are not in the
// cache key may be absent.
func (u *urlTemplate) read(a asked, s distribution.Selection) (all []knownValues) {
	readings, _ := u.path.readings(a.path)
	for _, values := range readings {
		b := make(knownValues)
		if b.take(&u.path, values) && b.query(u, a.query, s) {
			all = append(all, b)
		}
	}
	return all
}

// take notes the values of t's placeholders. It returns false for a value that
// no key would be escaped to.
func (b knownValues) take(t *template, values []string) bool {
	for i, h := range t.holes {
		value := keyOfPath(values[i])
		if b[h.name] = value; freshet.CanonicalPath("/"+values[i]) != "/"+values[i] {
			return false
		}
	}
	return true
}

// query notes the values that parameters give.
func (b knownValues) query(u *urlTemplate, text string, s distribution.Selection) bool {
	for i := range u.query {
		t := &u.query[i]
		name, _, _ := strings.Cut(t.literals[0], "=")
		found := false
		for parameter := range strings.SplitSeq(text, "&") {
			if values, _ := t.readings(parameter); len(values) > 0 {
				for j, h := range t.holes {
					b[h.name] = keyOfPath(values[0][j])
				}
				found = true
				break
			}
		}
		if !found && inKey(s, name) {
			return false
		}
	}
	return true
}

// below writes t with the values of b, and placeholders where there are none,
// which makes it an open one. ok is false if no such key begins with prefix.
func (t *template) below(prefix string, b knownValues) (key string, open, ok bool) {
	var l language
	for i, h := range t.holes {
		l, key = l.literal(t.literals[i]), key+t.literals[i]
		if value, known := b[h.name]; known {
			l, key = l.literal(value), key+value
		} else {
			l, key, open = l.hole(h), key+h.String(), true
		}
	}
	last := t.literals[len(t.holes)]
	_, ok = meet(l.literal(last), language{}.literal(prefix).hole(hole{rest: true}))
	return key + last, open, ok
}
