package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"github.com/freshet/freshet/internal/app"
	"github.com/freshet/freshet/internal/journal"
	"github.com/freshet/freshet/internal/metrics"
)

type topCmd struct {
	Count int  `short:"n" placeholder:"N" help:"End after N snapshots."`
	JSON  bool `name:"json" help:"One JSON line every second."`
}

// Help is shown below the flags.
func (topCmd) Help() string {
	return `Shows what the running freshet does, every second: requests by what came of them, the hit
ratio (of hits and misses), the paths that were asked for most in the last ten seconds, and
the newest invalidations and changes. On a terminal the picture is drawn in place; elsewhere
each second is a paragraph. Ctrl-C ends.

Examples:
  freshet top
  freshet top -n 1                    what happens in this second
  freshet top --json | jq .hit_ratio`
}

// Validate refuses a number of snapshots that there cannot be.
func (c *topCmd) Validate() error {
	if c.Count < 0 {
		return fmt.Errorf("--count=%d: a number of snapshots is needed", c.Count)
	}
	return nil
}

var errEnough = errors.New("as many as were asked for")

// Run shows snapshots until there are enough or ctx is done.
func (c *topCmd) Run(ctx context.Context, t terminal, r *root) error {
	cfg, err := r.load()
	if err != nil {
		return err
	}
	show := c.shower(t.out)
	seen := 0
	err = app.Top(ctx, cfg.Data, func(s metrics.Snapshot) error {
		if err := show(s); err != nil {
			return err
		}
		if seen++; seen == c.Count {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) || ctx.Err() != nil {
		return nil
	}
	return err
}

// shower returns what shows a snapshot.
func (c *topCmd) shower(out io.Writer) func(metrics.Snapshot) error {
	if c.JSON {
		return func(s metrics.Snapshot) error { return printJSON(out, s) }
	}
	if !isTerminal(out) {
		return func(s metrics.Snapshot) error {
			_, err := io.WriteString(out, strings.Join(picture(s), "\n")+"\n\n")
			return err
		}
	}
	drawn := 0 // lines of the picture before
	return func(s metrics.Snapshot) error {
		width, height := screen(out)
		text, lines := redraw(picture(s), drawn, width, height)
		drawn = lines
		_, err := io.WriteString(out, text)
		return err
	}
}

// redraw is what draws a picture over the one before, which had some lines, in
// the room there is. The cursor stays below it.
func redraw(lines []string, before, width, height int) (text string, drawn int) {
	var b strings.Builder
	before = min(before, max(1, height-1)) // the rest has left the screen
	if before > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", before)
	}
	b.WriteByte('\r')
	lines = lines[:min(len(lines), max(1, height-1))]
	for _, l := range lines {
		b.WriteString(shorten(l, width) + "\x1b[K\n")
	}
	b.WriteString("\x1b[J")
	return b.String(), len(lines)
}

// shorten keeps a line from taking two.
func shorten(line string, width int) string {
	if utf8.RuneCountInString(line) <= width {
		return line
	}
	return string([]rune(line)[:max(0, width-1)]) + "…"
}

// picture is a snapshot for people.
func picture(s metrics.Snapshot) []string {
	ratio := "-"
	if s.HitRatio != nil {
		ratio = percent(*s.HitRatio)
	}
	waiting := "?"
	if s.Waiting != nil {
		waiting = fmt.Sprint(*s.Waiting)
	}
	lines := []string{
		fmt.Sprintf("%s  %s requests/s  hit ratio %s  %s/s to viewers  %s fetches/s from origins", s.Time.Local().Format("15:04:05"), rate(s.Requests), ratio, bytesOf(int64(s.Bytes)), rate(s.Fetches)),
		fmt.Sprintf("stored %d objects, %s of %s  evicted %s/s  changes under way %s", s.StoredObjects, bytesOf(int64(s.StoredBytes)), bytesOf(int64(s.Capacity)), rate(s.Evictions), waiting),
	}
	if s.Refused > 0 {
		lines[1] += fmt.Sprintf("  turned away %s/s", rate(s.Refused))
	}
	if d := s.Disk; d != nil {
		state := fmt.Sprintf("%s hits/s", rate(d.Hits))
		if d.Failing {
			state = "failing, and not used"
		}
		lines = append(lines, fmt.Sprintf("on disk %d objects, %s of %s  %s", d.StoredObjects, bytesOf(int64(d.StoredBytes)), bytesOf(int64(d.Capacity)), state))
	}
	var results []string
	for _, name := range slices.Sorted(maps.Keys(s.Results)) {
		results = append(results, name+" "+rate(s.Results[name])+"/s")
	}
	if len(results) > 0 {
		lines = append(lines, strings.Join(results, "  "))
	}
	lines = append(lines, section(s.Waits, waitsHead, func(w metrics.Wait) []string {
		until := time.Time{}
		if w.Until != nil {
			until = *w.Until
		}
		return waitsRow(w.Why, w.Changes, w.Since, until, w.Distributions)
	})...)
	lines = append(lines, section(s.Working, "WORKS ON\tRULE\tFOR", func(w metrics.Working) []string {
		return []string{w.Key, w.Rule, since(w.Since, s.Time)}
	})...)
	if s.ToDo > 0 {
		lines = append(lines, fmt.Sprintf("%d more to do", s.ToDo))
	}
	lines = append(lines, section(s.Hottest, "REQUESTS/S\tHITS\tBYTES/S\tDISTRIBUTION\tPATH", func(p metrics.Path) []string {
		return []string{rate(p.Requests), percent(p.HitRatio), bytesOf(int64(p.Bytes)), cmp.Or(p.Distribution, "-"), p.Path}
	})...)
	lines = append(lines, section(s.Invalidations, "INVALIDATED\tSTATUS\tTOOK\tID\tPATHS", func(i metrics.Invalidation) []string {
		return []string{clock(i.Created), i.Status, took(i.Created, i.Completed), i.ID, strings.Join(i.Paths, " ")}
	})...)
	return append(lines, section(s.Changes, "CHANGED\tSTATE\tFRESH WITHIN\tOP\tKEY\tREASON", func(c metrics.Change) []string {
		return []string{clock(c.ChangedAt), c.State, fresh(c), c.Op, c.Key, c.Reason}
	})...)
}

// section is a table below an empty line, or nothing if there are no rows.
func section[T any](rows []T, head string, cells func(T) []string) []string {
	if len(rows) == 0 {
		return nil
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, head)
	for _, r := range rows {
		texts := cells(r)
		for i := range texts {
			texts[i] = visible(texts[i])
		}
		_, _ = fmt.Fprintln(w, strings.Join(texts, "\t"))
	}
	_ = w.Flush()
	lines := []string{""}
	for l := range strings.Lines(b.String()) {
		lines = append(lines, strings.TrimRight(l, " \n"))
	}
	return lines
}

func rate(f float64) string { return fmt.Sprintf("%.1f", f) }

func percent(f float64) string { return fmt.Sprintf("%.1f%%", 100*f) }

func clock(at time.Time) string { return at.Local().Format("15:04:05.000") }

func took(from time.Time, to *time.Time) string {
	if to == nil {
		return "-"
	}
	return since(from, *to)
}

func fresh(c metrics.Change) string {
	text := "-"
	if c.State == string(journal.Verified) {
		text = took(c.ChangedAt, c.VerifiedAt)
	}
	if c.Late {
		text += " late"
	}
	return text
}
