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

// releasesFormat marks the document that lists releases.
const releasesFormat = "freshet-releases/1"

// Release is a site as a whole, below a prefix of its own.
type Release struct {
	ID      string `json:"id"`
	Commit  string `json:"commit,omitempty"`
	Time    int64  `json:"time"` // seconds since 1970, when it was sent
	Objects int    `json:"objects"`
	Bytes   int64  `json:"bytes"`
}

// Releases are those that are kept.
type Releases struct {
	Format   string    `json:"format"`
	Current  string    `json:"current,omitempty"` // that viewers get
	Before   string    `json:"before,omitempty"`  // that they got before it
	Releases []Release `json:"releases"`          // the oldest first
}

// Encode writes the document.
func (r *Releases) Encode() ([]byte, error) {
	r.Format = releasesFormat
	return Encode(r)
}

// DecodeReleases reads what Encode wrote.
func DecodeReleases(text []byte) (*Releases, error) {
	r := new(Releases)
	if err := decode(text, releasesFormat, r); err != nil {
		return nil, fmt.Errorf("read the list of releases: %w", err)
	}
	return r, nil
}

// Find returns the release with an ID that begins with id, and an error where
// there is none or several.
func (r *Releases) Find(id string) (found Release, err error) {
	n := 0
	for _, known := range r.Releases {
		if known.ID == id {
			return known, nil
		}
		if strings.HasPrefix(known.ID, id) {
			found = known
			n++
		}
	}
	switch {
	case n == 0:
		return found, fmt.Errorf("there is no release %q: freshet releases lists those that are kept", id)
	case n > 1:
		return found, fmt.Errorf("%d releases begin with %q: write more of the ID", n, id)
	}
	return found, nil
}

// Led notes that viewers are led to a release.
func (r *Releases) Led(to Release) {
	if r.Current != to.ID {
		r.Before, r.Current = r.Current, to.ID
	}
	r.Releases = slices.DeleteFunc(r.Releases, func(known Release) bool { return known.ID == to.ID })
	at, _ := slices.BinarySearchFunc(r.Releases, to.Time, func(known Release, t int64) int { return int(known.Time - t) })
	r.Releases = slices.Insert(r.Releases, at, to)
}

// Prune takes out and returns the oldest releases, so that keep remain. What
// viewers get, and got before, remains whatever its age.
func (r *Releases) Prune(keep int) (pruned []Release) {
	over := len(r.Releases) - keep
	r.Releases = slices.DeleteFunc(r.Releases, func(old Release) bool {
		if over <= 0 || old.ID == r.Current || old.ID == r.Before {
			return false
		}
		over--
		pruned = append(pruned, old)
		return true
	})
	return pruned
}

// ReleaseID names a release by what is in it, so that the same site is the same
// release. Keys are paths below the release.
func ReleaseID(want []Object) (string, error) {
	sorted := slices.Clone(want)
	slices.SortFunc(sorted, func(a, b Object) int { return strings.Compare(a.Key, b.Key) })
	h := sha256.New()
	out := json.NewEncoder(h)
	for _, o := range sorted {
		if err := out.Encode(Object{Key: o.Key, Hash: o.Hash, Form: o.Form, Served: o.Served}); err != nil {
			return "", fmt.Errorf("name the release: %w", err)
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:6]), nil
}

// Reuse makes copies of what another release has, as known says, of steps that
// would send it again. from and to are the prefixes of the two.
func Reuse(steps []Step, known *Manifest, from, to string) {
	if known == nil {
		return
	}
	records := known.Index()
	for i := range steps {
		s := &steps[i]
		r := records[from+strings.TrimPrefix(s.Object.Key, to)]
		if s.Op == Put && r != nil && r.Hash == s.Object.Hash && r.Form == s.Object.Form && r.Size > 0 && r.Size <= mostCopied {
			s.Op, s.From = Copy, Source{Key: r.Key, ETag: r.ETag, Size: r.Size}
		}
	}
}

// Differences are the changes for viewers that are led from one release to
// another. Keys are below to. A release of which nothing is known differs in all
// that either has.
func Differences(bucket, id string, before, after *Manifest, from, to string) []freshet.Change {
	held := make(map[string]*Record)
	for i := range before.Records {
		held[strings.TrimPrefix(before.Records[i].Key, from)] = &before.Records[i]
	}
	var changes []freshet.Change
	for i := range after.Records {
		r := &after.Records[i]
		path := strings.TrimPrefix(r.Key, to)
		old := held[path]
		delete(held, path)
		if old != nil && old.Hash == r.Hash && old.Form == r.Form && r.Hash != (Hash{}) && old.Served.Equal(r.Served) {
			continue
		}
		changes = append(changes, freshet.Change{Origin: bucket, Key: to + path, Op: freshet.OpPut, Version: id, ETag: r.ETag, Size: r.Size, Cause: Cause})
	}
	for path := range held {
		changes = append(changes, freshet.Change{Origin: bucket, Key: to + path, Op: freshet.OpDelete, Version: id, Cause: Cause})
	}
	slices.SortFunc(changes, func(a, b freshet.Change) int { return strings.Compare(a.Key, b.Key) })
	return changes
}

// Wanted is the manifest that a bucket with these objects will have.
func Wanted(want []Object) *Manifest {
	m := new(Manifest)
	for _, o := range want {
		m.Records = append(m.Records, Record{Key: o.Key, Size: o.Size, Hash: o.Hash, Form: o.Form, ETag: o.ETag, Served: o.Served})
	}
	return m
}

// Rekeyed returns the changes with their keys below another prefix.
func Rekeyed(changes []freshet.Change, from, to string) []freshet.Change {
	moved := slices.Clone(changes)
	for i := range moved {
		moved[i].Key = to + strings.TrimPrefix(moved[i].Key, from)
	}
	return moved
}
