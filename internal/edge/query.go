package edge

import (
	"net/http"
	"slices"
	"strings"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/distribution"
)

// query is what a viewer asks for, in terms of a distribution.
type query struct {
	site      *site
	behavior  *behavior    // that answers
	to        *destination // to fetch from
	cached    bool         // the answer may come from the cache
	secure    bool         // the viewer came over TLS
	method    string       // to ask the origin with for what will be cached
	key       key
	viewed    string // path as the viewer spelled it, or as a function rewrote it
	alias     string // the URL that a function rewrote, as an invalidation may name it; empty where it rewrote none
	path      string // path to ask the origin for: viewed, or the default root object
	text      string // query string as far as it is in the cache key
	forwarded string // query string to ask the origin for
	id        string // of the request, in X-Amz-Cf-Id; empty until one is needed
	host      string // Host to ask the origin for; empty for its own
	accepts   string // encodings in the key, of a query that goes to the origin
	asked     string // Range to ask the origin for; empty for the whole
	instead   int    // of a custom error page: the status under which it is served; otherwise 0

	authorized bool          // the origin sees an Authorization that is not in the key
	told       func(interim) // of interim responses of the origin; nil for nobody
	sent       *sent         // a loop has asked; nil once the answer is waited for, and for most
}

// maxURL is the longest request target, in bytes.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/cloudfront-limits.html
const maxURL = 8192

// read finds out what a request is for, or why it is refused.
func (e *Edge) read(r *http.Request) (query, *refusal) {
	at := e.serving().hosts
	s := at.find(r.Host)
	switch {
	case malformed(r):
		return query{}, &refusal{status: http.StatusBadRequest, reason: "The request is malformed."}
	case tooLarge(r):
		return query{}, refuseSize()
	case at.misdirected(r):
		return query{}, &refusal{status: http.StatusMisdirectedRequest, reason: "The connection was made for another host name."}
	case s == nil:
		return query{}, &refusal{status: http.StatusForbidden, reason: "No distribution answers to this host name."}
	}
	return e.readAt(s, r)
}

func refuseSize() *refusal {
	return &refusal{status: http.StatusRequestEntityTooLarge, reason: "The request is larger than 32,768 bytes without its body."}
}

// readAt is read for the distribution that answers to the host.
func (e *Edge) readAt(s *site, r *http.Request) (query, *refusal) {
	switch {
	case !s.config.Config.Enabled:
		return query{}, &refusal{status: http.StatusForbidden, reason: "The distribution is disabled."}
	case chained(r.Header["Via"]):
		return query{}, &refusal{status: http.StatusForbidden, reason: "The request has passed too many distributions."}
	}
	t := targetOf(r)
	if !strings.HasPrefix(t.path, "/") {
		return query{}, &refusal{status: http.StatusBadRequest, reason: "The request names no path."}
	}
	if len(t.path)+1+len(t.text) > maxURL {
		return query{}, &refusal{status: http.StatusRequestEntityTooLarge, reason: "The URL is longer than 8,192 bytes."}
	}
	q := s.query(r, t)
	q.secure = r.TLS != nil
	if why := e.admit(r, &q); why != nil {
		return q, why
	}
	return q, q.denial(r, t)
}

// target is a URL without scheme and host, as it was spelled, and its parts.
type target struct {
	url        string
	path, text string // before and after the first question mark
}

func splitTarget(url string) target {
	path, text, _ := strings.Cut(url, "?")
	return target{url, path, text}
}

// targetOf returns what stood in the request line. The parsed URL would not do:
// it no longer knows which of several spellings the viewer used.
func targetOf(r *http.Request) target {
	raw := r.RequestURI
	if raw == "" {
		raw = r.URL.RequestURI()
	}
	if _, rest, absolute := strings.Cut(raw, "://"); absolute && raw[0] != '/' {
		raw = "/"
		if i := strings.IndexAny(rest, "/?"); i >= 0 {
			raw = rest[i:]
		}
		if raw[0] == '?' {
			raw = "/" + raw
		}
	}
	return splitTarget(raw)
}

// chained reports whether a request has come through two other distributions.
// CloudFront allows no third, which also ends loops.
func chained(via []string) bool {
	hops := 0
	for _, line := range via {
		hops += strings.Count(line, cloudfrontHop)
	}
	return hops >= 2
}

// query finds the behavior that answers a request for a target, and what is in
// its key.
func (s *site) query(r *http.Request, t target) query {
	return s.queryAt(&s.behaviors[s.config.Config.BehaviorIndex(matchedPath(t.path))], r, t)
}

// queryAt is query with the behavior that answers.
func (s *site) queryAt(b *behavior, r *http.Request, t target) query {
	path := t.path
	if b.keys != nil {
		r, t = unsigned(r), t.unsigned()
	}
	q := query{site: s, behavior: b, to: b.to, viewed: path, path: path, method: http.MethodGet}
	q.cached = b.caches(r.Method)
	if r.Method == http.MethodOptions {
		q.method = r.Method
	}
	if path == "/" && s.root != "" {
		q.path = s.root
	}
	q.host = s.originHost(b, r, q.cached)
	q.text = b.keying.query(t.text)
	q.forwarded = b.query(t.text, q.text)
	q.key = key{s.number, path, ""}
	switch {
	case q.text == "":
	case len(q.text) == len(t.text):
		q.key.url = t.url // saves putting it together again
	default:
		q.key.url = path + "?" + q.text
	}
	if q.cached {
		q.key.variant = b.keying.variant(r)
	}
	return q
}

// names returns the spellings under which an invalidation may name the
// response: the canonical one first, and the viewer's own, since that is what
// CloudFront compares with. What is served at / is the default root object, and goes when
// either is invalidated: the documentation speaks for the one, experience with
// CloudFront for the other. What a function rewrites has both names, too, as
// CloudFront advises.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/invalidation-specifying-objects.html
func (q query) names(root string) []string {
	suffix := ""
	if q.text != "" {
		suffix = "?" + freshet.CanonicalQuery(q.text)
	}
	names := []string{freshet.CanonicalPath(q.viewed) + suffix}
	if own := upperEscapes(q.viewed) + suffix; own != names[0] {
		names = append(names, own)
	}
	if q.viewed == "/" && root != "" {
		names = append(names, root+suffix)
	}
	if q.alias != "" && !slices.Contains(names, q.alias) {
		names = append(names, q.alias)
	}
	return names
}

// matchedPath is the path that behaviors are matched against: in its canonical
// spelling, so that no spelling escapes its behavior, and without repeated
// slashes and dot segments. The cache key and the origin see the path as it is.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/DownloadDistValuesCacheBehavior.html
func matchedPath(path string) string { return distribution.Matched(freshet.CanonicalPath(path)) }
