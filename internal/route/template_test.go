package route

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/freshet/freshet/internal/distribution"
)

// drawTemplate makes the text of a key template over few characters.
func drawTemplate(t *rapid.T, label string) string {
	var b strings.Builder
	names := []string{"x", "y", "z"}
	b.WriteString(rapid.StringMatching(`([ab][ab/]?)?`).Draw(t, label+" head"))
	for range rapid.IntRange(0, 3).Draw(t, label+" holes") {
		b.WriteString("{" + names[0] + "}" + rapid.StringMatching(`[ab/]{1,2}`).Draw(t, label+" literal"))
		names = names[1:]
	}
	if rapid.IntRange(0, 2).Draw(t, label+" rest") == 0 {
		b.WriteString("{rest...}")
	}
	if b.Len() == 0 {
		b.WriteString("a")
	}
	return b.String()
}

// oracle is the same as a regular expression.
func oracle(template string) *regexp.Regexp {
	s := regexp.MustCompile(`\{[a-z]+\.\.\.\}`).ReplaceAllString(template, `(?s:.*)`)
	s = regexp.MustCompile(`\{[a-z]+\}`).ReplaceAllString(s, `[^/]+`)
	return regexp.MustCompile(`\A(?:` + s + `)\z`)
}

// texts are all texts over three characters of up to six.
func texts() []string {
	all := []string{""}
	for from := 0; len(all[from]) < 6; from++ {
		for _, c := range []string{"a", "b", "/"} {
			all = append(all, all[from]+c)
		}
	}
	return all
}

func parsed(t interface{ Fatalf(string, ...any) }, text string) template {
	p, err := keyTemplate(text)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return p
}

func TestTemplatesOverlapWhereATextMatchesBoth(t *testing.T) {
	all := texts()
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawTemplate(t, "a"), drawTemplate(t, "b")
		ta, tb := parsed(t, a), parsed(t, b)
		ra, rb := oracle(a), oracle(b)
		example, ok := overlap(&ta, &tb, language.literal)
		if ok && (!ra.MatchString(example) || !rb.MatchString(example)) {
			t.Errorf("%s and %s do not both match %q", a, b, example)
		}
		i := slices.IndexFunc(all, func(s string) bool { return ra.MatchString(s) && rb.MatchString(s) })
		if i >= 0 && !ok {
			t.Errorf("%s and %s both match %q, but do not overlap", a, b, all[i])
		}
		if _, other := overlap(&tb, &ta, language.literal); other != ok {
			t.Errorf("%s overlaps %s: %v, the other way round: %v", a, b, ok, other)
		}
	})
}

func TestReadingsAreAllThereAre(t *testing.T) {
	all := texts()
	rapid.Check(t, func(t *rapid.T) {
		text := drawTemplate(t, "template")
		p, re := parsed(t, text), oracle(text)
		s := rapid.SampledFrom(all).Draw(t, "key")
		if rapid.Bool().Draw(t, "related") {
			s = regexp.MustCompile(`\{[a-z.]+\}`).ReplaceAllString(text, rapid.StringMatching(`[ab]{1,3}`).Draw(t, "value"))
		}
		readings, complete := p.readings(s)
		if (len(readings) > 0) != re.MatchString(s) || !complete {
			t.Errorf("%s has the readings %q of %q, complete: %v", text, readings, s, complete)
		}
		seen := make(map[string]bool)
		for _, values := range readings {
			back := text
			for i, h := range p.holes {
				if !h.rest && (values[i] == "" || strings.Contains(values[i], "/")) {
					t.Errorf("%s reads %q with %s = %q", text, s, h, values[i])
				}
				back = strings.Replace(back, h.String(), values[i], 1)
			}
			if id := strings.Join(values, "\x00"); back != s || seen[id] {
				t.Errorf("%s reads %q as %q, which is %q", text, s, values, back)
			} else {
				seen[id] = true
			}
		}
	})
}

// Two placeholders in a segment of n separators have one reading for each.
func TestReadingsAreCounted(t *testing.T) {
	two, six := parsed(t, "{a}-{b}.x"), parsed(t, "{a}-{b}-{c}-{d}-{e}-{f}/x{g}/y")
	for n := range 100 {
		key := strings.Repeat("v-", n) + "v.x"
		if all, complete := two.readings(key); len(all) != min(n, mostReadings) || complete != (n <= mostReadings) {
			t.Errorf("%d separators: %d readings, complete: %v", n, len(all), complete)
		}
	}
	// Nothing to find, though there are as many slashes, and more ways not to than anybody could try.
	if all, complete := six.readings(strings.Repeat("-", 500) + "/-y/y"); len(all) != 0 || !complete {
		t.Errorf("%d readings, complete: %v", len(all), complete)
	}
}

func TestTemplateText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		literal := rapid.StringMatching(`[a{}]{0,4}`)
		text := "k" + strings.NewReplacer("{", "{{", "}", "}}").Replace(literal.Draw(t, "a")) + "{x}" +
			strings.NewReplacer("{", "{{", "}", "}}").Replace("-"+literal.Draw(t, "b"))
		p := parsed(t, text)
		if p.String() != text || len(p.holes) != 1 {
			t.Errorf("%q is read as %q", text, p.String())
		}
	})
}

// among is held against matching one text after the other.
func TestAmongAgreesWithEnumeration(t *testing.T) {
	all := texts()
	pattern := rapid.StringMatching(`/[ab*?/]{0,4}`)
	rapid.Check(t, func(t *rapid.T) {
		prefix := "/" + rapid.StringMatching(`[ab/]{0,2}`).Draw(t, "prefix")
		in, out := pattern.Draw(t, "in"), rapid.SliceOfN(pattern, 0, 3).Draw(t, "out")
		l, _ := patternLanguage(in)
		languages := []language{language{}.literal(prefix).hole(hole{rest: true}), l}
		var excluded []language
		for _, p := range out {
			l, _ := patternLanguage(p)
			excluded = append(excluded, l)
		}
		matches := func(s string) bool {
			return strings.HasPrefix(s, prefix) && distribution.Match(in, s) &&
				!slices.ContainsFunc(out, func(p string) bool { return distribution.Match(p, s) })
		}
		got := among(languages, excluded)
		if i := slices.IndexFunc(all, func(s string) bool { return strings.HasPrefix(s, "/") && matches(s) }); i >= 0 && !got {
			t.Errorf("%s is in %s* and %s and not in %q", all[i], prefix, in, out)
		} else if i < 0 && got && !slices.ContainsFunc(all, func(s string) bool {
			return matches("/"+s+"zzzz") || matches("/"+s+"z") || matches("/zzzz"+s) || matches("/"+s+"zz"+s)
		}) {
			t.Errorf("nothing is in %s* and %s and not in %q", prefix, in, out)
		}
	})
}

// Patterns that no search could follow to the end are taken to match.
func TestAmongEnds(t *testing.T) {
	in, _ := patternLanguage("*a" + strings.Repeat("?", 40))
	out, _ := patternLanguage("*b" + strings.Repeat("?", 40))
	every := language{}.literal("/").hole(hole{rest: true})
	if !among([]language{every, in}, []language{out}) {
		t.Error("nothing is found")
	}
}

// The prepared patterns answer as Match does.
func TestBehaviorsAnswerAsConfigured(t *testing.T) {
	pattern := rapid.StringMatching(`/?[ab*?/.]{1,5}`)
	path := rapid.StringMatching(`/[ab/.]{0,7}`)
	rapid.Check(t, func(t *rapid.T) {
		var d distribution.Distribution
		for _, p := range rapid.SliceOfN(pattern, 0, 5).Draw(t, "patterns") {
			d.Config.CacheBehaviors = append(d.Config.CacheBehaviors, distribution.CacheBehavior{PathPattern: p})
		}
		s, err := newSite(d)
		if err != nil {
			t.Fatal(err)
		}
		p := path.Draw(t, "path")
		if got, want := s.behaviorOf(p), d.Config.BehaviorIndex(p); got != want {
			t.Errorf("%s is answered by %d, want %d of %+v", p, got, want, d.Config.CacheBehaviors)
		}
		for i, tried := range s.try(p) {
			if tried.Matches != (i == s.behaviorOf(p)) || tried.Reason == "" {
				t.Errorf("%d of %s: %+v", i, p, tried)
			}
		}
	})
}

func FuzzTemplate(f *testing.F) {
	for _, s := range []string{"a/{x}.json", "{x}-{y}", "{x...}", "{{x}}", "a{", "}", "{x}{y}", "a/{x}/{x}"} {
		f.Add(s, "a/b.json")
	}
	f.Fuzz(func(t *testing.T, text, key string) {
		if len(text) > 200 || len(key) > 200 {
			return // the limits have their own test, and comparing takes the product of the lengths
		}
		if u, err := parseURL(text); err == nil {
			for _, w := range u.ways(bound{key: &template{literals: []string{""}}}, "r") {
				if !strings.HasPrefix(w.path, "/") || (w.many == nil) != (len(u.path.holes) == 0) {
					t.Errorf("%q gives %+v", text, w)
				}
			}
		}
		p, err := keyTemplate(text)
		if err != nil {
			if err.Error() == "" {
				t.Error("an error without words")
			}
			return
		}
		if again, err := parseTemplate(p.String()); err != nil || again.String() != p.String() {
			t.Errorf("%q is read as %q, and that as %q, %v", text, p.String(), again.String(), err)
		}
		readings, _ := p.readings(key)
		for _, values := range readings {
			back := p.literals[0]
			for i := range p.holes {
				back += values[i] + p.literals[i+1]
			}
			if back != key {
				t.Errorf("%q reads %q as %q", text, key, values)
			}
		}
		if example, ok := overlap(&p, &p, language.literal); !ok || !p.matches(example) {
			t.Errorf("%q does not overlap itself at %q", text, example)
		}
	})
}

func TestTemplateLength(t *testing.T) {
	if _, err := keyTemplate(strings.Repeat("k", longestTemplate)); err != nil {
		t.Error(err)
	}
	if _, err := keyTemplate(strings.Repeat("k", longestTemplate+1)); err == nil || !strings.Contains(err.Error(), "1025 bytes") || len(err.Error()) > 200 {
		t.Errorf("%v", err)
	}
}
