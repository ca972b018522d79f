package freshet

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strings"
	"time"
)

// Op says what happened to an object.
type Op string

// The operations that make a cache stale.
const (
	OpPut    Op = "put"
	OpDelete Op = "delete"
)

// Change is one object at an origin that is no longer what it was.
type Change struct {
	Origin    string    `json:"origin"`              // bucket name
	Key       string    `json:"key"`                 // object key, decoded, no leading slash of its own
	Op        Op        `json:"op"`                  //
	Sequencer Sequencer `json:"sequencer,omitempty"` // empty where the source has none
	Version   string    `json:"version,omitempty"`   // S3 version ID
	ETag      string    `json:"etag,omitempty"`      // without quotes; empty for deletes
	Served    string    `json:"served,omitempty"`    // fingerprint of the headers the origin serves with the object, where the source knows it
	Tags      string    `json:"tags,omitempty"`      // lines of TagLine: the headers served with the object that may hold cache tags, where the source knows them
	Size      int64     `json:"size,omitempty"`      // bytes
	Time      time.Time `json:"time"`                // when the origin changed, by the origin's clock
	Cause     string    `json:"cause,omitempty"`     // the source's own name for it, such as ObjectCreated:Put
}

// ID identifies the change across redeliveries: 32 hex digits over origin, key
// and sequencer. Without a sequencer, version, ETag, time and op stand in for
// it, so that a redelivered event still has the ID it had.
func (c Change) ID() string {
	sum := c.Sum()
	return hex.EncodeToString(sum[:])
}

// Sum is what ID writes in hexadecimal.
func (c Change) Sum() Sum {
	if c.Sequencer == "" {
		return digest(c.Origin, c.Key, "event", c.Version, c.ETag, c.Time.UTC().Format(time.RFC3339Nano), string(c.Op))
	}
	return digest(c.Origin, c.Key, "seq", c.Sequencer.normal())
}

// Sum is half of a SHA-256.
type Sum [16]byte

// digest hashes parts so that no two different lists share an encoding.
func digest(parts ...string) Sum {
	var room [256]byte
	text := room[:0]
	for _, p := range parts {
		// A length prefix, since keys may hold any byte.
		text = binary.LittleEndian.AppendUint64(text, uint64(len(p)))
		text = append(text, p...)
	}
	whole := sha256.Sum256(text)
	return Sum(whole[:16])
}

// Latest keeps the newest change of each object and returns the others as
// superseded; a change that arrives twice (equal IDs) is kept once and is in
// neither list a second time. Both results are sorted by origin and key, the
// superseded ones of a key newest first, so the order and number of arrivals do
// not matter. changes is not modified.
//
// Changes of one key are ordered by sequencer if every one of them has one, and
// by time otherwise, since sequencers and times cannot be compared with each
// other.
func Latest(changes []Change) (latest, superseded []Change) {
	all := slices.Clone(changes)
	if !slices.IsSortedFunc(all, byObjectName) {
		slices.SortFunc(all, byObjectName)
	}
	latest = all[:0]
	for begin := 0; begin < len(all); {
		end := begin + 1
		for end < len(all) && byObjectName(all[begin], all[end]) == 0 {
			end++
		}
		group := all[begin:end]
		if len(group) > 1 {
			group = slices.Clone(group) // latest grows over it
			slices.SortFunc(group, newestFirst(group))
			group = oncePerID(group)
			superseded = append(superseded, group[1:]...)
		}
		latest = append(latest, group[0])
		begin = end
	}
	clear(all[len(latest):])
	if len(latest) == 0 {
		latest = nil
	}
	return latest, superseded
}

// oncePerID keeps the first change of each ID. Equal IDs need not be neighbours:
// where times decide the order, a redelivery with another time may stand apart.
func oncePerID(group []Change) []Change {
	seen := make(map[string]bool, len(group))
	return slices.DeleteFunc(group, func(c Change) bool {
		id := c.ID()
		again := seen[id]
		seen[id] = true
		return again
	})
}

func byObjectName(a, b Change) int {
	return cmp.Or(strings.Compare(a.Origin, b.Origin), strings.Compare(a.Key, b.Key))
}

// newestFirst returns the order for the changes of one object. Content breaks
// ties, deletes first, so that the result never depends on arrival.
func newestFirst(group []Change) func(a, b Change) int {
	unsequenced := slices.ContainsFunc(group, func(c Change) bool { return c.Sequencer == "" })
	return func(a, b Change) int {
		age := b.Sequencer.Compare(a.Sequencer)
		if unsequenced {
			age = b.Time.Compare(a.Time)
		}
		return cmp.Or(age, strings.Compare(a.ID(), b.ID()), strings.Compare(string(a.Op), string(b.Op)),
			b.Time.Compare(a.Time), strings.Compare(a.ETag, b.ETag), strings.Compare(a.Version, b.Version),
			strings.Compare(a.Served, b.Served), strings.Compare(a.Cause, b.Cause), cmp.Compare(a.Size, b.Size),
			strings.Compare(string(a.Sequencer), string(b.Sequencer)))
	}
}
