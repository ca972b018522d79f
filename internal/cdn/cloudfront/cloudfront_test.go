package cloudfront_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"go.uber.org/goleak"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/cdn"
	"github.com/freshet/freshet/internal/cdn/cdntest"
	"github.com/freshet/freshet/internal/cdn/cdntest/edgetest"
	"github.com/freshet/freshet/internal/cdn/cloudfront"
	"github.com/freshet/freshet/internal/edge/api"
	"github.com/freshet/freshet/internal/sigv4"
)

const (
	keyID  = "AKIAIOSFODNN7EXAMPLE"
	secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
)

func TestMain(m *testing.M) {
	// Nothing of the user's own AWS configuration.
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "AWS_") {
			_ = os.Unsetenv(name)
		}
	}
	_ = os.Setenv("AWS_CONFIG_FILE", os.DevNull)
	_ = os.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)
	_ = os.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	// The SDK's client keeps idle connections in a pool that nobody can reach.
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"),
		goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"))
}

func driver(t *testing.T, url string, change func(*cloudfront.Config)) *cloudfront.Driver {
	t.Helper()
	cfg := cloudfront.Config{Endpoint: url, Credentials: credentials.NewStaticCredentialsProvider(keyID, secret, "")}
	if change != nil {
		change(&cfg)
	}
	d, err := cloudfront.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// edge serves our own CloudFront API on a loopback port.
func edge(t *testing.T, register *api.Register) *httptest.Server {
	t.Helper()
	h, err := api.NewHandler(api.HandlerConfig{Register: register, Credentials: sigv4.Credentials{AccessKeyID: keyID, Secret: secret}})
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

func TestConformance(t *testing.T) {
	cdntest.Run(t, func(t *testing.T) cdntest.Fixture {
		register, fixture := edgetest.Open(t)
		fixture.Driver = driver(t, edge(t, register).URL, nil)
		return fixture
	})
}

func TestProfiles(t *testing.T) {
	register, _ := edgetest.Open(t)
	s := edge(t, register)
	got, err := driver(t, s.URL, func(c *cloudfront.Config) { c.PollEvery = time.Second }).Profiles(t.Context())
	if err != nil || len(got) != 2 {
		t.Fatalf("got %+v, %v", got, err)
	}
	want := freshet.Profile{Distribution: "E2ALIASED", Hosts: []string{"e2aliased.cloudfront.localhost", "www.example.com"}, MaxPatterns: 150, MaxWildcards: 1,
		PatternPrice: 0.005, Quota: freshet.Quota{RequestsPerSecond: 1, PatternsPerSecond: 150, WildcardsPerSecond: 1, PatternsInProgress: 3000, WildcardsInProgress: 15}, PollEvery: time.Second, CompletionWithin: 15 * time.Minute}
	if fmt.Sprintf("%+v", got[1]) != fmt.Sprintf("%+v", want) {
		t.Errorf("got %+v, want %+v", got[1], want)
	}
	if got, err = driver(t, s.URL, nil).Profiles(t.Context()); err != nil || got[0].PollEvery != 2*time.Second {
		t.Errorf("got %+v, %v", got, err)
	}
}

// Pages come as long as the CDN has some, and an endless one ends.
func TestProfilesArePaged(t *testing.T) {
	const page = `<DistributionList xmlns="http://cloudfront.amazonaws.com/doc/2020-05-31/"><Marker></Marker>%s<MaxItems>1</MaxItems><IsTruncated>true</IsTruncated><Quantity>1</Quantity><Items><DistributionSummary><Id>%s</Id><DomainName>d</DomainName></DistributionSummary></Items></DistributionList>`
	var asked []string
	s := answering(t, func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Query().Get("Marker"))
		switch len(asked) {
		case 1:
			_, _ = fmt.Fprintf(w, page, "<NextMarker>m</NextMarker>", "EB")
		default:
			_, _ = fmt.Fprintf(w, page, "<NextMarker>m</NextMarker>", "EA")
		}
	})
	got, err := driver(t, s.URL, nil).Profiles(t.Context())
	if err != nil || len(got) != 2 || got[0].Distribution != "EA" || !slices.Equal(asked, []string{"", "m"}) {
		t.Errorf("got %+v, %v, asked %q", got, err, asked)
	}
}

func answering(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

var inv = freshet.Invalidation{Distribution: "E1", CallerReference: "r", Patterns: []freshet.Pattern{"/b", "/a", "/b"}}

func TestRequestIsSortedAndSignedForUSEast1(t *testing.T) {
	var body, auth, path string
	s := answering(t, func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		body, auth, path = string(text), r.Header.Get("Authorization"), r.URL.Path
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, `<Invalidation><Id>I1</Id><Status>InProgress</Status><CreateTime>2026-11-20T00:00:00Z</CreateTime><InvalidationBatch><CallerReference>r</CallerReference></InvalidationBatch></Invalidation>`)
	})
	got, err := driver(t, s.URL, nil).Invalidate(t.Context(), inv)
	want := freshet.Receipt{Distribution: "E1", CallerReference: "r", ID: "I1", State: freshet.Accepted, At: time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)}
	if err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	if path != "/2020-05-31/distribution/E1/invalidation" || !strings.Contains(auth, "/us-east-1/cloudfront/") || !strings.Contains(body, "<Path>/a</Path><Path>/b</Path></Items><Quantity>2</Quantity>") {
		t.Errorf("sent %s %s %s", path, auth, body)
	}
	_, err = driver(t, s.URL, func(c *cloudfront.Config) { c.Region = "cn-northwest-1" }).Invalidate(t.Context(), inv)
	if err != nil || !strings.Contains(auth, "/cn-northwest-1/") {
		t.Errorf("signed %s, %v", auth, err)
	}
}

// Every code that CloudFront is known to send, and answers that are not
// CloudFront's at all.
func TestClasses(t *testing.T) {
	for _, tt := range []struct {
		status  int
		code    string
		message string
		class   cdn.Class
	}{
		{400, "Throttling", "Rate exceeded", cdn.Throttled},
		{400, "ThrottlingException", "Rate exceeded", cdn.Throttled},
		{400, "RequestLimitExceeded", "", cdn.Throttled},
		{503, "SlowDown", "", cdn.Throttled},
		{429, "Odd", "", cdn.Throttled},
		{400, "TooManyInvalidationsInProgress", "Processing your request will cause you to exceed the maximum number of in-progress wildcard invalidations.", cdn.Busy},
		{413, "BatchTooLarge", "", cdn.TooLarge},
		{413, "", "", cdn.TooLarge},
		{409, "InvalidationBatchAlreadyExists", "", cdn.Conflict},
		{400, "InvalidationBatchAlreadyExists", "", cdn.Conflict},
		{400, "InvalidArgument", "Your request contains a caller reference that was used for a previous invalidation batch for the same distribution.", cdn.Conflict},
		{400, "InvalidArgument", "Your request contains one or more invalid invalidation paths.", cdn.Rejected},
		{400, "InvalidArgument", "Your request contains an empty caller reference", cdn.Rejected},
		{400, "InconsistentQuantities", "", cdn.Rejected},
		{400, "MissingBody", "", cdn.Rejected},
		{400, "MalformedXML", "", cdn.Rejected},
		{400, "MalformedInput", "Unexpected list element termination", cdn.Rejected},
		{412, "PreconditionFailed", "", cdn.Rejected},
		{400, "Odd", "", cdn.Rejected},
		{404, "NoSuchDistribution", "", cdn.NotFound},
		{404, "NoSuchInvalidation", "", cdn.NotFound},
		{404, "EntityNotFound", "", cdn.NotFound},
		{404, "", "", cdn.NotFound},
		{403, "AccessDenied", "", cdn.Denied},
		{403, "SignatureDoesNotMatch", "", cdn.Denied},
		{403, "InvalidClientTokenId", "", cdn.Denied},
		{403, "MissingAuthenticationToken", "", cdn.Denied},
		{403, "IncompleteSignature", "", cdn.Denied},
		{403, "RequestTimeTooSkewed", "", cdn.Denied},
		{403, "ExpiredToken", "", cdn.Denied},
		{400, "ExpiredTokenException", "", cdn.Denied},
		{403, "OptInRequired", "", cdn.Denied},
		{403, "Odd", "", cdn.Denied},
		{401, "", "", cdn.Denied},
		{503, "ServiceUnavailable", "CloudFront encountered an internal error.", cdn.Unavailable},
		{500, "InternalError", "", cdn.Unavailable},
		{500, "", "", cdn.Unavailable},
		{502, "", "", cdn.Unavailable},
		{400, "RequestTimeout", "", cdn.Unavailable},
		{408, "", "", cdn.Unavailable},
		{302, "", "", cdn.Unavailable},
	} {
		t.Run(fmt.Sprint(tt.status, tt.code), func(t *testing.T) {
			var calls atomic.Int32
			s := answering(t, func(w http.ResponseWriter, _ *http.Request) {
				calls.Add(1)
				w.WriteHeader(tt.status)
				if tt.code == "" {
					_, _ = io.WriteString(w, "<html>no XML of CloudFront")
					return
				}
				_, _ = fmt.Fprintf(w, `<ErrorResponse xmlns="http://cloudfront.amazonaws.com/doc/2020-05-31/"><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error><RequestId>r</RequestId></ErrorResponse>`, tt.code, tt.message)
			})
			_, err := driver(t, s.URL, nil).Invalidate(t.Context(), inv)
			var e *cdn.Error
			if !errors.As(err, &e) || e.Class != tt.class {
				t.Errorf("got %v, want %s", err, tt.class)
			}
			if e != nil && (e.Class == cdn.Denied && tt.code != "" && tt.code != "Odd" || e.Class == cdn.Conflict) && e.Hint == "" {
				t.Errorf("%v has no hint", err)
			}
			if n := calls.Load(); n != 1 {
				t.Errorf("sent %d times, want once", n)
			}
		})
	}
}

func TestRetryAfter(t *testing.T) {
	for header, want := range map[string]time.Duration{"7": 7 * time.Second, "": 0, "x": 0, "-1": 0, "Thu, 01 Jan 1970 00:00:00 GMT": 0} {
		s := answering(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", header)
			w.WriteHeader(http.StatusServiceUnavailable)
		})
		_, err := driver(t, s.URL, nil).Status(t.Context(), "E1", "I1")
		var e *cdn.Error
		if !errors.As(err, &e) || e.RetryAfter != want {
			t.Errorf("Retry-After %q: %v, %+v", header, err, e)
		}
	}
}

func TestNoAnswer(t *testing.T) {
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	torn := answering(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	empty := answering(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusCreated) })
	garbage := answering(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<Invalidation><Id>I") })
	nameless := answering(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<Invalidation/>") })
	for name, url := range map[string]string{"refused": closed.URL, "torn": torn.URL, "empty": empty.URL, "garbage": garbage.URL, "nameless": nameless.URL} {
		_, err := driver(t, url, nil).Invalidate(t.Context(), inv)
		var e *cdn.Error
		if !errors.As(err, &e) || e.Class != cdn.Unavailable || e.Hint == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDeadline(t *testing.T) {
	gate := make(chan struct{})
	s := answering(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-gate:
		case <-r.Context().Done():
		}
	})
	defer close(gate)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_, err := driver(t, s.URL, nil).Status(ctx, "E1", "I1")
	if cdn.ClassOf(err) != cdn.Unavailable || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestCredentials(t *testing.T) {
	register, _ := edgetest.Open(t)
	s := edge(t, register)
	for name, provider := range map[string]aws.CredentialsProvider{
		"wrong secret": credentials.NewStaticCredentialsProvider(keyID, "wrong", ""),
		"empty":        credentials.NewStaticCredentialsProvider("", "", ""),
		"none":         nil, // and none in the environment
		"broken": aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{}, errors.New("the role cannot be assumed")
		}),
	} {
		_, err := driver(t, s.URL, func(c *cloudfront.Config) { c.Credentials = provider }).Profiles(t.Context())
		var e *cdn.Error
		if !errors.As(err, &e) || e.Class != cdn.Denied || e.Hint == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	t.Setenv("AWS_ACCESS_KEY_ID", keyID)
	t.Setenv("AWS_SECRET_ACCESS_KEY", secret)
	if _, err := driver(t, s.URL, func(c *cloudfront.Config) { c.Credentials = nil }).Profiles(t.Context()); err != nil {
		t.Errorf("from the environment: %v", err)
	}
}

func TestEmptyIDsAreRejectedWithoutARequest(t *testing.T) {
	s := answering(t, func(http.ResponseWriter, *http.Request) { t.Error("a request was sent") })
	d := driver(t, s.URL, nil)
	_, err := d.Status(t.Context(), "E1", "")
	if cdn.ClassOf(err) != cdn.Rejected {
		t.Errorf("Status: %v", err)
	}
	if _, err = d.Invalidate(t.Context(), freshet.Invalidation{CallerReference: "r", Patterns: inv.Patterns}); cdn.ClassOf(err) != cdn.Rejected {
		t.Errorf("Invalidate: %v", err)
	}
}

// A message of CloudFront's that nobody foresaw still reaches the person.
func TestErrorTextKeepsTheMessage(t *testing.T) {
	s := answering(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `<ErrorResponse><Error><Code>NewCode</Code><Message>something new</Message></Error></ErrorResponse>`)
	})
	_, err := driver(t, s.URL, nil).Invalidate(t.Context(), inv)
	if err == nil || !strings.Contains(err.Error(), "invalidate at E1") || !strings.Contains(err.Error(), "something new") || strings.Contains(err.Error(), secret) {
		t.Errorf("got %v", err)
	}
}
