package api_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront/types"
)

func TestCopyAndPromote(t *testing.T) {
	c, ctx := goClient(serve(t, open(t, &edge{}, nil), nil).URL, secret), t.Context()
	primary, err := c.CreateDistribution(ctx, &cloudfront.CreateDistributionInput{DistributionConfig: sdkConfig("one", "one.example.com")})
	if err != nil {
		t.Fatal(err)
	}
	id := primary.Distribution.Id
	copying := cloudfront.CopyDistributionInput{PrimaryDistributionId: id, CallerReference: aws.String("copy"), Staging: aws.Bool(true), IfMatch: primary.ETag}
	for code, change := range map[string]func(*cloudfront.CopyDistributionInput){
		"PreconditionFailed":        func(i *cloudfront.CopyDistributionInput) { i.IfMatch = aws.String("ESTALE") },
		"InvalidIfMatchVersion":     func(i *cloudfront.CopyDistributionInput) { i.IfMatch = nil },
		"NoSuchDistribution":        func(i *cloudfront.CopyDistributionInput) { i.PrimaryDistributionId = aws.String("ENONE") },
		"DistributionAlreadyExists": func(i *cloudfront.CopyDistributionInput) { i.CallerReference = aws.String("one") },
		"InvalidArgument":           func(i *cloudfront.CopyDistributionInput) { i.Staging = nil },
	} {
		wrong := copying
		change(&wrong)
		_, err := c.CopyDistribution(ctx, &wrong)
		refusedAs(t, "copy", code, err)
	}
	staging, err := c.CopyDistribution(ctx, &copying)
	if err != nil {
		t.Fatal(err)
	}
	config := staging.Distribution.DistributionConfig
	if !*config.Staging || !*config.Enabled || *config.Aliases.Quantity != 0 || *config.DefaultRootObject != "index.html" || !strings.HasSuffix(*staging.Location, *staging.Distribution.Id) {
		t.Errorf("copied %+v", config)
	}
	config.Comment = aws.String("better")
	edited, err := c.UpdateDistribution(ctx, &cloudfront.UpdateDistributionInput{Id: staging.Distribution.Id, IfMatch: staging.ETag, DistributionConfig: config})
	if err != nil {
		t.Fatal(err)
	}
	promoting := cloudfront.UpdateDistributionWithStagingConfigInput{Id: id, StagingDistributionId: staging.Distribution.Id, IfMatch: aws.String(*primary.ETag + ", " + *edited.ETag)}
	for code, change := range map[string]func(*cloudfront.UpdateDistributionWithStagingConfigInput){
		"PreconditionFailed": func(i *cloudfront.UpdateDistributionWithStagingConfigInput) {
			*i.IfMatch = *primary.ETag + "," + *staging.ETag
		},
		"InvalidIfMatchVersion": func(i *cloudfront.UpdateDistributionWithStagingConfigInput) { *i.IfMatch = *primary.ETag },
		"NoSuchDistribution": func(i *cloudfront.UpdateDistributionWithStagingConfigInput) {
			i.StagingDistributionId = aws.String("ENONE")
		},
		"IllegalUpdate": func(i *cloudfront.UpdateDistributionWithStagingConfigInput) {
			i.StagingDistributionId, *i.IfMatch = id, *primary.ETag+","+*primary.ETag
		},
	} {
		wrong := promoting
		wrong.IfMatch = aws.String(*promoting.IfMatch)
		change(&wrong)
		_, err := c.UpdateDistributionWithStagingConfig(ctx, &wrong)
		refusedAs(t, "promote", code, err)
	}
	promoted, err := c.UpdateDistributionWithStagingConfig(ctx, &promoting)
	if err != nil {
		t.Fatal(err)
	}
	got := promoted.Distribution.DistributionConfig
	if *got.Comment != "better" || *got.Staging || *got.CallerReference != "one" || !slices.Equal(got.Aliases.Items, []string{"one.example.com"}) || *promoted.ETag == *primary.ETag {
		t.Errorf("promoted %+v", got)
	}
}

func TestWebACLs(t *testing.T) {
	c, ctx := goClient(serve(t, open(t, &edge{}, nil), nil).URL, secret), t.Context()
	const arn = "arn:aws:wafv2:us-east-1:123456789012:global/webacl/mine/473e64fd-f30b-4765-81a0-62ad96dd167a"
	using := func(id string) []string {
		t.Helper()
		list, err := c.ListDistributionsByWebACLId(ctx, &cloudfront.ListDistributionsByWebACLIdInput{WebACLId: &id})
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, d := range list.DistributionList.Items {
			ids = append(ids, *d.Id)
		}
		return ids
	}
	set, err := c.AssociateDistributionWebACL(ctx, &cloudfront.AssociateDistributionWebACLInput{Id: aws.String("E1PLAIN"), WebACLArn: aws.String(arn)})
	if err != nil || *set.WebACLArn != arn || *set.Id != "E1PLAIN" {
		t.Fatalf("%+v, %v", set, err)
	}
	if got := using(arn); !slices.Equal(got, []string{"E1PLAIN"}) {
		t.Errorf("with the ACL: %v", got)
	}
	if got := using("null"); !slices.Equal(got, []string{"E2RICH"}) {
		t.Errorf("without an ACL: %v", got)
	}
	_, err = c.DisassociateDistributionWebACL(ctx, &cloudfront.DisassociateDistributionWebACLInput{Id: aws.String("E1PLAIN"), IfMatch: aws.String("ESTALE")})
	refusedAs(t, "stale", "PreconditionFailed", err)
	_, err = c.AssociateDistributionWebACL(ctx, &cloudfront.AssociateDistributionWebACLInput{Id: aws.String("E1PLAIN"), WebACLArn: aws.String("mine")})
	refusedAs(t, "no ACL", "InvalidWebACLId", err)
	if _, err = c.DisassociateDistributionWebACL(ctx, &cloudfront.DisassociateDistributionWebACLInput{Id: aws.String("E1PLAIN"), IfMatch: set.ETag}); err != nil || len(using(arn)) != 0 {
		t.Errorf("disassociated: %v, %v", err, using(arn))
	}
}

func TestMonitoringSubscriptions(t *testing.T) {
	s := serve(t, open(t, &edge{}, nil), nil)
	c, ctx := goClient(s.URL, secret), t.Context()
	id := aws.String("E1PLAIN")
	get := func() (*cloudfront.GetMonitoringSubscriptionOutput, error) {
		return c.GetMonitoringSubscription(ctx, &cloudfront.GetMonitoringSubscriptionInput{DistributionId: id})
	}
	_, err := get()
	refusedAs(t, "none", "NoSuchMonitoringSubscription", err)
	create := &cloudfront.CreateMonitoringSubscriptionInput{DistributionId: id, MonitoringSubscription: &types.MonitoringSubscription{
		RealtimeMetricsSubscriptionConfig: &types.RealtimeMetricsSubscriptionConfig{RealtimeMetricsSubscriptionStatus: types.RealtimeMetricsSubscriptionStatusEnabled}}}
	if _, err := c.CreateMonitoringSubscription(ctx, create); err != nil {
		t.Fatal(err)
	}
	_, err = c.CreateMonitoringSubscription(ctx, create)
	refusedAs(t, "twice", "MonitoringSubscriptionAlreadyExists", err)
	// Older clients end the path in a slash.
	if got := send(t, s, http.MethodGet, "/2020-05-31/distributions/E1PLAIN/monitoring-subscription/", ""); got.status != 200 || !strings.Contains(got.body, "<RealtimeMetricsSubscriptionStatus>Enabled<") {
		t.Errorf("got %+v", got)
	}
	if _, err := c.DeleteMonitoringSubscription(ctx, &cloudfront.DeleteMonitoringSubscriptionInput{DistributionId: id}); err != nil {
		t.Error(err)
	}
	_, err = get()
	refusedAs(t, "deleted", "NoSuchMonitoringSubscription", err)
}

func TestConflictingAliases(t *testing.T) {
	c, ctx := goClient(serve(t, open(t, &edge{}, nil), nil).URL, secret), t.Context()
	find := func(id, alias string) (found []string) {
		t.Helper()
		list, err := c.ListConflictingAliases(ctx, &cloudfront.ListConflictingAliasesInput{DistributionId: &id, Alias: &alias})
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range list.ConflictingAliasesList.Items {
			found = append(found, *a.Alias+" "+*a.DistributionId+" "+*a.AccountId)
		}
		return found
	}
	for alias, want := range map[string][]string{
		"www.example.com": {"www.example.com E2RICH ******789012"},
		"*.Example.com":   {"www.example.com E2RICH ******789012", "cdn.example.com E2RICH ******789012"},
		"example.com":     nil,
	} {
		if got := find("E1PLAIN", alias); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", alias, got, want)
		}
	}
	if got := find("E2RICH", "www.example.com"); got != nil {
		t.Errorf("its own aliases conflict: %q", got)
	}
	d, err := c.GetDistribution(ctx, &cloudfront.GetDistributionInput{Id: aws.String("E2RICH")})
	if err != nil || len(d.Distribution.AliasICPRecordals) != 2 || d.Distribution.AliasICPRecordals[0].ICPRecordalStatus != types.ICPRecordalStatusApproved {
		t.Errorf("recordals of %+v, %v", d, err)
	}
}

func TestOriginAccessIdentities(t *testing.T) {
	s := serve(t, open(t, &edge{}, nil), nil)
	c, ctx := goClient(s.URL, secret), t.Context()
	config := func(reference, comment string) *types.CloudFrontOriginAccessIdentityConfig {
		return &types.CloudFrontOriginAccessIdentityConfig{CallerReference: &reference, Comment: &comment}
	}
	create := func(reference, comment string) (*cloudfront.CreateCloudFrontOriginAccessIdentityOutput, error) {
		return c.CreateCloudFrontOriginAccessIdentity(ctx, &cloudfront.CreateCloudFrontOriginAccessIdentityInput{CloudFrontOriginAccessIdentityConfig: config(reference, comment)})
	}
	made, err := create("r", "c")
	if err != nil {
		t.Fatal(err)
	}
	id := made.CloudFrontOriginAccessIdentity.Id
	if *made.Location != s.URL+"/2020-05-31/origin-access-identity/cloudfront/"+*id || len(*made.CloudFrontOriginAccessIdentity.S3CanonicalUserId) != 96 {
		t.Errorf("made %+v", made)
	}
	again, err := create("r", "c")
	if err != nil || *again.CloudFrontOriginAccessIdentity.Id != *id {
		t.Errorf("the same again: %+v, %v", again, err)
	}
	_, err = create("r", "other")
	refusedAs(t, "another under the same reference", "CloudFrontOriginAccessIdentityAlreadyExists", err)
	use := sdkConfig("d")
	use.Origins.Items[0].CustomOriginConfig = nil
	use.Origins.Items[0].S3OriginConfig = &types.S3OriginConfig{OriginAccessIdentity: aws.String("origin-access-identity/cloudfront/ENONE")}
	_, err = c.CreateDistribution(ctx, &cloudfront.CreateDistributionInput{DistributionConfig: use})
	refusedAs(t, "unknown identity", "InvalidOriginAccessIdentity", err)
	use.Origins.Items[0].S3OriginConfig.OriginAccessIdentity = aws.String("origin-access-identity/cloudfront/" + *id)
	if _, err := c.CreateDistribution(ctx, &cloudfront.CreateDistributionInput{DistributionConfig: use}); err != nil {
		t.Fatal(err)
	}
	list, err := c.ListCloudFrontOriginAccessIdentities(ctx, &cloudfront.ListCloudFrontOriginAccessIdentitiesInput{})
	if err != nil || len(list.CloudFrontOriginAccessIdentityList.Items) != 1 || *list.CloudFrontOriginAccessIdentityList.Items[0].S3CanonicalUserId != *made.CloudFrontOriginAccessIdentity.S3CanonicalUserId {
		t.Errorf("list %+v, %v", list, err)
	}
	_, err = c.UpdateCloudFrontOriginAccessIdentity(ctx, &cloudfront.UpdateCloudFrontOriginAccessIdentityInput{Id: id, IfMatch: made.ETag, CloudFrontOriginAccessIdentityConfig: config("x", "c")})
	refusedAs(t, "another reference", "IllegalUpdate", err)
	updated, err := c.UpdateCloudFrontOriginAccessIdentity(ctx, &cloudfront.UpdateCloudFrontOriginAccessIdentityInput{Id: id, IfMatch: made.ETag, CloudFrontOriginAccessIdentityConfig: config("r", "new")})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.DeleteCloudFrontOriginAccessIdentity(ctx, &cloudfront.DeleteCloudFrontOriginAccessIdentityInput{Id: id, IfMatch: updated.ETag})
	refusedAs(t, "in use", "CloudFrontOriginAccessIdentityInUse", err)
	_, err = c.GetCloudFrontOriginAccessIdentityConfig(ctx, &cloudfront.GetCloudFrontOriginAccessIdentityConfigInput{Id: aws.String("ENONE")})
	refusedAs(t, "unknown", "NoSuchCloudFrontOriginAccessIdentity", err)
}
