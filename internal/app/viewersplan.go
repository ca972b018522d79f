package app

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/inventory"
	"github.com/freshet/freshet/internal/variant"
	"github.com/freshet/freshet/internal/verify"
	"github.com/freshet/freshet/internal/warm"
)

// PlanViews are the ways in which viewers see what a plan makes stale. Targets
// that stand for many URLs are counted in the notes.
func (v *Viewers) PlanViews(p freshet.Plan) (views []verify.View, notes []string, err error) {
	targets, notes, err := v.targets(p)
	if err != nil {
		return nil, nil, err
	}
	for _, t := range targets {
		for _, u := range t.urls {
			some, unknown, err := v.views(u, func(one variant.Variant) *verify.Source { return v.planned(t, u, one) })
			if err != nil {
				return nil, nil, err
			}
			views, notes = append(views, some...), addNotes(notes, unknown)
		}
	}
	return views, notes, nil
}

// addNotes adds those that were not said before.
func addNotes(notes, more []string) []string {
	seen := make(map[string]bool, len(notes))
	for _, n := range notes {
		seen[n] = true
	}
	for _, n := range more {
		if !seen[n] {
			seen[n] = true
			notes = append(notes, n)
		}
	}
	return notes
}

// plannedURL is a URL that a plan makes stale.
type plannedURL struct {
	urls   []*url.URL // under every name that has a response of its own
	target freshet.Target
	change freshet.Change
}

// targets lists the URLs of a plan, each once; where several changes make one
// stale, that of the object which answers it counts.
func (v *Viewers) targets(p freshet.Plan) (all []plannedURL, notes []string, err error) {
	changes := make(map[[2]string]freshet.Change, len(p.Changes))
	for _, c := range p.Changes {
		changes[[2]string{c.Origin, c.Key}] = c
	}
	at := make(map[[2]string]int)
	many := 0
	for _, inv := range p.Invalidations {
		d, ok := v.byID(inv.Distribution)
		if !ok {
			return nil, nil, fmt.Errorf("distribution %s of the plan is not configured: give it as --distribution %[1]s=FILE", inv.Distribution)
		}
		for _, t := range inv.Targets {
			if strings.HasSuffix(t.URL, "*") && !t.Served {
				many++
				continue
			}
			name := [2]string{inv.Distribution, t.URL}
			one := plannedURL{target: t, change: changes[[2]string{t.Origin, t.Key}]}
			if i, seen := at[name]; seen {
				if t.Served && !all[i].target.Served {
					one.urls = all[i].urls
					all[i] = one
				}
				continue
			}
			if one.urls, err = v.OnAll(d, t.URL); err != nil {
				return nil, nil, err
			}
			at[name] = len(all)
			all = append(all, one)
		}
	}
	if many > 0 {
		notes = append(notes, fmt.Sprintf("%d targets of the plan stand for many URLs each, which are not looked at", many))
	}
	return all, notes, nil
}

// planned is what a URL should show after a plan: what its bucket holds, where
// that is the running freshet's or the plan does not say it, what the plan's
// change says, or, of a page that is not the object itself, something younger
// than the change.
func (v *Viewers) planned(t plannedURL, u *url.URL, one variant.Variant) *verify.Source {
	c := t.change
	said := verify.Expected{From: "the plan", ETag: c.ETag, Gone: c.Op == freshet.OpDelete}
	switch {
	case v.opts.Expected != nil || v.opts.Origin != nil:
		return v.source(u, one)
	case !t.target.Served:
		return always(verify.Expected{From: "the plan", Since: c.Time})
	case v.running != nil || said.ETag == "" && !said.Gone:
		name := "plan\n" + u.String()
		if s := v.sources[name]; s != nil {
			return s
		}
		held := v.source(u, one)
		v.sources[name] = &verify.Source{Ask: func(ctx context.Context) (verify.Expected, error) {
			want, err := held.Expected(ctx, time.Now())
			if c.ETag != "" {
				want.Also = []string{c.ETag}
			}
			return want, err
		}}
		return v.sources[name]
	}
	return always(said)
}

// PlanRequests are the ways in which what a plan makes cold is to be made warm:
// what it is for, but for what is gone, and, where an inventory knows it, what its
// wildcards and tags remove without its having changed.
func (v *Viewers) PlanRequests(p freshet.Plan) (requests []warm.Request, notes []string, err error) {
	targets, notes, err := v.targets(p)
	if err != nil {
		return nil, nil, err
	}
	seen := make(map[string]bool)
	add := func(u *url.URL, weight int64) error {
		if seen[u.String()] {
			return nil
		}
		seen[u.String()] = true
		some, unknown, err := v.Requests(u, weight)
		requests, notes = append(requests, some...), addNotes(notes, unknown)
		return err
	}
	for _, t := range targets {
		for _, u := range t.urls {
			if t.change.Op == freshet.OpDelete && t.target.Served {
				seen[u.String()] = true
				continue
			}
			if err := add(u, v.weight(t.target.Distribution, t.target.URL)); err != nil {
				return nil, nil, err
			}
		}
	}
	for _, inv := range p.Invalidations {
		more, err := v.collateral(inv, add)
		if err != nil {
			return nil, nil, err
		}
		notes = addNotes(notes, more)
	}
	return requests, notes, nil
}

// weight is how often a URL is asked for, as far as that is known.
func (v *Viewers) weight(distribution, u string) int64 {
	live := v.inventory(distribution)
	if live == nil {
		return 0
	}
	e, _ := live.Find(u)
	return e.Requests
}

// inventory is nil where nothing is known.
func (v *Viewers) inventory(distribution string) *inventory.Inventory {
	if v.Planner == nil {
		return nil
	}
	return v.Planner.Inventories[distribution]
}

// collateral adds what a request of a plan makes cold beside its targets.
func (v *Viewers) collateral(inv freshet.Invalidation, add func(*url.URL, int64) error) (notes []string, err error) {
	live := v.inventory(inv.Distribution)
	d, _ := v.byID(inv.Distribution)
	each := func(e inventory.Entry) error {
		all, err := v.OnAll(d, e.URL)
		for _, u := range all {
			if err == nil {
				err = add(u, e.Requests)
			}
		}
		return err
	}
	for _, p := range inv.Patterns {
		switch {
		case !p.IsWildcard() && !p.IsTag():
			continue
		case live == nil:
			notes = append(notes, fmt.Sprintf("what %s removes beside its targets is not known: give what there is with --inventory or --access-log", p))
		case p.IsTag():
			c := live.Cursor()
			for i := range live.Tagged(string(p[1:])) {
				c.SeekIndex(i)
				if err := each(c.Entry()); err != nil {
					return nil, err
				}
			}
		default:
			c := live.Cursor()
			for c.Seek(p.Prefix()); !c.Done() && c.HasPrefix(p.Prefix()); c.Next() {
				if err := each(c.Entry()); err != nil {
					return nil, err
				}
			}
		}
	}
	return notes, nil
}
