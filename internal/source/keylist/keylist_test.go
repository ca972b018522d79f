package keylist

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/freshet/freshet"
)

var now = time.Date(2026, 11, 20, 12, 0, 0, 0, time.FixedZone("", 3600))

func TestParse(t *testing.T) {
	tests := []struct {
		name, input, origin string
		want                []string // "origin key" of the changes, then "place: part of the problem"
	}{
		{"lines", "index.html\na dir/h+é.html\n", "site", []string{"site index.html", "site a dir/h+é.html"}},
		{"no last newline", "a\nb", "site", []string{"site a", "site b"}},
		{"CR LF and blank lines", "\r\na.html\r\n  \r\n\nb.html\r\n", "site", []string{"site a.html", "site b.html"}},
		{"spaces belong to the key", " a \n", "site", []string{"site  a "}},
		{"nothing is decoded", "a%20b+c.html", "site", []string{"site a%20b+c.html"}},
		{"no comments", "#1.html", "site", []string{"site #1.html"}},
		{"NUL", "a\nb\r\x00c\x00\x00", "site", []string{"site a\nb\r", "site c"}},
		{"NUL keeps spaces alone", " \x00", "site", []string{"site  "}},
		{"array", ` [ "a\nb", "s3://other/c" ] `, "site", []string{"site a\nb", "other c"}},
		{"empty array", "[]", "site", nil},
		{"bracket is a key", "[slug].js\n[...all].js", "site", []string{"site [slug].js", "site [...all].js"}},
		{"uri", "s3://b/a dir/x.html", "", []string{"b a dir/x.html"}},
		{"uri with a slash of its own", "s3://b//x", "", []string{"b /x"}},
		{"byte order mark", "\ufeffa", "site", []string{"site a"}},
		{"nothing", "", "site", nil},
		{"twice", "a\na", "site", []string{"site a", "site a"}},

		{"no origin", "a\ns3://b/c", "", []string{"b c", "line 1: no bucket is named"}},
		{"slash", "/a.html\nb", "site", []string{"site b", `line 1: write "a.html", or s3://site//a.html`}},
		{"uri without a key", "s3://b\ns3://b/\ns3:///k", "site", []string{"line 1: no object key", "line 2: no object key", "line 3: no bucket"}},
		{"long", strings.Repeat("x", MaxKeyLength) + "\n" + strings.Repeat("x", MaxKeyLength+1), "site", []string{"site " + strings.Repeat("x", MaxKeyLength), "line 2: 1025 bytes"}},
		{"not UTF-8", "\xff", "site", []string{"line 1: not UTF-8"}},
		{"array cut short", `["a", "b`, "site", []string{"input: begins like a JSON array"}},
		{"array of others", `["", 7, null, "a"]`, "site", []string{"site a", "[0]: no object key", "[1]: no object key", "[2]: no object key"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			res := Parse([]byte(tt.input), tt.origin, now)
			if got := len(res.Changes) + len(res.Problems); got != len(tt.want) {
				t.Fatalf("got %d records, want %d: %+v", got, len(tt.want), res)
			}
			for i, c := range res.Changes {
				if got := c.Origin + " " + c.Key; got != tt.want[i] {
					t.Errorf("change %d is %q, want %q", i, got, tt.want[i])
				}
			}
			for i, p := range res.Problems {
				place, part, _ := strings.Cut(tt.want[len(res.Changes)+i], ": ")
				if p.At.String() != place || !strings.Contains(p.Err.Error(), part) {
					t.Errorf("problem %d is %q, want %q at %q", i, p, part, place)
				}
			}
		})
	}
}

func TestChange(t *testing.T) {
	want := freshet.Change{Origin: "site", Key: "a", Op: freshet.OpPut, Time: now.UTC(), Cause: "listed"}
	if got := Parse([]byte("a"), "site", now).Changes[0].Change; got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// Keys survive each way of listing them.
func TestRoundTrip(t *testing.T) {
	key := rapid.StringMatching(`[^/\x00\r\n\s\x{feff}][^\x00\r\n]{0,20}`).Filter(func(s string) bool {
		return !strings.HasPrefix(s, "s3://") && s[0] != '[' && strings.TrimSpace(s) != ""
	})
	rapid.Check(t, func(t *rapid.T) {
		keys := rapid.SliceOf(key).Draw(t, "keys")
		quoted := make([]string, len(keys))
		for i, k := range keys {
			quoted[i] = jsonString(k)
		}
		for _, input := range []string{
			strings.Join(keys, "\n"), strings.Join(keys, "\r\n"), strings.Join(keys, "\x00") + "\x00", "[" + strings.Join(quoted, ",") + "]",
		} {
			var got []string
			for _, c := range Parse([]byte(input), "site", now).Changes {
				got = append(got, c.Key)
			}
			if !slices.Equal(got, keys) {
				t.Errorf("%q gave %q", input, got)
			}
		}
	})
}

// jsonString escapes every character, as other writers of JSON may.
func jsonString(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r >= 0x10000 {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return `"` + b.String() + `"`
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"a\nb", "a\x00b\x00", `["a"]`, "s3://b/k", "/x", "[x].js"} {
		f.Add([]byte(s), "site")
	}
	f.Fuzz(func(t *testing.T, data []byte, origin string) {
		res := Parse(data, origin, now)
		for _, c := range res.Changes {
			if c.Origin == "" || c.Key == "" || !utf8.ValidString(c.Key) || len(c.Key) > MaxKeyLength {
				t.Errorf("change %+v", c)
			}
		}
		for _, p := range res.Problems {
			if p.Err == nil {
				t.Errorf("problem without an error at %v", p.At)
			}
		}
	})
}
