package freshet_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/freshet/freshet"
)

func TestKeyPaths(t *testing.T) {
	tests := []struct {
		key  string
		want []string
	}{
		{"a b.html", []string{"/a%20b.html", "/a+b.html"}},
		{"a b c", []string{"/a%20b%20c", "/a+b+c"}},
		{"c++/x", []string{"/c%2B%2B/x"}},
		{"a +b", []string{"/a%20%2Bb", "/a+%2Bb"}},
		{"é.png", []string{"/%C3%A9.png"}},
		{"50%.txt", []string{"/50%25.txt"}},
		{"100%41", []string{"/100%2541"}},
		{"v~1/main.js", []string{"/v~1/main.js"}},
		{"(a)'b!,c;d=e&f@g:h$.txt", []string{"/(a)'b!,c;d=e&f@g:h$.txt"}},
		{"what?", []string{"/what%3F"}},
		{"a*b", []string{"/a*b"}},
		{`"<>#%{}|\^[]` + "`", []string{"/%22%3C%3E%23%25%7B%7D%7C%5C%5E%5B%5D%60"}},
		{"a/b/", []string{"/a/b/"}},
		{"/a", []string{"//a"}},
		{"", []string{"/"}},
		{"\xff\x00", []string{"/%FF%00"}},
	}
	for _, tt := range tests {
		if got := freshet.KeyPaths(tt.key); !slices.Equal(got, tt.want) {
			t.Errorf("KeyPaths(%q) = %q, want %q", tt.key, got, tt.want)
		}
	}
}

func TestPathPattern(t *testing.T) {
	long := "/" + strings.Repeat("x", freshet.MaxPatternLength-1)
	tests := []struct {
		path  string
		want  freshet.Pattern
		exact bool
	}{
		{"/a%20b.html", "/a%20b.html", true},
		{"/v~1/main.js", "/v*", false},
		{"/a/v~1~2", "/a/v*", false},
		{"/~", "/*", false},
		{"/a?x=~", "/a?x=*", false},
		{"/a*b", "/a*b", true},
		{"/a*", "/a**", false}, // it removes /a*b too, but not /ab
		{"/*", "/**", false},
		{"/a?x=*", "/a?x=**", false},
		{long[:3998] + "*", freshet.Pattern(long[:3998] + "**"), false},
		{long[:3999] + "*", freshet.Pattern(long[:3999] + "*"), false},
		{"/", "/", true},
		{"/a?x=%7e&y=~", "/a?x=*", false},
		{"/a?x=%7E", "/a?x=*", false},
		{"/%257E", "/%257E", true},
		{long, freshet.Pattern(long), true},
		{long + "y", freshet.Pattern(long[:3999] + "*"), false},
		{long[:3998] + "%20", freshet.Pattern(long[:3998] + "*"), false},
		{long[:3997] + "%20y", freshet.Pattern(long[:3997] + "*"), false},
		{long[:3996] + "%20yy", freshet.Pattern(long[:3996] + "%20*"), false},
		{long[:3997] + "?*" + long, freshet.Pattern(long[:3997] + "?**"), false},
		{long + "~", freshet.Pattern(long[:3999] + "*"), false},
		{long[:3999] + "~y", freshet.Pattern(long[:3999] + "*"), false},
	}
	for _, tt := range tests {
		if got, exact := freshet.PathPattern(tt.path); got != tt.want || exact != tt.exact {
			t.Errorf("PathPattern(%q) = %q, %v; want %q, %v", tt.path, got, exact, tt.want, tt.exact)
		}
	}
}

// Whatever a path is, its pattern is valid, covers it, and is exact where one
// can be.
func TestPathPatternOfAnyURL(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		part := rapid.StringOfN(rapid.RuneFrom([]rune("ab%~*é #?&=+/7eE")), 0, 12, 1024)
		filler := strings.Repeat("x", rapid.SampledFrom([]int{0, 0, freshet.MaxPatternLength - 12}).Draw(t, "filler"))
		url := freshet.CanonicalPath("/" + filler + strings.ReplaceAll(part.Draw(t, "path"), "?", ""))
		if query := part.Draw(t, "query"); query != "" {
			url += "?" + freshet.CanonicalQuery(query)
		}
		p, exact := freshet.PathPattern(url)
		if _, err := freshet.ParsePattern(string(p)); err != nil || !p.Covers(url) {
			t.Errorf("pattern %.60q for %.60q: %v", p, url, err)
		}
		if exact != (string(p) == url && !p.IsWildcard()) {
			t.Errorf("pattern %.60q for %.60q: exact %v", p, url, exact)
		}
		if rest := strings.TrimPrefix(url, p.Prefix()); !exact && len(p) < freshet.MaxPatternLength-2 && !strings.HasPrefix(rest, "~") && !strings.HasPrefix(strings.ToUpper(rest), "%7E") && rest != "" {
			t.Errorf("pattern %.60q for %.60q ends too early", p, url)
		}
	})
}

func TestPrefixPattern(t *testing.T) {
	long := "/" + strings.Repeat("x", freshet.MaxPatternLength-1)
	for prefix, want := range map[string]freshet.Pattern{
		"/":                 "/*",
		"/a?":               "/a?*",
		"/a*":               "/a**",
		"/v~1/":             "/v*",
		long[:3999]:         freshet.Pattern(long[:3999] + "*"),
		long:                freshet.Pattern(long[:3999] + "*"),
		long[:3998] + "%20": freshet.Pattern(long[:3998] + "*"),
	} {
		if got := freshet.PrefixPattern(prefix); got != want {
			t.Errorf("PrefixPattern(%.20q) = %.20q, want %.20q", prefix, got, want)
		}
	}
}

func TestCanonicalQuery(t *testing.T) {
	for query, want := range map[string]string{
		"":            "",
		"v=1&w=a+b":   "v=1&w=a+b",
		"a=b c&d=é":   "a=b%20c&d=%C3%A9",
		"a=%69%2f%7e": "a=%69%2f%7e", // as the viewer wrote them
		"a=50%":       "a=50%25",
		"a=%zz#":      "a=%25zz%23",
		"a=[1]|2":     "a=%5B1%5D%7C2",
	} {
		if got := freshet.CanonicalQuery(query); got != want || freshet.CanonicalQuery(got) != got {
			t.Errorf("CanonicalQuery(%q) = %q, want %q", query, got, want)
		}
	}
}

func objectKeys() *rapid.Generator[string] {
	return rapid.StringOfN(rapid.OneOf(rapid.RuneFrom([]rune("ab/+ %2B?~*é#")), rapid.Rune()), 0, 20, 1024)
}

// Whatever a key is, its paths are canonical, valid as patterns that cover
// them, and lead back to the key the way S3 reads a path.
func TestKeyPathsReachTheKey(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := objectKeys().Draw(t, "key")
		for _, path := range freshet.KeyPaths(key) {
			if got := freshet.CanonicalPath(path); got != path {
				t.Errorf("path %q of key %q is not canonical, that is %q", path, key, got)
			}
			pattern, exact := freshet.PathPattern(path)
			if _, err := freshet.ParsePattern(string(pattern)); err != nil {
				t.Errorf("key %q: %v", key, err)
			}
			if !pattern.Covers(path) || exact && pattern.IsWildcard() {
				t.Errorf("key %q: pattern %q (exact: %v) for path %q", key, pattern, exact, path)
			}
			back, err := url.QueryUnescape(path)
			if err != nil || back != "/"+key {
				t.Errorf("path %q leads to %q (%v), not to key %q", path, back, err, key)
			}
		}
	})
}

// spell writes a path in one of the many ways viewers may: any byte escaped or
// not, in either letter case, except that what would mean something else stays.
func spell(t *rapid.T, decoded []byte) string {
	var b strings.Builder
	for _, c := range decoded {
		must := c == '%' || c == '?' // raw they begin an escape and a query string
		never := c == '/' && b.Len() == 0
		switch {
		case !must && (never || rapid.Bool().Draw(t, "raw")):
			b.WriteByte(c)
		case rapid.Bool().Draw(t, "upper"):
			fmt.Fprintf(&b, "%%%02X", c)
		default:
			fmt.Fprintf(&b, "%%%02x", c)
		}
	}
	return b.String()
}

func TestCanonicalPathIsOneForAllSpellings(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		decoded := append([]byte("/"), rapid.SliceOf(rapid.OneOf(rapid.SampledFrom([]byte("ab/%?~ é#2Bf")), rapid.Byte())).Draw(t, "bytes")...)
		// A + means another object raw than escaped; it has its own test.
		decoded = slices.DeleteFunc(decoded, func(c byte) bool { return c == '+' })
		a, b := spell(t, decoded), spell(t, decoded)
		canonical := freshet.CanonicalPath(a)
		if other := freshet.CanonicalPath(b); other != canonical {
			t.Errorf("%q is %q, but %q is %q", a, canonical, b, other)
		}
		if again := freshet.CanonicalPath(canonical); again != canonical {
			t.Errorf("%q is %q, and that %q", a, canonical, again)
		}
		if back, err := url.PathUnescape(canonical); err != nil || back != string(decoded) {
			t.Errorf("%q means %q (%v), not %q", canonical, back, err, decoded)
		}
	})
}

func TestCanonicalPath(t *testing.T) {
	tests := []struct{ path, want string }{
		{"/", "/"},
		{"/index.html", "/index.html"},
		{"/%69ndex.html", "/index.html"},
		{"/a%2Fb", "/a/b"},
		{"/%7Eme", "/~me"},
		{"/%2a", "/*"},
		{"/é", "/%C3%A9"},
		{"/%c3%a9", "/%C3%A9"},
		{"/a b", "/a%20b"},
		{"/a+b", "/a+b"},
		{"/a%2bb", "/a%2Bb"},
		{"/a%3fb", "/a%3Fb"},
		{"/50%", "/50%25"},
		{"/50%2", "/50%252"},
		{"/50%zz", "/50%25zz"},
		{"/50%25", "/50%25"},
		{"/%2541", "/%2541"},
		{"/%%34%31", "/%2541"},
		{"/%00", "/%00"},
	}
	for _, tt := range tests {
		if got := freshet.CanonicalPath(tt.path); got != tt.want {
			t.Errorf("CanonicalPath(%q) = %q, want %q", tt.path, got, tt.want)
		}
	}
}

// s3Key is the object that S3 answers a path with; an invalid escape is none.
func s3Key(path string) (string, bool) {
	key, err := url.QueryUnescape(path)
	return key, err == nil
}

func FuzzCanonicalPath(f *testing.F) {
	for _, s := range []string{"/", "/%2541", "/a+b%2B", "/%", "/%%34", "/é%C3", "/~%7e"} {
		f.Add(s, s+"x")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		canonA, canonB := freshet.CanonicalPath(a), freshet.CanonicalPath(b)
		if again := freshet.CanonicalPath(canonA); again != canonA {
			t.Errorf("%q is %q, and that %q", a, canonA, again)
		}
		keyA, okA := s3Key(a)
		keyB, okB := s3Key(b)
		if canonA == canonB && okA && okB && keyA != keyB {
			t.Errorf("%q and %q are different objects and have one canonical path, %q", a, b, canonA)
		}
		if canonKey, ok := s3Key(canonA); okA && (!ok || canonKey != keyA) {
			t.Errorf("%q leads to %q, its canonical path %q to %q", a, keyA, canonA, canonKey)
		}
		for i := range len(canonA) {
			if canonA[i] <= ' ' || canonA[i] >= 0x7F {
				t.Errorf("canonical path %q holds the byte %#x", canonA, canonA[i])
			}
		}
	})
}

func BenchmarkCanonicalPath(b *testing.B) {
	for name, path := range map[string]string{"canonical": "/assets/app.4f2a91.js", "escaped": "/a%20dir/%C3%A9t%c3%a9.html"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				freshet.CanonicalPath(path)
			}
		})
	}
}
