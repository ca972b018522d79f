package quota

import (
	"context"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/cdn"
)

// look finds out what others have in progress, if the driver can tell: before a
// request that takes more than a little of a window that has not been looked
// at for a while, and while there is no room. The caller holds b.mu.
func (b *Broker) look(ctx context.Context, t *ticket, now time.Time) error {
	observer, ok := b.cfg.Driver.(cdn.Observer)
	if !ok || t.quota.PatternsInProgress <= 0 && t.quota.WildcardsInProgress <= 0 {
		return nil
	}
	if err := b.load(ctx); err != nil {
		return err
	}
	w := b.book.window(t.inv.Distribution)
	if seen := now.Sub(w.Looked); seen < lookEvery {
		return nil
	} else if full := !b.book.fits(t, now); !w.Doubt && !full && (seen < lookAgain || !w.weighty(t)) {
		return nil
	}
	known := make(map[string]cdn.Progress)
	for id, p := range w.Known {
		known[id] = cdn.Progress{ID: id, Patterns: p.Patterns, Wildcards: p.Wildcards, Since: p.At}
	}
	found, err := observer.InProgress(ctx, t.inv.Distribution, known)
	if err != nil {
		if ctx.Err() != nil {
			return err
		}
		// Sending without having looked costs a push-back at worst.
		b.cfg.Log.Warn("cannot see what is in progress", "distribution", t.inv.Distribution, "err", err)
		found = nil
		for _, p := range known {
			found = append(found, p)
		}
	}
	return b.write(ctx, func(k *book) bool {
		k.saw(t, found, now)
		return true
	})
}

// weighty reports whether with t more than a little of a window would be in use
// by us, so that it matters what others have in it.
func (w window) weighty(t *ticket) bool {
	const littlePatterns, littleWildcards = 0.02, 0.2 // 60 and 3 of CloudFront's
	sum := w.sum().plus(t.use)
	return !within(sum.Patterns, t.quota.PatternsInProgress, littlePatterns) || !within(sum.Wildcards, t.quota.WildcardsInProgress, littleWildcards)
}

// saw replaces what is known to be in progress by what was found, except for
// what is being sent just now: the CDN may not know of it yet.
func (k *book) saw(t *ticket, found []cdn.Progress, now time.Time) {
	w := k.window(t.inv.Distribution)
	before := w.Known
	w.Known, w.Looked, w.Doubt = make(map[string]progress), now, false
	for id, p := range before {
		age := now.Sub(p.At)
		if age < underWay && !p.Taken || age < listed {
			w.Known[id] = p
		}
	}
	for _, f := range found {
		p := progress{Use: Use{Patterns: f.Patterns, Wildcards: f.Wildcards}, At: f.Since, Taken: true}
		if _, ours := before[f.ID]; !ours && now.Sub(f.Since) < time.Second {
			k.charge(f.ID, freshet.Quota{}, p.Use, now) // others use the rates, too
			k.answer(f.ID, freshet.Quota{}, now)
		}
		w.Known[f.ID] = p
	}
	k.Windows[t.inv.Distribution] = w
}

const (
	underWay = time.Minute     // how long a request may be under way
	listed   = 3 * time.Second // after which what was accepted is in the CDN's list
)
