package h2

import (
	"encoding/binary"
	"io"
	"net"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// pass passes a header block on to the server, which judges it.
func (c *Conn) pass(o *opening, fresh bool) error {
	if c.server == nil {
		c.callServer()
	}
	if fresh {
		c.served = o.stream
		c.theirs[o.stream] = 0
	}
	c.compressed = c.compressed[:0]
	for i := range c.fields {
		_ = c.compressor.WriteField(c.fields[i]) // a sink takes everything
	}
	block := []byte(c.compressed)
	if !o.priority.IsZero() {
		dep := o.priority.StreamDep
		if o.priority.Exclusive {
			dep |= 1 << 31
		}
		first := append(binary.BigEndian.AppendUint32(nil, dep), o.priority.Weight)
		part := block[:min(len(block), mostFrame-len(first))]
		flags := http2.FlagHeadersPriority | endFlag(o.end)
		if len(part) == len(block) {
			flags |= http2.FlagHeadersEndHeaders
		}
		b := append(appendFrame(c.onward, http2.FrameHeaders, flags, o.stream, len(first)+len(part)), first...)
		c.onward = append(b, part...)
		if len(part) < len(block) {
			c.onward = appendContinuations(c.onward, block[len(part):], o.stream)
		}
	} else {
		c.onward = appendHeaders(c.onward, block, o.stream, o.end)
	}
	if o.end {
		c.ended(o.stream, viewerEnded)
	}
	return nil
}

func endFlag(end bool) http2.Flags {
	if end {
		return http2.FlagHeadersEndStream
	}
	return 0
}

func appendContinuations(b, block []byte, stream uint32) []byte {
	for len(block) > 0 {
		part := block[:min(len(block), mostFrame)]
		block = block[len(part):]
		flags := http2.Flags(0)
		if len(block) == 0 {
			flags = http2.FlagContinuationEndHeaders
		}
		b = append(appendFrame(b, http2.FrameContinuation, flags, stream, len(part)), part...)
	}
	return b
}

// callServer has a server for this connection, and tells it what the viewer has
// said of itself.
func (c *Conn) callServer() {
	here, there := net.Pipe()
	c.server, c.serverEnd, c.theirs = here, make(chan struct{}), make(map[uint32]half)
	c.compressor = hpack.NewEncoder(&c.compressed)
	b := appendFrame([]byte(http2.ClientPreface), http2.FrameSettings, 0, 0, 6*len(c.announced))
	for id, value := range c.announced {
		b = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16(b, uint16(id)), value)
	}
	c.onward = append(b, c.onward...)
	go func() {
		defer close(c.serverEnd)
		c.handler.Pass(there)
		c.relay(here)
		_ = here.Close()
	}()
}

// ended says that a side of a server's stream has ended.
func (c *Conn) ended(stream uint32, which half) {
	was, is := c.theirs[stream]
	if !is {
		return
	}
	if was |= which; was == viewerEnded|serverEnded {
		c.calm.answered()
		c.forget(stream)
		return
	}
	c.theirs[stream] = was
}

// giveBack has the viewer ask elsewhere what the server will not look at any more:
// what came after the last stream that it has named.
// https://www.rfc-editor.org/rfc/rfc9113#section-6.8
func (c *Conn) giveBack(last uint32) {
	c.pickUp()
	for stream := range c.theirs {
		if stream > last {
			c.desk.out = appendReset(c.desk.out, stream, http2.ErrCodeRefusedStream)
			c.forget(stream)
		}
	}
}

// forget says that a server's stream is over.
func (c *Conn) forget(stream uint32) {
	if _, is := c.theirs[stream]; is {
		delete(c.theirs, stream)
		c.since = time.Now()
	}
}

// relay passes the server's frames on to the viewer until the server ends.
func (c *Conn) relay(server net.Conn) {
	r := &relaying{c: c, server: server}
	var free [16 << 10]byte
	for {
		n, err := server.Read(free[:])
		r.arrived = append(r.arrived, free[:n]...)
		if err != nil || r.all() != nil {
			break
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.theirs)
	if !c.leaving {
		c.goAway(http2.ErrCodeNo)
	}
	c.leaving = true
	c.wake()
}

// relaying is what relay knows.
type relaying struct {
	c       *Conn
	server  net.Conn
	arrived []byte
	block   []byte // frames of a header block that is not complete
	back    []byte // to the server
	greeted bool   // it has said that it knows what the viewer said of itself at first
}

// all passes on all frames that are complete.
func (r *relaying) all() error {
	r.c.mu.Lock()
	err := r.each()
	if err == nil {
		err = r.c.flush()
	}
	if err == nil {
		r.c.wake()
	}
	r.c.putDown()
	r.c.mu.Unlock()
	if err == nil && len(r.back) > 0 {
		_, err = r.server.Write(r.back)
		r.back = r.back[:0]
	}
	return err
}

func (r *relaying) each() error {
	used := 0
	for {
		b := r.arrived[used:]
		if len(b) < frameHeader {
			break
		}
		size := frameHeader + int(b[0])<<16 + int(b[1])<<8 + int(b[2])
		if len(b) < size {
			break
		}
		if err := r.one(b[:size]); err != nil {
			return err
		}
		used += size
		if err := r.c.flushMuch(); err != nil {
			return err
		}
	}
	r.arrived = append(r.arrived[:0], r.arrived[used:]...)
	return nil
}

// one passes a frame on.
func (r *relaying) one(f []byte) error {
	c := r.c
	if c.over {
		return io.ErrClosedPipe
	}
	kind, flags, stream := http2.FrameType(f[3]), http2.Flags(f[4]), binary.BigEndian.Uint32(f[5:])&(1<<31-1)
	switch kind {
	case http2.FrameSettings:
		switch {
		case flags&http2.FlagSettingsAck == 0:
			r.back = appendFrame(r.back, http2.FrameSettings, http2.FlagSettingsAck, 0, 0)
			return nil
		case !r.greeted:
			r.greeted = true
			return nil
		}
	case http2.FramePing, http2.FramePushPromise, http2.FramePriority:
		return nil // it has not been asked, and asks nobody
	case http2.FrameGoAway:
		c.giveBack(binary.BigEndian.Uint32(f[frameHeader:]) & (1<<31 - 1))
		c.goAway(http2.ErrCode(binary.BigEndian.Uint32(f[frameHeader+4:])))
		return nil
	case http2.FrameData:
		return r.data(f, flags&http2.FlagDataEndStream, stream)
	case http2.FrameHeaders, http2.FrameContinuation:
		r.block = append(r.block, f...)
		if flags&http2.FlagHeadersEndHeaders == 0 {
			if kind == http2.FrameHeaders && flags&http2.FlagHeadersEndStream != 0 {
				c.ended(stream, serverEnded)
			}
			return nil // nothing may come in between
		}
		c.pickUp()
		c.desk.out = append(c.desk.out, r.block...)
		r.block = r.block[:0]
	case http2.FrameRSTStream:
		c.forget(stream)
	}
	if kind != http2.FrameHeaders && kind != http2.FrameContinuation {
		c.pickUp()
		c.desk.out = append(c.desk.out, f...)
	}
	if kind == http2.FrameHeaders && flags&http2.FlagHeadersEndStream != 0 {
		c.ended(stream, serverEnded)
	}
	return nil
}

// data sends a part of a body as far as the viewer takes it on the whole
// connection, waits for the rest, and gives the server back what it has used of
// that: it does not know what else is sent.
func (r *relaying) data(f []byte, end http2.Flags, stream uint32) error {
	c, left := r.c, f[frameHeader:]
	if len(left) > 0 {
		r.back = appendWindowUpdate(r.back, 0, len(left))
	}
	for {
		if err := r.await(int64(len(left))); err != nil {
			return err
		}
		if _, open := c.theirs[stream]; !open {
			return nil // the viewer wants no more of it
		}
		part := left[:min(int64(len(left)), c.window)]
		left = left[len(part):]
		c.window -= int64(len(part))
		c.calm.sent(int64(len(part)))
		flags := http2.Flags(0)
		if len(left) == 0 {
			flags = end
		}
		c.pickUp()
		c.desk.out = append(appendFrame(c.desk.out, http2.FrameData, flags, stream, len(part)), part...)
		if len(left) == 0 {
			break
		}
	}
	if end != 0 {
		c.ended(stream, serverEnded)
	}
	return nil
}

// await returns when the window has room for any of so much, or the connection is
// over, as it is when the viewer has taken nothing for too long.
func (r *relaying) await(n int64) error {
	c := r.c
	if (n == 0 || c.window > 0) && !c.over {
		return nil
	}
	if err := c.flush(); err != nil {
		return err
	}
	c.reserved = n
	late := time.Now().Add(c.options.Stall)
	timer := time.AfterFunc(c.options.Stall, c.look)
	for c.window <= 0 && !c.over && time.Now().Before(late) {
		c.moved.Wait()
	}
	timer.Stop()
	c.reserved = 0
	if c.window <= 0 && !c.over {
		c.finish()
		c.wake()
	}
	if c.over {
		return io.ErrClosedPipe
	}
	return nil
}
