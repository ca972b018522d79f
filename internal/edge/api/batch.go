package api

import (
	"crypto/sha256"
	"encoding/base32"
	"slices"
	"unicode/utf8"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/distribution"
)

// MaxReferenceLength is the longest caller reference, in bytes. CloudFront
// publishes no such limit; ours bounds what the register remembers.
const MaxReferenceLength = 1024

// Limits are the quotas. A zero stands for CloudFront's value.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/invalidation-limits.html
type Limits struct {
	Batch int // paths in one invalidation; 3,000; holds whatever the quota

	// Of each distribution, with QuotaWindow.
	Paths     int // paths in progress, wildcards and tags included; 3,000
	Wildcards int // wildcard paths in progress; 15

	// Of all distributions together, with QuotaRate.
	PatternsPerSecond  int // paths, wildcards and tags; 150
	WildcardsPerSecond int // wildcard paths; 1
}

// Quota says which of CloudFront's two published models holds: documents speak of
// the older one still, and of the newer one since 2026.
type Quota string

// The quotas. The zero value is QuotaWindow.
const (
	QuotaWindow Quota = "window" // so much in progress; more is TooManyInvalidationsInProgress
	QuotaRate   Quota = "rate"   // so much a second; more is Throttling
	QuotaBoth   Quota = "both"
	QuotaNone   Quota = "none" // only what keeps memory in bounds
)

// Quotas are the names of all.
func Quotas() []string {
	return []string{string(QuotaNone), string(QuotaRate), string(QuotaWindow), string(QuotaBoth)}
}

// ample is in progress at most where the quota has no window.
const ample = 1 << 20

// under returns the limits that a quota leaves.
func (l Limits) under(q Quota) Limits {
	l = l.withDefaults()
	if q == QuotaRate || q == QuotaNone {
		l.Paths, l.Wildcards = ample, ample
	}
	return l
}

func (l Limits) withDefaults() Limits {
	orElse := func(n *int, value int) {
		if *n == 0 {
			*n = value
		}
	}
	orElse(&l.Batch, 3000)
	orElse(&l.Paths, 3000)
	orElse(&l.Wildcards, 15)
	orElse(&l.PatternsPerSecond, 150)
	orElse(&l.WildcardsPerSecond, 1)
	return l
}

// Batch is what a client asks to be invalidated. A path that stands in it
// twice is invalidated once.
type Batch struct {
	CallerReference string
	Paths           []string
}

// check applies the rules that need no knowledge of other invalidations.
func (b Batch) check(d distribution.Distribution, limits Limits) error {
	switch n := len(b.CallerReference); {
	case n == 0:
		return refuse(InvalidArgument, "Your request contains an empty caller reference")
	case n > MaxReferenceLength:
		return refuse(InvalidArgument, "Your request contains a caller reference of %d bytes, at most %d are allowed", n, MaxReferenceLength)
	case !utf8.ValidString(b.CallerReference):
		return refuse(InvalidArgument, "Your request contains a caller reference that is not UTF-8")
	}
	if len(b.Paths) == 0 {
		return refuse(InvalidArgument, "Your request contains no invalidation paths")
	}
	if len(b.Paths) > limits.Batch {
		return refuse(BatchTooLarge, "Your request contains %d invalidation paths, at most %d are allowed", len(b.Paths), limits.Batch)
	}
	return b.checkPaths(d, limits)
}

func (b Batch) checkPaths(d distribution.Distribution, limits Limits) error {
	for _, path := range b.Paths {
		pattern, err := freshet.ParsePattern(path)
		if err != nil {
			return refuse(InvalidArgument, "Your request contains one or more invalid invalidation paths: %s", err)
		}
		if pattern.IsTag() && d.Config.CacheTagConfig == nil {
			return refuse(InvalidArgument, "Your request contains the cache tag %q, but the distribution has no cache tag configuration", clip(path))
		}
	}
	if n := countWildcards(b.Paths); n > limits.Wildcards {
		return tooManyWildcards(n, limits)
	}
	return nil
}

func countWildcards(paths []string) int {
	n := 0
	for _, path := range paths {
		if freshet.Pattern(path).IsWildcard() {
			n++
		}
	}
	return n
}

func tooManyWildcards(n int, limits Limits) error {
	return refuse(TooManyInvalidationsInProgress, "Processing your request will cause you to exceed the maximum number of in-progress wildcard invalidations: %d of %d", n, limits.Wildcards)
}

// patterns returns the set of paths, sorted. They have passed check.
func (b Batch) patterns() []freshet.Pattern {
	patterns := make([]freshet.Pattern, len(b.Paths))
	for i, path := range b.Paths {
		patterns[i] = freshet.Pattern(path)
	}
	slices.Sort(patterns)
	return slices.Compact(patterns)
}

// fingerprint is the same for two batches that ask for the same set of paths.
func (b Batch) fingerprint() [sha256.Size]byte {
	h := sha256.New()
	for _, p := range b.patterns() {
		h.Write([]byte(p))
		h.Write([]byte{'\n'}) // in no path
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// idFor derives the ID of an invalidation from what it is unique in, its
// distribution and caller reference. So a request that is repeated after an
// answer that was lost, or after an Append of which nobody knows whether it
// succeeded, can only ever name the same invalidation. Like CloudFront's, it
// has upper-case letters and digits: I and 65 bits of a hash.
func idFor(distributionID, callerReference string) string {
	return "I" + shortHash(distributionID+"\x00"+callerReference)
}

// shortHash returns 13 characters out of A-Z and 2-7.
func shortHash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return base32.StdEncoding.EncodeToString(sum[:])[:13]
}
