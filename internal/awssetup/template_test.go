package awssetup_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/freshet/freshet/internal/awssetup"
)

type resource struct {
	Type, Condition, DeletionPolicy string
	DependsOn                       []string
	Properties                      map[string]any
}

type template struct {
	Parameters map[string]map[string]any
	Conditions map[string]any
	Resources  map[string]resource
	Outputs    map[string]struct{ Value any }
}

func parsed(t *testing.T) (template, []byte) {
	t.Helper()
	text, err := awssetup.Template()
	if err != nil {
		t.Fatal(err)
	}
	var tpl template
	if err := json.Unmarshal(text, &tpl); err != nil {
		t.Fatal(err)
	}
	return tpl, text
}

// at is what stands at a path of names below v.
func at(v any, path ...string) any {
	for _, name := range path {
		switch x := v.(type) {
		case map[string]any:
			v = x[name]
		case []any:
			v = x[0].(map[string]any)[name]
		default:
			return nil
		}
	}
	return v
}

func TestEveryReferenceLeadsSomewhere(t *testing.T) {
	tpl, _ := parsed(t)
	known := func(name string) bool {
		_, isResource := tpl.Resources[name]
		_, isParameter := tpl.Parameters[name]
		return isResource || isParameter || strings.HasPrefix(name, "AWS::")
	}
	seen := 0
	var walk func(v any)
	walk = func(v any) {
		switch x := v.(type) {
		case []any:
			for _, e := range x {
				walk(e)
			}
		case map[string]any:
			for k, e := range x {
				switch k {
				case "Ref":
					seen++
					if !known(e.(string)) {
						t.Errorf("Ref %v", e)
					}
				case "Fn::GetAtt":
					seen++
					if _, ok := tpl.Resources[e.([]any)[0].(string)]; !ok {
						t.Errorf("GetAtt %v", e)
					}
				case "Fn::If":
					if _, ok := tpl.Conditions[e.([]any)[0].(string)]; !ok {
						t.Errorf("If %v", e)
					}
				case "Fn::Sub":
					for _, part := range strings.Split(e.(string), "${")[1:] {
						seen++
						if name, _, ok := strings.Cut(part, "}"); !ok || !known(name) {
							t.Errorf("Sub %v", e)
						}
					}
				}
				walk(e)
			}
		case string:
		}
	}
	for _, r := range tpl.Resources {
		walk(r.Properties)
		for _, d := range r.DependsOn {
			if !known(d) {
				t.Errorf("DependsOn %s", d)
			}
		}
		if _, ok := tpl.Conditions[r.Condition]; r.Condition != "" && !ok {
			t.Errorf("Condition %s", r.Condition)
		}
	}
	if seen < 20 {
		t.Errorf("%d references", seen)
	}
}

func TestTemplate(t *testing.T) {
	tpl, text := parsed(t)
	p := func(name string, path ...string) any { return at(tpl.Resources[name].Properties, path...) }
	timeout, visibility := p("Function", "Timeout").(float64), p("Queue", "VisibilityTimeout").(float64)
	if visibility < 6*timeout {
		t.Errorf("visibility %v, timeout %v", visibility, timeout)
	}
	if n := p("Queue", "RedrivePolicy", "maxReceiveCount").(float64); n < 5 {
		t.Errorf("%v receives", n)
	}
	for name, want := range map[string]any{
		"DeadLetters MessageRetentionPeriod":                        float64(1209600),
		"DeadLetters SqsManagedSseEnabled":                          true,
		"Queue SqsManagedSseEnabled":                                true,
		"Queue RedrivePolicy.deadLetterTargetArn":                   map[string]any{"Fn::GetAtt": []any{"DeadLetters", "Arn"}},
		"Function Runtime":                                          "provided.al2023",
		"Function Handler":                                          "bootstrap",
		"Function Architectures":                                    []any{map[string]any{"Ref": "Architecture"}},
		"Function ReservedConcurrentExecutions":                     map[string]any{"Ref": "Concurrency"},
		"Source FunctionResponseTypes":                              []any{"ReportBatchItemFailures"},
		"Logs RetentionInDays":                                      map[string]any{"Ref": "LogRetention"},
		"Table BillingMode":                                         "PAY_PER_REQUEST",
		"Table KeySchema.AttributeName":                             "id",
		"Table AttributeDefinitions.AttributeType":                  "S",
		"DeadLetterAlarm MetricName":                                "ApproximateNumberOfMessagesVisible",
		"DeadLetterAlarm Dimensions.Value":                          map[string]any{"Fn::GetAtt": []any{"DeadLetters", "QueueName"}},
		"FreshAlarm MetricName":                                     "FreshWithin",
		"AgeAlarm MetricName":                                       "ApproximateAgeOfOldestMessage",
		"AgeAlarm Threshold":                                        map[string]any{"Ref": "FreshWithin"},
		"AcceptedAlarm MetricName":                                  "AcceptedWithin",
		"FailedAlarm Namespace":                                     "freshet",
		"AcceptedAlarm Dimensions.Name":                             "FunctionName",
		"QueuePolicy PolicyDocument.Version":                        "2012-10-17",
		"Role AssumeRolePolicyDocument.Statement.Principal.Service": "lambda.amazonaws.com",
		"QueuePolicy PolicyDocument.Statement.Condition.StringEquals.aws:SourceAccount": map[string]any{"Fn::Sub": "${AWS::AccountId}"},
		"QueuePolicy PolicyDocument.Statement.Condition.ArnLike.aws:SourceArn":          map[string]any{"Fn::Sub": "arn:${AWS::Partition}:s3:::${BucketName}"},
	} {
		resource, path, _ := strings.Cut(name, " ")
		got, _ := json.Marshal(p(resource, strings.Split(path, ".")...))
		if wanted, _ := json.Marshal(want); string(got) != string(wanted) {
			t.Errorf("%s: %s, want %s", name, got, wanted)
		}
	}
	if b := tpl.Resources["Bucket"]; b.Condition == "" || b.DeletionPolicy != "Retain" || len(b.DependsOn) == 0 || b.DependsOn[0] != "QueuePolicy" {
		t.Errorf("bucket: %+v", b)
	}
	if out, _ := json.Marshal(tpl.Outputs["NextStep"].Value); !strings.Contains(string(out), "--only-notifications") {
		t.Errorf("next step: %s", out)
	}
	if len(text) > 51200 { // what can be sent without a bucket
		t.Errorf("%d bytes", len(text))
	}
}

// TestTemplatePoliciesAreThose that freshet aws policy prints.
func TestTemplatePoliciesAreThose(t *testing.T) {
	tpl, _ := parsed(t)
	fill := strings.NewReplacer("${AWS::Partition}", "aws", "${AWS::AccountId}", "123456789012", "${AWS::Region}", "eu-west-1",
		"${Name}", "freshet", "${BucketName}", "www", "${DistributionId}", "E2EXAMPLE1234", "${Table}", "quota")
	flat := func(v any) string {
		var walk func(v any) any
		walk = func(v any) any {
			switch x := v.(type) {
			case map[string]any:
				if sub, ok := x["Fn::Sub"]; ok {
					return fill.Replace(sub.(string))
				}
				for k, e := range x {
					x[k] = walk(e)
				}
			case []any:
				for i, e := range x {
					x[i] = walk(e)
				}
			}
			return v
		}
		text, _ := json.Marshal(walk(v))
		return string(text)
	}
	s := site(func(s *awssetup.Site) { s.Table = "quota" })
	for resource, want := range map[string]struct {
		policy awssetup.Policy
		path   []string
	}{
		"Role":        {site(nil).RolePolicy(), []string{"Policies", "PolicyDocument"}},
		"TablePolicy": {s.TablePolicy(), []string{"PolicyDocument"}},
		"QueuePolicy": {s.QueuePolicy(), []string{"PolicyDocument"}},
	} {
		var wanted any
		if err := json.Unmarshal([]byte(textOf(t, want.policy, awssetup.RoleInline)), &wanted); err != nil {
			t.Fatal(err)
		}
		canonical, _ := json.Marshal(wanted)
		if got := flat(at(tpl.Resources[resource].Properties, want.path...)); got != string(canonical) {
			t.Errorf("%s: %s, want %s", resource, got, canonical)
		}
	}
}

// TestTemplatePassesCfnLint asks the linter that knows each resource's schema and
// the actions of each service. It is not among the programs that CI has.
func TestTemplatePassesCfnLint(t *testing.T) {
	linter, err := exec.LookPath("cfn-lint")
	if err != nil || exec.Command(linter, "--version").Run() != nil {
		t.Skip("cfn-lint is not installed: the template is held only against our own assertions")
	}
	_, text := parsed(t)
	file := filepath.Join(t.TempDir(), "freshet.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(linter, "--regions", "eu-west-1", "--", file).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
