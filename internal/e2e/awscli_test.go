package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// shell runs the AWS CLI against one freshet.
type shell struct {
	*running
	path string
	view *viewer
}

func (s shell) aws(t *testing.T, endpoint string, args ...string) string {
	t.Helper()
	c := exec.Command(s.path, append([]string{"--endpoint-url", endpoint}, args...)...)
	c.Env = s.environ()
	var stderr strings.Builder
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		t.Fatalf("aws %s: %v\n%s%s", strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out)
}

// settled waits until what came after the nth record ends with a marker that is
// put now, and returns the changes before it by key. A key that changed twice
// fails the test.
func (s shell) settled(t *testing.T, n int) map[string]record {
	t.Helper()
	marker := fmt.Sprintf("marker-%d", n)
	s.putVerified(t, s.s3(t), marker, marker)
	ends := make(map[string]record)
	all, _ := s.log.since(n)
	for _, steps := range byChange(all) {
		last := steps[len(steps)-1]
		if last.Key == marker {
			continue
		}
		if last.State != verified {
			// It may come after the marker, since batches run beside each other.
			last = s.log.awaitFrom(t, n, "verified: "+last.Key, func(r record) bool { return r.ID == last.ID && r.State == verified })
		}
		if _, twice := ends[last.Key]; twice {
			t.Errorf("%q changed twice", last.Key)
		}
		ends[last.Key] = last
	}
	return ends
}

// wantChanges fails unless exactly these keys changed, given as "put key" or
// "delete key".
func wantChanges(t *testing.T, got map[string]record, want ...string) {
	t.Helper()
	var seen []string
	for key, r := range got {
		seen = append(seen, r.Op+" "+key)
	}
	slices.Sort(seen)
	slices.Sort(want)
	if !slices.Equal(seen, want) {
		t.Errorf("changes %q, want %q", seen, want)
	}
}

// write makes files that are an hour old: S3 tells times in whole seconds, so
// the AWS CLI takes a file that was uploaded within its first second for changed.
func write(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	old := time.Now().Add(-time.Hour)
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.WriteFile(path, []byte(text), 0o600), os.Chtimes(path, old, old)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAWSCLI(t *testing.T) {
	path := awsCLI(t)
	f := start(t, options{})
	s := shell{f, path, f.viewer(t)}
	dir, bucket := t.TempDir(), "s3://"+f.Bucket
	s3 := func(args ...string) string { t.Helper(); return s.aws(t, f.S3, append([]string{"s3"}, args...)...) }

	write(t, dir, map[string]string{"index.html": "one", "a b/c+d é.txt": "odd one", "blog/x.html": "x1"})
	n := f.log.len()
	s3("cp", filepath.Join(dir, "index.html"), bucket+"/index.html")
	wantChanges(t, s.settled(t, n), "put index.html")
	s.view.wantBody(t, "/", "one")
	s.view.wantBody(t, "/index.html", "one")

	n = f.log.len()
	write(t, dir, map[string]string{"index.html": "two!"})
	s3("sync", dir, bucket+"/")
	wantChanges(t, s.settled(t, n), "put index.html", "put a b/c+d é.txt", "put blog/x.html")
	s.view.wantBody(t, "/", "two!")
	s.view.wantBody(t, "/a%20b/c%2Bd%20%C3%A9.txt", "odd one")

	n = f.log.len()
	if out := s3("sync", dir, bucket+"/"); out != "" {
		t.Errorf("a second sync did something: %s", out)
	}
	wantChanges(t, s.settled(t, n))

	n = f.log.len()
	s3("mv", bucket+"/blog/x.html", bucket+"/blog/y.html")
	wantChanges(t, s.settled(t, n), "put blog/y.html", "delete blog/x.html")
	s.view.wantGone(t, "/blog/x.html")
	s.view.wantBody(t, "/blog/y.html", "x1")

	n = f.log.len()
	s3("rm", "--recursive", bucket+"/blog")
	s3("rm", bucket+"/a b/c+d é.txt")
	wantChanges(t, s.settled(t, n), "delete blog/y.html", "delete a b/c+d é.txt")
	s.view.wantGone(t, "/blog/y.html")
	s.view.wantGone(t, "/a%20b/c%2Bd%20%C3%A9.txt")
	s.view.wantBody(t, "/", "two!")
	testCLIInvalidations(t, s)
}

// testCLIInvalidations makes an invalidation by hand and finds it again.
func testCLIInvalidations(t *testing.T, s shell) {
	cf := func(into any, args ...string) {
		t.Helper()
		out := s.aws(t, s.API, append([]string{"cloudfront", "--output", "json"}, args...)...)
		if into == nil {
			return
		}
		if err := json.Unmarshal([]byte(out), into); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	if got := s.view.mustGet(t, "/index.html").cache(); got != "Hit" {
		t.Errorf("before: X-Cache %s", got)
	}
	type invalidation struct {
		ID                string `json:"Id"`
		Status            string
		InvalidationBatch struct {
			CallerReference string
			Paths           struct{ Items []string }
		}
	}
	var made, found struct{ Invalidation invalidation }
	cf(&made, "create-invalidation", "--distribution-id", s.Distribution, "--paths", "/index.html", "/blog/*")
	id := made.Invalidation.ID
	cf(nil, "wait", "invalidation-completed", "--distribution-id", s.Distribution, "--id", id)
	if got := s.view.mustGet(t, "/index.html").cache(); got != "Miss" {
		t.Errorf("after completion: X-Cache %s", got)
	}
	cf(&found, "get-invalidation", "--distribution-id", s.Distribution, "--id", id)
	if got := found.Invalidation; got.Status != "Completed" || got.InvalidationBatch.CallerReference != made.Invalidation.InvalidationBatch.CallerReference ||
		!slices.Equal(got.InvalidationBatch.Paths.Items, []string{"/index.html", "/blog/*"}) {
		t.Errorf("found %+v", got)
	}
	var list struct {
		InvalidationList struct{ Items []invalidation }
	}
	cf(&list, "list-invalidations", "--distribution-id", s.Distribution)
	if got := list.InvalidationList.Items; len(got) == 0 || got[0].ID != id || got[0].Status != "Completed" {
		t.Errorf("list %+v does not begin with %s", got, id)
	}
	all, _ := s.log.since(0)
	for _, id := range invalidationsOf(all) {
		if !slices.ContainsFunc(list.InvalidationList.Items, func(i invalidation) bool { return i.ID == id && i.Status == "Completed" }) {
			t.Errorf("the list lacks %s, which a record names", id)
		}
	}
	sound(t, all)
}
