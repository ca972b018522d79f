package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// tagged is a site whose pages have cache tags, and what it is to serve.
type tagged struct {
	*running
	t     *testing.T
	pages map[string]string
	view  *viewer
}

// publish puts pages together, with metadata, and returns the patterns that each
// was invalidated by.
func (s *tagged) publish(version string, keys []string, metadata map[string]string) map[string][]string {
	s.t.Helper()
	objects := s.s3(s.t)
	s.order("hold", `{"name":"test","seconds":600}`)
	n := s.log.len()
	etags := map[string]string{}
	for _, key := range keys {
		s.pages[key] = version + " of " + key
		out, err := objects.PutObject(s.t.Context(), &s3.PutObjectInput{Bucket: &s.Bucket, Key: &key, Body: strings.NewReader(s.pages[key]), Metadata: metadata, CacheControl: aws.String("max-age=3600")})
		if err != nil {
			s.t.Fatal(err)
		}
		etags[key] = strings.Trim(*out.ETag, `"`)
	}
	s.order("hold/release", `{"name":"test"}`)
	patterns := map[string][]string{}
	for _, key := range keys {
		done := s.log.awaitFrom(s.t, n, "verified: "+key, func(r record) bool { return r.Key == key && r.ETag == etags[key] && r.State == verified })
		patterns[key] = done.Patterns
	}
	s.fresh(version)
	return patterns
}

func (s *tagged) order(path, body string) {
	s.t.Helper()
	if status, answer := s.ask(s.t, http.MethodPost, "/_freshet/v1/"+path, body); status >= http.StatusBadRequest {
		s.t.Fatalf("%s: %d %s", path, status, answer)
	}
}

// fresh looks at every page, in two variants.
func (s *tagged) fresh(when string) {
	s.t.Helper()
	for key, body := range s.pages {
		for _, encoding := range []string{"Accept-Encoding: identity", "Accept-Encoding: gzip"} {
			got, err := s.view.get("/"+key, encoding)
			if err != nil || string(got.body) != body {
				s.t.Errorf("%s: %s is %q, %v; want %q", when, key, got.body, err, body)
			}
		}
	}
}

func (s *tagged) byTags(when string, patterns map[string][]string, want ...string) {
	s.t.Helper()
	for key, by := range patterns {
		if !slices.Equal(by, want) {
			s.t.Errorf("%s: %s was invalidated by %q, want %q", when, key, by, want)
		}
	}
}

func (s *tagged) byPath(when string, patterns map[string][]string) {
	s.t.Helper()
	for key, by := range patterns {
		if len(by) == 0 || slices.ContainsFunc(by, func(p string) bool { return strings.HasPrefix(p, "#") }) {
			s.t.Errorf("%s: %s was invalidated by %q, want paths", when, key, by)
		}
	}
}

// configure gives the built-in distribution a header for cache tags.
func (s *tagged) configure(header string) {
	s.t.Helper()
	c, ctx := s.cloudfront(s.t), s.t.Context()
	built, err := c.GetDistributionConfig(ctx, &cloudfront.GetDistributionConfigInput{Id: &s.Distribution})
	if err != nil {
		s.t.Fatal(err)
	}
	built.DistributionConfig.CacheTagConfig = &types.CacheTagConfig{HeaderName: &header}
	defer s.deployed()
	if _, err := c.UpdateDistribution(ctx, &cloudfront.UpdateDistributionInput{Id: &s.Distribution, IfMatch: built.ETag, DistributionConfig: built.DistributionConfig}); err != nil {
		s.t.Fatal(err)
	}
}

// deployed waits until all edges have the configuration.
func (s *tagged) deployed() {
	s.t.Helper()
	c := s.cloudfront(s.t)
	waiter := cloudfront.NewDistributionDeployedWaiter(c, func(o *cloudfront.DistributionDeployedWaiterOptions) {
		o.MinDelay, o.MaxDelay = 50*time.Millisecond, 50*time.Millisecond
	})
	if err := waiter.Wait(s.t.Context(), &cloudfront.GetDistributionInput{Id: &s.Distribution}, patience); err != nil {
		s.t.Fatal(err)
	}
}

// Many objects that share a cache tag change: one invalidation of the tag removes
// them all. What was cached before it had the tag, or while tags came in another
// header, is invalidated by path, and everything is fresh throughout.
func TestPromiseLeastCostByTags(t *testing.T) {
	f := start(t, options{})
	s := &tagged{running: f, t: t, pages: map[string]string{}, view: f.viewer(t)}
	var pages, others []string
	for i := range 12 {
		pages = append(pages, fmt.Sprintf("%c/page%d", 'a'+i, i))
	}
	for i := range 40 {
		others = append(others, fmt.Sprintf("%c/other%d", 'a'+i%12, i))
	}
	home := map[string]string{"cache-tag": "Home, all"}
	s.publish("the first", append(slices.Clone(pages), others...), nil)
	s.byPath("no distribution has tags", s.publish("tagged in vain", pages, home))
	s.configure("x-amz-meta-cache-tag")
	s.fresh("configured")
	s.byPath("cached before there were tags", s.publish("tagged", pages, home))
	s.byTags("tagged", s.publish("tagged again", pages, home), "#all")

	s.byPath("about to lose its tag", s.publish("untagged", pages[:1], nil))
	mixed := s.publish("tagged, but one was not", pages, home)
	s.byPath("cached without a tag", map[string][]string{pages[0]: mixed[pages[0]]})
	delete(mixed, pages[0])
	s.byTags("beside one without", mixed, "#all")
	s.byTags("all of them again", s.publish("tagged all the same", pages, home), "#all")

	f.kill()
	again := start(t, options{data: f.data, like: f})
	s.running, s.view = again, again.viewer(t)
	s.fresh("after a crash")
	s.byTags("after a crash", s.publish("after a crash", pages, home), "#all")

	s.configure("x-amz-meta-surrogate")
	both := map[string]string{"cache-tag": "home", "surrogate": "other"}
	s.byPath("cached with the tags of another header", s.publish("another header", pages, both))
	s.byTags("with the tags of the new one", s.publish("another header, again", pages, both), "#other")
}

// deployed is what freshet deploy --json says, as far as this test looks at it.
type deployed struct {
	Deploy struct {
		Phase string
		Plan  struct {
			Invalidations []struct {
				Patterns []string
				Targets  []struct{ Key, Pattern string }
			}
		}
	}
}

// deploy deploys dir and returns the patterns of its invalidations.
func (s *tagged) deploy(dir, rules string) (patterns []string) {
	s.t.Helper()
	var said deployed
	out := s.run(s.t, "deploy", dir, "s3://"+s.Bucket, "--invalidate", "self", "--json", "--rules", rules)
	if err := json.Unmarshal([]byte(out), &said); err != nil || said.Deploy.Phase != verified {
		s.t.Fatalf("%v: %s", err, out)
	}
	for _, inv := range said.Deploy.Plan.Invalidations {
		patterns = append(patterns, inv.Patterns...)
	}
	slices.Sort(patterns)
	return patterns
}

// A deploy that invalidates by itself relies on the tags that it knows every copy
// to carry: of objects that it sent and invalidated, under the configuration that
// is still in force, and that nobody else has written since.
func TestPromiseDeploysRelyOnTags(t *testing.T) {
	f := start(t, options{})
	s := &tagged{running: f, t: t, pages: map[string]string{}, view: f.viewer(t)}
	dir := t.TempDir()
	rules := filepath.Join(t.TempDir(), "rules.yaml")
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	site := func(version string) {
		for i := range 12 {
			key := fmt.Sprintf("%c/page%d.txt", 'a'+i, i)
			s.pages[key] = version + " of " + key
			write(filepath.Join(dir, key), s.pages[key])
		}
	}
	for i := range 90 {
		write(filepath.Join(dir, fmt.Sprintf("%c/other%d.txt", 'a'+i%12, i)), "other")
	}
	paths := func(when string, patterns []string, want int) {
		t.Helper()
		if len(patterns) != want || slices.ContainsFunc(patterns, func(p string) bool { return strings.HasPrefix(p, "#") }) {
			t.Errorf("%s: %q, want %d paths", when, patterns, want)
		}
		s.fresh(when)
	}
	tags := func(when string, patterns []string, want ...string) {
		t.Helper()
		if !slices.Equal(patterns, want) {
			t.Errorf("%s: %q, want %q", when, patterns, want)
		}
		s.fresh(when)
	}
	write(rules, "rules: []\n")
	site("first")
	s.deploy(dir, rules)
	s.configure("x-amz-meta-cache-tag")
	write(rules, "rules:\n  - match: \"**/page*\"\n    tags: [home]\n")
	paths("tagged", s.deploy(dir, rules), 12)
	site("second")
	tags("tagged before", s.deploy(dir, rules), "#home")
	site("third")
	tags("and again", s.deploy(dir, rules), "#home")

	f.mustPut(t, f.s3(t), "c/page2.txt", "by hand")
	site("fourth")
	tags("one was written by hand", s.deploy(dir, rules), "#home", "/c/page2.txt")

	s.configure("x-amz-meta-cache-tag") // the same, and yet caches may have had another in between
	site("fifth")
	paths("configured anew", s.deploy(dir, rules), 12)
	site("sixth")
	tags("and once more", s.deploy(dir, rules), "#home")
}
