package cover_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/inventory"
	"github.com/freshet/freshet/internal/plan/cover"
)

// page is the i-th page of a site of ten million.
func page(i int) string {
	return fmt.Sprintf("/%s/docs/v%d.%d/section-%d/page-%d.html", [...]string{"en", "de", "fr", "ja", "pt"}[i/2_000_000], i/1_000_000%2, i/100_000%10, i/1000%100, i%1000)
}

const pages = 10_000_000

var site = sync.OnceValue(func() *inventory.Inventory {
	var b inventory.Builder
	for i := range pages {
		b.Add(inventory.Entry{URL: page(i), Size: int64(i%50_000) + 2000})
	}
	return b.Inventory()
})

// changed picks n of the site's pages: whole sections, parts of sections and
// single pages, in no order.
func changed(n int) []cover.Need {
	random := rand.New(rand.NewPCG(7, uint64(n)))
	seen := make(map[int]bool, n)
	needs := make([]cover.Need, 0, n)
	for len(needs) < n {
		section := random.IntN(pages / 1000)
		density := [...]float64{1, 0.5, 0.05, 0.002}[random.IntN(4)]
		for i := section * 1000; i < section*1000+1000 && len(needs) < n; i++ {
			if random.Float64() < density && !seen[i] {
				seen[i] = true
				needs = append(needs, cover.Need{URL: page(i), Pattern: freshet.Pattern(page(i))})
			}
		}
	}
	random.Shuffle(n, func(i, j int) { needs[i], needs[j] = needs[j], needs[i] })
	for i := range needs {
		needs[i].Pattern = freshet.Pattern(needs[i].URL)
	}
	return needs
}

var usual = cover.Prices{Pattern: 0.005, RefillObject: 0.0004 / 1000, RefillByte: 0.02e-9}

func BenchmarkSolve(b *testing.B) {
	inventory := site()
	for _, limits := range []struct {
		name string
		cover.Limits
	}{{"free", cover.Limits{}}, {"15wildcards", cover.Limits{MaxWildcards: new(15)}}} {
		for _, n := range []int{1000, 10_000, 100_000, 1_000_000} {
			needs := changed(n)
			b.Run(fmt.Sprintf("%s/%d", limits.name, n), func(b *testing.B) {
				b.ReportAllocs()
				var chosen int
				for b.Loop() {
					s, err := cover.Solve(cover.Problem{Needs: needs, Inventory: inventory, Prices: usual, Limits: limits.Limits})
					if err != nil {
						b.Fatal(err)
					}
					chosen = len(s.Choices)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/need")
				b.ReportMetric(float64(chosen), "patterns")
			})
		}
	}
}
