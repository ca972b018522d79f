package function_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/freshet/freshet/internal/function"
)

// TestMain ignores the clock of the regular expressions' library: it ends by
// itself a second after the last of them.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/dlclark/regexp2/v2.runClock"))
}

const indexRewrite = `function handler(event) {
  var request = event.request;
  if (request.uri.endsWith('/')) request.uri += 'index.html';
  else if (!request.uri.includes('.')) request.uri += '/index.html';
  return request;
}`

func compile(t testing.TB, code string) *function.Program {
	t.Helper()
	p, err := function.Compile("function.js", []byte(code), function.JS20)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func get(uri string) function.Event {
	header := http.Header{"Accept": {"text/html"}, "User-Agent": {"test"}, "Accept-Encoding": {"gzip, br"}}
	return function.Event{
		Context: function.Context{EventType: function.ViewerRequest, DistributionID: "EDFDVBD6EXAMPLE"},
		Viewer:  function.Viewer{IP: "198.51.100.11"},
		Request: function.RequestOf("GET", "example.com", uri, nil, header),
	}
}

func TestCodeHasALimit(t *testing.T) {
	code := indexRewrite + "//"
	code += strings.Repeat("x", 10*1024-len(code))
	if _, err := function.Compile("f", []byte(code), function.JS20); err != nil {
		t.Errorf("10 KB: %v", err)
	}
	var refused *function.CompileError
	if _, err := function.Compile("f", []byte(code+"x"), function.JS20); !errors.As(err, &refused) {
		t.Errorf("10 KB and a byte: %v", err)
	}
	if _, err := function.Compile("f", []byte(indexRewrite), "cloudfront-js-3.0"); !errors.As(err, &refused) {
		t.Errorf("an unknown runtime: %v", err)
	}
}

// Source maps name files, and the engine would open them.
func TestNoFileIsOpened(t *testing.T) {
	compile(t, indexRewrite+"\n//# sourceMappingURL=/no/such/file.map")
}

func TestManyAtOnce(t *testing.T) {
	p := compile(t, `let seen = 0; function handler(event) {
		seen++;
		event.request.headers['x-seen'] = { value: String(seen) };
		event.request.uri += event.request.uri;
		return event.request;
	}`)
	var group sync.WaitGroup
	for i := range 20 {
		group.Go(func() {
			uri := fmt.Sprintf("/%d", i)
			for range 10 {
				r, err := p.Run(t.Context(), get(uri), function.Options{})
				if err != nil {
					t.Error(err)
					return
				}
				if seen, _ := r.Request.Headers.Get("x-seen"); r.Request.URI != uri+uri || seen.Value.Value != "1" {
					t.Errorf("%s became %s, seen %q times", uri, r.Request.URI, seen.Value.Value)
				}
			}
		})
	}
	group.Wait()
}

// A run that was ended leaves nothing behind for those after it.
func TestAfterAFailure(t *testing.T) {
	p := compile(t, `function handler(event) {
		if (event.request.uri === '/loop') for (;;);
		if (event.request.uri === '/memory') { let s = 'xxxxxxxxxxxxxxxxx'; for (;;) s += s; }
		if (event.request.uri === '/deep') return handler(event);
		if (event.request.uri === '/throw') throw 1;
		return event.request;
	}`)
	for _, uri := range []string{"/loop", "/memory", "/deep", "/throw", "/loop"} {
		if _, err := p.Run(t.Context(), get(uri), function.Options{}); err == nil {
			t.Errorf("%s: no error", uri)
		}
		if r, err := p.Run(t.Context(), get("/fine"), function.Options{}); err != nil || r.Request.URI != "/fine" {
			t.Errorf("after %s: %v", uri, err)
		}
	}
}

func TestTimeEndsWhatCountsNoSteps(t *testing.T) {
	p := compile(t, `function handler(event) {
		const list = [];
		for (let i = 0; i < 60000; i++) list.push(i);
		for (;;) list.indexOf(-1);
	}`)
	_, err := p.Run(t.Context(), get("/"), function.Options{Limits: function.Limits{Steps: 1 << 40, Time: 20 * time.Millisecond}})
	var failed *function.Error
	if !errors.As(err, &failed) || failed.Kind != function.ThrottledError || !strings.Contains(failed.Message, "too long") {
		t.Errorf("%v", err)
	}
}

func TestRegularExpressionsEnd(t *testing.T) {
	p := compile(t, `function handler(event) {
		if (/^(?:(a|aa)+)+(?<!x)$/.test('a'.repeat(60) + '!')) return event.request;
		return { statusCode: 200 };
	}`)
	_, err := p.Run(t.Context(), get("/"), function.Options{})
	var failed *function.Error
	if !errors.As(err, &failed) || failed.Kind != function.ThrottledError {
		t.Errorf("%v", err)
	}
}

// What a function defines itself it may change, and still shares its machine.
func TestOwnPrototypes(t *testing.T) {
	p := compile(t, `function Page(uri) { this.uri = uri; }
	Page.prototype.index = function () { return this.uri + 'index.html'; };
	function handler(event) {
		event.request.uri = new Page(event.request.uri).index();
		return event.request;
	}`)
	for range 3 {
		if r, err := p.Run(t.Context(), get("/a/"), function.Options{}); err != nil || r.Request.URI != "/a/index.html" {
			t.Errorf("%+v, %v", r.Request, err)
		}
	}
}

func TestDeadlinesOfContexts(t *testing.T) {
	p := compile(t, indexRewrite)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Run(ctx, get("/"), function.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestUtilizationIsCounted(t *testing.T) {
	p := compile(t, `function handler(event) { for (let i = 0; i < 400; i++) { i; } return event.request; }`)
	first, err := p.Run(t.Context(), get("/"), function.Options{Limits: function.Limits{Steps: 1000}})
	if err != nil || first.Utilization < 40 || first.Utilization > 60 {
		t.Errorf("about half of the steps: %d, %v", first.Utilization, err)
	}
	for range 5 {
		if again, _ := p.Run(t.Context(), get("/"), function.Options{Limits: function.Limits{Steps: 1000}}); again.Utilization != first.Utilization {
			t.Errorf("%d, then %d", first.Utilization, again.Utilization)
		}
	}
	if r, err := p.Run(t.Context(), get("/"), function.Options{Limits: function.Limits{Steps: 100}}); err == nil || r.Utilization != 100 {
		t.Errorf("beyond the limit: %d, %v", r.Utilization, err)
	}
}

func TestStatusOfKinds(t *testing.T) {
	if s := function.ValidationError.Status(); s != 502 {
		t.Errorf("%d", s)
	}
	if s := function.ExecutionError.Status(); s != 503 {
		t.Errorf("%d", s)
	}
}

func TestUnescapedPaths(t *testing.T) {
	r := function.Request{URI: "/ä b%20c?d#e"}
	if got, want := r.Path(), "/%C3%A4%20b%20c%3Fd%23e"; got != want {
		t.Errorf("%s, wanted %s", got, want)
	}
}

func TestParseEvent(t *testing.T) {
	for _, text := range []string{
		``, `{`, `[]`, `{}`, `{"version":"2.0"}`,
		`{"context":{"eventType":"origin-request"},"request":{"method":"GET","uri":"/"}}`,
		`{"context":{"eventType":"viewer-request"},"request":{"uri":"/"}}`,
		`{"context":{"eventType":"viewer-request"},"request":{"method":"GET","uri":"x"}}`,
		`{"context":{"eventType":"viewer-response"},"request":{"method":"GET","uri":"/"}}`,
		`{"context":{"eventType":"viewer-request"},"request":{"method":"GET","uri":"/","headers":["x"]}}`,
		`{"context":{"eventType":"viewer-request"},"request":{"method":"GET","uri":"/","headers":{"x":{"value":1}}}}`,
		`{"context":{"eventType":"viewer-request"},"request":{"method":"GET","uri":"/` + strings.Repeat("x", 41000) + `"}}`,
	} {
		if ev, err := function.ParseEvent([]byte(text)); err == nil {
			t.Errorf("%.80s: %+v", text, ev)
		}
	}
}

func TestParseStore(t *testing.T) {
	for _, text := range []string{
		``, `[]`, `{"a":1}`, `{"":"x"}`, `{"data":[{"key":"a"}]}`, `{"data":[{"key":"a","value":"1"},{"key":"a","value":"2"}]}`,
		`{"k":"` + strings.Repeat("x", 1025) + `"}`, `{"` + strings.Repeat("k", 513) + `":"x"}`,
	} {
		if table, err := function.ParseStore([]byte(text)); err == nil {
			t.Errorf("%.60s: %v", text, table.Pairs)
		}
	}
	table, err := function.ParseStore([]byte(`{"data":"a value","b":"c"}`))
	if v, ok := table.Lookup("data"); err != nil || !ok || v != "a value" {
		t.Errorf("a plain object with a key called data: %q, %v", v, err)
	}
}

// words draws from so few characters that names and values collide.
func words(alphabet string, least int) *rapid.Generator[string] {
	return rapid.StringOfN(rapid.SampledFrom([]rune(alphabet)), least, 4, -1)
}

// What a function is shown can be put together again, and what comes of that is
// shown as the same.
func TestRequestsAreStable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		header := http.Header{}
		for range rapid.IntRange(0, 5).Draw(t, "headers") {
			header.Add(rapid.SampledFrom([]string{"Accept", "X-A", "x-b", "Cookie", "Via", "Connection", "X-Edge-A"}).Draw(t, "name"),
				words("ab=; ,%é", 0).Draw(t, "value"))
		}
		var query *string
		if rapid.Bool().Draw(t, "has a query string") {
			q := strings.Join(rapid.SliceOfN(words("ab=%2&+", 0), 0, 5).Draw(t, "query"), "&")
			query = &q
		}
		path := "/" + words("ab/%.", 0).Draw(t, "path")
		first := function.RequestOf("GET", "a.example", path, query, header)
		if query != nil && first.Query() != *query {
			t.Errorf("query %q became %q", *query, first.Query())
		}
		loose := first
		loose.Raw = nil
		again := loose.Query()
		second := function.RequestOf("GET", first.Host(), first.Path(), &again, first.Header())
		second.Raw = first.Raw
		if !slices.EqualFunc(first.QueryString, second.QueryString, sameField) || !slices.EqualFunc(first.Cookies, second.Cookies, sameField) ||
			!slices.EqualFunc(first.Headers, second.Headers, sameField) || first.URI != second.URI {
			t.Errorf("first %+v\nthen %+v", first, second)
		}
	})
}

func TestResponsesAreStable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		header := http.Header{}
		for range rapid.IntRange(0, 5).Draw(t, "headers") {
			name := rapid.SampledFrom([]string{"Content-Type", "X-A", "Set-Cookie", "X-Cache"}).Draw(t, "name")
			value := words("ab,%", 0).Draw(t, "value")
			if name == "Set-Cookie" {
				value = words("ab", 1).Draw(t, "cookie") + "=" + value + rapid.SampledFrom([]string{"", "; Path=/", "; Secure; Path=/a"}).Draw(t, "attributes")
			}
			header.Add(name, value)
		}
		first := function.ResponseOf(200, header)
		second := function.ResponseOf(200, first.Header())
		if !slices.EqualFunc(first.Headers, second.Headers, sameField) || !slices.EqualFunc(first.Cookies, second.Cookies, sameField) {
			t.Errorf("first %+v\nthen %+v", first, second)
		}
	})
}

func sameField(a, b function.Field) bool {
	return a.Name == b.Name && slices.Equal(a.Values(), b.Values())
}

// A function that changes nothing changes nothing, raw query string included.
func TestTheIdentity(t *testing.T) {
	p := compile(t, `function handler(event) { return event.request; }`)
	rapid.Check(t, func(t *rapid.T) {
		query := words("ab=&%12", 0).Draw(t, "query")
		ev := get("/" + words("ab/é ", 0).Draw(t, "path"))
		ev.Request = function.RequestOf("GET", "a.example", ev.Request.URI, &query, http.Header{
			"X-A":    rapid.SliceOfN(words("ab ,", 0), 0, 3).Draw(t, "header"),
			"Cookie": rapid.SliceOfN(words("ab=", 1), 0, 3).Draw(t, "cookie"),
		})
		for _, c := range ev.Request.Cookies {
			if c.Name == "" {
				t.Skip("a cookie without a name is refused")
			}
		}
		r, err := p.Run(context.Background(), ev, function.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if r.Request.Query() != query || r.Request.URI != ev.Request.URI ||
			!slices.EqualFunc(r.Request.Headers, ev.Request.Headers, sameField) || !slices.EqualFunc(r.Request.Cookies, ev.Request.Cookies, sameField) {
			t.Errorf("%+v\nbecame %+v", ev.Request, *r.Request)
		}
	})
}

func TestEventsInJSON(t *testing.T) {
	p := compile(t, `function handler(event) { return { statusCode: 200, body: JSON.stringify(event.request.querystring) }; }`)
	rapid.Check(t, func(t *rapid.T) {
		query := words("ab=&", 0).Draw(t, "query")
		ev := get("/x")
		ev.Request.QueryString = function.RequestOf("GET", "", "/", &query, nil).QueryString
		ev.Version = "1.0"
		r, err := p.Run(context.Background(), ev, function.Options{})
		if err != nil {
			t.Fatal(err)
		}
		want, err := ev.Request.QueryString.MarshalJSON()
		if err != nil || r.Response.Body.Data != string(want) {
			t.Errorf("the engine writes %s, we write %s", r.Response.Body.Data, want)
		}
		var back function.Fields
		if err := back.UnmarshalJSON(want); err != nil || !slices.EqualFunc(back, ev.Request.QueryString, sameField) {
			t.Errorf("%s became %+v: %v", want, back, err)
		}
	})
}

func BenchmarkIndexRewrite(b *testing.B) {
	p := compile(b, indexRewrite)
	ev := get("/docs/")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Run(b.Context(), ev, function.Options{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	for b.Loop() {
		compile(b, indexRewrite)
	}
}

func BenchmarkFirstRun(b *testing.B) {
	ev := get("/docs/")
	for b.Loop() {
		if _, err := compile(b, indexRewrite).Run(b.Context(), ev, function.Options{}); err != nil {
			b.Fatal(err)
		}
	}
}
