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
