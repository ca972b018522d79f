package lambda

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/quota"
	"github.com/freshet/freshet/internal/source/batch"
	"github.com/freshet/freshet/internal/source/codecommit"
)

// sighting is a commit that a branch was at, and when that was seen first.
type sighting struct {
	Commit string `json:"commit"`
	Seen   int64  `json:"seen"` // seconds since 1970
}

// mostSightings is how many are remembered of a branch.
const mostSightings = 500

// follower holds events against the commits of one branch.
type follower struct {
	Checkout

	walk  codecommit.Walk
	store quota.Store // of sightings
}

// followers are those of the configuration.
func followers(cfg Config, world World) (all []*follower) {
	for _, c := range cfg.CodeCommit {
		if !c.OnlyTouched || world.Commits == nil {
			continue
		}
		f := &follower{Checkout: c, store: new(quota.Memory)}
		f.walk.Repository = codecommit.Repository{API: world.Commits, Name: c.Repository}
		if world.Sightings != nil {
			f.store = world.Sightings("commits of " + c.Repository + " " + c.branch())
		}
		all = append(all, f)
	}
	return all
}

// touched leaves out the puts of objects that no commit has touched which could
// have been published: a pipeline puts all objects of a site each time. CodeCommit
// is asked once for a batch. Where it is not certain what was not touched, all
// changes stay.
func (r *run) touched(ctx context.Context, changes []batch.Change) []batch.Change {
	for _, f := range r.followers {
		if !slices.ContainsFunc(changes, func(c batch.Change) bool { return f.about(c.Change) }) {
			continue
		}
		keys, why, err := f.keys(ctx, oldest(changes))
		if err != nil {
			r.log.Error("CodeCommit does not say what was touched: nothing is left out", "repository", f.Repository, "err", err)
			continue
		}
		if why != "" {
			r.log.Info("nothing is left out", "repository", f.Repository, "reason", why)
			continue
		}
		before := len(changes)
		changes = slices.DeleteFunc(slices.Clone(changes), func(c batch.Change) bool { return f.about(c.Change) && !keys[c.Key] })
		r.meter.add(skipped, before-len(changes))
		r.log.Info("left out what no commit has touched", "repository", f.Repository, "objects", before-len(changes))
	}
	return changes
}

// about reports whether a change may be left out: an object was put that is made
// of the repository. What is deleted was there.
func (f *follower) about(c freshet.Change) bool {
	prefix := strings.Trim(f.Prefix, "/")
	return c.Op == freshet.OpPut && (f.Bucket == "" || f.Bucket == c.Origin) && (prefix == "" || strings.HasPrefix(c.Key, prefix+"/"))
}

// oldest is when the first of changes happened. Now counts for those without a
// time.
func oldest(changes []batch.Change) time.Time {
	first := time.Now()
	for _, c := range changes {
		if !c.Time.IsZero() && c.Time.Before(first) {
			first = c.Time
		}
	}
	return first
}

// keys are those that a commit has touched since the branch was where it was the
// time of a deploy before the events. why says why that is not known.
func (f *follower) keys(ctx context.Context, at time.Time) (keys map[string]bool, why string, err error) {
	tip, err := f.walk.Branch(ctx, f.branch())
	if err != nil {
		return nil, "", err
	}
	base, err := f.sight(ctx, tip, at.Add(-time.Duration(f.within())))
	if err != nil {
		return nil, "", err
	}
	if base == "" {
		return nil, fmt.Sprintf("it is not known where the branch was %v before", time.Duration(f.within())), nil
	}
	entries, complete, err := f.walk.Touched(ctx, base, tip)
	if err != nil {
		return nil, "", err
	}
	if !complete {
		return nil, "the branch does not lead back to " + base, nil
	}
	rules, err := f.rules()
	if err != nil {
		return nil, "", err
	}
	keys = make(map[string]bool)
	for _, e := range entries {
		for _, key := range rules.Keys(e.Path) {
			keys[key] = true
		}
	}
	return keys, "", nil
}

// sight notes where the branch is, and returns where it was at a time; empty if
// that is not known.
func (f *follower) sight(ctx context.Context, tip string, at time.Time) (base string, err error) {
	for range 8 { // others write, too
		record, revision, err := f.store.Load(ctx)
		if err != nil {
			return "", err
		}
		var seen []sighting
		if len(record) > 0 {
			if err := json.Unmarshal(record, &seen); err != nil {
				return "", fmt.Errorf("read where the branch was: %w", err)
			}
		}
		base = ""
		for _, s := range seen {
			if s.Seen <= at.Unix() {
				base = s.Commit
			}
		}
		if n := len(seen); n > 0 && seen[n-1].Commit == tip {
			return base, nil
		}
		seen = append(seen, sighting{tip, time.Now().Unix()})
		text, err := json.Marshal(seen[max(0, len(seen)-mostSightings):])
		if err != nil {
			return "", err
		}
		if _, ok, err := f.store.Swap(ctx, text, revision); err != nil || ok {
			return base, err
		}
	}
	return base, nil
}
