package api

import (
	"crypto/rand"
	"encoding/base32"
	"net/url"
	"strings"
	"time"

	"github.com/freshet/freshet/internal/distribution"
)

// get returns a resource, or the error of its kind that there is none.
func (s *state) get(key resourceKey) (*resource, error) {
	if r, ok := s.resources[key]; ok {
		return r, nil
	}
	return nil, key.missing()
}

// current returns a resource if the request's If-Match names its version.
func (s *state) current(key resourceKey, c call) (*resource, error) {
	r, err := s.get(key)
	if err != nil {
		return nil, err
	}
	etag, err := r.etag()
	if err != nil {
		return nil, err
	}
	return r, matches(c, etag)
}

// matches refuses a request whose If-Match is not etag.
func matches(c call, etag string) error {
	switch strings.Trim(c.Header.Get("If-Match"), `"`) {
	case etag:
		return nil
	case "":
		return refuse(InvalidIfMatchVersion, "The If-Match version is missing or not valid for the resource.")
	}
	return preconditionFailed()
}

func preconditionFailed() error {
	return refuse(PreconditionFailed, "The request failed because it didn't meet the preconditions in one or more request-header fields.")
}

// builtIn refuses to delete what the configuration file has.
func (r *resource) builtIn() error {
	return refuse(AccessDenied, "The %s %s belongs to the configuration of this edge and cannot be deleted", r.key.kind, r.key.id)
}

// missing is the error for a resource that is not there.
func (k resourceKey) missing() error {
	switch k.kind {
	case distributionKind:
		return noSuchDistribution(k.id)
	case functionKind:
		return refuse("NoSuchFunctionExists", "The specified function does not exist: %q", clip(k.id))
	case storeKind:
		return refuse(EntityNotFound, "The key value store was not found: %q", clip(k.id))
	}
	if kind, ok := kindCalled(k.kind); ok {
		return refuse(kind.missing, "The specified %s does not exist: %q", kind.word, clip(k.id))
	}
	return refuse(NoSuchResource, "The resource was not found: %q", clip(k.id))
}

// fresh is the first version of a resource.
func (c *Catalog) fresh(key resourceKey, config configured, tags []Tag) *resource {
	now := c.now()
	return &resource{key: key, created: now, modified: now, config: config, tags: tags}
}

// revised is the next version of a resource.
func (c *Catalog) revised(old *resource, config configured) *resource {
	next := *old
	next.version++
	next.modified = c.now()
	next.config = config
	return &next
}

// now is as exact as timestamps are written.
func (c *Catalog) now() time.Time { return c.cfg.Now().UTC().Truncate(time.Millisecond) }

// configOf is the configuration of a resource that is a distribution.
func configOf(r *resource) *distribution.Config {
	config := r.config.(distributionConfig).Config
	return &config
}

// newID returns prefix and 13 characters out of A-Z and 2-7, at random.
func newID(prefix string) string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return prefix + base32.StdEncoding.EncodeToString(b[:])[:13]
}

// location is the URL of what was made.
func (c call) location(path string) string {
	u := url.URL{Scheme: "http", Host: c.Host, Path: "/" + version + "/" + path}
	if c.TLS != nil {
		u.Scheme = "https"
	}
	return u.String()
}
