package route_test

import (
	"fmt"
	"testing"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/distribution"
	"github.com/freshet/freshet/internal/route"
)

// crowd returns five distributions of one bucket, each with two origins and
// twenty behaviors.
func crowd() (all []distribution.Distribution) {
	for i := range 5 {
		d := distribution.ForBucket(fmt.Sprint("E", i), "site")
		c := &d.Config
		c.Origins = append(c.Origins, distribution.Origin{ID: "app", DomainName: "app.example.com"})
		for j := range 19 {
			pattern := []string{"/api/v%d/*", "/static%d/*.js", "*.x%d", "/p%d/?/*"}[j%4]
			c.CacheBehaviors = append(c.CacheBehaviors, distribution.CacheBehavior{PathPattern: fmt.Sprintf(pattern, j), TargetOriginID: "app"})
		}
		all = append(all, d)
	}
	return all
}

func keys(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("assets/%03d/photo-%07d.jpg", i%1000, i)
	}
	return all
}

func rules() route.Rules {
	return route.Rules{
		Rewrites: []route.Rewrite{{URL: "/blog/{slug}", Key: "blog/{slug}.html"}, {URL: "/app/{path...}", Key: "app/index.html", Fallback: true}},
		Derived:  []route.Derived{{Key: "articles/{id}.json", URLs: []string{"/articles/{id}"}}},
		Groups:   []route.Group{{Name: "app", Keys: []string{"app/{file...}"}}},
	}
}

func BenchmarkTargets(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			r, err := route.New(crowd(), rules())
			if err != nil {
				b.Fatal(err)
			}
			changes := make([]freshet.Change, n)
			for i, key := range keys(n) {
				changes[i] = freshet.Change{Origin: "site", Key: key, Op: freshet.OpPut}
			}
			b.ReportAllocs()
			for b.Loop() {
				if targets, _ := r.Targets(changes, nil); len(targets) != 5*n {
					b.Fatalf("%d targets of %d changes", len(targets), n)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/change")
		})
	}
}

func BenchmarkOwn(b *testing.B) {
	for name, all := range map[string][]distribution.Distribution{"1": crowd()[:1], "5": crowd()} {
		b.Run(name, func(b *testing.B) {
			r, err := route.New(all, route.Rules{})
			if err != nil {
				b.Fatal(err)
			}
			keys := keys(1000)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if own := r.Own("site", keys[i%len(keys)]); len(own) != len(all) {
					b.Fatal(own)
				}
				i++
			}
		})
	}
}

func BenchmarkExplainURL(b *testing.B) {
	r, err := route.New(crowd(), rules())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		r.ExplainURL(route.Question{URL: "/blog/hello"})
	}
}
