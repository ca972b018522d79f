package edge

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/distribution"
	"github.com/freshet/freshet/internal/function"
)

const indexRewrite = `function handler(event) {
	var r = event.request;
	if (r.uri.endsWith('/')) { r.uri += 'index.html'; } else if (!r.uri.includes('.')) { r.uri += '/index.html'; }
	return r;
}`

// code finds functions by name, of which the text is given.
func code(t testing.TB, texts map[string]string) Functions {
	t.Helper()
	programs := make(map[string]*function.Program)
	for name, text := range texts {
		p, err := function.Compile(name, []byte(text), function.JS20)
		if err != nil {
			t.Fatal(err)
		}
		programs[name] = p
	}
	return func(arn string) (*function.Program, function.Store, error) {
		if p := programs[arn]; p != nil {
			return p, function.Table{Pairs: map[string]string{"greeting": "hello"}}, nil
		}
		return nil, nil, errors.New("there is no such function")
	}
}

// running is a distribution whose default behavior runs functions, by their
// names; empty for none.
func running(first, last string) distribution.Distribution {
	return behaving(func(b *distribution.CacheBehavior) {
		for event, name := range map[string]string{"viewer-request": first, "viewer-response": last} {
			if name != "" {
				b.FunctionAssociations = append(b.FunctionAssociations, distribution.FunctionAssociation{EventType: event, FunctionARN: name})
			}
		}
	})
}

// openRunning is open with the two functions given by their texts.
func openRunning(t testing.TB, rt http.RoundTripper, first, last string) *Edge {
	t.Helper()
	texts := map[string]string{"first": first, "last": last}
	maps.DeleteFunc(texts, func(_, text string) bool { return text == "" })
	named := func(name string) string {
		if texts[name] == "" {
			return ""
		}
		return name
	}
	return open(t, rt, Config{Distributions: []distribution.Distribution{running(named("first"), named("last"))}, Function: code(t, texts)})
}

func pathOf(r *http.Request) (*http.Response, error) {
	return reply(200, r.URL.RequestURI(), "Cache-Control", "max-age=100"), nil
}

func TestFunctionRewritesBeforeTheKeyIsMade(t *testing.T) {
	origin := &recorded{answer: pathOf}
	e := openRunning(t, origin, indexRewrite, "")
	for i, at := range []string{"/about/", "/about", "/about/index.html"} {
		w := do(e, "GET", at)
		if w.Code != 200 || w.Body.String() != "/about/index.html" {
			t.Errorf("%s: %d %q", at, w.Code, w.Body)
		}
		if want := map[bool]string{true: "Miss from cloudfront", false: "Hit from cloudfront"}[i == 0]; w.Header().Get("X-Cache") != want {
			t.Errorf("%s: X-Cache %q, want %q", at, w.Header().Get("X-Cache"), want)
		}
	}
	if n := origin.count(); n != 1 {
		t.Errorf("the origin was asked %d times", n)
	}
}

// The behavior is chosen by the path that the viewer asked for, not by what the
// function makes of it.
func TestFunctionDoesNotChangeTheBehavior(t *testing.T) {
	origin := &recorded{answer: pathOf}
	d := running("first", "")
	other := d.Config.DefaultCacheBehavior
	other.PathPattern, other.FunctionAssociations = "/secret/*", nil
	other.AllowedMethods = []string{"GET", "HEAD", "OPTIONS"}
	d.Config.CacheBehaviors = []distribution.CacheBehavior{other}
	e := open(t, origin, Config{Distributions: []distribution.Distribution{d}, Function: code(t, map[string]string{
		"first": `function handler(event) { event.request.uri = '/secret/x'; return event.request; }`,
	})})
	if w := do(e, "GET", "/open"); w.Body.String() != "/secret/x" {
		t.Errorf("%d %q", w.Code, w.Body)
	}
	if w := do(e, "OPTIONS", "/open"); w.Code != 403 {
		t.Errorf("OPTIONS is answered by the other behavior: %d", w.Code)
	}
}

func TestFunctionChangesQueryHeadersAndCookies(t *testing.T) {
	origin := &recorded{answer: pathOf}
	d := running("first", "")
	b := &d.Config.DefaultCacheBehavior
	b.ForwardedValues = &distribution.ForwardedValues{QueryString: true, Headers: []string{"X-Made", "X-Taken"}, Cookies: distribution.CookiePreference{Forward: "all"}}
	e := open(t, origin, Config{Distributions: []distribution.Distribution{d}, Function: code(t, map[string]string{"first": `
		import cf from 'cloudfront';
		async function handler(event) {
			var r = event.request;
			delete r.querystring.drop;
			r.querystring.id = {value: event.viewer.ip};
			r.headers['x-made'] = {value: await cf.kvs().get('greeting')};
			delete r.headers['x-taken'];
			r.cookies = {kept: r.cookies.kept};
			r.headers['x-seen'] = {value: String(!!r.headers['x-edge-secret'])};
			return r;
		}`})})
	w := do(e, "GET", "/a?drop=1&keep=2", "X-Taken", "yes", "Cookie", "kept=1; gone=2", "X-Edge-Secret", "x")
	if w.Code != 200 || w.Body.String() != "/a?keep=2&id=192.0.2.1" {
		t.Fatalf("%d %q %v", w.Code, w.Body, w.Header())
	}
	asked := origin.last(t).Header
	if asked.Get("X-Made") != "hello" || asked.Get("X-Taken") != "" || asked.Get("Cookie") != "kept=1" {
		t.Errorf("the origin got %v", asked)
	}
	settle(t, e)
	if w := do(e, "GET", "/a?keep=2&drop=7", "Cookie", "kept=1"); w.Header().Get("X-Cache") != "Hit from cloudfront" {
		t.Errorf("what the function makes equal is not one key: %v", w.Header())
	}
}

func TestFunctionAnswersItself(t *testing.T) {
	origin := &recorded{answer: pathOf}
	e := openRunning(t, origin, `function handler(event) {
		return {statusCode: 302, headers: {location: {value: '/elsewhere'}, 'transfer-encoding': {value: 'chunked'}}, cookies: {a: {value: '1', attributes: 'Path=/'}}, body: 'moved'};
	}`, `function handler(event) { event.response.headers.wrong = {value: 'x'}; return event.response; }`)
	for _, method := range []string{"GET", "HEAD"} {
		w := do(e, method, "/")
		h := w.Header()
		if w.Code != 302 || h.Get("X-Cache") != "FunctionGeneratedResponse from cloudfront" || h.Get("Location") != "/elsewhere" || h.Get("Set-Cookie") != "a=1; Path=/" {
			t.Errorf("%s: %d %v", method, w.Code, h)
		}
		if h.Get("Wrong") != "" || h.Get("Transfer-Encoding") != "" || h.Get("Content-Length") != "5" || len(h.Get("X-Amz-Cf-Id")) != 56 || h.Get("Via") == "" {
			t.Errorf("%s: %v", method, h)
		}
		if want := map[string]string{"GET": "moved"}[method]; w.Body.String() != want {
			t.Errorf("%s: body %q, want %q", method, w.Body, want)
		}
	}
	if origin.count() != 0 {
		t.Error("the origin was asked")
	}
}

func TestFunctionFails(t *testing.T) {
	for _, c := range []struct {
		name, text, xCache string
		status             int
	}{
		{"throws", `function handler(event) { throw new Error('no'); }`, "FunctionExecutionError", 503},
		{"takes too long", `function handler(event) { for (;;) {} }`, "FunctionThrottledError", 503},
		{"returns nothing", `function handler(event) { }`, "FunctionValidationError", 502},
		{"adds what it may not", `function handler(event) {
			var r = event.response || event.request; r.headers['x-edge-a'] = {value: 'x'}; return r; }`, "FunctionValidationError", 502},
	} {
		for _, at := range []string{"viewer-request", "viewer-response"} {
			t.Run(c.name+" at "+at, func(t *testing.T) {
				first, last := c.text, ""
				if at == "viewer-response" {
					first, last = "", c.text
				}
				origin := &recorded{answer: pathOf}
				e := openRunning(t, origin, first, last)
				for range 2 {
					w := do(e, "GET", "/x", "Range", "bytes=0-0")
					h := w.Header()
					if w.Code != c.status || h.Get("X-Cache") != c.xCache+" from cloudfront" || !strings.Contains(w.Body.String(), "function") || h.Get("Cache-Control") != "" || h.Get("Content-Range") != "" {
						t.Errorf("%d %v %q", w.Code, h, w.Body)
					}
					if h.Get("Content-Length") != fmt.Sprint(w.Body.Len()) || h.Get("Test-Aborted") != "" {
						t.Errorf("%d bytes with %v", w.Body.Len(), h)
					}
				}
			})
		}
	}
}

func TestFunctionThatIsNotThere(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	e := open(t, roundTripper(pathOf), Config{Distributions: []distribution.Distribution{running("gone", "")}, Function: code(t, nil), Log: logger})
	if w := do(e, "GET", "/"); w.Code != 503 || w.Header().Get("X-Cache") != "FunctionExecutionError from cloudfront" || !strings.Contains(log.String(), "no such function") {
		t.Errorf("%d %v %s", w.Code, w.Header(), &log)
	}
	log.Reset()
	e = open(t, roundTripper(pathOf), Config{Distributions: []distribution.Distribution{running("gone", "")}, Log: logger})
	if w := do(e, "GET", "/"); w.Code != 200 || !strings.Contains(log.String(), "function=gone") {
		t.Errorf("without a resolver: %d %v, %s", w.Code, w.Header(), &log)
	}
}

// What the function at viewer-response makes is for one viewer: the copy stays
// as the origin sent it.
func TestFunctionChangesAnswersAndNotTheCopy(t *testing.T) {
	origin := &recorded{answer: func(*http.Request) (*http.Response, error) {
		return reply(200, "body", "Cache-Control", "max-age=100", "X-Origin", "1", "Server", "origin"), nil
	}}
	e := openRunning(t, origin, "", `function handler(event) {
		var r = event.response, h = r.headers;
		h['x-for'] = {value: event.request.headers['x-who'].value + (h['x-cache'] ? ' saw X-Cache' : '')};
		h['x-was'] = {value: h['x-origin'].value + (h['x-for-whom'] ? ' touched' : '')};
		h['x-for-whom'] = {value: 'touched'};
		delete h['x-origin'];
		h['content-length'] = {value: '1'};
		return r;
	}`)
	for i, who := range []string{"a", "b", "c"} {
		w := do(e, "GET", "/x", "X-Who", who)
		h := w.Header()
		if h.Get("X-For") != who || h.Get("X-Was") != "1" || h.Get("X-Origin") != "" || w.Body.String() != "body" || h.Get("Content-Length") != "4" || h.Get("Server") != "origin" {
			t.Errorf("%s: %v %q", who, h, w.Body)
		}
		if (h.Get("X-Cache") == "Hit from cloudfront") != (i > 0) || len(h.Get("X-Amz-Cf-Id")) != 56 {
			t.Errorf("%s: %v", who, h)
		}
	}
	if origin.count() != 1 {
		t.Errorf("the origin was asked %d times", origin.count())
	}
}

func TestFunctionReplacesTheBody(t *testing.T) {
	e := openRunning(t, roundTripper(func(*http.Request) (*http.Response, error) {
		return reply(200, strings.Repeat("long ", 100000), "Cache-Control", "max-age=100", "Content-Encoding", "br"), nil
	}), "", `function handler(event) {
		var q = event.request.querystring, r = event.response;
		if (q.status) { r.statusCode = +q.status.value; } else { r.body = {encoding: 'base64', data: 'AAE='}; }
		return r;
	}`)
	for range 2 {
		w := do(e, "GET", "/x")
		if w.Code != 200 || w.Body.String() != "\x00\x01" || w.Header().Get("Content-Length") != "2" || w.Header().Get("Content-Encoding") != "" || w.Header().Get("Test-Aborted") != "" {
			t.Errorf("%d %q %v", w.Code, w.Body, w.Header())
		}
		if w := do(e, "GET", "/x?status=204"); w.Code != 204 || w.Body.Len() != 0 || w.Header().Get("Content-Length") != "" || w.Header().Get("Test-Aborted") != "" {
			t.Errorf("%d, %d bytes, %v", w.Code, w.Body.Len(), w.Header())
		}
		if w := do(e, "HEAD", "/x"); w.Code != 200 || w.Body.Len() != 0 || w.Header().Get("Content-Length") != "2" {
			t.Errorf("%d, %d bytes, %v", w.Code, w.Body.Len(), w.Header())
		}
	}
}

// Functions at viewer-response are not asked about errors, nor about the pages
// that stand for them.
func TestFunctionSeesNoErrors(t *testing.T) {
	seconds := int64(10)
	d := running("first", "last")
	d.Config.CustomErrorResponses = []distribution.CustomErrorResponse{{ErrorCode: 404, ResponsePagePath: "/sorry", ResponseCode: 200, ErrorCachingMinTTL: &seconds}}
	e := open(t, roundTripper(func(r *http.Request) (*http.Response, error) {
		switch r.URL.Path {
		case "/sorry":
			return reply(200, "sorry"), nil
		case "/forbidden":
			return reply(403, "no"), nil
		}
		return reply(404, "gone"), nil
	}), Config{Distributions: []distribution.Distribution{d}, Function: code(t, map[string]string{
		"first": `function handler(event) { if (event.request.uri == '/sorry') { throw 'asked about the page'; } return event.request; }`,
		"last":  `function handler(event) { throw 'asked about an error'; }`,
	})})
	for range 2 {
		if w := do(e, "GET", "/missing"); w.Code != 200 || w.Body.String() != "sorry" {
			t.Errorf("%d %q %v", w.Code, w.Body, w.Header())
		}
		if w := do(e, "GET", "/forbidden"); w.Code != 403 || w.Body.String() != "no" {
			t.Errorf("%d %q %v", w.Code, w.Body, w.Header())
		}
	}
}

// An invalidation of the URL that viewers ask for, and one of that which a
// function makes of it, both mean that no viewer gets what was there before,
// under whatever URL the copy was fetched.
func TestPromiseRewrittenURLs(t *testing.T) {
	urls := []string{"/d/", "/d", "/d/index.html", "/", "/index.html"}
	rewritten := func(url string) string {
		switch {
		case strings.HasSuffix(url, "/"):
			return url + "index.html"
		case !strings.Contains(url, "."):
			return url + "/index.html"
		}
		return url
	}
	found := code(t, map[string]string{"first": indexRewrite})
	rapid.Check(t, func(rt *rapid.T) {
		var version int
		origin := roundTripper(func(*http.Request) (*http.Response, error) {
			return reply(200, fmt.Sprint(version), "Cache-Control", "max-age=1000"), nil
		})
		e, err := New(Config{Distributions: []distribution.Distribution{running("first", "")}, Function: found, MemoryLimit: 1 << 20,
			Resolve: func(distribution.Distribution, distribution.Origin) (Origin, error) {
				return Origin{URL: "http://o.test", Transport: origin}, nil
			}})
		if err != nil {
			rt.Fatal(err)
		}
		defer e.Close()
		least := make(map[string]int) // version that a URL must have at least
		for range rapid.IntRange(20, 80).Draw(rt, "steps") {
			url := rapid.SampledFrom(urls).Draw(rt, "url")
			switch rapid.SampledFrom([]string{"get", "get", "invalidate", "wildcard", "sweep"}).Draw(rt, "what") {
			case "get":
				var got int
				w := do(e, "GET", url)
				if _, err := fmt.Sscan(w.Body.String(), &got); err != nil || got < least[url] {
					rt.Fatalf("%s: version %q, want at least %d", url, w.Body, least[url])
				}
			case "invalidate", "wildcard":
				version++
				pattern := url
				covered := func(u string) bool { return u == url || rewritten(u) == url }
				if url == "/d" {
					pattern, covered = "/d*", func(u string) bool { return strings.HasPrefix(u, "/d") }
				}
				if err := e.Invalidate("E1", []freshet.Pattern{freshet.Pattern(pattern)}); err != nil {
					rt.Fatal(err)
				}
				for _, u := range urls {
					if covered(u) {
						least[u] = version
					}
				}
			case "sweep":
				e.sweep()
			}
		}
	})
}

// That an invalidation was forgotten, since it covered nothing that was stored
// under its own name, does not make what it covered fresh.
func TestPromiseRewrittenURLsAfterASweep(t *testing.T) {
	origin := &recorded{answer: pathOf}
	e := openRunning(t, origin, indexRewrite, "")
	do(e, "GET", "/d/index.html")
	if err := e.Invalidate("E1", []freshet.Pattern{"/d/"}); err != nil {
		t.Fatal(err)
	}
	e.sweep()
	for i, want := range []string{"Hit", "Miss", "Hit", "Hit"} {
		url := []string{"/d/index.html", "/d/", "/d/", "/d/index.html"}[i]
		if w := do(e, "GET", url); w.Header().Get("X-Cache") != want+" from cloudfront" {
			t.Errorf("%d: %s: %q, want %s", i, url, w.Header().Get("X-Cache"), want)
		}
	}
}

// A request does not join a fetch for another URL that is rewritten to the same
// one, if its own was invalidated since.
func TestPromiseRewrittenURLsDoNotJoinOlderFetches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked int
		release := make(chan struct{})
		var mu sync.Mutex
		e := openRunning(t, roundTripper(func(*http.Request) (*http.Response, error) {
			mu.Lock()
			asked++
			n := asked
			mu.Unlock()
			if n == 1 {
				<-release
			}
			return reply(200, fmt.Sprint("version ", n), "Cache-Control", "max-age=1000"), nil
		}), indexRewrite, "")
		defer e.Close()
		bodies := make(chan string, 3)
		get := func(url string) { go func() { bodies <- url + " " + do(e, "GET", url).Body.String() }() }
		get("/d/index.html")
		synctest.Wait()
		get("/d") // joins
		synctest.Wait()
		if err := e.Invalidate("E1", []freshet.Pattern{"/d/"}); err != nil {
			t.Fatal(err)
		}
		get("/d/")
		synctest.Wait()
		close(release)
		got := []string{<-bodies, <-bodies, <-bodies}
		slices.Sort(got)
		if want := []string{"/d version 1", "/d/ version 2", "/d/index.html version 1"}; !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
		if w := do(e, "GET", "/d/"); w.Body.String() != "version 2" {
			t.Errorf("later: %q", w.Body)
		}
	})
}

// BenchmarkHitWithFunction is a hit behind a function that rewrites the URL;
// BenchmarkHit is one without.
func BenchmarkHitWithFunction(b *testing.B) {
	e := openRunning(b, roundTripper(pathOf), indexRewrite, "")
	do(e, "GET", "/docs/")
	b.ReportAllocs()
	for b.Loop() {
		if w := do(e, "GET", "/docs/"); w.Code != 200 {
			b.Fatal(w.Code)
		}
	}
}

// A copy that was invalidated under one of the URLs that lead to it does not stand
// in for the viewers of that URL, also where they join the fetch of another's.
func TestPromiseRewrittenURLsJoinNoInvalidatedStandIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		close(gate)
		status := 200
		o := roundTripper(func(*http.Request) (*http.Response, error) {
			s, open := status, gate
			<-open
			return reply(s, "of "+strconv.Itoa(s), "Cache-Control", "max-age=5", "Etag", `"1"`), nil
		})
		e := openRunning(t, o, `function handler(event) { event.request.uri = '/one'; return event.request; }`, "")
		want(t, get(e, "/x"), 200, "Miss", "of 200")
		synctest.Wait()
		if err := e.Invalidate("E1", []freshet.Pattern{"/y"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(6 * time.Second)
		gate, status = make(chan struct{}), 503
		x, y := make(chan *httptest.ResponseRecorder, 1), make(chan *httptest.ResponseRecorder, 1)
		go func() { x <- get(e, "/x") }()
		synctest.Wait()
		go func() { y <- get(e, "/y") }()
		synctest.Wait()
		close(gate)
		want(t, <-x, 200, "RefreshHit", "of 200")
		want(t, <-y, 503, "Error", "of 503")
	})
}
