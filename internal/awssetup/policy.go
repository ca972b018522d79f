package awssetup

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Policy is a document of IAM's policy language.
type Policy struct {
	Version   string // comes first: IAM has refused documents in which it came last
	Statement []Statement
}

// Statement allows actions. Sid is letters and digits.
type Statement struct {
	Sid       string
	Effect    string
	Principal map[string]string `json:",omitempty"`
	Action    []string
	Resource  []string                     `json:",omitempty"`
	Condition map[string]map[string]string `json:",omitempty"`
}

func policy(statements ...Statement) Policy {
	for i := range statements {
		statements[i].Effect = "Allow"
	}
	return Policy{"2012-10-17", statements}
}

// Limit is how long a policy may be, in characters other than white space.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-policies.html
type Limit int

// The limits by what a policy is attached to.
const (
	RoleInline   Limit = 10240
	Managed      Limit = 6144
	AssumeRole   Limit = 2048
	QueuePolicy  Limit = 8192
	FunctionRule Limit = 20480
)

// Text is the document as IAM takes it: compact, and beginning with a brace. It
// is refused when it is too long or has a character that IAM does not know.
func (p Policy) Text(limit Limit) (string, error) {
	text, err := json.Marshal(p)
	if err != nil {
		return "", fmt.Errorf("write a policy: %w", err)
	}
	size := 0
	for _, r := range string(text) {
		if !allowed(r) {
			return "", fmt.Errorf("write a policy: IAM takes no %q", r)
		}
		if !strings.ContainsRune("\t\n\r ", r) {
			size++
		}
	}
	if size > int(limit) {
		return "", fmt.Errorf("write a policy: %d characters, where %d are allowed: name fewer distributions and repositories", size, limit)
	}
	return string(text), nil
}

// allowed reports whether IAM takes r in a document.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_PutRolePolicy.html
func allowed(r rune) bool {
	return r == '\t' || r == '\n' || r == '\r' || r >= 0x20 && r <= 0xff
}

// TrustPolicy lets Lambda take the role.
func (s Site) TrustPolicy() Policy {
	return policy(Statement{Sid: "Lambda", Principal: map[string]string{"Service": "lambda.amazonaws.com"}, Action: []string{"sts:AssumeRole"}})
}

// RolePolicy is all that the function may do.
func (s Site) RolePolicy() Policy {
	statements := append(s.cloudFront(),
		Statement{Sid: "Log", Action: []string{"logs:CreateLogStream", "logs:PutLogEvents"}, Resource: []string{s.ARN("logs", "log-group:"+s.LogGroup()+":*")}},
		Statement{Sid: "Queue", Action: []string{"sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"}, Resource: []string{s.QueueARN()}},
	)
	if s.Table != "" || s.Needs.Table != "" {
		statements = append(statements, s.tableStatement())
	}
	if name, ok := strings.CutPrefix(s.Config, "ssm:"); ok {
		statements = append(statements, Statement{Sid: "Configuration", Action: []string{"ssm:GetParameter"}, Resource: []string{s.ARN("ssm", "parameter/"+strings.TrimPrefix(name, "/"))}})
	}
	if place, ok := strings.CutPrefix(s.Config, "s3://"); ok {
		statements = append(statements, Statement{Sid: "Configuration", Action: []string{"s3:GetObject"}, Resource: []string{"arn:" + s.Partition + ":s3:::" + place}})
	}
	if s.CodePipeline { // it knows no resources for these
		statements = append(statements, Statement{Sid: "Pipeline", Action: []string{"codepipeline:PutJobFailureResult", "codepipeline:PutJobSuccessResult"}, Resource: []string{"*"}})
	}
	if repositories := slices.Concat(s.CodeCommit, s.Needs.Repositories); len(repositories) > 0 {
		statements = append(statements, Statement{Sid: "Repository", Action: []string{"codecommit:GetBranch", "codecommit:GetCommit", "codecommit:GetDifferences"}, Resource: s.each(repositories, func(r string) string { return s.ARN("codecommit", r) })})
	}
	return policy(append(statements, s.needed()...)...)
}

func (s Site) tableStatement() Statement {
	return Statement{Sid: "Quota", Action: []string{"dynamodb:GetItem", "dynamodb:PutItem"}, Resource: []string{s.ARN("dynamodb", "table/"+cmp.Or(s.Table, s.Needs.Table))}}
}

// TablePolicy is the part of RolePolicy that comes with the table.
func (s Site) TablePolicy() Policy { return policy(s.tableStatement()) }

// tenantPrefix begins the IDs of distribution tenants.
const tenantPrefix = "dt_"

// cloudFront is what the function may do there. Distributions can be listed only
// all together; who names them does not need it.
func (s Site) cloudFront() []Statement {
	var own, tenants []string
	named := s.Distributions
	if len(named) == 0 {
		named = s.Needs.Distributions
	}
	found := len(named) == 0
	if !found {
		named = slices.Concat(named, s.Needs.Reached)
	}
	for _, d := range named {
		if strings.HasPrefix(d, tenantPrefix) {
			tenants = append(tenants, d)
		} else {
			own = append(own, d)
		}
	}
	var statements []Statement
	if found {
		own = []string{"*"}
	}
	if len(own) > 0 {
		statements = append(statements, Statement{
			Sid:      "Invalidate",
			Action:   []string{"cloudfront:CreateInvalidation", "cloudfront:GetDistribution", "cloudfront:GetInvalidation", "cloudfront:ListInvalidations"},
			Resource: s.each(own, func(id string) string { return s.global("cloudfront", "distribution/"+id) }),
		})
	}
	if len(tenants) > 0 {
		statements = append(statements, Statement{
			Sid:      "InvalidateTenants",
			Action:   []string{"cloudfront:CreateInvalidationForDistributionTenant", "cloudfront:GetDistributionTenant", "cloudfront:GetInvalidationForDistributionTenant", "cloudfront:ListInvalidationsForDistributionTenant"},
			Resource: s.each(tenants, func(id string) string { return s.global("cloudfront", "distribution-tenant/"+id) }),
		}, Statement{ // only the tenant says of which one it is
			Sid: "TenantsDistributions", Action: []string{"cloudfront:GetDistribution"}, Resource: []string{s.global("cloudfront", "distribution/*")},
		})
	}
	statements = append(statements, Statement{Sid: "CachePolicies", Action: []string{"cloudfront:GetCachePolicy"}, Resource: []string{s.global("cloudfront", "cache-policy/*")}})
	if found {
		statements = append(statements, Statement{Sid: "FindDistributions", Action: []string{"cloudfront:ListDistributions"}, Resource: []string{"*"}})
	}
	return statements
}

// each is the ARNs of names, sorted, each once.
func (Site) each(names []string, arn func(string) string) []string {
	arns := make([]string, len(names))
	for i, n := range names {
		arns[i] = arn(n)
	}
	slices.Sort(arns)
	return slices.Compact(arns)
}

// fromBucket holds only for the bucket of this account. Without the account,
// whoever makes a bucket of a deleted one's name is let in, since a bucket's ARN
// does not say whose it is.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/grant-destinations-permissions-to-s3.html
func (s Site) fromBucket() map[string]map[string]string {
	return map[string]map[string]string{
		"ArnLike":      {"aws:SourceArn": s.bucketARN()},
		"StringEquals": {"aws:SourceAccount": s.Account},
	}
}

// QueuePolicy lets the bucket put messages into the queue.
func (s Site) QueuePolicy() Policy {
	return policy(Statement{
		Sid: "Bucket", Principal: map[string]string{"Service": "s3.amazonaws.com"},
		Action: []string{"sqs:SendMessage"}, Resource: []string{s.QueueARN()}, Condition: s.fromBucket(),
	})
}

// InvokePolicy lets the bucket call the function, where no queue is in between.
func (s Site) InvokePolicy() Policy {
	return policy(Statement{
		Sid: "Bucket", Principal: map[string]string{"Service": "s3.amazonaws.com"},
		Action: []string{"lambda:InvokeFunction"}, Resource: []string{s.ARN("lambda", "function:"+s.Name)}, Condition: s.fromBucket(),
	})
}
