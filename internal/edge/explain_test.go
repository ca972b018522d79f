package edge

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/distribution"
)

// explainOne explains a request of a distribution without looking into the cache.
func explainOne(t *testing.T, d distribution.Distribution, functions Functions, q Question) Way {
	t.Helper()
	e := open(t, fixed(200, "x"), Config{Distributions: []distribution.Distribution{d}, Function: functions})
	q.Distribution = d.ID
	w, err := e.Explain(q, false)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func header(pairs ...string) http.Header {
	h := make(http.Header)
	for i := 0; i < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	return h
}

func TestExplainedLifetimes(t *testing.T) {
	ttl := func(lowest, usual, highest int64) distribution.Distribution {
		return behaving(func(b *distribution.CacheBehavior) { b.MinTTL, b.DefaultTTL, b.MaxTTL = &lowest, &usual, &highest })
	}
	for _, tt := range []struct {
		d      distribution.Distribution
		status int
		says   string // "name: value"
		fresh  int64
		by     string
		reason string
	}{
		{ttl(0, 60, 600), 200, "Cache-Control: max-age=100", 100, "", "the origin's max-age"},
		{ttl(0, 60, 600), 200, "Cache-Control: max-age=9, s-maxage=100", 100, "", "the origin's s-maxage"},
		{ttl(0, 60, 600), 200, "Cache-Control: max-age=1000", 600, "MaxTTL", "MaxTTL, which is less than the origin's max-age"},
		{ttl(5, 60, 600), 200, "Cache-Control: max-age=1", 5, "MinTTL", "MinTTL, which overrules the origin's max-age"},
		{ttl(0, 60, 600), 200, "", 60, "DefaultTTL", "DefaultTTL, since the origin says nothing"},
		{ttl(0, 60, 30), 200, "", 60, "DefaultTTL", "DefaultTTL, since the origin says nothing"},
		{ttl(5, 60, 600), 200, "Cache-Control: no-cache", 5, "MinTTL", "MinTTL, which overrules the origin's no-cache"},
		{ttl(0, 60, 600), 200, "Cache-Control: no-cache", 0, "MinTTL", "the origin's no-cache, since MinTTL is 0"},
		{ttl(0, 60, 600), 200, "Cache-Control: private, max-age=9", 0, "MinTTL", "the origin's private, since MinTTL is 0"},
		{ttl(0, 60, 600), 200, "Cache-Control: max-age=0", 0, "", "the origin's max-age"},
		{ttl(0, 60, 600), 200, "Vary: *", 0, "", "the origin's Vary: *, since MinTTL is 0"},
		{ttl(0, 60, 600), 200, "Expires: Thu, 01 Jan 1970 00:00:00 GMT", 0, "MinTTL", "the origin's Expires, since MinTTL is 0"},
		{ttl(0, 60, 600), 404, "", 10, "ErrorCachingMinTTL", "the error caching minimum TTL"},
		{ttl(0, 60, 600), 404, "Cache-Control: max-age=100", 100, "", "the origin's max-age"},
		{ttl(0, 60, 7), 404, "", 7, "MaxTTL", "MaxTTL, which is less than the error caching minimum TTL"},
		{ttl(0, 60, 600), 403, "", 0, "", "cached only with max-age or s-maxage"},
		{ttl(0, 60, 600), 418, "Cache-Control: max-age=100", 0, "", "answers with this status are not cached"},
	} {
		a := Answer{Status: tt.status}
		if name, value, ok := strings.Cut(tt.says, ": "); ok {
			a.Header = header(name, value)
		}
		l := explainOne(t, tt.d, nil, Question{Target: "/a", Answers: []Answer{a}}).Lifetimes[0]
		if l.Fresh != tt.fresh || l.By != tt.by || l.Reason != tt.reason {
			t.Errorf("%d %q: %d by %q: %s; want %d by %q: %s", tt.status, tt.says, l.Fresh, l.By, l.Reason, tt.fresh, tt.by, tt.reason)
		}
	}
}

func TestExplainedKey(t *testing.T) {
	d := policed(distribution.Parameters{
		EnableAcceptEncodingGzip: true, EnableAcceptEncodingBrotli: true,
		QueryStringsConfig: distribution.QueryStringsConfig{QueryStringBehavior: "whitelist", QueryStrings: []string{"page"}},
		HeadersConfig:      distribution.HeadersConfig{HeaderBehavior: "whitelist", Headers: []string{"accept-language", "X-Device"}},
		CookiesConfig:      distribution.CookiesConfig{CookieBehavior: "allExcept", Cookies: []string{"session"}},
	})
	k := explainOne(t, d, nil, Question{Target: "/a%2Db?utm=1&page=2", Header: header(
		"Accept-Language", "de", "Accept-Encoding", "gzip, deflate, br", "Cookie", "theme=dark; session=1", "User-Agent", "curl", "If-None-Match", `"x"`, "Te", "trailers",
	)}).Key
	want := &Key{
		URL: "/a%2Db?page=2", Variant: "br,gzip\n\nAccept-Language:de\nCookie:theme=dark", Source: "cache policy own",
		Parts: []Part{
			{Name: "header Accept-Language", Value: "de"}, {Name: "header X-Device", None: true},
			{Name: "Accept-Encoding", Value: "br,gzip", Sent: "gzip, deflate, br"}, {Name: "cookies", Value: "theme=dark"},
		},
		Out: []LeftOut{
			{"query string parameter utm", "cache policy own has only page"}, {"header If-None-Match", "the edge answers ranges and conditions from the whole"},
			{"header Te", "it concerns one connection only"}, {"header User-Agent", "cache policy own has only Accept-Language, X-Device"},
			{"cookie session", "cache policy own has all but session"},
		},
	}
	got, _ := json.MarshalIndent(k, "", " ")
	if expected, _ := json.MarshalIndent(want, "", " "); string(got) != string(expected) {
		t.Errorf("got %s\nwant %s", got, expected)
	}
}

// A function that changes what is in the key is followed, and a failing one ends
// the way.
func TestExplainedFunctions(t *testing.T) {
	d := running("first", "last")
	d.Config.DefaultCacheBehavior.ForwardedValues = &distribution.ForwardedValues{QueryString: true, Headers: []string{"X-Made"}, Cookies: distribution.CookiePreference{Forward: "all"}}
	found := code(t, map[string]string{"first": `function handler(event) {
		var r = event.request;
		console.log('saw ' + r.uri);
		if (r.uri === '/own') { return {statusCode: 302, headers: {location: {value: '/new'}}, body: 'go'}; }
		if (r.uri === '/throw') { throw new Error('on purpose'); }
		r.uri += 'index.html';
		delete r.querystring.drop;
		r.headers['x-made'] = {value: 'yes'};
		delete r.headers['x-gone'];
		r.cookies = {kept: {value: '2'}};
		return r;
	}`, "last": `function handler(event) { return event.response; }`})
	w := explainOne(t, d, found, Question{Target: "/d/?drop=1&q=2", Header: header("X-Gone", "x", "Cookie", "kept=1; gone=2")})
	want := []Change{
		{What: "uri", Before: "/d/", After: "/d/index.html"}, {What: "query string", Before: "drop=1&q=2", After: "q=2"},
		{What: "header", Name: "x-gone", Before: "x", Gone: true}, {What: "header", Name: "x-made", After: "yes", Added: true},
		{What: "cookie", Name: "kept", Before: "1", After: "2"}, {What: "cookie", Name: "gone", Before: "2", Gone: true},
	}
	if !slices.Equal(w.Function.Changes, want) || !slices.Equal(w.Function.Logs, []string{"saw /d/"}) || w.LastFunction != "last" {
		t.Errorf("%+v", w.Function)
	}
	if w.Key.URL != "/d/index.html?q=2" || w.Key.Variant != "\n\nX-Made:yes\nCookie:kept=2" || !slices.Equal(w.Names, []string{"/d/index.html?q=2", "/d/?drop=1&q=2"}) {
		t.Errorf("key %+v, names %q", w.Key, w.Names)
	}
	if w.Ask.URL != "http://origin.test/d/index.html?q=2" || w.Ask.Header.Get("X-Made") != "yes" || slices.Contains(w.Ask.Added, "X-Made") {
		t.Errorf("%+v", w.Ask)
	}
	if g := explainOne(t, d, found, Question{Target: "/own"}); g.Function.Generated == nil || g.Function.Generated.Status != 302 || g.Function.Generated.Body != "go" || g.Key != nil {
		t.Errorf("%+v", g)
	}
	if r := explainOne(t, d, found, Question{Target: "/throw"}); r.Refused == nil || r.Refused.Status != 503 || !strings.Contains(r.Function.Error, "on purpose") || r.Key != nil {
		t.Errorf("%+v", r)
	}
	// Without its code nothing is known of what it does, which is no failure here.
	nobody := func(string) (p Functions) { return nil }("")
	if w := explainOne(t, d, nobody, Question{Target: "/d/"}); w.Key.URL != "/d/" || len(w.Notes) == 0 || !strings.Contains(w.Notes[0], "first") {
		t.Errorf("%+v", w)
	}
	if w := explainOne(t, d, code(t, nil), Question{Target: "/d/"}); w.Refused != nil || w.Key == nil || !strings.Contains(strings.Join(w.Notes, "\n"), "there is no such function") {
		t.Errorf("%+v", w)
	}
}

func TestExplainedRefusals(t *testing.T) {
	d, sign := privately(t)
	d.Config.CacheBehaviors = append(d.Config.CacheBehaviors, distribution.CacheBehavior{PathPattern: "/tls/*", TargetOriginID: "site", CachePolicyID: "all", ViewerProtocolPolicy: "redirect-to-https"})
	d.Config.CustomErrorResponses = []distribution.CustomErrorResponse{{ErrorCode: 403, ResponsePagePath: "/denied.html", ResponseCode: 200}}
	for _, tt := range []struct {
		q                Question
		status           int
		behavior, reason string
		location, page   string
	}{
		{Question{Target: "/tls/a?b"}, 301, "/tls/*", "This distribution answers HTTPS only.", "https://e1.example/tls/a?b", ""},
		{Question{Target: "/a", Method: "DELETE"}, 403, "*", "not configured to allow this method", "", "/denied.html"},
		{Question{Target: "/private/a"}, 403, "/private/*", "Key-Pair-Id", "", "/denied.html"},
		{Question{Target: "/" + strings.Repeat("a", 9000)}, 413, "", "8,192", "", ""},
		{Question{Target: "/a", Header: header("X-Large", strings.Repeat("a", 40000))}, 413, "", "32,768", "", ""},
		{Question{Target: "/private/a?" + forAll(sign)}, 0, "/private/*", "", "", ""},
		{Question{Target: "/tls/a", Secure: true}, 0, "/tls/*", "", "", ""},
	} {
		tt.q.Host = "e1.example"
		w := explainOne(t, d, nil, tt.q)
		got := Refused{}
		if w.Refused != nil {
			got = *w.Refused
		}
		if got.Status != tt.status || w.Behavior != tt.behavior || !strings.Contains(got.Reason, tt.reason) || got.Location != tt.location || got.Page != tt.page || (w.Key == nil) != (tt.status != 0) {
			t.Errorf("%.60s: %+v at %q", tt.q.Target, got, w.Behavior)
		}
		if tt.status == 0 && strings.Contains(w.Key.URL, "Signature") {
			t.Errorf("the signature is in the key: %s", w.Key.URL)
		}
	}
}

func TestExplainedAnswers(t *testing.T) {
	d := behaving(func(b *distribution.CacheBehavior) { b.ResponseHeadersPolicyID, b.Compress = "r", true })
	d.ResponseHeadersPolicies = []distribution.ResponseHeadersPolicy{{ID: "r", Config: distribution.ResponseHeadersPolicyConfig{
		Name: "dressed", RemoveHeaders: []string{"X-Powered-By"}, ServerTiming: &distribution.ServerTimingConfig{Enabled: true, SamplingRate: 50},
		CustomHeaders: []distribution.CustomHeader{{Header: "x-own", Value: "1", Override: true}, {Header: "x-weak", Value: "2"}},
		CORSConfig:    &distribution.CORSConfig{AccessControlAllowOrigins: []string{"https://a.example"}, OriginOverride: true},
	}}}
	d.Config.CustomErrorResponses = []distribution.CustomErrorResponse{{ErrorCode: 404, ResponsePagePath: "/lost/404.html", ResponseCode: 200}, {ErrorCode: 500}}
	d.Config.CacheBehaviors = []distribution.CacheBehavior{d.Config.DefaultCacheBehavior}
	d.Config.CacheBehaviors[0].PathPattern = "/lost/*"
	w := explainOne(t, d, nil, Question{Target: "/a", Header: header("Origin", "https://a.example", "Accept-Encoding", "gzip")})
	if want := []Dress{{"Access-Control-Allow-Origin", "https://a.example", true}, {"Vary", "Origin", false}, {"X-Own", "1", true}, {"X-Weak", "2", false}}; !slices.Equal(w.Dressing.Set, want) {
		t.Errorf("%+v", w.Dressing.Set)
	}
	if w.Dressing.Policy != "dressed" || w.Dressing.Timing != 50 || !slices.Equal(w.Dressing.Removed, []string{"X-Powered-By"}) {
		t.Errorf("%+v", w.Dressing)
	}
	if want := []ErrorRule{{404, 10, "/lost/404.html", "/lost/*", 200}, {Status: 500, MinTTL: 10}}; !slices.Equal(w.Errors, want) {
		t.Errorf("%+v", w.Errors)
	}
	if w.Compression.Coding != "gzip" {
		t.Errorf("%+v", w.Compression)
	}
	if w := explainOne(t, d, nil, Question{Target: "/a"}); w.Compression.Coding != "" || w.Compression.Reason == "" {
		t.Errorf("%+v", w.Compression)
	}
}

// What a running edge has is told: nothing, a fresh copy, other variants, what
// was invalidated, and a part.
func TestLookIntoTheCache(t *testing.T) {
	d := policed(distribution.Parameters{HeadersConfig: distribution.HeadersConfig{HeaderBehavior: "whitelist", Headers: []string{"X-V"}}})
	e := open(t, fixed(200, "body", "Cache-Control", "max-age=100", "Etag", `"1"`), Config{Distributions: []distribution.Distribution{d}})
	look := func(pairs ...string) *Live {
		t.Helper()
		w, err := e.Explain(Question{Distribution: "E1", Target: "/a", Header: header(pairs...)}, true)
		if err != nil {
			t.Fatal(err)
		}
		return w.Live
	}
	if l := look(); l.Copy != nil || l.XCache != "Miss from cloudfront" || l.Fetching {
		t.Errorf("%+v", l)
	}
	for _, v := range []string{"1", "2"} {
		get(e, "/a", "X-V", v)
	}
	settle(t, e)
	l := look("X-V", "1")
	if l.Copy == nil || l.XCache != "Hit from cloudfront" || l.Copy.Status != 200 || l.Copy.Bytes != 4 || l.Copy.Left < 90 || l.Copy.Left > 100 || l.Copy.Lifetime.Reason != "the origin's max-age" {
		t.Fatalf("%+v", l)
	}
	if !slices.Equal(l.Variants, []string{"\n\nX-V:2"}) {
		t.Errorf("%q", l.Variants)
	}
	if l := look("X-V", "1", "If-None-Match", `"1"`); l.Copy.Status != 304 {
		t.Errorf("%+v", l.Copy)
	}
	if err := e.Invalidate("E1", []freshet.Pattern{"/a"}); err != nil {
		t.Fatal(err)
	}
	if l := look("X-V", "1"); l.Copy != nil || len(l.Variants) > 0 {
		t.Errorf("after an invalidation: %+v", l)
	}
}

// What is expired, on its way, a part, or an error is told as such.
func TestLookIntoTheCacheLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		o := ranging("0123456789", "Cache-Control", "max-age=100, stale-while-revalidate=10", "Last-Modified", "Mon, 02 Jan 2006 15:04:05 GMT")
		d := dist("E1")
		d.Config.CustomErrorResponses = []distribution.CustomErrorResponse{{ErrorCode: 404, ResponsePagePath: "/lost.html", ResponseCode: 200}}
		e := open(t, roundTripper(func(r *http.Request) (*http.Response, error) {
			switch r.URL.Path {
			case "/slow":
				<-release
			case "/none":
				return reply(404, "none"), nil
			}
			return o.RoundTrip(r)
		}), Config{Distributions: []distribution.Distribution{d}})
		defer e.Close()
		e.multiple = 2
		look := func(target string, pairs ...string) *Live {
			t.Helper()
			w, err := e.Explain(Question{Distribution: "E1", Target: target, Header: header(pairs...)}, true)
			if err != nil {
				t.Fatal(err)
			}
			return w.Live
		}
		is := func(what string, l *Live, xcache string, status int, left int64, course string) {
			t.Helper()
			if l.XCache != xcache+" from cloudfront" || (l.Copy != nil) != (status != 0) || !strings.Contains(l.Course, course) {
				t.Errorf("%s: %+v", what, l)
			} else if l.Copy != nil && (l.Copy.Status != status || l.Copy.Left != left) {
				t.Errorf("%s: %+v", what, l.Copy)
			}
		}
		is("a range of nothing", look("/a", "Range", "bytes=4-5"), "Miss", 0, 0, "for a range")
		get(e, "/a", "Range", "bytes=4-4")
		synctest.Wait()
		part := look("/a", "Range", "bytes=4-5")
		is("a stored part", part, "Hit", 206, 100, "from the cache")
		if part.Copy == nil || !part.Copy.Part || part.Copy.Bytes != 2 {
			t.Errorf("%+v", part.Copy)
		}
		is("another part", look("/a", "Range", "bytes=6-7"), "Miss", 0, 0, "for a range")
		is("the whole of a part", look("/a"), "Miss", 0, 0, "the origin is asked")
		get(e, "/b")
		synctest.Wait()
		is("a range of the whole", look("/b", "Range", "bytes=4-5"), "Hit", 206, 100, "from the cache")
		is("beyond the end", look("/b", "Range", "bytes=40-50"), "Hit", 416, 100, "from the cache")
		time.Sleep(105 * time.Second)
		is("just expired", look("/b"), "Hit", 200, -5, "behind the viewer")
		is("a part that expired", look("/a", "Range", "bytes=4-5"), "RefreshHit", 206, -5, "still right")
		if w := get(e, "/a", "Range", "bytes=4-5"); w.Code != 206 || xcache(w) != "RefreshHit" {
			t.Errorf("%d %v", w.Code, w.Header())
		}
		time.Sleep(10 * time.Second)
		is("long expired", look("/b"), "RefreshHit", 200, -15, "still right")
		get(e, "/none")
		synctest.Wait()
		is("an error", look("/none"), "Error", 404, 10, "the viewer gets the page /lost.html")
		go get(e, "/slow")
		synctest.Wait()
		if l := look("/slow"); !l.Fetching || l.Copy != nil {
			t.Errorf("%+v", l)
		}
		close(release)
		synctest.Wait()
		if l := look("/slow"); l.Fetching || l.Copy == nil {
			t.Errorf("%+v", l)
		}
	})
}

func TestQuestionsThatCannotBeAsked(t *testing.T) {
	e := open(t, fixed(200, "x"), Config{})
	for name, q := range map[string]Question{
		"path": {Target: "a"}, "method": {Target: "/", Method: "G T"}, "header": {Target: "/", Header: header("A", "b\nc")}, "name": {Target: "/", Header: http.Header{"A b": {"c"}}},
		"host": {Target: "/", Host: "a b"}, "viewer": {Target: "/", Viewer: "nobody"}, "escape": {Target: "/%zz"},
	} {
		q.Distribution = "E1"
		if _, err := e.Explain(q, false); !errors.Is(err, ErrQuestion) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := e.Explain(Question{Target: "/", Distribution: "E9"}, false); !errors.Is(err, ErrUnknownDistribution) {
		t.Error(err)
	}
	w, err := e.Explain(Question{Target: "/a b?ü", Host: "any.example", Viewer: "2001:db8::1", Header: header("Host", "other.example")}, false)
	if err != nil || w.URL != "http://other.example/a%20b?%C3%BC" || w.Viewer != "2001:db8::1" || w.Distribution != "E1" {
		t.Errorf("%+v %v", w, err)
	}
}
