// Package awssetup decides what freshet needs in an AWS account: which resources,
// with which properties and policies, and which steps lead there from what is
// there already. It talks to nobody.
package awssetup

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Site is one installation: a bucket, the distributions in front of it, and the
// function in between. All but Bucket, Account and Region may be empty.
type Site struct {
	Name           string   // of the function, its role and its queue; empty is freshet
	Bucket         string   // whose changes are followed
	Prefix, Suffix string   // of the keys that are followed, as they are spelled in the bucket
	Distributions  []string // IDs, of tenants too; none: those that the function finds by their origins
	Account        string
	Region         string   // of the bucket, since S3 notifies nobody elsewhere
	Partition      string   // empty follows from the region
	Table          string   // of DynamoDB, in which concurrent senders share their quota
	Config         string   // where the function's configuration is: ssm:NAME, s3://BUCKET/KEY, or a file in the zip
	CodePipeline   bool     // the function is an action of a pipeline
	CodeCommit     []string // repositories whose differences the function reads
	Concurrency    int      // at most so many at a time; zero is 1, or 5 with a table
	Architecture   string   // of the function: arm64 or x86_64; empty is arm64
	AlarmTopic     string   // ARN of the SNS topic that is told of alarms; empty: nobody is
	Needs          Needs    // what its configuration asks for besides
	FreshWithin    int      // seconds after which a change that waits raises an alarm; zero is 60
}

// The architectures that Lambda has.
const (
	ARM64 = "arm64"
	X8664 = "x86_64"
)

// What is the same in every installation.
const (
	DefaultName = "freshet"
	Tag         = "freshet" // its value is the bucket
	Namespace   = "freshet" // of the function's metrics

	runtime        = "provided.al2023"
	handler        = "bootstrap"
	memory         = 256  // MB
	timeout        = 60   // seconds
	batchSize      = 1000 // messages
	batchWindow    = 1    // seconds; SQS demands one for batches of more than 10
	retentionDays  = 30
	leastScaling   = 2              // pollers that Lambda can be held to
	deadForSeconds = 14 * 24 * 3600 // the longest that SQS keeps a message

	// visibility follows Lambda's advice of six times the function's timeout.
	// https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
	visibility = 6 * timeout
	// receives is how often a message is tried. Those that found the function busy
	// count, therefore it is more than the five that Lambda advises.
	receives = 10
)

var (
	isName         = matching(`^[A-Za-z0-9_-]{1,64}$`)
	isBucket       = matching(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	isDistribution = matching(`^([A-Z0-9]{2,64}|dt_[A-Za-z0-9]{1,61})$`)
	isAccount      = matching(`^[0-9]{12}$`)
	isRegion       = matching(`^[a-z]{2,4}(-[a-z]+)+-[0-9]{1,2}$`)
	isPartition    = matching(`^aws(-[a-z]+)*$`)
	isTable        = matching(`^[A-Za-z0-9_.-]{3,255}$`)
	isRepository   = matching(`^[A-Za-z0-9_.-]{1,100}$`)
	isParameter    = matching(`^[A-Za-z0-9_./-]+$`)
	isPlainKey     = matching(`^[A-Za-z0-9!_.()/=-]+$`)
)

// longestFilter is S3's limit for a prefix or suffix.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_FilterRule.html
const longestFilter = 1024

// WithDefaults fills in what follows from the rest.
func (s Site) WithDefaults() Site {
	if s.Name == "" {
		s.Name = DefaultName
	}
	if s.Partition == "" {
		s.Partition = PartitionOf(s.Region)
	}
	if s.Architecture == "" {
		s.Architecture = ARM64
	}
	if s.FreshWithin == 0 {
		s.FreshWithin = defaultFreshWithin
	}
	if s.Concurrency == 0 {
		s.Concurrency = 1
		if s.Table != "" {
			s.Concurrency = 5
		}
	}
	return s
}

// PartitionOf is the partition that a region belongs to.
func PartitionOf(region string) string {
	switch {
	case strings.HasPrefix(region, "cn-"):
		return "aws-cn"
	case strings.HasPrefix(region, "us-gov-"):
		return "aws-us-gov"
	}
	return "aws"
}

// Check says everything that is wrong with s, whose defaults have been filled in.
// What passes has no character that a policy would not take.
func (s Site) Check() error {
	var problems []error
	demand := func(ok bool, format string, args ...any) {
		if !ok {
			problems = append(problems, fmt.Errorf(format, args...))
		}
	}
	demand(isName(s.Name), "name: %q must be 1 to 64 letters, digits, hyphens or underscores", s.Name)
	demand(isBucket(s.Bucket), "bucket: %q is no name of an S3 bucket", s.Bucket)
	demand(isAccount(s.Account), "account: %q must be 12 digits", s.Account)
	demand(isRegion(s.Region), "region: %q is none, such as eu-west-1", s.Region)
	demand(isPartition(s.Partition), "partition: %q is none of aws, aws-cn, aws-us-gov", s.Partition)
	demand(s.Table == "" || isTable(s.Table), "table: %q is no name of a DynamoDB table", s.Table)
	demand(s.Concurrency >= 1, "concurrency: %d, where at least 1 is needed", s.Concurrency)
	demand(s.Concurrency == 1 || s.Table != "", "concurrency: %d functions at a time share CloudFront's quota only through a table", s.Concurrency)
	demand(len(s.Prefix) <= longestFilter && len(s.Suffix) <= longestFilter, "prefix, suffix: at most %d characters each", longestFilter)
	for _, d := range s.Distributions {
		demand(isDistribution(d), "distribution: %q is no ID such as E2EXAMPLE1234", d)
	}
	for _, r := range s.CodeCommit {
		demand(isRepository(r), "repository: %q is no name of a CodeCommit repository", r)
	}
	demand(s.Architecture == ARM64 || s.Architecture == X8664, "architecture: %q is neither %s nor %s", s.Architecture, ARM64, X8664)
	return errors.Join(append(problems, s.checkConfig(), s.checkAlarms(), s.Needs.check())...)
}

func (s Site) checkConfig() error {
	if name, ok := strings.CutPrefix(s.Config, "ssm:"); ok && !isParameter(name) {
		return fmt.Errorf("config: %q is no name of an SSM parameter", name)
	}
	if place, ok := strings.CutPrefix(s.Config, "s3://"); ok {
		bucket, key, _ := strings.Cut(place, "/")
		if !isBucket(bucket) || !isPlainKey(key) {
			return fmt.Errorf("config: %q is not s3://BUCKET/KEY with a plain key", s.Config)
		}
	}
	return nil
}

// DeadLetters is the name of the queue for what failed too often.
func (s Site) DeadLetters() string { return s.Name + "-dead" }

// LogGroup is where Lambda writes what the function prints.
func (s Site) LogGroup() string { return "/aws/lambda/" + s.Name }

// RuleID is the ID of the bucket's notification rule.
func (s Site) RuleID() string { return "freshet-" + s.Name }

// ARN returns the name of a resource of the account in its region.
func (s Site) ARN(service, resource string) string {
	return "arn:" + s.Partition + ":" + service + ":" + s.Region + ":" + s.Account + ":" + resource
}

// global is the ARN of a resource that has no region.
func (s Site) global(service, resource string) string {
	return "arn:" + s.Partition + ":" + service + "::" + s.Account + ":" + resource
}

func (s Site) bucketARN() string { return "arn:" + s.Partition + ":s3:::" + s.Bucket }

// QueueARN is that of the queue that the bucket notifies.
func (s Site) QueueARN() string { return s.ARN("sqs", s.Name) }

// RoleARN is that of the function's role.
func (s Site) RoleARN() string { return s.global("iam", "role/"+s.Name) }

// environment is what the function is told.
func (s Site) environment() map[string]string {
	env := make(map[string]string)
	if len(s.Distributions) > 0 {
		ids := slices.Clone(s.Distributions)
		slices.Sort(ids)
		env["FRESHET_DISTRIBUTIONS"] = strings.Join(slices.Compact(ids), ",")
	}
	if s.Table != "" {
		env["FRESHET_QUOTA_TABLE"] = s.Table
	}
	if s.Config != "" {
		env["FRESHET_CONFIG"] = s.Config
	}
	return env
}
