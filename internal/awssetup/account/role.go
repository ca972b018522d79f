package account

import (
	"context"
	"net/url"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/freshet/freshet/internal/awssetup"
)

// policyName is that of the role's only policy.
const policyName = awssetup.DefaultName

func (a *Account) seeRole(ctx context.Context, w awssetup.Resource) (awssetup.Seen, bool, error) {
	out, err := a.aws.IAM.GetRole(ctx, &iam.GetRoleInput{RoleName: &w.Name})
	if is(err, "NoSuchEntity") {
		return awssetup.Seen{}, false, nil
	}
	if err != nil {
		return awssetup.Seen{}, false, err
	}
	seen := awssetup.Seen{Properties: map[string]string{awssetup.PropertyTrust: document(out.Role.AssumeRolePolicyDocument)}}
	for _, t := range out.Role.Tags {
		if aws.ToString(t.Key) == awssetup.Tag {
			seen.Bucket = aws.ToString(t.Value)
		}
	}
	policy, err := a.aws.IAM.GetRolePolicy(ctx, &iam.GetRolePolicyInput{RoleName: &w.Name, PolicyName: aws.String(policyName)})
	switch {
	case is(err, "NoSuchEntity"):
	case err != nil:
		return awssetup.Seen{}, false, err
	default:
		seen.Properties[awssetup.PropertyPolicy] = document(policy.PolicyDocument)
	}
	return seen, true, nil
}

// document undoes the escaping in which IAM gives policies back.
func document(text *string) string {
	plain, err := url.PathUnescape(aws.ToString(text))
	if err != nil {
		return aws.ToString(text)
	}
	return plain
}

func (a *Account) createRole(ctx context.Context, w awssetup.Resource) error {
	_, err := a.aws.IAM.CreateRole(ctx, &iam.CreateRoleInput{
		RoleName: &w.Name, AssumeRolePolicyDocument: aws.String(w.Properties[awssetup.PropertyTrust]),
		Description: aws.String("freshet: invalidates what changes in " + a.site.Bucket),
		Tags:        []types.Tag{{Key: aws.String(awssetup.Tag), Value: &a.site.Bucket}},
	})
	if err != nil {
		return err
	}
	return a.putPolicy(ctx, w)
}

func (a *Account) putPolicy(ctx context.Context, w awssetup.Resource) error {
	_, err := a.aws.IAM.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: &w.Name, PolicyName: aws.String(policyName), PolicyDocument: aws.String(w.Properties[awssetup.PropertyPolicy])})
	return err
}

func (a *Account) changeRole(ctx context.Context, w awssetup.Resource) error {
	_, err := a.aws.IAM.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: &w.Name, PolicyDocument: aws.String(w.Properties[awssetup.PropertyTrust])})
	if err != nil {
		return err
	}
	return a.putPolicy(ctx, w)
}

// removeRole fails when somebody has attached further policies: they are not ours
// to detach.
func (a *Account) removeRole(ctx context.Context, w awssetup.Resource) error {
	_, err := a.aws.IAM.DeleteRolePolicy(ctx, &iam.DeleteRolePolicyInput{RoleName: &w.Name, PolicyName: aws.String(policyName)})
	if err != nil && !is(err, "NoSuchEntity") {
		return err
	}
	_, err = a.aws.IAM.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: &w.Name})
	return err
}
