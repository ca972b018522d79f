package edge

import (
	"strings"
	"testing"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/distribution"
	"github.com/freshet/freshet/internal/edge/loop"
)

// quickly asks the quick way only.
func quickly(e *Edge, a *loop.Answer, text string) loop.Verdict {
	a.Head, a.Body, a.Sent, a.Used, a.Now, a.Viewer = a.Head[:0], nil, nil, 0, time.Now(), someViewer{}
	return (&quick{e}).Answer([]byte(text), a)
}

const (
	plainRequest   = "GET /a.css HTTP/1.1\r\nHost: e1.cloudfront.localhost\r\n\r\n"
	browserRequest = "GET /a.css HTTP/1.1\r\nHost: e1.cloudfront.localhost\r\nAccept-Encoding: gzip, deflate, br\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nCookie: a=b\r\n\r\n"
)

func cachingOptimized() Config {
	return Config{Distributions: []distribution.Distribution{behaving(func(b *distribution.CacheBehavior) {
		b.ForwardedValues, b.MinTTL, b.DefaultTTL, b.MaxTTL, b.CachePolicyID = nil, nil, nil, nil, "Managed-CachingOptimized"
	})}}
}

// A hit allocates nothing.
func TestQuickAllocates(t *testing.T) {
	e := open(t, fixed(200, strings.Repeat("x", 1024), "Etag", `"e"`, "Last-Modified", "Fri, 20 Nov 2026 08:00:00 GMT"), cachingOptimized())
	get(e, "/a.css")
	get(e, "/a.css", "Accept-Encoding", "gzip, br")
	settle(t, e)
	conditional := func(fields string) string {
		return strings.Replace(plainRequest, "\r\n\r\n", "\r\n"+fields+"\r\n\r\n", 1)
	}
	for _, text := range []string{
		plainRequest, browserRequest, strings.Replace(plainRequest, "GET", "HEAD", 1), conditional(`If-None-Match: "a", W/"e"`), conditional("If-Modified-Since: Fri, 20 Nov 2026 08:00:00 GMT"),
		conditional("Range: bytes=2-40"), conditional("Range: bytes=-4\r\nIf-Range: \"e\""), conditional("If-Match: \"f\""),
	} {
		a, in := &loop.Answer{Now: time.Now()}, []byte(text)
		d := &quick{e}
		if v := d.Answer(in, a); v != loop.Answered {
			t.Fatalf("%q: %v", text, v)
		}
		if n := testing.AllocsPerRun(100, func() {
			a.Head = a.Head[:0]
			d.Answer(in, a)
		}); n != 0 {
			t.Errorf("%q: %v allocations", text, n)
		}
	}
}

// From when an invalidation has returned, and from when a copy has expired, no
// answer is quick.
func TestQuickHeedsEpochsAndAges(t *testing.T) {
	e := open(t, fixed(200, "x", "Cache-Control", "max-age=100"), Config{})
	a := new(loop.Answer)
	fill := func() {
		get(e, "/a.css")
		settle(t, e)
		if v := quickly(e, a, plainRequest); v != loop.Answered {
			t.Fatalf("a hit is %v", v)
		}
	}
	for _, p := range []freshet.Pattern{"/a.css", "/*", "/a*"} {
		fill()
		if err := e.Invalidate("E1", []freshet.Pattern{p}); err != nil {
			t.Fatal(err)
		}
		if v := quickly(e, a, plainRequest); v != loop.Wait {
			t.Errorf("after %s: %v", p, v)
		}
	}
	fill()
	if v := quickly(e, a, plainRequest); v != loop.Answered {
		t.Errorf("fresh: %v", v)
	}
	a.Now = time.Now().Add(101 * time.Second)
	if v := (&quick{e}).Answer([]byte(plainRequest), a); v != loop.Lend {
		t.Errorf("expired: %v", v)
	}
}

// A changed configuration counts for the next request, also where what is cached
// stays.
func TestQuickHeedsConfiguration(t *testing.T) {
	c := cachingOptimized()
	e := open(t, fixed(200, "x"), c)
	a := new(loop.Answer)
	get(e, "/a.css")
	settle(t, e)
	if v := quickly(e, a, plainRequest); v != loop.Answered {
		t.Fatalf("a hit is %v", v)
	}
	d := cachingOptimized().Distributions[0]
	d.Config.Enabled = false
	if err := e.Apply([]distribution.Distribution{d}); err != nil {
		t.Fatal(err)
	}
	if v := quickly(e, a, plainRequest); v != loop.Lend {
		t.Errorf("disabled: %v", v)
	}
	d.Config.Enabled, d.Config.Comment = true, "another"
	if err := e.Apply([]distribution.Distribution{d}); err != nil {
		t.Fatal(err)
	}
	if v := quickly(e, a, plainRequest); v != loop.Answered {
		t.Errorf("enabled again: %v", v)
	}
}

func BenchmarkQuick(b *testing.B) {
	e := open(b, fixed(200, strings.Repeat("x", 1024)), cachingOptimized())
	get(e, "/a.css")
	get(e, "/a.css", "Accept-Encoding", "gzip, br")
	settle(b, e)
	for name, text := range map[string]string{"plain": plainRequest, "browser": browserRequest} {
		b.Run(name, func(b *testing.B) {
			a, d, in := &loop.Answer{Now: time.Now()}, &quick{e}, []byte(text)
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
