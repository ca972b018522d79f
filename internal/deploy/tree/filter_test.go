package tree_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/freshet/freshet/internal/deploy/tree"
)

// Filter says of names what Read does of a directory that has them.
func TestFilterIsRead(t *testing.T) {
	name := rapid.SampledFrom([]string{"a", "b.psd", ".c", ".git", ".well-known", "d.html", ".freshet", ".DS_Store", "Z"})
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "freshet-filter-")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = os.RemoveAll(dir) }()
		files := []string{"always"}
		for range rapid.IntRange(0, 6).Draw(t, "files") {
			path := strings.Join(rapid.SliceOfN(name, 1, 3).Draw(t, "path"), "/")
			full := filepath.Join(dir, path)
			if os.MkdirAll(filepath.Dir(full), 0o755) == nil && os.WriteFile(full, nil, 0o644) == nil {
				files = append(files, path)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, "always"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		lines := rapid.SampledFrom([]string{"*.psd", "a/", "/a", "!a/d.html", "**/Z", "a/**", "", "#x", "a/d.html"})
		o := tree.Options{Ignore: rapid.SliceOfN(lines, 0, 2).Draw(t, "ignore"), Hidden: rapid.Bool().Draw(t, "hidden")}
		own := strings.Join(rapid.SliceOfN(lines, 0, 3).Draw(t, "own"), "\n")
		if err := os.WriteFile(filepath.Join(dir, tree.IgnoreFile), []byte(own), 0o644); err != nil {
			t.Fatal(err)
		}
		listing, err := tree.Read(dir, o)
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for _, e := range listing.Entries {
			want = append(want, e.Path)
		}
		belongs := o.Filter(own)
		got := slices.DeleteFunc(append(files, tree.IgnoreFile), func(f string) bool { return !belongs(f) })
		slices.Sort(got)
		if got = slices.Compact(got); !slices.Equal(got, want) {
			t.Errorf("by name %q, in the directory %q", got, want)
		}
	})
}
