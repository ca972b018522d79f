package awssetup_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/freshet/freshet/internal/awssetup"
)

type synthesised struct {
	Errors   []string
	Template template
}

// constructed are the templates that the CDK makes of sites, or what the construct
// says is wrong with them. It takes Node.js and what npm installs, which make
// test-cdk sees to.
func constructed(t *testing.T, sites map[string]map[string]any) map[string]synthesised {
	t.Helper()
	dir := filepath.Join("..", "..", "deploy", "cdk")
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "aws-cdk-lib")); err != nil {
		if os.Getenv("FRESHET_CDK") != "" {
			t.Fatal(err)
		}
		t.Skip("deploy/cdk/node_modules is not there: make test-cdk installs it, and then the CDK construct is held against the template")
	}
	run := func(stdin []byte, program string, args ...string) []byte {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), program, args...)
		zip := filepath.Join(t.TempDir(), "freshet.zip")
		if err := os.WriteFile(zip, []byte("zip"), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd.Dir, cmd.Stdin, cmd.Env = dir, bytes.NewReader(stdin), append(os.Environ(), "FRESHET_ZIP="+zip, "CDK_OUTDIR="+t.TempDir())
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s %q: %v\n%s%s", program, args, err, out, stderr.String())
		}
		return out
	}
	run(nil, filepath.Join("node_modules", ".bin", "tsc"))
	in, err := json.Marshal(sites)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]synthesised
	if err := json.Unmarshal(run(in, "node", filepath.Join("dist", "test", "synth.js")), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// props are a site's for the construct.
func props(s awssetup.Site, imported bool) map[string]any {
	p := map[string]any{"name": s.Name, "distributions": s.Distributions, "codePipeline": s.CodePipeline, "repositories": s.CodeCommit, "concurrency": s.Concurrency}
	for name, v := range map[string]string{"table": s.Table, "configuration": s.Config, "prefix": s.Prefix, "suffix": s.Suffix} {
		if v != "" {
			p[name] = v
		}
	}
	return map[string]any{"bucket": s.Bucket, "imported": imported, "props": p, "topic": "arn:aws:sns:eu-west-1:123456789012:alarms"}
}

// TestConstruct makes what install makes, of buckets of the stack's own and of
// others, and refuses what awssetup refuses.
func TestConstruct(t *testing.T) {
	good, bad := map[string]awssetup.Site{}, map[string]awssetup.Site{
		"name":          site(func(s *awssetup.Site) { s.Name = "a b" }),
		"table":         site(func(s *awssetup.Site) { s.Table = "*" }),
		"distribution":  site(func(s *awssetup.Site) { s.Distributions = []string{"www.example.org"} }),
		"repository":    site(func(s *awssetup.Site) { s.CodeCommit = []string{"*"} }),
		"concurrency":   site(func(s *awssetup.Site) { s.Concurrency = 2 }),
		"configuration": site(func(s *awssetup.Site) { s.Config = "ssm:*" }),
	}
	in := map[string]map[string]any{}
	for name, s := range variedSites() {
		if s.Prefix != "" { // the construct takes it as S3 spells it
			s.Prefix = "a/"
		}
		good["of "+name], good["of "+name+", imported"] = s, s
		in["of "+name], in["of "+name+", imported"] = props(s, false), props(s, true)
	}
	for word, s := range bad {
		if s.Check() == nil {
			t.Fatalf("%s: awssetup takes it", word)
		}
		in[word] = props(s, false)
	}
	out := constructed(t, in)
	for id, s := range good {
		if len(out[id].Errors) > 0 {
			t.Errorf("%s: %q", id, out[id].Errors)
			continue
		}
		constructMakes(t, id, s, out[id].Template)
	}
	for word := range bad {
		if errs := out[word].Errors; len(errs) != 1 || !strings.HasPrefix(errs[0], word) {
			t.Errorf("%s: %q", word, errs)
		}
	}
}

// constructMakes compares a stack with install and with the template's alarms.
// What the CDK makes of its own for a bucket's rules is not the construct's.
func constructMakes(t *testing.T, id string, s awssetup.Site, tpl template) {
	t.Helper()
	own, values := tpl, templateValues(s)
	own.Resources = map[string]resource{}
	for logical, r := range tpl.Resources {
		if strings.HasPrefix(logical, "Freshet") || r.Type == "AWS::S3::Bucket" {
			own.Resources[logical] = r
		}
	}
	seen := formed(t, s, own, values)
	seen[awssetup.BucketRule], _ = s.SeenRule(customRules(t, s, tpl, values))
	nothingToChange(t, id, s, seen)
	want, _ := parsed(t)
	sameAlarms(t, alarmsOf(t, own, values), alarmsOf(t, want, values))
	for logical, r := range own.Resources {
		if slices.Contains([]string{"AWS::IAM::Policy", "AWS::IAM::ManagedPolicy", "AWS::Lambda::Permission"}, r.Type) {
			t.Errorf("%s: %s allows something", id, logical)
		}
		if r.Type == "AWS::CloudWatch::Alarm" && at(r.Properties, "AlarmActions") == nil {
			t.Errorf("%s: %s tells nobody", id, logical)
		}
		if r.Type == "AWS::Lambda::Function" && !waitsFor(tpl, r, "AWS::Logs::LogGroup") {
			t.Errorf("%s: the function does not wait for its log group: %q", id, r.DependsOn)
		}
	}
}

func waitsFor(tpl template, r resource, kind string) bool {
	return slices.ContainsFunc(r.DependsOn, func(d string) bool { return tpl.Resources[d].Type == kind })
}

// customRules are those of the resource with which the CDK sets a bucket's rules.
func customRules(t *testing.T, s awssetup.Site, tpl template, values map[string]any) []awssetup.Rule {
	t.Helper()
	rule := awssetup.Rule{ID: s.RuleID()}
	for _, r := range tpl.Resources {
		if r.Type != "Custom::S3BucketNotifications" {
			continue
		}
		if !waitsFor(tpl, r, "AWS::SQS::QueuePolicy") {
			t.Errorf("the rule does not wait for the queue's policy: %q", r.DependsOn)
		}
		p := evaluated(t, tpl, values, r.Properties)
		if at(p, "BucketName") != s.Bucket {
			t.Errorf("rules of %v", at(p, "BucketName"))
		}
		for _, q := range at(p, "NotificationConfiguration", "QueueConfigurations").([]any) {
			for _, e := range at(q, "Events").([]any) {
				rule.Events = append(rule.Events, e.(string))
			}
			rule.To = at(q, "QueueArn").(string)
			rule.Prefix, rule.Suffix = "", ""
			filters, _ := at(q, "Filter", "Key", "FilterRules").([]any)
			for _, f := range filters {
				switch at(f, "Name") {
				case "prefix":
					rule.Prefix = at(f, "Value").(string)
				case "suffix":
					rule.Suffix = at(f, "Value").(string)
				}
			}
		}
	}
	return []awssetup.Rule{rule}
}
