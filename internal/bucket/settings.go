package bucket

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// The bucket's own settings lie with the inner backend, which only has to be
// told where. A public-read policy, for one, lets an edge fetch unsigned.

// setting runs op on the bucket's directory if name is our bucket.
func (s *store) setting(op, name string, inner func(dir string) error) error {
	if err := s.known(&name); err != nil {
		return err
	}
	return s.answer(op, "", inner(s.dir))
}

// settingOf is setting for what returns something.
func settingOf[T any](s *store, op, name string, inner func(dir string) (T, error)) (value T, err error) {
	err = s.setting(op, name, func(dir string) (err error) {
		value, err = inner(dir)
		return err
	})
	return value, err
}

func (s *store) GetBucketAcl(ctx context.Context, in *s3.GetBucketAclInput) ([]byte, error) {
	return settingOf(s, "GetBucketAcl", deref(in.Bucket), func(dir string) ([]byte, error) {
		return s.inner.GetBucketAcl(ctx, &s3.GetBucketAclInput{Bucket: &dir})
	})
}

func (s *store) PutBucketAcl(ctx context.Context, name string, acl []byte) error {
	return s.setting("PutBucketAcl", name, func(dir string) error { return s.inner.PutBucketAcl(ctx, dir, acl) })
}

func (s *store) GetBucketPolicy(ctx context.Context, name string) ([]byte, error) {
	return settingOf(s, "GetBucketPolicy", name, func(dir string) ([]byte, error) { return s.inner.GetBucketPolicy(ctx, dir) })
}

func (s *store) PutBucketPolicy(ctx context.Context, name string, policy []byte) error {
	return s.setting("PutBucketPolicy", name, func(dir string) error { return s.inner.PutBucketPolicy(ctx, dir, policy) })
}

func (s *store) DeleteBucketPolicy(ctx context.Context, name string) error {
	return s.setting("DeleteBucketPolicy", name, func(dir string) error { return s.inner.DeleteBucketPolicy(ctx, dir) })
}

func (s *store) GetBucketOwnershipControls(ctx context.Context, name string) (types.ObjectOwnership, error) {
	return settingOf(s, "GetBucketOwnershipControls", name, func(dir string) (types.ObjectOwnership, error) {
		return s.inner.GetBucketOwnershipControls(ctx, dir)
	})
}

func (s *store) PutBucketOwnershipControls(ctx context.Context, name string, o types.ObjectOwnership) error {
	return s.setting("PutBucketOwnershipControls", name, func(dir string) error {
		return s.inner.PutBucketOwnershipControls(ctx, dir, o)
	})
}

func (s *store) DeleteBucketOwnershipControls(ctx context.Context, name string) error {
	return s.setting("DeleteBucketOwnershipControls", name, func(dir string) error {
		return s.inner.DeleteBucketOwnershipControls(ctx, dir)
	})
}

func (s *store) GetBucketCors(ctx context.Context, name string) ([]byte, error) {
	return settingOf(s, "GetBucketCors", name, func(dir string) ([]byte, error) { return s.inner.GetBucketCors(ctx, dir) })
}

func (s *store) PutBucketCors(ctx context.Context, name string, cors []byte) error {
	return s.setting("PutBucketCors", name, func(dir string) error { return s.inner.PutBucketCors(ctx, dir, cors) })
}

func (s *store) DeleteBucketCors(ctx context.Context, name string) error {
	return s.setting("DeleteBucketCors", name, func(dir string) error { return s.inner.DeleteBucketCors(ctx, dir) })
}

func (s *store) GetBucketTagging(ctx context.Context, name string) (map[string]string, error) {
	return settingOf(s, "GetBucketTagging", name, func(dir string) (map[string]string, error) {
		return s.inner.GetBucketTagging(ctx, dir)
	})
}

func (s *store) PutBucketTagging(ctx context.Context, name string, tags map[string]string) error {
	return s.setting("PutBucketTagging", name, func(dir string) error { return s.inner.PutBucketTagging(ctx, dir, tags) })
}

func (s *store) DeleteBucketTagging(ctx context.Context, name string) error {
	return s.setting("DeleteBucketTagging", name, func(dir string) error { return s.inner.DeleteBucketTagging(ctx, dir) })
}
