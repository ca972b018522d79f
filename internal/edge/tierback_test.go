package edge

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/freshet/freshet"
)

// A directory that was put back as it was before the last process is one that missed
// something, although every process had it.
func TestDiskPutBackFromACopy(t *testing.T) {
	for _, sessions := range []int{1, 2} {
		d, o := newDisk(t), &editions{version: map[string]int{}, control: "max-age=3600"}
		e := d.edge(o, Config{})
		fetched(t, e, "/a/1-50")
		e.Close()
		kept := filepath.Join(t.TempDir(), "copy")
		if err := os.CopyFS(kept, os.DirFS(d.dir)); err != nil {
			t.Fatal(err)
		}
		o.change("/a/1-50")
		for range sessions {
			e = d.edge(o, Config{})
			if err := e.Invalidate("E1", []freshet.Pattern{"/a/*"}); err != nil {
				t.Fatal(err)
			}
			e.Close()
		}
		d.dir = kept
		if w := get(d.edge(o, Config{}), "/a/1-50"); xcache(w) != "Miss" || versionIn("/a/1-50", w.Body.String()) != 1 {
			t.Errorf("%d sessions later: %s %.30q", sessions, xcache(w), w.Body)
		}
	}
}

// A process that was killed before it had written down in both places that it began
// takes nothing away, however many of them were.
func TestDiskKilledWhileItBegins(t *testing.T) {
	d, o := newDisk(t), &editions{version: map[string]int{}, control: "max-age=3600"}
	e := d.edge(o, Config{})
	fetched(t, e, "/a/1-50")
	fetched(t, e, "/b/1-50")
	if err := e.Invalidate("E1", []freshet.Pattern{"/b/*"}); err != nil {
		t.Fatal(err)
	}
	e.Close()
	o.change("/b/1-50")
	for range 3 {
		known := d.known
		d.edge(o, Config{}).Close()
		d.known = known // which was written after what is in the directory
	}
	e = d.edge(o, Config{})
	if w := get(e, "/a/1-50"); xcache(w) != "Hit" {
		t.Error(xcache(w))
	}
	if w := get(e, "/b/1-50"); versionIn("/b/1-50", w.Body.String()) != 1 {
		t.Errorf("%s %.30q", xcache(w), w.Body)
	}
}
