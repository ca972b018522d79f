package awssetup_test

import (
	"maps"
	"strings"
	"testing"

	"github.com/freshet/freshet/internal/awssetup"
)

func build(change func(*awssetup.Build)) awssetup.Build {
	b := awssetup.Build{
		Bucket: "www", Distributions: []string{"E2EXAMPLE1234"}, Account: "123456789012", Partition: "aws",
		Repository: "me/site", Branch: "main",
	}
	if change != nil {
		change(&b)
	}
	return b
}

// allowed is each action with the resources on which p allows it.
func allowed(p awssetup.Policy) map[string]string {
	all := make(map[string]string)
	for _, st := range p.Statement {
		for _, a := range st.Action {
			all[a] += strings.Join(st.Resource, " ")
		}
	}
	return all
}

func TestDeployPolicyNeverGetsMore(t *testing.T) {
	const distribution = "arn:aws:cloudfront::123456789012:distribution/E2EXAMPLE1234"
	tests := []struct {
		name    string
		change  func(*awssetup.Build)
		objects string
		listed  string
		adds    map[string]string
	}{
		{"whole bucket", nil, "arn:aws:s3:::www/*", "", nil},
		{"below a prefix", func(b *awssetup.Build) { b.Prefix = "v2/site" }, "arn:aws:s3:::www/v2/site/*", "v2/site/*", nil},
		{"atomic", func(b *awssetup.Build) { b.Atomic = true }, "arn:aws:s3:::www/*", "", map[string]string{
			"cloudfront:GetDistributionConfig": distribution, "cloudfront:UpdateDistribution": distribution}},
	}
	for _, tt := range tests {
		p, err := build(tt.change).DeployPolicy()
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]string{
			"s3:ListBucket": "arn:aws:s3:::www", "s3:GetBucketNotification": "arn:aws:s3:::www", "s3:GetObject": tt.objects, "s3:PutObject": tt.objects, "s3:DeleteObject": tt.objects, "s3:AbortMultipartUpload": tt.objects,
			"cloudfront:CreateInvalidation": distribution, "cloudfront:GetInvalidation": distribution, "cloudfront:ListInvalidations": distribution,
			"cloudfront:GetDistribution": distribution, "cloudfront:GetCachePolicy": "arn:aws:cloudfront::123456789012:cache-policy/*",
		}
		for action, resource := range tt.adds {
			want[action] = resource
		}
		got := allowed(p)
		if len(got) != len(want) {
			t.Errorf("%s: %v, want %v", tt.name, got, want)
		}
		for action, resource := range want {
			if got[action] != resource {
				t.Errorf("%s: %s on %q, want %q", tt.name, action, got[action], resource)
			}
		}
		if listed := p.Statement[0].Condition["StringLikeIfExists"]["s3:prefix"]; listed != tt.listed {
			t.Errorf("%s: lists %q, want %q", tt.name, listed, tt.listed)
		}
	}
}

// TestDryRunOnlyReads: a pull request's jobs may say what would be done, and can do
// nothing.
func TestDryRunOnlyReads(t *testing.T) {
	p, err := build(func(b *awssetup.Build) { b.DryRun, b.Atomic, b.Distributions = true, true, []string{"E2EXAMPLE1234"} }).DeployPolicy()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"s3:ListBucket": "arn:aws:s3:::www", "s3:GetBucketNotification": "arn:aws:s3:::www", "s3:GetObject": "arn:aws:s3:::www/*", "cloudfront:GetDistribution": "arn:aws:cloudfront::123456789012:distribution/E2EXAMPLE1234",
		"cloudfront:GetCachePolicy": "arn:aws:cloudfront::123456789012:cache-policy/*",
	}
	if got := allowed(p); !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestTrustIsForOneRefOfOneRepository(t *testing.T) {
	const github, gitlab = "token.actions.githubusercontent.com", "gitlab.com"
	tests := []struct {
		name                   string
		trust                  func(awssetup.Build) (awssetup.Policy, error)
		change                 func(*awssetup.Build)
		issuer, audience, want string
		like                   bool
	}{
		{"branch", awssetup.Build.GitHubTrust, nil, github, "sts.amazonaws.com", "repo:me/site:ref:refs/heads/main", false},
		{"with numbers", awssetup.Build.GitHubTrust, func(b *awssetup.Build) { b.Repository = "me@12/site@345" }, github, "sts.amazonaws.com", "repo:me@12/site@345:ref:refs/heads/main", false},
		{"environment", awssetup.Build.GitHubTrust, func(b *awssetup.Build) { b.Branch, b.Environment = "", "production" }, github, "sts.amazonaws.com", "repo:me/site:environment:production", false},
		{"tag", awssetup.Build.GitHubTrust, func(b *awssetup.Build) { b.Branch, b.TagPattern = "", "v1" }, github, "sts.amazonaws.com", "repo:me/site:ref:refs/tags/v1", false},
		{"tags", awssetup.Build.GitHubTrust, func(b *awssetup.Build) { b.Branch, b.TagPattern = "", "v*" }, github, "sts.amazonaws.com", "repo:me/site:ref:refs/tags/v*", true},
		{"pull requests", awssetup.Build.GitHubTrust, func(b *awssetup.Build) { b.Branch, b.Requests = "", true }, github, "sts.amazonaws.com", "repo:me/site:pull_request", false},
		{"merge requests", awssetup.Build.GitLabTrust, func(b *awssetup.Build) { b.Branch, b.Requests = "", true }, gitlab, "https://gitlab.com", "project_path:me/site:ref_type:branch:ref:*", true},
		{"GitLab", awssetup.Build.GitLabTrust, func(b *awssetup.Build) { b.Repository = "us/sub/site" }, gitlab, "https://gitlab.com", "project_path:us/sub/site:ref_type:branch:ref:main", false},
		{"GitLab's tags", awssetup.Build.GitLabTrust, func(b *awssetup.Build) { b.Branch, b.TagPattern = "", "v*" }, gitlab, "https://gitlab.com", "project_path:me/site:ref_type:tag:ref:v*", true},
		{"GitLab of one's own", awssetup.Build.GitLabTrust, func(b *awssetup.Build) { b.Host = "git.example.org" }, "git.example.org", "https://git.example.org", "project_path:me/site:ref_type:branch:ref:main", false},
	}
	for _, tt := range tests {
		p, err := tt.trust(build(tt.change))
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		st := p.Statement[0]
		kind := "StringEquals"
		if tt.like {
			kind = "StringLike"
		}
		conditions := 0
		for _, c := range st.Condition {
			conditions += len(c)
		}
		if len(p.Statement) != 1 || conditions != 2 || st.Condition["StringEquals"][tt.issuer+":aud"] != tt.audience || st.Condition[kind][tt.issuer+":sub"] != tt.want ||
			st.Principal["Federated"] != "arn:aws:iam::123456789012:oidc-provider/"+tt.issuer || strings.Join(st.Action, "") != "sts:AssumeRoleWithWebIdentity" {
			t.Errorf("%s: %+v", tt.name, p)
		}
		if text := textOf(t, p, awssetup.AssumeRole); !strings.HasPrefix(text, `{"Version":"2012-10-17","Statement":[{"Sid":"`) {
			t.Error(text)
		}
	}
}

// TestBuildsThatCannotBe: above all, those that would let more in than was meant.
func TestBuildsThatCannotBe(t *testing.T) {
	tests := []struct {
		make   func(awssetup.Build) (awssetup.Policy, error)
		change func(*awssetup.Build)
		want   string
	}{
		{awssetup.Build.DeployPolicy, func(b *awssetup.Build) { b.Bucket = "*" }, "bucket"},
		{awssetup.Build.DeployPolicy, func(b *awssetup.Build) { b.Prefix = "a*" }, "prefix"},
		{awssetup.Build.DeployPolicy, func(b *awssetup.Build) { b.Prefix = "a/" }, "prefix"},
		{awssetup.Build.DeployPolicy, func(b *awssetup.Build) { b.Prefix = "a${aws:username}" }, "prefix"},
		{awssetup.Build.DeployPolicy, func(b *awssetup.Build) { b.Distributions = []string{"*"} }, "distribution"},
		{awssetup.Build.DeployPolicy, func(b *awssetup.Build) { b.Atomic, b.Distributions = true, nil }, "distribution"},
		{awssetup.Build.DeployPolicy, func(b *awssetup.Build) { b.Atomic, b.Distributions = true, []string{"dt_1a"} }, "tenant"},
		{awssetup.Build.DeployPolicy, func(b *awssetup.Build) { b.Account = "12" }, "account"},
		{awssetup.Build.GitHubTrust, func(b *awssetup.Build) { b.Repository = "me/*" }, "repository"},
		{awssetup.Build.GitHubTrust, func(b *awssetup.Build) { b.Repository = "site" }, "repository"},
		{awssetup.Build.GitHubTrust, func(b *awssetup.Build) { b.Repository = "me/site:ref" }, "repository"},
		{awssetup.Build.GitHubTrust, func(b *awssetup.Build) { b.Branch = "" }, "exactly one"},
		{awssetup.Build.GitHubTrust, func(b *awssetup.Build) { b.Environment = "production" }, "exactly one"},
		{awssetup.Build.GitHubTrust, func(b *awssetup.Build) { b.Requests = true }, "exactly one"},
		{awssetup.Build.GitHubTrust, func(b *awssetup.Build) { b.Branch = "release/*" }, "branch"},
		{awssetup.Build.GitHubTrust, func(b *awssetup.Build) { b.Branch, b.Environment = "", "a:ref:b" }, "environment"},
		{awssetup.Build.GitLabTrust, func(b *awssetup.Build) { b.Branch, b.Environment = "", "production" }, "environment"},
		{awssetup.Build.GitLabTrust, func(b *awssetup.Build) { b.Repository = "me" }, "repository"},
		{awssetup.Build.GitLabTrust, func(b *awssetup.Build) { b.Host = "https://x" }, "host"},
		{awssetup.Build.GitLabTrust, func(b *awssetup.Build) { b.Partition = "" }, "partition"},
	}
	for _, tt := range tests {
		if p, err := tt.make(build(tt.change)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v %+v", tt.want, err, p)
		}
	}
}

func TestDeployPoliciesThatAreTooLongAreRefused(t *testing.T) {
	b := build(func(b *awssetup.Build) {
		for i := range 300 {
			b.Distributions = append(b.Distributions, "E"+strings.Repeat(string(rune('A'+i%26)), 1+i/26))
		}
	})
	p, err := b.DeployPolicy()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Text(awssetup.RoleInline); err == nil {
		t.Error("a policy for 300 distributions is taken")
	}
}
