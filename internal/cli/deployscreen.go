package cli

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/deploy"
	"github.com/freshet/freshet/internal/deploy/conduct"
)

// deployScreen shows people how a deploy goes: a line that is rewritten on a
// terminal, and elsewhere one for each stage.
type deployScreen struct {
	out  io.Writer
	live bool
	stop chan struct{}
	done sync.WaitGroup

	mu      sync.Mutex
	text    string // what is being done
	stage   conduct.Stage
	objects int
	bytes   int64
	through int
	sent    int64
	begun   time.Time
	shown   bool
}

func newDeployScreen(out io.Writer) *deployScreen {
	s := &deployScreen{out: out, live: isTerminal(out), stop: make(chan struct{}), begun: time.Now()}
	if s.live {
		s.done.Go(s.run)
	}
	return s
}

func (s *deployScreen) run() {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-tick.C:
			s.mu.Lock()
			s.draw()
			s.mu.Unlock()
		}
	}
}

// close may be called once.
func (s *deployScreen) close() {
	close(s.stop)
	s.done.Wait()
	s.quiet()
}

// draw rewrites the line. The caller holds s.mu.
func (s *deployScreen) draw() {
	line := s.text
	if s.stage != conduct.Noting {
		line = string(s.stage)
		if s.objects > 0 {
			line += fmt.Sprintf(" %d/%d", s.through, s.objects)
		}
		if s.bytes > 0 {
			took := max(time.Since(s.begun).Seconds(), 0.001)
			line += fmt.Sprintf(", %s of %s, %s/s", bytesOf(s.sent), bytesOf(s.bytes), bytesOf(int64(float64(s.sent)/took)))
		}
	} else if s.sent > 0 {
		line += ", " + bytesOf(s.sent)
	}
	if line == "" {
		return
	}
	width, _ := screen(s.out)
	if len(line) >= width {
		line = line[:max(width-1, 0)]
	}
	_, _ = fmt.Fprintf(s.out, "\r\x1b[K%s", line)
	s.shown = true
}

// quiet takes the line away.
func (s *deployScreen) quiet() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text, s.stage = "", conduct.Noting
	s.sent, s.bytes = 0, 0
	s.wipe()
}

func (s *deployScreen) wipe() {
	if s.shown {
		_, _ = io.WriteString(s.out, "\r\x1b[K")
		s.shown = false
	}
}

func (s *deployScreen) note(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wipe()
	_, _ = fmt.Fprintf(s.out, format+"\n", args...)
}

func (s *deployScreen) doing(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text, s.stage, s.sent, s.bytes = what, conduct.Noting, 0, 0
}

func (s *deployScreen) hashed(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent += n
}

// event is told by the conductor, concurrently.
func (s *deployScreen) event(e conduct.Event) {
	if e.Note != "" {
		s.note("%s", e.Note)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case e.Done != nil:
		s.through++
		s.sent += e.Done.Size
	case e.Stage != conduct.Noting:
		if e.Stage != s.stage {
			s.begun, s.through, s.sent, s.objects, s.bytes = time.Now(), 0, 0, 0, 0
		}
		s.stage, s.objects, s.bytes = e.Stage, s.objects+e.Objects, s.bytes+e.Bytes
	}
}

// announcement says what is about to be done.
func announcement(p *conduct.Prepared, s *deploySite) string {
	text := summaryOf(p.Totals)
	if p.Resumed {
		text = "going on with a deploy that died: " + text + " left"
	}
	return text + "; " + whoInvalidates(s)
}

func summaryOf(t deploy.Totals) string {
	var parts []string
	add := func(n int, what string) {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, what))
		}
	}
	add(t.New, "new")
	add(t.Content, "changed")
	add(t.Headers, "with other headers")
	add(t.Deleted, "deleted")
	if len(parts) == 0 {
		parts = append(parts, "nothing to send")
	}
	return strings.Join(parts, ", ") + fmt.Sprintf(", %d unchanged", t.Unchanged)
}

func whoInvalidates(s *deploySite) string {
	switch s.mode {
	case byEvents:
		return "invalidation is left to the bucket's events: " + s.because
	case byNobody:
		return "nothing is invalidated: " + s.because
	}
	var ids []string
	for _, d := range s.planner.Distributions {
		ids = append(ids, d.ID)
	}
	return "invalidating at " + strings.Join(ids, ", ") + ": " + s.because
}

// deployed is what --json prints.
type deployed struct {
	Deploy        *deploy.Deploy    `json:"deploy,omitempty"`
	Finished      []string          `json:"finished,omitempty"` // earlier deploys that were finished first
	Totals        deploy.Totals     `json:"totals"`
	Mode          string            `json:"invalidate"`
	Because       string            `json:"because"`
	Verdicts      map[string]int    `json:"verdicts,omitempty"`
	Stale         []freshet.Verdict `json:"stale,omitempty"`
	SentAt        *time.Time        `json:"sent_at,omitempty"`
	EndedAt       *time.Time        `json:"ended_at,omitempty"`
	SentToEnd     float64           `json:"seconds_from_sent_to_end,omitempty"`
	Invalidations int               `json:"invalidations"`
	Warmed        *warmed           `json:"warmed,omitempty"` // absent where nothing was to be
}

// show prints a dry run.
func (c *deployCmd) show(t terminal, s *deploySite, p *conduct.Prepared) error {
	d := p.Deploy
	if d != nil && d.Elsewhere && d.Plan == nil && s.planner != nil {
		// What follows the bucket plans for itself, alike but for the references.
		s.believe(p.Have())
		made, err := s.planner.Make(d.Changes, true)
		if err != nil {
			return err
		}
		copied := *d
		copied.Plan, d = &made, &copied
	}
	if c.JSON {
		return printJSON(t.out, deployed{Deploy: d, Totals: p.Totals, Mode: s.mode, Because: s.because})
	}
	if p.Before != nil {
		_, _ = fmt.Fprintf(t.out, "deploy %s has sent its objects and not got through: it is finished first\n", p.Before.ID)
	}
	_, _ = fmt.Fprintln(t.out, announcement(p, s))
	for _, phase := range deploy.Phases(p.Steps) {
		for _, step := range phase {
			_, _ = fmt.Fprintf(t.out, "%-7s %-8s %s\n", step.Op, step.Reason, visible(step.Object.Key))
		}
	}
	if d == nil || d.Plan == nil {
		return nil
	}
	_, _ = fmt.Fprintln(t.out)
	return (&planText{Plan: *d.Plan}).write(t.out)
}

// report prints what was done.
func (c *deployCmd) report(t terminal, s *deploySite, p *conduct.Prepared, results []conduct.Result, warmed *warmed) error {
	out := deployed{Warmed: warmed, Totals: p.Totals, Mode: s.mode, Because: s.because, Verdicts: make(map[string]int)}
	for _, r := range results {
		if r.Deploy != p.Deploy {
			out.Finished = append(out.Finished, r.Deploy.ID)
		} else {
			out.Deploy = r.Deploy
		}
		out.Invalidations += len(r.Deploy.Receipts)
		for _, v := range r.Verdicts {
			out.Verdicts[string(v.State)]++
			if v.State != freshet.Fresh {
				out.Stale = append(out.Stale, v)
			}
		}
		if !r.Sent.IsZero() {
			out.SentAt, out.EndedAt, out.SentToEnd = &r.Sent, &r.Ended, r.Ended.Sub(r.Sent).Seconds()
		}
	}
	var err error
	if c.JSON {
		err = printJSON(t.out, out)
	} else {
		_, err = io.WriteString(t.out, out.text())
	}
	if err == nil && len(out.Stale) > 0 {
		return exitError{exitStale, nil}
	}
	return err
}

func (d deployed) text() string {
	var b strings.Builder
	for _, id := range d.Finished {
		fmt.Fprintf(&b, "finished deploy %s\n", id)
	}
	switch {
	case d.Deploy == nil && d.Totals.Changed() == 0:
		fmt.Fprintf(&b, "nothing has changed: %s\n", summaryOf(d.Totals))
		d.list(&b)
		return b.String()
	case d.Deploy == nil:
		d.list(&b)
		return b.String()
	}
	fmt.Fprintf(&b, "%s: deploy %s is %s", summaryOf(d.Totals), d.Deploy.ID, d.Deploy.Phase)
	if d.Invalidations > 0 {
		paths := 0
		for _, inv := range d.Deploy.Plan.Invalidations {
			paths += len(inv.Patterns)
		}
		fmt.Fprintf(&b, ", %s in %s", count(paths, "path"), count(d.Invalidations, "invalidation"))
	}
	if n := d.Verdicts[string(freshet.Fresh)]; n > 0 {
		fmt.Fprintf(&b, ", %d seen fresh", n)
	}
	if d.SentToEnd > 0 {
		fmt.Fprintf(&b, ", %.1f s after the last object was sent", d.SentToEnd)
	}
	b.WriteString("\n")
	d.Warmed.text(&b)
	d.list(&b)
	return b.String()
}

// list names what was not seen fresh.
func (d deployed) list(b *strings.Builder) {
	for _, v := range d.Stale {
		fmt.Fprintf(b, "%s: %s %s: %s\n", v.State, v.Target.Distribution, firstOf(v.Target.URL, v.Target.Key), v.Reason)
	}
}
