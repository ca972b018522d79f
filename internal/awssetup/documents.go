package awssetup

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
)

// worded is a site whose words are placeholders, as templatefile of Terraform
// reads them. What a site may have several of, each statement has once, as ${of}.
var worded = Site{
	Name: "${name}", Bucket: "${bucket}", Account: "${account}", Region: "${region}", Partition: "${partition}",
	Table: "${table}", CodePipeline: true, CodeCommit: []string{of},
}

const of = "${of}"

// Parts are the statements of the role's policy, in their order, by the names of
// their documents. Whoever puts the policy together takes those that apply; one
// with ${of} it takes for each, and has the resources in one statement.
func Parts() []string {
	return []string{
		"invalidate", "invalidate-tenants", "tenants-distributions", "cache-policies", "find-distributions", "log", "queue-source",
		"quota", "configuration-ssm", "configuration-s3", "pipeline", "repository",
	}
}

// Documents are the policies as JSON with placeholders, by file name: the role's
// in parts, and those that are one document each. Terraform and the CDK construct
// read these, so that there is one place where it is said what is allowed.
func Documents() (map[string][]byte, error) {
	files := make(map[string][]byte)
	for name, p := range maps.Collect(documents) {
		text, err := json.Marshal(p)
		if err != nil {
			return nil, fmt.Errorf("write the policy %s: %w", name, err)
		}
		var out bytes.Buffer
		if err := json.Indent(&out, text, "", "  "); err != nil {
			return nil, fmt.Errorf("write the policy %s: %w", name, err)
		}
		out.WriteByte('\n')
		files[name+".json"] = out.Bytes()
	}
	return files, nil
}

func documents(yield func(string, Policy) bool) {
	statements := make(map[string]Statement)
	note := func(s Site, names map[string]string) {
		for _, st := range s.RolePolicy().Statement {
			if name := names[st.Sid]; name != "" {
				statements[name] = st
			}
		}
	}
	note(worded, map[string]string{
		"CachePolicies": "cache-policies", "FindDistributions": "find-distributions", "Log": "log", "Queue": "queue-source",
		"Quota": "quota", "Pipeline": "pipeline", "Repository": "repository",
	})
	note(worded.with(func(s *Site) { s.Distributions = []string{of} }), map[string]string{"Invalidate": "invalidate"})
	note(worded.with(func(s *Site) { s.Distributions = []string{tenantPrefix + of} }), map[string]string{"InvalidateTenants": "invalidate-tenants", "TenantsDistributions": "tenants-distributions"})
	note(worded.with(func(s *Site) { s.Config = "ssm:" + of }), map[string]string{"Configuration": "configuration-ssm"})
	note(worded.with(func(s *Site) { s.Config = "s3://" + of }), map[string]string{"Configuration": "configuration-s3"})
	for _, name := range Parts() {
		st := statements[name]
		for i, r := range st.Resource {
			st.Resource[i] = strings.Replace(r, tenantPrefix+of, of, 1)
		}
		if !yield(name, policy(st)) {
			return
		}
	}
	_ = yield("trust", worded.TrustPolicy()) && yield("queue", worded.QueuePolicy()) && yield("invoke", worded.InvokePolicy())
}

func (s Site) with(change func(*Site)) Site {
	change(&s)
	return s
}
