package release

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/smithy-go"

	"github.com/freshet/freshet/internal/barrier"
)

// Functions is what is asked of Lambda; *lambda.Client has it. It must not retry
// by itself. Needed are lambda:GetFunction, GetFunctionConfiguration and
// UpdateFunctionCode, and for an alias PublishVersion, GetAlias, UpdateAlias and
// GetProvisionedConcurrencyConfig.
type Functions interface {
	barrier.Functions
	GetFunction(context.Context, *lambda.GetFunctionInput, ...func(*lambda.Options)) (*lambda.GetFunctionOutput, error)
	UpdateFunctionCode(context.Context, *lambda.UpdateFunctionCodeInput, ...func(*lambda.Options)) (*lambda.UpdateFunctionCodeOutput, error)
	PublishVersion(context.Context, *lambda.PublishVersionInput, ...func(*lambda.Options)) (*lambda.PublishVersionOutput, error)
	UpdateAlias(context.Context, *lambda.UpdateAliasInput, ...func(*lambda.Options)) (*lambda.UpdateAliasOutput, error)
}

// again is an error after which the same may be tried, once it has been looked
// what there is now.
type again struct{ err error }

func (a *again) Error() string { return a.err.Error() }
func (a *again) Unwrap() error { return a.err }

// asked tells errors that looking again may mend from all others, and says what
// to do about the latter.
func asked(doing string, err error, permission string) error {
	var answer smithy.APIError
	if errors.As(err, &answer) {
		switch answer.ErrorCode() {
		case "ResourceConflictException", "PreconditionFailedException", "ResourceInUseException":
			return &again{fmt.Errorf("%s: %s", doing, barrier.Cause(err))}
		}
	}
	said := fmt.Errorf("%s: %s", doing, barrier.Cause(err))
	switch barrier.ClassOf(err) {
	case barrier.Transient:
		return &again{said}
	case barrier.Denied:
		if errors.Is(err, barrier.ErrNoCredentials) {
			return fmt.Errorf("%s: %w; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or give the machine a role", doing, err)
		}
		return fmt.Errorf("%w; are the credentials right, and do they allow %s?", said, permission)
	case barrier.NotFound:
		return fmt.Errorf("%w; are name, region and account right?", said)
	default:
		return said
	}
}

// look asks AWS for what the next decision needs.
func (r *Release) look(ctx context.Context, j Journal) (s Seen, err error) {
	w := r.Wanted
	s.Shared = barrier.Sight{Holds: true}
	out, err := r.Lambda.GetFunction(ctx, &lambda.GetFunctionInput{FunctionName: &w.Function})
	if err != nil {
		return s, asked("ask Lambda for "+w.Function, err, "lambda:GetFunction")
	}
	if s.Latest, err = codeOf(out); err != nil {
		return s, err
	}
	if w.Alias != "" {
		err = r.lookAtAlias(ctx, j, &s)
	}
	s.Now = time.Now()
	return s, err
}

func codeOf(out *lambda.GetFunctionOutput) (Code, error) {
	if out.Configuration == nil {
		return Code{}, &again{errors.New("the answer of Lambda describes no function")}
	}
	c := of(out.Configuration)
	if out.Code != nil {
		c.Image = digestOf(aws.ToString(out.Code.ResolvedImageUri))
	}
	return c, nil
}

func of(c *types.FunctionConfiguration) Code {
	return Code{
		Version: aws.ToString(c.Version), SHA256: aws.ToString(c.CodeSha256), Revision: aws.ToString(c.RevisionId), Health: barrier.HealthOf(c),
	}
}

func (r *Release) lookAtAlias(ctx context.Context, j Journal, s *Seen) error {
	w := r.Wanted
	a, err := r.Lambda.GetAlias(ctx, &lambda.GetAliasInput{FunctionName: &w.Function, Name: &w.Alias})
	switch {
	case err == nil:
		s.Alias = &Alias{Version: aws.ToString(a.FunctionVersion), Revision: aws.ToString(a.RevisionId)}
		if a.RoutingConfig != nil {
			s.Alias.Weights = a.RoutingConfig.AdditionalVersionWeights
		}
	case barrier.ClassOf(err) == barrier.NotFound:
		return nil
	default:
		return asked("ask Lambda for the alias "+w.Alias, err, "lambda:GetAlias")
	}
	if j.Version == "" {
		return nil
	}
	out, err := r.Lambda.GetFunction(ctx, &lambda.GetFunctionInput{FunctionName: &w.Function, Qualifier: &j.Version})
	if err != nil {
		return asked("ask Lambda for version "+j.Version, err, "lambda:GetFunction")
	}
	published, err := codeOf(out)
	s.Published = &published
	if err != nil {
		return err
	}
	return r.lookAtConcurrency(ctx, j.Version, s)
}

// lookAtConcurrency asks about the version, and about the alias once that points
// to it.
func (r *Release) lookAtConcurrency(ctx context.Context, version string, s *Seen) error {
	qualifiers := []string{version}
	if s.Alias.Version == version {
		qualifiers = append(qualifiers, r.Wanted.Alias)
	}
	for _, q := range qualifiers {
		sight, err := barrier.Provisioned(ctx, r.Lambda, r.Wanted.Function, q)
		switch {
		case err != nil && !barrier.Never(err):
			return &again{err}
		case err != nil:
			s.SharedErr = err
			return nil
		case !sight.Holds:
			s.Shared = sight
			return nil
		case sight.Saw != "" && r.unasked != sight.Saw:
			r.unasked = sight.Saw
			r.say(Wait, sight.Saw)
		}
	}
	return nil
}

// Deployed is the code that the function has, unpublished.
func (r *Release) Deployed(ctx context.Context) (string, error) {
	out, err := r.Lambda.GetFunction(ctx, &lambda.GetFunctionInput{FunctionName: &r.Wanted.Function})
	if err != nil {
		return "", asked("ask Lambda for "+r.Wanted.Function, err, "lambda:GetFunction")
	}
	c, err := codeOf(out)
	return c.ID(), err
}

// SHA256 is the hash of a zip as Lambda writes it.
func SHA256(zip []byte) string {
	sum := sha256.Sum256(zip)
	return base64.StdEncoding.EncodeToString(sum[:])
}
