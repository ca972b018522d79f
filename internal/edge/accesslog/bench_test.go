package accesslog_test

import (
	"testing"
	"time"

	"github.com/freshet/freshet/internal/edge/accesslog"
)

func BenchmarkAppend(b *testing.B) {
	r := record()
	r.End = time.Now()
	var line []byte
	b.ReportAllocs()
	for b.Loop() {
		line = accesslog.Append(line[:0], &r)
	}
}
