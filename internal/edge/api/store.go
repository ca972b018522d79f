package api

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

const storeKind kindName = "key-value-store"

// Limits of key value stores.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/cloudfront-limits.html#limits-keyvaluestores
const (
	maxStores      = 50
	maxStoreSize   = 5 << 20 // bytes of all keys and values
	maxKeyLength   = 512     // characters
	maxValueLength = 1024    // characters
	maxStoreUsers  = 10      // functions that share one
)

// storeConfig is a key value store's resource: its name is the ID of that.
type storeConfig struct {
	ID       string
	Comment  string
	Renewed  int // how often the comment was changed
	Edited   int // how often the pairs were
	LastEdit time.Time
	Pairs    pairs
	Size     int // bytes of all keys and values
}

// pairs is never changed.
type pairs map[string]string

func (storeConfig) title() string       { return "" }
func (storeConfig) elements() []element { return nil }

// MarshalJSON writes keys and values one after another, each behind its length:
// as a string of JSON a store could take six times its size, more than a shelf
// need take.
func (p pairs) MarshalJSON() ([]byte, error) {
	var text []byte
	for _, key := range slices.Sorted(maps.Keys(p)) {
		for _, s := range []string{key, p[key]} {
			text = append(binary.AppendUvarint(text, uint64(len(s))), s...)
		}
	}
	return json.Marshal(text)
}

// UnmarshalJSON reads that.
func (p *pairs) UnmarshalJSON(text []byte) error {
	var rest []byte
	if err := json.Unmarshal(text, &rest); err != nil {
		return err
	}
	next := func() (string, error) {
		n, width := binary.Uvarint(rest)
		if width <= 0 || n > uint64(len(rest)-width) {
			return "", errors.New("the pairs of a key value store are broken off")
		}
		s := string(rest[width : width+int(n)])
		rest = rest[width+int(n):]
		return s, nil
	}
	*p = make(pairs)
	for len(rest) > 0 {
		key, err := next()
		if err != nil {
			return err
		}
		if (*p)[key], err = next(); err != nil {
			return err
		}
	}
	return nil
}

// etag names the version of a store's description, and dataETag that of its
// pairs: those are different at CloudFront, too.
func (c storeConfig) etag() string { return "E" + shortHash(fmt.Sprintf("%s\x00%d", c.ID, c.Renewed)) }

func (c storeConfig) dataETag() string {
	return "E" + shortHash(fmt.Sprintf("%s\x00pairs\x00%d", c.ID, c.Edited))
}

// with returns the store with other pairs: what is put counts after what is
// deleted. The error is an *Error.
func (c storeConfig) with(puts map[string]string, deletes []string, now time.Time) (storeConfig, error) {
	next := maps.Clone(c.Pairs)
	if next == nil {
		next = make(pairs)
	}
	for _, key := range deletes {
		delete(next, key)
	}
	for key, value := range puts {
		if err := checkPair(key, value); err != nil {
			return storeConfig{}, err
		}
		next[key] = value
	}
	c.Size = 0
	for key, value := range next {
		c.Size += len(key) + len(value)
	}
	if c.Size > maxStoreSize {
		return storeConfig{}, refuse(entitySizeLimitExceeded, "The key value store would have %d bytes, at most %d are allowed", c.Size, maxStoreSize)
	}
	c.Pairs, c.LastEdit = next, now
	c.Edited++
	return c, nil
}

const entitySizeLimitExceeded = "EntitySizeLimitExceeded"

func checkPair(key, value string) error {
	switch {
	case key == "" || utf8.RuneCountInString(key) > maxKeyLength:
		return refuse(InvalidArgument, "The key %q must have 1 to %d characters", clip(key), maxKeyLength)
	case utf8.RuneCountInString(value) > maxValueLength:
		return refuse(InvalidArgument, "The value of the key %q has more than %d characters", clip(key), maxValueLength)
	}
	return nil
}

var storeName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// Store is a key value store as functions read it.
type Store struct {
	Pairs           map[string]string // must not be changed
	Created, Edited time.Time
}

// Store returns the key value store that an ARN names.
func (c *Catalog) Store(arn string) (Store, bool) {
	r := c.state.Load().storeOf(c, arn)
	if r == nil {
		return Store{}, false
	}
	config := r.config.(storeConfig)
	return Store{Pairs: config.Pairs, Created: r.created, Edited: config.LastEdit}, true
}

func (c *Catalog) storeARN(config storeConfig) string {
	return c.arn(string(storeKind) + "/" + config.ID)
}

// storeOf returns nil where there is none.
func (s *state) storeOf(c *Catalog, arn string) *resource {
	id, ok := strings.CutPrefix(arn, c.arn(string(storeKind)+"/"))
	if !ok {
		return nil
	}
	for key, r := range s.resources {
		if config, is := r.config.(storeConfig); is && key.kind == storeKind && config.ID == id {
			return r
		}
	}
	return nil
}

// associable refuses the association of a function with a store that is not
// there, or that too many functions share.
func (s *state) associable(c *Catalog, name string, code functionCode) error {
	for _, arn := range code.Stores {
		if s.storeOf(c, arn) == nil {
			return refuse(InvalidArgument, "The key value store %q does not exist", clip(arn))
		}
		users := slices.DeleteFunc(s.usersOf(arn), func(user string) bool { return user == name })
		if len(users) >= maxStoreUsers {
			return refuse(InvalidArgument, "The key value store %q is associated with %d functions, at most %d are allowed", clip(arn), len(users), maxStoreUsers)
		}
	}
	return nil
}

// usersOf are the functions that are associated with a store at either stage.
func (s *state) usersOf(arn string) (names []string) {
	for _, r := range s.all(functionKind) {
		f := r.config.(functionConfig)
		if slices.Contains(f.Development.Stores, arn) || f.Live != nil && slices.Contains(f.Live.Stores, arn) {
			names = append(names, r.key.id)
		}
	}
	return names
}
