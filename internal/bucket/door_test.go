package bucket

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/freshet/freshet"
	"go.uber.org/goleak"
)

func TestOnlySignedRequestsGetIn(t *testing.T) {
	b, c := start(t, testConfig(t.TempDir(), nil))
	put(t, c, "k", "x")
	answer, err := http.Get(b.URL() + "/" + testBucket + "/k")
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != 403 {
		t.Errorf("an unsigned GET gave %s", answer.Status)
	}
	wrong := client(t, b.URL())
	_, err = wrong.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(testBucket), Key: aws.String("k")}, func(o *s3.Options) {
		o.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: testKey, SecretAccessKey: "wrong"}, nil
		})
	})
	wantCode(t, err, "SignatureDoesNotMatch")

	signed, err := s3.NewPresignClient(c).PresignGetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(testBucket), Key: aws.String("k")})
	if err != nil {
		t.Fatal(err)
	}
	answer, err = http.Get(signed.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if body, _ := io.ReadAll(answer.Body); answer.StatusCode != 200 || string(body) != "x" {
		t.Errorf("a presigned GET gave %s", answer.Status)
	}
}

func TestThereIsOneBucket(t *testing.T) {
	_, c := start(t, testConfig(t.TempDir(), nil))
	ctx := t.Context()
	buckets, err := c.ListBuckets(ctx, &s3.ListBucketsInput{})
	if err != nil || len(buckets.Buckets) != 1 || *buckets.Buckets[0].Name != testBucket {
		t.Errorf("got %+v, %v", buckets, err)
	}
	if _, err := c.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: aws.String(testBucket)}); err != nil {
		t.Error(err)
	}
	_, err = c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String("second")})
	wantCode(t, err, "TooManyBuckets")
	_, err = c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String(testBucket)})
	wantCode(t, err, "BucketAlreadyOwnedByYou")
	_, err = c.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: aws.String(testBucket)})
	wantCode(t, err, "MethodNotAllowed")
	_, err = c.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String("second"), Key: aws.String("k"), Body: strings.NewReader("x")})
	wantCode(t, err, "NoSuchBucket")
	_, err = c.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{Bucket: aws.String(testBucket), VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled}})
	wantCode(t, err, "NotImplemented")
	if v, err := c.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: aws.String(testBucket)}); err != nil || v.Status != "" {
		t.Errorf("got %+v, %v", v, err)
	}
}

func TestBucketSettings(t *testing.T) {
	dir := t.TempDir()
	b, c := start(t, testConfig(dir, nil))
	ctx := t.Context()
	put(t, c, "open/k", "x")
	policy := `{"Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::site/open/*"}]}`
	if _, err := c.PutBucketPolicy(ctx, &s3.PutBucketPolicyInput{Bucket: aws.String(testBucket), Policy: &policy}); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b, c = start(t, testConfig(dir, nil))
	answer, err := http.Get(b.URL() + "/" + testBucket + "/open/k")
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != 200 {
		t.Errorf("a GET that the policy allows gave %s", answer.Status)
	}
	if _, err := c.DeleteBucketPolicy(ctx, &s3.DeleteBucketPolicyInput{Bucket: aws.String(testBucket)}); err != nil {
		t.Error(err)
	}
	_, err = c.PutBucketCors(ctx, &s3.PutBucketCorsInput{Bucket: aws.String(testBucket), CORSConfiguration: &types.CORSConfiguration{
		CORSRules: []types.CORSRule{{AllowedMethods: []string{"GET"}, AllowedOrigins: []string{"*"}}},
	}})
	if err != nil {
		t.Error(err)
	}
	if cors, err := c.GetBucketCors(ctx, &s3.GetBucketCorsInput{Bucket: aws.String(testBucket)}); err != nil || len(cors.CORSRules) != 1 {
		t.Errorf("got %+v, %v", cors, err)
	}
}

// Paths reach the store as they were written: nothing on the way cleans them.
func TestRawPaths(t *testing.T) {
	b, c := start(t, testConfig(t.TempDir(), nil))
	policy := `{"Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::site/*"}]}`
	if _, err := c.PutBucketPolicy(t.Context(), &s3.PutBucketPolicyInput{Bucket: aws.String(testBucket), Policy: &policy}); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"y", "x/../y", "a/b", "a//b", "d/", "d", "./d", "%2e", "a b", "a+b", "/k"} {
		put(t, c, key, key)
	}
	for path, want := range map[string]string{
		"/site/y":                "y",
		"/site/x/../y":           "x/../y",
		"/site/x/%2e%2e/y":       "x/../y",
		"/site/a//b":             "a//b",
		"/site/a%2F%2Fb":         "a//b",
		"/site/a/b":              "a/b",
		"/site/d/":               "d/",
		"/site/d":                "d",
		"/site/./d":              "./d",
		"/site/%252e":            "%2e",
		"/site/a%20b":            "a b",
		"/site/a+b":              "a+b",
		"/site//k":               "/k",
		"http://other/site/a//b": "a//b",
		"/site/%zz":              "<Code>InvalidURI</Code>",
		"/site/../y":             "<Code>InvalidURI</Code>",
		"/site/..":               "<Code>InvalidURI</Code>",
		"/site//":                "<Code>InvalidURI</Code>",
		"/site/none":             "<Code>NoSuchKey</Code>",
	} {
		if got := rawGet(t, b.Addr(), path); !strings.Contains(got, want) || !strings.Contains(want, "<") && !strings.HasSuffix(got, "\r\n\r\n"+want) {
			t.Errorf("GET %s gave\n%s\nwant %q", path, got, want)
		}
	}
}

func rawGet(t *testing.T, addr, path string) string {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path)
	answer, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	return string(answer)
}

// Nothing may be printed by versitygw, whatever is thrown at it.
func TestNothingIsPrinted(t *testing.T) {
	printed := capture(t, func() {
		b, c := start(t, testConfig(t.TempDir(), func(context.Context, freshet.Change) error { return errors.New("no") }))
		for _, request := range []string{
			"GARBAGE\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "GET /site/%zz HTTP/1.1\r\nHost: x\r\n\r\n",
			"BREW /site/k HTTP/1.1\r\nHost: x\r\n\r\n", "GET /site HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("y", 20000) + "\r\n\r\n",
			"PUT /site/k HTTP/1.1\r\nHost: x\r\nContent-Length: nine\r\n\r\n", "PUT /site/k HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n1",
			"PATCH /create-user HTTP/1.1\r\nHost: x\r\n\r\n", "POST /site HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 3\r\n\r\n--b",
			"PUT /site/k HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "\x16\x03\x01\x02\x00\x01\x00",
		} {
			conn, err := net.Dial("tcp", b.Addr())
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprint(conn, request)
			_ = conn.(*net.TCPConn).CloseWrite()
			_, _ = io.Copy(io.Discard, conn)
			conn.Close()
		}
		_, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(testBucket), Key: aws.String("k"), Body: strings.NewReader("x")})
		wantCode(t, err, "InternalError")
		if err := os.Chmod(filepath.Join(b.config.Dir, testBucket), 0); err != nil {
			t.Fatal(err)
		}
		_, _ = c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(testBucket), Key: aws.String("k")})
		_ = os.Chmod(filepath.Join(b.config.Dir, testBucket), 0o700)
		_ = b.Close()
	})
	if printed != "" {
		t.Errorf("printed:\n%s", printed)
	}
}

// capture returns what f has written to the process's standard streams.
func capture(t *testing.T, f func()) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, stderr := os.Stdout, os.Stderr
	os.Stdout, os.Stderr = w, w
	text := make(chan string)
	go func() {
		data, _ := io.ReadAll(r)
		text <- string(data)
	}()
	func() {
		defer func() { os.Stdout, os.Stderr = stdout, stderr }()
		f()
	}()
	w.Close()
	return <-text
}

func TestTakenAddress(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	config := testConfig(t.TempDir(), nil)
	config.Addr = l.Addr().String()
	b, err := Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	err = b.Start()
	if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), config.Addr) {
		t.Errorf("got %v", err)
	}
	if b.Addr() != "" || b.URL() != "" {
		t.Errorf("listens on %q", b.Addr())
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	b, err := Open(t.Context(), testConfig(dir, nil))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if _, err := Open(t.Context(), testConfig(dir, nil)); err == nil || !strings.Contains(err.Error(), "open already") {
		t.Errorf("a second opening gave %v", err)
	}
	bad := testConfig(t.TempDir(), nil)
	bad.Bucket = "Not/A/Name"
	if _, err := Open(t.Context(), bad); err == nil {
		t.Error("a bad bucket name was taken")
	}
	bad = testConfig(t.TempDir(), nil)
	bad.After = "xyz"
	if _, err := Open(t.Context(), bad); err == nil {
		t.Error("a bad sequencer was taken")
	}
	bad = testConfig("/proc/self", nil)
	if _, err := Open(t.Context(), bad); err == nil {
		t.Error("a directory that cannot be written was taken")
	}
}

func TestOpenLeavesTheWorkingDirectory(t *testing.T) {
	before, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	_, c := start(t, testConfig(dir, nil))
	if after, _ := os.Getwd(); after != before {
		t.Errorf("now in %s", after)
	}
	t.Chdir(t.TempDir())
	put(t, c, "k", "x")
	if _, err := os.Stat(filepath.Join(dir, testBucket, "k")); err != nil {
		t.Error(err)
	}
}

// Close lets a running request end if it does so soon, and cuts it off if not.
func TestClose(t *testing.T) {
	ignore := goleak.IgnoreCurrent()
	sleeper := goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2") // ends within ten seconds
	for name, stuck := range map[string]bool{"ends by itself": false, "is cut off": true} {
		t.Run(name, func(t *testing.T) {
			inside := make(chan struct{})
			config := testConfig(t.TempDir(), func(ctx context.Context, _ freshet.Change) error {
				close(inside)
				if !stuck {
					return nil
				}
				<-ctx.Done()
				return ctx.Err()
			})
			b, err := Open(t.Context(), config)
			if err != nil {
				t.Fatal(err)
			}
			if err := b.Start(); err != nil {
				t.Fatal(err)
			}
			c := client(t, b.URL())
			var group sync.WaitGroup
			group.Go(func() {
				_, err = c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(testBucket), Key: aws.String("k"), Body: strings.NewReader("x")})
			})
			<-inside
			began := time.Now()
			if err := b.Close(); err != nil {
				t.Error(err)
			}
			t.Logf("closed within %v", time.Since(began))
			group.Wait()
			if stuck != (err != nil) {
				t.Errorf("the client got %v", err)
			}
			if err := b.Close(); err != nil {
				t.Errorf("a second Close gave %v", err)
			}
			if _, err := net.Dial("tcp", strings.TrimPrefix(b.URL(), "http://")); err == nil {
				t.Error("still listening")
			}
		})
	}
	goleak.VerifyNone(t, ignore, sleeper)
}

// A reader that does not read must not hold Close up either.
func TestCloseCutsOffSlowReaders(t *testing.T) {
	b, c := start(t, testConfig(t.TempDir(), nil))
	put(t, c, "big", strings.Repeat("x", 32<<20))
	signed, err := s3.NewPresignClient(c).PresignGetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(testBucket), Key: aws.String("big")})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", b.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", strings.TrimPrefix(signed.URL, b.URL()), b.Addr())
	if line, err := bufio.NewReaderSize(conn, 16).ReadSlice('\n'); err != nil && !errors.Is(err, bufio.ErrBufferFull) || !bytes.HasPrefix(line, []byte("HTTP/1.1 200")) {
		t.Fatalf("got %q, %v", line, err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}

// A server that is closed right after it was started may not have begun to serve.
func TestCloseBeforeTheServerHasBegun(t *testing.T) {
	for range 20 {
		b, err := Open(t.Context(), testConfig(t.TempDir(), func(context.Context, freshet.Change) error { return nil }))
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Start(); err != nil {
			t.Fatal(err)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestConnectionsInReserve: a connection that nobody has used is closed without
// a word, which a client might take for the answer to its next request. One with
// half a request is told.
func TestConnectionsInReserve(t *testing.T) {
	config := testConfig(t.TempDir(), nil)
	config.headWithin = 50 * time.Millisecond
	b, _ := start(t, config)
	said := func(sent string) string {
		t.Helper()
		conn, err := net.Dial("tcp", b.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(time.Minute))
		_, _ = io.WriteString(conn, sent)
		answer, err := io.ReadAll(conn)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("it may stay after %q", sent)
		}
		line, _, _ := strings.Cut(string(answer), "\r\n")
		return line
	}
	if line := said(""); line != "" {
		t.Errorf("a connection in reserve was told %q", line)
	}
	line := ""
	for end := time.Now().Add(time.Minute); line == "" && time.Now().Before(end); { // its time may be over before the half arrives
		line = said("GET / HT")
	}
	if line != "HTTP/1.1 400 Bad Request" {
		t.Errorf("half a request was told %q", line)
	}
}
