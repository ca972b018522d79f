package cloudfront

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront/types"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/cdn"
)

const (
	// mostAsked bounds the questions that one look may cost; the rest is taken
	// for as large as the mean of what was asked for.
	mostAsked = 25
	// settledAfter is the age at which an invalidation is not in progress any more.
	// CloudFront lists the newest first.
	settledAfter = completionWithin
)

// InProgress pages through ListInvalidations as far as something may be in
// progress, and asks GetInvalidation for the size of what is not in known. It
// needs the permissions cloudfront:ListInvalidations and GetInvalidation.
func (d *Driver) InProgress(ctx context.Context, distribution string, known map[string]cdn.Progress) (found []cdn.Progress, err error) {
	var unknown []cdn.Progress
	err = d.list(ctx, distribution, func(summary types.InvalidationSummary) bool {
		p := cdn.Progress{ID: aws.ToString(summary.Id), Since: aws.ToTime(summary.CreateTime)}
		before, ok := known[p.ID]
		switch {
		case completed(summary.Status):
		case ok:
			found = append(found, before)
		default:
			unknown = append(unknown, p)
		}
		return time.Since(p.Since) < settledAfter
	})
	if err != nil {
		return nil, err
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
		got, err := d.get(ctx, distribution, p.ID)
		if err != nil {
			if err = wrap("read the invalidation "+p.ID+" of "+distribution, err); cdn.ClassOf(err) == cdn.NotFound {
				continue
			}
			return nil, err
		}
		p.Patterns, p.Wildcards = size(got)
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

// Sent is an invalidation that CloudFront took, from whomever.
type Sent struct {
	ID       string
	At       time.Time
	Patterns []freshet.Pattern
}

// Since lists what was invalidated at a distribution from a moment on, the
// newest first, at most the newest so many: what changed before one of these was
// taken, and is covered by it, needs no other. The patterns of those in known are
// not asked for; those that were asked for are put there, also before an error,
// so that another try goes on where this one ended.
func (d *Driver) Since(ctx context.Context, distribution string, from time.Time, most int, known map[string][]freshet.Pattern) ([]Sent, error) {
	sent, err := d.Listed(ctx, distribution, from, most)
	if err != nil {
		return nil, err
	}
	for i := range sent {
		if _, ok := known[sent[i].ID]; !ok {
			patterns, err := d.Patterns(ctx, distribution, sent[i].ID)
			if err != nil {
				return nil, err
			}
			known[sent[i].ID] = patterns
		}
		sent[i].Patterns = known[sent[i].ID]
	}
	return sent, nil
}

// Listed is Since without the patterns, for those who ask for each by itself.
func (d *Driver) Listed(ctx context.Context, distribution string, from time.Time, most int) (sent []Sent, err error) {
	err = d.list(ctx, distribution, func(summary types.InvalidationSummary) bool {
		s := Sent{ID: aws.ToString(summary.Id), At: aws.ToTime(summary.CreateTime)}
		if s.At.Before(from) || len(sent) >= most {
			return false
		}
		sent = append(sent, s)
		return true
	})
	return sent, err
}

// Patterns asks for those of an invalidation.
func (d *Driver) Patterns(ctx context.Context, distribution, id string) ([]freshet.Pattern, error) {
	got, err := d.get(ctx, distribution, id)
	if err != nil {
		return nil, wrap("read the invalidation "+id+" of "+distribution, err)
	}
	return patternsOf(got), nil
}

func patternsOf(i *types.Invalidation) (patterns []freshet.Pattern) {
	if i == nil || i.InvalidationBatch == nil || i.InvalidationBatch.Paths == nil {
		return nil
	}
	for _, path := range i.InvalidationBatch.Paths.Items {
		patterns = append(patterns, freshet.Pattern(path))
	}
	return patterns
}
