package h2

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// The same headers come out as HTTP/1.1 would have them.
func TestBlocks(t *testing.T) {
	head := "HTTP/1.1 404 Not Found\r\nAge: 5\r\nContent-Type: text/html\r\nX-Long: " + strings.Repeat("v", 5000) + "\r\n" +
		strings.Repeat("N", 200) + ": \r\nVia: 1.1 a: b\r\n"
	block, ok := appendBlock(nil, []byte(head))
	fields, err := hpack.NewDecoder(4096, nil).DecodeFull(block)
	var got strings.Builder
	for _, f := range fields {
		got.WriteString(f.Name + ": " + f.Value + "\r\n")
	}
	want := ":status: 404\r\nage: 5\r\ncontent-type: text/html\r\nx-long: " + strings.Repeat("v", 5000) + "\r\n" + strings.Repeat("n", 200) + ": \r\nvia: 1.1 a: b\r\n"
	if got.String() != want || !ok || err != nil {
		t.Errorf("%.300s, %v %v", got.String(), ok, err)
	}
	for _, head := range []string{"", "HTTP/1.1 2", "HTTP/1.1 200 OK", "HTTP/1.1 200 OK\r\nX\r\n", "HTTP/1.1 200 OK\r\nX: y"} {
		if _, ok := appendBlock(nil, []byte(head)); ok {
			t.Errorf("%q is a head", head)
		}
	}
}

func FuzzConnections(f *testing.F) {
	var frames bytes.Buffer
	w := http2.NewFramer(&frames, nil)
	_ = w.WriteSettings()
	_ = w.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x82, 0x87, 0x84, 0x41, 1, 'a'}, EndStream: true, EndHeaders: true})
	_ = w.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, BlockFragment: []byte{0x83, 0x87, 0x84, 0x41, 1, 'a'}, EndHeaders: true})
	_ = w.WriteData(3, true, []byte("abc"))
	_ = w.WriteWindowUpdate(0, 5)
	_ = w.WriteRSTStream(3, 0)
	f.Add(frames.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		v := connected(t, net.Pipe, echo)
		go func() { _, _ = io.Copy(io.Discard, v.conn) }()
		_, _ = io.WriteString(v.conn, http2.ClientPreface)
		_ = v.WriteSettings()
		_, err := v.conn.Write(b)
		if err != nil && !errors.Is(err, io.ErrClosedPipe) {
			t.Error(err)
		}
	})
}
