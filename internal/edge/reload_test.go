package edge

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/distribution"
)

func TestApply(t *testing.T) {
	n := 0
	origin := &recorded{answer: func(r *http.Request) (*http.Response, error) {
		n++
		return reply(200, fmt.Sprintf("%s %d", r.URL.Path, n), "Cache-Control", "max-age=3600"), nil
	}}
	first, second := dist("E1"), dist("E2")
	e := open(t, origin, Config{Distributions: []distribution.Distribution{first}})
	get := func(host string) string {
		r := httptest.NewRequest(http.MethodGet, "/a", nil)
		r.Host = host
		w := serve(e, r)
		return fmt.Sprintf("%d %s", w.Code, w.Body)
	}
	want := func(what, host, want string) {
		t.Helper()
		if got := get(host); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s gets %q, want %q", what, host, got, want)
		}
	}
	apply := func(ds ...distribution.Distribution) {
		t.Helper()
		if err := e.Apply(ds); err != nil {
			t.Fatal(err)
		}
	}
	want("at first", "e1.cloudfront.localhost", "200 /a 1")
	want("at first", "127.0.0.1", "200 /a 1")

	apply(first, second)
	want("with a second", "e1.cloudfront.localhost", "200 /a 1")
	want("with a second", "e2.cloudfront.localhost", "200 /a 2")
	want("the first still answers unknown hosts", "127.0.0.1", "200 /a 1")

	first.Config.Aliases, first.Config.Comment = []string{"www.example.com"}, "new"
	apply(second, first)
	want("what decides nothing changed", "www.example.com", "200 /a 1")
	want("the other", "e2.cloudfront.localhost", "200 /a 2")
	if err := e.Invalidate("E1", []freshet.Pattern{"/a"}); err != nil {
		t.Fatal(err)
	}
	want("invalidated after it", "www.example.com", "200 /a 3")
	want("the other was not", "e2.cloudfront.localhost", "200 /a 2")

	first.Config.Origins = []distribution.Origin{{ID: "site", DomainName: "site.s3.localhost", OriginPath: "/v2"}}
	apply(first, second)
	want("another origin path", "www.example.com", "200 /v2/a 4")
	want("the other", "e2.cloudfront.localhost", "200 /a 2")

	apply(second)
	want("the last one answers every host", "www.example.com", "200 /a 2")
	if err := e.Invalidate("E1", []freshet.Pattern{"/a"}); !errors.Is(err, ErrUnknownDistribution) {
		t.Errorf("invalidating what is gone: %v", err)
	}
	apply(first, second)
	want("back", "www.example.com", "200 /v2/a 5")
	want("the other", "e2.cloudfront.localhost", "200 /a 2")
	if got := e.Stats().Epoch; got != 1 {
		t.Errorf("%d invalidations, want 1", got)
	}
	apply()
	want("none", "e2.cloudfront.localhost", "403")
	e.sweep()
	if got := e.Stats(); got.Objects != 0 {
		t.Errorf("after the sweep %d objects are stored", got.Objects)
	}
}

func TestApplyChangesNothingWhenItFails(t *testing.T) {
	origin := &recorded{answer: func(*http.Request) (*http.Response, error) { return reply(200, "x"), nil }}
	e := open(t, origin, Config{})
	before := e.serving()
	twice, clash, lost := dist("E2"), dist("E2"), dist("E2")
	clash.Config.Aliases = []string{"e1.cloudfront.localhost"}
	lost.Config.DefaultCacheBehavior.TargetOriginID = "none"
	for name, ds := range map[string][]distribution.Distribution{
		"twice": {twice, twice}, "one host": {dist("E1"), clash}, "no origin": {dist("E1"), lost},
	} {
		if err := e.Apply(ds); err == nil || e.serving() != before {
			t.Errorf("%s: %v, changed %v", name, err, e.serving() != before)
		}
	}
}

// Requests, invalidations and sweeps go on while distributions change. What was
// invalidated is never seen again.
func TestApplyUnderway(t *testing.T) {
	var mu sync.Mutex
	version := 0
	origin := roundTripper(func(*http.Request) (*http.Response, error) {
		mu.Lock()
		defer mu.Unlock()
		return reply(200, fmt.Sprint(version), "Cache-Control", "max-age=3600"), nil
	})
	first, second := dist("E1"), dist("E2")
	e := open(t, origin, Config{Distributions: []distribution.Distribution{first, second}})
	var group sync.WaitGroup
	stop := make(chan struct{})
	for range 3 {
		group.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				next := first
				switch i % 3 {
				case 0:
					next.Config.Comment = fmt.Sprint(i)
				case 1:
					next.Config.DefaultCacheBehavior.MaxTTL = new(int64(90000 + i))
				}
				if err := e.Apply([]distribution.Distribution{next, second}); err != nil {
					t.Error(err)
					return
				}
				e.sweep()
			}
		})
	}
	for i := 1; i <= 300; i++ {
		mu.Lock()
		version = i
		mu.Unlock()
		for _, id := range []string{"E1", "E2"} {
			if err := e.Invalidate(id, []freshet.Pattern{"/*"}); err != nil {
				t.Fatal(err)
			}
			r := httptest.NewRequest(http.MethodGet, "/a", nil)
			r.Host = strings.ToLower(id) + ".cloudfront.localhost"
			if got := serve(e, r).Body.String(); got != fmt.Sprint(i) {
				t.Fatalf("%s: after invalidation %d version %s was served", id, i, got)
			}
		}
	}
	close(stop)
	group.Wait()
}
