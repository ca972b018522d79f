// Package work decides what is to be done after a change: which rules match a
// key, what they run, what that makes, and whether rules feed each other for
// ever. It does nothing of it; worker does.
package work

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
)

// Rule says what is run after a change of objects whose keys match, and what is
// made of them.
type Rule struct {
	Name        string // by which it is known; empty: Match
	Match       string // glob: * is any run of characters, slashes included, and ? exactly one
	Except      []string
	Run         []string // program and arguments, with placeholders; no shell
	Environment map[string]string
	Path        string // folders in which the program is looked for, separated by colons
	Timeout     time.Duration
	Outputs     []Output
	Also        []string // URLs of what shows the outputs, invalidated with them
	MaxOutput   int64    // bytes that may be written altogether
	Retries     int      // after the first failure
	Keep        bool     // the outputs, when the object is deleted
}

// Output is a file that a rule makes, and the object that it becomes.
type Output struct {
	File         string // in the folder in which the program runs
	Key          string
	Type         string // media type; empty: by the key's ending
	CacheControl string
	Optional     bool // it need not be there
}

// What holds where a rule says nothing.
const (
	DefaultPath      = "/usr/local/bin:/usr/bin:/bin"
	DefaultTimeout   = 5 * time.Minute
	DefaultMaxOutput = 256 << 20
	DefaultRetries   = 3
)

// ID is the name by which the rule is known.
func (r Rule) ID() string { return cmp.Or(r.Name, r.Match) }

// Matches reports whether the rule is about an object. Keys that end in a slash
// are folders, about which nothing is.
func (r Rule) Matches(key string) bool {
	if key == "" || strings.HasSuffix(key, "/") || !globMatches(r.Match, key) {
		return false
	}
	return !slices.ContainsFunc(r.Except, func(glob string) bool { return globMatches(glob, key) })
}

// Matching returns the rules that are about an object.
func Matching(rules []Rule, key string) (matching []Rule) {
	for _, r := range rules {
		if r.Matches(key) {
			matching = append(matching, r)
		}
	}
	return matching
}

// The placeholders.
const (
	holeIn   = "in"   // path of the file with the object
	holeKey  = "key"  // the whole object key
	holeDir  = "dir"  // of the key, without a slash at the end; . where there is none
	holeName = "name" // what follows the last slash
	holeStem = "stem" // that, without its ending
	holeExt  = "ext"  // the ending, without the full stop
)

// Values are what placeholders stand for.
type Values map[string]string

// ValuesOf returns what placeholders stand for where the object has a key and is
// at hand as a file.
func ValuesOf(key, file string) Values {
	dir, name := ".", key
	if i := strings.LastIndexByte(key, '/'); i >= 0 {
		dir, name = key[:i], key[i+1:] // a key is no path, so that .. in it means nothing
	}
	ext := path.Ext(name)
	if ext == name { // of a file such as .htaccess
		ext = ""
	}
	return Values{
		holeIn: file, holeKey: key, holeDir: dir, holeName: name,
		holeStem: strings.TrimSuffix(name, ext), holeExt: strings.TrimPrefix(ext, "."),
	}
}

// Expand puts values in the place of {name}; {{ and }} are braces.
func (v Values) Expand(template string) (string, error) {
	var b strings.Builder
	err := eachPart(template, func(literal string) { b.WriteString(literal) }, func(hole string) error {
		value, ok := v[hole]
		if !ok {
			return fmt.Errorf("%q: there is no {%s}", template, hole)
		}
		b.WriteString(value)
		return nil
	})
	return b.String(), err
}

// eachPart calls text and hole for the parts of a template, in their order.
func eachPart(template string, text func(string), hole func(string) error) error {
	for rest := template; rest != ""; {
		i := strings.IndexAny(rest, "{}")
		switch {
		case i < 0:
			text(rest)
			return nil
		case strings.HasPrefix(rest[i:], "{{"), strings.HasPrefix(rest[i:], "}}"):
			text(rest[:i+1])
			rest = rest[i+2:]
			continue
		case rest[i] == '}':
			return fmt.Errorf("%q: a } closes nothing; a brace itself is written }}", template)
		}
		end := strings.IndexByte(rest[i:], '}')
		if end < 0 {
			return fmt.Errorf("%q: a { is not closed; a brace itself is written {{", template)
		}
		text(rest[:i])
		if err := hole(rest[i+1 : i+end]); err != nil {
			return err
		}
		rest = rest[i+end+1:]
	}
	return nil
}

// Made is an object that a rule is to make of another.
type Made struct {
	Output

	FileName, ObjectKey string // expanded
}

// Makes returns what the rule makes of an object.
func (r Rule) Makes(key string) (all []Made, err error) {
	values := ValuesOf(key, "")
	for _, o := range r.Outputs {
		m := Made{Output: o}
		if m.FileName, err = values.Expand(o.File); err != nil {
			return nil, err
		}
		if m.ObjectKey, err = values.Expand(o.Key); err != nil {
			return nil, err
		}
		m.ObjectKey = strings.TrimPrefix(m.ObjectKey, "./") // of objects that are in no folder
		all = append(all, m)
	}
	return all, nil
}

// Describe says what is done after a change of an object, and which rules may
// have made it.
func Describe(rules []Rule, key string) (lines []string) {
	for _, r := range Matching(rules, key) {
		made, err := r.Makes(key)
		if err != nil {
			continue
		}
		var keys []string
		for _, m := range made {
			keys = append(keys, m.ObjectKey)
		}
		line := fmt.Sprintf("after a change work %s runs %s, which makes %s", r.ID(), r.Run[0], strings.Join(keys, ", "))
		if also, err := expandAll(ValuesOf(key, ""), r.Also); err == nil && len(also) > 0 {
			line += "; " + strings.Join(also, ", ") + " are invalidated with them"
		}
		lines = append(lines, line)
	}
	for _, r := range rules {
		for _, o := range r.Outputs {
			if slices.ContainsFunc(keysOf(o.Key), func(made []token) bool { return meet(made, literalTokens(key)) }) {
				lines = append(lines, fmt.Sprintf("work %s makes it, as %s, of what matches %s", r.ID(), o.Key, r.Match))
			}
		}
	}
	return lines
}

func expandAll(v Values, templates []string) (all []string, err error) {
	for _, t := range templates {
		text, err := v.Expand(t)
		if err != nil {
			return nil, err
		}
		all = append(all, text)
	}
	return all, nil
}
