package api

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/freshet/freshet/internal/distribution"
)

// kindName is of a kind of resource. It is kept on the shelf.
type kindName string

const (
	distributionKind kindName = "distribution"
)

// resourceKey says which resource is meant.
type resourceKey struct {
	kind kindName
	id   string
}

// shelfKey has only characters that every store of keys takes.
func (k resourceKey) shelfKey() string { return string(k.kind) + "." + k.id }

// configured is what a resource holds; its JSON is what the shelf keeps.
type configured interface {
	// title is the resource's name, which no other of its kind may have; empty
	// if it needs none.
	title() string

	// elements are those of its configuration's document.
	elements() []element
}

// resource is one version of something that has a configuration. It is never
// changed.
type resource struct {
	key      resourceKey
	version  int // counts up from 0
	created  time.Time
	modified time.Time
	config   configured
	tags     []Tag // in the order of their keys

	monitoring string // Enabled, Disabled or nothing, of a distribution

	// builtFrom is of a resource that the configuration file has: a fingerprint
	// of what stood there.
	builtFrom string
}

// Tag is a label on a resource.
type Tag struct {
	Key   string
	Value string
}

// etag names the version. Like CloudFront's ETags it comes without quotes.
func (r *resource) etag() (string, error) {
	text, err := json.Marshal(r.config)
	if err != nil {
		return "", fmt.Errorf("name the version of %s: %w", r.key.id, err)
	}
	return "E" + shortHash(fmt.Sprintf("%s\x00%d\x00%s", r.key.shelfKey(), r.version, text)), nil
}

// kept is the form in which the shelf has a resource.
type kept struct {
	Kind      kindName        `json:"kind"`
	ID        string          `json:"id"`
	Version   int             `json:"version"`
	Created   time.Time       `json:"created"`
	Modified  time.Time       `json:"modified"`
	BuiltFrom string          `json:"built_from,omitempty"`
	Tags      []Tag           `json:"tags,omitempty"`
	Monitored string          `json:"monitored,omitempty"`
	Config    json.RawMessage `json:"config"`
}

func (r *resource) marshal() ([]byte, error) {
	config, err := json.Marshal(r.config)
	if err != nil {
		return nil, fmt.Errorf("write %s %s: %w", r.key.kind, r.key.id, err)
	}
	return json.Marshal(kept{Kind: r.key.kind, ID: r.key.id, Version: r.version, Created: r.created, Modified: r.modified,
		BuiltFrom: r.builtFrom, Tags: r.tags, Monitored: r.monitoring, Config: config})
}

// unmarshalResource returns nil for a kind that a later version added.
func unmarshalResource(text []byte) (*resource, error) {
	var k kept
	if err := json.Unmarshal(text, &k); err != nil {
		return nil, fmt.Errorf("read a resource: %w", err)
	}
	decode, ok := decoders()[k.Kind]
	if !ok {
		return nil, nil
	}
	config, err := decode(k.Config)
	if err != nil {
		return nil, fmt.Errorf("read %s %s: %w", k.Kind, k.ID, err)
	}
	return &resource{key: resourceKey{k.Kind, k.ID}, version: k.Version, created: k.Created, modified: k.Modified,
		builtFrom: k.BuiltFrom, tags: k.Tags, monitoring: k.Monitored, config: config}, nil
}

// decoders read what the shelf has of each kind.
func decoders() map[kindName]func([]byte) (configured, error) {
	all := map[kindName]func([]byte) (configured, error){
		distributionKind: decodeJSON[distributionConfig], functionKind: decodeJSON[functionConfig], storeKind: decodeJSON[storeConfig],
	}
	for _, k := range kinds() {
		all[k.name] = k.load
	}
	return all
}

func decodeJSON[T configured](text []byte) (configured, error) {
	var v T
	err := json.Unmarshal(text, &v)
	return v, err
}

// distributionConfig is a distribution's.
type distributionConfig struct{ distribution.Config }

func (distributionConfig) title() string         { return "" }
func (c distributionConfig) elements() []element { return configElements(c.Config) }
