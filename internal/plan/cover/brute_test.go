package cover_test

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/inventory"
	"github.com/freshet/freshet/internal/plan/cover"
)

// The judge: it knows what patterns mean and what they cost, and tries all of
// them. It shares nothing with the solver but the words.

// verdict is how covers are compared.
type verdict struct {
	cost     int64 // picodollars
	cold     int64
	wild     int
	patterns int
}

func (v verdict) compare(w verdict) int {
	return cmp.Or(cmp.Compare(v.cost, w.cost), cmp.Compare(v.cold, w.cold), cmp.Compare(v.wild, w.wild), cmp.Compare(v.patterns, w.patterns))
}

var nowhere = verdict{cost: math.MaxInt64}

type judge struct {
	p          cover.Problem
	live       []inventory.Entry
	candidates []freshet.Pattern
	best       verdict
}

func newJudge(p cover.Problem) *judge {
	j := &judge{p: p, best: nowhere}
	if p.Inventory != nil {
		j.live = slices.Collect(p.Inventory.All())
	}
	seen := make(map[freshet.Pattern]bool)
	add := func(s freshet.Pattern) {
		if _, err := freshet.ParsePattern(string(s)); err == nil && !seen[s] && !j.forbidden(s) {
			seen[s] = true
			j.candidates = append(j.candidates, s)
		}
	}
	for _, n := range p.Needs {
		add(n.Pattern)
		for i := range len(n.Pattern) {
			add(n.Pattern[:i] + "*")
		}
		add(n.Pattern + "*")
	}
	for i := range p.Needs {
		if p.Tags && p.Sure != nil && p.Inventory != nil {
			for _, t := range p.Sure(i) {
				add(freshet.Pattern("#" + t))
			}
		}
	}
	for _, e := range j.live {
		for _, t := range e.Tags {
			if p.Tags && p.Sure == nil {
				add(freshet.Pattern("#" + t))
			}
		}
	}
	return j
}

// solve returns the best cover there is, nowhere when there is none.
func (j *judge) solve() verdict {
	j.extend(nil)
	return j.best
}

// extend covers the first need that is not covered in every possible way.
func (j *judge) extend(chosen []freshet.Pattern) {
	if j.weigh(chosen).compare(j.best) >= 0 {
		return
	}
	for _, n := range j.p.Needs {
		if slices.ContainsFunc(chosen, func(p freshet.Pattern) bool { return j.covers(p, n) }) {
			continue
		}
		for _, p := range j.candidates {
			if j.covers(p, n) {
				j.extend(append(slices.Clone(chosen), p))
			}
		}
		return
	}
	if j.legal(chosen) {
		j.best = j.weigh(chosen)
	}
}

func (j *judge) covers(p freshet.Pattern, n cover.Need) bool {
	switch {
	case p.IsTag() && j.p.Sure != nil:
		return j.sure(n, string(p[1:]))
	case p.IsTag():
		return slices.ContainsFunc(j.live, func(e inventory.Entry) bool {
			return e.URL == n.URL && slices.Contains(e.Tags, string(p[1:]))
		})
	case p.IsWildcard():
		return strings.HasPrefix(n.Pattern.Prefix(), p.Prefix()) && (n.Pattern.IsWildcard() || n.Pattern.Prefix() == string(n.Pattern))
	default:
		return p == n.Pattern
	}
}

// sure reports whether all needs that are one with it may rely on the tag.
func (j *judge) sure(need cover.Need, tag string) bool {
	for i, n := range j.p.Needs {
		if n.URL == need.URL && n.Pattern == need.Pattern && !slices.Contains(j.p.Sure(i), tag) {
			return false
		}
	}
	return true
}

func (j *judge) needed(url string) bool {
	return slices.ContainsFunc(j.p.Needs, func(n cover.Need) bool {
		return n.URL == url || !n.Pattern.IsWildcard() && string(n.Pattern) == url
	})
}

// queries reports whether a need asks for p, which is one path's query strings.
func (j *judge) queries(p freshet.Pattern) bool {
	return strings.Contains(p.Prefix(), "?") && slices.ContainsFunc(j.p.Needs, func(n cover.Need) bool { return n.Pattern == p })
}

// cold adds up what the patterns remove for nothing.
func (j *judge) cold(chosen []freshet.Pattern) (s inventory.Sum) {
	if j.p.Inventory == nil {
		urls := make(map[string]bool)
		for _, n := range j.p.Needs {
			for _, url := range []string{n.URL, string(n.Pattern)} {
				if url == string(n.Pattern) && n.Pattern.IsWildcard() && url != n.URL {
					continue
				}
				if slices.ContainsFunc(chosen, func(p freshet.Pattern) bool { return p.IsWildcard() && p.Covers(url) }) {
					urls[url] = true
				}
			}
		}
		s.Objects = int64(len(urls)) * j.p.Assumption.ColdPerURL
		for _, p := range chosen {
			if !p.IsWildcard() {
				continue
			}
			if j.queries(p) {
				continue
			}
			share := float64(j.p.Assumption.Site)
			for i, c := range p.Prefix() {
				if i > 0 && (c == '/' || p.Prefix()[i-1] == '/') {
					share = math.Floor(share / 10)
				}
			}
			s.Objects += int64(share)
		}
		s.Bytes = s.Objects * j.p.Assumption.BytesPerObject
		s.Refills, s.RefillBytes = s.Objects, s.Bytes
		return s
	}
	for _, e := range j.live {
		removed := slices.ContainsFunc(chosen, func(p freshet.Pattern) bool { return j.removes(p, e) })
		if !removed || j.needed(e.URL) {
			continue
		}
		s.Objects++
		s.Bytes += e.Size
		s.Requests += e.Requests
		refills := int64(1)
		if j.p.Inventory.Weighted() {
			refills = e.Requests
		}
		s.Refills += refills
		s.RefillBytes += refills * e.Size
	}
	return s
}

func (j *judge) removes(p freshet.Pattern, e inventory.Entry) bool {
	return p.Covers(e.URL) || p.IsTag() && slices.Contains(e.Tags, string(p[1:]))
}

func (j *judge) weigh(chosen []freshet.Pattern) verdict {
	cold := j.cold(chosen)
	pico := func(dollars float64) int64 { return int64(math.Round(dollars * 1e12)) }
	v := verdict{cold: cold.Objects, patterns: len(chosen)}
	v.cost = pico(j.p.Prices.Pattern)*int64(len(chosen)) + pico(j.p.Prices.RefillObject)*cold.Refills + pico(j.p.Prices.RefillByte)*cold.RefillBytes
	for _, p := range chosen {
		if p.IsWildcard() {
			v.wild++
		}
	}
	return v
}

func (j *judge) forbidden(p freshet.Pattern) bool {
	for _, n := range j.p.Rails.Never {
		if strings.EqualFold(string(p), string(n)) && p.IsTag() || p == n || p.IsWildcard() && !n.IsTag() && strings.HasPrefix(n.Prefix(), p.Prefix()) {
			return true
		}
	}
	for _, prefix := range j.p.Rails.Protected {
		if p.IsWildcard() && (strings.HasPrefix(prefix, p.Prefix()) || !j.queries(p) && strings.HasPrefix(p.Prefix(), prefix)) {
			return true
		}
		for _, e := range j.live {
			if p.IsTag() && strings.HasPrefix(e.URL, prefix) && !j.needed(e.URL) && j.removes(p, e) {
				return true
			}
		}
	}
	return false
}

func (j *judge) legal(chosen []freshet.Pattern) bool {
	v, l := j.weigh(chosen), j.p.Limits
	if l.MaxWildcards != nil && v.wild > *l.MaxWildcards || l.MaxPatterns > 0 && v.patterns > l.MaxPatterns {
		return false
	}
	if c := j.p.Rails.MaxCollateral; c != nil && v.cold > *c {
		return false
	}
	return j.grouped(chosen)
}

// grouped reports whether every group fits into a request, each need being
// served by the shortest of the patterns that cover it.
func (j *judge) grouped(chosen []freshet.Pattern) bool {
	by := make([]int, len(j.p.Needs))
	for i, n := range j.p.Needs {
		by[i] = -1
		for k, p := range chosen {
			if j.covers(p, n) && (by[i] < 0 || len(p) < len(chosen[by[i]])) {
				by[i] = k
			}
		}
	}
	return len(overfull(j.p, chosen, by)) == 0
}

// overfull lists the patterns of groups that do not fit into one request, given
// which pattern is there for which need.
func overfull(p cover.Problem, chosen []freshet.Pattern, by []int) []freshet.Pattern {
	bundle := make([]int, len(chosen)) // by repeated merging, the slow way
	for k := range bundle {
		bundle[k] = k
	}
	for range chosen {
		for i, n := range p.Needs {
			for k, m := range p.Needs {
				if n.Group != "" && n.Group == m.Group {
					low := min(bundle[by[i]], bundle[by[k]])
					bundle[by[i]], bundle[by[k]] = low, low
				}
			}
		}
	}
	var many []freshet.Pattern
	for k := range chosen {
		all, wild, grouped := 0, 0, false
		for other := range chosen {
			if bundle[other] == bundle[k] {
				all++
				if chosen[other].IsWildcard() {
					wild++
				}
			}
		}
		for i, n := range p.Needs {
			grouped = grouped || n.Group != "" && bundle[by[i]] == bundle[k]
		}
		l := p.Limits
		if grouped && (l.MaxPatternsPerRequest > 0 && all > l.MaxPatternsPerRequest || l.MaxWildcardsPerRequest > 0 && wild > l.MaxWildcardsPerRequest) {
			many = append(many, chosen[k])
		}
	}
	return many
}
