package edge

import (
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/edge/disk"
)

// unreadableFS is a file system of which some reads fail.
type unreadableFS struct {
	disk.System

	fails atomic.Bool
}

func (f *unreadableFS) Open(name string, flag int) (disk.File, error) {
	file, err := f.System.Open(name, flag)
	if err != nil || !strings.Contains(name, ".record") {
		return file, err
	}
	return unreadableFile{file, f}, nil
}

type unreadableFile struct {
	disk.File

	fs *unreadableFS
}

func (f unreadableFile) ReadAt(b []byte, at int64) (int, error) {
	if f.fs.fails.Load() {
		return 0, &fs.PathError{Op: "read", Path: "it", Err: syscall.EIO}
	}
	return f.File.ReadAt(b, at)
}

// A body on disk that is damaged, or cannot be had any more, once it is in use is the
// origin's to bring as long as none of it has gone out.
func TestDiskBodyThatVanishes(t *testing.T) {
	const whole, large = "/a/1-2000000", "/a/1-9000000" // which is checked as a whole, and which is not
	change := func(t *testing.T, name string, at int64, text string) {
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte(text), at); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	truncate := func(t *testing.T, name string, size int64) {
		if err := os.Truncate(name, size); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name, path, bytes string
		fails             bool
		loss              func(t *testing.T, name string, f *unreadableFS)
	}{
		{name: "removed", path: whole, loss: func(t *testing.T, name string, _ *unreadableFS) {
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
		}},
		{name: "removed with its directory", path: large, loss: func(t *testing.T, name string, _ *unreadableFS) {
			if err := os.RemoveAll(filepath.Dir(name)); err != nil {
				t.Fatal(err)
			}
		}},
		{name: "unreadable", path: large, fails: true, loss: func(_ *testing.T, _ string, f *unreadableFS) { f.fails.Store(true) }},
		{name: "unreadable, and a range asked for", path: large, bytes: "bytes=8000000-8000999", fails: true, loss: func(_ *testing.T, _ string, f *unreadableFS) { f.fails.Store(true) }},
		{name: "empty", path: large, loss: func(t *testing.T, name string, _ *unreadableFS) { truncate(t, name, 0) }},
		{name: "shorter", path: large, loss: func(t *testing.T, name string, _ *unreadableFS) { truncate(t, name, 8_999_000) }},
		{name: "shorter than the range", path: whole, bytes: "bytes=0-10", loss: func(t *testing.T, name string, _ *unreadableFS) { truncate(t, name, 1_000_000) }},
		{name: "damaged at its beginning", path: large, loss: func(t *testing.T, name string, _ *unreadableFS) { change(t, name, 70_000, "damage") }},
		{name: "damaged in the middle", path: whole, loss: func(t *testing.T, name string, _ *unreadableFS) { change(t, name, 1_000_000, "damage") }},
		{name: "damaged at the end", path: whole, loss: func(t *testing.T, name string, _ *unreadableFS) { change(t, name, 1_999_999, "damage") }},
		{name: "damaged in the range", path: large, bytes: "bytes=5000000-5000999", loss: func(t *testing.T, name string, _ *unreadableFS) { change(t, name, 5_000_500, "damage") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, o := newDisk(t), &editions{version: map[string]int{}, control: "max-age=3600"}
			f, config := new(unreadableFS), d.config()
			if c.fails {
				config.FS = f
			}
			e := d.edge(o, Config{Disk: config})
			fetched(t, e, c.path)
			for range 2 {
				if w := get(e, c.path); xcache(w) != "Hit" || versionIn(c.path, w.Body.String()) != 0 {
					t.Fatalf("it is not cached: %s", xcache(w))
				}
			}
			names, err := filepath.Glob(filepath.Join(d.dir, "*.record"))
			if err != nil || len(names) != 1 {
				t.Fatal(names, err)
			}
			c.loss(t, names[0], f)
			o.change(c.path)             // so that it is seen whose bytes these are
			want := editionOf(c.path, 1) // also where a range is asked for, of which this origin knows nothing
			w := get(e, c.path, "Range", c.bytes)
			if xcache(w) != "Miss" || w.Body.String() != want || w.Header().Get("Test-Aborted") != "" {
				t.Errorf("%d %s, %d bytes, %v", w.Code, xcache(w), w.Body.Len(), w.Header())
			}
			settled(t, e)
			f.fails.Store(false)
			if w := do(e, http.MethodGet, c.path); w.Code != 200 || versionIn(c.path, w.Body.String()) < 0 {
				t.Errorf("afterwards: %d %s", w.Code, xcache(w))
			}
		})
	}
}

// Who gets a body that is on disk does not wait for one that has begun to hang.
func TestDiskThatHangsWhileInUse(t *testing.T) {
	const path = "/a/1-2000000"
	d, o := newDisk(t), &editions{version: map[string]int{}, control: "max-age=3600"}
	f, c := new(hungFS), d.config()
	c.FS = f
	e := d.edge(o, Config{Disk: c})
	fetched(t, e, path)
	if w := get(e, path); xcache(w) != "Hit" {
		t.Fatal(xcache(w))
	}
	e.tier.patience = 50 * time.Millisecond
	hang := make(chan struct{})
	f.hangs.Store(&hang)
	o.change(path)
	if w := get(e, path); xcache(w) != "Miss" || versionIn(path, w.Body.String()) != 1 {
		t.Errorf("%d %s, %d bytes", w.Code, xcache(w), w.Body.Len())
	}
	f.hangs.Store(nil)
	close(hang)
}
