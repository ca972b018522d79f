package bucket

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/uuid"
	"github.com/versity/versitygw/backend"
	"github.com/versity/versitygw/s3err"
	"github.com/versity/versitygw/s3response"
)

// upload is place for a request about a multipart upload. An ID that versitygw
// did not give out must not become part of a path.
func (s *store) upload(name, key, id *string) (dir, file *string, err error) {
	dir, file, err = s.place(name, key)
	if err != nil {
		return nil, nil, err
	}
	if parsed, err := uuid.Parse(deref(id)); err != nil || parsed.String() != *id {
		return nil, nil, s3err.GetNoSuchUploadErr(deref(id))
	}
	return dir, file, nil
}

func (s *store) CreateMultipartUpload(ctx context.Context, in s3response.CreateMultipartUploadInput) (s3response.InitiateMultipartUploadResult, error) {
	key := deref(in.Key)
	var err error
	if in.Bucket, in.Key, err = s.place(in.Bucket, in.Key); err != nil {
		return s3response.InitiateMultipartUploadResult{}, err
	}
	out, err := s.inner.CreateMultipartUpload(ctx, in)
	out.Bucket, out.Key = s.name, key
	return out, s.answer("CreateMultipartUpload", key, err)
}

func (s *store) UploadPart(ctx context.Context, in *s3.UploadPartInput) (*s3.UploadPartOutput, error) {
	dir, file, err := s.upload(in.Bucket, in.Key, in.UploadId)
	if err != nil {
		return nil, err
	}
	inner := *in
	inner.Bucket, inner.Key, inner.Body = dir, file, whole(in.Body, in.ContentLength)
	out, err := s.inner.UploadPart(ctx, &inner)
	return out, s.answer("UploadPart", deref(in.Key), err)
}

func (s *store) CompleteMultipartUpload(ctx context.Context, in *s3.CompleteMultipartUploadInput) (s3response.CompleteMultipartUploadResult, string, error) {
	key := deref(in.Key)
	dir, file, err := s.upload(in.Bucket, in.Key, in.UploadId)
	if err == nil {
		err = s.payDebt(key)
	}
	if err != nil {
		return s3response.CompleteMultipartUploadResult{}, "", s.answer("CompleteMultipartUpload", key, err)
	}
	inner := *in
	inner.Bucket, inner.Key = dir, file
	s.announcer.enter(key)
	out, version, err := s.inner.CompleteMultipartUpload(ctx, &inner)
	out.Bucket, out.Key = &s.name, &key
	return out, version, s.concluded("CompleteMultipartUpload", key, causeComplete, err)
}

func (s *store) AbortMultipartUpload(ctx context.Context, in *s3.AbortMultipartUploadInput) error {
	dir, file, err := s.upload(in.Bucket, in.Key, in.UploadId)
	if err != nil {
		return err
	}
	inner := *in
	inner.Bucket, inner.Key = dir, file
	return s.answer("AbortMultipartUpload", deref(in.Key), s.inner.AbortMultipartUpload(ctx, &inner))
}

func (s *store) ListParts(ctx context.Context, in *s3.ListPartsInput) (s3response.ListPartsResult, error) {
	key := deref(in.Key)
	dir, file, err := s.upload(in.Bucket, in.Key, in.UploadId)
	if err != nil {
		return s3response.ListPartsResult{}, err
	}
	inner := *in
	inner.Bucket, inner.Key = dir, file
	out, err := s.inner.ListParts(ctx, &inner)
	out.Bucket, out.Key = s.name, key
	return out, s.answer("ListParts", key, err)
}

// ListMultipartUploads asks for all uploads, since the inner backend would sort
// and filter them by file name, and pages through them itself.
func (s *store) ListMultipartUploads(ctx context.Context, in *s3.ListMultipartUploadsInput) (s3response.ListMultipartUploadsResult, error) {
	if err := s.known(in.Bucket); err != nil {
		return s3response.ListMultipartUploadsResult{}, err
	}
	uploads, err := s.uploads(ctx)
	if err != nil {
		return s3response.ListMultipartUploadsResult{}, s.answer("ListMultipartUploads", "", err)
	}
	prefix, delimiter, after, afterID := deref(in.Prefix), deref(in.Delimiter), deref(in.KeyMarker), deref(in.UploadIdMarker)
	uploads = slices.DeleteFunc(uploads, func(u s3response.Upload) bool {
		return !strings.HasPrefix(u.Key, prefix) || u.Key < after || u.Key == after && afterID == ""
	})
	most := 1000
	if in.MaxUploads != nil {
		most = int(*in.MaxUploads)
	}
	part, err := backend.ListMultipartUploads(uploads, prefix, delimiter, after, afterID, most)
	if err != nil {
		return s3response.ListMultipartUploadsResult{}, s.answer("ListMultipartUploads", "", err)
	}
	return s3response.ListMultipartUploadsResult{
		Bucket: s.name, Prefix: prefix, Delimiter: delimiter, KeyMarker: after, UploadIDMarker: afterID, MaxUploads: most,
		Uploads: part.Uploads, CommonPrefixes: part.CommonPrefixes, IsTruncated: part.IsTruncated,
		NextKeyMarker: part.NextKeyMarker, NextUploadIDMarker: part.NextUploadIDMarker,
	}, nil
}

// uploads are all multipart uploads under way, by key and then by age.
func (s *store) uploads(ctx context.Context) ([]s3response.Upload, error) {
	all := int32(1 << 30)
	out, err := s.inner.ListMultipartUploads(ctx, &s3.ListMultipartUploadsInput{Bucket: &s.dir, MaxUploads: &all})
	if err != nil {
		return nil, err
	}
	uploads := slices.DeleteFunc(out.Uploads, func(u s3response.Upload) bool {
		_, ok := keyOf(u.Key)
		return !ok
	})
	for i := range uploads {
		uploads[i].Key, _ = keyOf(uploads[i].Key)
	}
	slices.SortStableFunc(uploads, func(a, b s3response.Upload) int { return strings.Compare(a.Key, b.Key) })
	return uploads, nil
}

func now() time.Time { return time.Now().UTC() }
