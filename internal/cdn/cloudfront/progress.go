package cloudfront

import (
	"context"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront/types"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/cdn"
)

const (
	// mostAsked bounds the questions that one look may cost; the rest is taken
	// for as large as the mean of what was asked for.
	mostAsked = 25
	// settledAfter is how old the oldest invalidation of a page may be before the
	// next page is not worth a call: CloudFront lists the newest first.
	settledAfter = completionWithin
)

// InProgress pages through ListInvalidations as far as something may be in
// progress, and asks GetInvalidation for the size of what is not in known. It
// needs the permissions cloudfront:ListInvalidations and GetInvalidation.
func (d *Driver) InProgress(ctx context.Context, distribution string, known map[string]cdn.Progress) (found []cdn.Progress, err error) {
	var unknown []cdn.Progress
	pages := cloudfront.NewListInvalidationsPaginator(d.client, &cloudfront.ListInvalidationsInput{DistributionId: &distribution},
		func(o *cloudfront.ListInvalidationsPaginatorOptions) { o.StopOnDuplicateToken = true })
	for old := false; pages.HasMorePages() && !old; {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, wrap("list the invalidations of "+distribution, err)
		}
		if page.InvalidationList == nil {
			break
		}
		for _, summary := range page.InvalidationList.Items {
			p := cdn.Progress{ID: aws.ToString(summary.Id), Since: aws.ToTime(summary.CreateTime)}
			old = time.Since(p.Since) > settledAfter
			if aws.ToString(summary.Status) == "Completed" {
				continue
			}
			if before, ok := known[p.ID]; ok {
				found = append(found, before)
				continue
			}
			unknown = append(unknown, p)
		}
	}
	sized, err := d.measure(ctx, distribution, unknown)
	return append(found, sized...), err
}

// measure finds out how many paths invalidations have.
func (d *Driver) measure(ctx context.Context, distribution string, unknown []cdn.Progress) (sized []cdn.Progress, err error) {
	var asked, patterns, wildcards int
	for i, p := range unknown {
		if i >= mostAsked {
			of := max(1, asked)
			p.Patterns, p.Wildcards = max(1, (patterns+of-1)/of), (wildcards+of-1)/of
			sized = append(sized, p)
			continue
		}
		out, err := d.client.GetInvalidation(ctx, &cloudfront.GetInvalidationInput{DistributionId: &distribution, Id: &p.ID})
		var gone *types.NoSuchInvalidation
		if errors.As(err, &gone) {
			continue
		}
		if err != nil {
			return nil, wrap("read the invalidation "+p.ID+" of "+distribution, err)
		}
		p.Patterns, p.Wildcards = size(out.Invalidation)
		asked, patterns, wildcards = asked+1, patterns+p.Patterns, wildcards+p.Wildcards
		sized = append(sized, p)
	}
	return sized, nil
}

// size counts the paths of an invalidation, which has one at least.
func size(i *types.Invalidation) (patterns, wildcards int) {
	if i == nil || i.InvalidationBatch == nil || i.InvalidationBatch.Paths == nil {
		return 1, 0
	}
	for _, path := range i.InvalidationBatch.Paths.Items {
		if freshet.Pattern(path).IsWildcard() {
			wildcards++
		}
	}
	return max(1, len(i.InvalidationBatch.Paths.Items)), wildcards
}
