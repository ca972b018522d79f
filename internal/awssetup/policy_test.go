package awssetup_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/freshet/freshet/internal/awssetup"
)

func site(change func(*awssetup.Site)) awssetup.Site {
	s := awssetup.Site{Bucket: "www", Distributions: []string{"E2EXAMPLE1234"}, Account: "123456789012", Region: "eu-west-1"}
	if change != nil {
		change(&s)
	}
	return s.WithDefaults()
}

func textOf(t *testing.T, p awssetup.Policy, limit awssetup.Limit) string {
	t.Helper()
	text, err := p.Text(limit)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestRoleNeverGetsMore: each option adds its own statements, and nothing is
// allowed on everything unless AWS offers nothing narrower.
func TestRoleNeverGetsMore(t *testing.T) {
	tests := []struct {
		name   string
		change func(*awssetup.Site)
		adds   map[string]string // action to resource
	}{
		{"plain", nil, nil},
		{"table", func(s *awssetup.Site) { s.Table = "quota" }, map[string]string{
			"dynamodb:GetItem": "arn:aws:dynamodb:eu-west-1:123456789012:table/quota", "dynamodb:PutItem": "arn:aws:dynamodb:eu-west-1:123456789012:table/quota"}},
		{"parameter", func(s *awssetup.Site) { s.Config = "ssm:/freshet/site" }, map[string]string{"ssm:GetParameter": "arn:aws:ssm:eu-west-1:123456789012:parameter/freshet/site"}},
		{"object", func(s *awssetup.Site) { s.Config = "s3://conf/freshet.yaml" }, map[string]string{"s3:GetObject": "arn:aws:s3:::conf/freshet.yaml"}},
		{"file in the zip", func(s *awssetup.Site) { s.Config = "freshet.yaml" }, nil},
		{"pipeline", func(s *awssetup.Site) { s.CodePipeline = true }, map[string]string{"codepipeline:PutJobSuccessResult": "*", "codepipeline:PutJobFailureResult": "*"}},
		{"repository", func(s *awssetup.Site) { s.CodeCommit = []string{"site"} }, map[string]string{
			"codecommit:GetBranch": "arn:aws:codecommit:eu-west-1:123456789012:site", "codecommit:GetCommit": "arn:aws:codecommit:eu-west-1:123456789012:site", "codecommit:GetDifferences": "arn:aws:codecommit:eu-west-1:123456789012:site",
		}},
	}
	for _, tt := range tests {
		want := map[string]string{
			"cloudfront:CreateInvalidation": "arn:aws:cloudfront::123456789012:distribution/E2EXAMPLE1234",
			"cloudfront:GetInvalidation":    "arn:aws:cloudfront::123456789012:distribution/E2EXAMPLE1234",
			"cloudfront:ListInvalidations":  "arn:aws:cloudfront::123456789012:distribution/E2EXAMPLE1234",
			"cloudfront:GetDistribution":    "arn:aws:cloudfront::123456789012:distribution/E2EXAMPLE1234",
			"cloudfront:GetCachePolicy":     "arn:aws:cloudfront::123456789012:cache-policy/*",
			"logs:CreateLogStream":          "arn:aws:logs:eu-west-1:123456789012:log-group:/aws/lambda/freshet:*",
			"logs:PutLogEvents":             "arn:aws:logs:eu-west-1:123456789012:log-group:/aws/lambda/freshet:*",
			"sqs:ReceiveMessage":            "arn:aws:sqs:eu-west-1:123456789012:freshet",
			"sqs:DeleteMessage":             "arn:aws:sqs:eu-west-1:123456789012:freshet",
			"sqs:GetQueueAttributes":        "arn:aws:sqs:eu-west-1:123456789012:freshet",
		}
		for action, resource := range tt.adds {
			want[action] = resource
		}
		got := make(map[string]string)
		for _, st := range site(tt.change).RolePolicy().Statement {
			for _, a := range st.Action {
				got[a] += strings.Join(st.Resource, " ")
			}
		}
		if len(got) != len(want) {
			t.Errorf("%s: %v, want %v", tt.name, got, want)
		}
		for action, resource := range want {
			if got[action] != resource {
				t.Errorf("%s: %s on %q, want %q", tt.name, action, got[action], resource)
			}
		}
	}
}

func TestDistributionsAreListedOnlyToFindThem(t *testing.T) {
	for _, named := range []bool{true, false} {
		text := textOf(t, site(func(s *awssetup.Site) {
			if !named {
				s.Distributions = nil
			}
		}).RolePolicy(), awssetup.RoleInline)
		if strings.Contains(text, "cloudfront:ListDistributions") == named || strings.Contains(text, ":distribution/*") == named {
			t.Errorf("named %v: %s", named, text)
		}
	}
}

func TestTenantsHaveActionsOfTheirOwn(t *testing.T) {
	text := textOf(t, site(func(s *awssetup.Site) { s.Distributions = []string{"dt_2a"} }).RolePolicy(), awssetup.RoleInline)
	if !strings.Contains(text, `"cloudfront:CreateInvalidationForDistributionTenant"`) || !strings.Contains(text, `"arn:aws:cloudfront::123456789012:distribution-tenant/dt_2a"`) ||
		strings.Contains(text, "ListDistributions") || strings.Contains(text, `"cloudfront:CreateInvalidation"`) ||
		!strings.Contains(text, `"Action":["cloudfront:GetDistribution"],"Resource":["arn:aws:cloudfront::123456789012:distribution/*"]`) {
		t.Error(text)
	}
}

// TestPoliciesAreAsIAMTakesThem: what has been refused in the field is white
// space before the document, and the version after the statements.
func TestPoliciesAreAsIAMTakesThem(t *testing.T) {
	s := site(nil)
	for name, text := range map[string]string{
		"role": textOf(t, s.RolePolicy(), awssetup.RoleInline), "trust": textOf(t, s.TrustPolicy(), awssetup.AssumeRole),
		"queue": textOf(t, s.QueuePolicy(), awssetup.QueuePolicy), "invoke": textOf(t, s.InvokePolicy(), awssetup.FunctionRule),
	} {
		if !strings.HasPrefix(text, `{"Version":"2012-10-17","Statement":[{"Sid":"`) || strings.ContainsAny(text, "\n\t ") || !json.Valid([]byte(text)) {
			t.Errorf("%s: %s", name, text)
		}
	}
}

func TestOnlyTheBucketOfTheAccountMaySend(t *testing.T) {
	for _, p := range []awssetup.Policy{site(nil).QueuePolicy(), site(nil).InvokePolicy()} {
		st := p.Statement[0]
		if len(p.Statement) != 1 || st.Principal["Service"] != "s3.amazonaws.com" ||
			st.Condition["ArnLike"]["aws:SourceArn"] != "arn:aws:s3:::www" || st.Condition["StringEquals"]["aws:SourceAccount"] != "123456789012" {
			t.Errorf("%+v", p)
		}
	}
}

func TestPartitions(t *testing.T) {
	for region, partition := range map[string]string{"eu-west-1": "aws", "cn-north-1": "aws-cn", "us-gov-west-1": "aws-us-gov"} {
		s := site(func(s *awssetup.Site) { s.Region = region })
		for _, p := range []awssetup.Policy{s.RolePolicy(), s.QueuePolicy(), s.InvokePolicy()} {
			for _, st := range p.Statement {
				for _, r := range st.Resource {
					if !strings.HasPrefix(r, "arn:"+partition+":") {
						t.Errorf("%s: %s", region, r)
					}
				}
			}
		}
		if err := s.Check(); err != nil {
			t.Error(err)
		}
	}
}

// TestPoliciesThatAreTooLongAreRefused counts what IAM counts: all but white
// space.
func TestPoliciesThatAreTooLongAreRefused(t *testing.T) {
	many := func(n int) awssetup.Policy {
		return site(func(s *awssetup.Site) {
			for i := range n {
				s.Distributions = append(s.Distributions, "E"+strings.Repeat(string(rune('A'+i%26)), 1+i/26))
			}
		}).RolePolicy()
	}
	if _, err := many(300).Text(awssetup.RoleInline); err == nil || !strings.Contains(err.Error(), "10240 are allowed") {
		t.Errorf("300 distributions: %v", err)
	}
	between := many(120)
	if _, err := between.Text(awssetup.RoleInline); err != nil {
		t.Error(err)
	}
	if _, err := between.Text(awssetup.Managed); err == nil {
		t.Error("120 distributions fit into a managed policy")
	}
	text := textOf(t, site(nil).RolePolicy(), awssetup.RoleInline)
	spaced := site(nil).RolePolicy()
	spaced.Statement[0].Sid += "   "
	if _, err := spaced.Text(awssetup.Limit(len(text))); err != nil {
		t.Errorf("white space counts: %v", err)
	}
	if _, err := spaced.Text(awssetup.Limit(len(text) - 1)); err == nil {
		t.Error("a policy of one character more than allowed is taken")
	}
}

func TestCharactersThatIAMDoesNotKnowAreRefused(t *testing.T) {
	for text, ok := range map[string]bool{"é": true, "Ā": false, "\U0001f600": false} {
		p := site(nil).RolePolicy()
		p.Statement[0].Resource = []string{"arn:aws:s3:::" + text}
		if _, err := p.Text(awssetup.RoleInline); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestSitesThatCannotBe(t *testing.T) {
	tests := []struct {
		change func(*awssetup.Site)
		want   string
	}{
		{func(s *awssetup.Site) { s.Name = "a b" }, "name"},
		{func(s *awssetup.Site) { s.Name = strings.Repeat("a", 65) }, "name"},
		{func(s *awssetup.Site) { s.Bucket = "Www" }, "bucket"},
		{func(s *awssetup.Site) { s.Account = "12345678901" }, "account"},
		{func(s *awssetup.Site) { s.Region = "europe" }, "region"},
		{func(s *awssetup.Site) { s.Partition = "AWS" }, "partition"},
		{func(s *awssetup.Site) { s.Distributions = []string{"www.example.org"} }, "distribution"},
		{func(s *awssetup.Site) { s.Distributions = []string{"*"} }, "distribution"},
		{func(s *awssetup.Site) { s.Table = "*" }, "table"},
		{func(s *awssetup.Site) { s.CodeCommit = []string{"*"} }, "repository"},
		{func(s *awssetup.Site) { s.Config = "ssm:*" }, "config"},
		{func(s *awssetup.Site) { s.Config = "s3://www" }, "config"},
		{func(s *awssetup.Site) { s.Config = "s3://www/*" }, "config"},
		{func(s *awssetup.Site) { s.Concurrency = -1 }, "concurrency"},
		{func(s *awssetup.Site) { s.Concurrency = 2 }, "table"},
		{func(s *awssetup.Site) { s.Prefix = strings.Repeat("a", 1025) }, "prefix"},
	}
	for _, tt := range tests {
		if err := site(tt.change).Check(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.want, err)
		}
	}
	for _, change := range []func(*awssetup.Site){
		func(s *awssetup.Site) { s.Table, s.Concurrency = "quota", 2 },
		func(s *awssetup.Site) { s.Distributions = []string{"4BOSKRU0RC80Z"} }, // as programs make them that play CloudFront
	} {
		if err := site(change).Check(); err != nil {
			t.Error(err)
		}
	}
}

func TestEachResourceOnce(t *testing.T) {
	p := site(func(s *awssetup.Site) { s.Distributions = []string{"E2", "E1", "E2"} }).RolePolicy()
	if got := p.Statement[0].Resource; len(got) != 2 || !slices.IsSorted(got) {
		t.Error(got)
	}
}

// TestNeedsAreAllowed: what the function's configuration waits for may be read,
// and nothing else of it.
func TestNeedsAreAllowed(t *testing.T) {
	const fn, cf = "arn:aws:lambda:eu-west-1:123456789012:function:", "arn:aws:cloudfront::123456789012:distribution/"
	tests := []struct {
		name  string
		named []string // distributions of the site
		needs awssetup.Needs
		want  map[string]string // what is allowed besides, by action
	}{
		{"function", []string{"E1A"}, awssetup.Needs{Functions: []string{"render"}}, map[string]string{"lambda:GetFunctionConfiguration": fn + "render"}},
		{"alias", []string{"E1A"}, awssetup.Needs{Aliased: []string{"render"}}, map[string]string{
			"lambda:GetFunctionConfiguration": fn + "render " + fn + "render:*", "lambda:GetAlias": fn + "render " + fn + "render:*", "lambda:GetProvisionedConcurrencyConfig": fn + "render " + fn + "render:*",
		}},
		{"ARNs", []string{"E1A"}, awssetup.Needs{Deployed: []string{"arn:aws:lambda:us-east-1:999999999999:function:edge", "111111111111:function:other"}}, map[string]string{
			"lambda:GetFunction": "arn:aws:lambda:eu-west-1:111111111111:function:other arn:aws:lambda:us-east-1:999999999999:function:edge",
		}},
		{"distribution", []string{"E1A"}, awssetup.Needs{Waited: []string{"E2B", "E1A"}}, map[string]string{"cloudfront:GetDistribution": cf + "E1A " + cf + "E2B"}},
		{"distribution that is invalidated", []string{"E1A"}, awssetup.Needs{Waited: []string{"E1A"}}, nil},
		{"distribution, found", nil, awssetup.Needs{Waited: []string{"E2B"}}, nil},
		{"object", []string{"E1A"}, awssetup.Needs{Objects: []string{"conf/a b/c.txt", "conf/d"}}, map[string]string{
			"s3:GetObject": "arn:aws:s3:::conf/a b/c.txt arn:aws:s3:::conf/d", "s3:ListBucket": "arn:aws:s3:::conf",
		}},
		{"table and repositories", []string{"E1A"}, awssetup.Needs{Table: "quota", Repositories: []string{"pages"}}, map[string]string{
			"dynamodb:GetItem": "arn:aws:dynamodb:eu-west-1:123456789012:table/quota", "dynamodb:PutItem": "arn:aws:dynamodb:eu-west-1:123456789012:table/quota",
			"codecommit:GetBranch": "arn:aws:codecommit:eu-west-1:123456789012:pages", "codecommit:GetCommit": "arn:aws:codecommit:eu-west-1:123456789012:pages", "codecommit:GetDifferences": "arn:aws:codecommit:eu-west-1:123456789012:pages",
		}},
	}
	allowed := func(s awssetup.Site) map[string]string {
		got := make(map[string]string)
		for _, st := range s.RolePolicy().Statement {
			for _, a := range st.Action {
				got[a] = strings.TrimSpace(got[a] + " " + strings.Join(st.Resource, " "))
			}
		}
		return got
	}
	for _, tt := range tests {
		plain := site(func(s *awssetup.Site) { s.Distributions = tt.named })
		with := plain
		with.Needs = tt.needs
		if err := with.Check(); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		want := allowed(plain)
		maps.Copy(want, tt.want)
		if got := allowed(with); !maps.Equal(got, want) {
			t.Errorf("%s: %v\nwant %v", tt.name, got, want)
		}
		textOf(t, with.RolePolicy(), awssetup.RoleInline)
	}
}

// TestConfiguredDistributions: those of the document count where none is named, and
// what a reaction names is reached besides.
func TestConfiguredDistributions(t *testing.T) {
	tests := []struct {
		named []string
		needs awssetup.Needs
		want  string
		lists bool
	}{
		{nil, awssetup.Needs{}, "*", true},
		{nil, awssetup.Needs{Reached: []string{"E9"}}, "*", true},
		{nil, awssetup.Needs{Distributions: []string{"E2"}, Reached: []string{"E9"}}, "E2 E9", false},
		{[]string{"E1"}, awssetup.Needs{Distributions: []string{"E2"}, Reached: []string{"E9"}}, "E1 E9", false},
	}
	for _, tt := range tests {
		p := site(func(s *awssetup.Site) { s.Distributions, s.Needs = tt.named, tt.needs }).RolePolicy()
		var ids []string
		for _, r := range p.Statement[0].Resource {
			ids = append(ids, strings.TrimPrefix(r, "arn:aws:cloudfront::123456789012:distribution/"))
		}
		if got := strings.Join(ids, " "); got != tt.want {
			t.Errorf("%+v: %s", tt, got)
		}
		if text := textOf(t, p, awssetup.RoleInline); strings.Contains(text, "ListDistributions") != tt.lists {
			t.Errorf("%+v: %s", tt, text)
		}
	}
}

// TestNeedsThatWouldAllowMore: a wildcard in what a document names is no wildcard
// of a policy.
func TestNeedsThatWouldAllowMore(t *testing.T) {
	for _, n := range []awssetup.Needs{
		{Functions: []string{"*"}}, {Aliased: []string{"a:*"}}, {Deployed: []string{"arn:aws:lambda:*:123456789012:function:a"}}, {Waited: []string{"*"}}, {Reached: []string{"E*"}},
		{Distributions: []string{"E?"}}, {Objects: []string{"b/*"}}, {Objects: []string{"b/${aws:username}"}}, {Objects: []string{"*/a"}}, {Objects: []string{"b/"}}, {Table: "*"}, {Repositories: []string{"*"}},
	} {
		if err := site(func(s *awssetup.Site) { s.Needs = n }).Check(); err == nil || !strings.Contains(err.Error(), "configuration") {
			t.Errorf("%+v: %v", n, err)
		}
	}
}
