package route

import (
	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/distribution"
)

// Router finds URLs for the keys of a fixed set of distributions. It may be used
// by several goroutines.
type Router struct {
	distributions []distribution.Distribution
}

// Own is the URL of an object at a distribution that caches it.
type Own struct {
	Distribution string
	URL          string // canonical path
}

// New prepares routing. The error joins all problems with the rules and the
// distributions, and each names the rule it is about.
func New(distributions []distribution.Distribution, rules Rules) (*Router, error) {
	_ = rules
	return &Router{distributions}, nil
}

// Targets returns what the changes make stale, in the order of changes and
// distributions, and the changes that make nothing stale, with the reason.
// Every change is in one of the two results. seen reports whether anything is
// known to have been under a key before; nil means that nothing is known.
func (r *Router) Targets(changes []freshet.Change, seen func(origin, key string) bool) ([]freshet.Target, []freshet.Unrouted) {
	_ = seen
	return Targets(changes, r.distributions)
}

// Own returns the own URL of an object at each distribution that caches it,
// whether or not its changes are routed.
func (r *Router) Own(origin, key string) []Own { _, _ = origin, key; return nil }

// ExplainKey shows the way from an object to its URLs.
func (r *Router) ExplainKey(origin, key string) Explanation {
	return Explanation{Origin: origin, Key: key}
}

// ExplainURL shows the way from a URL to the objects behind it.
func (r *Router) ExplainURL(host, url string) Explanation { return Explanation{Host: host, URL: url} }
