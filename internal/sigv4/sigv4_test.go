package sigv4_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/freshet/freshet/internal/sigv4"
)

const (
	keyID  = "AKIDEXAMPLE"
	secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
)

var signedAt = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func verifier() sigv4.Verifier {
	return sigv4.Verifier{
		Credentials: sigv4.Credentials{AccessKeyID: keyID, Secret: secret},
		Service:     "cloudfront",
		MaxBody:     1 << 10,
		Now:         func() time.Time { return signedAt },
	}
}

// signing is how a test client signs.
type signing struct {
	key, secret, token string
	service, region    string
	at                 time.Time
}

func honest() signing {
	return signing{key: keyID, secret: secret, service: "cloudfront", region: "us-east-1", at: signedAt}
}

// request returns a signed request as a server sees it.
func request(t *testing.T, s signing, method, target, body string, headers ...string) *http.Request {
	t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.URL.Scheme, r.URL.Host = "", ""
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	sum := sha256.Sum256([]byte(body))
	key := aws.Credentials{AccessKeyID: s.key, SecretAccessKey: s.secret, SessionToken: s.token}
	if err := v4.NewSigner().SignHTTP(context.Background(), key, r, hex.EncodeToString(sum[:]), s.service, s.region, s.at); err != nil {
		t.Fatal(err)
	}
	return r
}

func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	var e *sigv4.Error
	if !errors.As(err, &e) {
		t.Fatalf("got error %v, want an *Error %s", err, code)
	}
	status := http.StatusForbidden
	if code == sigv4.RequestEntityTooLarge {
		status = http.StatusRequestEntityTooLarge
	}
	if e.Code != code || e.Status != status || e.Message == "" {
		t.Errorf("got %d %v, want %d %s", e.Status, e, status, code)
	}
	if strings.Contains(e.Error(), secret) {
		t.Errorf("the error shows the secret: %v", e)
	}
}

// AWS publishes what a right signature looks like; here no code of the SDK
// signs. https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
func TestPublishedVector(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Host = "example.amazonaws.com"
	r.Header.Set("X-Amz-Date", "20150830T123600Z")
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "+
		"SignedHeaders=host;x-amz-date, Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31")
	v := verifier()
	v.Service, v.Region = "service", "us-east-1"
	v.Now = func() time.Time { return time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC) }
	if _, err := v.Verify(r); err != nil {
		t.Error(err)
	}
}

// Recorded from AWS CLI 1.45 and 2.9 with the secret "s".
func TestRecordedFromTheCLI(t *testing.T) {
	for reference, signature := range map[string]string{
		"cli-1795201508-159494": "47bca76d2b2ff15ac45ef8a3c4cd24b32c40303275d4fd877cd7c7f5a3108d80",
		"cli-1795201508-250909": "8ca2319f9fea9b8587e1126151a4591effd745e6847ba00c9df4ea572e42bb94",
	} {
		body := `<InvalidationBatch xmlns="http://cloudfront.amazonaws.com/doc/2020-05-31/"><CallerReference>` + reference +
			`</CallerReference><Paths><Quantity>2</Quantity><Items><Path>/a</Path><Path>/b c</Path></Items></Paths></InvalidationBatch>`
		r := httptest.NewRequest(http.MethodPost, "/2020-05-31/distribution/E1/invalidation", strings.NewReader(body))
		r.Host = "127.0.0.1:18999"
		r.Header.Set("User-Agent", "aws-cli")
		r.Header.Set("X-Amz-Date", "20261120T190508Z")
		r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261120/eu-west-1/cloudfront/aws4_request, SignedHeaders=host;x-amz-date, Signature="+signature)
		v := verifier()
		v.Credentials.Secret = "s"
		v.Now = func() time.Time { return time.Date(2026, 11, 20, 19, 5, 9, 0, time.UTC) }
		got, err := v.Verify(r)
		if err != nil || string(got) != body {
			t.Errorf("%s: body %q, error %v", reference, got, err)
		}
	}
}

func TestAccepts(t *testing.T) {
	for name, r := range map[string]*http.Request{
		"get":              request(t, honest(), "GET", "/a", ""),
		"body":             request(t, honest(), "POST", "/a", "<a/>"),
		"query":            request(t, honest(), "GET", "/a?b=c%20d&a=~*&empty", ""),
		"escaped path":     request(t, honest(), "GET", "/a%2Fb%20c/%C3%A9/(x)!", ""),
		"any region":       request(t, signing{key: keyID, secret: secret, service: "cloudfront", region: "eu-west-1", at: signedAt}, "GET", "/a", ""),
		"headers":          request(t, honest(), "POST", "/a", "x", "Content-Type", "text/xml", "Amz-Sdk-Request", "attempt=1;  max=3"),
		"unsigned headers": request(t, honest(), "GET", "/a", "", "User-Agent", "x", "Expect", "100-continue"),
		"right hash":       request(t, honest(), "POST", "/a", "", "X-Amz-Content-Sha256", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
		"14:59 slow":       request(t, signing{key: keyID, secret: secret, service: "cloudfront", region: "r", at: signedAt.Add(-sigv4.MaxSkew + time.Second)}, "GET", "/a", ""),
		"14:59 fast":       request(t, signing{key: keyID, secret: secret, service: "cloudfront", region: "r", at: signedAt.Add(sigv4.MaxSkew - time.Second)}, "GET", "/a", ""),
	} {
		if _, err := verifier().Verify(r); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// An unsigned header that is added on the way, such as a proxy's, is nobody's
// business.
func TestBodyIsReturnedAndReadableAgain(t *testing.T) {
	r := request(t, honest(), "POST", "/a", "<body/>")
	r.Header.Set("X-Forwarded-For", "::1")
	got, err := verifier().Verify(r)
	if err != nil || string(got) != "<body/>" {
		t.Fatalf("Verify: %q, %v", got, err)
	}
	if again, err := io.ReadAll(r.Body); err != nil || string(again) != "<body/>" {
		t.Errorf("r.Body afterwards: %q, %v", again, err)
	}
}

func TestRefusesOtherSigners(t *testing.T) {
	with := func(change func(*signing)) signing {
		s := honest()
		change(&s)
		return s
	}
	for name, tt := range map[string]struct {
		signing signing
		code    string
	}{
		"wrong secret":  {with(func(s *signing) { s.secret = "wrong" }), sigv4.SignatureDoesNotMatch},
		"other key":     {with(func(s *signing) { s.key = "AKIDOTHER" }), sigv4.InvalidClientTokenID},
		"session token": {with(func(s *signing) { s.token = "token" }), sigv4.InvalidClientTokenID},
		"other service": {with(func(s *signing) { s.service = "s3" }), sigv4.SignatureDoesNotMatch},
		"other region":  {with(func(s *signing) { s.region = "eu-west-1" }), sigv4.SignatureDoesNotMatch},
		"too old":       {with(func(s *signing) { s.at = signedAt.Add(-sigv4.MaxSkew - time.Second) }), sigv4.SignatureDoesNotMatch},
		"too new":       {with(func(s *signing) { s.at = signedAt.Add(sigv4.MaxSkew + time.Second) }), sigv4.SignatureDoesNotMatch},
	} {
		t.Run(name, func(t *testing.T) {
			v := verifier()
			v.Region = "us-east-1"
			_, err := v.Verify(request(t, tt.signing, "POST", "/a", "x"))
			wantCode(t, err, tt.code)
		})
	}
}

func TestRefusesWhatWasChangedOnTheWay(t *testing.T) {
	resigned := func(replace ...string) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Set("Authorization", strings.NewReplacer(replace...).Replace(r.Header.Get("Authorization")))
		}
	}
	for name, tt := range map[string]struct {
		change func(*http.Request)
		code   string
	}{
		"method":               {func(r *http.Request) { r.Method = "PUT" }, sigv4.SignatureDoesNotMatch},
		"path":                 {func(r *http.Request) { r.URL.Path = "/b" }, sigv4.SignatureDoesNotMatch},
		"spelling of the path": {func(r *http.Request) { r.URL.RawPath = "/%61" }, sigv4.SignatureDoesNotMatch},
		"query":                {func(r *http.Request) { r.URL.RawQuery += "&more=1" }, sigv4.SignatureDoesNotMatch},
		"query behind ;":       {func(r *http.Request) { r.URL.RawQuery += "&more;1" }, sigv4.IncompleteSignature},
		"body":                 {func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader("y")) }, sigv4.SignatureDoesNotMatch},
		"host":                 {func(r *http.Request) { r.Host = "other" }, sigv4.SignatureDoesNotMatch},
		"signed header":        {func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, sigv4.SignatureDoesNotMatch},
		"signed header gone":   {func(r *http.Request) { r.Header.Del("Content-Type") }, sigv4.SignatureDoesNotMatch},
		"signed header twice":  {func(r *http.Request) { r.Header.Add("Content-Type", "text/xml") }, sigv4.SignatureDoesNotMatch},
		"fewer headers signed": {resigned("content-type;", ""), sigv4.SignatureDoesNotMatch},
		"host not signed":      {resigned("host;", ""), sigv4.SignatureDoesNotMatch},
		"date not signed":      {resigned(";x-amz-date", ""), sigv4.SignatureDoesNotMatch},
		"authorization signed": {resigned("SignedHeaders=", "SignedHeaders=authorization;"), sigv4.SignatureDoesNotMatch},
		"time":                 {func(r *http.Request) { r.Header.Set("X-Amz-Date", "20261120T120001Z") }, sigv4.SignatureDoesNotMatch},
		"scope's date":         {resigned("/20261120/", "/20261121/"), sigv4.SignatureDoesNotMatch},
		"scope's region":       {resigned("us-east-1", "us-east-2"), sigv4.SignatureDoesNotMatch},
		"wrong payload hash":   {func(r *http.Request) { r.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD") }, sigv4.SignatureDoesNotMatch},
		"no signature":         {func(r *http.Request) { r.Header.Del("Authorization") }, sigv4.MissingAuthenticationToken},
		"two signatures":       {func(r *http.Request) { r.Header.Add("Authorization", r.Header.Get("Authorization")) }, sigv4.IncompleteSignature},
		"no date":              {func(r *http.Request) { r.Header.Del("X-Amz-Date") }, sigv4.IncompleteSignature},
		"bad date":             {func(r *http.Request) { r.Header.Set("X-Amz-Date", "Fri, 20 Nov 2026 12:00:00 GMT") }, sigv4.IncompleteSignature},
		"long body":            {func(r *http.Request) { r.Body = io.NopCloser(bytes.NewReader(make([]byte, 1<<10+1))) }, sigv4.RequestEntityTooLarge},
		"long body announced":  {func(r *http.Request) { r.ContentLength = 1<<10 + 1 }, sigv4.RequestEntityTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			r := request(t, honest(), "POST", "/a?b=c", "x", "Content-Type", "text/xml")
			tt.change(r)
			_, err := verifier().Verify(r)
			wantCode(t, err, tt.code)
		})
	}
}

// A verifier without a key must not be satisfied by a client without one.
func TestUnsetCredentialsVerifyNothing(t *testing.T) {
	for _, c := range []sigv4.Credentials{{}, {AccessKeyID: keyID}, {Secret: secret}} {
		v := verifier()
		v.Credentials = c
		s := honest()
		s.secret = c.Secret.Reveal()
		_, err := v.Verify(request(t, s, "GET", "/a", ""))
		wantCode(t, err, sigv4.InvalidClientTokenID)
	}
}

// A stranger cannot make the server read his body.
func TestBodyIsNotReadBeforeTheHeadersAreRight(t *testing.T) {
	s := honest()
	s.key = "AKIDOTHER"
	r := request(t, s, "POST", "/a", "x")
	r.Body = io.NopCloser(unreadable{t})
	_, err := verifier().Verify(r)
	wantCode(t, err, sigv4.InvalidClientTokenID)
}

type unreadable struct{ t *testing.T }

func (u unreadable) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, io.EOF
}

func TestBrokenBodyIsNoVerdict(t *testing.T) {
	r := request(t, honest(), "POST", "/a", "x")
	r.Body = io.NopCloser(io.MultiReader(strings.NewReader("x"), broken{}))
	var e *sigv4.Error
	if _, err := verifier().Verify(r); !errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &e) {
		t.Errorf("got %v, want the reader's error", err)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestSecretShowsNowhere(t *testing.T) {
	s := sigv4.Secret(secret)
	c := sigv4.Credentials{AccessKeyID: keyID, Secret: s}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "secret", s, "credentials", c)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "secret", s, "credentials", c)
	encoded, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	shown := log.String() + string(encoded) + s.String() + fmt.Sprint(s, c, &c)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%10.3s"} {
		shown += fmt.Sprintf(verb, s) + fmt.Sprintf(verb, c)
	}
	for _, clear := range []string{secret, secret[:8], hex.EncodeToString([]byte(secret))[:16]} {
		if strings.Contains(strings.ToLower(shown), strings.ToLower(clear)) {
			t.Errorf("the secret shows: %s", shown)
		}
	}
	if s.Reveal() != secret {
		t.Error("Reveal does not reveal")
	}
	var decoded sigv4.Credentials
	if err := json.Unmarshal([]byte(`{"Secret":"abc"}`), &decoded); err != nil || decoded.Secret.Reveal() != "abc" {
		t.Errorf("decoded %q, %v", decoded.Secret.Reveal(), err)
	}
}
