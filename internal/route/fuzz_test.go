package route_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/distribution"
	"github.com/freshet/freshet/internal/route"
)

// What is explained about a URL is true of the keys it names: a change of each
// has the targets that were promised.
func FuzzExplainURL(f *testing.F) {
	for _, s := range []string{
		"/", "/a", "/blog/hello+world", "https://www.example.com/a%20b?x=1#top", "/app/x/y", "x", "//", "/a/../b", "/%zz", "/~a?~", "/?*", "/api?id=%26", "http://", "/d/?&&=",
	} {
		f.Add("", s)
	}
	f.Add("www.example.com:443", "/a")
	f.Add("[::1]:80", "/a")
	d := distribution.ForBucket("E1", "site")
	d.Config.Aliases = []string{"www.example.com", "*.example.org"}
	d.Config.DefaultCacheBehavior.ForwardedValues.QueryString = true
	d.Config.CustomErrorResponses = []distribution.CustomErrorResponse{{ErrorCode: 404, ResponseCode: 200, ResponsePagePath: "/404.html"}}
	d.Config.CacheBehaviors = []distribution.CacheBehavior{{PathPattern: "/api*", TargetOriginID: "site"}, {PathPattern: "*/live/?", TargetOriginID: "site", MaxTTL: new(int64)}}
	rules := rules()
	rules.Derived = append(rules.Derived, route.Derived{Key: "data/{id}.json", URLs: []string{"/api?id={id}"}})
	r, err := route.New([]distribution.Distribution{d, crowd()[2]}, rules)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, host, url string) {
		e := r.ExplainURL(route.Question{Host: host, URL: url})
		if _, err := json.Marshal(e); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(e.URL, "/") || (e.Reason == "") != (len(e.Distributions) > 0) {
			t.Fatalf("%+v", e)
		}
		for _, stop := range e.Distributions {
			for _, u := range stop.URLs {
				checkStop(t, u)
			}
		}
		path, _, _ := strings.Cut(e.URL, "?")
		if again := r.ExplainURL(route.Question{Host: e.Host, URL: path}); again.URL != path {
			t.Errorf("%q has the URL %q, and that %q", url, path, again.URL)
		}
	})
}

func checkStop(t *testing.T, u route.URLStop) {
	if n := len(u.Tried); n == 0 || !u.Tried[n-1].Matches || u.Tried[n-1].PathPattern != u.Behavior || u.TTL == nil {
		t.Errorf("no behavior answers: %+v", u)
	}
	if (len(u.Patterns) > 0) != u.Caches {
		t.Errorf("caches: %v, with the patterns %v", u.Caches, u.Patterns)
	}
	for _, p := range u.Patterns {
		if _, err := freshet.ParsePattern(p.Pattern); err != nil {
			t.Errorf("%s: %v", u.URL, err)
		}
		if !freshet.Pattern(p.Pattern).Covers(u.URL) {
			t.Errorf("%s does not cover %s", p.Pattern, u.URL)
		}
	}
	if strings.Contains(u.URL, "%20") && strings.Contains(u.URL, "+") {
		return // as its notes say
	}
	for _, k := range u.Keys {
		sent := 0
		for _, p := range u.Patterns {
			if p.Key == k.Key {
				sent++
			}
		}
		open := strings.Contains(k.Key, "{")
		if u.Caches && sent == 0 && !open && !strings.Contains(k.Reason, "not routed") && k.Bucket != "" {
			t.Errorf("%s may be answered by %s (%s), which then removes nothing", u.URL, k.Key, k.Reason)
		}
	}
}
