package route_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/freshet/freshet/internal/distribution"
	"github.com/freshet/freshet/internal/route"
)

// What a function makes of a URL, its query string included, is where its
// objects are looked for and what else has to be invalidated.
func TestRewrittenURLs(t *testing.T) {
	d := distribution.ForBucket("E1", "site")
	d.Config.DefaultCacheBehavior.ForwardedValues = &distribution.ForwardedValues{QueryString: true, QueryStringCacheKeys: []string{"v"}}
	d.Config.DefaultCacheBehavior.FunctionAssociations = []distribution.FunctionAssociation{{EventType: "viewer-request", FunctionARN: "f"}}
	r, err := route.New([]distribution.Distribution{d}, rules())
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		url, to  string
		known    bool
		patterns []string
		key      string // that may answer
		noted    bool
	}{
		{"/d/", "/d/index.html", true, []string{"/d/", "/d/index.html"}, "d/index.html", true},
		{"/d.html?v=1&w=2", "/d.html?v=2&w=2", true, []string{"/d.html?v=1", "/d.html?v=2"}, "d.html", true},
		{"/d.html?v=1&w=2", "/d.html?v=1", true, []string{"/d.html?v=1"}, "d.html", true},
		{"/d.html?v=1", "/d.html", true, []string{"/d.html?v=1", "/d.html"}, "d.html", true},
		{"/d.html?v=1", "/d.html?v=1", true, []string{"/d.html?v=1"}, "d.html", false},
		{"/d.html?v=1", "", false, []string{"/d.html?v=1"}, "d.html", false},
		{"/a%7eb", "/~c", true, []string{"/a*", "/*"}, "~c", true},
	} {
		e := r.ExplainURL(route.Question{URL: tt.url, Rewritten: func(id string) (string, bool) { return tt.to, tt.known && id == "E1" }})
		u := e.Distributions[0].URLs[0]
		var patterns []string
		for _, p := range u.Patterns {
			if p.Key == "" {
				patterns = append(patterns, p.Pattern)
			}
		}
		found := slices.ContainsFunc(u.Keys, func(c route.Candidate) bool { return c.Key == tt.key })
		noted := slices.ContainsFunc(u.Notes, func(n string) bool { return strings.Contains(n, "function before the cache makes") })
		if !slices.Equal(patterns, tt.patterns) || !found || noted != tt.noted {
			t.Errorf("%s → %s: patterns %q, keys %+v, notes %q", tt.url, tt.to, patterns, u.Keys, u.Notes)
		}
	}
	if e := r.ExplainURL(route.Question{Host: "elsewhere.example", URL: "/", Only: "E1"}); len(e.Distributions) != 1 {
		t.Errorf("%+v", e)
	}
	if e := r.ExplainURL(route.Question{URL: "/", Only: "E2"}); len(e.Distributions) != 0 || e.Reason == "" {
		t.Errorf("%+v", e)
	}
}
