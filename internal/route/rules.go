package route

// Rules is what a distribution's configuration cannot say about how keys become
// URLs. The zero value holds for a site without rewriting. Keys are object keys
// as the bucket has them, origin path included; URLs are paths, and perhaps
// query strings, as viewers write them. Both may hold placeholders: {name} is
// one or more characters other than a slash, {name...} stands at the end and is
// the rest, slashes included, which may be empty; {{ and }} are braces.
type Rules struct {
	IndexDocuments []string  `yaml:"index_documents" json:"index_documents,omitempty"` // file names that answer for their folder; nil: index.html; empty: none
	NewObjects     string    `yaml:"new_objects" json:"new_objects,omitempty"`         // Invalidate or Skip; empty: Invalidate
	ErrorPages     string    `yaml:"error_pages" json:"error_pages,omitempty"`         // Clear or Expire; empty: Clear
	Rewrites       []Rewrite `yaml:"rewrites,omitempty" json:"rewrites,omitempty"`
	Derived        []Derived `yaml:"derived,omitempty" json:"derived,omitempty"`
	Groups         []Group   `yaml:"groups,omitempty" json:"groups,omitempty"`
	Sources        []Source  `yaml:"sources,omitempty" json:"sources,omitempty"`
}

// What to do about objects under keys that were never seen. Their URLs can only
// hold errors, since nothing was there: a cached 404 or 403 is why they are
// invalidated unless the configuration says Skip.
const (
	Invalidate = "invalidate"
	Skip       = "skip"
)

// What to do about the URLs that show a custom error page when the page
// changes: Clear invalidates them, Expire leaves them to the error caching TTL.
const (
	Clear  = "clear"
	Expire = "expire"
)

// Rewrite declares that viewers who ask for URL get the object Key, because a
// function at the edge rewrites the one to the other. Placeholders of the URL
// that the key does not have stand for anything; those of the key that the URL
// does not have too, since a function may choose by language or cookie.
type Rewrite struct {
	URL           string   `yaml:"url" json:"url"`
	Key           string   `yaml:"key" json:"key"`
	Fallback      bool     `yaml:"fallback,omitempty" json:"fallback,omitempty"`           // the object answers only what no other object answers, as in a single-page application
	Distributions []string `yaml:"distributions,omitempty" json:"distributions,omitempty"` // IDs; empty: all that the bucket feeds
}

// Derived declares that the answers to URLs are made from the object Key, by
// whichever origin.
type Derived struct {
	Key           string   `yaml:"key" json:"key"`
	URLs          []string `yaml:"urls" json:"urls"`
	Distributions []string `yaml:"distributions,omitempty" json:"distributions,omitempty"` // IDs, of any distributions; empty: all that the bucket feeds
}

// Group names keys whose objects must change together: what viewers have cached
// of them is invalidated in one request.
type Group struct {
	Name string   `yaml:"name" json:"name"`
	Keys []string `yaml:"keys" json:"keys"`
}

// Source says which keys of a bucket are routed at all: those that have one of
// the prefixes and one of the suffixes, match one of Include and none of
// Exclude. An empty list asks for nothing. In globs * is any run of characters,
// slashes included, and ? exactly one, as in CloudFront's path patterns. A
// bucket with several sources routes what any of them lets pass; one without
// routes everything.
type Source struct {
	Bucket  string   `yaml:"bucket,omitempty" json:"bucket,omitempty"` // empty: every bucket
	Prefix  []string `yaml:"prefix,omitempty" json:"prefix,omitempty"`
	Suffix  []string `yaml:"suffix,omitempty" json:"suffix,omitempty"`
	Include []string `yaml:"include,omitempty" json:"include,omitempty"`
	Exclude []string `yaml:"exclude,omitempty" json:"exclude,omitempty"`
}
