package edge

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/distribution"
)

// drawing draws configurations and requests for TestExplanationsComeTrue.
type drawing struct{ *rapid.T }

func (t drawing) of(label string, from ...string) string {
	return rapid.SampledFrom(from).Draw(t.T, label)
}

func (t drawing) some(label string, from ...string) []string {
	return rapid.Map(rapid.SliceOfNDistinct(rapid.SampledFrom(from), 1, len(from), rapid.ID), slices.Clone).Draw(t.T, label)
}

func (t drawing) seconds(label string) *int64 {
	n := rapid.SampledFrom([]int64{0, 5, 60, 3600}).Draw(t.T, label)
	return &n
}

func (t drawing) policy(id string) distribution.CachePolicy {
	p := distribution.CachePolicyConfig{Name: "drawn " + id, MinTTL: t.seconds("min"), DefaultTTL: t.seconds("default"), MaxTTL: t.seconds("max")}
	p.Parameters = distribution.Parameters{
		EnableAcceptEncodingGzip: rapid.Bool().Draw(t.T, "gzip"), EnableAcceptEncodingBrotli: rapid.Bool().Draw(t.T, "brotli"),
		QueryStringsConfig: distribution.QueryStringsConfig{QueryStringBehavior: t.of("queries", "none", "whitelist", "allExcept", "all"), QueryStrings: t.some("query names", "a", "b")},
		CookiesConfig:      distribution.CookiesConfig{CookieBehavior: t.of("cookies", "none", "whitelist", "allExcept", "all"), Cookies: t.some("cookie names", "x", "y")},
		HeadersConfig:      distribution.HeadersConfig{HeaderBehavior: t.of("headers", "none", "whitelist"), Headers: t.some("header names", "Accept-Language", "X-Made", "Origin", "Host")},
	}
	return distribution.CachePolicy{ID: id, Config: p}
}

func (t drawing) behavior(pattern string) distribution.CacheBehavior {
	b := distribution.CacheBehavior{
		PathPattern: pattern, TargetOriginID: t.of("target", "one", "two", "both"), CachePolicyID: t.of("policy", "p1", "p2"),
		ViewerProtocolPolicy: t.of("protocol", "allow-all", "allow-all", "redirect-to-https", "https-only"), Compress: rapid.Bool().Draw(t.T, "compress"),
		AllowedMethods: rapid.SampledFrom([][]string{allowedSets[0], allowedSets[1], allowedSets[2]}).Draw(t.T, "allowed"),
	}
	b.CachedMethods = rapid.SampledFrom([][]string{allowedSets[0], allowedSets[1]}).Draw(t.T, "cached")
	if name := t.of("function", "", "", "index", "query", "made", "own", "broken", "elsewhere"); name != "" {
		b.FunctionAssociations = []distribution.FunctionAssociation{{EventType: "viewer-request", FunctionARN: name}}
	}
	b.OriginRequestPolicyID = t.of("origin request", "", "o1")
	return b
}

func (t drawing) distribution() distribution.Distribution {
	d := dist("E1")
	d.Config.DefaultRootObject = t.of("root", "", "index.html")
	d.Config.Origins = []distribution.Origin{
		{ID: "one", DomainName: "one.example.com", OriginPath: "/site", CustomHeaders: []distribution.OriginHeader{{HeaderName: "X-Secret", HeaderValue: "s"}}},
		{ID: "two", DomainName: "two.example.com"},
	}
	d.Config.OriginGroups = []distribution.OriginGroup{{ID: "both", Members: []string{"one", "two"}, StatusCodes: []int{503}}}
	d.CachePolicies = []distribution.CachePolicy{t.policy("p1"), t.policy("p2")}
	d.OriginRequestPolicies = []distribution.OriginRequestPolicy{{ID: "o1", Config: distribution.OriginRequestPolicyConfig{
		HeadersConfig:      distribution.HeadersConfig{HeaderBehavior: t.of("sent headers", "none", "allViewer", "whitelist"), Headers: []string{"User-Agent", "X-Made"}},
		QueryStringsConfig: distribution.QueryStringsConfig{QueryStringBehavior: t.of("sent queries", "none", "all")},
		CookiesConfig:      distribution.CookiesConfig{CookieBehavior: t.of("sent cookies", "none", "all")},
	}}}
	d.Config.DefaultCacheBehavior = t.behavior("")
	d.Config.CacheBehaviors = nil
	for _, pattern := range []string{"/b/*", "*.css"}[:rapid.IntRange(0, 2).Draw(t.T, "behaviors")] {
		d.Config.CacheBehaviors = append(d.Config.CacheBehaviors, t.behavior(pattern))
	}
	if rapid.Bool().Draw(t.T, "error rule") {
		d.Config.CustomErrorResponses = []distribution.CustomErrorResponse{{ErrorCode: 404, ErrorCachingMinTTL: t.seconds("error ttl")}}
	}
	return d
}

func (t drawing) question() Question {
	q := Question{
		Distribution: "E1", Host: t.of("host", "e1.cloudfront.localhost", "www.example.com"), Header: make(http.Header),
		Method: t.of("method", "GET", "GET", "GET", "HEAD", "OPTIONS", "POST"), Secure: rapid.Bool().Draw(t.T, "secure"),
		Target: t.of("path", "/", "/a", "/b/", "/b//x", "/a/../b/x", "/%7Ea", "/s.css") + t.of("query", "", "", "?a=1", "?b=2&a=1", "?a=1&b=2", "?c", "?"),
	}
	for name, values := range map[string][]string{
		"Accept-Encoding": {"gzip", "gzip, br", "br;q=0, gzip", "identity"}, "Cookie": {"x=1", "x=1; y=2", "y=2; x=1", "z=3"}, "Accept-Language": {"de", "en"},
		"X-Made": {"1", "2"}, "User-Agent": {"curl"}, "Origin": {"https://o.example.com"}, "Range": {"bytes=0-1"}, "Te": {"trailers"}, "Authorization": {"Basic eDp5"}, "If-None-Match": {`"other"`},
	} {
		if rapid.IntRange(0, 2).Draw(t.T, name) == 0 {
			q.Header.Set(name, rapid.SampledFrom(values).Draw(t.T, name+" value"))
		}
	}
	return q
}

// explained is an edge, its origins and what they answer.
type explained struct {
	*rapid.T

	e      *Edge
	asked  []*http.Request
	answer Answer
}

func (x *explained) RoundTrip(r *http.Request) (*http.Response, error) {
	x.asked = append(x.asked, r)
	resp := reply(x.answer.Status, "body")
	maps.Copy(resp.Header, x.answer.Header)
	return resp, nil
}

func (x *explained) explain(q Question) Way {
	q.Answers = []Answer{x.answer}
	before := x.e.Stats()
	w, err := x.e.Explain(q, true)
	if err != nil {
		x.Fatal(err)
	}
	if after := x.e.Stats(); !reflect.DeepEqual(before, after) || len(x.asked) > 0 {
		x.Fatalf("explaining changed something: %+v → %+v, %d requests to origins", before, after, len(x.asked))
	}
	return w
}

// serve has the edge answer the request, and returns what origins were asked.
func (x *explained) serve(q Question) (*httptest.ResponseRecorder, []*http.Request) {
	r, err := q.request("")
	if err != nil {
		x.Fatal(err)
	}
	w := serve(x.e, r)
	synctest.Wait()
	asked := x.asked
	x.asked = nil
	return w, asked
}

// compare holds a request that an origin got against the one that was announced.
func (x *explained) compare(a *Ask, got *http.Request) {
	h := got.Header.Clone()
	h["X-Amz-Cf-Id"] = []string{theID}
	h.Set("Via", strings.ReplaceAll(h.Get("Via"), x.e.via, "1.1 "+theID+cloudfrontHop))
	if a == nil || a.Method != got.Method || a.URL != got.URL.String() || a.Host != got.Host || !reflect.DeepEqual(a.Header, h) {
		x.Fatalf("announced %+v\n got %s %s of %s with %v", a, got.Method, got.URL, got.Host, h)
	}
}

// What explain says comes true: which behavior answers, what is refused, which
// request the origin gets, which other request has the same key, for how long
// the answer is kept, and what removes it.
func TestExplanationsComeTrue(t *testing.T) {
	functions := code(t, map[string]string{
		"index":     indexRewrite,
		"query":     `function handler(event) { var r = event.request; delete r.querystring.a; r.querystring.b = {value: 'f'}; return r; }`,
		"made":      `function handler(event) { var r = event.request; r.headers['x-made'] = {value: 'f'}; delete r.headers['accept-language']; r.cookies.x = {value: 'f'}; return r; }`,
		"own":       `function handler(event) { return {statusCode: 302, headers: {location: {value: event.request.uri}}}; }`,
		"elsewhere": `import cf from 'cloudfront'; function handler(event) { cf.selectRequestOriginById('two'); return event.request; }`,
		"broken":    `function handler(event) { throw new Error('no'); }`,
	})
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(bubbled{t}, func(rt *rapid.T) {
			draw := drawing{rt}
			x := &explained{T: rt}
			d := draw.distribution()
			var err error
			x.e, err = New(Config{Distributions: []distribution.Distribution{d}, Function: functions, MemoryLimit: 1 << 20,
				Resolve: func(_ distribution.Distribution, o distribution.Origin) (Origin, error) {
					return Origin{URL: "http://" + o.DomainName, Transport: x}, nil
				}})
			if err != nil {
				rt.Fatal(err)
			}
			defer x.e.Close()
			x.answer = Answer{rapid.SampledFrom([]int{200, 200, 200, 301, 307, 206, 404, 403, 503, 418}).Draw(rt, "status"), http.Header{}}
			for _, control := range []string{"", "max-age=30", "max-age=7200", "s-maxage=0", "no-cache", "private, max-age=9", "public", "max-age=30, stale-while-revalidate=10", "max-age=30, stale-if-error=0"} {
				if rapid.IntRange(0, 4).Draw(rt, control) == 0 && control != "" {
					x.answer.Header.Set("Cache-Control", control)
				}
			}
			if rapid.Bool().Draw(rt, "etag") {
				x.answer.Header.Set("Etag", `"1"`)
			}
			if rapid.IntRange(0, 5).Draw(rt, "vary") == 0 {
				x.answer.Header.Set("Vary", "*")
			}
			if rapid.IntRange(0, 5).Draw(rt, "age") == 0 {
				x.answer.Header.Set("Age", "20")
			}
			first, second := draw.question(), draw.question()
			if rapid.Bool().Draw(rt, "alike") { // but for one thing at most
				target, h := second.Target, second.Header
				second = first
				second.Header = first.Header.Clone()
				switch name := draw.of("difference", "", "target", "Accept-Encoding", "Cookie", "Accept-Language", "X-Made"); name {
				case "":
				case "target":
					second.Target = target
				default:
					second.Header[name] = h[name]
				}
			}
			x.check(first, second, draw.of("end", "expiry", "invalidation"))
		})
	})
}

func (x *explained) check(first, second Question, end string) {
	way := x.explain(first)
	w, asked := x.serve(first)
	if way.Refused != nil || way.Function != nil && way.Function.Generated != nil {
		x.compareOwn(way, w, asked)
		return
	}
	x.compareAsked(way, asked)
	if way.Key == nil {
		if way.Uncached == "" {
			x.Fatalf("neither a key nor a reason: %+v", way)
		}
		return
	}
	if first.Method == "HEAD" {
		return // stores nothing
	}
	ranged := first.Header.Get("Range") != ""
	kept := way.Lifetimes[0]
	if again := x.explain(first); !ranged && kept.Fresh > 0 {
		c := again.Live.Copy
		if c == nil || c.Left != kept.Fresh || c.Lifetime.Fresh != kept.Fresh || c.Lifetime.Reason != kept.Reason {
			x.Fatalf("announced %+v, stored %+v", kept, c)
		}
	}
	other := x.explain(second)
	w, asked = x.serve(second)
	if other.Key == nil || ranged || second.Header.Get("Range") != "" {
		return
	}
	if shares := other.Key.URL == way.Key.URL && other.Key.Variant == way.Key.Variant && kept.Fresh > 0; shares != (len(asked) == 0) {
		x.Fatalf("keys %+v and %+v, fresh for %d s: the origin was asked %d times, %v", way.Key, other.Key, kept.Fresh, len(asked), w.Header())
	} else if got := w.Header().Get("X-Cache"); shares && got != other.Live.XCache {
		x.Fatalf("announced %s, got %s", other.Live.XCache, got)
	}
	if second.Method == "HEAD" || kept.Fresh == 0 {
		return
	}
	x.end(first, way, kept, end)
}

// end has the copy of a request end, and looks whether it does.
func (x *explained) end(q Question, way Way, kept Lifetime, how string) {
	if how == "expiry" {
		time.Sleep(time.Duration(kept.Fresh)*time.Second - time.Second)
		if _, asked := x.serve(q); len(asked) > 0 {
			x.Fatalf("a second before its end the copy is not used: %+v", kept)
		}
		time.Sleep(time.Second)
		live := x.explain(q).Live
		w, asked := x.serve(q)
		if len(asked) == 0 {
			x.Fatalf("after its end the copy is used: %+v", kept)
		}
		if got := xcache(w); kept.Behind > 0 && got != "Hit" || kept.Behind > 0 != strings.HasPrefix(live.XCache, "Hit") && x.answer.Status < 400 {
			x.Fatalf("announced %+v and %+v, got %s", kept, live, got)
		}
		return
	}
	for _, name := range way.Names {
		pattern, _ := freshet.PathPattern(name)
		if strings.Contains(name, "~") || strings.Contains(string(pattern), "%7E") {
			return // cannot be invalidated exactly
		}
		if err := x.e.Invalidate("E1", []freshet.Pattern{pattern}); err != nil {
			x.Fatal(err)
		}
		if live := x.explain(q).Live; live.Copy != nil {
			x.Fatalf("%s was invalidated, and there is still %+v", pattern, live.Copy)
		}
		if _, asked := x.serve(q); len(asked) == 0 {
			x.Fatalf("%s was invalidated, and the origin not asked", pattern)
		}
	}
}

// compareOwn holds an answer of the edge itself against the announcement.
func (x *explained) compareOwn(way Way, w *httptest.ResponseRecorder, asked []*http.Request) {
	status, location := 0, ""
	if way.Refused != nil {
		status, location = way.Refused.Status, way.Refused.Location
	} else {
		status, location = way.Function.Generated.Status, way.Function.Generated.Header.Get("Location")
	}
	if w.Code != status || w.Header().Get("Location") != location || len(asked) > 0 {
		x.Fatalf("announced %d %s, got %d %v after %d requests", status, location, w.Code, w.Header(), len(asked))
	}
}

// compareAsked holds what the origins were asked against the announcement.
func (x *explained) compareAsked(way Way, asked []*http.Request) {
	if len(asked) == 0 {
		x.Fatalf("nobody was asked: %+v", way)
	}
	x.compare(way.Ask, asked[0])
	failsOver := slices.Contains(way.Ask.FailsOver, x.answer.Status)
	if failsOver && len(asked) < 2 {
		x.Fatal("the second origin was not asked")
	}
	if failsOver {
		x.compare(way.Ask.Second, asked[1])
	}
}
