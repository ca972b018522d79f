package edge

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/edge/accesslog"
	"github.com/freshet/freshet/internal/edge/loop"
)

// nowhere is a log that is written and thrown away.
type nowhere struct{ io.Writer }

func (nowhere) Close() error { return nil }

// quickLogged is an edge that tells a log, which has large and small objects in
// its cache.
func quickLogged(t testing.TB) *Edge {
	w := accesslog.NewWriter(nowhere{io.Discard}, nil)
	c := cachingOptimized()
	c.AccessLog = func(_ string, r *accesslog.Record) {
		if w.Log(r); r.Status%100 == 0 && r.SentBytes%16 == 0 {
			_ = w.Flush()
		}
	}
	e := open(t, fixed(200, strings.Repeat("x", 1024)), c)
	get(e, "/a.css")
	get(e, "/a.css", "Accept-Encoding", "gzip, br")
	settle(t, e)
	return e
}

// A hit allocates nothing with a log, either, nor does one that is sent by and by.
func TestQuickAllocatesNothingForTheLog(t *testing.T) {
	e := quickLogged(t)
	large := open(t, fixed(200, strings.Repeat("x", 100<<10)), e.config)
	get(large, "/a.css")
	settle(t, large)
	for name, e := range map[string]*Edge{"small": e, "large": large} {
		a, in, d := &loop.Answer{Now: time.Now(), Viewer: someViewer{}}, []byte(plainRequest), &quick{e}
		once := func() {
			a.Head, a.Sent = a.Head[:0], nil
			if v := d.Answer(in, a); v != loop.Answered {
				t.Fatalf("%s: %v", name, v)
			}
			if a.Sent != nil {
				a.Sent.Sent(5, true)
			}
		}
		for range 1000 {
			once() // buffers grow
		}
		if n := testing.AllocsPerRun(500, once); n >= 1 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

type someViewer struct{}

func (someViewer) IP() string   { return "192.0.2.7" }
func (someViewer) Port() string { return "4711" }

// What is told of answers that are under way at once stays each one's own.
func TestQuickLogsOfSeveralAtOnce(t *testing.T) {
	var l logs
	c := cachingOptimized()
	c.AccessLog = func(id string, r *accesslog.Record) {
		own := *r
		own.Path, own.UserAgent = strings.Clone(r.Path), strings.Clone(r.UserAgent)
		l.add(id, &own)
	}
	e := open(t, fixed(200, strings.Repeat("x", 100<<10)), c)
	paths := []string{"/a", "/bb", "/ccc"}
	for _, p := range paths {
		get(e, p)
	}
	settle(t, e)
	l.records = nil
	a, d := &loop.Answer{Now: time.Now(), Viewer: someViewer{}}, &quick{e}
	buf := make([]byte, 4096)
	for range 3 {
		var under []loop.Sent
		for i, p := range paths {
			n := copy(buf, "GET "+p+" HTTP/1.1\r\nHost: e1.cloudfront.localhost\r\nUser-Agent: agent"+strings.Repeat("x", i)+"\r\n\r\n")
			a.Head, a.Sent = a.Head[:0], nil
			if v := d.Answer(buf[:n], a); v != loop.Answered || a.Sent == nil {
				t.Fatalf("%v, %v", v, a.Sent)
			}
			under = append(under, a.Sent)
		}
		clear(buf)
		for _, i := range []int{1, 2, 0} {
			under[i].Sent(int64(i), i != 2)
			_, r := l.last(t)
			if broken := r.ResponseResult == "Error"; r.Path != paths[i] || r.UserAgent != "agent"+strings.Repeat("x", i) || broken != (i == 2) {
				t.Errorf("of %s: %+v", paths[i], r)
			}
		}
	}
}

func BenchmarkQuickLogged(b *testing.B) {
	e := quickLogged(b)
	for name, text := range map[string]string{"plain": plainRequest, "browser": browserRequest} {
		b.Run(name, func(b *testing.B) {
			a, d, in := &loop.Answer{Now: time.Now(), Viewer: someViewer{}}, &quick{e}, []byte(text)
			b.ReportAllocs()
			for b.Loop() {
				a.Head = a.Head[:0]
				if d.Answer(in, a) != loop.Answered {
					b.Fatal("no hit")
				}
			}
		})
	}
}
