// Package cloudfront drives Amazon CloudFront, and whatever else speaks its API.
package cloudfront

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront/types"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/cdn"
)

// Config says where and as whom to reach CloudFront. The zero value is Amazon's
// CloudFront with the credentials that the AWS CLI would find.
type Config struct {
	Endpoint  string        `yaml:"endpoint"`   // URL; empty is Amazon's
	Region    string        `yaml:"region"`     // what requests are signed for; empty is us-east-1, where CloudFront's API is
	Profile   string        `yaml:"profile"`    // of the shared AWS configuration; empty is the environment's
	PollEvery time.Duration `yaml:"poll_every"` // first wait between two looks at an invalidation; zero is 2 s

	// Credentials, where they are not nil, are used in place of those that the
	// environment has.
	Credentials aws.CredentialsProvider `yaml:"-"`
}

// What CloudFront takes and charges.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/invalidation-limits.html
// https://aws.amazon.com/cloudfront/pricing/
const (
	// maxPatterns is what the quota allows in one second. Requests of that size
	// are let in by both of the quotas that were published, and let an urgent one
	// pass between them.
	maxPatterns = 150
	// maxWildcards follows from the quota of one wildcard invalidation a second,
	// of which it is not documented whether it counts paths or requests.
	maxWildcards = 1
	// PatternPrice is in US dollars; the first 1,000 paths of a month are free.
	PatternPrice = 0.005
	// pollEvery suits the 25 seconds within which CloudFront completes 95 of 100
	// invalidations.
	pollEvery = 2 * time.Second
	// completionWithin is the longest that people have waited.
	completionWithin = 15 * time.Minute
)

// Driver is a cdn.Driver for distributions and distribution tenants, whose IDs
// begin with dt_. It sends each request once: the SDK's retries are off.
type Driver struct {
	client    *cloudfront.Client
	pollEvery time.Duration
}

// New returns a driver. It looks for credentials in the environment and the
// shared configuration files unless cfg has some, but does not try them.
func New(ctx context.Context, cfg Config) (*Driver, error) {
	options := []func(*config.LoadOptions) error{config.WithSharedConfigProfile(cfg.Profile)}
	if cfg.Credentials != nil {
		options = append(options, config.WithCredentialsProvider(cfg.Credentials))
	}
	loaded, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("load the AWS configuration: %w", err)
	}
	client := cloudfront.NewFromConfig(loaded, func(o *cloudfront.Options) {
		o.Retryer = aws.NopRetryer{}
		o.Credentials = marked{o.Credentials}
		o.Region = "us-east-1"
		if cfg.Region != "" {
			o.Region = cfg.Region
		}
		if cfg.Endpoint != "" {
			o.BaseEndpoint = &cfg.Endpoint
		}
	})
	d := &Driver{client: client, pollEvery: pollEvery}
	if cfg.PollEvery > 0 {
		d.pollEvery = cfg.PollEvery
	}
	return d, nil
}

// Invalidate sends CreateInvalidation with the patterns sorted, since it is not
// documented whether CloudFront takes a request whose paths come in another
// order for the same one.
func (d *Driver) Invalidate(ctx context.Context, inv freshet.Invalidation) (freshet.Receipt, error) {
	paths := make([]string, len(inv.Patterns))
	for i, p := range inv.Patterns {
		paths[i] = string(p)
	}
	slices.Sort(paths)
	paths = slices.Compact(paths)
	created, err := d.create(ctx, inv.Distribution, &types.InvalidationBatch{
		CallerReference: &inv.CallerReference,
		Paths:           &types.Paths{Items: paths, Quantity: aws.Int32(int32(len(paths)))},
	})
	if err != nil {
		return freshet.Receipt{}, wrap("invalidate at "+inv.Distribution, err)
	}
	return receipt(inv.Distribution, created)
}

// Status sends GetInvalidation. CloudFront does not say when an invalidation was
// completed, so the time of a completed one is now.
func (d *Driver) Status(ctx context.Context, distribution, id string) (freshet.Receipt, error) {
	got, err := d.get(ctx, distribution, id)
	if err != nil {
		return freshet.Receipt{}, wrap("status of "+id+" at "+distribution, err)
	}
	return receipt(distribution, got)
}

// receipt reads CloudFront's answer. One that does not name an invalidation
// leaves open what happened.
func receipt(distribution string, i *types.Invalidation) (freshet.Receipt, error) {
	if i == nil || aws.ToString(i.Id) == "" {
		return freshet.Receipt{}, &cdn.Error{Class: cdn.Unavailable, Hint: "is the endpoint CloudFront's?", Err: fmt.Errorf("the answer about %s names no invalidation", distribution)}
	}
	r := freshet.Receipt{Distribution: distribution, ID: *i.Id, State: freshet.Accepted, At: aws.ToTime(i.CreateTime)}
	if i.InvalidationBatch != nil {
		r.CallerReference = aws.ToString(i.InvalidationBatch.CallerReference)
	}
	if completed(i.Status) {
		r.State, r.At = freshet.Completed, time.Now()
	}
	return r, nil
}

// completed reports what a status says. Moto writes it in capitals, and whoever
// tries freshet with it would wait for ever.
func completed(status *string) bool {
	return strings.EqualFold(aws.ToString(status), "Completed")
}

// Profiles pages through ListDistributions, which needs a permission of its own.
// Whether a distribution has cache tags is not in that list: Tags is false.
func (d *Driver) Profiles(ctx context.Context) ([]freshet.Profile, error) {
	var profiles []freshet.Profile
	pages := cloudfront.NewListDistributionsPaginator(d.client, nil, func(o *cloudfront.ListDistributionsPaginatorOptions) { o.StopOnDuplicateToken = true })
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, wrap("list the distributions", err)
		}
		if page.DistributionList == nil {
			continue
		}
		for _, summary := range page.DistributionList.Items {
			profiles = append(profiles, d.profile(summary))
		}
	}
	slices.SortFunc(profiles, func(a, b freshet.Profile) int { return strings.Compare(a.Distribution, b.Distribution) })
	return profiles, nil
}

func (d *Driver) profile(summary types.DistributionSummary) freshet.Profile {
	hosts := []string{aws.ToString(summary.DomainName)}
	if summary.Aliases != nil {
		hosts = append(hosts, summary.Aliases.Items...)
	}
	p := ProfileOf(aws.ToString(summary.Id), hosts)
	p.PollEvery = d.pollEvery
	return p
}

// Quota is both of the quotas that CloudFront has published: so much a second, of
// an account, and so much in progress, at a distribution. How many requests it
// takes is not published; throttling was seen beyond one a second.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/cloudfront-limits.html
func Quota() freshet.Quota {
	return freshet.Quota{RequestsPerSecond: 1, PatternsPerSecond: maxPatterns, WildcardsPerSecond: 1, PatternsInProgress: 3000, WildcardsInProgress: 15}
}

// ProfileOf is what CloudFront takes and charges at any distribution.
func ProfileOf(id string, hosts []string) freshet.Profile {
	return freshet.Profile{
		Distribution:     id,
		Hosts:            hosts,
		MaxPatterns:      maxPatterns,
		MaxWildcards:     maxWildcards,
		PatternPrice:     PatternPrice,
		Quota:            Quota(),
		PollEvery:        pollEvery,
		CompletionWithin: completionWithin,
	}
}
