package s3store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/bucket"
	"github.com/freshet/freshet/internal/deploy"
	"github.com/freshet/freshet/internal/deploy/conduct"
	"github.com/freshet/freshet/internal/deploy/s3store"
	"github.com/freshet/freshet/internal/deploy/shelf"
	"github.com/freshet/freshet/internal/deploy/tree"
)

// address is of the one bucket that a process may have.
var address string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "s3store-")
	if err != nil {
		panic(err)
	}
	b, err := bucket.Open(context.Background(), bucket.Config{
		Dir: dir, Addr: "127.0.0.1:0", Region: "us-east-1", Bucket: "site", AccessKey: "AKIDEXAMPLE", Secret: "secret",
		OnChange: func(context.Context, freshet.Change) error { return nil },
	})
	if err == nil {
		err = b.Start()
	}
	if err != nil {
		panic(err)
	}
	address = "http://" + b.Addr()
	code := m.Run()
	_ = b.Close()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

func store(name string) *s3store.Store { return storeBy(name, nil) }

func storeBy(name string, transport http.RoundTripper) *s3store.Store {
	parallel := 8
	if transport != nil {
		parallel = 1 // what has died leaves nothing on its way
	}
	return s3store.New(s3store.Config{
		AWS:    aws.Config{Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", "")},
		Bucket: name, Endpoint: address, PathStyle: true, Parallel: parallel, Transport: transport,
	})
}

// mortal answers nothing any more once it is dead, as if the process were.
type mortal struct {
	http.RoundTripper
	dead atomic.Bool
}

func (m *mortal) RoundTrip(r *http.Request) (*http.Response, error) {
	if m.dead.Load() || r.URL.Query().Get("partNumber") == "2" && m.dead.CompareAndSwap(false, true) {
		return &http.Response{StatusCode: http.StatusForbidden, Header: make(http.Header), Body: http.NoBody, Request: r}, nil
	}
	return m.RoundTripper.RoundTrip(r)
}

// A deploy dies while it sends a large object. The next one aborts that upload,
// and nobody else's.
func TestUploadsThatWereLeft(t *testing.T) {
	if testing.Short() {
		t.Skip("70 MB")
	}
	text := bytes.Repeat([]byte("seventy "), 70<<17)
	f := tree.FileOf("left/large", text)
	want := func(objects ...conduct.Wanted) conduct.Config {
		s := store("site")
		none := func([]freshet.Change, []deploy.Present) (freshet.Plan, error) { return freshet.Plan{}, nil }
		return conduct.Config{
			Bucket: s, Shelf: s.Shelf("left-state/"), Name: "site", Prefix: "left/", Want: objects, Limit: deploy.Limit{Objects: 10, Share: 1},
			Line: conduct.Line{Plan: none}, NoLock: true,
			Report: func(e conduct.Event) {
				if e.Note != "" {
					t.Log(e.Note)
				}
			},
		}
	}
	run := func(c conduct.Config) error {
		p, err := conduct.Prepare(t.Context(), c)
		if err == nil {
			_, err = p.Run(t.Context(), nil)
		}
		return err
	}
	client := store("site").Client()
	other, err := client.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: aws.String("site"), Key: aws.String("left/large")})
	if err != nil {
		t.Fatal(err)
	}
	left := func() (ids []string) {
		out, err := client.ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: aws.String("site"), Prefix: aws.String("left/")})
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range out.Uploads {
			ids = append(ids, *u.UploadId)
		}
		return ids
	}
	large := conduct.Wanted{
		Object: deploy.Object{Key: "left/large", Size: f.Size, Hash: f.Hash, ETag: f.ETag},
		Open:   func() (tree.Content, error) { return open{bytes.NewReader(text)}, nil },
	}
	dying := want(large)
	dying.Bucket = storeBy("site", &mortal{RoundTripper: http.DefaultTransport})
	if err := run(dying); err == nil {
		t.Fatal("the deploy did not die")
	}
	if ids := left(); len(ids) != 2 {
		t.Fatalf("uploads %v: the dead deploy's is not among them", ids)
	}
	small := large
	small.Key, small.Size, small.Open = "left/small", 0, nil
	e := tree.FileOf("", nil)
	small.Hash, small.ETag = e.Hash, e.ETag
	for range 2 { // the second has nothing left to abort
		if err := run(want(small)); err != nil {
			t.Fatal(err)
		}
		if ids := left(); len(ids) != 1 || ids[0] != *other.UploadId {
			t.Errorf("uploads %v are left, and not just %s", ids, *other.UploadId)
		}
	}
	if err := store("site").Abort(t.Context(), "left/large", *other.UploadId); err != nil {
		t.Error(err)
	}
	if err := store("site").Abort(t.Context(), "left/large", *other.UploadId); err != nil {
		t.Errorf("what is gone: %v", err)
	}
}

type open struct{ *bytes.Reader }

func (open) Close() error { return nil }

func upload(key string, text []byte, served deploy.Served) s3store.Upload {
	f := tree.FileOf(key, text)
	return s3store.Upload{Key: key, Content: bytes.NewReader(text), Size: f.Size, SHA256: f.Hash, ETag: f.ETag, Served: served}
}

func TestPutAndHead(t *testing.T) {
	s := store("site")
	served := deploy.Served{
		Type: "text/html; charset=utf-8", CacheControl: "max-age=5", Encoding: "gzip", Disposition: "inline", Language: "en", Redirect: "/x",
		Metadata: map[string]string{"a": "b", "cache-tag": "x,y"},
	}
	for _, key := range []string{"put/a b+é~%20?#.html", "put/empty"} {
		text := []byte("hello")
		if strings.HasSuffix(key, "empty") {
			text = nil
		}
		sent, err := s.Put(t.Context(), upload(key, text, served))
		if err != nil {
			t.Fatal(err)
		}
		if sent.ETag != tree.FileOf("", text).ETag || sent.Size != int64(len(text)) || sent.At.IsZero() {
			t.Errorf("%+v", sent)
		}
		got, err := s.Head(t.Context(), key)
		if err != nil || got == nil || !got.Equal(served) {
			t.Errorf("%s: %+v, %v", key, got, err)
		}
		other := served
		other.CacheControl, other.Metadata = "no-store", nil
		if _, err := s.Copy(t.Context(), key, sent.ETag, key, other); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Head(t.Context(), key); err != nil || !got.Equal(other) {
			t.Errorf("%s copied: %+v, %v", key, got, err)
		}
		if _, err := s.Copy(t.Context(), key, "0123", key+"2", other); err == nil {
			t.Error("something else than was meant is copied")
		}
	}
	if got, err := s.Head(t.Context(), "put/none"); got != nil || err != nil {
		t.Errorf("%+v, %v", got, err)
	}
	if _, ok, err := s.Holds(t.Context(), "put/none"); ok || err != nil {
		t.Errorf("%v, %v", ok, err)
	}
}

// What arrives is what was announced, or nothing.
func TestPutOfWhatHasChanged(t *testing.T) {
	s := store("site")
	u := upload("changed", []byte("what was read"), deploy.Served{})
	u.Content = bytes.NewReader([]byte("what is there"))
	if _, err := s.Put(t.Context(), u); err == nil {
		t.Fatal("it is sent")
	}
	if _, ok, err := s.Holds(t.Context(), "changed"); ok || err != nil {
		t.Errorf("it is there: %v, %v", ok, err)
	}
}

func TestParts(t *testing.T) {
	if testing.Short() {
		t.Skip("70 MB")
	}
	s := store("site")
	text := make([]byte, 70<<20)
	for i := range text {
		text[i] = byte(i>>20 + i)
	}
	u := upload("large", text, deploy.Served{Type: "video/mp4"})
	if !strings.HasSuffix(u.ETag, "-3") {
		t.Fatalf("ETag %s", u.ETag)
	}
	sent, err := s.Put(t.Context(), u)
	if err != nil || sent.ETag != u.ETag {
		t.Fatalf("%+v, %v; want %s", sent, err, u.ETag)
	}
	wrong := u
	wrong.Key, wrong.ETag = "wrong", strings.Repeat("0", 32)+"-3"
	if _, err := s.Put(t.Context(), wrong); err == nil || !strings.Contains(err.Error(), "was changed while it was being sent") {
		t.Errorf("%v", err)
	}
	if _, ok, _ := s.Holds(t.Context(), "wrong"); ok {
		t.Error("what was changed is there")
	}
	if err := s.Delete(t.Context(), []string{"large"}); err != nil {
		t.Error(err)
	}
}

// A listing is the same however it is cut.
func TestList(t *testing.T) {
	s := store("site")
	var keys []string
	for i := range 2100 {
		keys = append(keys, fmt.Sprintf("list/%04d &é", i))
	}
	done := make(chan error, len(keys))
	for _, key := range keys {
		go func() {
			_, err := s.Put(t.Context(), upload(key, []byte("x"), deploy.Served{}))
			done <- err
		}()
	}
	for range keys {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	for name, expected := range map[string][]string{"nothing is expected": nil, "all is": keys, "what is not there": {"list/", "list/5", "list/9"}, "a part": keys[:1200]} {
		l, err := s.List(t.Context(), "list/", expected)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, o := range l.Objects {
			got = append(got, o.Key)
			if o.ETag != "9dd4e461268c8034f5c8564e155c67a6" || o.Size != 1 || o.Modified == 0 {
				t.Fatalf("%+v", o)
			}
		}
		if !slices.Equal(got, keys) {
			t.Errorf("%s: %d of %d keys", name, len(got), len(keys))
		}
	}
	for part := range slices.Chunk(keys, s3store.MostDeleted) {
		if err := s.Delete(t.Context(), part); err != nil {
			t.Fatal(err)
		}
	}
	if l, err := s.List(t.Context(), "list/", nil); err != nil || len(l.Objects) > 0 {
		t.Errorf("%d left, %v", len(l.Objects), err)
	}
	if _, err := store("nowhere").List(t.Context(), "", nil); err == nil || !strings.Contains(err.Error(), "make the bucket first") {
		t.Errorf("%v", err)
	}
}

// The shelf keeps the promises of shelf.Shelf.
func TestShelf(t *testing.T) {
	s := store("site").Shelf(fmt.Sprintf("shelf-%d/", time.Now().UnixNano())) // a new one, however often this runs
	v1, err := s.Put(t.Context(), "a", []byte("one"), shelf.None)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(t.Context(), "a", []byte("one"), shelf.None); !errors.Is(err, shelf.ErrChanged) {
		t.Errorf("again: %v", err)
	}
	v2, err := s.Put(t.Context(), "a", []byte("two"), v1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(t.Context(), "a", []byte("three"), v1); !errors.Is(err, shelf.ErrChanged) {
		t.Errorf("over what is newer: %v", err)
	}
	// An answer that was lost: the same again is no conflict.
	if v, err := s.Put(t.Context(), "a", []byte("two"), v1); err != nil || v != v2 {
		t.Errorf("the same again: %q, %v", v, err)
	}
	if _, err := s.Put(t.Context(), "none", []byte("x"), v1); !errors.Is(err, shelf.ErrChanged) {
		t.Errorf("what is not there: %v", err)
	}
	if d, err := s.Get(t.Context(), "a"); err != nil || string(d.Text) != "two" || d.Version != v2 {
		t.Errorf("%+v, %v", d, err)
	}
	if _, err := shelf.Acquire(t.Context(), s, shelf.Who{Name: "me"}, 60e9); err != nil {
		t.Error(err)
	}
	var held *shelf.Held
	if _, err := shelf.Acquire(t.Context(), s, shelf.Who{Name: "you"}, 60e9); !errors.As(err, &held) {
		t.Errorf("%v", err)
	}
}

func TestETag(t *testing.T) {
	for _, size := range []int64{0, 1, 64 << 20, 64<<20 + 1, 96 << 20} {
		text := make([]byte, size)
		e := tree.NewETag(size)
		for r := bytes.NewReader(text); ; {
			n, err := io.CopyN(e, r, 7<<20)
			if n == 0 || err != nil {
				break
			}
		}
		got := e.String()
		if want := tree.FileOf("", text).ETag; got != want {
			t.Errorf("%d bytes: %s, in one piece %s", size, got, want)
		}
	}
}
