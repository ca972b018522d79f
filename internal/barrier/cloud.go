package barrier

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// Functions is what is asked of Lambda; *lambda.Client has it. It needs
// lambda:GetFunctionConfiguration, and for aliases lambda:GetAlias and
// lambda:GetProvisionedConcurrencyConfig.
type Functions interface {
	GetFunctionConfiguration(context.Context, *lambda.GetFunctionConfigurationInput, ...func(*lambda.Options)) (*lambda.GetFunctionConfigurationOutput, error)
	GetAlias(context.Context, *lambda.GetAliasInput, ...func(*lambda.Options)) (*lambda.GetAliasOutput, error)
	GetProvisionedConcurrencyConfig(context.Context, *lambda.GetProvisionedConcurrencyConfigInput, ...func(*lambda.Options)) (*lambda.GetProvisionedConcurrencyConfigOutput, error)
}

// Distributions is what is asked of CloudFront; *cloudfront.Client has it. It
// needs cloudfront:GetDistribution.
type Distributions interface {
	GetDistribution(context.Context, *cloudfront.GetDistributionInput, ...func(*cloudfront.Options)) (*cloudfront.GetDistributionOutput, error)
}

// Objects is what is asked of S3; *s3.Client has it. It needs s3:GetObject, and
// s3:ListBucket to tell an object that is not there yet from one that is denied.
type Objects interface {
	HeadObject(context.Context, *s3.HeadObjectInput, ...func(*s3.Options)) (*s3.HeadObjectOutput, error)
}

// Clients are whom is asked. What no fact is about may be nil.
type Clients struct {
	Lambda     func(region string) Functions // an empty region is the configured one
	CloudFront func(distribution string) Distributions
	S3         Objects
}

// Load reads the AWS configuration as the AWS CLI would, and makes it Plain.
func Load(ctx context.Context, options ...func(*config.LoadOptions) error) (aws.Config, error) {
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return aws.Config{}, fmt.Errorf("load the AWS configuration: %w", err)
	}
	return Plain(cfg), nil
}

// Plain returns a configuration whose clients try nothing twice, and whose errors
// ClassOf tells apart.
func Plain(cfg aws.Config) aws.Config {
	cfg.Retryer = func() aws.Retryer { return aws.NopRetryer{} }
	cfg.Credentials = aws.NewCredentialsCache(marked{cfg.Credentials})
	return cfg
}

// Dial makes clients. Nothing is asked yet.
func Dial(cfg aws.Config) Clients {
	global := cloudfront.NewFromConfig(cfg, func(o *cloudfront.Options) { o.Region = "us-east-1" })
	return Clients{
		Lambda: func(region string) Functions {
			return lambda.NewFromConfig(cfg, func(o *lambda.Options) {
				if region != "" {
					o.Region = region
				}
			})
		},
		CloudFront: func(string) Distributions { return global },
		S3:         s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = cfg.BaseEndpoint != nil }),
	}
}

// NeedsAWS reports whether a fact is asked of AWS.
func NeedsAWS(facts []Fact) bool {
	for _, f := range facts {
		if f.Kind == Lambda || f.Kind == Distribution || strings.HasPrefix(f.URL, "s3:") {
			return true
		}
	}
	return false
}

// asked turns an error of an AWS client into one that says what to do.
func asked(what string, err error, permission string) error {
	switch ClassOf(err) {
	case NotFound:
		return &never{why: what + ": " + Cause(err), do: "are name, region and account right?"}
	case Denied:
		if errors.Is(err, ErrNoCredentials) {
			return &never{why: what + ": " + err.Error(), do: "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or give the function or machine a role"}
		}
		return &never{why: what + ": " + Cause(err), do: "are the credentials right, and do they allow " + permission + "?"}
	case Refused:
		return &never{why: what + ": " + Cause(err)}
	}
	return fmt.Errorf("%s: %s", what, Cause(err))
}

// Health is what Lambda says of a function's code, or of a version's.
type Health struct {
	Update, UpdateReason, UpdateCode string // LastUpdateStatus
	State, StateReason, StateCode    string
}

// HealthOf reads what Lambda's answers have in common.
func HealthOf(c *types.FunctionConfiguration) Health {
	return Health{
		string(c.LastUpdateStatus), aws.ToString(c.LastUpdateStatusReason), string(c.LastUpdateStatusReasonCode),
		string(c.State), aws.ToString(c.StateReason), string(c.StateReasonCode),
	}
}

// because joins what a code means with what Lambda says beside it.
func because(code, reason string) string {
	text := Reason(code)
	switch {
	case code == "":
		return strings.TrimSpace(reason)
	case text != code:
		text = code + ", " + text
	}
	if reason = strings.TrimSpace(reason); reason != "" {
		text += " (" + reason + ")"
	}
	return text
}

// Ready reports whether the code answers, or will with the next request. The
// error says why it never will. A status that Lambda leaves empty is not yet
// known. invocable demands that requests can reach it, which a function of
// managed instances can only as a version.
// https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html
func (h Health) Ready(invocable bool) (Sight, error) {
	switch types.LastUpdateStatus(h.Update) {
	case types.LastUpdateStatusSuccessful:
	case types.LastUpdateStatusFailed:
		return Sight{}, &never{why: "the update failed, and the old code goes on answering: " + because(h.UpdateCode, h.UpdateReason)}
	default:
		return Sight{Saw: saying("LastUpdateStatus", h.Update, h.UpdateCode, h.UpdateReason)}, nil
	}
	switch types.State(h.State) {
	case types.StateActive, types.StateInactive: // the latter wakes up with the next request
		return Sight{true, "Successful, " + h.State}, nil
	case types.StateActiveNonInvocable:
		if !invocable {
			return Sight{true, "Successful, " + h.State}, nil
		}
	case types.StateFailed, types.StateDeleting, types.StateDeactivated, types.StateDeactivating:
		return Sight{}, &never{why: "it is " + h.State + ": " + because(h.StateCode, h.StateReason)}
	}
	return Sight{Saw: saying("State", h.State, h.StateCode, h.StateReason)}, nil
}

func saying(name, value, code, reason string) string {
	if value == "" {
		return name + " is empty"
	}
	text := name + " " + value
	if why := because(code, reason); why != "" {
		text += ": " + why
	}
	return text
}

// region is that of an ARN, or empty.
func region(name string) string {
	if parts := strings.Split(name, ":"); len(parts) > 3 && parts[0] == "arn" {
		return parts[3]
	}
	return ""
}

func (w *Waiter) function(ctx context.Context, f Fact) (Sight, error) {
	api := w.Clients.Lambda(region(f.Name))
	if f.Alias != "" {
		return alias(ctx, api, f)
	}
	return version(ctx, api, f, "")
}

// version looks at a version of a function; without one at its unpublished code.
func version(ctx context.Context, api Functions, f Fact, of string) (Sight, error) {
	in := &lambda.GetFunctionConfigurationInput{FunctionName: &f.Name}
	if of != "" {
		in.Qualifier = &of
	}
	c, err := api.GetFunctionConfiguration(ctx, in)
	if err != nil {
		return Sight{}, asked("ask Lambda for "+f.Name, err, "lambda:GetFunctionConfiguration")
	}
	s, err := Health{
		string(c.LastUpdateStatus), aws.ToString(c.LastUpdateStatusReason), string(c.LastUpdateStatusReasonCode),
		string(c.State), aws.ToString(c.StateReason), string(c.StateReasonCode),
	}.Ready(of != "")
	if err == nil && s.Holds && f.SHA256 != "" && aws.ToString(c.CodeSha256) != f.SHA256 {
		s = Sight{Saw: "its code has SHA-256 " + aws.ToString(c.CodeSha256)}
	}
	return s, err
}

// alias looks at the version that an alias points to, alone.
func alias(ctx context.Context, api Functions, f Fact) (Sight, error) {
	a, err := api.GetAlias(ctx, &lambda.GetAliasInput{FunctionName: &f.Name, Name: &f.Alias})
	if err != nil {
		return Sight{}, asked("ask Lambda for the alias "+f.Alias+" of "+f.Name, err, "lambda:GetAlias")
	}
	points := aws.ToString(a.FunctionVersion)
	if a.RoutingConfig != nil {
		for v, weight := range a.RoutingConfig.AdditionalVersionWeights {
			return Sight{Saw: fmt.Sprintf("the alias sends %g %% of the requests to version %s, and the others to version %s", weight*100, v, points)}, nil
		}
	}
	if f.Version != "" && points != f.Version {
		return Sight{Saw: "the alias points to version " + points}, nil
	}
	s, err := version(ctx, api, f, points)
	if err != nil || !s.Holds {
		return s, err
	}
	provisioned, err := Provisioned(ctx, api, f.Name, f.Alias)
	if err != nil || !provisioned.Holds {
		return provisioned, err
	}
	return Sight{true, "version " + points + " " + s.Saw}, nil
}

// Provisioned reports whether the provisioned concurrency of an alias or a
// version is ready. It holds where there is none, and where it may not be asked
// for, which Saw then says.
func Provisioned(ctx context.Context, api Functions, name, qualifier string) (Sight, error) {
	p, err := api.GetProvisionedConcurrencyConfig(ctx, &lambda.GetProvisionedConcurrencyConfigInput{FunctionName: &name, Qualifier: &qualifier})
	switch {
	case err == nil:
	case ClassOf(err) == NotFound:
		return Sight{Holds: true}, nil
	case ClassOf(err) == Denied && !errors.Is(err, ErrNoCredentials):
		return Sight{true, "provisioned concurrency may not be asked for (lambda:GetProvisionedConcurrencyConfig)"}, nil
	default:
		return Sight{}, asked("ask Lambda for the provisioned concurrency of "+name+":"+qualifier, err, "lambda:GetProvisionedConcurrencyConfig")
	}
	switch p.Status {
	case types.ProvisionedConcurrencyStatusEnumReady:
		return Sight{Holds: true}, nil
	case types.ProvisionedConcurrencyStatusEnumFailed:
		return Sight{}, &never{why: "the provisioned concurrency of " + name + ":" + qualifier + " failed: " + aws.ToString(p.StatusReason)}
	}
	return Sight{Saw: fmt.Sprintf("provisioned concurrency: %d of %d are ready", aws.ToInt32(p.AllocatedProvisionedConcurrentExecutions), aws.ToInt32(p.RequestedProvisionedConcurrentExecutions))}, nil
}

func (w *Waiter) distribution(ctx context.Context, f Fact) (Sight, error) {
	d, err := w.Clients.CloudFront(f.Name).GetDistribution(ctx, &cloudfront.GetDistributionInput{Id: &f.Name})
	if err != nil {
		return Sight{}, asked("ask CloudFront for "+f.Name, err, "cloudfront:GetDistribution")
	}
	status := ""
	if d.Distribution != nil {
		status = aws.ToString(d.Distribution.Status)
	}
	return Sight{status == "Deployed", saying("Status", status, "", "")}, nil
}

func (w *Waiter) object(ctx context.Context, f Fact, bucket, key string) (Sight, error) {
	o, err := w.Clients.S3.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &bucket, Key: &key})
	switch {
	case err == nil:
		return f.tagged(aws.ToString(o.ETag)), nil
	case ClassOf(err) == NotFound:
		return Sight{Saw: "there is no object " + key}, nil
	}
	return Sight{}, asked("ask S3 for "+f.URL, err, "s3:GetObject, and s3:ListBucket for objects that are not there yet,")
}

// tagged holds an entity tag against what the fact says of it.
func (f Fact) tagged(tag string) Sight {
	tag = opaque(tag)
	if tag == "" {
		return Sight{Saw: "an answer without an ETag"}
	}
	return Sight{(tag == f.ETag) != f.Changed, "ETag " + tag}
}
