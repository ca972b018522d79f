// Package account looks at an AWS account and does the steps that awssetup has
// decided on.
package account

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"github.com/freshet/freshet/internal/awssetup"
)

// Services are the clients. They are SDK clients for one region.
type Services struct {
	SQS      Queues
	DynamoDB *dynamodb.Client
	Logs     *cloudwatchlogs.Client
	IAM      *iam.Client
	Lambda   Functions
	S3       Buckets
	Alarms   Alarms
}

// Connect makes the clients.
func Connect(cfg aws.Config) Services {
	return Services{
		SQS: sqs.NewFromConfig(cfg), DynamoDB: dynamodb.NewFromConfig(cfg), Logs: cloudwatchlogs.NewFromConfig(cfg),
		Alarms: cloudwatch.NewFromConfig(cfg), IAM: iam.NewFromConfig(cfg), Lambda: lambda.NewFromConfig(cfg),
		S3: s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = cfg.BaseEndpoint != nil }),
	}
}

// Caller is the account that the credentials are of.
func Caller(ctx context.Context, cfg aws.Config) (string, error) {
	out, err := sts.NewFromConfig(cfg).GetCallerIdentity(ctx, nil)
	if err != nil {
		return "", fmt.Errorf("ask whose credentials these are: %w", err)
	}
	return aws.ToString(out.Account), nil
}

// Account is one site in an account.
type Account struct {
	aws  Services
	site awssetup.Site
	zip  []byte

	queues  map[awssetup.Kind]string // URLs, once they are known
	mapping *string                  // UUID of the event source mapping, once it is known
}

// New returns the account with its site, and the zip that the function is made
// from, which may be nil.
func New(services Services, site awssetup.Site, zip []byte) *Account {
	return &Account{aws: services, site: site, zip: zip, queues: make(map[awssetup.Kind]string)}
}

// part is what can be done with a kind of resource. A see that finds nothing says
// so with false and no error.
type part struct {
	see            func(context.Context, awssetup.Resource) (awssetup.Seen, bool, error)
	create, change func(context.Context, awssetup.Resource) error
	remove         func(context.Context, awssetup.Resource) error
}

func (a *Account) part(k awssetup.Kind) part {
	switch k {
	case awssetup.DeadLetterQueue, awssetup.Queue:
		return part{a.seeQueue, a.createQueue, a.changeQueue, a.removeQueue}
	case awssetup.QuotaTable:
		return part{a.seeTable, a.createTable, nil, a.removeTable}
	case awssetup.Logs:
		return part{a.seeLogs, a.createLogs, a.changeLogs, a.removeLogs}
	case awssetup.Role:
		return part{a.seeRole, a.createRole, a.changeRole, a.removeRole}
	case awssetup.Function:
		return part{a.seeFunction, a.createFunction, a.changeFunction, a.removeFunction}
	case awssetup.DeadAlarm, awssetup.AgeAlarm, awssetup.LateAlarm:
		return part{a.seeAlarm, a.putAlarm, a.putAlarm, a.removeAlarm}
	case awssetup.Source:
		return part{a.seeSource, a.createSource, a.changeSource, a.removeSource}
	default:
		return part{a.seeRule, a.putRule, a.putRule, a.removeRule}
	}
}

// Look returns what is there of what is wanted.
func (a *Account) Look(ctx context.Context, want []awssetup.Resource) (map[awssetup.Kind]awssetup.Seen, error) {
	seen := make(map[awssetup.Kind]awssetup.Seen)
	for _, w := range want {
		is, there, err := a.part(w.Kind).see(ctx, w)
		if err != nil {
			return nil, fmt.Errorf("look at the %s %s: %w", w.Kind, w.Name, err)
		}
		if there {
			seen[w.Kind] = is
		}
	}
	return seen, nil
}

// Do does one step. Steps that change nothing are done at once.
func (a *Account) Do(ctx context.Context, s awssetup.Step) error {
	p := a.part(s.Kind)
	var err error
	switch s.Do {
	case awssetup.Create:
		err = p.create(ctx, s.Want)
	case awssetup.Change:
		err = p.change(ctx, s.Want)
	case awssetup.Delete:
		err = p.remove(ctx, s.Want)
	default:
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s the %s %s: %w", s.Do, s.Kind, s.Name, err)
	}
	return nil
}

// tags say whose a resource is.
func (a *Account) tags() map[string]string {
	return map[string]string{awssetup.Tag: a.site.Bucket}
}

// is reports whether AWS answered with one of the codes.
func is(err error, codes ...string) bool {
	var api smithy.APIError
	return errors.As(err, &api) && slices.Contains(codes, api.ErrorCode())
}

// How long a new role, or a changed policy, may take until all of AWS knows it.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency
const (
	settleWithin = time.Minute
	settleEvery  = 2 * time.Second
	readyWithin  = 5 * time.Minute
)

// settled calls do until it succeeds, or fails otherwise than one does when AWS
// has not heard of a change everywhere, or a minute is over.
func settled(ctx context.Context, early func(error) bool, do func() error) error {
	ctx, cancel := context.WithTimeout(ctx, settleWithin)
	defer cancel()
	for {
		err := do()
		if err == nil || !early(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(settleEvery):
		}
	}
}
