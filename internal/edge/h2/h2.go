// Package h2 speaks HTTP/2 with viewers whose requests are answered at once: on
// the goroutine of their connection, several answers in one piece. Everything else
// that they ask it passes on to a full server of HTTP/2, which has it as if it
// spoke with the viewer itself.
//
// The viewer's frames go on to the server as they are, but for those of streams
// that were answered here, and for headers, which are compressed anew since
// the server has not seen all of them. The server's frames go on to the viewer as
// they are: answers given here leave nothing behind in the compression of headers.
// What the viewer will take on the whole connection is one, and kept here;
// what it will take of one stream is kept where that is answered.
package h2

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/freshet/freshet/internal/edge/loop"
	"github.com/freshet/freshet/internal/edge/narrow"
)

// Handler answers requests. Its methods are called by many connections at once.
type Handler interface {
	// Request is where the next plain request is read into that is answered in a.
	Request(a *loop.Answer) *narrow.Request

	// Answer says in a how that request is answered, if it is at once: with a
	// head and perhaps a body in a.Head as over HTTP/1.1, or more of a body as
	// loop.Answer has it. Of the request it keeps nothing.
	Answer(a *loop.Answer) bool

	// Pass gives c to a server of HTTP/2 with the given Limits, which speaks with
	// the viewer from the preface on, and closes c in the end.
	Pass(c net.Conn)
}

// Limits are what viewers are promised, which whoever serves the rest must keep.
type Limits struct {
	Streams      uint32 // at once
	HeaderList   uint32 // bytes, as HTTP/2 counts them
	StreamWindow uint32 // bytes
}

// Options bound what viewers may do.
type Options struct {
	Limits

	First time.Duration // for the preface, and for all of a frame
	Idle  time.Duration // without a stream
	Stall time.Duration // for taking 64 KiB of an answer

	Shared *Shared // by all connections of a door; nil for one of its own
}

// Shared is what many connections have together. The zero value is ready.
type Shared struct {
	kept atomic.Int64 // bytes of small answers that viewers do not take
	busy atomic.Int64 // connections that have a desk

	// Calmed is called whenever a connection was ended for what it sent; nil for
	// nobody. It must not block, and not be changed once there are connections.
	Calmed func()
}

// mostKept is how many bytes of small answers are kept for viewers who do not take
// them. Beyond, who takes none at once is not answered. Large ones are not kept.
const mostKept = 32 << 20

// mostSmall is about the size of a small answer at most.
const mostSmall = 32 << 10

// Wire is a connection that was secured.
type Wire interface {
	net.Conn

	// WriteTogether is Write for what is large.
	WriteTogether(p []byte) (int, error)

	// CloseWrite tells the viewer that nothing more comes, if that can be told.
	CloseWrite() error
}

// Conn is a viewer's connection.
type Conn struct {
	wire    Wire
	handler Handler
	options Options
	desks   *sync.Pool

	// Of the goroutine that reads.
	frames    *http2.Framer
	headers   *hpack.Decoder
	fields    []hpack.HeaderField
	size      uint32 // of fields, as HTTP/2 counts
	block     int    // bytes, of a block that is not complete
	pieces    int    // the same in frames
	opening   opening
	misplaced int // bytes
	calm      calm
	readable  []byte // read, and not used
	onward    []byte // to the server
	first     [1 << 10]byte
	readBy    time.Time // when the deadline was last set

	asking sync.Mutex
	asked  bool // to leave

	mu       sync.Mutex
	desk     *desk // nil while there is nothing to do
	window   int64 // of the connection; what the viewer takes
	initial  int64 // of a stream
	table    bool  // the viewer's table is too small for answers that say nothing of it
	newest   uint32
	flights  []*flight // that are answered here, and not through
	flying   bool      // a goroutine has them sent
	moved    *sync.Cond
	greeted  bool
	leaving  bool
	said     bool   // GOAWAY
	last     uint32 // of the streams that it has said will be answered
	reserved int64  // of window, for the server
	scratch  flight
	over     bool
	since    time.Time // when the last stream ended
	writeBy  time.Time

	server     net.Conn // nil until it is needed
	serverEnd  chan struct{}
	served     uint32 // newest of its streams
	compressor *hpack.Encoder
	compressed sink
	theirs     map[uint32]half // streams of the server that are open
	announced  map[http2.SettingID]uint32
}

// half is which sides of a stream have ended.
type half uint8

const (
	viewerEnded half = 1 << iota
	serverEnded
)

// sink is what was compressed.
type sink []byte

func (s *sink) Write(p []byte) (int, error) {
	*s = append(*s, p...)
	return len(p), nil
}

// desk is what a connection needs while there is something to do.
type desk struct {
	answer loop.Answer
	out    []byte
	block  []byte
}

// Desks are for all connections of a door.
func Desks() *sync.Pool { return &sync.Pool{New: func() any { return new(desk) }} }

// mostOut is how much is gathered before it is sent, unless more than manyBusy
// connections have something to do: they may all be slow, and what was gathered
// stays until it was taken.
const (
	mostOut  = 64 << 10
	manyBusy = 256
)

func (c *Conn) mostOut() int {
	if c.options.Shared.busy.Load() > manyBusy {
		return mostFrame
	}
	return mostOut
}

// defaultWindow is what a stream or a connection begins with.
// https://www.rfc-editor.org/rfc/rfc9113#section-6.9.2
const defaultWindow = 65535

// mostWindow is the largest there may be.
const mostWindow = 1<<31 - 1

// New returns a connection that is to be served. desks is of Desks.
func New(w Wire, h Handler, o Options, desks *sync.Pool) *Conn {
	c := &Conn{wire: w, handler: h, options: o, desks: desks, window: defaultWindow, initial: defaultWindow, since: time.Now()}
	c.calm.since = c.since
	if c.options.Shared == nil {
		c.options.Shared = new(Shared)
	}
	c.moved = sync.NewCond(&c.mu)
	c.frames = http2.NewFramer(nil, c)
	c.frames.SetReuseFrames()
	c.frames.SetMaxReadFrameSize(mostFrame)
	c.headers = hpack.NewDecoder(4096, c.take)
	c.headers.SetMaxStringLength(int(o.HeaderList))
	return c
}

var errLeft = errors.New("the connection is over")

// Serve returns when the connection is over and nothing of it runs any more.
func (c *Conn) Serve() {
	err := c.serve()
	c.mu.Lock()
	code, broken := errors.AsType[http2.ConnectionError](err)
	if broken && !c.over {
		c.goAway(http2.ErrCode(code))
	}
	c.finish()
	server, end, said := c.server, c.serverEnd, c.said
	c.mu.Unlock()
	_ = c.wire.SetWriteDeadline(time.Now().Add(time.Second)) // of the goodbye
	if server != nil {
		_ = server.Close()
	}
	if told := c.options.Shared.Calmed; broken && http2.ErrCode(code) == http2.ErrCodeEnhanceYourCalm && told != nil {
		told()
	}
	if said && c.wire.CloseWrite() == nil {
		// Bytes that nobody reads would end the connection before the viewer has seen what was said last.
		_ = c.wire.SetReadDeadline(time.Now().Add(lastWords))
		_, _ = io.CopyN(io.Discard, c.wire, lastWordsSize)
	}
	_ = c.wire.Close()
	if server != nil {
		<-end
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.flying {
		c.moved.Wait()
	}
	if c.desk != nil {
		c.desk.out = c.desk.out[:0]
	}
	c.putDown()
}

// What a viewer is still sending who was told that the connection ends is taken for
// so long, and so much of it.
const (
	lastWords     = 500 * time.Millisecond
	lastWordsSize = 1 << 20
)

func (c *Conn) serve() error {
	var preface [len(http2.ClientPreface)]byte
	_ = c.wire.SetReadDeadline(time.Now().Add(c.options.First)) // a broken connection is found out by reading
	c.readBy = time.Now().Add(c.options.Idle)                   // nothing else is set until there is more
	if _, err := io.ReadFull(c, preface[:]); err != nil {
		return err
	}
	if string(preface[:]) != http2.ClientPreface {
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	c.mu.Lock()
	c.greeted = true
	c.greet()
	c.mu.Unlock()
	for begun := false; ; begun = true {
		f, err := c.frames.ReadFrame()
		if stream, is := errors.AsType[http2.StreamError](err); is {
			err = http2.ConnectionError(stream.Code) // it may have been headers, of which nobody knows now what they said
		}
		if err == nil && !begun {
			if s, is := f.(*http2.SettingsFrame); !is || s.IsAck() {
				err = http2.ConnectionError(http2.ErrCodeProtocol)
			}
		}
		if err == nil {
			err = c.calm.spend(price(f))
		}
		if err == nil {
			err = c.heed(f)
		}
		if stream, is := errors.AsType[http2.StreamError](err); is {
			err = c.refuse(stream)
		}
		if errors.Is(err, http2.ErrFrameTooLarge) {
			err = http2.ConnectionError(http2.ErrCodeFrameSize)
		}
		if err != nil {
			return err
		}
	}
}

// greet promises what the server will keep.
func (c *Conn) greet() {
	b := appendFrame(c.out(), http2.FrameSettings, 0, 0, 3*6)
	for _, s := range [...]http2.Setting{
		{ID: http2.SettingMaxConcurrentStreams, Val: c.options.Streams},
		{ID: http2.SettingInitialWindowSize, Val: c.options.StreamWindow},
		{ID: http2.SettingMaxHeaderListSize, Val: c.options.HeaderList},
	} {
		b = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16(b, uint16(s.ID)), s.Val)
	}
	c.desk.out = b
}

// Read is for the framer: what is to be written is written before it waits.
func (c *Conn) Read(p []byte) (int, error) {
	for len(c.readable) == 0 {
		if err := c.rest(); err != nil {
			return 0, err
		}
		if len(p) >= len(c.first) {
			if n, _ := c.wire.Read(p); n > 0 {
				return n, nil
			} // what there is to say otherwise will be said again
		}
		n, err := c.wire.Read(c.first[:])
		if c.readable = c.first[:n]; n > 0 {
			break
		}
		if timeout, is := errors.AsType[net.Error](err); is && timeout.Timeout() && c.waits() {
			continue
		}
		if err != nil {
			return 0, err
		}
	}
	n := copy(p, c.readable)
	c.readable = c.readable[n:]
	return n, nil
}

// rest is called when what has arrived was heeded.
func (c *Conn) rest() error {
	if len(c.onward) > 0 {
		_, err := c.server.Write(c.onward)
		if c.onward = c.onward[:0]; cap(c.onward) > mostOut {
			c.onward = nil
		}
		if err != nil {
			return err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.flush(); err != nil {
		return err
	}
	if len(c.flights) > 0 && !c.flying {
		c.flying = true
		go c.fly()
	}
	now, by := time.Now(), time.Time{}
	if now.Sub(c.readBy) > c.options.Idle/64 && !c.leaving && c.greeted {
		c.readBy, by = now, now.Add(c.options.Idle)
	}
	if c.isAsked(by) || c.open() == 0 && now.Sub(c.since) > c.options.Idle {
		c.goAway(http2.ErrCodeNo)
	}
	if c.over || c.leaving && c.open() == 0 {
		return errLeft
	}
	c.putDown()
	return nil
}

// waits reports whether a viewer who has been silent may be so, since an answer is
// on its way.
func (c *Conn) waits() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.greeted {
		return false
	}
	now := time.Now()
	if c.isAsked(time.Time{}) || c.open() == 0 && now.Sub(c.since) >= c.options.Idle-c.options.Idle/32 {
		c.goAway(http2.ErrCodeNo)
	}
	if c.over || c.leaving && c.open() == 0 {
		return false
	}
	c.readBy = now
	_ = c.wire.SetReadDeadline(now.Add(c.options.Idle)) // as above
	return true
}

// open is how many streams are.
func (c *Conn) open() int { return len(c.theirs) + len(c.flights) }

// out is what waits to be written, to be appended to.
func (c *Conn) out() []byte {
	c.pickUp()
	return c.desk.out
}

func (c *Conn) pickUp() {
	if c.desk == nil {
		c.desk = c.desks.Get().(*desk) //nolint:forcetypeassert // nothing else is put there
		c.desk.out = c.desk.out[:0]
		c.options.Shared.busy.Add(1)
	}
}

// putDown gives the desk back if there is nothing to do.
func (c *Conn) putDown() {
	if c.desk != nil && len(c.desk.out) == 0 && len(c.flights) == 0 {
		c.desks.Put(c.desk)
		c.desk = nil
		c.options.Shared.busy.Add(-1)
	}
}

// flush writes what waits to be written.
func (c *Conn) flush() (err error) {
	if c.desk == nil || len(c.desk.out) == 0 {
		return nil
	}
	if by := time.Now().Add(c.options.Stall); by.Sub(c.writeBy) > time.Second {
		c.writeBy = by
		_ = c.wire.SetWriteDeadline(by) // a broken connection is found out by writing
	}
	if b := c.desk.out; len(b) > mostFrame {
		_, err = c.wire.WriteTogether(b)
	} else {
		_, err = c.wire.Write(b)
	}
	c.desk.out = c.desk.out[:0]
	if err != nil {
		c.finish()
		c.wake()
	}
	return err
}

// flushMuch writes if there is much to be written.
func (c *Conn) flushMuch() error {
	if c.desk != nil && len(c.desk.out) >= c.mostOut() {
		return c.flush()
	}
	return nil
}

// goAway tells the viewer that there will be no more answers than those that are
// under way.
func (c *Conn) goAway(code http2.ErrCode) {
	if c.said && code == http2.ErrCodeNo {
		return
	}
	if !c.said {
		c.last = c.newest
	}
	c.said, c.leaving = true, true
	b := appendFrame(c.out(), http2.FrameGoAway, 0, 0, 8)
	b = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(b, c.last), uint32(code))
	c.desk.out = b
	_ = c.flush()
}

// finish ends what is answered here.
func (c *Conn) finish() {
	c.over = true
	for _, f := range c.flights {
		c.options.Shared.kept.Add(-f.kept)
		f.end(false)
	}
	c.flights = nil
	c.moved.Broadcast()
}

// Idle is since when there has been no stream; zero if there are some, or something
// is being done. It does not wait.
func (c *Conn) Idle() time.Time {
	if !c.mu.TryLock() {
		return time.Time{}
	}
	defer c.mu.Unlock()
	if c.open() > 0 {
		return time.Time{}
	}
	return c.since
}

// Leave ends the connection as soon as its answers are out. It does not wait for a
// viewer who takes nothing.
func (c *Conn) Leave() {
	c.asking.Lock()
	defer c.asking.Unlock()
	c.asked = true
	_ = c.wire.SetReadDeadline(time.Unix(1, 0))
}

// isAsked reports whether the connection is to end; if not, it may read until by.
func (c *Conn) isAsked(by time.Time) bool {
	c.asking.Lock()
	defer c.asking.Unlock()
	if !c.asked && !by.IsZero() {
		_ = c.wire.SetReadDeadline(by) // a broken connection is found out by reading
	}
	return c.asked
}

// wake has the goroutine that reads look whether the connection is over.
func (c *Conn) wake() {
	if c.over || c.leaving && c.open() == 0 {
		_ = c.wire.SetReadDeadline(time.Unix(1, 0))
	}
}
