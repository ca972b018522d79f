package awssetup_test

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/freshet/freshet/internal/awssetup"
)

func parsedJSON(t *testing.T, text string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return v
}

// policyTexts are what freshet aws policy prints, by the names of the outputs.
func policyTexts(t *testing.T, s awssetup.Site) map[string]string {
	t.Helper()
	return map[string]string{
		"role":  textOf(t, s.RolePolicy(), awssetup.RoleInline),
		"trust": textOf(t, s.TrustPolicy(), awssetup.AssumeRole),
		"queue": textOf(t, s.QueuePolicy(), awssetup.QueuePolicy),
	}
}

// TestTerraformPolicies: for every kind of site the module's policies say what
// those of freshet aws policy say.
func TestTerraformPolicies(t *testing.T) {
	m := moduleIn(t, "policies")
	for name, s := range variedSites() {
		here := m.scope(t, variables(s), nil)
		outputs := map[string]string{}
		m.each("output", func(labels []string, body *hclsyntax.Body) {
			outputs[labels[0]] = must(t)(body.Attributes["value"].Expr.Value(here)).AsString()
		})
		want := policyTexts(t, s)
		if len(outputs) != len(want) {
			t.Errorf("%d outputs, want %d", len(outputs), len(want))
		}
		for output, text := range want {
			if !reflect.DeepEqual(parsedJSON(t, outputs[output]), parsedJSON(t, text)) {
				t.Errorf("%s, %s:\n%s\nwant\n%s", name, output, outputs[output], text)
			}
			if !strings.HasPrefix(outputs[output], `{"Version":"2012-10-17","Statement":[`) {
				t.Errorf("%s, %s begins otherwise than IAM likes it: %s", name, output, outputs[output])
			}
		}
	}
}

// TestTerraformRefusesLongPolicies as awssetup does, to the character.
func TestTerraformRefusesLongPolicies(t *testing.T) {
	m := moduleIn(t, "policies")
	long := func(extra int) awssetup.Site {
		return site(func(s *awssetup.Site) {
			for i := range 120 {
				s.Distributions = append(s.Distributions, "E"+strings.Repeat(string(rune('A'+i%26)), 1+i/26))
			}
			s.Config = "ssm:" + strings.Repeat("c", extra)
		})
	}
	base := len(textOf(t, long(1).RolePolicy(), awssetup.RoleInline))
	for extra, want := range map[int]bool{1: true, 1 + 10240 - base: true, 2 + 10240 - base: false} {
		s := long(extra)
		if _, err := s.RolePolicy().Text(awssetup.RoleInline); (err == nil) != want {
			t.Fatalf("%d more characters: awssetup says %v", extra, err)
		}
		here := m.scope(t, variables(s), nil)
		m.each("output", func(labels []string, body *hclsyntax.Body) {
			if labels[0] == "role" {
				if got := must(t)(body.Blocks[0].Body.Attributes["condition"].Expr.Value(here)).True(); got != want {
					t.Errorf("%d more characters: Terraform says %v, want %v", extra, got, want)
				}
			}
		})
	}
}

// TestTerraformItself asks the program, where there is one, for the same. It is
// not among the programs that CI has.
func TestTerraformItself(t *testing.T) {
	program, err := exec.LookPath("terraform")
	if err != nil {
		t.Skip("terraform is not installed: the module is only evaluated with its libraries")
	}
	dir := t.TempDir()
	for _, part := range []string{"policies", filepath.Join("terraform", "policies")} {
		if err := os.CopyFS(filepath.Join(dir, part), os.DirFS(filepath.Join("..", "..", "deploy", part))); err != nil {
			t.Fatal(err)
		}
	}
	run := func(in string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), program, args...)
		cmd.Dir, cmd.Env = in, append(os.Environ(), "CHECKPOINT_DISABLE=1", "TF_IN_AUTOMATION=1", "TF_CLI_CONFIG_FILE=")
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("terraform %s: %v\n%s", args[0], err, out)
		}
		return string(out)
	}
	there, err := filepath.Abs(filepath.Join("..", "..", "deploy", "terraform"))
	if err != nil {
		t.Fatal(err)
	}
	run(there, "fmt", "-check", "-recursive")
	in := filepath.Join(dir, "terraform", "policies")
	run(in, "init", "-no-color")
	sites := variedSites()
	for _, name := range []string{"found", "everything"} {
		vars := map[string]any{}
		for k, v := range variables(sites[name]) {
			vars[k] = plain(t, v)
		}
		text, err := json.Marshal(vars)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(in, "terraform.tfvars.json"), text, 0o600); err != nil {
			t.Fatal(err)
		}
		run(in, "apply", "-auto-approve", "-no-color")
		var outputs map[string]struct{ Value string }
		if err := json.Unmarshal([]byte(run(in, "output", "-json")), &outputs); err != nil {
			t.Fatal(err)
		}
		for output, text := range policyTexts(t, sites[name]) {
			if !reflect.DeepEqual(parsedJSON(t, outputs[output].Value), parsedJSON(t, text)) {
				t.Errorf("%s, %s:\n%s\nwant\n%s", name, output, outputs[output].Value, text)
			}
		}
	}
}

// TestTerraformUsesNoOtherPolicies: a policy in the module is one of the three.
func TestTerraformUsesNoOtherPolicies(t *testing.T) {
	used := map[string]string{}
	moduleIn(t, "").each("resource", func(labels []string, body *hclsyntax.Body) {
		for name, a := range body.Attributes {
			if strings.Contains(name, "policy") && name != "redrive_policy" {
				used[strings.Join(labels, ".")+"."+name] = source(a.Expr)
			}
		}
		if strings.Contains(labels[0], "permission") || strings.Contains(labels[0], "attachment") {
			t.Errorf("%v allows something", labels)
		}
	})
	want := map[string]string{
		"aws_iam_role.function.assume_role_policy": "module.policies.trust",
		"aws_iam_role_policy.function.policy":      "module.policies.role",
		"aws_sqs_queue_policy.changes.policy":      "module.policies.queue",
	}
	if !reflect.DeepEqual(used, want) {
		t.Errorf("%v, want %v", used, want)
	}
}

// source is a reference as it is written.
func source(e hclsyntax.Expression) string {
	traversal, diags := hcl.AbsTraversalForExpr(e)
	if diags.HasErrors() {
		return "something else than a reference"
	}
	var names []string
	for _, step := range traversal {
		switch s := step.(type) {
		case hcl.TraverseRoot:
			names = append(names, s.Name)
		case hcl.TraverseAttr:
			names = append(names, s.Name)
		}
	}
	return strings.Join(names, ".")
}

// provider is what the provider's documentation says that there is: what may be
// written, and what may be read, of each resource and data source.
func provider(t *testing.T) (written, read map[string][]string) {
	t.Helper()
	file, err := os.Open(filepath.Join("testdata", "provider.txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	written, read = map[string][]string{}, map[string][]string{}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		kind, rest, ok := strings.Cut(lines.Text(), ":")
		if !ok || strings.HasPrefix(kind, "#") {
			continue
		}
		arguments, exports, _ := strings.Cut(rest, "|")
		written[kind] = strings.Fields(arguments)
		read[kind] = append(strings.Fields(exports), written[kind]...)
	}
	return written, read
}

// TestTerraformNamesExist: each resource, argument, block and attribute that the
// module and its example name is one that the provider documents.
func TestTerraformNamesExist(t *testing.T) {
	written, read := provider(t)
	metas := []string{"count", "depends_on", "for_each", "lifecycle", "provider"}
	for _, dir := range []string{"", "examples/site"} {
		m := moduleIn(t, dir)
		resources := 0
		for _, b := range m.blocks {
			if b.Type == "resource" || b.Type == "data" {
				resources++
				kind := b.Type + " " + b.Labels[0]
				if _, ok := written[kind]; !ok {
					t.Errorf("%s: no %s is known", dir, kind)
				}
				for _, name := range names(b.Body, "") {
					if !slices.Contains(written[kind], name) && !slices.Contains(metas, strings.Split(name, ".")[0]) {
						t.Errorf("%s: %s has no %s", dir, kind, name)
					}
				}
			}
			for _, v := range variablesIn(b.Body) {
				kind, attr := "resource "+v[0], 2
				if v[0] == "data" {
					kind, attr = "data "+v[1], 3
				}
				if strings.HasPrefix(v[0], "aws_") || v[0] == "data" {
					if len(v) > attr && !slices.Contains(read[kind], v[attr]) {
						t.Errorf("%s: %s has nothing called %s", dir, kind, v[attr])
					}
				}
			}
		}
		if resources < 5 {
			t.Errorf("%s: %d resources", dir, resources)
		}
	}
}

// names are those of a body's arguments and blocks, a block's own with a dot.
func names(b *hclsyntax.Body, below string) []string {
	var all []string
	for name := range b.Attributes {
		all = append(all, below+name)
	}
	for _, inner := range b.Blocks {
		name, body := inner.Type, inner.Body
		if inner.Type == "dynamic" {
			name, body = inner.Labels[0], inner.Body.Blocks[0].Body
		}
		all = append(append(all, below+name), names(body, below+name+".")...)
	}
	return all
}

// variablesIn are the references in a body, each as its names.
func variablesIn(b *hclsyntax.Body) [][]string {
	var all [][]string
	diags := hclsyntax.VisitAll(b, func(node hclsyntax.Node) hcl.Diagnostics {
		if e, ok := node.(*hclsyntax.ScopeTraversalExpr); ok {
			all = append(all, strings.Split(source(e), "."))
		}
		return nil
	})
	_ = diags // the visitor makes none
	return all
}

// TestTerraformValidatesAsCheckDoes: what Site.Check refuses, a variable's
// validation refuses, and the other way round.
func TestTerraformValidatesAsCheckDoes(t *testing.T) {
	m := moduleIn(t, "")
	checks := func(variable string, v cty.Value) bool {
		passes, seen := false, false
		m.each("variable", func(labels []string, body *hclsyntax.Body) {
			if labels[0] != variable {
				return
			}
			seen = true
			here := &hcl.EvalContext{Functions: m.functions(), Variables: map[string]cty.Value{"var": cty.ObjectVal(map[string]cty.Value{variable: v})}}
			passes = must(t)(body.Blocks[0].Body.Attributes["condition"].Expr.Value(here)).True()
		})
		if !seen {
			t.Errorf("no variable %s", variable)
		}
		return passes
	}
	text := func(variable string, set func(*awssetup.Site, string), values ...string) {
		for _, v := range values {
			value := cty.StringVal(v)
			if variable == "distributions" || variable == "repositories" {
				value = strs([]string{v})
			}
			err := site(func(s *awssetup.Site) { set(s, v) }).Check()
			if got := checks(variable, value); got != (err == nil) {
				t.Errorf("%s = %q: Terraform %v, awssetup %v", variable, v, got, err)
			}
		}
	}
	long := strings.Repeat("a", 65)
	text("name", func(s *awssetup.Site, v string) { s.Name = v }, "freshet", "a b", "a-b_C", long, long[:64])
	text("bucket", func(s *awssetup.Site, v string) { s.Bucket = v }, "www", "www.example.org", "Www", "w", "-ww", "", long[:63], long)
	text("distributions", func(s *awssetup.Site, v string) { s.Distributions = []string{v} }, "E2EXAMPLE1234", "dt_2a", "*", "E", "e2", "www.example.org")
	text("table", func(s *awssetup.Site, v string) { s.Table = v }, "", "quota", "q", "*", "a.b-c_d")
	text("repositories", func(s *awssetup.Site, v string) { s.CodeCommit = []string{v} }, "site", "*", "", "a.b", long, long+long)
	text("configuration", func(s *awssetup.Site, v string) { s.Config = v }, "", "freshet.yaml", "ssm:/freshet/site", "ssm:*", "ssm:", "s3://www", "s3://www/*", "s3://conf/freshet.yaml")
	text("prefix", func(s *awssetup.Site, v string) { s.Prefix = v }, "", "a/", strings.Repeat("a", 1024), strings.Repeat("a", 1025))
	text("suffix", func(s *awssetup.Site, v string) { s.Suffix = v }, "", ".html", strings.Repeat("a", 1025))
	for n, want := range map[float64]bool{1: true, 5: true, 0: false, -1: false, 1.5: false} {
		if checks("concurrency", cty.NumberFloatVal(n)) != want {
			t.Errorf("concurrency = %v is not %v", n, want)
		}
	}
	if !checks("concurrency", cty.NullVal(cty.Number)) || checks("notification", cty.StringVal("both")) || !checks("notification", cty.StringVal("own")) {
		t.Error("concurrency or notification")
	}
}
