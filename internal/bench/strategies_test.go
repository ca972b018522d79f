package bench_test

import (
	"path"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"

	"fmt"
	"os"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/cdn/cloudfront"
	"github.com/freshet/freshet/internal/distribution"
	"github.com/freshet/freshet/internal/inventory"
	"github.com/freshet/freshet/internal/plan"
	"github.com/freshet/freshet/internal/route"
)

// strategy turns the keys of a deploy into patterns, knowing nothing else.
type strategy struct {
	name     string
	patterns func(keys []string) []freshet.Pattern
}

// strategies are what people do today.
var strategies = []strategy{
	{"one path per object", func(keys []string) (all []freshet.Pattern) {
		for _, k := range keys {
			p, _ := freshet.PathPattern(freshet.KeyPaths(k)[0])
			all = append(all, p)
		}
		return all
	}},
	{"/*", func([]string) []freshet.Pattern { return []freshet.Pattern{"/*"} }},
	{"collapse by depth to 8, else /*", collapse},
	{"longest common directory", func(keys []string) []freshet.Pattern {
		common := path.Dir("/" + keys[0])
		for _, k := range keys[1:] {
			for common != "/" && !strings.HasPrefix("/"+k, common+"/") {
				common = path.Dir(common)
			}
		}
		return []freshet.Pattern{freshet.Pattern(strings.TrimSuffix(common, "/") + "/*")}
	}},
}

// collapse lists index documents by their folder and, while there are more than
// eight paths, replaces the deepest of them by their folder's wildcard, level by
// level; when even that leaves more than eight it clears everything.
func collapse(keys []string) []freshet.Pattern {
	const most = 8
	deepest := 0
	var paths []string
	for _, k := range keys {
		p := "/" + k
		if path.Base(p) == "index.html" {
			p = strings.TrimSuffix(p, "index.html")
		}
		deepest = max(deepest, strings.Count(p, "/"))
		paths = append(paths, p)
	}
	paths = slices.Compact(slices.Sorted(slices.Values(paths)))
	for level := deepest; level > 0 && len(paths) > most; level-- {
		for i, p := range paths {
			if strings.Count(p, "/") > level {
				folder := path.Dir(strings.TrimSuffix(strings.TrimSuffix(p, "*"), "/"))
				paths[i] = strings.TrimSuffix(folder, "/") + "/*"
			}
		}
		slices.Sort(paths)
		paths = slices.Compact(paths)
	}
	if len(paths) > most {
		paths = []string{"/*"}
	}
	var all []freshet.Pattern
	for _, p := range paths {
		pattern, _ := freshet.PathPattern(freshet.CanonicalPath(strings.TrimSuffix(p, "*")))
		if strings.HasSuffix(p, "*") {
			pattern += "*"
		}
		all = append(all, pattern)
	}
	return all
}

// bill is what a strategy has come to.
type bill struct {
	paths, cold, missed int
	coldBytes           int64
	cost                float64 // paths and refilling, in dollars
}

func (b *bill) add(o bill) {
	b.paths, b.cold, b.missed, b.coldBytes, b.cost = b.paths+o.paths, b.cold+o.cold, b.missed+o.missed, b.coldBytes+o.coldBytes, b.cost+o.cost
}

// judge counts what patterns do, URL by URL.
func judge(patterns []freshet.Pattern, targets []freshet.Target, before map[string]int64, terms plan.Terms) bill {
	exact := make(map[freshet.Pattern]bool)
	var wild []freshet.Pattern
	for _, p := range patterns {
		if p.IsWildcard() {
			wild = append(wild, p)
		} else {
			exact[p] = true
		}
	}
	covers := func(url string) bool {
		return exact[freshet.Pattern(url)] || slices.ContainsFunc(wild, func(p freshet.Pattern) bool { return p.Covers(url) })
	}
	b := bill{paths: len(exact) + len(wild)}
	changed := make(map[string]bool)
	for _, t := range targets {
		if !changed[t.URL] && !covers(t.URL) {
			b.missed++
		}
		changed[t.URL] = true
	}
	for key, size := range before {
		if url := freshet.KeyPaths(key)[0]; !changed[url] && covers(url) {
			b.cold++
			b.coldBytes += size
		}
	}
	b.cost = float64(b.paths)*cloudfront.PatternPrice + float64(b.cold)*terms.RefillObject + float64(b.coldBytes)*terms.RefillGB/1e9
	return b
}

// site is how a deploy's site is published.
type site struct {
	name  string
	rules route.Rules
	root  string // default root object
}

var sites = []site{
	{"index documents answer for their folders", route.Rules{}, "index.html"},
	{"every object has one URL", route.Rules{IndexDocuments: []string{}}, ""},
}

// plans calls each for every deploy with freshet's plan and what it was made
// from.
func (s site) plans(tb testing.TB, each func(deploy, freshet.Plan, []freshet.Target)) {
	d := distribution.ForBucket("E1", "site")
	d.Config.DefaultRootObject = s.root
	router, err := route.New([]distribution.Distribution{d}, s.rules)
	if err != nil {
		tb.Fatal(err)
	}
	profile := cloudfront.ProfileOf("E1", nil)
	replay(tb, "testdata/flink-web.deploys.gz", func(dep deploy) {
		if len(dep.changes) == 0 {
			return
		}
		var b inventory.Builder
		for key, size := range dep.before {
			b.Add(inventory.Entry{URL: freshet.KeyPaths(key)[0], Size: size})
		}
		in := plan.Input{Profiles: []freshet.Profile{profile}, Inventories: map[string]*inventory.Inventory{"E1": b.Inventory()}}
		in.Changes, in.Superseded = freshet.Latest(dep.changes)
		in.Targets, in.Unrouted = router.Targets(in.Changes, nil)
		p, err := plan.Make(in)
		if err != nil {
			tb.Fatal(err)
		}
		each(dep, p, in.Targets)
	})
}

func patternsOf(p freshet.Plan) (all []freshet.Pattern) {
	for _, inv := range p.Invalidations {
		all = append(all, inv.Patterns...)
	}
	return all
}

func keysOf(d deploy) (keys []string) {
	for _, c := range d.changes {
		keys = append(keys, c.Key)
	}
	return keys
}

// TestPromiseLeastCost: on each of 250 real deploys nothing is missed, and no
// strategy that misses nothing is cheaper, as counted URL by URL by somebody who
// knows nothing of how the plan was made.
func TestPromiseLeastCost(t *testing.T) {
	for _, s := range sites {
		deploys, compared := 0, 0
		s.plans(t, func(d deploy, p freshet.Plan, targets []freshet.Target) {
			deploys++
			terms := plan.DefaultTerms()
			ours := judge(patternsOf(p), targets, d.before, terms)
			if ours.missed > 0 {
				t.Fatalf("deploy %d: %d URLs missed", d.number, ours.missed)
			}
			if c := p.Costs[0].Plan; c.ColdObjects != int64(ours.cold) || c.ColdBytes != ours.coldBytes || c.Patterns != ours.paths || !near(c.Cost, ours.cost) {
				t.Errorf("deploy %d: the plan says %+v, counted were %+v", d.number, c, ours)
			}
			for _, other := range strategies {
				theirs := judge(other.patterns(keysOf(d)), targets, d.before, terms)
				if theirs.missed > 0 {
					continue
				}
				compared++
				if theirs.cost < ours.cost-1e-9 {
					t.Errorf("deploy %d, %s: %q costs $%.4f, the plan $%.4f", d.number, s.name, other.name, theirs.cost, ours.cost)
				}
			}
		})
		if deploys < 200 || compared < 2*deploys {
			t.Errorf("%d deploys and %d comparisons only", deploys, compared)
		}
	}
}

func near(a, b float64) bool { return a-b < 1e-6 && b-a < 1e-6 }

// BenchmarkDeploys replays the deploys of a real site and prints what each
// strategy comes to.
func BenchmarkDeploys(b *testing.B) {
	for _, s := range sites {
		b.Run(strings.ReplaceAll(s.name, " ", "_"), func(b *testing.B) {
			var ours bill
			theirs := make([]bill, len(strategies))
			cheaper := make([]int, len(strategies)) // though missing something
			deploys := 0
			for b.Loop() {
				ours, deploys = bill{}, 0
				clear(theirs)
				clear(cheaper)
				s.plans(b, func(d deploy, p freshet.Plan, targets []freshet.Target) {
					deploys++
					mine := judge(patternsOf(p), targets, d.before, plan.DefaultTerms())
					ours.add(mine)
					for i, other := range strategies {
						their := judge(other.patterns(keysOf(d)), targets, d.before, plan.DefaultTerms())
						theirs[i].add(their)
						if their.cost < mine.cost-1e-9 {
							cheaper[i]++
						}
					}
				})
			}
			w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
			fmt.Fprintf(w, "%d deploys, %s\n\tpaths billed\tmade cold\tMB\tdollars\twith refilling\tURLs missed\tcheaper than freshet on\t\n", deploys, s.name)
			for i, other := range strategies {
				row(w, other.name, theirs[i], fmt.Sprintf("%d, all with URLs missed", cheaper[i]))
			}
			row(w, "freshet", ours, "")
			_ = w.Flush()
			b.ReportMetric(float64(ours.paths), "paths")
			b.ReportMetric(float64(ours.cold), "cold")
			b.ReportMetric(float64(ours.missed), "missed")
		})
	}
}

func row(w *tabwriter.Writer, name string, b bill, note string) {
	fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%.2f\t%.2f\t%d\t%s\t\n", name, b.paths, b.cold, b.coldBytes/1e6, float64(b.paths)*cloudfront.PatternPrice, b.cost, b.missed, note)
}
