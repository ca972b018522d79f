package mirror

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fsnotify/fsnotify"
)

func TestFirstComparison(t *testing.T) {
	dir, manifest := t.TempDir(), filepath.Join(t.TempDir(), "state", "manifest")
	write(t, dir, map[string]string{
		"index.html": "<p>", "a/b.css": "css", "a/new.js": "js", "retyped.svg": "<svg/>", ".well-known/x": "text", "theirs.txt": "same",
		".git/HEAD": "no", "a/.freshet/x": "no", "x.swp": "no", "y~": "no", ".#z": "no", "4913": "no", ".DS_Store": "no",
	})
	store := newMemory(map[string]kept{
		"a/b.css": {"old", "text/css; charset=utf-8"}, "retyped.svg": {"<svg/>", "text/plain"},
		"theirs.txt": {"same", "text/plain; charset=utf-8"}, "untouched": {"x", ""},
	})
	r := mirrorDir(t, dir, manifest, store)
	puts, deletes := store.done()
	if want := []string{".well-known/x=text", "a/b.css=css", "a/new.js=js", "index.html=<p>", "retyped.svg=<svg/>"}; !slices.Equal(puts, want) || len(deletes) != 0 {
		t.Errorf("put %q, deleted %q", puts, deletes)
	}
	if want := (Summary{Files: 6, Uploaded: 5, Unchanged: 1, Took: r.summary.Took}); r.summary != want {
		t.Errorf("summary %+v", r.summary)
	}
	if k := store.objects["retyped.svg"].kind; k != "image/svg+xml" {
		t.Errorf("type %q", k)
	}
	r.stop()

	// While nobody watched: one changed, one removed, one overwritten in the
	// bucket, two overwritten or removed on both sides, one deleted in the bucket.
	write(t, dir, map[string]string{"index.html": "<b>"})
	store.objects["a/b.css"] = kept{"foreign", ""}
	store.objects["a/new.js"] = kept{"foreign", ""}
	delete(store.objects, ".well-known/x")
	for _, name := range []string{"retyped.svg", "a/new.js", "theirs.txt"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	r = mirrorDir(t, dir, manifest, store)
	puts, deletes = store.done()
	if want := []string{".well-known/x=text", "a/b.css=css", "index.html=<b>"}; !slices.Equal(puts, want) || !slices.Equal(deletes, []string{"retyped.svg"}) {
		t.Errorf("put %q, deleted %q", puts, deletes)
	}
	r.becomes(map[string]string{".well-known/x": "text", "a/b.css": "css", "index.html": "<b>", "a/new.js": "foreign", "theirs.txt": "same", "untouched": "x"})
	r.stop()

	r = mirrorDir(t, dir, manifest, store)
	if puts, deletes = store.done(); len(puts)+len(deletes) != 0 {
		t.Errorf("nothing had changed, but put %q, deleted %q", puts, deletes)
	}
	if r.summary.Unchanged != 3 {
		t.Errorf("summary %+v", r.summary)
	}
}

func TestWatching(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	write(t, dir, map[string]string{"a": "1", "d/x": "x", "d/e/y": "y"})
	write(t, outside, map[string]string{"target": "t1", "moved/in/z": "z"})
	r := mirrorDir(t, dir, filepath.Join(t.TempDir(), "manifest"), newMemory(nil))
	path := func(name string) string { return filepath.Join(dir, name) }
	want := map[string]string{"a": "1", "d/x": "x", "d/e/y": "y"}
	step := func(name string) {
		t.Helper()
		t.Log(name)
		r.becomes(want)
	}
	step("start")

	r.write("a", "2")
	want["a"] = "2"
	step("overwritten")
	r.write("new/dir/f", "f")
	want["new/dir/f"] = "f"
	step("new directories")
	r.write("new/dir/g", "g")
	want["new/dir/g"] = "g"
	step("a file in a new directory")

	move(t, path("d"), path("moved"))
	delete(want, "d/x")
	delete(want, "d/e/y")
	want["moved/x"], want["moved/e/y"] = "x", "y"
	step("a directory renamed")
	r.write("moved/e/y", "y2")
	want["moved/e/y"] = "y2"
	step("a change below the renamed directory")
	r.write("d/x", "again")
	want["d/x"] = "again"
	step("a new directory under the old name")

	move(t, filepath.Join(outside, "moved"), path("in"))
	want["in/in/z"] = "z"
	step("a directory moved in")
	move(t, path("in"), filepath.Join(outside, "out"))
	delete(want, "in/in/z")
	step("a directory moved out")
	if err := os.RemoveAll(path("new")); err != nil {
		t.Fatal(err)
	}
	delete(want, "new/dir/f")
	delete(want, "new/dir/g")
	step("a directory removed")

	if err := os.Remove(path("a")); err != nil {
		t.Fatal(err)
	}
	r.write("a/b", "b")
	delete(want, "a")
	want["a/b"] = "b"
	step("a file became a directory")

	if err := os.Symlink(filepath.Join(outside, "target"), path("link")); err != nil {
		t.Fatal(err)
	}
	want["link"] = "t1"
	step("a link to a file")
	write(t, outside, map[string]string{"target": "t2", "beside": "no"})
	want["link"] = "t2"
	step("the file behind the link changed")
	write(t, outside, map[string]string{"next": "t3"})
	move(t, filepath.Join(outside, "next"), filepath.Join(outside, "target"))
	want["link"] = "t3"
	step("the file behind the link was replaced")
	if err := errors.Join(os.Symlink("loop", path("loop")), os.Symlink(".", path("self"))); err != nil {
		t.Fatal(err)
	}
	r.write("after", "loops")
	want["after"] = "loops"
	step("loops are left out")

	r.store.done()
	r.write("page.html~", "old")
	r.write(".page.html.swp", "swap")
	move(t, path("after"), path("after~"))
	r.write("after", "saved")
	want["after"] = "saved"
	step("saved by an editor")
	if puts, deletes := r.store.done(); !slices.Equal(puts, []string{"after=saved"}) || len(deletes) != 0 {
		t.Errorf("saving did %q, %q", puts, deletes)
	}
	r.write("next.tmp", "atomic")
	move(t, path("next.tmp"), path("after"))
	want["after"] = "atomic"
	step("saved by rename")
	if err := os.Chtimes(path("after"), time.Now(), time.Now()); err != nil {
		t.Fatal(err)
	}
	r.store.done()
	r.write("last", "x")
	want["last"] = "x"
	step("touched")
	if puts, _ := r.store.done(); !slices.Equal(puts, []string{"last=x"}) {
		t.Errorf("touching did %q", puts)
	}
}

// A file that is being written is sent when its writer closes it, and not
// before.
func TestHalfWrittenIsNotSent(t *testing.T) {
	dir := t.TempDir()
	r := mirrorDir(t, dir, filepath.Join(t.TempDir(), "manifest"), newMemory(nil))
	f, err := os.Create(filepath.Join(dir, "big"))
	if err != nil {
		t.Fatal(err)
	}
	if _, known := unwritten(f); !known {
		t.Skip("the kernel does not say whether somebody is writing")
	}
	pause := time.NewTicker(300 * time.Millisecond)
	defer pause.Stop()
	for i := range 5 {
		fmt.Fprint(f, i)
		<-pause.C // what is tested is that pauses of a writer do not look like its end
	}
	if puts, _ := r.store.done(); len(puts) != 0 {
		t.Errorf("sent while it was written: %q", puts)
	}
	closed := time.Now()
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	r.becomes(map[string]string{"big": "01234"})
	t.Logf("in the bucket %v after closing", time.Since(closed))
	if puts, _ := r.store.done(); len(puts) != 1 {
		t.Errorf("sent %q", puts)
	}
}

func TestVanishedDirectory(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "site")
	files := make(map[string]string)
	for i := range 300 {
		files[fmt.Sprintf("d%d/f%d", i%7, i)] = fmt.Sprint(i)
	}
	write(t, dir, files)
	r := mirrorDir(t, dir, filepath.Join(parent, "manifest"), newMemory(nil))
	r.becomes(files)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() string {
		if !r.problem("vanished; the bucket is left as it is; watching goes on when it is back") {
			return "no problem was reported"
		}
		return ""
	})
	if err := os.Mkdir(dir, 0o755); err != nil { // empty is not back
		t.Fatal(err)
	}
	files["d1/f1"], files["more"] = "changed", "m"
	write(t, dir, files)
	r.becomes(files)
	if _, deletes := r.store.done(); len(deletes) != 0 {
		t.Errorf("deleted %d objects", len(deletes))
	}
	moved := filepath.Join(parent, "moved")
	move(t, dir, moved)
	write(t, moved, map[string]string{"ignored": "x"})
	fresh := map[string]string{"only": "one"}
	write(t, filepath.Join(parent, "fresh"), fresh)
	move(t, filepath.Join(parent, "fresh"), dir)
	r.becomes(fresh)
}

// Where the machine stands still while a directory is emptied, the pause is not
// taken for its end.
func TestStandstillRemovesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, object := t.TempDir(), kept{body: "1"}
		store := newMemory(map[string]kept{"a": object})
		m, err := newMirror(Config{Dir: dir, Manifest: filepath.Join(t.TempDir(), "m"), Store: store})
		if err != nil {
			t.Fatal(err)
		}
		defer m.manifest.close()
		if err := m.manifest.put(record{Key: "a", MD5: object.etag(), Sent: true}); err != nil {
			t.Fatal(err)
		}
		identity, err := statDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		s := &session{mirror: m, identity: identity, queue: newQueue()}
		gone := &task{path: filepath.Join(dir, "a")}
		look := func() (removed bool) {
			t.Helper()
			if _, err := s.settle(t.Context(), gone); err != nil {
				t.Fatal(err)
			}
			return store.holds()["a"] == ""
		}
		for range 2 * quietLooks {
			s.happened.Add(1) // another file goes
			if look() {
				t.Fatal("removed while others are")
			}
			time.Sleep(time.Minute) // nothing runs
			if look() {
				t.Fatal("a standstill is taken for quiet")
			}
		}
		for range quietLooks - 1 {
			look()
		}
		if store.holds()["a"] != "" {
			t.Error("it is never removed")
		}
	})
}

func TestEmptyDirectoryEmptiesNothing(t *testing.T) {
	dir, manifest := t.TempDir(), filepath.Join(t.TempDir(), "manifest")
	write(t, dir, map[string]string{"a": "1", ".git/x": "x"})
	store := newMemory(nil)
	mirrorDir(t, dir, manifest, store).stop()
	if err := os.Remove(filepath.Join(dir, "a")); err != nil {
		t.Fatal(err)
	}
	r := begin(t, dir, manifest, store)
	eventually(t, func() string {
		if !r.problem("is empty, but held files") {
			return "no problem was reported"
		}
		return ""
	})
	if got := store.holds(); got["a"] != "1" {
		t.Errorf("the bucket holds %q", got)
	}
	r.write("b", "2")
	<-r.ready
	r.becomes(map[string]string{"b": "2"})
}

func TestFailuresAreTriedAgain(t *testing.T) {
	dir := t.TempDir()
	store := newMemory(nil)
	store.failWith(errors.New("bucket is down"))
	write(t, dir, map[string]string{"a": "1", "gone": "x"})
	r := begin(t, dir, filepath.Join(t.TempDir(), "manifest"), store)
	eventually(t, func() string {
		if !r.problem("list the bucket: bucket is down") {
			return "no problem was reported"
		}
		return ""
	})
	store.failWith(nil)
	<-r.ready
	r.becomes(map[string]string{"a": "1", "gone": "x"})
	store.failWith(errors.New("down again"))
	r.write("a", "2")
	r.write("b", "3")
	if err := os.Remove(filepath.Join(dir, "gone")); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() string {
		if !r.problem("upload a: down again") || !r.problem("upload b: down again") || !r.problem("delete gone: down again") {
			return "no problems were reported"
		}
		return ""
	})
	store.failWith(nil)
	r.becomes(map[string]string{"a": "2", "b": "3"})
}

func TestUnreadableFile(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root can read everything")
	}
	dir := t.TempDir()
	write(t, dir, map[string]string{"a": "1", "secret": "x"})
	if err := os.Chmod(filepath.Join(dir, "secret"), 0); err != nil {
		t.Fatal(err)
	}
	r := mirrorDir(t, dir, filepath.Join(t.TempDir(), "manifest"), newMemory(nil))
	r.becomes(map[string]string{"a": "1"})
	if !r.problem("secret: permission denied") || r.summary.Failed != 1 {
		t.Errorf("problems %q, summary %+v", r.problems, r.summary)
	}
	if err := os.Chmod(filepath.Join(dir, "secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.becomes(map[string]string{"a": "1", "secret": "x"})
}

func TestNamesThatAreNoKeys(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"ok é": "1"})
	if err := os.WriteFile(filepath.Join(dir, "bad\xff"), nil, 0o600); err != nil {
		t.Skip("the file system refuses such names")
	}
	r := mirrorDir(t, dir, filepath.Join(t.TempDir(), "manifest"), newMemory(nil))
	r.becomes(map[string]string{"ok é": "1"})
	if !r.problem("must be valid UTF-8") {
		t.Errorf("problems %q", r.problems)
	}
}

// Where the kernel gives no word about writers, a file counts as written when it
// has not changed for a while.
func TestSettledWithoutTheKernel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "f")
		var task task
		look := func() bool {
			stat, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			return task.observed.still(stat)
		}
		write(t, filepath.Dir(path), map[string]string{"f": "1"})
		if look() {
			t.Error("settled at the first look")
		}
		time.Sleep(still - 1)
		if look() {
			t.Error("settled too early")
		}
		write(t, filepath.Dir(path), map[string]string{"f": "12"})
		time.Sleep(time.Nanosecond)
		if look() {
			t.Error("settled while it grew")
		}
		time.Sleep(still)
		if !look() {
			t.Error("not settled in the end")
		}
	})
}

// Without the kernel's word, or with too much of it, the directory is searched.
func TestPollingAndOverflow(t *testing.T) {
	for name, disturb := range map[string]func(*watch){
		"out of watches": func(w *watch) { w.limited(syscall.ENOSPC) },
		"overflow":       func(w *watch) { w.failed(fsnotify.ErrEventOverflow) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, map[string]string{"a": "1", "gone": "x"})
			var problems []string
			store := newMemory(nil)
			m, err := newMirror(Config{Dir: dir, Manifest: filepath.Join(t.TempDir(), "m"), Store: store, OnProblem: func(err error) {
				problems = append(problems, err.Error())
			}})
			if err != nil {
				t.Fatal(err)
			}
			defer m.manifest.close()
			ctx, cancel := context.WithCancel(t.Context())
			identity, err := statDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			s := m.newSession(identity)
			s.watch.close() // nothing is heard any more
			done := s.work(ctx)
			if err := s.compare(ctx); err != nil {
				t.Fatal(err)
			}
			write(t, dir, map[string]string{"a": "2", "d/b": "3"})
			if err := os.Remove(filepath.Join(dir, "gone")); err != nil {
				t.Fatal(err)
			}
			disturb(s.watch)
			watched := make(chan error)
			s.watch.watcher = nil
			go func() { watched <- s.watch.run(ctx) }()
			(&running{t: t, store: store}).becomes(map[string]string{"a": "2", "d/b": "3"})
			cancel()
			<-watched
			s.queue.close()
			<-done
			if name == "out of watches" && (len(problems) != 1 || !strings.Contains(problems[0], "fs.inotify.max_user_watches")) {
				t.Errorf("problems %q", problems)
			}
		})
	}
}

func TestRunRefuses(t *testing.T) {
	for name, config := range map[string]Config{
		"no store":     {Dir: t.TempDir(), Manifest: filepath.Join(t.TempDir(), "m")},
		"no manifest":  {Dir: t.TempDir(), Store: newMemory(nil)},
		"no directory": {Dir: filepath.Join(t.TempDir(), "none"), Manifest: filepath.Join(t.TempDir(), "m"), Store: newMemory(nil)},
		"bad manifest": {Dir: t.TempDir(), Manifest: t.TempDir(), Store: newMemory(nil)},
	} {
		if err := Run(t.Context(), config); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func TestManifestSurvivesATornLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "manifest")
	m, err := openManifest(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []record{{Key: "a", MD5: "1"}, {Key: "b", MD5: "2"}, {Key: "a", MD5: "3", Sent: true}, {Key: "b", Gone: true}, {Key: "ü\n", MD5: "4"}} {
		if err := m.put(r); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := m.file.WriteString(`{"key":"torn","md5`); err != nil {
		t.Fatal(err)
	}
	if err := m.put(record{Key: "c", MD5: "5"}); err != nil {
		t.Fatal(err)
	}
	m.close()
	for range 2 { // the second time from the rewritten file
		m, err = openManifest(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := m.keys(""); !slices.Equal(got, []string{"a", "c", "ü\n"}) {
			t.Errorf("keys %q", got)
		}
		if r, _ := m.get("a"); r.MD5 != "3" || !r.Sent {
			t.Errorf("got %+v", r)
		}
		m.close()
	}
}

// After a crash during an upload the object is the old or the new one; both are
// ours and go with the file.
func TestCrashDuringAnUpload(t *testing.T) {
	for _, body := range []string{"old", "new"} {
		dir, path := t.TempDir(), filepath.Join(t.TempDir(), "manifest")
		m, err := openManifest(path)
		if err != nil {
			t.Fatal(err)
		}
		err = m.put(record{Key: "k", MD5: kept{body: "new"}.etag(), Before: []string{kept{body: "old"}.etag()}})
		if err != nil {
			t.Fatal(err)
		}
		m.close()
		write(t, dir, map[string]string{"other": "x"})
		r := mirrorDir(t, dir, path, newMemory(map[string]kept{"k": {body, ""}}))
		r.becomes(map[string]string{"other": "x"})
	}
}

// The claim on an object is in the manifest before the object is in the bucket.
func TestClaimComesFirst(t *testing.T) {
	dir, path := t.TempDir(), filepath.Join(t.TempDir(), "manifest")
	write(t, dir, map[string]string{"k": "x"})
	store := newMemory(nil)
	store.beforePut = func(key string) {
		if text, err := os.ReadFile(path); err != nil || !strings.Contains(string(text), `"key":"`+key+`"`) {
			t.Errorf("%s is put with the manifest %q, %v", key, text, err)
		}
	}
	mirrorDir(t, dir, path, store)
}
