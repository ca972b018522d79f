package api

import (
	"crypto/sha256"
	"encoding/base32"
	"slices"
	"unicode/utf8"

	"github.com/freshet/freshet"
)

// MaxReferenceLength is the longest caller reference, in bytes. CloudFront
// publishes no such limit; ours bounds what the register remembers.
const MaxReferenceLength = 1024

// Limits are the quotas of one distribution. A zero stands for CloudFront's
// value.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/invalidation-limits.html
type Limits struct {
	Batch     int // paths in one invalidation; 3,000
	Paths     int // paths in progress, wildcards included; 3,000
	Wildcards int // wildcard paths in progress; 15
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
	return l
}

// Batch is what a client asks to be invalidated. A path that stands in it
// twice is invalidated once.
type Batch struct {
	CallerReference string
	Paths           []string
}

// check applies the rules that need no knowledge of other invalidations.
func (b Batch) check(limits Limits) error {
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
	return b.checkPaths(limits)
}

func (b Batch) checkPaths(limits Limits) error {
	for _, path := range b.Paths {
		pattern, err := freshet.ParsePattern(path)
		if err != nil {
			return refuse(InvalidArgument, "Your request contains one or more invalid invalidation paths: %s", err)
		}
		// CloudFront takes tags from a distribution with a CacheTagConfig, which
		// the distribution model does not have.
		if pattern.IsTag() {
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
