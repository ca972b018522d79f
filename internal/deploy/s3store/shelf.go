package s3store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/freshet/freshet/internal/deploy/shelf"
)

// Shelf keeps documents below a prefix of a bucket.
type Shelf struct {
	store  *Store
	prefix string
}

// Shelf returns the shelf below prefix, which ends with a slash.
func (s *Store) Shelf(prefix string) Shelf { return Shelf{s, prefix} }

// String is the place as the AWS CLI has it.
func (s Shelf) String() string {
	return "s3://" + *s.store.bucket + "/" + strings.TrimSuffix(s.prefix, "/")
}

// Get reads a document.
func (s Shelf) Get(ctx context.Context, name string) (shelf.Document, error) {
	out, err := s.store.client.GetObject(ctx, &s3.GetObjectInput{Bucket: s.store.bucket, Key: aws.String(s.prefix + name)})
	if statusOf(err) == http.StatusNotFound && codeOf(err) != "NoSuchBucket" {
		return shelf.Document{}, fmt.Errorf("read %s/%s: %w", s, name, fs.ErrNotExist)
	}
	if err != nil {
		return shelf.Document{}, fmt.Errorf("read %s/%s: %w", s, name, explained(err))
	}
	text, err := io.ReadAll(out.Body)
	if err = errors.Join(err, out.Body.Close()); err != nil {
		return shelf.Document{}, fmt.Errorf("read %s/%s: %w", s, name, err)
	}
	return shelf.Document{Text: text, Version: aws.ToString(out.ETag), Age: serverTime(out.ResultMetadata).Sub(aws.ToTime(out.LastModified))}, nil
}

// Put writes a document by a conditional PUT.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
func (s Shelf) Put(ctx context.Context, name string, text []byte, version string) (string, error) {
	in := &s3.PutObjectInput{
		Bucket: s.store.bucket, Key: aws.String(s.prefix + name), Body: bytes.NewReader(text), ContentLength: aws.Int64(int64(len(text))),
		ContentType: aws.String("application/octet-stream"), CacheControl: aws.String("no-store"),
	}
	switch version {
	case shelf.Any:
	case shelf.None:
		in.IfNoneMatch = aws.String("*")
	default:
		in.IfMatch = &version
	}
	out, err := s.store.client.PutObject(ctx, in)
	switch status := statusOf(err); {
	case err == nil:
		return aws.ToString(out.ETag), nil
	case status == http.StatusNotImplemented || codeOf(err) == "NotImplemented":
		return "", fmt.Errorf("write %s/%s: %w", s, name, shelf.ErrUnconditional)
	case status == http.StatusPreconditionFailed || status == http.StatusConflict || status == http.StatusNotFound && in.IfMatch != nil:
		return s.mine(ctx, name, text, version)
	}
	return "", fmt.Errorf("write %s/%s: %w", s, name, explained(err))
}

// mine finds out whether what is there is what was written: the answer to the
// first try may have been lost.
func (s Shelf) mine(ctx context.Context, name string, text []byte, version string) (string, error) {
	if version != shelf.None {
		if d, err := s.Get(ctx, name); err == nil && bytes.Equal(d.Text, text) {
			return d.Version, nil
		}
	}
	return "", fmt.Errorf("write %s/%s: %w", s, name, shelf.ErrChanged)
}
