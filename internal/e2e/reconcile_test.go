package e2e_test

import (
	"path/filepath"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/freshet/freshet/internal/bucket"
)

// Changes that were committed and never announced are found at the next start,
// and nothing else is. Here the store is opened without anybody listening to
// its changes, which is what a crash between the two leaves behind.
func TestReconcile(t *testing.T) {
	data := t.TempDir()
	f := start(t, options{data: data})
	c := f.s3(t)
	for _, key := range []string{"same", "overwritten", "deleted", "twice"} {
		f.putVerified(t, c, key, "old "+key)
	}
	f.stop(t)
	before := byChange(f.history(t))

	store, err := bucket.Open(t.Context(), bucket.Config{
		Dir: filepath.Join(data, "bucket"), Addr: "127.0.0.1:0", AccessKey: f.AccessKey, Secret: f.SecretKey, Bucket: f.Bucket,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Start(); err != nil {
		t.Fatal(err)
	}
	quiet := s3Client(t, store.URL(), f.AccessKey, f.SecretKey)
	want := map[string]string{"deleted": ""}
	for _, key := range []string{"overwritten", "new", "twice", "twice"} {
		want[key] = f.mustPut(t, quiet, key, "new "+key)
	}
	gone := "deleted"
	if _, err := quiet.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &f.Bucket, Key: &gone}); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}

	f = start(t, options{data: data})
	f.log.verifiedETags(t, 0, want)
	f.putVerified(t, f.s3(t), "marker", "")
	all, _ := f.log.since(0)
	for id, steps := range byChange(all) {
		// A stop right after verification may leave the last steps to be taken again.
		_, ok := want[steps[0].Key]
		if r := steps[0]; before[id] == nil && r.Key != "marker" && (!ok || r.Cause != "Reconcile") {
			t.Errorf("%s of %q was announced because of %s", r.Op, r.Key, r.Cause)
		}
	}
	v := f.viewer(t)
	for _, key := range []string{"overwritten", "new", "twice"} {
		v.wantBody(t, "/"+key, "new "+key)
	}
	v.wantBody(t, "/same", "old same")
	v.wantGone(t, "/deleted")
	f.stop(t)
	sound(t, f.history(t))
	before = byChange(f.history(t))

	f = start(t, options{data: data})
	f.putVerified(t, f.s3(t), "marker", "again")
	all, _ = f.log.since(0)
	for id, steps := range byChange(all) {
		if before[id] == nil && steps[0].Key != "marker" {
			t.Errorf("a start without anything to find found a %s of %q", steps[0].Op, steps[0].Key)
		}
	}
}
