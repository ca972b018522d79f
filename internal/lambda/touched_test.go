package lambda

import (
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/quota"
	"github.com/freshet/freshet/internal/source/codecommit/codecommittest"
)

// deploying makes S3's events about objects that were put at a time.
type deploying struct{ n int }

func (d *deploying) at(at time.Time, keys ...string) map[string]any {
	var all []map[string]any
	for _, key := range keys {
		d.n++
		all = append(all, putAt(key, d.n, at))
	}
	return records(all...)
}

func history(t *testing.T) (*codecommittest.Server, Commits) {
	t.Helper()
	s := codecommittest.New("pages")
	s.Add("main", "a", nil, "public/front.html=1", "public/a=1", "public/b=1")
	at := httptest.NewServer(s)
	t.Cleanup(at.Close)
	return s, codecommittest.Client(at.URL)
}

// A pipeline that puts every object each time has those invalidated that commits
// have touched: all commits since the deploy before, and once for a batch.
func TestTouched(t *testing.T) {
	s, client := history(t)
	store := new(quota.Memory)
	f := newFunction(t, newCDN(), `{codecommit: [{repository: pages, path: public, only_touched: true}], plan: {max_wildcards: 0}}`, func(w *World) {
		w.Commits, w.Sightings = client, func(string) quota.Store { return store }
	})
	now, d := time.Now(), new(deploying)
	send := func(what string, event map[string]any, want string) {
		t.Helper()
		before := f.cdn.patterns()
		if answer, err := f.invoke(t.Context(), event); err != nil {
			t.Fatal(what, answer, err)
		}
		after := f.cdn.patterns() // sorted
		for _, p := range before {
			i := slices.Index(after, p)
			after = slices.Delete(after, i, i+1)
		}
		if got := strings.Join(after, " "); got != want {
			t.Errorf("%s: sent %q, want %q", what, got, want)
		}
	}
	send("at first nothing is left out", d.at(now, "a", "b"), "/a /b")
	a := codecommittest.ID("a")
	if record, revision, err := store.Load(t.Context()); err != nil || !strings.Contains(string(record), a) {
		t.Errorf("on record is %s, %v", record, err)
	} else if _, ok, err := store.Swap(t.Context(), fmt.Appendf(nil, `[{"commit":%q,"seen":%d}]`, a, now.Add(-25*time.Hour).Unix()), revision); !ok {
		t.Fatal(err)
	}
	later := now
	b := s.Add("main", "b", []string{a}, "public/front.html=1", "public/a=2", "public/b=1", "public/new=1")
	s.Add("main", "c", []string{b}, "public/front.html=1", "public/a=1", "public/new=1", "public/c=1") // takes a back, removes b
	s.Calls()
	send("all that two commits touched", d.at(later, "a", "b", "c", "front.html", "new"), "/a /b /c /new")
	calls := s.Calls()
	if branches := strings.Count(strings.Join(calls, "\n"), "GetBranch"); branches != 1 {
		t.Errorf("for a batch there were the calls %q", calls)
	}
	send("the rest of the batch", d.at(later, "front.html", "c2"), "")
	if calls := s.Calls(); len(calls) != 1 {
		t.Errorf("commits are read again: %q", calls)
	}
	gone := putAt("front.html", 99, later)
	gone["eventName"] = "ObjectRemoved:Delete"
	send("what is deleted", records(gone), "/front.html")

	// Rewritten or denied: nothing is left out.
	s.Add("main", "d", nil, "public/front.html=4")
	send("rewritten", d.at(later, "x"), "/x")
	s.Do(func() { s.Refuse = func(string, int) (string, string) { return "AccessDeniedException", "no" } })
	send("denied", d.at(later, "y"), "/y")
}

// A push is no change by itself where events are held against commits.
func TestTouchedIsNotPushed(t *testing.T) {
	s, client := history(t)
	f := newFunction(t, newCDN(), `{codecommit: [{repository: pages, path: public, only_touched: true, deployed_within: 1h}]}`, func(w *World) { w.Commits = client })
	if answer, err := f.invoke(t.Context(), pushed("main", "", codecommittest.ID("a"))); err != nil || len(f.cdn.patterns()) > 0 || len(s.Calls()) > 0 {
		t.Error(answer, err, f.cdn.patterns())
	}
}

func TestTouchedByEnvironment(t *testing.T) {
	env := map[string]string{EnvRepository: "pages", EnvBranch: "live", EnvPath: "public"}
	cfg, err := ReadConfig(nil, func(name string) string { return env[name] })
	if err != nil || len(cfg.CodeCommit) != 1 {
		t.Fatal(cfg.CodeCommit, err)
	}
	if c := cfg.CodeCommit[0]; !c.OnlyTouched || c.Repository != "pages" || c.branch() != "live" || c.Path != "public" || c.within() != Duration(24*time.Hour) {
		t.Errorf("%+v", c)
	}
}
