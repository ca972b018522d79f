package s3store

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"

	"github.com/freshet/freshet/internal/deploy"
	"github.com/freshet/freshet/internal/deploy/tree"
)

// Upload is an object to be sent.
type Upload struct {
	Key     string
	Content io.ReaderAt
	Size    int64
	SHA256  [32]byte // of the content
	ETag    string   // that the content gives
	Served  deploy.Served

	// Begun is told the ID of an upload in parts before there is a part; its error
	// ends the upload. Nil is told nothing.
	Begun func(ctx context.Context, id string) error
}

// Put writes an object whole or not at all, and only if its content is the one
// announced.
func (s *Store) Put(ctx context.Context, u Upload) (deploy.Sent, error) {
	put := s.whole
	if deploy.PartSize(u.Size) > 0 {
		put = s.inParts
	}
	sent, err := put(ctx, u)
	if err != nil {
		return deploy.Sent{}, fmt.Errorf("send %s: %w", u.Key, explained(err))
	}
	sent.Size = u.Size
	return sent, nil
}

func (s *Store) whole(ctx context.Context, u Upload) (deploy.Sent, error) {
	if err := s.slots.Acquire(ctx, 1); err != nil {
		return deploy.Sent{}, err
	}
	defer s.slots.Release(1)
	in := &s3.PutObjectInput{
		Bucket: s.bucket, Key: &u.Key, Body: io.NewSectionReader(u.Content, 0, u.Size), ContentLength: &u.Size,
		ContentType: optional(u.Served.Type), CacheControl: optional(u.Served.CacheControl), ContentEncoding: optional(u.Served.Encoding),
		ContentDisposition: optional(u.Served.Disposition), ContentLanguage: optional(u.Served.Language),
		WebsiteRedirectLocation: optional(u.Served.Redirect), Metadata: u.Served.Metadata,
	}
	if sum, err := hex.DecodeString(u.ETag); err == nil {
		in.ContentMD5 = aws.String(base64.StdEncoding.EncodeToString(sum))
	}
	out, err := s.client.PutObject(ctx, in, signed(u.SHA256))
	if err != nil {
		return deploy.Sent{}, err
	}
	return deploy.Sent{ETag: strings.Trim(aws.ToString(out.ETag), `"`), At: serverTime(out.ResultMetadata)}, nil
}

// inParts sends a large object. The parts are compared with what was announced
// before they become an object.
func (s *Store) inParts(ctx context.Context, u Upload) (deploy.Sent, error) {
	begun, err := s.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{
		Bucket: s.bucket, Key: &u.Key, ContentType: optional(u.Served.Type), CacheControl: optional(u.Served.CacheControl),
		ContentEncoding: optional(u.Served.Encoding), ContentDisposition: optional(u.Served.Disposition), ContentLanguage: optional(u.Served.Language),
		WebsiteRedirectLocation: optional(u.Served.Redirect), Metadata: u.Served.Metadata,
	})
	if err != nil {
		return deploy.Sent{}, err
	}
	if u.Begun != nil {
		err = u.Begun(ctx, aws.ToString(begun.UploadId))
	}
	var sent deploy.Sent
	if err == nil {
		sent, err = s.parts(ctx, u, begun.UploadId, begun.ServerSideEncryption)
	}
	if err != nil {
		s.abort(ctx, u.Key, begun.UploadId)
	}
	return sent, err
}

// Abort takes back an upload in parts, again until there is none: a part that was
// on its way may arrive in between.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_AbortMultipartUpload.html
func (s *Store) Abort(ctx context.Context, key, upload string) error {
	const tries = 5
	for range tries {
		_, err := s.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: s.bucket, Key: &key, UploadId: &upload})
		switch {
		case statusOf(err) == http.StatusNotFound:
			return nil
		case err != nil:
			return fmt.Errorf("abort the upload of %s: %w", key, explained(err))
		}
	}
	return nil // S3 may answer so for good where there is nothing any more
}

// abort takes back an upload, whatever has become of ctx: its parts would cost
// money for ever.
func (s *Store) abort(ctx context.Context, key string, upload *string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_, _ = s.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: s.bucket, Key: &key, UploadId: upload})
}

func (s *Store) parts(ctx context.Context, u Upload, upload *string, encrypted types.ServerSideEncryption) (deploy.Sent, error) {
	size := deploy.PartSize(u.Size)
	done := make([]types.CompletedPart, (u.Size+size-1)/size)
	g, partly := errgroup.WithContext(ctx)
	for i := range done {
		if err := s.slots.Acquire(partly, 1); err != nil {
			break
		}
		g.Go(func() error {
			defer s.slots.Release(1)
			at := int64(i) * size
			length, number := min(size, u.Size-at), int32(i+1)
			out, err := s.client.UploadPart(partly, &s3.UploadPartInput{
				Bucket: s.bucket, Key: &u.Key, UploadId: upload, PartNumber: &number, ContentLength: &length, Body: io.NewSectionReader(u.Content, at, length),
			})
			if err == nil {
				done[i] = types.CompletedPart{PartNumber: &number, ETag: out.ETag}
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return deploy.Sent{}, err
	}
	if ctx.Err() != nil {
		return deploy.Sent{}, ctx.Err()
	}
	if plain := encrypted == "" || encrypted == types.ServerSideEncryptionAes256; plain {
		if err := sameParts(done, u.ETag); err != nil {
			return deploy.Sent{}, err
		}
	}
	out, err := s.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: s.bucket, Key: &u.Key, UploadId: upload, MultipartUpload: &types.CompletedMultipartUpload{Parts: done},
	})
	if err != nil {
		return deploy.Sent{}, err
	}
	return deploy.Sent{ETag: strings.Trim(aws.ToString(out.ETag), `"`), At: serverTime(out.ResultMetadata)}, nil
}

// sameParts compares what the parts make together with the ETag announced.
func sameParts(done []types.CompletedPart, etag string) error {
	sums := make([]string, len(done))
	for i, p := range done {
		sums[i] = strings.Trim(aws.ToString(p.ETag), `"`)
	}
	if got := tree.ETagOfParts(sums); got != "" && got != etag {
		return fmt.Errorf("its parts arrived as %s and not as %s: the file was changed while it was being sent; deploy again", got, etag)
	}
	return nil
}
