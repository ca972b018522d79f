package listing

import (
	"fmt"
	"io"
	"runtime"
	"testing"
)

// endless writes records until its reader goes away.
func endless(head string, record func(n int) string) io.ReadCloser {
	r, w := io.Pipe()
	go func() {
		_, err := io.WriteString(w, head)
		for n := 0; err == nil; n++ {
			_, err = io.WriteString(w, record(n))
		}
	}()
	return r
}

// A listing of any length takes no more memory than a short one.
func TestListingsAreStreamed(t *testing.T) {
	for format, in := range map[Format]io.ReadCloser{
		S3JSON: endless(`{"Contents":[{"Key":"first"}`, func(n int) string {
			return fmt.Sprintf(`,{"Key":"some/page-%06d.html","Size":%d,"ETag":"\"d41d8cd98f00b204e9800998ecf8427e\""}`, n, n)
		}),
		S3LS:      endless("", func(n int) string { return fmt.Sprintf("2026-01-02 03:04:05 %10d some/page-%06d.html\n", n, n) }),
		Inventory: endless("", func(n int) string { return fmt.Sprintf("\"site\",\"some/page-%06d.html\",\"%d\"\n", n, n) }),
		Keys:      endless("", func(n int) string { return fmt.Sprintf("some/page-%06d.html\n", n) }),
	} {
		t.Run(string(format), func(t *testing.T) {
			defer func() { _ = in.Close() }()
			var before, after runtime.MemStats
			n := 0
			for _, err := range Read(in, Options{}).Objects() {
				if err != nil {
					t.Fatal(err)
				}
				switch n++; n {
				case 1_000:
					runtime.GC()
					runtime.ReadMemStats(&before)
				case 60_000:
					runtime.GC()
					runtime.ReadMemStats(&after)
					if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 1<<20 {
						t.Errorf("%d bytes more are in use after %d objects", grown, n)
					}
					return
				}
			}
			t.Errorf("it ended after %d objects", n)
		})
	}
}
