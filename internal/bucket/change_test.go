package bucket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"github.com/freshet/freshet"
	"github.com/versity/versitygw/s3err"
)

func TestChangesDescribeWhatHappened(t *testing.T) {
	var seen changes
	config := testConfig(t.TempDir(), seen.add)
	config.After = "F000000000000000" // far in the future
	b, c := start(t, config)

	put(t, c, "a.css", "one")
	first := seen.take()
	if len(first) != 1 {
		t.Fatalf("got %+v", first)
	}
	got := first[0]
	want := freshet.Change{
		Origin: testBucket, Key: "a.css", Op: freshet.OpPut, Sequencer: got.Sequencer, Cause: "ObjectCreated:Put",
		ETag: "f97c5d29941bfb1b2fdab0874906ab82", Served: got.Served, Size: 3, Time: got.Time,
	}
	if got != want || got.Served == "" || !got.Sequencer.Valid() || len(got.Sequencer) != 16 || got.Sequencer.Compare(config.After) <= 0 {
		t.Errorf("got %+v", got)
	}
	if since := time.Since(got.Time); since < 0 || since > time.Minute || got.Time.Location() != time.UTC {
		t.Errorf("time %v", got.Time)
	}
	if o, ok := b.Stat("a.css"); !ok || o != (Object{"a.css", want.ETag, want.Served, 3, want.Time}) {
		t.Errorf("stat gives %+v", o)
	}

	put(t, c, "a.css", "one", func(in *s3.PutObjectInput) { in.CacheControl = aws.String("max-age=1") })
	second := seen.take()[0]
	if second.ETag != got.ETag || second.Served == got.Served || second.Sequencer.Compare(got.Sequencer) <= 0 {
		t.Errorf("a new header gave %+v after %+v", second, got)
	}

	if _, err := c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String(testBucket), Key: aws.String("a.css")}); err != nil {
		t.Fatal(err)
	}
	gone := seen.take()[0]
	if gone.Op != freshet.OpDelete || gone.Key != "a.css" || gone.Cause != "ObjectRemoved:Delete" || gone.ETag != "" || gone.Size != 0 || gone.Sequencer.Compare(second.Sequencer) <= 0 {
		t.Errorf("delete gave %+v", gone)
	}
	if _, err := c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String(testBucket), Key: aws.String("a.css")}); err != nil {
		t.Errorf("deleting what is not there: %v", err)
	}
	if again := seen.take(); len(again) != 0 {
		t.Errorf("deleting nothing was announced: %+v", again)
	}
}

func TestCopyOntoItselfChangesHeaders(t *testing.T) {
	var seen changes
	b, c := start(t, testConfig(t.TempDir(), seen.add))
	put(t, c, "a", "body", func(in *s3.PutObjectInput) {
		in.CacheControl, in.ContentType, in.Metadata, in.Tagging = aws.String("max-age=9"), aws.String("text/x"), map[string]string{"v": "1"}, aws.String("k=v+w")
	})
	before, _ := b.Stat("a")
	seen.take()
	_, err := c.CopyObject(t.Context(), &s3.CopyObjectInput{
		Bucket: aws.String(testBucket), Key: aws.String("a"), CopySource: aws.String(testBucket + "/a"),
		MetadataDirective: types.MetadataDirectiveReplace, ContentType: aws.String("text/y"),
	})
	if err != nil {
		t.Fatal(err)
	}
	change := seen.take()
	if len(change) != 1 || change[0].Cause != "ObjectCreated:Copy" || change[0].ETag != before.ETag || change[0].Served == before.Served {
		t.Errorf("got %+v", change)
	}
	head, err := c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String(testBucket), Key: aws.String("a")})
	if err != nil {
		t.Fatal(err)
	}
	if aws.ToString(head.ContentType) != "text/y" || head.CacheControl != nil || len(head.Metadata) != 0 {
		t.Errorf("REPLACE left %q, %q, %v", *head.ContentType, aws.ToString(head.CacheControl), head.Metadata)
	}
	tags, err := c.GetObjectTagging(t.Context(), &s3.GetObjectTaggingInput{Bucket: aws.String(testBucket), Key: aws.String("a")})
	if err != nil || len(tags.TagSet) != 1 || *tags.TagSet[0].Value != "v w" {
		t.Errorf("tags %+v, %v", tags, err)
	}
	_, err = c.CopyObject(t.Context(), &s3.CopyObjectInput{
		Bucket: aws.String(testBucket), Key: aws.String("a"), CopySource: aws.String(testBucket + "/a"),
	})
	wantCode(t, err, "InvalidRequest")
	_, err = c.CopyObject(t.Context(), &s3.CopyObjectInput{
		Bucket: aws.String(testBucket), Key: aws.String("b"), CopySource: aws.String(testBucket + "/none"),
	})
	wantCode(t, err, "NoSuchKey")
	_, err = c.CopyObject(t.Context(), &s3.CopyObjectInput{
		Bucket: aws.String(testBucket), Key: aws.String("b"), CopySource: aws.String("elsewhere/a"),
	})
	wantCode(t, err, "NoSuchBucket")
	_, err = c.CopyObject(t.Context(), &s3.CopyObjectInput{
		Bucket: aws.String(testBucket), Key: aws.String("b"), CopySource: aws.String(testBucket + "/a"), CopySourceIfMatch: aws.String(`"other"`),
	})
	wantCode(t, err, "PreconditionFailed")
	if more := seen.take(); len(more) != 0 {
		t.Errorf("failed copies were announced: %+v", more)
	}
}

// What is announced last for a key must be what is there, however requests race.
func TestPromiseLastChangeIsTheTruth(t *testing.T) {
	var seen changes
	b, c := start(t, testConfig(t.TempDir(), seen.add))
	var group sync.WaitGroup
	for worker := range 8 {
		group.Go(func() {
			for i := range 25 {
				if (worker+i)%4 == 3 {
					if _, err := c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String(testBucket), Key: aws.String("k")}); err != nil {
						t.Error(err)
					}
					continue
				}
				put(t, c, "k", fmt.Sprint(worker, "-", i))
			}
		})
	}
	group.Wait()
	history := seen.take()
	last, _ := freshet.Latest(history)
	o, exists := b.Stat("k")
	if exists != (last[0].Op == freshet.OpPut) || exists && o.ETag != last[0].ETag {
		t.Errorf("last change %+v, but there is %+v, %v", last[0], o, exists)
	}
	if last[0] != history[len(history)-1] {
		t.Error("the changes came out of order")
	}
	on, there, err := b.store.read("k")
	if err != nil || there != exists || exists && on != o {
		t.Errorf("index %+v, store %+v", o, on)
	}
	for i := range history[1:] {
		if history[i].Sequencer.Compare(history[i+1].Sequencer) >= 0 {
			t.Errorf("sequencers %s, %s", history[i].Sequencer, history[i+1].Sequencer)
		}
	}
}

func TestUnqueuedChangeIsOwed(t *testing.T) {
	var seen changes
	b, c := start(t, testConfig(t.TempDir(), seen.add))
	put(t, c, "k", "old")
	seen.take()
	broken := errors.New("the queue is full")

	remove := func() error {
		_, err := c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String(testBucket), Key: aws.String("k")})
		return err
	}
	seen.failWith(broken)
	err := remove()
	wantCode(t, err, "InternalError")
	if !strings.Contains(err.Error(), "could not be queued: the queue is full") {
		t.Errorf("got %v", err)
	}
	if _, exists := b.Stat("k"); exists {
		t.Error("the object should be gone")
	}
	seen.failWith(nil)
	if err := remove(); err != nil { // finds nothing to delete, but owes a change
		t.Error(err)
	}
	if got := seen.take(); len(got) != 1 || got[0].Op != freshet.OpDelete {
		t.Errorf("got %+v", got)
	}

	onlyNew := func() error {
		_, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(testBucket), Key: aws.String("k"), Body: strings.NewReader("new"), IfNoneMatch: aws.String("*")})
		return err
	}
	seen.failWith(broken)
	wantCode(t, onlyNew(), "InternalError")
	seen.failWith(nil)
	wantCode(t, onlyNew(), "PreconditionFailed")
	if got := seen.take(); len(got) != 1 || got[0].Op != freshet.OpPut {
		t.Errorf("got %+v", got)
	}
	if err := remove(); err != nil {
		t.Error(err)
	}
	if got := seen.take(); len(got) != 1 {
		t.Errorf("a paid debt was paid again: %+v", got)
	}
	out, err := c.DeleteObjects(t.Context(), &s3.DeleteObjectsInput{Bucket: aws.String(testBucket), Delete: &types.Delete{
		Objects: []types.ObjectIdentifier{{Key: aws.String("k")}, {Key: aws.String(strings.Repeat("x", 1025))}},
	}})
	if err != nil || len(out.Deleted) != 1 || len(out.Errors) != 1 || *out.Errors[0].Code != "KeyTooLongError" || len(*out.Errors[0].Key) != 1025 {
		t.Errorf("got %+v, %v", out, err)
	}
}

// An overtaking request must wait with its announcement until the first one's is
// out.
func TestAnnouncementsDoNotOvertake(t *testing.T) {
	var seen changes
	entered, release := make(chan struct{}), make(chan struct{})
	var calls atomic.Int32
	b, c := start(t, testConfig(t.TempDir(), func(ctx context.Context, change freshet.Change) error {
		if calls.Add(1) == 1 {
			close(entered)
			<-release
		}
		return seen.add(ctx, change)
	}))
	var group sync.WaitGroup
	group.Go(func() { put(t, c, "k", "one") })
	<-entered
	group.Go(func() { put(t, c, "k", "second") })
	eventually(t, "the second object is in place", func() bool {
		o, exists, err := b.store.read("k")
		return err == nil && exists && o.Size == 6
	})
	close(release)
	group.Wait()
	if got := seen.take(); len(got) != 2 || got[0].Size != 3 || got[1].Size != 6 {
		t.Errorf("got %+v", got)
	}
}

// A client that hangs up half-way leaves the object as it was.
func TestHalfAnUploadChangesNothing(t *testing.T) {
	var seen changes
	b, c := start(t, testConfig(t.TempDir(), seen.add))
	put(t, c, "k", "old")
	seen.take()
	up, err := c.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: aws.String(testBucket), Key: aws.String("k")})
	if err != nil {
		t.Fatal(err)
	}
	signer := s3.NewPresignClient(c)
	object, err := signer.PresignPutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(testBucket), Key: aws.String("k")})
	if err != nil {
		t.Fatal(err)
	}
	part, err := signer.PresignUploadPart(t.Context(), &s3.UploadPartInput{Bucket: aws.String(testBucket), Key: aws.String("k"), UploadId: up.UploadId, PartNumber: aws.Int32(1)})
	if err != nil {
		t.Fatal(err)
	}
	for _, url := range []string{object.URL, part.URL} {
		for _, sent := range []int{1, 1 << 20} {
			conn, err := net.Dial("tcp", b.Addr())
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(conn, "PUT %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n%s",
				strings.TrimPrefix(url, b.URL()), b.Addr(), 2<<20, strings.Repeat("x", sent))
			_ = conn.(*net.TCPConn).CloseWrite()
			answer, _ := io.ReadAll(conn)
			conn.Close()
			if strings.Contains(string(answer), " 200 ") || sent > 1 && !strings.Contains(string(answer), "IncompleteBody") {
				t.Errorf("%d bytes of it gave\n%s", sent, answer)
			}
		}
	}
	if got := get(t, c, "k"); got != "old" || len(seen.take()) != 0 {
		t.Errorf("there is %d bytes", len(got))
	}
	parts, err := c.ListParts(t.Context(), &s3.ListPartsInput{Bucket: aws.String(testBucket), Key: aws.String("k"), UploadId: up.UploadId})
	if err != nil || len(parts.Parts) != 0 {
		t.Errorf("half a part was kept: %+v, %v", parts, err)
	}
}

func TestPinnedLooksAgain(t *testing.T) {
	b, c := start(t, testConfig(t.TempDir(), nil))
	put(t, c, "k", "one")
	looked, discarded := 0, 0
	err := b.store.pinned(fileName("k"), func() error {
		if looked++; looked == 1 {
			put(t, c, "k", "two")
		}
		return nil
	}, func() { discarded++ })
	if err != nil || looked != 2 || discarded != 1 {
		t.Errorf("looked %d times, discarded %d, %v", looked, discarded, err)
	}
	err = b.store.pinned(fileName("k"), func() error { put(t, c, "k", "again"); return nil }, func() {})
	wantCode(t, asClientError(err), "SlowDown")
	none := errors.New("none")
	if err := b.store.pinned("missing", func() error { return none }, func() {}); !errors.Is(err, none) {
		t.Errorf("got %v", err)
	}
}

func asClientError(err error) error {
	var known s3err.S3Error
	if !errors.As(err, &known) {
		return err
	}
	return &smithy.GenericAPIError{Code: known.BaseError().Code}
}

// TestChangesTellOfCacheTags, of those headers that are asked for when the change
// is announced.
func TestChangesTellOfCacheTags(t *testing.T) {
	var seen changes
	headers := []string{"x-amz-meta-cache-tag"}
	config := testConfig(t.TempDir(), seen.add)
	config.TagHeaders = func() []string { return headers }
	_, c := start(t, config)
	tagged := func(value string) func(*s3.PutObjectInput) {
		return func(in *s3.PutObjectInput) {
			in.Metadata = map[string]string{"cache-tag": value, "surrogate-key": "s", "author": "x"}
		}
	}
	tags := func(want string) {
		t.Helper()
		if got := seen.take(); len(got) != 1 || got[0].Tags != want {
			t.Errorf("%+v, want the tags %q", got, want)
		}
	}
	put(t, c, "a", "1")
	tags("")
	put(t, c, "a", "1", tagged("News, home"))
	tags("x-amz-meta-cache-tag:News, home\n")
	headers = []string{"X-Amz-Meta-Surrogate-Key", "cache-tag"}
	put(t, c, "a", "1", tagged("home"))
	tags("x-amz-meta-surrogate-key:s\n")
	headers = nil
	put(t, c, "a", "1", tagged("home"))
	tags("")
}

// TestVersionsOfARaceHaveNoTags: one of them may have been there for a moment
// without anybody being told.
func TestVersionsOfARaceHaveNoTags(t *testing.T) {
	var seen changes
	config := testConfig(t.TempDir(), seen.add)
	config.TagHeaders = func() []string { return []string{"x-amz-meta-cache-tag"} }
	b, c := start(t, config)
	a := &b.store.announcer
	tagged := func(in *s3.PutObjectInput) { in.Metadata = map[string]string{"cache-tag": "t"} }
	last := func(what string, want bool) {
		t.Helper()
		if got := seen.take(); len(got) != 1 || (got[0].Tags != "") != want {
			t.Errorf("%s: %+v", what, got)
		}
	}
	a.enter("k") // another request is at it
	put(t, c, "k", "1", tagged)
	last("beside another", false)
	put(t, c, "other", "1", tagged)
	last("another key", true)
	a.leave("k")
	put(t, c, "k", "2", tagged)
	last("alone again", true)
	if len(a.writing) != 0 {
		t.Errorf("%d keys are being written", len(a.writing))
	}
	if _, err := c.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: aws.String(testBucket), Key: aws.String("copy"), CopySource: aws.String(testBucket + "/k")}); err != nil {
		t.Fatal(err)
	}
	last("a copy", true)
	if _, err := c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String(testBucket), Key: aws.String("k")}); err != nil {
		t.Fatal(err)
	}
	last("what is gone", false)
	if len(a.writing) != 0 {
		t.Errorf("%d keys are being written", len(a.writing))
	}
}
