package benchedge

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// restart ends each server in the way that is meant for it, starts it again, and
// tells how soon it has an object in its cache, and whether that is one from
// before.
func (b *bench) restart(ctx context.Context, all []*process) (c chapter, err error) {
	var text strings.Builder
	fmt.Fprintf(&text, "%d objects. nginx has them in files, as the edge has with --disk, which are in memory here; the others have none that would outlive them.\n"+
		"The first hit is the first answer that comes without the origin.\n\n"+
		"| server | ends after, ms | first answer after, ms | first hit after, ms | found again of 1,000 |\n|---|---|---|---|---|\n", b.objects)
	hits := make([]float64, len(all))
	founds := make([]int, len(all))
	for k, p := range all {
		began := time.Now()
		p.halt()
		ended, began := time.Since(began), time.Now()
		if err := p.launch(); err != nil {
			return c, fmt.Errorf("start %s again: %w", p.name, err)
		}
		answer, hit, err := b.firstHit(ctx, p, began)
		if err != nil {
			return c, err
		}
		if founds[k], err = b.found(ctx, p, 1024, 1000); err != nil {
			return c, err
		}
		hits[k] = hit.Seconds() * 1e3
		fmt.Fprintf(&text, "| %s | %d | %d | %d | %d |\n", p.name, ended.Milliseconds(), answer.Milliseconds(), hit.Milliseconds(), founds[k])
	}
	c.rows = rowOf(restartTitle+": first hit", all, func(k int) string { return fmt.Sprintf("%.0f ms, %d of 1,000 found", hits[k], founds[k]) })
	c.text = text.String()
	return c, nil
}

// firstHit asks for one object until it comes from the cache.
func (b *bench) firstHit(ctx context.Context, p *process, began time.Time) (answer, hit time.Duration, err error) {
	v, err := newViewer(ctx, p.addr)
	if err != nil {
		return 0, 0, err
	}
	defer v.close()
	for time.Since(began) < patience {
		before := b.origin.asked.Load()
		if _, err := v.get(b.path(1024, b.objects-2)); err != nil {
			return 0, 0, err
		}
		if answer == 0 {
			answer = time.Since(began)
		}
		if b.origin.asked.Load() == before {
			return answer, time.Since(began), nil
		}
	}
	return 0, 0, fmt.Errorf("%s has nothing in its cache", p.name)
}
