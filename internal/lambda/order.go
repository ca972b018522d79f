package lambda

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/cdn/cloudfront"
	"github.com/freshet/freshet/internal/source/batch"
)

func (o order) check() error {
	if (len(o.Invalidate) == 0) == (len(o.Changes) == 0) {
		return errors.New(`"freshet" needs either "invalidate", a list of paths, or "changes", a list of objects`)
	}
	for _, p := range o.Invalidate {
		if _, err := freshet.ParsePattern(p); err != nil {
			return err
		}
	}
	for i, c := range o.Changes {
		if c.Bucket == "" || c.Key == "" {
			return fmt.Errorf("changes[%d]: it needs a bucket and a key", i)
		}
	}
	return nil
}

func (o order) patterns() []freshet.Pattern {
	all := make([]freshet.Pattern, len(o.Invalidate))
	for i, p := range o.Invalidate {
		all[i] = freshet.Pattern(p)
	}
	return all
}

// reference tells this order from others like it. A message of SQS is delivered
// again in another request; whatever else is, in the same one.
func (o order) reference(request string) string {
	return cmp.Or(o.Reference, o.message, request)
}

// changes are told apart from earlier ones of the same objects by the reference. They have no time, or they were others when the request
// is delivered again.
func (o order) changes(request string) []batch.Change {
	all := make([]batch.Change, len(o.Changes))
	for i, c := range o.Changes {
		all[i].Change = freshet.Change{Origin: c.Bucket, Key: c.Key, Op: freshet.OpPut, Version: o.reference(request) + " " + c.Version, Cause: "order"}
		if c.Deleted {
			all[i].Op = freshet.OpDelete
		}
		all[i].At.Message = o.message
	}
	return all
}

func sumOf(text string) freshet.Sum {
	whole := sha256.Sum256([]byte(text))
	return freshet.Sum(whole[:16])
}

func cloudFrontProfile(id string, cfg Config) freshet.Profile {
	p := cloudfront.ProfileOf(id, nil)
	p.Quota = cfg.quota()
	return p
}
