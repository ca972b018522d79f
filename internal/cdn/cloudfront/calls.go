package cloudfront

import (
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/cloudfront"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront/types"
)

// CloudFront has the three operations on invalidations twice: for distributions
// and for the tenants of multi-tenant distributions.
// https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_CreateInvalidationForDistributionTenant.html

// isTenant tells the IDs of distribution tenants.
func isTenant(id string) bool { return strings.HasPrefix(id, "dt_") }

func (d *Driver) create(ctx context.Context, at string, batch *types.InvalidationBatch) (*types.Invalidation, error) {
	if isTenant(at) {
		out, err := d.client.CreateInvalidationForDistributionTenant(ctx, &cloudfront.CreateInvalidationForDistributionTenantInput{Id: &at, InvalidationBatch: batch})
		if err != nil {
			return nil, err
		}
		return out.Invalidation, nil
	}
	out, err := d.client.CreateInvalidation(ctx, &cloudfront.CreateInvalidationInput{DistributionId: &at, InvalidationBatch: batch})
	if err != nil {
		return nil, err
	}
	return out.Invalidation, nil
}

func (d *Driver) get(ctx context.Context, at, id string) (*types.Invalidation, error) {
	if isTenant(at) {
		out, err := d.client.GetInvalidationForDistributionTenant(ctx, &cloudfront.GetInvalidationForDistributionTenantInput{DistributionTenantId: &at, Id: &id})
		if err != nil {
			return nil, err
		}
		return out.Invalidation, nil
	}
	out, err := d.client.GetInvalidation(ctx, &cloudfront.GetInvalidationInput{DistributionId: &at, Id: &id})
	if err != nil {
		return nil, err
	}
	return out.Invalidation, nil
}

// list calls each with the invalidations at a distribution or tenant, newest
// first, until there are no more or each returns false.
func (d *Driver) list(ctx context.Context, at string, each func(types.InvalidationSummary) bool) error {
	var marker *string
	for {
		page, err := d.page(ctx, at, marker)
		if err != nil {
			return wrap("list the invalidations of "+at, err)
		}
		if page == nil {
			return nil
		}
		for _, summary := range page.Items {
			if !each(summary) {
				return nil
			}
		}
		if page.NextMarker == nil || *page.NextMarker == "" || marker != nil && *marker == *page.NextMarker {
			return nil
		}
		marker = page.NextMarker
	}
}

func (d *Driver) page(ctx context.Context, at string, marker *string) (*types.InvalidationList, error) {
	if isTenant(at) {
		out, err := d.client.ListInvalidationsForDistributionTenant(ctx, &cloudfront.ListInvalidationsForDistributionTenantInput{Id: &at, Marker: marker})
		if err != nil {
			return nil, err
		}
		return out.InvalidationList, nil
	}
	out, err := d.client.ListInvalidations(ctx, &cloudfront.ListInvalidationsInput{DistributionId: &at, Marker: marker})
	if err != nil {
		return nil, err
	}
	return out.InvalidationList, nil
}
