package listing

import (
	"errors"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

func collect(objects iter.Seq2[Object, error]) (found map[string]int64, problems []string) {
	found = make(map[string]int64)
	for o, err := range objects {
		if err != nil {
			problems = append(problems, err.Error())
			continue
		}
		found[o.Key] = o.Size
	}
	return found, problems
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, to, at string) {
	t.Helper()
	if err := os.Symlink(to, at); err != nil {
		t.Skipf("no symbolic links here: %v", err)
	}
}

func TestDir(t *testing.T) {
	base := t.TempDir()
	dir := filepath.Join(base, "site")
	write(t, filepath.Join(base, "secret"), "outside")
	write(t, filepath.Join(dir, "index.html"), "12345")
	write(t, filepath.Join(dir, "a dir", "é+h.html"), "")
	write(t, filepath.Join(dir, ".well-known", "x"), "1")
	write(t, filepath.Join(dir, ".git", "objects", "00", "11"), "1")
	write(t, filepath.Join(dir, "a dir", ".git", "config"), "1")
	write(t, filepath.Join(dir, ".freshet", "keys.json"), "1")
	link(t, "index.html", filepath.Join(dir, "home.html"))
	link(t, filepath.Join(base, "secret"), filepath.Join(dir, "out-absolute"))
	link(t, "../secret", filepath.Join(dir, "out-relative"))
	link(t, ".", filepath.Join(dir, "round"))
	link(t, "nowhere", filepath.Join(dir, "dangling"))

	found, problems := collect(Dir(dir))
	want := map[string]int64{"index.html": 5, "a dir/é+h.html": 0, ".well-known/x": 1, "home.html": 5}
	if len(found) != len(want) {
		t.Errorf("found %v", found)
	}
	for key, size := range want {
		if got, ok := found[key]; !ok || got != size {
			t.Errorf("%q: size %d (listed: %v), want %d", key, got, ok, size)
		}
	}
	if len(problems) != 4 {
		t.Errorf("problems %q", problems)
	}
	for _, name := range []string{"out-absolute", "out-relative", "round", "dangling"} {
		if !slices.ContainsFunc(problems, func(p string) bool { return strings.HasPrefix(p, `file "`+name+`": `) }) {
			t.Errorf("nothing is said of %s: %q", name, problems)
		}
	}
}

func TestDirThatIsNone(t *testing.T) {
	for _, err := range Dir(filepath.Join(t.TempDir(), "none")) {
		if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "read directory") {
			t.Error(err)
		}
		return
	}
	t.Error("a directory that is not there is an empty one")
}

// brokenDir cannot list the folder of that name.
type brokenDir struct {
	fs.FS
	name string
}

func (b brokenDir) ReadDir(name string) ([]fs.DirEntry, error) {
	if name == b.name {
		return nil, fs.ErrPermission
	}
	return fs.ReadDir(b.FS, name)
}

func TestFilesGoesOn(t *testing.T) {
	tree := fstest.MapFS{
		"a": {Data: []byte("1")}, "locked/b": {}, "pipe": {Mode: fs.ModeNamedPipe}, "\xff": {}, strings.Repeat("k", MaxKeyLength+1): {}, "z/z": {Data: []byte("22")},
	}
	found, problems := collect(Files(brokenDir{tree, "locked"}))
	if len(found) != 2 || found["a"] != 1 || found["z/z"] != 2 {
		t.Errorf("found %v", found)
	}
	got := strings.Join(problems, "\n")
	for _, want := range []string{`file "locked": permission denied`, `file "pipe": it is no regular file`, "has 1025 bytes"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not among\n%s", want, got)
		}
	}
	if strings.Count(got, "\n") != 3 {
		t.Errorf("problems\n%s", got)
	}
	found, problems = collect(Files(brokenDir{tree, "."}))
	if len(found) != 0 || len(problems) != 1 || problems[0] != "read directory: permission denied" {
		t.Errorf("found %v, problems %q", found, problems)
	}
}

func TestFilesStops(t *testing.T) {
	for range Files(fstest.MapFS{"a": {}, "b/c": {}, "d": {}}) {
		break
	}
}
