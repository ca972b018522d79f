// Package s3store is the bucket that a deploy sends a site to, behind any S3 API.
package s3store

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"golang.org/x/sync/semaphore"

	"github.com/freshet/freshet/internal/deploy"
)

// Config says which bucket, and how it is reached.
type Config struct {
	AWS       aws.Config // credentials, region, and perhaps the endpoint
	Bucket    string
	Endpoint  string // URL; empty: as AWS says
	PathStyle bool   // the bucket's name is in paths, not in the host's name
	Parallel  int    // requests at the same time; 0: 32

	// Transport carries the requests; nil makes one with room for Parallel.
	Transport http.RoundTripper
}

// Store is a bucket. Its methods may be called concurrently.
type Store struct {
	client *s3.Client
	bucket *string
	slots  *semaphore.Weighted
	spare  int // requests that may be in flight
}

// DefaultParallel is how many requests are in flight.
const DefaultParallel = 32

// New returns a store; nothing is asked yet.
func New(c Config) *Store {
	c.Parallel = cmp.Or(c.Parallel, DefaultParallel)
	if c.Transport == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.MaxIdleConns, t.MaxIdleConnsPerHost, t.DisableCompression = 0, c.Parallel+4, true
		t.WriteBufferSize, t.ReadBufferSize = 64<<10, 64<<10
		c.Transport = t
	}
	client := s3.NewFromConfig(c.AWS, func(o *s3.Options) {
		o.UsePathStyle = c.PathStyle
		if c.Endpoint != "" {
			o.BaseEndpoint = &c.Endpoint
		}
		o.HTTPClient = &http.Client{Transport: c.Transport}
		// MD5 says the same as the newer checksums, and every store knows it.
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
		o.ContinueHeaderThresholdBytes = -1 // what is sent is known to be wanted
		o.Retryer = retry.NewStandard(func(o *retry.StandardOptions) {
			o.MaxAttempts, o.MaxBackoff, o.RateLimiter = 8, 10*time.Second, ratelimit.None
		})
	})
	return &Store{client: client, bucket: &c.Bucket, slots: semaphore.NewWeighted(int64(c.Parallel)), spare: c.Parallel}
}

// Client is the bucket's, for questions that a deploy alone does not ask.
func (s *Store) Client() *s3.Client { return s.client }

// Bucket is its name.
func (s *Store) Bucket() string { return *s.bucket }

// Stat is what verify.Origin asks.
func (s *Store) stat(ctx context.Context, key string) (*s3.HeadObjectOutput, error) {
	if err := s.slots.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	defer s.slots.Release(1)
	return s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: s.bucket, Key: &key})
}

// Head asks what is served along with an object. It is nil, without an error,
// where there is no such object.
func (s *Store) Head(ctx context.Context, key string) (*deploy.Served, error) {
	out, err := s.stat(ctx, key)
	if statusOf(err) == http.StatusNotFound {
		return nil, nil //nolint:nilnil // as documented
	}
	if err != nil {
		return nil, fmt.Errorf("ask for %s: %w", key, explained(err))
	}
	served := deploy.Served{
		Type: aws.ToString(out.ContentType), CacheControl: aws.ToString(out.CacheControl), Encoding: aws.ToString(out.ContentEncoding),
		Disposition: aws.ToString(out.ContentDisposition), Language: aws.ToString(out.ContentLanguage), Redirect: aws.ToString(out.WebsiteRedirectLocation),
	}
	if len(out.Metadata) > 0 {
		served.Metadata = make(map[string]string, len(out.Metadata))
		for name, value := range out.Metadata {
			served.Metadata[strings.ToLower(name)] = value
		}
	}
	return &served, nil
}

// Holding is what an origin says of an object.
type Holding struct {
	ETag     string
	Size     int64
	Modified time.Time
}

// Holds asks what the bucket holds under a key; ok is false where it is nothing.
func (s *Store) Holds(ctx context.Context, key string) (h Holding, ok bool, err error) {
	out, err := s.stat(ctx, key)
	if statusOf(err) == http.StatusNotFound {
		return h, false, nil
	}
	if err != nil {
		return h, false, explained(err)
	}
	return Holding{strings.Trim(aws.ToString(out.ETag), `"`), aws.ToInt64(out.ContentLength), aws.ToTime(out.LastModified)}, true, nil
}

// Copy has the bucket copy an object, and serve the copy as it is told. What is
// copied must still have the ETag.
func (s *Store) Copy(ctx context.Context, from, etag, to string, served deploy.Served) (deploy.Sent, error) {
	if err := s.slots.Acquire(ctx, 1); err != nil {
		return deploy.Sent{}, err
	}
	defer s.slots.Release(1)
	out, err := s.client.CopyObject(ctx, &s3.CopyObjectInput{
		Bucket: s.bucket, Key: &to, CopySource: aws.String(*s.bucket + "/" + escaped(from)), CopySourceIfMatch: aws.String(`"` + etag + `"`),
		MetadataDirective: types.MetadataDirectiveReplace, ContentType: optional(served.Type), CacheControl: optional(served.CacheControl),
		ContentEncoding: optional(served.Encoding), ContentDisposition: optional(served.Disposition), ContentLanguage: optional(served.Language),
		WebsiteRedirectLocation: optional(served.Redirect), Metadata: served.Metadata,
	})
	if err != nil {
		return deploy.Sent{}, fmt.Errorf("copy %s to %s: %w", from, to, explained(err))
	}
	if out.CopyObjectResult != nil && out.CopyObjectResult.ETag != nil {
		etag = strings.Trim(*out.CopyObjectResult.ETag, `"`)
	}
	return deploy.Sent{ETag: etag, At: serverTime(out.ResultMetadata)}, nil
}

func escaped(key string) string { return strings.ReplaceAll(url.QueryEscape(key), "+", "%20") }

// MostDeleted is how many keys one request deletes.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html
const MostDeleted = 1000

// Delete deletes up to MostDeleted objects. There being no such object is no
// error.
func (s *Store) Delete(ctx context.Context, keys []string) error {
	if err := s.slots.Acquire(ctx, 1); err != nil {
		return err
	}
	defer s.slots.Release(1)
	list := make([]types.ObjectIdentifier, len(keys))
	for i := range keys {
		list[i].Key = &keys[i]
	}
	out, err := s.client.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: s.bucket, Delete: &types.Delete{Objects: list, Quiet: aws.Bool(true)}}, withMD5)
	if err != nil {
		return fmt.Errorf("delete %d objects: %w", len(keys), explained(err))
	}
	var failed []error
	for _, e := range out.Errors {
		failed = append(failed, fmt.Errorf("delete %s: %s: %s", aws.ToString(e.Key), aws.ToString(e.Code), aws.ToString(e.Message)))
	}
	return errors.Join(failed...)
}

// withMD5 adds the checksum that stores demand which do not know the newer ones.
func withMD5(o *s3.Options) {
	o.APIOptions = append(o.APIOptions, smithyhttp.AddContentChecksumMiddleware)
}

// serverTime is when the store answered, by its own clock.
func serverTime(m middleware.Metadata) time.Time {
	if at, ok := awsmiddleware.GetServerTime(m); ok {
		return at
	}
	return time.Now()
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// statusOf is 0 where err is no answer.
func statusOf(err error) int {
	var answer *smithyhttp.ResponseError
	if errors.As(err, &answer) {
		return answer.HTTPStatusCode()
	}
	return 0
}

func codeOf(err error) string {
	var e smithy.APIError
	if errors.As(err, &e) {
		return e.ErrorCode()
	}
	return ""
}

// explained says what to do about an answer.
func explained(err error) error {
	hint := ""
	switch code := codeOf(err); {
	case code == "NoSuchBucket":
		hint = "make the bucket first, or correct its name"
	case code == "AccessDenied" || code == "InvalidAccessKeyId" || code == "SignatureDoesNotMatch":
		hint = "the credentials are those that the AWS CLI would use; they need s3:ListBucket on the bucket, and s3:GetObject, s3:PutObject and s3:DeleteObject on its objects"
	case code == "PermanentRedirect" || code == "AuthorizationHeaderMalformed" || statusOf(err) == http.StatusMovedPermanently:
		hint = "the bucket is in another region: give it with --region"
	case code == "BadDigest" || code == "InvalidDigest" || code == "XAmzContentSHA256Mismatch":
		hint = "the file was changed while it was being sent: deploy again once nothing writes to the directory"
	case code == "ExpiredToken":
		hint = "get new credentials and deploy again: it goes on where it was"
	}
	if hint == "" {
		return err
	}
	return fmt.Errorf("%w: %s", err, hint)
}

// signed spares the signer to hash a body whose hash is known.
func signed(sha256 [32]byte) func(*s3.Options) {
	return func(o *s3.Options) {
		o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
			return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("KnownPayloadHash",
				func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
					return next.HandleInitialize(v4.SetPayloadHash(ctx, hex.EncodeToString(sha256[:])), in)
				}), middleware.After)
		})
	}
}
