package carried_test

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/carried"
)

const header = "x-amz-meta-cache-tag"

var page = carried.Object{"site", "page"}

func line(tags string) string { return freshet.TagLine(header, tags) }

func TestSure(t *testing.T) {
	type step func(*carried.Book)
	add := func(s freshet.Sequencer, tags string) step {
		return func(b *carried.Book) { b.Add(page, s, line(tags)) }
	}
	bare := func(s freshet.Sequencer) step { return func(b *carried.Book) { b.Add(page, s, "") } }
	floor := func(s freshet.Sequencer, tags string) step {
		return func(b *carried.Book) { b.Add(page, s, line(tags)); b.Floor(page, s, line(tags)) }
	}
	load := func(s freshet.Sequencer, tags string) step {
		return func(b *carried.Book) { b.Load(page, s, line(tags)) }
	}
	void := func(b *carried.Book) { b.Void() }
	tests := []struct {
		name  string
		steps []step
		want  []string
	}{
		{"nothing is known", nil, nil},
		{"nothing of what was invalidated", []step{func(b *carried.Book) { b.Floor(page, "1", line("a")) }}, nil},
		{"loaded", []step{load("1", "a")}, []string{"a"}},
		{"loaded late", []step{bare("2"), load("1", "a")}, nil},
		{"a dead letter comes before what is older", []step{bare("2"), add("1", "a"), func(b *carried.Book) { b.Floor(page, "1", line("a")) }, add("3", "a")}, nil},
		{"older copies may lie there", []step{add("1", "a")}, nil},
		{"invalidated after it was tagged", []step{add("1", "a,b"), floor("1", "a,b")}, []string{"a", "b"}},
		{"tagged before, and again", []step{floor("1", "a,b"), add("2", "b,c")}, []string{"b"}},
		{"untagged since", []step{floor("1", "a"), bare("2")}, nil},
		{"untagged, and that removed", []step{floor("1", "a"), bare("2"), add("3", "a"), floor("3", "a")}, []string{"a"}},
		{"a version that was given up in between", []step{floor("1", "a"), bare("2"), floor("1", "a"), add("3", "a")}, nil},
		{"an older invalidation ends later", []step{floor("3", "b"), floor("2", "a"), add("2", "a")}, []string{"b"}},
		{"news that comes late", []step{floor("3", "b"), bare("1")}, []string{"b"}},
		{"what cannot be ordered", []step{floor("1", "a"), bare(""), floor("9", "a")}, nil},
		{"configured anew", []step{floor("1", "a"), void}, nil},
		{"configured anew, and invalidated", []step{floor("1", "a"), void, floor("2", "a")}, []string{"a"}},
		{"the same twice", []step{floor("1", "a"), add("2", "a"), add("2", "a"), add("3", "a")}, []string{"a"}},
	}
	for _, tt := range tests {
		var b carried.Book
		for _, s := range tt.steps {
			s(&b)
		}
		if got := b.Sure(page, header); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
		if got := b.Sure(page, "cache-tag"); len(got) > 0 {
			t.Errorf("%s: %q from another header", tt.name, got)
		}
	}
}

func TestObjectsWithoutTagsTakeNoMemory(t *testing.T) {
	var b carried.Book
	for i := range 100 {
		o := carried.Object{"site", fmt.Sprint(i)}
		b.Add(o, "1", "")
		b.Floor(o, "1", "")
	}
	b.Load(page, "1", "")
	if b.Len() != 0 {
		t.Errorf("%d objects", b.Len())
	}
}

func TestManyVersionsAreBounded(t *testing.T) {
	var b carried.Book
	b.Load(page, "1000", line("a,x"))
	for i := range 1000 {
		s := freshet.Sequencer(fmt.Sprintf("%04d", 2000+i))
		b.Add(page, s, line(fmt.Sprintf("a,v%d", i)))
		b.Add(page, "", line(fmt.Sprintf("a,w%d", i)))
	}
	if n := len(b.Lines(page)); n > 9 || len(b.Sure(page, header)) > 0 {
		t.Errorf("%d versions, %q", n, b.Sure(page, header))
	}
}

func TestMayIn(t *testing.T) {
	var b carried.Book
	b.Load(page, "1", line("a"))
	b.Add(page, "2", line("b"))
	if got := carried.MayIn(b.Lines(page), header); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("%q", got)
	}
}

// world is one object, caches that fetch it whenever they like, and somebody who
// invalidates what changes: by a tag where the Book is sure, by path otherwise.
type world struct {
	book    carried.Book
	header  string   // from which caches take tags
	stored  []string // the tags of each version that was ever stored
	told    int      // how many of them the invalidator knows of
	copies  []cached
	running []running
	byTag   int

	loadable bool // floor is of this configuration
	floor    int
}

type cached struct {
	version int
	tags    []string // that the cache took when it fetched
}

// running is an invalidation that was accepted, and took effect with that.
type running struct {
	version int
	era     int
}

func sequencer(version int) freshet.Sequencer { return freshet.Sequencer(fmt.Sprintf("%06d", version)) }

// TestNoStaleCopyRemains in small worlds of every kind: whatever is stored,
// fetched, given up, completed late or configured anew, an invalidation of
// version n leaves no copy of an older one.
func TestNoStaleCopyRemains(t *testing.T) {
	headers := []string{header, "cache-tag"}
	lines := []string{"", line("a"), line("a,b"), line("b"), freshet.TagLine("cache-tag", "a"), line("b") + freshet.TagLine("cache-tag", "b")}
	byTag := 0
	rapid.Check(t, func(t *rapid.T) {
		w := world{header: header}
		era := 0
		for range rapid.IntRange(20, 250).Draw(t, "steps") {
			switch rapid.SampledFrom([]string{"store", "tell", "tell", "tell again", "restart", "fetch", "fetch", "invalidate", "invalidate", "complete", "complete", "configure"}).Draw(t, "step") {
			case "store":
				w.stored = append(w.stored, rapid.SampledFrom(lines).Draw(t, "tags"))
			case "tell":
				w.tell()
			case "tell again":
				if w.told > 0 {
					v := rapid.IntRange(0, w.told-1).Draw(t, "version")
					w.book.Add(page, sequencer(v), w.stored[v])
				}
			case "restart": // what is completed is on disk, and all else is told again
				w.restart()
			case "fetch":
				if n := len(w.stored); n > 0 {
					w.copies = append(w.copies, cached{n - 1, freshet.TagsIn(w.stored[n-1], w.header)})
				}
			case "invalidate":
				w.invalidate(t, era)
			case "complete":
				if len(w.running) > 0 {
					i := rapid.IntRange(0, len(w.running)-1).Draw(t, "which")
					if r := w.running[i]; r.era == era { // the invalidator knows when it was configured anew
						w.book.Floor(page, sequencer(r.version), w.stored[r.version])
						if !w.loadable || r.version > w.floor {
							w.loadable, w.floor = true, r.version
						}
					}
					w.running = slices.Delete(w.running, i, i+1)
				}
			case "configure":
				if rapid.IntRange(0, 9).Draw(t, "often") == 0 {
					w.header = rapid.SampledFrom(headers).Draw(t, "header")
					era++
					w.loadable = false
					w.book.Void()
				}
			}
		}
		byTag += w.byTag
	})
	if byTag < 20 {
		t.Errorf("only %d invalidations by tag: the worlds are too small", byTag)
	}
}

// restart loses the Book. What it is loaded with is the last Floor; and what was
// told since then is told again.
func (w *world) restart() {
	if !w.loadable {
		return
	}
	w.book = carried.Book{}
	w.book.Load(page, sequencer(w.floor), w.stored[w.floor])
	for v := w.floor + 1; v < w.told; v++ {
		w.book.Add(page, sequencer(v), w.stored[v])
	}
}

func (w *world) tell() {
	if w.told < len(w.stored) {
		w.book.Add(page, sequencer(w.told), w.stored[w.told])
		w.told++
	}
}

// invalidate removes what is older than the newest version that was told of. Some
// requests are lost; their changes are given up, and nothing is completed.
func (w *world) invalidate(t *rapid.T, era int) {
	if w.told == 0 {
		return
	}
	newest := w.told - 1
	sure := w.book.Sure(page, w.header)
	if rapid.IntRange(0, 3).Draw(t, "lost") == 0 {
		return
	}
	path := len(sure) == 0
	tag := ""
	if !path {
		w.byTag++
		tag = rapid.SampledFrom(sure).Draw(t, "tag")
	}
	w.copies = slices.DeleteFunc(w.copies, func(c cached) bool { return path || slices.Contains(c.tags, tag) })
	for _, c := range w.copies {
		if c.version < newest {
			t.Fatalf("version %d is still cached with the tags %q, %d was invalidated by #%s", c.version, c.tags, newest, tag)
		}
	}
	w.running = append(w.running, running{newest, era})
}
