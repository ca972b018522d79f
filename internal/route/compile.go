package route

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/distribution"
)

// compiled is a set of rules, checked and prepared.
type compiled struct {
	index    []string // names of index documents
	skipNew  bool
	expire   bool
	rewrites []rule
	derived  []rule
	groups   []group
	sources  []Source
}

// rule is a Rewrite or a Derived: URLs that a key has to do with.
type rule struct {
	name     string // where it stands in the configuration
	key      template
	urls     []urlTemplate
	reason   string
	fallback bool
	sites    []string // IDs; empty: those that the bucket feeds
}

// group is a Group.
type group struct {
	name string
	keys []template
}

// compile checks rules against each other and against the distributions with
// the given IDs.
func compile(rules Rules, ids []string) (compiled, error) {
	c := compiled{index: rules.IndexDocuments, sources: rules.Sources}
	if c.index == nil {
		c.index = []string{"index.html"}
	}
	problems := slices.Concat(c.settings(rules), c.compileRewrites(rules.Rewrites, ids), c.compileDerived(rules.Derived, ids))
	for i, g := range rules.Groups {
		made, err := compileGroup(g)
		c.groups = append(c.groups, made)
		problems = append(problems, named(fmt.Sprintf("groups[%d] (%s)", i, g.Name), err)...)
	}
	if len(problems) == 0 { // templates that could not be read would only confuse
		problems = c.overlaps()
	}
	return c, errors.Join(problems...)
}

// Check returns everything that is wrong with r by itself, joined. Whether there
// are the distributions that it names, only New can say.
func (r Rules) Check() error {
	var ids []string
	for _, w := range r.Rewrites {
		ids = append(ids, w.Distributions...)
	}
	for _, d := range r.Derived {
		ids = append(ids, d.Distributions...)
	}
	_, err := compile(r, ids)
	return err
}

func (c *compiled) settings(rules Rules) (problems []error) {
	for i, name := range c.index {
		if name == "" || strings.Contains(name, "/") {
			problems = append(problems, fmt.Errorf("index_documents[%d]: %q is no file name", i, name))
		}
	}
	var pages, objects error
	c.skipNew, objects = oneOf(rules.NewObjects, Invalidate, Skip)
	c.expire, pages = oneOf(rules.ErrorPages, Clear, Expire)
	return slices.Concat(problems, named("new_objects", objects), named("error_pages", pages))
}

func (c *compiled) compileRewrites(rewrites []Rewrite, ids []string) (problems []error) {
	for i, w := range rewrites {
		r, err := compileRewrite(w)
		r.name = fmt.Sprintf("rewrites[%d]", i)
		r.explain("a function rewrites " + w.URL + " to " + w.Key)
		c.rewrites = append(c.rewrites, r)
		problems = append(problems, named(r.name, errors.Join(err, known(w.Distributions, ids)))...)
	}
	return problems
}

func (c *compiled) compileDerived(derived []Derived, ids []string) (problems []error) {
	for i, d := range derived {
		r, err := compileDerived(d)
		r.name = fmt.Sprintf("derived[%d]", i)
		r.explain("made from " + d.Key)
		c.derived = append(c.derived, r)
		problems = append(problems, named(r.name, errors.Join(err, known(d.Distributions, ids)))...)
	}
	return problems
}

// named puts a name before each of the errors that err joins.
func named(name string, err error) (all []error) {
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range several.Unwrap() {
			all = append(all, named(name, one)...)
		}
		return all
	}
	if err == nil {
		return nil
	}
	return []error{fmt.Errorf("%s: %w", name, err)}
}

// oneOf reports whether value is the second of two words and not the first,
// which is also what no word means.
func oneOf(value, first, second string) (bool, error) {
	switch value {
	case "", first:
		return false, nil
	case second:
		return true, nil
	}
	return false, fmt.Errorf("is %q: write %s or %s", value, first, second)
}

func known(wanted, ids []string) error {
	var problems []error
	for _, id := range wanted {
		if !slices.Contains(ids, id) {
			problems = append(problems, fmt.Errorf("there is no distribution %s", id))
		}
	}
	return errors.Join(problems...)
}

// explain sets the reason of all URLs.
func (r *rule) explain(reason string) {
	r.reason = r.name + ": " + reason
	if r.fallback {
		r.reason += " where no object answers"
	}
}

func compileRewrite(w Rewrite) (rule, error) {
	r := rule{fallback: w.Fallback, sites: w.Distributions}
	var err error
	if r.key, err = keyTemplate(w.Key); err != nil {
		return r, err
	}
	u, err := parseURL(w.URL)
	if err != nil {
		return r, err
	}
	if u.query != nil {
		return r, fmt.Errorf("url %q has a query string: a rewrite is of a path", w.URL)
	}
	u.all = r.key.allIn(&u)
	r.urls = []urlTemplate{u}
	return r, r.key.agrees(&u)
}

func compileDerived(d Derived) (rule, error) {
	r := rule{sites: d.Distributions}
	var err error
	if r.key, err = keyTemplate(d.Key); err != nil {
		return r, err
	}
	var problems []error
	if len(d.URLs) == 0 {
		problems = append(problems, errors.New("names no urls"))
	}
	for _, text := range d.URLs {
		u, err := parseURL(text)
		if err == nil {
			err = r.key.agrees(&u)
		}
		problems = append(problems, err)
		u.all = r.key.allIn(&u)
		r.urls = append(r.urls, u)
	}
	return r, errors.Join(problems...)
}

func compileGroup(g Group) (group, error) {
	made := group{name: g.Name}
	var problems []error
	if g.Name == "" {
		problems = append(problems, errors.New("has no name"))
	}
	if len(g.Keys) == 0 {
		problems = append(problems, errors.New("names no keys"))
	}
	for _, text := range g.Keys {
		t, err := keyTemplate(text)
		made.keys = append(made.keys, t)
		problems = append(problems, err)
	}
	return made, errors.Join(problems...)
}

func keyTemplate(text string) (template, error) {
	t, err := parseTemplate(text)
	switch {
	case err != nil:
		return t, fmt.Errorf("key %q %w", shorten(text), err)
	case text == "":
		return t, errors.New("has no key")
	case text[0] == '/':
		return t, fmt.Errorf("key %q begins with a slash: keys do not, paths do", text)
	}
	return t, nil
}

// shorten keeps errors readable where the configuration is not.
func shorten(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}

// agrees checks that the placeholders which t and u share are of one form.
func (t *template) agrees(u *urlTemplate) error {
	for _, h := range u.holes() {
		if i := t.find(h.name); i >= 0 && t.holes[i] != h {
			return fmt.Errorf("has %s in the key and %s in the url", t.holes[i], h)
		}
	}
	return nil
}

// allIn reports whether each placeholder of t is in u, so that no two keys
// share a URL.
func (t *template) allIn(u *urlTemplate) bool {
	in := u.holes()
	return !slices.ContainsFunc(t.holes, func(h hole) bool { return !slices.Contains(in, h) })
}

// overlaps finds rules of which only one could hold: two that would derive from
// one key, two that would rewrite one URL, two groups that one key would be in.
// Fallbacks stand behind all others and overlap by their nature.
func (c *compiled) overlaps() []error {
	var problems []error
	for i, a := range c.derived {
		for _, b := range c.derived[:i] {
			if text, ok := overlap(&a.key, &b.key, language.literal); ok && shareSites(a.sites, b.sites) {
				problems = append(problems, fmt.Errorf("%s (%s) and %s (%s) both match the key %q", b.name, &b.key, a.name, &a.key, text))
			}
		}
	}
	for i, a := range c.rewrites {
		for _, b := range c.rewrites[:i] {
			if a.fallback || b.fallback || !shareSites(a.sites, b.sites) {
				continue
			}
			if text, ok := overlap(&a.urls[0].path, &b.urls[0].path, language.urlLiteral); ok {
				problems = append(problems, fmt.Errorf("%s (%s) and %s (%s) both match the URL %q", b.name, b.urls[0].text, a.name, a.urls[0].text, text))
			}
		}
	}
	for i, a := range c.groups {
		for _, b := range c.groups[:i] {
			problems = append(problems, a.overlaps(&b)...)
		}
	}
	return problems
}

// shareSites reports whether a rule for the distributions a and one for b may
// both hold at one; no list stands for any.
func shareSites(a, b []string) bool {
	return len(a) == 0 || len(b) == 0 || slices.ContainsFunc(a, func(id string) bool { return slices.Contains(b, id) })
}

func (g *group) overlaps(o *group) (problems []error) {
	for _, a := range g.keys {
		for _, b := range o.keys {
			if text, ok := overlap(&a, &b, language.literal); ok {
				problems = append(problems, fmt.Errorf("groups %s (%s) and %s (%s) both match the key %q", o.name, &b, g.name, &a, text))
			}
		}
	}
	return problems
}

// overlap returns a text that both templates match. Literal ends that exclude
// each other are the common case, and decided first.
func overlap(a, b *template, literal func(language, string) language) (string, bool) {
	headA, headB := a.literals[0], b.literals[0]
	tailA, tailB := a.literals[len(a.holes)], b.literals[len(b.holes)]
	if !strings.HasPrefix(headA, headB) && !strings.HasPrefix(headB, headA) ||
		!strings.HasSuffix(tailA, tailB) && !strings.HasSuffix(tailB, tailA) {
		return "", false
	}
	text, ok := meet(a.language(literal), b.language(literal))
	return spelled(text), ok
}

// groupOf returns the name of the group that key is in, or nothing.
func (c *compiled) groupOf(key string) string {
	for i := range c.groups {
		for j := range c.groups[i].keys {
			if c.groups[i].keys[j].matches(key) {
				return c.groups[i].name
			}
		}
	}
	return ""
}

// matches reports whether there is a reading of s.
func (t *template) matches(s string) bool {
	all, complete := t.readings(s)
	return len(all) > 0 || !complete
}

// filtered returns why changes of a key are not routed, or nothing.
func (c *compiled) filtered(bucket, key string) string {
	if IsRecord(key) {
		return "a record that deploys leave for each other beside the site, which no viewer is meant to see"
	}
	sourced := false
	for i := range c.sources {
		s := &c.sources[i]
		if s.Bucket != "" && s.Bucket != bucket {
			continue
		}
		if sourced = true; s.passes(key) {
			return ""
		}
	}
	if !sourced {
		return ""
	}
	return "filtered: no source of bucket " + bucket + " lets the key pass"
}

func (s *Source) passes(key string) bool {
	return some(s.Prefix, key, strings.HasPrefix) && some(s.Suffix, key, strings.HasSuffix) && some(s.Include, key, globbed) &&
		!slices.ContainsFunc(s.Exclude, func(glob string) bool { return globbed(key, glob) })
}

// some reports whether key fits one of list, or list is empty.
func some(list []string, key string, fits func(key, part string) bool) bool {
	return len(list) == 0 || slices.ContainsFunc(list, func(part string) bool { return fits(key, part) })
}

// globbed reports whether glob matches all of key. The slashes are for Match,
// which overlooks one.
func globbed(key, glob string) bool { return distribution.Match("/"+glob, "/"+key) }

// canonicalPath is CanonicalPath of a path that may lack its slash.
func canonicalPath(path string) string {
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	return freshet.CanonicalPath(path)
}

// IsRecord reports whether a folder in the key is one that freshet deploy keeps
// its state in.
func IsRecord(key string) bool {
	return strings.HasPrefix(key, ".freshet/") || strings.Contains(key, "/.freshet/")
}
