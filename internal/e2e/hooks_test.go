package e2e_test

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// pushed is a repository whose files are published elsewhere, and how it came to
// be what it is.
type pushed struct {
	dir     string
	mu      sync.Mutex
	files   map[string]string // as published
	touched map[string]time.Time
	pushes  map[string]bool // files that were touched since it was followed
}

func newPushed(t *testing.T) *pushed {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip("git is not installed")
	}
	p := &pushed{dir: t.TempDir(), files: make(map[string]string), touched: make(map[string]time.Time), pushes: make(map[string]bool)}
	p.git(t, "init", "-q", "-b", "main")
	return p
}

func (p *pushed) git(t *testing.T, args ...string) string {
	t.Helper()
	c := exec.CommandContext(t.Context(), "git", args...)
	c.Dir = p.dir
	c.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.org", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.org")
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("git %q: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// change commits other files, of which some may go, and publishes them.
func (p *pushed) change(t *testing.T, change map[string]string) {
	t.Helper()
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	for name, text := range change {
		file := filepath.Join(p.dir, "public", name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		p.touched[name] = now
		p.pushes[name] = true
		delete(p.files, name)
		err := os.Remove(file)
		if text != "" {
			p.files[name] = text
			err = os.WriteFile(file, []byte(text), 0o600)
		}
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	p.git(t, "add", "-A")
	p.git(t, "commit", "-q", "-m", "another")
}

// ServeHTTP is the bucket elsewhere. To S3 a plus sign in a path is a space.
func (p *pushed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path, err := url.PathUnescape(strings.ReplaceAll(r.URL.EscapedPath(), "+", "%20"))
	if err != nil {
		http.NotFound(w, r)
		return
	}
	p.mu.Lock()
	text, ok := p.files[strings.TrimPrefix(path, "/")]
	p.mu.Unlock()
	if !ok {
		http.NotFound(w, r)
		return
	}
	sum := md5.Sum([]byte(text))
	w.Header().Set("ETag", `"`+hex.EncodeToString(sum[:])+`"`)
	w.Header().Set("Content-Length", fmt.Sprint(len(text)))
	_, _ = io.WriteString(w, text)
}

// deliver sends what GitHub would. That nobody answers is no error: GitHub does
// not try again.
func (p *pushed) deliver(t *testing.T, hooks string) {
	t.Helper()
	body := fmt.Sprintf(`{"ref":"refs/heads/main","before":%q,"after":%q}`, strings.Repeat("0", 40), p.git(t, "rev-parse", "HEAD"))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, hooks+"/hooks/github", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	sum := hmac.New(sha256.New, []byte("s3cret"))
	_, _ = io.WriteString(sum, body)
	req.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(sum.Sum(nil)))
	req.Header.Set("X-GitHub-Event", "push")
	if resp, err := (&http.Client{Transport: newTransport(t)}).Do(req); err == nil {
		_ = resp.Body.Close()
	}
}

// Whatever is killed when, and whichever deliveries get lost or come twice, each
// file that a push has touched is invalidated and verified after it, each change
// by its first plan, and the edge serves what is published.
func TestPromiseNoPushIsLost(t *testing.T) {
	if !long() {
		t.Skip("takes FRESHET_SOAK=1; what it found is held by tests of pipeline, journal and app")
	}
	const rounds = 100
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	p := newPushed(t)
	names := []string{"index.html", "a b.html", "news/é.html", "c++.css", "d/index.html"}
	all := make(map[string]string)
	for _, name := range names {
		all[name] = name + " 0"
	}
	p.change(t, all)
	clear(p.pushes)
	elsewhere := httptest.NewServer(p)
	t.Cleanup(elsewhere.Close)
	home := t.TempDir()
	clone := filepath.Join(home, "clone")
	p.git(t, "clone", "-q", p.dir, clone)
	for name, text := range map[string]string{"secret": "s3cret\n", "assets.yaml": assetsElsewhere} {
		if err := os.WriteFile(filepath.Join(home, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	o := options{
		data: filepath.Join(home, "data"), args: []string{"--hooks", free(), "--distribution", filepath.Join(home, "assets.yaml")},
		config: fmt.Sprintf("origins:\n  assets.s3.amazonaws.com: %s\nsources:\n  - {webhook: github, secret_file: %s, repository: %s, folder: public, bucket: assets}\n",
			elsewhere.URL, filepath.Join(home, "secret"), clone),
	}
	began := time.Now()
	start(t, o).kill() // which notes where the branch is
	takes := max(300*time.Millisecond, 2*time.Since(began))
	for n := range rounds {
		f, lines := spawn(t, o)
		dying := time.AfterFunc(time.Duration(random.Int64N(int64(takes))), func() { _ = f.command.Process.Kill() })
		up := lines.Scan()
		if up {
			f.announced(t, lines)
		}
		for range 1 + random.IntN(2) {
			some := make(map[string]string)
			for range 1 + random.IntN(3) {
				name := names[random.IntN(len(names))]
				some[name] = fmt.Sprintf("%s %d %d", name, n, random.Int())
				if random.IntN(4) == 0 && p.files[name] != "" && name != "index.html" {
					some[name] = "" // it goes
				}
			}
			p.change(t, some)
			for range random.IntN(3) { // lost, once or twice
				if up {
					p.deliver(t, f.Hooks)
				}
			}
		}
		select {
		case <-f.exited:
		case <-time.After(patience):
			t.Fatal("it does not die")
		}
		dying.Stop()
	}
	f := start(t, o)
	history := p.settled(t, f)
	sound(t, history)
	v := f.viewer(t)
	for _, name := range names {
		path := "/" + strings.NewReplacer(" ", "%20", "+", "%2B", "é", "%C3%A9").Replace(name)
		if text := p.files[name]; text != "" {
			v.wantBody(t, path, text)
		} else {
			v.wantGone(t, path)
		}
	}
}

const assetsElsewhere = `Id: E1ASSETS
DistributionConfig:
  Enabled: true
  Origins:
    - {Id: assets, DomainName: assets.s3.amazonaws.com}
  DefaultCacheBehavior:
    TargetOriginId: assets
    ViewerProtocolPolicy: allow-all
    CachePolicyId: 658327ea-f89d-4fab-a63d-7e88639e58f6
`

// settled waits until every file was verified after the last push that touched
// it, and nothing is under way.
func (p *pushed) settled(t *testing.T, f *running) []record {
	t.Helper()
	for deadline := time.Now().Add(patience); ; <-time.After(100 * time.Millisecond) {
		all := f.history(t)
		var missing []string
		for name := range p.pushes {
			seen := false
			for _, r := range all {
				seen = seen || r.Key == name && r.State == verified && r.ReceivedAt != nil && !r.ReceivedAt.Before(p.touched[name])
			}
			if !seen {
				missing = append(missing, name)
			}
		}
		for id, steps := range byChange(all) {
			if last := steps[len(steps)-1]; last.State != verified && last.State != dead {
				missing = append(missing, id+" of "+last.Key)
			}
		}
		if len(missing) == 0 {
			return all
		}
		if time.Now().After(deadline) {
			t.Errorf("not verified: %q", missing)
			return all
		}
	}
}
