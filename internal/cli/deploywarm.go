package cli

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/app"
	"github.com/freshet/freshet/internal/deploy"
	"github.com/freshet/freshet/internal/deploy/conduct"
	"github.com/freshet/freshet/internal/warm"
)

// warmth is of how many URLs the responses are made warm after a deploy; -1 is of
// all that it made cold.
type warmth int

const warmAll warmth = -1

// UnmarshalText reads changed, none or a number.
func (w *warmth) UnmarshalText(text []byte) error {
	switch string(text) {
	case "changed":
		*w = warmAll
		return nil
	case "none":
		*w = 0
		return nil
	}
	n, err := strconv.ParseUint(string(text), 10, 31)
	if err != nil {
		return fmt.Errorf("%q is not changed, none or a number of URLs", text)
	}
	*w = warmth(n)
	return nil
}

// warmed is what became of the caches after a deploy.
type warmed struct {
	URLs    int          `json:"urls"`
	LeftOut int          `json:"urls_left_out,omitempty"` // that were made cold as well
	Already int          `json:"already_warm"`
	Warmed  int          `json:"warmed"`
	Absent  int          `json:"nothing_there,omitempty"` // URLs that the origin has nothing for, such as a folder's without a rewrite
	Failed  int          `json:"failed"`
	Left    int          `json:"not_asked_for,omitempty"`
	Bytes   int64        `json:"bytes"`
	Took    float64      `json:"seconds"`
	Bad     []coldAnswer `json:"failures,omitempty"` // the first of those that failed
	Notes   []string     `json:"notes,omitempty"`
	Why     string       `json:"reason,omitempty"` // that not all, or nothing, was made warm
}

// coldAnswer is a response that is not warm.
type coldAnswer struct {
	URL     string `json:"url"`
	Variant string `json:"variant"`
	Reason  string `json:"reason"`
}

// text writes what became of it; nil is nothing.
func (w *warmed) text(b *strings.Builder) {
	if w == nil {
		return
	}
	for _, n := range w.Notes {
		fmt.Fprintf(b, "warming: %s\n", n)
	}
	if n := w.Already + w.Warmed + w.Failed; n > 0 {
		fmt.Fprintf(b, "%s of %s warmed, %d were warm, in %.1f s", count(w.Warmed, "response"), count(w.URLs, "URL"), w.Already, w.Took)
		if w.LeftOut > 0 {
			fmt.Fprintf(b, "; %s more may be cold (--warm changed takes all)", count(w.LeftOut, "URL"))
		}
		b.WriteString("\n")
	}
	for _, c := range w.Bad {
		fmt.Fprintf(b, "not warm: %s  %s: %s\n", c.URL, c.Variant, c.Reason)
	}
	if more := w.Failed - len(w.Bad); more > 0 {
		fmt.Fprintf(b, "not warm: %d more\n", more)
	}
	if w.Why != "" {
		fmt.Fprintf(b, "not all is warm: %s\n", w.Why)
	}
}

// warm fetches what deploys made cold, once viewers would get what is new. It is
// nil where nothing is to be warm.
func (c *deployCmd) warm(ctx context.Context, site *deploySite, p *conduct.Prepared, results []conduct.Result, show *deployScreen) *warmed {
	if c.Warm == 0 || !c.Wait || site.mode == byNobody {
		return nil
	}
	through, why := throughOf(results)
	if len(through) == 0 {
		if why == "" {
			return nil
		}
		return &warmed{Why: why}
	}
	if site.mode == byEvents && site.running == nil && (c.Verify == "none" || c.Verify == "0") {
		return &warmed{Why: "with --verify none nobody knows when the others have invalidated"}
	}
	w := &warmed{Why: why}
	if err := c.warmUp(ctx, w, site, p.Have(), through, show); err != nil {
		w.Why = err.Error()
	}
	return w
}

// throughOf are the deploys after which viewers get what is new, with the reason
// why others are not among them. What is stale would only be seen again.
func throughOf(results []conduct.Result) (through []*deploy.Deploy, why string) {
	for _, r := range results {
		stale := slices.ContainsFunc(r.Verdicts, func(v freshet.Verdict) bool { return v.State == freshet.Stale })
		switch d := r.Deploy; {
		case d == nil || len(d.Changes) == 0:
		case stale || d.Phase != deploy.Completed && d.Phase != deploy.Verified:
			why = fmt.Sprintf("deploy %s is not through", d.ID)
		default:
			through = append(through, d)
		}
	}
	return through, why
}

func (c *deployCmd) warmUp(ctx context.Context, w *warmed, site *deploySite, have []deploy.Present, through []*deploy.Deploy, show *deployScreen) error {
	show.doing("listing what is cold")
	v, err := site.viewers(ctx, c.EdgeURL)
	if v != nil {
		defer v.Close()
	}
	if err != nil || v == nil {
		return err
	}
	requests, err := c.cold(v, w, site, have, through)
	if err != nil || len(requests) == 0 {
		return err
	}
	show.event(conduct.Event{Stage: conduct.Warming, Objects: len(requests)})
	report, err := warm.Fetch(ctx, warm.Config{Client: v.Client, Rate: c.rate(site), Each: func(r warm.Result) {
		show.event(conduct.Event{Stage: conduct.Warming, Done: &conduct.Done{}})
		if nothingThere(r) {
			w.Absent++
			return
		}
		if (r.State == warm.Failed || r.State == warm.Skipped) && len(w.Bad) < mostShown {
			w.Bad = append(w.Bad, coldAnswer{r.Ask.URL.String(), r.Variant, r.Reason})
		}
	}}, requests)
	w.Already, w.Warmed, w.Failed, w.Left = report.Already, report.Warmed, report.Failed+report.Skipped-w.Absent, report.Left
	w.Bytes, w.Took = report.Bytes, report.Took.Seconds()
	return err
}

// nothingThere reports whether the origin has nothing for a URL that its object
// might be seen under. S3 says 403 to whoever may not list the bucket.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
func nothingThere(r warm.Result) bool {
	gone := []int{http.StatusForbidden, http.StatusNotFound, http.StatusGone}
	return r.State == warm.Failed && r.Err == nil && slices.Contains(gone, r.Answer.Status)
}

// rate spares origins that others pay for.
func (c *deployCmd) rate(site *deploySite) float64 {
	const gentle = 50
	switch {
	case c.WarmRate != nil:
		return float64(*c.WarmRate)
	case site.running != nil:
		return 0
	}
	return gentle
}

// viewers reaches the edge as viewers do; nil where nobody says which edge.
func (s *deploySite) viewers(ctx context.Context, edgeURL string) (*app.Viewers, error) {
	o := app.ViewersOptions{Agent: "freshet-deploy", MaxBody: largestBody}
	edge := s.running
	if edgeURL != "" {
		var err error
		if edge, err = edgeAt(ctx, edgeURL); err != nil {
			return nil, err
		}
	}
	switch {
	case s.planner != nil:
		return app.ViewersOf(s.planner, edge, o)
	case s.running != nil:
		return app.NewViewers(ctx, s.cfg, o)
	}
	return nil, nil //nolint:nilnil // as documented
}

// edgeAt is an edge that answers for every distribution at one address.
func edgeAt(ctx context.Context, edgeURL string) (*app.Running, error) {
	u, err := url.Parse(edgeURL)
	if err != nil {
		return nil, fmt.Errorf("--edge-url: %w", err)
	}
	addresses, err := net.DefaultResolver.LookupNetIP(ctx, "ip", u.Hostname())
	if err != nil {
		return nil, fmt.Errorf("--edge-url: %w", err)
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	at, edge := u.Scheme+"://"+net.JoinHostPort(addresses[0].Unmap().String(), port), new(app.Running)
	switch u.Scheme {
	case "http":
		edge.Edge = at
	case "https":
		edge.EdgeTLS = at
	default:
		return nil, fmt.Errorf("--edge-url=%s: it is a URL such as http://127.0.0.1:8080", edgeURL)
	}
	return edge, nil
}

// cold lists the requests for what deploys made cold, the hottest first, as many
// as are wanted.
func (c *deployCmd) cold(v *app.Viewers, w *warmed, site *deploySite, have []deploy.Present, through []*deploy.Deploy) ([]warm.Request, error) {
	if site.planner == nil {
		v.Planner.Holds(site.bucket, presentKeys(have))
	}
	requests, seen := []warm.Request(nil), make(map[string]bool)
	for _, d := range slices.Backward(through) { // what the last one deleted is gone
		p, err := coldPlan(v.Planner, d)
		if err != nil {
			return nil, err
		}
		some, notes, err := v.PlanRequests(p)
		if err != nil {
			return nil, err
		}
		w.Notes = append(w.Notes, notes...)
		fresh := make(map[string]bool)
		for _, r := range some {
			if u := r.Ask.URL.String(); !seen[u] {
				fresh[u] = true
				requests = append(requests, r)
			}
		}
		maps.Copy(seen, fresh)
	}
	if err := c.weigh(v, w, requests); err != nil {
		return nil, err
	}
	return c.hottest(w, warm.Ordered(requests)), nil
}

// coldPlan is what a deploy has invalidated, and beside it everything that its
// changes are seen under: what is new was not invalidated, and is cold as well.
func coldPlan(planner *app.Planner, d *deploy.Deploy) (freshet.Plan, error) {
	p := freshet.Plan{Changes: d.Changes}
	if d.Plan != nil {
		p.Invalidations = slices.Clone(d.Plan.Invalidations)
	} else {
		made, err := planner.Make(d.Changes, true)
		if err != nil {
			return p, fmt.Errorf("plan what is cold: %w", err)
		}
		p.Invalidations = made.Invalidations
	}
	targets, _ := planner.Router.Targets(d.Changes, nil)
	at := make(map[string][]freshet.Target)
	for _, t := range targets {
		at[t.Distribution] = append(at[t.Distribution], t)
	}
	for _, id := range slices.Sorted(maps.Keys(at)) {
		p.Invalidations = append(p.Invalidations, freshet.Invalidation{Distribution: id, Targets: at[id]})
	}
	return p, nil
}

// weigh says how hot requests are: by access logs, or the nearer to the root the
// hotter.
func (c *deployCmd) weigh(v *app.Viewers, w *warmed, requests []warm.Request) error {
	heat, notes, err := v.Heat(c.AccessLog)
	if err != nil {
		return err
	}
	w.Notes = append(w.Notes, notes...)
	for i := range requests {
		u := requests[i].Ask.URL
		requests[i].Weight = heat.Of(u)
		if len(c.AccessLog) == 0 {
			requests[i].Weight = -int64(strings.Count(strings.TrimSuffix(u.Path, "/"), "/"))
		}
	}
	return nil
}

// hottest takes the requests for as many URLs as are wanted.
func (c *deployCmd) hottest(w *warmed, requests []warm.Request) []warm.Request {
	taken, left := make(map[string]bool), make(map[string]bool)
	requests = slices.DeleteFunc(requests, func(r warm.Request) bool {
		u := r.Ask.URL.String()
		if !taken[u] && c.Warm != warmAll && len(taken) >= int(c.Warm) {
			left[u] = true
			return true
		}
		taken[u] = true
		return false
	})
	w.URLs, w.LeftOut = len(taken), len(left)
	w.Notes = slices.Compact(slices.SortedFunc(slices.Values(w.Notes), cmp.Compare[string]))
	return requests
}
