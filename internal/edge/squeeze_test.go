package edge

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/andybalholm/brotli"

	"github.com/freshet/freshet/internal/distribution"
)

func plain(t *testing.T, encoding, body string) string {
	t.Helper()
	var r io.Reader = strings.NewReader(body)
	switch encoding {
	case "br":
		r = brotli.NewReader(r)
	case "gzip":
		z, err := gzip.NewReader(r)
		if err != nil {
			t.Fatal(err)
		}
		r = z
	}
	got, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(got)
}

// squeezing is a distribution that compresses.
func squeezing(policy string, compress bool) distribution.Distribution {
	d := dist("E1")
	b := &d.Config.DefaultCacheBehavior
	*b = distribution.CacheBehavior{TargetOriginID: "site", CachePolicyID: policy, Compress: compress}
	if policy == "" {
		b.ForwardedValues = &distribution.ForwardedValues{}
	}
	return d
}

// The body is compressed where the behavior says so, the policy knows the
// encoding and the viewer accepts it: from the first answer on, and in the
// cache. The older form of a behavior knows gzip only.
func TestCompression(t *testing.T) {
	text := strings.Repeat("fresh as the morning. ", 1000)
	for _, tt := range []struct {
		name, policy string
		compress     bool
		accept, want string
	}{
		{"both", "Managed-CachingOptimized", true, "gzip, deflate, br", "br"},
		{"gzip", "Managed-CachingOptimized", true, "gzip", "gzip"},
		{"nothing accepted", "Managed-CachingOptimized", true, "", ""},
		{"Brotli refused", "Managed-CachingOptimized", true, "br;q=0, gzip", "gzip"},
		{"not switched on", "Managed-CachingOptimized", false, "gzip, br", ""},
		{"not in the policy", "Managed-CachingOptimizedForUncompressedObjects", true, "gzip, br", ""},
		{"nothing is cached", "Managed-CachingDisabled", true, "gzip, br", ""},
		{"older form", "", true, "gzip, br", "gzip"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := fixed(200, text, "Content-Type", "text/html", "Etag", `"v1"`, "Cache-Control", "max-age=60")
			e := open(t, o, Config{Distributions: []distribution.Distribution{squeezing(tt.policy, tt.compress)}})
			for range 2 {
				w := get(e, "/a", "Accept-Encoding", tt.accept)
				settle(t, e)
				h := w.Header()
				if h.Get("Content-Encoding") != tt.want || plain(t, tt.want, w.Body.String()) != text {
					t.Fatalf("%v, %d bytes", h, w.Body.Len())
				}
				if tt.want == "" {
					if h.Get("Etag") != `"v1"` || h.Get("Content-Length") != strconv.Itoa(len(text)) {
						t.Errorf("%v", h)
					}
					continue
				}
				if h.Get("Etag") != `W/"v1"` || h.Get("Vary") != "Accept-Encoding" || w.Body.Len() > len(text)/10 {
					t.Errorf("%v, %d bytes", h, w.Body.Len())
				}
				if xcache(w) == "Hit" && h.Get("Content-Length") != strconv.Itoa(w.Body.Len()) {
					t.Errorf("a hit has the length %s, not %d", h.Get("Content-Length"), w.Body.Len())
				}
			}
		})
	}
}

// Viewers of HTTP/1.0 get what they understand, and so does everybody who comes
// with other encodings.
func TestCompressedVariantsAreApart(t *testing.T) {
	text := strings.Repeat("x", 2000)
	o := fixed(200, text, "Content-Type", "text/plain", "Cache-Control", "max-age=60")
	e := open(t, o, Config{Distributions: []distribution.Distribution{squeezing("Managed-CachingOptimized", true)}})
	for range 2 {
		for accept, want := range map[string]string{"gzip": "gzip", "br": "br", "": ""} {
			if got := get(e, "/a", "Accept-Encoding", accept).Header().Get("Content-Encoding"); got != want {
				t.Errorf("%q got %q", accept, got)
			}
			settle(t, e)
		}
	}
	if o.count() != 3 {
		t.Errorf("the origin was asked %d times", o.count())
	}
	r, err := http.NewRequest("GET", "http://e1.cloudfront.localhost/a", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.RequestURI, r.Proto, r.ProtoMajor, r.ProtoMinor, r.RemoteAddr = "/a", "HTTP/1.0", 1, 0, "192.0.2.1:1"
	r.Header.Set("Accept-Encoding", "gzip")
	if w := serve(e, r); w.Header().Get("Content-Encoding") != "" || w.Body.String() != text {
		t.Errorf("HTTP/1.0: %v", w.Header())
	}
}

// A compressed copy is revalidated with its weak tag and stays compressed; an
// uncompressed one stays uncompressed.
func TestRevalidatedCompression(t *testing.T) {
	for _, kind := range []string{"text/plain", "image/png"} {
		synctest.Test(t, func(t *testing.T) {
			text := strings.Repeat("x", 2000)
			o := &recorded{answer: func(r *http.Request) (*http.Response, error) {
				if match := r.Header.Get("If-None-Match"); match != "" {
					return reply(304, "", "Etag", `"v1"`, "Vary", "Origin", "Cache-Control", "max-age=60"), nil
				}
				return reply(200, text, "Content-Type", kind, "Etag", `"v1"`, "Cache-Control", "max-age=60"), nil
			}}
			e := open(t, o, Config{Distributions: []distribution.Distribution{squeezing("Managed-CachingOptimized", true)}})
			first := get(e, "/a", "Accept-Encoding", "gzip")
			synctest.Wait()
			time.Sleep(2 * time.Minute)
			again := get(e, "/a", "Accept-Encoding", "gzip")
			synctest.Wait()
			third := get(e, "/a", "Accept-Encoding", "gzip")
			if xcache(again) != "RefreshHit" || xcache(third) != "Hit" || o.last(t).Header.Get("If-None-Match") != first.Header().Get("Etag") {
				t.Errorf("%s: %s, %s, asked with %v", kind, xcache(again), xcache(third), o.last(t).Header)
			}
			for _, w := range []interface{ Header() http.Header }{again, third} {
				for _, name := range []string{"Etag", "Content-Encoding", "Vary"} {
					if got, want := w.Header().Get(name), first.Header().Get(name); got != want {
						t.Errorf("%s: %s: %q, want %q as before", kind, name, got, want)
					}
				}
			}
			if !bytes.Equal(third.Body.Bytes(), first.Body.Bytes()) {
				t.Errorf("%s: the body changed", kind)
			}
		})
	}
}

// A body that breaks off while it is compressed is neither stored nor taken for
// a whole one.
func TestCompressionOfABrokenBody(t *testing.T) {
	o := &recorded{answer: func(*http.Request) (*http.Response, error) {
		resp := reply(200, strings.Repeat("x", 3000), "Content-Type", "text/plain", "Cache-Control", "max-age=60")
		resp.ContentLength = 5000
		resp.Body = io.NopCloser(io.MultiReader(strings.NewReader(strings.Repeat("x", 3000)), brokenReader{}))
		return resp, nil
	}}
	e := open(t, o, Config{Distributions: []distribution.Distribution{squeezing("Managed-CachingOptimized", true)}})
	for i := range 2 {
		w := get(e, "/a", "Accept-Encoding", "gzip")
		settle(t, e)
		if w.Header().Get("Test-Aborted") == "" || o.count() != i+1 {
			t.Errorf("%d %v after %d requests", w.Code, w.Header(), o.count())
		}
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
