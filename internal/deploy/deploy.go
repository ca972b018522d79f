// Package deploy decides what a deploy does: which objects a bucket is to have
// and how they are served, what has to be sent and in which order, and what a
// deploy that died has left to do. It is pure: listings, manifests and files'
// hashes in, steps out.
package deploy

import (
	"encoding/base64"
	"fmt"
	"maps"
)

// Hash is the SHA-256 of a file.
type Hash [32]byte

// MarshalText writes 43 letters and digits.
func (h Hash) MarshalText() ([]byte, error) {
	return base64.RawURLEncoding.AppendEncode(nil, h[:]), nil
}

// UnmarshalText reads what MarshalText wrote. Nothing is the zero hash, which
// stands for one that is not known.
func (h *Hash) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*h = Hash{}
		return nil
	}
	var room [33]byte
	n, err := base64.RawURLEncoding.Decode(room[:], text[:min(len(text), 44)])
	if err != nil || n != len(h) {
		return fmt.Errorf("%q is no SHA-256 in base64", text[:min(len(text), 60)])
	}
	copy(h[:], room[:])
	return nil
}

// Served is what a bucket sends along with an object.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html
type Served struct {
	Type         string            `json:"type,omitempty"`
	CacheControl string            `json:"cache_control,omitempty"`
	Encoding     string            `json:"encoding,omitempty"`
	Disposition  string            `json:"disposition,omitempty"`
	Language     string            `json:"language,omitempty"`
	Redirect     string            `json:"redirect,omitempty"` // only S3's website endpoints follow it
	Metadata     map[string]string `json:"metadata,omitempty"` // without x-amz-meta-; names in lower case
}

// Equal reports whether viewers get the same with both.
func (s Served) Equal(o Served) bool {
	return s.Type == o.Type && s.CacheControl == o.CacheControl && s.Encoding == o.Encoding && s.Disposition == o.Disposition &&
		s.Language == o.Language && s.Redirect == o.Redirect && maps.Equal(s.Metadata, o.Metadata)
}

// Object is one that the bucket is to have.
type Object struct {
	Key    string `json:"key"`
	Size   int64  `json:"size"`           // of the file
	Hash   Hash   `json:"hash"`           // of the file
	Form   string `json:"form,omitempty"` // what is made of the file before it is sent, such as gzip-9; empty: it is sent as it is
	ETag   string `json:"etag,omitempty"` // that S3 will give it, unless it encrypts with a key of its own; empty: known once it was sent
	Served Served `json:"served"`
	Class  Class  `json:"class,omitempty"`
	Group  string `json:"group,omitempty"` // of keys that change together; empty for none
}

// Same reports whether o and p are the same to whoever fetches them.
func (o Object) Same(p Object) bool {
	return o.Key == p.Key && o.Hash == p.Hash && o.Form == p.Form && o.Served.Equal(p.Served)
}

// Op is what a step does.
type Op string

// The operations.
const (
	Put    Op = "put"    // send the content
	Copy   Op = "copy"   // the content is there: replace what is served along with it
	Delete Op = "delete" // the object is gone
)

// Reason says why a step is needed.
type Reason string

// The reasons.
const (
	New      Reason = "new"
	Content  Reason = "content"
	Headers  Reason = "headers"
	Vanished Reason = "gone"
)

// Before is what a key held when a step was decided on. The zero value is
// nothing.
type Before struct {
	ETag     string `json:"etag,omitempty"`
	Modified int64  `json:"modified,omitempty"` // seconds since 1970, by the bucket's clock
	Size     int64  `json:"size,omitempty"`
}

// Step is one object that has to become another.
type Step struct {
	Op     Op     `json:"op"`
	Reason Reason `json:"reason"`
	Object Object `json:"object"` // of a delete only the key, class and group
	Before Before `json:"before,omitzero"`
	From   Source `json:"from,omitzero"` // of a copy that is not of the object itself
}

// Source is an object that another is copied from.
type Source struct {
	Key  string `json:"key"`
	ETag string `json:"etag"`
	Size int64  `json:"size"`
}

// Totals counts steps.
type Totals struct {
	New       int   `json:"new"`
	Content   int   `json:"content"`
	Headers   int   `json:"headers"`
	Deleted   int   `json:"deleted"`
	Unchanged int   `json:"unchanged"`
	Bytes     int64 `json:"bytes"` // to be sent
}

// Changed is how many objects differ.
func (t Totals) Changed() int { return t.New + t.Content + t.Headers + t.Deleted }

// Count sums up steps towards a site of that many objects.
func Count(steps []Step, objects int) Totals {
	t := Totals{Unchanged: objects}
	for _, s := range steps {
		if s.From.Key != "" {
			continue // another release has it
		}
		switch s.Reason {
		case New:
			t.New++
		case Content:
			t.Content++
		case Headers:
			t.Headers++
		case Vanished:
			t.Deleted++
		}
		if s.Op == Put {
			t.Bytes += s.Object.Size
		}
		if s.Op != Delete {
			t.Unchanged--
		}
	}
	return t
}

// Parts of large objects. They decide over the ETag, so that they do not depend
// on anything but the size.
const (
	singlePart = 64 << 20
	partSize   = 32 << 20
	maxParts   = 10_000
)

// PartSize is the size of the parts in which an object of that size is sent; 0
// is in one piece.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
func PartSize(size int64) int64 {
	if size <= singlePart {
		return 0
	}
	part := int64(partSize)
	for size > part*maxParts {
		part *= 2
	}
	return part
}
