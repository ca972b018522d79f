package cli

import (
	"errors"
	"io"
	"strings"

	"github.com/freshet/freshet/internal/awssetup"
)

type awsPolicyCmd struct {
	For         string `default:"role" aliases:"kind" enum:"role,trust,queue,invoke,deploy,ci-github,ci-gitlab" help:"Of what: ${enum}. The function's role, who may take the role, the queue that the bucket notifies, the function that the bucket invokes without a queue; what freshet deploy may do, and whose jobs may take its role."`
	Bucket      string `placeholder:"BUCKET" help:"Bucket whose changes are followed, or into which is deployed."`
	awsFunction `embed:""`
	Account     string `required:"" placeholder:"ID" help:"Account."`
	Region      string `env:"AWS_REGION,AWS_DEFAULT_REGION" placeholder:"REGION" help:"Region of the bucket."`
	Partition   string `placeholder:"NAME" help:"aws, aws-cn or aws-us-gov (default: the region's)."`
	Managed     bool   `help:"Hold the policy of a role against the limit of managed policies, 6,144 characters, and not of inline ones, 10,240."`

	Prefix      string `placeholder:"TEXT" help:"With --for deploy: below which the site lies, without a slash at its end."`
	Atomic      bool   `help:"With --for deploy: it switches the distribution's origin path."`
	DryRun      bool   `help:"With --for deploy: it only says what it would do."`
	CI          string `name:"ci-repository" placeholder:"OWNER/NAME" help:"Whose jobs may take the role. At GitHub OWNER@ID/NAME@ID where its tokens have the numbers, as those of all repositories do that were made since July 2026."`
	Branch      string `placeholder:"NAME" help:"Of which branch the jobs may be."`
	Tag         string `placeholder:"PATTERN" help:"Or of which tags; * stands for anything."`
	Environment string `placeholder:"NAME" help:"Or of which environment of GitHub, whose protection rules then say who may deploy."`
	Requests    bool   `name:"pull-requests" help:"Or of pull requests; at GitLab of any branch. Only for a role that may do no more than a dry run."`
	GitLab      string `name:"gitlab" placeholder:"HOST" help:"GitLab's host, if it is not gitlab.com."`
}

// Help is shown below the flags.
func (awsPolicyCmd) Help() string {
	return `The policy is one line without white space around it, so that a shell and Terraform can pass it
on as it is. It names the bucket, the distribution, the queue and the log group, and nothing else.

Examples:
  freshet aws policy --bucket www --distribution E2EXAMPLE1234 --account 123456789012 --region eu-west-1
  freshet aws policy --for queue --bucket www --account 123456789012 --region eu-west-1 > queue.json
  freshet aws policy --for deploy --bucket www --prefix v2 -d E2EXAMPLE1234 --account 123456789012
  freshet aws policy --for ci-github --ci-repository me/site --branch main --account 123456789012`
}

// Run prints the policy.
func (c *awsPolicyCmd) Run(t terminal) error {
	policy, limit, err := c.policy()
	if err != nil {
		return exitError{exitUsage, err}
	}
	text, err := policy.Text(limit)
	if err != nil {
		return err
	}
	_, err = io.WriteString(t.out, text+"\n")
	return err
}

// policy is the one that was asked for, and how long it may be.
func (c *awsPolicyCmd) policy() (awssetup.Policy, awssetup.Limit, error) {
	role := awssetup.RoleInline
	if c.Managed {
		role = awssetup.Managed
	}
	switch {
	case strings.HasPrefix(c.For, "ci-"):
	case c.Bucket == "":
		return awssetup.Policy{}, 0, errors.New("--bucket is missing")
	case c.For != "deploy" && c.Region == "":
		return awssetup.Policy{}, 0, errors.New("--region is missing")
	}
	switch c.For {
	case "deploy":
		p, err := c.build().DeployPolicy()
		return p, role, err
	case "ci-github":
		p, err := c.build().GitHubTrust()
		return p, awssetup.AssumeRole, err
	case "ci-gitlab":
		p, err := c.build().GitLabTrust()
		return p, awssetup.AssumeRole, err
	}
	site := c.site(c.Bucket)
	site.Account, site.Region, site.Partition = c.Account, c.Region, c.Partition
	if c.Document != "" {
		var err error
		if site.Needs, err = documented(c.Document); err != nil {
			return awssetup.Policy{}, 0, err
		}
	}
	site = site.WithDefaults()
	if err := site.Check(); err != nil {
		return awssetup.Policy{}, 0, err
	}
	switch c.For {
	case "trust":
		return site.TrustPolicy(), awssetup.AssumeRole, nil
	case "queue":
		return site.QueuePolicy(), awssetup.QueuePolicy, nil
	case "invoke":
		return site.InvokePolicy(), awssetup.FunctionRule, nil
	}
	return site.RolePolicy(), role, nil
}

func (c *awsPolicyCmd) build() awssetup.Build {
	b := awssetup.Build{
		Bucket: c.Bucket, Prefix: c.Prefix, Distributions: c.Distribution, Atomic: c.Atomic, DryRun: c.DryRun, Account: c.Account, Partition: c.Partition,
		Repository: c.CI, Branch: c.Branch, TagPattern: c.Tag, Environment: c.Environment, Requests: c.Requests, Host: c.GitLab,
	}
	if b.Partition == "" {
		b.Partition = awssetup.PartitionOf(c.Region)
	}
	return b
}
