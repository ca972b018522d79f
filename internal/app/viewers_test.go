package app

import (
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/config"
	"github.com/freshet/freshet/internal/probe"
	"github.com/freshet/freshet/internal/route"
	"github.com/freshet/freshet/internal/variant"
	"github.com/freshet/freshet/internal/verify"
)

// viewersOf reads a distribution with two names, of which some paths are kept by
// name and some only for whom has signed URLs.
func viewersOf(t *testing.T, o ViewersOptions) *Viewers {
	t.Helper()
	file := filepath.Join(t.TempDir(), "site.yaml")
	text := `Id: EVIEWERS1
DomainName: d1.cloudfront.net
DistributionConfig:
  Enabled: true
  Comment: ""
  CallerReference: x
  Aliases: [www.example.com, "*.example.net"]
  DefaultRootObject: index.html
  Origins:
    - {Id: s3, DomainName: www.s3.eu-west-1.amazonaws.com}
  CacheBehaviors:
    - {PathPattern: /named/*, TargetOriginId: s3, ViewerProtocolPolicy: allow-all, CachePolicyId: 83da9c7e-98b4-4e11-a168-04f0df8e2c65}
    - {PathPattern: /members/*, TargetOriginId: s3, ViewerProtocolPolicy: allow-all, CachePolicyId: b2884449-e4de-46a7-ac36-70bc7f1ddd6d, TrustedKeyGroups: [g]}
  DefaultCacheBehavior: {TargetOriginId: s3, ViewerProtocolPolicy: allow-all, CachePolicyId: b2884449-e4de-46a7-ac36-70bc7f1ddd6d}
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := config.Default()
	cfg.Data = filepath.Join(t.TempDir(), "none")
	cfg.Distributions = []config.DistributionFile{{File: file}}
	cfg.Routes.Derived = []route.Derived{{Key: "posts/{name}.md", URLs: []string{"/feed.xml"}}}
	v, err := NewViewers(t.Context(), cfg, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return v
}

func TestURLsOfViewers(t *testing.T) {
	v := viewersOf(t, ViewersOptions{})
	for text, want := range map[string]string{
		"/a?b=c#d":                    "https://d1.cloudfront.net/a?b=c",
		"/":                           "https://d1.cloudfront.net/",
		"http://www.example.com/a":    "http://www.example.com/a",
		"https://x.example.net:443/a": "https://x.example.net/a",
		"/a//b%2Fc":                   "https://d1.cloudfront.net/a//b%2Fc",
	} {
		if u, err := v.URL(text); err != nil || u.String() != want {
			t.Errorf("%s: %v (%v), want %s", text, u, err, want)
		}
	}
	for _, text := range []string{"https://example.net/", "https://www.example.com:8443/", "//www.example.com/", "a.html", "http://127.0.0.1/", "ftp://www.example.com/", ""} {
		if u, err := v.URL(text); err == nil {
			t.Errorf("%s: %v", text, u)
		}
	}
	site := viewersOf(t, ViewersOptions{Site: &url.URL{Scheme: "http", Host: "www.example.com"}})
	if u, err := site.URL("/a"); err != nil || u.String() != "http://www.example.com/a" {
		t.Errorf("%v (%v)", u, err)
	}
}

func plannedBy(t *testing.T, v *Viewers, changes ...freshet.Change) freshet.Plan {
	t.Helper()
	p, err := v.Planner.Make(changes, false)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPlansAreSeenUnderEveryNameThatIsInTheKey(t *testing.T) {
	v := viewersOf(t, ViewersOptions{Rules: probe.Rules{{Host: "*", Places: []probe.Place{place(t, "192.0.2.1"), place(t, "192.0.2.2")}}}})
	at := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	p := plannedBy(
		t, v,
		freshet.Change{Origin: "www", Key: "named/a", Op: freshet.OpPut, ETag: "etag1", Time: at},
		freshet.Change{Origin: "www", Key: "b", Op: freshet.OpDelete, Time: at},
		freshet.Change{Origin: "www", Key: "posts/x.md", Op: freshet.OpPut, Time: at},
	)
	views, notes, err := v.PlanViews(p)
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]int)
	for _, view := range views {
		seen[view.Ask.URL.String()]++
	}
	for u, want := range map[string]int{
		"https://d1.cloudfront.net/named/a": 8, "https://www.example.com/named/a": 8, // four encodings at two addresses
		"https://d1.cloudfront.net/b": 2, "https://d1.cloudfront.net/feed.xml": 2, "https://d1.cloudfront.net/posts/x.md": 2,
	} {
		if seen[u] != want {
			t.Errorf("%s has %d views, want %d", u, seen[u], want)
		}
	}
	if len(seen) != 5 {
		t.Errorf("%v", seen)
	}
	if !slices.ContainsFunc(notes, func(n string) bool { return strings.Contains(n, "every cookie is in the cache key") }) {
		t.Errorf("notes %q", notes)
	}
	for _, view := range views {
		path := view.Ask.URL.Path
		if path == "/posts/x.md" {
			continue // its bucket would be asked
		}
		want, err := view.Source.Expected(t.Context(), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		ok := map[string]bool{
			"/named/a": want.ETag == "etag1" && !want.Gone && want.From == "the plan", "/b": want.Gone, "/feed.xml": want.Since.Equal(at) && want.ETag == "",
		}[path]
		if !ok {
			t.Errorf("%s: %+v", path, want)
		}
	}
	requests, _, err := v.PlanRequests(p)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range requests {
		if r.Ask.URL.Path == "/b" {
			t.Error("what is gone is warmed")
		}
		delete(seen, r.Ask.URL.String())
	}
	if len(seen) != 1 {
		t.Errorf("not warmed: %v", seen)
	}
}

func place(t *testing.T, text string) probe.Place {
	t.Helper()
	p, err := probe.ParsePlace(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPlansOfOtherDistributions(t *testing.T) {
	v := viewersOf(t, ViewersOptions{})
	p := plannedBy(t, v, freshet.Change{Origin: "www", Key: "b", Op: freshet.OpPut})
	p.Invalidations[0].Distribution = "EOTHER1"
	if _, _, err := v.PlanViews(p); err == nil || !strings.Contains(err.Error(), "--distribution EOTHER1=FILE") {
		t.Errorf("%v", err)
	}
}

func TestWhatOnlySignedURLsShow(t *testing.T) {
	v := viewersOf(t, ViewersOptions{})
	u, err := v.URL("/members/a")
	if err != nil {
		t.Fatal(err)
	}
	views, _, err := v.Views(u)
	if err != nil || len(views) != 1 {
		t.Fatalf("%v (%v)", views, err)
	}
	if _, err := views[0].Source.Expected(t.Context(), time.Now()); err == nil || !strings.Contains(err.Error(), "signed") {
		t.Errorf("%v", err)
	}
	signed, err := url.Parse("https://www.example.com/members/a?Expires=1&Signature=x&Key-Pair-Id=K1")
	if err != nil || !isSigned(signed, variant.Variant{}) || isSigned(u, variant.Variant{}) || !isSigned(u, variant.Variant{Cookies: []variant.Field{{Name: "CloudFront-Key-Pair-Id"}}}) {
		t.Errorf("what is signed is not known (%v)", err)
	}
}

func TestObjectsBehindURLs(t *testing.T) {
	v := viewersOf(t, ViewersOptions{})
	for path, want := range map[string]object{
		"/":         {"www", "index.html", "eu-west-1"},
		"/a%20b?x":  {"www", "a b", "eu-west-1"},
		"/a+b":      {"www", "a b", "eu-west-1"},
		"/a%2Bb":    {"www", "a+b", "eu-west-1"},
		"/named/x":  {"www", "named/x", "eu-west-1"},
		"/%7Etilde": {"www", "~tilde", "eu-west-1"},
	} {
		u, err := v.URL(path)
		if err != nil {
			t.Fatal(err)
		}
		objects, err := v.objects(t.Context(), u, v.answering(u))
		if err != nil || len(objects) == 0 || objects[0] != want {
			t.Errorf("%s: %+v (%v), want %+v", path, objects, err, want)
		}
	}
}

func TestExpectationsThatWereGivenCountForAll(t *testing.T) {
	v := viewersOf(t, ViewersOptions{Expected: &verify.Expected{From: "--expect", ETag: "x"}})
	views, _, err := v.PlanViews(plannedBy(t, v, freshet.Change{Origin: "www", Key: "b", Op: freshet.OpDelete}))
	if err != nil || len(views) == 0 {
		t.Fatal(views, err)
	}
	if want, err := views[0].Source.Expected(t.Context(), time.Now()); err != nil || want.ETag != "x" {
		t.Errorf("%+v (%v)", want, err)
	}
}
