package route_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/distribution"
	"github.com/freshet/freshet/internal/route"
)

// world is a model of viewers, CloudFront and buckets that knows nothing of
// routing: it answers URLs, one at a time, the way CloudFront does, and so says
// which of them answer otherwise once an object has changed.
type world struct {
	sites   []distribution.Distribution
	rules   route.Rules
	early   bool                 // functions run before the cache is asked, so that the cache has the paths they make
	indexes bool                 // a function at the edge appends index documents
	objects map[[2]string]string // bucket and key to content
}

// reply is what a distribution may have cached for a URL: some content, or
// nothing that is kept.
type reply struct {
	content string
	kept    bool
	name    string // path in the cache key, where a function changes it
}

// ask returns the answer of d to the path, in canonical spelling.
func (w *world) ask(d *distribution.Distribution, path string) reply {
	b := w.behavior(d, path)
	if caching, err := d.Caching(b); err != nil || !caching.Caches() {
		return reply{}
	}
	if content, ok := w.derived(d, path); ok {
		return reply{content, true, ""}
	}
	name, content, ok := w.first(d, b, path)
	if name == "" {
		content, ok = w.fetch(d, b, path)
	}
	if ok {
		return reply{content, true, name}
	}
	for _, r := range d.Config.CustomErrorResponses {
		if r.ErrorCode != 404 || r.CachingTTL() == 0 {
			continue
		}
		page, _ := w.object(d, w.behavior(d, r.ResponsePagePath), decoded(r.ResponsePagePath))
		return reply{"404 " + page, true, name}
	}
	return reply{"404", true, name}
}

// behavior is the first whose pattern matches, by the oldest algorithm there is.
func (w *world) behavior(d *distribution.Distribution, path string) *distribution.CacheBehavior {
	for i := range d.Config.CacheBehaviors {
		b := &d.Config.CacheBehaviors[i]
		if wild("/"+strings.TrimPrefix(b.PathPattern, "/"), path) {
			return b
		}
	}
	return &d.Config.DefaultCacheBehavior
}

func wild(pattern, text string) bool {
	switch {
	case pattern == "":
		return text == ""
	case pattern[0] == '*':
		return wild(pattern[1:], text) || text != "" && wild(pattern, text[1:])
	default:
		return text != "" && (pattern[0] == '?' || pattern[0] == text[0]) && wild(pattern[1:], text[1:])
	}
}

// fetch runs the function at the edge and asks the origin.
func (w *world) fetch(d *distribution.Distribution, b *distribution.CacheBehavior, path string) (content string, ok bool) {
	if content, ok := w.rewritten(d, b, path, false); ok {
		return content, true
	}
	key := decoded(path)
	if path == "/" && d.Config.DefaultRootObject != "" {
		key = d.Config.DefaultRootObject
	}
	if content, ok = w.object(d, b, key); ok {
		return content, true
	}
	if w.indexes {
		for _, index := range w.rules.IndexDocuments {
			folder := key
			if folder != "" && !strings.HasSuffix(folder, "/") {
				folder += "/"
			}
			if content, ok = w.object(d, b, folder+index); ok {
				return content, true
			}
		}
	}
	return w.rewritten(d, b, path, true)
}

// derived is what an application makes of objects.
func (w *world) derived(d *distribution.Distribution, path string) (content string, ok bool) {
	for _, r := range w.rules.Derived {
		if len(r.Distributions) > 0 && !slices.Contains(r.Distributions, d.ID) {
			continue
		}
		for _, template := range r.URLs {
			value, reads := reads(template, path)
			if !reads {
				continue
			}
			ok, content = true, "made from"
			key := strings.NewReplacer("{x}", decoded("/"+value), "{x...}", decoded("/"+value)).Replace(r.Key)
			for _, bucket := range []string{"one", "two"} {
				if len(r.Distributions) > 0 || feeds(d, bucket) {
					content += " " + bucket + "'s " + w.objects[[2]string{bucket, key}]
				}
			}
		}
	}
	return content, ok
}

func feeds(d *distribution.Distribution, bucket string) bool {
	return slices.ContainsFunc(d.Config.Origins, func(o distribution.Origin) bool {
		name, _ := o.Bucket()
		return name == bucket
	})
}

// first runs a function before the cache is asked. It knows nothing of what
// objects there are. name is the path it makes, or empty if it leaves the path
// as it is.
func (w *world) first(d *distribution.Distribution, b *distribution.CacheBehavior, path string) (name, content string, ok bool) {
	if !w.early {
		return "", "", false
	}
	for _, r := range w.rules.Rewrites {
		if value, ok := reads(r.URL, path); ok && !r.Fallback {
			made := "/" + strings.NewReplacer("{x}", value, "{x...}", value).Replace(r.Key)
			for _, o := range w.origins(d, b) {
				if rest, ok := strings.CutPrefix(made, o.OriginPath+"/"); ok {
					// Other members of a group would be asked for the rest below
					// their own paths, which is not what the rule says.
					bucket, _ := o.Bucket()
					content, ok = w.objects[[2]string{bucket, decoded(made)}]
					return "/" + rest, content, ok
				}
			}
		}
	}
	last := path[strings.LastIndexByte(path, '/')+1:]
	if !w.indexes || strings.Contains(last, ".") {
		return "", "", false
	}
	if last != "" {
		path += "/"
	}
	content, ok = w.object(d, b, decoded(path+"index.html"))
	return path + "index.html", content, ok
}

// reads returns the value of the one placeholder, at the end of a URL.
func reads(template, path string) (value string, ok bool) {
	head, hole, _ := strings.Cut(template, "{")
	value, ok = strings.CutPrefix(path, head)
	if !strings.Contains(hole, "...") && (value == "" || strings.Contains(value, "/")) {
		return "", false
	}
	return value, ok
}

// rewritten tries the rules, which here are of three kinds that need no
// templates: the whole rest, one segment, or anything.
func (w *world) rewritten(d *distribution.Distribution, b *distribution.CacheBehavior, path string, fallback bool) (content string, ok bool) {
	for _, r := range w.rules.Rewrites {
		if r.Fallback != fallback {
			continue
		}
		value, ok := reads(r.URL, path)
		if !ok {
			continue
		}
		key := strings.NewReplacer("{x}", decoded("/"+value), "{x...}", decoded("/"+value)).Replace(r.Key)
		for _, o := range w.origins(d, b) {
			bucket, _ := o.Bucket()
			if !strings.HasPrefix(key, strings.TrimPrefix(o.OriginPath+"/", "/")) {
				continue
			}
			if content, ok := w.objects[[2]string{bucket, key}]; ok {
				return content, true
			}
		}
	}
	return "", false
}

// object asks the origin, or the origins of the group, for a key below the
// origin path.
func (w *world) object(d *distribution.Distribution, b *distribution.CacheBehavior, key string) (content string, ok bool) {
	for _, o := range w.origins(d, b) {
		bucket, _ := o.Bucket()
		if content, ok := w.objects[[2]string{bucket, strings.TrimPrefix(o.OriginPath+"/"+key, "/")}]; ok && key != "" {
			return content, true
		}
	}
	return "", false
}

func (w *world) origins(d *distribution.Distribution, b *distribution.CacheBehavior) (all []distribution.Origin) {
	ids := []string{b.TargetOriginID}
	for _, g := range d.Config.OriginGroups {
		if g.ID == b.TargetOriginID {
			ids = g.Members
		}
	}
	for _, id := range ids {
		for _, o := range d.Config.Origins {
			if o.ID == id {
				all = append(all, o)
			}
		}
	}
	return all
}

func decoded(path string) string {
	key, err := url.QueryUnescape(path[1:])
	if err != nil {
		panic(err)
	}
	return key
}

// The vocabulary is small so that things meet.
var (
	segments = []string{"a", "b", "img", "a b", "c+", "x~1", "é", "index.html", "e.html", "a.css"}
	patterns = []string{"/a/*", "/img/*", "*.css", "/a*", "b/*", "/?/*", "/*/a", "/index.html", "/a%20b/*", "/é*", "/a+b*", "*.html", "/x~*", "/p/*", "/p/a*", "/img/a"}
)

// drawKey prefers the keys that more than one URL leads to.
func drawKey(t *rapid.T, label string) string {
	if rapid.Bool().Draw(t, label+" with many URLs") {
		name := rapid.SampledFrom([]string{"index.html", "e.html", "a/e.html", "a/index.html", "img/a b"}).Draw(t, label)
		return rapid.SampledFrom([]string{"", "", "a/", "a/b/"}).Draw(t, label+" below") + name
	}
	return strings.Join(rapid.SliceOfN(rapid.SampledFrom(segments), 1, 3).Draw(t, label), "/")
}

func drawBehavior(t *rapid.T, targets []string) distribution.CacheBehavior {
	b := distribution.CacheBehavior{TargetOriginID: rapid.SampledFrom(targets).Draw(t, "target")}
	if rapid.IntRange(0, 2).Draw(t, "uncached") == 0 {
		b.MaxTTL = new(int64)
	}
	if rapid.IntRange(0, 4).Draw(t, "query") == 0 {
		b.ForwardedValues = &distribution.ForwardedValues{QueryString: true}
	}
	return b
}

func drawDistribution(t *rapid.T, id string) distribution.Distribution {
	c := distribution.Config{Enabled: rapid.IntRange(0, 9).Draw(t, "disabled") > 0}
	c.DefaultRootObject = rapid.SampledFrom([]string{"", "index.html", "a/e.html"}).Draw(t, "root")
	var targets []string
	for i := range rapid.IntRange(1, 3).Draw(t, "origins") {
		bucket := rapid.SampledFrom([]string{"one.s3.amazonaws.com", "two.s3.eu-west-1.amazonaws.com"}).Draw(t, "bucket")
		path := rapid.SampledFrom([]string{"", "", "/a", "/a/b"}).Draw(t, "origin path")
		c.Origins = append(c.Origins, distribution.Origin{ID: fmt.Sprint("o", i), DomainName: bucket, OriginPath: path})
		targets = append(targets, fmt.Sprint("o", i))
	}
	if len(targets) > 1 && rapid.Bool().Draw(t, "group") {
		c.OriginGroups = []distribution.OriginGroup{{ID: "g", StatusCodes: []int{404}, Members: targets[:2]}}
		targets = append(targets, "g")
	}
	c.DefaultCacheBehavior = drawBehavior(t, targets)
	for _, p := range rapid.SliceOfNDistinct(rapid.SampledFrom(patterns), 0, 5, rapid.ID).Draw(t, "patterns") {
		b := drawBehavior(t, targets)
		b.PathPattern = p
		c.CacheBehaviors = append(c.CacheBehaviors, b)
	}
	if rapid.Bool().Draw(t, "error page") {
		ttl := rapid.SampledFrom([]*int64{nil, nil, new(int64)}).Draw(t, "error TTL")
		page := rapid.SampledFrom([]string{"/e.html", "/a/e.html", "/img/a%20b"}).Draw(t, "page")
		c.CustomErrorResponses = []distribution.CustomErrorResponse{{ErrorCode: 404, ResponseCode: 404, ResponsePagePath: page, ErrorCachingMinTTL: ttl}}
	}
	return distribution.Distribution{ID: id, Config: c}
}

func drawWorld(t *rapid.T) *world {
	w := &world{objects: make(map[[2]string]string), indexes: rapid.Bool().Draw(t, "indexes"), early: rapid.Bool().Draw(t, "early")}
	for i := range rapid.IntRange(1, 2).Draw(t, "distributions") {
		d := drawDistribution(t, fmt.Sprint("E", i))
		for j := range len(d.Config.CacheBehaviors) + 1 {
			if w.early {
				d.Config.BehaviorAt(j).FunctionAssociations = []distribution.FunctionAssociation{{EventType: "viewer-request"}}
			}
		}
		w.sites = append(w.sites, d)
	}
	w.rules.IndexDocuments = []string{"index.html"}
	rewrites := []route.Rewrite{{URL: "/p/{x}", Key: "a/{x}"}, {URL: "/p/{x}", Key: "{x}/index.html"}, {URL: "/img/{x...}", Key: "a/{x...}"}}
	fallbacks := []route.Rewrite{{URL: "/{x...}", Key: "index.html", Fallback: true}, {URL: "/p/{x...}", Key: "a/index.html", Fallback: true}, {URL: "/img/{x}", Key: "a/e.html", Fallback: true}}
	if rapid.Bool().Draw(t, "rewrites") {
		w.rules.Rewrites = append(w.rules.Rewrites, rapid.SampledFrom(rewrites).Draw(t, "rewrite"))
	}
	if rapid.Bool().Draw(t, "falls back") {
		w.rules.Rewrites = append(w.rules.Rewrites, rapid.SampledFrom(fallbacks).Draw(t, "fallback"))
	}
	derived := []route.Derived{
		{Key: "a/{x}", URLs: []string{"/b/{x}", "/other/a/{x}"}}, {Key: "{x...}", URLs: []string{"/b/{x...}"}},
		{Key: "{x}", URLs: []string{"/b/{x}"}, Distributions: []string{"E0"}},
	}
	if rapid.IntRange(0, 3).Draw(t, "derives") == 0 {
		w.rules.Derived = append(w.rules.Derived, rapid.SampledFrom(derived).Draw(t, "derived"))
	}
	for range rapid.IntRange(0, 8).Draw(t, "objects") {
		w.objects[[2]string{rapid.SampledFrom([]string{"one", "two"}).Draw(t, "in bucket"), drawKey(t, "object")}] = "old"
	}
	return w
}

// everyPath lists all paths of up to two segments, and some of three, with and
// without a slash at the end. Spaces are written in both ways, but not in one
// path: whoever writes it has one way.
func everyPath() (all []string) {
	var segs []string
	for _, s := range append(slices.Clone(segments), "p", "other") {
		segs = append(segs, freshet.KeyPaths(s)...)
	}
	level := []string{""}
	all = append(all, "/")
	for depth := range 3 {
		var next []string
		if depth == 2 {
			segs = []string{"/a", "/b", "/index.html", "/other"}
		}
		for _, head := range level {
			for _, s := range segs {
				next = append(next, head+s)
				all = append(all, head+s, head+s+"/")
			}
		}
		level = next
	}
	return slices.DeleteFunc(all, func(path string) bool {
		return strings.Contains(path, "%20") && strings.Contains(path, "+")
	})
}

// Whatever is configured: a URL whose answer changes with an object is covered,
// and no URL is a target at a behavior that caches nothing.
func TestTargetsCoverWhatViewersSee(t *testing.T) {
	all := everyPath()
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		r, err := route.New(w.sites, w.rules)
		if err != nil {
			t.Fatal(err)
		}
		c := freshet.Change{Origin: rapid.SampledFrom([]string{"one", "two"}).Draw(t, "changed bucket"), Key: drawKey(t, "changed key"), Op: freshet.OpPut}
		object := [2]string{c.Origin, c.Key}
		w.objects[object] = "before"
		if rapid.Bool().Draw(t, "created") {
			delete(w.objects, object)
		}
		before := w.answers(all)
		if w.objects[object] = "after"; before != nil && rapid.Bool().Draw(t, "deleted") {
			delete(w.objects, object)
			c.Op = freshet.OpDelete
		}
		targets, unrouted := r.Targets([]freshet.Change{c}, nil)
		if (len(targets) == 0) != (len(unrouted) == 1) {
			t.Errorf("%d targets, unrouted %v", len(targets), unrouted)
		}
		changed := 0
		for at, now := range w.answers(all) {
			name := at
			if now.name != "" {
				name[1] = now.name
			}
			if now != before[at] && !covered(targets, name) {
				t.Errorf("%s of %s, cached as %s, answers %q after %q, and is no target of %+v", at[1], at[0], name[1], now.content, before[at].content, c)
			}
			if now != before[at] && changed < 5 {
				changed++
				explains(t, r, at, object)
			}
		}
		w.cached(t, targets, all)
		w.own(t, r, object)
	})
}

// explains fails if the way from a URL does not lead to an object that it
// depends on, or not to what removes it.
func explains(t *rapid.T, r *route.Router, at, object [2]string) {
	for _, stop := range r.ExplainURL(route.Question{URL: at[1]}).Distributions {
		if stop.Distribution != at[0] {
			continue
		}
		u := stop.URLs[0]
		if !slices.ContainsFunc(u.Keys, func(c route.Candidate) bool { return (c.Bucket == object[0] || c.Bucket == "") && c.Key == object[1] }) {
			t.Errorf("%s of %s depends on %s, but is said to depend on %+v", at[1], at[0], object, u.Keys)
		}
		if !u.Caches || len(u.Patterns) == 0 || !freshet.Pattern(u.Patterns[0].Pattern).Covers(at[1]) {
			t.Errorf("%s of %s is cached: %v, and is said to be removed by %+v", at[1], at[0], u.Caches, u.Patterns)
		}
	}
}

// answers asks everybody for everything.
func (w *world) answers(all []string) map[[2]string]reply {
	answers := make(map[[2]string]reply)
	for i := range w.sites {
		d := &w.sites[i]
		if !d.Config.Enabled {
			continue
		}
		for _, path := range all {
			answers[[2]string{d.ID, path}] = w.ask(d, path)
		}
	}
	return answers
}

func covered(targets []freshet.Target, at [2]string) bool {
	return slices.ContainsFunc(targets, func(t freshet.Target) bool { return t.Distribution == at[0] && t.Pattern.Covers(at[1]) })
}

// cached fails for targets that nothing can be cached under.
func (w *world) cached(t *rapid.T, targets []freshet.Target, all []string) {
	for _, target := range targets {
		if strings.Contains(target.Reason, "what a function rewrites to it") {
			continue // is cached by the behavior of another URL
		}
		i := slices.IndexFunc(w.sites, func(d distribution.Distribution) bool { return d.ID == target.Distribution })
		d := &w.sites[i]
		path, query, _ := strings.Cut(target.URL, "?")
		paths := []string{path}
		if strings.HasSuffix(path, "*") {
			paths = slices.DeleteFunc(append(slices.Clone(all), w.witnesses(d)...), func(u string) bool { return !freshet.Pattern(path).Covers(u) })
		}
		caches := func(path string) bool {
			b := w.behavior(d, path)
			caching, err := d.Caching(b)
			return err == nil && caching.Caches() && (query == "" || caching.QueryStrings.Mode != distribution.None)
		}
		if !slices.ContainsFunc(paths, caches) || !d.Config.Enabled {
			t.Errorf("%+v is a target, but nothing of it is cached", target)
		}
	}
}

// witnesses are paths that the patterns of d match and that are not among those
// with known segments.
func (w *world) witnesses(d *distribution.Distribution) (all []string) {
	for _, p := range d.Config.CacheBehaviors {
		for _, star := range []string{"", "z", "zz/z", "p/z", "img/z", "a/z"} {
			s := "/" + strings.TrimPrefix(p.PathPattern, "/")
			all = append(all, strings.NewReplacer("*", star, "?", "z").Replace(s))
		}
	}
	return append(all, "/z", "/p/z", "/img/z", "/p/zz", "/p/z/z")
}

// own fails if the own URLs of an object are not those that answer with it.
func (w *world) own(t *rapid.T, r *route.Router, object [2]string) {
	w.rules.Rewrites, w.rules.Derived, w.indexes, w.early = nil, nil, false, false
	w.objects = map[[2]string]string{object: "mine"}
	got := make(map[route.Own]bool)
	for _, o := range r.Own(object[0], object[1]) {
		got[o] = true
	}
	for i := range w.sites {
		d := &w.sites[i]
		for j := range w.sites[i].Config.Origins {
			prefix := strings.TrimPrefix(d.Config.Origins[j].OriginPath+"/", "/")
			rest, ok := strings.CutPrefix(object[1], prefix)
			if !ok {
				continue
			}
			o := route.Own{Distribution: d.ID, URL: freshet.KeyPaths(rest)[0]}
			a := w.ask(d, o.URL)
			if want := d.Config.Enabled && a.kept && a.content == "mine"; got[o] != want {
				t.Errorf("own URL %v: %v, want %v", o, got[o], want)
			}
		}
	}
}
