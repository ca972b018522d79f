package route

import (
	"strings"

	"github.com/freshet/freshet"
)

// way is a URL, or many, that a key has to do with, before their behavior was
// asked.
type way struct {
	path   string   // canonical; of many, what all begin with
	query  *query   // nil where the URL says nothing about query strings
	many   language // the paths, where there are many
	served bool     // the origin answers with the object itself
	via    via
	lists  bool // the URL has to do with other keys as well, so that it may be cached before this one exists
	reason string
}

// via is what turns the URL of a way into that of the object.
type via uint8

const (
	nothing  via = iota
	perhaps      // a function that the configuration does not tell about, if there is one
	function     // a function, as declared
)

// The reasons for an object's own URLs.
const (
	ownURL      = "the object's own URL"
	ownPlus     = "the object's own URL, with spaces written as +"
	defaultRoot = "default root object"
	rootIndex   = "index document of the root"
	folderIndex = "index document of the folder"
	folderBare  = "index document of the folder, without the slash"
	rewrittenTo = "the object's own URL, under which the cache has what a function rewrites to it before the cache is asked"
)

// objectWays lists the URLs of a key relative to the origin path, without the
// rules for rewriting: its own, and those of the folder that it is the index
// document of. It appends to all.
func (f *finder) objectWays(all []way, s *site, fd *feed, key string) []way {
	if f.paths == nil || f.pathsOf != key { // most origins have the key under the same path
		f.paths, f.pathsOf = freshet.KeyPaths(key), key
	}
	paths := f.paths
	for i, p := range paths {
		reason := ownURL
		if i > 0 {
			reason = ownPlus
		}
		// A website endpoint answers a path with a slash at its end with the index document.
		all = append(all, way{path: p, served: !fd.website || !strings.HasSuffix(p, "/"), reason: reason})
	}
	root := strings.TrimPrefix(s.Config.DefaultRootObject, "/")
	if key == root {
		all = append(all, way{path: "/", served: true, via: perhaps, reason: defaultRoot})
	}
	name := key[strings.LastIndexByte(key, '/')+1:]
	if !f.r.rules.isIndex(name) {
		return all
	}
	// The website's own setting is not known, but there is one at most.
	serves := fd.website && len(f.r.rules.index) == 1
	if name == key {
		// A function sees / before the default root object takes its place.
		if root == "" || s.behaviors[s.behaviorOf("/")].rewrites {
			all = append(all, way{path: "/", served: serves, via: perhaps, reason: rootIndex})
		}
		return all
	}
	return folderWays(all, paths, serves)
}

// folderWays appends the URLs of the folder of an index document that has the
// given paths.
func folderWays(all []way, paths []string, served bool) []way {
	for i, p := range paths {
		folder := p[:strings.LastIndexByte(p, '/')+1]
		if i > 0 && folder == paths[0][:strings.LastIndexByte(paths[0], '/')+1] {
			continue // the space is in the name only
		}
		all = append(all, way{path: folder, served: served, via: perhaps, reason: folderIndex})
		if bare := strings.TrimSuffix(folder, "/"); bare != "" {
			all = append(all, way{path: bare, via: perhaps, reason: folderBare})
		}
	}
	return all
}

// isIndex reports whether objects of that name answer for their folder.
func (c *compiled) isIndex(name string) bool {
	for _, index := range c.index {
		if name == index {
			return true
		}
	}
	return false
}

// ruled is a rule that a key matches, with the ways it gives.
type ruled struct {
	rule *rule
	ways []way
}

// ruledWays appends the rules that key matches.
func ruledWays(all []ruled, rules []rule, key string, by via) []ruled {
	for i := range rules {
		r := &rules[i]
		readings, complete := r.key.readings(key)
		reason := r.reason
		if !complete {
			readings = [][]string{nil} // every placeholder may be anything
			reason += ", and the key can be read in too many ways to tell them apart"
		}
		if len(readings) == 0 {
			continue
		}
		found := ruled{rule: r}
		for _, values := range readings {
			for j := range r.urls {
				found.ways = append(found.ways, r.urls[j].ways(bound{&r.key, values}, reason)...)
			}
		}
		for j := range found.ways {
			found.ways[j].via = by
		}
		all = append(all, found)
	}
	return all
}
