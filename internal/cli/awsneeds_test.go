package cli

import (
	"archive/zip"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/freshet/freshet/internal/awssetup"
)

const asksForMuch = `distributions: [E2EXAMPLE1234]
quota_table: freshet-quota
wait_for:
  - lambda render updated within 30s
  - lambda arn:aws:lambda:us-east-1:123456789012:function:edge:live updated
  - distribution E9 deployed
  - origin s3://conf/a/b.txt etag abc
  - origin https://www.example.org/ etag abc
  - url https://www.example.org/ matches ok
on:
  - {stack: site, invalidate: ["/*"]}
  - {function: "render:live", distribution: E3, invalidate: ["/pages/*"]}
codecommit:
  - {repository: pages, bucket: site}
`

func TestNeedsOfADocument(t *testing.T) {
	// E9 is too short for a distribution that a fact names.
	got, err := needsOf([]byte(strings.ReplaceAll(asksForMuch, "E9", "E9EXAMPLE1234")))
	want := awssetup.Needs{
		Distributions: []string{"E2EXAMPLE1234"}, Reached: []string{"E3"}, Table: "freshet-quota", Repositories: []string{"pages"},
		Waited: []string{"E9EXAMPLE1234"}, Functions: []string{"render"}, Aliased: []string{"arn:aws:lambda:us-east-1:123456789012:function:edge"},
		Deployed: []string{"render"}, Objects: []string{"conf/a/b.txt"},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, err := needsOf(nil); err != nil || !reflect.DeepEqual(got, awssetup.Needs{}) {
		t.Errorf("nothing needs %+v, %v", got, err)
	}
	if _, err := needsOf([]byte(asksForMuch)); err == nil || !strings.Contains(err.Error(), "E9") {
		t.Errorf("a broken document: %v", err)
	}
	for name, want := range map[string]string{"a": "a", "a:live": "a", "arn:aws:lambda:r:1:function:a:3": "arn:aws:lambda:r:1:function:a", "1:function:a": "1:function:a"} {
		if got := withoutQualifier(name); got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// TestInstallAllowsWhatTheDocumentNeeds: wherever the document is, what it waits
// for may be read; what is installed again without it keeps that.
func TestInstallAllowsWhatTheDocumentNeeds(t *testing.T) {
	cfg := moto(t)
	someAccount(t, cfg)
	run := func(code int, args string) string {
		t.Helper()
		var out, err strings.Builder
		if got := Main(t.Context(), strings.Fields("aws "+args), strings.NewReader("n\n"), &out, &err); got != code {
			t.Errorf("%s: exit code %d\n%s%s", args, got, out.String(), err.String())
		}
		return out.String() + err.String()
	}
	allowed := func(action, resource string) bool {
		t.Helper()
		role, err := iam.NewFromConfig(cfg).GetRolePolicy(t.Context(), &iam.GetRolePolicyInput{RoleName: aws.String("freshet"), PolicyName: aws.String("freshet")})
		if err != nil {
			t.Fatal(err)
		}
		text, err := url.PathUnescape(*role.PolicyDocument)
		if err != nil {
			t.Fatal(err)
		}
		statements := strings.Split(text, `"Sid"`)
		return slices.ContainsFunc(statements, func(s string) bool {
			return strings.Contains(s, `"`+action+`"`) && strings.Contains(s, `"`+resource+`"`)
		})
	}
	parameter := func(text string) {
		t.Helper()
		_, err := ssm.NewFromConfig(cfg).PutParameter(t.Context(), &ssm.PutParameterInput{Name: aws.String("/freshet/site"), Type: types.ParameterTypeString, Overwrite: aws.Bool(true), Value: &text})
		if err != nil {
			t.Fatal(err)
		}
	}
	const (
		render = "arn:aws:lambda:eu-west-1:123456789012:function:render"
		site   = "install --yes --bucket www --prefix site/ --distribution E2EXAMPLE1234 "
	)
	if said := run(0, site+"--function-config ssm:/freshet/site --zip "+zipped(t, "one")); !strings.Contains(said, "--document") {
		t.Errorf("a parameter that is not there yet: %s", said)
	}
	if allowed("lambda:GetFunctionConfiguration", render) {
		t.Error("what nobody waits for is allowed")
	}
	parameter("wait_for: [lambda render updated within 30s]")
	if said := run(0, site+"--function-config ssm:/freshet/site"); !strings.Contains(said, "role") || !allowed("lambda:GetFunctionConfiguration", render) {
		t.Errorf("a parameter that waits: %s", said)
	}
	run(0, "status --bucket www")
	parameter("wait_for: [")
	if said := run(2, site+"--function-config ssm:/freshet/site"); !strings.Contains(said, "ssm:/freshet/site: read the configuration") {
		t.Errorf("a broken parameter: %s", said)
	}

	file := filepath.Join(t.TempDir(), "site.yaml")
	if err := os.WriteFile(file, []byte("on: [{function: deployed, distribution: E3, invalidate: [/x]}]"), 0o600); err != nil {
		t.Fatal(err)
	}
	run(0, site+"--function-config ssm:/freshet/site --document "+file)
	if allowed("lambda:GetFunctionConfiguration", render) || !allowed("lambda:GetFunction", "arn:aws:lambda:eu-west-1:123456789012:function:deployed") || !allowed("cloudfront:CreateInvalidation", "arn:aws:cloudfront::123456789012:distribution/E3") {
		t.Error("another document is not what the role is for")
	}
	run(0, "status --bucket www")

	inside := zippedWith(t, map[string]string{"bootstrap": "two", "freshet.yaml": "wait_for: [distribution E9EXAMPLE1234 deployed]"})
	run(0, site+"--zip "+inside)
	run(0, site) // again, without the zip
	if !allowed("cloudfront:GetDistribution", "arn:aws:cloudfront::123456789012:distribution/E9EXAMPLE1234") || allowed("lambda:GetFunction", "arn:aws:lambda:eu-west-1:123456789012:function:deployed") {
		t.Error("the document in the zip is not what the role is for")
	}
	if said := run(2, site+"--zip "+inside+" --function-config other.yaml"); !strings.Contains(said, "the zip has no other.yaml") {
		t.Errorf("a file that is not in the zip: %s", said)
	}
	run(0, site+"--codepipeline --repository pages")
	run(0, "status --bucket www") // without saying so again
}

func zippedWith(t *testing.T, files map[string]string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "code.zip")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := zip.NewWriter(f)
	for name, text := range files {
		inside, err := w.Create(name)
		if err == nil {
			_, err = inside.Write([]byte(text))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return file
}
