package e2e_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/embedgw"
)

const bareKey, bareSecret = "BAREBAREBAREBAREBARE", "bare-store-of-a-benchmark"

// serveBareStore is the process behind bareStore: what freshet's bucket is built
// on, as it comes. It ends with its standard input.
func serveBareStore(dir string) {
	err := func() error {
		backend, err := posix.New(filepath.Join(dir, "objects"), meta.XattrMeta{}, posix.PosixOpts{})
		if err != nil {
			return err
		}
		ctx, stop := context.WithCancel(context.Background())
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			stop()
		}()
		return embedgw.RunVersityGW(ctx, backend, &embedgw.Config{
			RootUserAccess: bareKey, RootUserSecret: bareSecret, Ports: []string{os.Getenv("E2E_BARE_ADDR")}, Quiet: true, KeepAlive: true,
			MaxConnections: 4096, MaxRequests: 1024, MultipartMaxParts: 10000,
		})
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// bareStore starts versitygw without freshet and makes a bucket.
func bareStore(b *testing.B) (client *s3.Client, bucket string) {
	b.Helper()
	dir := b.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "objects"), 0o700); err != nil {
		b.Fatal(err)
	}
	addr := net.JoinHostPort(freePort(b)) // it takes no listener
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), "E2E_BARE_STORE="+dir, "E2E_BARE_ADDR="+addr)
	c.Stderr = os.Stderr
	in, err := c.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := c.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = in.Close(); _ = c.Wait() })
	client, bucket = s3Client(b, "http://"+addr, bareKey, bareSecret), "site"
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); ; <-tick.C {
		_, err := client.CreateBucket(b.Context(), &s3.CreateBucketInput{Bucket: &bucket})
		if err == nil {
			return client, bucket
		}
		if time.Now().After(deadline) {
			b.Fatal(err)
		}
	}
}
