package verify

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/freshet/freshet"
)

func sum(text string) string {
	h := md5.Sum([]byte(text))
	return hex.EncodeToString(h[:])
}

// origin holds one object, or none, or does not answer.
type origin struct {
	object *Object
	err    error
}

func (o origin) Stat(context.Context, string, string) (Object, bool, error) {
	if o.err != nil || o.object == nil {
		return Object{}, false, o.err
	}
	return *o.object, true, nil
}

func holds(text string) origin {
	return origin{object: &Object{ETag: sum(text), Size: int64(len(text))}}
}

// holdsSince is holds with an object that was last written so many seconds and a
// half after ten o'clock.
func holdsSince(text string, seconds int) origin {
	o := holds(text)
	o.object.Modified = time.Date(2026, 11, 20, 10, 0, seconds, 5e8, time.UTC)
	return o
}

// checker looks through an edge that h plays.
func checker(t *testing.T, h http.HandlerFunc, o Origin) *Checker {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	base, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	return &Checker{Client: s.Client(), Origin: o, Edge: func(id string) (*url.URL, string, bool) {
		return base, "d1.cloudfront.example", id == "E1"
	}}
}

// serves answers like an edge that has text.
func serves(text string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("ETag", `"`+sum(text)+`"`)
		for h := range slices.Chunk(headers, 2) {
			w.Header().Set(h[0], h[1])
		}
		_, _ = w.Write([]byte(text))
	}
}

func answers(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
}

func never() bool { return false }

var target = freshet.Target{Distribution: "E1", Origin: "site", Key: "a.html", URL: "/a.html"}

func TestVerdicts(t *testing.T) {
	put := freshet.Change{Op: freshet.OpPut, ETag: sum("new")}
	del := freshet.Change{Op: freshet.OpDelete}
	tests := []struct {
		name   string
		edge   http.HandlerFunc
		origin origin
		change freshet.Change
		want   freshet.VerdictState
		reason string // holds this
	}{
		{"the origin's bytes", serves("new"), holds("new"), put, freshet.Fresh, ""},
		{"the origin's headers", serves("new", "Last-Modified", "Fri, 20 Nov 2026 10:00:07 GMT"), holdsSince("new", 7), put, freshet.Fresh, ""},
		{"the headers of before, on the same bytes", serves("new", "Last-Modified", "Fri, 20 Nov 2026 10:00:06 GMT"), holdsSince("new", 7), put, freshet.Stale, "with the headers of Fri, 20 Nov 2026 10:00:06 GMT"},
		{"headers of no known time", serves("new"), holdsSince("new", 7), put, freshet.Fresh, ""},
		{"the old bytes", serves("old"), holds("new"), put, freshet.Stale, "the edge serves ETag " + sum("old") + ", the origin holds " + sum("new")},
		{"gone at both", answers(404), origin{}, del, freshet.Fresh, ""},
		{"forbidden is gone where listing is", answers(403), origin{}, del, freshet.Fresh, ""},
		{"gone at the origin only", serves("old"), origin{}, del, freshet.Stale, "answered 200 for an object that is gone"},
		{"an error page for what is gone", serves("app", "X-Cache", "Error from cloudfront"), origin{}, del, freshet.Fresh, "an error page stands"},
		{"an error page for what exists", serves("app", "X-Cache", "Error from cloudfront"), holds("new"), put, freshet.Stale, "the edge serves ETag"},
		{"gone at the edge only", answers(404), holds("new"), put, freshet.Stale, "answered 404 for an object that exists"},
		{"deleted, and put again since", answers(404), holds("newer"), del, freshet.Fresh, "changed again since"},
		{"put, and put again since", serves("new"), holds("newer"), put, freshet.Fresh, "changed again since"},
		{"put, and deleted since", serves("new"), origin{}, put, freshet.Fresh, "changed again since"},
		{"the edge is ahead of the change", serves("newer"), holds("newer"), put, freshet.Fresh, ""},
		{"old, after two more changes", serves("old"), holds("newer"), put, freshet.Stale, "the edge serves ETag"},
		{"a redirect", answers(302), holds("new"), put, freshet.Stale, "answered 302 for an object that exists"},
		{"a redirect where nothing is", answers(302), origin{}, del, freshet.Stale, "answered 302 for an object that is gone"},
		{"an edge in trouble", answers(503), holds("new"), put, freshet.Unreachable, "the edge answered 503"},
		{"an edge in trouble about nothing", answers(500), origin{}, del, freshet.Unreachable, "the edge answered 500"},
		{"an edge that has had enough", answers(429), holds("new"), put, freshet.Unreachable, "the edge answered 429"},
		{"an edge that has had enough of nothing", answers(429), origin{}, del, freshet.Unreachable, "the edge answered 429"},
		{"a weak ETag, and bytes made smaller on the way", serves("nw", "ETag", `W/"`+sum("new")+`"`), holds("new"), put, freshet.Fresh, ""},
		{"a weak ETag of something old", serves("old", "ETag", `W/"`+sum("old")+`"`), holds("new"), put, freshet.Stale, "the edge serves ETag"},
		{"an origin in trouble", serves("new"), origin{err: errors.New("disk on fire")}, put, freshet.Unreachable, "ask origin site for a.html: disk on fire"},
		{"other bytes under the right ETag", serves("new bytes", "ETag", `"`+sum("new")+`"`), holds("new"), put, freshet.Stale, "the body is not what its ETag"},
		{"bytes cut short under the right ETag", serves("ne", "ETag", `"`+sum("new")+`"`), holds("new"), put, freshet.Stale, "the body is not what its ETag"},
		{"a weak ETag", serves("new", "ETag", `W/"`+sum("new")+`"`), holds("new"), put, freshet.Fresh, ""},
		{
			"an object put in parts", serves("new", "ETag", `"`+sum("parts")+`-2"`),
			origin{object: &Object{ETag: sum("parts") + "-2", Size: 3}}, put, freshet.Fresh, "",
		},
		{
			"put in parts, of another size", serves("longer", "ETag", `"`+sum("parts")+`-2"`),
			origin{object: &Object{ETag: sum("parts") + "-2", Size: 3}}, put, freshet.Stale, "the origin holds",
		},
		{
			"encrypted with a key: the ETag is no MD5", serves("new", "ETag", `"`+sum("x")+`"`, "X-Amz-Server-Side-Encryption", "aws:kms"),
			origin{object: &Object{ETag: sum("x"), Size: 3}}, put, freshet.Fresh, "",
		},
		{
			"encrypted by S3: the ETag is an MD5", serves("new", "ETag", `"`+sum("x")+`"`, "X-Amz-Server-Side-Encryption", "AES256"),
			origin{object: &Object{ETag: sum("x"), Size: 3}}, put, freshet.Stale, "the body is not",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := checker(t, tt.edge, tt.origin)
			c.Client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
			v := c.Check(t.Context(), target, tt.change, never)
			if v.State != tt.want || !strings.Contains(v.Reason, tt.reason) || (tt.reason == "") != (v.Reason == "") {
				t.Errorf("verdict %s (%s), want %s (%s)", v.State, v.Reason, tt.want, tt.reason)
			}
			if v.Target != target || v.At.IsZero() {
				t.Errorf("verdict about %v at %v", v.Target, v.At)
			}
		})
	}
}

func TestVerdictSaysWhatWasSeen(t *testing.T) {
	c := checker(t, serves("old", "Age", "7", "X-Cache", "Hit from cloudfront", "X-Amz-Cf-Pop", "FRA60-P1"), holds("new"))
	v := c.Check(t.Context(), target, freshet.Change{Op: freshet.OpPut}, never)
	v.At, v.Reason = time.Time{}, ""
	want := freshet.Verdict{
		Target: target, State: freshet.Stale, Status: 200, Want: sum("new"), Seen: sum("old"),
		Age: 7 * time.Second, PoP: "FRA60-P1", Cache: "Hit from cloudfront",
	}
	if v != want {
		t.Errorf("verdict %+v, want %+v", v, want)
	}
}

// The URL of a target is a viewer's spelling, and only that spelling has the
// cache key that is meant.
func TestPathGoesOutAsItIsSpelled(t *testing.T) {
	var mu sync.Mutex
	var seen *http.Request
	c := checker(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		seen = r
		w.WriteHeader(http.StatusNotFound)
	}, origin{})
	for _, u := range []string{
		"/", "/a.html", "//", "//a//b", "/a/../b", "/./a", "/..", "/a%2Fb", "/a%2Bb", "/a+b", "/a%20b", "/%3Fq", "/100%25", "/%C3%A9",
		"/a%23b", "/a;b=c,d", "/a:b", "/!$&'()*+,;=:@-._", "/%FF", "/%0A", "/a%5Cb", "/%7B%7D", "/%2e%2e/x", "/a=b&c",
	} {
		at := target
		at.URL = u
		if v := c.Check(t.Context(), at, freshet.Change{Op: freshet.OpDelete}, never); v.State != freshet.Fresh {
			t.Errorf("%s: %s (%s)", u, v.State, v.Reason)
			continue
		}
		mu.Lock()
		if seen.RequestURI != u {
			t.Errorf("%s was asked for as %s", u, seen.RequestURI)
		}
		if seen.Host != "d1.cloudfront.example" || seen.Header.Get("Accept-Encoding") != "identity" || seen.Method != http.MethodGet {
			t.Errorf("%s: %s with host %s and headers %v", u, seen.Method, seen.Host, seen.Header)
		}
		mu.Unlock()
	}
}

func TestLargeObjectsAreNotFetched(t *testing.T) {
	etag := sum("large")
	var methods []string
	var mu sync.Mutex
	c := checker(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		methods = append(methods, r.Method)
		w.Header().Set("ETag", `"`+etag+`"`)
		w.Header().Set("Content-Length", "16777217")
	}, origin{object: &Object{ETag: etag, Size: wholeUpTo + 1}})
	change := freshet.Change{Op: freshet.OpPut, ETag: etag, Size: wholeUpTo + 1}
	if v := c.Check(t.Context(), target, change, never); v.State != freshet.Fresh {
		t.Errorf("verdict %s (%s)", v.State, v.Reason)
	}
	etag = sum("older")
	if v := c.Check(t.Context(), target, change, never); v.State != freshet.Stale {
		t.Errorf("verdict %s (%s) on another ETag", v.State, v.Reason)
	}
	if !slices.Equal(methods, []string{"HEAD", "HEAD"}) {
		t.Errorf("asked with %v", methods)
	}
}

func TestOnlyConfiguredDistributionsAreFetched(t *testing.T) {
	asked := false
	c := checker(t, func(http.ResponseWriter, *http.Request) { asked = true }, holds("new"))
	other := target
	other.Distribution = "E2"
	v := c.Check(t.Context(), other, freshet.Change{Op: freshet.OpPut}, never)
	if v.State != freshet.Unreachable || !strings.Contains(v.Reason, "distribution E2 is not configured") || asked {
		t.Errorf("verdict %s (%s), asked: %v", v.State, v.Reason, asked)
	}
	// A target must not lead elsewhere by what it is called, either.
	for _, u := range []string{"//evil.example/x", "/%zz", "@evil.example"} {
		at := target
		at.URL = u
		c.Client.Transport = hostsOnly{t, "127.0.0.1"}
		c.Check(t.Context(), at, freshet.Change{Op: freshet.OpPut}, never)
	}
}

// hostsOnly complains of requests to other hosts and answers none.
type hostsOnly struct {
	t    *testing.T
	host string
}

func (h hostsOnly) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Hostname() != h.host {
		h.t.Errorf("a request goes to %s", r.URL)
	}
	return nil, errors.New("no")
}

func TestUnreachableEdge(t *testing.T) {
	c := checker(t, serves("new"), holds("new"))
	c.Client.Transport = hostsOnly{t, "127.0.0.1"}
	v := c.Check(t.Context(), target, freshet.Change{Op: freshet.OpPut}, never)
	if v.State != freshet.Unreachable || !strings.Contains(v.Reason, "fetch /a.html") {
		t.Errorf("verdict %s (%s)", v.State, v.Reason)
	}
	cut := checker(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "10")
		_, _ = w.Write([]byte("half"))
	}, holds("new"))
	if v := cut.Check(t.Context(), target, freshet.Change{Op: freshet.OpPut}, never); v.State != freshet.Unreachable {
		t.Errorf("an answer that was cut off: %s (%s)", v.State, v.Reason)
	}
}

// scripted answers with each text in turn, and the last one from then on.
type scripted struct {
	texts []string
	asked int
}

func (s *scripted) RoundTrip(r *http.Request) (*http.Response, error) {
	text := s.texts[min(s.asked, len(s.texts)-1)]
	s.asked++
	w := httptest.NewRecorder()
	serves(text)(w, r)
	return w.Result(), nil
}

func TestPatience(t *testing.T) {
	tests := []struct {
		name     string
		texts    []string
		patience time.Duration
		enough   bool
		want     freshet.VerdictState
		most     int // looks
	}{
		{"none: one look", []string{"old"}, 0, false, freshet.Stale, 1},
		{"fresh at the third look", []string{"old", "old", "new"}, 5 * time.Second, false, freshet.Fresh, 3},
		{"never fresh", []string{"old"}, 5 * time.Second, false, freshet.Stale, 20},
		{"of no matter any more", []string{"old"}, 5 * time.Second, true, freshet.Stale, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				edge := &scripted{texts: tt.texts}
				c := &Checker{
					Client: &http.Client{Transport: edge}, Origin: holds("new"), Patience: tt.patience,
					Edge: func(string) (*url.URL, string, bool) { return &url.URL{Scheme: "http", Host: "edge"}, "edge", true },
				}
				began := time.Now()
				v := c.Check(t.Context(), target, freshet.Change{Op: freshet.OpPut}, func() bool { return tt.enough })
				if v.State != tt.want || edge.asked > tt.most {
					t.Errorf("%s after %d looks, want %s after at most %d", v.State, edge.asked, tt.want, tt.most)
				}
				if took := time.Since(began); took > tt.patience {
					t.Errorf("took %v, the patience is %v", took, tt.patience)
				}
				if tt.want == freshet.Stale && tt.patience > 0 && !tt.enough && edge.asked < 5 {
					t.Errorf("only %d looks in %v", edge.asked, tt.patience)
				}
			})
		})
	}
}

func TestCheckEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		c := &Checker{
			Client: &http.Client{Transport: &scripted{texts: []string{"old"}}}, Origin: holds("new"), Patience: time.Hour,
			Edge: func(string) (*url.URL, string, bool) { return &url.URL{Scheme: "http", Host: "edge"}, "edge", true },
		}
		began := time.Now()
		c.Check(ctx, target, freshet.Change{Op: freshet.OpPut}, never)
		if took := time.Since(began); took != 100*time.Millisecond {
			t.Errorf("ended after %v", took)
		}
	})
}

// TestOneThatWaitsHoldsUpNoOther: between two looks others have their turn.
func TestOneThatWaitsHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &Checker{
			Client: &http.Client{Transport: byPath{"/stuck": "old", "/a.html": "new"}}, Origin: holds("new"), Patience: time.Minute,
			Slots: semaphore.NewWeighted(1),
			Edge:  func(string) (*url.URL, string, bool) { return &url.URL{Scheme: "http", Host: "edge"}, "edge", true },
		}
		put := freshet.Change{Op: freshet.OpPut}
		var stuck sync.WaitGroup
		for range 100 {
			stuck.Go(func() {
				at := target
				at.URL = "/stuck"
				if v := c.Check(t.Context(), at, put, never); v.State != freshet.Stale {
					t.Errorf("verdict %s (%s)", v.State, v.Reason)
				}
			})
		}
		synctest.Wait()
		began := time.Now()
		if v := c.Check(t.Context(), target, put, never); v.State != freshet.Fresh || time.Since(began) > time.Second {
			t.Errorf("%s after %v", v.State, time.Since(began))
		}
		stuck.Wait()
		if took := time.Since(began); took > c.Patience {
			t.Errorf("all of them took %v, the patience is %v", took, c.Patience)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := c.Slots.Acquire(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		if v := c.Check(ctx, target, put, never); v.State != freshet.Unreachable {
			t.Errorf("cancelled before its turn: %s", v.State)
		}
	})
}

// byPath answers each path like an edge that has a text for it.
type byPath map[string]string

func (b byPath) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	serves(b[r.URL.Path])(w, r)
	return w.Result(), nil
}
