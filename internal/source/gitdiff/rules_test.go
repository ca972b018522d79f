package gitdiff_test

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/freshet/freshet/internal/source/gitdiff"
)

func rules(t testing.TB, folder string, texts ...string) gitdiff.Rules {
	t.Helper()
	r := gitdiff.Rules{Folder: folder}
	for _, text := range texts {
		m, err := gitdiff.ParseMap(text)
		if err != nil {
			t.Fatal(err)
		}
		r.Maps = append(r.Maps, m)
	}
	return r
}

func TestKeys(t *testing.T) {
	pages := []string{"content/{page...}.md => {page}/index.html", "content/{page...}.md=>{page}.html", "static/{rest...} => {rest...}", "content/drafts/{any...} =>"}
	for _, tt := range []struct {
		name  string
		rules gitdiff.Rules
		keys  map[string]string // path to keys with spaces in between
	}{
		{"no rule", rules(t, ""), map[string]string{"a/b": "a/b"}},
		{"a folder", rules(t, "public"), map[string]string{"public/a/b": "a/b", "public": "", "publica/b": "", "src/public/a": ""}},
		{"a folder, spelled otherwise", rules(t, "./public/dist/"), map[string]string{"public/dist/a": "a", "public/a": ""}},
		{"the top", rules(t, "."), map[string]string{"a": "a"}},
		{"rules", rules(t, "", pages...), map[string]string{
			"content/a/b.md": "a/b.html a/b/index.html", "static/css/x.css": "css/x.css", "content/drafts/x.md": "", "content/a.txt": "", "README.md": "",
		}},
		{"both", rules(t, "public", "data/{name}.json => api/{name}"), map[string]string{"public/x": "x", "data/y.json": "api/y", "data/a/y.json": ""}},
		{"the least on the left", rules(t, "", "{a}-{b...} => {b}/{a}"), map[string]string{"x-y-z": "y-z/x"}},
		{"braces and dots", rules(t, "", "{{{x}}}.html => {x}"), map[string]string{"{a}.html": "a", "{a}xhtml": ""}},
		{"an arrow in a name", rules(t, "", "a=>b/{x} => {x}"), map[string]string{"a=>b/c": "c"}},
		{"lines", rules(t, "d"), map[string]string{"d/a\nb": "a\nb"}},
		{"two that agree", rules(t, "", "{x...} => {x}", "a => a"), map[string]string{"a": "a"}},
	} {
		for path, want := range tt.keys {
			if got := strings.Join(tt.rules.Keys(path), " "); got != want {
				t.Errorf("%s: %q is %q, want %q", tt.name, path, got, want)
			}
		}
	}
	prefixed := gitdiff.Rules{Folder: "public", Prefix: "/site/"}
	if got := prefixed.Keys("public/a"); !slices.Equal(got, []string{"site/a"}) {
		t.Errorf("with a prefix: %q", got)
	}
}

func TestParseMapRefuses(t *testing.T) {
	for _, text := range []string{
		"", "a", "=> b", "{a}{b} => {a}", "{a => b", "a} => b", "{a} => {b}", "{1} => x", "{a}/{a} => {a}", "{a...}{b} => {a}", "a => {", "{} => x", "{a-b} => x", "{a.} => x",
		strings.Repeat("x", 5000) + "=>y",
	} {
		if m, err := gitdiff.ParseMap(text); err == nil {
			t.Errorf("%q is taken as %v", text, m)
		}
	}
}

// A rule takes no path apart that it has not put together, and Keys agrees with
// About: what is below a folder that no rule is about has no keys.
func TestKeysRoundTrip(t *testing.T) {
	all := rules(t, "", "content/{a}/{rest...}.md => {rest}/{a}")
	folder := rules(t, "public/x")
	word := rapid.StringMatching(`[a-zé.{}-]{1,5}`)
	rapid.Check(t, func(t *rapid.T) {
		a, rest := word.Draw(t, "a"), strings.Join(rapid.SliceOfN(word, 1, 3).Draw(t, "rest"), "/")
		if got := all.Keys("content/" + a + "/" + rest + ".md"); !slices.Equal(got, []string{rest + "/" + a}) {
			t.Errorf("%q %q: %q", a, rest, got)
		}
		path := strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"content", "public", "x", "a.md", "y"}), 2, 5).Draw(t, "path"), "/")
		parent := path[:strings.LastIndexByte(path, '/')]
		for _, r := range []gitdiff.Rules{all, folder} {
			if len(r.Keys(path)) > 0 && !r.About(parent) {
				t.Errorf("%q has keys, but no rule is about %q", path, parent)
			}
		}
	})
	if folder.About("public/y") || !folder.About("public") || !folder.About("public/x/z") || all.About("src") {
		t.Error("About is wrong")
	}
}

func FuzzParseMap(f *testing.F) {
	for _, s := range []string{"content/{page...}.md => {page}/index.html", "{{x}} => {{{{", "a=>", "{a}=>{a...}", "\xff{a}=>{a}"} {
		f.Add(s, "content/a/b.md")
	}
	f.Fuzz(func(t *testing.T, text, path string) {
		m, err := gitdiff.ParseMap(text)
		if err != nil {
			return
		}
		again, err := gitdiff.ParseMap(m.String())
		if err != nil {
			t.Fatalf("%q: %v", m, err)
		}
		one, other := gitdiff.Rules{Maps: []gitdiff.Map{m}}.Keys(path), gitdiff.Rules{Maps: []gitdiff.Map{again}}.Keys(path)
		if !slices.Equal(one, other) {
			t.Errorf("%q: %q and %q", text, one, other)
		}
	})
}

var when = time.Date(2026, 11, 20, 12, 0, 0, 0, time.FixedZone("", 3600))

func version() gitdiff.Version { return gitdiff.Version{Origin: "site", Name: two, Time: when} }

func TestChanges(t *testing.T) {
	r := rules(t, "public", "src/{a}.md => {a}.html", "tpl/{a}.tpl => {a}.html")
	res := r.Changes([]gitdiff.Entry{
		{"public/mode", gitdiff.Modified, gitdiff.File, gitdiff.Executable, one, one},
		{"src/a.md", gitdiff.Deleted, gitdiff.File, 0, one, ""},
		{"tpl/a.tpl", gitdiff.Modified, gitdiff.File, gitdiff.File, one, two},
		{"src/b.md", gitdiff.Deleted, gitdiff.File, 0, one, ""},
		{"public/x y+z", gitdiff.Added, 0, gitdiff.File, "", one},
		{"README", gitdiff.Modified, gitdiff.File, gitdiff.File, one, two},
		{"public/caf\xe9", gitdiff.Added, 0, gitdiff.File, "", one},
		{"public/" + strings.Repeat("k", 1025), gitdiff.Added, 0, gitdiff.File, "", one},
		{"public/sub", gitdiff.Modified, gitdiff.Submodule, gitdiff.Submodule, one, two},
		{"vendor/sub", gitdiff.Modified, gitdiff.Submodule, gitdiff.Submodule, one, two},
		{"public/link", gitdiff.Retyped, gitdiff.File, gitdiff.Link, one, two},
	}, version())
	var got []string
	for _, c := range res.Changes {
		got = append(got, string(c.Op)+" "+c.Key)
		if c.Origin != "site" || !c.Time.Equal(when) || c.Cause != "commit" || !strings.HasPrefix(c.Version, two+" ") {
			t.Errorf("change %+v", c)
		}
	}
	if want := []string{"put a.html", "delete b.html", "put link", "put x y+z"}; !slices.Equal(got, want) {
		t.Errorf("changes %q, want %q", got, want)
	}
	skipped := make(map[string]string)
	for _, s := range res.Skipped {
		skipped[s.At.Path] = s.Reason
	}
	for path, reason := range map[string]string{"public/mode": "mode", "README": "no rule maps it", "vendor/sub": "no rule"} {
		if !strings.Contains(skipped[path], reason) {
			t.Errorf("%s is skipped for %q", path, skipped[path])
		}
	}
	problems := make(map[string]string)
	for _, p := range res.Problems {
		problems[p.At.Path] = p.Err.Error()
	}
	for path, said := range map[string]string{`"public/caf\xe9"`: "UTF-8", "public/" + strings.Repeat("k", 1025): "1024", "public/sub": "git submodule update --init public/sub"} {
		if !strings.Contains(problems[path], said) {
			t.Errorf("%s is a problem for %q", path, problems[path])
		}
	}
	if len(res.Problems) != 3 || len(res.Skipped) != 3 {
		t.Errorf("skipped %+v, problems %+v", res.Skipped, res.Problems)
	}
}

// The same range gives the same changes, under the same IDs, in whatever order
// its entries come; another commit, or another occasion, gives others.
func TestChangesAreTheSameAgain(t *testing.T) {
	r := rules(t, "", "{a}.md => {a}.html", "{a}.tpl => {a}.html", "{x...} => raw/{x}")
	path := rapid.SampledFrom([]string{"a.md", "a.tpl", "b.md", "c", "d.md"})
	rapid.Check(t, func(t *rapid.T) {
		var entries []gitdiff.Entry
		for p, status := range rapid.MapOf(path, rapid.SampledFrom([]gitdiff.Status{'A', 'M', 'D'})).Draw(t, "entries") {
			e := gitdiff.Entry{Path: p, Status: status, OldMode: gitdiff.File, NewMode: gitdiff.File, OldBlob: one, NewBlob: two}
			if status == gitdiff.Deleted {
				e.NewMode, e.NewBlob = 0, ""
			}
			entries = append(entries, e)
		}
		res := r.Changes(entries, version())
		again := r.Changes(rapid.Permutation(entries).Draw(t, "shuffled"), version())
		if !reflect.DeepEqual(res, again) {
			t.Errorf("%+v\nin another order %+v", res, again)
		}
		other := version()
		other.Name = one
		ids := make(map[string]bool)
		for _, c := range slices.Concat(res.Changes, r.Changes(entries, other).Changes) {
			ids[c.ID()] = true
		}
		if len(ids) != 2*len(res.Changes) {
			t.Errorf("%d changes twice have %d IDs", len(res.Changes), len(ids))
		}
	})
}

// Compare is what git does, the other way about: applying what it found to the
// one gives the other.
func TestCompare(t *testing.T) {
	leaf := rapid.Custom(func(t *rapid.T) gitdiff.Leaf {
		return gitdiff.Leaf{Mode: rapid.SampledFrom([]gitdiff.Mode{gitdiff.File, gitdiff.Executable, gitdiff.Link, gitdiff.Submodule}).Draw(t, "mode"), Blob: rapid.SampledFrom([]string{one, two}).Draw(t, "blob")}
	})
	trees := rapid.MapOf(rapid.SampledFrom([]string{"a", "a/b", "a-b", "c"}), leaf)
	sorted := func(m map[string]gitdiff.Leaf) (all []gitdiff.Leaf) {
		for _, p := range slices.Sorted(maps.Keys(m)) {
			l := m[p]
			l.Path = p
			all = append(all, l)
		}
		return all
	}
	rapid.Check(t, func(t *rapid.T) {
		before, after := trees.Draw(t, "before"), trees.Draw(t, "after")
		result := maps.Clone(before)
		for _, e := range gitdiff.Compare(sorted(before), sorted(after)) {
			was, is := before[e.Path], after[e.Path]
			if e.OldMode != was.Mode || e.OldBlob != was.Blob || e.NewMode != is.Mode || e.NewBlob != is.Blob || was == is {
				t.Errorf("%+v, but it was %+v and is %+v", e, was, is)
			}
			if result[e.Path] = is; e.Status == gitdiff.Deleted {
				delete(result, e.Path)
			}
		}
		if !maps.Equal(result, after) {
			t.Errorf("%+v, want %+v", result, after)
		}
	})
}
