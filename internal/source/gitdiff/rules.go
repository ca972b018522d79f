package gitdiff

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Rules say which objects are made of which paths of a repository. A path has
// the keys of all rules that it fits, each once. Without Folder and Maps every
// path is a key.
type Rules struct {
	Folder string // its files become keys without its name; empty: no such rule, unless there are no Maps either
	Maps   []Map
	Prefix string // put before every key, with a slash in between
}

// Map makes a key of each path that fits its left side. Both sides are text
// with placeholders: {name} is one or more bytes other than a slash, {name...}
// is any run of bytes, slashes included, which may be empty; {{ and }} are
// braces. A right side that is empty says that nothing is made of such paths,
// whatever other rules say.
//
// Where a path can be read in several ways, each placeholder from the left takes
// as little as it can.
type Map struct {
	text  string
	left  *regexp.Regexp
	start string // what every path that fits begins with
	right []part
}

// part of a right side is literal text, or what a placeholder stands for.
type part struct {
	literal string
	hole    string // empty: literal
}

// arrow stands between the sides of a rule.
const arrow = "=>"

// mostRule is how long a rule may be, in bytes.
const mostRule = 4096

// ParseMap reads "content/{page...}.md => {page}/index.html". Spaces around the
// arrow, the last one in the text, belong to neither side.
func ParseMap(text string) (Map, error) {
	m, err := parseMap(text)
	if err != nil {
		return Map{}, fmt.Errorf("rule %q: %w; it is written as content/{page...}.md => {page}/index.html", clip(text), err)
	}
	return m, nil
}

func parseMap(text string) (Map, error) {
	at := strings.LastIndex(text, arrow)
	if len(text) > mostRule {
		return Map{}, fmt.Errorf("it has more than %d bytes", mostRule)
	}
	if at < 0 {
		return Map{}, errors.New("it has no " + arrow)
	}
	m := Map{text: text}
	left, err := parts(strings.TrimRight(text[:at], " "))
	if err != nil {
		return Map{}, fmt.Errorf("left side: %w", err)
	}
	if len(left) == 0 {
		return Map{}, errors.New("left side: it is empty")
	}
	if m.right, err = parts(strings.TrimLeft(text[at+len(arrow):], " ")); err != nil {
		return Map{}, fmt.Errorf("right side: %w", err)
	}
	if err := m.compile(left); err != nil {
		return Map{}, err
	}
	return m, nil
}

// compile makes the expression of the left side, and finds every placeholder of
// the right side in it.
func (m *Map) compile(left []part) error {
	var b strings.Builder
	b.WriteString(`(?s)\A`)
	names := make(map[string]bool)
	for i, p := range left {
		name, rest := strings.CutSuffix(p.hole, "...")
		switch {
		case p.hole == "":
			b.WriteString(quoteBytes(p.literal))
		case names[name]:
			return fmt.Errorf("left side: {%s} stands there twice", name)
		case i > 0 && left[i-1].hole != "":
			return fmt.Errorf("left side: nothing stands between {%s} and {%s}: where the one ends could not be told", left[i-1].hole, p.hole)
		case rest:
			fmt.Fprintf(&b, "(?P<%s>.*?)", name)
		default:
			fmt.Fprintf(&b, "(?P<%s>[^/]+?)", name)
		}
		names[name] = true
	}
	b.WriteString(`\z`)
	if left[0].hole == "" {
		m.start = left[0].literal
	}
	var err error
	if m.left, err = regexp.Compile(b.String()); err != nil {
		return fmt.Errorf("left side: %w", err)
	}
	for i, p := range m.right {
		name := strings.TrimSuffix(p.hole, "...")
		if m.right[i].hole = name; p.hole != "" && !names[name] {
			return fmt.Errorf("right side: {%s} does not stand on the left", p.hole)
		}
	}
	return nil
}

// quoteBytes is an expression for literal text. Paths that are not UTF-8 have no
// place in it, since an expression cannot say them; they are no keys anyway.
func quoteBytes(s string) string { return regexp.QuoteMeta(strings.ToValidUTF8(s, "\uFFFD")) }

// parts takes text with placeholders apart.
func parts(text string) (all []part, err error) {
	var literal []byte
	flush := func() {
		if len(literal) > 0 {
			all = append(all, part{literal: string(literal)})
			literal = nil
		}
	}
	for i := 0; i < len(text); {
		switch {
		case strings.HasPrefix(text[i:], "{{"), strings.HasPrefix(text[i:], "}}"):
			literal = append(literal, text[i])
			i += 2
		case text[i] == '}':
			return nil, errors.New("a } closes nothing: a brace itself is written }}")
		case text[i] == '{':
			end := strings.IndexByte(text[i:], '}')
			if end < 0 {
				return nil, errors.New("a { is not closed: a brace itself is written {{")
			}
			hole := text[i+1 : i+end]
			if !placeholder(strings.TrimSuffix(hole, "...")) {
				return nil, fmt.Errorf("{%s} is no placeholder: its name is a letter, then letters, digits and underscores", clip(hole))
			}
			flush()
			all = append(all, part{hole: hole})
			i += end + 1
		default:
			literal = append(literal, text[i])
			i++
		}
	}
	flush()
	return all, nil
}

func placeholder(name string) bool {
	for i := range len(name) {
		c := name[i] | 0x20
		if letter := 'a' <= c && c <= 'z'; !letter && (i == 0 || name[i] != '_' && (name[i] < '0' || name[i] > '9')) {
			return false
		}
	}
	return name != ""
}

// String is the rule as it was written.
func (m Map) String() string { return m.text }

// UnmarshalText reads what ParseMap reads.
func (m *Map) UnmarshalText(text []byte) (err error) {
	*m, err = ParseMap(string(text))
	return err
}

// MarshalText writes what ParseMap reads.
func (m Map) MarshalText() ([]byte, error) { return []byte(m.text), nil }

// key returns what the rule makes of a path. The key is empty where nothing is
// to be made of it.
func (m Map) key(path string) (key string, fits bool) {
	if !strings.HasPrefix(path, m.start) {
		return "", false
	}
	found := m.left.FindStringSubmatch(path)
	if found == nil {
		return "", false
	}
	var b strings.Builder
	for _, p := range m.right {
		b.WriteString(p.literal)
		if p.hole != "" {
			b.WriteString(found[m.left.SubexpIndex(p.hole)])
		}
	}
	return b.String(), true
}

// Keys returns the keys that are made of a path, sorted, and none where no rule
// is about it or one says that nothing is made of it.
func (r Rules) Keys(path string) (keys []string) {
	for _, m := range r.Maps {
		key, fits := m.key(path)
		switch {
		case fits && len(m.right) == 0:
			return nil
		case fits:
			keys = append(keys, r.prefixed(key))
		}
	}
	folder := clean(r.Folder)
	switch {
	case r.Folder == "" && len(r.Maps) > 0:
	case folder == "":
		keys = append(keys, r.prefixed(path))
	default:
		if key, below := strings.CutPrefix(path, folder+"/"); below {
			keys = append(keys, r.prefixed(key))
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// About reports whether a path below the folder might have keys. It may be wrong
// only by saying that it might.
func (r Rules) About(folder string) bool {
	folder += "/"
	near := func(start string) bool { return strings.HasPrefix(folder, start) || strings.HasPrefix(start, folder) }
	for _, m := range r.Maps {
		if len(m.right) > 0 && near(m.start) {
			return true
		}
	}
	own := clean(r.Folder)
	return (r.Folder != "" || len(r.Maps) == 0) && (own == "" || near(own+"/"))
}

// clean is a folder without a slash at its ends; . is the top.
func clean(folder string) string {
	folder = strings.Trim(folder, "/")
	for strings.HasPrefix(folder, "./") {
		folder = strings.TrimLeft(folder[2:], "/")
	}
	if folder == "." {
		return ""
	}
	return folder
}

func (r Rules) prefixed(key string) string {
	if p := strings.Trim(r.Prefix, "/"); p != "" && key != "" {
		return p + "/" + key
	}
	return key
}
