package s3event

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/freshet/freshet"
)

// Dialect is how a store spells its events. No single decoder is right for all:
// what one store means by a+b, another writes as a%2Bb.
type Dialect string

// The dialects. Naming one overrides what a record looks like, and vouches for
// event sources that Auto does not know.
const (
	Auto        Dialect = "auto"        // by the marks of each record
	S3          Dialect = "s3"          // keys form-encoded; also moto, LocalStack, RustFS
	EventBridge Dialect = "eventbridge" // keys as they are
	MinIO       Dialect = "minio"       // keys form-encoded, slashes too
	VersityGW   Dialect = "versitygw"   // keys as they are; the sequencer counts from 1 again after a restart, so it orders nothing
	Raw         Dialect = "raw"         // keys as they are; also ministack
)

// Dialects returns all of them, Auto first.
func Dialects() []Dialect { return []Dialect{Auto, S3, EventBridge, MinIO, VersityGW, Raw} }

// ParseDialect finds a dialect by name. The empty name is Auto.
func ParseDialect(name string) (Dialect, error) {
	if name == "" {
		return Auto, nil
	}
	if d := Dialect(name); slices.Contains(Dialects(), d) {
		return d, nil
	}
	return "", fmt.Errorf("no S3 event dialect is called %q: there are %q", name, Dialects())
}

// key decodes an object key.
func (d Dialect) key(s string) (string, error) {
	if d != S3 && d != MinIO {
		return s, nil
	}
	key, err := url.QueryUnescape(s)
	if err != nil {
		return "", fmt.Errorf("key %q: %w; if the store does not encode its keys, its dialect is %q", clip(s), err, Raw)
	}
	return key, nil
}

// Sequencers that order nothing, since their senders put them on every event:
// ministack's, and the one of the example in S3's guide, which LocalStack
// sends. Two changes of a key that share one would pass for one change.
var constantSequencers = [...]string{"0", "0055AED6DCD90281E5"}

// sequencer returns s if it orders events, and nothing if it is known not to.
func (d Dialect) sequencer(s string) (freshet.Sequencer, error) {
	if s == "" || d == VersityGW || slices.Contains(constantSequencers[:], s) {
		return "", nil
	}
	if q := freshet.Sequencer(s); q.Valid() {
		return q, nil
	}
	return "", fmt.Errorf("sequencer %q is not hexadecimal", clip(s))
}

// recognise finds the dialect of a notification record by marks that no other
// dialect bears; what bears none is S3's own. The marks:
//
//   - MinIO names itself as the event source.
//   - versitygw calls itself aws:s3, but keeps the s3: before event names, and
//     writes principalId with a capital P. S3 does neither.
//   - S3 escapes all but ASCII letters, digits and some punctuation in a key, so
//     one that holds a space, a control character or anything beyond ASCII was
//     not encoded at all.
//   - ministack's sequencer is always "0". S3's have sixteen digits and more.
//
// A + or a % marks nothing: form-encoded it is a space or an escape, raw it is
// itself.
func recognise(rec record) (Dialect, error) {
	switch rec.EventSource {
	case "minio:s3":
		return MinIO, nil
	case "aws:s3":
	case "":
		return "", fmt.Errorf("eventSource is missing: name the dialect of the source to read it, one of %q", Dialects()[1:])
	default:
		return "", fmt.Errorf("eventSource %q is unknown: name the dialect of the source to read it, one of %q", clip(rec.EventSource), Dialects()[1:])
	}
	if strings.HasPrefix(rec.EventName, "s3:") && capitalPrincipal(rec.UserIdentity) {
		return VersityGW, nil
	}
	if rec.S3.Object.Sequencer == "0" || strings.ContainsFunc(rec.S3.Object.Key, neverFormEncoded) {
		return Raw, nil
	}
	return S3, nil
}

func neverFormEncoded(c rune) bool { return c <= ' ' || c >= 0x7F }

// capitalPrincipal looks for PrincipalId in this very spelling, where a struct's
// field would take principalId for it.
func capitalPrincipal(userIdentity json.RawMessage) bool {
	var fields map[string]json.RawMessage
	if json.Unmarshal(userIdentity, &fields) != nil {
		return false
	}
	_, capital := fields["PrincipalId"]
	return capital
}

// clip keeps an error readable when the input is not.
func clip(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
