package sigv4

import (
	"context"
	"encoding/hex"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudfrontkeyvaluestore"
	"github.com/aws/aws-sdk-go-v2/service/cloudfrontkeyvaluestore/types"
	smithyendpoints "github.com/aws/smithy-go/endpoints"
)

const (
	asymmetricID     = "AKISORANDOMAASORANDOM"
	asymmetricSecret = "q+jcrXGc+0zWN6uzclKVhvMmUsIfRPa4rlRandom"
)

func asymmetricVerifier() Verifier {
	return Verifier{Credentials: Credentials{AccessKeyID: asymmetricID, Secret: asymmetricSecret}, Service: "cloudfront-keyvaluestore", MaxBody: 1 << 10, Asymmetric: true}
}

// The access key and its public key are those that AWS's own libraries are tested
// with.
func TestDerivedKey(t *testing.T) {
	key, err := asymmetricVerifier().Credentials.privateKey()
	if err != nil {
		t.Fatal(err)
	}
	public, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	const x, y = "15d242ceebf8d8169fd6a8b5a746c41140414c3b07579038da06af89190fffcb", "0515242cedd82e94799482e4c0514b505afccf2c0c98d6a553bf539f424c5ec0"
	if got := hex.EncodeToString(public); got != "04"+x+y {
		t.Errorf("%s", got)
	}
}

func TestIncrement(t *testing.T) {
	for given, want := range map[string]string{"\x00": "\x01", "\x00\xff": "\x01\x00", "\xff\xff": ""} {
		number := []byte(given)
		if fits := increment(number); fits != (want != "") || fits && string(number) != want {
			t.Errorf("%x became %x, %v", given, number, fits)
		}
	}
}

// The SDK signs, a server verifies what arrives there.
func TestAsymmetricSignatures(t *testing.T) {
	verdicts := make(chan error, 1)
	tamper := func(*http.Request) {}
	verifier := asymmetricVerifier()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tamper(r)
		_, err := verifier.Verify(r)
		verdicts <- err
		w.Header().Set("ETag", "E")
		_, _ = w.Write([]byte(`{"ItemCount":1,"TotalSizeInBytes":1}`))
	}))
	defer server.Close()
	client := func(id, secret string) *cloudfrontkeyvaluestore.Client {
		return cloudfrontkeyvaluestore.New(cloudfrontkeyvaluestore.Options{
			Region: "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider(id, secret, ""),
			EndpointResolverV2: fixed(server.URL), HTTPClient: server.Client(), RetryMaxAttempts: 1,
		})
	}
	arn, etag := aws.String("arn:aws:cloudfront::123456789012:key-value-store/1b2c"), aws.String("E1")
	ask := func(c *cloudfrontkeyvaluestore.Client) error {
		t.Helper()
		_, err := c.PutKey(t.Context(), &cloudfrontkeyvaluestore.PutKeyInput{KvsARN: arn, Key: aws.String("a b/ü%+*~'"), Value: aws.String("ü"), IfMatch: etag})
		verdict := <-verdicts
		if verdict == nil && err != nil {
			t.Errorf("answered: %v", err)
		}
		return verdict
	}
	honest := client(asymmetricID, asymmetricSecret)
	if err := ask(honest); err != nil {
		t.Errorf("an honest request: %v", err)
	}
	for what, call := range map[string]func() error{
		"a page": func() error {
			_, err := honest.ListKeys(t.Context(), &cloudfrontkeyvaluestore.ListKeysInput{KvsARN: arn, MaxResults: aws.Int32(5), NextToken: aws.String("a+b /=&")})
			return err
		},
		"a batch": func() error {
			_, err := honest.UpdateKeys(t.Context(), &cloudfrontkeyvaluestore.UpdateKeysInput{KvsARN: arn, IfMatch: etag, Deletes: []types.DeleteKeyRequestListItem{{Key: aws.String("x")}}})
			return err
		},
	} {
		if err := errors.Join(call(), <-verdicts); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, c := range map[string]struct {
		client *cloudfrontkeyvaluestore.Client
		tamper func(*http.Request)
		code   string
	}{
		"another secret":   {client(asymmetricID, "x"+asymmetricSecret), nil, SignatureDoesNotMatch},
		"another key":      {client("AKIDOTHER", asymmetricSecret), nil, InvalidClientTokenID},
		"another path":     {honest, func(r *http.Request) { r.URL.Path += "x"; r.URL.RawPath = "" }, SignatureDoesNotMatch},
		"another query":    {honest, func(r *http.Request) { r.URL.RawQuery = "a=b" }, SignatureDoesNotMatch},
		"another method":   {honest, func(r *http.Request) { r.Method = "POST" }, SignatureDoesNotMatch},
		"another If-Match": {honest, func(r *http.Request) { r.Header.Set("If-Match", "E2") }, SignatureDoesNotMatch},
		"other regions":    {honest, func(r *http.Request) { r.Header.Set("X-Amz-Region-Set", "us-west-1") }, SignatureDoesNotMatch},
		"another date": {honest, func(r *http.Request) {
			r.Header.Set("X-Amz-Date", time.Now().Add(time.Minute).UTC().Format(timeFormat))
		}, SignatureDoesNotMatch},
		"an old date":           {honest, func(r *http.Request) { r.Header.Set("X-Amz-Date", time.Now().Add(-time.Hour).UTC().Format(timeFormat)) }, SignatureDoesNotMatch},
		"another body":          {honest, func(r *http.Request) { r.Body = http.NoBody }, SignatureDoesNotMatch},
		"version 4":             {honest, func(r *http.Request) { replace(r, asymmetric, algorithm) }, IncompleteSignature},
		"regions not signed":    {honest, func(r *http.Request) { replace(r, ";x-amz-region-set", "") }, SignatureDoesNotMatch},
		"another service":       {honest, func(r *http.Request) { replace(r, "/cloudfront-keyvaluestore/", "/cloudfront/") }, SignatureDoesNotMatch},
		"no signature":          {honest, func(r *http.Request) { r.Header.Del("Authorization") }, MissingAuthenticationToken},
		"a signature of zeroes": {honest, func(r *http.Request) { replace(r, "Signature=30", "Signature=00") }, SignatureDoesNotMatch},
	} {
		if tamper = c.tamper; tamper == nil {
			tamper = func(*http.Request) {}
		}
		var refused *Error
		if err := ask(c.client); !errors.As(err, &refused) || refused.Code != c.code {
			t.Errorf("%s: %v, want %s", what, err, c.code)
		}
	}
}

func replace(r *http.Request, old, by string) {
	r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), old, by, 1))
}

// fixed is an endpoint for all stores, whatever their account.
type fixed string

func (f fixed) ResolveEndpoint(context.Context, cloudfrontkeyvaluestore.EndpointParameters) (smithyendpoints.Endpoint, error) {
	u, err := url.Parse(string(f))
	return smithyendpoints.Endpoint{URI: *u}, err
}
