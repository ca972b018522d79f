package benchedge

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// viewer is a connection to a contender that costs little.
type viewer struct {
	conn net.Conn
	r    *bufio.Reader
	host string
	body []byte
}

func newViewer(ctx context.Context, addr string) (*viewer, error) {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	return &viewer{conn: c, r: bufio.NewReaderSize(c, 16<<10), host: addr}, nil
}

func (v *viewer) close() { _ = v.conn.Close() }

// patience is for one answer.
const patience = 60 * time.Second

// ask sends a request without a body, with headers that end in a line feed each,
// and returns the status of the answer and its body, which is good until the next
// call.
func (v *viewer) ask(method, path, headers string) (status int, body []byte, err error) {
	if err := v.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return 0, nil, fmt.Errorf("ask for %s: %w", path, err)
	}
	if _, err := io.WriteString(v.conn, method+" "+path+" HTTP/1.1\r\nHost: "+v.host+"\r\n"+headers+"\r\n"); err != nil {
		return 0, nil, fmt.Errorf("ask for %s: %w", path, err)
	}
	status, length, err := v.readHead()
	if err != nil {
		return 0, nil, fmt.Errorf("read the head of %s: %w", path, err)
	}
	if cap(v.body) < length {
		v.body = make([]byte, length)
	}
	v.body = v.body[:length]
	if _, err := io.ReadFull(v.r, v.body); err != nil {
		return 0, nil, fmt.Errorf("read %s: %w", path, err)
	}
	return status, v.body, nil
}

func (v *viewer) readHead() (status, length int, err error) {
	line, err := v.r.ReadSlice('\n')
	if err != nil {
		return 0, 0, err
	}
	if len(line) < len("HTTP/1.1 200") {
		return 0, 0, fmt.Errorf("the answer begins with %q", line)
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, 0, fmt.Errorf("read the status: %w", err)
	}
	length = -1
	for {
		line, err := v.r.ReadSlice('\n')
		if err != nil {
			return 0, 0, err
		}
		if len(line) <= 2 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		if bytes.EqualFold(name, []byte("Content-Length")) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return 0, 0, fmt.Errorf("read the length: %w", err)
			}
		}
	}
	if length < 0 {
		return 0, 0, errors.New("the answer has no length")
	}
	return status, length, nil
}

// get returns the version of what a GET of path is answered with.
func (v *viewer) get(path string) (version int64, err error) {
	status, body, err := v.ask("GET", path, "")
	if err != nil {
		return 0, err
	}
	if status != 200 || len(body) < versionSize {
		return 0, fmt.Errorf("%s is answered with %d and %d bytes", path, status, len(body))
	}
	digits := strings.TrimLeft(string(body[:versionSize]), "0")
	if version, err = strconv.ParseInt(digits, 10, 64); err != nil {
		return 0, fmt.Errorf("read the version of %s: %w", path, err)
	}
	return version, nil
}

// fill has n objects fetched through a contender, over so many connections.
func fill(ctx context.Context, addr string, n, connections int, path func(i int) string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var viewers sync.WaitGroup
	for range connections {
		viewers.Go(func() {
			v, err := newViewer(ctx, addr)
			if err != nil {
				cancel(err)
				return
			}
			defer v.close()
			for i := int(next.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				if _, err := v.get(path(i)); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	viewers.Wait()
	if err := context.Cause(ctx); err != nil {
		return fmt.Errorf("fill: %w", err)
	}
	return nil
}
