package cover_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/inventory"
	"github.com/freshet/freshet/internal/plan/cover"
)

// of makes needs of URLs.
func of(urls ...string) (needs []cover.Need) {
	for _, u := range urls {
		p, _ := freshet.PathPattern(u)
		needs = append(needs, cover.Need{URL: u, Pattern: p})
	}
	return needs
}

// queried makes needs of a URL and of all its query strings.
func queried(url string) []cover.Need {
	return append(of(url), cover.Need{URL: url + "?*", Pattern: freshet.Pattern(url + "?*")})
}

// holding makes an inventory of URLs of one byte, each followed by its tags.
func holding(lines ...string) *inventory.Inventory {
	var b inventory.Builder
	for _, l := range lines {
		words := strings.Fields(l)
		b.Add(inventory.Entry{URL: words[0], Size: 1, Tags: words[1:]})
	}
	return b.Inventory()
}

func limit(n int64) *int64 { return &n }

// Prices in which an object made cold costs as much as a tenth of a pattern.
var tenth = cover.Prices{Pattern: 10e-6, RefillObject: 1e-6}

func TestCovers(t *testing.T) {
	long := "/" + strings.Repeat("x", 5000)
	deep := holding("/d/a", "/d/b", "/d/c", "/e/a", "/e/b", "/f")
	for _, tt := range []struct {
		name string
		p    cover.Problem
		want string // patterns, or what the refusal begins with
	}{
		{"nothing", cover.Problem{Prices: tenth}, ""},
		{"one path", cover.Problem{Needs: of("/d/a"), Inventory: deep, Prices: tenth}, "/d/a"},
		{"the root alone", cover.Problem{Needs: of("/"), Inventory: deep, Prices: tenth}, "/"},
		{"twice the same", cover.Problem{Needs: of("/d/a", "/d/a"), Inventory: deep, Prices: tenth}, "/d/a"},
		{"everything wanted", cover.Problem{Needs: of("/~"), Inventory: deep, Prices: tenth}, "/*"},
		{"one is a prefix of another", cover.Problem{Needs: of("/d", "/d/", "/d/index.html"), Inventory: holding("/d", "/d/", "/d/index.html"), Prices: tenth}, "/d*"},
		{"refills too dear for a wildcard", cover.Problem{Needs: of("/d/a", "/e/a"), Inventory: deep, Prices: cover.Prices{Pattern: 1e-6, RefillObject: 1e-6}}, "/d/a /e/a"},
		{"as dear one way as the other, fewer cold", cover.Problem{Needs: of("/d/a", "/d/b"), Inventory: deep, Prices: cover.Prices{Pattern: 1e-6, RefillObject: 1e-6}}, "/d/a /d/b"},
		{"patterns for nothing", cover.Problem{Needs: of("/d/a", "/d/b", "/d/c"), Inventory: deep, Prices: cover.Prices{RefillObject: 1}}, "/d/a /d/b /d/c"},
		{"refills for nothing", cover.Problem{Needs: of("/d/a", "/e/a"), Inventory: deep, Prices: cover.Prices{Pattern: 1}}, "/*"},
		{"everything for nothing", cover.Problem{Needs: of("/d/a", "/e/a"), Inventory: deep}, "/d/a /e/a"},
		{"one wildcard for two that have to be", cover.Problem{Needs: of("/d/a~", "/d/b~"), Inventory: deep, Prices: cover.Prices{RefillObject: 1}, Limits: cover.Limits{MaxWildcards: new(1)}}, "/d/*"},
		{"two wildcards allowed", cover.Problem{Needs: of("/d/a~", "/d/b~"), Inventory: deep, Prices: cover.Prices{RefillObject: 1}, Limits: cover.Limits{MaxWildcards: new(2)}}, "/d/a* /d/b*"},
		{"not within an escape", cover.Problem{Needs: of("/a%20b", "/a%21b"), Inventory: holding("/a"), Prices: tenth}, "/a*"},
		{"between escapes", cover.Problem{Needs: of("/a%20b", "/a%20c"), Inventory: holding("/ab"), Prices: tenth}, "/a%20*"},
		{"too long to be exact", cover.Problem{Needs: of(long), Inventory: deep, Prices: tenth}, "/" + strings.Repeat("x", 3998) + "*"},
		{"the longest exact one", cover.Problem{Needs: of(long[:4000]), Inventory: deep, Prices: tenth}, long[:4000]},
		{"two of the longest exact ones", cover.Problem{Needs: of(long[:4000], long[:3999]+"y"), Inventory: deep, Prices: tenth}, long[:3999] + "*"},
		{"misspelt", cover.Problem{Needs: []cover.Need{{URL: "/a b", Pattern: "/a b"}, {URL: "/c%zz", Pattern: "/c%zz"}, {URL: "/\x00é", Pattern: "/d/\x00é"}}, Inventory: deep, Prices: cover.Prices{RefillObject: 1}}, "/a* /c* /d/*"},
		{"a tag", cover.Problem{Needs: of("/d/a", "/e/b"), Inventory: holding("/d/a T", "/d/b", "/e/b t", "/f", "/g t", "/h", "/i", "/j", "/k", "/l", "/m", "/n", "/o"), Prices: tenth, Tags: true}, "#t"},
		{"a tag where the CDN knows none", cover.Problem{Needs: of("/d/a", "/e/b"), Inventory: holding("/d/a t", "/e/b t"), Prices: tenth}, "/*"},
		{"a tag for what has no path", cover.Problem{Needs: of("/d/a~"), Inventory: holding("/d/a~ t", "/d/ab"), Prices: tenth, Tags: true}, "#t"},
		{"a tag that makes the wildcard's cold ones cold", cover.Problem{Needs: of("/a/1", "/a/2", "/a/3", "/b", "/c"), Inventory: holding("/a/1", "/a/2", "/a/3", "/a/4 t", "/a/5 t", "/b t", "/c t", "/x", "/y", "/z"), Prices: cover.Prices{Pattern: 3e-6, RefillObject: 2e-6}, Tags: true}, "#t /a/*"},
		{"never everything", cover.Problem{Needs: of("/a~", "/~"), Inventory: deep, Prices: tenth, Rails: cover.Rails{Never: []freshet.Pattern{"/*"}}}, "never: /~ cannot be removed: /* is not to be sent"},
		{"never, and a way around", cover.Problem{Needs: of("/d/a", "/d/b", "/d/c", "/f"), Inventory: deep, Prices: tenth, Rails: cover.Rails{Never: []freshet.Pattern{"/d/*"}}}, "/d/a /d/b /d/c /f"},
		{"protected", cover.Problem{Needs: of("/d/a", "/d/b", "/e/a", "/e/b"), Inventory: deep, Prices: tenth, Rails: cover.Rails{Protected: []string{"/d/"}}}, "/d/a /d/b /e/*"},
		{"protected, with query strings", cover.Problem{Needs: queried("/d/a"), Inventory: deep, Prices: tenth, Rails: cover.Rails{Protected: []string{"/d/"}}}, "/d/a /d/a?*"},
		{"query strings of what is not known", cover.Problem{Needs: queried("/d"), Prices: tenth, Assumption: cover.Assumption{Site: 10_000}, Rails: cover.Rails{MaxCollateral: limit(0)}}, "/d /d?*"},
		{"one query string and another", cover.Problem{Needs: of("/d?q=ab", "/d?q=ac"), Prices: tenth, Assumption: cover.Assumption{Site: 10_000}}, "/d?q=ab /d?q=ac"},
		{"protected query strings", cover.Problem{Needs: of("/d?q=ab", "/d?q=ac"), Inventory: deep, Prices: tenth, Rails: cover.Rails{Protected: []string{"/d"}}}, "/d?q=ab /d?q=ac"},
		{"protected from a tag", cover.Problem{Needs: of("/a", "/b~"), Inventory: holding("/a t", "/b~ t", "/p/x t"), Prices: tenth, Tags: true, Rails: cover.Rails{Protected: []string{"/p/"}}}, "/a /b*"},
		{"collateral in sum", cover.Problem{Needs: of("/d/a", "/d/b", "/e/a", "/e/b"), Inventory: holding("/d/a", "/d/b", "/d/c", "/e/a", "/e/b", "/e/c", "/e/d"), Prices: tenth, Rails: cover.Rails{MaxCollateral: limit(2)}}, "/d/* /e/a /e/b"},
		{"no collateral at all", cover.Problem{Needs: of("/d/a~"), Inventory: holding("/d/ab"), Prices: tenth, Rails: cover.Rails{MaxCollateral: limit(0)}}, "max_collateral: every plan makes more than 0 unchanged objects cold, the cheapest one 1"},
		{"assumed collateral", cover.Problem{Needs: of("/a", "/b"), Prices: tenth, Assumption: cover.Assumption{ColdPerURL: 100}}, "/a /b"},
		{"huge weights", cover.Problem{Needs: of("/d/a", "/e/a", "/~"), Inventory: deep, Prices: cover.Prices{Pattern: 1e300, RefillObject: math.Inf(1), RefillByte: 1e200}}, "/*"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := cover.Solve(tt.p)
			got := strings.Trim(fmt.Sprint(chosen(s)), "[]")
			if err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("got %.200s, want %.200s", got, tt.want)
			}
			if err == nil && !s.Optimal {
				t.Error("not proven to be the best")
			}
		})
	}
}

func TestWhatMakesNoSenseIsAnError(t *testing.T) {
	for name, p := range map[string]cover.Problem{
		"a tag":              {Needs: []cover.Need{{URL: "/a", Pattern: "#a"}}},
		"no pattern":         {Needs: []cover.Need{{URL: "/a"}}},
		"no slash":           {Needs: []cover.Need{{URL: "a", Pattern: "a"}}},
		"a negative price":   {Prices: cover.Prices{RefillByte: -1}},
		"no number":          {Prices: cover.Prices{Pattern: math.NaN()}},
		"assumed too little": {Assumption: cover.Assumption{ColdPerURL: -1}},
	} {
		_, err := cover.Solve(p)
		if refused := (*cover.Refused)(nil); err == nil || errors.As(err, &refused) {
			t.Errorf("%s: %v, want an error that is no refusal", name, err)
		}
	}
}

func TestWidenedNeedsAreReported(t *testing.T) {
	long := "/" + strings.Repeat("x", 4000)
	s, err := cover.Solve(cover.Problem{Needs: append(of("/a"), cover.Need{URL: long, Pattern: freshet.Pattern(long)}, of("/b~")[0])})
	if err != nil || !slices.Equal(s.Widened, []int32{1}) {
		t.Errorf("got %v %v, want the second need", s.Widened, err)
	}
}

func TestRailsThatMakeItDearerAreNamed(t *testing.T) {
	p := cover.Problem{Needs: of("/d/a", "/d/b", "/d/c"), Inventory: holding("/d/a", "/d/x"), Prices: tenth}
	p.Rails = cover.Rails{Never: []freshet.Pattern{"/e/*"}, Protected: []string{"/d/x"}, MaxCollateral: limit(5)}
	s, err := cover.Solve(p)
	if err != nil || !slices.Equal(s.Dearer, []cover.Rail{cover.Protected}) {
		t.Errorf("got %v %v, want protected alone", s.Dearer, err)
	}
	p.Rails.MaxCollateral = limit(0)
	s, err = cover.Solve(p)
	if err != nil || !slices.Equal(s.Dearer, []cover.Rail{cover.Never, cover.Protected, cover.MaxCollateral}) {
		t.Errorf("got %v %v, want all, since none of them alone is the cause", s.Dearer, err)
	}
	if s.Everything.Refused == nil || s.Everything.Refused.Rail != cover.Never || s.PerURL.Refused != nil {
		t.Errorf("estimates are %+v and %+v", s.Everything, s.PerURL)
	}
}

// TestTwelveTagsAreSearchedThrough: overlapping tags, of which the best handful
// is not found by taking the largest first.
func TestTwelveTagsAreSearchedThrough(t *testing.T) {
	for seed := range 20 {
		d := rand.New(rand.NewPCG(uint64(seed), 3))
		var b inventory.Builder
		p := cover.Problem{Tags: true, Prices: tenth}
		for i := range 40 {
			e := inventory.Entry{URL: fmt.Sprintf("/%c/%d", 'a'+i*7%26, i), Size: 1}
			for range d.IntN(4) {
				e.Tags = append(e.Tags, fmt.Sprint("t", d.IntN(14)))
			}
			b.Add(e)
			if i < 9 {
				p.Needs = append(p.Needs, of(e.URL)...)
			}
		}
		p.Inventory = b.Inventory()
		if got := compare(t, p, fmt.Sprint("seed ", seed)); got != "solved" {
			t.Errorf("seed %d: %s", seed, got)
		}
	}
}

// TestGroupsFitIntoTheirRequests with wildcards instead of paths where they do
// not otherwise, and say so when they cannot.
func TestGroupsFitIntoTheirRequests(t *testing.T) {
	p := cover.Problem{Needs: of("/a/1", "/a/2", "/a/3", "/b", "/c"), Inventory: holding("/a/1", "/a/2", "/a/3", "/a/4", "/b", "/x"), Prices: cover.Prices{Pattern: 1e-6, RefillObject: 10e-6}}
	for i := range 3 {
		p.Needs[i].Group = "release"
	}
	p.Limits.MaxPatternsPerRequest = 3
	if s, err := cover.Solve(p); err != nil || len(s.Choices) != 5 || s.Choices[0].Bundle != 1 || s.Choices[3].Bundle != 0 {
		t.Errorf("it fits, but got %+v %v", s.Choices, err)
	}
	p.Limits.MaxPatternsPerRequest = 2
	s, err := cover.Solve(p)
	if err != nil || len(s.Choices) != 3 || s.Choices[0].Pattern != "/a/*" || !s.Optimal || !slices.Equal(s.Dearer, []cover.Rail{cover.Group}) {
		t.Errorf("got %+v %v", s, err)
	}
	p.Rails.Protected = []string{"/a/"}
	var refused *cover.Refused
	if _, err = cover.Solve(p); !errors.As(err, &refused) {
		t.Errorf("it cannot fit, but got %v", err)
	}
}

// TestLargeProblems: what is too large for the judge is still valid, adds up,
// and is never dearer than the naive plans.
func TestLargeProblems(t *testing.T) {
	for seed := range 30 {
		d := rand.New(rand.NewPCG(uint64(seed), 4))
		p := cover.Problem{Prices: cover.Prices{Pattern: 5e-6, RefillObject: 1e-6, RefillByte: 1e-9}, Tags: seed%3 == 0}
		var b inventory.Builder
		for i := range 400 {
			u := fmt.Sprintf("/%d/%d/%d", d.IntN(3), d.IntN(6), d.IntN(30))
			e := inventory.Entry{URL: u, Size: int64(d.IntN(1000))}
			if d.IntN(3) == 0 {
				e.Tags = []string{fmt.Sprint(d.IntN(12))}
			}
			b.Add(e)
			if i%2 == 0 && d.IntN(2) == 0 {
				p.Needs = append(p.Needs, of(u+[...]string{"", "", "", "~"}[d.IntN(4)])...)
			}
		}
		p.Inventory = b.Inventory()
		switch seed % 5 {
		case 1:
			p.Limits.MaxWildcards = new(4)
		case 2:
			p.Rails.MaxCollateral = limit(60)
		case 3:
			p.Limits.MaxWildcards, p.Rails.MaxCollateral = new(8), limit(100)
		case 4:
			p.Rails.Never, p.Rails.Protected = []freshet.Pattern{"/*"}, []string{"/2/"}
		}
		s, err := cover.Solve(p)
		if refused := (*cover.Refused)(nil); errors.As(err, &refused) {
			continue
		} else if err != nil {
			t.Fatal(err)
		}
		valid(t, p, s, fmt.Sprint("seed ", seed))
	}
}

// fuzzed takes decisions from bytes; when they are used up, always the first.
type fuzzed struct{ rest []byte }

func (f *fuzzed) IntN(n int) int {
	if len(f.rest) == 0 {
		return 0
	}
	b := f.rest[0]
	f.rest = f.rest[1:]
	return int(b) % n
}

func FuzzSolve(f *testing.F) {
	f.Add(uint8(0), []byte("freshet"))
	f.Add(uint8(31), []byte{5, 2, 1, 3, 3, 4, 0, 1, 9, 9, 2, 6, 1, 1, 1, 8, 7, 3, 2, 1, 4, 4, 4, 250, 3, 100, 1, 2, 3})
	f.Fuzz(func(t *testing.T, which uint8, decisions []byte) {
		compare(t, problem(&fuzzed{decisions}, features{which&1 != 0, which&2 != 0, which&4 != 0, which&8 != 0, which&16 != 0}), "fuzzed")
	})
}

func FuzzPatterns(f *testing.F) {
	f.Add("/a%2", "/a%20")
	f.Add("/~", "")
	f.Add("/\xff*", "/"+strings.Repeat("%41", 2000))
	f.Fuzz(func(t *testing.T, a, b string) {
		p := cover.Problem{Needs: []cover.Need{{a, freshet.Pattern(a), ""}, {b, freshet.Pattern(b), ""}, {a, freshet.Pattern(b), "g"}}, Inventory: holding("/a", "/b"), Prices: tenth}
		s, err := cover.Solve(p)
		if err != nil {
			return
		}
		for _, c := range s.Choices {
			if _, err := freshet.ParsePattern(string(c.Pattern)); err != nil {
				t.Fatal(err)
			}
		}
		for i, n := range p.Needs {
			if c := s.Choices[s.By[i]].Pattern; !c.Covers(string(n.Pattern)) && c != n.Pattern && !c.Covers(n.Pattern.Prefix()) {
				t.Fatalf("%q does not cover %q", c, n.Pattern)
			}
		}
	})
}
