package conduct_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/deploy"
	"github.com/freshet/freshet/internal/deploy/conduct"
)

// stage is a world with viewers who are led to releases.
type stage struct {
	*world

	leads    string // prefix
	switches []shown
}

// shown is what viewers got from a moment on.
type shown struct {
	at      int
	objects map[string][2]string
}

func (s *stage) visible() map[string][2]string {
	seen := make(map[string][2]string)
	for key, o := range s.objects {
		if path, ok := strings.CutPrefix(key, s.leads); ok && s.leads != "" {
			seen[path] = [2]string{o.text, o.served.CacheControl}
		}
	}
	return seen
}

func (s *stage) lead(_ context.Context, d *deploy.Deploy) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.call(func() {
		if to := conduct.ReleasePrefix("", d.Release); to != s.leads {
			s.leads = to
			s.switches = append(s.switches, shown{s.sequence, s.visible()})
		}
	})
}

func (s *stage) release(ctx context.Context, what site, rollback string) ([]conduct.Result, error) {
	cfg := s.config(what)
	id := rollback
	if rollback == "" {
		plain := make([]deploy.Object, len(cfg.Want))
		for i, w := range cfg.Want {
			plain[i] = w.Object
		}
		var err error
		if id, err = deploy.ReleaseID(plain); err != nil {
			return nil, err
		}
	}
	base := conduct.ReleasePrefix("", id)
	for i := range cfg.Want {
		cfg.Want[i].Key = base + cfg.Want[i].Key
	}
	cfg.Atomic = &conduct.Atomic{Release: id, Leads: []string{s.leads}, Keep: 3, Rollback: rollback != ""}
	cfg.Line.Switch = s.lead
	p, err := conduct.Prepare(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return p.Run(ctx, nil)
}

// stale names the paths that were shown otherwise from some moment on, and not
// invalidated after it.
func (s *stage) stale() (paths []string) {
	before := map[string][2]string{}
	for _, now := range s.switches {
		differing := make(map[string]bool)
		for path, v := range now.objects {
			differing[path] = before[path] != v
		}
		for path := range before {
			if _, still := now.objects[path]; !still {
				differing[path] = true
			}
		}
		for path, differs := range differing {
			if differs && !slices.ContainsFunc(s.sent, func(inv invalidation) bool {
				return inv.at > now.at && slices.ContainsFunc(inv.Patterns, func(p freshet.Pattern) bool { return strings.HasSuffix(string(p), "/"+path) })
			}) {
				paths = append(paths, path)
			}
		}
		before = now.objects
	}
	return paths
}

func (s *stage) wants(t *testing.T, what site, name string) {
	t.Helper()
	seen := s.visible()
	if len(seen) != len(what) {
		t.Errorf("%s: viewers see %d objects of %d", name, len(seen), len(what))
	}
	for path, v := range what {
		if seen[path] != v {
			t.Errorf("%s: %s shows %q, not %q", name, path, seen[path], v)
		}
	}
	if paths := s.stale(); len(paths) > 0 {
		t.Errorf("%s: stale: %q", name, paths)
	}
}

func TestRelease(t *testing.T) {
	s := &stage{world: newWorld()}
	var ids []string
	for i, what := range []site{first(), second(), third(), third()} {
		results, err := s.release(t.Context(), what, "")
		if err != nil {
			t.Fatal(err)
		}
		s.wants(t, what, fmt.Sprint("release ", i))
		if i == 3 {
			if len(results) > 0 {
				t.Error("the same release again does something")
			}
			break
		}
		ids = append(ids, results[0].Deploy.Release)
		s.now += 10
	}
	copies := 0
	for key, writes := range s.written {
		if strings.HasSuffix(key, "/same.html") && len(writes) == 1 {
			copies++
		}
	}
	if copies != 3 {
		t.Errorf("same.html is in %d releases", copies)
	}
	if _, err := s.release(t.Context(), nil, ids[0]); err != nil {
		t.Fatal(err)
	}
	s.wants(t, first(), "rolled back")
	delete(s.objects, conduct.ReleasePrefix("", ids[1])+"same.html")
	if _, err := s.release(t.Context(), nil, ids[1]); err == nil || !strings.Contains(err.Error(), "not complete any more") {
		t.Errorf("back to what is not complete: %v", err)
	}
	if _, err := s.release(t.Context(), nil, "nothing"); err == nil {
		t.Error("back to nothing")
	}
}

// Releases are taken up wherever they die, and viewers never see a part of one.
func TestReleaseDies(t *testing.T) {
	for name, next := range map[string]site{"the same": second(), "another": third(), "back": first()} {
		for _, after := range []bool{false, true} {
			for at := 1; ; at += pace(name) {
				s := &stage{world: newWorld()}
				if _, err := s.release(t.Context(), first(), ""); err != nil {
					t.Fatal(err)
				}
				s.rebirth(int64(at % 3))
				delete(s.shelf, "lock")
				s.dieAt, s.after = at, after
				_, err := s.release(t.Context(), second(), "")
				if err == nil && !s.dead {
					break
				}
				if err != nil && !errors.Is(err, errDead) {
					t.Fatal(err)
				}
				for _, now := range s.switches {
					if len(now.objects) != 5 {
						t.Fatalf("died at %d: viewers saw %d objects of 5", at, len(now.objects))
					}
				}
				s.rebirth(100)
				if _, err := s.release(t.Context(), next, ""); err != nil {
					t.Fatalf("%s after death at call %d (after: %v): %v", name, at, after, err)
				}
				if s.wants(t, next, fmt.Sprintf("%s after death at call %d (after: %v)", name, at, after)); t.Failed() {
					return
				}
			}
		}
	}
}

func TestPrune(t *testing.T) {
	s := &stage{world: newWorld()}
	for i := range 6 {
		what := first()
		what["index.html"] = [2]string{fmt.Sprint(i), ""}
		if _, err := s.release(t.Context(), what, ""); err != nil {
			t.Fatal(err)
		}
		s.now += 10
	}
	all, err := conduct.ReadReleases(t.Context(), documents{s.world})
	if err != nil {
		t.Fatal(err)
	}
	if len(all.Releases) != 3 || all.Releases[2].ID != all.Current || all.Releases[1].ID != all.Before || all.Releases[0].Objects != 5 {
		t.Errorf("%+v", all)
	}
	if len(s.objects) != 15 {
		t.Errorf("%d objects are left", len(s.objects))
	}
}
