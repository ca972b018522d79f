package h2

import (
	"encoding/binary"
	"time"
	"unsafe"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// opening is a header block that is not complete.
type opening struct {
	stream   uint32
	end      bool
	priority http2.PriorityParam
}

// heed does what a viewer's frame says.
func (c *Conn) heed(f http2.Frame) error {
	switch f := f.(type) {
	case *http2.HeadersFrame:
		return c.beginBlock(f)
	case *http2.ContinuationFrame:
		return c.goOnBlock(f.HeaderBlockFragment(), f.HeadersEnded())
	case *http2.SettingsFrame:
		return c.heedSettings(f)
	case *http2.PingFrame:
		return c.heedPing(f)
	case *http2.WindowUpdateFrame:
		return c.heedWindow(f)
	case *http2.RSTStreamFrame:
		return c.heedReset(f)
	case *http2.DataFrame:
		return c.heedData(f)
	case *http2.PriorityFrame:
		if f.StreamDep == f.StreamID {
			return http2.StreamError{StreamID: f.StreamID, Code: http2.ErrCodeProtocol}
		}
	case *http2.GoAwayFrame:
		c.mu.Lock()
		defer c.mu.Unlock()
		c.goAway(http2.ErrCodeNo)
	case *http2.PushPromiseFrame:
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	return nil
}

// beginBlock begins a header block: of a new stream, or that which ends one.
func (c *Conn) beginBlock(f *http2.HeadersFrame) error {
	if f.StreamID%2 == 0 {
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	c.opening = opening{stream: f.StreamID, end: f.StreamEnded(), priority: f.Priority}
	c.fields, c.size, c.block, c.pieces = c.fields[:0], 0, 0, 0
	c.headers.SetEmitEnabled(true)
	return c.goOnBlock(f.HeaderBlockFragment(), f.HeadersEnded())
}

// mostPieces is in how many frames a header block may come.
const mostPieces = 64

// goOnBlock reads more of a header block. One that is much larger than allowed, or
// comes in too many pieces, ends the connection: it would have to be read to its
// end.
func (c *Conn) goOnBlock(b []byte, last bool) error {
	c.block += len(b)
	if c.pieces++; c.pieces > mostPieces || c.block > 2*int(c.options.HeaderList) {
		return http2.ConnectionError(http2.ErrCodeEnhanceYourCalm)
	}
	if _, err := c.headers.Write(b); err != nil {
		return http2.ConnectionError(http2.ErrCodeCompression)
	}
	if !last {
		return nil
	}
	if err := c.headers.Close(); err != nil {
		return http2.ConnectionError(http2.ErrCodeCompression)
	}
	return c.opened(&c.opening)
}

// take is told of each field. Of those beyond what is allowed one is kept, so that
// the server sees that they are too many.
func (c *Conn) take(f hpack.HeaderField) {
	c.fields = append(c.fields, f)
	if c.size += f.Size(); c.size > c.options.HeaderList {
		c.headers.SetEmitEnabled(false)
	}
}

// opened is called with the fields of a block. Streams are numbered upwards, and
// those that the server has seen it judges itself.
func (c *Conn) opened(o *opening) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	fresh := o.stream > c.newest
	switch {
	case c.flightOf(o.stream) != nil:
		return http2.StreamError{StreamID: o.stream, Code: http2.ErrCodeStreamClosed}
	case !fresh && o.stream > c.served:
		return http2.ConnectionError(http2.ErrCodeStreamClosed)
	case fresh && (c.leaving || c.open() >= int(c.options.Streams)):
		c.newest = o.stream
		c.pickUp()
		c.desk.out = appendReset(c.desk.out, o.stream, http2.ErrCodeRefusedStream)
		if err := c.calm.spend(priceOfReset); err != nil {
			return err
		}
		return c.flushMuch()
	case fresh:
		c.newest = o.stream
		if o.end && o.priority.StreamDep != o.stream && c.answer(o.stream) {
			c.since = time.Now()
			c.calm.answered()
			return c.flushMuch()
		}
	}
	return c.pass(o, fresh)
}

// bytesOf is s without a copy, for those who do not change it.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// plain reads the fields as a plain request, into the desk.
func (c *Conn) plain() bool {
	var method, scheme, authority, path string
	regular := 0
	for ; regular < len(c.fields) && c.fields[regular].IsPseudo(); regular++ {
		f := &c.fields[regular]
		var to *string
		switch f.Name {
		case ":method":
			to = &method
		case ":scheme":
			to = &scheme
		case ":authority":
			to = &authority
		case ":path":
			to = &path
		}
		if to == nil || *to != "" {
			return false
		}
		*to = f.Value
	}
	r := c.handler.Request(&c.desk.answer)
	if scheme != "https" || c.size > c.options.HeaderList || !r.Begin(method, bytesOf(path), bytesOf(authority)) {
		return false
	}
	for i := range c.fields[regular:] {
		f := &c.fields[regular+i]
		if !r.Add(bytesOf(f.Name), bytesOf(f.Value)) {
			return false
		}
	}
	return true
}

func (c *Conn) heedSettings(f *http2.SettingsFrame) error {
	if f.IsAck() {
		return nil
	}
	if f.NumSettings() > 100 || f.HasDuplicates() {
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := f.ForeachSetting(c.set); err != nil {
		return err
	}
	if c.server == nil {
		c.pickUp()
		c.desk.out = appendFrame(c.desk.out, http2.FrameSettings, http2.FlagSettingsAck, 0, 0)
		return c.flushMuch()
	}
	b := appendFrame(c.onward, http2.FrameSettings, 0, 0, 6*f.NumSettings()) // the server will say that it has it
	_ = f.ForeachSetting(func(s http2.Setting) error {
		b = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16(b, uint16(s.ID)), s.Val)
		return nil
	})
	c.onward = b
	return nil
}

func (c *Conn) set(s http2.Setting) error {
	if err := s.Valid(); err != nil {
		return err
	}
	if c.announced == nil {
		c.announced = make(map[http2.SettingID]uint32)
	}
	switch s.ID {
	case http2.SettingHeaderTableSize:
		// What makes the table smaller must be said in the next block.
		c.table = c.table || s.Val < 4096
	case http2.SettingInitialWindowSize:
		for _, f := range c.flights {
			if f.window += int64(s.Val) - c.initial; f.window > mostWindow {
				return http2.ConnectionError(http2.ErrCodeFlowControl)
			}
		}
		c.initial = int64(s.Val)
		c.moved.Broadcast()
	case http2.SettingEnablePush, http2.SettingMaxConcurrentStreams, http2.SettingMaxFrameSize, http2.SettingMaxHeaderListSize:
	default:
		return nil // nobody knows what it means
	}
	c.announced[s.ID] = s.Val
	return nil
}

func (c *Conn) heedPing(f *http2.PingFrame) error {
	if f.IsAck() {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pickUp()
	c.desk.out = append(appendFrame(c.desk.out, http2.FramePing, http2.FlagPingAck, 0, len(f.Data)), f.Data[:]...)
	return c.flushMuch()
}

func (c *Conn) heedWindow(f *http2.WindowUpdateFrame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.StreamID == 0 {
		if c.window += int64(f.Increment); c.window > mostWindow {
			return http2.ConnectionError(http2.ErrCodeFlowControl)
		}
		c.moved.Broadcast()
		return nil
	}
	if fl := c.flightOf(f.StreamID); fl != nil {
		if fl.window += int64(f.Increment); fl.window > mostWindow {
			return http2.StreamError{StreamID: f.StreamID, Code: http2.ErrCodeFlowControl}
		}
		c.moved.Broadcast()
		return nil
	}
	if err := c.known(f.StreamID); err != nil || f.StreamID > c.served {
		return err
	}
	c.onward = appendWindowUpdate(c.onward, f.StreamID, int(f.Increment))
	return nil
}

// known is an error for a stream that has not begun.
func (c *Conn) known(stream uint32) error {
	if stream > c.newest || stream%2 == 0 {
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	return nil
}

func (c *Conn) heedReset(f *http2.RSTStreamFrame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if fl := c.flightOf(f.StreamID); fl != nil {
		c.land(fl, false)
		return nil
	}
	if err := c.known(f.StreamID); err != nil || f.StreamID > c.served {
		return err
	}
	c.forget(f.StreamID)
	c.onward = appendReset(c.onward, f.StreamID, f.ErrCode)
	return nil
}

// heedData passes a part of a body on. There is none of a request that was
// answered here; the viewer gets back what it has taken of the connection.
func (c *Conn) heedData(f *http2.DataFrame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.known(f.StreamID); err != nil {
		return err
	}
	size := int(f.Length)
	if f.StreamID > c.served || c.flightOf(f.StreamID) != nil {
		if c.misplaced += size; c.misplaced > mostWindow/2 {
			return http2.ConnectionError(http2.ErrCodeEnhanceYourCalm)
		}
		if size > 0 {
			c.pickUp()
			c.desk.out = appendWindowUpdate(c.desk.out, 0, size)
		}
		return http2.StreamError{StreamID: f.StreamID, Code: http2.ErrCodeStreamClosed}
	}
	flags := f.Flags & http2.FlagDataEndStream
	// Padding counts as if it were of the body, and is given back at once.
	data := f.Data()
	if padding := size - len(data); padding > 0 {
		b := appendWindowUpdate(c.out(), 0, padding)
		c.desk.out = appendWindowUpdate(b, f.StreamID, padding)
	}
	c.onward = append(appendFrame(c.onward, http2.FrameData, flags, f.StreamID, len(data)), data...)
	if flags != 0 {
		c.ended(f.StreamID, viewerEnded)
	}
	return c.flushMuch()
}

// refuse ends a stream of which a frame was wrong.
func (c *Conn) refuse(e http2.StreamError) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e.StreamID > c.newest && e.StreamID%2 == 1 {
		c.newest = e.StreamID
	}
	if fl := c.flightOf(e.StreamID); fl != nil {
		c.land(fl, false)
	} else if e.StreamID <= c.served {
		c.onward = appendReset(c.onward, e.StreamID, e.Code)
		c.forget(e.StreamID)
	}
	c.pickUp()
	c.desk.out = appendReset(c.desk.out, e.StreamID, e.Code)
	if err := c.calm.spend(priceOfWrong); err != nil {
		return err
	}
	return c.flushMuch()
}
