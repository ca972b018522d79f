package edge

import (
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/distribution"
)

// editions is an origin whose bodies say their path and version, and are as long
// as the path says. It can be told to change, and counts who asks.
type editions struct {
	mu      sync.Mutex
	version map[string]int
	asked   int
	control string
	headers []string
}

func (o *editions) RoundTrip(r *http.Request) (*http.Response, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.asked++
	if r.Method == http.MethodPost {
		o.version[r.URL.Path]++
		return reply(204, ""), nil
	}
	v := o.version[r.URL.Path]
	etag := `"` + strconv.Itoa(v) + `"`
	headers := append([]string{"Cache-Control", o.control, "Etag", etag, "Cache-Tag", tagOf(r.URL.Path)}, o.headers...)
	if r.Header.Get("If-None-Match") == etag {
		return reply(304, "", headers...), nil
	}
	return reply(200, editionOf(r.URL.Path, v), headers...), nil
}

func (o *editions) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.asked
}

func (o *editions) change(path string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.version[path]++
}

func (o *editions) now(path string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.version[path]
}

// sizeOf is how long the bodies of a path are: it ends with that.
func sizeOf(path string) int {
	n, _ := strconv.Atoi(path[strings.LastIndexByte(path, '-')+1:])
	return n
}

// tagOf is the cache tag of a path: its folder.
func tagOf(path string) string { return strings.Split(path, "/")[1] }

// editionOf is one version of a path's body: a line that says so, and numbers of
// which no two are alike.
func editionOf(path string, version int) string {
	b := make([]byte, 0, sizeOf(path)+100)
	b = fmt.Appendf(b, "%s version %d line 0\n", path, version)
	for n := uint64(version) << 40; len(b) < sizeOf(path); n++ {
		b = binary.LittleEndian.AppendUint64(b, n)
	}
	return string(b)
}

// versionIn is the version of which a body is, all of it; -1 for none.
func versionIn(path, body string) int {
	if body == "" {
		return -1
	}
	var v int
	if _, err := fmt.Sscanf(body, path+" version %d line 0", &v); err != nil || body != editionOf(path, v) {
		return -1
	}
	return v
}

// withTags is a distribution whose objects have cache tags, and that takes POST.
func withTags() distribution.Distribution {
	d := dist("E1")
	d.Config.CacheTagConfig = &distribution.CacheTagConfig{HeaderName: "Cache-Tag"}
	d.Config.DefaultCacheBehavior.AllowedMethods = []string{"GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"}
	return d
}

// aDisk is a directory for an edge's disk, as its processes come and go.
type aDisk struct {
	t     testing.TB
	dir   string
	known string // what the data directory knows
	limit int64
}

func newDisk(t testing.TB) *aDisk {
	return &aDisk{t: t, dir: filepath.Join(t.TempDir(), "disk"), limit: 64 << 20}
}

func (d *aDisk) config() *Disk {
	return &Disk{Dir: d.dir, Limit: d.limit, Known: d.known, Pair: func(token string) error { d.known = token; return nil }}
}

// edge opens an edge on the disk, with everything that is there indexed. Viewers
// wait for the disk for as long as a busy machine takes.
func (d *aDisk) edge(rt http.RoundTripper, c Config) *Edge {
	d.t.Helper()
	if c.Distributions == nil {
		c.Distributions = []distribution.Distribution{withTags()}
	}
	if c.Disk == nil {
		c.Disk = d.config()
	}
	e := open(d.t, rt, c)
	e.tier.patience = 2 * time.Minute
	<-e.tier.store.Loaded()
	return e
}

// killed leaves the directory as it is now to another, as if the process had ended
// in between. The edge is closed, and what it does then nobody sees.
func (d *aDisk) killed(e *Edge) {
	d.t.Helper()
	next := filepath.Join(d.t.TempDir(), "disk")
	if err := os.CopyFS(next, os.DirFS(d.dir)); err != nil {
		d.t.Fatal(err)
	}
	known := d.known
	e.Close()
	d.dir, d.known = next, known
}

// fetched has the edge fetch a path, and returns once that is stored.
func fetched(t testing.TB, e *Edge, path string) {
	t.Helper()
	if w := get(e, path); w.Code != 200 {
		t.Fatalf("%s: %d", path, w.Code)
	}
	settled(t, e)
}

// settled waits until nothing is fetched any more.
func settled(t testing.TB, e *Edge) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; {
		running := 0
		for _, s := range e.serving().sites {
			s.mu.Lock()
			running += len(s.running)
			s.mu.Unlock()
		}
		if running == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatal("fetches do not end")
		}
		<-time.After(time.Millisecond)
	}
}

var diskSizes = []int{1, 1000, 20_000, 40_000, 300_000, 2_000_000, 9_000_000}

func pathFor(folder string, n, size int) string { return fmt.Sprintf("/%s/%d-%d", folder, n, size) }

// What was cached, large or small, is served after a restart, and after a kill,
// without asking the origin; so are conditions, ranges and HEAD.
func TestDiskOutlivesTheProcess(t *testing.T) {
	d, o := newDisk(t), &editions{version: map[string]int{}, control: "max-age=3600"}
	e := d.edge(o, Config{})
	for n, size := range diskSizes {
		fetched(t, e, pathFor("a", n, size))
	}
	for _, how := range []string{"closed", "killed"} {
		if how == "closed" {
			e.Close()
		} else {
			d.killed(e)
		}
		before := o.count()
		e = d.edge(o, Config{})
		for n, size := range diskSizes {
			path := pathFor("a", n, size)
			if w := do(e, http.MethodHead, path); w.Code != 200 || xcache(w) != "Hit" || w.Header().Get("Content-Length") != strconv.Itoa(len(editionOf(path, 0))) {
				t.Errorf("%s: HEAD of %d bytes: %d %s %v", how, size, w.Code, xcache(w), w.Header())
			}
			w := get(e, path)
			if w.Code != 200 || xcache(w) != "Hit" || versionIn(path, w.Body.String()) != 0 || w.Header().Get("Age") == "" {
				t.Errorf("%s: %d bytes: %d %s, %d bytes", how, size, w.Code, xcache(w), w.Body.Len())
			}
			if w := get(e, path, "If-None-Match", `"0"`); w.Code != 304 {
				t.Errorf("%s: condition: %d", how, w.Code)
			}
			if size > 1000 {
				w := get(e, path, "Range", "bytes=700-19999")
				if w.Code != 206 || w.Body.String() != editionOf(path, 0)[700:20000] {
					t.Errorf("%s: range of %d bytes: %d, %d bytes", how, size, w.Code, w.Body.Len())
				}
			}
		}
		if asked := o.count() - before; asked != 0 {
			t.Errorf("%s: the origin was asked %d times", how, asked)
		}
		if st, _ := e.DiskStats(); st.Hits != uint64(len(diskSizes)) || st.Objects != int64(len(diskSizes)) || st.Bytes == 0 || st.Failing {
			t.Errorf("%s: %+v", how, st)
		}
	}
}

// invalidations of every kind, each with a path that it covers and one that it
// does not.
func TestDiskKnowsWhatWasInvalidated(t *testing.T) {
	for name, pattern := range map[string]freshet.Pattern{"exact": "/a/1-5000", "wildcard": "/a/*", "tag": "#A", "everything": "/*"} {
		for _, killed := range []bool{true, false} {
			t.Run(fmt.Sprint(name, killed), func(t *testing.T) {
				d, o := newDisk(t), &editions{version: map[string]int{}, control: "max-age=3600"}
				e := d.edge(o, Config{})
				fetched(t, e, "/a/1-5000")
				fetched(t, e, "/b/1-5000")
				o.change("/a/1-5000")
				if err := e.Invalidate("E1", []freshet.Pattern{pattern}); err != nil {
					t.Fatal(err)
				}
				if killed {
					d.killed(e)
				} else {
					e.Close()
				}
				e = d.edge(o, Config{})
				if w := get(e, "/a/1-5000"); xcache(w) != "Miss" || versionIn("/a/1-5000", w.Body.String()) != 1 {
					t.Errorf("what was invalidated: %s %.30q", xcache(w), w.Body)
				}
				other := map[bool]string{true: "Miss", false: "Hit"}[pattern == "/*"]
				if w := get(e, "/b/1-5000"); xcache(w) != other {
					t.Errorf("what was not: %s", xcache(w))
				}
				settled(t, e)
				d.killed(e)
				if w := get(d.edge(o, Config{}), "/a/1-5000"); xcache(w) != "Hit" || versionIn("/a/1-5000", w.Body.String()) != 1 {
					t.Errorf("what was fetched since: %s %.30q", xcache(w), w.Body)
				}
			})
		}
	}
}

// What a viewer's POST has changed is not brought back by a restart.
func TestDiskKnowsWhatViewersChange(t *testing.T) {
	d, o := newDisk(t), &editions{version: map[string]int{}, control: "max-age=3600"}
	e := d.edge(o, Config{})
	fetched(t, e, "/a/1-50")
	if w := do(e, http.MethodPost, "/a/1-50"); w.Code != 204 {
		t.Fatal(w.Code)
	}
	d.killed(e)
	if w := get(d.edge(o, Config{}), "/a/1-50"); versionIn("/a/1-50", w.Body.String()) != 1 {
		t.Errorf("%s %.30q", xcache(w), w.Body)
	}
}

// Nothing is served from disk before what was missed is known.
func TestDiskWaitsForTheReplay(t *testing.T) {
	d, o := newDisk(t), &editions{version: map[string]int{}, control: "max-age=3600"}
	e := d.edge(o, Config{})
	fetched(t, e, "/a/1-50")
	fetched(t, e, "/b/1-50")
	e.Close()
	c, replayed := d.config(), make(chan struct{})
	c.Replayed = replayed
	e = d.edge(o, Config{Disk: c})
	o.change("/a/1-50")
	if w := get(e, "/b/1-50"); xcache(w) != "Miss" {
		t.Errorf("before the replay: %s", xcache(w))
	}
	if err := e.Invalidate("E1", []freshet.Pattern{"/a/*"}); err != nil {
		t.Fatal(err)
	}
	close(replayed)
	for end := time.Now().Add(time.Minute); !e.tier.replayed.Load(); <-time.After(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the end of the replay was not noticed")
		}
	}
	if w := get(e, "/a/1-50"); xcache(w) != "Miss" || versionIn("/a/1-50", w.Body.String()) != 1 {
		t.Errorf("after it: %s %.30q", xcache(w), w.Body)
	}
}

// A directory that missed something, or of whose ledger both copies are damaged,
// is emptied, and used.
func TestDiskThatMissedSomething(t *testing.T) {
	for name, miss := range map[string]func(d *aDisk){
		"another data directory": func(d *aDisk) { d.known = "" },
		"another disk in between": func(d *aDisk) {
			d.known = strings.Repeat("ab", 16) + "/1"
		},
		"an old copy": func(d *aDisk) {
			id, _, _ := strings.Cut(d.known, "/")
			d.known = id + "/" + strings.Repeat("cd", 16)
		},
		"no ledger": func(d *aDisk) {
			for _, name := range []string{"ledger-a", "ledger-b"} {
				if err := os.Truncate(filepath.Join(d.dir, name), 10); err != nil {
					d.t.Fatal(err)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			d, o := newDisk(t), &editions{version: map[string]int{}, control: "max-age=3600"}
			e := d.edge(o, Config{})
			fetched(t, e, "/a/1-50")
			fetched(t, e, "/a/1-500000")
			e.Close()
			miss(d)
			e = d.edge(o, Config{})
			for _, path := range []string{"/a/1-50", "/a/1-500000"} {
				if w := get(e, path); xcache(w) != "Miss" {
					t.Errorf("%s: %s", path, xcache(w))
				}
			}
			settled(t, e)
			d.killed(e)
			if w := get(d.edge(o, Config{}), "/a/1-50"); xcache(w) != "Hit" {
				t.Errorf("afterwards: %s", xcache(w))
			}
		})
	}
}

// One damaged copy of the ledger, wherever, takes away nothing.
func TestDiskWithOneDamagedLedger(t *testing.T) {
	d, o := newDisk(t), &editions{version: map[string]int{}, control: "max-age=3600"}
	e := d.edge(o, Config{})
	fetched(t, e, "/a/1-50")
	fetched(t, e, "/b/1-50")
	o.change("/a/1-50")
	if err := e.Invalidate("E1", []freshet.Pattern{"/a/*"}); err != nil {
		t.Fatal(err)
	}
	d.killed(e)
	from, known := d.dir, d.known
	text, err := os.ReadFile(filepath.Join(from, "ledger-a"))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(text); i += 1 + len(text)/60 {
		name := []string{"ledger-a", "ledger-b"}[i%2]
		d.dir, d.known = filepath.Join(t.TempDir(), "disk"), known
		if err := os.CopyFS(d.dir, os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
		damaged := append([]byte(nil), text...)
		if damaged[i] ^= 1 << (i % 8); i%3 == 0 {
			damaged = damaged[:i]
		}
		if err := os.WriteFile(filepath.Join(d.dir, name), damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		e := d.edge(o, Config{})
		if w := get(e, "/a/1-50"); versionIn("/a/1-50", w.Body.String()) != 1 {
			t.Fatalf("byte %d: %s %.30q", i, xcache(w), w.Body)
		}
		if w := get(e, "/b/1-50"); xcache(w) != "Hit" {
			t.Fatalf("byte %d: what was not invalidated: %s", i, xcache(w))
		}
		e.Close()
	}
}

// A configuration that decides otherwise begins with nothing, and so does what it
// was before when it comes back, since what changed meanwhile was not invalidated.
func TestDiskAndConfigurations(t *testing.T) {
	d, o := newDisk(t), &editions{version: map[string]int{}, control: "max-age=3600"}
	other := withTags()
	other.Config.DefaultRootObject = "other.html"
	named := withTags()
	named.Config.Comment = "another comment"
	e := d.edge(o, Config{})
	fetched(t, e, "/a/1-50")
	e.Close()
	for i, c := range []struct {
		what   string
		as     distribution.Distribution
		reload bool
		cache  string
	}{
		{"the same", withTags(), false, "Hit"},
		{"another comment", named, false, "Hit"},
		{"another root object", other, false, "Miss"},
		{"another root object, again", other, false, "Hit"},
		{"what it was at first", withTags(), false, "Miss"},
		{"another root object while it runs", other, true, "Miss"},
		{"and back", withTags(), true, "Miss"},
		{"and back, after a restart", withTags(), false, "Hit"},
	} {
		if c.reload {
			e = d.edge(o, Config{})
			if err := e.Apply([]distribution.Distribution{other}); err != nil {
				t.Fatal(err)
			}
			if err := e.Apply([]distribution.Distribution{c.as}); err != nil {
				t.Fatal(err)
			}
		} else {
			e = d.edge(o, Config{Distributions: []distribution.Distribution{c.as}})
		}
		if w := get(e, "/a/1-50"); xcache(w) != c.cache {
			t.Errorf("%d: %s: %s instead of %s", i, c.what, xcache(w), c.cache)
		}
		settled(t, e)
		d.killed(e)
	}
	// And one that was gone for a while.
	e = d.edge(o, Config{})
	if err := e.Apply([]distribution.Distribution{dist("E2")}); err != nil {
		t.Fatal(err)
	}
	d.killed(e)
	if w := get(d.edge(o, Config{}), "/a/1-50"); xcache(w) != "Miss" {
		t.Errorf("after it was gone: %s", xcache(w))
	}
}

// What an origin does not want to be kept is not on disk, although a minimum TTL
// has it in memory.
func TestDiskHoldsNothingPrivate(t *testing.T) {
	for _, control := range []string{"no-store", "private", "private, max-age=60", `private="x"`, "no-store, max-age=60"} {
		d := newDisk(t)
		least := withTags()
		ttl := int64(60)
		least.Config.DefaultCacheBehavior.CachePolicyID = ""
		least.Config.DefaultCacheBehavior.MinTTL = &ttl
		least.Config.DefaultCacheBehavior.DefaultTTL = &ttl
		least.Config.DefaultCacheBehavior.MaxTTL = &ttl
		least.Config.DefaultCacheBehavior.ForwardedValues = &distribution.ForwardedValues{}
		o := &editions{version: map[string]int{}, control: control}
		e := d.edge(o, Config{Distributions: []distribution.Distribution{least}})
		for _, path := range []string{"/secret/1-100", "/secret/1-100000", "/secret/1-3000000"} {
			fetched(t, e, path)
			if w := get(e, path); xcache(w) != "Hit" {
				t.Errorf("%s: %s is not held in memory: %s", control, path, xcache(w))
			}
		}
		e.Close()
		if got := onDiskAnywhere(t, d.dir, "secret"); got != "" {
			t.Errorf("%s: it is in %s", control, got)
		}
	}
}

// onDiskAnywhere is the file below dir in which a text stands; empty for none.
func onDiskAnywhere(t testing.TB, dir, text string) (found string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		b, err := io.ReadAll(f)
		if strings.Contains(string(b), text) {
			found = path
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// What is too large for memory is cached on disk, whether its length was announced
// or not; what breaks off, and what is too large for the disk, is not.
func TestDiskHoldsWhatMemoryCannot(t *testing.T) {
	d, o := newDisk(t), &editions{version: map[string]int{}, control: "max-age=3600"}
	unsaid := roundTripper(func(r *http.Request) (*http.Response, error) {
		resp, err := o.RoundTrip(r)
		switch {
		case err == nil && tagOf(r.URL.Path) == "unsaid":
			return unsized(resp), nil
		case err == nil && tagOf(r.URL.Path) == "broken":
			resp.Body = io.NopCloser(io.MultiReader(io.LimitReader(resp.Body, 3_000_000), breaks{}))
		}
		return resp, err
	})
	c := Config{MemoryLimit: 2 << 20}
	e := d.edge(unsaid, c)
	paths := map[string]string{pathFor("said", 1, 5_000_000): "Hit", pathFor("unsaid", 1, 5_000_000): "Hit", pathFor("said", 2, 12_000_000): "Hit", pathFor("said", 3, 18_000_000): "Miss", pathFor("unsaid", 3, 18_000_000): "Miss"}
	for path := range paths {
		fetched(t, e, path)
	}
	if w := get(e, pathFor("broken", 1, 5_000_000)); w.Header().Get("Test-Aborted") == "" {
		t.Error("what broke off was taken for all")
	}
	settled(t, e)
	for _, killed := range []bool{false, true} {
		if killed {
			d.killed(e)
			e = d.edge(unsaid, c)
		}
		for path, cache := range paths {
			w := get(e, path)
			if w.Code != 200 || xcache(w) != cache || versionIn(path, w.Body.String()) != 0 {
				st, _ := e.DiskStats()
				t.Errorf("%s, killed %v: %d %s instead of %s, %d bytes; %+v", path, killed, w.Code, xcache(w), cache, w.Body.Len(), st)
			}
			if cache == "Hit" {
				if w := get(e, path, "Range", "bytes=4000000-4000999"); w.Code != 206 || w.Body.String() != editionOf(path, 0)[4_000_000:4_001_000] {
					t.Errorf("%s: a range: %d", path, w.Code)
				}
			}
		}
	}
	if err := e.Invalidate("E1", []freshet.Pattern{"/said/*"}); err != nil {
		t.Fatal(err)
	}
	if w := get(e, pathFor("said", 1, 5_000_000)); xcache(w) != "Miss" {
		t.Error("what was invalidated is served")
	}
}

// breaks is the rest of a body that breaks off.
type breaks struct{}

func (breaks) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// What is on disk alone is explained as what it is, and is not brought into memory
// by that.
func TestDiskIsExplained(t *testing.T) {
	d, o := newDisk(t), &editions{version: map[string]int{}, control: "max-age=3600"}
	e := d.edge(o, Config{})
	fetched(t, e, "/a/1-50")
	d.killed(e)
	e = d.edge(o, Config{})
	for range 2 {
		way, err := e.Explain(Question{Distribution: "E1", Target: "/a/1-50"}, true)
		if err != nil || way.Live == nil || way.Live.Copy == nil || !way.Live.Copy.Disk || way.Live.XCache != "Hit from cloudfront" {
			t.Fatalf("%v, %+v", err, way.Live)
		}
	}
	if n := e.Stats().Objects; n != 0 {
		t.Errorf("%d objects in memory", n)
	}
	if w := get(e, "/a/1-50"); xcache(w) != "Hit" {
		t.Error(xcache(w))
	}
	way, err := e.Explain(Question{Distribution: "E1", Target: "/a/1-50"}, true)
	if err != nil || way.Live.Copy == nil || way.Live.Copy.Disk {
		t.Errorf("%v, %+v", err, way.Live)
	}
}

// What is large beside the memory that there is stays on disk when it is found there.
func TestDiskLeavesWhatIsLargeWhereItIs(t *testing.T) {
	for _, c := range []struct {
		memory int64
		size   int
		stays  bool
	}{{4 << 20, 60_000, false}, {4 << 20, 100_000, true}, {512 << 20, 500_000, false}, {512 << 20, 600_000, true}, {4 << 30, 1_000_000, false}, {4 << 30, 1_100_000, true}} {
		d, o := newDisk(t), &editions{version: map[string]int{}, control: "max-age=3600"}
		e := d.edge(o, Config{MemoryLimit: c.memory})
		path := pathFor("a", 1, c.size)
		fetched(t, e, path)
		d.killed(e)
		e = d.edge(o, Config{MemoryLimit: c.memory})
		for range 3 {
			if w := get(e, path); xcache(w) != "Hit" || versionIn(path, w.Body.String()) != 0 {
				t.Errorf("%+v: %s, %d bytes", c, xcache(w), w.Body.Len())
			}
		}
		way, err := e.Explain(Question{Distribution: "E1", Target: path}, true)
		if err != nil || way.Live == nil || way.Live.Copy == nil || way.Live.Copy.Disk != c.stays {
			t.Errorf("%+v: %v, %+v", c, err, way.Live)
		}
		e.Close()
	}
}
