// Package keylist reads a list of object keys, such as a person types or `find`
// and `aws s3api list-objects-v2` print: these objects have changed.
package keylist

import (
	"bytes"
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

// Cause is the Cause of every change that comes from a list.
const Cause = "listed"

// Parse reads keys that have changed by now, as puts: whether the object is
// still there does not matter to what a cache must forget. The list is, in this
// order,
//
//   - a JSON array of strings, if it begins with [ followed by " or ]
//   - keys that end with a NUL, if it holds one (find -print0)
//   - one key on each line otherwise; lines may end in CR LF, and lines of white
//     space alone are skipped
//
// A key is written as it is, never encoded, without quotes and with the spaces
// it has; origin is its bucket. s3://bucket/key names another bucket. A list
// without keys gives an empty result.
func Parse(data []byte, origin string, now time.Time) batch.Result {
	var res batch.Result
	entries, err := split(bytes.TrimPrefix(data, []byte("\ufeff")))
	if err != nil {
		res.Problems = append(res.Problems, batch.Problem{Err: err})
		return res
	}
	for _, e := range entries {
		c, err := change(e.text, origin)
		if err != nil {
			res.Problems = append(res.Problems, batch.Problem{At: e.at, Err: err})
			continue
		}
		c.Time = now.UTC()
		res.Changes = append(res.Changes, batch.Change{Change: c, At: e.at})
	}
	return res
}

// entry is one key as it was written.
type entry struct {
	at   batch.Place
	text string
}

func split(data []byte) ([]entry, error) {
	if isArray(data) {
		return splitArray(data)
	}
	separator, name, blank := "\n", "line", strings.TrimSpace
	if bytes.IndexByte(data, 0) >= 0 {
		separator, name, blank = "\x00", "key", strings.Clone
	}
	var entries []entry
	for i, text := range strings.Split(string(data), separator) {
		if blank(text) == "" {
			continue
		}
		if separator == "\n" {
			text = strings.TrimSuffix(text, "\r")
		}
		entries = append(entries, entry{batch.Place{Path: fmt.Sprintf("%s %d", name, i+1)}, text})
	}
	return entries, nil
}

// isArray keeps [slug].js, which is a key, apart from ["slug.js"].
func isArray(data []byte) bool {
	rest, bracket := bytes.CutPrefix(bytes.TrimSpace(data), []byte("["))
	rest = bytes.TrimSpace(rest)
	return bracket && len(rest) > 0 && (rest[0] == '"' || rest[0] == ']')
}

func splitArray(data []byte) ([]entry, error) {
	var keys []json.RawMessage
	if err := json.Unmarshal(data, &keys); err != nil {
		return nil, fmt.Errorf("a list that begins like a JSON array is none: %w", err)
	}
	entries := make([]entry, len(keys))
	for i, raw := range keys {
		entries[i].at.Path = fmt.Sprintf("[%d]", i)
		// What is no string stays empty, and is a problem as such.
		_ = json.Unmarshal(raw, &entries[i].text)
	}
	return entries, nil
}

func change(text, origin string) (freshet.Change, error) {
	key := text
	if rest, ok := strings.CutPrefix(text, "s3://"); ok {
		origin, key, _ = strings.Cut(rest, "/")
	}
	switch {
	case key == "":
		return freshet.Change{}, errors.New("no object key stands there")
	case origin == "":
		return freshet.Change{}, fmt.Errorf("key %q: no bucket is named: write s3://bucket/key, or name the origin of the list", clip(key))
	case key == text && strings.HasPrefix(key, "/"):
		return freshet.Change{}, fmt.Errorf("key %q begins with a slash, which keys do not: write %q, or s3://%s/%s if it really does", clip(key), clip(strings.TrimLeft(key, "/")), origin, clip(key))
	case len(text) > 2 && text[0] == '"' && strings.HasSuffix(text, `"`) && strings.Contains(text, `\`):
		return freshet.Change{}, fmt.Errorf("key %s is quoted as git quotes names: list them with git diff -z --name-only, or write s3://%s/… if it really is so", clip(key), origin)
	case len(key) > MaxKeyLength:
		return freshet.Change{}, fmt.Errorf("key %q has %d bytes, at most %d are allowed", clip(key), len(key), MaxKeyLength)
	case !utf8.ValidString(key):
		return freshet.Change{}, fmt.Errorf("key %q is not UTF-8", clip(key))
	}
	return freshet.Change{Origin: origin, Key: key, Op: freshet.OpPut, Cause: Cause}, nil
}

// clip keeps an error readable when the input is not.
func clip(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
