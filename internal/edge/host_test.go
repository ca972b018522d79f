package edge

import (
	"net/http"
	"testing"

	"github.com/freshet/freshet/internal/distribution"
)

// A host that is in no key and of no distribution decides nothing of what others
// get: the origin does not see it. It does where nothing is cached or the key has
// it.
func TestStrangeHostsPoisonNothing(t *testing.T) {
	for _, tt := range []struct {
		name, host, want string
		method           string
		change           func(*distribution.CacheBehavior)
	}{
		{"a stranger", "evil.example", "e1.cloudfront.localhost", "GET", nil},
		{"an address", "127.0.0.1:8080", "e1.cloudfront.localhost", "GET", nil},
		{"its domain name", "e1.cloudfront.localhost", "e1.cloudfront.localhost", "GET", nil},
		{"its domain name, with a port and in capitals", "E1.cloudfront.localhost.:99", "e1.cloudfront.localhost", "GET", nil},
		{"an alias", "www.example.com", "www.example.com", "GET", nil},
		{"an alias with a port", "www.example.com:1337", "www.example.com", "GET", nil},
		{"below an alias", "a.b.example.org", "a.b.example.org", "GET", nil},
		{"the alias's own name", "example.org", "e1.cloudfront.localhost", "GET", nil},
		{"what ends like an alias", "notexample.org", "e1.cloudfront.localhost", "GET", nil},
		{"nothing is cached", "evil.example:1", "evil.example:1", "POST", func(b *distribution.CacheBehavior) {
			b.AllowedMethods = []string{"GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"}
		}},
		{"no caching at all", "evil.example:1", "evil.example:1", "GET", func(b *distribution.CacheBehavior) { b.CachePolicyID = "Managed-CachingDisabled" }},
		{"in the key", "evil.example:1", "evil.example:1", "GET", func(b *distribution.CacheBehavior) {
			b.CachePolicyID, b.OriginRequestPolicyID = "", ""
			b.ForwardedValues = &distribution.ForwardedValues{Headers: []string{"Host"}}
		}},
	} {
		o := &recorded{answer: func(r *http.Request) (*http.Response, error) {
			return reply(200, "see "+r.Host, "Cache-Control", "max-age=60"), nil
		}}
		d := custom(distribution.Origin{})
		d.Config.Aliases = []string{"www.example.com", "*.example.org"}
		b := &d.Config.DefaultCacheBehavior
		b.CachePolicyID, b.OriginRequestPolicyID = "Managed-CachingOptimized", "Managed-AllViewer"
		if tt.change != nil {
			tt.change(b)
		}
		e := open(t, o, Config{Distributions: []distribution.Distribution{d}})
		do(e, tt.method, "http://x.example/a", "Host", tt.host)
		if got := o.last(t).Host; got != tt.want {
			t.Errorf("%s: the origin was asked for %q, want %q", tt.name, got, tt.want)
		}
	}
}
