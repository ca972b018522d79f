package edge

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/distribution"
	"github.com/freshet/freshet/internal/edge/disk"
)

// diskModel drives an edge with a disk, and knows which answers are right: of each
// path a version that was the origin's when what covers it was invalidated last,
// or a later one.
type diskModel struct {
	t      *testing.T
	random *rand.Rand
	disk   *aDisk
	origin *editions
	edge   *Edge
	paths  []string
	least  map[string]int // version of a path that may be served
	config int
	steps  []string
}

func newDiskModel(t *testing.T, seed uint64) *diskModel {
	m := &diskModel{
		t: t, random: rand.New(rand.NewPCG(seed, 3)), disk: newDisk(t),
		origin: &editions{version: map[string]int{}, control: "max-age=3600"}, least: map[string]int{},
	}
	m.disk.limit = 4 << 20
	for n := range 30 {
		m.paths = append(m.paths, pathFor(string(rune('a'+n%3)), n, []int{10, 900, 9000, 40_000, 70_000, 1_200_000}[n%6]))
	}
	m.open()
	return m
}

func (m *diskModel) distributions() []distribution.Distribution {
	d := withTags()
	d.Config.DefaultRootObject = fmt.Sprintf("root%d.html", m.config)
	return []distribution.Distribution{d}
}

func (m *diskModel) open() {
	m.edge = m.disk.edge(m.origin, Config{Distributions: m.distributions(), MemoryLimit: 2 << 20})
}

func (m *diskModel) did(format string, args ...any) {
	m.steps = append(m.steps, fmt.Sprintf(format, args...))
}

func (m *diskModel) path() string { return m.paths[m.random.IntN(len(m.paths))] }

// look asks for a path and judges the answer.
func (m *diskModel) look(path string) {
	m.t.Helper()
	m.did("get %s", path)
	w := get(m.edge, path)
	v := versionIn(path, w.Body.String())
	if w.Code != 200 || v < m.least[path] || v > m.origin.now(path) {
		m.t.Fatalf("%s: %d %s, version %d, at least %d is right; %d bytes; steps:\n%s", path, w.Code, xcache(w), v, m.least[path], w.Body.Len(), strings.Join(m.steps, "\n"))
	}
}

// invalidate changes paths, and has what covers one of them invalidated.
func (m *diskModel) invalidate() {
	path := m.path()
	for range m.random.IntN(5) {
		m.origin.change(m.path())
	}
	m.origin.change(path)
	patterns := []freshet.Pattern{freshet.Pattern(path), freshet.Pattern("/" + tagOf(path) + "/*"), freshet.Pattern("#" + tagOf(path)), "/*"}
	p := patterns[min(m.random.IntN(9)/2, len(patterns)-1)]
	m.did("invalidate %s", p)
	if err := m.edge.Invalidate("E1", []freshet.Pattern{p}); err != nil {
		m.t.Fatal(err)
	}
	for _, other := range m.paths {
		if p.Covers(other) || p.IsTag() && tagOf(other) == tagOf(path) {
			m.least[other] = m.origin.now(other)
		}
	}
}

// step does anything.
func (m *diskModel) step() {
	switch m.random.IntN(24) {
	case 0:
		m.did("close")
		m.edge.Close()
		m.open()
	case 1, 2:
		m.did("kill")
		m.disk.killed(m.edge)
		m.open()
	case 3:
		m.did("kill and damage")
		m.disk.killed(m.edge)
		m.damage()
		m.open()
	case 4:
		m.config++
		m.did("configure %d", m.config)
		if err := m.edge.Apply(m.distributions()); err != nil {
			m.t.Fatal(err)
		}
	case 5:
		m.did("sweep")
		m.edge.sweep()
		m.edge.tier.sweep()
	case 6:
		path := m.path()
		m.did("post %s", path)
		if w := do(m.edge, http.MethodPost, path); w.Code != 204 {
			m.t.Fatal(w.Code)
		}
		m.least[path] = m.origin.now(path)
	case 7, 8, 9:
		m.invalidate()
	default:
		m.look(m.path())
	}
}

// damage changes a byte somewhere in a segment.
func (m *diskModel) damage() {
	names, err := disk.System{}.List(m.disk.dir)
	if err != nil {
		m.t.Fatal(err)
	}
	for _, name := range names {
		path := filepath.Join(m.disk.dir, name)
		if !strings.Contains(name, "record") || m.random.IntN(2) == 0 {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			m.t.Fatal(err)
		}
		if len(text) > 0 {
			text[m.random.IntN(len(text))] ^= 1 << m.random.IntN(8)
		}
		if err := os.WriteFile(path, text[:m.random.IntN(len(text)+1)], 0o600); err != nil {
			m.t.Fatal(err)
		}
	}
}

// Whatever happens to an edge with a disk, no byte is wrong, and nothing that was
// invalidated is served to a request that begins after the invalidation was
// answered, also not after a restart or a kill.
func TestDiskModel(t *testing.T) {
	rounds, steps := 3, 100
	if os.Getenv("FRESHET_SOAK") != "" {
		rounds, steps = 300, 400
	}
	for range rounds {
		seed := uint64(time.Now().UnixNano())
		t.Logf("seed %d", seed)
		m := newDiskModel(t, seed)
		for range steps {
			m.step()
		}
		for _, path := range m.paths {
			m.look(path)
		}
		settled(t, m.edge)
		if st, _ := m.edge.DiskStats(); st.Bytes > uint64(m.disk.limit) {
			t.Errorf("%+v", st)
		}
		m.edge.Close()
	}
}

// brokenFS fails as soon as it is told to.
type brokenFS struct {
	disk.System

	broken *bool // changed only while nothing happens
}

func (f brokenFS) Open(name string, flag int) (disk.File, error) {
	file, err := f.System.Open(name, flag)
	if *f.broken && flag != os.O_RDONLY {
		if err == nil {
			_ = file.Close()
		}
		return nil, &os.PathError{Op: "open", Path: name, Err: syscall.EIO}
	}
	return brokenFile{file, f.broken}, err
}

func (f brokenFS) Rename(from, to string) error {
	if *f.broken {
		return syscall.EIO
	}
	return f.System.Rename(from, to)
}

type brokenFile struct {
	disk.File

	broken *bool
}

func (f brokenFile) WriteAt(b []byte, at int64) (int, error) {
	if *f.broken {
		return 0, syscall.EIO
	}
	return f.File.WriteAt(b, at)
}

// A disk on which an invalidation cannot be written down is given up, before the
// invalidation is answered: in the data directory, too, if nowhere else.
func TestDiskThatTakesNoInvalidation(t *testing.T) {
	for _, unpaired := range []bool{false, true} {
		d, o := newDisk(t), &editions{version: map[string]int{}, control: "max-age=3600"}
		broken, lost := false, false
		c := d.config()
		c.FS = brokenFS{broken: &broken}
		c.Pair = func(token string) error {
			if lost {
				return syscall.EIO
			}
			d.known = token
			return nil
		}
		e := d.edge(o, Config{Disk: c})
		fetched(t, e, "/a/1-50")
		o.change("/a/1-50")
		broken, lost = true, unpaired
		err := e.Invalidate("E1", []freshet.Pattern{"/a/*"})
		if unpaired != (err != nil) {
			t.Errorf("with no place at all to write it down %v: %v", unpaired, err)
		}
		if w := get(e, "/a/1-50"); versionIn("/a/1-50", w.Body.String()) != 1 {
			t.Errorf("%s %.30q", xcache(w), w.Body)
		}
		settled(t, e)
		broken, lost = false, false
		if unpaired {
			if err := e.Invalidate("E1", []freshet.Pattern{"/a/*"}); err != nil { // as the register does
				t.Error(err)
			}
		}
		d.killed(e)
		if w := get(d.edge(o, Config{}), "/a/1-50"); versionIn("/a/1-50", w.Body.String()) != 1 {
			t.Errorf("after a restart: %s %.30q", xcache(w), w.Body)
		}
	}
}
