package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/freshet/freshet/internal/app"
	"github.com/freshet/freshet/internal/config"
	"github.com/freshet/freshet/internal/journal"
	"github.com/freshet/freshet/internal/server"
)

type logCmd struct {
	Key    []string      `placeholder:"KEY" sep:"none" help:"Only this object key. May be given several times."`
	State  []string      `placeholder:"STATE" help:"Only changes that are in this state now: received, planned, sent, completed, verified, stale, dead or, of work after a change, made. May be given several times."`
	Late   bool          `help:"Only changes that were not seen fresh within fresh_within, or should be by now."`
	Since  time.Duration `placeholder:"TIME" help:"Only what changed at the origin in this time before now, such as 1h."`
	Fail   bool          `name:"exit-code" help:"With --late: exit code 5 if there are any."`
	Last   int           `short:"n" placeholder:"N" help:"Only the last N changes."`
	Follow bool          `short:"f" help:"Show everything, and go on with what comes. Needs a running freshet."`
	JSON   bool          `name:"json" help:"One JSON line for each step of each change."`
}

// Help is shown below the flags.
func (logCmd) Help() string {
	return `Shows one line per change: its state, what was invalidated for it, and how long it took
until the edge was seen serving the new bytes. With --json there is one line for each step,
as freshet up --json prints them.

Examples:
  freshet log --state dead            what could not be done, and why
  freshet log --key index.html --json
  freshet log --late --since 1h --exit-code
  freshet log -f`
}

// Validate refuses what would be left undone.
func (c *logCmd) Validate() error {
	switch {
	case c.Last < 0:
		return fmt.Errorf("--last=%d: a number of changes is needed", c.Last)
	case c.Last > 0 && c.Follow:
		return errors.New("--last and --follow do not go together: nobody knows yet which changes will be the last")
	case c.Fail && (!c.Late || c.Follow):
		return errors.New("--exit-code goes with --late, and not with --follow")
	case c.Since < 0:
		return fmt.Errorf("--since=%v: a time that has passed is needed", c.Since)
	}
	return nil
}

// filter decides which records are shown.
type filter struct {
	keys   map[string]bool
	states map[journal.State]bool
	late   bool
	since  time.Time                  // zero: always
	within func(string) time.Duration // for records that do not say what was promised
}

func (c *logCmd) filter(cfg config.Config) (filter, error) {
	f := filter{keys: make(map[string]bool), states: make(map[journal.State]bool)}
	for _, k := range c.Key {
		f.keys[k] = true
	}
	known := make(map[journal.State]bool)
	for _, s := range journal.States() {
		known[s] = true
	}
	for _, s := range c.State {
		if !known[journal.State(s)] {
			return f, usageError("no state is called %q: there are %s", s, strings.Join(stateNames(), ", "))
		}
		f.states[journal.State(s)] = true
	}
	f.late, f.within = c.Late, cfg.FreshWithin.Of
	if c.Since > 0 {
		f.since = time.Now().Add(-c.Since)
	}
	return f, nil
}

func stateNames() (names []string) {
	for _, s := range journal.States() {
		names = append(names, string(s))
	}
	return names
}

func (f filter) key(r journal.Record) bool {
	return (len(f.keys) == 0 || f.keys[r.Key]) && !r.ChangedAt.Before(f.since)
}

// timely reports whether r is shown as far as --late goes. What is not at its
// end may have been put into the queue without a promise.
func (f filter) timely(r journal.Record, now time.Time) bool {
	if !f.late {
		return true
	}
	if !r.State.Final() && r.FreshWithin == 0 {
		r.FreshWithin = f.within(r.Distribution).Seconds()
	}
	return r.LateAt(now)
}

func (f filter) state(s journal.State) bool { return len(f.states) == 0 || f.states[s] }

// Run prints what the journal holds.
func (c *logCmd) Run(ctx context.Context, t terminal, r *root) error {
	cfg, err := r.load()
	if err != nil {
		return err
	}
	f, err := c.filter(cfg)
	if err != nil {
		return err
	}
	if c.Follow {
		err := c.follow(ctx, cfg.Data, f, t.out)
		if errors.Is(err, context.Canceled) {
			return nil
		}
		return err
	}
	h := newHistory()
	if err := app.Records(ctx, cfg.Data, false, h.add(f)); err != nil {
		return err
	}
	chosen := h.choose(f, c.Last)
	if err := c.show(ctx, t, cfg, f, chosen); err != nil {
		return err
	}
	if c.Fail && len(chosen.order) > 0 {
		return exitError{code: exitLate}
	}
	return nil
}

func (c *logCmd) show(ctx context.Context, t terminal, cfg config.Config, f filter, chosen *history) error {
	if !c.JSON {
		return table(t.out, chosen)
	}
	return app.Records(ctx, cfg.Data, false, func(r journal.Record) error {
		if !chosen.includes(r) || len(f.states) > 0 && !f.state(r.State) {
			return nil
		}
		return printJSON(t.out, r)
	})
}

// follow prints records as they come. What a change will come to is not known
// yet, so --state selects steps here.
func (c *logCmd) follow(ctx context.Context, data string, f filter, out io.Writer) error {
	show := &ticker{out: out, json: c.JSON, underWay: make(map[string]journal.Record)}
	return app.Records(ctx, data, true, func(r journal.Record) error {
		if !f.key(r) || !f.state(r.State) || !f.timely(r, time.Now()) {
			return nil
		}
		var b strings.Builder
		show.record(&b, r)
		if b.Len() == 0 && len(f.states) > 0 {
			b.WriteString(line(r) + "\n")
		}
		_, err := io.WriteString(out, b.String())
		return err
	})
}

// history is the last record of every change at every distribution, in the
// order in which the changes first appeared.
type history struct {
	order []string
	last  map[string]journal.Record
	ids   map[string]bool // of the changes; only what choose returns has them
}

func newHistory() *history {
	return &history{last: make(map[string]journal.Record), ids: make(map[string]bool)}
}

func identity(r journal.Record) string { return r.ID + r.Distribution }

func (h *history) add(f filter) func(journal.Record) error {
	return func(r journal.Record) error {
		if !f.key(r) {
			return nil
		}
		id := identity(r)
		if r.Distribution != "" {
			// What was received is routed, to one or more distributions.
			delete(h.last, r.ID)
		}
		if _, known := h.last[id]; !known {
			h.order = append(h.order, id)
		}
		h.last[id] = r
		return nil
	}
}

// choose keeps the last n changes (0: all) that are in one of the states now.
func (h *history) choose(f filter, n int) *history {
	kept, now := newHistory(), time.Now()
	for _, id := range h.order {
		if _, again := kept.last[id]; again {
			continue // received once more after a restart
		}
		if r, ok := h.last[id]; ok && f.state(r.State) && f.timely(r, now) {
			kept.order = append(kept.order, id)
			kept.last[id] = r
		}
	}
	if n > 0 && len(kept.order) > n {
		for _, id := range kept.order[:len(kept.order)-n] {
			delete(kept.last, id)
		}
		kept.order = kept.order[len(kept.order)-n:]
	}
	for _, r := range kept.last {
		kept.ids[r.ID] = true
	}
	return kept
}

// includes reports whether r is a step of one of the changes, at a distribution
// or before it was known at which.
func (h *history) includes(r journal.Record) bool {
	if _, ok := h.last[identity(r)]; ok || r.Distribution != "" {
		return ok
	}
	return h.ids[r.ID]
}

func table(w io.Writer, h *history) error {
	if len(h.order) == 0 {
		_, err := fmt.Fprintln(w, "no changes")
		return err
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(tw, "CHANGED\tOP\tKEY\tSTATE\tFRESH WITHIN\tINVALIDATION\tPATTERNS\tREASON")
	for _, id := range h.order {
		r := h.last[id]
		within := ""
		if r.VerifiedAt != nil {
			within = since(r.ChangedAt, *r.VerifiedAt)
		}
		if r.Late {
			within = strings.TrimSpace(within + " late")
		}
		var patterns []string
		for _, p := range r.Patterns {
			patterns = append(patterns, string(p))
		}
		_, _ = fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.ChangedAt.Local().Format("2006-01-02 15:04:05.000"), r.Op,
			visible(r.Key), r.State, within, r.Invalidation, strings.Join(patterns, " "), visible(reasonOf(r)))
	}
	return tw.Flush()
}

// reasonOf is the reason of a record, with the rule that it is about.
func reasonOf(r journal.Record) string {
	if r.Rule == "" {
		return r.Reason
	}
	return r.Rule + ": " + r.Reason
}

type retryCmd struct {
	Keys []string `arg:"" optional:"" name:"key" help:"Object keys whose dead letters are meant. Without any, all are."`
	JSON bool     `name:"json" help:"Print the number of changes as JSON."`
}

// Help is shown below the flags.
func (retryCmd) Help() string {
	return `What could not be done after its retries stands in freshet log --state dead. Retry sends it
again: now, if a freshet is running on the data directory, or else at its next start.
Requests that the CDN may have accepted keep their caller references, so nothing is
invalidated twice.

Examples:
  freshet retry
  freshet retry index.html 'blog/a b.html'`
}

// Run revives dead letters.
func (c *retryCmd) Run(ctx context.Context, t terminal, r *root) error {
	cfg, err := r.load()
	if err != nil {
		return err
	}
	n, running, err := app.Retry(ctx, cfg.Data, server.Selection{Keys: c.Keys})
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(t.out, struct {
			Changes int  `json:"changes"`
			Running bool `json:"running"`
		}{n, running})
	}
	when := "now"
	if !running {
		when = "at the next freshet up"
	}
	are := "are"
	if n == 1 {
		are = "is"
	}
	_, err = fmt.Fprintf(t.out, "%s %s tried again %s\n", count(n, "change"), are, when)
	return err
}
