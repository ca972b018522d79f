package edge

import (
	"strings"
	"testing"
)

func TestConditionsAtTheEdge(t *testing.T) {
	const old, modified, young = "Mon, 01 Jan 2024 00:00:00 GMT", "Tue, 02 Jan 2024 00:00:00 GMT", "Wed, 03 Jan 2024 00:00:00 GMT"
	o := ranging("0123456789", "Etag", `"v,1"`, "Last-Modified", modified, "Content-Type", "text/plain")
	tests := []struct {
		headers []string
		status  int
	}{
		{[]string{"If-None-Match", `"v,1"`}, 304},
		{[]string{"If-None-Match", `W/"v,1"`}, 304},
		{[]string{"If-None-Match", `"a", "v,1"`}, 304},
		{[]string{"If-None-Match", `*`}, 304},
		{[]string{"If-None-Match", `"other"`, "If-Modified-Since", young}, 200},
		{[]string{"If-None-Match", `v,1`}, 200},
		{[]string{"If-Modified-Since", modified}, 304},
		{[]string{"If-Modified-Since", old}, 200},
		{[]string{"If-Modified-Since", "nonsense"}, 200},
		{[]string{"If-Match", `"v,1"`}, 200},
		{[]string{"If-Match", `W/"v,1"`}, 412},
		{[]string{"If-Match", `"other"`}, 412},
		{[]string{"If-Match", `*`}, 200},
		{[]string{"If-Unmodified-Since", old}, 412},
		{[]string{"If-Unmodified-Since", modified}, 200},
		{[]string{"If-Match", `"v,1"`, "If-Unmodified-Since", old, "If-None-Match", `"v,1"`}, 304},
		{[]string{"Range", "bytes=0-1", "If-Range", `"v,1"`}, 206},
		{[]string{"Range", "bytes=0-1", "If-Range", `W/"v,1"`}, 200},
		{[]string{"Range", "bytes=0-1", "If-Range", `"other"`}, 200},
		{[]string{"Range", "bytes=0-1", "If-Range", modified}, 206},
		{[]string{"Range", "bytes=0-1", "If-Range", young}, 200},
		{[]string{"Range", "bytes=0-1", "If-None-Match", `"v,1"`}, 304},
	}
	warm := open(t, o, Config{})
	get(warm, "/a")
	settle(t, warm)
	for _, tt := range tests {
		// The same on a hit and on a miss.
		for name, e := range map[string]*Edge{"Hit": warm, "Miss": open(t, o, Config{})} {
			w := get(e, "/a", tt.headers...)
			if w.Code != tt.status {
				t.Errorf("%s, %q: %d, want %d", name, tt.headers, w.Code, tt.status)
			}
			if (w.Code == 304 || w.Code == 412) && (w.Body.Len() > 0 || w.Header().Get("Etag") != `"v,1"`) {
				t.Errorf("%s, %q: body %q, header %v", name, tt.headers, w.Body, w.Header())
			}
			if cond := o.last(t).Header.Get("If-None-Match"); cond != "" {
				t.Errorf("the viewer's condition %s went into a fetch that is shared", cond)
			}
		}
	}
}

func TestRanges(t *testing.T) {
	o := fixed(200, "0123456789", "Content-Type", "text/plain", "Etag", `"v"`)
	e := open(t, o, Config{})
	get(e, "/a")
	settle(t, e)
	tests := []struct {
		header string
		status int
		body   string // of 206, the content range
	}{
		{"bytes=0-3", 206, "bytes 0-3/10"}, {"bytes=7-", 206, "bytes 7-9/10"}, {"bytes=-2", 206, "bytes 8-9/10"},
		{"bytes=-99", 206, "bytes 0-9/10"}, {"bytes=5-99999999999999999999", 206, "bytes 5-9/10"}, {"Bytes = 1-1", 206, "bytes 1-1/10"},
		{"bytes=10-", 416, "bytes */10"}, {"bytes=-0", 416, "bytes */10"},
		{"bytes=3-1", 200, ""}, {"bytes=a-b", 200, ""}, {"bytes", 200, ""}, {"bytes=", 200, ""}, {"lines=1-2", 200, ""}, {"bytes=0-1,", 200, ""},
		{"bytes=4-5,0-1", 200, ""}, {"bytes=0-4,4-5", 200, ""}, {"bytes=0-4,2-", 200, ""}, {"bytes=--1", 200, ""}, {"bytes=+1-2", 200, ""},
	}
	for _, tt := range tests {
		w := get(e, "/a", "Range", tt.header)
		settle(t, e)
		if w.Code != tt.status || w.Header().Get("Content-Range") != tt.body {
			t.Errorf("%s: %d %q, want %d %q", tt.header, w.Code, w.Header().Get("Content-Range"), tt.status, tt.body)
		}
		if tt.status == 200 && w.Body.String() != "0123456789" {
			t.Errorf("%s: body %q", tt.header, w.Body)
		}
	}
	if w := get(e, "/a", "Range", "bytes=2-4"); w.Body.String() != "234" || w.Header().Get("Content-Length") != "3" {
		t.Errorf("206 has %q of %s bytes", w.Body, w.Header().Get("Content-Length"))
	}
	w := get(e, "/a", "Range", "bytes=0-1, 5-6,20-30")
	if w.Code != 206 || !strings.HasPrefix(w.Header().Get("Content-Type"), "multipart/byteranges; boundary=") {
		t.Fatalf("several ranges: %d %v", w.Code, w.Header())
	}
	for _, part := range []string{"Content-Range: bytes 0-1/10\r\nContent-Type: text/plain\r\n\r\n01\r\n", "Content-Range: bytes 5-6/10\r\nContent-Type: text/plain\r\n\r\n56\r\n"} {
		if !strings.Contains(w.Body.String(), part) {
			t.Errorf("%q does not hold %q", w.Body, part)
		}
	}
	if o.count() != 1 {
		t.Errorf("ranges took %d requests to the origin, want one for the whole", o.count())
	}
	if w := do(e, "HEAD", "/a", "Range", "bytes=0-1"); w.Code != 200 {
		t.Errorf("HEAD with Range: %d", w.Code)
	}
}

func FuzzRange(f *testing.F) {
	f.Add("bytes=0-1,3-", int64(10))
	f.Add("bytes=-5", int64(0))
	f.Fuzz(func(t *testing.T, header string, size int64) {
		if size < 0 {
			return
		}
		spans, status := selectSpans(header, size)
		if (status == 206) != (len(spans) > 0) {
			t.Errorf("status %d with %d parts", status, len(spans))
		}
		var end int64
		for _, s := range spans {
			if s.offset < end || s.length <= 0 || s.offset+s.length > size {
				t.Errorf("part %+v of %d after %d", s, size, end)
			}
			end = s.offset + s.length
		}
	})
}
