package git_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/git"
	"github.com/freshet/freshet/internal/source/gitdiff"
)

func expect(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

// A push of several commits is what they did together, not what the last did.
func TestSpanOfSeveralCommits(t *testing.T) {
	r := newRepo(t)
	a := r.write("index.html", "1", "old.html", "1", "same.html", "1").commit()
	r.write("index.html", "2", "b.html", "2").commit()
	r.write("index.html", "1", "old.html", "-").commit() // taken back
	d := r.write("c.html", "4").commit()
	expect(t, "four commits", r.differs(a, d), "A b.html", "A c.html", "D old.html")
	expect(t, "names", r.differs("HEAD~2", "main"), "M index.html", "D old.html", "A c.html")
	if s := r.span(a, d); s.Way != git.Forward || s.Head.ID != d || s.Note != "" || !s.Head.Time.Equal(time.Unix(1700000100, 0)) {
		t.Errorf("span %+v", s)
	}
	if s := r.span(d, a); s.Way != git.Back || s.Note == "" {
		t.Errorf("back is %+v", s)
	}
	expect(t, "back", r.differs(d, a), "D b.html", "D c.html", "A old.html")
	if s := r.span(d, "HEAD"); s.Way != git.Same {
		t.Errorf("nothing is %+v", s)
	}
	expect(t, "nothing", r.differs(d, d))
}

// Everything that a merge brings is in the range, whichever parent is the first.
func TestSpanOfMerges(t *testing.T) {
	r := newRepo(t)
	a := r.write("a", "1").commit()
	for _, branch := range []string{"x", "y", "z"} {
		r.git("checkout", "-q", "-b", branch, a)
		r.write(branch, "1").commit()
	}
	r.git("checkout", "-q", "main")
	main := r.write("m", "1").commit()
	r.git("merge", "-q", "-m", "octopus", "x", "y", "z")
	head := r.git("rev-parse", "HEAD")
	if g := r.open(); true {
		c, err := g.Commit(t.Context(), head)
		if err != nil || len(c.Parents) != 4 || c.Parents[0] != main {
			t.Errorf("the octopus is %+v, %v", c, err)
		}
	}
	expect(t, "from the first parent", r.differs(main, head), "A x", "A y", "A z")
	expect(t, "from a merged branch", r.differs("z", head), "A m", "A x", "A y")
	expect(t, "from before", r.differs(a, head), "A m", "A x", "A y", "A z")
	for _, base := range []string{main, "z", a} {
		if s := r.span(base, head); s.Way != git.Forward {
			t.Errorf("%s leads %s", base, s.Way)
		}
	}
}

func TestSpanWithoutBase(t *testing.T) {
	for _, format := range []string{"sha1", "sha256"} {
		r := newRepo(t, "--object-format="+format)
		head := r.write("a", "1", "d/b", "2").commit()
		second := r.write("a", "2").commit()
		zeros := strings.Repeat("0", len(head))
		bases := []string{zeros, map[string]string{"sha1": gitdiff.EmptyTrees[0], "sha256": gitdiff.EmptyTrees[1]}[format]}
		for _, base := range bases {
			if s := r.span(base, head); s.Way != git.First || !s.Whole() {
				t.Errorf("%s: from %s is %+v", format, base, s)
			}
			expect(t, format+" at first", r.differs(base, head), "A a", "A d/b")
		}
		expect(t, format+" later", r.differs(head, second), "M a")
		if s := r.span(head, zeros); s.Way != git.Gone {
			t.Errorf("%s: a branch that was deleted is %+v", format, s)
		}
		expect(t, format+" deleted", r.differs(head, zeros))
	}
}

// A rewritten history is compared tree by tree, as long as the old commit is
// there, and counts as a whole when it is not.
func TestSpanOfRewrittenHistory(t *testing.T) {
	upstream := newRepo(t)
	a := upstream.write("a", "1").commit()
	old := upstream.write("b", "1", "c", "1").commit()
	clone := repo{t, t.TempDir()}
	clone.git("clone", "-q", upstream.dir, ".")
	upstream.git("reset", "-q", "--hard", a)
	head := upstream.write("b", "2").commit()
	clone.git("fetch", "-q", "--force", "origin", "main")

	if s := clone.span(old, head); s.Way != git.Sideways || !strings.Contains(s.Note, "rewritten") {
		t.Errorf("rewritten is %+v", s)
	}
	expect(t, "rewritten", clone.differs(old, head), "M b", "D c")

	fresh := repo{t, t.TempDir()}
	fresh.git("clone", "-q", "--no-local", upstream.dir, ".")
	s := fresh.span(old, head)
	if s.Way != git.Lost || !s.Whole() || !strings.Contains(s.Note, "git fetch origin "+old) || s.Base.ID != "" {
		t.Errorf("lost is %+v", s)
	}
	expect(t, "lost", fresh.differs(old, head), "A a", "A b")
	// The commit can still be had by its ID.
	if err := fresh.open().FetchCommit(t.Context(), "origin", old); err != nil {
		t.Fatal(err)
	}
	expect(t, "found", fresh.differs(old, head), "M b", "D c")
}

func TestSpanInShallowClone(t *testing.T) {
	upstream := newRepo(t)
	a := upstream.write("a", "1").commit()
	upstream.write("b", "1").commit()
	head := upstream.write("b", "2").commit()
	clone := repo{t, t.TempDir()}
	clone.git("clone", "-q", "--depth=1", "file://"+upstream.dir, ".")
	g := clone.open()
	if !g.Shallow {
		t.Error("it is not known to be shallow")
	}
	s := clone.span(a, head)
	if s.Way != git.Lost || !strings.Contains(s.Note, "shallow") || !strings.Contains(s.Note, "--deepen") {
		t.Errorf("the span is %+v", s)
	}
	expect(t, "everything", clone.differs(a, head), "A a", "A b")
	if _, err := g.Span(t.Context(), "HEAD~2", "HEAD"); !errors.Is(err, git.ErrUnknown) || !strings.Contains(err.Error(), "--deepen") {
		t.Errorf("a name that is cut off: %v", err)
	}
	if err := g.FetchCommit(t.Context(), "origin", a); err != nil {
		t.Fatal(err)
	}
	if s := clone.span(a, head); s.Way != git.Sideways || !strings.Contains(s.Note, "shallow") {
		t.Errorf("with the commit alone the span is %+v", s)
	}
	expect(t, "with the commit alone", clone.differs(a, head), "A b")
}

func TestNamesAreBytes(t *testing.T) {
	r := newRepo(t)
	r.git("config", "core.quotePath", "true")
	r.git("config", "core.ignoreCase", "false")
	odd := []string{"a b", "tab\there", "line\nbreak", `quo"te`, `back\slash`, "caf\xe9.html", "café.html", "*", "-rf", ":(top)x", "Case", "a=>b"}
	var pairs []string
	var want []string
	for _, name := range odd {
		pairs = append(pairs, name, "1")
		want = append(want, "A "+name)
	}
	a := r.write("first", "1").commit()
	b := r.write(pairs...).commit()
	expect(t, "odd names", r.differs(a, b), want...)
	c := r.write("Case", "-", "case", "1").commit()
	expect(t, "a rename of letter case alone", r.differs(b, c), "D Case", "A case")
}

func TestModesAndKinds(t *testing.T) {
	r := newRepo(t)
	a := r.write("run", "1", "kind", "1").commit()
	if err := errors.Join(os.Chmod(filepath.Join(r.dir, "run"), 0o755), os.Remove(filepath.Join(r.dir, "kind")), os.Symlink("/etc/hosts", filepath.Join(r.dir, "kind"))); err != nil {
		t.Fatal(err)
	}
	b := r.commit()
	expect(t, "kinds", r.differs(a, b), "M run", "T kind")
}

// A name that means nothing is an error and not the whole site.
func TestWrongNames(t *testing.T) {
	r := newRepo(t)
	head := r.write("a", "1").commit()
	g := r.open()
	for _, pair := range [][2]string{{"nope", head}, {head, "nope"}, {head, strings.Repeat("1", 40)}, {"--all", head}, {"HEAD:a", head}, {head + "\n", head}, {"", head}, {head[:7] + "f", head}} {
		if s, err := g.Span(t.Context(), pair[0], pair[1]); err == nil {
			t.Errorf("%q: %+v", pair, s)
		}
	}
	if _, err := git.Open(t.Context(), t.TempDir()); err == nil || !strings.Contains(err.Error(), "not a git repository") {
		t.Errorf("opened what is none: %v", err)
	}
	if _, err := git.Open(t.Context(), filepath.Join(t.TempDir(), "missing")); err == nil {
		t.Error("opened a folder that is not there")
	}
}

func TestBareAndLinkedWorktree(t *testing.T) {
	r := newRepo(t)
	a := r.write("a", "1").commit()
	b := r.write("b", "1").commit()
	bare := repo{t, t.TempDir()}
	bare.git("clone", "-q", "--bare", r.dir, ".")
	if g := bare.open(); g.Top != "" {
		t.Errorf("a bare one has the work tree %s", g.Top)
	}
	expect(t, "bare", bare.differs(a, b), "A b")
	linked := repo{t, filepath.Join(t.TempDir(), "linked")}
	r.git("worktree", "add", "-q", "--detach", linked.dir, a)
	expect(t, "linked", linked.differs("HEAD", b), "A b")
	below := repo{t, filepath.Join(r.dir, "sub")}
	r.write("sub/c", "1").commit()
	expect(t, "from a folder within", below.differs(a, "HEAD"), "A b", "A sub/c")
}

// What configures git for people, or comes from a hook around us, changes
// nothing.
func TestConfigurationChangesNothing(t *testing.T) {
	r := newRepo(t)
	a := r.write("a", "1", "b", "1\n2\n3\n4\n5\n").commit()
	b := r.write("b", "-", "c", "1\n2\n3\n4\n5\n", "a", "2").commit()
	hooked := filepath.Join(t.TempDir(), "ran")
	hooks := t.TempDir()
	if err := os.WriteFile(filepath.Join(hooks, "reference-transaction"), []byte("#!/bin/sh\ntouch "+hooked+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for key, value := range map[string]string{
		"diff.renames": "copies", "diff.noprefix": "true", "core.quotePath": "false", "color.ui": "always", "core.pager": "false",
		"diff.external": "false", "core.hooksPath": hooks, "core.fsmonitor": "false-" + hooked, "diff.ignoreSubmodules": "all", "core.abbrev": "4",
		"diff.relative": "true", "alias.diff-tree": "!false",
	} {
		r.git("config", key, value)
	}
	other := newRepo(t)
	other.write("z", "1").commit()
	t.Setenv("GIT_DIR", filepath.Join(other.dir, ".git"))
	t.Setenv("GIT_INDEX_FILE", "/nowhere")
	t.Setenv("GIT_LITERAL_PATHSPECS", "0")
	t.Setenv("GIT_TRACE", "1")
	t.Setenv("GIT_DIFF_OPTS", "-u0")
	r.git("replace", r.git("rev-parse", b+":a"), r.git("rev-parse", a+":a"))
	r.git("replace", b, a)
	expect(t, "configured", r.differs(a, b), "M a", "D b", "A c")
	clone := repo{t, t.TempDir()}
	clone.git("clone", "-q", r.dir, ".")
	clone.git("config", "core.hooksPath", hooks)
	if err := os.Remove(hooked); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	if _, found, err := clone.open().Fetch(t.Context(), "origin", "main"); err != nil || !found {
		t.Fatal(found, err)
	}
	if _, err := os.Stat(hooked); err == nil {
		t.Error("a hook was run")
	}
}

func TestFetchTouchesNothingElse(t *testing.T) {
	upstream := newRepo(t)
	upstream.write("a", "1").commit()
	clone := repo{t, t.TempDir()}
	clone.git("clone", "-q", upstream.dir, ".")
	before := clone.git("for-each-ref", "refs/heads", "refs/remotes", "refs/tags") + clone.git("status", "--porcelain")
	head := upstream.write("a", "2").commit()
	g := clone.open()
	tip, found, err := g.Fetch(t.Context(), "origin", "main")
	if err != nil || !found || tip.ID != head {
		t.Fatalf("fetched %+v, %v, %v", tip, found, err)
	}
	if _, found, err := g.Fetch(t.Context(), "origin", "ain"); err != nil || found {
		t.Errorf("a branch that is not there: %v, %v", found, err)
	}
	for _, odd := range []string{"", "-x", "a..b", "a b", "--upload-pack=touch x"} {
		if _, found, err := g.Fetch(t.Context(), "origin", odd); err == nil && (found || odd != "-x") {
			t.Errorf("fetched the branch %q", odd)
		}
	}
	if _, _, err := g.Fetch(t.Context(), "--upload-pack=touch x", "main"); err == nil {
		t.Error("fetched from an option")
	}
	after := clone.git("for-each-ref", "refs/heads", "refs/remotes", "refs/tags") + clone.git("status", "--porcelain")
	if before != after {
		t.Errorf("before %s\nafter %s", before, after)
	}
	if _, err := os.Stat(filepath.Join(clone.dir, ".git", "FETCH_HEAD")); err == nil {
		t.Error("FETCH_HEAD was written")
	}
	// History that was rewritten is fetched as well.
	upstream.git("commit", "-q", "--amend", "-m", "other")
	rewritten := upstream.git("rev-parse", "HEAD")
	if tip, _, err := g.Fetch(t.Context(), "origin", "main"); err != nil || tip.ID != rewritten {
		t.Errorf("after rewriting: %+v, %v", tip, err)
	}
}

func TestNoGit(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if _, err := git.Open(t.Context(), "."); err == nil || !strings.Contains(err.Error(), "install git") {
		t.Errorf("without git: %v", err)
	}
}

func TestCancelled(t *testing.T) {
	r := newRepo(t)
	r.write("a", "1").commit()
	g := r.open()
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("somebody stopped it")
	cancel(why)
	if _, err := g.Span(ctx, "HEAD", "HEAD"); !errors.Is(err, why) {
		t.Errorf("after the end: %v", err)
	}
}

func TestParseRange(t *testing.T) {
	for text, want := range map[string][2]string{
		"a..b": {"a", "b"}, "..b": {"", "b"}, "a..": {"a", "HEAD"}, "b": {"", "b"}, "": {"", "HEAD"}, "..": {"", "HEAD"}, "v1.0..v1.1": {"v1.0", "v1.1"},
	} {
		base, head, err := git.ParseRange(text)
		if err != nil || base != want[0] || head != want[1] {
			t.Errorf("%q is %q %q, %v", text, base, head, err)
		}
	}
	for _, text := range []string{"a...b", "a..b..c", "..."} {
		if base, head, err := git.ParseRange(text); err == nil {
			t.Errorf("%q is %q %q", text, base, head)
		}
	}
}
