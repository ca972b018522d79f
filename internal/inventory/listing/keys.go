package listing

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/freshet/freshet"
)

// bareKeys is a key on each line, written as it is: never encoded, without
// quotes and with the spaces it has. s3://bucket/key names the bucket. Lines of
// white space alone are skipped.
type bareKeys struct{}

func (bareKeys) end() error { return nil }

func (bareKeys) parse(line []byte) (Object, bool, error) {
	if len(bytes.TrimSpace(line)) == 0 {
		return Object{}, false, nil
	}
	o, err := named(string(line))
	return o, true, err
}

// named reads a key, or a bucket and a key.
func named(text string) (Object, error) {
	if rest, ok := strings.CutPrefix(text, "s3://"); ok {
		bucket, key, _ := strings.Cut(rest, "/")
		if bucket == "" {
			return Object{}, fmt.Errorf("%q names no bucket", clip(text))
		}
		return Object{Bucket: bucket, Key: key}, nil
	}
	switch {
	case strings.HasPrefix(text, "/"):
		return Object{}, fmt.Errorf("key %q begins with a slash, which keys do not: write %q, or s3://bucket/%s if it really does", clip(text), clip(strings.TrimLeft(text, "/")), clip(text))
	case strings.IndexByte(text, 0) >= 0:
		return Object{}, fmt.Errorf("key %q holds a NUL: write one key on each line", clip(text))
	}
	return Object{Key: text}, nil
}

// sizedKeys is a size in bytes, a tab and a key on each line.
type sizedKeys struct{}

func (sizedKeys) end() error { return nil }

func (sizedKeys) parse(line []byte) (Object, bool, error) {
	if len(bytes.TrimSpace(line)) == 0 {
		return Object{}, false, nil
	}
	size, key, tab := bytes.Cut(line, []byte("\t"))
	if !tab {
		return Object{}, true, fmt.Errorf("%q has no tab between size and key", clip(line))
	}
	n, err := parseSize(size)
	if err != nil {
		return Object{}, true, err
	}
	o, err := named(string(key))
	o.Size = n
	return o, true, err
}

func parseSize(text []byte) (int64, error) {
	n, err := strconv.ParseUint(string(text), 10, 63)
	if err != nil {
		return 0, fmt.Errorf("%q is no size in bytes", clip(text))
	}
	return int64(n), nil
}

// jsonLines is freshet's own form: an object on each line, with "key" and, where
// they are known, "bucket", "size", "tags" and "requests".
type jsonLines struct{}

func (jsonLines) end() error { return nil }

func (jsonLines) parse(line []byte) (Object, bool, error) {
	if len(bytes.TrimSpace(line)) == 0 {
		return Object{}, false, nil
	}
	var record struct {
		Bucket   string   `json:"bucket"`
		Key      exact    `json:"key"`
		Size     int64    `json:"size"`
		Tags     []string `json:"tags"`
		Requests *int64   `json:"requests"`
	}
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&record); err != nil {
		return Object{}, true, fmt.Errorf("read the record: %w", plain(noEOF(err)))
	}
	if _, err := dec.Token(); err != io.EOF {
		return Object{}, true, errors.New("more follows the record on its line")
	}
	o := Object{Bucket: record.Bucket, Key: string(record.Key), Size: record.Size, Tags: record.Tags, Counted: record.Requests != nil}
	if o.Counted {
		o.Requests = *record.Requests
	}
	for _, tag := range o.Tags {
		if _, err := freshet.ParsePattern("#" + tag); err != nil {
			return Object{}, true, fmt.Errorf("key %q: %w", clip(o.Key), err)
		}
	}
	return o, true, nil
}

// noEOF names the end of a record that is cut short.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
