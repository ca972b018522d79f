package cli

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// gate is an origin that serves the old bytes for a while, and a CloudFront API
// that notes whether it did still when an invalidation came.
type gate struct {
	mu      sync.Mutex
	old     int // so many answers more
	fetches int
	early   int // invalidations while it served the old ones
	sent    int
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case r.URL.Path == "/origin":
		g.fetches++
		w.Header().Set("ETag", `"new"`)
		if g.old > 0 {
			g.old--
			w.Header().Set("ETag", `"old"`)
		}
	case r.Method == http.MethodPost:
		if g.sent++; g.old > 0 {
			g.early++
		}
		w.WriteHeader(http.StatusCreated)
		_, _ = fmt.Fprintf(w, `<Invalidation><Id>I%d</Id><Status>Completed</Status></Invalidation>`, g.sent)
	default:
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write([]byte(`<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>`))
	}
}

// Nothing is invalidated before all that is waited for is true, and nothing at
// all when it does not become true.
func TestPromiseNothingIsSentBeforeTheBarrierHolds(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	t.Setenv("AWS_CONFIG_FILE", os.DevNull)
	file := filepath.Join(t.TempDir(), "plan.json")
	var said strings.Builder
	if code := Main(t.Context(), []string{"plan", "--out", file, "--data", t.TempDir(), "-"}, strings.NewReader("a.html\n"), &said, &said); code != exitDone {
		t.Fatal(said.String())
	}
	for _, tt := range []struct {
		name  string
		old   int // answers of the origin
		facts []string
		want  string // in the error; empty is success
	}{
		{"at once", 0, []string{"origin %s etag new"}, ""},
		{"after a while", 3, []string{"origin %s etag new"}, ""},
		{"seen in a row", 2, []string{"origin %s etag changed-from old times 3"}, ""},
		{"two facts", 2, []string{"command true", "origin %s etag new"}, ""},
		{"too late", 100, []string{"origin %s etag new within 300ms"}, "etag new: not true within 300ms; last seen: ETag old"},
		{"one never", 0, []string{"origin %s etag new", "command no-such-program"}, "there is no program no-such-program"},
		{"no fact", 0, []string{"origin %s etag new", "pigeon, arrived"}, `"pigeon,"`},
	} {
		for _, command := range [][]string{
			{"invalidate", "--distribution=E2EXAMPLE1234", "/a"},
			{"apply", file},
		} {
			t.Run(tt.name+" "+command[0], func(t *testing.T) {
				g := &gate{old: tt.old}
				s := httptest.NewServer(g)
				defer s.Close()
				args := append(slices.Clone(command), "--endpoint-url", s.URL, "--data", t.TempDir())
				for _, f := range tt.facts {
					args = append(args, "--wait-for", strings.ReplaceAll(f, "%s", s.URL+"/origin"))
				}
				var out, err strings.Builder
				code := Main(t.Context(), args, strings.NewReader(""), &out, &err)
				if g.early > 0 {
					t.Errorf("%d invalidations before the origin served what was waited for", g.early)
				}
				switch {
				case tt.want == "" && (code != exitDone || g.sent != 1 || g.fetches <= tt.old):
					t.Errorf("exit code %d, %d sent after %d fetches: %s", code, g.sent, g.fetches, err.String())
				case tt.want != "" && (code == exitDone || g.sent > 0 || out.Len() > 0 || !strings.Contains(err.String(), tt.want)):
					t.Errorf("exit code %d, %d sent: %q, want %q", code, g.sent, err.String(), tt.want)
				}
			})
		}
	}
}
