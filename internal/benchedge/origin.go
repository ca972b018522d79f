package benchedge

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// origin answers GET /SIZE/anything with so many bytes that may be kept, which
// begin with the version of everything that it has. It costs little, since it has
// a core in common with the clients, and so it understands no more of HTTP than
// caches say to it.
//
// What follows the size may say more: /d5/ that the answer takes 5 ms, /e1/ that
// it may be kept for a second only, and /tag/ that it has the cache tag "bench".
type origin struct {
	addr    string
	asked   atomic.Int64
	version atomic.Int64

	listener net.Listener
	filler   string
	running  sync.WaitGroup
	mu       sync.Mutex
	conns    map[net.Conn]bool
	closed   bool
}

// largestBody is what the origin sends at most, and versionSize how many bytes of
// each body are the version.
const (
	largestBody = 16 << 20
	versionSize = 16
)

func startOrigin() (*origin, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("open the origin: %w", err)
	}
	o := &origin{addr: l.Addr().String(), listener: l, filler: strings.Repeat("freshet.", largestBody/8), conns: make(map[net.Conn]bool)}
	o.version.Store(1)
	o.running.Go(o.accept)
	return o, nil
}

func (o *origin) accept() {
	for {
		c, err := o.listener.Accept()
		if err != nil {
			return
		}
		o.mu.Lock()
		if o.closed {
			_ = c.Close()
		} else {
			o.conns[c] = true
			o.running.Go(func() { o.serve(c) })
		}
		o.mu.Unlock()
	}
}

// Close ends all connections and waits for them.
func (o *origin) Close() error {
	err := o.listener.Close()
	o.mu.Lock()
	o.closed = true
	for c := range o.conns {
		_ = c.Close()
	}
	o.mu.Unlock()
	o.running.Wait()
	return err
}

func (o *origin) serve(c net.Conn) {
	defer func() {
		_ = c.Close()
		o.mu.Lock()
		delete(o.conns, c)
		o.mu.Unlock()
	}()
	r, w := bufio.NewReaderSize(c, 16<<10), bufio.NewWriterSize(c, 16<<10)
	for {
		line, err := readHead(r)
		if err != nil {
			return
		}
		method, rest, _ := strings.Cut(line, " ")
		target, _, _ := strings.Cut(rest, " ")
		if method != "GET" {
			return
		}
		o.answer(w, target)
		if w.Flush() != nil {
			return
		}
	}
}

// readHead returns the first line of what is up to the next empty line.
func readHead(r *bufio.Reader) (first string, err error) {
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return "", err
		}
		if first == "" {
			first = strings.TrimSpace(string(line))
		} else if len(line) <= 2 {
			return first, nil
		}
	}
}

// leastPlain is from how many bytes on a body comes without the headers that S3 has.
const leastPlain = 1 << 10

func (o *origin) answer(w *bufio.Writer, target string) {
	size, rest, _ := strings.Cut(strings.TrimPrefix(target, "/"), "/")
	n, err := strconv.Atoi(size)
	if err != nil || n > largestBody || n < versionSize {
		_, _ = w.WriteString("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
		return
	}
	o.asked.Add(1)
	version := o.version.Load()
	age, more := 3600, ""
	switch first, _, _ := strings.Cut(rest, "/"); first {
	case "d5":
		time.Sleep(5 * time.Millisecond)
	case "e1":
		age = 1
	case "tag":
		more = "Cache-Tag: bench\r\n"
	}
	if n < leastPlain {
		number := rest[strings.LastIndexByte(rest, '/')+1:]
		more += fmt.Sprintf("Accept-Ranges: bytes\r\nServer: AmazonS3\r\nx-amz-id-2: %s\r\nx-amz-request-id: %016s\r\nx-amz-server-side-encryption: AES256\r\nx-amz-version-id: %032s\r\n",
			base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%057s", number)), number, number)
	}
	fmt.Fprintf(w, "HTTP/1.1 200 OK\r\nDate: %s\r\nCache-Control: max-age=%d\r\nContent-Type: application/octet-stream\r\nEtag: \"v%d-%d\"\r\n"+
		"Last-Modified: Sat, 01 Aug 2026 00:00:00 GMT\r\n%sContent-Length: %d\r\n\r\n%0*d%s",
		time.Now().UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT"), age, n, version, more, n, versionSize, version, o.filler[:n-versionSize])
}
