package h2

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/freshet/freshet/internal/edge/loop"
	"github.com/freshet/freshet/internal/edge/narrow"
)

// answering answers /hit/SIZE at once and has net/http answer everything else.
type answering struct {
	given chan net.Conn
	mu    sync.Mutex
	told  []string // of bodies that were on their way
}

func (h *answering) Request(a *loop.Answer) *narrow.Request {
	r, ok := a.Own.(*narrow.Request)
	if !ok {
		r = new(narrow.Request)
		a.Own = r
	}
	return r
}

type body struct {
	h    *answering
	path string
}

func (b *body) Sent(n int64, complete bool) {
	b.h.mu.Lock()
	defer b.h.mu.Unlock()
	b.h.told = append(b.h.told, fmt.Sprint(b.path, " ", n, " ", complete))
}

func (h *answering) sent() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Join(h.told, ", ")
}

func (h *answering) Answer(a *loop.Answer) bool {
	r := h.Request(a)
	text, is := strings.CutPrefix(string(r.Target), "/hit/")
	size, err := strconv.Atoi(text)
	if !is || err != nil {
		return false
	}
	a.Head = fmt.Appendf(a.Head, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nX-Own: hit\r\n\r\n", size)
	whole := bytes.Repeat([]byte("x"), size)
	switch {
	case r.Head:
	case size <= 16<<10:
		a.Head = append(a.Head, whole...)
	default:
		a.Body, a.Sent = whole, &body{h, string(r.Target)}
	}
	return true
}

func (h *answering) Pass(c net.Conn) { h.given <- c }

func (h *answering) Accept() (net.Conn, error) {
	c, ok := <-h.given
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

func (h *answering) Close() error   { close(h.given); return nil }
func (h *answering) Addr() net.Addr { return &net.TCPAddr{} }

// wire is a connection that was not secured.
type wire struct{ net.Conn }

func (w wire) WriteTogether(p []byte) (int, error) { return w.Write(p) }

func (w wire) CloseWrite() error {
	if c, is := w.Conn.(interface{ CloseWrite() error }); is {
		return c.CloseWrite()
	}
	return errors.ErrUnsupported
}

func options() Options {
	return Options{Limits: Limits{Streams: 100, HeaderList: 10_000, StreamWindow: 1 << 20}, First: 10 * time.Second, Idle: 2 * time.Minute, Stall: time.Minute}
}

// viewer is the other end of a connection, frame by frame.
type viewer struct {
	*http2.Framer

	t    *testing.T
	conn net.Conn
	own  *Conn
	h    *answering
	head bytes.Buffer
	enc  *hpack.Encoder
	next uint32
	over chan struct{} // closed when the connection is
}

// connected returns a viewer of a connection, which both end with the test. The
// rest is answered by rest.
func connected(t *testing.T, pair func() (net.Conn, net.Conn), rest http.HandlerFunc, changes ...func(*Options)) *viewer {
	t.Helper()
	h := &answering{given: make(chan net.Conn)}
	s := &http.Server{Handler: rest, Protocols: new(http.Protocols), HTTP2: &http.HTTP2Config{MaxConcurrentStreams: 100}, MaxHeaderBytes: 10_000 - 320}
	s.Protocols.SetUnencryptedHTTP2(true)
	served := make(chan struct{})
	go func() { defer close(served); _ = s.Serve(h) }()
	mine, theirs := pair()
	o := options()
	for _, change := range changes {
		change(&o)
	}
	v := &viewer{t: t, conn: mine, own: New(wire{theirs}, h, o, Desks()), h: h, next: 1, over: make(chan struct{})}
	go func() { defer close(v.over); v.own.Serve() }()
	t.Cleanup(func() {
		_ = mine.Close()
		<-v.over
		_ = s.Close()
		<-served
	})
	v.Framer = http2.NewFramer(mine, mine)
	v.enc = hpack.NewEncoder(&v.head)
	v.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	return v
}

func tcp(t *testing.T) func() (net.Conn, net.Conn) {
	return func() (net.Conn, net.Conn) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		mine, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		_ = mine.SetDeadline(time.Now().Add(time.Minute))
		return mine, theirs
	}
}

func (v *viewer) must(err error) {
	v.t.Helper()
	if err != nil {
		v.t.Fatal(err)
	}
}

func (v *viewer) greet(settings ...http2.Setting) *viewer {
	v.t.Helper()
	_, err := io.WriteString(v.conn, http2.ClientPreface)
	v.must(err)
	v.must(v.WriteSettings(settings...))
	return v
}

func (v *viewer) block(fields ...string) []byte {
	v.head.Reset()
	for i := 0; i < len(fields); i += 2 {
		_ = v.enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return bytes.Clone(v.head.Bytes())
}

// open begins a stream.
func (v *viewer) open(end bool, method, path string, more ...string) uint32 {
	v.t.Helper()
	v.must(v.ask(end, method, path, more...))
	return v.next - 2
}

// ask is open for who expects that it may fail.
func (v *viewer) ask(end bool, method, path string, more ...string) error {
	id := v.next
	v.next += 2
	fields := append([]string{":method", method, ":scheme", "https", ":authority", "a.example", ":path", path}, more...)
	return v.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: v.block(fields...), EndStream: end, EndHeaders: true})
}

// heard is what came on each stream, such as "200 5 end", and on 0 that of the
// connection.
type heard map[uint32]string

// until reads until a stream has ended, or the connection.
func (v *viewer) until(h heard, stream uint32) heard {
	v.t.Helper()
	sizes := make(map[uint32]int)
	for {
		f, err := v.ReadFrame()
		if err != nil {
			h[0] += "closed"
			return h
		}
		id, ended := f.Header().StreamID, false
		switch f := f.(type) {
		case *http2.MetaHeadersFrame:
			if status := f.PseudoValue("status"); status != "" {
				h[id] += status
			} else {
				h[id] += fmt.Sprint(" ", f.Fields)
			}
			ended = f.StreamEnded()
		case *http2.DataFrame:
			sizes[id] += len(f.Data())
			if ended = f.StreamEnded(); ended {
				h[id] += " " + strconv.Itoa(sizes[id])
			}
		case *http2.RSTStreamFrame:
			h[id] += " " + f.ErrCode.String()
			if id == stream {
				return h
			}
		case *http2.GoAwayFrame:
			h[0] += fmt.Sprintf("goaway %d %s ", f.LastStreamID, f.ErrCode)
		case *http2.PingFrame:
			h[0] += "pong "
		}
		if ended {
			h[id] += " end"
			if id == stream {
				return h
			}
		}
	}
}

func echo(w http.ResponseWriter, r *http.Request) {
	got, _ := io.ReadAll(r.Body)
	w.Header().Set("Trailer", "X-After")
	fmt.Fprintf(w, "%s %s %d %s", r.Method, r.URL.Path, len(got), strings.Repeat("y", 100_000))
	w.Header().Set("X-After", "z")
}

// Answers of both kinds go out side by side, and their headers do not come in each
// other's way.
func TestBothKinds(t *testing.T) {
	v := connected(t, tcp(t), echo).greet(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20})
	v.must(v.WriteWindowUpdate(0, 1<<24))
	got, want := heard{}, heard{}
	for range 20 {
		id := v.open(true, "GET", "/hit/10")
		want[id] = "200 10 end"
		v.until(got, id)
		id = v.open(true, "GET", "/other", "x-many", strings.Repeat("m", 500))
		want[id] = "200 [header field \"x-after\" = \"z\"] end"
		v.until(got, id)
		id = v.open(false, "POST", "/hit/5")
		v.must(v.WriteData(id, false, make([]byte, 10_000)))
		v.must(v.WriteDataPadded(id, true, make([]byte, 5_000), make([]byte, 200)))
		v.until(got, id)
		want[id] = want[id-2]
		id = v.open(true, "HEAD", "/hit/10")
		want[id] = "200 end"
		large := v.open(true, "GET", "/hit/300000")
		want[large] = "200 300000 end"
		v.until(got, large)
	}
	for id := range want {
		if got[id] != want[id] {
			t.Errorf("stream %d: %q instead of %q", id, got[id], want[id])
		}
	}
	if got[0] != "" {
		t.Error(got[0])
	}
}

// The windows of a stream and of the connection are kept, whoever answers.
func TestWindows(t *testing.T) {
	for _, path := range []string{"/hit/200000", "/other"} {
		v := connected(t, tcp(t), echo).greet(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 10})
		id, taken, allowed, whole := v.open(true, "GET", path), 0, 10, 65535
		for ended := false; !ended; {
			f, err := v.ReadFrame()
			v.must(err)
			d, is := f.(*http2.DataFrame)
			if m, meta := f.(*http2.MetaHeadersFrame); meta {
				ended = m.StreamEnded()
			}
			if !is {
				continue
			}
			ended = d.StreamEnded()
			if taken += len(d.Data()); taken > allowed || taken > whole {
				t.Fatalf("%s: %d bytes, allowed are %d and %d", path, taken, allowed, whole)
			}
			if taken == allowed {
				v.must(v.WriteWindowUpdate(id, 9_999))
				allowed += 9_999
			}
			if taken == whole {
				v.must(v.WriteWindowUpdate(0, 20_000))
				whole += 20_000
			}
		}
		if taken < 100_000 {
			t.Errorf("%s: %d bytes", path, taken)
		}
	}
}

// What breaks the protocol ends the stream or the connection, and nothing else.
func TestWhatBreaksTheProtocol(t *testing.T) {
	hit := func(v *viewer) uint32 { return v.open(true, "GET", "/hit/1") }
	for _, tt := range []struct {
		name string
		do   func(v *viewer)
		want string // of the connection
	}{
		{"no settings first", func(v *viewer) { _, _ = io.WriteString(v.conn, http2.ClientPreface); _ = v.WritePing(false, [8]byte{}) }, "PROTOCOL_ERROR"},
		{"another preface", func(v *viewer) { _, _ = io.WriteString(v.conn, "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n") }, "PROTOCOL_ERROR"},
		{"an even stream", func(v *viewer) { v.greet(); v.next = 2; hit(v) }, "PROTOCOL_ERROR"},
		{"a stream twice", func(v *viewer) { v.greet(); hit(v); v.next = 1; hit(v) }, "STREAM_CLOSED"},
		{"a lower stream", func(v *viewer) { v.greet(); v.next = 5; hit(v); v.next = 3; hit(v) }, "STREAM_CLOSED"},
		{"data on an idle stream", func(v *viewer) { v.greet(); _ = v.WriteData(7, true, []byte("x")) }, "PROTOCOL_ERROR"},
		{"a reset of an idle stream", func(v *viewer) { v.greet(); _ = v.WriteRSTStream(7, http2.ErrCodeCancel) }, "PROTOCOL_ERROR"},
		{"a window of an idle stream", func(v *viewer) { v.greet(); _ = v.WriteWindowUpdate(7, 1) }, "PROTOCOL_ERROR"},
		{"too large a window", func(v *viewer) { v.greet(); _ = v.WriteWindowUpdate(0, 1<<31-1) }, "FLOW_CONTROL_ERROR"},
		{"no window", func(v *viewer) { v.greet(); _ = v.WriteRawFrame(http2.FrameWindowUpdate, 0, 0, make([]byte, 4)) }, "PROTOCOL_ERROR"},
		{"a promise", func(v *viewer) {
			v.greet()
			_ = v.WriteRawFrame(http2.FramePushPromise, http2.FlagPushPromiseEndHeaders, 1, make([]byte, 4))
		}, "PROTOCOL_ERROR"},
		{"a short ping", func(v *viewer) { v.greet(); _ = v.WriteRawFrame(http2.FramePing, 0, 0, make([]byte, 7)) }, "FRAME_SIZE_ERROR"},
		{"settings of a stream", func(v *viewer) { v.greet(); _ = v.WriteRawFrame(http2.FrameSettings, 0, 1, make([]byte, 6)) }, "PROTOCOL_ERROR"},
		{"half a setting", func(v *viewer) { v.greet(); _ = v.WriteRawFrame(http2.FrameSettings, 0, 0, make([]byte, 5)) }, "FRAME_SIZE_ERROR"},
		{"a setting out of range", func(v *viewer) { v.greet(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 31}) }, "FLOW_CONTROL_ERROR"},
		{"too large a frame", func(v *viewer) { v.greet(); _ = v.WriteRawFrame(http2.FrameData, 0, 1, make([]byte, 16385)) }, "FRAME_SIZE_ERROR"},
		{"headers that are none", func(v *viewer) {
			v.greet()
			_ = v.WriteRawFrame(http2.FrameHeaders, http2.FlagHeadersEndHeaders|http2.FlagHeadersEndStream, 1, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
		}, "COMPRESSION_ERROR"},
		{"something within headers", func(v *viewer) {
			v.greet()
			_ = v.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: v.block(":method", "GET")})
			_ = v.WritePing(false, [8]byte{})
		}, "PROTOCOL_ERROR"},
		{"headers without end", func(v *viewer) {
			v.greet()
			_ = v.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: v.block(":method", "GET")})
			for range 1000 {
				if v.WriteContinuation(1, false, nil) != nil {
					break
				}
			}
		}, "ENHANCE_YOUR_CALM"},
		{"headers that are much too large", func(v *viewer) {
			v.greet()
			_ = v.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: v.block(":method", "GET")})
			for range 100 {
				if v.WriteContinuation(1, false, v.block("x", strings.Repeat("é", 2_000))) != nil {
					break
				}
			}
		}, "ENHANCE_YOUR_CALM"},
		{"wrong frames without end", func(v *viewer) {
			v.greet()
			hit(v)
			go func() { // it is not read meanwhile
				for range 5000 {
					if v.WriteData(1, false, nil) != nil {
						break
					}
				}
			}()
		}, "ENHANCE_YOUR_CALM"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := connected(t, tcp(t), echo)
			done := make(chan struct{})
			go func() { defer close(done); tt.do(v) }()
			got := v.until(heard{}, 1<<30)
			<-done
			if !strings.Contains(got[0], tt.want) || !strings.HasSuffix(got[0], "closed") {
				t.Errorf("%q, want %s", got[0], tt.want)
			}
		})
	}
}

// Streams that end badly leave the others alone.
func TestResets(t *testing.T) {
	v := connected(t, tcp(t), func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }).greet()
	large := v.open(true, "GET", "/hit/1000000") // more than the window
	waiting := v.open(true, "GET", "/waits")
	got := heard{}
	v.until(got, v.open(true, "HEAD", "/hit/1"))
	v.must(v.WriteRSTStream(large, http2.ErrCodeCancel))
	v.must(v.WriteRSTStream(waiting, http2.ErrCodeCancel))
	closed := v.open(true, "HEAD", "/hit/1")
	v.until(got, closed)
	v.must(v.WriteData(closed, true, []byte("x")))
	v.until(got, closed)
	v.must(v.WritePriority(closed+2, http2.PriorityParam{StreamDep: closed + 2}))
	v.until(got, closed+2)
	v.must(v.WritePing(false, [8]byte{1}))
	v.next += 2
	last := v.open(true, "HEAD", "/hit/1")
	v.until(got, last)
	if got[closed] != "200 end STREAM_CLOSED" || got[closed+2] != " PROTOCOL_ERROR" || got[last] != "200 end" || got[0] != "pong " {
		t.Errorf("%v", got)
	}
	if told := v.h.sent(); !gaveUp(told) {
		t.Error(told)
	}
}

// gaveUp reports whether what was told is that the large body broke off.
func gaveUp(told string) bool {
	return strings.HasPrefix(told, "/hit/1000000 ") && strings.HasSuffix(told, " false") && strings.Count(told, "/") == 2
}

// A connection that is to leave answers what was asked and refuses what is new.
func TestLeaves(t *testing.T) {
	release := make(chan struct{})
	v := connected(t, tcp(t), func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-release
	}).greet()
	got := heard{}
	waiting := v.open(false, "POST", "/waits")
	v.until(got, v.open(true, "HEAD", "/hit/1"))
	v.own.Leave()
	for got[0] == "" {
		f, err := v.ReadFrame()
		v.must(err)
		if g, is := f.(*http2.GoAwayFrame); is {
			got[0] = fmt.Sprintf("goaway %d %s", g.LastStreamID, g.ErrCode)
		}
	}
	late := v.open(false, "POST", "/hit/1")
	v.must(v.WriteData(late, true, []byte("x")))
	v.until(got, late)
	v.must(v.WriteData(waiting, true, []byte("x")))
	close(release)
	v.until(got, 1<<30)
	if got[waiting] != "200 end" || !strings.HasPrefix(got[late], " REFUSED_STREAM") || got[0] != "goaway 3 NO_ERRORclosed" {
		t.Errorf("%v", got)
	}
	<-v.over
}

func TestIdleConnectionsLeave(t *testing.T) {
	v := connected(t, tcp(t), echo).greet()
	got := v.until(heard{}, v.open(true, "HEAD", "/hit/1"))
	v.own.Leave()
	v.until(got, 1<<30)
	if got[1] != "200 end" || got[0] != "goaway 1 NO_ERROR closed" {
		t.Errorf("%v", got)
	}
}

// inBubble runs f with a connection whose time is not the clock's.
func inBubble(t *testing.T, rest http.HandlerFunc, f func(t *testing.T, v *viewer)) {
	synctest.Test(t, func(t *testing.T) {
		v := connected(t, net.Pipe, rest)
		f(t, v)
	})
}

// Who sends no request is sent away, whatever else they send.
func TestIdle(t *testing.T) {
	inBubble(t, echo, func(t *testing.T, v *viewer) {
		if got := v.until(heard{}, 1); got[0] != "closed" {
			t.Errorf("%v", got)
		}
	})
	inBubble(t, echo, func(t *testing.T, v *viewer) {
		began, done := time.Now(), make(chan struct{})
		go func() {
			defer close(done)
			v.greet()
			for v.WritePing(false, [8]byte{}) == nil {
				<-time.After(time.Second)
			}
		}()
		got := v.until(heard{}, 1)
		took := time.Since(began)
		_ = v.conn.Close()
		<-done
		if !strings.Contains(got[0], "NO_ERROR") || took < time.Minute || took > 3*time.Minute {
			t.Errorf("%v after %v", got, took)
		}
	})
}

// Who takes nothing of an answer is given up after a while, and holds nothing.
func TestStalls(t *testing.T) {
	inBubble(t, echo, func(t *testing.T, v *viewer) {
		go func() { v.greet(); v.open(true, "GET", "/hit/1000000") }()
		began := time.Now()
		got := v.until(heard{}, 1)
		if took := time.Since(began); got[1] != "200 INTERNAL_ERROR" || took > 3*time.Minute || !gaveUp(v.h.sent()) {
			t.Errorf("%v after %v, %s", got, took, v.h.sent())
		}
	})
	inBubble(t, echo, func(t *testing.T, v *viewer) { // it has used up the window, and another waits for it
		go func() {
			v.greet(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20})
			v.open(true, "GET", "/hit/65535")
			v.open(true, "GET", "/other")
		}()
		if got := v.until(heard{}, 1<<30); got[0] != "closed" && !strings.HasSuffix(got[0], " closed") || got[1] != "200 65535 end" {
			t.Errorf("%v", got)
		}
	})
}

// Nor does it help to read nothing at all, whoever answers.
func TestStallsOfConnections(t *testing.T) {
	for _, path := range []string{"/hit/30000000", "/other"} {
		v := connected(t, tcp(t), func(w http.ResponseWriter, _ *http.Request) {
			for range 1000 {
				if _, err := w.Write(make([]byte, 32<<10)); err != nil {
					return
				}
			}
		}, func(o *Options) { o.Stall = 50 * time.Millisecond })
		v.greet(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1<<31 - 1})
		v.must(v.WriteWindowUpdate(0, 1<<31-1-65535))
		v.open(true, "GET", path)
		<-v.over
		if told := v.h.sent(); path != "/other" && !strings.HasSuffix(told, " false") {
			t.Error(told)
		}
	}
}
