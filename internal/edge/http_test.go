package edge

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freshet/freshet/internal/distribution"
)

func TestHitAfterMiss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := fixed(200, "hello", "Content-Type", "text/plain", "Cache-Control", "max-age=100", "Age", "7")
		e := open(t, o, Config{})
		w := get(e, "/a")
		want(t, w, 200, "Miss", "hello")
		if w.Header().Get("Age") != "7" {
			t.Errorf("Age of a miss is %q, want the upstream's", w.Header().Get("Age"))
		}
		synctest.Wait()
		time.Sleep(5 * time.Second)
		w = get(e, "/a")
		want(t, w, 200, "Hit", "hello")
		if w.Header().Get("Age") != "12" {
			t.Errorf("Age is %q, want 12", w.Header().Get("Age"))
		}
		if w.Header().Get("Content-Length") != "5" || w.Header().Get("Content-Type") != "text/plain" {
			t.Errorf("header of a hit: %v", w.Header())
		}
		if o.count() != 1 {
			t.Errorf("the origin was asked %d times", o.count())
		}
		if st := e.Stats(); st.Hits != 1 || st.Misses != 1 || st.Objects != 1 || st.Bytes < 5 {
			t.Errorf("stats %+v", st)
		}
	})
}

func TestOwnHeaders(t *testing.T) {
	e := open(t, fixed(200, "x", "Via", "1.0 other", "X-Cache", "Hit from elsewhere", "Set-Cookie", "a=b",
		"Connection", "X-Hop, keep-alive", "X-Hop", "1", "Keep-Alive", "1", "Proxy-Authenticate", "x", "X-Kept", "1",
		"Vary", "Origin, accept-encoding", "Trailer", "X-T"), Config{PoP: "HEL50-P1"})
	seen := map[string]bool{}
	for _, cache := range []string{"Miss", "Hit"} {
		w := get(e, "/a")
		settle(t, e)
		h := w.Header()
		if xcache(w) != cache {
			t.Errorf("X-Cache %q, want %s", h.Get("X-Cache"), cache)
		}
		for name, form := range map[string]string{
			"Via": `^1\.1 [0-9a-f]{32}\.cloudfront\.net \(CloudFront\)$`, "X-Amz-Cf-Id": `^[A-Za-z0-9_-]{54}==$`,
			"X-Amz-Cf-Pop": `^HEL50-P1$`, "Server": `^CloudFront$`, "X-Kept": `^1$`, "Vary": `^accept-encoding$`,
		} {
			if !regexp.MustCompile(form).MatchString(h.Get(name)) {
				t.Errorf("%s: %q does not match %s", name, h.Get(name), form)
			}
		}
		for _, name := range []string{"Set-Cookie", "X-Hop", "Keep-Alive", "Proxy-Authenticate", "Connection", "Trailer"} {
			if v, ok := h[name]; ok {
				t.Errorf("%s: %q was sent on", name, v)
			}
		}
		if seen[h.Get("X-Amz-Cf-Id")] {
			t.Error("a request ID was used twice")
		}
		seen[h.Get("X-Amz-Cf-Id")] = true
	}
	if w := get(open(t, fixed(200, "", "Server", "AmazonS3"), Config{}), "/"); w.Header().Get("Server") != "AmazonS3" {
		t.Errorf("Server of the origin became %q", w.Header().Get("Server"))
	}
}

// settle waits until no fill is under way, outside of bubbles.
func settle(t testing.TB, e *Edge) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for _, s := range e.sites {
		for {
			s.mu.Lock()
			n := len(s.fills)
			s.mu.Unlock()
			if n == 0 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal("a fill does not end")
			}
		}
	}
}

func TestRefusals(t *testing.T) {
	o := fixed(200, "x")
	e := open(t, o, Config{})
	tests := []struct {
		name, method, target string
		headers              []string
		status               int
	}{
		{"other methods", "POST", "/", nil, 403},
		{"OPTIONS", "OPTIONS", "/", nil, 403},
		{"a URL of more than 8,192 bytes", "GET", "/" + strings.Repeat("a", 8192), nil, 413},
		{"a query string counts too", "GET", "/?" + strings.Repeat("a", 8192), nil, 413},
		{"more than two chained distributions", "GET", "/", []string{"Via", "1.1 a.cloudfront.net (CloudFront), 1.1 b.cloudfront.net (CloudFront)"}, 403},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := do(e, tt.method, tt.target, tt.headers...)
			if w.Code != tt.status || xcache(w) != "Error" || !strings.Contains(w.Body.String(), "<h1>") {
				t.Errorf("%d %s %q", w.Code, w.Header().Get("X-Cache"), w.Body)
			}
		})
	}
	r := httptest.NewRequest("GET", "/", strings.NewReader("body"))
	w := httptest.NewRecorder()
	e.ServeHTTP(w, r)
	if w.Code != 403 {
		t.Errorf("GET with a body: %d", w.Code)
	}
	if get(e, "/"+strings.Repeat("a", 8190)).Code != 200 {
		t.Error("a URL of 8,191 bytes was refused")
	}
	if o.count() != 1 {
		t.Errorf("the origin saw %d requests", o.count())
	}
	disabled := dist("E9")
	disabled.Config.Enabled = false
	if w := get(open(t, o, Config{Distributions: []distribution.Distribution{disabled}}), "/"); w.Code != 403 {
		t.Errorf("disabled distribution: %d", w.Code)
	}
}

func TestHosts(t *testing.T) {
	one, two := dist("E1"), dist("E2")
	one.Config.Aliases = []string{"www.example.com", "*.Wild.example"}
	resolve := func(d distribution.Distribution, _ distribution.Origin) (Origin, error) {
		return Origin{URL: "http://o.test", Transport: fixed(200, d.ID)}, nil
	}
	e := open(t, nil, Config{Distributions: []distribution.Distribution{one, two}, Resolve: resolve})
	for host, body := range map[string]string{
		"www.example.com": "E1", "WWW.Example.com:8080": "E1", "e1.cloudfront.localhost": "E1", "E2.cloudfront.localhost.": "E2",
		"a.wild.example": "E1",
	} {
		if w := get(e, "/", "Host", host); w.Body.String() != body {
			t.Errorf("%s: %d %q, want %s", host, w.Code, w.Body, body)
		}
	}
	for _, host := range []string{"other.example", "127.0.0.1:1", "a.b.wild.example", "[::1]:80", "wild.example"} {
		if w := get(e, "/", "Host", host); w.Code != 403 {
			t.Errorf("%s: %d, want 403", host, w.Code)
		}
	}
	single := open(t, nil, Config{Distributions: []distribution.Distribution{one}, Resolve: resolve})
	for _, host := range []string{"127.0.0.1:9000", "localhost", "[::1]:80", "anything"} {
		if w := get(single, "/", "Host", host); w.Body.String() != "E1" {
			t.Errorf("single distribution, %s: %d", host, w.Code)
		}
	}
	two.Config.Aliases = one.Config.Aliases
	if _, err := New(Config{Distributions: []distribution.Distribution{one, two}, Resolve: resolve}); err == nil {
		t.Error("two distributions with one alias were accepted")
	}
}

func TestOriginRequest(t *testing.T) {
	d := dist("E1")
	d.Config.Origins[0].OriginPath = "/base dir"
	d.Config.Origins = append(d.Config.Origins, distribution.Origin{ID: "api"})
	d.Config.CacheBehaviors = []distribution.CacheBehavior{
		{PathPattern: "/live/*", TargetOriginID: "api"}, // caches nothing
		{PathPattern: "q/*", TargetOriginID: "api", QueryString: true, DefaultTTL: 9, MaxTTL: 9},
	}
	o := fixed(200, "x")
	e := open(t, nil, Config{Distributions: []distribution.Distribution{d}, Resolve: func(_ distribution.Distribution, which distribution.Origin) (Origin, error) {
		return Origin{URL: "http://" + which.ID + ".test", Transport: o}, nil
	}})
	for target, want := range map[string]string{
		"/":                          "http://site.test/base%20dir/index.html",
		"/d/":                        "http://site.test/base%20dir/d/",
		"/a?v=1":                     "http://site.test/base%20dir/a",
		"/q/a?b=2&a=1%20":            "http://api.test/q/a?b=2&a=1%20",
		"/a//b/%C3%a9%2B+~%2F%3F%25": "http://site.test/base%20dir/a//b/%C3%a9%2B+~%2F%3F%25",
		"//x/../y":                   "http://site.test/base%20dir//x/../y",
		"/x/..//q//z":                "http://api.test/x/..//q//z", // matched as /q/z, asked for as it is
		"/%71/z":                     "http://api.test/%71/z",
		"http://e1.test/abs?x":       "http://site.test/base%20dir/abs",
	} {
		if w := get(e, target); w.Code != 200 {
			t.Errorf("%s: %d", target, w.Code)
		}
		r := o.last(t)
		if got := "http://" + r.URL.Host + r.URL.RequestURI(); got != want {
			t.Errorf("%s was asked for as %s, want %s", target, got, want)
		}
	}

	sent := []string{
		"X-Forwarded-For", "10.0.0.1", "Cookie", "a", "Authorization", "b", "Accept", "c", "Accept-Encoding", "gzip", "Referer", "d",
		"Accept-Language", "e", "Te", "trailers", "X-Real-Ip", "f", "X-Forwarded-Proto", "https", "X-Edge-Key", "g", "User-Agent", "me",
		"Connection", "X-Hop", "X-Hop", "h", "X-Http-Method-Override", "PUT", "Proxy-Authorization", "i", "Via", "1.0 first", "Upgrade", "x",
		"Origin", "http://o.example", "If-None-Match", `"x"`, "Range", "bytes=0-1",
	}
	for _, target := range []string{"/live/a", "/cached/a"} {
		get(e, target, sent...)
		r := o.last(t)
		for _, name := range []string{"Cookie", "Authorization", "Accept", "Referer", "Accept-Language", "Te", "X-Real-Ip", "X-Forwarded-Proto",
			"X-Edge-Key", "X-Hop", "X-Http-Method-Override", "Proxy-Authorization", "Connection", "Upgrade"} {
			if v, ok := r.Header[name]; ok {
				t.Errorf("%s: %s: %q was forwarded", target, name, v)
			}
		}
		for name, want := range map[string]string{"User-Agent": "Amazon CloudFront", "X-Forwarded-For": "10.0.0.1, 192.0.2.1", "Accept-Encoding": "identity"} {
			if got := r.Header.Get(name); got != want {
				t.Errorf("%s: %s: %q, want %q", target, name, got, want)
			}
		}
		if !strings.HasPrefix(r.Header.Get("Via"), "1.0 first, 1.1 ") || len(r.Header.Get("X-Amz-Cf-Id")) != 56 {
			t.Errorf("%s: header %v", target, r.Header)
		}
		if !strings.HasSuffix(r.Host, ".test") {
			t.Errorf("%s: Host %q", target, r.Host)
		}
		for _, name := range []string{"Origin", "If-None-Match", "Range"} {
			if got, passed := r.Header.Get(name) != "", target == "/live/a"; got != passed {
				t.Errorf("%s: %s forwarded: %v", target, name, got)
			}
		}
	}
}

func TestQueryStringInKey(t *testing.T) {
	count := func(query bool) int {
		o := fixed(200, "x")
		e := open(t, o, Config{Distributions: []distribution.Distribution{behaving(func(b *distribution.CacheBehavior) { b.QueryString = query })}})
		for _, target := range []string{"/a", "/a?", "/a?x=1&y=2", "/a?y=2&x=1", "/a?x=1&y=2"} {
			get(e, target)
			settle(t, e)
		}
		return o.count()
	}
	if got := count(false); got != 1 {
		t.Errorf("not in the key: %d requests to the origin, want 1", got)
	}
	if got := count(true); got != 3 { // order matters
		t.Errorf("in the key: %d requests to the origin, want 3", got)
	}
}

func TestHead(t *testing.T) {
	o := &recorded{answer: func(r *http.Request) (*http.Response, error) {
		body := "hello"
		if r.Method == "HEAD" {
			body = ""
		}
		resp := reply(200, body, "Etag", `"x"`)
		resp.ContentLength = 5
		return resp, nil
	}}
	e := open(t, o, Config{})
	for range 2 {
		w := do(e, "HEAD", "/a")
		want(t, w, 200, "Miss", "")
		if o.last(t).Method != "HEAD" || w.Header().Get("Content-Length") != "5" {
			t.Errorf("HEAD on a miss: asked %s, header %v", o.last(t).Method, w.Header())
		}
	}
	want(t, get(e, "/a"), 200, "Miss", "hello") // nothing was stored
	settle(t, e)
	w := do(e, "HEAD", "/a")
	want(t, w, 200, "Hit", "")
	if w.Header().Get("Content-Length") != "5" || o.count() != 3 {
		t.Errorf("HEAD of a cached GET: header %v, %d requests", w.Header(), o.count())
	}
}

func TestConditionsAtTheEdge(t *testing.T) {
	const old, modified, young = "Mon, 01 Jan 2024 00:00:00 GMT", "Tue, 02 Jan 2024 00:00:00 GMT", "Wed, 03 Jan 2024 00:00:00 GMT"
	o := fixed(200, "0123456789", "Etag", `"v,1"`, "Last-Modified", modified, "Content-Type", "text/plain")
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
		// The same on a hit and on a miss, which fetches the whole.
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

// A range of what is not stored goes to the origin as it is; one of a body of
// unknown length is answered with the whole.
func TestRangesOfColdObjects(t *testing.T) {
	ranged := func(resp func() *http.Response) *recorded {
		return &recorded{answer: func(r *http.Request) (*http.Response, error) {
			if r.Header.Get("Range") != "" {
				return reply(206, "34", "Content-Range", "bytes 3-4/10"), nil
			}
			return resp(), nil
		}}
	}
	tests := map[string]struct {
		resp   func() *http.Response
		status int
		body   string
		asked  int
	}{
		"too large":      {func() *http.Response { return reply(200, strings.Repeat("x", 200)) }, 206, "34", 2},
		"not to be kept": {func() *http.Response { return reply(200, "0123456789", "Cache-Control", "private") }, 206, "34", 2},
		"unknown length": {func() *http.Response { return unsized(reply(200, "0123456789")) }, 200, "0123456789", 1},
		"kept":           {func() *http.Response { return reply(200, "0123456789") }, 206, "34", 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			o := ranged(tt.resp)
			w := get(open(t, o, Config{LargestObject: 100}), "/a", "Range", "bytes=3-4")
			if w.Code != tt.status || w.Body.String() != tt.body || o.count() != tt.asked {
				t.Errorf("%d %q after %d requests, want %d %q after %d", w.Code, w.Body, o.count(), tt.status, tt.body, tt.asked)
			}
		})
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

func TestRevalidation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const modified = "Tue, 02 Jan 2024 00:00:00 GMT"
		unchanged := reply(304, "", "Etag", `"v"`, "X-New", "2", "Cache-Control", "max-age=50")
		o := &recorded{answer: func(r *http.Request) (*http.Response, error) {
			if r.Header.Get("If-None-Match") == `"v"` && r.Header.Get("If-Modified-Since") == modified {
				return unchanged, nil
			}
			return reply(200, "body", "Etag", `"v"`, "Last-Modified", modified, "X-Old", "1", "X-New", "1", "Cache-Control", "max-age=5"), nil
		}}
		e := open(t, o, Config{})
		want(t, get(e, "/a"), 200, "Miss", "body")
		time.Sleep(6 * time.Second)
		w := get(e, "/a")
		want(t, w, 200, "RefreshHit", "body")
		time.Sleep(40 * time.Second)
		w = get(e, "/a")
		want(t, w, 200, "Hit", "body") // by the lifetime the 304 gave
		if w.Header().Get("X-New") != "2" || w.Header().Get("X-Old") != "1" || w.Header().Get("Age") != "40" {
			t.Errorf("stored header was not updated: %v", w.Header())
		}
		// A 304 that speaks of another version is no confirmation.
		time.Sleep(20 * time.Second)
		unchanged = reply(304, "", "Etag", `"other"`)
		want(t, get(e, "/a"), 200, "Miss", "body")
		if o.count() != 4 {
			t.Errorf("%d requests, want a second one without conditions", o.count())
		}
	})
}

func TestUnasked304IsAnError(t *testing.T) {
	want := 502
	if w := get(open(t, fixed(304, ""), Config{}), "/a"); w.Code != want {
		t.Errorf("%d, want %d", w.Code, want)
	}
}

func TestErrorCaching(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := fixed(404, "gone")
		e := open(t, o, Config{})
		for _, step := range []struct{ after, asked int }{{0, 1}, {9, 1}, {2, 2}} {
			time.Sleep(time.Duration(step.after) * time.Second)
			want(t, get(e, "/a"), 404, "Error", "gone")
			synctest.Wait()
			if o.count() != step.asked {
				t.Errorf("asked %d times, want %d", o.count(), step.asked)
			}
		}
		forbidden := fixed(403, "no")
		e = open(t, forbidden, Config{})
		want(t, get(e, "/a"), 403, "Error", "no")
		synctest.Wait()
		want(t, get(e, "/a"), 403, "Error", "no")
		if forbidden.count() != 2 {
			t.Error("a 403 without lifetime was cached")
		}
	})
}

func TestOriginDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refused := errors.New("connection refused")
		o := &recorded{answer: func(*http.Request) (*http.Response, error) { return nil, refused }}
		e := open(t, o, Config{})
		w := get(e, "/a")
		if w.Code != 502 || xcache(w) != "Error" || !strings.Contains(w.Body.String(), "502") {
			t.Errorf("%d %v %q", w.Code, w.Header(), w.Body)
		}
		synctest.Wait()
		get(e, "/a") // cached like an error of the origin
		if o.count() != 1 {
			t.Errorf("asked %d times within the error caching minimum", o.count())
		}
		time.Sleep(11 * time.Second)
		get(e, "/a")
		if o.count() != 2 {
			t.Errorf("asked %d times after it", o.count())
		}
	})
}

func TestOriginTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &recorded{answer: func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}}
		e := open(t, o, Config{})
		began := time.Now()
		w := get(e, "/a")
		if w.Code != 504 || xcache(w) != "Error" {
			t.Errorf("%d %v", w.Code, w.Header())
		}
		if took := time.Since(began); took != 90*time.Second || o.count() != 3 {
			t.Errorf("gave up after %v and %d attempts, want three of 30 s", took, o.count())
		}
	})
}

func TestStaleWhenOriginFails(t *testing.T) {
	failures := map[string]roundTripper{
		"503":         func(*http.Request) (*http.Response, error) { return reply(503, "sorry"), nil },
		"unreachable": func(*http.Request) (*http.Response, error) { return nil, errors.New("refused") },
	}
	for name, fails := range failures {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				control := "max-age=5"
				works := roundTripper(func(*http.Request) (*http.Response, error) {
					return reply(200, "good", "Cache-Control", control, "Etag", `"v"`), nil
				})
				o := &recorded{answer: works}
				e := open(t, o, Config{})
				get(e, "/a")
				control = "max-age=5, stale-if-error=0"
				get(e, "/never")
				control = "max-age=5, stale-if-error=20"
				get(e, "/window")
				time.Sleep(6 * time.Second)
				o.answer = fails
				want(t, get(e, "/a"), 200, "RefreshHit", "good")
				want(t, get(e, "/window"), 200, "RefreshHit", "good")
				asked := o.count()
				time.Sleep(9 * time.Second)
				want(t, get(e, "/a"), 200, "Hit", "good") // the origin rests
				if o.count() != asked {
					t.Error("the origin was asked again before the error caching minimum was over")
				}
				if w := get(e, "/never"); w.Code < 500 {
					t.Errorf("stale-if-error=0: %d", w.Code)
				}
				time.Sleep(20 * time.Second)
				if w := get(e, "/window"); w.Code < 500 {
					t.Errorf("after the window of stale-if-error: %d", w.Code)
				}
				o.answer = works
				want(t, get(e, "/a"), 200, "Miss", "good")
			})
		})
	}
}

// An error of the viewer's making goes out although an older copy is there, and
// that copy does not come back.
func TestClientErrorEndsTheOldCopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := fixed(200, "good", "Cache-Control", "max-age=5")
		e := open(t, o, Config{})
		get(e, "/a")
		time.Sleep(6 * time.Second)
		o.answer = func(*http.Request) (*http.Response, error) { return reply(403, "no"), nil }
		want(t, get(e, "/a"), 403, "Error", "no")
		synctest.Wait()
		o.answer = func(*http.Request) (*http.Response, error) { return reply(500, "sorry"), nil }
		want(t, get(e, "/a"), 500, "Error", "sorry")
	})
}

// brokenBody ends before it should.
type brokenBody struct{ io.Reader }

func (b brokenBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}
func (brokenBody) Close() error { return nil }

func TestTruncatedResponseIsNotStored(t *testing.T) {
	o := &recorded{answer: func(*http.Request) (*http.Response, error) {
		resp := reply(200, "half")
		resp.ContentLength, resp.Body = 8, brokenBody{strings.NewReader("half")}
		return resp, nil
	}}
	e := open(t, o, Config{})
	for i := 1; i <= 2; i++ {
		w := get(e, "/a")
		settle(t, e)
		if w.Header().Get("Test-Aborted") == "" {
			t.Error("the connection was not broken off")
		}
		if o.count() != i {
			t.Errorf("request %d: the origin was asked %d times", i, o.count())
		}
	}
	if e.Stats().Objects != 0 {
		t.Error("a truncated response was stored")
	}
}

// gated is a body that the test hands over piece by piece.
type gated struct {
	pieces chan string
	ctx    context.Context
	rest   string
}

func (g *gated) Read(p []byte) (int, error) {
	if g.rest == "" {
		select {
		case piece, ok := <-g.pieces:
			if !ok {
				return 0, io.EOF
			}
			g.rest = piece
		case <-g.ctx.Done():
			return 0, g.ctx.Err()
		}
	}
	n := copy(p, g.rest)
	g.rest = g.rest[n:]
	return n, nil
}
func (*gated) Close() error { return nil }

// slow is an origin whose bodies come through pieces.
func slow(pieces chan string, length int64, headers ...string) *recorded {
	return &recorded{answer: func(r *http.Request) (*http.Response, error) {
		resp := reply(200, "", headers...)
		resp.Body, resp.ContentLength = &gated{pieces: pieces, ctx: r.Context()}, length
		return resp, nil
	}}
}

func TestCollapsedRequestsFollowTheFill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pieces := make(chan string)
		o := slow(pieces, 6)
		e := open(t, o, Config{})
		answers := make(chan *httptest.ResponseRecorder, 4)
		ctx, leave := context.WithCancel(t.Context())
		gone := make(chan struct{})
		go func() { doContext(ctx, e, "GET", "/a"); close(gone) }()
		synctest.Wait()
		go func() { answers <- get(e, "/a") }()
		pieces <- "abc"
		go func() { answers <- get(e, "/a") }()
		go func() { answers <- get(e, "/a", "Range", "bytes=2-3") }()
		go func() { answers <- do(e, "GET", "/a", "If-None-Match", "*") }()
		synctest.Wait()
		leave() // the viewer that began it all
		<-gone
		pieces <- "def"
		close(pieces)
		var bodies []string
		for range 4 {
			w := <-answers
			if xcache(w) != "Hit" {
				t.Errorf("a collapsed request says %s", xcache(w))
			}
			bodies = append(bodies, w.Body.String())
		}
		if got := strings.Join(bodies, " "); strings.Count(got, "abcdef") != 2 || !strings.Contains(got, "cd") {
			t.Errorf("bodies %q", got)
		}
		synctest.Wait()
		want(t, get(e, "/a"), 200, "Hit", "abcdef")
		if o.count() != 1 {
			t.Errorf("%d requests", o.count())
		}
	})
}

// A viewer sees the first bytes before the last have arrived.
func TestMissStreams(t *testing.T) {
	pieces := make(chan string)
	e := open(t, slow(pieces, 6), Config{})
	srv := httptest.NewServer(e)
	defer srv.Close()
	resp, err := http.Get(srv.URL + "/a")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	for _, piece := range []string{"abc", "def"} {
		pieces <- piece
		got := make([]byte, 3)
		if _, err := io.ReadFull(resp.Body, got); err != nil || string(got) != piece {
			t.Fatalf("%q %v, want %q", got, err, piece)
		}
	}
	close(pieces)
}

// Nobody is given a response that is meant for another viewer.
func TestPrivateResponsesAreNotCollapsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := make(chan struct{})
		o := &recorded{}
		o.answer = func(*http.Request) (*http.Response, error) {
			n := o.count()
			<-answer
			return reply(200, strings.Repeat("x", n), "Cache-Control", "private"), nil
		}
		e := open(t, o, Config{})
		bodies := make(chan string, 3)
		for range 3 {
			go func() { bodies <- get(e, "/a").Body.String() }()
			synctest.Wait()
		}
		close(answer)
		a, b, c := <-bodies, <-bodies, <-bodies
		if a == b && b == c || o.count() != 3 {
			t.Errorf("%q %q %q after %d requests", a, b, c, o.count())
		}
	})
}

// What is larger than the limit passes through whole, announced or not, and is
// not stored; when its viewer leaves the origin is not read any further.
func TestLargeObjectsPassThrough(t *testing.T) {
	for name, length := range map[string]int64{"announced": 4 << 20, "not announced": -1} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				pieces := make(chan string)
				e := open(t, slow(pieces, length), Config{LargestObject: 1 << 20})
				feed := func(n int) {
					for range n {
						pieces <- strings.Repeat("x", 1<<20)
					}
				}
				answer := make(chan *httptest.ResponseRecorder)
				go func() { answer <- get(e, "/a") }()
				feed(4)
				close(pieces)
				if w := <-answer; w.Body.Len() != 4<<20 || w.Header().Get("Test-Aborted") != "" {
					t.Errorf("%d bytes, header %v", w.Body.Len(), w.Header())
				}
				synctest.Wait()
				if e.Stats().Objects != 0 || e.filling.Load() != 0 {
					t.Errorf("stored %d objects, %d bytes filling", e.Stats().Objects, e.filling.Load())
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		pieces := make(chan string)
		o := slow(pieces, 4<<20)
		e := open(t, o, Config{LargestObject: 1 << 20})
		ctx, leave := context.WithCancel(t.Context())
		gone := make(chan struct{})
		go func() { doContext(ctx, e, "GET", "/a"); close(gone) }()
		pieces <- "x"
		leave()
		<-gone
		synctest.Wait()
		if o.last(t).Context().Err() == nil {
			t.Error("the origin is still being read")
		}
	})
}

func TestMemoryIsBounded(t *testing.T) {
	e := open(t, fixed(200, strings.Repeat("x", 10<<10)), Config{MemoryLimit: 1 << 20})
	for i := range 500 {
		get(e, "/"+strings.Repeat("a", i))
	}
	settle(t, e)
	e.store.cache.CleanUp()
	if st := e.Stats(); st.Bytes > 1<<20 || st.Objects > 102 || st.Objects == 0 {
		t.Errorf("stats %+v", st)
	}
}

func FuzzRequestPath(f *testing.F) {
	f.Add("/a%2Fb+c/%zz/../é~?#")
	f.Fuzz(func(t *testing.T, path string) {
		path = "/" + path
		o := &origin{scheme: "http", address: "o.test", host: "o.test"}
		r, err := o.request(t.Context(), "GET", path, "", nil)
		if err != nil {
			t.Fatalf("%q: %v", path, err)
		}
		// The origin gets the spelling that was checked, nothing re-encoded.
		if got := r.URL.EscapedPath(); got != escapePath(path) {
			t.Errorf("%q goes out as %q, want %q", path, got, escapePath(path))
		}
		q := query{viewed: path}
		name := q.names("/index.html")[0]
		if q.viewed = name; q.names("")[0] != name {
			t.Errorf("%q has the canonical spelling %q, which is not its own", path, name)
		}
		if m := matchedPath(path); !strings.HasPrefix(m, "/") || strings.Contains(m, "//") || strings.Contains(m+"/", "/../") {
			t.Errorf("%q is matched as %q", path, m)
		}
	})
}
