package survey

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront/types"
)

// isTenant tells the IDs of distribution tenants.
func isTenant(id string) bool { return strings.HasPrefix(id, "dt_") }

// read reads a distribution or tenant.
func read(ctx context.Context, api API, id string) (*types.Distribution, error) {
	if isTenant(id) {
		return readTenant(ctx, api, id)
	}
	out, err := api.GetDistribution(ctx, &cloudfront.GetDistributionInput{Id: &id})
	switch {
	case err != nil:
		return nil, err
	case out.Distribution == nil || out.Distribution.DistributionConfig == nil:
		return nil, errors.New("the answer has none")
	}
	return out.Distribution, nil
}

// readTenant is the multi-tenant distribution as one of its tenants has it: under
// the tenant's ID and domains, and with its values in the place of parameters.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/distribution-config-options.html
func readTenant(ctx context.Context, api API, id string) (*types.Distribution, error) {
	out, err := api.GetDistributionTenant(ctx, &cloudfront.GetDistributionTenantInput{Identifier: &id})
	if err != nil {
		return nil, err
	}
	tenant := out.DistributionTenant
	if tenant == nil || aws.ToString(tenant.DistributionId) == "" {
		return nil, errors.New("the answer has no tenant")
	}
	shared, err := read(ctx, api, *tenant.DistributionId)
	if err != nil {
		return nil, fmt.Errorf("whose distribution is %s: %w", *tenant.DistributionId, err)
	}
	d, config := *shared, *shared.DistributionConfig
	d.Id, d.ARN, d.Status, d.DistributionConfig = &id, tenant.Arn, tenant.Status, &config
	config.Enabled = aws.Bool(aws.ToBool(config.Enabled) && aws.ToBool(tenant.Enabled))
	config.Aliases = aliasesOf(tenant.Domains)
	if len(tenant.Domains) > 0 {
		d.DomainName = tenant.Domains[0].Domain
	}
	config.Origins = parametersOf(shared.DistributionConfig, tenant).filled(config.Origins)
	return &d, nil
}

func aliasesOf(domains []types.DomainResult) *types.Aliases {
	a := &types.Aliases{Quantity: aws.Int32(int32(min(len(domains), 1<<20)))}
	for _, d := range domains {
		a.Items = append(a.Items, aws.ToString(d.Domain))
	}
	return a
}

// parameters are what stands for {{name}} in a tenant's origins.
type parameters map[string]string

func parametersOf(shared *types.DistributionConfig, tenant *types.DistributionTenant) parameters {
	values := make(parameters)
	if shared.TenantConfig != nil {
		for _, p := range shared.TenantConfig.ParameterDefinitions {
			if p.Definition != nil && p.Definition.StringSchema != nil && p.Definition.StringSchema.DefaultValue != nil {
				values[aws.ToString(p.Name)] = *p.Definition.StringSchema.DefaultValue
			}
		}
	}
	for _, p := range tenant.Parameters {
		values[aws.ToString(p.Name)] = aws.ToString(p.Value)
	}
	return values
}

// filled returns the origins with values; those that were given stay as they are.
func (p parameters) filled(given *types.Origins) *types.Origins {
	if given == nil {
		return nil
	}
	pairs := make([]string, 0, 2*len(p))
	for name, value := range p {
		pairs = append(pairs, "{{"+name+"}}", value)
	}
	fill := strings.NewReplacer(pairs...)
	filled := types.Origins{Quantity: given.Quantity}
	for _, o := range given.Items {
		for _, field := range []**string{&o.DomainName, &o.OriginPath} {
			if *field != nil {
				*field = aws.String(fill.Replace(**field))
			}
		}
		filled.Items = append(filled.Items, o)
	}
	return &filled
}
