package edge

import (
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
	deadline := time.Now().Add(2 * time.Minute)
	for _, s := range e.serving().sites {
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
	two.Config.Aliases = []string{"*.deep.wild.example"} // the more specific name counts
	resolve := func(d distribution.Distribution, _ distribution.Origin) (Origin, error) {
		return Origin{URL: "http://o.test", Transport: fixed(200, d.ID)}, nil
	}
	e := open(t, nil, Config{Distributions: []distribution.Distribution{one, two}, Resolve: resolve})
	for host, body := range map[string]string{
		"www.example.com": "E1", "WWW.Example.com:8080": "E1", "e1.cloudfront.localhost": "E1", "E2.cloudfront.localhost.": "E2",
		"a.wild.example": "E1", "a.b.wild.example": "E1", "x.deep.wild.example": "E2", "x.y.deep.wild.example": "E2", "deep.wild.example": "E1",
	} {
		if w := get(e, "/", "Host", host); w.Body.String() != body {
			t.Errorf("%s: %d %q, want %s", host, w.Code, w.Body, body)
		}
	}
	for _, host := range []string{"other.example", "127.0.0.1:1", "[::1]:80", "awild.example", "wild.example"} {
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
		{PathPattern: "/live/*", TargetOriginID: "api", DefaultTTL: new(int64(0)), MaxTTL: new(int64(0))}, // caches nothing
		{PathPattern: "q/*", TargetOriginID: "api", ForwardedValues: &distribution.ForwardedValues{QueryString: true}, DefaultTTL: new(int64(9)), MaxTTL: new(int64(9))},
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
		if r.Header.Get("Origin") == "" { // no rule removes it without a cache policy
			t.Errorf("%s: Origin was not forwarded", target)
		}
		for _, name := range []string{"If-None-Match", "Range"} {
			if got, passed := r.Header.Get(name) == headerWith(sent...).Get(name), target == "/live/a"; got != passed {
				t.Errorf("%s: %s forwarded as it was: %v", target, name, got)
			}
		}
	}
}

func TestQueryStringInKey(t *testing.T) {
	count := func(query bool) int {
		o := fixed(200, "x")
		e := open(t, o, Config{Distributions: []distribution.Distribution{behaving(func(b *distribution.CacheBehavior) { b.ForwardedValues.QueryString = query })}})
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

func FuzzRequestPath(f *testing.F) {
	f.Add("/a%2Fb+c/%zz/../é~?#")
	f.Fuzz(func(t *testing.T, path string) {
		path = "/" + path
		o := &origin{plain: endpoint{scheme: "http", address: "o.test"}}
		r, err := o.request(t.Context(), asking{method: "GET"}, path, "")
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

// Viewers do not decide what is cached: their Cache-Control and Pragma count for
// nothing.
func TestViewersCannotBypassTheCache(t *testing.T) {
	o := fixed(200, "x")
	e := open(t, o, Config{})
	want(t, get(e, "/a", "Cache-Control", "no-store"), 200, "Miss", "x")
	settle(t, e)
	for _, control := range []string{"no-cache", "no-store", "max-age=0", "only-if-cached"} {
		want(t, get(e, "/a", "Cache-Control", control, "Pragma", "no-cache"), 200, "Hit", "x")
	}
}
