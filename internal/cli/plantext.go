package cli

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/source/batch"
)

// withoutID stands for the ID of a distribution that has none in its file.
const withoutID = "without an ID"

// planText shows a plan to people.
type planText struct {
	freshet.Plan
	skipped []batch.Skipped
	free    *int // paths that are left of the month's free ones; nil: not known
	b       strings.Builder
}

func (p *planText) printf(format string, args ...any) { fmt.Fprintf(&p.b, format, args...) }

func (p *planText) write(w io.Writer) error {
	p.summary()
	for i, inv := range p.Invalidations {
		p.request(i+1, inv)
	}
	for _, u := range p.Unrouted {
		p.printf("\nnothing for %s: %s\n", visible(u.Key), u.Reason)
	}
	for _, s := range p.skipped {
		p.printf("\nskipped %s: %s\n", s.At, s.Reason)
	}
	for _, c := range p.Costs {
		p.costing(c)
	}
	p.total()
	_, err := io.WriteString(w, p.b.String())
	return err
}

func (p *planText) patterns() (n int) {
	for _, inv := range p.Invalidations {
		n += len(inv.Patterns)
	}
	return n
}

func (p *planText) summary() {
	p.printf("%s → %s in %s", count(len(p.Changes), "object"), count(p.patterns(), "path"), count(len(p.Invalidations), "request"))
	if n := len(p.Superseded); n > 0 {
		p.printf(", %s superseded", count(n, "change"))
	}
	p.printf("\n")
}

// request shows each pattern of a request with what it is for, what else it
// removes, and its price.
func (p *planText) request(number int, inv freshet.Invalidation) {
	p.printf("\n%d. distribution %s, reference %s\n", number, cmp.Or(inv.Distribution, withoutID), inv.CallerReference)
	covering := inv.Covering()
	targets := make(map[freshet.Pattern][]freshet.Target, len(inv.Patterns))
	for _, t := range inv.Targets {
		by := covering(t)
		targets[by] = append(targets[by], t)
	}
	effects := make(map[freshet.Pattern]freshet.Effect, len(inv.Effects))
	for _, e := range inv.Effects {
		effects[e.Pattern] = e
	}
	widest := 0
	for _, pattern := range inv.Patterns {
		if n := utf8.RuneCountInString(string(pattern)); n <= 48 {
			widest = max(widest, n)
		}
	}
	for _, pattern := range inv.Patterns {
		p.printf("   %-*s  %s\n", widest, pattern, p.effect(inv.Distribution, len(targets[pattern]), effects[pattern]))
		p.reasons(targets[pattern])
	}
}

// effect says what a pattern is for, what it makes cold, and its price.
func (p *planText) effect(distribution string, targets int, e freshet.Effect) string {
	text := count(targets, "URL")
	if e.ColdObjects > 0 {
		text += fmt.Sprintf(", makes %s cold (%s)", count(int(e.ColdObjects), p.unchanged(distribution)), bytesOf(e.ColdBytes))
	} else if e.Pattern != "" {
		text += ", makes nothing else cold"
	}
	return text + fmt.Sprintf(", $%.3f", p.price(distribution))
}

// unchanged names what is made cold: known objects or assumed ones.
func (p *planText) unchanged(distribution string) string {
	for _, c := range p.Costs {
		if c.Distribution == distribution && c.Known == nil {
			return "assumed object"
		}
	}
	return "unchanged object"
}

// price is that of one pattern.
func (p *planText) price(distribution string) float64 {
	for _, c := range p.Costs {
		if c.Distribution == distribution && c.Plan.Patterns > 0 {
			return c.Plan.Dollars / float64(c.Plan.Patterns)
		}
	}
	return 0
}

// reasons shows the first few of targets.
func (p *planText) reasons(targets []freshet.Target) {
	const few = 3
	for i, t := range targets {
		if i == few {
			p.printf("      and %d more\n", len(targets)-few)
			return
		}
		where := visible(t.Key)
		if freshet.Pattern(t.URL) != t.Pattern || len(targets) > 1 {
			where += " at " + t.URL
		}
		p.printf("      %s: %s\n", where, t.Reason)
	}
}

// costing shows what a distribution's part of the plan costs, and what else
// could have been done.
func (p *planText) costing(c freshet.Costing) {
	p.printf("\ncost at %s\n", cmp.Or(c.Distribution, "the distribution "+withoutID))
	if c.Known != nil {
		p.printf("   %s known there\n", count(int(*c.Known), "object"))
	} else if c.Assumption != "" {
		p.printf("   %s\n", c.Assumption)
	}
	p.way("this plan", c.Plan, c)
	if c.PerURL != nil {
		p.way("one path per URL", *c.PerURL, c)
	}
	p.way("one path per object", c.PerObject, c)
	p.way("everything, /*", c.Everything, c)
	for _, rail := range c.KeptFrom {
		p.printf("   without %s it would be cheaper\n", rail)
	}
	if c.AtLeast != nil {
		p.printf("   the search ended early: no plan costs less than $%.4f with refilling\n", *c.AtLeast)
	}
}

// way shows one way to make a distribution fresh.
func (p *planText) way(name string, e freshet.Estimate, c freshet.Costing) {
	p.printf("   %-20s %9s  $%.3f", name, count(e.Patterns, "path"), e.Dollars)
	if e.ColdObjects > 0 {
		p.printf(", makes %s cold (%s): $%.4f with refilling", count(int(e.ColdObjects), p.unchanged(c.Distribution)), bytesOf(e.ColdBytes), e.Cost)
	}
	if e.Misses > 0 {
		p.printf(", leaves %s stale", count(e.Misses, "URL"))
	}
	if e.Refused != "" {
		p.printf(", not allowed: %s", e.Refused)
	}
	p.printf("\n")
}

// total shows what the whole plan costs beside the paths that are free.
func (p *planText) total() {
	n := p.patterns()
	if n == 0 {
		return
	}
	dollars := 0.0
	for _, c := range p.Costs {
		dollars += c.Plan.Dollars
	}
	switch {
	case p.free == nil:
		p.printf("\n$%.3f beyond the account's free 1,000 paths a month\n", dollars)
	case *p.free >= n:
		p.printf("\n$0.000: %d of the month's free paths are left, and %d after this\n", *p.free, *p.free-n)
	default:
		p.printf("\n$%.3f: %d of the month's free paths are left, and the other %d cost\n", dollars/float64(n)*float64(n-*p.free), *p.free, n-*p.free)
	}
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return thousands(n) + " " + what + "s"
}

// thousands writes 1234567 as 1,234,567.
func thousands(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// bytesOf writes a number of bytes in the unit that suits it.
func bytesOf(n int64) string {
	const k = 1000
	value, unit := float64(n), 0
	units := []string{"B", "kB", "MB", "GB", "TB", "PB", "EB"}
	for value >= k && unit < len(units)-1 {
		value /= k
		unit++
	}
	if unit == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", value, units[unit])
}
