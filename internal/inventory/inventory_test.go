package inventory_test

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/freshet/freshet/internal/inventory"
)

// model is what an inventory should be: a map and a loop.
type model map[string]inventory.Entry

func (m model) add(e inventory.Entry) {
	var tags []string
	for _, t := range e.Tags {
		if t != "" {
			tags = append(tags, strings.ToLower(t))
		}
	}
	slices.Sort(tags)
	e.Tags = slices.Compact(tags)
	m[e.URL] = e
}

func (m model) sum(weighted bool, in func(string) bool) (s inventory.Sum) {
	for url, e := range m {
		if !in(url) {
			continue
		}
		s.Objects++
		s.Bytes += e.Size
		s.Requests += e.Requests
		refills := int64(1)
		if weighted {
			refills = e.Requests
		}
		s.Refills += refills
		s.RefillBytes += refills * e.Size
	}
	return s
}

func tidy(e inventory.Entry) inventory.Entry {
	slices.Sort(e.Tags)
	if len(e.Tags) == 0 {
		e.Tags = nil
	}
	return e
}

func entries() *rapid.Generator[inventory.Entry] {
	return rapid.Custom(func(t *rapid.T) inventory.Entry {
		return inventory.Entry{
			URL:      rapid.StringMatching(`(/(ab|a|b|é)?){0,9}[ab]?`).Draw(t, "url"),
			Size:     rapid.Int64Range(0, 1<<40).Draw(t, "size"),
			Requests: rapid.Int64Range(0, 2).Draw(t, "requests"),
			Tags:     rapid.SliceOfN(rapid.SampledFrom([]string{"", "t", "T", "u", "news"}), 0, 3).Draw(t, "tags"),
		}
	})
}

func TestAnInventoryIsWhatWasAdded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := inventory.Builder{Weighted: rapid.Bool().Draw(t, "weighted")}
		m := make(model)
		for _, e := range rapid.SliceOfN(entries(), 0, 200).Draw(t, "entries") {
			b.Add(e)
			m.add(e)
		}
		equal(t, b.Inventory(), m, b.Weighted)
	})
}

func equal(t *rapid.T, v *inventory.Inventory, m model, weighted bool) {
	var got []inventory.Entry
	for e := range v.All() {
		got = append(got, tidy(e))
	}
	var want []inventory.Entry
	for _, url := range slices.Sorted(maps.Keys(m)) {
		want = append(want, tidy(m[url]))
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	if everything := m.sum(weighted, func(string) bool { return true }); v.Len() != len(want) || v.Total() != everything {
		t.Fatalf("%d entries with %+v, want %+v", v.Len(), v.Total(), everything)
	}
	for _, prefix := range []string{"", "/", "/a", "/ab", "/a/", "//", "/b/a", "\xff", rapid.StringMatching(`(/(ab|a|b)?){0,5}`).Draw(t, "prefix")} {
		under := m.sum(weighted, func(url string) bool { return strings.HasPrefix(url, prefix) })
		if got := v.Under(prefix); got != under {
			t.Fatalf("under %q is %+v, want %+v", prefix, got, under)
		}
		e, found := v.Find(prefix)
		if w, there := m[prefix]; found != there || !reflect.DeepEqual(tidy(e), tidy(w)) {
			t.Fatalf("found %q: %v %v, want %v %v", prefix, found, e, there, w)
		}
	}
	tagged(t, v, want)
}

func tagged(t *rapid.T, v *inventory.Inventory, sorted []inventory.Entry) {
	want := make(map[string][]int)
	for i, e := range sorted {
		for _, tag := range e.Tags {
			want[tag] = append(want[tag], i)
		}
	}
	got := make(map[string][]int)
	for _, tag := range v.Tags() {
		got[tag] = slices.Collect(v.Tagged(strings.ToUpper(tag)))
	}
	if !maps.EqualFunc(got, want, slices.Equal) {
		t.Fatalf("tags are %v, want %v", got, want)
	}
	for range v.Tagged("nobody's") {
		t.Fatal("a tag that nobody carries has entries")
	}
}

// TestACursorSkipsWhatItPasses: it comes to stand where a loop would, whatever
// it skips, and what it left behind adds up.
func TestACursorSkipsWhatItPasses(t *testing.T) {
	urls := paths(3000)
	var b inventory.Builder
	for i, u := range urls {
		b.Add(inventory.Entry{URL: u, Size: int64(i)})
	}
	v := b.Inventory()
	rapid.Check(t, func(t *rapid.T) {
		c, at := v.Cursor(), 0
		targets := rapid.SliceOfN(rapid.SampledFrom(urls), 0, 20).Draw(t, "targets")
		slices.Sort(targets)
		for _, target := range targets {
			target = target[:rapid.IntRange(0, len(target)).Draw(t, "length")]
			switch beyond := rapid.IntRange(0, 2).Draw(t, "beyond"); beyond {
			case 0:
				for ; at < len(urls) && urls[at] < target; at++ {
				}
				c.Seek(target)
			case 1:
				for ; at < len(urls) && (urls[at] < target || strings.HasPrefix(urls[at], target)); at++ {
				}
				c.SeekBeyond(target)
			case 2:
				at = min(len(urls), at+len(target)*3)
				c.SeekIndex(at)
			}
			bytes := int64(at) * int64(at-1) / 2
			if c.Index() != at || c.Before().Objects != int64(at) || c.Before().Bytes != bytes || c.Before().RefillBytes != bytes {
				t.Fatalf("stands on %d after %+v, want %d after %d bytes", c.Index(), c.Before(), at, bytes)
			}
			if c.Done() != (at == len(urls)) || at < len(urls) && (!c.Is(urls[at]) || !c.HasPrefix(urls[at][:3]) || c.HasPrefix("nothing") || c.Own().Bytes != int64(at)) {
				t.Fatalf("does not stand on %d", at)
			}
		}
	})
}

// paths returns the first n pages of a site, sorted.
func paths(n int) []string {
	urls := make([]string, 0, n)
	for i := range n {
		urls = append(urls, fmt.Sprintf("/%s/docs/v1.%d/section-%d/page-%d.html", [...]string{"en", "de", "fr"}[i%3], i/3%7, i/21%40, i/840))
	}
	slices.Sort(urls)
	return slices.Compact(urls)
}

// TestTheOrderOfAddingDoesNotMatter: more entries than are sorted at once, in
// four orders, each URL twice.
func TestTheOrderOfAddingDoesNotMatter(t *testing.T) {
	urls := paths(150_000)
	shuffled := slices.Clone(urls)
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(urls), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	reversed := slices.Clone(urls)
	slices.Reverse(reversed)
	late := append(slices.Clone(urls[1000:]), urls[:1000]...)
	for name, order := range map[string][]string{"sorted": urls, "shuffled": shuffled, "reversed": reversed, "late": late} {
		t.Run(name, func(t *testing.T) {
			var b inventory.Builder
			for _, u := range order {
				b.Add(inventory.Entry{URL: u, Size: 1, Tags: []string{"old"}})
			}
			for _, u := range order {
				b.Add(inventory.Entry{URL: u, Size: int64(len(u)), Tags: []string{u[1:3]}})
			}
			v := b.Inventory()
			at := 0
			for e := range v.All() {
				if want := (inventory.Entry{URL: urls[at], Size: int64(len(urls[at])), Tags: []string{urls[at][1:3]}}); !reflect.DeepEqual(e, want) {
					t.Fatalf("entry %d is %v, want %v", at, e, want)
				}
				at++
			}
			if tags := v.Tags(); at != len(urls) || !slices.Equal(tags, []string{"de", "en", "fr"}) {
				t.Errorf("%d entries with tags %v, want %d and the last ones", at, tags, len(urls))
			}
		})
	}
}

func TestABuilderIsEmptyAfterwards(t *testing.T) {
	b := inventory.Builder{Weighted: true}
	b.Add(inventory.Entry{URL: "/a", Tags: []string{"t"}})
	first := b.Inventory()
	second := b.Inventory()
	if first.Len() != 1 || second.Len() != 0 || len(second.Tags()) != 0 || !second.Weighted() {
		t.Errorf("got %d and %d entries", first.Len(), second.Len())
	}
	if second.Under("/") != (inventory.Sum{}) {
		t.Error("there is something below / in an empty inventory")
	}
	for range second.All() {
		t.Error("an empty inventory has an entry")
	}
}

func TestSizesDoNotOverflow(t *testing.T) {
	var b inventory.Builder
	for _, u := range []string{"/a", "/b", "/c"} {
		b.Add(inventory.Entry{URL: u, Size: math.MaxInt64, Requests: math.MaxInt64})
	}
	b.Add(inventory.Entry{URL: "/d", Size: -1, Requests: math.MinInt64})
	v := b.Inventory()
	if got := v.Total(); got.Bytes <= 0 || got.Requests <= 0 {
		t.Errorf("the total is %+v", got)
	}
	if d := v.Under("/d"); d != (inventory.Sum{Objects: 1, Refills: 1}) {
		t.Errorf("less than nothing counts as %+v", d)
	}
}

func TestAURLMayBeLongAndMayBeEmpty(t *testing.T) {
	var b inventory.Builder
	long := "/" + strings.Repeat("x", 1<<20)
	for _, u := range []string{long, "", long + "y"} {
		b.Add(inventory.Entry{URL: u, Size: 3})
	}
	v := b.Inventory()
	if v.Under(long).Objects != 2 || v.Under("").Objects != 3 {
		t.Errorf("under the long one are %d, under none %d", v.Under(long).Objects, v.Under("").Objects)
	}
	if _, found := v.Find(""); !found {
		t.Error("the empty one is not found")
	}
}

func BenchmarkUnder(b *testing.B) {
	var builder inventory.Builder
	for _, u := range paths(1_000_000) {
		builder.Add(inventory.Entry{URL: u, Size: 1})
	}
	v := builder.Inventory()
	b.ReportMetric(float64(v.Memory())/float64(v.Len()), "B/url")
	for b.Loop() {
		v.Under("/de/docs/v1.3/section-17/")
	}
}
