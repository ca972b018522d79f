package bucket

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/versity/versitygw/s3err"
)

// refuse makes an S3 error answer.
func refuse(status int, code, format string, args ...any) error {
	return s3err.APIError{Code: code, Description: fmt.Sprintf(format, args...), HTTPStatusCode: status}
}

// errNotQueued is the answer when an object is safe but the world will not hear
// of it. 500 makes S3 clients send the request again.
func errNotQueued(key string, cause error) error {
	return refuse(500, "InternalError", "the change of %q is stored but could not be queued: %v; it is safe to send the request again", key, cause)
}

func errNoSuchBucket(name string) error {
	return s3err.GetBucketErr(s3err.ErrNoSuchBucket, name)
}

// answer turns err into one that versitygw passes on to the client as it is.
// What is no S3 error already is logged here, since versitygw would print it to
// standard error instead.
func (s *store) answer(op, key string, err error) error {
	if err == nil {
		return nil
	}
	var known s3err.S3Error
	switch {
	case errors.As(err, &known):
		return s.plausible(op, key, known)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return s3err.GetAPIError(s3err.ErrNoSpaceLeftOnDevice)
	case errors.Is(err, context.Canceled):
		return refuse(503, "ServiceUnavailable", "the store is closing")
	}
	s.log.Error("the store failed", "op", op, "key", key, "err", err)
	return refuse(500, "InternalError", "%s: the store failed; its log says why", op)
}

// plausible corrects what versitygw makes of a failed link: it takes every
// failure for a clash of a file with a directory, which our names rule out.
func (s *store) plausible(op, key string, err s3err.S3Error) error {
	if !errors.Is(err, s3err.GetAPIError(s3err.ErrExistingObjectIsDirectory)) &&
		!errors.Is(err, s3err.GetAPIError(s3err.ErrObjectParentIsFile)) {
		return err
	}
	s.log.Error("the object could not be put in place", "op", op, "key", key)
	return refuse(507, "InsufficientStorage", "the object could not be put in place: the store's disk is full or cannot be written")
}
