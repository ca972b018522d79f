package edge

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/freshet/freshet"
)

// smallMount is a file system of its own with so much room. Only root may mount one,
// and not in every container: everywhere else crowdedFS plays such a disk.
func smallMount(t *testing.T, size string) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("mounting a small file system takes root; TestStartOnAFullDisk and TestInvalidationOnAFullDisk play one")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("mount a small file system: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}

// ballast takes all that is left of a file system.
func ballast(t *testing.T, dir string) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(dir, "ballast"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 1<<16); len(block) > 0; {
		if _, err := f.Write(block); errors.Is(err, syscall.ENOSPC) {
			block = block[:len(block)/16]
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// On a file system with less room than the cache may take, which others fill besides,
// all answers are right and invalidations are known later; a start there keeps what is
// cached but for what has to make room.
func TestDiskOnASmallFileSystem(t *testing.T) {
	dir := smallMount(t, "8m")
	d, o := newDisk(t), &editions{version: map[string]int{}, control: "max-age=3600"}
	d.dir = filepath.Join(dir, "cache")
	e := d.edge(o, Config{MemoryLimit: 2 << 20})
	var paths []string
	for n := range 60 {
		paths = append(paths, pathFor("a", n, []int{300_000, 50, 40_000}[n%3]))
	}
	for round := range 3 {
		for _, path := range paths {
			w := get(e, path)
			if w.Code != 200 || versionIn(path, w.Body.String()) != o.now(path) {
				t.Fatalf("round %d, %s: %d %s, %d bytes", round, path, w.Code, xcache(w), w.Body.Len())
			}
			settled(t, e)
		}
		ballast(t, dir)
		changed := paths[round*7]
		o.change(changed)
		if err := e.Invalidate("E1", []freshet.Pattern{freshet.Pattern(changed)}); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		e.Close()
		e = d.edge(o, Config{MemoryLimit: 2 << 20})
		if !e.tier.trusted.Load() {
			t.Errorf("round %d: the disk was given up", round)
		}
		if w := get(e, changed); versionIn(changed, w.Body.String()) != o.now(changed) {
			t.Errorf("round %d: what was invalidated: %s %.30q", round, xcache(w), w.Body)
		}
	}
	for _, path := range paths {
		if w := get(e, path); w.Code != 200 || versionIn(path, w.Body.String()) != o.now(path) {
			t.Errorf("%s: %d %s, %d bytes", path, w.Code, xcache(w), w.Body.Len())
		}
	}
	st, _ := e.DiskStats()
	t.Logf("%+v", st)
	if st.Hits < 10 || st.Damaged > 0 {
		t.Errorf("%+v", st)
	}
}
