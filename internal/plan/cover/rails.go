package cover

import (
	"slices"
	"sort"
	"strings"

	"github.com/freshet/freshet"
)

// rails answers which patterns are forbidden. What forbids a wildcard forbids
// every shorter one above it as well, so the longest over a set of URLs remains
// the only one worth looking at.
type rails struct {
	never     []string // prefixes of wildcards and exact paths, sorted
	exact     map[freshet.Pattern]bool
	protected []string
}

func newRails(r Rails) rails {
	x := rails{exact: make(map[freshet.Pattern]bool), protected: slices.Sorted(slices.Values(r.Protected))}
	for _, p := range r.Never {
		switch {
		case p.IsTag():
			x.exact[freshet.Pattern(strings.ToLower(string(p)))] = true
		case p.IsWildcard():
			x.never = append(x.never, p.Prefix())
		default:
			x.exact[p] = true
			x.never = append(x.never, string(p))
		}
	}
	slices.Sort(x.never)
	return x
}

func (r rails) none() bool { return len(r.never)+len(r.exact)+len(r.protected) == 0 }

// wildcard returns the rail that forbids the wildcard over prefix, with the
// configured value; "" when none does. asked says that a need asks for this very
// wildcard.
func (r rails) wildcard(prefix string, asked bool) (Rail, string) {
	if n, ok := below(r.never, prefix); ok {
		if !r.exact[freshet.Pattern(n)] {
			n += "*"
		}
		return Never, n
	}
	if p, ok := below(r.protected, prefix); ok {
		return Protected, p
	}
	if asked && strings.IndexByte(prefix, '?') >= 0 {
		return "", "" // one changed path with its query strings
	}
	for _, p := range r.protected {
		if strings.HasPrefix(prefix, p) {
			return Protected, p
		}
	}
	return "", ""
}

// below returns the first of the sorted strings that begins with prefix.
func below(all []string, prefix string) (string, bool) {
	i := sort.SearchStrings(all, prefix)
	if i < len(all) && strings.HasPrefix(all[i], prefix) {
		return all[i], true
	}
	return "", false
}
