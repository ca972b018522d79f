// Package git asks the git program what a repository holds. It reads objects
// only: what is checked out, staged or configured to be shown otherwise makes no
// difference. Hooks are not run, and replaced objects are read as they were.
package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// Limits of what the program may say.
const (
	mostOutput = 1 << 30 // bytes of a difference or a tree: some ten million paths
	mostAnswer = 1 << 20 // bytes of anything else
	mostStderr = 4 << 10 // bytes of a complaint that are shown
)

// ErrUnknown is in the error about a revision that the repository does not have.
var ErrUnknown = errors.New("the repository has no such commit")

// Repository is a repository on this machine: a clone, a bare one, or a linked
// worktree of one. Its methods may be called concurrently.
type Repository struct {
	Dir     string // where it was looked for
	GitDir  string // absolute
	Top     string // of the work tree, absolute; empty in a bare repository
	Shallow bool   // its history is cut off somewhere, so that earlier commits may be missing
}

// Open finds the repository that dir is in. The error says what to do where git
// is not installed, or refuses since somebody else owns the folder.
func Open(ctx context.Context, dir string) (*Repository, error) {
	if dir == "" {
		dir = "."
	}
	r := &Repository{Dir: dir}
	out, err := r.text(ctx, "rev-parse", "--is-shallow-repository", "--is-inside-work-tree", "--absolute-git-dir")
	if err != nil {
		return nil, fmt.Errorf("open the repository %s: %w", dir, err)
	}
	fields := strings.SplitN(out, "\n", 3)
	if len(fields) != 3 {
		return nil, fmt.Errorf("open the repository %s: git answered %q", dir, out)
	}
	r.Shallow, r.GitDir = fields[0] == "true", fields[2]
	if fields[1] == "true" {
		if r.Top, err = r.text(ctx, "rev-parse", "--show-toplevel"); err != nil {
			return nil, fmt.Errorf("open the repository %s: %w", dir, err)
		}
	}
	return r, nil
}

// settings override whatever the configuration says that could change what is
// read, or run something. https://git-scm.com/docs/git-config
func settings() []string {
	return []string{
		"--no-replace-objects", "--no-pager", "--no-optional-locks", "--literal-pathspecs",
		"-c", "core.hooksPath=" + os.DevNull, "-c", "core.fsmonitor=false", "-c", "gc.auto=0", "-c", "maintenance.auto=false",
		"-c", "core.warnAmbiguousRefs=false", "-c", "submodule.recurse=false", "-c", "protocol.ext.allow=never", "-c", "advice.detachedHead=false",
	}
}

// environment is environ without what would have git read another repository or
// show things otherwise, such as the GIT_DIR that a hook has. How to reach and
// trust remotes, and where the configuration is, stays.
func environment(environ []string) []string {
	kept := []string{"LC_ALL=C", "GIT_TERMINAL_PROMPT=0"}
	for _, e := range environ {
		name, _, _ := strings.Cut(e, "=")
		switch {
		case name == "LC_ALL" || name == "GIT_TERMINAL_PROMPT" || name == "LANGUAGE":
		case !strings.HasPrefix(name, "GIT_") || stays(name):
			kept = append(kept, e)
		}
	}
	return kept
}

func stays(name string) bool {
	switch name {
	case "GIT_SSH", "GIT_SSH_COMMAND", "GIT_SSH_VARIANT", "GIT_ASKPASS", "GIT_EXEC_PATH",
		"GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_COUNT":
		return true
	}
	for _, begin := range []string{"GIT_SSL_", "GIT_HTTP_", "GIT_PROXY_", "GIT_CONFIG_KEY_", "GIT_CONFIG_VALUE_"} {
		if strings.HasPrefix(name, begin) {
			return true
		}
	}
	return false
}

// patience is how long git may go on after it was told to end.
const patience = 2 * time.Second

// command is a call of git in the repository.
func (r *Repository) command(ctx context.Context, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, "git", append(settings(), args...)...)
	c.Dir = r.Dir
	c.Env = environment(os.Environ())
	c.WaitDelay = patience
	return c
}

// run returns what git prints, which is more than most bytes in no case.
func (r *Repository) run(ctx context.Context, most int64, args ...string) ([]byte, error) {
	c := r.command(ctx, args...)
	var stderr bounded
	out := bounded{most: most}
	stderr.most = mostStderr
	c.Stdout, c.Stderr = &out, &stderr
	err := c.Run()
	if out.over {
		return nil, fmt.Errorf("git %s: it printed more than %d bytes", args[0], most)
	}
	if err != nil {
		return nil, failure(ctx, args[0], err, stderr.String())
	}
	return out.Bytes(), nil
}

// text returns a short answer without its line break.
func (r *Repository) text(ctx context.Context, args ...string) (string, error) {
	out, err := r.run(ctx, mostAnswer, args...)
	return strings.TrimSuffix(string(out), "\n"), err
}

// bounded keeps the first bytes that are written to it.
type bounded struct {
	bytes.Buffer
	most int64
	over bool
}

// errFull ends a program that prints too much.
var errFull = errors.New("too much was printed")

// Write fails when there is no more room, so that the program ends.
func (b *bounded) Write(p []byte) (int, error) {
	if room := b.most - int64(b.Len()); int64(len(p)) > room {
		b.over = true
		n, _ := b.Buffer.Write(p[:max(room, 0)])
		return n, errFull
	}
	return b.Buffer.Write(p)
}

// Error is a call of git that failed.
type Error struct {
	Command string // such as diff-tree
	Code    int    // exit code; -1 if it did not end by itself
	Stderr  string // its complaint, which may be empty
	Err     error
}

// Error says what git said, and what to do about it where that is known.
func (e *Error) Error() string {
	text := "git " + e.Command + ": " + e.Err.Error()
	if said := strings.TrimSpace(e.Stderr); said != "" {
		text = "git " + e.Command + ": " + withoutPasswords(said)
	}
	return text + hint(e.Stderr)
}

// withoutPasswords hides what stands before the host of a URL: remotes are
// configured with tokens in them.
func withoutPasswords(text string) string {
	return regexp.MustCompile(`://[^/@\s]+@`).ReplaceAllString(text, "://***@")
}

// Unwrap returns what ended the call.
func (e *Error) Unwrap() error { return e.Err }

// hint says what to do about the complaints that people meet.
func hint(stderr string) string {
	switch {
	case strings.Contains(stderr, "dubious ownership"):
		return "; the repository belongs to another user, as in a container: git config --global --add safe.directory DIR"
	case strings.Contains(stderr, "not a git repository"):
		return "; name the repository with --repo DIR"
	case strings.Contains(stderr, "terminal prompts disabled"), strings.Contains(stderr, "could not read Username"):
		return "; nobody is asked for passwords here: set up a credential helper or an SSH key"
	}
	return ""
}

func failure(ctx context.Context, command string, err error, stderr string) error {
	if errors.Is(err, exec.ErrNotFound) {
		return errors.New("there is no git program in PATH: install git, such as with apt-get install git")
	}
	if cause := context.Cause(ctx); cause != nil {
		return fmt.Errorf("git %s: %w", command, cause)
	}
	e := &Error{Command: command, Code: -1, Stderr: stderr, Err: err}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		e.Code = exit.ExitCode()
	}
	return e
}

// exited reports whether git ended with a code of its own.
func exited(err error, code int) bool {
	var e *Error
	return errors.As(err, &e) && e.Code == code
}

// at is the repository whose work tree is at a path below this one's: a
// submodule that is checked out.
func (r *Repository) at(ctx context.Context, path string) (*Repository, bool) {
	if r.Top == "" || !filepath.IsLocal(filepath.FromSlash(path)) {
		return nil, false
	}
	dir := filepath.Join(r.Top, filepath.FromSlash(path))
	// Without a .git of its own, git would find the one around it.
	if at, err := os.Lstat(dir); err != nil || !at.IsDir() {
		return nil, false
	}
	if _, err := os.Lstat(filepath.Join(dir, ".git")); err != nil {
		return nil, false
	}
	sub, err := Open(ctx, dir)
	return sub, err == nil
}
