package upstream_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/git"
	"github.com/freshet/freshet/internal/source/gitdiff"
	"github.com/freshet/freshet/internal/upstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a repository, a clone of it, and what is on record.
type world struct {
	t          *testing.T
	dir, clone string

	mu      sync.Mutex
	seen    upstream.Seen
	changes []freshet.Change
	failing map[string]error // what Put does with a key
	saving  error
	log     bytes.Buffer
}

func newWorld(t *testing.T) *world {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("git is needed: apt-get install git")
		}
		t.Skip("no git here: apt-get install git")
	}
	w := &world{t: t, dir: t.TempDir(), clone: t.TempDir(), failing: make(map[string]error)}
	w.git(w.dir, "init", "-q", "-b", "main")
	w.commit("public/index.html", "1", "README", "1")
	w.git(w.clone, "init", "-q")
	w.git(w.clone, "remote", "add", "origin", w.dir)
	return w
}

func (w *world) git(dir string, args ...string) string {
	w.t.Helper()
	c := exec.CommandContext(context.Background(), "git", args...)
	c.Dir = dir
	c.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=c", "GIT_COMMITTER_EMAIL=c@example.com")
	out, err := c.CombinedOutput()
	if err != nil {
		w.t.Fatalf("git %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func (w *world) commit(pairs ...string) string {
	w.t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		name := filepath.Join(w.dir, pairs[i])
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(pairs[i+1]), 0o644)); err != nil {
			w.t.Fatal(err)
		}
	}
	w.git(w.dir, "add", "-A")
	w.git(w.dir, "commit", "-q", "--allow-empty", "-m", "m")
	return w.git(w.dir, "rev-parse", "HEAD")
}

func (w *world) branch() *upstream.Branch {
	return upstream.New(upstream.Config{
		Dir: w.clone, Remote: "origin", Branch: "main", Rules: gitdiff.Rules{Folder: "public"}, Origin: "site",
		Load: func(context.Context) (upstream.Seen, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.seen, nil
		},
		Save: func(_ context.Context, s upstream.Seen) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			if w.saving == nil {
				w.seen = s
			}
			return w.saving
		},
		Put: func(_ context.Context, c freshet.Change) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			if err := w.failing[c.Key]; err != nil {
				return err
			}
			w.changes = append(w.changes, c)
			return nil
		},
		Log: slog.New(slog.NewTextHandler(&locked{w: w}, nil)),
	})
}

type locked struct{ w *world }

func (l *locked) Write(p []byte) (int, error) {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	return l.w.log.Write(p)
}

// queued takes the keys that were queued.
func (w *world) queued() (keys, ids []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.changes {
		keys, ids = append(keys, string(c.Op)+" "+c.Key), append(ids, c.ID())
	}
	w.changes = nil
	return keys, ids
}

func (w *world) look(b *upstream.Branch, before string) upstream.News {
	w.t.Helper()
	news, err := b.Look(w.t.Context(), before)
	if err != nil {
		w.t.Fatal(err)
	}
	return news
}

func (w *world) expect(what string, want ...string) {
	w.t.Helper()
	if keys, _ := w.queued(); !slices.Equal(keys, want) {
		w.t.Errorf("%s: queued %q, want %q", what, keys, want)
	}
}

// Whatever happened between two looks is found by the second.
func TestLook(t *testing.T) {
	w := newWorld(t)
	b := w.branch()
	if news := w.look(b, ""); news.Way != git.First || news.Changes != 0 {
		t.Errorf("the first look: %+v", news)
	}
	for i := range 30 { // more than any webhook lists
		w.commit(fmt.Sprintf("public/%d.html", i), "1", "src/x", fmt.Sprint(i))
	}
	if news := w.look(b, "not believed"); news.Way != git.Forward || news.Changes != 30 {
		t.Errorf("thirty commits: %+v", news)
	}
	w.queued()
	if news := w.look(b, ""); news.Way != git.Same {
		t.Errorf("again: %+v", news)
	}
	w.expect("again")
	a := w.git(w.dir, "rev-parse", "HEAD")
	w.git(w.dir, "reset", "-q", "--hard", "HEAD~2")
	w.commit("public/other.html", "1")
	if news := w.look(b, ""); news.Way != git.Sideways {
		t.Errorf("rewritten: %+v", news)
	}
	w.expect("rewritten", "delete 28.html", "delete 29.html", "put other.html")
	w.git(w.dir, "checkout", "-q", "-b", "elsewhere")
	w.git(w.dir, "branch", "-D", "main")
	if news := w.look(b, ""); news.Way != git.Gone || w.seen.Commit == "" {
		t.Errorf("deleted: %+v, on record %+v", news, w.seen)
	}
	w.git(w.dir, "branch", "main", a)
	w.look(b, "")
	w.expect("made again", "put 28.html", "put 29.html", "delete other.html")
}

// The first look of all begins where the clone is.
func TestFirstLook(t *testing.T) {
	w := newWorld(t)
	w.git(w.clone, "fetch", "-q", "origin")
	w.commit("public/since", "1")
	if news := w.look(w.branch(), ""); news.Way != git.Forward {
		t.Errorf("%+v", news)
	}
	w.expect("since the clone was made", "put since")
}

// There and back and there again are three occasions, which are three times
// invalidated.
func TestThereAndBackAgain(t *testing.T) {
	w := newWorld(t)
	b := w.branch()
	one := w.git(w.dir, "rev-parse", "HEAD")
	w.look(b, "")
	two := w.commit("public/index.html", "2")
	ids := make(map[string]bool)
	for _, commit := range []string{two, one, two, one} {
		w.git(w.dir, "reset", "-q", "--hard", commit)
		w.look(b, "")
		_, all := w.queued()
		for _, id := range all {
			ids[id] = true
		}
	}
	if len(ids) != 4 {
		t.Errorf("four times there are %d IDs", len(ids))
	}
}

// A look that dies between any two steps is repeated with the same IDs, and
// loses nothing, not even of a first push.
func TestLookDies(t *testing.T) {
	w := newWorld(t)
	before := w.git(w.dir, "rev-parse", "HEAD")
	w.commit("public/a", "1", "public/b", "1")
	w.failing["b"] = errors.New("the disk is full")
	if _, err := w.branch().Look(t.Context(), before); err == nil {
		t.Fatal("it did not fail")
	}
	_, first := w.queued()
	w.failing["b"] = nil
	w.saving = errors.New("the disk is full")
	if _, err := w.branch().Look(t.Context(), ""); err == nil {
		t.Fatal("it did not fail")
	}
	_, second := w.queued()
	w.saving = nil
	w.look(w.branch(), "")
	_, third := w.queued()
	if len(first) != 1 || len(second) != 2 || !slices.Equal(second, third) || first[0] != second[0] {
		t.Errorf("IDs %q, then %q, then %q", first, second, third)
	}
	w.look(w.branch(), "")
	w.expect("when all is done")
}

// Run finds what was missed while nothing ran, and what the remote could not
// give at first.
func TestRun(t *testing.T) {
	w := newWorld(t)
	w.look(w.branch(), "")
	w.commit("public/missed", "1")
	w.git(w.clone, "remote", "set-url", "origin", filepath.Join(w.dir, "nowhere"))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.branch().Run(ctx) }()
	waitFor(t, func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return strings.Contains(w.log.String(), "will look again")
	})
	w.git(w.clone, "remote", "set-url", "origin", w.dir)
	waitFor(t, func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return len(w.changes) == 1
	})
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	w.expect("missed", "put missed")
}

func waitFor(t *testing.T, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !done(); {
		if time.Now().After(deadline) {
			t.Fatal("it did not happen")
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-t.Context().Done():
		}
	}
}

// hooked is a hook that listens, and how to send to it.
func (w *world) hooked(b *upstream.Branch) (send func(body string, edit func(*http.Request)) (int, string)) {
	w.t.Helper()
	h := &upstream.Hook{
		From: "github", Secret: "s3cret", Branch: b, Name: "main", Repository: "o/pages", Serving: w.t.Context(), Now: time.Now,
		Within: 5 * time.Minute, // a busy machine takes long for each look
		Log:    slog.New(slog.NewTextHandler(&locked{w: w}, nil)),
	}
	s := httptest.NewServer(h)
	w.t.Cleanup(s.Close)
	return func(body string, edit func(*http.Request)) (int, string) {
		req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, s.URL, strings.NewReader(body))
		if err != nil {
			w.t.Fatal(err)
		}
		sum := hmac.New(sha256.New, []byte("s3cret"))
		sum.Write([]byte(body))
		req.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(sum.Sum(nil)))
		req.Header.Set("X-GitHub-Event", "push")
		edit(req)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			w.t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		if err = errors.Join(err, resp.Body.Close()); err != nil {
			w.t.Fatal(err)
		}
		return resp.StatusCode, strings.TrimSpace(string(text))
	}
}

func push(branch, repository, before, after string) string {
	text, _ := json.Marshal(map[string]any{"ref": "refs/heads/" + branch, "before": before, "after": after, "repository": map[string]string{"full_name": repository}})
	return string(text)
}

func TestHook(t *testing.T) {
	w := newWorld(t)
	send := w.hooked(w.branch())
	before := w.git(w.dir, "rev-parse", "HEAD")
	after := w.commit("public/a", "1", "src/b", "1")
	as := func(id string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("X-GitHub-Delivery", id) }
	}
	none := func(*http.Request) {}
	good := push("main", "o/pages", before, after)
	for name, tt := range map[string]struct {
		body   string
		edit   func(*http.Request)
		status int
	}{
		"no signature":      {good, func(r *http.Request) { r.Header.Del("X-Hub-Signature-256") }, 401},
		"another body":      {good, func(r *http.Request) { r.Header.Set("X-Hub-Signature-256", "sha256="+strings.Repeat("0", 64)) }, 401},
		"a look":            {good, func(r *http.Request) { r.Method = http.MethodGet }, 405},
		"too long":          {strings.Repeat(" ", 33<<20), none, 413},
		"damaged":           {good[:20], none, 422},
		"a ping":            {"{}", func(r *http.Request) { r.Header.Set("X-GitHub-Event", "ping") }, 200},
		"another branch":    {push("gh-pages", "o/pages", before, after), none, 200},
		"another repsitory": {push("main", "o/other", before, after), none, 200},
	} {
		if status, text := send(tt.body, tt.edit); status != tt.status {
			t.Errorf("%s: %d %s", name, status, text)
		}
	}
	w.expect("all these")
	if status, text := send(good, as("d1")); status != 200 || text != `{"commit":"`+after+`","way":"forward","changes":1}` {
		t.Errorf("a push: %d %s", status, text)
	}
	w.expect("a push", "put a")
	w.commit("public/c", "1")
	if status, text := send(good, as("d1")); status != 200 || !strings.Contains(text, "done before") {
		t.Errorf("played again: %d %s", status, text)
	}
	w.expect("played again")
	// An older one that comes late is a reason to look, and finds the newer commit.
	if status, text := send(good, as("d0")); status != 200 {
		t.Errorf("late: %d %s", status, text)
	}
	w.expect("late", "put c")
	w.mu.Lock()
	defer w.mu.Unlock()
	if strings.Contains(w.log.String(), "s3cret") {
		t.Error("the secret is in the log")
	}
}

// What is not on disk is not said to be.
func TestHookSaysNothingTooEarly(t *testing.T) {
	w := newWorld(t)
	b := w.branch()
	w.look(b, "")
	send := w.hooked(b)
	before := w.seen.Commit
	after := w.commit("public/a", "1")
	w.mu.Lock()
	w.failing["a"] = errors.New("the disk is full")
	w.mu.Unlock()
	edit := func(r *http.Request) { r.Header.Set("X-GitHub-Delivery", "d1") }
	if status, text := send(push("main", "o/pages", before, after), edit); status != 503 || strings.Contains(text, "disk") {
		t.Errorf("%d %s", status, text)
	}
	w.mu.Lock()
	w.failing["a"] = nil
	w.mu.Unlock()
	if status, text := send(push("main", "o/pages", before, after), edit); status != 200 {
		t.Errorf("sent again: %d %s", status, text)
	}
	w.expect("sent again", "put a")
}

// Many at a time are one after the other, and nothing is queued twice.
func TestHookAtTheSameTime(t *testing.T) {
	w := newWorld(t)
	b := w.branch()
	w.look(b, "")
	send := w.hooked(b)
	before := w.seen.Commit
	after := w.commit("public/a", "1")
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			if status, text := send(push("main", "o/pages", before, after), func(r *http.Request) { r.Header.Set("X-GitHub-Delivery", fmt.Sprint(i)) }); status != 200 {
				t.Errorf("%d %s", status, text)
			}
		})
	}
	all.Wait()
	w.expect("eight at a time", "put a")
}
