package bucket

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/freshet/freshet"
)

// serveForTest is the whole of a child process: a store in dir that says where
// it listens and serves until it is killed.
func serveForTest(dir string) {
	b, err := Open(context.Background(), testConfig(dir, nil))
	if err == nil {
		err = b.Start()
	}
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	fmt.Println(b.URL())
	select {}
}

func child(t *testing.T, dir string) (*exec.Cmd, string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "BUCKET_TEST_SERVE="+dir)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	var url string
	if _, err := fmt.Fscanln(stdout, &url); err != nil || !strings.HasPrefix(url, "http") {
		t.Fatalf("the child said %q, %v", url, err)
	}
	return cmd, url
}

// kill -9 in the midst of writing leaves every object whole: old or new, never
// half, and never with the ETag or headers of another.
func TestPromiseNothingHalf(t *testing.T) {
	dir := t.TempDir()
	for round := range 4 {
		cmd, url := child(t, dir)
		c := client(t, url)
		var done atomic.Int64
		var group sync.WaitGroup
		for worker := range 6 {
			group.Go(func() { writeUntilKilled(t.Context(), c, worker, &done) })
		}
		eventually(t, "some puts", func() bool { return done.Load() > int64(40+17*round) })
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		group.Wait()
		checkWhole(t, dir)
	}
}

func writeUntilKilled(ctx context.Context, c *s3.Client, worker int, done *atomic.Int64) {
	random := rand.New(rand.NewPCG(uint64(worker), 1))
	for {
		key := fmt.Sprintf("dir/%d", random.IntN(10))
		if random.IntN(4) == 0 {
			key = strings.Repeat("long", 100) + key
		}
		body := bytes.Repeat([]byte{byte('a' + random.IntN(26))}, random.IntN(2<<20))
		sum := md5.Sum(body)
		_, err := c.PutObject(ctx, &s3.PutObjectInput{
			Bucket: aws.String(testBucket), Key: &key, Body: bytes.NewReader(body),
			Metadata: map[string]string{"md5": hex.EncodeToString(sum[:])},
		})
		if err != nil {
			return // killed
		}
		done.Add(1)
	}
}

func checkWhole(t *testing.T, dir string) {
	t.Helper()
	b, c := start(t, testConfig(dir, nil))
	for o := range b.Objects() {
		out, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(testBucket), Key: &o.Key})
		if err != nil {
			t.Fatal(err)
		}
		h := md5.New()
		n, err := io.Copy(h, out.Body)
		out.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		sum := hex.EncodeToString(h.Sum(nil))
		if n != o.Size || sum != o.ETag || out.Metadata["md5"] != sum || strings.Trim(*out.ETag, `"`) != sum {
			t.Errorf("%.30q: %d bytes with MD5 %s, but %+v and %v", o.Key, n, sum, o, out.Metadata)
		}
	}
	if b.Len() == 0 {
		t.Error("nothing was stored")
	}
	if left := temporary(t, dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
}

// temporary finds files in the store that are no objects.
func temporary(t *testing.T, dir string) (left []string) {
	t.Helper()
	root := filepath.Join(dir, testBucket)
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		if _, ok := keyOf(rel); !ok {
			left = append(left, rel)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return left
}

func TestOpenClearsUp(t *testing.T) {
	dir := t.TempDir()
	b, c := start(t, testConfig(dir, nil))
	put(t, c, "k", "x")
	up, err := c.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: aws.String(testBucket), Key: aws.String("Big/One"), CacheControl: aws.String("max-age=5")})
	if err != nil {
		t.Fatal(err)
	}
	part, err := c.UploadPart(t.Context(), &s3.UploadPartInput{Bucket: aws.String(testBucket), Key: aws.String("Big/One"), UploadId: up.UploadId, PartNumber: aws.Int32(1), Body: strings.NewReader("part")})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(dir, testBucket)
	for _, name := range []string{".k.sgwtmp.123", ".sgwtmp/abc.tmp", "Stranger", "%zz"} {
		if err := os.WriteFile(filepath.Join(root, name), []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	uploads, _ := filepath.Glob(root + "/.sgwtmp/multipart/*/" + *up.UploadId)
	if len(uploads) != 1 {
		t.Fatalf("found %v", uploads)
	}
	if err := os.Rename(uploads[0], uploads[0]+".abc-1.inprogress"); err != nil { // as a kill during completion leaves it
		t.Fatal(err)
	}

	_, c = start(t, testConfig(dir, nil))
	if got := listed(t, c); len(got) != 1 || got[0] != "k" {
		t.Errorf("listed %q", got)
	}
	for name, want := range map[string]bool{".k.sgwtmp.123": false, ".sgwtmp/abc.tmp": false, "Stranger": true, "%zz": true} {
		if _, err := os.Stat(filepath.Join(root, name)); (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	list, err := c.ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: aws.String(testBucket), Prefix: aws.String("Big/")})
	if err != nil || len(list.Uploads) != 1 || *list.Uploads[0].Key != "Big/One" || *list.Uploads[0].UploadId != *up.UploadId {
		t.Errorf("uploads %+v, %v", list, err)
	}
	_, err = c.CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{
		Bucket: aws.String(testBucket), Key: aws.String("Big/One"), UploadId: up.UploadId,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: []types.CompletedPart{{ETag: part.ETag, PartNumber: aws.Int32(1)}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := get(t, c, "Big/One"); got != "part" {
		t.Errorf("got %q", got)
	}
}

// A reader sees one object: never the ETag of one with the bytes of another.
func TestReadsAreOfOneObject(t *testing.T) {
	_, c := start(t, testConfig(t.TempDir(), nil))
	put(t, c, "k", "0")
	stop := make(chan struct{})
	var group sync.WaitGroup
	for worker := range 2 {
		group.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
					put(t, c, "k", strings.Repeat(fmt.Sprint(worker, i), 1+i%7))
				}
			}
		})
	}
	for range 400 {
		out, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(testBucket), Key: aws.String("k")})
		if err != nil {
			t.Error(err)
			break
		}
		body, err := io.ReadAll(out.Body)
		out.Body.Close()
		if sum := md5.Sum(body); err != nil || strings.Trim(*out.ETag, `"`) != hex.EncodeToString(sum[:]) {
			t.Errorf("%q came with ETag %s, %v", body, *out.ETag, err)
			break
		}
	}
	close(stop)
	group.Wait()
}

func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount a small file system")
	}
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("cannot mount: %s", out)
	}
	t.Cleanup(func() { _ = exec.Command("umount", dir).Run() })
	var seen changes
	b, err := Open(t.Context(), testConfig(dir, seen.add))
	if errors.Is(err, errNoAttributes) {
		t.Skip("tmpfs has no extended attributes here")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() }) // before umount
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
	c := client(t, b.URL())
	put(t, c, "k", "old")
	seen.take()
	_, err = c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(testBucket), Key: aws.String("k"), Body: bytes.NewReader(make([]byte, 8<<20))})
	wantCode(t, err, "InsufficientStorage")
	if got := get(t, c, "k"); got != "old" || len(seen.take()) != 0 {
		t.Errorf("now there is %d bytes", len(got))
	}
	put(t, c, "k", "small")
	if got := seen.take(); len(got) != 1 || got[0].Size != 5 {
		t.Errorf("got %+v", got)
	}
}

// The index of 20,000 objects must not make anybody wait.
func BenchmarkOpen20000(b *testing.B) {
	dir := b.TempDir()
	store, err := Open(b.Context(), testConfig(dir, nil))
	if err != nil {
		b.Fatal(err)
	}
	if err := store.Start(); err != nil {
		b.Fatal(err)
	}
	c := client(b, store.URL())
	var group sync.WaitGroup
	for worker := range 8 {
		group.Go(func() {
			for i := range 2500 {
				put(b, c, fmt.Sprintf("blog/%d/%d/index.html", worker, i), "x", func(in *s3.PutObjectInput) {
					in.ContentType, in.CacheControl = aws.String("text/html"), aws.String("max-age=60")
				})
			}
		})
	}
	group.Wait()
	for b.Loop() {
		if err := store.Close(); err != nil {
			b.Fatal(err)
		}
		if store, err = Open(b.Context(), testConfig(dir, nil)); err != nil {
			b.Fatal(err)
		}
	}
	if store.Len() != 20000 {
		b.Errorf("found %d", store.Len())
	}
	_ = store.Close()
}

func BenchmarkPut(b *testing.B) {
	_, c := start(b, testConfig(b.TempDir(), func(context.Context, freshet.Change) error { return nil }))
	for b.Loop() {
		put(b, c, "k", "x")
	}
}
