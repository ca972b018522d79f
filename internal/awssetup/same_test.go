package awssetup_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/freshet/freshet/internal/awssetup"
)

// TestTerraformMakesWhatInstallMakes: an account that the module has filled in has
// nothing left to change for freshet aws install.
func TestTerraformMakesWhatInstallMakes(t *testing.T) {
	for name, s := range variedSites() {
		if s.Prefix != "" { // the module takes it as S3 spells it
			s.Prefix = "a/"
		}
		nothingToChange(t, name, s, terraformed(t, s))
	}
}

// nothingToChange compares what is there with what awssetup wants.
func nothingToChange(t *testing.T, name string, s awssetup.Site, seen map[awssetup.Kind]awssetup.Seen) {
	t.Helper()
	want, err := s.Resources("")
	if err != nil {
		t.Fatal(err)
	}
	for i, step := range s.Compare(want, seen) {
		if isAlarm(step.Kind) {
			continue // they are compared setting by setting
		}
		if step.Do != awssetup.Keep {
			t.Errorf("%s: %s %s: %s %v: %v, want %v", name, step.Kind, step.Name, step.Do, step.Changes, seen[step.Kind].Properties, want[i].Properties)
		}
	}
}

// terraformed is what the module makes of s, as awssetup sees accounts.
func terraformed(t *testing.T, s awssetup.Site) map[awssetup.Kind]awssetup.Seen {
	t.Helper()
	resources, _ := applied(t, s)
	get := func(address string, path ...string) string {
		v, ok := resources[address]
		if !ok {
			t.Fatalf("no %s", address)
		}
		for _, p := range path {
			if v.Type().IsTupleType() {
				v = v.Index(cty.Zero)
			}
			v = v.GetAttr(p)
		}
		return asText(t, v)
	}
	first := func(address, list string) string {
		return asText(t, resources[address].GetAttr(list).Index(cty.Zero))
	}
	function := map[string]string{
		awssetup.PropertyRole: get("aws_lambda_function.freshet", "role"), awssetup.PropertyRuntime: get("aws_lambda_function.freshet", "runtime"),
		awssetup.PropertyHandler: get("aws_lambda_function.freshet", "handler"), awssetup.PropertyArch: first("aws_lambda_function.freshet", "architectures"),
		awssetup.PropertyMemory: get("aws_lambda_function.freshet", "memory_size"), awssetup.PropertyTimeout: get("aws_lambda_function.freshet", "timeout"),
		awssetup.PropertyConcurrency: get("aws_lambda_function.freshet", "reserved_concurrent_executions"),
	}
	for variable, v := range resources["aws_lambda_function.freshet"].GetAttr("environment").Index(cty.Zero).GetAttr("variables").AsValueMap() {
		function[variable] = v.AsString()
	}
	seen := map[awssetup.Kind]map[string]string{
		awssetup.DeadLetterQueue: {
			"MessageRetentionPeriod": get("aws_sqs_queue.dead", "message_retention_seconds"), "SqsManagedSseEnabled": get("aws_sqs_queue.dead", "sqs_managed_sse_enabled"),
		},
		awssetup.Queue: {
			"VisibilityTimeout": get("aws_sqs_queue.changes", "visibility_timeout_seconds"), "SqsManagedSseEnabled": get("aws_sqs_queue.changes", "sqs_managed_sse_enabled"),
			"RedrivePolicy": get("aws_sqs_queue.changes", "redrive_policy"), "Policy": get("aws_sqs_queue_policy.changes", "policy"),
		},
		awssetup.Logs:     {awssetup.PropertyRetention: get("aws_cloudwatch_log_group.function", "retention_in_days")},
		awssetup.Role:     {awssetup.PropertyTrust: get("aws_iam_role.function", "assume_role_policy"), awssetup.PropertyPolicy: get("aws_iam_role_policy.function", "policy")},
		awssetup.Function: function,
		awssetup.Source: {
			awssetup.PropertyBatch: get("aws_lambda_event_source_mapping.changes", "batch_size"), awssetup.PropertyWindow: get("aws_lambda_event_source_mapping.changes", "maximum_batching_window_in_seconds"),
			awssetup.PropertyState: "Enabled", awssetup.PropertyResponse: first("aws_lambda_event_source_mapping.changes", "function_response_types"),
			awssetup.PropertyScaling: get("aws_lambda_event_source_mapping.changes", "scaling_config", "maximum_concurrency"),
		},
	}
	if table, ok := resources["aws_dynamodb_table.quota"]; ok {
		if get("aws_dynamodb_table.quota", "hash_key") == "id" && !table.Type().HasAttribute("range_key") {
			seen[awssetup.QuotaTable] = map[string]string{awssetup.PropertyKey: fmt.Sprintf("%s %s HASH", get("aws_dynamodb_table.quota", "attribute", "name"), get("aws_dynamodb_table.quota", "attribute", "type"))}
		}
	}
	for address, wanted := range map[string]string{
		"aws_sqs_queue.dead": s.DeadLetters(), "aws_sqs_queue.changes": s.Name, "aws_cloudwatch_log_group.function": s.LogGroup(), "aws_iam_role.function": s.Name,
	} {
		if got := get(address, "name"); got != wanted {
			t.Errorf("%s is called %s, want %s", address, got, wanted)
		}
	}
	rule := resources["aws_s3_bucket_notification.changes"].GetAttr("queue").Index(cty.Zero)
	var events []string
	for it := rule.GetAttr("events").ElementIterator(); it.Next(); {
		_, v := it.Element()
		events = append(events, v.AsString())
	}
	all := map[awssetup.Kind]awssetup.Seen{}
	for kind, properties := range seen {
		all[kind] = awssetup.Seen{Properties: properties, Bucket: get("aws_s3_bucket_notification.changes", "bucket")}
	}
	if r, ok := s.SeenRule([]awssetup.Rule{{
		ID: rule.GetAttr("id").AsString(), To: rule.GetAttr("queue_arn").AsString(), Events: events,
		Prefix: rule.GetAttr("filter_prefix").AsString(), Suffix: rule.GetAttr("filter_suffix").AsString(),
	}}); ok {
		all[awssetup.BucketRule] = r
	}
	return all
}

// applied are the module's resources for s, with what AWS would say in place of
// what only AWS knows.
func applied(t *testing.T, s awssetup.Site) (map[string]cty.Value, *hcl.EvalContext) {
	t.Helper()
	m := moduleIn(t, "")
	obj := func(pairs ...string) cty.Value {
		o := map[string]cty.Value{}
		for i := 0; i < len(pairs); i += 2 {
			o[pairs[i]] = cty.StringVal(pairs[i+1])
		}
		return cty.ObjectVal(o)
	}
	of := func(pairs ...any) cty.Value {
		o := map[string]cty.Value{}
		for i := 0; i < len(pairs); i += 2 {
			o[pairs[i].(string)] = pairs[i+1].(cty.Value)
		}
		return cty.ObjectVal(o)
	}
	policies := map[string]cty.Value{}
	inner := moduleIn(t, "policies")
	scope := inner.scope(t, variables(s), nil)
	inner.each("output", func(labels []string, body *hclsyntax.Body) {
		policies[labels[0]] = must(t)(body.Attributes["value"].Expr.Value(scope))
	})
	vars := map[string]cty.Value{
		"notification": cty.StringVal("own"), "zip": cty.StringVal("freshet.zip"), "prefix": cty.StringVal(s.Prefix), "suffix": cty.StringVal(s.Suffix),
		"concurrency": cty.NumberIntVal(int64(s.Concurrency)),
	}
	for name, v := range variables(s) {
		vars[name] = v
	}
	here := m.scope(t, vars, map[string]cty.Value{
		"module": of("policies", cty.ObjectVal(policies)),
		"data": of("aws_caller_identity", of("here", obj("account_id", s.Account)), "aws_partition", of("here", obj("partition", s.Partition)),
			"aws_region", of("here", obj("region", s.Region))),
		"aws_sqs_queue": of("dead", obj("arn", s.ARN("sqs", s.DeadLetters()), "name", s.DeadLetters(), "url", "u"),
			"changes", obj("arn", s.QueueARN(), "name", s.Name, "url", "u")),
		"aws_iam_role":        of("function", obj("arn", s.RoleARN(), "name", s.Name)),
		"aws_lambda_function": of("freshet", obj("arn", s.ARN("lambda", "function:"+s.Name), "function_name", s.Name)),
	})
	resources := map[string]cty.Value{}
	m.each("resource", func(labels []string, b *hclsyntax.Body) {
		if count := b.Attributes["count"]; count != nil && asText(t, must(t)(count.Expr.Value(here))) == "0" {
			return
		}
		resources[strings.Join(labels, ".")] = body(t, b, here)
	})
	m.each("module", func(_ []string, b *hclsyntax.Body) { // the policies are of what the module is told
		for name, want := range variables(s) {
			if got := must(t)(b.Attributes[name].Expr.Value(here)); fmt.Sprint(plain(t, got)) != fmt.Sprint(plain(t, want)) {
				t.Errorf("policies.%s is %#v, want %#v", name, got, want)
			}
		}
	})
	return resources, here
}

// TestTerraformKeepsOtherRules in the bucket's one set of them.
func TestTerraformKeepsOtherRules(t *testing.T) {
	m := moduleIn(t, "")
	resource := ""
	m.each("resource", func(labels []string, b *hclsyntax.Body) {
		if labels[0] != "aws_s3_bucket_notification" {
			return
		}
		null := cty.NullVal(cty.String)
		rule := func(id string, queue, topic, function cty.Value) cty.Value {
			return cty.ObjectVal(map[string]cty.Value{
				"id": cty.StringVal(id), "events": strs([]string{"s3:ObjectTagging:*"}), "queue_arn": queue, "topic_arn": topic,
				"lambda_function_arn": function, "filter_prefix": null, "filter_suffix": cty.StringVal(".csv"),
			})
		}
		_, here := applied(t, site(nil))
		child := here.NewChild()
		vars := here.Variables["var"].AsValueMap()
		vars["other_rules"] = cty.TupleVal([]cty.Value{
			rule("q", cty.StringVal("arn:q"), null, null), rule("t", null, cty.StringVal("arn:t"), null), rule("f", null, null, cty.StringVal("arn:f")),
		})
		child.Variables = map[string]cty.Value{"var": cty.ObjectVal(vars), "local": here.Variables["local"]}
		text, err := json.Marshal(plain(t, body(t, b, child)))
		if err != nil {
			t.Fatal(err)
		}
		resource = string(text)
	})
	for _, want := range []string{
		`{"events":["s3:ObjectTagging:*"],"filter_prefix":null,"filter_suffix":".csv","id":"q","queue_arn":"arn:q"}`,
		`"topic":[{"events":["s3:ObjectTagging:*"],"filter_prefix":null,"filter_suffix":".csv","id":"t","topic_arn":"arn:t"}]`,
		`"lambda_function":[{"events":["s3:ObjectTagging:*"],"filter_prefix":null,"filter_suffix":".csv","id":"f","lambda_function_arn":"arn:f"}]`,
		`"id":"freshet-freshet"`,
	} {
		if !strings.Contains(resource, want) {
			t.Errorf("%s\nhas no %s", resource, want)
		}
	}
}

// TestTerraformAlarmsAreTheTemplates, setting by setting.
func TestTerraformAlarmsAreTheTemplates(t *testing.T) {
	resources, _ := applied(t, site(nil))
	tpl, _ := parsed(t)
	want := alarmsOf(t, tpl, templateValues(site(nil)))
	got := map[string]map[string]string{}
	for address, r := range resources {
		if !strings.HasPrefix(address, "aws_cloudwatch_metric_alarm.") {
			continue
		}
		alarm := map[string]string{}
		for name, v := range r.AsValueMap() {
			switch name {
			case "alarm_name", "tags", "alarm_actions":
			case "dimensions":
				for d, value := range v.AsValueMap() {
					alarm["dimension "+d] = value.AsString()
				}
			default:
				alarm[strings.ReplaceAll(name, "_", "")] = asText(t, v)
			}
		}
		got[alarm["metricname"]] = alarm
	}
	sameAlarms(t, got, want)
}

func isAlarm(k awssetup.Kind) bool {
	return k == awssetup.DeadAlarm || k == awssetup.AgeAlarm || k == awssetup.LateAlarm
}

// TestTemplateHasTheAlarmsOfInstall, and two more.
func TestTemplateHasTheAlarmsOfInstall(t *testing.T) {
	s := site(nil)
	tpl, _ := parsed(t)
	all := alarmsOf(t, tpl, templateValues(s))
	want, err := s.Resources("")
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for _, w := range want {
		if !isAlarm(w.Kind) {
			continue
		}
		compared++
		p, is := w.Properties, all[w.Properties[awssetup.PropertyMetric]]
		for name, text := range map[string]string{
			"alarmdescription": p[awssetup.PropertyAbout], "namespace": p[awssetup.PropertyNamespace], "threshold": p[awssetup.PropertyThreshold],
			"dimension " + p[awssetup.PropertyDimension]: p[awssetup.PropertyOn], "period": strconv.Itoa(awssetup.AlarmSeconds),
		} {
			if is[name] != text {
				t.Errorf("%s: %s is %q, want %q", w.Name, name, is[name], text)
			}
		}
		if is["statistic"]+is["extendedstatistic"] != p[awssetup.PropertyStatistic] {
			t.Errorf("%s: %v, want %s", w.Name, is, p[awssetup.PropertyStatistic])
		}
	}
	if compared != 3 {
		t.Errorf("%d alarms", compared)
	}
}

func sameAlarms(t *testing.T, got, want map[string]map[string]string) {
	t.Helper()
	if len(got) != len(want) || len(want) < 5 {
		t.Errorf("%d alarms, want %d", len(got), len(want))
	}
	for metric, alarm := range want {
		if fmt.Sprint(got[metric]) != fmt.Sprint(alarm) {
			t.Errorf("%s: %v, want %v", metric, got[metric], alarm)
		}
	}
}

// alarmsOf are a template's alarms by their metrics, each setting as text.
func alarmsOf(t *testing.T, tpl template, values map[string]any) map[string]map[string]string {
	t.Helper()
	all := map[string]map[string]string{}
	for _, r := range tpl.Resources {
		if r.Type != "AWS::CloudWatch::Alarm" {
			continue
		}
		alarm := map[string]string{}
		for name, v := range evaluated(t, tpl, values, r.Properties).(map[string]any) {
			switch name {
			case "AlarmActions", "AlarmName", "Tags":
			case "Dimensions":
				for _, d := range v.([]any) {
					alarm["dimension "+fmt.Sprint(at(d, "Name"))] = fmt.Sprint(at(d, "Value"))
				}
			default:
				alarm[strings.ToLower(name)] = fmt.Sprint(v)
			}
		}
		all[alarm["metricname"]] = alarm
	}
	return all
}

// templateValues are the parameters with which the template makes s, and what AWS
// says of itself.
func templateValues(s awssetup.Site) map[string]any {
	v := map[string]any{
		"AWS::AccountId": s.Account, "AWS::Region": s.Region, "AWS::Partition": s.Partition, "AWS::URLSuffix": "amazonaws.com", "AWS::StackName": "stack",
		"Name": s.Name, "BucketName": s.Bucket, "CreateBucket": "yes", "Prefix": s.Prefix, "Suffix": s.Suffix,
		"CodeBucket": "code", "CodeKey": "zip", "Concurrency": strconv.Itoa(s.Concurrency), "CreateTable": "no", "AlarmTopic": "", "Architecture": s.Architecture,
		"LogRetention": "30", "FreshWithin": "60",
	}
	if len(s.Distributions) == 1 {
		v["DistributionId"] = s.Distributions[0]
	}
	if s.Table != "" {
		v["CreateTable"] = "yes"
	}
	return v
}

// written is a value as AWS has it: text as it is, everything else as JSON.
func written(t *testing.T, v any) string {
	t.Helper()
	if s, ok := v.(string); ok {
		return s
	}
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestTemplateMakesWhatInstallMakes, too; what it has no name for is given one.
func TestTemplateMakesWhatInstallMakes(t *testing.T) {
	for name, s := range variedSites() {
		if len(s.Distributions) != 1 || s.Config != "" || s.CodePipeline || s.CodeCommit != nil || strings.HasPrefix(s.Distributions[0], "dt_") || s.Prefix != "" {
			continue // the template has no parameters for these
		}
		tpl, _ := parsed(t)
		tpl.Resources["Role"].Properties["RoleName"] = s.Name
		if s.Table != "" {
			tpl.Resources["Table"].Properties["TableName"] = s.Table
		}
		seen := formed(t, s, tpl, templateValues(s))
		seen[awssetup.BucketRule], _ = s.SeenRule(rulesOf(t, s, tpl, templateValues(s)))
		nothingToChange(t, name, s, seen)
	}
}

// rulesOf are a template's notification rules, one for each event, put together as
// the one rule that they are.
func rulesOf(t *testing.T, s awssetup.Site, tpl template, values map[string]any) []awssetup.Rule {
	t.Helper()
	rule := awssetup.Rule{ID: s.RuleID()}
	for _, r := range tpl.Resources {
		if r.Type != "AWS::S3::Bucket" {
			continue
		}
		for _, q := range at(evaluated(t, tpl, values, r.Properties), "NotificationConfiguration", "QueueConfigurations").([]any) {
			rule.Events = append(rule.Events, at(q, "Event").(string))
			rule.To = at(q, "Queue").(string)
		}
	}
	return []awssetup.Rule{rule}
}
