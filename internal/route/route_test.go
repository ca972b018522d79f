package route_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/distribution"
	"github.com/freshet/freshet/internal/route"
)

func site(edit func(*distribution.Config)) distribution.Distribution {
	d := distribution.ForBucket("E1", "site")
	if edit != nil {
		edit(&d.Config)
	}
	return d
}

func put(key string) freshet.Change {
	return freshet.Change{Origin: "site", Key: key, Op: freshet.OpPut}
}

// urls lists what a change makes stale: URL, an = before those that serve the
// object itself, and the pattern where it differs.
func urls(targets []freshet.Target) (got []string) {
	for _, t := range targets {
		s := t.URL
		if t.Served {
			s = "=" + s
		}
		if string(t.Pattern) != t.URL {
			s += " by " + string(t.Pattern)
		}
		got = append(got, s)
	}
	return got
}

func TestURLsOfAKey(t *testing.T) {
	originPath := func(c *distribution.Config) { c.Origins[0].OriginPath = "/site" }
	for _, tt := range []struct {
		name string
		edit func(*distribution.Config)
		key  string
		want []string
	}{
		{"plain", nil, "css/a.css", []string{"=/css/a.css"}},
		{"default root object", nil, "index.html", []string{"=/index.html", "=/"}},
		{"index document of the root without a default root object", func(c *distribution.Config) { c.DefaultRootObject = "" }, "index.html", []string{"=/index.html", "/"}},
		{"default root object in a folder", func(c *distribution.Config) { c.DefaultRootObject = "d/home.html" }, "d/home.html", []string{"=/d/home.html", "=/"}},
		{"index document of a folder", nil, "d/e/index.html", []string{"=/d/e/index.html", "/d/e/", "/d/e"}},
		{"name that only ends like an index document", nil, "foo/myindex.html", []string{"=/foo/myindex.html"}},
		{"folder with spaces", nil, "a b/index.html", []string{"=/a%20b/index.html", "=/a+b/index.html", "/a%20b/", "/a%20b", "/a+b/", "/a+b"}},
		{"space", nil, "a b.html", []string{"=/a%20b.html", "=/a+b.html"}},
		{"plus", nil, "c++/x", []string{"=/c%2B%2B/x"}},
		{"non-ASCII", nil, "é.png", []string{"=/%C3%A9.png"}},
		{"percent", nil, "50%.txt", []string{"=/50%25.txt"}},
		{"question mark and hash", nil, "a?b#c", []string{"=/a%3Fb%23c"}},
		{"marks that stay as they are", nil, "(a)'b!,c;d=e&f@g:h$.txt", []string{"=/(a)'b!,c;d=e&f@g:h$.txt"}},
		{"tilde", nil, "v~1/main.js", []string{"=/v~1/main.js by /v*"}},
		{"tilde first", nil, "~user/x", []string{"=/~user/x by /*"}},
		{"asterisk inside", nil, "a*b.txt", []string{"=/a*b.txt"}},
		{"asterisk last", nil, "a*", []string{"=/a* by /a**"}},
		{"trailing slash", nil, "folder/", []string{"=/folder/"}},
		{"origin path", originPath, "site/a.css", []string{"=/a.css"}},
		{"origin path is whole segments", originPath, "site-old/z.html", nil},
		{"the origin path itself is no object", originPath, "site/", nil},
		{"index document under an origin path", originPath, "site/index.html", []string{"=/index.html", "=/"}},
		{"query strings in the cache key", func(c *distribution.Config) { c.DefaultCacheBehavior.ForwardedValues.QueryString = true }, "a.js", []string{"=/a.js", "/a.js?*"}},
		{"no caching", func(c *distribution.Config) { c.DefaultCacheBehavior.MaxTTL = new(int64) }, "a.js", nil},
		{"disabled", func(c *distribution.Config) { c.Enabled = false }, "a.js", nil},
		{"another behavior does not cache", func(c *distribution.Config) {
			c.CacheBehaviors = []distribution.CacheBehavior{{PathPattern: "/live/*", TargetOriginID: "site", MaxTTL: new(int64)}}
		}, "live/index.html", []string{"/live"}},
		{"another behavior has another origin", func(c *distribution.Config) {
			c.Origins = append(c.Origins, distribution.Origin{ID: "app", DomainName: "app.example.com"})
			c.CacheBehaviors = []distribution.CacheBehavior{{PathPattern: "/api/*", TargetOriginID: "app"}}
		}, "api/x", nil},
		{"two origins of one bucket", func(c *distribution.Config) {
			c.Origins = append(c.Origins, distribution.Origin{ID: "old", DomainName: "site.s3.eu-west-1.amazonaws.com", OriginPath: "/v1"})
			c.CacheBehaviors = []distribution.CacheBehavior{{PathPattern: "/old/*", TargetOriginID: "old"}}
		}, "v1/old/x", []string{"=/v1/old/x", "=/old/x"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			targets, unrouted := targetsOf(t, []freshet.Change{put(tt.key)}, []distribution.Distribution{site(tt.edit)})
			if got := urls(targets); !slices.Equal(got, tt.want) {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
			if (len(unrouted) == 1) != (len(tt.want) == 0) {
				t.Errorf("unrouted: %+v", unrouted)
			}
			for _, target := range targets {
				if target.Reason == "" || target.Distribution != "E1" || target.Key != tt.key || target.Origin != "site" {
					t.Errorf("incomplete target %+v", target)
				}
				if !target.Pattern.Covers(target.URL) {
					t.Errorf("%s is not covered by %s", target.URL, target.Pattern)
				}
			}
			for _, u := range unrouted {
				if u.Reason == "" {
					t.Error("unrouted without a reason")
				}
			}
		})
	}
}

func TestEveryDistributionOfABucketGetsItsOwnTargets(t *testing.T) {
	other := distribution.ForBucket("E2", "site")
	other.Config.Origins[0].OriginPath = "/blog"
	foreign := distribution.ForBucket("E3", "elsewhere")
	ds := []distribution.Distribution{site(nil), other, foreign}
	targets, unrouted := targetsOf(t, []freshet.Change{put("blog/x"), put("y"), {Origin: "nobody's", Key: "z"}}, ds)
	var got []string
	for _, target := range targets {
		got = append(got, target.Distribution+target.URL)
	}
	if want := []string{"E1/blog/x", "E2/x", "E1/y"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if len(unrouted) != 1 || unrouted[0].Key != "z" || !strings.Contains(unrouted[0].Reason, "nobody's") {
		t.Errorf("unrouted: %+v", unrouted)
	}
}

// targetsOf routes changes without rules.
func targetsOf(t *testing.T, changes []freshet.Change, distributions []distribution.Distribution) ([]freshet.Target, []freshet.Unrouted) {
	t.Helper()
	r, err := route.New(distributions, route.Rules{})
	if err != nil {
		t.Fatal(err)
	}
	return r.Targets(changes, nil)
}
