package route

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// template is literal text with placeholders, of a key or of a part of a URL.
type template struct {
	literals []string // before, between and after the holes: one more than those
	holes    []hole
	slashes  int // in literals
}

// hole is a placeholder.
type hole struct {
	name string
	rest bool // {name...}
}

func (h hole) String() string {
	if h.rest {
		return "{" + h.name + "...}"
	}
	return "{" + h.name + "}"
}

// longestTemplate is the length of the longest object key, in bytes. It also
// bounds what it takes to compare two templates.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
const longestTemplate = 1024

// parseTemplate reads {name}, {name...}, {{ and }}. Placeholders must be told
// apart by literal text, and {name...} must be last, since otherwise nobody
// could say where the value of one ends.
func parseTemplate(text string) (template, error) {
	if len(text) > longestTemplate {
		return template{}, fmt.Errorf("is %d bytes long, at most %d are allowed", len(text), longestTemplate)
	}
	var t template
	var literal []byte
	for i := 0; i < len(text); {
		switch {
		case strings.HasPrefix(text[i:], "{{"), strings.HasPrefix(text[i:], "}}"):
			literal = append(literal, text[i])
			i += 2
		case text[i] == '}':
			return template{}, errors.New("has a } that closes nothing: a brace itself is written }}")
		case text[i] == '{':
			h, n, err := parseHole(text[i:])
			if err == nil {
				err = t.fits(h, len(literal))
			}
			if err != nil {
				return template{}, err
			}
			t.literals, t.holes = append(t.literals, string(literal)), append(t.holes, h)
			literal = literal[:0]
			i += n
		default:
			literal = append(literal, text[i])
			i++
		}
	}
	t.literals = append(t.literals, string(literal))
	for _, l := range t.literals {
		t.slashes += strings.Count(l, "/")
	}
	if n := len(t.holes); n > 0 && t.holes[n-1].rest && len(literal) > 0 {
		return template{}, fmt.Errorf("goes on after %s, which must be last", t.holes[n-1])
	}
	return t, nil
}

// parseHole reads the placeholder that text begins with and returns its length.
func parseHole(text string) (hole, int, error) {
	end := strings.IndexByte(text, '}')
	if end < 0 {
		return hole{}, 0, errors.New("has a { that is not closed: a brace itself is written {{")
	}
	var h hole
	h.name, h.rest = strings.CutSuffix(text[1:end], "...")
	for i := range len(h.name) {
		c := h.name[i]
		if c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return hole{}, 0, fmt.Errorf("has the placeholder %s: names are letters, digits and underscores", text[:end+1])
		}
	}
	if h.name == "" {
		return hole{}, 0, fmt.Errorf("has a placeholder without a name, %s", text[:end+1])
	}
	return h, end + 1, nil
}

// fits reports why h cannot be the next placeholder after literal bytes of text.
func (t *template) fits(h hole, literal int) error {
	n := len(t.holes)
	switch {
	case n > 0 && t.holes[n-1].rest:
		return fmt.Errorf("goes on after %s, which must be last", t.holes[n-1])
	case n > 0 && literal == 0:
		return fmt.Errorf("has nothing between %s and %s: where the one ends could not be told", t.holes[n-1], h)
	case slices.ContainsFunc(t.holes, func(o hole) bool { return o.name == h.name }):
		return fmt.Errorf("has {%s} twice", h.name)
	}
	return nil
}

// String is what parseTemplate reads as t.
func (t *template) String() string {
	braces := strings.NewReplacer("{", "{{", "}", "}}")
	var b strings.Builder
	for i, h := range t.holes {
		b.WriteString(braces.Replace(t.literals[i]))
		b.WriteString(h.String())
	}
	b.WriteString(braces.Replace(t.literals[len(t.holes)]))
	return b.String()
}

// find returns where the placeholder with a name stands, or -1.
func (t *template) find(name string) int {
	return slices.IndexFunc(t.holes, func(h hole) bool { return h.name == name })
}

// mostReadings is how many ways to read one key are told apart.
const mostReadings = 64

// readings returns all ways in which t matches s: {a}-{b} matches x-y-z in two.
// Each has the values in the order of the placeholders. complete is false where
// there are more than mostReadings.
func (t *template) readings(s string) (all [][]string, complete bool) {
	last := len(t.holes)
	if last == 0 {
		if s != t.literals[0] {
			return nil, true
		}
		return [][]string{{}}, true
	}
	rest, ok := strings.CutPrefix(s, t.literals[0])
	if !ok || !strings.HasSuffix(rest, t.literals[last]) {
		return nil, true
	}
	// Only the rest has slashes of its own.
	if n := strings.Count(s, "/"); n < t.slashes || n > t.slashes && !t.holes[last-1].rest {
		return nil, true
	}
	r := reader{t: t, values: make([]string, last)}
	r.read(0, rest)
	return r.all, !r.tooMany
}

// reader looks for the readings of one text.
type reader struct {
	t       *template
	values  []string
	all     [][]string
	tooMany bool
	dead    map[[2]int]bool // placeholder and length of what is left, where it leads nowhere
}

// read lets placeholder i begin where s does.
func (r *reader) read(i int, s string) (found bool) {
	if r.tooMany || r.dead[[2]int{i, len(s)}] {
		return false
	}
	next := r.t.literals[i+1]
	if i == len(r.t.holes)-1 {
		return r.finish(i, s, next)
	}
	for end := 1; end <= len(s) && s[end-1] != '/'; end++ {
		if !strings.HasPrefix(s[end:], next) {
			continue
		}
		r.values[i] = s[:end]
		found = r.read(i+1, s[end+len(next):]) || found
	}
	if !found && !r.tooMany {
		if r.dead == nil {
			r.dead = make(map[[2]int]bool)
		}
		r.dead[[2]int{i, len(s)}] = true
	}
	return found
}

// finish gives the last placeholder what is left before the last literal.
func (r *reader) finish(i int, s, next string) bool {
	value, ok := strings.CutSuffix(s, next)
	if !ok || !r.t.holes[i].rest && (value == "" || strings.Contains(value, "/")) {
		return false
	}
	if len(r.all) == mostReadings {
		r.tooMany = true
		return false
	}
	r.values[i] = value
	r.all = append(r.all, slices.Clone(r.values))
	return true
}
