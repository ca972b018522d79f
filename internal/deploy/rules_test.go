package deploy_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/deploy"
)

func unix(s int64) time.Time { return time.Unix(s, 0) }

func TestFor(t *testing.T) {
	r := deploy.Rules{Rules: []deploy.Rule{
		{Match: deploy.Globs{"*"}, CacheControl: "max-age=60", Tags: []string{"site"}},
		{Match: deploy.Globs{"assets/*", "*.woff2"}, CacheControl: "immutable", Metadata: map[string]string{"a": "b"}},
		{Match: deploy.Globs{"feed"}, Type: "application/rss+xml", Order: "pages"},
		{Match: deploy.Globs{"app/*"}, Encode: "gzip"},
		{Match: deploy.Globs{"app/raw/*"}, Encode: "none"},
	}}
	if err := r.Check(); err != nil {
		t.Fatal(err)
	}
	a := r.For("assets/x.css")
	if a.Served.CacheControl != "immutable" || a.Served.Metadata["cache-tag"] != "site" || a.Served.Metadata["a"] != "b" || a.Served.Type != "text/css; charset=utf-8" || a.Class != deploy.Assets {
		t.Errorf("%+v", a)
	}
	if b := r.For("feed"); b.Served.Type != "application/rss+xml" || b.Class != deploy.Pages || b.Served.CacheControl != "max-age=60" {
		t.Errorf("%+v", b)
	}
	if r.For("app/x.js").Encode != "gzip" || r.For("app/raw/x.js").Encode != "" {
		t.Error("a later rule does not count")
	}
	if len(r.Rules[1].Metadata) != 1 {
		t.Error("a rule was changed")
	}
}

func TestClasses(t *testing.T) {
	for path, want := range map[string]deploy.Class{
		"a.css": deploy.Assets, "x/index.html": deploy.Pages, "feed.xml": deploy.Last, "x/atom.atom": deploy.Last, "sitemap-2.xml": deploy.Last,
		"sitemap.xml.gz": deploy.Last, "sw.js": deploy.Last, "app.js": deploy.Assets, "site.webmanifest": deploy.Last, "data.xml": deploy.Assets, "LICENSE": deploy.Assets,
		"x/INDEX.HTML": deploy.Pages, "a.shtml": deploy.Pages, "index.html.br": deploy.Pages, "index.html.gz": deploy.Pages, "index.html.zst": deploy.Pages,
		"sw.js.br": deploy.Last, "feed.rss.gz": deploy.Last, "app.js.br": deploy.Assets, "backup.tar.gz": deploy.Assets, ".gz": deploy.Assets,
	} {
		if got := (deploy.Rules{}).For(path).Class; got != want {
			t.Errorf("%s is among %v, want %v", path, got, want)
		}
	}
}

// TestClassesOfContent: a page whose name has no ending is one by its content, and
// what is beside a page is sent with it, behind the assets that both refer to.
func TestClassesOfContent(t *testing.T) {
	page := deploy.File{Path: "about", Size: 3, Type: "text/html; charset=utf-8"}
	for name, tt := range map[string]struct {
		rules deploy.Rules
		file  deploy.File
		want  []deploy.Class
	}{
		"a page without an ending": {deploy.Rules{}, page, []deploy.Class{deploy.Pages}},
		"its redirect":             {deploy.Rules{}, deploy.File{Path: "about"}, []deploy.Class{deploy.Assets}},
		"a rule for its order":     {deploy.Rules{Rules: []deploy.Rule{{Match: deploy.Globs{"*"}, Order: "last"}}}, page, []deploy.Class{deploy.Last}},
		"a rule for its type":      {deploy.Rules{Rules: []deploy.Rule{{Match: deploy.Globs{"*"}, Type: "application/json"}}}, page, []deploy.Class{deploy.Assets}},
		"an ending tells more":     {deploy.Rules{}, deploy.File{Path: "a.txt", Size: 3, Type: page.Type}, []deploy.Class{deploy.Assets}},
		"files beside a page": {deploy.Rules{Rules: []deploy.Rule{{Match: deploy.Globs{"*"}, Precompress: deploy.Globs{"br", "gzip"}}}}, page,
			[]deploy.Class{deploy.Pages, deploy.Pages, deploy.Pages}},
	} {
		var got []deploy.Class
		for _, o := range tt.rules.Objects("", tt.file) {
			got = append(got, o.Class)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}

func TestObjects(t *testing.T) {
	r := deploy.Rules{
		Rules: []deploy.Rule{
			{Match: deploy.Globs{"*.js"}, Precompress: deploy.Globs{"br", "gzip"}},
			{Match: deploy.Globs{"*.svgz"}, Type: "image/svg+xml", Encoding: "gzip"},
			{Match: deploy.Globs{"e.*"}, Encode: "br", Precompress: deploy.Globs{"none"}},
		},
		Redirects: []deploy.Redirect{{From: "old.html", To: "/new.html"}},
	}
	all := r.Objects("p/", deploy.File{Path: "a.js", Size: 3, Hash: hash("x"), ETag: "e"})
	if len(all) != 3 || all[0].ETag != "e" || all[1].Key != "p/a.js.br" || all[1].Form != "br-11" || all[1].Served.Encoding != "br" || all[2].Key != "p/a.js.gz" || all[2].Served.Type != "text/javascript; charset=utf-8" || all[2].ETag != "" {
		t.Errorf("%+v", all)
	}
	if one := r.Objects("", deploy.File{Path: "e.js", Size: 3, ETag: "e"}); len(one) != 1 || one[0].Form != "br-11" || one[0].Served.Encoding != "br" || one[0].ETag != "" {
		t.Errorf("%+v", one)
	}
	if one := r.Objects("", deploy.File{Path: "x", Size: 3, Type: "image/png"}); one[0].Served.Type != "image/png" {
		t.Errorf("%+v", one)
	}
	if none := r.Objects("", deploy.File{Path: "a.js"}); len(none) != 1 {
		t.Errorf("an empty file has files beside it: %+v", none)
	}
	if to := r.RedirectObjects("p/", deploy.File{}); len(to) != 1 || to[0].Key != "p/old.html" || to[0].Served.Redirect != "/new.html" {
		t.Errorf("%+v", to)
	}
}

func TestCheckRules(t *testing.T) {
	for want, r := range map[string]deploy.Rules{
		"a glob":        {Rules: []deploy.Rule{{}}},
		"order first":   {Rules: []deploy.Rule{{Match: deploy.Globs{"*"}, Order: "first"}}},
		"zip":           {Rules: []deploy.Rule{{Match: deploy.Globs{"*"}, Encode: "zip"}}},
		"printable":     {Rules: []deploy.Rule{{Match: deploy.Globs{"*"}, CacheControl: "a\r\nb: c"}}},
		"metadata":      {Rules: []deploy.Rule{{Match: deploy.Globs{"*"}, Metadata: map[string]string{"A": "b"}}}},
		"2048":          {Rules: []deploy.Rule{{Match: deploy.Globs{"*"}, Metadata: map[string]string{"a": strings.Repeat("b", 2048)}}}},
		"a tag has":     {Rules: []deploy.Rule{{Match: deploy.Globs{"*"}, Tags: []string{"a,b"}}}},
		"not printable": {Redirects: []deploy.Redirect{{From: "a", To: "https://example.org/ü"}}},
		"must begin":    {Redirects: []deploy.Redirect{{From: "a", To: "b"}}},
		"twice":         {Redirects: []deploy.Redirect{{From: "a", To: "/b"}, {From: "a", To: "/c"}}},
		"max_delete":    {Limit: "many"},
		"neither gzip":  {Rules: []deploy.Rule{{Match: deploy.Globs{"*"}, Precompress: deploy.Globs{"zstd"}}}},
		"files beside":  {Rules: []deploy.Rule{{Match: deploy.Globs{"*"}, Encode: "gzip", Precompress: deploy.Globs{"br"}}}},
		"without a sla": {Redirects: []deploy.Redirect{{From: "/a", To: "/b"}}},
	} {
		if err := r.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
	}
}
