package listing

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/freshet/freshet/internal/inventory/lines"
)

// jsonReader reads S3's listings as the AWS CLI prints them: one document or
// several, one after the other, each with Contents (or Versions and
// DeleteMarkers), or the bare array of objects or keys that --query leaves of
// them. Keys are taken as they stand. Those that the CLI was told to leave encoded
// (--encoding-type url) cannot be known for what they are where it printed no
// EncodingType, as it does when it pages.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
type jsonReader struct {
	dec     *json.Decoder
	out     emit
	skipped *Skipped
	bucket  string // of the objects, as far as is known
	record  int64
	known   bool  // the document at hand has a member that listings have
	cut     error // the last document says that more follows
	urlType bool  // the document at hand has the EncodingType url
	escapes bool  // a key of it may have escapes
	decoded bool  // a key of it can have none
}

func (l *Listing) readJSON(in *bufio.Reader, out emit) error {
	limited := &limitedRecords{in: in}
	j := &jsonReader{dec: json.NewDecoder(limited), out: out, skipped: &l.skipped, bucket: l.options.Bucket}
	limited.dec = j.dec
	for {
		err := j.document()
		switch {
		case errors.Is(err, io.EOF):
			return j.cut
		case errors.Is(err, errEnough):
			return err
		case err != nil:
			return fmt.Errorf("after %d records, at byte %d: %w", j.record, j.dec.InputOffset(), err)
		}
	}
}

// limitedRecords ends the reading of a value that is longer than a line may be.
type limitedRecords struct {
	in   io.Reader
	dec  *json.Decoder
	read int64
}

func (r *limitedRecords) Read(p []byte) (int, error) {
	if r.read-r.dec.InputOffset() > lines.Max {
		return 0, fmt.Errorf("a value is longer than %d bytes", lines.Max)
	}
	n, err := r.in.Read(p)
	r.read += int64(n)
	return n, err
}

// document returns io.EOF where there is none.
func (j *jsonReader) document() error {
	token, err := j.dec.Token()
	if err != nil {
		return err
	}
	j.cut, j.known, j.urlType, j.escapes, j.decoded = nil, false, false, false, false
	switch token {
	case nil: // what --query leaves of an empty bucket
		return nil
	case json.Delim('['):
		return noEOF(j.elements())
	case json.Delim('{'):
		return noEOF(j.members())
	}
	return fmt.Errorf("%v is no listing", token)
}

func (j *jsonReader) members() error {
	for j.dec.More() {
		token, err := j.dec.Token()
		if err != nil {
			return err
		}
		name, _ := token.(string)
		if err := j.member(name); err != nil {
			return err
		}
	}
	_, err := j.dec.Token()
	switch {
	case err == nil && !j.known:
		return errors.New("the document is no listing: it has no Contents")
	case err == nil && j.urlType && j.escapes && !j.decoded:
		return errors.New("the keys may be URL-encoded: list without --encoding-type and without --no-paginate")
	}
	return err
}

func (j *jsonReader) member(name string) error {
	switch name {
	case "Contents", "Versions":
		j.known = true
		return j.array(j.object)
	case "DeleteMarkers":
		j.known = true
		return j.array(j.deleteMarker)
	case "CommonPrefixes":
		return j.array(func() error {
			return errors.New("the listing leaves out what is below its CommonPrefixes: list without --delimiter")
		})
	case "IsTruncated", "NextToken", "NextContinuationToken", "NextMarker", "NextKeyMarker":
		j.known = true
		return j.more(name)
	case "EncodingType":
		return j.encoding()
	case "fileSchema":
		return errors.New("the document is the manifest of an S3 Inventory: read the files that it lists, with its columns")
	case "Name":
		j.known = true
		return j.name()
	case "Prefix", "RequestCharged", "KeyCount", "MaxKeys":
		j.known = true
	}
	return j.skip()
}

// array calls each in front of every element of an array; null is an empty one.
func (j *jsonReader) array(each func() error) error {
	token, err := j.dec.Token()
	if err != nil || token == nil {
		return err
	}
	if token != json.Delim('[') {
		return fmt.Errorf("an array is expected, not %v", token)
	}
	for j.dec.More() {
		if err := each(); err != nil {
			return err
		}
	}
	_, err = j.dec.Token()
	return err
}

// elements reads an array on its own, after its bracket: of objects or of keys.
func (j *jsonReader) elements() error {
	for j.dec.More() {
		var raw json.RawMessage
		if err := j.dec.Decode(&raw); err != nil {
			return err
		}
		j.record++
		var err error
		if r := (s3Object{}); bytes.HasPrefix(raw, []byte(`"`)) {
			err = json.Unmarshal(raw, &r.Key)
			err = j.pass(r, err)
		} else {
			err = json.Unmarshal(raw, &r)
			err = j.pass(r, err)
		}
		if err != nil {
			return err
		}
	}
	_, err := j.dec.Token()
	return err
}

// s3Object is what is read of one element of Contents or Versions.
type s3Object struct {
	Key      exact
	Size     int64
	IsLatest *bool // of versions only
}

func (j *jsonReader) object() error {
	j.record++
	var r s3Object
	err := j.dec.Decode(&r)
	return j.pass(r, err)
}

// pass emits an object. An error about the type or the text of a value leaves
// the decoder behind the object, so that reading goes on.
func (j *jsonReader) pass(r s3Object, err error) error {
	o := Object{Key: string(r.Key), Size: r.Size}
	j.spelling(o.Key)
	var wrongType *json.UnmarshalTypeError
	switch {
	case err != nil && !errors.As(err, &wrongType) && !errors.Is(err, errNotExact):
		return err
	case err == nil && r.IsLatest != nil && !*r.IsLatest:
		j.skipped.Versions++
		return nil
	case err == nil:
		err = check(o)
	}
	if err != nil {
		o, err = Object{}, &RecordError{At: fmt.Sprintf("record %d", j.record), Err: plain(err)}
	}
	if !j.out(o, err) {
		return errEnough
	}
	return nil
}

// plain says of a value of the wrong type what it is, without Go's types.
func plain(err error) error {
	var wrong *json.UnmarshalTypeError
	switch {
	case !errors.As(err, &wrong):
		return err
	case wrong.Field == "":
		return fmt.Errorf("a record cannot be of the type %s", wrong.Value)
	}
	return fmt.Errorf("%s cannot be of the type %s", wrong.Field, wrong.Value)
}

func (j *jsonReader) deleteMarker() error {
	j.skipped.DeleteMarkers++
	return j.skip()
}

// more notes that a document says of itself that it is not the last.
func (j *jsonReader) more(name string) error {
	token, err := j.dec.Token()
	if err != nil {
		return err
	}
	if _, nested := token.(json.Delim); nested {
		return fmt.Errorf("%s is expected to be a single value", name)
	}
	if token == true || name != "IsTruncated" && token != nil && token != "" {
		j.cut = fmt.Errorf("the listing ends before the bucket does, it has %s: list without --no-paginate and --max-items", name)
	}
	return nil
}

// encoding notes an EncodingType. It does not say whether keys are encoded: the
// AWS CLI asks for encoded keys by itself, decodes them and leaves the mark in,
// but when it is told to ask for them it does not decode them.
func (j *jsonReader) encoding() error {
	token, err := j.dec.Token()
	if _, nested := token.(json.Delim); err == nil && nested {
		return errors.New("EncodingType is expected to be a text")
	}
	j.urlType = token == "url"
	return err
}

// name compares the bucket that a document is of, which it says after its
// objects, with the one that they were taken to be in.
func (j *jsonReader) name() error {
	token, err := j.dec.Token()
	name, ok := token.(string)
	switch {
	case err != nil:
		return err
	case token != nil && !ok:
		return errors.New("the Name of the bucket is expected to be a text")
	case name != "" && j.bucket != "" && name != j.bucket:
		return fmt.Errorf("the listing is of bucket %s, not of %s", name, j.bucket)
	}
	return nil
}

// spelling notes whether a key may be encoded. What an encoded key cannot hold
// shows that its document was decoded.
func (j *jsonReader) spelling(key string) {
	for i := range len(key) {
		switch c := key[i]; {
		case c == '+':
			j.escapes = true
		case c == '%':
			_, err := url.PathUnescape(key[i:min(i+3, len(key))])
			j.escapes = true
			j.decoded = j.decoded || err != nil
		case c <= ' ' || c >= 0x7F || c == '"' || c == '<' || c == '>':
			j.decoded = true
		}
	}
}

// skip reads over the next value, however long it is.
func (j *jsonReader) skip() error {
	for depth := 0; ; {
		token, err := j.dec.Token()
		if err != nil {
			return err
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return nil
		}
	}
}

// exact is a JSON string that says exactly which text is meant. Package json
// would put a replacement character in the place of bytes that are no UTF-8, and
// of half a surrogate pair, and so name another object.
type exact string

var errNotExact = errors.New("the key is not UTF-8")

func (e *exact) UnmarshalJSON(raw []byte) error {
	if !utf8.Valid(raw) {
		return errNotExact
	}
	if len(raw) >= 2 && raw[0] == '"' && bytes.IndexByte(raw, '\\') < 0 {
		*e = exact(raw[1 : len(raw)-1])
		return nil
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return err
	}
	if strings.Count(s, "\ufffd") > bytes.Count(raw, []byte("\ufffd"))+bytes.Count(bytes.ToLower(raw), []byte(`\ufffd`)) {
		return errNotExact
	}
	*e = exact(s)
	return nil
}
