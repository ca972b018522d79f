package tree

import (
	"path"
	"slices"
	"strings"

	"github.com/freshet/freshet/internal/deploy/ignore"
)

// Filter says which files belong to a site that is no directory, by their paths
// below it, as Read says it of a directory. own is what stands in its
// IgnoreFile. Links play no part.
func (o Options) Filter(own string) func(name string) bool {
	r := &reading{Options: o, ignore: ignore.Parse(strings.Join(append(slices.Clone(o.Ignore), own), "\n"))}
	var folders func(name string) bool
	known := make(map[string]bool) // whether what is below a folder may belong to the site
	folders = func(name string) bool {
		if name == "." {
			return true
		}
		belongs, seen := known[name]
		if !seen {
			belongs = folders(path.Dir(name)) && !r.left(path.Base(name), name) && !r.ignore.Match(name, true)
			known[name] = belongs
		}
		return belongs
	}
	return func(name string) bool {
		return folders(path.Dir(name)) && !r.left(path.Base(name), name) && !r.ignore.Match(name, false)
	}
}
