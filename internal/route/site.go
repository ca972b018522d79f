package route

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/freshet/freshet/internal/distribution"
)

// site is one distribution, prepared for many questions.
type site struct {
	distribution.Distribution
	behaviors []behavior // the default last
	feeds     []fed      // origins that are buckets, in order
	off       string     // why nothing is routed to it; empty where it is enabled
}

// behavior is one cache behavior of a site.
type behavior struct {
	*distribution.CacheBehavior
	name     string // its path pattern, or what the default is called
	caching  distribution.Caching
	caches   bool
	refusal  string // where it does not cache
	rewrites bool   // a function runs before the cache is asked
	chooses  bool   // and is known to choose among origins
	choice   string // that some function may, for explanations; empty where none does
	queries  string // why each URL has variants; empty where it has none

	head, tail string   // what matching paths begin and end with
	plain      bool     // head and tail, with anything between them, is all there is to match
	literal    bool     // head is the only path that matches
	never      bool     // no canonical path matches
	language   language // of matching paths

	// destination is Functions.Destination of the function that chooses; nil where
	// nobody can say.
	destination func(path string) (o distribution.Origin, to string, ok bool)
}

// newSite prepares d. A behavior whose cache policy is unknown is part of the
// error, and treated as one that caches under all query strings.
func newSite(d distribution.Distribution) (*site, error) {
	s := &site{Distribution: d, behaviors: make([]behavior, len(d.Config.CacheBehaviors)+1)}
	if !d.Config.Enabled {
		s.off = "distribution " + d.ID + " is disabled"
	}
	var problems []error
	for i := range s.behaviors {
		b := &s.behaviors[i]
		b.CacheBehavior = s.Config.BehaviorAt(i)
		b.name = "Default (*)"
		if i < len(d.Config.CacheBehaviors) {
			b.name = b.PathPattern
		}
		b.compile(i == len(d.Config.CacheBehaviors))
		var err error
		if b.caching, err = s.Caching(b.CacheBehavior); err != nil {
			problems = append(problems, fmt.Errorf("distribution %s, behavior %s: %w", d.ID, b.name, err))
			b.caching = distribution.Caching{MaxTTL: 1, QueryStrings: distribution.Selection{Mode: distribution.All}}
		}
		b.caches = b.caching.Caches()
		if !b.caches {
			b.refusal = "behavior " + b.name + " of " + d.ID + " does not cache: " + whyNot(b.caching)
		}
		b.rewrites = b.runsFirst()
		b.queries = queryReason(b.caching.QueryStrings)
	}
	return s, errors.Join(problems...)
}

// private reports whether viewers need a signature, so that a probe gets
// nothing.
func (b *behavior) private() bool { return len(b.TrustedKeyGroups)+len(b.TrustedSigners) > 0 }

// runsFirst reports whether a function sees requests before the cache does.
func (b *behavior) runsFirst() bool {
	const first = "viewer-request"
	return slices.ContainsFunc(b.FunctionAssociations, func(f distribution.FunctionAssociation) bool { return f.EventType == first }) ||
		slices.ContainsFunc(b.LambdaFunctionAssociations, func(f distribution.LambdaFunctionAssociation) bool { return f.EventType == first })
}

func whyNot(c distribution.Caching) string {
	switch {
	case c.Headers.Mode == distribution.All:
		return "it forwards all headers"
	case c.Policy != "":
		return "its cache policy " + c.Policy + " has a MaxTTL of 0"
	default:
		return "its MaxTTL is 0"
	}
}

func queryReason(s distribution.Selection) string {
	switch s.Mode {
	case distribution.None:
		return ""
	case distribution.Listed:
		return ", with any query string: the cache key has " + strings.Join(s.Names, ", ")
	case distribution.AllBut:
		return ", with any query string: the cache key has all but " + strings.Join(s.Names, ", ")
	default:
		return ", with any query string: the cache key has it"
	}
}

// compile prepares the path pattern.
func (b *behavior) compile(isDefault bool) {
	pattern := b.SpelledPattern()
	if isDefault {
		pattern = "*"
	}
	whole := "/" + strings.TrimPrefix(pattern, "/")
	b.head, b.tail = whole, whole
	if i := strings.IndexAny(whole, "*?"); i >= 0 {
		last := strings.LastIndexAny(whole, "*?")
		b.head, b.tail = whole[:i], whole[last+1:]
		b.plain = strings.Trim(whole[i:last+1], "*") == ""
	} else {
		b.literal = true
	}
	var ok bool
	b.language, ok = patternLanguage(pattern)
	b.never = !ok
}

// matches reports whether b's path pattern matches a path without dot segments
// and repeated slashes.
func (b *behavior) matches(path string) bool {
	switch {
	case b.literal:
		return path == b.head
	case len(path) < len(b.head)+len(b.tail) || !strings.HasPrefix(path, b.head) || !strings.HasSuffix(path, b.tail):
		return false
	default:
		return b.plain || distribution.Match(b.SpelledPattern(), path)
	}
}

// behaviorOf returns which behavior answers a canonical path.
func (s *site) behaviorOf(path string) int {
	last := len(s.behaviors) - 1
	if last == 0 {
		return 0
	}
	if strings.Contains(path, "//") || strings.Contains(path, "/.") {
		return s.Config.BehaviorIndex(path)
	}
	for i := range s.behaviors[:last] {
		if s.behaviors[i].matches(path) {
			return i
		}
	}
	return last
}

// feed is one origin of a site that is a bucket.
type feed struct {
	distribution.Origin
	bucket   string
	prefix   string // of the keys that viewers can reach: empty, or with a slash at the end
	website  bool   // S3's website endpoint, which serves index documents itself
	outside  string // why other keys are not routed
	leads    []bool // behaviors that this origin may answer
	first    []bool // of those: the ones where no other origin is asked before it
	group    []bool // of those: the ones where another is asked if it has nothing
	refusals []string

	chosen  []string // of those that only a function leads here: why, for reasons
	anyPath bool     // a function makes the origin path, so that it may be any
	made    bool     // it is none of the distribution's: a function makes it
}

// newFeed returns nil for an origin that is no bucket.
func newFeed(s *site, o distribution.Origin) *feed {
	bucket, ok := o.Bucket()
	if !ok {
		return nil
	}
	n := len(s.behaviors)
	f := &feed{Origin: o, bucket: bucket, leads: make([]bool, n), first: make([]bool, n), group: make([]bool, n), refusals: make([]string, n), chosen: make([]string, n)}
	f.website = strings.Contains(strings.ToLower(o.DomainName), ".s3-website")
	if path := strings.Trim(o.OriginPath, "/"); path != "" {
		f.prefix = keyOfPath(path) + "/"
	}
	f.outside = "an empty key has no URL"
	if f.prefix != "" {
		f.outside = "outside the origin path " + o.OriginPath + " of " + s.ID
	}
	for i := range s.behaviors {
		b := &s.behaviors[i]
		f.leads[i] = s.Config.Feeds(b.TargetOriginID, o.ID)
		f.first[i] = f.leads[i]
		if g := originGroup(&s.Config, b.TargetOriginID); f.leads[i] && g != nil {
			f.first[i], f.group[i] = g.Members[0] == o.ID, true
		}
		f.refusals[i] = "behavior " + b.name + " of " + s.ID + " leads to " + b.TargetOriginID + ", not to origin " + o.ID
	}
	return f
}

// originGroup returns nil where id is an origin's own.
func originGroup(c *distribution.Config, id string) *distribution.OriginGroup {
	if _, ok := c.Origin(id); ok {
		return nil
	}
	i := slices.IndexFunc(c.OriginGroups, func(g distribution.OriginGroup) bool { return g.ID == id })
	if i < 0 || len(c.OriginGroups[i].Members) == 0 {
		return nil
	}
	return &c.OriginGroups[i]
}

// under strips the origin path by whole segments: /site does not contain the
// key site-old/x. The rest is never empty, since the URL of an empty key would
// be the bucket's listing.
func (f *feed) under(key string) (rest string, ok bool) {
	rest, ok = strings.CutPrefix(key, f.prefix)
	return rest, ok && rest != ""
}

// keyOfPath reads a path without its leading slash as S3 does: a + is a space,
// and what is no escape is itself.
func keyOfPath(path string) string {
	if key, err := url.QueryUnescape(path); err == nil {
		return key
	}
	return path
}

// page is an object that viewers get in place of errors.
type page struct {
	stretches []stretch // where the errors may be cached
	reason    string
}

// pages returns the error pages of s among the objects of f, by key.
func (s *site) pages(f *feed, expire bool) map[string]page {
	byKey := make(map[string][]distribution.CustomErrorResponse)
	for _, r := range s.Config.CustomErrorResponses {
		if key, ok := s.pageKey(f, r.ResponsePagePath); ok {
			byKey[key] = append(byKey[key], r)
		}
	}
	found := make(map[string]page, len(byKey))
	for key, responses := range byKey {
		p := page{reason: errorReason(s.ID, responses, expire)}
		if !expire && longest(responses).CachingTTL() > 0 {
			all := language{}.literal("/").hole(hole{rest: true})
			p.stretches = s.reach(all, "/", func(i int) bool { return s.behaviors[i].caches })
		}
		found[key] = p
	}
	return found
}

// pageKey is the object that f answers an error page's path with. ok is false
// where there is no such page or the path's behavior does not lead to f.
func (s *site) pageKey(f *feed, path string) (key string, ok bool) {
	canonical := canonicalPath(path)
	if path == "" || !f.leads[s.behaviorOf(canonical)] {
		return "", false
	}
	if canonical == "/" {
		return f.prefix + strings.TrimPrefix(s.Config.DefaultRootObject, "/"), s.Config.DefaultRootObject != ""
	}
	return f.prefix + keyOfPath(canonical[1:]), true
}

func longest(responses []distribution.CustomErrorResponse) distribution.CustomErrorResponse {
	return slices.MaxFunc(responses, func(a, b distribution.CustomErrorResponse) int {
		return cmp.Compare(a.CachingTTL(), b.CachingTTL())
	})
}

func errorReason(id string, responses []distribution.CustomErrorResponse, expire bool) string {
	var codes []string
	for _, r := range responses {
		codes = append(codes, fmt.Sprintf("%d (cached for %d s)", r.ErrorCode, int64(r.CachingTTL().Seconds())))
	}
	what := fmt.Sprintf("error page of %s for %s", id, strings.Join(codes, " and "))
	switch {
	case longest(responses).CachingTTL() <= 0:
		return what + ", which is not cached"
	case expire:
		return what + ": error_pages is expire, so URLs that show it do so until then"
	default:
		return what + ": any URL that ended in it shows the page until then, unless it is cleared (error_pages: expire would wait)"
	}
}
