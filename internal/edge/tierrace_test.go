package edge

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/edge/disk"
)

// hooked is a file system on which something happens once, before a file is removed,
// or after one was read and closed.
type hooked struct {
	disk.System

	removes, closes atomic.Pointer[func()]
}

func once(f func()) *func() {
	var did atomic.Bool
	g := func() {
		if !did.Swap(true) {
			f()
		}
	}
	return &g
}

func (h *hooked) Remove(name string) error {
	if f := h.removes.Load(); f != nil && strings.Contains(name, ".record") {
		(*f)()
	}
	return h.System.Remove(name)
}

func (h *hooked) Open(name string, flag int) (disk.File, error) {
	f, err := h.System.Open(name, flag)
	if err != nil || flag != os.O_RDONLY || !strings.Contains(name, ".record") {
		return f, err
	}
	return hookedFile{f, h}, nil
}

type hookedFile struct {
	disk.File

	fs *hooked
}

func (f hookedFile) Close() error {
	if g := f.fs.closes.Load(); g != nil {
		(*g)()
	}
	return f.File.Close()
}

// What was invalidated is not served by who has read it from disk, if it is swept, and
// the invalidation forgotten, before he asks whether it was.
func TestDiskSweptWhileItIsRead(t *testing.T) {
	d, o := newDisk(t), &editions{version: map[string]int{}, control: "max-age=3600"}
	e := d.edge(o, Config{})
	fetched(t, e, "/a/1-50")
	e.Close()
	h, c := new(hooked), d.config()
	c.FS = h
	e = d.edge(o, Config{Disk: c})
	o.change("/a/1-50")
	if err := e.Invalidate("E1", []freshet.Pattern{"/a/*"}); err != nil {
		t.Fatal(err)
	}
	h.closes.Store(once(func() {
		e.sweep()
		e.tier.sweep()
	}))
	for range 2 {
		if w := get(e, "/a/1-50"); versionIn("/a/1-50", w.Body.String()) != 1 {
			t.Errorf("%s %.30q", xcache(w), w.Body)
		}
	}
}

// held is an origin whose bodies break off in the middle until they are released.
type held struct {
	*editions

	path    string
	arrived chan struct{} // closed when half of the body has been sent
	release chan struct{}
	once    sync.Once
}

func (h *held) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := h.editions.RoundTrip(r)
	if err == nil && r.URL.Path == h.path {
		h.once.Do(func() { resp.Body = &halfway{ReadCloser: resp.Body, h: h, left: sizeOf(h.path) / 2} })
	}
	return resp, err
}

type halfway struct {
	io.ReadCloser

	h    *held
	left int
}

func (b *halfway) Read(p []byte) (int, error) {
	if b.left == 0 {
		close(b.h.arrived)
		<-b.h.release
		b.left = -1
	}
	if b.left > 0 && len(p) > b.left {
		p = p[:b.left]
	}
	n, err := b.ReadCloser.Read(p)
	if b.left > 0 {
		b.left -= n
	}
	return n, err
}

// A response that was invalidated while it was fetched is not found on disk, also if
// the invalidation was swept and forgotten before it had arrived, and the process is
// killed before it has seen that it may not be kept.
func TestDiskAndAFetchOverASweep(t *testing.T) {
	const path = "/a/1-3000000"
	d := newDisk(t)
	o := &held{editions: &editions{version: map[string]int{}, control: "max-age=3600"}, path: path, arrived: make(chan struct{}), release: make(chan struct{})}
	h, c := new(hooked), d.config()
	c.FS = h
	e := d.edge(o, Config{Disk: c})
	done := make(chan string)
	go func() { done <- get(e, path).Body.String() }()
	<-o.arrived
	o.change(path)
	if err := e.Invalidate("E1", []freshet.Pattern{"/a/*"}); err != nil {
		t.Fatal(err)
	}
	e.sweep()
	if !e.tier.sweep() {
		t.Error("nothing is there, and the sweep was not complete")
	}
	if err := e.tier.ledger.Rewrite(e.tier.notes); err != nil { // as it happens when it is long
		t.Fatal(err)
	}
	kept := filepath.Join(t.TempDir(), "killed")
	var known string
	h.removes.Store(once(func() {
		known = d.known
		if err := os.CopyFS(kept, os.DirFS(d.dir)); err != nil {
			t.Error(err)
		}
	}))
	close(o.release)
	if versionIn(path, <-done) != 0 {
		t.Error("who asked before the invalidation got something else")
	}
	settled(t, e)
	e.Close()
	if known == "" {
		return // there was nothing to remove
	}
	d.dir, d.known = kept, known
	if w := get(d.edge(o, Config{}), path); versionIn(path, w.Body.String()) != 1 {
		t.Errorf("after a kill: %s %.30q", xcache(w), w.Body)
	}
}

// A large body that turns out to be damaged breaks one answer off; the next one is
// the origin's, and right.
func TestDiskServesADamagedBodyOnce(t *testing.T) {
	const path = "/a/1-9000000"
	d, o := newDisk(t), &editions{version: map[string]int{}, control: "max-age=3600"}
	e := d.edge(o, Config{})
	fetched(t, e, path)
	if w := get(e, path); xcache(w) != "Hit" || versionIn(path, w.Body.String()) != 0 {
		t.Fatal("it is not cached")
	}
	names, err := filepath.Glob(filepath.Join(d.dir, "*.record"))
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	f, err := os.OpenFile(names[0], os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("damage"), 5_000_000); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if w := get(e, path); w.Header().Get("Test-Aborted") == "" {
		t.Error("the answer did not break off")
	}
	for _, cache := range []string{"Miss", "Hit"} {
		if w := get(e, path); xcache(w) != cache || versionIn(path, w.Body.String()) != 0 {
			t.Errorf("%s instead of %s, %d bytes", xcache(w), cache, w.Body.Len())
		}
		settled(t, e)
	}
}

// crowdedFS has no room until something is removed, once somebody else has filled it.
type crowdedFS struct {
	disk.System

	full   atomic.Bool
	spares atomic.Bool // the ledger
}

func (f *crowdedFS) Open(name string, flag int) (disk.File, error) {
	file, err := f.System.Open(name, flag)
	if err != nil || f.spares.Load() && strings.Contains(name, "ledger-") {
		return file, err
	}
	return crowdedFile{file, f}, nil
}

func (f *crowdedFS) Remove(name string) error {
	if strings.Contains(name, ".record") {
		f.full.Store(false)
	}
	return f.System.Remove(name)
}

type crowdedFile struct {
	disk.File

	fs *crowdedFS
}

func (f crowdedFile) WriteAt(b []byte, at int64) (int, error) {
	if f.fs.full.Load() {
		return 0, &os.PathError{Op: "write", Path: "there", Err: syscall.ENOSPC}
	}
	return f.File.WriteAt(b, at)
}

// On a disk that others have filled, what is invalidated is written down in the place
// of what was cached longest ago, and the rest of that stays.
func TestInvalidationOnAFullDisk(t *testing.T) {
	d, o := newDisk(t), &editions{version: map[string]int{}, control: "max-age=3600"}
	f, c := new(crowdedFS), d.config()
	c.FS = f
	e := d.edge(o, Config{Disk: c, MemoryLimit: 4 << 20})
	for _, path := range []string{"/c/0-2000000", "/a/1-2000000", "/b/1-2000000"} {
		fetched(t, e, path)
	}
	for range 2 {
		f.full.Store(true)
		o.change("/a/1-2000000")
		if err := e.Invalidate("E1", []freshet.Pattern{"/a/*"}); err != nil {
			t.Fatal(err)
		}
	}
	if !e.tier.trusted.Load() {
		t.Error("the disk was given up")
	}
	f.full.Store(false)
	d.killed(e)
	e = d.edge(o, Config{})
	if w := get(e, "/a/1-2000000"); versionIn("/a/1-2000000", w.Body.String()) != 2 {
		t.Errorf("what was invalidated: %s %.30q", xcache(w), w.Body)
	}
	if w := get(e, "/b/1-2000000"); xcache(w) != "Hit" {
		t.Errorf("what was not: %s", xcache(w))
	}
}

// A start on a disk that others have filled keeps what can be read: what was cached
// longest ago makes room for what has to be written down.
func TestStartOnAFullDisk(t *testing.T) {
	for _, where := range []string{"the directory", "the data directory"} {
		t.Run(where, func(t *testing.T) {
			d, o := newDisk(t), &editions{version: map[string]int{}, control: "max-age=3600"}
			e := d.edge(o, Config{MemoryLimit: 4 << 20})
			for _, path := range []string{"/c/0-2000000", "/a/1-2000000", "/b/1-2000000", "/b/2-50"} {
				fetched(t, e, path)
			}
			o.change("/a/1-2000000")
			if err := e.Invalidate("E1", []freshet.Pattern{"/a/*"}); err != nil {
				t.Fatal(err)
			}
			d.killed(e)
			f, c := new(crowdedFS), d.config()
			f.full.Store(true)
			if c.FS = f; where == "the data directory" {
				pair := c.Pair
				f.spares.Store(true) // the ledger: there is room for that
				c.Pair = func(token string) error {
					if f.full.Load() {
						return &os.PathError{Op: "write", Path: "elsewhere", Err: syscall.ENOSPC}
					}
					return pair(token)
				}
			}
			e = d.edge(o, Config{Disk: c})
			if st, _ := e.DiskStats(); st.Failing || !e.tier.trusted.Load() {
				t.Errorf("the disk was given up: %+v", st)
			}
			for path, cache := range map[string]string{"/b/1-2000000": "Hit", "/b/2-50": "Hit", "/a/1-2000000": "Miss"} {
				w := get(e, path)
				if xcache(w) != cache || versionIn(path, w.Body.String()) != o.now(path) {
					t.Errorf("%s: %s instead of %s, %.30q", path, xcache(w), cache, w.Body)
				}
			}
		})
	}
}

// hungFS is a file system whose files cannot be read as long as it hangs.
type hungFS struct {
	disk.System

	hangs atomic.Pointer[chan struct{}]
}

func (f *hungFS) Open(name string, flag int) (disk.File, error) {
	file, err := f.System.Open(name, flag)
	if err != nil {
		return nil, err
	}
	return hungFile{file, f}, nil
}

type hungFile struct {
	disk.File

	fs *hungFS
}

func (f hungFile) ReadAt(b []byte, at int64) (int, error) {
	if c := f.fs.hangs.Load(); c != nil {
		<-*c
	}
	return f.File.ReadAt(b, at)
}

// A disk that does not answer is left alone, and the origin is asked; who only has to
// wait for the processor says nothing about the disk.
func TestDiskThatHangs(t *testing.T) {
	d, o := newDisk(t), &editions{version: map[string]int{}, control: "max-age=3600"}
	e := d.edge(o, Config{})
	const all = 20
	for n := range all {
		fetched(t, e, pathFor("a", n, 5000))
	}
	e.Close()
	f, c := new(hungFS), d.config()
	c.FS = f
	e = d.edge(o, Config{Disk: c})
	e.tier.patience = 50 * time.Millisecond
	hang := make(chan struct{})
	f.hangs.Store(&hang)
	failing := false
	for n := range all {
		path := pathFor("a", n, 5000)
		if w := get(e, path); xcache(w) != "Miss" || versionIn(path, w.Body.String()) != 0 {
			t.Errorf("%s: %s %d", path, xcache(w), w.Code)
		}
		st, _ := e.DiskStats()
		failing = failing || st.Failing
	}
	if !failing {
		t.Error("it is never said to fail")
	}
	f.hangs.Store(nil)
	close(hang)
}

// late is a body whose end is seen only after all who read it have left.
type late struct {
	io.Reader

	gone <-chan struct{}
}

func (b *late) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err != nil {
		<-b.gone
		return n, errNoReaders
	}
	return n, err
}

func (*late) Close() error { return nil }

// What is too large for memory is on disk also if its only viewer has had all of it,
// and left, before the fetch has seen that it was all.
func TestDiskHoldsWhatItsViewerHadFirst(t *testing.T) {
	const path = "/a/1-5000000"
	d, o := newDisk(t), &editions{version: map[string]int{}, control: "max-age=3600"}
	gone := make(chan struct{})
	e := d.edge(roundTripper(func(r *http.Request) (*http.Response, error) {
		resp, err := o.RoundTrip(r)
		if err == nil {
			resp.Body = &late{resp.Body, gone}
		}
		return resp, err
	}), Config{MemoryLimit: 2 << 20})
	if w := get(e, path); xcache(w) != "Miss" || versionIn(path, w.Body.String()) != 0 {
		t.Fatalf("%s, %d bytes", xcache(w), w.Body.Len())
	}
	close(gone)
	settled(t, e)
	if w := get(e, path); xcache(w) != "Hit" || versionIn(path, w.Body.String()) != 0 {
		t.Errorf("%s, %d bytes", xcache(w), w.Body.Len())
	}
}
