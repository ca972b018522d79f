package s3event

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/source/batch"
)

// MaxKeyLength is the longest object key S3 allows, in bytes.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
const MaxKeyLength = 1024

// record is one of a notification's Records. Fields that say nothing about
// what is served are left out, and new ones do not matter.
type record struct {
	EventVersion string          `json:"eventVersion"`
	EventSource  string          `json:"eventSource"`
	EventTime    string          `json:"eventTime"`
	EventName    string          `json:"eventName"`
	UserIdentity json.RawMessage `json:"userIdentity"`
	S3           struct {
		Bucket struct {
			Name string `json:"name"`
		} `json:"bucket"`
		Object struct {
			Key       string `json:"key"`
			Size      int64  `json:"size"`
			ETag      string `json:"eTag"`
			VersionID string `json:"versionId"`
			Sequencer string `json:"sequencer"`
		} `json:"object"`
	} `json:"s3"`
}

func (r *reader) record(data []byte, at batch.Place) {
	var rec record
	if err := decode(data, &rec); err != nil {
		r.problem(at, err)
		return
	}
	if err := major("eventVersion", rec.EventVersion, "2"); err != nil {
		r.problem(at, err)
		return
	}
	name := strings.TrimPrefix(rec.EventName, "s3:")
	m, known := meaningOf(name)
	switch {
	case name == "":
		r.problem(at, errors.New("eventName is missing"))
	case !known:
		r.problem(at, fmt.Errorf("eventName %q is unknown, so it may be a change or none", clip(name)))
	case m.none != "":
		r.skip(at, name, m.none)
	default:
		r.changed(rec, at, m.op, name)
	}
}

func (r *reader) changed(rec record, at batch.Place, op freshet.Op, name string) {
	dialect := r.opts.Dialect
	if dialect == Auto {
		var err error
		if dialect, err = recognise(rec); err != nil {
			r.problem(at, err)
			return
		}
	}
	o := rec.S3.Object
	r.report(at, dialect, sighting{
		bucket: rec.S3.Bucket.Name, key: o.Key, op: op, size: o.Size, etag: o.ETag,
		version: o.VersionID, sequencer: o.Sequencer, time: rec.EventTime, cause: name,
	})
}

// bridge is an EventBridge event. Its names differ from a record's.
type bridge struct {
	DetailType string `json:"detail-type"`
	Source     string `json:"source"`
	Time       string `json:"time"`
	Detail     struct {
		Version string `json:"version"`
		Reason  string `json:"reason"`
		Bucket  struct {
			Name string `json:"name"`
		} `json:"bucket"`
		Object struct {
			Key       string `json:"key"`
			Size      int64  `json:"size"`
			ETag      string `json:"etag"`
			VersionID string `json:"version-id"`
			Sequencer string `json:"sequencer"`
		} `json:"object"`
	} `json:"detail"`
}

func (r *reader) bridged(data []byte, at batch.Place) {
	var b bridge
	if err := decode(data, &b); err != nil {
		r.problem(at, err)
		return
	}
	if b.Source != "aws.s3" && r.opts.Dialect == Auto {
		r.problem(at, fmt.Errorf("source %q is not S3's aws.s3", clip(b.Source)))
		return
	}
	if err := major("detail.version", b.Detail.Version, "0"); err != nil {
		r.problem(at, err)
		return
	}
	m, known := meaningOfDetail(b.DetailType)
	switch {
	case !known:
		r.problem(at, fmt.Errorf("detail-type %q is unknown, so it may be a change or none", clip(b.DetailType)))
	case m.none != "":
		r.skip(at, b.DetailType, m.none)
	default:
		dialect := r.opts.Dialect
		if dialect == Auto {
			dialect = EventBridge
		}
		o := b.Detail.Object
		r.report(at, dialect, sighting{
			bucket: b.Detail.Bucket.Name, key: o.Key, op: m.op, size: o.Size, etag: o.ETag,
			version: o.VersionID, sequencer: o.Sequencer, time: b.Time, cause: cause(b.DetailType, b.Detail.Reason),
		})
	}
}

func cause(detailType, reason string) string {
	if reason == "" {
		return detailType
	}
	return detailType + ": " + reason
}

// major checks a version of the form major.minor. Minor versions only add
// fields. A missing version says nothing that could be wrong.
func major(field, version, want string) error {
	if got, _, _ := strings.Cut(version, "."); version == "" || got == want {
		return nil
	}
	return fmt.Errorf("%s %q: only major version %s is known", field, clip(version), want)
}

// sighting is what an event says about an object, in its sender's spelling.
type sighting struct {
	bucket, key, etag, version, sequencer, time, cause string
	op                                                 freshet.Op
	size                                               int64
}

// report files a sighting as the change it is, or as the problem that keeps it
// from being one.
func (r *reader) report(at batch.Place, d Dialect, s sighting) {
	c, err := s.change(d)
	if err != nil {
		r.problem(at, err)
		return
	}
	r.change(batch.Change{Change: c, At: at})
}

func (s sighting) change(d Dialect) (freshet.Change, error) {
	if s.bucket == "" {
		return freshet.Change{}, errors.New("the bucket's name is missing")
	}
	key, err := s.decodedKey(d)
	if err != nil {
		return freshet.Change{}, err
	}
	sequencer, err := d.sequencer(s.sequencer)
	if err != nil {
		return freshet.Change{}, err
	}
	at, err := s.at()
	if err != nil {
		return freshet.Change{}, err
	}
	c := freshet.Change{Origin: s.bucket, Key: key, Op: s.op, Sequencer: sequencer, Version: s.version, Time: at, Cause: s.cause}
	if s.op == freshet.OpPut {
		// Delete markers come with the ETag and size of nothing.
		c.ETag, c.Size = strings.Trim(s.etag, `"`), s.size
	}
	return c, nil
}

// at is zero for a record without a time, such as people write by hand: what it
// makes stale does not depend on it.
func (s sighting) at() (time.Time, error) {
	if s.time == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339Nano, s.time)
	if err != nil {
		return time.Time{}, fmt.Errorf("time %q is not of the form 2006-01-02T15:04:05.000Z", clip(s.time))
	}
	return at.UTC(), nil
}

func (s sighting) decodedKey(d Dialect) (string, error) {
	key, err := d.key(s.key)
	switch {
	case err != nil:
		return "", err
	case key == "":
		return "", errors.New("the object's key is missing")
	case len(key) > MaxKeyLength:
		return "", fmt.Errorf("key %q has %d bytes, at most %d are allowed", clip(key), len(key), MaxKeyLength)
	case !utf8.ValidString(key):
		return "", fmt.Errorf("key %q is not UTF-8", clip(key))
	}
	return key, nil
}
