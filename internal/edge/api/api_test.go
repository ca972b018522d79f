package api_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"go.uber.org/goleak"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/distribution"
	"github.com/freshet/freshet/internal/edge/api"
	"github.com/freshet/freshet/internal/sigv4"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type dist = distribution.Distribution

const (
	keyID  = "AKIAIOSFODNN7EXAMPLE"
	secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
)

// edge is an Invalidator that remembers what it was told. The zero value
// answers at once.
type edge struct {
	mu      sync.Mutex
	applied []application
	gate    chan struct{} // where it is not nil, each call waits until it is closed
	fail    int           // so many calls fail
	tried   int
}

type application struct {
	distribution string
	patterns     []freshet.Pattern
}

func (e *edge) Invalidate(distributionID string, patterns []freshet.Pattern) error {
	e.mu.Lock()
	gate := e.gate
	e.mu.Unlock()
	if gate != nil {
		<-gate
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.tried++
	if e.fail > 0 {
		e.fail--
		return errors.New("a node does not answer")
	}
	e.applied = append(e.applied, application{distributionID, slices.Clone(patterns)})
	return nil
}

// hold makes calls wait until the function it returns is called.
func (e *edge) hold() (release func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	gate := make(chan struct{})
	e.gate = gate
	return sync.OnceFunc(func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.gate = nil
		close(gate)
	})
}

func (e *edge) seen() []application {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.applied)
}

// distributions are one with defaults and one with everything that the model
// has.
func distributions() []distribution.Distribution {
	rich := distribution.ForBucket("E2RICH", "assets")
	rich.LastModified = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	rich.Config.Aliases = []string{"www.example.com", "cdn.example.com"}
	rich.Config.Comment = "<&> é"
	rich.Config.Origins = append(rich.Config.Origins, distribution.Origin{ID: "app", DomainName: "app.example.com", OriginPath: "/v1"},
		distribution.Origin{ID: "site", DomainName: "b.s3-website-eu-west-1.amazonaws.com"})
	rich.Config.CacheBehaviors = []distribution.CacheBehavior{{PathPattern: "/api/*", TargetOriginID: "app", ForwardedValues: &distribution.ForwardedValues{QueryString: true}, DefaultTTL: new(int64(30)), MaxTTL: new(int64(60))}}
	return []distribution.Distribution{rich, distribution.ForBucket("E1PLAIN", "site")}
}

// open returns a register over e; change may be nil.
func open(t *testing.T, e *edge, change func(*api.RegisterConfig)) *api.Register {
	t.Helper()
	cfg := api.RegisterConfig{Distributions: distributions, Invalidator: e, Log: &api.MemoryLog{}}
	if change != nil {
		change(&cfg)
	}
	r, err := api.Open(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// serve puts the API on a loopback port.
func serve(t *testing.T, r *api.Register, change func(*api.HandlerConfig)) *httptest.Server {
	t.Helper()
	cfg := api.HandlerConfig{Register: r, Credentials: sigv4.Credentials{AccessKeyID: keyID, Secret: secret}}
	if change != nil {
		change(&cfg)
	}
	if cfg.Catalog == nil {
		cfg.Catalog = catalog(t, func(c *api.CatalogConfig) { c.BuiltIn = r.Distributions() })
	}
	h, err := api.NewHandler(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

// catalog returns one of the test's distributions; change may be nil.
func catalog(t *testing.T, change func(*api.CatalogConfig)) *api.Catalog {
	t.Helper()
	cfg := api.CatalogConfig{Shelf: &api.MemoryShelf{}, BuiltIn: distributions(), Account: "123456789012"}
	if change != nil {
		change(&cfg)
	}
	c, err := api.OpenCatalog(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// response is an answer read to its end.
type response struct {
	status int
	header http.Header
	body   string
}

// send signs and sends one request.
func send(t *testing.T, s *httptest.Server, method, path, body string) response {
	t.Helper()
	return do(t, s, signed(t, s, method, path, body))
}

func signed(t *testing.T, s *httptest.Server, method, path, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	sign(t, r, body)
	return r
}

func sign(t *testing.T, r *http.Request, body string) {
	t.Helper()
	sum := sha256.Sum256([]byte(body))
	err := v4.NewSigner().SignHTTP(context.Background(), aws.Credentials{AccessKeyID: keyID, SecretAccessKey: secret}, r, hex.EncodeToString(sum[:]), "cloudfront", "us-east-1", time.Now())
	if err != nil {
		t.Fatal(err)
	}
}

func do(t *testing.T, s *httptest.Server, r *http.Request) response {
	t.Helper()
	answer, err := s.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var text bytes.Buffer
	if _, err := io.Copy(&text, answer.Body); err != nil {
		t.Fatal(err)
	}
	return response{answer.StatusCode, answer.Header, text.String()}
}

// eventually polls until ok or a deadline.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(2 * time.Minute)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s did not happen", what)
		}
	}
}

func completed(r *api.Register, distributionID, id string) func() bool {
	return func() bool {
		i, err := r.Get(distributionID, id)
		return err == nil && i.Status() == api.StatusCompleted
	}
}

// missing skips a test whose program is not installed, or fails it in CI.
func missing(t *testing.T, program string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf("%s is not installed, and CI must have it", program)
	}
	t.Skipf("%s is not installed", program)
}
