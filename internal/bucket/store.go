package bucket

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/backend"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/s3err"
	"github.com/versity/versitygw/s3response"
)

// store is the backend that versitygw's S3 front calls. It embeds the backend
// that refuses everything: a method that is not here answers NotImplemented,
// and none can pass an unescaped key on by accident.
//
// The inner backend gets the bucket as an absolute path and keys as file names,
// so that it depends on no working directory.
type store struct {
	backend.BackendUnsupported

	inner      *posix.Posix
	meta       attributes
	name       string // of the bucket
	owner      string // access key of the bucket's owner
	dir        string // absolute path of the bucket's files
	created    time.Time
	log        *slog.Logger
	index      index
	announcer  announcer
	tagHeaders func() []string // may be nil
}

func (s *store) String() string { return "freshet" }

func (s *store) Shutdown() { s.inner.Shutdown() }

// NormalizeObjectKey leaves keys alone: here a//b and a/b are two objects.
func (s *store) NormalizeObjectKey(_, object string) string { return object }

// known refuses every bucket but the one there is.
func (s *store) known(name *string) error {
	if name == nil || *name != s.name {
		return errNoSuchBucket(deref(name))
	}
	return nil
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func (s *store) ListBuckets(_ context.Context, in s3response.ListBucketsInput) (s3response.ListAllMyBucketsResult, error) {
	result := s3response.ListAllMyBucketsResult{
		Owner: s3response.CanonicalUser{ID: s.owner}, Prefix: strings.Clone(in.Prefix),
	}
	if strings.HasPrefix(s.name, in.Prefix) && in.ContinuationToken == "" {
		result.Buckets.Bucket = []s3response.ListAllMyBucketsEntry{{Name: s.name, CreationDate: s.created}}
	}
	return result, nil
}

func (s *store) HeadBucket(_ context.Context, in *s3.HeadBucketInput) (*s3.HeadBucketOutput, error) {
	return &s3.HeadBucketOutput{}, s.known(in.Bucket)
}

// CreateBucket refuses a second bucket: the edge would not serve it.
func (s *store) CreateBucket(_ context.Context, in *s3.CreateBucketInput, _ []byte) error {
	if deref(in.Bucket) == s.name {
		return s3err.GetBucketErr(s3err.ErrBucketAlreadyOwnedByYou, s.name)
	}
	return refuse(400, "TooManyBuckets", "this store holds one bucket, %q, and no other can be created in it", s.name)
}

func (s *store) DeleteBucket(_ context.Context, name string) error {
	if name != s.name {
		return errNoSuchBucket(name)
	}
	return refuse(405, "MethodNotAllowed", "the bucket %q belongs to this store and cannot be deleted", s.name)
}

// GetBucketVersioning answers as S3 does for a bucket that never had versions.
func (s *store) GetBucketVersioning(_ context.Context, name string) (s3response.GetBucketVersioningOutput, error) {
	return s3response.GetBucketVersioningOutput{}, s.known(&name)
}

func (s *store) PutBucketVersioning(_ context.Context, name string, _ types.BucketVersioningStatus) error {
	if err := s.known(&name); err != nil {
		return err
	}
	return refuse(501, "NotImplemented", "this store keeps no versions of objects")
}

// GetObjectLockConfiguration is asked before every write.
func (s *store) GetObjectLockConfiguration(_ context.Context, name string) ([]byte, error) {
	if err := s.known(&name); err != nil {
		return nil, err
	}
	return nil, s3err.GetAPIError(s3err.ErrObjectLockConfigurationNotFound)
}

// claim makes the bucket's directory the bucket of owner. An access control
// list that is there stays: the owner may have changed it.
func (s *store) claim(ctx context.Context, owner string) error {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	old, err := s.inner.GetBucketAcl(ctx, &s3.GetBucketAclInput{Bucket: &s.dir})
	var acl auth.ACL
	if err == nil && json.Unmarshal(old, &acl) == nil && acl.Owner == owner {
		return nil
	}
	data, err := json.Marshal(auth.ACL{Owner: owner})
	if err != nil {
		return err
	}
	return errors.Join(
		s.inner.PutBucketAcl(ctx, s.dir, data),
		s.inner.PutBucketOwnershipControls(ctx, s.dir, types.ObjectOwnershipBucketOwnerEnforced))
}
