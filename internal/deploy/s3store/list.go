package s3store

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"

	"github.com/freshet/freshet/internal/deploy"
)

// Listed is what a bucket holds below a prefix.
type Listed struct {
	Objects []deploy.Present // sorted by key
	Now     time.Time        // when it began, by the bucket's clock
}

// perRange is how many of the objects that are expected are listed by one
// request: somewhat fewer than fit, for those that nobody expects.
const perRange = 900

// List lists what begins with prefix. expected are keys that are likely to be
// there, sorted: they say where to cut the listing into ranges that are asked for
// at the same time.
func (s *Store) List(ctx context.Context, prefix string, expected []string) (Listed, error) {
	var cuts []string
	for i := perRange; i < len(expected); i += perRange {
		cuts = append(cuts, expected[i])
	}
	ranges := make([]Listed, len(cuts)+1)
	g, ctx := errgroup.WithContext(ctx)
	for i := range ranges {
		after, upTo := "", ""
		if i > 0 {
			after = cuts[i-1]
		}
		if i < len(cuts) {
			upTo = cuts[i]
		}
		g.Go(func() (err error) {
			ranges[i], err = s.listRange(ctx, prefix, after, upTo)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return Listed{}, fmt.Errorf("list s3://%s/%s: %w", *s.bucket, prefix, explained(err))
	}
	all := Listed{Now: ranges[0].Now}
	for _, r := range ranges {
		all.Objects = append(all.Objects, r.Objects...)
		if r.Now.Before(all.Now) {
			all.Now = r.Now
		}
	}
	if len(cuts) > 0 && !slices.IsSortedFunc(all.Objects, byKey) {
		slices.SortFunc(all.Objects, byKey)
	}
	return all, nil
}

func byKey(a, b deploy.Present) int { return strings.Compare(a.Key, b.Key) }

// listRange lists keys after one, up to and with another; empty is no limit.
func (s *Store) listRange(ctx context.Context, prefix, after, upTo string) (l Listed, err error) {
	in := &s3.ListObjectsV2Input{Bucket: s.bucket, Prefix: optional(prefix), StartAfter: optional(after), EncodingType: types.EncodingTypeUrl}
	for {
		out, err := s.page(ctx, in)
		if err != nil {
			return l, err
		}
		if l.Now.IsZero() {
			l.Now = serverTime(out.ResultMetadata)
		}
		for _, o := range out.Contents {
			key := aws.ToString(o.Key)
			if out.EncodingType == types.EncodingTypeUrl {
				if key, err = url.QueryUnescape(key); err != nil {
					return l, fmt.Errorf("the key %q is not encoded as it was asked to be: %w", aws.ToString(o.Key), err)
				}
			}
			if upTo != "" && key > upTo {
				return l, nil
			}
			l.Objects = append(l.Objects, deploy.Present{
				Key: key, Size: aws.ToInt64(o.Size), ETag: strings.Trim(aws.ToString(o.ETag), `"`), Modified: aws.ToTime(o.LastModified).Unix(),
			})
		}
		if !aws.ToBool(out.IsTruncated) {
			return l, nil
		}
		if out.NextContinuationToken == nil || len(out.Contents) == 0 {
			return l, errors.New("the store says that there is more, and not where")
		}
		in.ContinuationToken = out.NextContinuationToken
	}
}

func (s *Store) page(ctx context.Context, in *s3.ListObjectsV2Input) (*s3.ListObjectsV2Output, error) {
	if err := s.slots.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	defer s.slots.Release(1)
	return s.client.ListObjectsV2(ctx, in)
}
