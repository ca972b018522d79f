// Package route finds every URL under which viewers reach a changed object. It
// is pure: distributions and changes in, targets out, the same ones for the
// same input in the same order.
package route

import (
	"path"
	"strings"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/distribution"
)

// Targets returns what the changes make stale, in the order of changes and
// distributions, and the changes that make nothing stale, with the reason.
// Every change is in one of the two results.
func Targets(changes []freshet.Change, distributions []distribution.Distribution) ([]freshet.Target, []freshet.Unrouted) {
	var targets []freshet.Target
	var unrouted []freshet.Unrouted
	for _, c := range changes {
		found, reason := ofChange(c, distributions)
		targets = append(targets, found...)
		if len(found) == 0 {
			unrouted = append(unrouted, freshet.Unrouted{Origin: c.Origin, Key: c.Key, Reason: reason})
		}
	}
	return targets, unrouted
}

func ofChange(c freshet.Change, distributions []distribution.Distribution) (targets []freshet.Target, reason string) {
	reason = "no enabled distribution has bucket " + c.Origin + " as an origin"
	for _, d := range distributions {
		if !d.Config.Enabled {
			continue
		}
		for _, o := range d.Config.Origins {
			if bucket, ok := o.Bucket(); !ok || bucket != c.Origin {
				continue
			}
			key, ok := underOriginPath(c.Key, o.OriginPath)
			if !ok {
				reason = "outside the origin path " + o.OriginPath
				continue
			}
			found := atOrigin(d, o, c, key)
			if len(found) == 0 {
				reason = "no behavior of " + d.ID + " caches it from this origin"
			}
			targets = append(targets, found...)
		}
	}
	return unique(targets), reason
}

// underOriginPath strips the origin path by whole segments: /site does not
// contain the key site-old/x. The rest is never empty, since the URL of an
// empty key would be the bucket's listing.
func underOriginPath(key, originPath string) (rest string, ok bool) {
	prefix := strings.TrimPrefix(originPath, "/")
	if prefix == "" {
		return key, key != ""
	}
	rest, ok = strings.CutPrefix(key, strings.TrimSuffix(prefix, "/")+"/")
	return rest, ok && rest != ""
}

// spelling is one URL of an object, before behaviors were asked.
type spelling struct {
	path   string
	served bool
	reason string
}

// atOrigin returns the targets of one key, relative to the origin path, that
// viewers reach through d's origin o.
func atOrigin(d distribution.Distribution, o distribution.Origin, c freshet.Change, key string) []freshet.Target {
	var targets []freshet.Target
	for _, s := range spellings(key, d.Config.DefaultRootObject) {
		b := d.Config.Behavior(s.path)
		caching, err := d.Caching(b)
		if !d.Config.Feeds(b.TargetOriginID, o.ID) || err == nil && !caching.Caches() {
			continue
		}
		t := freshet.Target{Distribution: d.ID, Origin: c.Origin, Key: c.Key, URL: s.path, Served: s.served, Reason: s.reason}
		targets = append(targets, withPattern(t))
		if caching.QueryStrings.Mode != distribution.None {
			t.URL, t.Served = s.path+"?*", false
			t.Reason = s.reason + ", with any query string, since the cache key has it"
			targets = append(targets, withPattern(t))
		}
	}
	return targets
}

func withPattern(t freshet.Target) freshet.Target {
	exact := false
	t.Pattern, exact = freshet.PathPattern(t.URL)
	switch {
	case exact:
	case strings.ContainsRune(t.URL, '~'):
		t.Reason += "; CloudFront cannot invalidate a ~, so a wildcard ends before it"
	case strings.HasSuffix(t.URL, "?*"): // wanted
	default:
		t.Reason += "; its name ends in *, which CloudFront reads as a wildcard"
	}
	return t
}

// spellings lists the URLs that may lead to a key, before any rewriting: its
// own, and those of the folder that it is the index document of.
func spellings(key, defaultRoot string) []spelling {
	var all []spelling
	paths := freshet.KeyPaths(key)
	for i, p := range paths {
		reason := "the object's own URL"
		if i > 0 {
			reason = "the object's own URL, with spaces written as +"
		}
		all = append(all, spelling{p, true, reason})
	}
	if key == strings.TrimPrefix(defaultRoot, "/") {
		all = append(all, spelling{"/", true, "default root object"})
	} else if key == indexDocument {
		all = append(all, spelling{"/", false, "index document of the root"})
	}
	if path.Base(key) != indexDocument || key == indexDocument {
		return all
	}
	for _, p := range paths {
		folder := strings.TrimSuffix(p, indexDocument)
		all = append(all, spelling{folder, false, "index document of the folder"})
		if bare := strings.TrimSuffix(folder, "/"); bare != "" {
			all = append(all, spelling{bare, false, "index document of the folder, without the slash"})
		}
	}
	return all
}

const indexDocument = "index.html"

// unique drops targets whose distribution and URL came up before; two origins
// of one distribution may feed the same URL.
func unique(targets []freshet.Target) []freshet.Target {
	seen := make(map[[2]string]bool, len(targets))
	kept := targets[:0]
	for _, t := range targets {
		if id := [2]string{t.Distribution, t.URL}; !seen[id] {
			seen[id] = true
			kept = append(kept, t)
		}
	}
	return kept
}
