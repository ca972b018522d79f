package deploy

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/freshet/freshet"
)

// deployFormat marks the documents that hold a Deploy.
const deployFormat = "freshet-deploy/1"

// Phase is how far a deploy has come.
type Phase string

// The phases, in the order in which a deploy passes them. It begins with Begun,
// before the first object is sent, and ends with Verified or, where nobody
// looked, with Completed or Accepted.
const (
	Begun     Phase = "begun"     // the plan is made and written down; objects are being sent
	Uploaded  Phase = "uploaded"  // the bucket holds what it is to hold
	Switched  Phase = "switched"  // of an atomic deploy: viewers are led to the release
	Accepted  Phase = "accepted"  // the CDN took every request
	Completed Phase = "completed" // the CDN says that it is done
	Verified  Phase = "verified"  // the edge was seen serving what the bucket holds
)

// Mark names a deploy that is over.
type Mark struct {
	ID     string `json:"id"`
	Commit string `json:"commit,omitempty"`
	Time   int64  `json:"time"` // seconds since 1970
}

// Deploy is all that one deploy will do, complete before anything is sent, and
// how far it has come.
type Deploy struct {
	Format  string `json:"format"`
	ID      string `json:"id"`
	After   string `json:"after,omitempty"` // the deploy before it
	Commit  string `json:"commit,omitempty"`
	Bucket  string `json:"bucket"`
	Prefix  string `json:"prefix,omitempty"`
	Release string `json:"release,omitempty"` // of an atomic deploy: below which the objects are
	Begun   int64  `json:"begun"`             // seconds since 1970, by the bucket's clock
	Phase   Phase  `json:"phase"`
	Over    bool   `json:"over"` // nothing is left to do

	Steps   []Step           `json:"steps"`
	Changes []freshet.Change `json:"changes"` // what the plan is for: of the steps, and of a deploy that did not get through

	// Elsewhere says that the invalidations are somebody else's: of the pipeline or
	// function that follows the bucket.
	Elsewhere bool              `json:"elsewhere,omitempty"`
	Plan      *freshet.Plan     `json:"plan,omitempty"`
	Receipts  []freshet.Receipt `json:"receipts,omitempty"`
	Repeated  bool              `json:"repeated,omitempty"` // Plan is for what was seen stale after the first one was completed

	// Unproven are keys that were not seen fresh in the end, of Changes and, where
	// others invalidate, of deploys before. The next deploy takes them up.
	Unproven []string `json:"unproven,omitempty"`

	Verified *Mark `json:"verified,omitempty"` // the last one that was verified, perhaps this
}

// Encode writes the deploy.
func (d *Deploy) Encode() ([]byte, error) {
	d.Format = deployFormat
	return Encode(d)
}

// DecodeDeploy reads what Encode wrote.
func DecodeDeploy(text []byte) (*Deploy, error) {
	d := new(Deploy)
	if err := decode(text, deployFormat, d); err != nil {
		return nil, fmt.Errorf("read the last deploy: %w", err)
	}
	return d, nil
}

// Name derives a deploy's ID from what it does and from the deploy before it, so
// that the same dry run and deploy have the same one, and no other. The first
// deploy of a site has none before it and takes a word that nobody else has.
func Name(after, first string, steps []Step, carried []freshet.Change) (string, error) {
	if after == "" {
		after = "first\x00" + first
	}
	h := sha256.New()
	_, _ = h.Write([]byte(after))
	out := json.NewEncoder(h)
	for _, s := range steps {
		if err := out.Encode(s); err != nil {
			return "", fmt.Errorf("name the deploy: %w", err)
		}
	}
	for _, c := range carried {
		if err := out.Encode([]string{c.Origin, c.Key, string(c.Op)}); err != nil {
			return "", fmt.Errorf("name the deploy: %w", err)
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:8]), nil
}

// Cause is the Cause of every change that a deploy makes.
const Cause = "deploy"

// Changes are the changes that steps make, in their order. They have no time, so
// that nothing but the deploy's ID tells them from those of another.
func Changes(bucket, id string, steps []Step) []freshet.Change {
	changes := make([]freshet.Change, len(steps))
	for i, s := range steps {
		changes[i] = freshet.Change{Origin: bucket, Key: s.Object.Key, Op: freshet.OpPut, Version: id, ETag: s.Object.ETag, Size: s.Object.Size, Cause: Cause}
		if s.Op == Delete {
			changes[i] = freshet.Change{Origin: bucket, Key: s.Object.Key, Op: freshet.OpDelete, Version: id, Cause: Cause}
		}
	}
	return changes
}

// Resumable reports whether doing what is left of d makes the bucket what is
// wanted: it died before everything was sent, nobody has asked for anything else
// since, and steps, which lead from what is there to what is wanted, are among
// its own.
func (d *Deploy) Resumable(want []Object, steps []Step) bool {
	if d.Over || d.Phase != Begun {
		return false
	}
	wanted := make(map[string]*Object, len(want))
	for i := range want {
		wanted[want[i].Key] = &want[i]
	}
	own := make(map[string]bool, len(d.Steps))
	for _, s := range d.Steps {
		own[s.Object.Key] = true
		w := wanted[s.Object.Key]
		if (w == nil) != (s.Op == Delete) || w != nil && !w.Same(s.Object) {
			return false
		}
	}
	return !slices.ContainsFunc(steps, func(s Step) bool { return !own[s.Object.Key] })
}

// Left are the changes that a deploy that died while it was sending may have
// made, as far as steps do not make them again, and those that it had taken over
// itself. have is what the bucket holds now; the changes are the deploy's with
// that ID.
func (d *Deploy) Left(have []Present, steps []Step, id string) []freshet.Change {
	held := byKey(have)
	again := make(map[string]bool, len(steps))
	for _, s := range steps {
		again[s.Object.Key] = true
	}
	mine := make(map[string]*Step, len(d.Steps))
	for i := range d.Steps {
		mine[d.Steps[i].Object.Key] = &d.Steps[i]
	}
	var left []freshet.Change
	for _, c := range d.Changes {
		p := held[c.Key]
		if s := mine[c.Key]; again[c.Key] || s != nil && d.untouched(*s, p) {
			continue
		}
		now := freshet.Change{Origin: c.Origin, Key: c.Key, Op: freshet.OpDelete, Version: id, Cause: Cause}
		if p != nil {
			now.Op, now.ETag, now.Size = freshet.OpPut, p.ETag, p.Size
		}
		left = append(left, now)
	}
	slices.SortFunc(left, func(a, b freshet.Change) int { return strings.Compare(a.Key, b.Key) })
	return left
}

// Remaining are the keys that a deploy that is over has not seen fresh, as far as
// steps do not change them.
func (d *Deploy) Remaining(steps []Step) []string {
	if !d.Over {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(d.Unproven), func(key string) bool {
		return slices.ContainsFunc(steps, func(s Step) bool { return s.Object.Key == key })
	})
}

// Doubtful are the changes of a deploy that is over and was not seen fresh in all,
// as far as steps do not make them again.
func (d *Deploy) Doubtful(have []Present, steps []Step, id string) []freshet.Change {
	doubtful := *d
	doubtful.Steps = nil
	doubtful.Changes = slices.DeleteFunc(slices.Clone(d.Changes), func(c freshet.Change) bool { return !slices.Contains(d.Unproven, c.Key) })
	return doubtful.Left(have, steps, id)
}

// untouched reports whether a key certainly holds what it held before the step.
func (d *Deploy) untouched(s Step, p *Present) bool {
	if p == nil {
		return s.Before == Before{}
	}
	return p.before() == s.Before && p.Modified < d.Begun
}
