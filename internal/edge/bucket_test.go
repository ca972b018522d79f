package edge

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/freshet/freshet/internal/distribution"
	"github.com/freshet/freshet/internal/edge/s3origin"
)

// A viewer's URL reaches the bucket as a signed request for a key, through the
// whole edge; a path without a key is never a listing.
func TestBucketOrigin(t *testing.T) {
	var mu sync.Mutex
	var targets []string
	s3 := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		targets = append(targets, r.RequestURI)
		if !strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential=AKID/") {
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	defer s3.Close()
	wire := &http.Transport{}
	defer wire.CloseIdleConnections()
	reached, err := BucketOrigin(s3origin.Config{
		Endpoint: s3.URL, Bucket: "site", Credentials: credentials.NewStaticCredentialsProvider("AKID", "secret", ""), Transport: wire,
	})
	if err != nil {
		t.Fatal(err)
	}
	resolve := func(distribution.Distribution, distribution.Origin) (Origin, error) { return reached, nil }
	prefixed := behaving(func(b *distribution.CacheBehavior) { b.ForwardedValues.QueryString = true })
	prefixed.Config.Origins[0].OriginPath = "/v1/a b"
	bare := dist("E2")
	bare.Config.DefaultRootObject = ""
	e := open(t, nil, Config{Distributions: []distribution.Distribution{prefixed, bare}, Resolve: resolve})
	for _, tt := range []struct {
		host, target string
		status       int
		sent         string // empty for nothing
	}{
		{"e1.cloudfront.localhost", "/", 200, "/site/v1/a%20b/index.html"},
		{"e1.cloudfront.localhost", "/c+d%2Be?list-type=2", 200, "/site/v1/a%20b/c%20d%2Be"},
		{"e2.cloudfront.localhost", "/x//y%3f", 200, "/site/x//y%3F"},
		{"e2.cloudfront.localhost", "/x/../y", 200, "/site/x/../y"},
		{"e2.cloudfront.localhost", "/", 403, ""},
		{"e2.cloudfront.localhost", "/?list-type=2", 403, ""},
		{"e2.cloudfront.localhost", "/../other/key", 400, ""},
	} {
		targets = nil
		w := get(e, tt.target, "Host", tt.host)
		settle(t, e)
		if got := strings.Join(targets, " "); w.Code != tt.status || got != tt.sent {
			t.Errorf("%s%s: %d after %q, want %d after %q", tt.host, tt.target, w.Code, got, tt.status, tt.sent)
		}
	}
}

func TestServerLimitsHeaders(t *testing.T) {
	srv := httptest.NewUnstartedServer(nil)
	srv.Config = Server(open(t, fixed(200, "x"), Config{}))
	srv.Start()
	defer srv.Close()
	defer http.DefaultClient.CloseIdleConnections()
	for size, status := range map[int]int{20_000: 200, 40_000: 413} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", srv.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Large", strings.Repeat("x", size))
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != status {
			t.Errorf("%d bytes of header: %d, want %d", size, resp.StatusCode, status)
		}
	}
	if srv.Config.ReadHeaderTimeout == 0 || srv.Config.IdleTimeout == 0 {
		t.Error("a slow viewer can hold a connection for ever")
	}
}
