// Package release brings new code to a Lambda function and what CDNs have kept
// of the old one to an end, in an order in which nothing is filled again by the
// old code, and so that a run that was ended anywhere is gone on with by the
// next.
package release

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/barrier"
)

// Wanted is what is to be released.
type Wanted struct {
	Function string // name or ARN
	Alias    string // that viewers reach; empty when they reach the unpublished code
	Code     string // SHA-256 of a zip as Lambda writes it, or an image's digest; empty when an image's tag could not be resolved
	Image    string // URI; empty for a zip

	Canary    float64       // share of the requests that the new code gets first, from 0 to 1; 0 is no canary
	CanaryFor time.Duration // how long it gets them
	Tolerate  float64       // share of its requests that may fail meanwhile

	Distribution string
	Patterns     []freshet.Pattern // to be invalidated; none leaves the cache alone

	Probe, Verify, Warm bool // whether there is anything to do in these steps
}

// Seen is what AWS says at one moment.
type Seen struct {
	Now       time.Time
	Latest    Code          // unpublished
	Published *Code         // Journal.Version; nil while that is empty
	Alias     *Alias        // nil when there is no such alias, or none is wanted
	Shared    barrier.Sight // provisioned concurrency of the published version and the alias
	SharedErr error         // why it will never be ready
}

// Code is what Lambda says of a function's code, or a version's.
type Code struct {
	Version  string
	SHA256   string
	Image    string // digest; empty for a zip
	Revision string
	Health   barrier.Health
}

// ID is what Wanted.Code is compared with.
func (c Code) ID() string {
	if c.Image != "" {
		return c.Image
	}
	return c.SHA256
}

// Alias is where an alias points.
type Alias struct {
	Version  string
	Weights  map[string]float64 // of other versions
	Revision string
}

// Journal is what is known of a release beyond what AWS can be asked. It is
// written down before each step.
type Journal struct {
	Format   string    `json:"format"`
	Function string    `json:"function"`
	Alias    string    `json:"alias,omitempty"`
	Code     string    `json:"code,omitempty"`
	Image    string    `json:"image,omitempty"`
	Began    time.Time `json:"began"`

	Before   Before    `json:"before"`             // what there was
	Guard    string    `json:"guard,omitempty"`    // revision of the code that the update was to replace
	Version  string    `json:"version,omitempty"`  // published
	Canary   Canary    `json:"canary"`             // how the new version did
	Live     time.Time `json:"live,omitzero"`      // since when all requests reach the new code, as far as Lambda says
	Revision string    `json:"revision,omitempty"` // of what they reach it by, from then on
	Probed   bool      `json:"probed,omitempty"`

	Planned       time.Time              `json:"planned,omitzero"`        // the moment before which no copy may have been made in the end
	Invalidations []freshet.Invalidation `json:"invalidations,omitempty"` // written before the first is sent
	Receipts      []freshet.Receipt      `json:"receipts,omitempty"`      // of the first of them, as the CDN's last word
	Repeated      bool                   `json:"repeated,omitempty"`      // Invalidations are those of what was seen stale after the first were completed
	Verified      bool                   `json:"verified,omitempty"`
	Warmed        bool                   `json:"warmed,omitempty"`
	Ended         time.Time              `json:"ended,omitzero"`
	Failed        string                 `json:"failed,omitempty"` // why it was given up; the next run begins anew
}

// Before is what answered before the release.
type Before struct {
	Code    string `json:"code,omitempty"`
	Version string `json:"version,omitempty"` // that the alias pointed to
}

// Canary is how a new version did that got a share of the requests.
type Canary struct {
	Since    time.Time `json:"since,omitzero"`
	Looked   time.Time `json:"looked,omitzero"`    // when it was last looked at
	Requests float64   `json:"requests,omitempty"` // of ours
	Errors   float64   `json:"errors,omitempty"`   // of ours
	Measured float64   `json:"measured,omitempty"` // requests that Lambda counted
	Faults   float64   `json:"faults,omitempty"`   // errors that Lambda counted
	Blind    string    `json:"blind,omitempty"`    // why Lambda's counts cannot be had
	Failed   string    `json:"failed,omitempty"`   // set before the requests are taken away from it
}

// Finished reports whether nothing is left to do.
func (j Journal) Finished() bool { return !j.Ended.IsZero() && j.Failed == "" }

// For reports whether j is about what is wanted and can be gone on with.
func (j Journal) For(w Wanted) bool {
	return j.Ended.IsZero() && j.Failed == "" && j.Function == w.Function && j.Alias == w.Alias && j.Image == w.Image && j.Code == w.Code
}

// cleared reports whether all that is to be invalidated has been.
func (j Journal) cleared() bool {
	return len(j.Invalidations) > 0 && len(j.Receipts) == len(j.Invalidations) &&
		!slices.ContainsFunc(j.Receipts, func(r freshet.Receipt) bool { return r.State != freshet.Completed })
}

// sent reports whether anything may have been sent.
func (j Journal) sent() bool { return len(j.Invalidations) > 0 }

// leastSample is how many requests a share of errors is held against at least,
// so that the first error of a few is not taken for all there is.
const leastSample = 20

// sick says why a canary is to be ended; empty when nothing is known against it.
func (c Canary) sick(tolerate float64) string {
	switch {
	case c.Failed != "":
		return c.Failed
	case c.Errors > tolerate*max(c.Requests, leastSample):
		return plural(c.Errors, "probe") + " of " + number(c.Requests) + " failed"
	case c.Faults > tolerate*max(c.Measured, leastSample):
		return plural(c.Faults, "request") + " of " + number(c.Measured) + " failed, as Lambda counted"
	}
	return ""
}

// seen reports whether it was looked at when its time was over, or nearly. A run
// that was killed, or a machine that stood still, may have missed the end of it.
func (c Canary) seen(takes time.Duration) bool {
	return c.Looked.Sub(c.Since)+watchEvery >= takes
}

// unseen says why a canary proves nothing: there was no way to look at it.
func (c Canary) unseen() string {
	if c.Requests == 0 && c.Blind != "" {
		return "there was no way to see how the new version does: no probe, and " + c.Blind
	}
	return ""
}

var imageURI = regexp.MustCompile(`^(\d{12})\.dkr\.ecr(?:-fips)?\.([a-z0-9-]+)\.(amazonaws\.com(?:\.cn)?)/([a-z0-9]+(?:[._/-]+[a-z0-9]+)*)(?::([\w][\w.-]{0,127}))?(?:@(sha256:[0-9a-f]{64}))?$`)

// Image is a container image in ECR, by a tag or a digest.
type Image struct {
	Registry, Region, Repository, Tag, Digest string
	host                                      string
}

// ParseImage reads a URI as Lambda takes it.
// https://docs.aws.amazon.com/lambda/latest/dg/images-create.html
func ParseImage(uri string) (Image, bool) {
	m := imageURI.FindStringSubmatch(uri)
	if m == nil {
		return Image{}, false
	}
	i := Image{Registry: m[1], Region: m[2], Repository: m[4], Tag: m[5], Digest: m[6], host: uri[:strings.IndexByte(uri, '/')]}
	if i.Tag == "" && i.Digest == "" {
		i.Tag = "latest"
	}
	return i, true
}

// At is the image's URI with a digest, which no tag can move.
func (i Image) At(digest string) string { return i.host + "/" + i.Repository + "@" + digest }

// digestOf is the digest in a URI, or empty.
func digestOf(uri string) string {
	_, digest, _ := strings.Cut(uri, "@")
	return digest
}
