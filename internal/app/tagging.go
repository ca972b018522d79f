package app

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/freshet/freshet/internal/distribution"
	"github.com/freshet/freshet/internal/journal"
	"github.com/freshet/freshet/internal/pipeline"
)

// tagging is how distributions take cache tags, with an era that no other
// configuration has, and none of before it was last changed.
type tagging struct {
	shelf *journal.Shelf
	nonce string
}

// openTagging finds the era again that was begun last.
func (u *Up) openTagging(ctx context.Context) (err error) {
	if u.tagging.shelf, err = journal.OpenShelf(ctx, u.store.JetStream(), "TAGGING"); err != nil {
		return err
	}
	return u.tagging.shelf.All(ctx, func(value []byte) error {
		if err := json.Unmarshal(value, &u.tagging.nonce); err != nil {
			return fmt.Errorf("read the era of cache tags: %w", err)
		}
		return nil
	})
}

// begin begins another era. It is on disk before anything else happens, so that
// a run that is killed meanwhile does not take the next for the last.
func (t *tagging) begin(ctx context.Context) error {
	nonce := rand.Text()
	text, err := json.Marshal(nonce)
	if err == nil {
		err = t.shelf.Put(ctx, "era", text)
	}
	if err != nil {
		return fmt.Errorf("begin another era of cache tags: %w", err)
	}
	t.nonce = nonce
	return nil
}

// of returns the tagging of all; its zero value where none has cache tags.
func (t *tagging) of(all []distribution.Distribution) (pipeline.Tagging, error) {
	headers := make(map[string]string)
	for _, d := range all {
		if c := d.Config.CacheTagConfig; c != nil {
			headers[d.ID] = c.HeaderName
		}
	}
	if len(headers) == 0 {
		return pipeline.Tagging{}, nil
	}
	text, err := json.Marshal(all)
	if err != nil {
		return pipeline.Tagging{}, fmt.Errorf("compare distributions: %w", err)
	}
	sum := sha256.Sum256(append(text, t.nonce...))
	return pipeline.Tagging{Headers: headers, Era: hex.EncodeToString(sum[:8])}, nil
}

// tagHeaders are the headers in which some distribution has cache tags.
func (u *Up) tagHeaders() []string {
	if known := u.tagged.Load(); known != nil {
		return *known
	}
	return nil
}

func (u *Up) keepTagHeaders(t pipeline.Tagging) {
	var headers []string
	for _, h := range t.Headers {
		headers = append(headers, h)
	}
	u.tagged.Store(&headers)
}

// retag has the pipeline rely on the cache tags of all, which the edge serves now.
func (u *Up) retag(all []distribution.Distribution) error {
	t, err := u.tagging.of(all)
	if err != nil {
		return err
	}
	u.keepTagHeaders(t)
	u.pipeline.Retag(t)
	return nil
}

// untag has it rely on none, since the edge is about to be configured anew. The
// bucket goes on to tell what objects have.
func (u *Up) untag() error {
	before, err := u.tagging.of(u.catalog.Distributions())
	if err != nil {
		return err
	}
	if len(before.Headers) > 0 {
		u.pipeline.Retag(pipeline.Tagging{})
	}
	return u.tagging.begin(context.Background())
}
