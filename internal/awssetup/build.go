package awssetup

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Build is what deploys a site from a CI system: with the credentials of a role
// that the CI system's identity tokens may take, so that no secret lies there.
// A trust policy takes Repository and one of Branch, TagPattern, Environment and
// Requests;
// the policy of a deploy takes Bucket and Distributions.
type Build struct {
	Bucket        string
	Prefix        string   // below which the site lies, without a slash at its end; empty: the whole bucket
	Distributions []string // IDs, of tenants too
	Atomic        bool     // the deploy switches the origin path of the distributions
	DryRun        bool     // it only says what it would do, so it only reads
	Account       string
	Partition     string

	Repository  string // OWNER/NAME at GitHub, or OWNER@ID/NAME@ID; GROUP/…/PROJECT at GitLab
	Branch      string
	TagPattern  string // of git's tags, in which * stands for anything
	Environment string // GitHub's: its protection rules then say which branches may deploy
	Requests    bool   // pull requests of GitHub, or all branches of GitLab: for a role that only reads
	Host        string // of GitLab; empty is gitlab.com
}

// https://docs.github.com/en/actions/reference/security/oidc and
// https://docs.gitlab.com/ci/secrets/id_token_authentication/
const (
	githubIssuer   = "token.actions.githubusercontent.com"
	githubAudience = "sts.amazonaws.com"
	gitlabHost     = "gitlab.com"
)

var (
	isGitHubRepository = matching(`^[A-Za-z0-9-]{1,39}(@[0-9]+)?/[A-Za-z0-9_.-]{1,100}(@[0-9]+)?$`)
	isGitLabProject    = matching(`^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)+$`)
	isRef              = matching(`^[A-Za-z0-9][A-Za-z0-9_./+#=@-]{0,254}$`)
	isRefPattern       = matching(`^[A-Za-z0-9*][A-Za-z0-9_./+#=@*-]{0,254}$`)
	isEnvironment      = matching(`^[A-Za-z0-9][A-Za-z0-9 _.-]{0,254}$`)
	isHost             = matching(`^[a-z0-9][a-z0-9.-]*[a-z0-9]$`)
	isPlainPrefix      = matching(`^[A-Za-z0-9!_.()=-]+(/[A-Za-z0-9!_.()=-]+)*$`)
)

// DeployPolicy is all that a deploy may do: what it does to the objects below the
// prefix, and to invalidate what it has changed.
func (b Build) DeployPolicy() (Policy, error) {
	s := Site{Bucket: b.Bucket, Distributions: b.Distributions, Account: b.Account, Partition: b.Partition}
	if err := b.checkDeploy(s); err != nil {
		return Policy{}, err
	}
	events := Statement{Sid: "Followers", Action: []string{"s3:GetBucketNotification"}, Resource: []string{s.bucketARN()}}
	list := Statement{Sid: "List", Action: []string{"s3:ListBucket"}, Resource: []string{s.bucketARN()}}
	objects := s.bucketARN() + "/*"
	if b.Prefix != "" {
		// Only to who may list does S3 say that an object is not there, and a request
		// for one has no prefix; to others it is forbidden.
		// https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
		list.Condition = map[string]map[string]string{"StringLikeIfExists": {"s3:prefix": b.Prefix + "/*"}}
		objects = s.bucketARN() + "/" + b.Prefix + "/*"
	}
	actions := []string{"s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:PutObject"}
	if b.DryRun {
		actions = []string{"s3:GetObject"}
	}
	statements := []Statement{list, events, {Sid: "Objects", Action: actions, Resource: []string{objects}}}
	for _, st := range s.cloudFront() {
		if b.DryRun {
			st.Action = slices.DeleteFunc(st.Action, func(a string) bool { return strings.Contains(a, "Invalidation") })
			st.Sid = strings.Replace(st.Sid, "Invalidate", "Read", 1)
		}
		statements = append(statements, st)
	}
	if b.Atomic && !b.DryRun {
		statements = append(statements, Statement{
			Sid: "Switch", Action: []string{"cloudfront:GetDistributionConfig", "cloudfront:UpdateDistribution"},
			Resource: s.each(b.Distributions, func(id string) string { return s.global("cloudfront", "distribution/"+id) }),
		})
	}
	return policy(statements...), nil
}

func (b Build) checkDeploy(s Site) error {
	var problems []error
	if !isBucket(s.Bucket) {
		problems = append(problems, fmt.Errorf("bucket: %q is no name of an S3 bucket", s.Bucket))
	}
	if b.Prefix != "" && !isPlainPrefix(b.Prefix) {
		problems = append(problems, fmt.Errorf("prefix: %q is not letters, digits and !_.()=- between single slashes", b.Prefix))
	}
	for _, d := range s.Distributions {
		if !isDistribution(d) {
			problems = append(problems, fmt.Errorf("distribution: %q is no ID such as E2EXAMPLE1234", d))
		}
		if b.Atomic && strings.HasPrefix(d, tenantPrefix) {
			problems = append(problems, fmt.Errorf("distribution: %q is a tenant, which has no origin path of its own to switch", d))
		}
	}
	if b.Atomic && len(s.Distributions) == 0 {
		problems = append(problems, errors.New("distribution: name the one whose origin path is switched"))
	}
	return errors.Join(append(problems, b.checkAccount())...)
}

func (b Build) checkAccount() error {
	var problems []error
	if !isAccount(b.Account) {
		problems = append(problems, fmt.Errorf("account: %q must be 12 digits", b.Account))
	}
	if !isPartition(b.Partition) {
		problems = append(problems, fmt.Errorf("partition: %q is none of aws, aws-cn, aws-us-gov", b.Partition))
	}
	return errors.Join(problems...)
}

// GitHubTrust lets jobs of the repository take the role, those of the branch, tag
// or environment and no other. A repository that was made or renamed since July
// 2026 puts the numbers of owner and repository into its tokens; it is given as
// OWNER@ID/NAME@ID.
// https://docs.github.com/en/actions/how-tos/secure-your-work/security-harden-deployments/oidc-in-aws
func (b Build) GitHubTrust() (Policy, error) {
	err := b.checkTrust(isGitHubRepository(b.Repository), "OWNER/NAME, or OWNER@ID/NAME@ID")
	if err != nil {
		return Policy{}, err
	}
	subject := "repo:" + b.Repository
	switch {
	case b.Environment != "":
		subject += ":environment:" + b.Environment
	case b.Branch != "":
		subject += ":ref:refs/heads/" + b.Branch
	case b.Requests:
		subject += ":pull_request"
	default:
		subject += ":ref:refs/tags/" + b.TagPattern
	}
	return b.trust(githubIssuer, githubAudience, subject), nil
}

// GitLabTrust does the same for the jobs of a project at GitLab, whose tokens name
// their host as audience, which the job asks for.
// https://docs.gitlab.com/ci/cloud_services/aws/
func (b Build) GitLabTrust() (Policy, error) {
	host := b.Host
	if host == "" {
		host = gitlabHost
	}
	err := b.checkTrust(isGitLabProject(b.Repository), "GROUP/PROJECT")
	if b.Environment != "" {
		err = errors.Join(err, errors.New("environment: the subject of GitLab's tokens does not say it; give a branch or tag, and protect it"))
	}
	if !isHost(host) {
		err = errors.Join(err, fmt.Errorf("host: %q is no name of a host", host))
	}
	if err != nil {
		return Policy{}, err
	}
	subject := "project_path:" + b.Repository + ":ref_type:"
	switch {
	case b.TagPattern != "":
		subject += "tag:ref:" + b.TagPattern
	case b.Requests: // the tokens of a merge request's jobs name its branch, and nothing else
		subject += "branch:ref:*"
	default:
		subject += "branch:ref:" + b.Branch
	}
	return b.trust(host, "https://"+host, subject), nil
}

func (b Build) checkTrust(isRepository bool, form string) error {
	var problems []error
	given := 0
	for _, ref := range []struct {
		name, value string
		ok          func(string) bool
	}{{"branch", b.Branch, isRef}, {"tag", b.TagPattern, isRefPattern}, {"environment", b.Environment, isEnvironment}} {
		if ref.value == "" {
			continue
		}
		given++
		if !ref.ok(ref.value) {
			problems = append(problems, fmt.Errorf("%s: %q has characters that are not allowed here", ref.name, ref.value))
		}
	}
	if !isRepository {
		problems = append(problems, fmt.Errorf("repository: %q is not %s", b.Repository, form))
	}
	if b.Requests {
		given++
	}
	if given != 1 {
		problems = append(problems, errors.New("branch, tag, environment, requests: give exactly one, or any pull request could deploy"))
	}
	return errors.Join(append(problems, b.checkAccount())...)
}

// trust holds for tokens of the issuer, for the audience, that are about subject.
// A comparison with wildcards is only made where one was asked for.
func (b Build) trust(issuer, audience, subject string) Policy {
	conditions := map[string]map[string]string{"StringEquals": {issuer + ":aud": audience}}
	if strings.Contains(subject, "*") {
		conditions["StringLike"] = map[string]string{issuer + ":sub": subject}
	} else {
		conditions["StringEquals"][issuer+":sub"] = subject
	}
	return policy(Statement{
		Sid: "Jobs", Principal: map[string]string{"Federated": "arn:" + b.Partition + ":iam::" + b.Account + ":oidc-provider/" + issuer},
		Action: []string{"sts:AssumeRoleWithWebIdentity"}, Condition: conditions,
	})
}
