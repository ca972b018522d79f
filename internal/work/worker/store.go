package worker

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Object is what a bucket says of an object.
type Object struct {
	ETag         string // without quotes
	Type         string
	CacheControl string
	Size         int64
	Metadata     map[string]string // names in small letters
}

// Upload is an object to be written.
type Upload struct {
	Object

	Key  string
	Body io.ReadSeeker
	MD5  [16]byte
}

// Store is the bucket. Its methods may be called concurrently. They fail with
// ErrGone where there is no such object.
type Store interface {
	Get(ctx context.Context, key string) (Object, io.ReadCloser, error)
	Head(ctx context.Context, key string) (Object, error)
	Put(ctx context.Context, u Upload) error
	Delete(ctx context.Context, key, etag string) error // only if the object has the ETag
}

// ErrGone says that there is no such object.
var ErrGone = errors.New("there is no such object")

// NewStore is the bucket of that name behind an S3 API.
func NewStore(client *s3.Client, bucket string) Store { return s3Store{client, &bucket} }

type s3Store struct {
	client *s3.Client
	bucket *string
}

func (s s3Store) Get(ctx context.Context, key string) (Object, io.ReadCloser, error) {
	got, err := s.client.GetObject(ctx, &s3.GetObjectInput{Bucket: s.bucket, Key: &key})
	if err != nil {
		return Object{}, nil, failed("get", key, err)
	}
	return object(got.ETag, got.ContentType, got.CacheControl, got.ContentLength, got.Metadata), got.Body, nil
}

func (s s3Store) Head(ctx context.Context, key string) (Object, error) {
	got, err := s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: s.bucket, Key: &key})
	if err != nil {
		return Object{}, failed("look at", key, err)
	}
	return object(got.ETag, got.ContentType, got.CacheControl, got.ContentLength, got.Metadata), nil
}

func object(etag, contentType, cacheControl *string, size *int64, metadata map[string]string) Object {
	o := Object{
		ETag: strings.Trim(aws.ToString(etag), `"`), Type: aws.ToString(contentType), CacheControl: aws.ToString(cacheControl),
		Size: aws.ToInt64(size), Metadata: make(map[string]string, len(metadata)),
	}
	for name, value := range metadata {
		o.Metadata[strings.ToLower(name)] = value
	}
	return o
}

func (s s3Store) Put(ctx context.Context, u Upload) error {
	in := &s3.PutObjectInput{
		Bucket: s.bucket, Key: &u.Key, Body: u.Body, ContentLength: &u.Size, ContentType: &u.Type, Metadata: u.Metadata,
		ContentMD5: aws.String(base64.StdEncoding.EncodeToString(u.MD5[:])),
	}
	if u.CacheControl != "" {
		in.CacheControl = &u.CacheControl
	}
	if _, err := s.client.PutObject(ctx, in); err != nil {
		return failed("put", u.Key, err)
	}
	return nil
}

func (s s3Store) Delete(ctx context.Context, key, etag string) error {
	_, err := s.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: s.bucket, Key: &key, IfMatch: aws.String(`"` + etag + `"`)})
	if err != nil {
		return failed("delete", key, err)
	}
	return nil
}

func failed(doing, key string, err error) error {
	var answer *smithyhttp.ResponseError
	if errors.As(err, &answer) && answer.HTTPStatusCode() == http.StatusNotFound {
		return fmt.Errorf("%s %s: %w", doing, key, ErrGone)
	}
	return fmt.Errorf("%s %s: %w", doing, key, err)
}
