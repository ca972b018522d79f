package deploy

import (
	"cmp"
	"path"
	"slices"
	"strings"

	"github.com/freshet/freshet/internal/mediatype"
)

// Class says when an object is sent: what others refer to comes before them, so
// that nothing that is there refers to what is not there yet.
type Class int

// The classes, in their order.
const (
	Assets Class = iota // what pages load
	Pages               // what viewers ask for
	Last                // what leads to pages or decides over them: feeds, sitemaps, service workers, manifests
)

// String is the name that rules have for the class.
func (c Class) String() string {
	switch c {
	case Pages:
		return "pages"
	case Last:
		return "last"
	default:
		return "assets"
	}
}

// MarshalText writes the name.
func (c Class) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads the name.
func (c *Class) UnmarshalText(text []byte) error {
	for _, known := range []Class{Assets, Pages, Last} {
		if known.String() == string(text) {
			*c = known
			return nil
		}
	}
	return classError(text)
}

type classError string

func (e classError) Error() string {
	return "order " + string(e) + ": it is assets, pages or last"
}

// classOf guesses by name and media type. What a build has compressed beside a
// file is of that file's class.
func classOf(name, mediaType string) Class {
	if plain, compressed := uncompressed(name); compressed {
		return classOf(plain, mediatype.Of(plain))
	}
	kind, _, _ := strings.Cut(mediaType, ";")
	base := strings.ToLower(path.Base(name))
	switch {
	case kind == "application/rss+xml" || kind == "application/atom+xml" || kind == "application/manifest+json":
		return Last
	case strings.HasPrefix(base, "sitemap") && strings.Contains(base, ".xml"), slices.Contains(lasting(), base):
		return Last
	case kind == "text/html" || kind == "application/xhtml+xml":
		return Pages
	}
	return Assets
}

// uncompressed is the name of what a compressed file was made of.
func uncompressed(name string) (plain string, compressed bool) {
	switch ending := path.Ext(name); strings.ToLower(ending) {
	case ".gz", ".br", ".zst":
		return strings.TrimSuffix(name, ending), true
	}
	return name, false
}

// lasting are the names by which generators and frameworks know files that
// decide which other files are used.
func lasting() []string {
	return []string{
		"sw.js", "service-worker.js", "serviceworker.js", "ngsw-worker.js", "ngsw.json", "firebase-messaging-sw.js",
		"manifest.json", "asset-manifest.json", "feed.xml", "rss.xml", "atom.xml", "index.xml", "feed.json",
	}
}

// Phases divides steps into what may be done at the same time: all of one phase
// is through before the next begins. Deletes come last. The members of a group
// are in one phase, the latest that any of them is in, and beside each other.
func Phases(steps []Step) [][]Step {
	latest := make(map[string]int)
	for _, s := range steps {
		if g := s.Object.Group; g != "" {
			latest[g] = max(latest[g], rank(s))
		}
	}
	at := func(s Step) int {
		if g := s.Object.Group; g != "" && s.Op != Delete {
			return min(latest[g], int(Last))
		}
		return rank(s)
	}
	ordered := slices.Clone(steps)
	slices.SortStableFunc(ordered, func(a, b Step) int {
		return cmp.Or(cmp.Compare(at(a), at(b)), strings.Compare(a.Object.Group, b.Object.Group), strings.Compare(a.Object.Key, b.Object.Key))
	})
	var phases [][]Step
	for begin := 0; begin < len(ordered); {
		end := begin + 1
		for end < len(ordered) && at(ordered[end]) == at(ordered[begin]) {
			end++
		}
		phases = append(phases, ordered[begin:end])
		begin = end
	}
	return phases
}

// rank puts deletes behind everything.
func rank(s Step) int {
	if s.Op == Delete {
		return int(Last) + 1
	}
	return int(s.Object.Class)
}
