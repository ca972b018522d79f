package account

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/freshet/freshet/internal/awssetup"
)

// Functions is what is asked of Lambda.
type Functions interface {
	GetFunction(context.Context, *lambda.GetFunctionInput, ...func(*lambda.Options)) (*lambda.GetFunctionOutput, error)
	CreateFunction(context.Context, *lambda.CreateFunctionInput, ...func(*lambda.Options)) (*lambda.CreateFunctionOutput, error)
	UpdateFunctionCode(context.Context, *lambda.UpdateFunctionCodeInput, ...func(*lambda.Options)) (*lambda.UpdateFunctionCodeOutput, error)
	UpdateFunctionConfiguration(context.Context, *lambda.UpdateFunctionConfigurationInput, ...func(*lambda.Options)) (*lambda.UpdateFunctionConfigurationOutput, error)
	PutFunctionConcurrency(context.Context, *lambda.PutFunctionConcurrencyInput, ...func(*lambda.Options)) (*lambda.PutFunctionConcurrencyOutput, error)
	DeleteFunction(context.Context, *lambda.DeleteFunctionInput, ...func(*lambda.Options)) (*lambda.DeleteFunctionOutput, error)

	ListEventSourceMappings(context.Context, *lambda.ListEventSourceMappingsInput, ...func(*lambda.Options)) (*lambda.ListEventSourceMappingsOutput, error)
	CreateEventSourceMapping(context.Context, *lambda.CreateEventSourceMappingInput, ...func(*lambda.Options)) (*lambda.CreateEventSourceMappingOutput, error)
	UpdateEventSourceMapping(context.Context, *lambda.UpdateEventSourceMappingInput, ...func(*lambda.Options)) (*lambda.UpdateEventSourceMappingOutput, error)
	DeleteEventSourceMapping(context.Context, *lambda.DeleteEventSourceMappingInput, ...func(*lambda.Options)) (*lambda.DeleteEventSourceMappingOutput, error)
}

func (a *Account) seeFunction(ctx context.Context, w awssetup.Resource) (awssetup.Seen, bool, error) {
	out, err := a.aws.Lambda.GetFunction(ctx, &lambda.GetFunctionInput{FunctionName: &w.Name})
	if is(err, "ResourceNotFoundException") {
		return awssetup.Seen{}, false, nil
	}
	if err != nil {
		return awssetup.Seen{}, false, err
	}
	c := out.Configuration
	properties := map[string]string{
		awssetup.PropertyRole: aws.ToString(c.Role), awssetup.PropertyRuntime: string(c.Runtime), awssetup.PropertyHandler: aws.ToString(c.Handler),
		awssetup.PropertyMemory: text(c.MemorySize), awssetup.PropertyTimeout: text(c.Timeout), awssetup.PropertyCode: aws.ToString(c.CodeSha256),
	}
	for _, arch := range c.Architectures {
		properties[awssetup.PropertyArch] = string(arch)
	}
	if out.Concurrency != nil {
		properties[awssetup.PropertyConcurrency] = text(out.Concurrency.ReservedConcurrentExecutions)
	}
	if c.Environment != nil {
		maps.Copy(properties, c.Environment.Variables)
	}
	return awssetup.Seen{Properties: properties, Bucket: out.Tags[awssetup.Tag]}, true, nil
}

func text(n *int32) string {
	if n == nil {
		return ""
	}
	return strconv.Itoa(int(*n))
}

// roleTooNew is how Lambda answers while it does not know a role or its policy
// yet.
func roleTooNew(err error) bool {
	return is(err, "InvalidParameterValueException") && (strings.Contains(err.Error(), "cannot be assumed") || strings.Contains(err.Error(), "does not have permissions"))
}

// busy is how Lambda answers while an earlier update is under way.
func busy(err error) bool { return is(err, "ResourceConflictException", "ResourceInUseException") }

func (a *Account) createFunction(ctx context.Context, w awssetup.Resource) error {
	p := w.Properties
	err := settled(ctx, roleTooNew, func() error {
		_, err := a.aws.Lambda.CreateFunction(ctx, &lambda.CreateFunctionInput{
			FunctionName: &w.Name, Role: aws.String(p[awssetup.PropertyRole]), Runtime: types.Runtime(p[awssetup.PropertyRuntime]), Handler: aws.String(p[awssetup.PropertyHandler]),
			Architectures: []types.Architecture{types.Architecture(p[awssetup.PropertyArch])},
			MemorySize:    number(p[awssetup.PropertyMemory]), Timeout: number(p[awssetup.PropertyTimeout]),
			Environment: &types.Environment{Variables: environment(nil, p)},
			Code:        &types.FunctionCode{ZipFile: a.zip}, Tags: a.tags(),
			Description: aws.String("freshet: invalidates what changes in " + a.site.Bucket),
		})
		return err
	})
	if err != nil {
		return err
	}
	if err := lambda.NewFunctionActiveV2Waiter(a.aws.Lambda).Wait(ctx, &lambda.GetFunctionInput{FunctionName: &w.Name}, readyWithin); err != nil {
		return err
	}
	return a.reserve(ctx, w)
}

func (a *Account) reserve(ctx context.Context, w awssetup.Resource) error {
	_, err := a.aws.Lambda.PutFunctionConcurrency(ctx, &lambda.PutFunctionConcurrencyInput{FunctionName: &w.Name, ReservedConcurrentExecutions: number(w.Properties[awssetup.PropertyConcurrency])})
	return err
}

// environment is what there is, with the set-up's own variables as they are
// wanted.
func environment(is, want map[string]string) map[string]string {
	env := maps.Clone(is)
	if env == nil {
		env = make(map[string]string)
	}
	for _, name := range awssetup.Variables() {
		delete(env, name)
		if want[name] != "" {
			env[name] = want[name]
		}
	}
	return env
}

// changeFunction changes the configuration first: new code may need it. After
// each change it waits until Lambda says that it succeeded.
func (a *Account) changeFunction(ctx context.Context, w awssetup.Resource) error {
	is, err := a.aws.Lambda.GetFunction(ctx, &lambda.GetFunctionInput{FunctionName: &w.Name})
	if err != nil {
		return err
	}
	var variables map[string]string
	if is.Configuration.Environment != nil {
		variables = is.Configuration.Environment.Variables
	}
	p := w.Properties
	err = a.update(ctx, w.Name, func() error {
		_, err := a.aws.Lambda.UpdateFunctionConfiguration(ctx, &lambda.UpdateFunctionConfigurationInput{
			FunctionName: &w.Name, Role: aws.String(p[awssetup.PropertyRole]), Runtime: types.Runtime(p[awssetup.PropertyRuntime]), Handler: aws.String(p[awssetup.PropertyHandler]),
			MemorySize: number(p[awssetup.PropertyMemory]), Timeout: number(p[awssetup.PropertyTimeout]),
			Environment: &types.Environment{Variables: environment(variables, p)},
		})
		return err
	})
	if err != nil {
		return err
	}
	arch, had := types.Architecture(p[awssetup.PropertyArch]), is.Configuration.Architectures
	if code := p[awssetup.PropertyCode]; code != "" && (code != aws.ToString(is.Configuration.CodeSha256) || len(had) > 0 && !slices.Contains(had, arch)) {
		err := a.update(ctx, w.Name, func() error {
			_, err := a.aws.Lambda.UpdateFunctionCode(ctx, &lambda.UpdateFunctionCodeInput{FunctionName: &w.Name, ZipFile: a.zip, Architectures: []types.Architecture{arch}})
			return err
		})
		if err != nil {
			return err
		}
	}
	return a.reserve(ctx, w)
}

// update does one update and waits for its success; that Lambda is no longer
// about it does not mean that it succeeded.
func (a *Account) update(ctx context.Context, name string, do func() error) error {
	err := settled(ctx, func(err error) bool { return busy(err) || roleTooNew(err) }, do)
	if err != nil {
		return err
	}
	return lambda.NewFunctionUpdatedV2Waiter(a.aws.Lambda).Wait(ctx, &lambda.GetFunctionInput{FunctionName: &name}, readyWithin)
}

func (a *Account) removeFunction(ctx context.Context, w awssetup.Resource) error {
	_, err := a.aws.Lambda.DeleteFunction(ctx, &lambda.DeleteFunctionInput{FunctionName: &w.Name})
	return err
}
