package edge

import (
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/distribution"
)

// policed is dist with a cache policy of its own.
func policed(parameters distribution.Parameters) distribution.Distribution {
	d := dist("E1")
	d.CachePolicies = []distribution.CachePolicy{{ID: "p1", Config: distribution.CachePolicyConfig{Name: "own", Parameters: parameters}}}
	d.Config.DefaultCacheBehavior = distribution.CacheBehavior{TargetOriginID: "site", CachePolicyID: "p1"}
	return d
}

// request is a viewer's request; headers alternate names and values.
func request(method, target string, headers ...string) *http.Request {
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

func TestQueryStringsInTheKey(t *testing.T) {
	some := []string{"a", "B", "c%20d"}
	for _, tt := range []struct {
		rule       string
		mode       distribution.SelectionMode
		names      []string
		text, want string
	}{
		{"none", distribution.None, nil, "a=1", ""},
		{"all, as the viewer wrote it", distribution.All, nil, "b=2&a=1&&%41", "b=2&a=1&&%41"},
		{"only listed parameters", distribution.Listed, some, "x=1&a=1&y=2", "a=1"},
		{"their order counts", distribution.Listed, some, "B=2&x=1&a=1", "B=2&a=1"},
		{"letter case of names counts", distribution.Listed, some, "A=1&b=2&a=x", "a=x"},
		{"every occurrence", distribution.Listed, some, "a=2&x&a=1", "a=2&a=1"},
		{"a parameter without value", distribution.Listed, some, "x&a&B=", "a&B="},
		{"the spelling counts", distribution.Listed, some, "c%20d=1&c+d=2&c d=3", "c%20d=1"},
		{"none of the listed is there", distribution.Listed, some, "x=1&&=a", ""},
		{"all but the listed", distribution.AllBut, some, "x=1&a=1&y=2&B", "x=1&y=2"},
		{"all but the listed, none there", distribution.AllBut, some, "x=1&y=2", "x=1&y=2"},
		{"all but the listed, all there", distribution.AllBut, some, "a=1&B=2", ""},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			k := keying{queryStrings: distribution.Selection{Mode: tt.mode, Names: tt.names}}
			if got := k.query(tt.text); got != tt.want {
				t.Errorf("%q → %q, want %q", tt.text, got, tt.want)
			}
		})
	}
}

// Accept-Encoding is one of four values in the key, and so at the origin.
func TestAcceptEncodingIsNormalized(t *testing.T) {
	for _, tt := range []struct {
		gzip, brotli bool
		sent, want   string
	}{
		{true, true, "gzip, deflate, br", "br,gzip"},
		{true, true, "BR;q=0.5,GZIP", "br,gzip"},
		{true, true, "gzip", "gzip"},
		{true, true, "br", "br"},
		{true, true, "gzip;q=0, br; q=0.000", ""},
		{true, true, "gzip;q=0.001", "gzip"},
		{true, true, "deflate, zstd, *", ""},
		{true, true, "xgzip, bru", ""},
		{true, true, "", ""},
		{true, false, "gzip, br", "gzip"},
		{false, true, "gzip, br", "br"},
		{false, false, "gzip, br", ""},
	} {
		k := keying{gzip: tt.gzip, brotli: tt.brotli}
		if got := k.encodings([]string{tt.sent}); got != tt.want {
			t.Errorf("gzip %v, brotli %v: %q → %q, want %q", tt.gzip, tt.brotli, tt.sent, got, tt.want)
		}
		split := strings.Split(tt.sent, ",")
		if got := k.encodings(split); got != tt.want {
			t.Errorf("on several lines: %q → %q, want %q", split, got, tt.want)
		}
	}
}

func TestCookiesInTheKey(t *testing.T) {
	for _, tt := range []struct {
		rule  string
		mode  distribution.SelectionMode
		names []string
		lines []string
		want  string
	}{
		{"none", distribution.None, nil, []string{"a=1"}, ""},
		{"all, sorted by name", distribution.All, nil, []string{"c=3; a=1;b=2"}, "a=1; b=2; c=3"},
		{"on several lines, as HTTP/2 sends them", distribution.All, nil, []string{"b=2", "a=1"}, "a=1; b=2"},
		{"one name several times, in the viewer's order", distribution.All, nil, []string{"b=2; a=z; b=1"}, "a=z; b=2; b=1"},
		{"names and values differ by letter case", distribution.Listed, []string{"a", "b"}, []string{"A=1; a=X; b=x"}, "a=X; b=x"},
		{"listed", distribution.Listed, []string{"b"}, []string{"a=1; b=2=3; bb=4"}, "b=2=3"},
		{"listed by wildcard", distribution.Listed, []string{"s_*", "x?"}, []string{"s_id=1; x=2; xy=3; S_=4"}, "s_id=1; xy=3"},
		{"all but the listed", distribution.AllBut, []string{"b", "u*"}, []string{"c=1; b=2; utm=3; a=4"}, "a=4; c=1"},
		{"none of the listed is there", distribution.Listed, []string{"b"}, []string{"a=1"}, ""},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			k := keying{cookies: distribution.Selection{Mode: tt.mode, Names: tt.names}}
			if got := k.cookie(tt.lines); got != tt.want {
				t.Errorf("%q → %q, want %q", tt.lines, got, tt.want)
			}
		})
	}
}

// Two requests have the same key exactly if the origin would see no difference
// in what the policy selects.
func TestKeyIsWhatTheOriginSees(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mode := rapid.SampledFrom([]distribution.SelectionMode{distribution.None, distribution.Listed, distribution.AllBut, distribution.All})
		k := keying{
			queryStrings: distribution.Selection{Mode: mode.Draw(t, "query"), Names: []string{"a"}},
			cookies:      distribution.Selection{Mode: mode.Draw(t, "cookies"), Names: []string{"a"}},
			gzip:         rapid.Bool().Draw(t, "gzip"), brotli: rapid.Bool().Draw(t, "brotli"),
			headers: rapid.SampledFrom([][]string{nil, {"Host"}, {"A", "B"}, {"A", "Cloudfront-Viewer-Country", "Host"}}).Draw(t, "headers"),
		}
		texts := rapid.SampledFrom([]string{"", "a", "b", "a=1", "a=1&b=2", "b=2&a=1"})
		values := rapid.SampledFrom([]string{"", "1", "2", "a:1", "gzip", "br, gzip", "a=1; b=2", "b=2;a=1", "b=2"})
		seen := func(n string) (string, http.Header) {
			r := request(rapid.SampledFrom([]string{"GET", "HEAD", "OPTIONS"}).Draw(t, "method"+n), "/")
			r.Host = rapid.SampledFrom([]string{"x.example", "y.example"}).Draw(t, "host"+n)
			for _, name := range []string{"A", "B", "Accept-Encoding", "Cookie", "Cloudfront-Viewer-Country"} {
				if rapid.Bool().Draw(t, name+n) {
					r.Header.Set(name, values.Draw(t, name+n+" value"))
				}
			}
			query := k.query(texts.Draw(t, "text"+n))
			h := make(http.Header)
			k.forward(h, r)
			h.Set("Query", query)
			h.Set("Host", k.host(r))
			if r.Method == "OPTIONS" {
				h.Set("Method", r.Method)
			}
			return query + "\x00" + k.variant(r), h
		}
		key1, origin1 := seen("1")
		key2, origin2 := seen("2")
		if same := reflect.DeepEqual(origin1, origin2); same != (key1 == key2) {
			t.Fatalf("keys %q and %q for requests that look to the origin like %v and %v", key1, key2, origin1, origin2)
		}
	})
}

// What is in the key is what the origin gets; each variant is cached by itself.
func TestKeyHoldsWhatThePolicyLists(t *testing.T) {
	d := policed(distribution.Parameters{
		EnableAcceptEncodingGzip: true,
		QueryStringsConfig:       distribution.QueryStringsConfig{QueryStringBehavior: "whitelist", QueryStrings: []string{"v"}},
		HeadersConfig:            distribution.HeadersConfig{HeaderBehavior: "whitelist", Headers: []string{"host", "x-lang", "user-agent", "accept-encoding"}},
		CookiesConfig:            distribution.CookiesConfig{CookieBehavior: "whitelist", Cookies: []string{"s"}},
	})
	o := fixed(200, "x", "Set-Cookie", "s=1", "Vary", "X-Lang, Cookie, X-Other")
	e := open(t, o, Config{Distributions: []distribution.Distribution{d}})
	for _, headers := range [][]string{
		{"X-Lang", "de", "X-Other", "1", "Cookie", "t=1"},
		{"X-Lang", "DE"},
		{"X-Lang", "de", "X-Lang", "en"},
		{"X-Lang", ""},
		{},
		{"Cookie", "s=1; t=9"},
		{"Cookie", "s=2"},
		{"Accept-Encoding", "br, gzip"},
		{"Host", "other.example"},
		{"User-Agent", "curl"},
	} {
		w := get(e, "/a?v=1&w=2", headers...)
		want(t, w, 200, "Miss", "x")
		settle(t, e)
		again := get(e, "/a?w=3&v=1", append(slices.Clone(headers), "X-Other", "2")...)
		want(t, again, 200, "Hit", "x")
		if again.Header().Get("Set-Cookie") != "s=1" {
			t.Errorf("%q: the cookie was not cached", headers)
		}
		if w.Header().Get("Set-Cookie") != "s=1" || w.Header().Get("Vary") != "X-Lang, Cookie" {
			t.Errorf("%q: answered with %v", headers, w.Header())
		}
	}
	get(e, "/a?v=1&v=2&x", "X-Lang", "a", "X-Lang", "b", "X-Other", "1", "Cookie", "z=1; s=3", "Accept-Encoding", "gzip;q=0.1", "Host", "viewed.example")
	r := o.last(t)
	for name, expected := range map[string]string{"X-Lang": "a, b", "X-Other": "", "Cookie": "s=3", "Accept-Encoding": "gzip", "User-Agent": "Amazon CloudFront"} {
		if got := r.Header.Get(name); got != expected {
			t.Errorf("%s: the origin got %q, want %q", name, got, expected)
		}
	}
	if r.Host != "viewed.example" || r.URL.RawQuery != "v=1&v=2" {
		t.Errorf("the origin was asked for %s at %s", r.URL.RawQuery, r.Host)
	}
	get(e, "/ua", "User-Agent", "curl")
	if got := o.last(t).Header.Get("User-Agent"); got != "curl" {
		t.Errorf("User-Agent is in the key, but the origin got %q", got)
	}
}

// All header and cookie variants go with their URL; query strings are named or
// go with a wildcard.
func TestInvalidationTakesAllVariants(t *testing.T) {
	d := policed(distribution.Parameters{
		EnableAcceptEncodingGzip: true,
		QueryStringsConfig:       distribution.QueryStringsConfig{QueryStringBehavior: "allExcept", QueryStrings: []string{"utm"}},
		HeadersConfig:            distribution.HeadersConfig{HeaderBehavior: "whitelist", Headers: []string{"X-Lang"}},
		CookiesConfig:            distribution.CookiesConfig{CookieBehavior: "all"},
	})
	variants := [][]string{{}, {"X-Lang", "de"}, {"Cookie", "a=1"}, {"Accept-Encoding", "gzip"}, {"X-Lang", "de", "Cookie", "b=1"}}
	targets := []string{"/a", "/a?x=1", "/a?x=2&utm=3", "/ab"}
	for pattern, gone := range map[freshet.Pattern][]string{
		"/a":       {"/a"},
		"/a?x=1":   {"/a?x=1"},
		"/a?x=2":   {"/a?x=2&utm=3"},
		"/a?utm=3": {},
		"/a?*":     {"/a?x=1", "/a?x=2&utm=3"},
		"/a*":      targets,
	} {
		t.Run(string(pattern), func(t *testing.T) {
			e := open(t, fixed(200, "x"), Config{Distributions: []distribution.Distribution{d}})
			for _, target := range targets {
				for _, v := range variants {
					want(t, get(e, target, v...), 200, "Miss", "x")
				}
			}
			settle(t, e)
			if err := e.Invalidate("E1", []freshet.Pattern{pattern}); err != nil {
				t.Fatal(err)
			}
			for _, target := range targets {
				expected := "Hit"
				if slices.Contains(gone, target) {
					expected = "Miss"
				}
				for _, v := range variants {
					want(t, get(e, target, v...), 200, expected, "x")
				}
			}
		})
	}
}

// Where all headers are forwarded nothing is cached, and the origin gets them.
func TestAllHeadersForwardedMeansNoCaching(t *testing.T) {
	o := fixed(200, "x")
	e := open(t, o, Config{Distributions: []distribution.Distribution{behaving(func(b *distribution.CacheBehavior) {
		b.ForwardedValues.Headers = []string{"*"}
	})}})
	for range 2 {
		want(t, get(e, "/a", "Authorization", "me", "User-Agent", "curl", "Cookie", "a=1", "Host", "v.example"), 200, "Miss", "x")
	}
	r := o.last(t)
	if o.count() != 2 || r.Header.Get("Authorization") != "me" || r.Header.Get("User-Agent") != "curl" || r.Header.Get("Cookie") != "" || r.Host != "v.example" {
		t.Errorf("%d requests, the last %v for %s", o.count(), r.Header, r.Host)
	}
}

// A behavior of the older form that compresses distinguishes gzip, but not brotli,
// and nothing where Accept-Encoding itself is in the key.
func TestLegacyCompression(t *testing.T) {
	for _, tt := range []struct {
		compress bool
		headers  []string
		want     string
	}{
		{true, nil, "gzip"}, {false, nil, ""}, {true, []string{"Accept-Encoding"}, "\n\nAccept-Encoding:br, gzip"},
	} {
		d := behaving(func(b *distribution.CacheBehavior) { b.Compress, b.ForwardedValues.Headers = tt.compress, tt.headers })
		b := &d.Config.DefaultCacheBehavior
		c, err := d.Caching(b)
		if err != nil {
			t.Fatal(err)
		}
		k := newKeying(&c)
		if got := k.variant(request("GET", "/", "Accept-Encoding", "br, gzip")); got != tt.want {
			t.Errorf("compress %v, headers %q: variant %q, want %q", tt.compress, tt.headers, got, tt.want)
		}
	}
}

// http and https are not distinguished, unless the key holds
// CloudFront-Forwarded-Proto, which no viewer can say for itself.
func TestProtocolInTheKey(t *testing.T) {
	for _, listed := range []bool{false, true} {
		var k keying
		if listed {
			k.headers = []string{"Cloudfront-Forwarded-Proto"}
		}
		plain, secure := request("GET", "http://x/"), request("GET", "https://x/")
		plain.Header.Set("Cloudfront-Forwarded-Proto", "https")
		if differ := k.variant(plain) != k.variant(secure); differ != listed {
			t.Errorf("listed %v: distinguished %v", listed, differ)
		}
	}
}

func TestHitPathAllocatesNothing(t *testing.T) {
	d := policed(distribution.Parameters{
		EnableAcceptEncodingGzip: true, EnableAcceptEncodingBrotli: true,
		QueryStringsConfig: distribution.QueryStringsConfig{QueryStringBehavior: "whitelist", QueryStrings: []string{"v"}},
	})
	e := open(t, fixed(200, "x"), Config{Distributions: []distribution.Distribution{d}})
	for _, target := range []string{"/a/b.css", "/a/b.css?w=1", "/a/b.css?v=1&v=2"} {
		r := request("GET", target, "Accept-Encoding", "gzip, br")
		r.Host = "e1.cloudfront.localhost"
		get(e, target, "Accept-Encoding", "gzip, br")
		settle(t, e)
		if n := testing.AllocsPerRun(100, func() {
			q, _ := e.read(r)
			k := packedKey(q.key)
			reader := e.store.arena.EnterAnywhere()
			if v := reader.Get(&k); v.IsNone() || !q.site.epochs.holds(v) {
				t.Fatal("no copy")
			}
			reader.Leave()
		}); n != 0 {
			t.Errorf("%s: %v allocations to find a copy", target, n)
		}
	}
}

// A behavior of the older form that lists parameters for the key forwards all of
// them nevertheless.
func TestLegacyQueryStringKeys(t *testing.T) {
	o := fixed(200, "x")
	e := open(t, o, Config{Distributions: []distribution.Distribution{behaving(func(b *distribution.CacheBehavior) {
		b.ForwardedValues.QueryString, b.ForwardedValues.QueryStringCacheKeys = true, []string{"v"}
	})}})
	want(t, get(e, "/a?w=1&v=1"), 200, "Miss", "x")
	settle(t, e)
	want(t, get(e, "/a?v=1&w=2"), 200, "Hit", "x")
	if got := o.last(t).URL.RawQuery; got != "w=1&v=1" {
		t.Errorf("the origin got %q", got)
	}
}

// What was fetched for a viewer over TLS answers one without, and the other way
// round.
func TestProtocolsShareCopies(t *testing.T) {
	e := open(t, fixed(200, "x"), Config{})
	want(t, serve(e, request("GET", "https://e1.cloudfront.localhost/a")), 200, "Miss", "x")
	settle(t, e)
	want(t, serve(e, request("GET", "http://e1.cloudfront.localhost/a")), 200, "Hit", "x")
}

// What is in the key is selected from what is in the key once more without a
// change, so a chain of distributions agrees on it.
func FuzzKeySelection(f *testing.F) {
	f.Add("a=1; b=2", "a=1&b&a", "gzip;q=0.5, br")
	f.Fuzz(func(t *testing.T, cookies, text, accept string) {
		for _, mode := range []distribution.SelectionMode{distribution.Listed, distribution.AllBut, distribution.All} {
			s := distribution.Selection{Mode: mode, Names: []string{"a", "c*"}}
			k := keying{queryStrings: s, cookies: s, gzip: true, brotli: true}
			if once := k.cookie([]string{cookies}); k.cookie([]string{once}) != once {
				t.Errorf("cookies %q → %q → %q", cookies, once, k.cookie([]string{once}))
			}
			if once := k.query(text); k.query(once) != once {
				t.Errorf("query string %q → %q → %q", text, once, k.query(once))
			}
			if once := k.encodings([]string{accept}); once != "" && k.encodings([]string{once}) != once {
				t.Errorf("encodings %q → %q", accept, once)
			}
		}
	})
}
