package doctor

import (
	"errors"
	"fmt"
	"strings"

	"github.com/aws/smithy-go"
)

// ErrNoCredentials is why nothing was asked of AWS.
var ErrNoCredentials = errors.New("there are no credentials")

// credentials looks at who asks.
func (s Seen) credentials() []Finding {
	const check = "credentials"
	switch err := s.Caller.Err; {
	case s.Own && denied(s.Home.Err):
		return []Finding{{Error, check, "", "the running freshet's S3 API does not take the keys of its data directory: " + why(s.Home.Err), "restart freshet up on this data directory"}}
	case s.Own:
		return []Finding{{OK, check, "", "the running freshet takes the keys of its data directory", ""}}
	case errors.Is(err, ErrNoCredentials):
		return []Finding{{Error, check, "", err.Error(), "run aws configure or aws sso login, or set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"}}
	case err != nil:
		return []Finding{{Error, check, "", "AWS does not say whose credentials these are: " + why(err), remedy(err, "sts:GetCallerIdentity")}}
	}
	if strings.HasSuffix(s.Caller.Is.ARN, ":root") {
		return []Finding{{Warning, check, "", "these are the root user's keys of account " + s.Caller.Is.Account, "use a role or a user with the permissions that are needed, and delete the root user's keys"}}
	}
	return []Finding{{OK, check, "", fmt.Sprintf("account %s, %s", s.Caller.Is.Account, s.Caller.Is.ARN), ""}}
}

// region compares where the bucket is with where it is looked for. CloudFront
// itself has one region only.
func (s Seen) region() []Finding {
	const check = "region"
	switch {
	case s.Own && s.Home.Err == nil:
		return []Finding{{OK, check, "", "does not matter to the running freshet", ""}}
	case s.Bucket == "":
		return []Finding{{Note, check, "", "not looked at: no bucket was named or found", "name one with --bucket"}}
	case codeOf(s.Home.Err) == "NotFound" || codeOf(s.Home.Err) == "NoSuchBucket":
		return []Finding{{Error, check, "", fmt.Sprintf("there is no bucket %s", s.Bucket), "look for a typing error in --bucket, or for a bucket that was deleted"}}
	case s.Home.Err != nil:
		return []Finding{{Error, check, "", fmt.Sprintf("the bucket %s cannot be looked at: %s", s.Bucket, why(s.Home.Err)), remedy(s.Home.Err, "s3:ListBucket")}}
	case s.Region == "":
		return []Finding{{Warning, check, "", fmt.Sprintf("no region is configured; the bucket %s is in %s", s.Bucket, s.Home.Is), "set AWS_REGION=" + s.Home.Is}}
	case s.Home.Is != "" && s.Home.Is != s.Region:
		return []Finding{{Warning, check, "", fmt.Sprintf("the bucket %s is in %s, and %s is configured", s.Bucket, s.Home.Is, s.Region),
			"set AWS_REGION=" + s.Home.Is + ": what S3 notifies must be in the bucket's region"}}
	}
	return []Finding{{OK, check, "", fmt.Sprintf("the bucket %s is in %s, as configured", s.Bucket, s.Region), ""}}
}

// found says why there are no distributions to look at.
func (s Seen) found() []Finding {
	const check = "distribution"
	switch {
	case s.Wanted != "" || len(s.Sites) > 0:
		return nil
	case s.Fed.Err != nil:
		return []Finding{{Error, check, "", "the distributions cannot be listed: " + why(s.Fed.Err), remedy(s.Fed.Err, "cloudfront:ListDistributions") + "; or name one with --distribution"}}
	}
	return []Finding{{Error, check, "", fmt.Sprintf("no distribution of this account has the bucket %s as an origin", s.Bucket),
		"look whether these are the right account and bucket; make the bucket an origin of the distribution"}}
}

// unreadableSite is about a distribution that nothing is known of.
func (s Seen) unreadableSite(site *Site) Finding {
	f := Finding{Error, "distribution", site.ID, "it cannot be read: " + why(site.Err), remedy(site.Err, "cloudfront:GetDistribution and cloudfront:GetCachePolicy")}
	if codeOf(site.Err) == "NoSuchDistribution" {
		f.Saw, f.Do = "there is none of this ID", "look for a typing error in --distribution"
		if s.Caller.Is.Account != "" {
			f.Saw = "account " + s.Caller.Is.Account + " has none of this ID"
			f.Do += ", and whether it belongs to another account: then use that one's credentials"
		}
	}
	return f
}

// codeOf is the code of an error that AWS answered with, and empty for others.
func codeOf(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

// why is what there is to know of an error: what AWS answered, without the way
// there.
func why(err error) string {
	var api smithy.APIError
	switch {
	case errors.Is(err, ErrNoCredentials):
		return ErrNoCredentials.Error()
	case errors.As(err, &api) && api.ErrorMessage() != "":
		return api.ErrorCode() + ": " + api.ErrorMessage()
	case api != nil:
		return api.ErrorCode()
	}
	return err.Error()
}

// denied reports whether an error is about who asks.
func denied(err error) bool {
	switch codeOf(err) {
	case "InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied", "Forbidden":
		return true
	}
	return false
}

// remedy says what to do about an error of a call that needs a permission.
func remedy(err error, permission string) string {
	switch code := codeOf(err); code {
	case "ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired":
		return "the credentials have expired: run aws sso login, or get new ones"
	case "InvalidClientTokenId", "InvalidAccessKeyId", "SignatureDoesNotMatch", "UnrecognizedClientException", "AuthFailure", "InvalidToken":
		return "the credentials are wrong, or of another partition or endpoint: look at aws configure list"
	case "RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture":
		return "set this machine's clock"
	case "AccessDenied", "AccessDeniedException", "Forbidden", "UnauthorizedOperation", "AllAccessDisabled":
		return "these credentials need " + permission
	case "Throttling", "ThrottlingException", "SlowDown", "TooManyRequestsException", "ServiceUnavailable":
		return "try again in a minute: AWS slows this account down"
	case "":
		if errors.Is(err, ErrNoCredentials) {
			return "see credentials"
		}
		return "look at the network, proxies and the endpoint"
	}
	return "what the error says"
}
