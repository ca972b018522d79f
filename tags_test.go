package freshet_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/freshet/freshet"
)

func TestTagsIn(t *testing.T) {
	many := make([]string, 60)
	for i := range many {
		many[i] = "t" + strconv.Itoa(100+i)
	}
	const header = "x-amz-meta-cache-tag"
	tests := []struct {
		name, lines, header string
		want                []string
	}{
		{"none", "", header, nil},
		{"trimmed, in lower case, once each", freshet.TagLine(header, " News ,home,\tnews"), header, []string{"home", "news"}},
		{"whatever the case of the header", freshet.TagLine("X-Amz-Meta-Cache-Tag", "a"), header, []string{"a"}},
		{"another header", freshet.TagLine("cache-tag", "a"), header, nil},
		{"among others", freshet.TagLine("cache-tag", "a") + freshet.TagLine(header, "b"), header, []string{"b"}},
		{"no header", freshet.TagLine("", "a"), "", nil},
		{"what is none", freshet.TagLine(header, "a b,,é,"+strings.Repeat("x", 257)+",ok"), header, []string{"ok"}},
		{"a colon", freshet.TagLine(header, "a:b"), header, []string{"a:b"}},
		{"the first fifty", freshet.TagLine(header, strings.Join(many, ",")), header, many[:50]},
		{"those that count for nothing count here", freshet.TagLine(header, strings.Repeat(",", 50)+"a"), header, nil},
		{"a line break", freshet.TagLine(header, "a\n"+header+":b"), header, nil},
		{"no line", header, header, nil},
	}
	for _, tt := range tests {
		if got := freshet.TagsIn(tt.lines, tt.header); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}
