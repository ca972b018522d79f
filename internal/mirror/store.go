package mirror

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"iter"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Store is the bucket. Its methods may be called concurrently.
type Store interface {
	// List yields every object. An error is the last thing it yields.
	List(ctx context.Context) iter.Seq2[Stored, error]

	// Put writes an object whole or not at all, and only if the body has the
	// MD5 that it is announced with.
	Put(ctx context.Context, u Upload) error

	// Delete removes key if its ETag is etag, and returns ErrNotOurs if it is
	// another. There being no such object is no error.
	Delete(ctx context.Context, key, etag string) error
}

// Stored is an object in the bucket.
type Stored struct {
	Key  string
	ETag string // without quotes
	Size int64

	// Type asks for the content type, which listings do not hold.
	Type func(context.Context) (string, error)
}

// Upload is an object to be written.
type Upload struct {
	Key  string
	Body io.ReadSeeker
	Size int64
	MD5  [16]byte
	Type string
}

// ErrNotOurs is returned when an object is not the one that the mirror has put.
var ErrNotOurs = errors.New("somebody else has overwritten the object")

// NewStore is the bucket of that name behind an S3 API.
func NewStore(client *s3.Client, bucket string) Store { return s3Store{client, &bucket} }

type s3Store struct {
	client *s3.Client
	bucket *string
}

func (s s3Store) List(ctx context.Context) iter.Seq2[Stored, error] {
	return func(yield func(Stored, error) bool) {
		pages := s3.NewListObjectsV2Paginator(s.client, &s3.ListObjectsV2Input{Bucket: s.bucket})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				yield(Stored{}, err)
				return
			}
			for _, o := range page.Contents {
				key := aws.ToString(o.Key)
				stored := Stored{
					Key: key, ETag: strings.Trim(aws.ToString(o.ETag), `"`), Size: aws.ToInt64(o.Size),
					Type: func(ctx context.Context) (string, error) { return s.contentType(ctx, key) },
				}
				if !yield(stored, nil) {
					return
				}
			}
		}
	}
}

func (s s3Store) contentType(ctx context.Context, key string) (string, error) {
	head, err := s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: s.bucket, Key: &key})
	if err != nil {
		return "", err
	}
	return aws.ToString(head.ContentType), nil
}

func (s s3Store) Put(ctx context.Context, u Upload) error {
	_, err := s.client.PutObject(ctx, &s3.PutObjectInput{
		Bucket: s.bucket, Key: &u.Key, Body: u.Body, ContentLength: &u.Size, ContentType: &u.Type,
		ContentMD5: aws.String(base64.StdEncoding.EncodeToString(u.MD5[:])),
	})
	return err
}

func (s s3Store) Delete(ctx context.Context, key, etag string) error {
	in := &s3.DeleteObjectInput{Bucket: s.bucket, Key: &key}
	if etag != "" {
		in.IfMatch = aws.String(`"` + etag + `"`)
	}
	_, err := s.client.DeleteObject(ctx, in)
	var answer *smithyhttp.ResponseError
	if errors.As(err, &answer) {
		switch answer.HTTPStatusCode() {
		case http.StatusPreconditionFailed:
			return ErrNotOurs
		case http.StatusNotFound:
			return nil
		}
	}
	return err
}
