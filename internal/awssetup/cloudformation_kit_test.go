package awssetup_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/freshet/freshet/internal/awssetup"
)

// evaluated is v of a template with its functions worked out, as CloudFormation
// would. A property without a value is left out.
func evaluated(t *testing.T, tpl template, values map[string]any, v any) any {
	t.Helper()
	e := evaluator{t, tpl, values}
	return e.value(v)
}

type evaluator struct {
	t      *testing.T
	tpl    template
	values map[string]any
}

type absent struct{}

func (e evaluator) value(v any) any {
	switch x := v.(type) {
	case []any:
		out := []any{}
		for _, elem := range x {
			if w := e.value(elem); w != (any)(absent{}) {
				out = append(out, w)
			}
		}
		return out
	case map[string]any:
		if len(x) == 1 {
			for name, arg := range x {
				if name == "Ref" || name == "Condition" || strings.HasPrefix(name, "Fn::") {
					return e.call(name, arg)
				}
			}
		}
		out := map[string]any{}
		for name, elem := range x {
			if w := e.value(elem); w != (any)(absent{}) {
				out[name] = w
			}
		}
		return out
	}
	return v
}

var placeholder = regexp.MustCompile(`\$\{([^}]+)\}`)

func (e evaluator) call(name string, arg any) any {
	e.t.Helper()
	switch name {
	case "Ref":
		return e.ref(arg.(string))
	case "Condition":
		return e.value(e.tpl.Conditions[arg.(string)])
	case "Fn::GetAtt":
		return e.attribute(arg.([]any)[0].(string), arg.([]any)[1].(string))
	case "Fn::Sub":
		return placeholder.ReplaceAllStringFunc(arg.(string), func(p string) string { return fmt.Sprint(e.ref(p[2 : len(p)-1])) })
	case "Fn::Join":
		var parts []string
		for _, p := range e.value(arg.([]any)[1]).([]any) {
			parts = append(parts, fmt.Sprint(p))
		}
		return strings.Join(parts, arg.([]any)[0].(string))
	case "Fn::If":
		l := arg.([]any)
		if e.value(e.tpl.Conditions[l[0].(string)]).(bool) {
			return e.value(l[1])
		}
		return e.value(l[2])
	case "Fn::Equals":
		l := arg.([]any)
		return fmt.Sprint(e.value(l[0])) == fmt.Sprint(e.value(l[1]))
	case "Fn::Not":
		return !e.value(arg.([]any)[0]).(bool)
	case "Fn::Or":
		for _, c := range arg.([]any) {
			if e.value(c).(bool) {
				return true
			}
		}
		return false
	}
	e.t.Fatalf("the function %s is not known", name)
	return nil
}

func (e evaluator) ref(name string) any {
	e.t.Helper()
	if name == "AWS::NoValue" {
		return absent{}
	}
	if v, ok := e.values[name]; ok {
		return v
	}
	r, ok := e.tpl.Resources[name]
	if !ok {
		e.t.Fatalf("nothing is called %s", name)
	}
	if p := nameOf[r.Type]; p != "" && r.Properties[p] != nil {
		return e.value(r.Properties[p])
	}
	return name
}

// nameOf is the property that gives a resource its name, which Ref gives back.
var nameOf = map[string]string{
	"AWS::SQS::Queue": "QueueName", "AWS::Lambda::Function": "FunctionName", "AWS::DynamoDB::Table": "TableName", "AWS::S3::Bucket": "BucketName",
	"AWS::IAM::Role": "RoleName", "AWS::Logs::LogGroup": "LogGroupName", "AWS::SNS::Topic": "TopicName",
}

func (e evaluator) attribute(resource, name string) any {
	e.t.Helper()
	r := e.tpl.Resources[resource]
	own := fmt.Sprint(e.ref(resource))
	arn := func(service, prefix string) string {
		return fmt.Sprintf("arn:%v:%s:%v:%v:%s%s", e.values["AWS::Partition"], service, e.values["AWS::Region"], e.values["AWS::AccountId"], prefix, own)
	}
	switch r.Type + " " + name {
	case "AWS::SQS::Queue Arn":
		return arn("sqs", "")
	case "AWS::SQS::Queue QueueName":
		return own
	case "AWS::Lambda::Function Arn":
		return arn("lambda", "function:")
	case "AWS::IAM::Role Arn":
		return fmt.Sprintf("arn:%v:iam::%v:role/%s", e.values["AWS::Partition"], e.values["AWS::AccountId"], own)
	case "AWS::S3::Bucket Arn":
		return fmt.Sprintf("arn:%v:s3:::%s", e.values["AWS::Partition"], own)
	case "AWS::DynamoDB::Table Arn":
		return arn("dynamodb", "table/")
	}
	e.t.Fatalf("the attribute %s of a %s is not known", name, r.Type)
	return nil
}

// made reports whether a template's conditions let it make r.
func (e evaluator) made(r resource) bool {
	return r.Condition == "" || e.value(e.tpl.Conditions[r.Condition]).(bool)
}

// formed is what a template makes, as awssetup sees accounts: s with the names
// that the template gave.
func formed(t *testing.T, s awssetup.Site, tpl template, values map[string]any) map[awssetup.Kind]awssetup.Seen {
	t.Helper()
	e := evaluator{t, tpl, values}
	all := map[awssetup.Kind]awssetup.Seen{}
	see := func(kind awssetup.Kind, properties map[string]string) {
		if _, twice := all[kind]; twice {
			t.Errorf("two of %s", kind)
		}
		all[kind] = awssetup.Seen{Properties: properties, Bucket: s.Bucket}
	}
	queues := map[string]map[string]string{}
	role := map[string]string{}
	statements := []any{}
	for name, r := range tpl.Resources {
		if !e.made(r) {
			continue
		}
		p, ok := e.value(r.Properties).(map[string]any)
		if !ok {
			continue
		}
		get := func(path ...string) string { return written(t, at(p, path...)) }
		switch r.Type {
		case "AWS::SQS::Queue":
			queue := map[string]string{"SqsManagedSseEnabled": get("SqsManagedSseEnabled")}
			for _, property := range []string{"MessageRetentionPeriod", "VisibilityTimeout", "RedrivePolicy"} {
				if p[property] != nil {
					queue[property] = get(property)
				}
			}
			queues[fmt.Sprint(e.ref(name))] = queue
		case "AWS::Logs::LogGroup":
			if get("LogGroupName") == s.LogGroup() {
				see(awssetup.Logs, map[string]string{awssetup.PropertyRetention: get("RetentionInDays")})
			}
		case "AWS::DynamoDB::Table":
			see(awssetup.QuotaTable, map[string]string{awssetup.PropertyKey: get("AttributeDefinitions", "AttributeName") + " " + get("AttributeDefinitions", "AttributeType") + " " + get("KeySchema", "KeyType")})
		case "AWS::IAM::Role":
			role[awssetup.PropertyTrust] = get("AssumeRolePolicyDocument")
			for _, inline := range p["Policies"].([]any) {
				statements = append(statements, at(inline, "PolicyDocument", "Statement").([]any)...)
			}
		case "AWS::IAM::Policy", "AWS::IAM::RolePolicy":
			statements = append(statements, at(p, "PolicyDocument", "Statement").([]any)...)
		case "AWS::Lambda::Function":
			function := map[string]string{
				awssetup.PropertyRole: get("Role"), awssetup.PropertyRuntime: get("Runtime"), awssetup.PropertyHandler: get("Handler"),
				awssetup.PropertyArch: fmt.Sprint(p["Architectures"].([]any)...), awssetup.PropertyMemory: get("MemorySize"), awssetup.PropertyTimeout: get("Timeout"),
				awssetup.PropertyConcurrency: get("ReservedConcurrentExecutions"),
			}
			variables, _ := at(p, "Environment", "Variables").(map[string]any)
			for variable, v := range variables {
				function[variable] = fmt.Sprint(v)
			}
			see(awssetup.Function, function)
		case "AWS::Lambda::EventSourceMapping":
			see(awssetup.Source, map[string]string{
				awssetup.PropertyBatch: get("BatchSize"), awssetup.PropertyWindow: get("MaximumBatchingWindowInSeconds"), awssetup.PropertyState: "Enabled",
				awssetup.PropertyResponse: fmt.Sprint(p["FunctionResponseTypes"].([]any)...), awssetup.PropertyScaling: get("ScalingConfig", "MaximumConcurrency"),
			})
		}
	}
	role[awssetup.PropertyPolicy] = written(t, map[string]any{"Version": "2012-10-17", "Statement": statements})
	see(awssetup.Role, role)
	for _, r := range tpl.Resources {
		if r.Type == "AWS::SQS::QueuePolicy" {
			queues[s.Name]["Policy"] = written(t, e.value(r.Properties["PolicyDocument"]))
		}
	}
	see(awssetup.DeadLetterQueue, queues[s.DeadLetters()])
	see(awssetup.Queue, queues[s.Name])
	return all
}
