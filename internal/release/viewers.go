package release

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/freshet/freshet/internal/warm"
)

// Viewers looks through the edge.
type Viewers struct {
	Fetcher  warm.Fetcher
	Looked   []warm.Request // that are looked at after the invalidation
	Warmed   []warm.Request // that are to be warm at the end
	Patience time.Duration  // for which an edge may serve something older after that
	Say      func(string)
}

// Stale is the error of URLs that were still served from before.
type Stale struct{ Seen []string }

// Error names them.
func (s *Stale) Error() string {
	return "still served from before the release: " + strings.Join(s.Seen, "; ")
}

// Verify returns when no URL is served any more as it was before the release: no
// copy is as old as the first of its invalidations.
func (v *Viewers) Verify(ctx context.Context, j Journal) error {
	began := time.Now()
	for {
		var stale Stale
		for _, r := range v.Looked {
			seen, err := v.look(ctx, r, j.Planned)
			if err != nil {
				return err
			}
			if seen != "" {
				stale.Seen = append(stale.Seen, seen)
			}
		}
		switch after := time.Since(began); {
		case len(stale.Seen) == 0:
			v.Say(fmt.Sprintf("%d responses are newer than the invalidation", len(v.Looked)))
			return nil
		case after >= v.Patience:
			return &stale
		}
		if err := pause(ctx, time.Second); err != nil {
			return err
		}
	}
}

// look returns what was seen of a copy that is too old; empty is none.
func (v *Viewers) look(ctx context.Context, r warm.Request, since time.Time) (stale string, err error) {
	a, err := v.Fetcher.Fetch(ctx, r.Ask)
	switch {
	case err != nil:
		return "", fmt.Errorf("look through the edge: %w", err)
	case a.Status >= http.StatusInternalServerError:
		return "", fmt.Errorf("look through the edge: %s answered %d", a.URL, a.Status)
	}
	age, known := a.Age()
	// An age is whole seconds, and the edge's clock is not ours: it counts from
	// when the answer came.
	if known && a.At.Add(-age).Before(since.Add(-time.Second)) {
		return fmt.Sprintf("%s (%s): %s, %v old, %s", a.URL, r.Variant, a.Cache(), age, a.PoP()), nil
	}
	return "", nil
}

// Warm fetches what is to be warm. That some of it cannot be kept or fetched is
// said, and no error unless it is all.
func (v *Viewers) Warm(ctx context.Context, _ Journal) error {
	report, err := warm.Fetch(ctx, warm.Config{Client: v.Fetcher, Each: func(r warm.Result) {
		if r.State == warm.Failed || r.State == warm.Skipped {
			v.Say(fmt.Sprintf("%s (%s): %s: %s", r.Ask.URL, r.Variant, r.State, r.Reason))
		}
	}}, v.Warmed)
	if err != nil {
		return err
	}
	v.Say(fmt.Sprintf("%d warmed, %d were warm, %d are not kept, %d failed", report.Warmed, report.Already, report.Unkept, report.Failed+report.Skipped))
	if bad := report.Failed + report.Skipped; bad > 0 && bad == len(v.Warmed) {
		return fmt.Errorf("warm: none of %d requests was answered", bad)
	}
	return nil
}
