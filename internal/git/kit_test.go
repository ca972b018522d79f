package git_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/freshet/freshet/internal/git"
	"github.com/freshet/freshet/internal/source/gitdiff"
)

// needGit skips where there is no git, but not in CI.
func needGit(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("git is needed: apt-get install git")
		}
		t.Skip("no git here: apt-get install git")
	}
}

// repo is a repository that a test makes.
type repo struct {
	t   testing.TB
	dir string
}

func newRepo(t *testing.T, args ...string) repo {
	t.Helper()
	needGit(t)
	r := repo{t, t.TempDir()}
	r.git(append([]string{"init", "-q", "-b", "main"}, args...)...)
	return r
}

// quiet is a configuration of nobody's, with the same times each run.
func quiet() []string {
	var env []string
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "GIT_") {
			env = append(env, e)
		}
	}
	return append(env, "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=c", "GIT_COMMITTER_EMAIL=c@example.com",
		"GIT_AUTHOR_DATE=1700000000 +0100", "GIT_COMMITTER_DATE=1700000100 +0100")
}

func (r repo) git(args ...string) string { return r.feed("", args...) }

func (r repo) feed(stdin string, args ...string) string {
	r.t.Helper()
	c := exec.CommandContext(context.Background(), "git", append([]string{"-c", "protocol.file.allow=always"}, args...)...)
	c.Dir, c.Env, c.Stdin = r.dir, quiet(), strings.NewReader(stdin)
	var out, complaint bytes.Buffer
	c.Stdout, c.Stderr = &out, &complaint
	if err := c.Run(); err != nil {
		r.t.Fatalf("git %s: %v: %s", strings.Join(args, " "), err, complaint.String())
	}
	return strings.TrimSuffix(out.String(), "\n")
}

// write puts files into the work tree: name, content, and so on. A content of -
// removes the file.
func (r repo) write(pairs ...string) repo {
	r.t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		name := filepath.Join(r.dir, pairs[i])
		err := os.MkdirAll(filepath.Dir(name), 0o755)
		if pairs[i+1] == "-" {
			err = errors.Join(err, os.Remove(name))
		} else {
			err = errors.Join(err, os.WriteFile(name, []byte(pairs[i+1]), 0o644))
		}
		if err != nil {
			r.t.Fatal(err)
		}
	}
	return r
}

// commit commits everything and returns the ID.
func (r repo) commit() string {
	r.t.Helper()
	r.git("add", "-A")
	r.git("commit", "-q", "--allow-empty", "-m", "commit")
	return r.git("rev-parse", "HEAD")
}

func (r repo) open() *git.Repository {
	r.t.Helper()
	g, err := git.Open(r.t.Context(), r.dir)
	if err != nil {
		r.t.Fatal(err)
	}
	return g
}

// span finds how to come from one commit to the other.
func (r repo) span(base, head string) git.Span {
	r.t.Helper()
	s, err := r.open().Span(r.t.Context(), base, head)
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

// differs lists "A path" for what differs.
func (r repo) differs(base, head string) (all []string) {
	r.t.Helper()
	g := r.open()
	s, err := g.Span(r.t.Context(), base, head)
	if err != nil {
		r.t.Fatal(err)
	}
	entries, err := g.Entries(r.t.Context(), s)
	if err != nil {
		r.t.Fatal(err)
	}
	return lines(entries)
}

func lines(entries []gitdiff.Entry) (all []string) {
	for _, e := range entries {
		all = append(all, fmt.Sprintf("%s %s", e.Status, e.Path))
	}
	return all
}
