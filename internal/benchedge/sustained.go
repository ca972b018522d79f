package benchedge

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// perSecondInvalidated is how many wildcards a second are invalidated while hits
// go on.
const perSecondInvalidated = 1000

// manner is how they are sent: so many in one request.
type manner struct {
	name    string
	at      int // place of the contender
	in      int // one request
	without []round
	with    []round
	sent    []float64 // a second
	took    []float64 // milliseconds until one request was answered
}

// sustained compares what a hit costs while nothing is invalidated with what it
// costs while wildcards are, which cover nothing but lie beside what is asked for.
// Each object is asked for so seldom that every hit comes after an invalidation.
func (b *bench) sustained(ctx context.Context, all []*process) (chapter, error) {
	var manners []*manner
	for k, p := range all {
		switch p.name {
		case "Varnish":
			manners = append(manners, &manner{name: p.name + ", one ban in each request", at: k, in: 1})
		case ourName:
			manners = append(manners, &manner{name: p.name + ", 50 in each request", at: k, in: 50}, &manner{name: p.name + ", one in each request", at: k, in: 1})
		}
	}
	l := b.anyLoad(smallBody)
	l.lenient = true
	// Before anything is invalidated, since Varnish has work left afterwards.
	for range b.rounds {
		for _, m := range manners {
			one, err := play(ctx, all[m.at], l, b.length, "1")
			if err != nil {
				return chapter{}, err
			}
			m.without = append(m.without, one)
		}
	}
	for range b.rounds {
		for _, m := range manners {
			if err := b.underInvalidations(ctx, all[m.at], l, m); err != nil {
				return chapter{}, err
			}
		}
	}
	return sustainedChapter(manners), nil
}

// underInvalidations plays one round of each kind.
func (b *bench) underInvalidations(ctx context.Context, p *process, l load, m *manner) error {
	purger, err := newPurger(ctx, p)
	if err != nil {
		return err
	}
	defer purger.close()
	if p.name == ourName {
		one, err := play(ctx, p, l, b.length, "1")
		if err != nil {
			return err
		}
		m.without = append(m.without, one)
	}
	during, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	sent, began := 0, time.Now()
	go func() {
		var err error
		sent, err = m.invalidateSteadily(during, purger)
		ended <- err
	}()
	one, err := play(ctx, p, l, b.length, "1")
	stop()
	if failed := <-ended; err == nil {
		err = failed
	}
	if err != nil {
		return err
	}
	m.with, m.sent = append(m.with, one), append(m.sent, float64(sent)/time.Since(began).Seconds())
	fmt.Fprintf(b.progress, "%s: %.0f invalidations/s, %.0f requests/s, %.2f us\n", m.name, m.sent[len(m.sent)-1], one.perSecond, one.cpu)
	return nil
}

// invalidateSteadily sends as many wildcards as are due, so many in one request,
// until ctx is done, and returns how many it has sent.
func (m *manner) invalidateSteadily(ctx context.Context, p *purger) (sent int, err error) {
	in, began := m.in, time.Now()
	for ctx.Err() == nil {
		due := int(time.Since(began).Seconds() * perSecondInvalidated)
		if sent+in > due {
			time.Sleep(time.Duration(in) * time.Second / perSecondInvalidated / 4)
			continue
		}
		prefixes := make([]string, in)
		for i := range prefixes {
			prefixes[i] = fmt.Sprintf("/%d/rest/none-%d-%d/", smallBody, began.UnixNano(), sent+i)
		}
		// Not ctx: a request that was begun is taken to its end.
		asked := time.Now()
		if err := p.wildcard(context.WithoutCancel(ctx), prefixes...); err != nil {
			return sent, fmt.Errorf("invalidate: %w", err)
		}
		m.took = append(m.took, time.Since(asked).Seconds()*1e3)
		sent += in
	}
	return sent, nil
}

func sustainedChapter(manners []*manner) (c chapter) {
	var text strings.Builder
	text.WriteString("Small objects, each as likely as the others. The wildcards lie beside them and cover nothing.\nWhat the server needs for the invalidations counts as spent on the hits.\n\n" +
		"| server | invalidations/s | answered after, ms | p99, ms | CPU per hit without, us | with, us | dearer by | hits/s without | with | p99 without, us | with, us |\n|---|---|---|---|---|---|---|---|---|---|---|\n")
	r := row{what: sustainedTitle + ": CPU per hit"}
	var ours, others []string
	for _, m := range manners {
		fmt.Fprintf(&text, "| %s | %.0f | %.2f | %.2f | %s | %s | %s | %.0f | %.0f | %.0f | %.0f |\n", m.name, spreadOf(m.sent).median, spreadOf(m.took).median, most(m.took), cpuSpread(m.without), cpuSpread(m.with),
			dearer(cpuOf(m.without), cpuOf(m.with)), median(m.without, perSecond), median(m.with, perSecond), median(m.without, p99), median(m.with, p99))
		name, how, _ := strings.Cut(m.name, ", ")
		figure := dearer(cpuOf(m.without), cpuOf(m.with))
		if name == ourName {
			ours = append(ours, figure+" ("+how+")")
		} else {
			others = append(others, fmt.Sprintf("%s %s, hits/s %s", name, figure, dearer(median(m.without, perSecond), median(m.with, perSecond))))
		}
	}
	r.ours, r.others = strings.Join(ours, ", "), strings.Join(others, "; ")
	c.text, c.rows = text.String(), []row{r}
	return c
}

// most is the value that 99 of 100 are at most.
func most(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(values))[len(values)*99/100]
}
