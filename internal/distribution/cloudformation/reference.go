package cloudformation

import (
	"cmp"
	"slices"
	"strings"
)

// ref resolves to a parameter's value, or a resource's physical ID.
func (r *resolver) ref(argument any, path string) any {
	name, ok := argument.(string)
	if !ok {
		return r.fail(path, "is not a name")
	}
	if strings.HasPrefix(name, "AWS::") {
		return r.pseudo(name, path)
	}
	if declared, ok := r.parameters[name]; ok {
		return r.parameter(name, declared, path)
	}
	if given, ok := r.o.Resources[name]; ok {
		return given
	}
	if !r.exists(name, path) {
		return broken{}
	}
	switch r.kind(name) {
	case "AWS::S3::Bucket":
		return r.bucket(name)
	case functionType:
		return r.functionARN(name)
	case "":
		if stage, ok := r.samStage(name); ok {
			return stage
		}
	}
	if own, ok := r.ownName(name, nameProperties[r.kind(name)]); ok {
		return own
	}
	return r.symbol(name) + name
}

// nameProperties are the properties that Ref returns, for the types that appear
// in distributions and whose names are their IDs.
var nameProperties = map[string]string{
	"AWS::ApiGateway::Stage":       "StageName",
	"AWS::ApiGatewayV2::Stage":     "StageName",
	"AWS::Cognito::UserPoolDomain": "Domain",
	"AWS::Lambda::Function":        "FunctionName",
	"AWS::Route53::RecordSet":      "Name",
	"AWS::SSM::Parameter":          "Name",
	"AWS::S3::Bucket":              "BucketName",
}

// ownName returns a property of a resource. It is not ok where the template
// does not say it, or only CloudFormation knows.
func (r *resolver) ownName(id, property string) (string, bool) {
	name, why := r.property(id, property)
	return name, why == "" && property != ""
}

// exists reports whether the template makes the resource. Where not, the error
// is noted.
func (r *resolver) exists(name, path string) bool {
	if _, ok := r.resources[name]; !ok {
		if r.samMakes(name) {
			return true
		}
		hint := ""
		if r.transforms {
			hint = "; if the template's Transform makes it, give it as a resource"
		}
		r.fail(path, "there is no parameter or resource %q%s", name, hint)
		return false
	}
	made := r.conditionOf(name)
	if made == false {
		r.fail(path, "resource %q is not made: its condition is false", name)
	}
	return made == true
}

func (r *resolver) kind(name string) string {
	res, _ := r.resources[name].(map[string]any)
	kind, _ := res["Type"].(string)
	return kind
}

// pseudo resolves pseudo parameters.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/pseudo-parameter-reference.html
func (r *resolver) pseudo(name, path string) any {
	given := ""
	switch name {
	case "AWS::NoValue":
		return absent{}
	case "AWS::Region":
		return r.region()
	case "AWS::Partition":
		return r.partition()
	case "AWS::URLSuffix":
		return r.suffix()
	case "AWS::AccountId":
		given = r.o.AccountID
	case "AWS::StackName":
		given = r.o.StackName
	}
	if given == "" {
		given = r.o.Parameters[name]
	}
	switch {
	case given != "":
		return given
	case name == "AWS::AccountId" || name == "AWS::StackName" || name == "AWS::StackId":
		return r.wanting(name, path, "%s is not known here: give it as a parameter", name)
	}
	return r.fail(path, "%s is not known here: give it as a parameter", name)
}

func (r *resolver) region() string {
	if given := cmp.Or(r.o.Region, r.o.Parameters["AWS::Region"]); given != "" {
		return given
	}
	r.warn("AWS::Region", "was not given: us-east-1 is assumed")
	return "us-east-1"
}

func (r *resolver) partition() string {
	switch region := cmp.Or(r.o.Region, r.o.Parameters["AWS::Region"]); {
	case strings.HasPrefix(region, "cn-"):
		return "aws-cn"
	case strings.HasPrefix(region, "us-gov-"):
		return "aws-us-gov"
	}
	return "aws"
}

func (r *resolver) suffix() string {
	if r.partition() == "aws-cn" {
		return "amazonaws.com.cn"
	}
	return "amazonaws.com"
}

func (r *resolver) parameter(name string, declared any, path string) any {
	m, _ := declared.(map[string]any)
	kind, _ := m["Type"].(string)
	value, ok := r.o.Parameters[name]
	list := kind == "CommaDelimitedList" || strings.Contains(kind, "List<")
	switch passed, given := r.passed(name, path); {
	case given:
		if _, isText := passed.(string); !isText {
			return passed
		}
		value = passed.(string)
	case ok:
	case strings.HasPrefix(kind, "AWS::SSM::Parameter::Value<"):
		const text = "the value of parameter %s is in Systems Manager, under %v: give it as a parameter"
		if list {
			return r.fail(path, text, name, m["Default"])
		}
		return r.wanting(name, path, text, name, m["Default"])
	default:
		if value, ok = plainText(m["Default"]); !ok && list {
			return r.fail(path, "parameter %s has no default: give it as a parameter", name)
		} else if !ok {
			return r.wanting(name, path, "parameter %s has no default: give it as a parameter", name)
		}
		if value, ok = r.literal(value, path).(string); !ok {
			return broken{}
		}
	}
	if !list {
		if !r.allowed(name, value, m["AllowedValues"], path) {
			return broken{}
		}
		return value
	}
	elements := []any{}
	if value == "" {
		return elements
	}
	for part := range strings.SplitSeq(value, ",") {
		part = strings.TrimSpace(part)
		if !r.allowed(name, part, m["AllowedValues"], path) {
			return broken{}
		}
		elements = append(elements, part)
	}
	return elements
}

// allowed reports whether a parameter may have a value. Where not, the error is
// noted.
func (r *resolver) allowed(name, value string, values any, path string) bool {
	list, _ := values.([]any)
	ok := len(list) == 0 || slices.ContainsFunc(list, func(v any) bool {
		s, isText := plainText(v)
		return isText && s == value
	})
	if !ok {
		r.fail(path, "parameter %s is %q, which is not among its allowed values", name, value)
	}
	return ok
}

// getAtt takes Logical.Attribute and [Logical, Attribute]; there, the attribute
// may be a function.
func (r *resolver) getAtt(argument any, path string, depth int) any {
	id, attribute := "", ""
	switch a := argument.(type) {
	case string:
		id, attribute, _ = strings.Cut(a, ".")
	case []any:
		parts := make([]string, len(a))
		for i, e := range a {
			s, ok := r.text(e, path, depth)
			if !ok {
				return broken{}
			}
			parts[i] = s
		}
		id, attribute, _ = strings.Cut(strings.Join(parts, "."), ".")
	}
	if id == "" || attribute == "" {
		return r.fail(path, "want a resource and its attribute")
	}
	if given, ok := r.o.Resources[id+"."+attribute]; ok {
		return given
	}
	if !r.exists(id, path) {
		return broken{}
	}
	return r.attribute(id, attribute, path)
}

// attribute resolves an attribute of a resource that exists.
func (r *resolver) attribute(id, attribute, path string) any {
	if stage, ok := r.samStage(id + "." + attribute); ok && r.sam && attribute == "Stage" {
		return stage
	}
	switch kind := r.kind(id); {
	case kind == "AWS::S3::Bucket":
		return r.bucketAttribute(id, attribute, path)
	case kind == stackType || kind == samStackType:
		return r.output(id, strings.TrimPrefix(attribute, "Outputs."), path)
	case kind == functionType && strings.HasSuffix(attribute, "FunctionARN"):
		return r.functionARN(id)
	case kind == storeType && attribute == "Arn":
		return r.storeARN(id)
	case attribute == "Id":
		return r.ref(id, path)
	case kind == "AWS::SSM::Parameter" && attribute == "Value":
		if value, ok := r.ownName(id, "Value"); ok {
			return value
		}
	}
	return r.unknown(id, attribute)
}
