package load

import (
	"cmp"
	"maps"
	"slices"

	"github.com/freshet/freshet/internal/distribution"
	"github.com/freshet/freshet/internal/distribution/cloudformation"
)

const (
	distributionType = "AWS::CloudFront::Distribution"
	policyType       = "AWS::CloudFront::CachePolicy"
)

func (v visit) template(m map[string]any) {
	resources, warnings, err := cloudformation.Resolve(m, []string{distributionType, policyType}, v.options.template(v.exports))
	for _, w := range warnings {
		v.warn(w.Path, "%s", w.Text)
	}
	if err != nil {
		v.fail(v.file, err)
		return
	}
	for _, res := range resources {
		if res.Type == policyType {
			res.Properties["Id"] = res.ID
			v.policy(res.Properties, res.Path+".Properties")
			continue
		}
		v.templateDistribution(res)
	}
	if len(resources) == 0 && !v.synth {
		v.warn("", "the template has no distribution and no cache policy")
	}
	v.others(m)
}

// others warns of resources that may decide what is cached, but are not used.
func (v visit) others(m map[string]any) {
	resources, _ := m["Resources"].(map[string]any)
	for _, id := range slices.Sorted(maps.Keys(resources)) {
		res, _ := resources[id].(map[string]any)
		switch kind, _ := res["Type"].(string); kind {
		case "AWS::CloudFront::Function", "AWS::CloudFront::OriginRequestPolicy", "AWS::CloudFront::ResponseHeadersPolicy",
			"AWS::CloudFront::DistributionTenant", "AWS::CloudFront::StreamingDistribution":
			v.warn("Resources."+id, "%s is not used", kind)
		}
	}
}

func (v visit) templateDistribution(res cloudformation.Resource) {
	path := res.Path + ".Properties"
	d, warnings, err := distribution.Decode(res.Properties, path)
	v.took(warnings, err)
	if err != nil {
		return
	}
	given, stack := v.options.Resources, cmp.Or(v.options.StackName, v.stem())
	qualified, named := given[stack+"."+res.LogicalID]
	d.ID = cmp.Or(qualified, res.ID)
	d.DomainName = cmp.Or(given[res.LogicalID+".DomainName"], cloudformation.Host(res.LogicalID))
	v.found = append(v.found, found{Distribution: d, file: v.file, path: path, asked: v.source.asked, stack: stack, named: named || res.Given})
}
