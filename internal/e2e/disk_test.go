package e2e_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// smallDisk mounts a file system of its own for a data directory.
func smallDisk(t *testing.T) string {
	t.Helper()
	if runtime.GOOS != "linux" || os.Getuid() != 0 {
		t.Skip("mounting a small file system takes root on Linux")
	}
	dir := t.TempDir()
	if err := mountTmpfs(dir, "size=32m"); err != nil {
		t.Skipf("mount a small file system: %v", err)
	}
	t.Cleanup(func() {
		if err := unmount(dir); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}

// fill takes all space that is left and returns the file that holds it.
func fill(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "ballast")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 1<<16); ; {
		if _, err := f.Write(block); errors.Is(err, syscall.ENOSPC) {
			if len(block) == 1 {
				return path
			}
			block = block[:len(block)/16]
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// On a full disk PUTs fail with a clear error and what was there is served.
// When there is space again all goes on, and what was accepted meanwhile is
// verified.
func TestDamageFullDisk(t *testing.T) {
	dir := smallDisk(t)
	f := start(t, options{data: filepath.Join(dir, "data")})
	c, v := f.s3(t), f.viewer(t)
	f.putVerified(t, c, "before", "before")
	for round := range 3 {
		ballast := fill(t, dir)
		accepted := make(map[string]string)
		refused := 0
		for i := range 20 {
			key, body := fmt.Sprintf("full %d %d", round, i), bytes.Repeat([]byte("x"), 1+i*20000)
			etag, err := f.put(t.Context(), c, key, body)
			switch code := codeOf(err); {
			case err == nil:
				accepted[key] = etag
			case strings.HasPrefix(code, "no API error") || err.Error() == "":
				t.Errorf("put of %d bytes on a full disk: %v", len(body), err)
			default:
				refused++
				if i == 0 || i == 19 {
					t.Logf("put of %d bytes on a full disk: %v", len(body), err)
				}
			}
		}
		if refused == 0 {
			t.Error("the disk was not full")
		}
		v.wantBody(t, "/before", "before")
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		awaitSpace(t, f, fmt.Sprintf("after %d", round))
		f.log.verifiedETags(t, 0, accepted)
		t.Logf("round %d: %d accepted, %d refused", round, len(accepted), refused)
		v.wantBody(t, fmt.Sprintf("/after%%20%d", round), "after")
	}
	sound(t, f.history(t))
	wantEdgeEqual(t, f)
}

// awaitSpace puts key until that is accepted, and waits until it is verified.
func awaitSpace(t *testing.T, f *running, key string) {
	t.Helper()
	c := f.s3(t)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience / 2); ; <-tick.C {
		etag, err := f.put(t.Context(), c, key, []byte("after"))
		if err == nil {
			f.log.verifiedETags(t, 0, map[string]string{key: etag})
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("there is space again, but: %v", err)
		}
	}
}

// wantEdgeEqual wants the edge to serve every object that S3 lists, byte for
// byte.
func wantEdgeEqual(t *testing.T, f *running) {
	t.Helper()
	c, v := f.s3(t), f.viewer(t)
	for key := range f.listed(t, c) {
		body, _ := f.stored(t, c, key)
		v.wantBody(t, "/"+strings.ReplaceAll(key, " ", "%20"), string(body))
	}
}

func TestDamageKeys(t *testing.T) {
	for name, spoil := range map[string]func(path string) error{
		"no JSON":     func(path string) error { return os.WriteFile(path, []byte("{nonsense"), 0o600) },
		"empty":       func(path string) error { return os.WriteFile(path, nil, 0o600) },
		"incomplete":  func(path string) error { return os.WriteFile(path, []byte(`{"access_key":"A"}`), 0o600) },
		"a directory": func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) },
	} {
		t.Run(name, func(t *testing.T) {
			f := start(t, options{})
			f.stop(t)
			path := filepath.Join(f.data, "keys.json")
			if err := spoil(path); err != nil {
				t.Fatal(err)
			}
			again, lines := spawn(t, options{data: f.data})
			if lines.Scan() {
				t.Errorf("it started: %s", lines.Text())
			}
			<-again.exited
			said := again.stderr.String()
			if again.command.ProcessState.ExitCode() != 1 || strings.Count(said, "\n") != 1 || !strings.HasPrefix(said, "freshet: ") || !strings.Contains(said, "keys.json") {
				t.Errorf("exit code %d, standard error %q", again.command.ProcessState.ExitCode(), said)
			}
			if name != "no JSON" && name != "incomplete" {
				return
			}
			if kept, err := os.ReadFile(path); err != nil || len(kept) == 0 {
				t.Errorf("the damaged keys were replaced: %q, %v", kept, err)
			}
		})
	}
}

// A mirrored directory that vanishes, as an unmounted disk does, takes nothing
// with it.
func TestDamageMirror(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "site")
	write(t, dir, map[string]string{"index.html": "home", "a/b.html": "b1", "c.html": "c"})
	f := start(t, options{args: []string{dir}})
	v := f.viewer(t)
	seen := func(n int, key, op string) {
		t.Helper()
		f.log.awaitFrom(t, n, op+" "+key, func(r record) bool { return r.Key == key && r.Op == op && r.State == verified })
	}
	for _, key := range []string{"index.html", "a/b.html", "c.html"} {
		seen(0, key, "put")
	}
	v.wantBody(t, "/", "home")

	n := f.log.len()
	if err := os.Rename(dir, dir+".away"); err != nil {
		t.Fatal(err)
	}
	f.awaitSaid(t, "vanished")
	for path, body := range map[string]string{"/": "home", "/a/b.html": "b1", "/c.html": "c"} {
		v.wantBody(t, path, body)
	}
	f.putVerified(t, f.s3(t), "by hand", "goes on")
	write(t, dir+".away", map[string]string{"a/b.html": "b2 now", "new.html": "new"})
	if err := os.Remove(filepath.Join(dir+".away", "c.html")); err != nil {
		t.Fatal(err)
	}
	if more, _ := f.log.since(n); len(byChange(more)) != 1 {
		t.Errorf("while the directory was away, changes were made: %+v", more)
	}
	if err := os.Rename(dir+".away", dir); err != nil {
		t.Fatal(err)
	}
	seen(n, "a/b.html", "put")
	seen(n, "new.html", "put")
	seen(n, "c.html", "delete")
	v.wantBody(t, "/a/b.html", "b2 now")
	v.wantBody(t, "/", "home")
	v.wantBody(t, "/by%20hand", "goes on")
	v.wantGone(t, "/c.html")
	all, _ := f.log.since(n)
	for _, r := range all {
		if r.Key == "index.html" || r.Key == "by hand" && r.Op == "delete" {
			t.Errorf("%s of %q", r.Op, r.Key)
		}
	}
}

// awaitSaid waits until standard error holds text.
func (f *running) awaitSaid(t *testing.T, text string) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !strings.Contains(f.stderr.String(), text); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("standard error lacks %q: %s", text, f.stderr.String())
		}
	}
}

// The disk fills up while changes are on their way, so that whatever writes
// next finds it full: the bucket, the queue, the journal.
func TestDamageDiskFillsUp(t *testing.T) {
	dir := smallDisk(t)
	f := start(t, options{data: filepath.Join(dir, "data")})
	c, v := f.s3(t), f.viewer(t)
	f.putVerified(t, c, "before", "before")
	rounds := 5
	if long() {
		rounds = 20
	}
	for i := range rounds {
		f.putVerified(t, c, fmt.Sprintf("old %d", i), "old")
	}
	for round := range rounds {
		ballast := fill(t, dir)
		stat, err := os.Stat(ballast)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(ballast, stat.Size()-int64(2*round*round)*4096); err != nil { // a few blocks are left
			t.Fatal(err)
		}
		accepted := make(map[string]string)
		gone := fmt.Sprintf("old %d", round)
		if _, err := c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &f.Bucket, Key: &gone}); err == nil {
			accepted[gone] = ""
		} else {
			t.Logf("delete on a full disk: %v", err)
		}
		for i, failed := 0, 0; failed < 10; i++ {
			key := fmt.Sprintf("full %d %d", round, i)
			etag, err := f.put(t.Context(), c, key, []byte("x"))
			if err == nil {
				accepted[key] = etag
			} else if failed++; failed == 1 {
				t.Logf("put on a full disk: %v", err)
			}
		}
		v.wantBody(t, "/before", "before")
		t.Logf("round %d: %d accepted", round, len(accepted))
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		awaitSpace(t, f, fmt.Sprintf("after %d", round))
		f.log.verifiedETags(t, 0, accepted)
	}
	sound(t, f.history(t))
	wantEdgeEqual(t, f)
}
