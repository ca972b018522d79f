package h2

import (
	"bytes"
	"time"

	"golang.org/x/net/http2"

	"github.com/freshet/freshet/internal/edge/loop"
)

// flight is a body on its way to the viewer.
type flight struct {
	stream uint32
	window int64
	body   []byte // what is left of it
	file   int
	at     int64
	left   int64 // of file
	bytes  int64 // that are out
	sent   loop.Sent
	kept   int64 // bytes, of the body

	since time.Time // when it began, or enough of it was last taken
	taken int64     // since then
}

func (f *flight) size() int64 { return int64(len(f.body)) + f.left }

// end tells who wants to know.
func (f *flight) end(complete bool) {
	if f.sent != nil {
		f.sent.Sent(f.bytes, complete)
		f.sent = nil
	}
}

func (c *Conn) flightOf(stream uint32) *flight {
	for _, f := range c.flights {
		if f.stream == stream {
			return f
		}
	}
	return nil
}

// land ends a flight.
func (c *Conn) land(f *flight, complete bool) {
	for i := range c.flights {
		if c.flights[i] == f {
			c.flights = append(c.flights[:i], c.flights[i+1:]...)
			break
		}
	}
	c.options.Shared.kept.Add(-f.kept)
	f.end(complete)
	c.since = time.Now()
	c.moved.Broadcast()
}

// answer answers a stream with the fields that were read, if that can be done at
// once, and reports whether it did.
func (c *Conn) answer(stream uint32) bool {
	c.pickUp()
	if c.table || !c.plain() {
		return false
	}
	if c.options.Shared.kept.Load() > mostKept && min(c.window-c.reserved, c.initial) < mostSmall {
		c.desk.out = appendReset(c.desk.out, stream, http2.ErrCodeRefusedStream)
		return true
	}
	a := &c.desk.answer
	a.Now, a.Head, a.Body, a.Length, a.Sent = time.Now(), a.Head[:0], nil, 0, nil
	if !c.handler.Answer(a) {
		return false
	}
	at := bytes.Index(a.Head, blankLine) + len(blankLine)
	block, ok := appendBlock(c.desk.block[:0], a.Head[:at-len(newline)])
	c.desk.block = block
	f := &c.scratch
	*f = flight{stream: stream, window: c.initial, body: a.Head[at:], sent: a.Sent, since: a.Now}
	if len(f.body) == 0 {
		f.body, f.file, f.at, f.left = a.Body, a.File, a.At, a.Length
	}
	if at < len(blankLine) || !ok { // it is no answer of ours
		f.end(false)
		c.desk.out = appendReset(c.desk.out, stream, http2.ErrCodeInternal)
		return true
	}
	c.desk.out = appendHeaders(c.desk.out, block, stream, f.size() == 0)
	if f.size() == 0 {
		f.end(true)
		return true
	}
	c.send(f, mostFrame)
	if f.size() > 0 {
		if a.Sent == nil { // the desk will be used again
			f.body = bytes.Clone(f.body)
			f.kept = int64(len(f.body))
			c.options.Shared.kept.Add(f.kept)
		}
		kept := *f
		c.flights = append(c.flights, &kept)
		return true
	}
	f.end(true)
	return true
}

var blankLine = []byte("\r\n\r\n")

// send puts as much of a body into frames as the viewer takes, at most so much.
func (c *Conn) send(f *flight, most int64) {
	for most > 0 && f.size() > 0 {
		n := min(most, f.size(), f.window, c.window-c.reserved, mostFrame)
		if n <= 0 {
			return
		}
		flags := http2.Flags(0)
		if n == f.size() {
			flags = http2.FlagDataEndStream
		}
		b := appendFrame(c.desk.out, http2.FrameData, flags, f.stream, int(n))
		if len(f.body) > 0 {
			b = append(b, f.body[:n]...)
			f.body = f.body[n:]
		} else {
			from := len(b)
			b = grown(b, int(n))
			if loop.ReadFile(f.file, b[from:], f.at) != nil {
				c.desk.out = appendReset(b[:from-frameHeader], f.stream, http2.ErrCodeInternal)
				f.body, f.left, f.window = nil, 0, -1
				return
			}
			f.at, f.left = f.at+n, f.left-n
		}
		c.desk.out = b
		f.window -= n
		c.window -= n
		f.bytes += n
		c.calm.sent(n)
		most -= n
		if f.taken += n; f.taken >= patient {
			f.since, f.taken = time.Now(), 0
		}
	}
}

// patient is how much of an answer a viewer must take within Options.Stall.
const patient = 64 << 10

func grown(b []byte, n int) []byte {
	if free := cap(b) - len(b); free < n {
		b = append(b, make([]byte, n)...)
		return b
	}
	return b[:len(b)+n]
}

// fly sends what is on its way, a frame of each in turns, until there is nothing
// more.
func (c *Conn) fly() {
	c.mu.Lock()
	defer c.mu.Unlock()
	timer := time.AfterFunc(c.options.Stall, c.look)
	defer timer.Stop()
	for len(c.flights) > 0 && !c.over {
		before, full := c.window, len(c.desk.out) >= c.mostOut()
		for i := 0; i < len(c.flights) && len(c.desk.out) < c.mostOut(); {
			f := c.flights[i]
			if c.send(f, mostFrame); f.size() == 0 {
				c.land(f, f.window >= 0)
				continue
			}
			i++
		}
		if len(c.flights) > 1 { // who was last is first
			c.flights = append(c.flights[1:], c.flights[0])
		}
		if c.flush() != nil {
			break
		}
		if before == c.window && !full && len(c.flights) > 0 && !c.over {
			timer.Reset(c.options.Stall)
			c.moved.Wait()
			c.drop()
			continue
		}
		c.mu.Unlock() // others may have their turn
		c.mu.Lock()
	}
	c.flying = false
	c.putDown()
	c.wake()
	c.moved.Broadcast()
}

// look has fly look after who takes nothing.
func (c *Conn) look() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.moved.Broadcast()
}

// drop ends the flights of which the viewer takes too little.
func (c *Conn) drop() {
	now := time.Now()
	for i := 0; i < len(c.flights); {
		f := c.flights[i]
		if now.Sub(f.since) < c.options.Stall {
			i++
			continue
		}
		c.desk.out = appendReset(c.desk.out, f.stream, http2.ErrCodeInternal)
		c.land(f, false)
	}
}
