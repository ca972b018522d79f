package cover

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/inventory"
)

// TestPlainIsNeverWrong: what is let through without a second look is a pattern.
func TestPlainIsNeverWrong(t *testing.T) {
	let := 0
	for c := range 256 {
		s := "/a" + string([]byte{byte(c)}) + "b"
		if plain(s) {
			let++
			if p, err := freshet.ParsePattern(s); err != nil || string(p) != s {
				t.Errorf("%q is let through: %v", s, err)
			}
		}
	}
	if let < 26+26+10 {
		t.Errorf("only %d characters are let through", let)
	}
}

func TestSortedIsSorted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		keys := rapid.SliceOf(rapid.StringMatching(`(/section-1|/a|b){0,4}[a-c]{0,9}`)).Draw(t, "keys")
		sortedLike(t, keys)
	})
	random := rand.New(rand.NewPCG(1, 1))
	keys := make([]string, 20_000) // enough for the radix sort
	for i := range keys {
		keys[i] = strings.Repeat("/dir", random.IntN(5)) + strings.Repeat(string(rune('a'+random.IntN(26))), random.IntN(4))
	}
	sortedLike(t, keys)
}

func sortedLike(t interface{ Fatalf(string, ...any) }, keys []string) {
	want := slices.Sorted(slices.Values(keys))
	order, shared := sorted(keys)
	for i, at := range order {
		if keys[at] != want[i] {
			t.Fatalf("position %d holds %q, want %q", i, keys[at], want[i])
		}
		n := 0
		for i > 0 && n < len(want[i]) && n < len(want[i-1]) && want[i][n] == want[i-1][n] {
			n++
		}
		if int(shared[i]) != n {
			t.Fatalf("%q shares %d bytes with its predecessor, not %d", want[i], n, shared[i])
		}
	}
}

// TestACutSearchSaysSo: with the budget used up, what is found is a cover still,
// within its bounds, and the lower bound holds.
func TestACutSearchSaysSo(t *testing.T) {
	for seed := range 200 {
		random := rand.New(rand.NewPCG(uint64(seed), 9))
		var needs []Need
		for range 60 {
			u := "/" + string(rune('a'+random.IntN(5))) + "/" + string(rune('a'+random.IntN(26))) + "/" + string(rune('a'+random.IntN(26)))
			needs = append(needs, Need{URL: u, Pattern: freshet.Pattern(u)})
		}
		s, err := newSolver(Problem{Needs: needs, Prices: Prices{Pattern: 5, RefillObject: 1}, Assumption: Assumption{ColdPerURL: int64(random.IntN(5))}})
		if err != nil {
			t.Fatal(err)
		}
		a := attempt{offer: s.offer, leaf: s.leaf(rails{}), bounds: noBounds}
		a.bounds[wildcards], a.bounds[coldObjects], a.bounds[patterns] = 6, 60, 50
		best, lower := cheapest(s.t, a)
		h := newHaggler(s.t, a, []int{wildcards, patterns, coldObjects})
		h.haggle()
		if h.lower > best.cost || h.known.less(best.value) {
			t.Fatalf("seed %d: nothing should cost less than %d, but %+v does, and %+v is known", seed, h.lower, best.value, h.known.value)
		}
		f := newFronts(s.t, a)
		f.work = workBudget + 1
		cut := f.solve()
		switch {
		case lower != best.cost:
			t.Fatalf("seed %d: not solved", seed)
		case !best.possible() && cut.possible():
			t.Fatalf("seed %d: the impossible was found", seed)
		case cut.possible() && (cut.less(best.value) || !a.within(s.t, cut)):
			t.Fatalf("seed %d: %+v is better than the best, %+v", seed, cut.value, best.value)
		case f.exact && cut.value != best.value:
			t.Fatalf("seed %d: %+v is not the best, %+v, and does not say so", seed, cut.value, best.value)
		}
	}
}

// TestBoundsOfTagsHold: no cover with tags costs less than what the search takes
// for the least that one can cost.
func TestBoundsOfTagsHold(t *testing.T) {
	for seed := range 1000 {
		random := rand.New(rand.NewPCG(uint64(seed), 10))
		var b inventory.Builder
		p := Problem{Tags: true, Prices: Prices{Pattern: 2e-6, RefillObject: 1e-6}}
		for i := range 14 {
			u := "/" + strings.Repeat("a", random.IntN(3)) + string(rune('a'+i))
			b.Add(inventory.Entry{URL: u, Size: 1, Tags: []string{string(rune('s' + random.IntN(4))), string(rune('s' + random.IntN(8)))}})
			if random.IntN(2) == 0 {
				p.Needs = append(p.Needs, Need{URL: u, Pattern: freshet.Pattern(u)})
			}
		}
		p.Inventory = b.Inventory()
		s, err := newSolver(p)
		if err != nil {
			t.Fatal(err)
		}
		free := terms{bounds: noBounds}
		best := s.search(free)
		x := &search{solver: s, terms: free, offer: s.offer, leaf: s.leaf(rails{}), order: s.usable(rails{})}
		if least := x.bound(0, nil); best.less(least) {
			t.Fatalf("seed %d: nothing should be less than %+v, but %+v is", seed, least, best.value)
		}
		for at := range len(x.order) + 1 { // all subsets, which are few
			for in := range 1 << at {
				var tags []int
				for k := range at {
					if in>>k&1 == 1 {
						tags = append(tags, x.order[k])
					}
				}
				slices.Sort(tags)
				if f := s.cover(free, tags); f.less(best.value) {
					t.Fatalf("seed %d: %+v is better than the best, %+v", seed, f.value, best.value)
				}
			}
		}
	}
}
