// Package s3origin fetches objects through an S3 API with signed requests, for
// viewers who send a URL path and know nothing of buckets.
package s3origin

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// Config says where a bucket is and who asks. All but Region and Transport are
// required.
type Config struct {
	Endpoint    string // scheme and host of the S3 API, such as http://127.0.0.1:9000
	Bucket      string
	Region      string // empty for us-east-1
	Credentials aws.CredentialsProvider
	Transport   http.RoundTripper // nil for http.DefaultTransport
}

// Transport is a RoundTripper that reads the path of a request as an object key
// and asks the bucket for that object, in path style. Only GET and HEAD are
// possible, the rest is answered with 405, and nothing but an object can be had: query strings, which could
// name a listing or a policy, are dropped, and so are headers other than those
// for ranges and conditions.
type Transport struct {
	endpoint *url.URL
	config   Config
	signer   *v4.Signer
}

// New checks a configuration.
func New(c Config) (*Transport, error) {
	endpoint, err := url.Parse(c.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("read endpoint of the S3 API: %w", err)
	}
	if endpoint.Scheme != "http" && endpoint.Scheme != "https" || endpoint.Host == "" || strings.Trim(endpoint.Path, "/") != "" {
		return nil, fmt.Errorf("endpoint %q of the S3 API must be scheme and host only", c.Endpoint)
	}
	if c.Bucket == "" || strings.ContainsAny(c.Bucket, "/?#%") {
		return nil, fmt.Errorf("bucket name %q cannot stand in a path", c.Bucket)
	}
	if c.Credentials == nil {
		return nil, errors.New("an S3 origin needs credentials")
	}
	if c.Region == "" {
		c.Region = "us-east-1"
	}
	if c.Transport == nil {
		c.Transport = http.DefaultTransport
	}
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	return &Transport{endpoint: endpoint, config: c, signer: signer}, nil
}

// forwarded are the headers an S3 API gets from a viewer.
var forwarded = []string{
	"Accept-Encoding", "If-Match", "If-Modified-Since", "If-None-Match", "If-Range", "If-Unmodified-Since", "Range", "User-Agent",
}

// unsigned stands for the hash of a body that is not part of the signature.
const unsigned = "UNSIGNED-PAYLOAD"

// RoundTrip asks for the object whose key is the path of r, as S3 reads paths.
// A path without a key is answered with 403, since it would be a listing.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		defer r.Body.Close()
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return denied(r, http.StatusMethodNotAllowed), nil
	}
	key, err := Key(r.URL.EscapedPath())
	if err != nil {
		return denied(r, http.StatusBadRequest), nil
	}
	if key == "" {
		return denied(r, http.StatusForbidden), nil
	}
	out := t.request(r, key)
	credentials, err := t.config.Credentials.Retrieve(r.Context())
	if err != nil {
		return nil, fmt.Errorf("get credentials for bucket %s: %w", t.config.Bucket, err)
	}
	if err := t.signer.SignHTTP(r.Context(), credentials, out, unsigned, "s3", t.config.Region, time.Now()); err != nil {
		return nil, fmt.Errorf("sign request to bucket %s: %w", t.config.Bucket, err)
	}
	resp, err := t.config.Transport.RoundTrip(out)
	if err != nil {
		return nil, err
	}
	// The embedded store says these twice.
	for _, name := range []string{"X-Amz-Id-2", "X-Amz-Request-Id"} {
		if values := resp.Header[name]; len(values) > 1 {
			resp.Header[name] = values[:1]
		}
	}
	return resp, nil
}

func (t *Transport) request(r *http.Request, key string) *http.Request {
	path := "/" + t.config.Bucket + "/" + key
	out := &http.Request{
		Method: r.Method, Host: t.endpoint.Host, Header: make(http.Header), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		URL: &url.URL{Scheme: t.endpoint.Scheme, Host: t.endpoint.Host, Path: path, RawPath: escape(path)},
	}
	for _, name := range forwarded {
		if values, ok := r.Header[name]; ok {
			out.Header[name] = values
		}
	}
	out.Header.Set("X-Amz-Content-Sha256", unsigned)
	return out.WithContext(r.Context())
}

// Key reads an escaped path, without the bucket, as S3 does: a + is a space, an
// escape is the byte it names, and everything else is itself. The error is for
// keys with so many dot segments that a server which resolves them would leave
// the bucket; S3 refuses those as well.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
func Key(path string) (string, error) {
	key, err := url.QueryUnescape(strings.TrimPrefix(path, "/"))
	if err != nil {
		return "", fmt.Errorf("read path %q as an object key: %w", path, err)
	}
	depth := 0
	for segment := range strings.SplitSeq(key, "/") {
		switch segment {
		case "..":
			depth--
		case ".", "":
		default:
			depth++
		}
		if depth < 0 {
			return "", fmt.Errorf("object key %q leaves the bucket", key)
		}
	}
	return key, nil
}

// escape spells a path as signatures do: every byte but letters, digits, - . _ ~
// and the slash is escaped.
// https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
func escape(path string) string {
	b := make([]byte, 0, len(path)+16)
	for i := 0; i < len(path); i++ {
		c := path[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~/", c) >= 0 {
			b = append(b, c)
		} else {
			b = fmt.Appendf(b, "%%%02X", c)
		}
	}
	return string(b)
}

// denied answers in place of S3.
func denied(r *http.Request, status int) *http.Response {
	return &http.Response{
		Status: fmt.Sprintf("%d %s", status, http.StatusText(status)), StatusCode: status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: make(http.Header), Body: io.NopCloser(strings.NewReader("")), Request: r,
	}
}
