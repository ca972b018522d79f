package function

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"
)

// Store is a key value store as functions read it. It is asked within a run, so
// it has to answer from memory.
type Store interface {
	// Lookup returns the value of key, or false.
	Lookup(key string) (string, bool)
	Meta() StoreMeta
}

// StoreMeta is what meta() of a key value store tells.
type StoreMeta struct {
	Created, Updated time.Time
	Keys             int
}

// Table is a Store that does not change.
type Table struct {
	Pairs            map[string]string
	Created, Updated time.Time
}

// Lookup returns the value of key.
func (t Table) Lookup(key string) (string, bool) {
	v, ok := t.Pairs[key]
	return v, ok
}

// Meta counts the keys.
func (t Table) Meta() StoreMeta { return StoreMeta{t.Created, t.Updated, len(t.Pairs)} }

// Limits of the pairs of a store.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/kvs-with-functions-create-s3-kvp.html
const (
	maxStore = 5 << 20
	maxKey   = 512
	maxValue = 1024
)

// ParseStore reads pairs in the format that CloudFront imports,
// {"data":[{"key":…,"value":…}]}, or a plain object of strings.
func ParseStore(text []byte) (Table, error) {
	if len(text) > maxStore {
		return Table{}, fmt.Errorf("read key value store: %d bytes, CloudFront takes %d", len(text), maxStore)
	}
	t := Table{Pairs: make(map[string]string)}
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	imported, err := t.readImport(text)
	if err == nil && !imported {
		err = json.Unmarshal(text, &t.Pairs)
	}
	if err != nil {
		return Table{}, fmt.Errorf("read key value store: %w", err)
	}
	keys := make([]string, 0, len(t.Pairs))
	for key := range t.Pairs {
		keys = append(keys, key)
	}
	slices.Sort(keys) // so that the same file has the same error
	for _, key := range keys {
		if err := checkPair(key, t.Pairs[key]); err != nil {
			return Table{}, fmt.Errorf("read key value store: %w", err)
		}
	}
	return t, nil
}

// readImport reads the format with "data", and reports whether text has it.
func (t *Table) readImport(text []byte) (bool, error) {
	var file struct {
		Data []struct {
			Key   *string `json:"key"`
			Value *string `json:"value"`
		} `json:"data"`
	}
	if err := json.Unmarshal(text, &file); err != nil || file.Data == nil {
		return false, nil //nolint:nilerr // then it is a plain object, or that reader says what is wrong
	}
	for i, pair := range file.Data {
		if pair.Key == nil || pair.Value == nil {
			return true, fmt.Errorf("data[%d]: key and value are needed", i)
		}
		if _, twice := t.Pairs[*pair.Key]; twice {
			return true, fmt.Errorf("data[%d]: key %q occurs twice", i, *pair.Key)
		}
		t.Pairs[*pair.Key] = *pair.Value
	}
	return true, nil
}

func checkPair(key, value string) error {
	switch {
	case key == "":
		return fmt.Errorf("a key is empty")
	case utf8.RuneCountInString(key) > maxKey:
		return fmt.Errorf("key %.40q… has %d characters, CloudFront takes %d", key, utf8.RuneCountInString(key), maxKey)
	case utf8.RuneCountInString(value) > maxValue:
		return fmt.Errorf("the value of %.40q has %d characters, CloudFront takes %d", key, utf8.RuneCountInString(value), maxValue)
	}
	return nil
}
