package bucket

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/backend"
	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/s3err"
	"github.com/versity/versitygw/s3response"
)

// maxCopySize is the largest object that one copy request takes.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html
const maxCopySize = 5 << 30

// copySource reads the x-amz-copy-source header: /bucket/key, URL-encoded, with
// an optional ?versionId=. The version is cut off before decoding, since a key
// may hold that text too.
func (s *store) copySource(header string) (key string, err error) {
	path, version, _ := strings.Cut(strings.TrimPrefix(header, "/"), "?versionId=")
	path, err = url.QueryUnescape(path)
	if err != nil {
		return "", s3err.GetInvalidArgumentErr(s3err.InvalidArgCopySourceEncoding, header)
	}
	name, key, _ := strings.Cut(path, "/")
	return key, errors.Join(s.known(&name), keyError(key), current(&version))
}

// source is an object that is being copied: one open file, so that what is
// copied is one object whatever is written meanwhile.
type source struct {
	*os.File
	object  Object
	headers map[string]*string // by the attributes' names
	meta    map[string]string
	tags    *string
}

// openSource opens key for copying. Close the result.
func (s *store) openSource(key string, conditions backend.PreConditions) (*source, error) {
	f, err := os.Open(s.path(key))
	if errors.Is(err, os.ErrNotExist) {
		return nil, s3err.GetAPIError(s3err.ErrNoSuchKey)
	}
	if err != nil {
		return nil, fmt.Errorf("open copy source: %w", err)
	}
	src := &source{File: f, headers: make(map[string]*string)}
	if err := s.describe(src, key, conditions); err != nil {
		f.Close()
		return nil, err
	}
	return src, nil
}

func (s *store) describe(src *source, key string, conditions backend.PreConditions) (err error) {
	var exists bool
	src.object, exists, err = s.readOpen(src.File, key)
	if err == nil && !exists {
		err = s3err.GetAPIError(s3err.ErrNoSuchKey)
	}
	if err == nil {
		err = backend.EvaluatePreconditions(src.object.ETag, src.object.Time, conditions)
	}
	if err != nil {
		return err
	}
	for _, name := range append(servedAttributes[:], tagsAttribute) {
		value, err := s.meta.RetrieveAttribute(src.File, "", "", name)
		if err != nil && !errors.Is(err, meta.ErrNoSuchKey) {
			return fmt.Errorf("read the copy source's %s: %w", name, err)
		}
		text := string(value)
		src.headers[name] = &text
	}
	if text := *src.headers[metaAttribute]; text != "" {
		err = json.Unmarshal([]byte(text), &src.meta)
	}
	return errors.Join(err, src.readTags())
}

// readTags turns the stored tags into the form in which a PUT carries them.
func (src *source) readTags() error {
	text := *src.headers[tagsAttribute]
	if text == "" {
		return nil
	}
	var tags map[string]string
	if err := json.Unmarshal([]byte(text), &tags); err != nil {
		return fmt.Errorf("read the copy source's tags: %w", err)
	}
	query := make(url.Values, len(tags))
	for name, value := range tags {
		query.Set(name, value)
	}
	encoded := query.Encode()
	src.tags = &encoded
	return nil
}

// CopyObject writes the destination as a new object, also when that is the
// source itself: the headers change together with the object and never one by
// one, and Last-Modified moves.
func (s *store) CopyObject(ctx context.Context, in s3response.CopyObjectInput) (s3response.CopyObjectOutput, error) {
	key := deref(in.Key)
	put, src, err := s.copyAs(in)
	if err != nil {
		return s3response.CopyObjectOutput{}, s.answer("CopyObject", key, err)
	}
	defer src.Close()
	s.announcer.enter(key)
	out, err := s.inner.PutObject(ctx, put)
	if err := s.concluded("CopyObject", key, causeCopy, err); err != nil {
		return s3response.CopyObjectOutput{}, err
	}
	copied, _ := s.index.get(key)
	return s3response.CopyObjectOutput{CopyObjectResult: &s3response.CopyObjectResult{
		ETag: &out.ETag, LastModified: &copied.Time, ChecksumType: out.ChecksumType,
		ChecksumCRC32: out.ChecksumCRC32, ChecksumCRC32C: out.ChecksumCRC32C, ChecksumCRC64NVME: out.ChecksumCRC64NVME,
		ChecksumSHA1: out.ChecksumSHA1, ChecksumSHA256: out.ChecksumSHA256, ChecksumSHA512: out.ChecksumSHA512,
		ChecksumMD5: out.ChecksumMD5, ChecksumXXHASH64: out.ChecksumXXHASH64, ChecksumXXHASH3: out.ChecksumXXHASH3,
		ChecksumXXHASH128: out.ChecksumXXHASH128,
	}}, nil
}

// copyAs makes the PUT that does what a copy request asks for.
func (s *store) copyAs(in s3response.CopyObjectInput) (s3response.PutObjectInput, *source, error) {
	var none s3response.PutObjectInput
	dir, file, err := s.place(in.Bucket, in.Key)
	if err != nil {
		return none, nil, err
	}
	from, err := s.copySource(deref(in.CopySource))
	if err != nil {
		return none, nil, err
	}
	replace := in.MetadataDirective == types.MetadataDirectiveReplace
	if from == *in.Key && !replace {
		return none, nil, s3err.GetAPIError(s3err.ErrInvalidCopyDest)
	}
	if err := s.payDebt(*in.Key); err != nil {
		return none, nil, err
	}
	src, err := s.openSource(from, backend.PreConditions{
		IfMatch: in.CopySourceIfMatch, IfNoneMatch: in.CopySourceIfNoneMatch,
		IfModSince: in.CopySourceIfModifiedSince, IfUnmodeSince: in.CopySourceIfUnmodifiedSince,
	})
	if err != nil {
		return none, nil, err
	}
	if src.object.Size > maxCopySize {
		src.Close()
		return none, nil, s3err.GetCopySourceObjectTooLargeErr(maxCopySize)
	}
	put := s3response.PutObjectInput{
		Bucket: dir, Key: file, Body: src.File, ContentLength: &src.object.Size, ChecksumAlgorithm: in.ChecksumAlgorithm,
		ContentType: in.ContentType, CacheControl: in.CacheControl, ContentEncoding: in.ContentEncoding,
		ContentDisposition: in.ContentDisposition, ContentLanguage: in.ContentLanguage, Expires: in.Expires,
		WebsiteRedirectLocation: in.WebsiteRedirectLocation, Metadata: in.Metadata, Tagging: in.Tagging,
	}
	if !replace {
		src.dress(&put)
	}
	if in.TaggingDirective != types.TaggingDirectiveReplace {
		put.Tagging = src.tags
	}
	return put, src, nil
}

// dress gives put the headers of the source. The website redirect is not one of
// them: S3 copies it never.
func (src *source) dress(put *s3response.PutObjectInput) {
	put.ContentType = src.headers["content-type"]
	put.CacheControl = src.headers["cache-control"]
	put.ContentEncoding = src.headers["content-encoding"]
	put.ContentDisposition = src.headers["content-disposition"]
	put.ContentLanguage = src.headers["content-language"]
	put.Expires = src.headers["expires"]
	put.Metadata = src.meta
}

func (s *store) UploadPartCopy(ctx context.Context, in *s3.UploadPartCopyInput) (s3response.CopyPartResult, error) {
	key := deref(in.Key)
	result, err := s.uploadPartCopy(ctx, in)
	return result, s.answer("UploadPartCopy", key, err)
}

func (s *store) uploadPartCopy(ctx context.Context, in *s3.UploadPartCopyInput) (s3response.CopyPartResult, error) {
	var none s3response.CopyPartResult
	dir, file, err := s.upload(in.Bucket, in.Key, in.UploadId)
	if err != nil {
		return none, err
	}
	from, err := s.copySource(deref(in.CopySource))
	if err != nil {
		return none, err
	}
	src, err := s.openSource(from, backend.PreConditions{
		IfMatch: in.CopySourceIfMatch, IfNoneMatch: in.CopySourceIfNoneMatch,
		IfModSince: in.CopySourceIfModifiedSince, IfUnmodeSince: in.CopySourceIfUnmodifiedSince,
	})
	if err != nil {
		return none, err
	}
	defer src.Close()
	start, length, err := backend.ParseCopySourceRange(src.object.Size, deref(in.CopySourceRange))
	if err != nil {
		return none, err
	}
	length = min(length, src.object.Size-start) // an open end is counted one byte too far
	if length > maxCopySize {
		return none, s3err.GetCopySourceObjectTooLargeErr(maxCopySize)
	}
	out, err := s.inner.UploadPart(ctx, &s3.UploadPartInput{
		Bucket: dir, Key: file, UploadId: in.UploadId, PartNumber: in.PartNumber,
		Body: io.NewSectionReader(src.File, start, length), ContentLength: &length,
	})
	if err != nil {
		return none, err
	}
	return s3response.CopyPartResult{ETag: out.ETag, LastModified: now(), ChecksumCRC32: out.ChecksumCRC32,
		ChecksumCRC32C: out.ChecksumCRC32C, ChecksumCRC64NVME: out.ChecksumCRC64NVME,
		ChecksumSHA1: out.ChecksumSHA1, ChecksumSHA256: out.ChecksumSHA256}, nil
}
