package cli

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/freshet/freshet/internal/edge"
)

func (t *explanationText) request(w *edge.Way) {
	t.printf(2, "%s %s from %s", w.Method, w.URL, w.Viewer)
}

// live shows what the running edge has stored.
func (t *explanationText) live(l *edge.Live) {
	if l == nil {
		return
	}
	t.printf(2, "now %s: %s", l.XCache, l.Course)
	if c := l.Copy; c != nil {
		left := fmt.Sprintf("expires in %v", time.Duration(c.Left)*time.Second)
		if c.Left <= 0 {
			left = fmt.Sprintf("expired %v ago", time.Duration(-c.Left)*time.Second)
		}
		where := ""
		if c.Disk {
			where = " on disk"
		}
		t.printf(3, "%d with %d bytes stored%s, fetched %s; %v old, %s: %s", c.Status, c.Bytes, where, c.Fetched, time.Duration(c.Age)*time.Second, left, c.Lifetime.Reason)
		for _, name := range slices.Sorted(maps.Keys(c.Header)) {
			t.printf(3, "%s: %s", name, strings.Join(c.Header[name], ", "))
		}
	}
	if l.Fetching {
		t.printf(3, "a fetch is under way that would answer it, too")
	}
	for _, v := range l.Variants {
		t.printf(3, "another copy of the URL is stored: %s", copyName(v))
	}
}

// copyName puts the part of a key that is not the URL on one line.
func copyName(v string) string {
	parts := slices.DeleteFunc(strings.Split(v, "\n"), func(s string) bool { return s == "" })
	if len(parts) == 0 {
		return "without encoding"
	}
	return strings.Join(parts, "; ")
}

// viewer shows what happens before the cache is asked.
func (t *explanationText) viewer(w *edge.Way) {
	if a := w.Access; a != nil {
		over := "HTTP"
		if a.Secure {
			over = "HTTPS"
		}
		signature := "no signature"
		if a.Signed {
			signature = "a signature"
		}
		t.printf(2, "viewers: %s, and this one comes over %s; %s; %s is needed", a.Policy, over, strings.Join(a.Allowed, ", "), signature)
	}
	if f := w.Function; f != nil {
		t.function(f)
	}
	if r := w.Refused; r != nil {
		t.printf(2, "answered by the edge: %d %s", r.Status, r.Reason)
		if r.Location != "" {
			t.printf(3, "Location: %s", r.Location)
		}
		if r.Page != "" {
			t.printf(3, "the viewer gets the page %s", r.Page)
		}
	}
	if w.LastFunction != "" {
		t.printf(2, "function %s sees the answer on its way to the viewer", w.LastFunction)
	}
}

func (t *explanationText) function(f *edge.FunctionRun) {
	t.printf(2, "function %s runs, with %d %% of the steps that it may take", f.ARN, f.Utilization)
	for _, c := range f.Changes {
		name := c.What
		if c.Name != "" {
			name += " " + c.Name
		}
		switch {
		case c.What == "origin":
			t.printf(3, "it changes the origin with cf.%s", c.Name)
		case c.Added:
			t.printf(3, "%s: %s is added", name, c.After)
		case c.Gone:
			t.printf(3, "%s: %s is removed", name, c.Before)
		default:
			t.printf(3, "%s: %s → %s", name, c.Before, c.After)
		}
	}
	if g := f.Generated; g != nil {
		t.printf(3, "it answers itself: %d, %d bytes", g.Status, len(g.Body))
		for _, name := range slices.Sorted(maps.Keys(g.Header)) {
			t.printf(3, "%s: %s", name, strings.Join(g.Header[name], ", "))
		}
	} else if f.Error == "" && len(f.Changes) == 0 {
		t.printf(3, "it changes nothing")
	}
	for _, line := range f.Logs {
		t.printf(3, "console.log: %s", line)
	}
	if f.Error != "" {
		t.printf(3, "%s", f.Error)
	}
}

// ask shows the request that an origin gets.
func (t *explanationText) ask(a *edge.Ask) {
	t.printf(3, "%s", asking(a))
	if a.Signing != "" {
		t.printf(3, "signed: %s", a.Signing)
	}
	for _, name := range slices.Sorted(maps.Keys(a.Header)) {
		how := "sends"
		if slices.Contains(a.Added, name) {
			how = "adds"
		} else if slices.Contains(a.Changed, name) {
			how = "changes"
		}
		t.printf(3, "%s %s: %s", how, name, strings.Join(a.Header[name], ", "))
	}
	for _, o := range a.Removed {
		t.printf(3, "leaves out %s: %s", o.Name, o.Reason)
	}
	limits := fmt.Sprintf("%s, %s to connect, %s to answer", count(a.Attempts, "attempt"), short(a.Timeouts.Connect), short(a.Timeouts.Response))
	if a.Timeouts.Complete > 0 {
		limits += ", " + short(a.Timeouts.Complete) + " for all of it"
	}
	t.printf(3, "%s; connections are kept for %s", limits, short(a.Timeouts.Idle))
	if s := a.Second; s != nil {
		var statuses []string
		for _, n := range a.FailsOver {
			statuses = append(statuses, strconv.Itoa(n))
		}
		t.printf(3, "on %s asks %s: %s", strings.Join(statuses, ", "), s.Origin, asking(s))
	}
}

// asking is the request line for an origin, with the Host header where that is
// another.
func asking(a *edge.Ask) string {
	text := a.Method + " " + a.URL
	if u, err := url.Parse(a.URL); err != nil || u.Host != a.Host {
		text += " with Host: " + a.Host
	}
	return text
}

func short(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) + " s" }

func (t *explanationText) lifetimes(w *edge.Way) {
	if w.Uncached != "" {
		t.printf(2, "this answer is not kept: %s", w.Uncached)
	}
	for _, l := range w.Lifetimes {
		t.printf(3, "%s: %s", answerText(l.Answer), lifetimeText(l))
	}
}

func answerText(a edge.Answer) string {
	text := strconv.Itoa(a.Status)
	for i, name := range slices.Sorted(maps.Keys(a.Header)) {
		text += map[bool]string{true: " with ", false: ", "}[i == 0] + name + ": " + strings.Join(a.Header[name], ", ")
	}
	return text
}

func lifetimeText(l edge.Lifetime) string {
	text := seconds(l.Fresh)
	switch {
	case !l.Stored:
		return "not kept: " + l.Reason
	case l.Fresh == 0:
		text = "confirmed by each request"
	}
	text += ": " + l.Reason
	if l.Behind > 0 {
		text += "; then served for " + seconds(l.Behind) + " while the origin is asked"
	}
	switch {
	case l.Stale < 0:
		text += "; then in place of an origin's failure"
	case l.Stale > 0:
		text += "; then for " + seconds(l.Stale) + " in place of an origin's failure"
	}
	return text
}

// key shows the key of this request below what the behavior says of keys.
func (t *explanationText) key(w *edge.Way) {
	if w.Key == nil {
		return
	}
	t.printf(3, "of this request: %s", w.Key.URL)
	for _, p := range w.Key.Parts {
		value := p.Value
		if p.None {
			value = "none"
		}
		if p.Sent != "" {
			value += ", of " + p.Sent
		}
		t.printf(3, "%s: %s", p.Name, value)
	}
	for _, o := range w.Key.Out {
		t.printf(3, "without %s: %s", o.Name, o.Reason)
	}
}

// answer shows what happens to the answer on its way to the viewer.
func (t *explanationText) answer(w *edge.Way) {
	for _, e := range w.Errors {
		page := ""
		if e.Page != "" {
			page = fmt.Sprintf("; the viewer gets %s as %d, through behavior %s", e.Page, e.As, e.Behavior)
		}
		t.printf(2, "error %d: kept for at least %s%s", e.Status, seconds(e.MinTTL), page)
	}
	if d := w.Dressing; d != nil {
		t.printf(2, "response headers policy %s", d.Policy)
		for _, s := range d.Set {
			t.printf(3, "sets %s: %s%s", s.Name, s.Value, map[bool]string{true: "", false: ", unless the origin says otherwise"}[s.Override])
		}
		for _, name := range d.Removed {
			t.printf(3, "removes %s", name)
		}
		if d.Timing > 0 {
			t.printf(3, "adds Server-Timing to %g %% of the answers", d.Timing)
		}
	}
	switch c := w.Compression; {
	case c == nil:
	case c.Coding != "":
		t.printf(2, "compressed with %s %s", c.Coding, c.Reason)
	default:
		t.printf(2, "not compressed: %s", c.Reason)
	}
}
