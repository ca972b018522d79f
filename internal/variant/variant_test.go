package variant

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/freshet/freshet/internal/distribution"
)

func TestOf(t *testing.T) {
	listed := func(names ...string) distribution.Selection {
		return distribution.Selection{Mode: distribution.Listed, Names: names}
	}
	tests := []struct {
		name    string
		caching distribution.Caching
		given   Given
		want    []string
		unknown []string // parts of them, in order
	}{
		{"nothing in the key", distribution.Caching{}, Given{}, []string{"identity"}, nil},
		{"both encodings", distribution.Caching{Gzip: true, Brotli: true}, Given{}, []string{"br, gzip", "gzip", "br", "identity"}, nil},
		{"gzip", distribution.Caching{Gzip: true}, Given{}, []string{"gzip", "identity"}, nil},
		{"brotli", distribution.Caching{Brotli: true}, Given{}, []string{"br", "identity"}, nil},
		{"Accept-Encoding as it is sent", distribution.Caching{Headers: listed("accept-encoding")}, Given{}, []string{"br, gzip", "gzip", "br", "identity"}, nil},
		{"encodings that were given", distribution.Caching{Gzip: true, Brotli: true}, Given{Encodings: []string{"br"}}, []string{"br"}, nil},
		{
			"a header in the key", distribution.Caching{Headers: listed("X-Device", "Origin", "Host")}, Given{Headers: []Field{{"x-device", "tablet"}, {"X-Device", "phone"}, {"x-device", "tablet"}}},
			[]string{"identity", "identity, x-device: tablet", "identity, X-Device: phone"}, []string{"header Origin is in the cache key"},
		},
		{"a header that is not", distribution.Caching{}, Given{Headers: []Field{{"X-Device", "tablet"}}}, []string{"identity, X-Device: tablet"}, nil},
		{
			"cookies", distribution.Caching{Gzip: true, Cookies: listed("a", "b")}, Given{Cookies: []Field{{"a", "1"}, {"A", "2"}}},
			[]string{"gzip, cookie A=2", "gzip, cookie a=1, cookie A=2", "identity, cookie A=2", "identity, cookie a=1, cookie A=2"}, []string{"cookie b is in"},
		},
		{"every cookie", distribution.Caching{Cookies: distribution.Selection{Mode: distribution.All}}, Given{Cookies: []Field{{"a", "1"}}}, []string{"identity", "identity, cookie a=1"}, []string{"every cookie is in"}},
		{
			"all parameters but one", distribution.Caching{QueryStrings: distribution.Selection{Mode: distribution.AllBut, Names: []string{"utm"}}}, Given{Query: []Field{{"v", "2"}, {"utm", "x"}}},
			[]string{"identity, ?utm=x", "identity, ?v=2, ?utm=x"}, []string{"every query parameter but utm"},
		},
		{"all headers: nothing is cached", distribution.Caching{Headers: distribution.Selection{Mode: distribution.All}, Gzip: true}, Given{}, []string{"identity"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.caching.MaxTTL = 1
			s, err := Of(tt.caching, tt.given)
			var got []string
			for _, v := range s.Variants {
				got = append(got, v.String())
			}
			if err != nil || fmt.Sprintf("%q", got) != fmt.Sprintf("%q", tt.want) {
				t.Errorf("%q (%v), want %q", got, err, tt.want)
			}
			if len(s.Unknown) != len(tt.unknown) {
				t.Fatalf("unknown: %q, want %q", s.Unknown, tt.unknown)
			}
			for i, part := range tt.unknown {
				if !strings.Contains(s.Unknown[i], part) {
					t.Errorf("unknown: %q, want %q", s.Unknown[i], part)
				}
			}
		})
	}
	if s, err := Of(distribution.Caching{Gzip: true}, Given{}); err != nil || len(s.Variants) != 1 {
		t.Errorf("where nothing is cached: %v (%v)", s, err)
	}
	if s, err := Unconfigured(Given{}); err != nil || len(s.Variants) != 4 || len(s.Unknown) != 1 {
		t.Errorf("where nothing is known: %v (%v)", s, err)
	}
}

// TestVariantsAreDistinctAndBounded: each is listed once, whatever is given.
func TestVariantsAreDistinctAndBounded(t *testing.T) {
	field := rapid.Custom(func(r *rapid.T) Field {
		return Field{rapid.SampledFrom([]string{"a", "A", "b", "c", "d", "e", "f", "g", "h"}).Draw(r, "name"), rapid.StringMatching(`[0-2]`).Draw(r, "value")}
	})
	rapid.Check(t, func(r *rapid.T) {
		c := distribution.Caching{MaxTTL: 1, Gzip: rapid.Bool().Draw(r, "gzip"), Brotli: rapid.Bool().Draw(r, "br")}
		c.Headers = distribution.Selection{Mode: distribution.Listed, Names: []string{"a", "b", "c"}}
		c.Cookies.Mode = rapid.SampledFrom([]distribution.SelectionMode{distribution.None, distribution.All}).Draw(r, "mode")
		c.QueryStrings = distribution.Selection{Mode: distribution.AllBut, Names: []string{"a"}}
		g := Given{Headers: rapid.SliceOfN(field, 0, 6).Draw(r, "headers"), Cookies: rapid.SliceOfN(field, 0, 6).Draw(r, "cookies"), Query: rapid.SliceOfN(field, 0, 6).Draw(r, "query")}
		s, err := Of(c, g)
		if err != nil {
			return
		}
		if len(s.Variants) == 0 || len(s.Variants) > Most {
			r.Fatalf("%d variants", len(s.Variants))
		}
		for i, v := range s.Variants {
			for _, w := range s.Variants[:i] {
				if reflect.DeepEqual(v, w) {
					r.Fatalf("%s is listed twice", v)
				}
			}
		}
	})
}

func TestTooManyVariants(t *testing.T) {
	var given []Field
	for i := range Most {
		given = append(given, Field{"v", fmt.Sprint(i)})
	}
	c := distribution.Caching{MaxTTL: 1, QueryStrings: distribution.Selection{Mode: distribution.All}}
	if s, err := Of(c, Given{Query: given}); err == nil {
		t.Errorf("%d variants", len(s.Variants))
	}
}
