//go:build linux

package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// crowd are many viewers who mean no good. Each of them has a connection, and
// another one when that ends.
type crowd struct {
	plain, secure string // addresses
	behave        func(*rogue) error
	number        int
}

// rogue is one of them.
type rogue struct {
	*crowd
	ctx    context.Context
	conn   net.Conn
	frames *http2.Framer
	stream uint32
	nth    int // of the crowd
}

// misdeeds are what a crowd may do, by name. What one does ends with its
// connection or its context.
func misdeeds() map[string]func(*rogue) error {
	return map[string]func(*rogue) error{
		"idle": func(v *rogue) error { return v.dialed(v.plain, v.stay) },
		"idle after a hit": func(v *rogue) error {
			return v.dialed(v.plain, func() error { return v.say("GET /1000/hit HTTP/1.1\r\nHost: h\r\n\r\n", v.stay) })
		},
		"no handshake":             func(v *rogue) error { return v.dialed(v.secure, v.stay) },
		"idle over TLS":            func(v *rogue) error { return v.shaken("http/1.1", v.stay) },
		"idle over HTTP/2":         func(v *rogue) error { return v.shaken("h2", func() error { return v.greeted(65535, v.stay) }) },
		"slow heads":               func(v *rogue) error { return v.dialed(v.plain, v.slowHead) },
		"slow heads over TLS":      func(v *rogue) error { return v.shaken("http/1.1", v.slowHead) },
		"slow bodies":              func(v *rogue) error { return v.dialed(v.plain, v.slowBody) },
		"slow bodies over TLS":     func(v *rogue) error { return v.shaken("http/1.1", v.slowBody) },
		"slow readers":             func(v *rogue) error { return v.dialed(v.plain, v.slowReader) },
		"slow readers of ranges":   func(v *rogue) error { return v.dialed(v.plain, v.slowRange) },
		"slow readers over TLS":    func(v *rogue) error { return v.shaken("http/1.1", v.slowReader) },
		"slow readers over HTTP/2": func(v *rogue) error { return v.shaken("h2", func() error { return v.greeted(1<<30, v.slowStreams) }) },
		"no window":                func(v *rogue) error { return v.shaken("h2", func() error { return v.greeted(0, v.manyStreams) }) },
		"tiny windows":             func(v *rogue) error { return v.shaken("h2", func() error { return v.greeted(0, v.tinyWindows) }) },
		"pipelined floods":         func(v *rogue) error { return v.dialed(v.plain, v.pipeline) },
		"pipelined floods by TLS":  func(v *rogue) error { return v.shaken("http/1.1", v.pipeline) },
		"half closed":              func(v *rogue) error { return v.dialed(v.plain, v.halfClosed) },
		"churn":                    func(v *rogue) error { return v.dialed(v.plain, v.leave) },
		"churn over TLS":           func(v *rogue) error { return v.shaken("h2", v.leave) },
		"a slow origin":            func(v *rogue) error { return v.dialed(v.plain, v.askSlowOrigin) },
		"a slow origin by HTTP/2": func(v *rogue) error {
			return v.shaken("h2", func() error { return v.greeted(65535, v.slowOriginStreams) })
		},
		"rapid resets of hits": func(v *rogue) error {
			return v.shaken("h2", func() error { return v.greeted(65535, func() error { return v.resets("/1000/hit") }) })
		},
		"rapid resets of misses": func(v *rogue) error {
			return v.shaken("h2", func() error { return v.greeted(65535, func() error { return v.resets("") }) })
		},
		"floods of settings": func(v *rogue) error { return v.floods(func() error { return v.frames.WriteSettings() }) },
		"floods of pings":    func(v *rogue) error { return v.floods(func() error { return v.frames.WritePing(false, [8]byte{}) }) },
		"floods of windows":  func(v *rogue) error { return v.floods(func() error { return v.frames.WriteWindowUpdate(0, 1) }) },
		"floods of priorities": func(v *rogue) error {
			return v.floods(func() error { return v.frames.WritePriority(1, http2.PriorityParam{StreamDep: 3}) })
		},
		"floods of empty data": func(v *rogue) error { return v.uploads(func() error { return v.frames.WriteData(1, false, nil) }) },
		"floods of bytes": func(v *rogue) error {
			return v.uploads(func() error { return v.frames.WriteData(1, false, []byte("x")) })
		},
		"floods of hits":            func(v *rogue) error { return v.floods(v.askOften) },
		"floods of streams":         func(v *rogue) error { return v.floods(func() error { return v.headers("/1000/hit") }) },
		"floods of the unreachable": func(v *rogue) error { return v.floods(func() error { return v.headers("*") }) },
		"no headers": func(v *rogue) error {
			return v.floods(func() error {
				v.stream += 2
				return v.frames.WriteHeaders(http2.HeadersFrameParam{StreamID: v.stream, EndStream: true, EndHeaders: true})
			})
		},
		"misses of all sizes":           func(v *rogue) error { return v.dialed(v.plain, v.missOften) },
		"misses of all sizes by HTTP/2": func(v *rogue) error { return v.floodsOnce(v.missStreams) },
		"slow readers of misses":        func(v *rogue) error { return v.dialed(v.plain, v.slowMiss) },
		"uploads":                       func(v *rogue) error { return v.dialed(v.plain, v.upload) },
		"compressed":                    func(v *rogue) error { return v.dialed(v.plain, v.compressed) },
		"ranges":                        func(v *rogue) error { return v.dialed(v.plain, v.ranges) },
		"continuations":                 func(v *rogue) error { return v.shaken("h2", func() error { return v.greeted(65535, v.continuations) }) },
		"large headers":                 func(v *rogue) error { return v.shaken("h2", func() error { return v.greeted(65535, v.largeHeaders) }) },
		"idle after a miss":             func(v *rogue) error { return v.shaken("h2", func() error { return v.greeted(65535, v.idleAfterMiss) }) },
	}
}

func (v *rogue) dialed(addr string, then func() error) error {
	// Each thousand has an address of its own, so that there are ports enough.
	from := &net.TCPAddr{IP: net.IPv4(127, 77, byte(os.Getpid()), byte(1+v.nth/1000))}
	d := net.Dialer{LocalAddr: from, Control: smallBuffer}
	c, err := d.DialContext(v.ctx, "tcp", addr)
	if err != nil {
		return err
	}
	v.conn = c
	defer c.Close()
	defer context.AfterFunc(v.ctx, func() { _ = c.Close() })()
	return then()
}

func (v *rogue) shaken(protocol string, then func() error) error {
	return v.dialed(v.secure, func() error {
		c := tls.Client(v.conn, &tls.Config{InsecureSkipVerify: true, ServerName: "h", NextProtos: []string{protocol}})
		if err := c.HandshakeContext(v.ctx); err != nil {
			return err
		}
		v.conn = c
		return then()
	})
}

// greeted begins HTTP/2 with windows of a size for streams.
func (v *rogue) greeted(window uint32, then func() error) error {
	if _, err := io.WriteString(v.conn, http2.ClientPreface); err != nil {
		return err
	}
	v.frames, v.stream = http2.NewFramer(v.conn, v.conn), 1
	if err := v.frames.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: window}); err != nil {
		return err
	}
	return then()
}

func (v *rogue) say(text string, then func() error) error {
	if _, err := io.WriteString(v.conn, text); err != nil {
		return err
	}
	return then()
}

// stay takes what comes until there is no more.
func (v *rogue) stay() error {
	_, err := io.Copy(io.Discard, v.conn)
	return err
}

// pause is between what a slow one does.
func (v *rogue) pause(d time.Duration) bool {
	select {
	case <-v.ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// trickle sends some bytes for ever.
func (v *rogue) trickle(text string) error {
	for v.pause(200 * time.Millisecond) {
		if _, err := io.WriteString(v.conn, text); err != nil {
			return err
		}
	}
	return nil
}

func (v *rogue) slowHead() error {
	return v.say("GET /1000/hit HTTP/1.1\r\n", func() error { return v.trickle("X-A: b\r\n") })
}

func (v *rogue) slowBody() error {
	return v.say("POST /1000/post HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n", func() error { return v.trickle("a") })
}

// slowReader takes a byte now and then.
func (v *rogue) slowReader() error {
	return v.say("GET /10000000/large HTTP/1.1\r\nHost: h\r\n\r\n", v.sip)
}

func (v *rogue) slowRange() error {
	return v.say("GET /10000000/large HTTP/1.1\r\nHost: h\r\nRange: bytes=1-\r\n\r\n", v.sip)
}

func (v *rogue) sip() error {
	var b [1]byte
	for v.pause(200 * time.Millisecond) {
		if _, err := v.conn.Read(b[:]); err != nil {
			return err
		}
	}
	return nil
}

func (v *rogue) headers(path string) error { return v.request("GET", path, true) }

func (v *rogue) request(method, path string, end bool) error {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	e.SetMaxDynamicTableSize(0)
	for _, f := range [][2]string{{":method", method}, {":scheme", "https"}, {":authority", "h"}, {":path", path}} {
		_ = e.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
	}
	err := v.frames.WriteHeaders(http2.HeadersFrameParam{StreamID: v.stream, BlockFragment: b.Bytes(), EndStream: end, EndHeaders: true})
	v.stream += 2
	return err
}

func (v *rogue) slowStreams() error {
	for range 20 {
		if err := v.headers("/10000000/large"); err != nil {
			return err
		}
	}
	if err := v.frames.WriteWindowUpdate(0, 1<<30); err != nil {
		return err
	}
	return v.sip()
}

func (v *rogue) manyStreams() error {
	for range 200 {
		if err := v.headers("/30000/middling"); err != nil {
			return err
		}
	}
	return v.stay()
}

func (v *rogue) tinyWindows() error {
	if err := v.headers("/30000/middling"); err != nil {
		return err
	}
	go func() { _ = v.stay() }()
	return v.flood(func() error { return v.frames.WriteWindowUpdate(1, 1) })
}

// flood does something as fast as it can.
func (v *rogue) flood(one func() error) error {
	go func() { _ = v.stay() }()
	for v.ctx.Err() == nil {
		if err := one(); err != nil {
			return err
		}
	}
	return nil
}

// floods begins HTTP/2 and floods.
func (v *rogue) floods(one func() error) error {
	return v.shaken("h2", func() error { return v.greeted(65535, func() error { return v.flood(one) }) })
}

// askOften takes what it asks for.
func (v *rogue) askOften() error {
	if v.stream == 1 {
		if err := v.frames.WriteWindowUpdate(0, 1<<30); err != nil {
			return err
		}
	}
	return v.headers("/1000/hit")
}

func (v *rogue) floodsOnce(then func() error) error {
	return v.shaken("h2", func() error { return v.greeted(1<<20, then) })
}

// sized is a path of what nobody else asks for, with 10 KiB to 1 MiB.
func (v *rogue) sized(i int) string {
	size := []int{10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000}[(v.nth+i)%7]
	return fmt.Sprintf("/%d/mixed-%d-%d-%d", size, os.Getpid(), v.nth, i+int(time.Now().UnixMilli()%1000)*1000)
}

// asks asks and takes the answers, one after the other.
func (v *rogue) asks(request func(i int) string) error {
	in := bufio.NewReader(v.conn)
	for i := 0; v.ctx.Err() == nil; i++ {
		if _, err := io.WriteString(v.conn, request(i)); err != nil {
			return err
		}
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.Close {
			return err
		}
	}
	return v.ctx.Err()
}

func (v *rogue) missOften() error {
	return v.asks(func(i int) string { return "GET " + v.sized(i) + " HTTP/1.1\r\nHost: h\r\n\r\n" })
}

func (v *rogue) compressed() error {
	return v.asks(func(i int) string {
		return "GET " + v.sized(i) + ".txt HTTP/1.1\r\nHost: h\r\nAccept-Encoding: " + []string{"br", "gzip"}[i%2] + "\r\n\r\n"
	})
}

func (v *rogue) ranges() error {
	return v.asks(func(i int) string {
		return fmt.Sprintf("GET /10000000/ranged-%d HTTP/1.1\r\nHost: h\r\nRange: bytes=%d-%d\r\n\r\n", (v.nth+i)%50, i%9*1_000_000, i%9*1_000_000+300_000)
	})
}

func (v *rogue) upload() error {
	body := strings.Repeat("u", 1_000_000)
	return v.asks(func(i int) string {
		return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", v.sized(i), len(body), body)
	})
}

func (v *rogue) slowMiss() error {
	return v.say("GET "+v.sized(0)+" HTTP/1.1\r\nHost: h\r\n\r\n", v.sip)
}

func (v *rogue) missStreams() error {
	if err := v.frames.WriteWindowUpdate(0, 1<<30); err != nil {
		return err
	}
	for i := range 200 {
		if err := v.headers(v.sized(i)); err != nil {
			return err
		}
	}
	return v.stay()
}

// uploads does it with a stream that uploads.
func (v *rogue) uploads(one func() error) error {
	return v.floods(func() error {
		if v.stream == 1 {
			if err := v.request("POST", "/1000/post", false); err != nil {
				return err
			}
		}
		return one()
	})
}

// pipeline asks for ever, and takes nothing.
func (v *rogue) pipeline() error {
	many := strings.Repeat("GET /1000/hit HTTP/1.1\r\nHost: h\r\n\r\n", 500)
	for {
		if _, err := io.WriteString(v.conn, many); err != nil {
			return err
		}
	}
}

func (v *rogue) halfClosed() error {
	text := "GET /1000/hit HTTP/1.1\r\nHost: h\r\n\r\n"
	if v.nth%2 == 0 {
		text = "GET /1000/hit HTTP/1.1\r\nHost"
	}
	return v.say(text, func() error {
		if err := v.conn.(*net.TCPConn).CloseWrite(); err != nil {
			return err
		}
		return v.stay()
	})
}

// leave is gone before it is answered.
func (v *rogue) leave() error {
	_, err := io.WriteString(v.conn, "GET /1000/hit HTTP/1.1\r\nHost: h\r\n\r\n")
	return err
}

func (v *rogue) askSlowOrigin() error {
	return v.say(fmt.Sprintf("GET /slow/%d/%d HTTP/1.1\r\nHost: h\r\n\r\n", os.Getpid(), v.nth), v.stay)
}

func (v *rogue) slowOriginStreams() error {
	for i := range 200 {
		if err := v.headers(fmt.Sprintf("/slow/%d/%d/%d", os.Getpid(), v.nth, i)); err != nil {
			return err
		}
	}
	return v.stay()
}

func (v *rogue) resets(path string) error {
	n := 0
	return v.flood(func() error {
		to := path
		if to == "" {
			n++
			to = fmt.Sprintf("/100/reset-%d-%d-%d", os.Getpid(), v.nth, n)
		}
		if err := v.headers(to); err != nil {
			return err
		}
		return v.frames.WriteRSTStream(v.stream-2, http2.ErrCodeCancel)
	})
}

func (v *rogue) continuations() error {
	if err := v.frames.WriteHeaders(http2.HeadersFrameParam{StreamID: v.stream, BlockFragment: nil}); err != nil {
		return err
	}
	return v.flood(func() error { return v.frames.WriteContinuation(v.stream, false, []byte{0x82}) })
}

// largeHeaders has its headers kept, if anybody keeps them.
func (v *rogue) largeHeaders() error {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	for _, f := range [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", "h"}, {":path", "/1000/hit"}, {"x-large", strings.Repeat("~", 15<<10)}} {
		_ = e.WriteField(hpack.HeaderField{Name: f[0], Value: f[1], Sensitive: true})
	}
	end := min(b.Len(), 16<<10)
	err := v.frames.WriteHeaders(http2.HeadersFrameParam{StreamID: v.stream, BlockFragment: b.Next(end), EndStream: true, EndHeaders: b.Len() == 0})
	for err == nil && b.Len() > 0 {
		part := b.Next(16 << 10)
		err = v.frames.WriteContinuation(v.stream, b.Len() == 0, part)
	}
	if err != nil {
		return err
	}
	return v.stay()
}

func (v *rogue) idleAfterMiss() error {
	if err := v.headers(fmt.Sprintf("/100/once-%d-%d", os.Getpid(), v.nth)); err != nil {
		return err
	}
	return v.stay()
}

// act has the crowd do it until ctx is done. Those who come late come a little
// later, as they do.
func (c *crowd) act(ctx context.Context) {
	var all sync.WaitGroup
	for i := range c.number {
		if i%50 == 49 {
			select {
			case <-ctx.Done():
			case <-time.After(5 * time.Millisecond):
			}
		}
		all.Go(func() {
			for ctx.Err() == nil {
				v := &rogue{crowd: c, ctx: ctx, nth: i}
				_ = c.behave(v) // whatever became of it
				v.pause(20 * time.Millisecond)
			}
		})
	}
	all.Wait()
}

// inCrowd is how many of a crowd are in one process, which may not open more files.
const inCrowd = 8000

// besiege has n viewers do what is called name, until the returned function is
// called.
func besiege(t *testing.T, f *running, name string, n int) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for ; n > 0; n -= inCrowd { // never in this process, whose viewers would wait for it
		c := exec.CommandContext(ctx, os.Args[0])
		c.Env = append(os.Environ(), strings.Join([]string{"E2E_CROWD=" + name, hostOf(f.Edge), strings.TrimPrefix(f.EdgeTLS, "https://"), strconv.Itoa(min(n, inCrowd))}, ","))
		c.Stderr = os.Stderr
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		all.Go(func() { _ = c.Wait() })
	}
	return func() {
		cancel()
		all.Wait()
	}
}

// beCrowd is for a process that is part of a crowd.
func beCrowd(what string) {
	parts := strings.Split(what, ",")
	n, err := strconv.Atoi(parts[3])
	if err != nil {
		panic(err)
	}
	(&crowd{plain: parts[1], secure: parts[2], behave: misdeeds()[parts[0]], number: n}).act(context.Background())
}
