package route

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/distribution"
)

// urlTemplate is a URL with placeholders, its literals canonical.
type urlTemplate struct {
	text  string
	path  template
	query []template // parameters with their names; nil: the URL has no query string
	all   bool       // it has every placeholder of its rule's key
}

// parseURL reads a path with or without a query string.
func parseURL(text string) (urlTemplate, error) {
	u := urlTemplate{text: text}
	if !strings.HasPrefix(text, "/") || strings.Contains(text, "#") {
		return u, fmt.Errorf("url %q must be a path that begins with a slash, perhaps with a query string, without host and fragment", shorten(text))
	}
	if _, err := parseTemplate(text); err != nil { // what holds of the whole
		return u, fmt.Errorf("url %q %w", shorten(text), err)
	}
	path, query, queried := strings.Cut(text, "?")
	var problems []error
	part := func(text string, canonical func(string) string) template {
		t, err := parseTemplate(text)
		problems = append(problems, err)
		for i, l := range t.literals {
			t.literals[i] = canonical(l)
		}
		return t
	}
	u.path = part(path, freshet.CanonicalPath)
	if queried {
		u.query = []template{}
		for parameter := range strings.SplitSeq(query, "&") {
			u.query = append(u.query, part(parameter, freshet.CanonicalQuery))
		}
	}
	if err := errors.Join(problems...); err != nil {
		return u, fmt.Errorf("url %q %w", shorten(text), err)
	}
	return u, nil
}

// holes lists the placeholders of all parts.
func (u *urlTemplate) holes() []hole {
	all := slices.Clone(u.path.holes)
	for _, q := range u.query {
		all = append(all, q.holes...)
	}
	return all
}

// bound is one reading of a key. Without values no placeholder has one.
type bound struct {
	key    *template
	values []string
}

func (b bound) value(name string) (string, bool) {
	if i := b.key.find(name); i >= 0 && b.values != nil {
		return b.values[i], true
	}
	return "", false
}

// spell writes t with the values of b. cut is true where it ends before a
// placeholder that has none.
func (t *template) spell(b bound, escape func(string) string) (text string, cut bool) {
	text = t.literals[0]
	for i, h := range t.holes {
		value, ok := b.value(h.name)
		if !ok {
			return text, true
		}
		text += escape(value) + t.literals[i+1]
	}
	return text, false
}

// withSpaces are the escapings of a value in a path, as those of a key: viewers
// write spaces in two ways.
func withSpaces() []func(string) string {
	escape := func(spelling int) func(string) string {
		return func(value string) string {
			all := freshet.KeyPaths(value)
			return all[min(spelling, len(all)-1)][1:]
		}
	}
	return []func(string) string{escape(0), escape(1)}
}

// inQuery are the escapings of a value in a query string: with no more escapes
// than it takes, as encodeURIComponent does, and as forms do. CloudFront tells
// them apart.
func inQuery() []func(string) string {
	plain := func(value string) string {
		return strings.ReplaceAll(freshet.KeyPaths(value)[0][1:], "&", "%26")
	}
	component := func(value string) string {
		s := strings.ReplaceAll(url.QueryEscape(value), "+", "%20")
		return strings.NewReplacer("%21", "!", "%27", "'", "%28", "(", "%29", ")", "%2A", "*").Replace(s)
	}
	form := func(value string) string {
		return strings.NewReplacer("~", "%7E", "%2A", "*").Replace(url.QueryEscape(value))
	}
	return []func(string) string{plain, component, form}
}

// ways returns the URLs of u for one reading of a key. Where the path has a
// placeholder without a value it is one way for many URLs.
func (u *urlTemplate) ways(b bound, reason string) (all []way) {
	for _, escape := range withSpaces() {
		w := way{reason: reason, lists: !u.all}
		var cut bool
		if w.path, cut = u.path.spell(b, escape); cut {
			w.many = u.path.of(b, escape)
		} else if u.query != nil {
			w.query = &query{u, b}
		}
		if len(all) == 0 || all[0].path != w.path {
			all = append(all, w)
		}
	}
	return all
}

// of is the language of t where b's values stand for their placeholders.
func (t *template) of(b bound, escape func(string) string) language {
	var l language
	for i, h := range t.holes {
		l = l.literal(t.literals[i])
		if value, ok := b.value(h.name); ok {
			l = l.literal(escape(value))
		} else {
			l = l.hole(h)
		}
	}
	return l.literal(t.literals[len(t.holes)])
}

// query is the query string of a URL, before a behavior says what of it is in
// the cache key.
type query struct {
	u *urlTemplate
	b bound
}

// spellings returns the query strings under which a behavior with the given
// selection caches the URL. A * at the end stands for a value that is not known.
// Nothing comes back where none of the parameters is in the cache key.
func (q *query) spellings(s distribution.Selection) (all []string) {
	for _, escape := range inQuery() {
		if text := q.spell(s, escape); text != "" && !slices.Contains(all, text) {
			all = append(all, text)
		}
	}
	return all
}

func (q *query) spell(s distribution.Selection, escape func(string) string) string {
	var parts []string
	for i := range q.u.query {
		t := &q.u.query[i]
		name, _, named := strings.Cut(t.literals[0], "=")
		if (named || len(t.holes) == 0) && !inKey(s, name) {
			continue
		}
		text, cut := t.spell(q.b, escape)
		if cut {
			return strings.Join(append(parts, text+"*"), "&")
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, "&")
}

// inKey reports whether the query string parameter of that name is in the cache
// key. Letter case counts.
func inKey(s distribution.Selection, name string) bool {
	switch s.Mode {
	case distribution.All:
		return true
	case distribution.None:
		return false
	default:
		return slices.Contains(s.Names, name) == (s.Mode == distribution.Listed)
	}
}
