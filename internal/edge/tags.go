package edge

import (
	"net/http"
	"slices"
	"strings"

	"github.com/freshet/freshet"
)

// maxTags is how many cache tags an object can have; those that follow count
// for nothing.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/invalidate-by-cache-tag.html
const maxTags = 50

// tagsOf returns the cache tags that an origin gave its response in a header,
// as names under which an invalidation may name the response: in lower case,
// since the case of tags does not count, and with a # in front. A tag that an
// invalidation could not name is none.
func tagsOf(lines []string) []string {
	var tags []string
	for _, line := range lines {
		for tag := range strings.SplitSeq(line, ",") {
			tag = "#" + strings.ToLower(trimSpace(tag))
			if len(tags) == maxTags {
				return tags
			}
			if _, err := freshet.ParsePattern(tag); err == nil && !slices.Contains(tags, tag) {
				tags = append(tags, tag)
			}
		}
	}
	return tags
}

// tags returns the cache tags of a response.
func (s *site) tags(h http.Header) []string {
	if s.tagHeader == "" {
		return nil
	}
	return tagsOf(h[s.tagHeader])
}

// tag says which tags the response has that a fill fetches. Whoever asks from
// now on joins it only if none of them was invalidated since the fetch began.
func (s *site) tag(f *fill, tags []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.tagged = true
	if len(tags) == 0 {
		return
	}
	f.names = append(slices.Clip(f.names), tags...)
	if !s.epochs.admits(&f.stamp, f.names) && s.fills[f.key] == f {
		delete(s.fills, f.key)
	}
}

// joinable reports whether nothing was invalidated that is fetched by f, or that
// may turn out to be as long as its tags are unknown. s.mu is held.
func (s *site) joinable(f *fill) bool {
	return s.epochs.valid(&f.stamp, f.names) && (f.tagged || s.epochs.newestTag() <= f.birth)
}
