package benchedge

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func named(names ...string) (all []*process) {
	for _, name := range names {
		all = append(all, &process{contender: contender{name: name}})
	}
	return all
}

func wants(t *testing.T, c chapter, ours row, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains(c.text, line+"\n") {
			t.Errorf("no %q in\n%s", line, c.text)
		}
	}
	if !slices.Contains(c.rows, ours) {
		t.Errorf("no row %q in %q", ours, c.rows)
	}
}

func TestLogChapter(t *testing.T) {
	one := func(cpu float64) [][]round { return [][]round{{{cpu: cpu, perSecond: 1000, p99: 5}}} }
	c := logChapter(named("nginx", "freshet"), [][][]round{one(8), one(5), one(10), one(5.5)})
	wants(t, c, row{logTitle, "5.50 us, +10 %", "nginx 10.00 us, +25 %"},
		"| nginx | 8.00 (8.00-8.00) | 10.00 (10.00-10.00) | +25 % | 1.00 | 1000 | 5 |",
		"| freshet | 5.00 (5.00-5.00) | 5.50 (5.50-5.50) | +10 % | 1.82 | 1000 | 5 |")
}

func TestWaitingChapter(t *testing.T) {
	rounds := [][][]round{{{{cpu: 40, requests: 6400, asked: 200}}}, {{{cpu: 20, requests: 6400, asked: 100}}}}
	c := waitingChapter("t", "Head.\n", "fetches", named("nginx", "freshet"), rounds, func(r round) float64 { return r.asked / r.requests * 64 })
	wants(t, c, row{"t", "20.00 us, 1.00 fetches", "nginx 40.00 us, 2.00 fetches"},
		"Head.", "| nginx | 2.00 (2.00-2.00) | 40.00 (40.00-40.00) | 1.00 | 0 | 0 |", "| freshet | 1.00 (1.00-1.00) | 20.00 (20.00-20.00) | 2.00 | 0 | 0 |")
}

func TestSustainedChapter(t *testing.T) {
	c := sustainedChapter([]*manner{
		{name: "Varnish, one ban in each request", in: 1, without: []round{{cpu: 20, perSecond: 100}}, with: []round{{cpu: 200, perSecond: 2}}, sent: []float64{999}},
		{name: "freshet, 50 in each request", in: 50, without: []round{{cpu: 5, p99: 7}}, with: []round{{cpu: 5.5, p99: 8}}, took: []float64{0.25, 0.5, 0.75}, sent: []float64{1000}},
	})
	wants(t, c, row{sustainedTitle + ": CPU per hit", "+10 % (50 in each request)", "Varnish +900 %, hits/s -98 %"},
		"| freshet, 50 in each request | 1000 | 0.50 | 0.75 | 5.00 (5.00-5.00) | 5.50 (5.50-5.50) | +10 % | 0 | 0 | 7 | 8 |")
}

func TestPurgeChapter(t *testing.T) {
	b := &bench{options: options{objects: 1000}}
	c := b.purgeChapter(named("nginx", "freshet"), []kind{{name: "tag"}, {name: "wildcard"}}, [][]purged{
		{{without: "it has no tags"}, {answered: []float64{0.5}}},
		{{answered: []float64{5000}, stale: 12, last: 700}, {answered: []float64{0.25}, sweep: "1 of 2 MB were free"}},
	})
	wants(t, c, row{purgeTitle + ": wildcard", "0.25 ms, 0 stale", "nginx 5000 ms, 12 stale"},
		"| tag | nginx | it has no tags | | |", "| tag | freshet | 0.50 (0.50-0.50) | 0 |  |",
		"| wildcard | nginx | 5000 (5000-5000) | 12 | 700 |", "- freshet, wildcard: 1 of 2 MB were free")
}

// The objects are told apart by their paths, as far as they are invalidated
// apart, and so many are of each kind.
func TestPathsOfObjects(t *testing.T) {
	b := &bench{options: options{objects: 10_000}}
	count := make(map[string]int)
	seen := make(map[string]bool)
	for i := range b.objects {
		p := b.path(smallBody, i)
		seen[p] = true
		count[strings.Split(p, "/")[2]]++
	}
	if len(seen) != b.objects || count["ten"] != 10 || count["hundredth"] != 100 || count["tag"] != 100 || count["rest"] != 9790 {
		t.Errorf("%d paths, %v", len(seen), count)
	}
	for _, k := range b.kinds() {
		for _, p := range k.paths {
			if !seen[p] {
				t.Errorf("%s looks at %s, which nobody has", k.name, p)
			}
		}
	}
}

// nginx's files are found by what they are called, and by the key that they hold.
func TestFilePurger(t *testing.T) {
	p := &process{addr: "127.0.0.1:8080", dir: t.TempDir()}
	purger := filePurger(p)
	file := func(path string) string {
		name := nginxFile("127.0.0.1" + path)
		return filepath.Join(p.dir, "cache", name[31:], name[29:31], name)
	}
	paths := []string{"/128/a/1", "/128/a/2", "/128/b/1", "/128/b/11"}
	for _, path := range paths {
		if err := write(file(path), "%s", "\x05\x00\nKEY: 127.0.0.1"+path+"\nHTTP/1.1 200 OK\r\n\r\n/128/b/1"); err != nil {
			t.Fatal(err)
		}
	}
	left := func() (there []string) {
		for _, path := range paths {
			if _, err := os.Stat(file(path)); err == nil {
				there = append(there, path)
			}
		}
		return there
	}
	if err := purger.exact(t.Context(), "/128/b/1"); err != nil || !slices.Equal(left(), []string{"/128/a/1", "/128/a/2", "/128/b/11"}) {
		t.Errorf("left are %v, %v", left(), err)
	}
	if err := purger.wildcard(t.Context(), "/128/a/", "/none/"); err != nil || !slices.Equal(left(), []string{"/128/b/11"}) {
		t.Errorf("left are %v, %v", left(), err)
	}
	// It names files by the MD5 of their keys.
	if got := nginxFile("key"); got != "3c6e0b8a9c15224a8228b9a98ca1531d" {
		t.Error(got)
	}
}

// What the client does for one object and for any is the same but for the objects.
func TestOneIsAskedForAsAnyIs(t *testing.T) {
	b := &bench{options: options{objects: 1000}}
	one, anyone := b.oneLoad(1024), b.anyLoad(1024)
	if !strings.Contains(one.script, "math.random(999, 999)") || !strings.Contains(anyone.script, "math.random(30, 999)") {
		t.Errorf("asked for by\n%s\nand\n%s", one.script, anyone.script)
	}
	if one.script = strings.Replace(one.script, "(999,", "(30,", 1); one.script != anyone.script || one.connections != anyone.connections {
		t.Errorf("asked for by\n%s\nand\n%s", one.script, anyone.script)
	}
}
