// Package survey reads from an AWS account how its distributions are
// configured, and finds those that a bucket feeds.
package survey

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront/types"

	"github.com/freshet/freshet/internal/distribution"
	"github.com/freshet/freshet/internal/distribution/load"
)

// API is what a survey asks of CloudFront; *cloudfront.Client has it. It needs
// the permissions cloudfront:GetDistribution and GetCachePolicy, for tenants
// GetDistributionTenant and GetDistribution of what they are tenants of, and for
// Feeding cloudfront:ListDistributions on *.
type API interface {
	cloudfront.ListDistributionsAPIClient
	GetDistribution(context.Context, *cloudfront.GetDistributionInput, ...func(*cloudfront.Options)) (*cloudfront.GetDistributionOutput, error)
	GetDistributionTenant(context.Context, *cloudfront.GetDistributionTenantInput, ...func(*cloudfront.Options)) (*cloudfront.GetDistributionTenantOutput, error)
	GetCachePolicy(context.Context, *cloudfront.GetCachePolicyInput, ...func(*cloudfront.Options)) (*cloudfront.GetCachePolicyOutput, error)
}

// Found is what a survey has read.
type Found struct {
	Distributions []distribution.Distribution // sorted by ID
	CachePolicies []distribution.CachePolicy  // custom ones that they use
	Warnings      []load.Warning
}

// Read reads distributions, and tenants of them, and the custom cache policies that they use. An error
// names every distribution that cannot be read.
func Read(ctx context.Context, api API, ids ...string) (Found, error) {
	var documents []any
	policies := make(map[string]bool)
	var errs []error
	slices.Sort(ids)
	for _, id := range slices.Compact(ids) {
		d, err := read(ctx, api, id)
		if err != nil {
			errs = append(errs, fmt.Errorf("read distribution %s: %w", id, err))
			continue
		}
		documents = append(documents, map[string]any{"Distribution": d})
		for _, p := range policiesOf(d.DistributionConfig) {
			policies[p] = true
		}
	}
	for id := range policies {
		if _, managed := distribution.ManagedCachePolicy(id); managed {
			continue
		}
		out, err := api.GetCachePolicy(ctx, &cloudfront.GetCachePolicyInput{Id: &id})
		if err != nil {
			errs = append(errs, fmt.Errorf("read cache policy %s: %w", id, err))
			continue
		}
		documents = append(documents, map[string]any{"CachePolicy": out.CachePolicy})
	}
	if err := errors.Join(errs...); err != nil {
		return Found{}, err
	}
	return understand(documents)
}

// understand reads what the SDK has read, which has the names that the AWS CLI
// prints.
func understand(documents []any) (Found, error) {
	if len(documents) == 0 {
		return Found{}, nil
	}
	text, err := json.Marshal(documents)
	if err != nil {
		return Found{}, fmt.Errorf("read the account's distributions: %w", err)
	}
	r, err := load.Read("account.json", text, load.Options{})
	if err != nil {
		return Found{}, err
	}
	slices.SortFunc(r.Distributions, func(a, b distribution.Distribution) int { return strings.Compare(a.ID, b.ID) })
	return Found{Distributions: r.Distributions, CachePolicies: r.CachePolicies, Warnings: r.Warnings}, nil
}

func policiesOf(c *types.DistributionConfig) (ids []string) {
	if c.DefaultCacheBehavior != nil {
		ids = append(ids, aws.ToString(c.DefaultCacheBehavior.CachePolicyId))
	}
	if c.CacheBehaviors != nil {
		for _, b := range c.CacheBehaviors.Items {
			ids = append(ids, aws.ToString(b.CachePolicyId))
		}
	}
	return slices.DeleteFunc(ids, func(id string) bool { return id == "" })
}

// Feeding returns the IDs of the distributions that have the bucket as an origin,
// sorted, and for each whether it is enabled. CloudFront can list distributions
// by many things, but not by origin, so this pages through all of them.
func Feeding(ctx context.Context, api API, bucket string) (enabled map[string]bool, err error) {
	enabled = make(map[string]bool)
	pages := cloudfront.NewListDistributionsPaginator(api, nil, func(o *cloudfront.ListDistributionsPaginatorOptions) { o.StopOnDuplicateToken = true })
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("list the distributions: %w", err)
		}
		if page.DistributionList == nil {
			continue
		}
		for _, d := range page.DistributionList.Items {
			if d.Origins != nil && slices.ContainsFunc(d.Origins.Items, func(o types.Origin) bool { return isBucket(o, bucket) }) {
				enabled[aws.ToString(d.Id)] = aws.ToBool(d.Enabled)
			}
		}
	}
	return enabled, nil
}

func isBucket(o types.Origin, bucket string) bool {
	name, ok := distribution.Origin{DomainName: aws.ToString(o.DomainName)}.Bucket()
	return ok && strings.EqualFold(name, bucket)
}
