package awssetup

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Needs is what the document of the function's configuration asks for besides
// what a Site says. Empty, it asks for nothing.
type Needs struct {
	Distributions []string // IDs at which it invalidates, where Site.Distributions has none
	Reached       []string // IDs at which it invalidates besides
	Table         string   // where Site.Table is empty
	Repositories  []string

	Waited    []string // IDs of distributions that are waited for
	Functions []string // that are waited for: names, partial or whole ARNs, without what stands behind the name
	Aliased   []string // likewise, of which an alias is waited for
	Deployed  []string // likewise, to whose new code the function reacts
	Objects   []string // BUCKET/KEY, that are waited for
}

// Sids of the statements that follow from Needs alone.
const (
	sidWaited    = "WaitForDistributions"
	sidFunctions = "WaitForFunctions"
	sidAliases   = "WaitForAliases"
	sidDeployed  = "WaitForUpdates"
	sidObjects   = "WaitForObjects"
	sidMissing   = "WaitForMissingObjects"
)

// needed is what facts that are waited for are read with.
func (s Site) needed() (statements []Statement) {
	add := func(sid string, actions []string, resources ...string) {
		if len(resources) > 0 {
			statements = append(statements, Statement{Sid: sid, Action: actions, Resource: resources})
		}
	}
	n := s.Needs
	add(sidWaited, []string{"cloudfront:GetDistribution"}, s.each(s.waitedElsewhere(), func(id string) string { return s.global("cloudfront", "distribution/"+id) })...)
	aliased := s.withQualifiers(n.Aliased)
	add(sidFunctions, []string{"lambda:GetFunctionConfiguration"}, slices.Concat(s.each(n.Functions, s.functionARN), aliased)...)
	add(sidAliases, []string{"lambda:GetAlias", "lambda:GetProvisionedConcurrencyConfig"}, aliased...)
	add(sidDeployed, []string{"lambda:GetFunction"}, s.each(n.Deployed, s.functionARN)...)
	object := func(place string) string { return "arn:" + s.Partition + ":s3:::" + place }
	add(sidObjects, []string{"s3:GetObject"}, s.each(n.Objects, object)...)
	// Only to who may list does S3 say that an object is not there yet.
	// https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html
	add(sidMissing, []string{"s3:ListBucket"}, s.each(n.Objects, func(place string) string {
		bucket, _, _ := strings.Cut(place, "/")
		return object(bucket)
	})...)
	return statements
}

// withQualifiers are the ARNs of functions, and those of their versions and
// aliases.
func (s Site) withQualifiers(functions []string) (arns []string) {
	for _, arn := range s.each(functions, s.functionARN) {
		arns = append(arns, arn, arn+":*")
	}
	return arns
}

// waitedElsewhere are the distributions that are waited for and may not be read
// as those at which the function invalidates.
func (s Site) waitedElsewhere() (ids []string) {
	named := s.Distributions
	if len(named) == 0 {
		named = s.Needs.Distributions
	}
	if len(named) == 0 {
		return nil // it may read all
	}
	named = slices.Concat(named, s.Needs.Reached)
	for _, id := range s.Needs.Waited {
		if !slices.Contains(named, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// functionARN completes a name, or ACCOUNT:function:NAME.
func (s Site) functionARN(name string) string {
	switch {
	case strings.HasPrefix(name, "arn:"):
		return name
	case strings.Contains(name, ":function:"):
		return "arn:" + s.Partition + ":lambda:" + s.Region + ":" + name
	}
	return s.ARN("lambda", "function:"+name)
}

var (
	isFunction = matching(`^(arn:aws[a-z-]*:lambda:[a-z0-9-]+:[0-9]{12}:function:|[0-9]{12}:function:|)[A-Za-z0-9_-]{1,64}$`)
	isPlace    = matching(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/[^*?$]+$`)
)

// check refuses what would allow more than was meant, such as names with a *.
func (n Needs) check() error {
	var problems []error
	each := func(names []string, ok func(string) bool, what string) {
		for _, name := range names {
			if !ok(name) {
				problems = append(problems, fmt.Errorf("the function's configuration: %q is no %s", name, what))
			}
		}
	}
	each(slices.Concat(n.Distributions, n.Reached, n.Waited), isDistribution, "ID of a distribution")
	each(n.Repositories, isRepository, "name of a CodeCommit repository")
	each(slices.Concat(n.Functions, n.Aliased, n.Deployed), isFunction, "name or ARN of a function")
	each(n.Objects, isPlace, "object that a policy could name, since it has a *, ? or $ in it")
	if n.Table != "" {
		each([]string{n.Table}, isTable, "name of a DynamoDB table")
	}
	return errors.Join(problems...)
}
