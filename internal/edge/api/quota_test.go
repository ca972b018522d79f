package api_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/distribution"
	"github.com/freshet/freshet/internal/edge/api"
)

func codeIn(err error) string {
	var refused *api.Error
	if errors.As(err, &refused) {
		return fmt.Sprintf("%s %d", refused.Code, refused.Status)
	}
	return fmt.Sprint(err)
}

func numbered(prefix, suffix string, n int) []string {
	paths := make([]string, n)
	for i := range paths {
		paths[i] = fmt.Sprintf("/%s%d%s", prefix, i, suffix)
	}
	return paths
}

// The two published models, and none: what each lets in while nothing completes
// and a second passes between two rounds.
func TestQuotas(t *testing.T) {
	type step struct {
		at    time.Duration
		paths []string
		want  string
	}
	const ok, throttled, many = "<nil>", "Throttling 400", "TooManyInvalidationsInProgress 400"
	for name, tt := range map[string]struct {
		quota api.Quota
		steps []step
	}{
		"none": {api.QuotaNone, []step{
			{0, numbered("a", "", 3000), ok}, {0, numbered("b", "", 3000), ok}, {0, numbered("c", "*", 100), ok}, {0, numbered("d", "*", 100), ok},
			{0, numbered("e", "", 3001), "BatchTooLarge 413"},
		}},
		"window": {api.QuotaWindow, []step{
			{0, numbered("a", "", 2990), ok}, {0, numbered("b", "", 11), many}, {0, numbered("c", "", 10), ok}, {time.Hour, numbered("d", "", 1), many},
		}},
		"window, wildcards": {api.QuotaWindow, []step{
			{0, numbered("a", "*", 15), ok}, {0, numbered("b", "*", 1), many}, {0, numbered("c", "", 1), ok},
		}},
		"rate": {api.QuotaRate, []step{
			{0, numbered("a", "", 100), ok}, {0, numbered("b", "", 200), ok}, {0, numbered("c", "", 1), throttled}, {900 * time.Millisecond, numbered("d", "", 1), throttled},
			{time.Second, numbered("e", "", 1), ok},
			{10 * time.Second, numbered("f", "", 3000), ok}, {20 * time.Second, numbered("g", "", 1), throttled}, {29 * time.Second, numbered("h", "", 1), ok},
		}},
		"rate, wildcards": {api.QuotaRate, []step{
			{0, []string{"/a/*"}, ok}, {0, []string{"/b/*", "/c/*"}, ok}, {0, []string{"/d"}, ok}, {0, []string{"/e*"}, throttled}, {1900 * time.Millisecond, []string{"/f*"}, throttled},
			{2 * time.Second, []string{"/g*"}, ok},
		}},
		"both": {api.QuotaBoth, []step{
			{0, numbered("a", "", 2999), ok}, {0, []string{"/b"}, throttled}, {time.Minute, []string{"/c"}, ok}, {time.Minute, []string{"/d"}, many},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			e := &edge{}
			release := e.hold()
			defer release()
			start := time.Now()
			now := start
			r := open(t, e, func(c *api.RegisterConfig) {
				c.Quota = tt.quota
				c.Now = func() time.Time { return now }
			})
			defer release()
			for i, s := range tt.steps {
				now = start.Add(s.at)
				_, err := r.Create(t.Context(), "E1PLAIN", api.Batch{CallerReference: fmt.Sprint(i), Paths: s.paths})
				if got := codeIn(err); got != s.want {
					t.Errorf("step %d, %d paths at %v: %s, want %s", i, len(s.paths), s.at, got, s.want)
				}
			}
		})
	}
}

// A rate is one for all distributions, and what was let in before costs nothing
// again.
func TestRateIsTheAccounts(t *testing.T) {
	now := time.Now()
	r := open(t, &edge{}, func(c *api.RegisterConfig) {
		c.Quota = api.QuotaRate
		c.Now = func() time.Time { return now }
	})
	batch := api.Batch{CallerReference: "r", Paths: numbered("a", "", 200)}
	if _, err := r.Create(t.Context(), "E1PLAIN", batch); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Create(t.Context(), "E1PLAIN", batch); err != nil {
		t.Errorf("the same again: %v", err)
	}
	if _, err := r.Create(t.Context(), "E2RICH", batch); codeIn(err) != "Throttling 400" {
		t.Errorf("at another distribution: %v", err)
	}
}

func TestTagsNeedTheirConfiguration(t *testing.T) {
	e := &edge{}
	var tagged atomic.Bool
	tagged.Store(true)
	r := open(t, e, func(c *api.RegisterConfig) {
		c.Distributions = func() []distribution.Distribution {
			all := distributions()
			if tagged.Load() {
				all[1].Config.CacheTagConfig = &distribution.CacheTagConfig{HeaderName: "Cache-Tag"}
			}
			return all
		}
	})
	create := func(id, reference string, paths ...string) error {
		i, err := r.Create(t.Context(), id, api.Batch{CallerReference: reference, Paths: paths})
		if err == nil {
			eventually(t, "completion", completed(r, id, i.ID))
		}
		return err
	}
	if err := create("E1PLAIN", "1", "/a", "#news", "#Sport!"); err != nil {
		t.Error(err)
	}
	if seen := e.seen(); len(seen) != 1 || len(seen[0].patterns) != 3 || !slices.Contains(seen[0].patterns, "#news") {
		t.Errorf("the edge was told of %v", seen)
	}
	if err := create("E2RICH", "1", "#news"); codeIn(err) != "InvalidArgument 400" || !strings.Contains(err.Error(), "no cache tag configuration") {
		t.Errorf("without configuration: %v", err)
	}
	for _, bad := range []string{"#", "#a b", "#a,b", "#é", "#" + strings.Repeat("x", 257)} {
		if err := create("E1PLAIN", "bad", bad); codeIn(err) != "InvalidArgument 400" {
			t.Errorf("%q: %v", bad, err)
		}
	}

	// A tag of a configuration that is gone meanwhile names nothing any more.
	release := e.hold()
	i, err := r.Create(t.Context(), "E1PLAIN", api.Batch{CallerReference: "2", Paths: []string{"#gone", "/b"}})
	if err != nil {
		t.Fatal(err)
	}
	tagged.Store(false)
	e.mu.Lock()
	e.fail = 1
	e.mu.Unlock()
	release()
	eventually(t, "completion", completed(r, "E1PLAIN", i.ID))
	if seen := e.seen(); !slices.Equal(seen[len(seen)-1].patterns, []freshet.Pattern{"/b"}) {
		t.Errorf("the edge was told of %v", seen)
	}
}
