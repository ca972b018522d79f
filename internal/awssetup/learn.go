package awssetup

import (
	"encoding/json"
	"slices"
	"strings"
)

// Learn completes s by what a role's policy, as RolePolicy writes it, is for: the
// flags that stand nowhere else, and the needs of a document that is not at hand.
// What cannot be read teaches nothing.
func (s Site) Learn(rolePolicy string) Site {
	var p Policy
	if json.Unmarshal([]byte(rolePolicy), &p) != nil {
		return s
	}
	after := func(st Statement, prefix string) (names []string) {
		for _, r := range st.Resource {
			if name, ok := strings.CutPrefix(r, prefix); ok && name != "*" {
				names = append(names, name)
			}
		}
		return names
	}
	others := func(names, known []string) []string {
		return slices.DeleteFunc(names, func(n string) bool { return slices.Contains(known, n) })
	}
	var invalidated, waited []string
	for _, st := range p.Statement {
		switch st.Sid {
		case "Pipeline":
			s.CodePipeline = true
		case "Repository":
			s.Needs.Repositories = others(after(st, s.ARN("codecommit", "")), s.CodeCommit)
		case "Quota":
			if tables := after(st, s.ARN("dynamodb", "table/")); s.Table == "" && len(tables) == 1 {
				s.Needs.Table = tables[0]
			}
		case "Invalidate":
			invalidated = append(invalidated, after(st, s.global("cloudfront", "distribution/"))...)
		case "InvalidateTenants":
			invalidated = append(invalidated, after(st, s.global("cloudfront", "distribution-tenant/"))...)
		case sidWaited:
			waited = after(st, s.global("cloudfront", "distribution/"))
		case sidDeployed:
			s.Needs.Deployed = st.Resource
		case sidObjects:
			s.Needs.Objects = after(st, "arn:"+s.Partition+":s3:::")
		}
	}
	s.Needs.Waited = waited
	if len(s.Distributions) == 0 {
		s.Needs.Distributions = invalidated
	} else {
		s.Needs.Reached = others(invalidated, s.Distributions)
	}
	s.Needs.Functions, s.Needs.Aliased = waitedFunctions(p)
	return s
}

// waitedFunctions are the ARNs in the statements of functions that are waited for.
// Those of which an alias is have their versions beside them.
func waitedFunctions(p Policy) (plain, aliased []string) {
	for _, st := range p.Statement {
		if st.Sid != sidFunctions {
			continue
		}
		for _, r := range st.Resource {
			switch {
			case strings.HasSuffix(r, ":*"):
				aliased = append(aliased, strings.TrimSuffix(r, ":*"))
			case !slices.Contains(st.Resource, r+":*"):
				plain = append(plain, r)
			}
		}
	}
	return plain, aliased
}
