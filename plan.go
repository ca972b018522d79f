package freshet

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strconv"
	"time"
)

// Target is one URL that a change makes stale at one distribution.
type Target struct {
	Distribution string  `json:"distribution"`
	Origin       string  `json:"origin"`          // of the change
	Key          string  `json:"key"`             // of the change
	URL          string  `json:"url"`             // canonical path, with the query string where it is in the cache key
	Pattern      Pattern `json:"pattern"`         // removes URL; a wildcard where URL has no exact pattern
	Served       bool    `json:"served"`          // the origin answers URL with the object itself, so a probe can compare them
	Group        string  `json:"group,omitempty"` // consistency group of the key
	Reason       string  `json:"reason"`
}

// Profile is what a distribution's CDN understands, limits and charges. The
// zero value of a limit means that there is none.
type Profile struct {
	Distribution     string        `json:"distribution"`
	Hosts            []string      `json:"hosts,omitempty"` // names viewers use, the CDN's own first
	MaxPatterns      int           `json:"max_patterns"`    // per request
	MaxWildcards     int           `json:"max_wildcards"`   // per request
	Tags             bool          `json:"tags"`            // understands #tag
	PatternPrice     float64       `json:"pattern_price"`   // US dollars for each pattern
	Quota            Quota         `json:"quota"`
	PollEvery        time.Duration `json:"poll_every"` // first wait between two looks at a running invalidation; doubles
	CompletionWithin time.Duration `json:"completion_within"`
}

// Quota is how much a CDN takes at a time. CloudFront has published two models
// of it; zero means that a limit is not known or does not exist.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/cloudfront-limits.html
type Quota struct {
	RequestsPerSecond   float64 `json:"requests_per_second,omitempty"`   // of an account; a few more at a time
	PatternsPerSecond   float64 `json:"patterns_per_second,omitempty"`   // of an account
	WildcardsPerSecond  float64 `json:"wildcards_per_second,omitempty"`  // of an account
	PatternsInProgress  int     `json:"patterns_in_progress,omitempty"`  // at a distribution, wildcards included
	WildcardsInProgress int     `json:"wildcards_in_progress,omitempty"` // at a distribution
}

// Split cuts patterns into the runs that go into one request each: exact paths
// and tags first, then wildcards, which CloudFront counts separately and more
// slowly.
func (p Profile) Split(patterns []Pattern) [][]Pattern {
	var exact, wild []Pattern
	for _, pattern := range patterns {
		if pattern.IsWildcard() {
			wild = append(wild, pattern)
		} else {
			exact = append(exact, pattern)
		}
	}
	return append(chunk(exact, p.MaxPatterns), chunk(wild, p.MaxWildcards)...)
}

func chunk(patterns []Pattern, limit int) [][]Pattern {
	if len(patterns) == 0 {
		return nil
	}
	if limit <= 0 {
		limit = len(patterns)
	}
	return slices.Collect(slices.Chunk(patterns, limit))
}

// Invalidation is one request to a CDN.
type Invalidation struct {
	Distribution    string    `json:"distribution"`
	CallerReference string    `json:"caller_reference"`
	Patterns        []Pattern `json:"patterns"`          // sorted, no duplicates
	Targets         []Target  `json:"targets"`           // what the patterns are for
	Effects         []Effect  `json:"effects,omitempty"` // of the patterns that remove more than one URL, in their order
}

// Covering returns a function that finds the pattern that the request has for
// one of its targets.
func (inv Invalidation) Covering() func(Target) Pattern {
	exact := make(map[Pattern]bool, len(inv.Patterns))
	var others []Pattern
	for _, p := range inv.Patterns {
		if p.IsTag() || p.IsWildcard() {
			others = append(others, p)
		} else {
			exact[p] = true
		}
	}
	return func(t Target) Pattern {
		if exact[t.Pattern] {
			return t.Pattern
		}
		var tag Pattern
		for _, p := range others {
			if p.Covers(t.Pattern.Prefix()) {
				return p
			}
			if p.IsTag() && tag == "" {
				tag = p
			}
		}
		return tag
	}
}

// Effect is what a pattern does that removes more than one URL.
type Effect struct {
	Pattern     Pattern `json:"pattern"`
	Targets     int     `json:"targets"`      // how many it is for
	ColdObjects int64   `json:"cold_objects"` // that it makes cold without their having changed; assumed where there is no inventory
	ColdBytes   int64   `json:"cold_bytes"`
}

// Estimate is what one way to make a distribution fresh costs.
type Estimate struct {
	Patterns    int     `json:"patterns"`
	Wildcards   int     `json:"wildcards,omitempty"`
	Dollars     float64 `json:"dollars"`      // for the patterns, beyond those that are free
	ColdObjects int64   `json:"cold_objects"` // made cold without having changed
	ColdBytes   int64   `json:"cold_bytes"`
	Cost        float64 `json:"cost"`              // Dollars and what refilling is worth, in dollars
	Misses      int     `json:"misses,omitempty"`  // URLs that would stay stale
	Refused     string  `json:"refused,omitempty"` // why it must not be done; empty where it may
}

// Costing explains a plan's choice at one distribution.
type Costing struct {
	Distribution string    `json:"distribution"`
	Plan         Estimate  `json:"plan"`
	PerURL       *Estimate `json:"per_url,omitempty"`    // a pattern for each URL; nil where that is against the limits or guard rails
	PerObject    Estimate  `json:"per_object"`           // a path for each object, as it is usually done
	Everything   Estimate  `json:"everything"`           // /*
	Known        *int64    `json:"known,omitempty"`      // objects in the inventory; nil where there is none
	Assumption   string    `json:"assumption,omitempty"` // what was assumed in its place
	AtLeast      *float64  `json:"at_least,omitempty"`   // no valid plan costs less; nil where Plan is proven to be the cheapest
	KeptFrom     []string  `json:"kept_from,omitempty"`  // guard rails but for which the plan would be cheaper
}

// Plan is all that one batch will do, complete before anything is sent.
type Plan struct {
	ID            string         `json:"id"`
	Changes       []Change       `json:"changes"`              // the newest of each object
	Superseded    []Change       `json:"superseded,omitempty"` // older changes of the same objects, settled with them
	Unrouted      []Unrouted     `json:"unrouted,omitempty"`   // changes that no distribution caches
	Invalidations []Invalidation `json:"invalidations"`
	Costs         []Costing      `json:"costs,omitempty"` // one for each distribution
}

// Unrouted is a change that makes nothing stale, with the reason.
type Unrouted struct {
	Origin string `json:"origin"`
	Key    string `json:"key"`
	Reason string `json:"reason"`
}

// CallerReference derives the idempotency token of one request from what it is
// for. The same changes and patterns at the same distribution and attempt give
// the same reference, in whatever order they are passed; anything else gives
// another. attempt is 0 for the first request and counts the deliberate
// repetitions of a request that was completed and left stale content behind.
func CallerReference(distribution string, changes []Change, patterns []Pattern, attempt int) string {
	sums := make([]Sum, len(changes))
	for i, c := range changes {
		sums[i] = c.Sum()
	}
	return CallerReferenceOf(distribution, sums, patterns, attempt)
}

// CallerReferenceOf is CallerReference for changes that are given by their sums.
// It sorts them.
func CallerReferenceOf(distribution string, changes []Sum, patterns []Pattern, attempt int) string {
	slices.SortFunc(changes, func(a, b Sum) int { return bytes.Compare(a[:], b[:]) })
	hashed := sha256.New()
	for i := range changes {
		if i == 0 || changes[i] != changes[i-1] {
			_, _ = hashed.Write(changes[i][:])
		}
	}
	what, where := hashed.Sum(nil), digestPatterns(patterns)
	sum := digest(distribution, string(what), string(where), strconv.Itoa(attempt))
	return "freshet-" + hex.EncodeToString(sum[:])
}

// digestPatterns hashes patterns in whatever order they come, each once.
func digestPatterns(patterns []Pattern) []byte {
	if !slices.IsSorted(patterns) {
		patterns = slices.Clone(patterns)
		slices.Sort(patterns)
	}
	hashed := sha256.New()
	var text []byte
	for i, p := range patterns {
		if i == 0 || p != patterns[i-1] {
			text = append(binary.LittleEndian.AppendUint64(text[:0], uint64(len(p))), p...)
			_, _ = hashed.Write(text)
		}
	}
	return hashed.Sum(nil)
}

// ReceiptState is how far a CDN has come with an invalidation.
type ReceiptState string

// The states of a receipt.
const (
	Accepted  ReceiptState = "accepted"
	Completed ReceiptState = "completed"
	Failed    ReceiptState = "failed"
)

// Receipt is the CDN's word about one invalidation.
type Receipt struct {
	Distribution    string       `json:"distribution"`
	CallerReference string       `json:"caller_reference"`
	ID              string       `json:"id"` // the CDN's own
	State           ReceiptState `json:"state"`
	At              time.Time    `json:"at"`
	Reason          string       `json:"reason,omitempty"` // of a failure
}

// VerdictState is what a probe concluded.
type VerdictState string

// The states of a verdict.
const (
	Fresh       VerdictState = "fresh"       // the edge serves what the origin holds
	Stale       VerdictState = "stale"       // it serves something older
	Unreachable VerdictState = "unreachable" // the edge or the origin did not answer, so nothing is known
)

// Verdict is what a probe of one target saw after completion.
type Verdict struct {
	Target Target        `json:"target"`
	State  VerdictState  `json:"state"`
	Status int           `json:"status,omitempty"` // HTTP status the edge answered
	Want   string        `json:"want,omitempty"`   // the origin's ETag; empty when it has no such object
	Seen   string        `json:"seen,omitempty"`   // the edge's ETag
	Age    time.Duration `json:"age,omitempty"`    // the edge's Age header
	PoP    string        `json:"pop,omitempty"`    // X-Amz-Cf-Pop
	Cache  string        `json:"cache,omitempty"`  // X-Cache
	At     time.Time     `json:"at"`
	Reason string        `json:"reason,omitempty"`
}
