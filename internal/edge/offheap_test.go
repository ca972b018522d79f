package edge

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"
	"time"

	"github.com/freshet/freshet"
)

// renewed4M is an origin of 4 MiB objects, each fetch of which has other bytes,
// whose hash is their ETag.
func renewed4M(*http.Request) (*http.Response, error) {
	body := make([]byte, 4<<20)
	source := rand.NewChaCha8([32]byte{byte(rand.Uint32()), byte(rand.Uint32()), byte(rand.Uint32()), byte(rand.Uint32())})
	_, _ = source.Read(body)
	resp := reply(200, "", "Cache-Control", "max-age=1000", "Etag", fmt.Sprintf(`"%x"`, sha256.Sum256(body)))
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return resp, nil
}

// fetchOnce asks for what nobody looks at, which is quick: viewers who take nothing
// for a minute are left.
func fetchOnce(e *Edge, path string) {
	e.ServeHTTP(&discard{make(http.Header)}, httptest.NewRequest(http.MethodGet, path, http.NoBody))
}

// slowTaker is a viewer that takes a body in pieces.
type slowTaker struct {
	*http.Response

	sum hash.Hash
}

// take reads n bytes, or all that are left, and then wants them to be the body's.
func (s *slowTaker) take(t *testing.T, n int64) {
	t.Helper()
	_, err := io.CopyN(s.sum, s.Body, n)
	if err == nil {
		return
	}
	if sum := fmt.Sprintf(`"%x"`, s.sum.Sum(nil)); !errors.Is(err, io.EOF) || sum != s.Header.Get("Etag") {
		t.Fatalf("%v, bytes of %s and not %s", err, sum, s.Header.Get("Etag"))
	}
}

// Who takes a large body slowly gets all of it, and nothing else, however often
// its copy is invalidated and replaced meanwhile, and however much memory is
// asked for; and that comes back.
func TestLargeBodiesOutliveTheirCopies(t *testing.T) {
	e := open(t, roundTripper(renewed4M), Config{MemoryLimit: 64 << 20})
	if e.bodies == nil {
		t.Skip("bodies are on the heap on this system")
	}
	addr := listening(t, e)
	var slow []*slowTaker
	for i := range 8 {
		path := fmt.Sprint("/", i%3)
		fetchOnce(e, path)
		settle(t, e)
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(5 * time.Minute))
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: e1.cloudfront.localhost\r\n\r\n", path)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || resp.Header.Get("X-Cache") != "Hit from cloudfront" {
			t.Fatalf("%v, %v", resp, err)
		}
		defer resp.Body.Close()
		slow = append(slow, &slowTaker{resp, sha256.New()})
		if err := e.Invalidate("E1", []freshet.Pattern{"/*"}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 60 { // nearly four times what there is room for
		fetchOnce(e, fmt.Sprint("/other", i))
		for _, s := range slow { // each at least often enough not to be given up
			s.take(t, 32<<10)
		}
	}
	runtime.GC()
	for range 4<<20/(64<<10) + 1 { // the rest, and that there is no more
		for _, s := range slow {
			s.take(t, 64<<10)
		}
	}
	e.sweep()
	for end := time.Now().Add(time.Minute); e.bodies.Held() > e.limit+e.limit/4; {
		if time.Now().After(end) {
			t.Fatalf("%d bytes are still held", e.bodies.Held())
		}
		runtime.GC()
	}
}

// Ranges and answers through net/http are of the same bytes as those of loops.
func TestLargeBodiesThroughNetHTTP(t *testing.T) {
	e := open(t, roundTripper(renewed4M), Config{})
	first := get(e, "/a")
	settle(t, e)
	whole := get(e, "/a")
	if xcache(whole) != "Hit" || !bytes.Equal(first.Body.Bytes(), whole.Body.Bytes()) {
		t.Fatalf("%s of other bytes", xcache(whole))
	}
	for _, r := range []struct{ from, to int }{{0, 0}, {5, 70_000}, {65_535, 65_536}, {4<<20 - 3, 4<<20 - 1}} {
		part := get(e, "/a", "Range", fmt.Sprintf("bytes=%d-%d", r.from, r.to))
		if part.Code != 206 || !bytes.Equal(part.Body.Bytes(), first.Body.Bytes()[r.from:r.to+1]) {
			t.Errorf("%+v: %d, other bytes", r, part.Code)
		}
	}
}
