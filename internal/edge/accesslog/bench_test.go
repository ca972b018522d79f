package accesslog_test

import (
	"testing"
	"time"

	"github.com/freshet/freshet/internal/edge/accesslog"
)

func BenchmarkAppend(b *testing.B) {
	long := record()
	short := long
	short.Path, short.Query, short.Referer, short.UserAgent, short.TLSProtocol, short.TLSSuite = "/1024/a", "", "", "", "", ""
	short.ContentType, short.RangeStart, short.RangeEnd, short.Protocol, short.ProtocolVersion = "application/octet-stream", -1, -1, "http", "HTTP/1.1"
	short.Plain = true
	short.RequestID = "Vp9eHLyUP2NKnZ0qXzJxpEo5-tYjz5gqM6FZ5xAwS0Ux0pQ8cVvzZQ=="
	for name, r := range map[string]*accesslog.Record{"short": &short, "long": &long} {
		b.Run(name, func(b *testing.B) {
			r.End = time.Now()
			var line []byte
			b.ReportAllocs()
			for b.Loop() {
				line = accesslog.Append(line[:0], r)
			}
		})
	}
}

// What one loop pays for a line, whose viewer says what it is.
func BenchmarkLog(b *testing.B) {
	r := record()
	r.Path, r.Query, r.Referer, r.TLSProtocol, r.TLSSuite, r.Plain = "/1024/a", "", "", "", "", true
	r.ContentType, r.Protocol, r.ProtocolVersion, r.RangeStart, r.RangeEnd = "text/html", "http", "HTTP/1.1", -1, -1
	r.RequestID, r.UserAgent = "Vp9eHLyUP2NKnZ0qXzJxpEo5-tYjz5gqM6FZ5xAwS0Ux0pQ8cVvzZQ==", "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0"
	r.End = time.Now()
	w := accesslog.NewWriter(discard{}, nil)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		if w.Log(&r); n%180 == 0 {
			_ = w.Flush()
		}
		n++
	}
}
