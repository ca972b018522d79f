package freshet_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/freshet/freshet"
)

// covers is CloudFront's definition, spelled out: some replacement of a * at
// the end by zero or more characters gives the URL.
func covers(pattern, url string) bool {
	if strings.HasPrefix(pattern, "#") {
		return false
	}
	if !strings.HasSuffix(pattern, "*") {
		return pattern == url
	}
	stem := strings.TrimSuffix(pattern, "*")
	for i := range len(url) + 1 {
		if stem+url[i:] == url {
			return true
		}
	}
	return false
}

func TestPatternCovers(t *testing.T) {
	pattern := rapid.StringMatching(`[/#][ab*?/]{0,5}`)
	url := rapid.StringMatching(`/[ab*?/]{0,6}`)
	rapid.Check(t, func(t *rapid.T) {
		p, u := pattern.Draw(t, "pattern"), url.Draw(t, "url")
		if rapid.Bool().Draw(t, "related") {
			u = strings.TrimSuffix(p, "*") + rapid.SampledFrom([]string{"", "a", "/b", "?a=b"}).Draw(t, "tail")
		}
		if got, want := freshet.Pattern(p).Covers(u), covers(p, u); got != want {
			t.Errorf("Pattern(%q).Covers(%q) = %v, want %v", p, u, got, want)
		}
	})
}

func TestPatternCoversExamples(t *testing.T) {
	tests := []struct {
		pattern freshet.Pattern
		url     string
		want    bool
	}{
		{"/a.css", "/a.css", true},
		{"/a.css", "/A.css", false},
		{"/a.css", "/a.css?v=1", false},
		{"/a.css?v=1", "/a.css?v=1", true},
		{"/a.css*", "/a.css?v=1", true},
		{"/a.css*", "/a.css", true},
		{"/images", "/images/", false},
		{"/images/*", "/images", false},
		{"/images/*", "/images/2026/x.png", true},
		{"/*", "/", true},
		{"/a*b", "/axb", false}, // a * that is not last is an asterisk
		{"/a*b", "/a*b", true},  //
		{"/**", "/*x", true},    //
		{"/**", "/x", false},    //
		{"/a?", "/ab", false},   // ? is no wildcard
		{"#tag", "#tag", false}, // a tag covers no URL by itself
		{"#tag*", "#tagged", false},
	}
	for _, tt := range tests {
		if got := tt.pattern.Covers(tt.url); got != tt.want {
			t.Errorf("%q.Covers(%q) = %v, want %v", tt.pattern, tt.url, got, tt.want)
		}
	}
}

func TestParsePattern(t *testing.T) {
	good := []string{
		"/", "/*", "/a.css", "/a%20b.html", "/a+b.html", "/%C3%A9", "/%c3%a9", "/(a)'b!,c;d=e&f@g:h$.txt", "/a*b", "/a?x=1&y=2", "/50%25",
		"/" + strings.Repeat("x", freshet.MaxPatternLength-1), "#t", "#~!\"%*", "#" + strings.Repeat("t", freshet.MaxTagLength),
	}
	for _, s := range good {
		if p, err := freshet.ParsePattern(s); err != nil || string(p) != s {
			t.Errorf("ParsePattern(%.40q) = %.40q, %v", s, p, err)
		}
	}
	bad := map[string]string{
		"":            "must begin with /",
		"a.css":       "must begin with /",
		"*":           "must begin with /",
		"https://x/a": "must begin with /",
		"/a b":        "written %20",
		"/a\tb":       "written %09",
		"/é":          `"é", which must be written %C3%A9`,
		"/\xff":       "written %FF",
		"/a[1]":       "written %5B",
		"/a|b":        "written %7C",
		"/50%":        "write %25",
		"/50%2":       "write %25",
		"/50%zz":      "write %25",
		"/~me/x":      `"/*"`,
		"/" + strings.Repeat("x", freshet.MaxPatternLength): "4001 characters",
		"#":    "1 to 256",
		"#a,b": "except the comma",
		"#a b": "visible ASCII",
		"#é":   "visible ASCII",
		"#" + strings.Repeat("t", freshet.MaxTagLength+1): "1 to 256",
	}
	for s, want := range bad {
		p, err := freshet.ParsePattern(s)
		if err == nil || p != "" || !strings.Contains(err.Error(), want) {
			t.Errorf("ParsePattern(%.40q) = %q, %v; want an error with %q", s, p, err, want)
		}
	}
}

func FuzzParsePattern(f *testing.F) {
	for _, s := range []string{"/", "/*", "/a b", "/%41~", "#tag", "#", "/é", "/%zz", "x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := freshet.ParsePattern(s)
		if err != nil {
			if p != "" || err.Error() == "" || len(err.Error()) > 1000 {
				t.Errorf("ParsePattern(%q) = %q, %v", s, p, err)
			}
			return
		}
		if string(p) != s {
			t.Fatalf("ParsePattern(%q) = %q", s, p)
		}
		if p.IsTag() {
			if n := len(s) - 1; n < 1 || n > freshet.MaxTagLength || strings.ContainsAny(s, ", \t") || p.IsWildcard() {
				t.Errorf("tag %q accepted", s)
			}
			return
		}
		if s[0] != '/' || len(s) > freshet.MaxPatternLength || strings.ContainsAny(s, " ~\"<>#{}|\\^[]`") {
			t.Errorf("pattern %q accepted", s)
		}
		for i := range len(s) {
			if s[i] <= ' ' || s[i] >= 0x7F {
				t.Errorf("pattern %q accepted with the byte %#x", s, s[i])
			}
		}
		if p.IsWildcard() != strings.HasSuffix(s, "*") || !p.Covers(p.Prefix()) {
			t.Errorf("pattern %q: wildcard %v, prefix %q", s, p.IsWildcard(), p.Prefix())
		}
	})
}
