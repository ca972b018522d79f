package e2e_test

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/freshet/freshet/internal/cdn/cdntest"
)

// patience is how long a test waits for what should take milliseconds, and takes
// a minute where the machine has other things to do.
const patience = 3 * time.Minute

// options is how a freshet is started. The zero value is a new one on free
// ports.
type options struct {
	data   string   // data directory; a new one when empty
	like   *running // on whose ports; free ones when nil
	args   []string
	config string // text of freshet.yaml

	program string // another than the usual one
}

// running is a freshet process started by a test.
type running struct {
	endpoints
	data    string
	command *exec.Cmd
	log     *records
	stderr  *safeBuffer
	exited  chan struct{} // closed when the process has ended
	err     error         // how; to be read after exited
}

// endpoints is the first line of freshet up --json.
type endpoints struct {
	S3           string `json:"s3"`
	Edge         string `json:"edge"`
	EdgeTLS      string `json:"edge_tls"`
	Pprof        string `json:"pprof"`
	API          string `json:"api"`
	Metrics      string `json:"metrics"`
	Hooks        string `json:"hooks"`
	AccessKey    string `json:"access_key"`
	SecretKey    string `json:"secret_key"`
	Region       string `json:"region"`
	Bucket       string `json:"bucket"`
	Distribution string `json:"distribution"`
}

// start runs freshet up and returns when it is up. It is stopped with the test.
func start(t testing.TB, o options) *running {
	t.Helper()
	f, lines := spawn(t, o)
	if !lines.Scan() {
		<-f.exited
		t.Fatalf("freshet did not start: %v\n%s", f.err, f.stderr.String())
	}
	f.announced(t, lines)
	return f
}

// announced reads the first line and has the others read.
func (f *running) announced(t testing.TB, lines *bufio.Scanner) {
	t.Helper()
	if err := json.Unmarshal(lines.Bytes(), &f.endpoints); err != nil {
		t.Fatalf("first line %q: %v", lines.Text(), err)
	}
	go f.log.read(lines)
}

// spawn begins to run freshet up. It is ended with the test, if it has not
// before.
func spawn(t testing.TB, o options) (*running, *bufio.Scanner) {
	t.Helper()
	f := &running{data: o.data, log: newRecords(), stderr: &safeBuffer{}, exited: make(chan struct{})}
	wd := t.TempDir()
	if f.data == "" {
		f.data = filepath.Join(wd, "data")
	}
	if o.config != "" {
		if err := os.WriteFile(filepath.Join(wd, "freshet.yaml"), []byte(o.config), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s3, edge, api := free(), free(), free()
	if o.like != nil {
		s3, edge, api = hostOf(o.like.S3), hostOf(o.like.Edge), hostOf(o.like.API)
	}
	args := append([]string{"up", "--json", "--data", f.data, "--s3", s3, "--edge", edge, "--api", api}, o.args...)
	f.command = exec.Command(cmp.Or(o.program, program), args...)
	f.command.Dir, f.command.Stderr = wd, f.stderr
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	f.command.Stdout = in
	err = f.command.Start()
	_ = in.Close()
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		f.err = f.command.Wait()
		close(f.exited)
	}()
	t.Cleanup(func() { f.end(t); _ = out.Close() })
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 8<<20)
	return f, lines
}

// free is an address with a port of the system's choice. On Linux it is one of
// this process alone, so that nobody else is given a port of it while what was
// there is started again.
func free() string {
	pid := os.Getpid()
	addr := fmt.Sprintf("127.%d.%d.%d:0", 1+pid>>16&0x7f, pid>>8&0xff, 1+pid&0x7f)
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return "127.0.0.1:0"
	}
	_ = l.Close()
	return addr
}

// freePort is for programs that cannot choose one themselves.
func freePort(t testing.TB) (host, port string) {
	t.Helper()
	l, err := net.Listen("tcp", free())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	host, port, _ = net.SplitHostPort(l.Addr().String())
	return host, port
}

func hostOf(url string) string { return strings.TrimPrefix(url, "http://") }

// stop ends the process the way people do, and wants that to work.
func (f *running) stop(t testing.TB) {
	t.Helper()
	_ = f.command.Process.Signal(syscall.SIGTERM)
	select {
	case <-f.exited:
		if f.err != nil {
			t.Errorf("freshet ended with %v\n%s", f.err, f.stderr.String())
		}
	case <-time.After(patience):
		t.Error("freshet does not end")
		f.kill()
	}
}

func (f *running) kill() {
	_ = f.command.Process.Kill()
	<-f.exited
}

// end is the cleanup: it stops what still runs, shows what it had to say after
// a failure, and lets no data race pass.
func (f *running) end(t testing.TB) {
	select {
	case <-f.exited:
	default:
		f.stop(t)
	}
	if said := f.stderr.String(); strings.Contains(said, "DATA RACE") || strings.Contains(said, "panic:") || t.Failed() && said != "" {
		t.Errorf("standard error of freshet:\n%s", tail(said, 8000))
	}
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }

// safeBuffer is a bytes.Buffer that may be read while it is written.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// run calls another command of the program on the same data directory and
// returns what it printed.
func (f *running) run(t testing.TB, args ...string) string {
	t.Helper()
	c := exec.Command(program, append(args, "--data", f.data)...)
	c.Dir = f.command.Dir
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	if err := c.Run(); err != nil {
		t.Fatalf("freshet %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return stdout.String()
}

// history is what freshet log --json prints.
func (f *running) history(t testing.TB) (all []record) {
	t.Helper()
	for line := range strings.Lines(f.run(t, "log", "--json")) {
		var r record
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("log line %q: %v", line, err)
		}
		all = append(all, r)
	}
	return all
}

// newTransport is one client's connections, closed with the test.
func newTransport(t testing.TB) *http.Transport {
	transport := &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

// s3 is a client that does not repeat what failed.
func (f *running) s3(t testing.TB) *s3.Client {
	return s3Client(t, f.S3, f.AccessKey, f.SecretKey)
}

func s3Client(t testing.TB, url, access, secret string) *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: &url, Region: "us-east-1", UsePathStyle: true, Retryer: aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider(access, secret, ""),
		HTTPClient:  &http.Client{Transport: newTransport(t), Timeout: patience},
	})
}

func (f *running) cloudfront(t testing.TB) *cloudfront.Client {
	return cloudfront.New(cloudfront.Options{
		BaseEndpoint: &f.API, Region: f.Region, Retryer: aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider(f.AccessKey, f.SecretKey, ""),
		HTTPClient:  cdntest.Patient{Client: &http.Client{Transport: newTransport(t), Timeout: patience}},
	})
}

func (f *running) put(ctx context.Context, c *s3.Client, key string, body []byte) (etag string, err error) {
	out, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: &f.Bucket, Key: &key, Body: bytes.NewReader(body)})
	if err != nil {
		return "", err
	}
	return strings.Trim(*out.ETag, `"`), nil
}

// mustPut puts and returns the ETag.
func (f *running) mustPut(t testing.TB, c *s3.Client, key, body string) string {
	t.Helper()
	etag, err := f.put(t.Context(), c, key, []byte(body))
	if err != nil {
		t.Fatalf("put %q: %v", key, err)
	}
	return etag
}

// putVerified puts and waits until that is seen at the edge.
func (f *running) putVerified(t testing.TB, c *s3.Client, key, body string) {
	t.Helper()
	etag := f.mustPut(t, c, key, body)
	f.log.await(t, "verified: "+key, func(r record) bool { return r.Key == key && r.ETag == etag && r.State == verified })
}

// stored is what S3 itself holds; ok is false where there is nothing.
func (f *running) stored(t testing.TB, c *s3.Client, key string) (body []byte, ok bool) {
	t.Helper()
	out, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &f.Bucket, Key: &key})
	if codeOf(err) == "NoSuchKey" {
		return nil, false
	}
	if err != nil {
		t.Fatalf("get %q: %v", key, err)
	}
	defer out.Body.Close()
	if body, err = io.ReadAll(out.Body); err != nil {
		t.Fatal(err)
	}
	return body, true
}

// listed yields the keys that S3 lists.
func (f *running) listed(t testing.TB, c *s3.Client) iter.Seq[string] {
	return func(yield func(string) bool) {
		pages := s3.NewListObjectsV2Paginator(c, &s3.ListObjectsV2Input{Bucket: &f.Bucket})
		for pages.HasMorePages() {
			page, err := pages.NextPage(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			for _, o := range page.Contents {
				if !yield(*o.Key) {
					return
				}
			}
		}
	}
}

// codeOf is the S3 or CloudFront code of an error; empty without error.
func codeOf(err error) string {
	var api interface{ ErrorCode() string }
	switch {
	case err == nil:
		return ""
	case errors.As(err, &api):
		return api.ErrorCode()
	default:
		return "no API error: " + err.Error()
	}
}
