package route

import (
	"fmt"
	"strings"

	"github.com/freshet/freshet/internal/distribution"
)

// try holds the behaviors of s against path, one after the other, as the
// distribution does.
func (s *site) try(path string) []Tried {
	answers := s.behaviorOf(path)
	path = distribution.Matched(path)
	tried := make([]Tried, 0, answers+1)
	for i := range answers {
		b := &s.behaviors[i]
		tried = append(tried, Tried{PathPattern: b.name, Reason: b.mismatch(path)})
	}
	b := &s.behaviors[answers]
	reason := "matches"
	if answers == len(s.behaviors)-1 {
		reason = "answers what no other behavior matches"
	}
	return append(tried, Tried{PathPattern: b.name, Matches: true, Reason: reason})
}

// mismatch says why b does not match path.
func (b *behavior) mismatch(path string) string {
	lower := strings.ToLower
	switch {
	case b.never:
		return "has characters that never stand in a path as such, but escaped"
	case b.literal && lower(path) == lower(b.head), !b.literal && b.ends(lower(path), lower(b.head), lower(b.tail)) && !b.ends(path, b.head, b.tail):
		return "letter case differs"
	case b.literal:
		return "the path is not " + b.head
	case !strings.HasPrefix(path, b.head):
		return "the path does not begin with " + b.head
	case !strings.HasSuffix(path, b.tail):
		return "the path does not end in " + b.tail
	default:
		return "nothing in the path fits its * and ?"
	}
}

func (b *behavior) ends(path, head, tail string) bool {
	return strings.HasPrefix(path, head) && strings.HasSuffix(path, tail)
}

// cacheKey names the parts of the key under which b keeps responses.
func (b *behavior) cacheKey(s *site, path string) []string {
	c := b.caching
	key := []string{"distribution " + s.ID + " and path " + path}
	key = append(key, selected("query string", "query string parameters", c.QueryStrings),
		selected("headers", "headers", c.Headers), selected("cookies", "cookies", c.Cookies))
	switch {
	case c.Gzip && c.Brotli:
		key = append(key, "Accept-Encoding, as far as it says br and gzip")
	case c.Gzip:
		key = append(key, "Accept-Encoding, as far as it says gzip")
	case c.Brotli:
		key = append(key, "Accept-Encoding, as far as it says br")
	default:
		key = append(key, "no Accept-Encoding")
	}
	return key
}

func selected(whole, parts string, s distribution.Selection) string {
	switch s.Mode {
	case distribution.None:
		return "no " + whole
	case distribution.Listed:
		return "the " + parts + " " + strings.Join(s.Names, ", ")
	case distribution.AllBut:
		return "all " + parts + " but " + strings.Join(s.Names, ", ")
	default:
		return "all " + parts
	}
}

// ttl says for how long b keeps responses, and why.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/Expiration.html
func (b *behavior) ttl() *TTL {
	c := b.caching
	t := &TTL{Min: c.MinTTL, Default: c.DefaultTTL, Max: c.MaxTTL, Source: b.source()}
	if !b.caches {
		t.Rules = []string{"nothing is kept: " + whyNot(c)}
		return t
	}
	t.Rules = append(t.Rules,
		within(c), fmt.Sprintf("with neither max-age, s-maxage nor Expires: %d s", c.DefaultTTL))
	if c.MinTTL > 0 {
		return t.with("with no-cache, no-store or private: kept for %d s all the same, since MinTTL is above 0", c.MinTTL)
	}
	return t.with("with no-cache, no-store or private: not kept")
}

func (t *TTL) with(format string, args ...any) *TTL {
	t.Rules = append(t.Rules, fmt.Sprintf(format, args...))
	return t
}

func within(c distribution.Caching) string {
	if c.MinTTL > 0 {
		return fmt.Sprintf("with s-maxage, max-age or Expires, the first of these: as long as it says, but at least %d s and at most %d s", c.MinTTL, c.MaxTTL)
	}
	return fmt.Sprintf("with s-maxage, max-age or Expires, the first of these: as long as it says, but at most %d s", c.MaxTTL)
}

// source says where b's TTLs come from.
func (b *behavior) source() string {
	c := b.caching
	switch {
	case b.CachePolicyID == "" && b.MinTTL == nil && b.DefaultTTL == nil && b.MaxTTL == nil:
		return "CloudFront's defaults: the behavior has neither a cache policy nor TTLs"
	case b.CachePolicyID == "":
		return "the behavior's own TTLs"
	case c.Policy == "":
		return "cache policy " + b.CachePolicyID
	default:
		return "cache policy " + c.Policy + " (" + b.CachePolicyID + ")"
	}
}

// notes lists what else happens at b that the configuration does not show.
func (b *behavior) notes() (notes []string) {
	for _, f := range b.FunctionAssociations {
		notes = append(notes, ranBy(f.EventType, "CloudFront function "+f.FunctionARN))
	}
	for _, f := range b.LambdaFunctionAssociations {
		notes = append(notes, ranBy(f.EventType, "Lambda@Edge function "+f.LambdaFunctionARN))
	}
	if b.choice != "" {
		notes = append(notes, b.choice)
	}
	if b.SmoothStreaming {
		notes = append(notes, "Smooth Streaming is on: its media files cannot be invalidated")
	}
	if len(b.TrustedKeyGroups)+len(b.TrustedSigners) > 0 {
		notes = append(notes, "URLs may be signed: the parameters of the signature are not in the cache key")
	}
	return notes
}

func ranBy(event, function string) string {
	switch event {
	case "viewer-request":
		return function + " runs before the cache is asked: if it rewrites the path, the cache key has the new one, which a rewrite in the configuration can declare"
	case "origin-request":
		return function + " runs after the cache was asked: if it rewrites the path, the cache key keeps the viewer's, which a rewrite in the configuration can declare"
	default:
		return function + " runs at " + event
	}
}
