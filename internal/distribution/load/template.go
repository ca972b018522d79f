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
	o := v.options.template(v.exports)
	o.Templates = v.nestedTemplates(m)
	resources, warnings, err := cloudformation.Resolve(m, []string{distributionType, policyType}, o)
	for _, w := range warnings {
		v.warn(w.Path, "%s", w.Text)
	}
	if err != nil {
		v.fail(v.file, err)
		return
	}
	for i := range resources {
		v.nested = &resources[i]
		if v.nested.Type == policyType {
			v.nested.Properties["Id"] = v.nested.ID
			v.policy(v.nested.Properties, v.nested.Path+".Properties")
			continue
		}
		v.templateDistribution(resources[i])
	}
	v.nested = nil
	if len(resources) == 0 && !v.synth {
		v.warn("", "the template has no distribution and no cache policy")
	}
	v.besides(m, o)
	v.others(m)
}

// others warns of resources that may decide what is cached, but are not used.
func (v visit) others(m map[string]any) {
	resources, _ := m["Resources"].(map[string]any)
	for _, id := range slices.Sorted(maps.Keys(resources)) {
		res, _ := resources[id].(map[string]any)
		switch kind, _ := res["Type"].(string); kind {
		case "AWS::CloudFront::DistributionTenant", "AWS::CloudFront::StreamingDistribution":
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
	given, stack := v.options.Resources, v.stack()
	qualified, named := given[stack+"."+res.LogicalID]
	d.ID = cmp.Or(qualified, res.ID)
	d.DomainName = cmp.Or(given[res.LogicalID+".DomainName"], cloudformation.Host(res.LogicalID))
	v.found = append(v.found, found{Distribution: d, file: v.file, path: path, asked: v.source.asked, scope: v.scope(), stack: stack, named: named || res.Given})
}

// stack is the name of the stack that is read, with those of nested ones.
func (v visit) stack() string {
	name := cmp.Or(v.options.StackName, v.stem())
	if v.nested != nil && v.nested.Stack != "" {
		name += "." + v.nested.Stack
	}
	return name
}

// scope is where names mean the same.
func (v visit) scope() string {
	if v.nested == nil {
		return v.file
	}
	return v.file + "#" + v.nested.Stack
}
