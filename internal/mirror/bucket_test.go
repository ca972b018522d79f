package mirror

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/freshet/freshet/internal/bucket"
)

func TestAgainstTheBucket(t *testing.T) {
	b, err := bucket.Open(t.Context(), bucket.Config{
		Dir: t.TempDir(), Addr: "127.0.0.1:0", AccessKey: "key", Secret: "secret-secret", Bucket: "site",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	store := NewStore(s3.New(s3.Options{
		BaseEndpoint: aws.String(b.URL()), Region: "us-east-1", UsePathStyle: true, HTTPClient: &http.Client{Transport: transport},
		Credentials: credentials.NewStaticCredentialsProvider("key", "secret-secret", ""),
	}), "site")
	dir, manifest := t.TempDir(), filepath.Join(t.TempDir(), "manifest")
	write(t, dir, map[string]string{"index.html": "<p>", "a b+c/é#?.css": "css", "empty": "", "LICENSE": "plain words"})

	ready := make(chan Summary, 1)
	ended := make(chan error, 1)
	run := func() (stop func()) {
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			ended <- Run(ctx, Config{Dir: dir, Store: store, Manifest: manifest,
				OnReady: func(s Summary) { ready <- s }, OnProblem: func(err error) { t.Log(err) }})
		}()
		return func() {
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	}
	stop := run()
	if s := <-ready; s.Uploaded != 4 || s.Failed != 0 {
		t.Errorf("summary %+v", s)
	}
	write(t, dir, map[string]string{"index.html": "<b>"})
	eventually(t, func() string {
		if o, _ := b.Stat("index.html"); o.ETag != (kept{body: "<b>"}).etag() {
			return "index.html is still " + o.ETag
		}
		return ""
	})
	if err := os.Remove(filepath.Join(dir, "empty")); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() string {
		if _, there := b.Stat("empty"); there {
			return "empty is still there"
		}
		return ""
	})
	stop()

	stop = run()
	if s := <-ready; s.Uploaded != 0 || s.Unchanged != 3 {
		t.Errorf("a second run: %+v", s)
	}
	stop()
	if err := os.Remove(manifest); err != nil { // content types are asked for instead
		t.Fatal(err)
	}
	stop = run()
	if s := <-ready; s.Uploaded != 0 || s.Unchanged != 3 {
		t.Errorf("without a manifest: %+v", s)
	}
	stop()

	o, _ := b.Stat("index.html")
	if err := store.Delete(t.Context(), "index.html", "another"); !errors.Is(err, ErrNotOurs) {
		t.Errorf("got %v", err)
	}
	if err := store.Delete(t.Context(), "index.html", o.ETag); err != nil {
		t.Error(err)
	}
	if err := store.Delete(t.Context(), "index.html", o.ETag); err != nil {
		t.Errorf("deleting what is not there: %v", err)
	}
}
