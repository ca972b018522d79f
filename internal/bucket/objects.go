package bucket

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/s3api/middlewares"
	"github.com/versity/versitygw/s3api/utils"
	"github.com/versity/versitygw/s3err"
	"github.com/versity/versitygw/s3response"
)

// place checks a request's bucket and key and says where the object lies.
func (s *store) place(name, key *string) (dir, file *string, err error) {
	if err := s.known(name); err != nil {
		return nil, nil, err
	}
	if err := keyError(deref(key)); err != nil {
		return nil, nil, err
	}
	path := fileName(*key)
	return &s.dir, &path, nil
}

// placeCurrent is place for requests that may name a version.
func (s *store) placeCurrent(name, key, version *string) (dir, file *string, err error) {
	dir, file, err = s.place(name, key)
	if err == nil {
		err = current(version)
	}
	return dir, file, err
}

// current accepts the version IDs that an object without versions has.
func current(version *string) error {
	if v := deref(version); v != "" && v != "null" {
		return s3err.GetInvalidArgumentErr(s3err.InvalidArgVersionId, v)
	}
	return nil
}

func (s *store) PutObject(ctx context.Context, in s3response.PutObjectInput) (s3response.PutObjectOutput, error) {
	key := deref(in.Key)
	var err error
	if in.Bucket, in.Key, err = s.place(in.Bucket, in.Key); err != nil {
		return s3response.PutObjectOutput{}, err
	}
	if err := s.payDebt(key); err != nil {
		return s3response.PutObjectOutput{}, s.answer("PutObject", key, err)
	}
	in.Body = whole(in.Body, in.ContentLength)
	s.announcer.enter(key)
	out, err := s.inner.PutObject(ctx, in)
	return out, s.concluded("PutObject", key, causePut, err)
}

// pinned runs get, which looks at the object's path several times, until the
// path meant one file all along: otherwise an overwrite in between would give
// the ETag of one object with the bytes of another.
func (s *store) pinned(file string, get func() error, discard func()) error {
	const tries = 20
	path := filepath.Join(s.dir, file)
	for range tries {
		before, errBefore := os.Stat(path)
		err := get()
		after, errAfter := os.Stat(path)
		same := errBefore == nil && errAfter == nil && os.SameFile(before, after) && before.ModTime().Equal(after.ModTime())
		if same || errBefore != nil && errAfter != nil {
			return err
		}
		discard()
	}
	return s3err.GetAPIError(s3err.ErrSlowDown)
}

func (s *store) GetObject(ctx context.Context, in *s3.GetObjectInput) (*s3.GetObjectOutput, error) {
	key := deref(in.Key)
	dir, file, err := s.placeCurrent(in.Bucket, in.Key, in.VersionId)
	if err != nil {
		return nil, err
	}
	inner := *in
	inner.Bucket, inner.Key, inner.VersionId = dir, file, nil
	var out *s3.GetObjectOutput
	err = s.pinned(*file,
		func() (err error) { out, err = s.inner.GetObject(ctx, &inner); return err },
		func() {
			if out != nil && out.Body != nil {
				_ = out.Body.Close()
			}
			out = nil
		})
	return out, s.answer("GetObject", key, err)
}

func (s *store) HeadObject(ctx context.Context, in *s3.HeadObjectInput) (*s3.HeadObjectOutput, error) {
	key := deref(in.Key)
	dir, file, err := s.placeCurrent(in.Bucket, in.Key, in.VersionId)
	if err != nil {
		return nil, err
	}
	inner := *in
	inner.Bucket, inner.Key, inner.VersionId = dir, file, nil
	var out *s3.HeadObjectOutput
	err = s.pinned(*file,
		func() (err error) { out, err = s.inner.HeadObject(ctx, &inner); return err },
		func() { out = nil })
	return out, s.answer("HeadObject", key, err)
}

func (s *store) GetObjectAttributes(ctx context.Context, in *s3.GetObjectAttributesInput) (s3response.GetObjectAttributesResponse, error) {
	key := deref(in.Key)
	var out s3response.GetObjectAttributesResponse
	dir, file, err := s.placeCurrent(in.Bucket, in.Key, in.VersionId)
	if err != nil {
		return out, err
	}
	inner := *in
	inner.Bucket, inner.Key, inner.VersionId = dir, file, nil
	err = s.pinned(*file,
		func() (err error) { out, err = s.inner.GetObjectAttributes(ctx, &inner); return err },
		func() {})
	return out, s.answer("GetObjectAttributes", key, err)
}

// DeleteObject announces the removal of what was there; removing nothing is no
// change.
func (s *store) DeleteObject(ctx context.Context, in *s3.DeleteObjectInput) (*s3.DeleteObjectOutput, error) {
	key := deref(in.Key)
	dir, file, err := s.placeCurrent(in.Bucket, in.Key, in.VersionId)
	if err == nil {
		err = s.payDebt(key)
	}
	if err != nil {
		return nil, s.answer("DeleteObject", key, err)
	}
	inner := *in
	inner.Bucket, inner.Key, inner.VersionId = dir, file, nil
	s.announcer.enter(key)
	_, err = s.inner.DeleteObject(ctx, &inner)
	if errors.Is(err, s3err.GetAPIError(s3err.ErrNoSuchKey)) {
		err = nil // another DELETE was faster
	}
	return &s3.DeleteObjectOutput{}, s.concluded("DeleteObject", key, causeDelete, err)
}

// DeleteObjects deletes one after the other; an error of one does not keep the
// others.
func (s *store) DeleteObjects(ctx context.Context, in *s3.DeleteObjectsInput) (s3response.DeleteResult, error) {
	if err := s.known(in.Bucket); err != nil {
		return s3response.DeleteResult{}, err
	}
	var result s3response.DeleteResult
	for _, object := range in.Delete.Objects {
		_, err := s.DeleteObject(ctx, &s3.DeleteObjectInput{
			Bucket: in.Bucket, Key: object.Key, VersionId: object.VersionId,
			IfMatch: object.ETag, IfMatchLastModifiedTime: object.LastModifiedTime, IfMatchSize: object.Size,
		})
		if err != nil {
			result.Error = append(result.Error, s3err.ObjectDeleteError(object.Key, object.VersionId, err))
			continue
		}
		result.Deleted = append(result.Deleted, types.DeletedObject{Key: object.Key, VersionId: object.VersionId})
	}
	return result, nil
}

func (s *store) GetObjectTagging(ctx context.Context, name, key, version string) (map[string]string, error) {
	dir, file, err := s.placeOf(name, key, version)
	if err != nil {
		return nil, err
	}
	tags, err := s.inner.GetObjectTagging(ctx, dir, file, "")
	return tags, s.answer("GetObjectTagging", key, err)
}

func (s *store) PutObjectTagging(ctx context.Context, name, key, version string, tags map[string]string) error {
	dir, file, err := s.placeOf(name, key, version)
	if err != nil {
		return err
	}
	return s.answer("PutObjectTagging", key, s.inner.PutObjectTagging(ctx, dir, file, "", tags))
}

func (s *store) DeleteObjectTagging(ctx context.Context, name, key, version string) error {
	dir, file, err := s.placeOf(name, key, version)
	if err != nil {
		return err
	}
	return s.answer("DeleteObjectTagging", key, s.inner.DeleteObjectTagging(ctx, dir, file, ""))
}

func (s *store) placeOf(name, key, version string) (dir, file string, err error) {
	d, f, err := s.place(&name, &key)
	if err == nil {
		err = current(&version)
	}
	if err != nil {
		return "", "", err
	}
	return *d, *f, nil
}

// whole makes a body that ends before length bytes an error, so that a client
// that hangs up half-way leaves the object as it was. It keeps what versitygw
// wants to know of a body with a trailing checksum. The body of a browser's
// form has no length of its own and checks its end itself.
func whole(body io.Reader, length *int64) io.Reader {
	if body == nil || length == nil {
		return body
	}
	counted := &counted{body: body, left: *length}
	switch b := body.(type) {
	case utils.MpFileReader:
		return body
	case middlewares.ChecksumReader:
		return checksummed{counted, b}
	}
	return counted
}

type counted struct {
	body io.Reader
	left int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.body.Read(p)
	c.left -= int64(n)
	if errors.Is(err, io.EOF) && c.left > 0 {
		return n, refuse(400, "IncompleteBody", "the request body ended %d bytes before its Content-Length", c.left)
	}
	return n, err
}

type checksummed struct {
	*counted
	sum middlewares.ChecksumReader
}

func (c checksummed) Algorithm() string { return c.sum.Algorithm() }
func (c checksummed) Checksum() string  { return strings.Clone(c.sum.Checksum()) }
