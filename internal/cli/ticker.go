package cli

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/freshet/freshet/internal/journal"
)

// ticker shows records as they come: as JSON lines, all of them, or for people
// one line per change with the time that each step took from the change. It
// never makes the pipeline wait for a slow reader.
type ticker struct {
	out   io.Writer
	json  bool
	live  bool // rewrite a status line
	mu    sync.Mutex
	queue []any // []journal.Record or string
	wake  chan struct{}
	ended chan struct{}

	underWay map[string]journal.Record // by change and distribution
}

func newTicker(out io.Writer, asJSON bool) *ticker {
	t := &ticker{
		out: out, json: asJSON, live: !asJSON && isTerminal(out),
		wake: make(chan struct{}, 1), ended: make(chan struct{}), underWay: make(map[string]journal.Record),
	}
	go t.run()
	return t
}

func (t *ticker) records(rs []journal.Record) { t.add(rs) }

// note shows a line to people.
func (t *ticker) note(line string) {
	if !t.json {
		t.add(line)
	}
}

func (t *ticker) add(v any) {
	t.mu.Lock()
	t.queue = append(t.queue, v)
	t.mu.Unlock()
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// lastLines is how long a reader that has stopped reading may hold up the end:
// a full pipe, or a terminal on which somebody pressed Ctrl-S.
const lastLines = 500 * time.Millisecond

// close shows what is left, if somebody reads it. Nothing may be added
// afterwards.
func (t *ticker) close() {
	close(t.wake)
	select {
	case <-t.ended:
	case <-time.After(lastLines):
	}
}

func (t *ticker) run() {
	defer close(t.ended)
	for range t.wake {
		t.show()
	}
	t.show()
}

func (t *ticker) show() {
	t.mu.Lock()
	queue := t.queue
	t.queue = nil
	t.mu.Unlock()
	var b strings.Builder
	if t.live {
		b.WriteString("\r\x1b[K")
	}
	for _, v := range queue {
		switch v := v.(type) {
		case string:
			b.WriteString(v + "\n")
		case []journal.Record:
			for _, r := range v {
				t.record(&b, r)
			}
		}
	}
	if t.live {
		b.WriteString(t.status())
	}
	_, _ = io.WriteString(t.out, b.String())
}

func (t *ticker) record(b *strings.Builder, r journal.Record) {
	if t.json {
		_ = printJSON(b, r)
		return
	}
	id := r.ID + r.Distribution
	if r.Distribution != "" {
		delete(t.underWay, r.ID)
	}
	switch {
	case r.State == journal.Stale:
		fmt.Fprintf(b, "%s\n", t.paint(red, line(r)))
	case r.State == journal.Dead:
		delete(t.underWay, id)
		fmt.Fprintf(b, "%s\n", t.paint(red, line(r)))
	case r.State.Final():
		delete(t.underWay, id)
		fmt.Fprintf(b, "%s\n", line(r))
	default:
		t.underWay[id] = r
	}
}

// status is the line about what has not ended yet.
func (t *ticker) status() string {
	if len(t.underWay) == 0 {
		return ""
	}
	counts := make(map[journal.State]int)
	for _, r := range t.underWay {
		counts[r.State]++
	}
	var parts []string
	for _, s := range journal.States() {
		if n := counts[s]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, s))
		}
	}
	return t.paint(dim, "… "+strings.Join(parts, ", "))
}

const (
	red = "\x1b[1;31m"
	dim = "\x1b[2m"
)

func (t *ticker) paint(colour, s string) string {
	if !t.live {
		return s
	}
	return colour + s + "\x1b[0m"
}

// line is a change's way in one line.
func line(r journal.Record) string {
	var steps []string
	for _, s := range []struct {
		state journal.State
		at    *time.Time
	}{
		{journal.Received, r.ReceivedAt}, {journal.Planned, r.PlannedAt}, {journal.Sent, r.SentAt},
		{journal.Completed, r.CompletedAt}, {journal.Verified, r.VerifiedAt},
	} {
		if s.at != nil {
			steps = append(steps, fmt.Sprintf("%s %s", s.state, since(r.ChangedAt, *s.at)))
		}
	}
	text := fmt.Sprintf("%s  %-6s %s  %s", r.ChangedAt.Local().Format("15:04:05.000"), r.Op, visible(r.Key), strings.Join(steps, ", "))
	if r.State == journal.Stale || r.State == journal.Dead {
		text += "  " + strings.ToUpper(string(r.State))
	}
	if r.Late {
		text += "  LATE"
	}
	if r.Reason != "" {
		text += " (" + visible(reasonOf(r)) + ")"
	}
	return text
}

// since rounds to what a person reads.
func since(from, to time.Time) string {
	d := to.Sub(from)
	switch {
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1fms", float64(d.Microseconds())/1000)
	case d < time.Second:
		return fmt.Sprintf("%dms", d.Milliseconds())
	default:
		return d.Round(10 * time.Millisecond).String()
	}
}

// visible keeps what other people named from moving the cursor.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || 0x80 <= r && r < 0xa0 {
			return '\uFFFD'
		}
		return r
	}, s)
}
