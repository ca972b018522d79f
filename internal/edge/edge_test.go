package edge

import (
	"context"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/freshet/freshet/internal/distribution"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// roundTripper is an origin without a network, so that time can be a bubble's.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return f(r)
}

// reply makes a response; headers alternate names and values.
func reply(status int, body string, headers ...string) *http.Response {
	resp := &http.Response{
		StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: make(http.Header), Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
	}
	for i := 0; i < len(headers); i += 2 {
		resp.Header.Add(headers[i], headers[i+1])
	}
	return resp
}

// unsized takes the announced length away from a response.
func unsized(resp *http.Response) *http.Response {
	resp.ContentLength = -1
	return resp
}

// recorded is an origin that remembers its requests.
type recorded struct {
	answer roundTripper

	mu       sync.Mutex
	requests []*http.Request
}

func (o *recorded) RoundTrip(r *http.Request) (*http.Response, error) {
	o.mu.Lock()
	o.requests = append(o.requests, r)
	o.mu.Unlock()
	return o.answer.RoundTrip(r)
}

func (o *recorded) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.requests)
}

// number is the how manieth a request was.
func (o *recorded) number(r *http.Request) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Index(o.requests, r) + 1
}

func (o *recorded) last(t *testing.T) *http.Request {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.requests) == 0 {
		t.Fatal("the origin was not asked")
	}
	return o.requests[len(o.requests)-1]
}

// dist is a distribution of one origin, with a default root object.
func dist(id string) distribution.Distribution { return distribution.ForBucket(id, "site") }

// behaving is dist with another default behavior.
func behaving(change func(*distribution.CacheBehavior)) distribution.Distribution {
	d := dist("E1")
	change(&d.Config.DefaultCacheBehavior)
	return d
}

// open makes an edge in front of rt and closes it with the test.
func open(t testing.TB, rt http.RoundTripper, c Config) *Edge {
	t.Helper()
	if c.Distributions == nil {
		c.Distributions = []distribution.Distribution{dist("E1")}
	}
	if c.Resolve == nil {
		c.Resolve = func(distribution.Distribution, distribution.Origin) (Origin, error) {
			return Origin{URL: "http://origin.test", Transport: rt}, nil
		}
	}
	e, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// do sends one request; headers alternate names and values.
func do(e http.Handler, method, target string, headers ...string) *httptest.ResponseRecorder {
	return doContext(context.Background(), e, method, target, headers...)
}

func doContext(ctx context.Context, e http.Handler, method, target string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(ctx, method, target, nil)
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
			continue
		}
		r.Header.Add(headers[i], headers[i+1])
	}
	return serve(e, r)
}

// serve records an answer, and in the header Test-Aborted whether it was broken
// off.
func serve(e http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	serveInto(w, e, r)
	return w
}

// serveInto is serve with a recorder of one's own.
func serveInto(w *httptest.ResponseRecorder, e http.Handler, r *http.Request) {
	defer func() {
		if p := recover(); p == http.ErrAbortHandler { //nolint:errorlint // net/http compares so, too
			w.Header().Set("Test-Aborted", "yes")
		} else if p != nil {
			panic(p)
		}
	}()
	e.ServeHTTP(final{w}, r)
}

// final records what comes after interim responses, which a ResponseRecorder
// takes for final ones.
type final struct{ *httptest.ResponseRecorder }

func (f final) WriteHeader(status int) {
	if status >= 200 {
		f.ResponseRecorder.WriteHeader(status)
	}
}

func get(e http.Handler, target string, headers ...string) *httptest.ResponseRecorder {
	return do(e, http.MethodGet, target, headers...)
}

// xcache is the first word of X-Cache.
func xcache(w *httptest.ResponseRecorder) string {
	word, ok := strings.CutSuffix(w.Header().Get("X-Cache"), " from cloudfront")
	if !ok {
		return "malformed: " + w.Header().Get("X-Cache")
	}
	return word
}

// want compares status, X-Cache and body of an answer.
func want(t *testing.T, w *httptest.ResponseRecorder, status int, cache, body string) {
	t.Helper()
	got := strconv.Itoa(w.Code) + " " + xcache(w) + " " + w.Body.String()
	if expected := strconv.Itoa(status) + " " + cache + " " + body; got != expected {
		t.Errorf("got %q, want %q", got, expected)
	}
}

// fixed answers everything alike; the body can be read many times.
func fixed(status int, body string, headers ...string) *recorded {
	return &recorded{answer: func(*http.Request) (*http.Response, error) { return reply(status, body, headers...), nil }}
}

// headerWith alternates names and values.
func headerWith(headers ...string) http.Header { return maps.Clone(reply(200, "", headers...).Header) }

// through resolves every origin to one round tripper.
func through(rt http.RoundTripper) Resolver {
	return func(distribution.Distribution, distribution.Origin) (Origin, error) {
		return Origin{URL: "http://origin.test", Transport: rt}, nil
	}
}
