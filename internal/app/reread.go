package app

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/freshet/freshet/internal/distribution"
)

// Reread is what became of the distributions when their files were read anew, by
// ID.
type Reread struct {
	Changed, Added, Removed []string
	Functions               bool // some of them changed
}

// reread takes what the files say now in the place of what they said before, for
// the edge, the pipeline and the API alike. On an error everything stays as it
// was. It returns the files that were read, or would have been.
func (u *Up) reread(ctx context.Context) (files []string, err error) {
	now, err := describe(u.cfg, u.opts.Log)
	if err != nil {
		return now.files, fmt.Errorf("the distributions' files were not taken over, and what they said before holds until they are mended: %w", err)
	}
	before, was := u.described, u.catalog.Distributions()
	// A distribution finds its functions before and after it is taken over.
	both := maps.Clone(before.scripts)
	if both == nil {
		both = make(map[string]script)
	}
	maps.Copy(both, now.scripts)
	u.scripts.configured.Store(&both)
	if err := u.catalog.Rebuild(ctx, u.builtIn(now)); err != nil {
		u.scripts.configured.Store(&before.scripts)
		return now.files, fmt.Errorf("the distributions' files were not taken over, and what they said before holds until they are mended: %w", err)
	}
	u.scripts.configured.Store(&now.scripts)
	u.described = now
	u.note(before, now)
	if r := comparison(was, u.catalog.Distributions()); u.opts.Changed != nil {
		r.Functions = !sameScripts(before.scripts, now.scripts)
		if r.Functions || len(r.Changed)+len(r.Added)+len(r.Removed) > 0 {
			u.opts.Changed(r)
		}
	}
	return now.files, nil
}

// comparison says how one list of distributions differs from that before.
func comparison(before, now []distribution.Distribution) (r Reread) {
	was := make(map[string]*distribution.Distribution)
	for i := range before {
		was[before[i].ID] = &before[i]
	}
	for i := range now {
		d := now[i]
		old := was[d.ID]
		delete(was, d.ID)
		if old == nil {
			r.Added = append(r.Added, d.ID)
			continue
		}
		d.LastModified = old.LastModified
		if !reflect.DeepEqual(*old, d) {
			r.Changed = append(r.Changed, d.ID)
		}
	}
	r.Removed = slices.Sorted(maps.Keys(was))
	return r
}

// sameScripts compares what was compiled by what it was compiled from.
func sameScripts(a, b map[string]script) bool {
	return maps.EqualFunc(a, b, func(a, b script) bool { return a.source == b.source && reflect.DeepEqual(a.store, b.store) })
}
