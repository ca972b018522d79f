package cover_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/inventory"
	"github.com/freshet/freshet/internal/plan/cover"
)

// dice decide what a random problem looks like: a seeded generator, or the bytes
// of a fuzzer.
type dice interface{ IntN(n int) int }

// features are what a random problem may have.
type features struct{ rails, tags, groups, unknown, limits bool }

func url(d dice) string {
	var b strings.Builder
	for range 1 + d.IntN(3) {
		b.WriteString("/")
		for range d.IntN(3) {
			b.WriteString([...]string{"a", "b", "a", "b", "%20", "%2B", "*", "?", "~", "+"}[d.IntN(10)])
		}
	}
	return b.String()
}

func need(d dice, groups bool) cover.Need {
	n := cover.Need{URL: url(d)}
	n.Pattern, _ = freshet.PathPattern(n.URL)
	if d.IntN(8) == 0 { // everything below, or any query string
		n.Pattern = n.Pattern + [...]freshet.Pattern{"*", "?*"}[d.IntN(2)]
		if n.Pattern.IsWildcard() && d.IntN(2) == 0 {
			n.URL = string(n.Pattern)
		}
	}
	if groups && d.IntN(2) == 0 {
		n.Group = [...]string{"g", "h"}[d.IntN(2)]
	}
	return n
}

func problem(d dice, f features) cover.Problem {
	p := cover.Problem{Tags: f.tags}
	for range 1 + d.IntN(6) {
		p.Needs = append(p.Needs, need(d, f.groups))
	}
	const unit = 1e-6
	p.Prices = cover.Prices{
		Pattern:      [...]float64{5, 5, 10, 1, 0}[d.IntN(5)] * unit,
		RefillObject: [...]float64{1, 1, 3, 0}[d.IntN(4)] * unit,
		RefillByte:   [...]float64{0, 0.5}[d.IntN(2)] * unit,
	}
	if f.unknown && d.IntN(3) == 0 {
		p.Assumption = cover.Assumption{ColdPerURL: int64(d.IntN(4)), BytesPerObject: int64(d.IntN(3)), Site: [...]int64{0, 0, 20, 300}[d.IntN(4)]}
	} else {
		p.Inventory = live(d, p.Needs, f.tags)
	}
	if f.limits {
		if n := d.IntN(5) - 1; n >= 0 {
			p.Limits.MaxWildcards = &n
		}
		p.Limits.MaxPatterns = max(0, d.IntN(9)-4)
	}
	if f.groups {
		p.Limits.MaxPatternsPerRequest, p.Limits.MaxWildcardsPerRequest = d.IntN(4), d.IntN(3)
	}
	if f.rails {
		p.Rails = constraints(d, f.tags)
	}
	if f.tags && !f.groups && d.IntN(2) == 0 { // the judge would have to try who serves whom
		sure := make([][]string, len(p.Needs))
		for i := range sure {
			for _, tag := range []string{"t", "u", "v", "w"} {
				if d.IntN(4) > 0 {
					sure[i] = append(sure[i], tag)
				}
			}
		}
		p.Sure = func(need int) []string { return sure[need] }
	}
	return p
}

func live(d dice, needs []cover.Need, tags bool) *inventory.Inventory {
	b := inventory.Builder{Weighted: d.IntN(3) == 0}
	for i := range d.IntN(11) {
		e := inventory.Entry{URL: url(d), Size: int64(d.IntN(4)), Requests: int64(d.IntN(3))}
		if i < len(needs) && d.IntN(2) == 0 {
			e.URL = needs[i].URL
		}
		for range d.IntN(3) {
			if tags {
				e.Tags = append(e.Tags, [...]string{"t", "U", "v", "w"}[d.IntN(4)])
			}
		}
		b.Add(e)
	}
	return b.Inventory()
}

func constraints(d dice, tags bool) (r cover.Rails) {
	for range d.IntN(2) {
		n := need(d, false)
		r.Never = append(r.Never, n.Pattern)
	}
	if d.IntN(3) == 0 {
		r.Never = append(r.Never, [...]freshet.Pattern{"/*", "/a*", "/b/*"}[d.IntN(3)])
	}
	if tags && d.IntN(3) == 0 {
		r.Never = append(r.Never, "#T")
	}
	for range d.IntN(2) {
		r.Protected = append(r.Protected, url(d))
	}
	if d.IntN(2) == 0 {
		most := int64(d.IntN(5))
		r.MaxCollateral = &most
	}
	return r
}

// TestNothingIsCheaper holds the solver to the judge.
func TestNothingIsCheaper(t *testing.T) {
	for _, f := range []features{
		{}, {unknown: true}, {limits: true, unknown: true}, {rails: true, unknown: true}, {rails: true, limits: true, unknown: true},
		{tags: true}, {tags: true, rails: true}, {tags: true, rails: true, limits: true},
		{groups: true, unknown: true}, {groups: true, limits: true, rails: true, unknown: true}, {groups: true, tags: true},
		{groups: true, tags: true, limits: true, rails: true},
	} {
		t.Run(fmt.Sprintf("%+v", f), func(t *testing.T) {
			t.Parallel()
			n := 3000
			if testing.Short() {
				n = 300
			}
			count := make(map[string]int)
			for seed := range n {
				p := problem(rand.New(rand.NewPCG(uint64(seed), 1)), f)
				count[compare(t, p, fmt.Sprint("seed ", seed))]++
			}
			t.Log(count)
			if count["solved"] < n/3 || f.rails && count["refused"] < n/100 {
				t.Errorf("problems are too much alike: %v", count)
			}
		})
	}
}

// compare says how it went.
func compare(t *testing.T, p cover.Problem, name string) string {
	t.Helper()
	s, err := cover.Solve(p)
	want := newJudge(p).solve()
	var refused *cover.Refused
	switch {
	case errors.As(err, &refused) && want == nowhere:
		if refused.Rail == "" || refused.Reason == "" {
			t.Fatalf("%s: refused without a reason: %v", name, err)
		}
		return "refused"
	case err != nil && (want == nowhere || len(groupsOf(p)) > 1 || p.Tags && len(groupsOf(p)) > 0):
		return "not found"
	case err != nil:
		t.Fatalf("%s: %v, but there is %+v for %s", name, err, want, show(p))
	case want == nowhere:
		t.Fatalf("%s: %v is forbidden for %s", name, chosen(s), show(p))
	}
	valid(t, p, s, name)
	got := newJudge(p).weigh(chosen(s))
	if pico(s.LowerBound) > want.cost {
		t.Fatalf("%s: nothing costs less than %v, but %+v does, for %s", name, s.LowerBound, want, show(p))
	}
	if !s.Optimal && (len(groupsOf(p)) > 1 || p.Tags && len(groupsOf(p)) > 0) && got.compare(want) >= 0 {
		return "not proven"
	}
	if !s.Optimal || got.compare(want) != 0 {
		t.Fatalf("%s: %v is %+v (optimal: %v), the best is %+v, for %s", name, chosen(s), got, s.Optimal, want, show(p))
	}
	return "solved"
}

func pico(dollars float64) int64 { return int64(dollars*1e12 + 0.5) }

func groupsOf(p cover.Problem) map[string]bool {
	names := make(map[string]bool)
	for _, n := range p.Needs {
		if n.Group != "" {
			names[n.Group] = true
		}
	}
	return names
}

func chosen(s cover.Solution) (all []freshet.Pattern) {
	for _, c := range s.Choices {
		all = append(all, c.Pattern)
	}
	return all
}

func show(p cover.Problem) string {
	var live []inventory.Entry
	if p.Inventory != nil {
		live = slices.Collect(p.Inventory.All())
	}
	limit := ""
	if p.Rails.MaxCollateral != nil {
		limit = fmt.Sprint(*p.Rails.MaxCollateral)
	}
	return fmt.Sprintf("\nneeds %q\nlive %+v\n%+v %+v %+v max collateral %q", p.Needs, live, p.Prices, p.Limits, p.Rails, limit)
}

// valid checks all that a solution says of itself.
func valid(t *testing.T, p cover.Problem, s cover.Solution, name string) {
	t.Helper()
	j := newJudge(p)
	all := chosen(s)
	if !slices.IsSorted(all) || len(slices.Compact(slices.Clone(all))) != len(all) {
		t.Fatalf("%s: %v is not in order", name, all)
	}
	needs := make([]int, len(all))
	by := make([]int, len(p.Needs))
	for i, n := range p.Needs {
		by[i] = int(s.By[i])
		needs[by[i]]++
		if !j.covers(all[by[i]], n) {
			t.Fatalf("%s: %v does not cover %v, for %s", name, all[by[i]], n, show(p))
		}
		if b := s.Choices[by[i]].Bundle; n.Group != "" && b == 0 {
			t.Fatalf("%s: the group of %v is in no bundle", name, n)
		}
		for k := range i {
			if m := p.Needs[k]; n.Group != "" && n.Group == m.Group && s.Choices[by[i]].Bundle != s.Choices[by[k]].Bundle {
				t.Fatalf("%s: %v and %v are of one group and in two bundles", name, n, m)
			}
		}
	}
	var cold inventory.Sum
	for k, c := range s.Choices {
		if c.Needs != needs[k] || c.Needs == 0 {
			t.Fatalf("%s: %v is there for %d needs, says %d", name, c.Pattern, needs[k], c.Needs)
		}
		if j.forbidden(c.Pattern) {
			t.Fatalf("%s: %v is forbidden", name, c.Pattern)
		}
		cold = cold.Plus(c.Cold)
	}
	if cold != s.Cold || cold != j.cold(all) {
		t.Fatalf("%s: %v makes cold %+v, the choices say %+v, the solution %+v, for %s", name, all, j.cold(all), cold, s.Cold, show(p))
	}
	if v := j.weigh(all); pico(s.Cost.Total) != v.cost || pico(s.Cost.Patterns)+pico(s.Cost.Refill) != v.cost {
		t.Fatalf("%s: %v costs %+v, says %+v", name, all, v, s.Cost)
	}
	l := p.Limits
	if v := j.weigh(all); l.MaxWildcards != nil && v.wild > *l.MaxWildcards || l.MaxPatterns > 0 && v.patterns > l.MaxPatterns || p.Rails.MaxCollateral != nil && v.cold > *p.Rails.MaxCollateral {
		t.Fatalf("%s: %v is over the limits, for %s", name, all, show(p))
	}
	if many := overfull(p, all, by); many != nil {
		t.Fatalf("%s: %v do not fit into one request, for %s", name, many, show(p))
	}
	for what, e := range map[string]cover.Estimate{"one pattern per URL": s.PerURL, "/*": s.Everything} {
		if e.Refused == nil && e.Cost.Total < s.Cost.Total {
			t.Fatalf("%s: %s costs %v, this %v, for %s", name, what, e.Cost, s.Cost, show(p))
		}
	}
}

// inOrder checks that Order names each need once, by ascending patterns.
func inOrder(t *testing.T, p cover.Problem, s cover.Solution) {
	t.Helper()
	places := slices.Sorted(slices.Values(s.Order))
	for i, place := range places {
		if int(place) != i {
			t.Fatalf("the order is %v", s.Order)
		}
	}
	if len(places) != len(p.Needs) {
		t.Fatalf("%d needs are in the order of %d", len(places), len(p.Needs))
	}
	sorted := slices.IsSortedFunc(s.Order, func(a, b int32) int { return strings.Compare(p.Needs[a].Pattern.Prefix(), p.Needs[b].Pattern.Prefix()) })
	if !sorted {
		t.Fatalf("the order %v is not that of the patterns of %v", s.Order, p.Needs)
	}
}

// TestTheOrderOfNeedsDoesNotMatter: not for anything in the solution.
func TestTheOrderOfNeedsDoesNotMatter(t *testing.T) {
	for seed := range 2000 {
		d := rand.New(rand.NewPCG(uint64(seed), 2))
		p := problem(d, features{rails: seed%2 == 0, tags: seed%3 == 0, groups: seed%5 == 0, limits: seed%4 == 0, unknown: true})
		first, err := cover.Solve(p)
		order := d.Perm(len(p.Needs))
		q := p
		q.Needs = make([]cover.Need, len(p.Needs))
		for i, at := range order {
			q.Needs[at] = p.Needs[i]
		}
		if p.Sure != nil {
			was := make([]int, len(order))
			for i, at := range order {
				was[at] = i
			}
			q.Sure = func(need int) []string { return p.Sure(was[need]) }
		}
		second, again := cover.Solve(q)
		if !reflect.DeepEqual(err, again) {
			t.Fatalf("seed %d: %v, then %v", seed, err, again)
		}
		if err != nil {
			continue
		}
		by := make([]int32, len(order))
		for i, at := range order {
			by[i] = second.By[at]
		}
		second.By = by
		inOrder(t, p, first)
		inOrder(t, q, second)
		first.Order, second.Order = nil, nil // places in the needs
		if !reflect.DeepEqual(first, second) {
			t.Fatalf("seed %d: in another order\n%+v\nbecomes\n%+v", seed, first, second)
		}
	}
}
