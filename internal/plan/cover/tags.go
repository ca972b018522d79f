package cover

import (
	"slices"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/inventory"
)

// tagBook knows what the useful tags cover and what else they make cold. Useful
// is a tag that covers two requirements, or one that has no exact path: a path
// does as well as any other. A nil tagBook has no tags.
type tagBook struct {
	names  []string  // sorted, without the #
	units  []int32   // by requirement, where its units begin, and the end; a requirement that no tags can cover has none
	unit   []int32   // by need; nothing where it has none
	of     []int32   // by unit, the requirement
	covers [][]int32 // by tag, the units, ascending

	cold    [][]int32       // by tag, the entries it makes cold, ascending
	entries []inventory.Sum // all that some tag makes cold
	at      []int32         // and their positions in the inventory
	from    []int32         // by node, which entries are below it
	to      []int32
	alone   []inventory.Sum // by tag, what no other tag makes cold
}

func newTagBook(p Problem, t *tree, c census, leaf func(int) value) *tagBook {
	b := &tagBook{units: make([]int32, t.len()+1), unit: make([]int32, len(p.Needs))}
	byName := make(map[string][]int32)
	cursor := p.Inventory.Cursor()
	for i := range t.len() {
		b.addUnits(p, t, i, cursor, byName)
		b.units[i+1] = int32(len(b.of))
	}
	for name, units := range byName {
		if _, err := freshet.ParsePattern("#" + name); err == nil && b.useful(units, leaf) {
			b.names = append(b.names, name)
		}
	}
	slices.Sort(b.names)
	for _, name := range b.names {
		b.covers = append(b.covers, byName[name])
		b.cold = append(b.cold, coldOf(p.Inventory, name, c.needs))
	}
	b.survey(p.Inventory)
	b.from, b.to = ranks(b.at, c.from), ranks(b.at, c.to)
	return b
}

// addUnits makes a unit of each URL of requirement i, all of which have to be
// covered by tags if not a path covers them; so all of them need to have tags.
func (b *tagBook) addUnits(p Problem, t *tree, i int, cursor *inventory.Cursor, byName map[string][]int32) {
	needs := t.needs(i)
	byURL := make(map[string]int32)
	first := int32(len(b.of))
	tagsOf := make([][]string, 0, 1)
	for _, n := range needs {
		b.unit[n] = nothing
	}
	for _, n := range needs {
		url := p.Needs[n].URL
		if u, known := byURL[url]; known {
			if p.Sure != nil {
				tagsOf[u-first] = common(tagsOf[u-first], p.Sure(int(n)))
			}
			continue
		}
		var tags []string
		if p.Sure != nil {
			tags = p.Sure(int(n))
		} else {
			tags = tagsAt(p.Inventory, cursor, url, !t.forced[i] && url == t.keys[i])
		}
		if len(tags) == 0 {
			return
		}
		byURL[url] = first + int32(len(tagsOf))
		tagsOf = append(tagsOf, tags)
	}
	if slices.ContainsFunc(tagsOf, func(tags []string) bool { return len(tags) == 0 }) {
		return
	}
	for k, tags := range tagsOf {
		b.of = append(b.of, int32(i))
		for _, tag := range tags {
			byName[tag] = append(byName[tag], first+int32(k))
		}
	}
	for _, n := range needs {
		b.unit[n] = byURL[p.Needs[n].URL]
	}
}

// common are the tags that are in both.
func common(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(tag string) bool { return !slices.Contains(b, tag) })
}

// tagsAt uses the cursor where the URLs come in order.
func tagsAt(v *inventory.Inventory, cursor *inventory.Cursor, url string, inOrder bool) []string {
	if !inOrder {
		e, _ := v.Find(url)
		return e.Tags
	}
	if cursor.Seek(url); !cursor.Is(url) {
		return nil
	}
	return cursor.Tags()
}

func (b *tagBook) useful(units []int32, leaf func(int) value) bool {
	for _, u := range units {
		if b.of[u] != b.of[units[0]] || !leaf(int(b.of[u])).possible() {
			return true
		}
	}
	return false
}

// coldOf returns the positions of the entries with a tag that are not needed.
func coldOf(v *inventory.Inventory, tag string, needed []int32) (cold []int32) {
	for at := range v.Tagged(tag) {
		for len(needed) > 0 && int(needed[0]) < at {
			needed = needed[1:]
		}
		if len(needed) == 0 || int(needed[0]) != at {
			cold = append(cold, int32(at))
		}
	}
	return cold
}

// survey gathers the entries of all tags and numbers them.
func (b *tagBook) survey(v *inventory.Inventory) {
	b.at = slices.Concat(b.cold...)
	slices.Sort(b.at)
	b.at = slices.Compact(b.at)
	b.entries = make([]inventory.Sum, len(b.at))
	cursor := v.Cursor()
	for i, at := range b.at {
		cursor.SeekIndex(int(at))
		b.entries[i] = cursor.Own()
	}
	tags := make([]int32, len(b.at)) // that have an entry
	for _, cold := range b.cold {
		next := 0
		for i, at := range cold {
			for b.at[next] != at {
				next++
			}
			cold[i] = int32(next)
			tags[next]++
		}
	}
	b.alone = make([]inventory.Sum, len(b.names))
	for t, cold := range b.cold {
		for _, e := range cold {
			if tags[e] == 1 {
				b.alone[t] = b.alone[t].Plus(b.entries[e])
			}
		}
	}
}

// ranks returns how many of the ascending positions come before each place.
func ranks(positions, places []int32) []int32 {
	n := make([]int32, len(places))
	for i, place := range places {
		at, _ := slices.BinarySearch(positions, place)
		n[i] = int32(at)
	}
	return n
}

// below returns for each number of entries what so many of the first ones make,
// of those that the tags make cold.
func (b *tagBook) below(tags []int) []inventory.Sum {
	on := make([]bool, len(b.entries))
	for _, t := range tags {
		for _, e := range b.cold[t] {
			on[e] = true
		}
	}
	sums := make([]inventory.Sum, len(b.entries)+1)
	for e := range b.entries {
		sums[e+1] = sums[e]
		if on[e] {
			sums[e+1] = sums[e].Plus(b.entries[e])
		}
	}
	return sums
}

// overlap tells what of a node's collateral the tags make cold already.
func (b *tagBook) overlap(tags []int) func(v int) inventory.Sum {
	if len(tags) == 0 {
		return func(int) (none inventory.Sum) { return none }
	}
	sums := b.below(tags)
	return func(v int) inventory.Sum { return sums[b.to[v]].Minus(sums[b.from[v]]) }
}

// spent is what sending the tags costs by itself.
func (b *tagBook) spent(prices tariff, tags []int) value {
	if len(tags) == 0 {
		return value{}
	}
	sums := b.below(tags)
	cold := sums[len(sums)-1]
	return value{cost: prices.pattern.times(int64(len(tags))).plus(prices.refill(cold)), cold: cold.Objects, patterns: int32(len(tags))}
}

// covered says which units the tags cover.
func (b *tagBook) covered(tags []int) []bool {
	on := make([]bool, len(b.of))
	for _, t := range tags {
		for _, u := range b.covers[t] {
			on[u] = true
		}
	}
	return on
}

// free reports whether tags, which cover the units that are on, cover all of
// requirement i.
func (b *tagBook) free(i int, on []bool) bool {
	for u := b.units[i]; u < b.units[i+1]; u++ {
		if !on[u] {
			return false
		}
	}
	return b.units[i] < b.units[i+1]
}

// relieved is leaf where what the tags cover costs nothing.
func (b *tagBook) relieved(leaf func(int) value, tags []int) func(int) value {
	on := b.covered(tags)
	return func(i int) value {
		if b.free(i, on) {
			return value{}
		}
		return leaf(i)
	}
}

// explain adds the tags to sol and gives them the needs they cover, the first
// tag that does each. A requirement that they cover in part is left to paths.
func (b *tagBook) explain(sol *Solution, tags []int) {
	if len(tags) == 0 {
		return
	}
	on := b.covered(tags)
	by := make([]int32, len(b.of))
	counted := make([]bool, len(b.entries))
	for k, t := range tags {
		c := Choice{Pattern: freshet.Pattern("#" + b.names[t])}
		for _, u := range b.covers[t] {
			if by[u] == 0 {
				by[u] = int32(k) + 1
			}
		}
		for _, e := range b.cold[t] {
			if !counted[e] {
				counted[e] = true
				c.Cold = c.Cold.Plus(b.entries[e])
			}
		}
		sol.Choices = append(sol.Choices, c)
	}
	for n, u := range b.unit {
		if u != nothing && b.free(int(b.of[u]), on) {
			sol.By[n] = by[u] - 1
			sol.Choices[by[u]-1].Needs++
		}
	}
}

// touching counts the tags that may serve one of the groups.
func (b *tagBook) touching(needs []Need, tags []int, groups map[string]bool) (n int) {
	if len(tags) == 0 {
		return 0
	}
	member := make([]bool, len(b.of))
	for i, u := range b.unit {
		if u != nothing && groups[needs[i].Group] {
			member[u] = true
		}
	}
	for _, t := range tags {
		if slices.ContainsFunc(b.covers[t], func(u int32) bool { return member[u] }) {
			n++
		}
	}
	return n
}
