package git_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/freshet/freshet/internal/git"
	"github.com/freshet/freshet/internal/source/gitdiff"
)

func (r repo) link(target, name string) repo {
	r.t.Helper()
	name = filepath.Join(r.dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.RemoveAll(name), os.Symlink(target, name)); err != nil {
		r.t.Fatal(err)
	}
	return r
}

// What a link leads to changes under the link's name, too.
func TestLinksAreWhatTheyLeadTo(t *testing.T) {
	r := newRepo(t)
	r.write("page.html", "1", "assets/v1/a.css", "1", "assets/v1/b.css", "1", "assets/v2/a.css", "2")
	a := r.link("page.html", "index.html").link("v1", "assets/current").link("/etc/hostname", "host").link("missing", "dangling").link(".", "self").link("../..", "x/out").commit()
	expect(t, "at first", r.differs(strings.Repeat("0", 40), a), "A page.html", "A index.html", "A assets/v1/a.css", "A assets/v1/b.css", "A assets/v2/a.css",
		"A assets/current/a.css", "A assets/current/b.css", "A host", "A dangling", "A self", "A x/out")
	b := r.write("page.html", "another").commit()
	expect(t, "the target", r.differs(a, b), "M page.html", "M index.html")
	c := r.link("v2", "assets/current").commit()
	expect(t, "the link", r.differs(b, c), "M assets/current/a.css", "D assets/current/b.css")
	d := r.link("assets/current/a.css", "index.html").commit()
	expect(t, "through a folder's link", r.differs(c, d), "M index.html")
}

// A submodule that is checked out counts as its files; any other stands for
// itself.
func TestSubmodules(t *testing.T) {
	theme := newRepo(t)
	theme.write("a.css", "1", "deep/b.css", "1").commit()
	r := newRepo(t)
	r.write("index.html", "1")
	r.git("submodule", "add", "-q", "file://"+theme.dir, "themes/plain")
	a := r.link("themes/plain/a.css", "a.css").commit()
	theme.write("a.css", "2", "c.css", "1").commit()
	inside := repo{t, filepath.Join(r.dir, "themes/plain")}
	inside.git("pull", "-q", "origin", "main")
	b := r.commit()
	expect(t, "checked out", r.differs(a, b), "M themes/plain/a.css", "A themes/plain/c.css", "M a.css")
	r.git("rm", "-q", "-f", "--cached", "themes/plain")
	r.git("config", "-f", ".gitmodules", "submodule.themes/plain.ignore", "all")
	r.git("add", ".gitmodules")
	r.git("commit", "-q", "-m", "removed")
	expect(t, "removed", r.differs(b, "HEAD"), "D themes/plain/a.css", "D themes/plain/deep/b.css", "D themes/plain/c.css", "M .gitmodules", "T a.css")

	bare := repo{t, t.TempDir()}
	bare.git("clone", "-q", "--bare", r.dir, ".")
	g := bare.open()
	s, err := g.Span(t.Context(), a, b)
	if err != nil {
		t.Fatal(err)
	}
	entries, err := g.Entries(t.Context(), s)
	if err != nil || len(entries) != 1 || entries[0].NewMode != gitdiff.Submodule || entries[0].Path != "themes/plain" {
		t.Errorf("not checked out: %+v, %v", entries, err)
	}
}

// Files of a commit are read as they are in it, whatever is checked out, and
// through links and submodules.
func TestBlobsReadTheCommit(t *testing.T) {
	theme := newRepo(t)
	theme.write("a.css", "theme").commit()
	r := newRepo(t)
	big := strings.Repeat("0123456789abcdef", 1<<16)
	r.write("index.html", "one", "empty", "", "big", big, "newline", "\n", "bytes", "\x00\xff\n")
	r.git("submodule", "add", "-q", "file://"+theme.dir, "theme")
	head := r.link("index.html", "start.html").link("theme", "t").commit()
	r.write("index.html", "two, not committed", "empty", "-")
	g := r.open()
	leaves, err := g.Tree(t.Context(), head)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"index.html": "one", "empty": "", "big": big, "newline": "\n", "bytes": "\x00\xff\n", "start.html": "one", "theme/a.css": "theme", "t/a.css": "theme"}
	blobs := g.Blobs(t.Context())
	for _, l := range leaves {
		content, known := want[l.Path]
		if l.Path == ".gitmodules" {
			continue
		}
		if !known {
			t.Errorf("there is %+v", l)
		}
		// Half of them are not read to the end.
		err := blobs.Each(l, func(size int64, from io.Reader) error {
			half, err := io.ReadAll(io.LimitReader(from, size/2))
			if !strings.HasPrefix(content, string(half)) {
				t.Errorf("%s holds something else", l.Path)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
		got, err := blobs.Read(l, 2<<20)
		if err != nil || string(got) != content || l.Size != int64(len(content)) {
			t.Errorf("%s is %d bytes, said to be %d, want %d: %v", l.Path, len(got), l.Size, len(content), err)
		}
		delete(want, l.Path)
	}
	if len(want) > 0 {
		t.Errorf("missing are %q", slices.Collect(maps.Keys(want)))
	}
	if _, err := blobs.Read(gitdiff.Leaf{Path: "no", Blob: strings.Repeat("1", 40)}, 1); err == nil || !strings.Contains(err.Error(), "does not have") {
		t.Errorf("read what is not there: %v", err)
	}
	if _, err := blobs.Read(gitdiff.Leaf{Path: "odd", Blob: "HEAD\nHEAD"}, 1); err == nil {
		t.Error("read by a name")
	}
	refused := errors.New("refused")
	if err := blobs.Each(leaves[1], func(int64, io.Reader) error { return refused }); !errors.Is(err, refused) {
		t.Errorf("refused: %v", err)
	}
	if got, err := blobs.Read(leaves[len(leaves)-1], 100); err != nil || len(got) == 0 {
		t.Errorf("after all that: %q, %v", got, err)
	}
	if err := errors.Join(blobs.Close(), blobs.Close()); err != nil {
		t.Error(err)
	}
}

// history is what fast-import makes of trees: paths to content, where a link's
// begins with ->.
func history(r repo, trees []map[string]string) {
	var in bytes.Buffer
	for i, tree := range trees {
		fmt.Fprintf(&in, "commit refs/heads/main\nmark :%d\ncommitter c <c@example.com> %d +0000\ndata 1\nm\n", i+1, 1700000000+i)
		if i > 0 {
			fmt.Fprintf(&in, "from :%d\n", i)
		}
		in.WriteString("deleteall\n")
		for name, content := range tree {
			mode := "100644"
			if target, link := strings.CutPrefix(content, "->"); link {
				mode, content = "120000", target
			}
			fmt.Fprintf(&in, "M %s inline %s\ndata %d\n%s\n", mode, cQuoted(name), len(content), content)
		}
		fmt.Fprintf(&in, "\nreset refs/tags/t%d\nfrom :%d\n\n", i, i+1)
	}
	r.feed(in.String(), "fast-import", "--quiet", "--force")
}

func cQuoted(name string) string {
	var b strings.Builder
	for i := range len(name) {
		fmt.Fprintf(&b, "\\%03o", name[i])
	}
	return `"` + b.String() + `"`
}

// For any history, what git says differs between any two commits is what differs
// between the two as they would be checked out: the file system is the judge.
func TestEntriesAreWhatDiffersOnDisk(t *testing.T) {
	r := newRepo(t)
	g, round, out := r.open(), 0, t.TempDir()
	names := rapid.SampledFrom([]string{"a", "b", "a b", "é", "Ab", "aB", "x", "caf\xe9", `q"`, "-n"})
	rapid.Check(t, func(rt *rapid.T) {
		path := rapid.Custom(func(rt *rapid.T) string {
			return strings.Join(rapid.SliceOfN(names, 1, 3).Draw(rt, "path"), "/")
		})
		tree := rapid.Custom(func(rt *rapid.T) map[string]string {
			made := rapid.MapOfN(path, rapid.SampledFrom([]string{"", "1", "2", "1"}), 1, 6).Draw(rt, "files")
			// Links lead from l/ into the rest, so that there are no rings.
			for name, target := range rapid.MapOfN(rapid.SampledFrom([]string{"l/1", "l/2", "l/3/4"}), path, 0, 2).Draw(rt, "links") {
				made[name] = "->" + strings.Repeat("../", strings.Count(name, "/")) + target
			}
			for name := range made { // a file that is a folder as well
				for other := range made {
					if strings.HasPrefix(other, name+"/") {
						delete(made, name)
					}
				}
			}
			return made
		})
		trees := rapid.SliceOfN(tree, 2, 2).Draw(rt, "trees")
		history(r, trees)
		disks := make([]map[string]string, len(trees))
		for i := range trees {
			round++
			disks[i] = checkOut(r, fmt.Sprintf("t%d", i), fmt.Sprintf("%s/%d", out, round))
		}
		for i, j := range []int{1, 0} {
			want := compareDisks(disks[i], disks[j])
			got := withoutLinks(rt, g, fmt.Sprintf("t%d", i), fmt.Sprintf("t%d", j))
			if !maps.Equal(got, want) {
				rt.Fatalf("from %q to %q: %q, on disk %q", trees[i], trees[j], got, want)
			}
		}
	})
}

func checkOut(r repo, rev, dir string) map[string]string {
	r.t.Helper()
	r.git("worktree", "add", "-q", "--force", "--detach", dir, rev)
	seen := make(map[string]string)
	walk(dir, "", seen)
	r.git("worktree", "remove", "--force", dir)
	return seen
}

// walk reads all files below dir, through links.
func walk(dir, name string, seen map[string]string) {
	entries, err := os.ReadDir(filepath.Join(dir, name))
	if err != nil {
		return
	}
	for _, e := range entries {
		here := filepath.Join(name, e.Name())
		if here == ".git" {
			continue
		}
		at, err := os.Stat(filepath.Join(dir, here))
		switch {
		case err != nil: // leads nowhere
		case at.IsDir():
			walk(dir, here, seen)
		case at.Mode().IsRegular():
			content, err := os.ReadFile(filepath.Join(dir, here))
			if !errors.Is(err, fs.ErrNotExist) {
				seen[here] = string(content)
			}
		}
	}
}

func compareDisks(before, after map[string]string) map[string]string {
	differs := make(map[string]string)
	for name, content := range after {
		if old, was := before[name]; !was {
			differs[name] = "A"
		} else if old != content {
			differs[name] = "M"
		}
	}
	for name := range before {
		if _, is := after[name]; !is {
			differs[name] = "D"
		}
	}
	return differs
}

// withoutLinks is what git says, with links that lead nowhere as what they are on
// disk, which is nothing.
func withoutLinks(rt *rapid.T, g *git.Repository, base, head string) map[string]string {
	s, err := g.Span(rt.Context(), base, head)
	if err != nil {
		rt.Fatal(err)
	}
	entries, err := g.Entries(rt.Context(), s)
	if err != nil {
		rt.Fatal(err)
	}
	differs := make(map[string]string)
	for _, e := range entries {
		switch old, now := e.OldMode.IsFile(), e.NewMode.IsFile(); {
		case old && now:
			differs[e.Path] = "M"
		case old:
			differs[e.Path] = "D"
		case now:
			differs[e.Path] = "A"
		}
	}
	return differs
}
