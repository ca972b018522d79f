package quota

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/cdn"
)

// look finds out what others have in progress, if t has reason to know it and
// nobody else is doing so. Nobody is kept from anything by a slow answer but
// those who have reason, too.
func (b *Broker) look(ctx context.Context, t *ticket) error {
	known, needed, err := b.beginLook(ctx, t)
	if err != nil || !needed {
		return err
	}
	defer b.endLook(t)
	asking, cancel := context.WithTimeout(ctx, lookFor)
	defer cancel()
	found, err := b.observer.InProgress(asking, t.inv.Distribution, known)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		// Sending without having looked costs a push-back at worst.
		b.cfg.Log.Warn("cannot see what is in progress", "distribution", t.inv.Distribution, "err", err)
		found = slices.Collect(maps.Values(known)) // and forget the crowd
	}
	if err := b.lock(ctx); err != nil {
		return err
	}
	defer b.unlock()
	return b.write(ctx, func(k *book) bool {
		k.saw(t, found, wall())
		return true
	})
}

// beginLook says what is known, and whether t is to look now.
func (b *Broker) beginLook(ctx context.Context, t *ticket) (known map[string]cdn.Progress, needed bool, err error) {
	if b.observer == nil {
		return nil, false, nil
	}
	if err := b.lock(ctx); err != nil {
		return nil, false, err
	}
	defer b.unlock()
	if err := b.load(ctx); err != nil {
		return nil, false, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	d := t.inv.Distribution
	if b.looking[d] || !b.unseen(t, wall()) {
		return nil, false, nil
	}
	b.looking[d] = true
	known = make(map[string]cdn.Progress)
	for id, p := range b.book.window(d).Known {
		if id == crowd {
			continue
		}
		known[id] = cdn.Progress{ID: id, Patterns: p.Patterns, Wildcards: p.Wildcards, Since: p.At}
	}
	return known, true, nil
}

func (b *Broker) endLook(t *ticket) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.looking, t.inv.Distribution)
	b.wake()
}

// unseen reports whether t has reason to look: before a request that takes more
// than a little of a window that has not been looked at for a while, and while
// there is no room. The caller holds b.mu.
func (b *Broker) unseen(t *ticket, now time.Time) bool {
	if b.observer == nil || t.quota.PatternsInProgress <= 0 && t.quota.WildcardsInProgress <= 0 {
		return false
	}
	w := b.book.window(t.inv.Distribution)
	seen := now.Sub(w.Looked)
	if seen < lookEvery {
		return false
	}
	room, wildcards := b.book.fits(t, w.sum(now), now)
	return w.Doubt || !room || !wildcards || seen >= lookAgain && w.weighty(t, now)
}

// blind reports whether t has to wait for what somebody is finding out. The
// caller holds b.mu.
func (b *Broker) blind(t *ticket, now time.Time) bool {
	return b.looking[t.inv.Distribution] && b.unseen(t, now)
}

// weighty reports whether with t more than a little of a window would be in use
// by us, so that it matters what others have in it.
func (w window) weighty(t *ticket, now time.Time) bool {
	const littlePatterns, littleWildcards = 0.02, 0.2 // 60 and 3 of CloudFront's
	sum := w.sum(now).plus(t.use)
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
		if id != crowd && (age < underWay && !p.Taken || age < listed) {
			w.Known[id] = p
		}
	}
	others := 0
	for _, f := range found {
		p := progress{Use: Use{Patterns: f.Patterns, Wildcards: f.Wildcards}, At: f.Since, Taken: true}
		known, ours := before[f.ID]
		if !ours && now.Sub(f.Since) < time.Second {
			k.charge(f.ID, freshet.Quota{}, p.Use, now) // others use the rates, too
			k.answer(f.ID, freshet.Quota{}, now)
		}
		if ours && !known.Others {
			w.Known[f.ID] = p
			continue
		}
		p.Others = true
		if others++; others > mostOthers {
			all := w.Known[crowd]
			w.Known[crowd] = progress{Use: all.plus(p.Use), At: newest(all.At, p.At), Taken: true, Others: true}
			continue
		}
		w.Known[f.ID] = p
	}
	k.Windows[t.inv.Distribution] = w
}

// crowd is the name under which what others have in progress beyond mostOthers is
// known as one, so that the record stays small.
const (
	crowd      = "others"
	mostOthers = 50
)

const (
	lookFor  = 10 * time.Second // how long to wait for what others have in progress
	underWay = time.Minute      // how long a request may be under way
	listed   = 3 * time.Second  // after which what was accepted is in the CDN's list
)
