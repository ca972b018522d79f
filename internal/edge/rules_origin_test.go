package edge

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freshet/freshet/internal/distribution"
)

// What origins get for Accept-Encoding: one of four values, so that there are no
// more variants than that; as it was sent only where the key lists it and no
// encoding is switched on, and then nothing is compressed.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/ServingCompressedFiles.html
func TestAcceptEncodingAtTheOrigin(t *testing.T) {
	for _, tt := range []struct {
		rule         string
		gzip, brotli bool
		listed       bool
		sent, want   string
	}{
		{"br and gzip", true, true, false, "gzip, deflate, br;q=0.9", "br,gzip"},
		{"br only", true, true, false, "br", "br"},
		{"gzip only", true, true, false, "deflate, gzip", "gzip"},
		{"neither", true, true, false, "deflate, zstd", "identity"},
		{"none sent", true, true, false, "", "identity"},
		{"Brotli is switched off", true, false, false, "gzip, br", "gzip"},
		{"gzip is switched off", false, true, false, "gzip, br", "br"},
		{"both are switched off", false, false, false, "gzip, br", "identity"},
		{"listing it changes nothing where it is switched on", true, true, true, "gzip, deflate, br", "br,gzip"},
		{"listed and switched off it goes as it is", false, false, true, "gzip, deflate, br", "gzip, deflate, br"},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			p := distribution.Parameters{EnableAcceptEncodingGzip: tt.gzip, EnableAcceptEncodingBrotli: tt.brotli}
			if tt.listed {
				p.HeadersConfig = distribution.HeadersConfig{HeaderBehavior: "whitelist", Headers: []string{"Accept-Encoding"}}
			}
			d := policed(p)
			d.Config.DefaultCacheBehavior.Compress = true
			o := fixed(200, strings.Repeat("x", 5000), "Content-Type", "text/plain", "Cache-Control", "max-age=60")
			w := get(open(t, o, Config{Distributions: []distribution.Distribution{d}}), "/a", "Accept-Encoding", tt.sent)
			if got := o.last(t).Header.Get("Accept-Encoding"); got != tt.want {
				t.Errorf("the origin got %q, want %q", got, tt.want)
			}
			compresses := tt.want == "br,gzip" || tt.want == "br" || tt.want == "gzip"
			if compressed := w.Header().Get("Content-Encoding") != ""; compressed != compresses {
				t.Errorf("compressed: %v", compressed)
			}
		})
	}
}

// How origins are connected to, unless their configuration says otherwise.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/DownloadDistValuesOrigin.html
func TestConnectionSettings(t *testing.T) {
	for _, tt := range []struct {
		rule          string
		o             distribution.Origin
		connect, keep time.Duration
		attempts      int
		patience      time.Duration
	}{
		{"nothing said", distribution.Origin{}, 10 * time.Second, 5 * time.Second, 3, 30 * time.Second},
		{"a custom origin", distribution.Origin{ConnectionTimeout: 2, ConnectionAttempts: 1, CustomOriginConfig: &distribution.CustomOriginConfig{OriginKeepaliveTimeout: 60, OriginReadTimeout: 120}}, 2 * time.Second, time.Minute, 1, 2 * time.Minute},
		{"a bucket", distribution.Origin{S3OriginConfig: &distribution.S3OriginConfig{OriginReadTimeout: 20}}, 10 * time.Second, 5 * time.Second, 3, 20 * time.Second},
		{"a VPC origin", distribution.Origin{VPCOriginConfig: &distribution.VPCOriginConfig{OriginKeepaliveTimeout: 7, OriginReadTimeout: 8}}, 10 * time.Second, 7 * time.Second, 3, 8 * time.Second},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			transport := newTransport(tt.o, nil)
			made, err := newOrigin(Origin{URL: "http://o.test"}, tt.o, 30*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			if connectTimeout(tt.o) != tt.connect || transport.TLSHandshakeTimeout != tt.connect || transport.IdleConnTimeout != tt.keep || made.attempts != tt.attempts || made.patience != tt.patience {
				t.Errorf("connects in %v, %d times, keeps for %v, waits %v", connectTimeout(tt.o), made.attempts, transport.IdleConnTimeout, made.patience)
			}
		})
	}
}

// stalling is a body that says something every pause, and then nothing more.
type stalling struct {
	ctx   context.Context
	pause time.Duration
	left  int
}

func (s *stalling) Read(p []byte) (int, error) {
	wait := s.pause
	if s.left == 0 {
		wait = 24 * time.Hour
	}
	select {
	case <-time.After(wait):
	case <-s.ctx.Done():
		return 0, context.Cause(s.ctx)
	}
	s.left--
	p[0] = 'x'
	return 1, nil
}
func (*stalling) Close() error { return nil }

// The response timeout is for the first byte and between any two; an answer that
// goes on takes as long as it likes, and one that stops is broken off and not
// stored.
func TestSilenceWithinAResponse(t *testing.T) {
	for _, policy := range []string{"Managed-CachingOptimized", "Managed-CachingDisabled"} {
		synctest.Test(t, func(t *testing.T) {
			o := &recorded{answer: func(r *http.Request) (*http.Response, error) {
				resp := reply(200, "", "Cache-Control", "max-age=100")
				resp.ContentLength, resp.Body = 10, &stalling{r.Context(), 29 * time.Second, 5}
				return resp, nil
			}}
			e := open(t, o, Config{Distributions: []distribution.Distribution{squeezing(policy, false)}})
			began := time.Now()
			w := get(e, "/a")
			if took := time.Since(began); took != 5*29*time.Second+30*time.Second || w.Body.String() != "xxxxx" || w.Header().Get("Test-Aborted") == "" {
				t.Errorf("%s: after %v %q, broken off: %q", policy, took, w.Body, w.Header().Get("Test-Aborted"))
			}
			synctest.Wait()
			if e.Stats().Objects != 0 {
				t.Errorf("%s: it was stored", policy)
			}
		})
	}
}

// What the origin says of variants does not make any: the cache key does.
func TestVaryMakesNoVariants(t *testing.T) {
	o := fixed(200, "x", "Vary", "X-Lang, Accept", "Cache-Control", "max-age=60")
	e := open(t, o, Config{})
	want(t, get(e, "/a", "X-Lang", "de", "Accept", "text/html"), 200, "Miss", "x")
	settle(t, e)
	want(t, get(e, "/a", "X-Lang", "en", "Accept", "image/png"), 200, "Hit", "x")
}
